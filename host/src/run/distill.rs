//! A whole run: teacher, students, file, comparison, report. What is done already is not done again.

mod prior;
mod rules;
mod stage;
mod teachers;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};
use attar_device::Student;
use candle_core::Device;
use serde_json::json;
use sha2::{Digest, Sha256};

use crate::boards::verify;
use crate::compile::{Agreement, Cut, Quantizer};
use crate::data::{self, Dataset};
use crate::domain::limits::{COMPUTED_VALUES, check_product};
use crate::facts::Audience;
use crate::heads::{Form, HeadMetrics, Target};
use crate::net::{self, Net};
use crate::objective::Objective;
use crate::recipe::{self, Recipe};
use crate::run::budget;
use crate::run::coverage;
use crate::run::folder::{EVIDENCE_FILE, MANIFEST_FILE, METRICS_FILE, RECIPE_FILE, REPORT_FILE, STUDENT_FILE};
use crate::run::page::{self, Evidence};
use crate::run::report::{ModelFigures, Report, SCHEMA, StudentFigures, recall_warnings};
use crate::student::engine::{self, FactsGiven};
use crate::support::files;
use crate::support::progress::say;
use crate::support::random;
use crate::support::stats::correlation;
use crate::teachers::Teacher;
use crate::train::{self, Epoch, FakeQuantization};
use stage::Stage;
use teachers::Answers;

/// Where a run reads and writes.
#[derive(Debug, Clone)]
pub struct Places {
    /// What the recipe's files are relative to.
    pub data: PathBuf,
    /// The run folder.
    pub out: PathBuf,
    /// What trains.
    pub device: Device,
    /// The command that is at work, for the page.
    pub command: String,
}

/// Runs a recipe and returns its report, which is also in the run folder.
///
/// # Errors
///
/// When the data or the folder cannot be used, a training diverges, the file does not reproduce itself, or the work was
/// stopped; what is finished by then stays for the next run.
pub fn run(recipe: &Recipe, places: &Places) -> Result<Report> {
    let data = data::load(recipe, &places.data)?;
    say(&format!(
        "{}: {} samples, {} to train, {} to validate, {} to test",
        recipe.name,
        data.len(),
        data.splits.train.len(),
        data.splits.validation.len(),
        data.splits.test.len()
    ));
    if data.splits.test.is_empty() {
        say("warning: there is no test split: all figures are of the samples that were trained on");
    }
    data.remarks().iter().for_each(|remark| say(remark));
    let evaluation = if data.splits.test.is_empty() { &data.splits.train } else { &data.splits.test };
    let facts = coverage::facts(&data, evaluation);
    let split = if data.splits.test.is_empty() { "training" } else { "test" };
    let mut warnings = coverage::class_warnings(&data, evaluation);
    warnings.extend(coverage::fact_warnings(&facts, split));
    warnings.iter().for_each(|warning| say(&format!("warning: {warning}")));
    rules::check(recipe, &data)?;
    budget::check(recipe, &data)?;
    let mut run = Run {
        recipe,
        places,
        data: &data,
        seconds: BTreeMap::new(),
        curves: Vec::new(),
        teacher_on_validation: Vec::new(),
    };
    run.write_manifest()?;
    let teachers = run.teachers()?;
    for warning in crate::objective::warnings(&recipe.distill, &data, recipe.student.batch) {
        say(&format!("warning: {warning}"));
    }
    let mut teacher = None;
    let mut said = Vec::new();
    let mut answers = None;
    if !teachers.is_empty() {
        said = run.said(&teachers, run.evaluation())?;
        teacher = Some(run.teacher_figures(&teachers, &said));
        run.teacher_on_validation = run.figures_on_validation(&teachers)?;
        answers = Some(run.answers(&teachers)?);
        if let Some(how) = &recipe.assistant {
            answers = Some(run.assistant(how, answers.as_ref())?);
        }
    }
    let (students, exported) = run.students(answers.as_ref())?;
    let Exported { bytes, mut agreement } = exported;
    // The greatest of several numbers is no answer but of a head of classes.
    let is_class = |head: &String| data.targets.iter().any(|one| one.name == *head && one.kind.form() == Form::Classes);
    agreement.equal_argmax.retain(|head, _| is_class(head));
    let verify = vec![verify::on_host(&bytes, &verify::samples_of(&bytes, run.data, run.evaluation())?)?];
    let student = Student::parse(&bytes)?;
    let mut networks: Vec<(String, &serde_json::Value)> = Vec::new();
    networks.extend(teacher.iter().map(|teacher| ("teacher".into(), &teacher.metrics)));
    networks.extend(
        students.iter().map(|student| (format!("student ({}, {})", student.name, student.precision), &student.metrics)),
    );
    warnings.extend(recall_warnings(&networks));
    let report = Report {
        schema: SCHEMA,
        dataset: recipe.name.clone(),
        seed: recipe.seed,
        seconds: run.seconds.clone(),
        teacher,
        students,
        model: ModelFigures {
            file: STUDENT_FILE.into(),
            bytes: bytes.len(),
            flash_bytes: bytes.len(),
            arena_bytes: student.model().arena_bytes(),
            macs: student.model().header().macs,
        },
        quantization: Some(agreement),
        verify,
        facts,
        warnings,
    };
    let said = page::Said { teacher: &said, student: &student, model: &bytes };
    let evidence = Evidence::gather(&places.command, &data, run.evaluation(), &said, recipe.seed)?;
    run.finish(&report, &evidence)?;
    Ok(report)
}

