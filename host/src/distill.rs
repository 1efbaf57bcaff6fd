//! A whole run: teacher, students, file, comparison, report. What is done already is not done again.

mod stage;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use attar_device::Student;
use candle_core::{Device, Tensor};
use serde_json::json;

use crate::budget;
use crate::data::{self, Dataset, Target};
use crate::engine::{self, FactsGiven};
use crate::files;
use crate::metrics::{self, HeadMetrics};
use crate::net::{self, Net};
use crate::progress::say;
use crate::quantize::{Agreement, Quantizer};
use crate::random;
use crate::recipe::{self, Distill, Method, Recipe};
use crate::report::{self, ModelFigures, Report, SCHEMA, StudentFigures, TeacherFigures};
use crate::train::{self, Epoch, Objective, Soft};
use crate::verify;
use stage::Stage;

/// Where a run reads and writes.
#[derive(Debug, Clone)]
pub struct Places {
    /// What the recipe's files are relative to.
    pub data: PathBuf,
    /// The run folder.
    pub out: PathBuf,
    /// What trains.
    pub device: Device,
}

/// The file of the student in a run folder.
pub const STUDENT_FILE: &str = "student.attar";

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
    budget::check(recipe, &data)?;
    let mut run = Run { recipe, places, data: &data, seconds: BTreeMap::new(), curves: Vec::new() };
    run.write_manifest()?;
    let (teacher, soft) = match &recipe.teacher {
        Some(how) if recipe.distill.method != Method::None => {
            let (figures, soft) = run.teacher(how)?;
            (Some(figures), Some(soft))
        }
        _ => (None, None),
    };
    let (students, exported) = run.students(soft.as_ref())?;
    let Exported { bytes, agreement } = exported;
    let verify = vec![verify::on_host(&bytes, &verify::samples_of(&bytes, run.data, run.evaluation())?)?];
    let student = Student::parse(&bytes)?;
    let path = places.out.join(STUDENT_FILE);
    let report = Report {
        schema: SCHEMA,
        dataset: recipe.name.clone(),
        seed: recipe.seed,
        seconds: run.seconds.clone(),
        teacher,
        students,
        model: ModelFigures {
            file: path.display().to_string(),
            bytes: bytes.len(),
            flash_bytes: bytes.len(),
            arena_bytes: student.model().arena_bytes(),
            macs: student.model().header().macs,
        },
        quantization: Some(agreement),
        verify,
    };
    run.finish(&report)?;
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
}

