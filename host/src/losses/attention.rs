//! Where a layer looks: mean (a_s - a_t)² with a the mean of f² over the channels, brought to length 1, with weight 1000
//! (Zagoruyko, Komodakis 2017).

use anyhow::Result;
use candle_core::Tensor;

use super::distance::squares;
use super::{LayerLoss, Layers, Loss};

pub(super) struct Attention;

impl Loss for Attention {
    fn name(&self) -> &'static str {
        "attention"
    }

    fn weight(&self) -> f64 {
        1000.0
    }
}

impl LayerLoss for Attention {
    fn of_layers(&self, batch: &Layers<'_>) -> Result<Tensor> {
        squares(&attention(batch.student)?, &attention(batch.teacher)?)
    }
}

/// Returns the mean of the squares over the channels, brought to length 1 in each sample, `[batch, positions]`.
fn attention(f: &Tensor) -> Result<Tensor> {
    let map = f.sqr()?.mean(3)?.flatten_from(1)?;
    let length = (map.sqr()?.sum_keepdim(1)? + 1e-12)?.sqrt()?;
    Ok(map.broadcast_div(&length)?)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{assert_near, layer, value_of_layers};
    use super::*;

    #[test]
    fn loss_equals_its_formula() {
        let maps = |x: &Tensor| -> Vec<f64> {
            let channels = x.dim(3).unwrap();
            let values = x.flatten_all().unwrap().to_vec1::<f32>().unwrap();
            let mean = |cell: &[f32]| cell.iter().map(|f| f64::from(*f).powi(2)).sum::<f64>() / channels as f64;
            let means: Vec<f64> = values.chunks(channels).map(mean).collect();
            let of_sample = |map: &[f64]| {
                let length = map.iter().map(|a| a * a).sum::<f64>().sqrt();
                map.iter().map(|a| a / length).collect::<Vec<f64>>()
            };
            means.chunks(6).flat_map(of_sample).collect()
        };
        let (student, teacher) = (layer(1, 3), layer(2, 5));
        let (s, t) = (maps(&student), maps(&teacher));
        let expected = s.iter().zip(&t).map(|(s, t)| (s - t).powi(2)).sum::<f64>() / s.len() as f64;
        assert_near(value_of_layers(&Attention, &student, &teacher, &[]), expected);
        assert!(value_of_layers(&Attention, &student, &student, &[]).abs() < 1e-6);
    }
}
