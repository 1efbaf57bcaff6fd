//! The convolution on the CPU: patches unfolded block by block into a matrix that stays in the
//! cache, times the weights. The whole matrix of patches is never held; the backward pass unfolds
//! again.

use super::Window;
use super::gemm::{Matrix, product};
use super::layer::{self, Layer};
use super::storage::{accumulate, total, vectorized};
use candle_core::{Result, Shape, Tensor};
use rayon::prelude::*;
use std::cell::RefCell;
use std::ops::Range;

/// See [`super::conv2d`]; here `weight` is `[out, kh * kw * channels]`.
pub(super) fn conv2d(x: &Tensor, weight: &Tensor, bias: &Tensor, window: &Window) -> Result<Tensor> {
    let (batch, height, width, channels) = x.dims4()?;
    let plan = Convolution { window: *window, batch, input: [height, width], channels, out: bias.elem_count() };
    layer::apply(plan, x, weight, bias)
}

/// One convolution's geometry.
pub(crate) struct Convolution {
    pub(crate) window: Window,
    pub(crate) batch: usize,
    /// Height and width.
    pub(crate) input: [usize; 2],
    pub(crate) channels: usize,
    /// Channels of the result.
    pub(crate) out: usize,
}

impl Layer for Convolution {
    fn name(&self) -> &'static str {
        "conv2d"
    }

    fn shape(&self) -> Shape {
        let [oh, ow] = self.window.out;
        (self.batch, oh, ow, self.out).into()
    }

    /// The result for `x`, with weights `[out, kh * kw * channels]`.
    fn forward(&self, x: &[f32], weight: &[f32], bias: Option<&[f32]>) -> Vec<f32> {
        let [oh, ow] = self.window.out;
        let mut y = vec![0.0; self.batch * oh * ow * self.out];
        let rows = self.block_rows();
        y.par_chunks_mut(rows * ow * self.out).enumerate().for_each(|(block, y)| {
            if let Some(bias) = bias {
                y.chunks_exact_mut(self.out).for_each(|y| y.copy_from_slice(bias));
            }
            let count = y.len() / (ow * self.out);
            let shape = [count * ow, self.out, self.patch()];
            self.with_patches(x, block * rows, count, |patches| {
                let (a, b) = (Matrix::rows(patches, self.patch()), Matrix::transposed(weight, self.patch()));
                product(y, shape, a, b, bias.is_some(), false);
            });
        });
        y
    }

    fn backward(&self, x: &[f32], weight: &[f32], grad: &[f32], with_input: bool) -> [Vec<f32>; 3] {
        let dx = match (with_input, self.window.stride) {
            (false, _) => Vec::new(),
            (true, [1, 1]) => self.backward_input(weight, grad),
            (true, _) => self.backward_strided_input(weight, grad),
        };
        // Whole images to a task. Their number depends on the batch alone, and so do the sums.
        let images = self.batch.div_ceil(TASKS).max(1);
        let parts: Vec<[Vec<f32>; 2]> = (0..self.batch.div_ceil(images))
            .into_par_iter()
            .map(|task| self.backward_weights(x, grad, task * images..((task + 1) * images).min(self.batch)))
            .collect();
        let (dweight, dbias) = parts.into_iter().map(|[dweight, dbias]| (dweight, dbias)).unzip();
        [dx, total(dweight, self.out * self.patch()), total(dbias, self.out)]
    }
}

impl Convolution {
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

    /// The gradients of weight and bias by some images.
    fn backward_weights(&self, x: &[f32], grad: &[f32], images: Range<usize>) -> [Vec<f32>; 2] {
        let [oh, ow] = self.window.out;
        let mut dweight = vec![0.0; self.out * self.patch()];
        let mut dbias = vec![0.0; self.out];
        let rows = images.start * oh..images.end * oh;
        for row in rows.clone().step_by(self.block_rows()) {
            let count = self.block_rows().min(rows.end - row);
            let grad = &grad[row * ow * self.out..][..count * ow * self.out];
            vectorized(|| grad.chunks_exact(self.out).for_each(|grad| accumulate(&mut dbias, grad)));
            let shape = [self.out, self.patch(), count * ow];
            self.with_patches(x, row, count, |patches| {
                let (a, b) = (Matrix::transposed(grad, self.out), Matrix::rows(patches, self.patch()));
                product(&mut dweight, shape, a, b, true, false);
            });
        }
        [dweight, dbias]
    }

