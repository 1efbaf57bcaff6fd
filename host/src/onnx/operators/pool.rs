//! Pools over windows, and over whole channels.

use anyhow::{Result, ensure};

use super::convolution::taps;
use super::window::{Window, Windows};
use super::{Inputs, Run, Work, one};
use crate::onnx::attributes::Attributes;
use crate::onnx::tensor::{Tensor, count};

/// What a pool makes of each value, of the next one, and of all of them at the end.
struct Pool<'a> {
    start: f64,
    add: &'a dyn Fn(f64, f64) -> f64,
    end: &'a dyn Fn(f64, usize) -> f64,
}

/// MaxPool; its second output, the places of the maxima, is not there.
pub(super) fn maximum(attributes: &mut Attributes) -> Result<Run> {
    // It orders the indices of the second output only.
    attributes.int("storage_order", 0)?;
    let window = Window::take_with_ceil(attributes)?;
    let largest = |a: f64, b: f64| if a.is_nan() || a >= b { a } else { b };
    Ok(Box::new(move |inputs, work| {
        pooled(inputs, work, &window, &Pool { start: f64::NEG_INFINITY, add: &largest, end: &|y, _| y })
    }))
}

/// AveragePool. With `count_include_pad` padding counts as zeros, but for what `ceil_mode` adds behind it.
pub(super) fn average(attributes: &mut Attributes) -> Result<Run> {
    let with_padding = attributes.flag("count_include_pad", false)?;
    let window = Window::take_with_ceil(attributes)?;
    Ok(Box::new(move |inputs, work| {
        let (shape, _) = inputs.floats(0)?;
        let windows = window.over(shape, None)?;
        let mut counts = vec![0usize; windows.outputs()];
        if with_padding {
            let inside = |axis: usize, window: usize, tap: usize| {
                window * windows.strides[axis] + tap * windows.dilations[axis]
                    < windows.input[axis] + windows.before[axis] + windows.behind[axis]
            };
            work.spend_slow(&[windows.outputs(), windows.taps()])?;
            for (at, depth, row, column) in super::convolution::positions(windows.output) {
                let places = [depth, row, column];
                let taps =
                    (0..3).map(|axis| (0..windows.kernel[axis]).filter(|&tap| inside(axis, places[axis], tap)).count());
                counts[at] = taps.product();
            }
        } else {
            taps(&windows, |window, _, _| counts[window] += 1);
        }
        let pool = Pool {
            start: 0.0,
            add: &|sum, x| sum + x,
            end: &|sum, window| if counts[window] == 0 { 0.0 } else { sum / counts[window] as f64 },
        };
        pooled(inputs, work, &window, &pool)
    }))
}

/// LpPool: the root of the sum of powers.
pub(super) fn lp(attributes: &mut Attributes) -> Result<Run> {
    let p = attributes.int("p", 2)? as f64;
    ensure!(p >= 1.0, "attribute \"p\" is {p}, expected 1 or more");
    let window = Window::take_with_ceil(attributes)?;
    Ok(Box::new(move |inputs, work| {
        let pool = Pool { start: 0.0, add: &|sum, x| sum + x.abs().powf(p), end: &|sum, _| sum.powf(1.0 / p) };
        pooled(inputs, work, &window, &pool)
    }))
}

fn pooled(inputs: &Inputs, work: &Work, window: &Window, pool: &Pool<'_>) -> Result<Vec<Tensor>> {
    let (shape, x) = inputs.floats(0)?;
    let windows: Windows = window.over(shape, None)?;
    let output = windows.shape(shape[0], shape[1], shape.len() - 2);
    let len = count(&output)?;
    work.spend_slow(&[len, windows.taps()])?;
    let mut y = Vec::with_capacity(len);
    let mut sums = vec![0.0; windows.outputs()];
    for channel in x.chunks_exact(windows.inputs().max(1)) {
        sums.fill(pool.start);
        taps(&windows, |window, _, place| sums[window] = (pool.add)(sums[window], f64::from(channel[place])));
        y.extend(sums.iter().enumerate().map(|(window, &sum)| (pool.end)(sum, window) as f32));
    }
    one(Tensor::floats(output, y))
}

fn global(f: impl Fn(&[f32]) -> f32 + Send + Sync + 'static) -> Result<Run> {
    Ok(Box::new(move |inputs, work| {
        let (shape, x) = inputs.floats(0)?;
        ensure!(shape.len() > 2 && !x.is_empty(), "an input of shape {shape:?} has no space to pool over");
        work.spend(&[x.len()])?;
        let values = x.chunks_exact(shape[2..].iter().product()).map(&f).collect();
        let mut output = shape[..2].to_vec();
        output.resize(shape.len(), 1);
        one(Tensor::floats(output, values))
    }))
}

pub(super) fn global_average(_: &mut Attributes) -> Result<Run> {
    global(|x| (x.iter().map(|&x| f64::from(x)).sum::<f64>() / x.len() as f64) as f32)
}

pub(super) fn global_max(_: &mut Attributes) -> Result<Run> {
    global(|x| x.iter().fold(f32::NEG_INFINITY, |a, &b| if a.is_nan() || a >= b { a } else { b }))
}

pub(super) fn global_lp(attributes: &mut Attributes) -> Result<Run> {
    let p = attributes.int("p", 2)? as f64;
    ensure!(p >= 1.0, "attribute \"p\" is {p}, expected 1 or more");
    global(move |x| x.iter().map(|&x| f64::from(x).abs().powf(p)).sum::<f64>().powf(1.0 / p) as f32)
}
