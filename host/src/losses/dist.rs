//! Correlations of soft labels: T² (β (1 - mean correlation by row) + γ (1 - mean correlation by column)) of p^T, with T 4,
//! β 1, γ 1 and weight 2 (Huang et al. 2022).

use anyhow::Result;
use candle_core::Tensor;
use candle_nn::ops::softmax;

use super::distance::cosine_distance;
use super::{Head, Key, LogitLoss, Logits, Loss};

pub(super) struct Dist;

/// The weight of each sample's classes.
const BETA: Key = Key::number("beta", 1.0);

/// The weight of each class's samples.
const GAMMA: Key = Key::number("gamma", 1.0);

impl Loss for Dist {
    fn name(&self) -> &'static str {
        "dist"
    }

    fn keys(&self) -> &'static [Key] {
        &[BETA, GAMMA]
    }

    fn weight(&self) -> f64 {
        2.0
    }

    fn temperature(&self) -> Option<f64> {
        Some(4.0)
    }

    fn as_method(&self) -> Option<[f64; 2]> {
        Some([1.0, 2.0])
    }

    fn warning(&self, head: &Head<'_>, batch: usize) -> Option<String> {
        head.means_hinton(self.name()).or_else(|| {
            (batch < 8).then(|| {
                format!(
                    "batches of {batch} are too small for the correlations of \"dist\" between samples; take 32 or more"
                )
            })
        })
    }
}

impl LogitLoss for Dist {
    fn of_classes(&self, batch: &Logits<'_>) -> Result<Option<Tensor>> {
        let t = batch.temperature;
        let (p, q) = (softmax(&(batch.teacher / t)?, 1)?, softmax(&(batch.student / t)?, 1)?);
        let rows = (1.0 - correlation(&q, &p)?)?;
        let columns = (1.0 - correlation(&q.t()?.contiguous()?, &p.t()?.contiguous()?)?)?;
        let (beta, gamma) = (batch.numbers.value(&BETA), batch.numbers.value(&GAMMA));
        Ok(Some((((rows * beta)? + (columns * gamma)?)? * (t * t))?))
    }
}

/// Returns the mean correlation of rows.
fn correlation(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    let centred = |x: &Tensor| x.broadcast_sub(&x.mean_keepdim(1)?);
    Ok((1.0 - cosine_distance(&centred(a)?, &centred(b)?)?)?.mean_all()?)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{assert_near, pair, rows, softmax, value};
    use super::*;
    use crate::heads::HeadKind;

    #[test]
    fn loss_equals_its_formula() {
        let (student, teacher) = pair();
        let correlation = |a: &[f64], b: &[f64]| {
            let n = a.len() as f64;
            let (ma, mb) = (a.iter().sum::<f64>() / n, b.iter().sum::<f64>() / n);
            let sum = |f: &dyn Fn(f64, f64) -> f64| a.iter().zip(b).map(|(a, b)| f(a - ma, b - mb)).sum::<f64>();
            sum(&|a, b| a * b) / (sum(&|a, _| a * a) * sum(&|_, b| b * b)).sqrt()
        };
        let [p, q] = [&teacher, &student].map(|z| rows(z, 4.0).iter().map(|z| softmax(z)).collect::<Vec<_>>());
        let by_row = p.iter().zip(&q).map(|(p, q)| correlation(p, q)).sum::<f64>() / 4.0;
        let column = |rows: &[Vec<f64>], c: usize| rows.iter().map(|row| row[c]).collect::<Vec<f64>>();
        let by_column = (0..3).map(|c| correlation(&column(&p, c), &column(&q, c))).sum::<f64>() / 3.0;
        assert_near(value(&Dist, HeadKind::CLASS, &student, &teacher), 16.0 * (2.0 - by_row - by_column));
    }
}
