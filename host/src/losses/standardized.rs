//! Soft labels of standardised logits: as `hinton` for (z - mean) / (deviation + 1e-7) by sample, with T 2 and weight 9
//! (Sun et al. 2024).

use anyhow::Result;
use candle_core::Tensor;

use super::distance::divergence;
use super::{Head, LogitLoss, Logits, Loss};

pub(super) struct Standardized;

impl Loss for Standardized {
    fn name(&self) -> &'static str {
        "standardized"
    }

    fn weight(&self) -> f64 {
        9.0
    }

    fn temperature(&self) -> Option<f64> {
        Some(2.0)
    }

    fn as_method(&self) -> Option<[f64; 2]> {
        Some([0.1, 9.0])
    }

    fn warning(&self, head: &Head<'_>, _batch: usize) -> Option<String> {
        if head.has_two_classes() {
            return Some(format!(
                "head {:?} has two classes: of two standardised logits only the sign is left; take \"hinton\"",
                head.name
            ));
        }
        head.means_hinton(self.name())
    }
}

impl LogitLoss for Standardized {
    fn of_classes(&self, batch: &Logits<'_>) -> Result<Option<Tensor>> {
        Ok(Some(divergence(&standardized(batch.student)?, &standardized(batch.teacher)?, batch.temperature)?))
    }
}

/// Returns logits with mean 0 and deviation 1 in each sample, n - 1 in the denominator.
fn standardized(z: &Tensor) -> Result<Tensor> {
    let count = z.dim(1)? as f64;
    let centred = z.broadcast_sub(&z.mean_keepdim(1)?)?;
    let variance = (centred.sqr()?.sum_keepdim(1)? / (count - 1.0).max(1.0))?;
    // The root has no derivative at 0.
    let deviation = ((variance + 1e-14)?.sqrt()? + 1e-7)?;
    Ok(centred.broadcast_div(&deviation)?)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{assert_near, kl, pair, rows, softmax, value};
    use super::*;
    use crate::heads::HeadKind;

    #[test]
    fn loss_equals_its_formula() {
        let (student, teacher) = pair();
        let standard = |z: &[f64]| -> Vec<f64> {
            let mean = z.iter().sum::<f64>() / 3.0;
            let deviation = (z.iter().map(|z| (z - mean).powi(2)).sum::<f64>() / 2.0).sqrt();
            z.iter().map(|z| (z - mean) / (deviation + 1e-7) / 2.0).collect()
        };
        let both = rows(&student, 1.0).into_iter().zip(rows(&teacher, 1.0));
        let expected: f64 = both.map(|(s, t)| 4.0 * kl(&softmax(&standard(&t)), &softmax(&standard(&s))) / 4.0).sum();
        assert_near(value(&Standardized, HeadKind::CLASS, &student, &teacher), expected);
    }
}
