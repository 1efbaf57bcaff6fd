//! What the page of a run shows beside its report: what teacher and student say of the samples that figures are of.

use std::collections::BTreeMap;

use anyhow::Result;
use attar_device::{Session, Student};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::boards::verify::Answer;
use crate::data::Dataset;
use crate::heads::{HeadKind, Mistake, Target, View};
use crate::run::report::{StudentFigures, metrics_value};
use crate::student::engine::{self, FactsGiven};
use crate::support::files;

/// What teacher and student say.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Evidence {
    /// The command that made the run.
    pub command: String,
    /// The checksum of the model, the last four bytes of its file.
    pub model: u32,
    /// The split that the figures are of.
    pub split: String,
    /// How many samples that are.
    pub samples: usize,
    /// Each head by itself.
    pub heads: Vec<HeadEvidence>,
    /// The student's figures with true, missing and shuffled facts; nothing for one without facts.
    pub facts: Vec<(String, Value)>,
    /// Some samples: those that the student gets wrong first, as far as there are any.
    pub shown: Vec<Shown>,
}

/// One head.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HeadEvidence {
    /// Its name.
    pub name: String,
    /// Its kind.
    pub kind: HeadKind,
    /// The names of its classes, labels or numbers; numbers where it has none.
    pub labels: Vec<String>,
    /// What the teacher says, where it reaches these samples.
    pub teacher: Option<View>,
    /// What the student says, in integers.
    pub student: View,
}

/// A sample that is shown.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Shown {
    /// Its place in the data.
    pub index: usize,
    /// The input in raw units; of a text its bytes.
    pub input: Vec<f32>,
    /// The facts that are set, in the order of the model.
    pub facts: Vec<Option<f32>>,
    /// Where it comes from, as [`Dataset::place`] gives it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub place: Option<String>,
    /// Whether the first head is wrong about it.
    pub is_wrong: bool,
    /// How many samples the first head takes for the same in the place of the same, if it is wrong.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub alike: Option<usize>,
    /// For each head what is true: a class, labels or numbers; what is not known is absent.
    pub truth: Vec<Vec<Option<f32>>>,
    /// For each head the teacher's probabilities or values.
    pub teacher: Vec<Option<Vec<f32>>>,
    /// For each head the student's.
    pub student: Vec<Vec<f32>>,
    /// Every byte of the student's answer on the workstation, in hexadecimal: the page holds its own against it.
    pub answer: String,
}

/// What teacher and student said, as logits of each head, `[samples, outputs]` row by row.
#[derive(Debug)]
pub struct Said<'a> {
    /// The teacher's, for each head where it reaches the samples.
    pub teacher: &'a [Option<Vec<f32>>],
    /// The student.
    pub student: &'a Student<'a>,
    /// The student's file.
    pub model: &'a [u8],
}

impl Evidence {
    /// Gathers the evidence of some samples.
    ///
    /// # Errors
    ///
    /// When a sample does not fit the student, or the work was stopped.
    pub fn gather(command: &str, data: &Dataset, samples: &[usize], said: &Said<'_>, seed: u64) -> Result<Self> {
        let student = engine::predict(said.student, data, samples, FactsGiven::True)?;
        let heads = data.targets.iter().enumerate().map(|(head, target)| HeadEvidence {
            name: target.name.clone(),
            kind: target.kind,
            labels: target.kind.answer_names(target),
            teacher: said
                .teacher
                .get(head)
                .and_then(Option::as_ref)
                .map(|logits| target.kind.view(target, samples, logits)),
            student: target.kind.view(target, samples, &student[head]),
        });
        let heads = heads.collect();
        Ok(Self {
            command: command.into(),
            model: said.model.last_chunk().map_or(0, |sum| u32::from_le_bytes(*sum)),
            split: if data.splits.test.is_empty() { "training" } else { "test" }.into(),
            samples: samples.len(),
            heads,
            facts: with_facts(said.student, data, samples, seed)?,
            shown: shown(data, samples, said, &student)?,
        })
    }
}

