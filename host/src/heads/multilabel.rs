//! Several labels that may hold at once.

use anyhow::Result;
use attar_device::HeadOutput;
use serde_json::{Value, json};

use super::evidence::name_of;
use super::metrics::{ClassFigures, one_label};
use super::probabilities::sigmoid;
use super::{Form, Head, HeadMetrics, Kind, Mistake, Target, View, flags};
use crate::tables::Column;

pub(super) struct Multilabel;

impl Kind for Multilabel {
    fn name(&self) -> &'static str {
        "multilabel"
    }

    fn format(&self) -> attar_shared::HeadKind {
        attar_shared::HeadKind::Multilabel
    }

    fn form(&self) -> Form {
        Form::Flags
    }

    fn is_wide(&self) -> bool {
        true
    }

    fn read_columns(&self, head: &Head, columns: &[Column<'_>]) -> Result<Target> {
        let values = flags::read_columns(head, columns, &[])?;
        let labels = if head.labels.is_empty() { head.column_names() } else { &head.labels };
        Ok(Target::new(head, columns.len(), labels.to_vec(), values))
    }

    fn read_numbers(&self, head: &Head, numbers: Vec<Option<f32>>, width: usize, file: &str) -> Result<Target> {
        Ok(Target::new(head, width, head.labels.clone(), flags::read_numbers(numbers, width, file)?))
    }

    /// Each label by itself leaves out what is not known of it.
    fn measure(&self, target: &Target, samples: &[usize], logits: &[f32]) -> HeadMetrics {
        let of_label = |label: usize| {
            let rows = samples.iter().zip(logits.chunks_exact(target.outputs));
            let known: Vec<(bool, f32)> =
                rows.filter_map(|(&sample, row)| Some((target.flags(sample)[label]?, row[label]))).collect();
            if known.is_empty() {
                return (HeadMetrics::default(), ClassFigures::default());
            }
            (one_label(&known), ClassFigures::of(known.iter().map(|&(actual, logit)| (logit >= 0.0, actual))))
        };
        let (labels, classes): (Vec<HeadMetrics>, Vec<ClassFigures>) = (0..target.outputs).map(of_label).unzip();
        let mean = |figure: fn(&HeadMetrics) -> Option<f64>| {
            let known: Vec<f64> = labels.iter().filter_map(figure).collect();
            (!known.is_empty()).then(|| known.iter().sum::<f64>() / known.len() as f64)
        };
        HeadMetrics {
            accuracy: mean(|m| m.accuracy),
            f1: mean(|m| m.f1),
            average_precision: mean(|m| m.average_precision),
            classes: classes.into_iter().enumerate().map(|(at, one)| (target.output_name(at), one)).collect(),
            labels: labels.iter().enumerate().map(|(at, one)| (target.output_name(at), one.clone())).collect(),
            ..HeadMetrics::default()
        }
    }

    fn probabilities(&self, _target: &Target, logits: &[f32]) -> Vec<f32> {
        logits.iter().map(|&logit| sigmoid(logit)).collect()
    }

    fn counts(&self, target: &Target, samples: &[usize]) -> Vec<(String, usize)> {
        (0..target.outputs)
            .map(|label| (target.output_name(label), flags::count(target, samples, label, true)))
            .collect()
    }

    fn view(&self, target: &Target, samples: &[usize], logits: &[f32]) -> View {
        flags::view(target, samples, logits)
    }

    fn mistake(&self, target: &Target, sample: usize, logits: &[f32]) -> Option<Mistake> {
        flags::mistake(target, sample, logits)
    }

    fn confusion_names(&self, answers: &[String]) -> [Vec<String>; 2] {
        let rows = answers.iter().flat_map(|label| [format!("{label}: no"), format!("{label}: yes")]);
        [vec!["no".into(), "yes".into()], rows.collect()]
    }

    fn truth_text(&self, answers: &[String], truth: &[Option<f32>]) -> String {
        let yes = truth.iter().enumerate().filter(|(_, y)| y.is_some_and(|y| y > 0.5));
        listed(yes.map(|(index, _)| name_of(answers, index)).collect())
    }

    fn answer_text(&self, answers: &[String], probabilities: &[f32]) -> String {
        let yes = probabilities.iter().enumerate().filter(|(_, p)| **p >= 0.5);
        listed(yes.map(|(index, p)| format!("{} {:.0} %", name_of(answers, index), p * 100.0)).collect())
    }

    fn output_text(&self, output: &HeadOutput<'_>) -> String {
        let label = |index: usize| output.head().labels.at(index).map_or(index.to_string(), String::from);
        let labels = output.probabilities().enumerate().map(|(index, p)| format!("{} {p:.3}", label(index)));
        labels.collect::<Vec<_>>().join(", ")
    }

    fn output_json(&self, output: &HeadOutput<'_>) -> Value {
        json!({
            "labels": output.head().labels.iter().collect::<Vec<_>>(),
            "probabilities": output.probabilities().collect::<Vec<_>>(),
            "quantized": output.quantized(),
        })
    }
}

fn listed(names: Vec<String>) -> String {
    if names.is_empty() { "none".into() } else { names.join(", ") }
}
