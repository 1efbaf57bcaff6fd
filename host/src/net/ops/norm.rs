//! The batch normalisation on the CPU: moments, normalised values and gradients in one pass each, and a rectifier after it
//! in the same passes where one follows.

use super::storage::{floats, vectorized, with_floats};
use candle_core::{CpuStorage, CustomOp3, Layout, Result, Shape, Tensor};
use rayon::prelude::*;

/// What is added to the variance before its root is taken.
pub const EPSILON: f32 = 1e-3;

/// See [`super::batch_norm`].
pub(super) fn batch_norm(x: &Tensor, scale: &Tensor, shift: &Tensor) -> Result<(Tensor, Vec<f32>, Vec<f32>)> {
    let x = x.contiguous()?;
    let norm = with_floats(&x, |x| Ok(BatchNorm::measure(x, scale.elem_count(), false)))?;
    let (mean, variance) = (norm.mean.clone(), norm.variance.clone());
    Ok((x.apply_op3(&scale.contiguous()?, &shift.contiguous()?, norm)?, mean, variance))
}

/// The moments of a batch.
pub(crate) struct BatchNorm {
    pub(crate) mean: Vec<f32>,
    /// With n in the denominator.
    pub(crate) variance: Vec<f32>,
    inverse: Vec<f32>,
    /// Whether a rectifier follows.
    rectified: bool,
}

impl CustomOp3 for BatchNorm {
    fn name(&self) -> &'static str {
        "batch_norm"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        scale: &CpuStorage,
        scale_layout: &Layout,
        shift: &CpuStorage,
        shift_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (x, scale) = (floats(x, x_layout)?, floats(scale, scale_layout)?);
        let y = self.forward(x, scale, floats(shift, shift_layout)?);
        Ok((CpuStorage::F32(y), x_layout.shape().clone()))
    }

    fn bwd(
        &self,
        x: &Tensor,
        scale: &Tensor,
        _shift: &Tensor,
        y: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let grad = grad.contiguous()?;
        let gradients = with_floats(x, |x| {
            with_floats(scale, |scale| {
                with_floats(y, |y| with_floats(&grad, |grad| Ok(self.backward(x, scale, y, grad.to_vec()))))
            })
        })?;
        let [dx, dscale, dshift] = gradients;
        Ok((
            Some(Tensor::from_vec(dx, x.shape(), x.device())?),
            Some(Tensor::from_vec(dscale, scale.shape(), x.device())?),
            Some(Tensor::from_vec(dshift, scale.shape(), x.device())?),
        ))
    }
}

impl BatchNorm {
    /// Measures the moments of each channel.
    pub(crate) fn measure(x: &[f32], channels: usize, rectified: bool) -> Self {
        // Moments about the mean of a chunk, which stays in the cache, then about the mean of all.
        let parts: Vec<[Vec<f32>; 2]> =
            x.par_chunks(chunk(channels)).map(|x| vectorized(Moments { x, channels })).collect();
        let counts = x.chunks(chunk(channels)).map(|x| (x.len() / channels) as f64);
        let count = (x.len() / channels.max(1)).max(1) as f64;
        let mut mean = vec![0.0f64; channels];
        for ([means, _], rows) in parts.iter().zip(counts.clone()) {
            mean.iter_mut().zip(means).for_each(|(mean, &part)| *mean += f64::from(part) * rows / count);
        }
        let mut variance = vec![0.0f64; channels];
        for ([means, squares], rows) in parts.iter().zip(counts) {
            for (((variance, mean), &part), &square) in variance.iter_mut().zip(&mean).zip(means).zip(squares) {
                *variance += (f64::from(square) + rows * (f64::from(part) - mean).powi(2)) / count;
            }
        }
        let narrow = |values: Vec<f64>| values.into_iter().map(|value| value as f32).collect::<Vec<f32>>();
        let (mean, variance) = (narrow(mean), narrow(variance));
        let inverse = variance.iter().map(|variance| 1.0 / (variance + EPSILON).sqrt()).collect();
        Self { mean, variance, inverse, rectified }
    }

    /// The normalised values, rectified if that follows.
    pub(crate) fn forward(&self, x: &[f32], scale: &[f32], shift: &[f32]) -> Vec<f32> {
        let channels = scale.len();
        let factors: Vec<f32> = scale.iter().zip(&self.inverse).map(|(scale, inverse)| scale * inverse).collect();
        let least = if self.rectified { 0.0 } else { f32::NEG_INFINITY };
        let mut y = vec![0.0; x.len()];
        y.par_chunks_mut(chunk(channels)).zip(x.par_chunks(chunk(channels))).for_each(|(y, x)| {
            vectorized(|| {
                for (y, x) in y.chunks_exact_mut(channels).zip(x.chunks_exact(channels)) {
                    for ((((y, x), mean), factor), shift) in
                        y.iter_mut().zip(x).zip(&self.mean).zip(&factors).zip(shift)
                    {
                        let value = (x - mean) * factor + shift;
                        *y = if value <= least { least } else { value };
                    }
                }
            });
        });
        y
    }

