//! Figures of merit, by head.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::domain::{HeadKind, RegressionLoss};
use crate::heads::Target;

/// The figures of one head; those that do not fit its kind are absent.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct HeadMetrics {
    /// class: the share of right classes; binary, multilabel: of right labels at one half.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub accuracy: Option<f64>,
    /// class, multilabel: the mean of each class's F1; binary: of the positive class.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub f1: Option<f64>,
    /// binary, multilabel: the area under the steps of precision over recall; for multilabel the mean over the labels.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub average_precision: Option<f64>,
    /// regression: the root of the mean squared error, in the unit of the target.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub rmse: Option<f64>,
    /// regression: the share of the variance that is explained, the mean over the outputs.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub r2: Option<f64>,
    /// regression of a direction: the mean cosine between answers and labels.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub cosine: Option<f64>,
    /// multilabel: each label by itself.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", default)]
    pub labels: BTreeMap<String, HeadMetrics>,
    /// class: each class; binary: each of the two answers; multilabel: the yes of each label, at one half.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", default)]
    pub classes: BTreeMap<String, ClassFigures>,
}

/// The figures of one class.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ClassFigures {
    /// How many samples are of the class.
    pub samples: usize,
    /// The share of them that are answered with it; absent when there are none.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub recall: Option<f64>,
    /// The share of its answers that are right; absent when it is never answered.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub precision: Option<f64>,
}

impl ClassFigures {
    /// Counts the pairs of answer and truth.
    fn of(pairs: impl Iterator<Item = (bool, bool)>) -> Self {
        let (mut samples, mut answered, mut both) = (0, 0, 0);
        for (predicted, actual) in pairs {
            samples += usize::from(actual);
            answered += usize::from(predicted);
            both += usize::from(predicted && actual);
        }
        let share_of = |whole: usize| (whole > 0).then(|| share(both, whole));
        Self { samples, recall: share_of(samples), precision: share_of(answered) }
    }
}

impl HeadMetrics {
    /// Returns what a checkpoint is chosen by, greater is better: for a rare positive class average precision, since
    /// accuracy hardly moves there.
    ///
    /// Absent when no label is known.
    pub fn selection(&self) -> Option<f64> {
        self.named_selection().map(|(_, figure)| figure)
    }

    /// Returns the same with its name.
    pub fn named_selection(&self) -> Option<(&'static str, f64)> {
        let named = [
            ("average_precision", self.average_precision),
            ("accuracy", self.accuracy),
            ("cosine", self.cosine),
            ("r2", self.r2),
        ];
        named.into_iter().find_map(|(name, figure)| Some((name, figure?)))
    }
}