fn with_facts(student: &Student<'_>, data: &Dataset, samples: &[usize], seed: u64) -> Result<Vec<(String, Value)>> {
    if student.model().facts().all(|fact| fact.is_computed()) {
        return Ok(Vec::new());
    }
    // From all over the split, which may be in some order.
    let samples: Vec<usize> = samples.iter().copied().step_by(measured_step(samples.len())).collect();
    [("true", FactsGiven::True), ("missing", FactsGiven::Missing), ("another sample's", FactsGiven::Shuffled(seed))]
        .into_iter()
        .map(|(name, given)| {
            Ok((name.to_string(), metrics_value(data, &engine::evaluate(student, data, &samples, given)?)))
        })
        .collect()
}

fn shown(data: &Dataset, samples: &[usize], said: &Said<'_>, student: &[Vec<f32>]) -> Result<Vec<Shown>> {
    let budget = (VALUES / data.inputs.row_len().max(1)).clamp(2, SHOWN);
    let mistakes: Vec<Option<Mistake>> = (0..samples.len())
        .map(|place| {
            let target = data.targets.first()?;
            let logits = student.first()?.get(place * target.outputs..)?.get(..target.outputs)?;
            target.kind.mistake(target, samples[place], logits)
        })
        .collect();
    let wrong = frequent(&mistakes, budget / 2);
    let right = (0..samples.len()).filter(|&place| mistakes[place].is_none()).take(budget - wrong.len());
    let right = right.map(|place| (place, None));
    let chosen: Vec<(usize, Option<usize>)> =
        wrong.iter().map(|&(place, alike)| (place, Some(alike))).chain(right).collect();
    let with_facts = said.student.model().header().fact_count > 0;
    let mut arena = engine::arena(said.student)?;
    let mut session = Session::new(*said.student.model(), &mut arena)?;
    let input_len = said.student.model().input_shape().len();
    let mut all = Vec::new();
    for (place, alike) in chosen {
        let sample = samples[place];
        let facts = engine::facts_of(said.student, data, sample)?;
        engine::run_series(&mut session, data.input(sample), &facts)?;
        let last = data.input(sample).chunks_exact(input_len).last().unwrap_or_default();
        let answer = Answer::of(&session, last, &facts)?;
        let row = |target: &Target, logits: &Vec<f32>| {
            target.kind.probabilities(target, &logits[place * target.outputs..][..target.outputs])
        };
        all.push(Shown {
            index: sample,
            input: data.input(sample).to_vec(),
            facts: if with_facts { data.facts_of(sample).collect() } else { Vec::new() },
            place: data.place(sample),
            is_wrong: mistakes[place].is_some(),
            alike,
            truth: data.targets.iter().map(|target| target.written(sample)).collect(),
            teacher: data
                .targets
                .iter()
                .enumerate()
                .map(|(head, target)| said.teacher.get(head)?.as_ref().map(|logits| row(target, logits)))
                .collect(),
            student: session.outputs()?.heads().map(|head| head.probabilities().collect()).collect(),
            answer: files::hex(&answer.bytes()),
        });
    }
    Ok(all)
}

/// Returns the places of some mistakes, those of the most frequent confusion first and of one confusion the most confident first,
/// each with how often its confusion is made. None fills the list while there are others.
fn frequent(mistakes: &[Option<Mistake>], most: usize) -> Vec<(usize, usize)> {
    let mut counts: BTreeMap<&[(usize, usize)], usize> = BTreeMap::new();
    for mistake in mistakes.iter().flatten() {
        *counts.entry(&mistake.confusion).or_insert(0) += 1;
    }
    let mut all: Vec<(usize, &Mistake)> =
        mistakes.iter().enumerate().filter_map(|(place, mistake)| Some((place, mistake.as_ref()?))).collect();
    let count = |mistake: &Mistake| counts.get(mistake.confusion.as_slice()).copied().unwrap_or_default();
    all.sort_by(|(_, a), (_, b)| {
        let by_count = count(b).cmp(&count(a)).then_with(|| a.confusion.cmp(&b.confusion));
        by_count.then_with(|| b.confidence.total_cmp(&a.confidence))
    });
    // In their order: first a few of each confusion, then what there is room for.
    let mut taken: BTreeMap<&[(usize, usize)], usize> = BTreeMap::new();
    let is_early: Vec<bool> = all
        .iter()
        .map(|(_, mistake)| {
            let taken = taken.entry(&mistake.confusion).or_insert(0);
            *taken += 1;
            *taken <= OF_ONE_CONFUSION
        })
        .collect();
    let (early, late): (Vec<usize>, Vec<usize>) = (0..all.len()).partition(|&at| is_early[at]);
    let mut chosen: Vec<usize> = early.into_iter().chain(late).take(most).collect();
    chosen.sort_unstable();
    chosen.into_iter().map(|at| (all[at].0, count(all[at].1))).collect()
}

