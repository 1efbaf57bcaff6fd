//! One of several classes.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail, ensure};
use attar_device::HeadOutput;
use serde_json::{Value, json};

use super::evidence::{Calibration, MATRIX, name_of};
use super::flags::truth;
use super::metrics::{self, ClassFigures, first_greatest, share};
use super::probabilities::softmax;
use super::{Form, Head, HeadMetrics, Kind, Labels, Mistake, Target, View};
use crate::support::progress::say;
use crate::support::suggest::{listed, shortened, spelling_warnings};
use crate::tables::Column;

pub(super) struct Class;

impl Kind for Class {
    fn name(&self) -> &'static str {
        "class"
    }

    fn format(&self) -> attar_shared::HeadKind {
        attar_shared::HeadKind::Class
    }

    fn form(&self) -> Form {
        Form::Classes
    }

    fn keys(&self) -> &'static [&'static str] {
        &["rest"]
    }

    /// NaN, or a class below 0.
    fn is_unknown(&self, number: f32) -> bool {
        number.is_nan() || number < 0.0
    }

    fn read_columns(&self, head: &Head, columns: &[Column<'_>]) -> Result<Target> {
        let [column] = columns else {
            bail!("head {:?} is of kind \"class\" and names {} columns, expected one", head.name, columns.len())
        };
        let texts = column.texts();
        let mut labels = head.labels.clone();
        let of_data = labels.is_empty();
        if of_data {
            labels = texts.iter().filter(|text| !column.is_missing(text)).map(|text| text.to_string()).collect();
            labels.sort_unstable();
            // True and TRUE are one class.
            labels.dedup_by(|a, b| a == b || truth(a).is_some_and(|truth_a| truth(b) == Some(truth_a)));
        }
        if let Some(rest) = head.rest.as_ref().filter(|rest| !labels.contains(rest)) {
            labels.push(rest.clone());
        }
        let rest = head.rest.as_ref().and_then(|rest| labels.iter().position(|label| label == rest));
        ensure!(labels.len() >= 2, "head {:?} has {} class, expected two or more", head.name, labels.len());
        ensure!(
            labels.len() <= MOST_CLASSES,
            "head {:?}: column {:?} holds {} different texts, at most {MOST_CLASSES} classes are told apart: is it a regression?",
            head.name,
            column.name(),
            labels.len()
        );
        let is_fraction = |label: &String| label.parse::<f32>().is_ok_and(|number| number.fract() != 0.0);
        if of_data && labels.iter().filter(|label| is_fraction(label)).count() > MANY_FRACTIONS {
            say(&format!(
                "warning: {}: head {:?} has {} classes that are numbers such as {}: kind = \"regression\" answers numbers",
                column.full_name(),
                head.name,
                labels.len(),
                labels[0]
            ));
        }
        let places: BTreeMap<&str, usize> =
            labels.iter().enumerate().rev().map(|(class, label)| (label.as_str(), class)).collect();
        let class_of = |text: &str| {
            let same = |label: &String| truth(text).is_some_and(|truth_of| truth(label) == Some(truth_of));
            places.get(text).copied().or_else(|| labels.iter().position(same))
        };
        // Cells that count as one class in spite of their spellings, True and TRUE, need no word.
        let own = texts.iter().filter(|text| truth(text).is_none() && !column.is_missing(text)).copied();
        let what = format!("{}: classes of head {:?}", column.full_name(), head.name);
        spelling_warnings(&what, own, head.labels.iter().map(String::as_str)).iter().for_each(|warning| say(warning));
        let mut values = Vec::with_capacity(texts.len());
        for (row, text) in texts.iter().enumerate() {
            let class = class_of(text);
            // A marker may be a class by its name.
            let missing = text.is_empty() || (class.is_none() && column.is_missing(text));
            if missing && head.partial {
                values.push(None);
                continue;
            }
            let class = class.or(rest).with_context(|| {
                format!(
                    "{}: head {:?} has no class {:?}, expected one of {}{}",
                    column.place(row),
                    head.name,
                    shortened(text),
                    listed(&labels),
                    if missing { ": with partial = true it is a label that is not known" } else { "" }
                )
            })?;
            values.push(Some(class as u16));
        }
        Ok(Target::new(head, labels.len(), labels, Labels::Classes(values)))
    }

    fn read_numbers(&self, head: &Head, numbers: Vec<Option<f32>>, width: usize, file: &str) -> Result<Target> {
        ensure!(width == 1, "{file}: a class head takes one index for each sample, the file has {width}");
        let greatest = numbers.iter().flatten().fold(0.0f32, |a, &b| a.max(b)) as usize;
        let classes = if head.labels.is_empty() { greatest.saturating_add(1) } else { head.labels.len() };
        ensure!(
            classes <= MOST_CLASSES,
            "{file}: head {:?} has class {greatest}, at most {MOST_CLASSES} classes are told apart: number them from 0",
            head.name
        );
        ensure!(classes >= 2, "{file}: head {:?} has one class, expected two or more", head.name);
        let class_of = |(sample, number): (usize, Option<f32>)| {
            let Some(class) = number else { return Ok(None) };
            ensure!(
                class.fract() == 0.0 && (0.0..classes as f32).contains(&class),
                "{file}: sample {sample} has class {class}, head {:?} has classes 0 to {}",
                head.name,
                classes - 1
            );
            Ok(Some(class as u16))
        };
        let values = numbers.into_iter().enumerate().map(class_of).collect::<Result<_>>()?;
        Ok(Target::new(head, classes, head.labels.clone(), Labels::Classes(values)))
    }

    fn measure(&self, target: &Target, samples: &[usize], logits: &[f32]) -> HeadMetrics {
        let rows = samples.iter().zip(logits.chunks_exact(target.outputs));
        let known = rows.filter_map(|(&sample, row)| Some((first_greatest(row), target.class(sample)?)));
        let pairs: Vec<(usize, usize)> = known.collect();
        if pairs.is_empty() {
            return HeadMetrics::default();
        }
        let right = pairs.iter().filter(|(predicted, actual)| predicted == actual).count();
        let f1 = (0..target.outputs).map(|class| {
            metrics::f1_of(pairs.iter().map(|&(predicted, actual)| (predicted == class, actual == class)))
        });
        // One pass over the samples: a head may have thousands of classes.
        let mut counts = vec![(0usize, 0usize, 0usize); target.outputs];
        for &(predicted, actual) in &pairs {
            counts[actual].0 += 1;
            counts[predicted].1 += 1;
            counts[actual].2 += usize::from(predicted == actual);
        }
        let share_of = |part: usize, whole: usize| (whole > 0).then(|| share(part, whole));
        let classes = counts.iter().enumerate().map(|(class, &(samples, answered, both))| {
            let figures =
                ClassFigures { samples, recall: share_of(both, samples), precision: share_of(both, answered) };
            (target.output_name(class), figures)
        });
        HeadMetrics {
            accuracy: Some(share(right, pairs.len())),
            f1: Some(f1.sum::<f64>() / target.outputs as f64),
            classes: classes.collect(),
            ..HeadMetrics::default()
        }
    }

    /// The commonest class is always an answer; accuracy within two standard deviations of its share is chance.
    fn no_better_than_chance(&self, target: &Target, samples: &[usize], figures: &HeadMetrics) -> Option<String> {
        let mut counts = vec![0usize; target.outputs];
        samples.iter().filter_map(|&sample| target.class(sample)).for_each(|class| counts[class] += 1);
        let all = counts.iter().sum::<usize>() as f64;
        let chance = counts.iter().copied().max()? as f64 / all;
        let accuracy = figures.accuracy?;
        let margin = 2.0 * (chance * (1.0 - chance) / all).sqrt();
        (accuracy <= chance + margin).then(|| {
            format!("{:.1} % are right, the commonest class alone makes {:.1} %", 100.0 * accuracy, 100.0 * chance)
        })
    }

    fn probabilities(&self, _target: &Target, logits: &[f32]) -> Vec<f32> {
        softmax(logits)
    }

    fn counts(&self, target: &Target, samples: &[usize]) -> Vec<(String, usize)> {
        let mut counts = vec![0; target.outputs];
        samples.iter().filter_map(|&sample| target.class(sample)).for_each(|class| counts[class] += 1);
        counts.into_iter().enumerate().map(|(class, count)| (target.output_name(class), count)).collect()
    }

    fn shift(&self, logits: &mut [f32], output: usize, holds: bool, strength: f32) {
        for (class, logit) in logits.iter_mut().enumerate() {
            if (class == output) != holds {
                *logit -= strength;
            }
        }
    }

    fn view(&self, target: &Target, samples: &[usize], logits: &[f32]) -> View {
        let mut view = View::default();
        let (mut mistakes, mut calibration) = (BTreeMap::new(), Calibration::default());
        let rows = if target.outputs > MATRIX { 0 } else { target.outputs };
        view.confusion = vec![vec![0; rows]; rows];
        for (&sample, logits) in samples.iter().zip(logits.chunks_exact(target.outputs)) {
            let Some(actual) = target.class(sample) else { continue };
            let top = first_greatest(logits);
            match view.confusion.get_mut(actual) {
                Some(row) => row[top] += 1,
                None if actual != top => *mistakes.entry((actual, top)).or_insert(0usize) += 1,
                None => {}
            }
            calibration.add(softmax(logits)[top], actual == top);
        }
        view.mistakes = mistakes.into_iter().map(|((actual, said), count)| [actual, said, count]).collect();
        view.mistakes.sort_by_key(|&[_, _, count]| std::cmp::Reverse(count));
        view.mistakes.truncate(MATRIX);
        calibration.finish(&mut view);
        view
    }

    fn mistake(&self, target: &Target, sample: usize, logits: &[f32]) -> Option<Mistake> {
        let (actual, top) = (target.class(sample)?, first_greatest(logits));
        (actual != top).then(|| Mistake { confusion: vec![(actual, top)], confidence: softmax(logits)[top] })
    }

    fn truth_text(&self, answers: &[String], truth: &[Option<f32>]) -> String {
        truth.first().copied().flatten().map(|class| name_of(answers, class as usize)).unwrap_or_default()
    }

    fn answer_text(&self, answers: &[String], probabilities: &[f32]) -> String {
        let top = first_greatest(probabilities);
        format!("{} {:.0} %", name_of(answers, top), probabilities.get(top).copied().unwrap_or(0.0) * 100.0)
    }

    fn output_text(&self, output: &HeadOutput<'_>) -> String {
        top_text(output)
    }

    fn output_json(&self, output: &HeadOutput<'_>) -> Value {
        top_json(output)
    }
}

/// Returns the answer of a head that gives one of several.
pub(super) fn top_text(output: &HeadOutput<'_>) -> String {
    let top = output.top();
    let label = output.head().labels.at(top.class).map_or(top.class.to_string(), String::from);
    format!("{label} ({:.3})", top.probability)
}

/// Returns the answer of a head that gives one of several.
pub(super) fn top_json(output: &HeadOutput<'_>) -> Value {
    let top = output.top();
    json!({
        "class": top.class,
        "label": top.label,
        "probability": top.probability,
        "probabilities": output.probabilities().collect::<Vec<_>>(),
        "quantized": output.quantized(),
    })
}

/// A model has no head of more.
const MOST_CLASSES: usize = 65_535;

/// More classes than that with digits behind the point are measurements.
const MANY_FRACTIONS: usize = 20;
