//! What the operators are held against: direct loops, finite differences, each other.

use super::Window;
use candle_core::{Device, Result, Tensor, Var};
use rand::{Rng, SeedableRng, seq::SliceRandom};
use rand_chacha::ChaCha8Rng;

/// A window whose result has `ceil(input / stride)` positions, with the odd padding after.
pub(super) fn same(input: [usize; 2], kernel: [usize; 2], stride: [usize; 2], dilation: [usize; 2]) -> Window {
    let out = [input[0].div_ceil(stride[0]), input[1].div_ceil(stride[1])];
    let pad = [0, 1].map(|axis| {
        let reach = (out[axis] - 1) * stride[axis] + (kernel[axis] - 1) * dilation[axis] + 1;
        reach.saturating_sub(input[axis]) / 2
    });
    Window { kernel, stride, dilation, pad, out }
}

/// A window that never leaves the input.
pub(super) fn valid(input: [usize; 2], kernel: [usize; 2], stride: [usize; 2], dilation: [usize; 2]) -> Window {
    let out = [0, 1].map(|axis| (input[axis] - (kernel[axis] - 1) * dilation[axis] - 1) / stride[axis] + 1);
    Window { kernel, stride, dilation, pad: [0, 0], out }
}

/// Inputs and windows on them: odd sides, strides that leave unequal remainders, series, dilation.
pub(super) fn windows() -> Vec<([usize; 2], Window)> {
    let pad_one = Window { kernel: [3, 3], stride: [2, 2], dilation: [1, 1], pad: [1, 1], out: [25, 5] };
    let mut windows = vec![([49, 10], pad_one)];
    for stride in [[1, 1], [2, 2], [3, 3], [1, 3], [2, 1]] {
        windows.push(([7, 5], same([7, 5], [3, 3], stride, [1, 1])));
        windows.push(([7, 5], valid([7, 5], [3, 2], stride, [1, 1])));
        windows.push(([9, 8], same([9, 8], [3, 3], stride, [2, 2])));
    }
    windows.push(([6, 9], valid([6, 9], [2, 3], [2, 1], [1, 2])));
    windows.push(([5, 3], valid([5, 3], [1, 1], [1, 1], [1, 1])));
    windows.push(([5, 3], valid([5, 3], [1, 1], [2, 2], [1, 1])));
    windows.push(([4, 3], valid([4, 3], [4, 3], [1, 1], [1, 1])));
    for stride in [1, 2, 3] {
        windows.push(([1, 37], same([1, 37], [1, 16], [1, stride], [1, 1])));
        windows.push(([1, 37], valid([1, 37], [1, 16], [1, stride], [1, 1])));
        windows.push(([1, 11], same([1, 11], [1, 16], [1, stride], [1, 1])));
        windows.push(([1, 23], same([1, 23], [1, 3], [1, stride], [1, 2])));
    }
    windows
}

/// Values between -1 and 1.
pub(super) fn random(seed: u64, dims: &[usize]) -> Result<Tensor> {
    let mut generator = ChaCha8Rng::seed_from_u64(seed);
    let count = dims.iter().product();
    let values: Vec<f32> = (0..count).map(|_| generator.random_range(-1.0..1.0)).collect();
    Tensor::from_vec(values, dims, &Device::Cpu)
}

/// Distinct values between -1 and 1, at equal distances, in random order.
pub(super) fn shuffled(seed: u64, dims: &[usize]) -> Result<Tensor> {
    let count: usize = dims.iter().product();
    let mut values: Vec<f32> = (0..count).map(|value| 2.0 * value as f32 / count as f32 - 1.0).collect();
    values.shuffle(&mut ChaCha8Rng::seed_from_u64(seed));
    Tensor::from_vec(values, dims, &Device::Cpu)
}

/// All values, row-major.
pub(super) fn values(tensor: &Tensor) -> Vec<f32> {
    tensor.flatten_all().unwrap().to_vec1().unwrap()
}

/// An input read value by value.
pub(super) struct Naive {
    pub(super) dims: Vec<usize>,
    values: Vec<f32>,
}

impl Naive {
    pub(super) fn new(x: &Tensor) -> Self {
        Self { dims: x.dims().to_vec(), values: values(x) }
    }

    /// Calls `each` with every image and output position, in order.
    pub(super) fn windows(&self, window: &Window, mut each: impl FnMut(usize, [usize; 2])) {
        for b in 0..self.dims[0] {
            for oy in 0..window.out[0] {
                for ox in 0..window.out[1] {
                    each(b, [oy, ox]);
                }
            }
        }
    }

    /// The value at row and column `at`, which may lie beside the input.
    pub(super) fn at(&self, b: usize, at: [isize; 2], c: usize) -> Option<f32> {
        let [y, x] = at.map(|i| usize::try_from(i).ok());
        let (y, x) = (y?, x?);
        let inside = y < self.dims[1] && x < self.dims[2];
        inside.then(|| self.values[((b * self.dims[1] + y) * self.dims[2] + x) * self.dims[3] + c])
    }
}

