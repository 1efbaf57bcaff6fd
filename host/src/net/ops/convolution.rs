//! The convolution on the CPU: patches unfolded block by block into a matrix that stays in the
//! cache, times the weights. The whole matrix of patches is never held; the backward pass unfolds
//! again.

use super::Window;
use super::storage::{accumulate, floats, total, with_floats};
use candle_core::{CpuStorage, CustomOp3, Device, Layout, Result, Shape, Tensor};
use rayon::prelude::*;
use std::ops::Range;

/// See [`super::conv2d`]; here `weight` is `[out, kh * kw * channels]`.
pub(super) fn conv2d(x: &Tensor, weight: &Tensor, bias: &Tensor, window: &Window) -> Result<Tensor> {
    let (batch, height, width, channels) = x.dims4()?;
    let plan = Plan { window: *window, batch, input: [height, width], channels, out: bias.elem_count() };
    x.contiguous()?.apply_op3(&weight.contiguous()?, &bias.contiguous()?, plan)
}

/// One convolution's geometry.
struct Plan {
    window: Window,
    batch: usize,
    input: [usize; 2],
    channels: usize,
    out: usize,
}

impl CustomOp3 for Plan {
    fn name(&self) -> &'static str {
        "conv2d"
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
        let weight = floats(weight, weight_layout)?;
        let weight = Tensor::from_slice(weight, (self.out, self.patch()), &Device::Cpu)?;
        let y = self.forward(floats(x, x_layout)?, &weight.t()?, floats(bias, bias_layout)?)?;
        let [oh, ow] = self.window.out;
        Ok((CpuStorage::F32(y), (self.batch, oh, ow, self.out).into()))
    }

    fn bwd(
        &self,
        x: &Tensor,
        weight: &Tensor,
        _bias: &Tensor,
        _y: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let grad = grad.contiguous()?;
        let grad = grad.reshape((self.batch * self.window.positions(), self.out))?;
        let weight_values = weight.detach();
        let mut dx = vec![0.0; if x.track_op() { x.elem_count() } else { 0 }];
        let (dweight, dbias) = with_floats(x, |x| self.backward(x, &weight_values, &grad, &mut dx))?;
        let dx = match x.track_op() {
            true => Some(Tensor::from_vec(dx, x.shape(), x.device())?),
            false => None,
        };
        let dweight = Tensor::from_vec(dweight, weight.shape(), weight.device())?;
        let dbias = Tensor::from_vec(dbias, self.out, weight.device())?;
        Ok((dx, Some(dweight), Some(dbias)))
    }
}

impl Plan {
    /// Values in a patch: what one output position sees.
    fn patch(&self) -> usize {
        self.window.kernel[0] * self.window.kernel[1] * self.channels
    }

    /// Values in an image of the input.
    fn image(&self) -> usize {
        self.input[0] * self.input[1] * self.channels
    }

    /// Output rows whose patches fill one block.
    fn block_rows(&self) -> usize {
        (BLOCK / (self.window.out[1] * self.patch())).max(1)
    }

    fn forward(&self, x: &[f32], weight: &Tensor, bias: &[f32]) -> Result<Vec<f32>> {
        let [oh, ow] = self.window.out;
        let mut y = vec![0.0; self.batch * oh * ow * self.out];
        let rows = self.block_rows();
        y.par_chunks_mut(rows * ow * self.out).enumerate().try_for_each(|(block, y)| {
            let first = block * rows;
            let count = y.len() / (ow * self.out);
            let product = self.unfold(x, first, count)?.matmul(weight)?;
            with_floats(&product, |product| {
                for (y, product) in y.chunks_exact_mut(self.out).zip(product.chunks_exact(self.out)) {
                    for ((y, product), bias) in y.iter_mut().zip(product).zip(bias) {
                        *y = product + bias;
                    }
                }
                Ok(())
            })
        })?;
        Ok(y)
    }

    /// The gradients of weight and bias; adds that of the input to `dx` unless that is empty.
    fn backward(&self, x: &[f32], weight: &Tensor, grad: &Tensor, dx: &mut [f32]) -> Result<(Vec<f32>, Vec<f32>)> {
        // Whole images to a task: no two tasks add to the same input. Their number depends on the
        // batch alone, and so do the sums.
        let images = self.batch.div_ceil(TASKS).max(1);
        let tasks = self.batch.div_ceil(images);
        let mut dx = dx.chunks_mut(images * self.image());
        let shares: Vec<&mut [f32]> = (0..tasks).map(|_| dx.next().unwrap_or_default()).collect();
        let parts: Vec<(Vec<f32>, Vec<f32>)> = shares
            .into_par_iter()
            .enumerate()
            .map(|(task, dx)| self.backward_images(x, weight, grad, dx, task * images, images))
            .collect::<Result<_>>()?;
        let (dweight, dbias) = parts.into_iter().unzip();
        Ok((total(dweight, self.out * self.patch()), total(dbias, self.out)))
    }

