//! The depthwise convolution on the CPU: all taps of a block of channels at a time, in registers.

use super::Window;
use super::layer::{self, Layer};
use super::storage::{accumulate, total, vectorized};
use candle_core::{Result, Shape, Tensor};
use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;
use std::ops::Range;

/// See [`super::depthwise()`].
pub(super) fn depthwise(x: &Tensor, weight: &Tensor, bias: &Tensor, window: &Window) -> Result<Tensor> {
    let (batch, height, width, channels) = x.dims4()?;
    let plan = Depthwise { window: *window, batch, input: [height, width], channels };
    layer::apply(plan, x, weight, bias)
}

/// One depthwise convolution's geometry.
pub(crate) struct Depthwise {
    pub(crate) window: Window,
    pub(crate) batch: usize,
    /// Height and width.
    pub(crate) input: [usize; 2],
    pub(crate) channels: usize,
}

impl Layer for Depthwise {
    fn name(&self) -> &'static str {
        "depthwise"
    }

    fn shape(&self) -> Shape {
        let [oh, ow] = self.window.out;
        (self.batch, oh, ow, self.channels).into()
    }

    /// The result for `x`, with weights `[kh, kw, channels]`.
    fn forward(&self, x: &[f32], weight: &[f32], bias: Option<&[f32]>) -> Vec<f32> {
        let mut y = vec![0.0; self.batch * self.result()];
        y.par_chunks_mut(self.result())
            .zip(x.par_chunks(self.image()))
            .for_each(|(y, x)| Arch::new().dispatch(Forward { plan: self, x, weight, bias, y }));
        y
    }

    fn backward(&self, x: &[f32], weight: &[f32], grad: &[f32], with_input: bool) -> [Vec<f32>; 3] {
        let dx = match (with_input, self.window.stride) {
            (false, _) => Vec::new(),
            (true, [1, 1]) => self.backward_input(weight, grad),
            (true, _) => self.backward_strided_input(weight, grad),
        };
        let (dweight, dbias) = x
            .par_chunks(self.image())
            .zip(grad.par_chunks(self.result()))
            .map(|(x, grad)| Arch::new().dispatch(Weights { plan: self, x, grad }))
            .unzip();
        [dx, total(dweight, weight.len()), total(dbias, self.channels)]
    }
}

impl Depthwise {
    /// Values in an image of the input.
    fn image(&self) -> usize {
        self.input[0] * self.input[1] * self.channels
    }

    /// Values in an image of the result.
    fn result(&self) -> usize {
        self.window.positions() * self.channels
    }

    /// The outputs along an axis whose tap lies on the input.
    fn reached(&self, axis: usize, tap: usize) -> Range<usize> {
        let is_reached = |o: &usize| self.window.taps(axis, *o, self.input[axis]).contains(&tap);
        let first = (0..self.window.out[axis]).find(is_reached).unwrap_or(self.window.out[axis]);
        let end = (first..self.window.out[axis]).find(|o| !is_reached(o)).unwrap_or(self.window.out[axis]);
        first..end
    }

    /// The gradient of the input of a convolution of stride 1: that of the result convolved with the kernel turned round.
    fn backward_input(&self, weight: &[f32], grad: &[f32]) -> Vec<f32> {
        let turned =
            [0, 1].map(|axis| (self.window.kernel[axis] - 1) * self.window.dilation[axis] - self.window.pad[axis]);
        let back = Self {
            window: Window { pad: turned, out: self.input, ..self.window },
            batch: self.batch,
            input: self.window.out,
            channels: self.channels,
        };
        let kernel: Vec<f32> = weight.chunks_exact(self.channels).rev().flatten().copied().collect();
        back.forward(grad, &kernel, None)
    }

    /// The gradient of the input of any convolution, tap by tap.
    fn backward_strided_input(&self, weight: &[f32], grad: &[f32]) -> Vec<f32> {
        let window = &self.window;
        let mut dx = vec![0.0; self.batch * self.image()];
        let images = dx.par_chunks_mut(self.image()).zip(grad.par_chunks(self.result()));
        images.for_each(|(dx, grad)| {
            vectorized(|| {
                for (at, grad) in grad.chunks_exact(self.channels).enumerate() {
                    let (oy, ox) = (at / window.out[1], at % window.out[1]);
                    for ky in window.taps(0, oy, self.input[0]) {
                        let line = window.input(0, oy, ky) * self.input[1];
                        for kx in window.taps(1, ox, self.input[1]) {
                            let dx = &mut dx[(line + window.input(1, ox, kx)) * self.channels..][..self.channels];
                            let weight = &weight[(ky * window.kernel[1] + kx) * self.channels..][..self.channels];
                            for ((dx, weight), grad) in dx.iter_mut().zip(weight).zip(grad) {
                                *dx += weight * grad;
                            }
                        }
                    }
                }
            });
        });
        dx
    }
}

/// The result of an image.
struct Forward<'a> {
    plan: &'a Depthwise,
    x: &'a [f32],
    weight: &'a [f32],
    bias: Option<&'a [f32]>,
    y: &'a mut [f32],
}

