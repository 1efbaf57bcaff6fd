//! Numbers in their unit.

use anyhow::{Result, bail};
use attar_device::HeadOutput;
use serde_json::{Value, json};

use super::{Form, Head, HeadMetrics, Kind, Labels, Mistake, Target, View, flags};
use crate::domain::RegressionLoss;
use crate::support::progress::say;
use crate::tables::Column;

pub(super) struct Regression;

impl Kind for Regression {
    fn name(&self) -> &'static str {
        "regression"
    }

    fn format(&self) -> attar_shared::HeadKind {
        attar_shared::HeadKind::Regression
    }

    fn form(&self) -> Form {
        Form::Numbers
    }

    fn keys(&self) -> &'static [&'static str] {
        &["loss", "outputs"]
    }

    fn read_columns(&self, head: &Head, columns: &[Column<'_>]) -> Result<Target> {
        let read = |column: &Column<'_>| {
            let numbers = match head.partial {
                true => column.numbers_or_missing()?,
                false => column.numbers()?.into_iter().map(Some).collect(),
            };
            let known: Vec<f32> = numbers.iter().map(|value| value.unwrap_or(f32::NAN)).collect();
            column.remark(&known).iter().for_each(|remark| say(remark));
            Ok(numbers)
        };
        let numbers = columns.iter().map(read).collect::<Result<Vec<_>>>()?;
        let labels = if head.labels.is_empty() { head.column_names() } else { &head.labels };
        Ok(Target::new(head, columns.len(), labels.to_vec(), Labels::Numbers(flags::rows_of(&numbers))))
    }

    fn read_numbers(&self, head: &Head, numbers: Vec<Option<f32>>, width: usize, _file: &str) -> Result<Target> {
        Ok(Target::new(head, width, head.labels.clone(), Labels::Numbers(numbers)))
    }

    /// Each output by itself leaves out what is not known of it.
    fn measure(&self, target: &Target, samples: &[usize], logits: &[f32]) -> HeadMetrics {
        let (mut squares, mut r2, mut outputs) = (0.0, 0.0, 0.0);
        for (output, [mean, deviation]) in target.scaling.iter().enumerate() {
            let (mut error, mut spread, mut sum, mut count) = (0.0, 0.0, 0.0, 0.0);
            for (&sample, row) in samples.iter().zip(logits.chunks_exact(target.outputs)) {
                let Some(y) = target.numbers(sample)[output].map(f64::from) else { continue };
                error += (f64::from(row[output] * deviation + mean) - y).powi(2);
                spread += y * y;
                sum += y;
                count += 1.0;
            }
            if count > 0.0 {
                let variance = spread / count - (sum / count).powi(2);
                squares += error / count;
                r2 += 1.0 - error / count / variance.max(1e-12);
                outputs += 1.0;
            }
        }
        if outputs == 0.0 {
            return HeadMetrics::default();
        }
        let (squares, r2) = (squares / outputs, r2 / outputs);
        if target.loss == RegressionLoss::Cosine {
            let cosine = mean_cosine(target, samples, logits);
            return HeadMetrics { cosine, rmse: Some(squares.sqrt()), ..HeadMetrics::default() };
        }
        HeadMetrics { rmse: Some(squares.sqrt()), r2: Some(r2), ..HeadMetrics::default() }
    }

    /// The mean is always an answer.
    fn no_better_than_chance(&self, _target: &Target, _samples: &[usize], figures: &HeadMetrics) -> Option<String> {
        let r2 = figures.r2.filter(|&r2| r2 <= 0.0)?;
        Some(format!("R² is {r2:.2}, the mean alone has 0"))
    }

    fn probabilities(&self, target: &Target, logits: &[f32]) -> Vec<f32> {
        logits.iter().zip(&target.scaling).map(|(y, [mean, deviation])| y * deviation + mean).collect()
    }

    fn counts(&self, _target: &Target, _samples: &[usize]) -> Vec<(String, usize)> {
        Vec::new()
    }

    fn output_of(&self, target: &Target, _label: Option<&str>) -> Result<usize> {
        bail!("distill.rules: head {:?} has no labels that a rule could speak of", target.name)
    }

    fn view(&self, target: &Target, samples: &[usize], logits: &[f32]) -> View {
        let thinned = (samples.len() * target.outputs).div_ceil(POINTS).max(1);
        let rows = samples.iter().zip(logits.chunks_exact(target.outputs)).step_by(thinned);
        let points = rows.flat_map(|(&sample, logits)| {
            let said = self.probabilities(target, logits);
            let known = target.numbers(sample).iter().zip(said);
            known.filter_map(|(&truth, said)| Some([truth?, said])).collect::<Vec<_>>()
        });
        View { points: points.collect(), ..View::default() }
    }

    /// A number is more or less near, not wrong.
    fn mistake(&self, _target: &Target, _sample: usize, _logits: &[f32]) -> Option<Mistake> {
        None
    }

    fn truth_text(&self, _answers: &[String], truth: &[Option<f32>]) -> String {
        listed(truth.iter().map(|value| value.map_or("-".into(), |value| value.to_string())))
    }

    fn answer_text(&self, _answers: &[String], values: &[f32]) -> String {
        listed(values.iter().map(f32::to_string))
    }

    fn output_text(&self, output: &HeadOutput<'_>) -> String {
        listed(output.values().map(|value| value.to_string()))
    }

    fn output_json(&self, output: &HeadOutput<'_>) -> Value {
        json!({"values": output.values().collect::<Vec<_>>(), "quantized": output.quantized()})
    }
}

fn listed(values: impl Iterator<Item = String>) -> String {
    values.collect::<Vec<_>>().join(", ")
}

/// Returns the mean cosine between answers and labels over the samples whose labels are all known.
fn mean_cosine(target: &Target, samples: &[usize], logits: &[f32]) -> Option<f64> {
    let rows = samples.iter().zip(logits.chunks_exact(target.outputs));
    let cosines: Vec<f64> = rows
        .filter_map(|(&sample, row)| {
            let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum::<f64>();
            let y: Vec<f32> = target.numbers(sample).iter().copied().collect::<Option<_>>()?;
            Some(dot(row, &y) / (dot(row, row) * dot(&y, &y)).sqrt().max(1e-12))
        })
        .collect();
    (!cosines.is_empty()).then(|| cosines.iter().sum::<f64>() / cosines.len() as f64)
}

/// The most points of a regression on the page.
const POINTS: usize = 400;