/// A kind of student that is trained.
#[derive(Debug, Clone, Copy)]
struct Variant {
    name: &'static str,
    with_facts: bool,
    distilled: bool,
    exported: bool,
}

/// A student in integers.
struct Integers {
    /// The network that they are of, without normalisations.
    net: Net,
    bytes: Vec<u8>,
    /// Those of the student before it was trained on as if in integers.
    calibrated: Vec<u8>,
    precision: &'static str,
    agreement: Agreement,
}

/// What a run comes to.
struct Exported {
    bytes: Vec<u8>,
    agreement: Agreement,
}

struct Run<'a> {
    recipe: &'a Recipe,
    places: &'a Places,
    data: &'a Dataset,
    seconds: BTreeMap<String, f64>,
    curves: Vec<(String, Vec<Epoch>)>,
    /// What the teachers reach on the validation split, head by head; nothing where they do not answer or there is no split.
    teacher_on_validation: Vec<Option<f64>>,
}

impl Run<'_> {
    /// Returns the samples that figures are measured on: the test split, or all there is to train on without one.
    fn evaluation(&self) -> &[usize] {
        if self.data.splits.test.is_empty() { &self.data.splits.train } else { &self.data.splits.test }
    }

    /// Trains every kind of student from every seed; returns their figures and the bytes of the exported file.
    fn students(&mut self, answers: Option<&Answers<'_>>) -> Result<(Vec<StudentFigures>, Exported)> {
        let mut figures = Vec::new();
        let mut exported = None;
        let mut precision = "int8";
        let test = self.evaluation().to_vec();
        let validation = self.data.splits.validation.clone();
        let variants = self.variants(answers.is_some());
        // The teacher is held against students from labels where there are any, with the facts that the file has.
        let with_facts = self.data.facts.input(Audience::Board).is_some();
        let from_labels = variants.iter().position(|other| !other.distilled && other.with_facts == with_facts);
        let rival = from_labels.unwrap_or(variants.len() - 1);
        for (place, variant) in variants.into_iter().enumerate() {
            let start = Instant::now();
            let mut best: Option<(f64, u64, Integers)> = None;
            let mut on_validation = Vec::new();
            let (mut floats, mut calibrated, mut integers) = (Vec::new(), Vec::new(), Vec::new());
            let mut priors = Vec::new();
            let (mut parameters, mut file_bytes) = (0, 0);
            for index in 0..self.recipe.compare.seeds {
                let seed = self.recipe.seed + index as u64;
                let name = if variant.exported && index == 0 {
                    "student".into()
                } else {
                    format!("students/{}-{index}", variant.name.replace([',', ' '], ""))
                };
                let answers = answers.filter(|_| variant.distilled);
                let (stage, net, last) = self.generations(answers, &variant, seed, &name)?;
                parameters = net.parameter_count();
                priors.push(prior::weights(&net)?);
                floats.push(train::evaluate(&net, self.data, &test)?);
                if !validation.is_empty() {
                    on_validation.push(train::evaluate(&net, self.data, &validation)?);
                }
                let objective = self.objective(last.as_ref().or(answers));
                let integer = self.integers(&stage, &net, objective)?;
                if variant.exported && self.recipe.compare.calibrated && self.recipe.quantize.aware_epochs > 0 {
                    let student = Student::parse(&integer.calibrated)?;
                    calibrated.push(engine::evaluate(&student, self.data, &test, FactsGiven::True)?);
                }
                let student = Student::parse(&integer.bytes)?;
                integers.push(engine::evaluate(&student, self.data, &test, FactsGiven::True)?);
                precision = integer.precision;
                if index == 0 {
                    file_bytes = integer.bytes.len();
                }
                if variant.exported {
                    let figure = if validation.is_empty() || self.recipe.compare.seeds == 1 {
                        0.0
                    } else {
                        selection_of(&engine::evaluate(&student, self.data, &validation, FactsGiven::True)?)
                    };
                    if best.as_ref().is_none_or(|(former, ..)| figure > *former) {
                        best = Some((figure, seed, integer));
                    }
                }
            }
            if let Some((figure, seed, integer)) = best {
                if self.recipe.compare.seeds > 1 {
                    let why = match validation.is_empty() {
                        true => "the first; without a validation split none is known to be better".to_string(),
                        false => format!("its integers are the best on validation ({figure:.4})"),
                    };
                    say(&format!("student: that of seed {seed} goes into the file: {why}"));
                }
                file_bytes = integer.bytes.len();
                self.export(&integer.bytes, &integer.net)?;
                exported = Some(Exported { bytes: integer.bytes, agreement: integer.agreement });
            }
            if place == rival {
                let teacher = &self.teacher_on_validation;
                worse_teachers(&self.data.targets, variant.name, teacher, &on_validation)
                    .iter()
                    .for_each(|line| say(line));
            }
            worse_integers(&self.data.targets, variant.name, &floats, &integers).iter().for_each(|line| say(line));
            let kind = (variant.with_facts, variant.distilled);
            let gather = |precision: &str, seeds: &[Vec<HeadMetrics>]| StudentFigures {
                priors: mean_of(&priors),
                bytes: Some(if precision == "f32" { 4 * parameters } else { file_bytes }),
                ..StudentFigures::of_seeds(variant.name, kind, precision, parameters, self.data, seeds)
            };
            figures.push(gather("f32", &floats));
            if !calibrated.is_empty() {
                figures.push(gather(&format!("{precision}, calibrated"), &calibrated));
            }
            figures.push(gather(precision, &integers));
            self.seconds.insert(variant.name.into(), start.elapsed().as_secs_f64());
        }
        Ok((figures, exported.context("no student is exported")?))
    }

    /// Trains a student, and again from its own answers as often as the recipe says; returns the last stage, its network,
    /// and the answers that it learned from when they were a student's.
    fn generations<'s>(
        &mut self,
        answers: Option<&Answers<'s>>,
        variant: &Variant,
        seed: u64,
        name: &str,
    ) -> Result<(Stage, Net, Option<Answers<'s>>)> {
        let how = &self.recipe.student;
        let audience = variant.with_facts.then_some(Audience::Board);
        let count = if variant.distilled { self.recipe.distill.generations } else { 1 };
        let mut former: Option<Answers<'_>> = None;
        for generation in 1..=count {
            let name = if generation == count { name.to_string() } else { format!("{name}-generation-{generation}") };
            let of = former.as_ref().or(answers);
            let stage = Stage::new(self.recipe, self.data, how, of.map(|of| of.key.as_str()), audience, seed, &name)?;
            let net = self.train(&stage, how, self.objective(of), audience, &self.all_heads())?;
            if generation == count {
                return Ok((stage, net, former));
            }
            let teacher = Teacher::of_nets(vec![net], self.all_heads(), stage.key.clone());
            former = Some(self.answers_of(&[teacher], &name)?);
        }
        bail!("distill.generations is 0")
    }

    /// Returns what a student minimises.
    fn objective<'s>(&self, answers: Option<&'s Answers<'_>>) -> Objective<'s>
    where
        Self: 's,
    {
        match answers {
            Some(answers) => Objective::Distilled(&answers.distill, &answers.soft),
            None => Objective::Labels,
        }
    }

    fn all_heads(&self) -> Vec<usize> {
        (0..self.data.targets.len()).collect()
    }

    /// Returns the integers of a trained student: as it is, or trained on as if in integers where that is better on the
    /// validation split.
    fn integers(&mut self, stage: &Stage, net: &Net, objective: Objective<'_>) -> Result<Integers> {
        let recipe = self.recipe;
        let folded = net.folded()?;
        let flash = recipe.budget.flash.as_ref().map(recipe::Bytes::get).transpose()?;
        let data = self.data;
        let mut quantizer = Quantizer::new(&folded, data, &recipe.quantize, flash, stage.seed)?;
        let plain = self.with_best_input_range(&mut quantizer, &folded, &stage.name)?;
        if recipe.quantize.aware_epochs == 0 {
            return self.compared(&quantizer, folded, plain.clone(), plain);
        }
        let how = recipe::Net {
            epochs: recipe.quantize.aware_epochs,
            rate: recipe.quantize.aware_rate,
            schedule: recipe::Schedule::Cosine,
            optimizer: recipe::OptimizerKind::Adam,
            warm_up: 0.0,
            decay: None,
            average: None,
            patience: None,
            ..recipe.student.clone()
        };
        let mut start = net.folded()?;
        quantizer.update_ranges(&mut start)?;
        let aware = stage.aware(&recipe.quantize, flash)?;
        let heads = self.all_heads();
        let tuned = self.fit(&aware, start, &how, objective, &heads, Some(&quantizer))?;
        let bytes = quantizer.file(&tuned)?;
        let score = |bytes: &[u8]| -> Result<f64> {
            let validation = &self.data.splits.validation;
            Ok(selection_of(&engine::evaluate(&Student::parse(bytes)?, self.data, validation, FactsGiven::True)?))
        };
        if self.data.splits.validation.is_empty() || score(&bytes)? >= score(&plain)? {
            self.compared(&quantizer, tuned, bytes, plain)
        } else {
            say(&format!("{}: the integers of the student as it was are better on validation", stage.name));
            self.compared(&quantizer, folded, plain.clone(), plain)
        }
    }

    /// Returns the integers of a network. Where they are clearly worse than the network, ranges that leave out their ends
    /// are tried as well, and the best one is taken.
    fn with_best_input_range(&self, quantizer: &mut Quantizer<'_>, net: &Net, name: &str) -> Result<Vec<u8>> {
        let whole = quantizer.file(net)?;
        let splits = &self.data.splits;
        let samples = if splits.validation.is_empty() { &splits.train } else { &splits.validation };
        let samples = &samples[..samples.len().min(RANGE_SAMPLES)];
        let floats = selection_of(&train::evaluate(net, self.data, samples)?);
        let score = |bytes: &[u8]| -> Result<f64> {
            Ok(selection_of(&engine::evaluate(&Student::parse(bytes)?, self.data, samples, FactsGiven::True)?))
        };
        let first = score(&whole)?;
        if self.data.is_text || floats - first <= RANGE_LOSS {
            return Ok(whole);
        }
        let mut best = (first, Cut::default(), whole);
        let cuts = RANGE_CUTS.into_iter().flat_map(|share| [false, true].map(|everywhere| Cut { share, everywhere }));
        for cut in cuts {
            quantizer.cut_ranges(cut);
            let bytes = quantizer.file(net)?;
            let figure = score(&bytes)?;
            if figure > best.0 + RANGE_LOSS / 2.0 {
                best = (figure, cut, bytes);
            }
        }
        let (figure, cut, bytes) = best;
        quantizer.cut_ranges(cut);
        if cut.share > 0.0 {
            say(&format!(
                "{name}: {} out {} % of the values at each end, which are clipped: {figure:.4} on {} samples, {first:.4} with whole \
                 ranges, {floats:.4} in f32",
                if cut.everywhere { "all ranges leave" } else { "the range of the input leaves" },
                100.0 * cut.share,
                samples.len()
            ));
        }
        Ok(bytes)
    }

    /// Holds a network against its integers.
    fn compared(&self, quantizer: &Quantizer<'_>, net: Net, bytes: Vec<u8>, calibrated: Vec<u8>) -> Result<Integers> {
        let samples = &self.evaluation()[..self.evaluation().len().min(AGREEMENT)];
        let precision = match quantizer.widths() {
            [8, 8] => "int8",
            [4, 4] => "int4",
            _ => "int8 and int4",
        };
        let agreement = quantizer.agreement(&net, samples)?;
        Ok(Integers { net, bytes, calibrated, precision, agreement })
    }

    fn variants(&self, with_teacher: bool) -> Vec<Variant> {
        let facts = self.data.facts.input(Audience::Board).is_some();
        let compare = &self.recipe.compare;
        let mut variants = Vec::new();
        if compare.without_facts && facts {
            variants.push(Variant { name: "labels, no facts", with_facts: false, distilled: false, exported: false });
        }
        if compare.labels && with_teacher {
            variants.push(Variant { name: "labels", with_facts: facts, distilled: false, exported: false });
        }
        let name = if with_teacher { "distilled" } else { "labels" };
        variants.push(Variant { name, with_facts: facts, distilled: with_teacher, exported: true });
        variants
    }

    /// Returns the trained network of a stage, from the run folder when it is there.
    fn train(
        &mut self,
        stage: &Stage,
        how: &recipe::Net,
        objective: Objective<'_>,
        audience: Option<Audience>,
        answered: &[usize],
    ) -> Result<Net> {
        let targets = answered.iter().map(|&head| &self.data.targets[head]);
        let heads: Vec<(String, usize)> = targets.map(|target| (target.name.clone(), target.outputs)).collect();
        let facts = audience.and_then(|audience| self.data.facts.input(audience));
        let graph = net::build(how, self.data.input_shape, facts, &heads)?;
        let batch = how.batch.min(self.data.splits.train.len());
        let what = format!("{}: batch x values of all layers", stage.name);
        check_product(&what, &[batch, graph.values()], COMPUTED_VALUES)?;
        let every = self.recipe.signal.as_ref().map_or(1, |signal| signal.every);
        ensure!(
            every == 1 || stage.role() == "teacher" || !graph.is_streamed(),
            "signal.every is {every}, but the network has a state that takes every window, as it did in training: say every = 1"
        );
        let mut random = random::stream(stage.seed, &format!("{} weights", stage.role()));
        let net = Net::new(graph, &mut random, &self.places.device)?;
        self.fit(stage, net, how, objective, answered, None)
    }

    /// Trains a network in a stage, or takes it from the run folder when it is there.
    #[allow(clippy::too_many_arguments)]
    fn fit(
        &mut self,
        stage: &Stage,
        mut net: Net,
        how: &recipe::Net,
        objective: Objective<'_>,
        heads: &[usize],
        aware: Option<&Quantizer<'_>>,
    ) -> Result<Net> {
        let path = stage.file(&self.places.out);
        if let Some(epochs) = stage.load(&path, &net)? {
            say(&format!("{}: taken from {}", stage.name, path.display()));
            self.curves.push((stage.name.clone(), epochs));
            return Ok(net);
        }
        let checkpoint = stage.checkpoint(&self.places.out);
        let task = train::Task {
            seed: stage.seed,
            checkpoint: Some(&checkpoint),
            after: aware.map(|_| self.recipe.student.epochs),
            aware: aware.map(|quantizer| quantizer as &dyn FakeQuantization),
            ..train::Task::new(&stage.name, self.data, how, objective, heads)
        };
        let steps = how.epochs * self.data.splits.train.len().div_ceil(how.batch.max(1));
        if aware.is_none() && steps < FEW_STEPS {
            say(&format!(
                "warning: {}: {} epochs are {steps} steps, which is little to learn in: raise `epochs`, or `rate` (now {})",
                stage.name, how.epochs, how.rate
            ));
        }
        prior::fit(&stage.name, &net, self.data, how, heads, stage.seed)?;
        let trained = train::train(&mut net, &task)?;
        for (head, weight) in prior::weights(&net)? {
            say(&format!("{}: head {head:?} takes {weight:.2} times what the facts alone say", stage.name));
        }
        stage.save(&path, &net, &trained.epochs)?;
        if checkpoint.exists() {
            fs::remove_file(&checkpoint).with_context(|| format!("cannot remove {}", checkpoint.display()))?;
        }
        self.curves.push((stage.name.clone(), trained.epochs));
        Ok(net)
    }

    /// Writes the file; before it takes its place it is read back, parsed, run on its own test vectors, and held against
    /// the network in f32.
    fn export(&self, bytes: &[u8], net: &Net) -> Result<()> {
        let path = self.places.out.join(STUDENT_FILE);
        files::write_checked(&path, bytes, |written| {
            let read = fs::read(written)?;
            let student = Student::parse(&read)?;
            let mut arena = engine::arena(&student)?;
            student.self_test(&mut arena)?;
            // Those of the training split: what is tested may be unlike all that ranges were measured on, as faults are.
            let train = &self.data.splits.train;
            let samples: Vec<usize> =
                train.iter().step_by(train.len().div_ceil(SELF_CHECK)).copied().take(SELF_CHECK).collect();
            let floats = train::predict(net, self.data, &samples)?;
            let integers = engine::predict(&student, self.data, &samples, FactsGiven::True)?;
            for (head, target) in self.data.targets.iter().enumerate() {
                let correlation = correlation(&floats[head], &integers[head]);
                ensure!(
                    correlation.is_none_or(|r| r > 0.5),
                    "head {:?}: the integer student does not follow the network in f32 (correlation {:.3})",
                    target.name,
                    correlation.unwrap_or_default()
                );
            }
            let test = &self.evaluation()[..self.evaluation().len().min(SELF_CHECK)];
            let floats = train::predict(net, self.data, test)?;
            let integers = engine::predict(&student, self.data, test, FactsGiven::True)?;
            for (head, target) in self.data.targets.iter().enumerate() {
                if let Some(r) = correlation(&floats[head], &integers[head]).filter(|&r| r < 0.9) {
                    say(&format!(
                        "warning: head {:?}: on the test samples the integers follow the network in f32 loosely (correlation \
                         {r:.3}): they lie outside of the ranges of training, and are clipped",
                        target.name
                    ));
                }
            }
            Ok(())
        })
    }

    /// Returns a hash of the samples that figures are measured on, and of their labels.
    fn tested(&self) -> String {
        let mut hash = Sha256::new();
        for &sample in self.evaluation() {
            hash.update(sample.to_le_bytes());
            let labels = self.data.targets.iter().flat_map(|target| target.written(sample));
            labels.for_each(|label| hash.update(label.unwrap_or(f32::NAN).to_le_bytes()));
        }
        files::hex(&hash.finalize())
    }

    fn write_manifest(&self) -> Result<()> {
        let out = &self.places.out;
        let resolved = toml::to_string_pretty(self.recipe)?;
        files::write_whole(&out.join(RECIPE_FILE), resolved.as_bytes())?;
        let manifest = json!({
            "attar": env!("CARGO_PKG_VERSION"),
            "format": attar_shared::VERSION,
            "seed": self.recipe.seed,
            "data": self.data.fingerprint,
            "test": self.tested(),
        });
        files::write_whole(&out.join(MANIFEST_FILE), format!("{manifest:#}\n").as_bytes())
    }

    fn finish(&self, report: &Report, evidence: &Evidence) -> Result<()> {
        let out = &self.places.out;
        let lines: String = self
            .curves
            .iter()
            .flat_map(|(stage, epochs)| epochs.iter().map(move |epoch| (stage, epoch)))
            .map(|(stage, epoch)| {
                format!(
                    "{}\n",
                    json!({"stage": stage, "epoch": epoch.epoch, "loss": epoch.loss, "validation": epoch.validation})
                )
            })
            .collect();
        files::write_whole(&out.join(METRICS_FILE), lines.as_bytes())?;
        files::write_whole(&out.join(REPORT_FILE), format!("{:#}\n", serde_json::to_value(report)?).as_bytes())?;
        files::write_whole(&out.join(EVIDENCE_FILE), &serde_json::to_vec(evidence)?)?;
        page::write(out)?;
        Ok(())
    }
}