/// Returns why figures are no better than those of an answer that ignores its input, if they are not.
///
/// For classes and yes or no that is always the commonest answer, within two standard deviations of its share; for a
/// regression the mean.
pub fn no_better_than_chance(target: &Target, samples: &[usize], figures: &HeadMetrics) -> Option<String> {
    match target.kind {
        HeadKind::Class => {
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
        HeadKind::Binary => {
            let known: Vec<bool> = samples.iter().filter_map(|&sample| target.flags(sample)[0]).collect();
            let all = known.len() as f64;
            let share = known.iter().filter(|&&yes| yes).count() as f64 / all;
            // Accuracy hardly moves for a rare label, so the ranking is looked at as well: one by chance has the share of the
            // label as its precision.
            if let Some(precision) = figures.average_precision.filter(|&precision| share > 0.0 && precision <= share) {
                return Some(format!("average precision is {precision:.3}, a ranking by chance has {share:.3}"));
            }
            let chance = share.max(1.0 - share);
            let accuracy = figures.accuracy?;
            (accuracy < chance - 2.0 * (chance * (1.0 - chance) / all).sqrt()).then(|| {
                format!(
                    "{:.1} % are right at one half, the commonest answer alone makes {:.1} %",
                    100.0 * accuracy,
                    100.0 * chance
                )
            })
        }
        HeadKind::Regression => {
            let r2 = figures.r2.filter(|&r2| r2 <= 0.0)?;
            Some(format!("R² is {r2:.2}, the mean alone has 0"))
        }
        HeadKind::Multilabel | HeadKind::Reconstruction => None,
    }
}

/// Returns the figures of logits for some samples, `[samples, outputs]` row by row, over those whose label is known.
pub fn measure(target: &Target, samples: &[usize], logits: &[f32]) -> HeadMetrics {
    if matches!(target.kind, HeadKind::Multilabel | HeadKind::Regression) {
        // Each output by itself leaves out what is not known of it.
        return measure_known(target, samples, logits);
    }
    let rows = samples.iter().zip(logits.chunks_exact(target.outputs)).filter(|&(&sample, _)| target.is_known(sample));
    let (known, rows): (Vec<usize>, Vec<&[f32]>) = rows.map(|(&sample, row)| (sample, row)).unzip();
    if known.is_empty() {
        return HeadMetrics::default();
    }
    if known.len() == samples.len() {
        return measure_known(target, samples, logits);
    }
    measure_known(target, &known, &rows.concat())
}

fn measure_known(target: &Target, samples: &[usize], logits: &[f32]) -> HeadMetrics {
    let rows = logits.chunks_exact(target.outputs);
    match target.kind {
        HeadKind::Class => {
            let predicted: Vec<usize> = rows.map(first_greatest).collect();
            let actual: Vec<usize> = samples.iter().filter_map(|&sample| target.class(sample)).collect();
            let right = predicted.iter().zip(&actual).filter(|(a, b)| a == b).count();
            let f1 = (0..target.outputs).map(|class| {
                f1_of(predicted.iter().zip(&actual).map(|(&predicted, &actual)| (predicted == class, actual == class)))
            });
            // One pass over the samples: a head may have thousands of classes.
            let mut counts = vec![(0usize, 0usize, 0usize); target.outputs];
            for (&predicted, &actual) in predicted.iter().zip(&actual) {
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
                accuracy: Some(share(right, samples.len())),
                f1: Some(f1.sum::<f64>() / target.outputs as f64),
                classes: classes.collect(),
                ..HeadMetrics::default()
            }
        }
        HeadKind::Binary => {
            let actual = || samples.iter().filter_map(|&sample| target.flags(sample)[0]);
            let pairs = || rows.clone().map(|row| row[0] >= 0.0).zip(actual());
            let classes = [
                (target.answer_name(false), ClassFigures::of(pairs().map(|(predicted, actual)| (!predicted, !actual)))),
                (target.answer_name(true), ClassFigures::of(pairs())),
            ];
            HeadMetrics { classes: classes.into(), ..one_label(actual(), rows.clone().map(|row| row[0])) }
        }
        HeadKind::Multilabel => {
            let (labels, classes): (Vec<HeadMetrics>, Vec<ClassFigures>) = (0..target.outputs)
                .map(|label| {
                    let rows = samples.iter().zip(logits.chunks_exact(target.outputs));
                    let known = rows.filter_map(|(&sample, row)| Some((target.flags(sample)[label]?, row[label])));
                    let pairs: Vec<(bool, f32)> = known.collect();
                    if pairs.is_empty() {
                        return (HeadMetrics::default(), ClassFigures::default());
                    }
                    let figures = one_label(pairs.iter().map(|pair| pair.0), pairs.iter().map(|pair| pair.1));
                    (figures, ClassFigures::of(pairs.iter().map(|&(actual, logit)| (logit >= 0.0, actual))))
                })
                .unzip();
            let mean = |figure: fn(&HeadMetrics) -> Option<f64>| {
                let known: Vec<f64> = labels.iter().filter_map(figure).collect();
                (!known.is_empty()).then(|| known.iter().sum::<f64>() / known.len() as f64)
            };
            HeadMetrics {
                accuracy: mean(|m| m.accuracy),
                f1: mean(|m| m.f1),
                average_precision: mean(|m| m.average_precision),
                classes: classes.into_iter().enumerate().map(|(at, one)| (target.output_name(at), one)).collect(),
                labels: (0..target.outputs)
                    .map(|label| target.output_name(label))
                    .zip(labels.iter().cloned())
                    .collect(),
                ..HeadMetrics::default()
            }
        }
        HeadKind::Regression | HeadKind::Reconstruction => {
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
    }
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

/// Returns the place of the greatest value, the first of several that are equal.
pub fn first_greatest(values: &[f32]) -> usize {
    values
        .iter()
        .enumerate()
        .fold((0, f32::NEG_INFINITY), |best, (index, &value)| if value > best.1 { (index, value) } else { best })
        .0
}

fn one_label(actual: impl Iterator<Item = bool>, logits: impl Iterator<Item = f32>) -> HeadMetrics {
    let mut scored: Vec<(f32, bool)> = logits.zip(actual).collect();
    let right = scored.iter().filter(|(logit, actual)| (*logit >= 0.0) == *actual).count();
    let f1 = f1_of(scored.iter().map(|&(logit, actual)| (logit >= 0.0, actual)));
    let accuracy = Some(share(right, scored.len()));
    HeadMetrics { accuracy, f1: Some(f1), average_precision: average_precision(&mut scored), ..HeadMetrics::default() }
}

fn f1_of(pairs: impl Iterator<Item = (bool, bool)>) -> f64 {
    let (mut both, mut either) = (0, 0);
    for (predicted, actual) in pairs {
        both += usize::from(predicted && actual);
        either += usize::from(predicted) + usize::from(actual);
    }
    if either == 0 { 0.0 } else { 2.0 * both as f64 / either as f64 }
}

/// Returns Σ (recall_n - recall_{n-1}) precision_n over falling scores, equal scores taken together; absent when no
/// sample is positive.
fn average_precision(scored: &mut [(f32, bool)]) -> Option<f64> {
    let positives = scored.iter().filter(|(_, actual)| *actual).count();
    if positives == 0 {
        return None;
    }
    scored.sort_by(|a, b| b.0.total_cmp(&a.0));
    let (mut seen, mut found, mut area) = (0, 0, 0.0);
    for group in scored.chunk_by(|a, b| a.0 == b.0) {
        let hits = group.iter().filter(|(_, actual)| *actual).count();
        seen += group.len();
        found += hits;
        area += share(hits, positives) * share(found, seen);
    }
    Some(area)
}

fn share(part: usize, whole: usize) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::heads::Labels;

    #[test]
    fn average_precision_of_a_known_ranking() {
        // Positives at ranks 1 and 3: (1/1 + 2/3) / 2.
        let mut scored = [(0.9, true), (0.8, false), (0.7, true), (0.1, false)];
        assert!((average_precision(&mut scored).unwrap() - (1.0 + 2.0 / 3.0) / 2.0).abs() < 1e-12);
        // All scores equal: the share of positives, whatever the order.
        let mut equal = [(0.5, true), (0.5, false), (0.5, false), (0.5, false)];
        assert!((average_precision(&mut equal).unwrap() - 0.25).abs() < 1e-12);
        assert_eq!(average_precision(&mut [(0.5, false)]), None);
    }

    /// What is not known of one output takes nothing from the others; a head of which nothing is known chooses nothing.
    #[test]
    fn unknown_labels_are_left_out_output_by_output() {
        let labels = Labels::Flags(vec![Some(true), None, Some(false), None, None, Some(true)]);
        let labels = target(HeadKind::Multilabel, &["a", "b"], 2, labels);
        let figures = measure(&labels, &[0, 1, 2], &[2.0, 5.0, -1.0, 5.0, 3.0, 0.5]);
        assert_eq!((figures.labels["a"].accuracy, figures.labels["b"].accuracy), (Some(1.0), Some(1.0)));
        let numbers = Labels::Numbers(vec![Some(1.0), None, Some(3.0), Some(4.0)]);
        let numbers = target(HeadKind::Regression, &["a", "b"], 2, numbers);
        let figures = measure(&numbers, &[0, 1], &[1.0, 9.0, 3.0, 6.0]);
        assert!((figures.rmse.unwrap() - 2f64.sqrt()).abs() < 1e-9, "{figures:?}");
        for (kind, nothing) in [
            (HeadKind::Class, Labels::Classes(vec![None; 2])),
            (HeadKind::Multilabel, Labels::Flags(vec![None; 4])),
            (HeadKind::Regression, Labels::Numbers(vec![None; 4])),
        ] {
            assert_eq!(measure(&target(kind, &[], 2, nothing), &[0, 1], &[1.0; 4]).selection(), None);
        }
        let directions = Target { loss: RegressionLoss::Cosine, ..numbers };
        let figures = measure(&directions, &[1], &[0.6, 0.8]);
        assert!((figures.selection().unwrap() - 1.0).abs() < 1e-6, "{figures:?}");
    }

    fn target(kind: HeadKind, labels: &[&str], outputs: usize, values: Labels) -> Target {
        Target {
            name: "y".into(),
            kind,
            labels: labels.iter().map(|label| label.to_string()).collect(),
            outputs,
            values,
            scaling: vec![[0.0, 1.0]; outputs],
            weight: 1.0,
            loss: RegressionLoss::Mse,
            temperature: None,
        }
    }

    /// Accuracy hides a class that is never answered; its recall does not.
    #[test]
    fn recall_and_precision_are_of_each_class() {
        let classes = Labels::Classes(vec![Some(0), Some(0), Some(1), None]);
        let classes = target(HeadKind::Class, &["a", "b"], 3, classes);
        let figures = measure(&classes, &[0, 1, 2, 3], &[1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 1.0, 0.0, 0.0, 1.0, 0.0, 0.0]);
        let of = |name: &str| figures.classes[name].clone();
        assert_eq!(of("a"), ClassFigures { samples: 2, recall: Some(0.5), precision: Some(0.5) });
        assert_eq!(of("b"), ClassFigures { samples: 1, recall: Some(0.0), precision: Some(0.0) });
        assert_eq!(of("2"), ClassFigures { samples: 0, recall: None, precision: None });
        // A rare yes that is never answered.
        let flags = target(HeadKind::Binary, &[], 1, Labels::flags([false, false, false, true]));
        let figures = measure(&flags, &[0, 1, 2, 3], &[-1.0, -1.0, -1.0, -0.5]);
        assert_eq!(figures.classes["yes"], ClassFigures { samples: 1, recall: Some(0.0), precision: None });
        assert_eq!(figures.classes["no"], ClassFigures { samples: 3, recall: Some(1.0), precision: Some(0.75) });
        let flags = Labels::Flags(vec![Some(true), Some(false), Some(false), None]);
        let flags = target(HeadKind::Multilabel, &["a", "b"], 2, flags);
        let figures = measure(&flags, &[0, 1], &[-1.0, 1.0, -1.0, 1.0]);
        assert_eq!(figures.classes["a"], ClassFigures { samples: 1, recall: Some(0.0), precision: None });
        assert_eq!(figures.classes["b"], ClassFigures { samples: 0, recall: None, precision: Some(0.0) });
    }

    #[test]
    fn f1_counts_the_positive_class() {
        let pairs = [(true, true), (true, false), (false, true), (false, false)];
        assert!((f1_of(pairs.into_iter()) - 0.5).abs() < 1e-12);
        assert_eq!(f1_of([(false, false)].into_iter()), 0.0);
    }
}
