//! The report of a run: what `report.json` holds and `--json` prints.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use statrs::distribution::{ContinuousCDF, StudentsT};

pub use crate::boards::verify::{EngineCost, VerifyFigures};
use crate::compile::Agreement;
use crate::data::Dataset;
use crate::heads::HeadMetrics;
use crate::run::coverage::FactCoverage;
use crate::support::stats::mean_and_deviation;

/// Figures of a whole run: of the test split, from the checkpoint that was best on validation, means over the seeds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// The version of this structure.
    pub schema: u32,
    /// What the recipe is called.
    pub dataset: String,
    /// Where all randomness started.
    pub seed: u64,
    /// Seconds of each stage that was run, not taken from an earlier run.
    pub seconds: BTreeMap<String, f64>,
    /// The teacher, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub teacher: Option<TeacherFigures>,
    /// The students, the exported one last, in f32 and in integers.
    pub students: Vec<StudentFigures>,
    /// The file.
    pub model: ModelFigures,
    /// How far the network and its integers agree, layer by layer.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub quantization: Option<Agreement>,
    /// Comparisons of the file's outputs.
    pub verify: Vec<VerifyFigures>,
    /// The facts of the board in the samples that figures are of, against those that were trained on.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub facts: Vec<FactCoverage>,
    /// What the figures do not show by themselves: classes that are never answered, facts that are clamped or never change.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub warnings: Vec<String>,
}

/// Figures of the teacher.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TeacherFigures {
    /// Weights and biases, of all members of an ensemble.
    pub parameters: usize,
    /// The first head's accuracy, if it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub accuracy: Option<f64>,
    /// Each head's figures.
    pub metrics: Value,
}

/// Figures of one kind of student.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StudentFigures {
    /// What it is called in tables.
    pub name: String,
    /// `none` or `all`.
    pub facts: String,
    /// Whether it learned from the teacher.
    pub distilled: bool,
    /// `f32`, `int8`, `int4`, or `int8 and int4`.
    pub precision: String,
    /// Weights and biases.
    pub parameters: usize,
    /// Bytes of its parameters in f32, or of its file.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub bytes: Option<usize>,
    /// The first head's accuracy, the mean over the seeds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub accuracy: Option<f64>,
    /// The deviation of that accuracy over the seeds, n - 1 in the denominator; 0 for one seed.
    pub deviation: f64,
    /// How many seeds.
    pub seeds: usize,
    /// The first head's accuracy from each seed, for a test of differences.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub accuracies: Vec<f64>,
    /// What checkpoints are chosen by, of the first head, from each seed.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub selection: Option<Selection>,
    /// fusion "prior": what each head takes of what the facts alone say, the mean over the seeds.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", default)]
    pub priors: BTreeMap<String, f64>,
    /// Each head's figures, means over the seeds.
    pub metrics: Value,
    /// The deviation of each of them over the seeds, n - 1 in the denominator; 0 for one seed.
    #[serde(default)]
    pub deviations: Value,
}

/// The figure that a network is chosen by, for a test of differences.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Selection {
    /// The head.
    pub head: String,
    /// The name of the figure, as in the head's metrics.
    pub figure: String,
    /// What it is from each seed.
    pub values: Vec<f64>,
}

/// Figures of the file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ModelFigures {
    /// Its name in the run folder; where that is, is nobody's business that the report is given to.
    pub file: String,
    /// Its length.
    pub bytes: usize,
    /// What it takes in flash: the file as it is.
    pub flash_bytes: usize,
    /// What a session takes in RAM.
    pub arena_bytes: usize,
    /// Multiply-accumulates of one run.
    pub macs: u32,
}

/// The version of the structure of `report.json`.
pub const SCHEMA: u32 = 1;

impl StudentFigures {
    /// Gathers the figures of several seeds.
    pub(crate) fn of_seeds(
        name: &str,
        (with_facts, distilled): (bool, bool),
        precision: &str,
        parameters: usize,
        data: &Dataset,
        seeds: &[Vec<HeadMetrics>],
    ) -> Self {
        let accuracies: Vec<f64> = seeds.iter().filter_map(|heads| heads.first()?.accuracy).collect();
        let (accuracy, deviation) = mean_and_deviation(&accuracies);
        let metrics: Vec<Value> = seeds.iter().map(|heads| metrics_value(data, heads)).collect();
        Self {
            bytes: None,
            name: name.into(),
            facts: if with_facts { "all" } else { "none" }.into(),
            distilled,
            precision: precision.into(),
            parameters,
            accuracy,
            deviation,
            seeds: seeds.len(),
            accuracies,
            selection: Selection::of_seeds(data, seeds),
            priors: BTreeMap::new(),
            metrics: over_seeds(&metrics, &|numbers| mean_and_deviation(numbers).0.unwrap_or_default()),
            deviations: over_seeds(&metrics, &|numbers| mean_and_deviation(numbers).1),
        }
    }
}

