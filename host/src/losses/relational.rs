//! Relations between samples: β smooth L1 of distances, by their mean, + γ smooth L1 of angles, of the means of f over the
//! positions, with β 25 and γ 50 (Park et al. 2019).

use anyhow::Result;
use candle_core::Tensor;

use super::distance::{huber, pooled};
use super::{Key, LayerLoss, Layers, Loss};

pub(super) struct Relational;

/// The weight of distances.
const BETA: Key = Key::number("beta", 25.0);

/// The weight of angles.
const GAMMA: Key = Key::number("gamma", 50.0);

impl Loss for Relational {
    fn name(&self) -> &'static str {
        "relational"
    }

    fn keys(&self) -> &'static [Key] {
        &[BETA, GAMMA]
    }
}

impl LayerLoss for Relational {
    fn of_layers(&self, batch: &Layers<'_>) -> Result<Tensor> {
        let (s, t) = (pooled(batch.student)?, pooled(batch.teacher)?);
        let distances = huber(&(distances(&s)? - distances(&t)?)?)?.mean_all()?;
        let angles = huber(&(angles(&s)? - angles(&t)?)?)?.mean_all()?;
        let (beta, gamma) = (batch.numbers.value(&BETA), batch.numbers.value(&GAMMA));
        Ok(((distances * beta)? + (angles * gamma)?)?)
    }

    fn check_shapes(&self, _student: [usize; 3], _teacher: [usize; 3]) -> Result<()> {
        Ok(())
    }
}

/// Returns the distances of all pairs by their mean, `[batch, batch]`, 0 on the diagonal.
fn distances(x: &Tensor) -> Result<Tensor> {
    let apart = (x.unsqueeze(1)?.broadcast_sub(&x.unsqueeze(0)?)?).sqr()?.sum(2)?;
    let batch = x.dim(0)?;
    let off = off_diagonal(batch, x)?;
    // The root has no derivative at 0, where two samples or a sample and itself meet.
    let distances = ((apart + 1e-12)?.sqrt()? * &off)?;
    let pairs = (batch * batch.saturating_sub(1)).max(1) as f64;
    let mean = ((distances.sum_all()? / pairs)? + 1e-12)?;
    Ok(distances.broadcast_div(&mean)?)
}

/// Returns the cosines of the angles at the second of all triples, `[batch, batch, batch]`.
fn angles(x: &Tensor) -> Result<Tensor> {
    let apart = x.unsqueeze(0)?.broadcast_sub(&x.unsqueeze(1)?)?;
    let length = (apart.sqr()?.sum_keepdim(2)? + 1e-12)?.sqrt()?;
    let direction = apart.broadcast_div(&length)?;
    Ok(direction.matmul(&direction.transpose(1, 2)?.contiguous()?)?)
}

fn off_diagonal(batch: usize, like: &Tensor) -> Result<Tensor> {
    let values: Vec<f32> = (0..batch * batch).map(|at| f32::from(u8::from(at / batch != at % batch))).collect();
    Ok(Tensor::from_vec(values, (batch, batch), like.device())?)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{layer, value_of_layers};
    use super::*;

    /// What distances and angles are by three loops over samples.
    #[test]
    fn relations_equal_their_formula() {
        let x = pooled(&layer(1, 3)).unwrap();
        let rows = x.to_vec2::<f32>().unwrap();
        let apart =
            |i: usize, j: usize| -> Vec<f64> { rows[i].iter().zip(&rows[j]).map(|(a, b)| f64::from(a - b)).collect() };
        let length = |v: &[f64]| v.iter().map(|v| v * v).sum::<f64>().sqrt();
        let mean =
            (0..4).flat_map(|i| (0..4).map(move |j| (i, j))).map(|(i, j)| length(&apart(i, j))).sum::<f64>() / 12.0;
        let (d, a) = (distances(&x).unwrap().to_vec2::<f32>().unwrap(), angles(&x).unwrap().to_vec3::<f32>().unwrap());
        for i in 0..4 {
            for j in 0..4 {
                assert!((f64::from(d[i][j]) - length(&apart(i, j)) / mean).abs() < 1e-4);
                for (k, &got) in a[i][j].iter().enumerate() {
                    let (u, v) = (apart(j, i), apart(k, i));
                    let cos = u.iter().zip(&v).map(|(u, v)| u * v).sum::<f64>() / (length(&u) * length(&v)).max(1e-9);
                    assert!((f64::from(got) - cos).abs() < 1e-3, "{i} {j} {k}");
                }
            }
        }
    }

    #[test]
    fn equal_layers_have_no_loss() {
        assert!(value_of_layers(&Relational, &layer(1, 3), &layer(1, 3), &[]).abs() < 1e-6);
    }
}
