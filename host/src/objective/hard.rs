//! Losses against the labels.

use anyhow::Result;
use candle_core::Tensor;
use candle_nn::ops::log_softmax;

use crate::data::Mix;
use crate::domain::RegressionLoss;
use crate::heads::{Labels, Target};
use crate::losses::distance::{binary_cross_entropy, cosine_distance, huber};
use crate::net::rows;

/// Returns the loss against the labels over the samples whose label is known, or nothing when none is.
///
/// Cross-entropy for a class; the stable binary cross-entropy, mean over the known labels, for binary and multilabel; for a
/// regression the mean of (z - y)², with y of mean 0 and deviation 1, or the loss that the head asks for.
///
/// # Errors
///
/// When shapes do not fit or the device fails.
pub fn hard(target: &Target, samples: &[usize], logits: &Tensor) -> Result<Option<Tensor>> {
    let pairs: Vec<(usize, usize)> = samples.iter().copied().enumerate().collect();
    weighed(target, &pairs, None, logits)
}

/// As [`hard`], for samples that may be mixed with others: each label counts by its sample's share.
pub(super) fn mixed(
    target: &Target,
    samples: &[usize],
    mix: Option<&[Mix]>,
    logits: &Tensor,
) -> Result<Option<Tensor>> {
    let Some(mix) = mix else { return hard(target, samples, logits) };
    let own: Vec<(usize, usize)> = samples.iter().copied().enumerate().collect();
    let other: Vec<(usize, usize)> = mix.iter().map(|mix| mix.partner).enumerate().collect();
    let shares: Vec<f32> = mix.iter().map(|mix| mix.share).collect();
    let rest: Vec<f32> = mix.iter().map(|mix| 1.0 - mix.share).collect();
    Ok(match (weighed(target, &own, Some(&rest), logits)?, weighed(target, &other, Some(&shares), logits)?) {
        (Some(own), Some(other)) => Some((own + other)?),
        (own, other) => own.or(other),
    })
}

