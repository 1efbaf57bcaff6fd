//! The dense layer on the CPU: matrix products that start from the bias.

use super::gemm::{Matrix, product};
use super::layer::{self, Layer};
use super::storage::{accumulate, vectorized};
use candle_core::{Result, Shape, Tensor};

/// See [`super::dense()`].
pub(super) fn dense(x: &Tensor, weight: &Tensor, bias: &Tensor) -> Result<Tensor> {
    let (batch, inputs) = x.dims2()?;
    let plan = Dense { batch, inputs, outputs: bias.elem_count() };
    layer::apply(plan, x, weight, bias)
}

/// The sizes of a dense layer.
pub(crate) struct Dense {
    pub(crate) batch: usize,
    pub(crate) inputs: usize,
    pub(crate) outputs: usize,
}

impl Layer for Dense {
    fn name(&self) -> &'static str {
        "dense"
    }

    fn shape(&self) -> Shape {
        (self.batch, self.outputs).into()
    }

    /// The result for `x`, with weights `[outputs, inputs]`.
    fn forward(&self, x: &[f32], weight: &[f32], bias: Option<&[f32]>) -> Vec<f32> {
        let mut y = vec![0.0; self.batch * self.outputs];
        if let Some(bias) = bias {
            y.chunks_exact_mut(self.outputs).for_each(|y| y.copy_from_slice(bias));
        }
        let shape = [self.batch, self.outputs, self.inputs];
        let (a, b) = (Matrix::rows(x, self.inputs), Matrix::transposed(weight, self.inputs));
        product(&mut y, shape, a, b, bias.is_some(), true);
        y
    }

    fn backward(&self, x: &[f32], weight: &[f32], grad: &[f32], with_input: bool) -> [Vec<f32>; 3] {
        let mut dx = vec![0.0; if with_input { x.len() } else { 0 }];
        if with_input {
            let (a, b) = (Matrix::rows(grad, self.outputs), Matrix::rows(weight, self.inputs));
            product(&mut dx, [self.batch, self.inputs, self.outputs], a, b, false, true);
        }
        let mut dweight = vec![0.0; weight.len()];
        let (a, b) = (Matrix::transposed(grad, self.outputs), Matrix::rows(x, self.inputs));
        product(&mut dweight, [self.outputs, self.inputs, self.batch], a, b, false, true);
        let mut dbias = vec![0.0; self.outputs];
        vectorized(|| grad.chunks_exact(self.outputs).for_each(|grad| accumulate(&mut dbias, grad)));
        [dx, dweight, dbias]
    }
}

#[cfg(test)]
mod tests {
    use super::super::{dense, portable, testing::*};
    use candle_core::{Result, Tensor};

    #[test]
    fn agrees_with_a_direct_loop_in_values_and_gradients() -> Result<()> {
        for [batch, inputs, outputs] in [[1, 1, 1], [3, 7, 5], [17, 33, 20]] {
            let operands = [random(1, &[batch, inputs])?, random(2, &[outputs, inputs])?, random(3, &[outputs])?];
            let naive = |o: &[Tensor]| {
                let (x, weight, bias) = (values(&o[0]), values(&o[1]), values(&o[2]));
                let y = |b: usize, n: usize| -> f32 {
                    let products = (0..inputs).map(|i| x[b * inputs + i] * weight[n * inputs + i]);
                    bias[n] + products.sum::<f32>()
                };
                (0..batch).flat_map(|b| (0..outputs).map(move |n| (b, n))).map(|(b, n)| y(b, n)).collect()
            };
            check_operator(&operands, naive, |o| dense(&o[0], &o[1], &o[2]), |o| portable::dense(&o[0], &o[1], &o[2]))?;
        }
        Ok(())
    }

    #[test]
    fn the_bits_do_not_depend_on_the_threads() -> Result<()> {
        let operands = [random(1, &[128, 784])?, random(2, &[300, 784])?, random(3, &[300])?];
        assert_bits(&operands, |o| dense(&o[0], &o[1], &o[2]))
    }
}
