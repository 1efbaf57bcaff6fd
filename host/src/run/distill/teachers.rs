//! The teachers of a run: trained or read, measured, asked, and what they said kept in the run folder.

use std::collections::BTreeMap;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use candle_core::{Device, Tensor};
use serde_json::json;
use sha2::{Digest, Sha256};

use super::Run;
use super::stage::Stage;
use crate::facts::Audience;
use crate::heads::HeadMetrics;
use crate::objective::{Objective, Soft};
use crate::recipe::{self, Arch, Distill};
use crate::run::report::{self, TeacherFigures};
use crate::support::files;
use crate::support::progress::say;
use crate::teachers::Teacher;
use crate::train;

/// What teachers said, and what a student makes of it.
#[derive(Debug, Clone)]
pub(super) struct Answers<'a> {
    pub(super) distill: Distill,
    pub(super) soft: Soft<'a>,
    /// A hash of all that the answers depend on.
    pub(super) key: String,
}

impl<'a> Run<'a> {
    /// Trains or reads the teachers of the recipe, if a student learns from any.
    pub(super) fn teachers(&mut self) -> Result<Vec<Teacher>> {
        let recipe = self.recipe;
        if recipe.distill.terms().is_empty() {
            return Ok(Vec::new());
        }
        let start = Instant::now();
        let several = recipe.all_teachers().count() > 1;
        let mut teachers = Vec::new();
        for (place, how) in recipe.all_teachers().enumerate() {
            // In the order in which the teacher gives them.
            let place_of = |name: &String| self.data.targets.iter().position(|target| target.name == *name);
            let heads: Vec<usize> =
                if how.heads.is_empty() { self.all_heads() } else { how.heads.iter().filter_map(place_of).collect() };
            if matches!(how.arch, Arch::Onnx | Arch::Saved) {
                teachers.push(Teacher::from_files(how, self.data, &self.places.data, heads)?);
                continue;
            }
            let mut nets = Vec::new();
            let mut keys = Vec::new();
            for member in 0..how.ensemble {
                let mut name = "teacher".to_string();
                if several {
                    name += &format!("-{place}");
                }
                if how.ensemble > 1 {
                    name += &format!("-{member}");
                }
                let facts = Some(Audience::Teacher);
                let seed = recipe.seed + (member + place * how.ensemble) as u64;
                let stage = Stage::new(recipe, self.data, how, None, facts, seed, &name)?;
                nets.push(self.train(&stage, how, Objective::Labels, facts, &heads)?);
                keys.push(stage.key);
            }
            let key = files::hex(&Sha256::digest(keys.join(" ")));
            teachers.push(Teacher::of_nets(nets, heads, key));
        }
        self.seconds.insert("teacher".into(), start.elapsed().as_secs_f64());
        Ok(teachers)
    }

    /// Returns what the teachers say of some samples, head by head; nothing where they do not reach them.
    pub(super) fn said(&self, teachers: &[Teacher], samples: &[usize]) -> Result<Vec<Option<Vec<f32>>>> {
        let mut said = vec![None; self.data.targets.len()];
        for teacher in teachers {
            let Some(logits) = teacher.logits(self.data, samples, None)? else { continue };
            for (&head, logits) in teacher.heads.iter().zip(logits) {
                said[head] = Some(logits);
            }
        }
        Ok(said)
    }

    /// Returns what the teachers reach on the validation split, head by head.
    pub(super) fn figures_on_validation(&self, teachers: &[Teacher]) -> Result<Vec<Option<f64>>> {
        let validation = &self.data.splits.validation;
        if validation.is_empty() {
            return Ok(Vec::new());
        }
        let said = self.said(teachers, validation)?;
        let figures =
            self.data.targets.iter().zip(&said).map(|(target, logits)| {
                logits.as_ref().and_then(|logits| target.measure(validation, logits).selection())
            });
        Ok(figures.collect())
    }

    /// Measures the teachers by what they said.
    pub(super) fn teacher_figures(&self, teachers: &[Teacher], said: &[Option<Vec<f32>>]) -> TeacherFigures {
        let measured = self.data.targets.iter().zip(said).map(|(target, logits)| {
            logits.as_ref().map(|logits| target.measure(self.evaluation(), logits)).unwrap_or_default()
        });
        let heads: Vec<HeadMetrics> = measured.collect();
        let figures = TeacherFigures {
            parameters: teachers.iter().map(Teacher::parameter_count).sum(),
            accuracy: heads.first().and_then(|head| head.accuracy),
            metrics: report::metrics_value(self.data, &heads),
        };
        if let Some(accuracy) = figures.accuracy {
            say(&format!("teacher: test accuracy {accuracy:.4}, {} parameters", figures.parameters));
        }
        for (target, head) in self.data.targets.iter().zip(&heads) {
            if let Some(warning) = target.kind.no_better_than_chance(target, self.evaluation(), head) {
                say(&format!(
                    "warning: teacher, head {:?}: {warning}: are its inputs normalised and its classes ordered as in its own \
                     training?",
                    target.name
                ));
            }
        }
        figures
    }

