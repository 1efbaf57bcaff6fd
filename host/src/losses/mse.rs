//! The logits themselves: mean (z_s - z_t)², the limit of `hinton` for a large T.

use anyhow::Result;
use candle_core::Tensor;

use super::distance::squares;
use super::{LogitLoss, Logits, Loss};

pub(super) struct Mse;

impl Loss for Mse {
    fn name(&self) -> &'static str {
        "mse"
    }

    fn as_method(&self) -> Option<[f64; 2]> {
        Some([0.1, 0.9])
    }
}

impl LogitLoss for Mse {
    fn of_classes(&self, batch: &Logits<'_>) -> Result<Option<Tensor>> {
        Ok(Some(squares(batch.student, batch.teacher)?))
    }

    fn of_labels(&self, batch: &Logits<'_>) -> Result<Tensor> {
        squares(batch.student, batch.teacher)
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{assert_near, pair, rows, value};
    use super::*;
    use crate::heads::HeadKind;

    #[test]
    fn loss_equals_its_formula() {
        let (student, teacher) = pair();
        let (s, t) = (rows(&student, 1.0).concat(), rows(&teacher, 1.0).concat());
        let expected = s.iter().zip(&t).map(|(s, t)| (s - t).powi(2)).sum::<f64>() / s.len() as f64;
        for kind in [HeadKind::CLASS, HeadKind::MULTILABEL, HeadKind::REGRESSION] {
            assert_near(value(&Mse, kind, &student, &teacher), expected);
        }
    }
}
