//! The logits themselves, far ones counted less: mean of d²/2 for d = |z_s - z_t| up to 1, d - 1/2 beyond (Huber 1964).

use anyhow::Result;
use candle_core::Tensor;

use super::{LogitLoss, Logits, Loss, distance};

pub(super) struct Huber;

impl Loss for Huber {
    fn name(&self) -> &'static str {
        "huber"
    }

    fn as_method(&self) -> Option<[f64; 2]> {
        Some([0.1, 0.9])
    }
}

impl LogitLoss for Huber {
    fn of_classes(&self, batch: &Logits<'_>) -> Result<Option<Tensor>> {
        Ok(Some(self.of_numbers(batch)?))
    }

    fn of_labels(&self, batch: &Logits<'_>) -> Result<Tensor> {
        self.of_numbers(batch)
    }

    fn of_numbers(&self, batch: &Logits<'_>) -> Result<Tensor> {
        Ok(distance::huber(&(batch.student - batch.teacher)?)?.mean_all()?)
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
        let one = |d: f64| if d <= 1.0 { d * d / 2.0 } else { d - 0.5 };
        let expected = s.iter().zip(&t).map(|(s, t)| one((s - t).abs())).sum::<f64>() / s.len() as f64;
        for kind in [HeadKind::CLASS, HeadKind::MULTILABEL, HeadKind::REGRESSION] {
            assert_near(value(&Huber, kind, &student, &teacher), expected);
        }
    }
}