/// Returns the sum of what the heads are chosen by.
fn selection_of(heads: &[HeadMetrics]) -> f64 {
    heads.iter().filter_map(HeadMetrics::selection).sum()
}

/// Returns the mean of each number over the seeds.
fn mean_of(seeds: &[BTreeMap<String, f64>]) -> BTreeMap<String, f64> {
    let mut sums = BTreeMap::new();
    for (name, value) in seeds.iter().flatten() {
        *sums.entry(name.clone()).or_insert(0.0) += value / seeds.len() as f64;
    }
    sums
}

/// Returns a warning for each head whose teacher is worse than a student on the validation split.
fn worse_teachers(
    targets: &[Target],
    name: &str,
    teacher: &[Option<f64>],
    students: &[Vec<HeadMetrics>],
) -> Vec<String> {
    let warning = |(head, (target, teacher)): (usize, (&Target, &Option<f64>))| {
        let (teacher, student) = ((*teacher)?, mean_selection(students, head));
        (student > teacher).then(|| {
            format!(
                "warning: head {:?}: on validation the teacher has {teacher:.4}, the student ({name}, f32) {student:.4}: a teacher \
                 that is worse than the labels has little to teach: train it longer, make it larger, or leave it out \
                 (distill.method = \"none\")",
                target.name
            )
        })
    };
    targets.iter().zip(teacher).enumerate().filter_map(warning).collect()
}