    /// The gradient of the input of a convolution of stride 1: that of the result convolved with the kernel turned round.
    fn backward_input(&self, weight: &[f32], grad: &[f32]) -> Vec<f32> {
        let [kh, kw] = self.window.kernel;
        let turned = |axis: usize| {
            let reach = (self.window.kernel[axis] - 1) * self.window.dilation[axis];
            reach - self.window.pad[axis]
        };
        let back = Self {
            window: Window { pad: [turned(0), turned(1)], out: self.input, ..self.window },
            batch: self.batch,
            input: self.window.out,
            channels: self.out,
            out: self.channels,
        };
        let taps = kh * kw;
        let mut kernel = vec![0.0; weight.len()];
        for (o, filter) in weight.chunks_exact(self.patch()).enumerate() {
            for (tap, values) in filter.chunks_exact(self.channels).enumerate() {
                for (c, value) in values.iter().enumerate() {
                    kernel[(c * taps + taps - 1 - tap) * self.out + o] = *value;
                }
            }
        }
        back.forward(grad, &kernel, None)
    }

    /// The gradient of the input of any convolution: the gradients of the patches folded back.
    fn backward_strided_input(&self, weight: &[f32], grad: &[f32]) -> Vec<f32> {
        let [oh, ow] = self.window.out;
        let mut dx = vec![0.0; self.batch * self.image()];
        dx.par_chunks_mut(self.image()).zip(grad.par_chunks(oh * ow * self.out)).for_each(|(dx, grad)| {
            for row in (0..oh).step_by(self.block_rows()) {
                let count = self.block_rows().min(oh - row);
                let grad = &grad[row * ow * self.out..][..count * ow * self.out];
                let shape = [count * ow, self.patch(), self.out];
                with_scratch(count * ow * self.patch(), |dpatches| {
                    let (a, b) = (Matrix::rows(grad, self.out), Matrix::rows(weight, self.patch()));
                    product(dpatches, shape, a, b, false, false);
                    vectorized(|| self.fold(dx, dpatches, row));
                });
            }
        });
        dx
    }

    /// Calls `each` with the patches of `count` output rows from the `first` of the batch on: a matrix of
    /// `[count * ow, patch]`.
    fn with_patches(&self, x: &[f32], first: usize, count: usize, each: impl FnOnce(&[f32])) {
        let ow = self.window.out[1];
        if self.is_pointwise() {
            let line = ow * self.channels;
            return each(&x[first * line..][..count * line]);
        }
        with_scratch(count * ow * self.patch(), |patches| {
            vectorized(|| self.unfold(x, first, patches));
            each(patches);
        });
    }

    /// Writes the patches of output rows from the `first` of the batch on.
    fn unfold(&self, x: &[f32], first: usize, patches: &mut [f32]) {
        let [oh, ow] = self.window.out;
        let [kh, kw] = self.window.kernel;
        for (line, patches) in patches.chunks_exact_mut(ow * self.patch()).enumerate() {
            let row = first + line;
            let image = &x[row / oh * self.image()..][..self.image()];
            let ky = self.window.taps(0, row % oh, self.input[0]);
            for (ox, patch) in patches.chunks_exact_mut(self.patch()).enumerate() {
                let kx = self.window.taps(1, ox, self.input[1]);
                if ky.len() < kh || kx.len() < kw {
                    patch.fill(0.0);
                }
                for tap in ky.clone() {
                    self.runs([row % oh, ox], tap, &kx, |from, run| {
                        let len = run.len();
                        patch[from..from + len].copy_from_slice(&image[run]);
                    });
                }
            }
        }
    }

    /// Adds to the image `dx` the gradient of the patches of its output rows from `first` on.
    fn fold(&self, dx: &mut [f32], dpatches: &[f32], first: usize) {
        let ow = self.window.out[1];
        for (line, dpatches) in dpatches.chunks_exact(ow * self.patch()).enumerate() {
            let oy = first + line;
            let ky = self.window.taps(0, oy, self.input[0]);
            for (ox, dpatch) in dpatches.chunks_exact(self.patch()).enumerate() {
                let kx = self.window.taps(1, ox, self.input[1]);
                for tap in ky.clone() {
                    self.runs([oy, ox], tap, &kx, |from, run| {
                        accumulate(&mut dx[run], &dpatch[from..]);
                    });
                }
            }
        }
    }

    /// Calls `each` for the runs of values that lie side by side in both a patch and its image, in
    /// the row `ky` of taps: where the run starts in the patch, and its range in the image.
    #[inline(always)]
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

/// Calls `each` with so many values of memory that the thread keeps; they hold anything.
fn with_scratch(len: usize, each: impl FnOnce(&mut [f32])) {
    thread_local! {
        static SCRATCH: RefCell<Vec<f32>> = const { RefCell::new(Vec::new()) };
    }
    SCRATCH.with_borrow_mut(|scratch| {
        if scratch.len() < len {
            scratch.resize(len, 0.0);
        }
        each(&mut scratch[..len]);
    });
}

/// Values in a block of patches: what a core's second cache holds beside weights and result. Smaller blocks pay for more
/// calls of the matrix product, larger ones leave the cache.
const BLOCK: usize = 1 << 17;

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
