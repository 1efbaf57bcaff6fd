//! The report of a run: what `report.json` holds and `--json` prints.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::data::Dataset;
use crate::metrics::HeadMetrics;
use crate::quantize::Agreement;

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
    /// The first head's accuracy, the mean over the seeds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub accuracy: Option<f64>,
    /// The deviation of that accuracy over the seeds, n - 1 in the denominator; 0 for one seed.
    pub deviation: f64,
    /// How many seeds.
    pub seeds: usize,
    /// Each head's figures, means over the seeds.
    pub metrics: Value,
}

/// Figures of the file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ModelFigures {
    /// Where it is.
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

/// A comparison of outputs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct VerifyFigures {
    /// `host` or `qemu:BOARD`.
    pub on: String,
    /// Samples that were run.
    pub samples: usize,
    /// Output bytes, of logits and probabilities, that differed.
    pub mismatches: usize,
    /// Instructions of one run, the greatest of all samples; absent where they cannot be counted.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub instructions: Option<u64>,
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
            name: name.into(),
            facts: if with_facts { "all" } else { "none" }.into(),
            distilled,
            precision: precision.into(),
            parameters,
            accuracy,
            deviation,
            seeds: seeds.len(),
            metrics: mean_of(&metrics),
        }
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
            object.extend(labels);
        }
        (target.name.clone(), value)
    });
    Value::Object(entries.collect())
}

/// Returns the mean and the sample deviation; no mean of nothing.
fn mean_and_deviation(values: &[f64]) -> (Option<f64>, f64) {
    if values.is_empty() {
        return (None, 0.0);
    }
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    (Some(mean), if values.len() > 1 { (squares / (count - 1.0)).sqrt() } else { 0.0 })
}

/// Returns objects of one shape with the mean of each number.
fn mean_of(values: &[Value]) -> Value {
    match values.first() {
        Some(Value::Object(first)) => {
            let mean = |key: &String| {
                let members: Vec<Value> = values.iter().filter_map(|value| value.get(key).cloned()).collect();
                (key.clone(), mean_of(&members))
            };
            Value::Object(first.keys().map(mean).collect())
        }
        Some(Value::Number(_)) => {
            let numbers: Vec<f64> = values.iter().filter_map(Value::as_f64).collect();
            Value::from(numbers.iter().sum::<f64>() / numbers.len() as f64)
        }
        Some(other) => other.clone(),
        None => Value::Null,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn means_go_through_nested_objects() {
        let values = [serde_json::json!({"a": {"f1": 0.5}}), serde_json::json!({"a": {"f1": 1.0}})];
        assert_eq!(mean_of(&values), serde_json::json!({"a": {"f1": 0.75}}));
        assert_eq!(mean_and_deviation(&[1.0, 3.0]), (Some(2.0), 2f64.sqrt()));
        assert_eq!(mean_and_deviation(&[]), (None, 0.0));
    }
}