/// The taps of an output position: their number and the row and column each sees.
pub(super) fn taps(window: &Window, p: [usize; 2]) -> impl Iterator<Item = (usize, [isize; 2])> + use<> {
    let window = *window;
    let [kh, kw] = window.kernel;
    (0..kh * kw).map(move |tap| {
        let at = |axis: usize, tap: usize| {
            (p[axis] * window.stride[axis] + tap * window.dilation[axis]) as isize - window.pad[axis] as isize
        };
        (tap, [at(0, tap / kw), at(1, tap % kw)])
    })
}

/// Panics unless `op` gives what `naive` does, `portable` the same, and the gradients of all
/// operands agree with finite differences of `naive`'s and with `portable`'s.
pub(super) fn check_operator(
    operands: &[Tensor],
    naive: impl Fn(&[Tensor]) -> Vec<f32>,
    op: impl Fn(&[Tensor]) -> Result<Tensor>,
    portable: impl Fn(&[Tensor]) -> Result<Tensor>,
) -> Result<()> {
    let y = op(operands)?;
    assert!(y.is_contiguous());
    close(&values(&y), &naive(operands), 1e-4, "naive");
    assert_same(operands, &op, portable)?;
    let (weights, gradients) = gradients(operands, &op)?;
    let weights = values(&weights);
    let score = |operands: &[Tensor]| -> f64 {
        let y = naive(operands);
        y.iter().zip(&weights).map(|(y, w)| f64::from(y * w)).sum()
    };
    for (index, gradient) in gradients.iter().enumerate() {
        let values = values(&operands[index]);
        // A few of them: the step is `STEP` up and down.
        for at in (0..values.len()).step_by(values.len().div_ceil(12)) {
            let shifted = |by: f32| -> Result<f64> {
                let mut operands = operands.to_vec();
                let mut values = values.clone();
                values[at] += by;
                operands[index] = Tensor::from_vec(values, operands[index].dims(), &Device::Cpu)?;
                Ok(score(&operands))
            };
            let slope = (shifted(STEP)? - shifted(-STEP)?) / f64::from(2.0 * STEP);
            let got = f64::from(gradient[at]);
            assert!(
                (slope - got).abs() <= 5e-3 * (1.0 + slope.abs()),
                "operand {index}, value {at}: gradient {got}, finite difference {slope}"
            );
        }
    }
    Ok(())
}

/// Panics unless both give the same values and gradients.
pub(super) fn assert_same(
    operands: &[Tensor],
    one: impl Fn(&[Tensor]) -> Result<Tensor>,
    other: impl Fn(&[Tensor]) -> Result<Tensor>,
) -> Result<()> {
    let (expected, y) = (other(operands)?, one(operands)?);
    assert_eq!(y.dims(), expected.dims());
    assert!(expected.is_contiguous());
    close(&values(&y), &values(&expected), 1e-4, "values");
    let (expected, got) = (gradients(operands, other)?.1, gradients(operands, one)?.1);
    for (got, expected) in got.iter().zip(&expected) {
        close(got, expected, 1e-3, "gradients");
    }
    Ok(())
}

/// Panics unless values and gradients have the same bits on one thread and on several.
pub(super) fn assert_bits(operands: &[Tensor], op: impl Fn(&[Tensor]) -> Result<Tensor> + Sync) -> Result<()> {
    let run = |threads: usize| -> Result<Vec<u32>> {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().map_err(candle_core::Error::wrap)?;
        let (y, gradients) =
            pool.install(|| -> Result<_> { Ok((values(&op(operands)?), gradients(operands, &op)?.1)) })?;
        let all = y.into_iter().chain(gradients.into_iter().flatten());
        Ok(all.map(f32::to_bits).collect())
    };
    let one = run(1)?;
    assert!(one == run(2)? && one == run(3)?);
    Ok(())
}

/// The weights of a weighted sum of the result, and its gradients by each operand.
fn gradients(operands: &[Tensor], op: impl Fn(&[Tensor]) -> Result<Tensor>) -> Result<(Tensor, Vec<Vec<f32>>)> {
    let vars: Vec<Var> = operands.iter().map(Var::from_tensor).collect::<Result<_>>()?;
    let tensors: Vec<Tensor> = vars.iter().map(|var| var.as_tensor().clone()).collect();
    let y = op(&tensors)?;
    let weights = random(99, y.dims())?;
    let grads = (y * &weights)?.sum_all()?.backward()?;
    let gradient = |var: &Var| values(grads.get(var).expect("no gradient"));
    Ok((weights, vars.iter().map(gradient).collect()))
}

fn close(got: &[f32], expected: &[f32], tolerance: f32, what: &str) {
    assert_eq!(got.len(), expected.len(), "{what}");
    let scale = expected.iter().fold(1.0f32, |scale, v| scale.max(v.abs()));
    for (index, (got, expected)) in got.iter().zip(expected).enumerate() {
        assert!((got - expected).abs() <= tolerance * scale, "{what}: {got} at {index}, expected {expected}");
    }
}

/// Finite differences: small against the distances of [`shuffled`] values, large against rounding.
const STEP: f32 = 4e-4;
