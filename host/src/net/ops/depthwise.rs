//! The depthwise convolution on the CPU: one pass over the taps, all channels side by side.

use super::Window;
use super::storage::{accumulate, floats, total, with_floats};
use candle_core::{CpuStorage, CustomOp3, Layout, Result, Shape, Tensor};
use rayon::prelude::*;

/// See [`super::depthwise()`].
pub(super) fn depthwise(x: &Tensor, weight: &Tensor, bias: &Tensor, window: &Window) -> Result<Tensor> {
    let (batch, height, width, channels) = x.dims4()?;
    let plan = Plan { window: *window, batch, input: [height, width], channels };
    x.contiguous()?.apply_op3(&weight.contiguous()?, &bias.contiguous()?, plan)
}

/// One depthwise convolution's geometry.
struct Plan {
    window: Window,
    batch: usize,
    input: [usize; 2],
    channels: usize,
}

impl CustomOp3 for Plan {
    fn name(&self) -> &'static str {
        "depthwise"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        weight: &CpuStorage,
        weight_layout: &Layout,
        bias: &CpuStorage,
        bias_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (x, weight) = (floats(x, x_layout)?, floats(weight, weight_layout)?);
        let bias = floats(bias, bias_layout)?;
        let mut y = vec![0.0; self.batch * self.result()];
        y.par_chunks_mut(self.result())
            .zip(x.par_chunks(self.image()))
            .for_each(|(y, x)| self.forward(x, weight, bias, y));
        let [oh, ow] = self.window.out;
        let shape = (self.batch, oh, ow, self.channels);
        Ok((CpuStorage::F32(y), shape.into()))
    }

    fn bwd(
        &self,
        x: &Tensor,
        weight: &Tensor,
        bias: &Tensor,
        _y: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let grad = grad.contiguous()?;
        let mut dx = vec![0.0; if x.track_op() { x.elem_count() } else { 0 }];
        let (dweight, dbias) = with_floats(x, |x| {
            with_floats(weight, |weight| with_floats(&grad, |grad| Ok(self.backward(x, weight, grad, &mut dx))))
        })?;
        let dx = match x.track_op() {
            true => Some(Tensor::from_vec(dx, x.shape(), x.device())?),
            false => None,
        };
        let dweight = Tensor::from_vec(dweight, weight.shape(), weight.device())?;
        let dbias = Tensor::from_vec(dbias, bias.shape(), bias.device())?;
        Ok((dx, Some(dweight), Some(dbias)))
    }
}

impl Plan {
    /// Values in an image of the input.
    fn image(&self) -> usize {
        self.input[0] * self.input[1] * self.channels
    }

    /// Values in an image of the result.
    fn result(&self) -> usize {
        self.window.positions() * self.channels
    }

    fn forward(&self, x: &[f32], weight: &[f32], bias: &[f32], y: &mut [f32]) {
        for y in y.chunks_exact_mut(self.channels) {
            y.copy_from_slice(bias);
        }
        self.each_tap(|from, to, tap| {
            let (y, x) = (&mut y[to..][..self.channels], &x[from..][..self.channels]);
            let weight = &weight[tap..][..self.channels];
            for ((y, x), weight) in y.iter_mut().zip(x).zip(weight) {
                *y += x * weight;
            }
        });
    }

    /// The gradients of weight and bias; adds that of the input to `dx` unless that is empty.
    fn backward(&self, x: &[f32], weight: &[f32], grad: &[f32], dx: &mut [f32]) -> (Vec<f32>, Vec<f32>) {
        let mut dx = dx.chunks_mut(self.image());
        let shares: Vec<&mut [f32]> = (0..self.batch).map(|_| dx.next().unwrap_or_default()).collect();
        let (dweight, dbias) = shares
            .into_par_iter()
            .zip(x.par_chunks(self.image()))
            .zip(grad.par_chunks(self.result()))
            .map(|((dx, x), grad)| self.backward_image(x, weight, grad, dx))
            .unzip();
        (total(dweight, weight.len()), total(dbias, self.channels))
    }

    fn backward_image(&self, x: &[f32], weight: &[f32], grad: &[f32], dx: &mut [f32]) -> (Vec<f32>, Vec<f32>) {
        let mut dbias = vec![0.0; self.channels];
        for grad in grad.chunks_exact(self.channels) {
            accumulate(&mut dbias, grad);
        }
        let mut dweight = vec![0.0; weight.len()];
        self.each_tap(|from, to, tap| {
            let grad = &grad[to..][..self.channels];
            let x = &x[from..][..self.channels];
            let dweight = &mut dweight[tap..][..self.channels];
            for ((dweight, x), grad) in dweight.iter_mut().zip(x).zip(grad) {
                *dweight += x * grad;
            }
            if !dx.is_empty() {
                let weight = &weight[tap..][..self.channels];
                let dx = &mut dx[from..][..self.channels];
                for ((dx, weight), grad) in dx.iter_mut().zip(weight).zip(grad) {
                    *dx += weight * grad;
                }
            }
        });
        (dweight, dbias)
    }

    /// Calls `each` for the taps of all output positions of an image, with where the channels
    /// start in the input, in the result and in the weights.
    fn each_tap(&self, mut each: impl FnMut(usize, usize, usize)) {
        let window = &self.window;
        for oy in 0..window.out[0] {
            let rows = window.taps(0, oy, self.input[0]);
            for ox in 0..window.out[1] {
                let to = (oy * window.out[1] + ox) * self.channels;
                let columns = window.taps(1, ox, self.input[1]);
                for ky in rows.clone() {
                    let line = window.input(0, oy, ky) * self.input[1];
                    for kx in columns.clone() {
                        let from = (line + window.input(1, ox, kx)) * self.channels;
                        each(from, to, (ky * window.kernel[1] + kx) * self.channels);
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{depthwise, portable, testing::*};
    use super::Window;
    use candle_core::{Result, Tensor};

    fn check(batch: usize, input: [usize; 2], channels: usize, window: Window) -> Result<()> {
        let [kh, kw] = window.kernel;
        let operands = [
            random(1, &[batch, input[0], input[1], channels])?,
            random(2, &[kh, kw, channels])?,
            random(3, &[channels])?,
        ];
        let naive = |o: &[Tensor]| {
            let (x, weight, bias) = (Naive::new(&o[0]), values(&o[1]), values(&o[2]));
            let mut y = Vec::new();
            x.windows(&window, |b, p| {
                for c in 0..channels {
                    let mut sum = bias[c];
                    for (tap, at) in taps(&window, p) {
                        sum += weight[tap * channels + c] * x.at(b, at, c).unwrap_or(0.0);
                    }
                    y.push(sum);
                }
            });
            y
        };
        check_operator(
            &operands,
            naive,
            |o| depthwise(&o[0], &o[1], &o[2], &window),
            |o| portable::depthwise(&o[0], &o[1], &o[2], &window),
        )
    }

    #[test]
    fn agrees_with_a_direct_loop_in_values_and_gradients() -> Result<()> {
        for (input, window) in windows() {
            check(2, input, 3, window)?;
        }
        check(3, [6, 5], 1, same([6, 5], [3, 3], [1, 1], [1, 1]))
    }

    #[test]
    fn the_bits_do_not_depend_on_the_threads() -> Result<()> {
        let window = same([25, 5], [3, 3], [1, 1], [1, 1]);
        let operands = [random(1, &[37, 25, 5, 9])?, random(2, &[3, 3, 9])?, random(3, &[9])?];
        assert_bits(&operands, |o| depthwise(&o[0], &o[1], &o[2], &window))
    }
}