    /// The gradients of input, scale and shift; `y` is what [`BatchNorm::forward`] gave.
    pub(crate) fn backward(&self, x: &[f32], scale: &[f32], y: &[f32], mut grad: Vec<f32>) -> [Vec<f32>; 3] {
        let channels = scale.len();
        let chunk = chunk(channels);
        let parts: Vec<[Vec<f32>; 2]> = grad
            .par_chunks_mut(chunk)
            .zip(x.par_chunks(chunk))
            .zip(y.par_chunks(chunk))
            .map(|((grad, x), y)| vectorized(Totals { norm: self, grad, x, y }))
            .collect();
        let mut totals = [vec![0.0f64; channels], vec![0.0f64; channels]];
        for part in parts {
            for (total, part) in totals.iter_mut().zip(part) {
                total.iter_mut().zip(part).for_each(|(total, value)| *total += f64::from(value));
            }
        }
        let [total, mut along] = totals;
        along.iter_mut().zip(&self.inverse).for_each(|(along, &inverse)| *along *= f64::from(inverse));
        // dx = factor * (grad - mean of grad - normal * mean of grad * normal), as a * grad + b * x + c.
        let count = (x.len() / channels.max(1)).max(1) as f64;
        let constants: Vec<[f32; 3]> = (0..channels)
            .map(|c| {
                let (inverse, mean) = (f64::from(self.inverse[c]), f64::from(self.mean[c]));
                let factor = f64::from(scale[c]) * inverse;
                let slope = -factor * along[c] / count * inverse;
                [factor as f32, slope as f32, (-factor * total[c] / count - slope * mean) as f32]
            })
            .collect();
        let column = |index: usize| constants.iter().map(|constants| constants[index]).collect::<Vec<f32>>();
        let [a, b, c] = [column(0), column(1), column(2)];
        grad.par_chunks_mut(chunk).zip(x.par_chunks(chunk)).for_each(|(grad, x)| {
            vectorized(|| {
                for (grad, x) in grad.chunks_exact_mut(channels).zip(x.chunks_exact(channels)) {
                    for ((((grad, x), a), b), c) in grad.iter_mut().zip(x).zip(&a).zip(&b).zip(&c) {
                        *grad = *grad * a + x * b + c;
                    }
                }
            });
        });
        let narrow = |sums: Vec<f64>| sums.into_iter().map(|sum| sum as f32).collect::<Vec<f32>>();
        [grad, narrow(along), narrow(total)]
    }
}

/// The mean of each channel in a chunk, and the sum of the squares about it.
struct Moments<'a> {
    x: &'a [f32],
    channels: usize,
}

impl pulp::NullaryFnOnce for Moments<'_> {
    type Output = [Vec<f32>; 2];

    #[inline(always)]
    fn call(self) -> Self::Output {
        let Self { x, channels } = self;
        let mut mean = vec![0.0f32; channels];
        let zeros = vec![0.0f32; channels];
        sum_columns(&mut mean, x, &zeros, |x, _| x);
        let share = channels as f32 / x.len() as f32;
        mean.iter_mut().for_each(|mean| *mean *= share);
        let mut squares = vec![0.0f32; channels];
        sum_columns(&mut squares, x, &mean, |x, mean| (x - mean) * (x - mean));
        [mean, squares]
    }
}

/// The sums over a chunk that the gradient of the input needs; a rectifier's gradient is taken into account first.
struct Totals<'a> {
    norm: &'a BatchNorm,
    grad: &'a mut [f32],
    x: &'a [f32],
    y: &'a [f32],
}

impl pulp::NullaryFnOnce for Totals<'_> {
    type Output = [Vec<f32>; 2];

    #[inline(always)]
    fn call(self) -> Self::Output {
        let Self { norm, grad, x, y } = self;
        let channels = norm.mean.len();
        if norm.rectified {
            grad.iter_mut().zip(y).for_each(|(grad, &y)| *grad = if y <= 0.0 { 0.0 } else { *grad });
        }
        let (mut total, mut along) = (vec![0.0f32; channels], vec![0.0f32; channels]);
        sum_columns(&mut total, grad, &norm.mean, |grad, _| grad);
        sum_products(&mut along, grad, x, &norm.mean);
        [total, along]
    }
}