impl Run<'_> {
    /// Returns the samples that figures are measured on: the test split, or all there is to train on without one.
    fn evaluation(&self) -> &[usize] {
        if self.data.splits.test.is_empty() { &self.data.splits.train } else { &self.data.splits.test }
    }

    /// Trains the members of the teacher and returns its figures and its logits for the training split.
    fn teacher(&mut self, how: &recipe::Net) -> Result<(TeacherFigures, Soft)> {
        let start = Instant::now();
        let mut members = Vec::new();
        let mut keys = Vec::new();
        for member in 0..how.ensemble {
            let name = if how.ensemble == 1 { "teacher".into() } else { format!("teacher-{member}") };
            let stage = Stage::new(self.recipe, self.data, how, None, true, self.recipe.seed + member as u64, &name)?;
            members.push(self.train(&stage, how, Objective::Labels, true)?);
            keys.push(stage.key);
        }
        let test = self.evaluation().to_vec();
        let test_logits = average(&members, self.data, &test)?;
        let heads: Vec<HeadMetrics> = self.measure(&test, &test_logits);
        let soft = self.soft_labels(&members, &keys)?;
        self.seconds.insert("teacher".into(), start.elapsed().as_secs_f64());
        let figures = TeacherFigures {
            parameters: members.iter().map(Net::parameter_count).sum(),
            accuracy: heads.first().and_then(|head| head.accuracy),
            metrics: report::metrics_value(self.data, &heads),
        };
        if let Some(accuracy) = figures.accuracy {
            say(&format!("teacher: test accuracy {accuracy:.4}, {} parameters", figures.parameters));
        }
        Ok((figures, soft))
    }

    /// Returns the teacher's logits for the training split, from the cache when teacher and data are those of the cache.
    fn soft_labels(&self, members: &[Net], keys: &[String]) -> Result<Soft> {
        let path = self.places.out.join("teacher-logits.safetensors");
        let key = keys.join(" ");
        let train = &self.data.splits.train;
        let cached = train::load_tensors(&path, &Device::Cpu).ok().filter(|(_, note)| *note == key);
        let tensors = match cached {
            Some((tensors, _)) => tensors,
            None => {
                let logits = average(members, self.data, train)?;
                let mut tensors = BTreeMap::new();
                for (target, logits) in self.data.targets.iter().zip(logits) {
                    let tensor = Tensor::from_vec(logits, (train.len(), target.outputs), &Device::Cpu)?;
                    tensors.insert(target.name.clone(), tensor);
                }
                train::save_tensors(&path, &tensors, &key)?;
                tensors
            }
        };
        let spread = |target: &Target| -> Result<Vec<f32>> {
            let mut all = vec![0.0; self.data.len() * target.outputs];
            let values = tensors.get(&target.name).context("teacher-logits.safetensors lacks a head")?;
            let values = values.flatten_all()?.to_vec1::<f32>()?;
            ensure!(values.len() == train.len() * target.outputs, "teacher-logits.safetensors has another length");
            for (&sample, row) in train.iter().zip(values.chunks_exact(target.outputs)) {
                all[sample * target.outputs..][..target.outputs].copy_from_slice(row);
            }
            Ok(all)
        };
        Ok(Soft { logits: self.data.targets.iter().map(spread).collect::<Result<_>>()? })
    }

    /// Trains every kind of student from every seed; returns their figures and the bytes of the exported file.
    fn students(&mut self, soft: Option<&Soft>) -> Result<(Vec<StudentFigures>, Exported)> {
        let mut figures = Vec::new();
        let mut exported = None;
        let mut precision = "int8";
        let test = self.evaluation().to_vec();
        for variant in self.variants(soft.is_some()) {
            let start = Instant::now();
            let (mut floats, mut integers) = (Vec::new(), Vec::new());
            let mut parameters = 0;
            for index in 0..self.recipe.compare.seeds {
                let seed = self.recipe.seed + index as u64;
                let objective = match soft {
                    Some(soft) if variant.distilled => Objective::Distilled(&self.recipe.distill, soft),
                    _ => Objective::Labels,
                };
                let how = &self.recipe.student;
                let distill = variant.distilled.then_some(&self.recipe.distill);
                let name = if variant.exported && index == 0 {
                    "student".into()
                } else {
                    format!("students/{}-{index}", variant.name.replace([',', ' '], ""))
                };
                let stage = Stage::new(self.recipe, self.data, how, distill, variant.with_facts, seed, &name)?;
                let net = self.train(&stage, how, objective, variant.with_facts)?;
                parameters = net.parameter_count();
                floats.push(train::evaluate(&net, self.data, &test, variant.with_facts)?);
                if variant.exported {
                    let integer = self.integers(&stage, &net, objective, variant.with_facts)?;
                    let student = Student::parse(&integer.bytes)?;
                    integers.push(engine::evaluate(&student, self.data, &test, FactsGiven::True)?);
                    precision = integer.precision;
                    if index == 0 {
                        self.export(&integer.bytes, &integer.net, variant.with_facts)?;
                        let agreement = integer.agreement;
                        exported = Some(Exported { bytes: integer.bytes, agreement });
                    }
                }
            }
            let kind = (variant.with_facts, variant.distilled);
            let gather = |precision: &str, seeds: &[Vec<HeadMetrics>]| {
                StudentFigures::of_seeds(variant.name, kind, precision, parameters, self.data, seeds)
            };
            figures.push(gather("f32", &floats));
            if variant.exported {
                figures.push(gather(precision, &integers));
            }
            self.seconds.insert(variant.name.into(), start.elapsed().as_secs_f64());
        }
        Ok((figures, exported.context("no student is exported")?))
    }

    /// Returns the integers of a trained student: as it is, or trained on as if in integers where that is better on the
    /// validation split.
    fn integers(&mut self, stage: &Stage, net: &Net, objective: Objective<'_>, with_facts: bool) -> Result<Integers> {
        let recipe = self.recipe;
        let folded = net.folded()?;
        let flash = recipe.budget.flash.as_ref().map(recipe::Bytes::get).transpose()?;
        let data = self.data;
        let quantizer = Quantizer::new(&folded, data, &recipe.quantize, flash, stage.seed)?;
        let plain = quantizer.file(&folded)?;
        if recipe.quantize.aware_epochs == 0 {
            return self.compared(&quantizer, folded, plain);
        }
        let how = recipe::Net {
            epochs: recipe.quantize.aware_epochs,
            rate: recipe.quantize.aware_rate,
            schedule: recipe::Schedule::Cosine,
            ..recipe.student.clone()
        };
        let mut start = net.folded()?;
        quantizer.follow_ranges(&mut start)?;
        let aware = stage.aware(&recipe.quantize, flash)?;
        let tuned = self.fit(&aware, start, &how, objective, with_facts, Some(&quantizer))?;
        let bytes = quantizer.file(&tuned)?;
        let score = |bytes: &[u8]| -> Result<f64> {
            let validation = &self.data.splits.validation;
            let heads = engine::evaluate(&Student::parse(bytes)?, self.data, validation, FactsGiven::True)?;
            Ok(heads.iter().map(HeadMetrics::selection).sum::<f64>())
        };
        if self.data.splits.validation.is_empty() || score(&bytes)? >= score(&plain)? {
            self.compared(&quantizer, tuned, bytes)
        } else {
            say(&format!("{}: the integers of the student as it was are better on validation", stage.name));
            self.compared(&quantizer, folded, plain)
        }
    }

    /// Holds a network against its integers.
    fn compared(&self, quantizer: &Quantizer<'_>, net: Net, bytes: Vec<u8>) -> Result<Integers> {
        let samples = &self.evaluation()[..self.evaluation().len().min(AGREEMENT)];
        let precision = match quantizer.widths() {
            [8, 8] => "int8",
            [4, 4] => "int4",
            _ => "int8 and int4",
        };
        let agreement = quantizer.agreement(&net, samples)?;
        Ok(Integers { net, bytes, precision, agreement })
    }

    fn variants(&self, with_teacher: bool) -> Vec<Variant> {
        let facts = !self.recipe.facts.is_empty();
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
    fn train(&mut self, stage: &Stage, how: &recipe::Net, objective: Objective<'_>, with_facts: bool) -> Result<Net> {
        let heads: Vec<(String, usize)> =
            self.data.targets.iter().map(|target| (target.name.clone(), target.outputs)).collect();
        let facts = if with_facts { self.data.facts.width() } else { 0 };
        let graph = net::build(how, self.data.input_shape, facts, &heads)?;
        let mut random = random::stream(stage.seed, &format!("{} weights", stage.role()));
        let net = Net::new(graph, &mut random, &self.places.device)?;
        self.fit(stage, net, how, objective, with_facts, None)
    }

    /// Trains a network in a stage, or takes it from the run folder when it is there.
    fn fit(
        &mut self,
        stage: &Stage,
        mut net: Net,
        how: &recipe::Net,
        objective: Objective<'_>,
        with_facts: bool,
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
            title: &stage.name,
            data: self.data,
            how,
            objective,
            with_facts,
            seed: stage.seed,
            checkpoint: Some(&checkpoint),
            aware,
        };
        let trained = train::train(&mut net, &task)?;
        stage.save(&path, &net, &trained.epochs)?;
        if checkpoint.exists() {
            fs::remove_file(&checkpoint).with_context(|| format!("cannot remove {}", checkpoint.display()))?;
        }
        self.curves.push((stage.name.clone(), trained.epochs));
        Ok(net)
    }

    /// Writes the file; before it takes its place it is read back, parsed, run on its own test vectors, and held against
    /// the network in f32.
    fn export(&self, bytes: &[u8], net: &Net, with_facts: bool) -> Result<()> {
        let path = self.places.out.join(STUDENT_FILE);
        files::write_checked(&path, bytes, |written| {
            let read = fs::read(written)?;
            let student = Student::parse(&read)?;
            let mut arena = vec![0; student.model().arena_bytes()];
            student.self_test(&mut arena)?;
            let samples = &self.evaluation()[..self.evaluation().len().min(SELF_CHECK)];
            let floats = train::predict(net, self.data, samples, with_facts)?;
            let integers = engine::predict(&student, self.data, samples, FactsGiven::True)?;
            for (head, target) in self.data.targets.iter().enumerate() {
                let correlation = correlation(&floats[head], &integers[head]);
                ensure!(
                    correlation.is_none_or(|r| r > 0.5),
                    "head {:?}: the integer student does not follow the network in f32 (correlation {:.3})",
                    target.name,
                    correlation.unwrap_or_default()
                );
            }
            Ok(())
        })
    }

    fn measure(&self, samples: &[usize], logits: &[Vec<f32>]) -> Vec<HeadMetrics> {
        self.data.targets.iter().zip(logits).map(|(target, logits)| metrics::measure(target, samples, logits)).collect()
    }

    fn write_manifest(&self) -> Result<()> {
        let out = &self.places.out;
        let resolved = toml::to_string_pretty(self.recipe)?;
        files::write_whole(&out.join("recipe.toml"), resolved.as_bytes())?;
        let manifest = json!({
            "attar": env!("CARGO_PKG_VERSION"),
            "format": attar_shared::VERSION,
            "seed": self.recipe.seed,
            "data": self.data.fingerprint,
        });
        files::write_whole(&out.join("manifest.json"), format!("{manifest:#}\n").as_bytes())
    }

    fn finish(&self, report: &Report) -> Result<()> {
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
        files::write_whole(&out.join("metrics.jsonl"), lines.as_bytes())?;
        files::write_whole(&out.join("report.json"), format!("{:#}\n", serde_json::to_value(report)?).as_bytes())
    }
}