/// Returns a warning for each head whose integers are clearly worse than the network that they come from.
fn worse_integers(
    targets: &[Target],
    name: &str,
    floats: &[Vec<HeadMetrics>],
    integers: &[Vec<HeadMetrics>],
) -> Vec<String> {
    let warning = |(head, target): (usize, &Target)| {
        let (float, integer) = (mean_selection(floats, head), mean_selection(integers, head));
        (float - integer > INTEGER_LOSS).then(|| {
            format!(
                "warning: head {:?} of {name}: the integers have {integer:.4} where f32 has {float:.4}: raise \
                 quantize.aware_epochs, and look for single large values among the inputs",
                target.name
            )
        })
    };
    targets.iter().enumerate().filter_map(warning).collect()
}

/// Returns the mean over seeds of what a head is chosen by; NaN without any.
fn mean_selection(seeds: &[Vec<HeadMetrics>], head: usize) -> f64 {
    let figures: Vec<f64> = seeds.iter().filter_map(|heads| heads.get(head)?.selection()).collect();
    figures.iter().sum::<f64>() / figures.len() as f64
}

/// A training of fewer steps than that seldom comes to its end.
const FEW_STEPS: usize = 1000;

/// What the integers may lose against f32, in what heads are chosen by, before other ranges of the input are tried.
const RANGE_LOSS: f64 = 0.02;