/// Adds to the sums of columns a term of each row's values and of a vector's; a block of columns stays in registers.
#[inline(always)]
fn sum_columns(sums: &mut [f32], rows: &[f32], vector: &[f32], term: impl Fn(f32, f32) -> f32) {
    let channels = sums.len();
    for (block, sums) in sums.chunks_mut(LANES).enumerate() {
        let first = block * LANES;
        let mut lanes = [0.0f32; LANES];
        if let Some(vector) = vector.get(first..).and_then(|vector| vector.first_chunk::<LANES>())
            && sums.len() == LANES
        {
            for row in rows.chunks_exact(channels).filter_map(|row| row[first..].first_chunk::<LANES>()) {
                for (lane, (&x, &v)) in lanes.iter_mut().zip(row.iter().zip(vector)) {
                    *lane += term(x, v);
                }
            }
        } else {
            for row in rows.chunks_exact(channels) {
                for (c, lane) in lanes.iter_mut().take(sums.len()).enumerate() {
                    *lane += term(row[first + c], vector[first + c]);
                }
            }
        }
        sums.copy_from_slice(&lanes[..sums.len()]);
    }
}

/// Adds to the sums of columns the products of `a` with the distance of `b` from a mean.
#[inline(always)]
fn sum_products(sums: &mut [f32], a: &[f32], b: &[f32], mean: &[f32]) {
    let channels = sums.len();
    for (block, sums) in sums.chunks_mut(LANES).enumerate() {
        let first = block * LANES;
        let mut lanes = [0.0f32; LANES];
        let rows = a.chunks_exact(channels).zip(b.chunks_exact(channels));
        if let Some(mean) = mean[first..].first_chunk::<LANES>() {
            for (a, b) in rows {
                if let (Some(a), Some(b)) = (a[first..].first_chunk::<LANES>(), b[first..].first_chunk::<LANES>()) {
                    for (lane, ((&a, &b), &mean)) in lanes.iter_mut().zip(a.iter().zip(b).zip(mean)) {
                        *lane += a * (b - mean);
                    }
                }
            }
        } else {
            for (a, b) in rows {
                for (c, lane) in lanes.iter_mut().take(sums.len()).enumerate() {
                    *lane += a[first + c] * (b[first + c] - mean[first + c]);
                }
            }
        }
        sums.copy_from_slice(&lanes[..sums.len()]);
    }
}

/// Returns the values of so many rows as stay in a core's first cache; they are summed in f32 before they join the total.
fn chunk(channels: usize) -> usize {
    channels * (VALUES / channels.max(1)).max(1)
}

/// Values in a chunk.
const VALUES: usize = 8192;

/// Columns whose sums stay in registers.
const LANES: usize = 32;

#[cfg(test)]
mod tests {
    use super::super::{batch_norm, portable, testing::*};
    use super::EPSILON;
    use candle_core::Result;

    #[test]
    fn agrees_with_a_direct_loop_in_values_and_gradients() -> Result<()> {
        for dims in [[2, 3, 2, 3], [5, 1, 7, 1], [3, 1, 1, 4]] {
            let channels = dims[3];
            let operands = [random(1, &dims)?, random(2, &[channels])?, random(3, &[channels])?];
            let naive = |o: &[candle_core::Tensor]| {
                let (x, scale, shift) = (values(&o[0]), values(&o[1]), values(&o[2]));
                let column = |c: usize| x.iter().skip(c).step_by(channels).map(|&x| f64::from(x)).collect::<Vec<f64>>();
                let normal: Vec<(f64, f64)> = (0..channels)
                    .map(|c| {
                        let column = column(c);
                        let mean = column.iter().sum::<f64>() / column.len() as f64;
                        let variance = column.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / column.len() as f64;
                        (mean, (variance + f64::from(EPSILON)).sqrt())
                    })
                    .collect();
                x.iter()
                    .enumerate()
                    .map(|(place, &x)| {
                        let c = place % channels;
                        let (mean, deviation) = normal[c];
                        ((f64::from(x) - mean) / deviation) as f32 * scale[c] + shift[c]
                    })
                    .collect()
            };
            check_operator(
                &operands,
                naive,
                |o| Ok(batch_norm(&o[0], &o[1], &o[2])?.0),
                |o| Ok(portable::batch_norm(&o[0], &o[1], &o[2])?.0),
            )?;
        }
        Ok(())
    }

    #[test]
    fn the_bits_do_not_depend_on_the_threads() -> Result<()> {
        let operands = [random(1, &[37, 25, 5, 9])?, random(2, &[9])?, random(3, &[9])?];
        assert_bits(&operands, |o| Ok(batch_norm(&o[0], &o[1], &o[2])?.0))
    }
}