/// The loss of rows of `logits` against samples, each row by a weight; means are over the known ones.
fn weighed(
    target: &Target,
    pairs: &[(usize, usize)],
    weights: Option<&[f32]>,
    logits: &Tensor,
) -> Result<Option<Tensor>> {
    let known: Vec<(usize, usize)> = pairs.iter().copied().filter(|&(_, sample)| target.is_known(sample)).collect();
    if known.is_empty() {
        return Ok(None);
    }
    let all = known.len() == logits.dim(0)?;
    let logits = if all {
        logits.clone()
    } else {
        let rows: Vec<u32> = known.iter().map(|&(row, _)| row as u32).collect();
        logits.index_select(&Tensor::from_vec(rows, known.len(), logits.device())?, 0)?
    };
    let weights = match weights {
        Some(weights) => Some(rows(known.iter().map(|&(row, _)| weights[row]).collect(), 1, &logits)?),
        None => None,
    };
    let weigh = |terms: Tensor| match &weights {
        Some(weights) => terms.broadcast_mul(weights),
        None => Ok(terms),
    };
    let samples = || known.iter().map(|&(_, sample)| sample);
    match &target.values {
        Labels::Classes(classes) => {
            let classes: Vec<u32> = samples().filter_map(|sample| classes[sample].map(u32::from)).collect();
            let classes = Tensor::from_vec(classes, known.len(), logits.device())?.unsqueeze(1)?;
            Ok(Some(weigh(log_softmax(&logits, 1)?.gather(&classes, 1)?)?.mean_all()?.neg()?))
        }
        Labels::Flags(_) => {
            let flags = || samples().flat_map(|sample| target.flags(sample));
            let is_known: Vec<f32> = flags().map(|flag| f32::from(u8::from(flag.is_some()))).collect();
            let count: f32 = is_known.iter().sum();
            let y = flags().map(|flag| f32::from(u8::from(*flag == Some(true)))).collect();
            let y = rows(y, target.outputs, &logits)?;
            let terms = (binary_cross_entropy(&logits, &y)? * rows(is_known, target.outputs, &logits)?)?;
            Ok(Some((weigh(terms)?.sum_all()? / f64::from(count))?))
        }
        Labels::Numbers(_) => {
            let numbers = || samples().flat_map(|sample| target.numbers(sample).iter().zip(&target.scaling));
            let is_known: Vec<f32> = numbers().map(|(y, _)| f32::from(u8::from(y.is_some()))).collect();
            let count: f32 = is_known.iter().sum();
            let scaled = numbers().map(|(y, [mean, deviation])| y.map_or(0.0, |y| (y - mean) / deviation));
            let y = rows(scaled.collect(), target.outputs, &logits)?;
            if target.loss == RegressionLoss::Cosine {
                let known = (&logits * rows(is_known, target.outputs, &logits)?)?;
                return Ok(Some(weigh(cosine_distance(&known, &y)?)?.mean_all()?));
            }
            let apart = (&logits - y)?;
            let terms = if target.loss == RegressionLoss::Huber { huber(&apart)? } else { apart.sqr()? };
            let terms = (terms * rows(is_known, target.outputs, &logits)?)?;
            Ok(Some((weigh(terms)?.sum_all()? / f64::from(count))?))
        }
    }
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;
    use crate::heads::{Form, HeadKind};

    fn target(kind: HeadKind, outputs: usize, values: Labels) -> Target {
        Target {
            name: "y".into(),
            kind,
            labels: Vec::new(),
            outputs,
            values,
            scaling: vec![[0.0, 1.0]; outputs],
            weight: 1.0,
            loss: RegressionLoss::Mse,
            temperature: None,
        }
    }

    fn value(loss: Option<Tensor>) -> f32 {
        loss.unwrap().to_scalar().unwrap()
    }

    #[test]
    fn binary_cross_entropy_is_finite_for_extreme_logits() {
        let z = Tensor::new(&[[100.0f32], [-100.0]], &Device::Cpu).unwrap();
        let y = target(HeadKind::BINARY, 1, Labels::flags([false, true]));
        let loss = value(hard(&y, &[0, 1], &z).unwrap());
        assert!((loss - 100.0).abs() < 1e-3, "{loss}");
    }

    #[test]
    fn unknown_labels_count_for_nothing() {
        let z = Tensor::new(&[[1.0f32, 0.0], [0.0, 3.0]], &Device::Cpu).unwrap();
        let labels = |kind: HeadKind, known: &[bool]| match kind.form() {
            Form::Classes => Labels::Classes(known.iter().map(|known| known.then_some(1)).collect()),
            Form::Flags => Labels::Flags(known.iter().flat_map(|known| [known.then_some(true); 2]).collect()),
            Form::Numbers => Labels::Numbers(known.iter().flat_map(|known| [known.then_some(1.0); 2]).collect()),
        };
        for kind in [HeadKind::CLASS, HeadKind::MULTILABEL, HeadKind::REGRESSION] {
            let all = target(kind, 2, labels(kind, &[true, false]));
            let one = target(kind, 2, labels(kind, &[true]));
            let first = z.narrow(0, 0, 1).unwrap();
            let (a, b) = (value(hard(&all, &[0, 1], &z).unwrap()), value(hard(&one, &[0], &first).unwrap()));
            assert!((a - b).abs() < 1e-6 && a > 0.0, "{kind:?}: {a} {b}");
            let none = target(kind, 2, labels(kind, &[false, false]));
            assert!(hard(&none, &[0, 1], &z).unwrap().is_none());
        }
        // Of several labels some may be known.
        let half = target(HeadKind::MULTILABEL, 2, Labels::Flags(vec![Some(true), None]));
        let loss = value(hard(&half, &[0], &z.narrow(0, 0, 1).unwrap()).unwrap());
        assert!((loss - (1.0 + (-1.0f32).exp()).ln()).abs() < 1e-6, "{loss}");
    }

    #[test]
    fn mixed_samples_count_by_their_shares() {
        let z = Tensor::new(&[[1.0f32, 0.0]], &Device::Cpu).unwrap();
        let y = target(HeadKind::CLASS, 2, Labels::classes([0, 1]));
        let mix = [Mix { partner: 1, share: 0.25 }];
        let got = value(mixed(&y, &[0], Some(&mix), &z).unwrap());
        let (first, second) = (value(hard(&y, &[0], &z).unwrap()), value(hard(&y, &[1], &z).unwrap()));
        assert!((got - (0.75 * first + 0.25 * second)).abs() < 1e-6);
    }
}
