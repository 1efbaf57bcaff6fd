//! The pools on the CPU, an image a task.

use super::Window;
use super::storage::{floats, with_floats};
use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor};
use rayon::prelude::*;

/// See [`super::max_pool`].
pub(super) fn max_pool(x: &Tensor, window: &Window) -> Result<Tensor> {
    x.contiguous()?.apply_op1(MaxPool(Plan::new(x, window)?))
}

/// See [`super::average_pool`].
pub(super) fn average_pool(x: &Tensor, window: &Window) -> Result<Tensor> {
    x.contiguous()?.apply_op1(AveragePool(Plan::new(x, window)?))
}

/// One maximum pool's geometry.
pub(crate) struct MaxPool(Plan);

impl CustomOp1 for MaxPool {
    fn name(&self) -> &'static str {
        "max_pool"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        Ok((CpuStorage::F32(self.forward(floats(storage, layout)?)), self.0.shape()))
    }

    fn bwd(&self, x: &Tensor, y: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        let grad = grad.contiguous()?;
        let dx = with_floats(x, |x| with_floats(y, |y| with_floats(&grad, |grad| Ok(self.backward(x, y, grad)))))?;
        Tensor::from_vec(dx, x.shape(), x.device()).map(Some)
    }
}

impl MaxPool {
    /// Returns a pool over `batch` inputs of height, width and channels.
    pub(crate) fn new(window: Window, batch: usize, [height, width, channels]: [usize; 3]) -> Self {
        Self(Plan { window, batch, input: [height, width], channels })
    }

    /// The greatest values.
    pub(crate) fn forward(&self, x: &[f32]) -> Vec<f32> {
        let plan = &self.0;
        plan.forward(x, |x, y| {
            y.fill(f32::NEG_INFINITY);
            plan.each_tap(|from, to| {
                let (y, x) = (&mut y[to..][..plan.channels], &x[from..][..plan.channels]);
                for (y, &x) in y.iter_mut().zip(x) {
                    *y = if wins(x, *y) { x } else { *y };
                }
            });
        })
    }

    /// The gradient of the input; `y` is what [`MaxPool::forward`] gave.
    pub(crate) fn backward(&self, x: &[f32], y: &[f32], grad: &[f32]) -> Vec<f32> {
        let plan = &self.0;
        plan.backward(grad, |image, grad, dx| {
            let x = &x[image * plan.image()..][..plan.image()];
            let y = &y[image * plan.result()..][..plan.result()];
            // What no input has taken yet. Masks, not branches: this becomes vector
            // instructions.
            let mut left = grad.to_vec();
            plan.each_tap(|from, to| {
                let dx = &mut dx[from..][..plan.channels];
                let values = x[from..].iter().zip(&y[to..]);
                for ((dx, left), (&x, &y)) in dx.iter_mut().zip(&mut left[to..]).zip(values) {
                    let takes = (x == y) | (x.is_nan() & y.is_nan());
                    let taken = left.to_bits() & u32::from(takes).wrapping_neg();
                    *dx += f32::from_bits(taken);
                    *left = f32::from_bits(left.to_bits() ^ taken);
                }
            });
        })
    }
}

struct AveragePool(Plan);

impl CustomOp1 for AveragePool {
    fn name(&self) -> &'static str {
        "average_pool"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let plan = &self.0;
        let share = plan.share();
        let y = plan.forward(floats(storage, layout)?, |x, y| {
            plan.each_tap(|from, to| {
                let (y, x) = (&mut y[to..][..plan.channels], &x[from..][..plan.channels]);
                for (y, x) in y.iter_mut().zip(x) {
                    *y += x;
                }
            });
            y.iter_mut().for_each(|y| *y *= share);
        });
        Ok((CpuStorage::F32(y), plan.shape()))
    }

    fn bwd(&self, x: &Tensor, _y: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        let plan = &self.0;
        let share = plan.share();
        let dx = with_floats(&grad.contiguous()?, |grad| {
            Ok(plan.backward(grad, |_, grad, dx| {
                plan.each_tap(|from, to| {
                    let dx = &mut dx[from..][..plan.channels];
                    for (dx, grad) in dx.iter_mut().zip(&grad[to..][..plan.channels]) {
                        *dx += grad * share;
                    }
                });
            }))
        })?;
        Tensor::from_vec(dx, x.shape(), x.device()).map(Some)
    }
}

/// One pool's geometry.
struct Plan {
    window: Window,
    batch: usize,
    input: [usize; 2],
    channels: usize,
}

impl Plan {
    fn new(x: &Tensor, window: &Window) -> Result<Self> {
        let (batch, height, width, channels) = x.dims4()?;
        Ok(Self { window: *window, batch, input: [height, width], channels })
    }

    /// Values in an image of the input.
    fn image(&self) -> usize {
        self.input[0] * self.input[1] * self.channels
    }

    /// Values in an image of the result.
    fn result(&self) -> usize {
        self.window.positions() * self.channels
    }

    /// What one input value weighs in an average.
    fn share(&self) -> f32 {
        1.0 / (self.window.kernel[0] * self.window.kernel[1]) as f32
    }

    /// The result, whose images `pool` makes from images of the input; they start at zero.
    fn forward(&self, x: &[f32], pool: impl Fn(&[f32], &mut [f32]) + Sync) -> Vec<f32> {
        let mut y = vec![0.0; self.batch * self.result()];
        y.par_chunks_mut(self.result()).zip(x.par_chunks(self.image())).for_each(|(y, x)| pool(x, y));
        y
    }