    /// [`backward`](Self::backward) for `images` images from the `first` on, as far as there are.
    fn backward_images(
        &self,
        x: &[f32],
        weight: &Tensor,
        grad: &Tensor,
        dx: &mut [f32],
        first: usize,
        images: usize,
    ) -> Result<(Vec<f32>, Vec<f32>)> {
        let [oh, ow] = self.window.out;
        let mut dweight = vec![0.0; self.out * self.patch()];
        let mut dbias = vec![0.0; self.out];
        let rows = first * oh..((first + images) * oh).min(self.batch * oh);
        for row in rows.clone().step_by(self.block_rows()) {
            let count = self.block_rows().min(rows.end - row);
            let grad = grad.narrow(0, row * ow, count * ow)?;
            with_floats(&grad, |grad| {
                for grad in grad.chunks_exact(self.out) {
                    accumulate(&mut dbias, grad);
                }
                Ok(())
            })?;
            let patches = self.unfold(x, row, count)?;
            with_floats(&grad.t()?.matmul(&patches)?, |part| {
                accumulate(&mut dweight, part);
                Ok(())
            })?;
            if !dx.is_empty() {
                let dpatches = grad.matmul(weight)?;
                with_floats(&dpatches, |dpatches| {
                    self.fold(dx, dpatches, row - first * oh);
                    Ok(())
                })?;
            }
        }
        Ok((dweight, dbias))
    }

    /// The patches of `count` output rows from the `first` of the batch on: a matrix of
    /// `[count * ow, patch]`.
    fn unfold(&self, x: &[f32], first: usize, count: usize) -> Result<Tensor> {
        let [oh, ow] = self.window.out;
        let shape = (count * ow, self.patch());
        if self.is_pointwise() {
            let line = ow * self.channels;
            return Tensor::from_slice(&x[first * line..][..count * line], shape, &Device::Cpu);
        }
        let [kh, kw] = self.window.kernel;
        let mut patches = Vec::with_capacity(count * ow * self.patch());
        let zeros = |patches: &mut Vec<f32>, taps: usize| {
            patches.resize(patches.len() + taps * self.channels, 0.0);
        };
        for row in first..first + count {
            let image = &x[row / oh * self.image()..][..self.image()];
            let ky = self.window.taps(0, row % oh, self.input[0]);
            for ox in 0..ow {
                let kx = self.window.taps(1, ox, self.input[1]);
                zeros(&mut patches, ky.start * kw);
                for tap in ky.clone() {
                    zeros(&mut patches, kx.start);
                    self.runs([row % oh, ox], tap, &kx, |_, run| {
                        patches.extend_from_slice(&image[run]);
                    });
                    zeros(&mut patches, kw - kx.end);
                }
                zeros(&mut patches, (kh - ky.end) * kw);
            }
        }
        Tensor::from_vec(patches, shape, &Device::Cpu)
    }

    /// Adds to the images `dx` the gradient of the patches of their output rows from `first` on.
    fn fold(&self, dx: &mut [f32], dpatches: &[f32], first: usize) {
        let [oh, ow] = self.window.out;
        if self.is_pointwise() {
            let start = first * ow * self.channels;
            accumulate(&mut dx[start..][..dpatches.len()], dpatches);
            return;
        }
        for (line, dpatches) in dpatches.chunks_exact(ow * self.patch()).enumerate() {
            let row = first + line;
            let image = &mut dx[row / oh * self.image()..][..self.image()];
            let ky = self.window.taps(0, row % oh, self.input[0]);
            for (ox, dpatch) in dpatches.chunks_exact(self.patch()).enumerate() {
                let kx = self.window.taps(1, ox, self.input[1]);
                for tap in ky.clone() {
                    self.runs([row % oh, ox], tap, &kx, |from, run| {
                        accumulate(&mut image[run], &dpatch[from..]);
                    });
                }
            }
        }
    }

    /// Calls `each` for the runs of values that lie side by side in both a patch and its image, in
    /// the row `ky` of taps: where the run starts in the patch, and its range in the image.
    fn runs(&self, [oy, ox]: [usize; 2], ky: usize, kx: &Range<usize>, mut each: impl FnMut(usize, Range<usize>)) {
        let line = self.window.input(0, oy, ky) * self.input[1];
        let mut run = |tap: usize, taps: usize| {
            let from = (ky * self.window.kernel[1] + tap) * self.channels;
            let start = (line + self.window.input(1, ox, tap)) * self.channels;
            each(from, start..start + taps * self.channels);
        };
        if self.window.dilation[1] == 1 {
            if !kx.is_empty() {
                run(kx.start, kx.len());
            }
        } else {
            kx.clone().for_each(|tap| run(tap, 1));
        }
    }