/// What the integers may lose on the samples of the figures without a word.
const INTEGER_LOSS: f64 = 0.02;

/// Shares of the values that ranges leave out at each end.
const RANGE_CUTS: [f64; 5] = [0.0001, 0.001, 0.01, 0.03, 0.05];

/// Samples that ranges are chosen on.
const RANGE_SAMPLES: usize = 2000;

/// Samples on which an exported file is held against the network in f32.
const SELF_CHECK: usize = 256;

/// Samples on which the network and its integers are compared layer by layer.
const AGREEMENT: usize = 64;

/// Returns an entry of the manifest of the run that a file lies in; nothing when there is none beside it, or it does not say.
pub fn manifest_entry(file: &Path, key: &str) -> Option<String> {
    let bytes = files::read_regular(&file.with_file_name(MANIFEST_FILE)).ok()?;
    let manifest: serde_json::Value = serde_json::from_slice(&bytes).ok()?;
    Some(manifest.get(key)?.as_str()?.to_string())
}

/// Returns the resolved recipe of the run that a model file lies in, or nothing when there is none beside it.
///
/// # Errors
///
/// When there is one that cannot be read.
pub fn recipe_beside(model: &Path) -> Result<Option<Recipe>> {
    let path = model.with_file_name(RECIPE_FILE);
    if path.exists() { Recipe::read(&path, &[]).map(Some) } else { Ok(None) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::RegressionLoss;
    use crate::heads::{HeadKind, Labels};

    fn target(name: &str) -> Target {
        Target {
            name: name.into(),
            kind: HeadKind::CLASS,
            labels: Vec::new(),
            outputs: 2,
            values: Labels::classes([]),
            scaling: Vec::new(),
            weight: 1.0,
            loss: RegressionLoss::default(),
            temperature: None,
        }
    }

    /// Seeds with an accuracy for each of two heads.
    fn seeds(of: &[[f64; 2]]) -> Vec<Vec<HeadMetrics>> {
        let figures = |accuracy: &f64| HeadMetrics { accuracy: Some(*accuracy), ..HeadMetrics::default() };
        of.iter().map(|heads| heads.iter().map(figures).collect()).collect()
    }

    #[test]
    fn a_teacher_that_is_worse_than_its_student_is_named() {
        let targets = [target("a"), target("b")];
        let students = seeds(&[[0.9, 0.7], [0.8, 0.7]]);
        let warnings = worse_teachers(&targets, "labels", &[Some(0.84), Some(0.71)], &students);
        assert_eq!(warnings.len(), 1, "{warnings:?}");
        assert!(
            warnings[0].contains("head \"a\": on validation the teacher has 0.8400, the student (labels, f32) 0.8500")
        );
        assert!(worse_teachers(&targets, "labels", &[Some(0.86), None], &students).is_empty());
        assert!(worse_teachers(&targets, "labels", &[Some(0.1), Some(0.1)], &[]).is_empty(), "no validation split");
    }

    #[test]
    fn integers_that_are_worse_than_their_network_are_named() {
        let targets = [target("a"), target("b")];
        let floats = seeds(&[[0.9, 0.9], [0.9, 0.9]]);
        let warnings = worse_integers(&targets, "distilled", &floats, &seeds(&[[0.89, 0.9], [0.88, 0.8]]));
        assert_eq!(warnings.len(), 1, "{warnings:?}");
        assert!(warnings[0].contains("head \"b\" of distilled: the integers have 0.8500 where f32 has 0.9000"));
    }
}