/// Returns the step at which samples are taken when there are too many of them.
fn measured_step(samples: usize) -> usize {
    samples.div_ceil(MEASURED).max(1)
}

/// Returns how many samples true, missing and shuffled facts are compared on.
pub(super) fn measured(samples: usize) -> usize {
    samples.div_ceil(measured_step(samples))
}

/// Returns figures of each head by name with their deviations, where they are means of several seeds.
pub(super) fn figures_of_seeds(student: &StudentFigures) -> Vec<(String, String)> {
    let deviations = figures(&student.deviations);
    let with = |(name, text): (String, String)| {
        let deviation = deviations.iter().find(|(known, _)| *known == name).filter(|_| student.seeds > 1);
        let text = match deviation {
            Some((_, deviation)) => format!("{text} ± {}", deviation.trim_end_matches(" %")),
            None => text,
        };
        (name, text)
    };
    figures(&student.metrics).into_iter().map(with).collect()
}

/// Returns figures of each head by name, most telling first, as percent or number.
pub(super) fn figures(metrics: &Value) -> Vec<(String, String)> {
    let order = ["accuracy", "f1", "average_precision", "cosine", "rmse", "r2"];
    let mut all = Vec::new();
    for (head, figures) in metrics.as_object().into_iter().flatten() {
        for name in order {
            if let Some(value) = figures.get(name).and_then(Value::as_f64) {
                let is_share = matches!(name, "accuracy" | "f1" | "average_precision");
                let text = if is_share { format!("{:.1} %", value * 100.0) } else { format!("{value:.4}") };
                all.push((format!("{head} {}", name.replace('_', " ")), text));
            }
        }
    }
    all
}

/// Returns the curves of each stage from the lines of `metrics.jsonl`: epochs, losses, and scores on validation.
pub(super) fn curves(lines: &str) -> BTreeMap<String, Vec<(f64, f64, Option<f64>)>> {
    let mut curves: BTreeMap<String, Vec<_>> = BTreeMap::new();
    for line in lines.lines() {
        let Ok(value) = serde_json::from_str::<Value>(line) else { continue };
        let (Some(stage), Some(epoch), Some(loss)) =
            (value["stage"].as_str(), value["epoch"].as_f64(), value["loss"].as_f64())
        else {
            continue;
        };
        curves.entry(stage.into()).or_default().push((epoch, loss, value["validation"].as_f64()));
    }
    curves
}

/// The most samples that are shown, and the most values of all of them together.
const SHOWN: usize = 24;
const VALUES: usize = 100_000;

/// The most samples of one confusion, as long as there are others.
const OF_ONE_CONFUSION: usize = 3;

/// The most samples that true, missing and shuffled facts are compared on.
const MEASURED: usize = 2000;

#[cfg(test)]
mod tests {
    use super::*;

    /// The commonest confusion comes first, wherever it stands in the file, and does not crowd out the others.
    #[test]
    fn mistakes_come_by_frequency_and_confidence() {
        let mistake =
            |actual: usize, said: usize, confidence: f32| Some(Mistake { confusion: vec![(actual, said)], confidence });
        let mistakes =
            [mistake(2, 0, 0.9), None, mistake(0, 1, 0.5), mistake(0, 1, 0.8), mistake(0, 1, 0.7), mistake(0, 1, 0.6)];
        assert_eq!(frequent(&mistakes, 4), [(3, 4), (4, 4), (5, 4), (0, 1)]);
        let places: Vec<usize> = frequent(&mistakes, 9).into_iter().map(|(place, _)| place).collect();
        assert_eq!(places, [3, 4, 5, 2, 0]);
    }

    /// The page says how many samples were taken, not how many at most.
    #[test]
    fn measured_samples_are_those_that_are_taken() {
        for samples in [0, 1, 1999, 2000, 2001, 3610, 10_000] {
            assert_eq!(measured(samples), (0..samples).step_by(measured_step(samples)).count());
            assert!(measured(samples) <= MEASURED);
        }
        assert_eq!(measured(3610), 1805);
    }
}