impl WithSimd for Forward<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { plan, x, weight, bias, y } = self;
        for (at, pixel) in y.chunks_exact_mut(plan.channels).enumerate() {
            let (oy, ox) = (at / plan.window.out[1], at % plan.window.out[1]);
            let (rows, columns) = (plan.window.taps(0, oy, plan.input[0]), plan.window.taps(1, ox, plan.input[1]));
            sum_products(simd, pixel, bias, &Taps { plan, x, weight, at: [oy, ox], rows, columns });
        }
    }
}

/// The taps of a pixel: inputs and weights.
struct Taps<'a> {
    plan: &'a Depthwise,
    x: &'a [f32],
    weight: &'a [f32],
    at: [usize; 2],
    rows: Range<usize>,
    columns: Range<usize>,
}

impl Pairs for Taps<'_> {
    #[inline(always)]
    fn each(&self, mut pair: impl FnMut(&[f32], &[f32])) {
        let Depthwise { window, input, channels, .. } = self.plan;
        for ky in self.rows.clone() {
            let line = window.input(0, self.at[0], ky) * input[1];
            for kx in self.columns.clone() {
                let x = &self.x[(line + window.input(1, self.at[1], kx)) * channels..][..*channels];
                pair(x, &self.weight[(ky * window.kernel[1] + kx) * channels..][..*channels]);
            }
        }
    }
}

/// The gradients of weight and bias by an image.
struct Weights<'a> {
    plan: &'a Depthwise,
    x: &'a [f32],
    grad: &'a [f32],
}

impl WithSimd for Weights<'_> {
    type Output = (Vec<f32>, Vec<f32>);

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> Self::Output {
        let Self { plan, x, grad } = self;
        let channels = plan.channels;
        let mut dbias = vec![0.0; channels];
        grad.chunks_exact(channels).for_each(|grad| accumulate(&mut dbias, grad));
        let mut dweight = vec![0.0; plan.window.kernel[0] * plan.window.kernel[1] * channels];
        for (place, dweight) in dweight.chunks_exact_mut(channels).enumerate() {
            let tap = [place / plan.window.kernel[1], place % plan.window.kernel[1]];
            let [rows, columns] = [0, 1].map(|axis| plan.reached(axis, tap[axis]));
            sum_products(simd, dweight, None, &Pixels { plan, x, grad, tap, rows, columns });
        }
        (dweight, dbias)
    }
}

/// The pixels that a tap sees: inputs and gradients of the result.
struct Pixels<'a> {
    plan: &'a Depthwise,
    x: &'a [f32],
    grad: &'a [f32],
    tap: [usize; 2],
    rows: Range<usize>,
    columns: Range<usize>,
}

impl Pairs for Pixels<'_> {
    #[inline(always)]
    fn each(&self, mut pair: impl FnMut(&[f32], &[f32])) {
        let Depthwise { window, input, channels, .. } = self.plan;
        for oy in self.rows.clone() {
            let line = window.input(0, oy, self.tap[0]) * input[1];
            for ox in self.columns.clone() {
                let x = &self.x[(line + window.input(1, ox, self.tap[1])) * channels..][..*channels];
                pair(x, &self.grad[(oy * window.out[1] + ox) * channels..][..*channels]);
            }
        }
    }
}

/// Pairs of equally long rows.
trait Pairs {
    /// Calls `pair` with each.
    fn each(&self, pair: impl FnMut(&[f32], &[f32]));
}

/// Sets sums to a start, or zero, plus the products of pairs of equally long rows; blocks of sums stay in registers.
#[inline(always)]
fn sum_products<S: Simd>(simd: S, sums: &mut [f32], start: Option<&[f32]>, pairs: &impl Pairs) {
    match start {
        Some(start) => sums.copy_from_slice(start),
        None => sums.fill(0.0),
    }
    let (vectors, rest) = S::as_mut_simd_f32s(sums);
    let mut first = 0;
    let mut left = vectors;
    while !left.is_empty() {
        let count = match left.len() {
            4.. => 4,
            2.. => 2,
            _ => 1,
        };
        let (block, others) = left.split_at_mut(count);
        match count {
            4 => sum_block::<S, 4>(simd, block, first, pairs),
            2 => sum_block::<S, 2>(simd, block, first, pairs),
            _ => sum_block::<S, 1>(simd, block, first, pairs),
        }
        first += count;
        left = others;
    }
    let whole = first * S::F32_LANES;
    if !rest.is_empty() {
        pairs.each(|a, b| {
            for (sum, (a, b)) in rest.iter_mut().zip(a[whole..].iter().zip(&b[whole..])) {
                *sum += a * b;
            }
        });
    }
}

/// Adds products to `N` vectors of sums, of which the first is the `first` of a row.
#[inline(always)]
fn sum_block<S: Simd, const N: usize>(simd: S, sums: &mut [S::f32s], first: usize, pairs: &impl Pairs) {
    let Ok(sums) = <&mut [S::f32s; N]>::try_from(sums) else { return };
    let mut lanes = *sums;
    pairs.each(|a, b| {
        let (a, b) = (&S::as_simd_f32s(a).0[first..][..N], &S::as_simd_f32s(b).0[first..][..N]);
        for (lane, (&a, &b)) in lanes.iter_mut().zip(a.iter().zip(b)) {
            *lane = simd.mul_add_f32s(a, b, *lane);
        }
    });
    *sums = lanes;
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