    /// Whether the patches are the input itself.
    fn is_pointwise(&self) -> bool {
        self.window.kernel == [1, 1] && self.window.stride == [1, 1] && self.window.out == self.input
    }
}

/// Values in a block of patches: a megabyte, about what a core's second cache holds. Smaller blocks
/// pay for more calls of the matrix product, larger ones leave the cache.
const BLOCK: usize = 1 << 18;

/// Parts into which the backward pass splits a batch.
const TASKS: usize = 16;

#[cfg(test)]
mod tests {
    use super::super::{conv2d, portable, testing::*};
    use super::Window;
    use candle_core::{Result, Tensor};

    fn check(batch: usize, input: [usize; 2], channels: usize, out: usize, window: Window) -> Result<()> {
        let [kh, kw] = window.kernel;
        let operands = [
            random(1, &[batch, input[0], input[1], channels])?,
            random(2, &[out, kh, kw, channels])?,
            random(3, &[out])?,
        ];
        let naive = |o: &[Tensor]| {
            let (x, weight, bias) = (Naive::new(&o[0]), values(&o[1]), values(&o[2]));
            let mut y = Vec::new();
            x.windows(&window, |b, p| {
                for n in 0..out {
                    let mut sum = bias[n] as f64;
                    for (tap, at) in taps(&window, p) {
                        for c in 0..channels {
                            let w = weight[(n * kh * kw + tap) * channels + c];
                            sum += f64::from(w) * f64::from(x.at(b, at, c).unwrap_or(0.0));
                        }
                    }
                    y.push(sum as f32);
                }
            });
            y
        };
        let op = |o: &[Tensor]| conv2d(&o[0], &o[1], &o[2], &window);
        let portable = |o: &[Tensor]| {
            let weight = o[1].reshape((out, kh * kw * channels))?;
            portable::conv2d(&o[0], &weight, &o[2], &window)
        };
        check_operator(&operands, naive, op, portable)
    }

    #[test]
    fn agrees_with_a_direct_loop_in_values_and_gradients() -> Result<()> {
        for (input, window) in windows() {
            check(2, input, 3, 4, window)?;
        }
        check(3, [4, 5], 1, 1, valid([4, 5], [2, 2], [1, 1], [1, 1]))?;
        check(19, [5, 4], 3, 2, same([5, 4], [3, 3], [1, 1], [1, 1]))
    }

    #[test]
    fn many_blocks_agree_with_candle() -> Result<()> {
        // Blocks end within images, and a task has several.
        let input = [61, 47];
        let window = same(input, [3, 3], [1, 1], [1, 1]);
        let operands = [random(1, &[2, input[0], input[1], 16])?, random(2, &[8, 3, 3, 16])?, random(3, &[8])?];
        let op = |o: &[Tensor]| conv2d(&o[0], &o[1], &o[2], &window);
        let candle = |o: &[Tensor]| {
            let x = o[0].permute((0, 3, 1, 2))?;
            let weight = o[1].permute((0, 3, 1, 2))?;
            let y = x.conv2d(&weight, 1, 1, 1, 1)?.permute((0, 2, 3, 1))?;
            y.broadcast_add(&o[2])?.contiguous()
        };
        assert_same(&operands, op, candle)
    }

    #[test]
    fn the_bits_do_not_depend_on_the_threads() -> Result<()> {
        let window = same([25, 5], [3, 3], [2, 1], [1, 1]);
        let operands = [random(1, &[37, 25, 5, 16])?, random(2, &[24, 3, 3, 16])?, random(3, &[24])?];
        assert_bits(&operands, |o| conv2d(&o[0], &o[1], &o[2], &window))
    }

    #[test]
    fn data_gets_no_gradient() -> Result<()> {
        let x = random(1, &[2, 5, 5, 3])?;
        let weight = candle_core::Var::from_tensor(&random(2, &[4, 3, 3, 3])?)?;
        let window = same([5, 5], [3, 3], [1, 1], [1, 1]);
        let y = conv2d(&x, &weight, &random(3, &[4])?, &window)?;
        let grads = y.sum_all()?.backward()?;
        assert!(grads.get(&x).is_none() && grads.get(&weight).is_some());
        Ok(())
    }
}
