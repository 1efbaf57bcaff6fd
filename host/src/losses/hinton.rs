//! Soft labels: T² KL(p_t^T, p_s^T), with T 4 (Hinton, Vinyals, Dean 2015).

use anyhow::Result;
use candle_core::Tensor;

use super::distance::divergence;
use super::{LogitLoss, Logits, Loss};

pub(super) struct Hinton;

impl Loss for Hinton {
    fn name(&self) -> &'static str {
        "hinton"
    }

    fn temperature(&self) -> Option<f64> {
        Some(4.0)
    }

    fn as_method(&self) -> Option<[f64; 2]> {
        Some([0.1, 0.9])
    }
}

impl LogitLoss for Hinton {
    fn of_classes(&self, batch: &Logits<'_>) -> Result<Option<Tensor>> {
        Ok(Some(divergence(batch.student, batch.teacher, batch.temperature)?))
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{assert_near, kl, pair, rows, softmax, value};
    use super::*;
    use crate::heads::HeadKind;

    #[test]
    fn loss_equals_its_formula() {
        let (student, teacher) = pair();
        let both = rows(&student, 4.0).into_iter().zip(rows(&teacher, 4.0));
        let expected: f64 = both.map(|(s, t)| 16.0 * kl(&softmax(&t), &softmax(&s)) / 4.0).sum();
        assert_near(value(&Hinton, HeadKind::CLASS, &student, &teacher), expected);
    }
}