    /// Returns what the teachers say of the training split.
    pub(super) fn answers<'t>(&self, teachers: &'t [Teacher]) -> Result<Answers<'t>> {
        let mut answers = self.answers_of(teachers, "teacher")?;
        if let [teacher] = teachers {
            answers.soft.network = teacher.network();
        }
        Ok(answers)
    }

    /// Trains the network between teacher and student, and returns what it says.
    pub(super) fn assistant(&mut self, how: &recipe::Net, answers: Option<&Answers<'_>>) -> Result<Answers<'static>> {
        let start = Instant::now();
        let key = answers.map(|answers| answers.key.as_str());
        let facts = Some(Audience::Teacher);
        let stage = Stage::new(self.recipe, self.data, how, key, facts, self.recipe.seed, "assistant")?;
        let heads = self.all_heads();
        let net = self.train(&stage, how, self.objective(answers), facts, &heads)?;
        let test = self.evaluation();
        let figures = train::evaluate(&net, self.data, test)?;
        if let Some(accuracy) = figures.first().and_then(|head| head.accuracy) {
            say(&format!("assistant: test accuracy {accuracy:.4}, {} parameters", net.parameter_count()));
        }
        let teacher = Teacher::of_nets(vec![net], heads, stage.key);
        self.seconds.insert("assistant".into(), start.elapsed().as_secs_f64());
        self.answers_of(&[teacher], "assistant")
    }

    /// Returns what teachers say of the training split in every view, from the run folder where it is there already.
    ///
    /// The key of what is kept holds the teachers, the data, and how they are varied: nothing stale is ever taken.
    pub(super) fn answers_of(&self, teachers: &[Teacher], name: &str) -> Result<Answers<'static>> {
        let recipe = self.recipe;
        let data = self.data;
        let varied = data.augment.is_some();
        // As many as whoever learns longest from them sees.
        let learners = recipe.assistant.iter().map(|net| net.epochs);
        let longest = learners.chain([recipe.student.epochs, recipe.quantize.aware_epochs]).max();
        let views = data.views(longest.unwrap_or(1));
        let outputs = data.targets.iter().map(|target| target.outputs).sum();
        recipe.check_answers(views, data.len(), outputs)?;
        let keys: Vec<&str> = teachers.iter().map(|teacher| teacher.key.as_str()).collect();
        let train = &data.splits.train;
        let key = json!([
            keys,
            data.fingerprint,
            recipe.data,
            recipe.input,
            recipe.seed,
            recipe.augment,
            recipe.heads,
            train.len()
        ]);
        let key = files::hex(&Sha256::digest(key.to_string()));
        let mut logits = Vec::new();
        for view in 0..views {
            let suffix = if views > 1 { format!("-{view}") } else { String::new() };
            let path = self.places.out.join(format!("{name}-logits{suffix}.safetensors"));
            let view_key = format!("{key} {view}");
            let kept = train::load_tensors(&path, &Device::Cpu).ok().filter(|(_, note)| *note == view_key);
            let tensors = match kept {
                Some((tensors, _)) => tensors,
                None => {
                    if views > 1 {
                        say(&format!("{name}: answers to view {} of {views}", view + 1));
                    }
                    let mut tensors = BTreeMap::new();
                    for teacher in teachers {
                        let all = teacher.logits(data, train, varied.then_some(view))?;
                        let all = all.context("[teacher] logits do not reach all training samples")?;
                        for (&head, logits) in teacher.heads.iter().zip(all) {
                            let target = &data.targets[head];
                            let tensor = Tensor::from_vec(logits, (train.len(), target.outputs), &Device::Cpu)?;
                            tensors.insert(target.name.clone(), tensor);
                        }
                    }
                    train::save_tensors(&path, &tensors, &view_key)?;
                    tensors
                }
            };
            for head in teachers.iter().flat_map(|teacher| &teacher.heads) {
                let name = &data.targets[*head].name;
                ensure!(tensors.contains_key(name), "{}: holds nothing for head {name:?}; delete it", path.display());
            }
            logits.push(self.spread(&tensors).with_context(|| path.display().to_string())?);
        }
        super::rules::apply(recipe, data, &mut logits)?;
        Ok(Answers { distill: recipe.distill.clone(), soft: Soft { logits, network: None }, key })
    }

    /// Returns the logits of each head for every sample, zeros where nobody asks; nothing for a head without a teacher.
    fn spread(&self, tensors: &BTreeMap<String, Tensor>) -> Result<Vec<Vec<f32>>> {
        let train = &self.data.splits.train;
        let targets = self.data.targets.iter();
        targets
            .map(|target| {
                let Some(values) = tensors.get(&target.name) else { return Ok(Vec::new()) };
                let values = values.flatten_all()?.to_vec1::<f32>()?;
                ensure!(values.len() == train.len() * target.outputs, "head {:?} has another length", target.name);
                let mut all = vec![0.0; self.data.len() * target.outputs];
                for (&sample, row) in train.iter().zip(values.chunks_exact(target.outputs)) {
                    all[sample * target.outputs..][..target.outputs].copy_from_slice(row);
                }
                Ok(all)
            })
            .collect()
    }
}
