//! A layer of the student through a learned map: mean (R f_s - f_t)², R a learned 1x1 convolution, with weight 100
//! (Romero et al. 2015).

use anyhow::Result;
use candle_core::Tensor;

use super::distance::squares;
use super::{LayerLoss, Layers, Learned, Loss, Numbers};

pub(super) struct Hint;

impl Loss for Hint {
    fn name(&self) -> &'static str {
        "hint"
    }

    fn weight(&self) -> f64 {
        100.0
    }
}

impl LayerLoss for Hint {
    fn of_layers(&self, batch: &Layers<'_>) -> Result<Tensor> {
        let (weight, bias) = (batch.learned("weight")?, batch.learned("bias")?);
        let (samples, height, width, channels) = batch.student.dims4()?;
        let rows = batch.student.reshape((samples * height * width, channels))?;
        let regressed = rows.matmul(&weight.t()?)?.broadcast_add(bias)?.reshape(batch.teacher.shape())?;
        squares(&regressed, batch.teacher)
    }

    fn learned(&self, _numbers: &Numbers, student: usize, teacher: usize) -> Vec<Learned> {
        // As near to the identity as the sizes allow: no draw that another seed would change.
        let identity = |at| f32::from(u8::from(at / student % student == at % student));
        let weight = (0..teacher * student).map(identity).collect();
        vec![
            Learned { name: "weight", shape: vec![teacher, student], values: weight },
            Learned { name: "bias", shape: vec![teacher], values: vec![0.0; teacher] },
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{assert_near, layer, learned_of, value_of_layers};
    use super::*;

    /// The first map repeats the student's channels.
    #[test]
    fn loss_of_the_first_map_equals_its_formula() {
        let (student, teacher) = (layer(1, 3), layer(2, 5));
        let values = |x: &Tensor| x.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        let (s, t) = (values(&student), values(&teacher));
        let square = |(at, t): (usize, &f32)| f64::from(s[at / 5 * 3 + at % 5 % 3] - t).powi(2);
        let expected = t.iter().enumerate().map(square).sum::<f64>() / t.len() as f64;
        assert_near(value_of_layers(&Hint, &student, &teacher, &learned_of(&Hint, 3, 5)), expected);
    }
}