    /// The shape of the result.
    fn shape(&self) -> Shape {
        let [oh, ow] = self.window.out;
        (self.batch, oh, ow, self.channels).into()
    }

    /// The gradient of the input, to whose images `spread` adds: it takes the number of the image,
    /// the gradient of its result, and the gradient of the image, zero at the start.
    fn backward(&self, grad: &[f32], spread: impl Fn(usize, &[f32], &mut [f32]) + Sync) -> Vec<f32> {
        let mut dx = vec![0.0; self.batch * self.image()];
        dx.par_chunks_mut(self.image())
            .zip(grad.par_chunks(self.result()))
            .enumerate()
            .for_each(|(image, (dx, grad))| spread(image, grad, dx));
        dx
    }

    /// Calls `each` for the taps of all output positions of an image, row by row, with where the
    /// channels start in the input and in the result.
    fn each_tap(&self, mut each: impl FnMut(usize, usize)) {
        let window = &self.window;
        for oy in 0..window.out[0] {
            let rows = window.taps(0, oy, self.input[0]);
            for ox in 0..window.out[1] {
                let to = (oy * window.out[1] + ox) * self.channels;
                let columns = window.taps(1, ox, self.input[1]);
                for ky in rows.clone() {
                    let line = window.input(0, oy, ky) * self.input[1];
                    for kx in columns.clone() {
                        each((line + window.input(1, ox, kx)) * self.channels, to);
                    }
                }
            }
        }
    }
}

/// Whether `value` replaces the greatest so far. NaN does, and stays: nothing exceeds it.
fn wins(value: f32, greatest: f32) -> bool {
    value > greatest || value.is_nan()
}

#[cfg(test)]
mod tests {
    use super::super::{average_pool, max_pool, portable, testing::*};
    use super::Window;
    use candle_core::{Device, Result, Tensor, Var};

    fn naive(x: &Tensor, window: &Window, pool: impl Fn(&mut dyn Iterator<Item = Option<f32>>) -> f32) -> Vec<f32> {
        let (x, mut y) = (Naive::new(x), Vec::new());
        x.windows(window, |b, p| {
            for c in 0..x.dims[3] {
                y.push(pool(&mut taps(window, p).map(|(_, at)| x.at(b, at, c))));
            }
        });
        y
    }

    #[test]
    fn both_agree_with_a_direct_loop_in_values_and_gradients() -> Result<()> {
        let mut cases = windows();
        cases.push(([5, 5], valid([5, 5], [2, 2], [2, 2], [1, 1])));
        cases.push(([7, 6], valid([7, 6], [3, 2], [1, 3], [1, 1])));
        for (input, window) in cases {
            // Distinct values, far enough apart that no finite difference changes the order.
            let x = shuffled(1, &[2, input[0], input[1], 3])?;
            let greatest =
                |values: &mut dyn Iterator<Item = Option<f32>>| values.flatten().fold(f32::NEG_INFINITY, f32::max);
            check_operator(
                std::slice::from_ref(&x),
                |o| naive(&o[0], &window, greatest),
                |o| max_pool(&o[0], &window),
                |o| portable::max_pool(&o[0], &window),
            )?;
            let count = (window.kernel[0] * window.kernel[1]) as f32;
            let average = |values: &mut dyn Iterator<Item = Option<f32>>| values.flatten().sum::<f32>() / count;
            check_operator(
                &[x],
                |o| naive(&o[0], &window, average),
                |o| average_pool(&o[0], &window),
                |o| portable::average_pool(&o[0], &window),
            )?;
        }
        Ok(())
    }

    #[test]
    fn of_equal_maxima_the_first_gets_the_gradient() -> Result<()> {
        let low = f32::NEG_INFINITY;
        for (x, expected) in [
            ([1.0, 2.0, 2.0, 2.0], [0.0, 1.0, 0.0, 0.0]),
            ([0.0; 4], [1.0, 0.0, 0.0, 0.0]),
            ([low; 4], [1.0, 0.0, 0.0, 0.0]),
        ] {
            let x = Var::from_slice(&x, (1, 2, 2, 1), &Device::Cpu)?;
            let window = valid([2, 2], [2, 2], [2, 2], [1, 1]);
            for y in [max_pool(&x, &window)?, portable::max_pool(&x, &window)?] {
                let grads = y.backward()?;
                assert_eq!(values(grads.get(&x).unwrap()), expected);
            }
        }
        Ok(())
    }

    #[test]
    fn negative_values_beat_padding_and_nan_wins() -> Result<()> {
        let x = Tensor::new(&[-3.0f32, -2.0, f32::NAN, -1.0, -5.0, -4.0], &Device::Cpu)?;
        let x = x.reshape((1, 1, 6, 1))?;
        let window = same([1, 6], [1, 3], [1, 2], [1, 1]);
        for y in [max_pool(&x, &window)?, portable::max_pool(&x, &window)?] {
            let y = values(&y);
            assert!(y[0].is_nan() && y[1].is_nan() && y[2] == -4.0, "{y:?}");
        }
        Ok(())
    }

    #[test]
    fn the_bits_do_not_depend_on_the_threads() -> Result<()> {
        let x = random(1, &[37, 9, 8, 5])?;
        let window = same([9, 8], [3, 3], [2, 2], [1, 1]);
        assert_bits(std::slice::from_ref(&x), |o| max_pool(&o[0], &window))?;
        assert_bits(&[x], |o| average_pool(&o[0], &window))
    }
}