impl Selection {
    /// Returns that of the first head; nothing where a seed has no such figure.
    fn of_seeds(data: &Dataset, seeds: &[Vec<HeadMetrics>]) -> Option<Self> {
        let named: Vec<(&str, f64)> =
            seeds.iter().map(|heads| heads.first()?.named_selection()).collect::<Option<_>>()?;
        let &(figure, _) = named.first()?;
        let is_one = named.iter().all(|(name, _)| *name == figure);
        let head = &data.targets.first()?.name;
        is_one.then(|| Self {
            head: head.clone(),
            figure: figure.into(),
            values: named.iter().map(|(_, value)| *value).collect(),
        })
    }
}

/// Returns the classes that some networks find less often than in one of ten samples, a line each, those that the last network
/// finds least first. `networks` are names and what [`metrics_value`] returns.
pub fn recall_warnings(networks: &[(String, &Value)]) -> Vec<String> {
    let Some((_, Value::Object(heads))) = networks.last() else { return Vec::new() };
    let mut warnings = Vec::new();
    for head in heads.keys() {
        let of = |metrics: &Value, class: &str, figure: &str| metrics[head]["classes"][class][figure].as_f64();
        let classes = heads[head]["classes"].as_object().into_iter().flat_map(|classes| classes.keys());
        let mut lines: Vec<(f64, f64, String)> = Vec::new();
        for class in classes {
            let poor: Vec<String> = networks
                .iter()
                .filter_map(|(name, metrics)| {
                    let recall = of(metrics, class, "recall").filter(|&recall| recall < POOR)?;
                    let never = if of(metrics, class, "precision").is_none() { " (never answered)" } else { "" };
                    Some(format!("{:.1} %{never} of {name}", 100.0 * recall))
                })
                .collect();
            let Some((_, last)) = networks.last().filter(|_| !poor.is_empty()) else { continue };
            let samples = of(last, class, "samples").unwrap_or_default();
            let line = format!("head {head:?}: recall of {class:?} ({samples} samples): {}", poor.join(", "));
            lines.push((of(last, class, "recall").unwrap_or_default(), -samples, line));
        }
        lines.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.total_cmp(&b.1)));
        let more = lines.len().saturating_sub(LISTED);
        warnings.extend(lines.into_iter().take(LISTED).map(|(_, _, line)| line));
        if more > 0 {
            warnings.push(format!("head {head:?}: the recall of {more} more is below {:.0} %", 100.0 * POOR));
        }
    }
    warnings
}

/// A lower recall is worth a warning.
const POOR: f64 = 0.1;

/// The most classes of a head that are warned of one by one.
const LISTED: usize = 8;

/// How sure the difference between two students is.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Significance {
    /// Mean minus mean.
    pub difference: f64,
    /// How probable a difference at least as large is when there is none, two-sided; absent with fewer than two seeds.
    pub p: Option<f64>,
    /// Whether the seeds of both are the same, so that they were compared one by one.
    pub paired: bool,
}

impl Significance {
    /// Compares figures of two students by seed: paired (Student 1908) when the seeds are the same, otherwise after Welch (1947).
    ///
    /// Returns nothing when either has no figures.
    pub fn between(a: &[f64], b: &[f64], same_seeds: bool) -> Option<Self> {
        let ((mean_a, spread_a), (mean_b, spread_b)) = (mean_and_deviation(a), mean_and_deviation(b));
        let difference = mean_a? - mean_b?;
        let paired = same_seeds && a.len() == b.len();
        if a.len() < 2 || b.len() < 2 {
            return Some(Self { difference, p: None, paired });
        }
        let (error, freedom) = if paired {
            let apart: Vec<f64> = a.iter().zip(b).map(|(a, b)| a - b).collect();
            (mean_and_deviation(&apart).1 / (a.len() as f64).sqrt(), a.len() as f64 - 1.0)
        } else {
            let share = |spread: f64, count: usize| spread * spread / count as f64;
            let (x, y) = (share(spread_a, a.len()), share(spread_b, b.len()));
            let by = x * x / (a.len() as f64 - 1.0) + y * y / (b.len() as f64 - 1.0);
            ((x + y).sqrt(), (x + y).powi(2) / by.max(f64::MIN_POSITIVE))
        };
        let t = difference / error.max(f64::MIN_POSITIVE);
        let distribution = StudentsT::new(0.0, 1.0, freedom.max(1.0)).ok()?;
        Some(Self { difference, p: Some(2.0 * distribution.cdf(-t.abs())), paired })
    }
}

