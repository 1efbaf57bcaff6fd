//! The rectifier on the CPU.

use super::storage::{CHUNK, floats, with_floats};
use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor};
use rayon::prelude::*;

/// See [`super::relu`].
pub(super) fn relu(x: &Tensor) -> Result<Tensor> {
    x.contiguous()?.apply_op1(Relu)
}

struct Relu;

impl CustomOp1 for Relu {
    fn name(&self) -> &'static str {
        "relu"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let x = floats(storage, layout)?;
        let mut y = vec![0.0; x.len()];
        y.par_chunks_mut(CHUNK).zip(x.par_chunks(CHUNK)).for_each(|(y, x)| {
            for (y, &x) in y.iter_mut().zip(x) {
                *y = if x <= 0.0 { 0.0 } else { x };
            }
        });
        Ok((CpuStorage::F32(y), layout.shape().clone()))
    }

    fn bwd(&self, _: &Tensor, y: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        let grad = grad.contiguous()?;
        let mut dx = vec![0.0; y.elem_count()];
        with_floats(y, |y| {
            with_floats(&grad, |grad| {
                dx.par_chunks_mut(CHUNK).zip(y.par_chunks(CHUNK)).zip(grad.par_chunks(CHUNK)).for_each(
                    |((dx, y), grad)| {
                        for ((dx, &y), &grad) in dx.iter_mut().zip(y).zip(grad) {
                            *dx = if y <= 0.0 { 0.0 } else { grad };
                        }
                    },
                );
                Ok(())
            })
        })?;
        Tensor::from_vec(dx, y.shape(), y.device()).map(Some)
    }
}

#[cfg(test)]
mod tests {
    use super::super::relu;
    use candle_core::{Device, Result, Var};

    #[test]
    fn the_derivative_at_zero_is_zero() -> Result<()> {
        let x = Var::new(&[-2.0f32, -0.0, 0.0, 1e-30, 3.0], &Device::Cpu)?;
        let y = relu(&x)?;
        assert_eq!(y.to_vec1::<f32>()?, [0.0, 0.0, 0.0, 1e-30, 3.0]);
        let grads = (y * 5.0)?.sum_all()?.backward()?;
        let dx = grads.get(&x).unwrap().to_vec1::<f32>()?;
        assert_eq!(dx, [0.0, 0.0, 0.0, 5.0, 5.0]);
        Ok(())
    }

    #[test]
    fn transposed_input_and_nan_pass() -> Result<()> {
        let x = Var::new(&[[1.0f32, -1.0], [f32::NAN, 2.0]], &Device::Cpu)?;
        let y = relu(&x.t()?)?;
        let values = y.flatten_all()?.to_vec1::<f32>()?;
        assert!(y.is_contiguous() && values[1].is_nan());
        assert_eq!([values[0], values[2], values[3]], [1.0, 0.0, 2.0]);
        Ok(())
    }
}
