//! The direction of the outputs: mean of 1 - cos(z_s, z_t).

use anyhow::Result;
use candle_core::Tensor;

use super::distance::cosine_distance;
use super::{Head, LogitLoss, Logits, Loss};

pub(super) struct Cosine;

impl Loss for Cosine {
    fn name(&self) -> &'static str {
        "cosine"
    }

    fn as_method(&self) -> Option<[f64; 2]> {
        Some([0.1, 0.9])
    }

    fn warning(&self, head: &Head<'_>, _batch: usize) -> Option<String> {
        (head.outputs == 1).then(|| {
            format!(
                "head {:?} has one output, which has no direction: \"cosine\" teaches nothing there; take \"mse\"",
                head.name
            )
        })
    }
}

impl LogitLoss for Cosine {
    fn of_classes(&self, batch: &Logits<'_>) -> Result<Option<Tensor>> {
        Ok(Some(self.of_numbers(batch)?))
    }

    fn of_labels(&self, batch: &Logits<'_>) -> Result<Tensor> {
        self.of_numbers(batch)
    }

    fn of_numbers(&self, batch: &Logits<'_>) -> Result<Tensor> {
        Ok(cosine_distance(batch.student, batch.teacher)?.mean_all()?)
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
        let product = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
        let both = rows(&student, 1.0).into_iter().zip(rows(&teacher, 1.0));
        let cos = both.map(|(s, t)| product(&s, &t) / (product(&s, &s) * product(&t, &t)).sqrt());
        let expected = cos.map(|cos| (1.0 - cos) / 4.0).sum();
        for kind in [HeadKind::CLASS, HeadKind::MULTILABEL, HeadKind::REGRESSION] {
            assert_near(value(&Cosine, kind, &student, &teacher), expected);
        }
    }
}