/// Returns the mean of the members' logits.
fn average(members: &[Net], data: &Dataset, samples: &[usize]) -> Result<Vec<Vec<f32>>> {
    let with_facts = !data.facts.facts.is_empty();
    let mut total: Vec<Vec<f32>> = Vec::new();
    for member in members {
        let logits = train::predict(member, data, samples, with_facts)?;
        if total.is_empty() {
            total = logits;
        } else {
            total.iter_mut().flatten().zip(logits.iter().flatten()).for_each(|(sum, value)| *sum += value);
        }
    }
    total.iter_mut().flatten().for_each(|value| *value /= members.len() as f32);
    Ok(total)
}

/// Returns Pearson's correlation, or nothing for values that are all equal.
fn correlation(a: &[f32], b: &[f32]) -> Option<f64> {
    let count = a.len() as f64;
    let mean = |values: &[f32]| values.iter().map(|&x| f64::from(x)).sum::<f64>() / count;
    let (mean_a, mean_b) = (mean(a), mean(b));
    let (mut both, mut squares_a, mut squares_b) = (0.0, 0.0, 0.0);
    for (&x, &y) in a.iter().zip(b) {
        let (x, y) = (f64::from(x) - mean_a, f64::from(y) - mean_b);
        both += x * y;
        squares_a += x * x;
        squares_b += y * y;
    }
    let product = (squares_a * squares_b).sqrt();
    (product > 0.0).then(|| both / product)
}

/// Samples on which an exported file is held against the network in f32.
const SELF_CHECK: usize = 256;

/// Samples on which the network and its integers are compared layer by layer.
const AGREEMENT: usize = 64;

/// Returns the resolved recipe of the run that a model file lies in, or nothing when there is none beside it.
///
/// # Errors
///
/// When there is one that cannot be read.
pub fn recipe_beside(model: &Path) -> Result<Option<Recipe>> {
    let path = model.with_file_name("recipe.toml");
    if path.exists() { Recipe::read(&path, &[]).map(Some) } else { Ok(None) }
}

/// What a student is distilled by, for the key of its stage.
pub(crate) type How<'a> = Option<&'a Distill>;
