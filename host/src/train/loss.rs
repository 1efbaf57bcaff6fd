//! Losses: against the labels, and against the teacher.
//!
//! z_s and z_t are the logits of student and teacher, p^T = softmax(z / T). Sums run over classes, means over the batch.

use anyhow::{Result, bail};
use candle_core::Tensor;
use candle_nn::ops::log_softmax;

use super::rows;
use crate::data::{Dataset, Target};
use crate::recipe::{Distill, HeadKind, Method};

/// What is minimised: `hard * loss against the labels + soft * loss against the teacher`, each head by its weight.
#[derive(Debug, Clone, Copy)]
pub enum Objective<'a> {
    /// The labels alone.
    Labels,
    /// Labels and teacher.
    Distilled(&'a Distill, &'a Soft),
}

/// The teacher's logits for every sample of the data, `[samples, outputs]` for each head.
#[derive(Debug, Clone, PartialEq)]
pub struct Soft {
    /// One entry a head.
    pub logits: Vec<Vec<f32>>,
}

impl Objective<'_> {
    /// Returns the loss of a batch, a scalar.
    ///
    /// # Shape
    ///
    /// `logits` holds `[batch, outputs]` for each head.
    ///
    /// # Errors
    ///
    /// When shapes do not fit or the device fails.
    pub fn loss(&self, data: &Dataset, samples: &[usize], logits: &[Tensor]) -> Result<Tensor> {
        let mut total: Option<Tensor> = None;
        for (head, (target, logits)) in data.targets.iter().zip(logits).enumerate() {
            let mut terms = Vec::new();
            match self {
                Self::Labels => terms.push(hard(target, samples, logits)?),
                Self::Distilled(distill, soft) => {
                    if distill.hard > 0.0 {
                        terms.push((hard(target, samples, logits)? * distill.hard)?);
                    }
                    if distill.soft > 0.0 {
                        let teacher = &soft.logits[head];
                        let values: Vec<f32> = samples
                            .iter()
                            .flat_map(|&sample| &teacher[sample * target.outputs..][..target.outputs])
                            .copied()
                            .collect();
                        let teacher = rows(values, target.outputs, logits)?;
                        terms.push((soft_loss(target.kind, distill, logits, &teacher)? * distill.soft)?);
                    }
                }
            }
            for term in terms {
                let term = (term * target.weight)?;
                total = Some(match total {
                    Some(total) => (total + term)?,
                    None => term,
                });
            }
        }
        match total {
            Some(total) => Ok(total),
            None => bail!("there is no loss: every weight is 0"),
        }
    }
}

/// Returns the loss against the labels.
///
/// Cross-entropy for a class; the stable binary cross-entropy, mean over the labels, for binary and multilabel; the mean
/// of (z - y)^2 for a regression, with y of mean 0 and deviation 1.
///
/// # Errors
///
/// When shapes do not fit or the device fails.
pub fn hard(target: &Target, samples: &[usize], logits: &Tensor) -> Result<Tensor> {
    match target.kind {
        HeadKind::Class => {
            let classes: Vec<u32> = samples.iter().map(|&sample| target.values[sample] as u32).collect();
            let classes = Tensor::from_vec(classes, samples.len(), logits.device())?.unsqueeze(1)?;
            Ok(log_softmax(logits, 1)?.gather(&classes, 1)?.mean_all()?.neg()?)
        }
        HeadKind::Binary | HeadKind::Multilabel => {
            let y: Vec<f32> = samples.iter().flat_map(|&sample| target.row(sample)).copied().collect();
            binary_cross_entropy(logits, &rows(y, target.outputs, logits)?)
        }
        HeadKind::Regression | HeadKind::Reconstruction => {
            let y = samples.iter().flat_map(|&sample| {
                target.row(sample).iter().zip(&target.scaling).map(|(y, [mean, deviation])| (y - mean) / deviation)
            });
            let y = rows(y.collect(), target.outputs, logits)?;
            Ok((logits - y)?.sqr()?.mean_all()?)
        }
    }
}

