//! Figures of merit, by head.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

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
    pub(super) fn of(pairs: impl Iterator<Item = (bool, bool)>) -> Self {
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

/// Returns the place of the greatest value, the first of several that are equal.
pub fn first_greatest(values: &[f32]) -> usize {
    values
        .iter()
        .enumerate()
        .fold((0, f32::NEG_INFINITY), |best, (index, &value)| if value > best.1 { (index, value) } else { best })
        .0
}

/// Returns the figures of one label, from what is true and the logit of each sample.
pub(super) fn one_label(known: &[(bool, f32)]) -> HeadMetrics {
    let mut scored: Vec<(f32, bool)> = known.iter().map(|&(actual, logit)| (logit, actual)).collect();
    let right = scored.iter().filter(|(logit, actual)| (*logit >= 0.0) == *actual).count();
    let f1 = f1_of(scored.iter().map(|&(logit, actual)| (logit >= 0.0, actual)));
    let accuracy = Some(share(right, scored.len()));
    HeadMetrics { accuracy, f1: Some(f1), average_precision: average_precision(&mut scored), ..HeadMetrics::default() }
}

/// Returns F1, from what was predicted and what is true of each sample.
pub(super) fn f1_of(pairs: impl Iterator<Item = (bool, bool)>) -> f64 {
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

pub(super) fn share(part: usize, whole: usize) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::RegressionLoss;
    use crate::heads::{HeadKind, Labels, Target};

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
        let labels = target(HeadKind::MULTILABEL, &["a", "b"], 2, labels);
        let figures = labels.measure(&[0, 1, 2], &[2.0, 5.0, -1.0, 5.0, 3.0, 0.5]);
        assert_eq!((figures.labels["a"].accuracy, figures.labels["b"].accuracy), (Some(1.0), Some(1.0)));
        let numbers = Labels::Numbers(vec![Some(1.0), None, Some(3.0), Some(4.0)]);
        let numbers = target(HeadKind::REGRESSION, &["a", "b"], 2, numbers);
        let figures = numbers.measure(&[0, 1], &[1.0, 9.0, 3.0, 6.0]);
        assert!((figures.rmse.unwrap() - 2f64.sqrt()).abs() < 1e-9, "{figures:?}");
        for (kind, nothing) in [
            (HeadKind::CLASS, Labels::Classes(vec![None; 2])),
            (HeadKind::MULTILABEL, Labels::Flags(vec![None; 4])),
            (HeadKind::REGRESSION, Labels::Numbers(vec![None; 4])),
        ] {
            assert_eq!(target(kind, &[], 2, nothing).measure(&[0, 1], &[1.0; 4]).selection(), None);
        }
        let directions = Target { loss: RegressionLoss::Cosine, ..numbers };
        let figures = directions.measure(&[1], &[0.6, 0.8]);
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
        let classes = target(HeadKind::CLASS, &["a", "b"], 3, classes);
        let figures = classes.measure(&[0, 1, 2, 3], &[1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 1.0, 0.0, 0.0, 1.0, 0.0, 0.0]);
        let of = |name: &str| figures.classes[name].clone();
        assert_eq!(of("a"), ClassFigures { samples: 2, recall: Some(0.5), precision: Some(0.5) });
        assert_eq!(of("b"), ClassFigures { samples: 1, recall: Some(0.0), precision: Some(0.0) });
        assert_eq!(of("2"), ClassFigures { samples: 0, recall: None, precision: None });
        // A rare yes that is never answered.
        let flags = target(HeadKind::BINARY, &[], 1, Labels::flags([false, false, false, true]));
        let figures = flags.measure(&[0, 1, 2, 3], &[-1.0, -1.0, -1.0, -0.5]);
        assert_eq!(figures.classes["yes"], ClassFigures { samples: 1, recall: Some(0.0), precision: None });
        assert_eq!(figures.classes["no"], ClassFigures { samples: 3, recall: Some(1.0), precision: Some(0.75) });
        let flags = Labels::Flags(vec![Some(true), Some(false), Some(false), None]);
        let flags = target(HeadKind::MULTILABEL, &["a", "b"], 2, flags);
        let figures = flags.measure(&[0, 1], &[-1.0, 1.0, -1.0, 1.0]);
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
