//! The batch normalisation on the CPU: moments, normalised values and gradients in one pass each.

use super::storage::{floats, with_floats};
use candle_core::{CpuStorage, CustomOp3, Layout, Result, Shape, Tensor};
use rayon::prelude::*;

/// What is added to the variance before its root is taken.
pub const EPSILON: f32 = 1e-3;

/// See [`super::batch_norm`].
pub(super) fn batch_norm(x: &Tensor, scale: &Tensor, shift: &Tensor) -> Result<(Tensor, Vec<f32>, Vec<f32>)> {
    let x = x.contiguous()?;
    let channels = scale.elem_count();
    let (mean, variance) = with_floats(&x, |x| Ok(moments(x, channels)))?;
    let inverse = variance.iter().map(|variance| 1.0 / (variance + EPSILON).sqrt()).collect();
    let plan = Plan { mean: mean.clone(), inverse };
    Ok((x.apply_op3(&scale.contiguous()?, &shift.contiguous()?, plan)?, mean, variance))
}

/// Returns mean and variance (n in the denominator) of each channel.
fn moments(x: &[f32], channels: usize) -> (Vec<f32>, Vec<f32>) {
    let count = (x.len() / channels.max(1)).max(1) as f64;
    let [sum, _] = sums(x, x, channels, |x, _, _| [x, 0.0]);
    let mean: Vec<f32> = sum.iter().map(|sum| (sum / count) as f32).collect();
    let [squares, _] = sums(x, x, channels, |x, _, c| [(x - mean[c]) * (x - mean[c]), 0.0]);
    (mean, squares.iter().map(|sum| (sum / count) as f32).collect())
}

/// Returns two sums over the rows for each channel, the same for any number of threads.
fn sums(a: &[f32], b: &[f32], channels: usize, term: impl Fn(f32, f32, usize) -> [f32; 2] + Sync) -> [Vec<f64>; 2] {
    let chunk = channels * ROWS;
    let parts: Vec<[Vec<f32>; 2]> = a
        .par_chunks(chunk)
        .zip(b.par_chunks(chunk))
        .map(|(a, b)| {
            let mut part = [vec![0.0; channels], vec![0.0; channels]];
            for (a, b) in a.chunks_exact(channels).zip(b.chunks_exact(channels)) {
                for (c, (&a, &b)) in a.iter().zip(b).enumerate() {
                    let [first, second] = term(a, b, c);
                    part[0][c] += first;
                    part[1][c] += second;
                }
            }
            part
        })
        .collect();
    let mut total = [vec![0.0; channels], vec![0.0; channels]];
    for part in parts {
        for (total, part) in total.iter_mut().zip(part) {
            total.iter_mut().zip(part).for_each(|(total, value)| *total += f64::from(value));
        }
    }
    total
}

/// The moments of a batch.
struct Plan {
    mean: Vec<f32>,
    inverse: Vec<f32>,
}

impl CustomOp3 for Plan {
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
        let shift = floats(shift, shift_layout)?;
        let channels = scale.len();
        let factors: Vec<f32> = scale.iter().zip(&self.inverse).map(|(scale, inverse)| scale * inverse).collect();
        let mut y = vec![0.0; x.len()];
        y.par_chunks_mut(channels * ROWS).zip(x.par_chunks(channels * ROWS)).for_each(|(y, x)| {
            for (y, x) in y.chunks_exact_mut(channels).zip(x.chunks_exact(channels)) {
                for (c, (y, x)) in y.iter_mut().zip(x).enumerate() {
                    *y = (x - self.mean[c]) * factors[c] + shift[c];
                }
            }
        });
        Ok((CpuStorage::F32(y), x_layout.shape().clone()))
    }

    fn bwd(
        &self,
        x: &Tensor,
        scale: &Tensor,
        _shift: &Tensor,
        _y: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let grad = grad.contiguous()?;
        let channels = scale.elem_count();
        let mut dx = vec![0.0; x.elem_count()];
        let (dscale, dshift) = with_floats(x, |x| {
            with_floats(scale, |scale| {
                with_floats(&grad, |grad| {
                    let [total, along] =
                        sums(grad, x, channels, |grad, x, c| [grad, grad * (x - self.mean[c]) * self.inverse[c]]);
                    let count = (x.len() / channels.max(1)).max(1) as f64;
                    let means: Vec<[f32; 2]> = total
                        .iter()
                        .zip(&along)
                        .map(|(total, along)| [(total / count) as f32, (along / count) as f32])
                        .collect();
                    dx.par_chunks_mut(channels * ROWS)
                        .zip(x.par_chunks(channels * ROWS))
                        .zip(grad.par_chunks(channels * ROWS))
                        .for_each(|((dx, x), grad)| {
                            for (place, dx) in dx.iter_mut().enumerate() {
                                let c = place % channels;
                                let normal = (x[place] - self.mean[c]) * self.inverse[c];
                                let [mean, along] = means[c];
                                *dx = scale[c] * self.inverse[c] * (grad[place] - mean - normal * along);
                            }
                        });
                    let narrow = |sums: Vec<f64>| sums.into_iter().map(|sum| sum as f32).collect::<Vec<f32>>();
                    Ok((narrow(along), narrow(total)))
                })
            })
        })?;
        Ok((
            Some(Tensor::from_vec(dx, x.shape(), x.device())?),
            Some(Tensor::from_vec(dscale, channels, x.device())?),
            Some(Tensor::from_vec(dshift, channels, x.device())?),
        ))
    }
}

/// Rows that are summed in f32 before they join the total.
const ROWS: usize = 256;

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