/// Returns the loss against the teacher's logits, both `[batch, outputs]`.
///
/// | method | class | binary, multilabel | regression |
/// |---|---|---|---|
/// | Hinton (Hinton 2015) | T^2 KL(p_t^T, p_s^T), summed over classes | T^2 KL of the two Bernoullis, mean over labels | mean (z_s - z_t)^2 |
/// | mse | mean (z_s - z_t)^2 | the same | the same |
///
/// # Errors
///
/// When shapes do not fit or the device fails.
pub fn soft_loss(kind: HeadKind, distill: &Distill, student: &Tensor, teacher: &Tensor) -> Result<Tensor> {
    let t = distill.temperature;
    let teacher = teacher.detach();
    match (distill.method, kind) {
        (Method::Hinton, HeadKind::Class) => {
            let log_p = log_softmax(&(teacher / t)?, 1)?;
            let log_q = log_softmax(&(student / t)?, 1)?;
            let divergence = (log_p.exp()? * (log_p - log_q)?)?.sum(1)?.mean_all()?;
            Ok((divergence * (t * t))?)
        }
        (Method::Hinton, HeadKind::Binary | HeadKind::Multilabel) => {
            let p = sigmoid(&(&teacher / t)?)?;
            // The teacher's entropy makes a divergence of the cross-entropy: 0 when the two agree.
            let entropy = binary_cross_entropy(&(&teacher / t)?, &p)?;
            let cross = binary_cross_entropy(&(student / t)?, &p)?;
            Ok(((cross - entropy)? * (t * t))?)
        }
        _ => Ok((student - teacher)?.sqr()?.mean_all()?),
    }
}

/// Returns the mean of `max(z, 0) - z y + ln(1 + e^-|z|)`, which stays finite for any logit.
fn binary_cross_entropy(z: &Tensor, y: &Tensor) -> Result<Tensor> {
    let softplus = (z.abs()?.neg()?.exp()? + 1.0)?.log()?;
    Ok(((crate::net::ops::relu(z)? - (z * y)?)? + softplus)?.mean_all()?)
}

fn sigmoid(z: &Tensor) -> Result<Tensor> {
    Ok((((z * 0.5)?.tanh()? + 1.0)? * 0.5)?)
}

#[cfg(test)]
mod tests {
    use candle_core::{Device, Var};

    use super::*;

    fn tensor(values: &[f32], width: usize) -> Tensor {
        Tensor::from_vec(values.to_vec(), (values.len() / width, width), &Device::Cpu).unwrap()
    }

    fn scalar(tensor: &Tensor) -> f32 {
        tensor.to_scalar().unwrap()
    }

    #[test]
    fn hinton_loss_equals_its_formula_and_is_zero_for_equal_logits() {
        let distill = Distill { temperature: 2.0, ..Distill::default() };
        let (student, teacher) =
            (tensor(&[1.0, -1.0, 0.5, 2.0, 0.0, 1.0], 3), tensor(&[2.0, 0.0, -1.0, 0.0, 0.0, 3.0], 3));
        let softmax = |z: &[f32]| -> Vec<f64> {
            let exps: Vec<f64> = z.iter().map(|&z| (f64::from(z) / 2.0).exp()).collect();
            let sum: f64 = exps.iter().sum();
            exps.iter().map(|e| e / sum).collect()
        };
        let mut expected = 0.0;
        for (s, t) in student.to_vec2::<f32>().unwrap().iter().zip(teacher.to_vec2::<f32>().unwrap()) {
            expected += softmax(&t).iter().zip(softmax(s)).map(|(p, q)| p * (p / q).ln()).sum::<f64>() * 4.0 / 2.0;
        }
        let got = scalar(&soft_loss(HeadKind::Class, &distill, &student, &teacher).unwrap());
        assert!((f64::from(got) - expected).abs() < 1e-5, "{got} {expected}");
        assert!(scalar(&soft_loss(HeadKind::Class, &distill, &teacher, &teacher).unwrap()).abs() < 1e-6);
        assert!(scalar(&soft_loss(HeadKind::Multilabel, &distill, &teacher, &teacher).unwrap()).abs() < 1e-6);
    }

    #[test]
    fn binary_cross_entropy_is_finite_for_extreme_logits() {
        let loss = scalar(&binary_cross_entropy(&tensor(&[100.0, -100.0], 1), &tensor(&[0.0, 1.0], 1)).unwrap());
        assert!((loss - 100.0).abs() < 1e-3, "{loss}");
    }

    #[test]
    fn every_soft_loss_moves_the_student_and_leaves_the_teacher() {
        for method in [Method::Hinton, Method::Mse] {
            for kind in [HeadKind::Class, HeadKind::Binary, HeadKind::Multilabel, HeadKind::Regression] {
                let distill = Distill { method, ..Distill::default() };
                let student = Var::from_tensor(&tensor(&[0.5, -0.5], 2)).unwrap();
                let teacher = Var::from_tensor(&tensor(&[2.0, -3.0], 2)).unwrap();
                let loss = soft_loss(kind, &distill, student.as_tensor(), teacher.as_tensor()).unwrap();
                let gradients = loss.backward().unwrap();
                let moved = gradients.get(&student).unwrap().abs().unwrap().max_all().unwrap();
                assert!(scalar(&moved) > 1e-3, "{method:?} {kind:?}");
                assert!(gradients.get(&teacher).is_none(), "{method:?} {kind:?}");
            }
        }
    }
}