/// Returns `{head: figures}`.
pub fn metrics_value(data: &Dataset, heads: &[HeadMetrics]) -> Value {
    let entries = data.targets.iter().zip(heads).map(|(target, metrics)| {
        // A multilabel head is told label by label, beside its means.
        let mut value = serde_json::to_value(metrics).unwrap_or_default();
        if let Some(object) = value.as_object_mut()
            && let Some(Value::Object(labels)) = object.remove("labels")
        {
            for (label, figures) in labels {
                // A label may be called as a figure is, which it must not replace.
                let key = if object.contains_key(&label) { format!("label {label}") } else { label };
                object.insert(key, figures);
            }
        }
        (target.name.clone(), value)
    });
    Value::Object(entries.collect())
}

/// Returns objects of one shape with what becomes of each number over the seeds.
fn over_seeds(values: &[Value], of: &impl Fn(&[f64]) -> f64) -> Value {
    match values.first() {
        Some(Value::Object(first)) => {
            let member = |key: &String| {
                let members: Vec<Value> = values.iter().filter_map(|value| value.get(key).cloned()).collect();
                (key.clone(), over_seeds(&members, of))
            };
            // A figure that one seed lacks, as the precision of a class that it never answers, is that of the others.
            let mut keys: Vec<&String> = first.keys().collect();
            for key in values.iter().skip(1).filter_map(Value::as_object).flat_map(|object| object.keys()) {
                if !keys.contains(&key) {
                    keys.push(key);
                }
            }
            Value::Object(keys.into_iter().map(member).collect())
        }
        Some(Value::Number(number)) => {
            let over = of(&values.iter().filter_map(Value::as_f64).collect::<Vec<f64>>());
            // A count that is the same from every seed stays one.
            let count = number.as_u64().filter(|&count| count as f64 == over);
            count.map_or_else(|| Value::from(over), Value::from)
        }
        Some(other) => other.clone(),
        None => Value::Null,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Against values from a table of Student's distribution: t = 2.776 is 5 % for four degrees of freedom.
    #[test]
    fn significance_is_that_of_students_distribution() {
        // Differences 1 + d with deviation s: t = mean / (s / sqrt(5)).
        let b = [0.0; 5];
        let wanted = 2.776_445;
        let spread: f64 = 1.0 / wanted * 5f64.sqrt();
        let unit = (2.5f64).sqrt();
        let a: Vec<f64> = [-2.0, -1.0, 0.0, 1.0, 2.0].iter().map(|x| 1.0 + x / unit * spread).collect();
        let paired = Significance::between(&a, &b, true).unwrap();
        assert!(paired.paired && (paired.difference - 1.0).abs() < 1e-12);
        assert!((paired.p.unwrap() - 0.05).abs() < 1e-4, "{paired:?}");
        // Welch: equal samples of other lengths have no difference.
        let same = Significance::between(&[1.0, 2.0, 3.0], &[1.0, 2.0, 3.0, 2.0], true).unwrap();
        assert!(!same.paired && (same.p.unwrap() - 1.0).abs() < 1e-9, "{same:?}");
        assert_eq!(Significance::between(&[1.0], &[0.5], true).unwrap().p, None);
        assert!(Significance::between(&[], &[0.5], true).is_none());
    }

    #[test]
    fn classes_that_are_hardly_found_are_named_with_the_networks() {
        let good = serde_json::json!({"y": {"classes": {"a": {"samples": 9, "recall": 1.0, "precision": 0.9},
            "b": {"samples": 4, "recall": 0.75, "precision": 0.9}, "c": {"samples": 0}}}});
        let poor = serde_json::json!({"y": {"classes": {"a": {"samples": 9, "recall": 1.0, "precision": 0.5},
            "b": {"samples": 4, "recall": 0.0}, "c": {"samples": 0}}}});
        let warnings = recall_warnings(&[("the teacher".into(), &good), ("the student".into(), &poor)]);
        assert_eq!(warnings, ["head \"y\": recall of \"b\" (4 samples): 0.0 % (never answered) of the student"]);
        assert!(recall_warnings(&[("the teacher".into(), &good)]).is_empty());
        let many: serde_json::Map<String, Value> =
            (0..20).map(|class| (class.to_string(), serde_json::json!({"samples": 1, "recall": 0.0}))).collect();
        let many = serde_json::json!({"y": {"classes": many}});
        let warnings = recall_warnings(&[("the student".into(), &many)]);
        assert!(warnings.len() == 9 && warnings[8].contains("12 more"), "{warnings:?}");
    }

    #[test]
    fn means_go_through_nested_objects() {
        let values = [serde_json::json!({"a": {"f1": 0.5}}), serde_json::json!({"a": {"f1": 1.0}})];
        let mean = |numbers: &[f64]| mean_and_deviation(numbers).0.unwrap();
        assert_eq!(over_seeds(&values, &mean), serde_json::json!({"a": {"f1": 0.75}}));
        // What one seed lacks is the mean of the others, and a count stays a count.
        let values = [serde_json::json!({"n": 3}), serde_json::json!({"n": 3, "precision": 0.5})];
        assert_eq!(over_seeds(&values, &mean), serde_json::json!({"n": 3, "precision": 0.5}));
    }
}
