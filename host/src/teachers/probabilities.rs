//! Answers that are probabilities, and how they become logits.

use crate::heads::{Labels, Target};
use crate::onnx::Ending;

/// Returns what function of logits some answers seem to be, if they are of a head with classes or labels.
///
/// Answers between 0 and 1 whose rows sum to 1 are taken for softmax, others between 0 and 1 for sigmoid. Logits of so many
/// samples have negative values or values above 1.
pub(super) fn recognize(target: &Target, answers: &[f32]) -> Option<Ending> {
    if matches!(target.values, Labels::Numbers(_)) || answers.len() < MIN_ANSWERS {
        return None;
    }
    let between = answers.iter().all(|answer| (0.0..=1.0).contains(answer));
    let varied = answers.iter().any(|&answer| answer != answers[0]);
    if !between || !varied {
        return None;
    }
    let whole = |row: &[f32]| (row.iter().sum::<f32>() - 1.0).abs() < 1e-2;
    let sum = target.outputs > 1 && answers.chunks_exact(target.outputs).all(whole);
    Some(if matches!(target.values, Labels::Classes(_)) && sum { Ending::Softmax } else { Ending::Sigmoid })
}

/// What answers look like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Too few to say, or of a head of numbers.
    Unknown,
    Logits,
    Probabilities(Ending),
}

impl std::fmt::Display for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Unknown => "either",
            Self::Logits => "logits",
            Self::Probabilities(Ending::Softmax) => "probabilities that sum to 1",
            Self::Probabilities(Ending::Sigmoid) => "probabilities of single labels",
        })
    }
}

/// Returns what some answers look like; a single one that is no probability shows that they are logits.
pub(super) fn kind_of(target: &Target, answers: &[f32]) -> Kind {
    let numbers = matches!(target.values, Labels::Numbers(_));
    match recognize(target, answers) {
        Some(ending) => Kind::Probabilities(ending),
        None if !numbers && answers.iter().any(|answer| !(0.0..=1.0).contains(answer)) => Kind::Logits,
        None => Kind::Unknown,
    }
}

/// Turns probabilities into logits: the logarithm of those of classes, the log-odds of those of labels.
pub(super) fn undo(ending: Ending, answers: &mut [f32]) {
    for answer in answers {
        let p = answer.clamp(SMALLEST, 1.0 - SMALLEST);
        *answer = match ending {
            Ending::Softmax => answer.max(SMALLEST).ln(),
            Ending::Sigmoid => (p / (1.0 - p)).ln(),
        };
    }
}

/// Returns the ending that a recipe means by saying that answers are probabilities.
pub(super) fn declared(target: &Target) -> Ending {
    if matches!(target.values, Labels::Classes(_)) { Ending::Softmax } else { Ending::Sigmoid }
}

/// The smallest probability that is told from 0.
const SMALLEST: f32 = 1e-7;
/// Fewer answers than this may all lie between 0 and 1 by chance.
const MIN_ANSWERS: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::RegressionLoss;
    use crate::heads::{Form, HeadKind};

    fn target(kind: HeadKind, outputs: usize) -> Target {
        let values = match kind.form() {
            Form::Classes => Labels::classes([]),
            Form::Flags => Labels::flags([]),
            Form::Numbers => Labels::numbers([]),
        };
        Target {
            name: "y".into(),
            kind,
            labels: Vec::new(),
            outputs,
            values,
            scaling: Vec::new(),
            weight: 1.0,
            loss: RegressionLoss::default(),
            temperature: None,
        }
    }

    #[test]
    fn probabilities_are_told_from_logits() {
        let logits: Vec<f32> = (0..120).map(|at| (at as f32 * 0.7).sin() * 4.0).collect();
        let softmax: Vec<f32> = logits
            .chunks(3)
            .flat_map(|row| {
                let sum: f32 = row.iter().map(|x| x.exp()).sum();
                row.iter().map(move |x| x.exp() / sum)
            })
            .collect();
        let sigmoid: Vec<f32> = logits.iter().map(|x| 1.0 / (1.0 + (-x).exp())).collect();
        let class = target(HeadKind::CLASS, 3);
        assert_eq!(recognize(&class, &logits), None);
        assert_eq!(recognize(&class, &softmax), Some(Ending::Softmax));
        assert_eq!(recognize(&class, &sigmoid), Some(Ending::Sigmoid));
        assert_eq!(recognize(&target(HeadKind::BINARY, 1), &sigmoid), Some(Ending::Sigmoid));
        assert_eq!(recognize(&target(HeadKind::REGRESSION, 3), &softmax), None, "a regression may lie in 0 to 1");
        assert_eq!(recognize(&class, &softmax[..6]), None, "too few to say");
    }

    #[test]
    fn logits_come_back() {
        let logits = [-3.0f32, 0.0, 2.5, 9.0];
        let mut answers = logits.map(|x| 1.0 / (1.0 + (-x).exp()));
        undo(Ending::Sigmoid, &mut answers);
        assert!(answers.iter().zip(logits).all(|(a, b)| (a - b).abs() < 1e-2), "{answers:?}");
        let sum: f32 = logits.iter().map(|x| x.exp()).sum();
        let mut answers = logits.map(|x| x.exp() / sum);
        undo(Ending::Softmax, &mut answers);
        let apart: Vec<f32> = answers.iter().zip(logits).map(|(a, b)| b - a).collect();
        assert!(apart.iter().all(|x| (x - apart[0]).abs() < 1e-3), "they differ by one constant: {apart:?}");
        let mut ends = [0.0, 1.0];
        undo(Ending::Sigmoid, &mut ends);
        assert!(ends.iter().all(|x| x.is_finite()));
    }
}
