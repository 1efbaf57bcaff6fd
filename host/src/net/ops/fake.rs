//! Fake quantisation: values rounded to the integers that a board will hold, gradients passed straight through.

use super::storage::{floats, with_floats};
use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor};
use rayon::prelude::*;

/// How values become integers and come back: `scale * (clamp(round(x / scale) + zero, least, most) - zero)`.
#[derive(Debug, Clone, PartialEq)]
pub struct Rounding {
    /// The scales.
    pub scales: Vec<f32>,
    /// Which scale a value has.
    pub by: Scales,
    /// The integer that stands for 0.
    pub zero: f32,
    /// The least integer.
    pub least: f32,
    /// The greatest integer.
    pub most: f32,
}

/// Which of several scales a value has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scales {
    /// So many values in a row have one scale, the next ones the next.
    Rows(usize),
    /// The scales follow each other value by value, and again.
    Columns,
}

impl Rounding {
    #[inline(always)]
    fn scale(&self, place: usize) -> f32 {
        match self.by {
            Scales::Rows(len) => self.scales[place / len],
            Scales::Columns => self.scales[place % self.scales.len()],
        }
    }

    #[inline(always)]
    fn round(&self, x: f32, scale: f32) -> f32 {
        ((x / scale + self.zero).round().clamp(self.least, self.most) - self.zero) * scale
    }

    /// Whether a value is inside of what its integers reach, half a step included.
    #[inline(always)]
    fn inside(&self, x: f32, scale: f32) -> bool {
        let q = x / scale + self.zero;
        q >= self.least - 0.5 && q <= self.most + 0.5
    }
}

/// See [`super::fake_quantize`].
pub(super) fn fake_quantize(x: &Tensor, rounding: &Rounding) -> Result<Tensor> {
    x.contiguous()?.apply_op1(Fake(rounding.clone()))
}

struct Fake(Rounding);

impl CustomOp1 for Fake {
    fn name(&self) -> &'static str {
        "fake_quantize"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let x = floats(storage, layout)?;
        let mut y = vec![0.0; x.len()];
        y.par_chunks_mut(CHUNK).zip(x.par_chunks(CHUNK)).enumerate().for_each(|(chunk, (y, x))| {
            for (place, (y, &x)) in y.iter_mut().zip(x).enumerate() {
                *y = self.0.round(x, self.0.scale(chunk * CHUNK + place));
            }
        });
        Ok((CpuStorage::F32(y), layout.shape().clone()))
    }

    fn bwd(&self, x: &Tensor, _: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        let grad = grad.contiguous()?;
        let mut dx = vec![0.0; x.elem_count()];
        with_floats(x, |x| {
            with_floats(&grad, |grad| {
                dx.par_chunks_mut(CHUNK).zip(x.par_chunks(CHUNK)).zip(grad.par_chunks(CHUNK)).enumerate().for_each(
                    |(chunk, ((dx, x), grad))| {
                        for (place, (dx, (&x, &grad))) in dx.iter_mut().zip(x.iter().zip(grad)).enumerate() {
                            *dx = if self.0.inside(x, self.0.scale(chunk * CHUNK + place)) { grad } else { 0.0 };
                        }
                    },
                );
                Ok(())
            })
        })?;
        Tensor::from_vec(dx, x.shape(), x.device()).map(Some)
    }
}

/// Values that a thread takes at a time.
const CHUNK: usize = 1 << 14;

#[cfg(test)]
mod tests {
    use super::super::{fake_quantize, portable};
    use super::{Rounding, Scales};
    use candle_core::{Device, Result, Tensor, Var};

    #[test]
    fn values_are_rounded_and_gradients_pass_inside() -> Result<()> {
        let rounding = Rounding { scales: vec![0.5, 0.1], by: Scales::Rows(3), zero: 1.0, least: -8.0, most: 7.0 };
        let x = Var::new(&[[0.2f32, 0.3, 9.0], [0.2, -0.06, -2.0]], &Device::Cpu)?;
        for function in [fake_quantize, portable::fake_quantize] {
            let y = function(&x, &rounding)?;
            let expected = [0.0, 0.5, 3.0, 0.2, -0.1, -0.9];
            for (got, expected) in y.flatten_all()?.to_vec1::<f32>()?.iter().zip(expected) {
                assert!((got - expected).abs() < 1e-6, "{y}");
            }
            let gradients = (y * 2.0)?.sum_all()?.backward()?;
            let gradient = gradients.get(&x).unwrap().flatten_all()?.to_vec1::<f32>()?;
            assert_eq!(gradient, [2.0, 2.0, 0.0, 2.0, 2.0, 0.0]);
        }
        Ok(())
    }

    #[test]
    fn columns_have_scales_of_their_own() -> Result<()> {
        let rounding = Rounding { scales: vec![1.0, 10.0], by: Scales::Columns, zero: 0.0, least: -127.0, most: 127.0 };
        let x = Tensor::new(&[[1.4f32, 14.0], [-0.6, -6.0]], &Device::Cpu)?;
        for function in [fake_quantize, portable::fake_quantize] {
            assert_eq!(function(&x, &rounding)?.to_vec2::<f32>()?, [[1.0, 10.0], [-1.0, -10.0]]);
        }
        Ok(())
    }
}
