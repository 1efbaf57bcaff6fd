//! Convolutions over one to three dimensions, in groups, and their transposes.

use anyhow::{Context, Result, ensure};

use super::window::{Window, Windows};
use super::{Run, one};
use crate::net::ops::gemm::{Matrix, product};
use crate::onnx::attributes::Attributes;
use crate::onnx::tensor::{Tensor, count};

/// Conv: weights of `[outputs, inputs / group, kernel...]`.
pub(super) fn convolution(attributes: &mut Attributes) -> Result<Run> {
    let window = Window::take(attributes)?;
    let group = group_of(attributes)?;
    Ok(Box::new(move |inputs, work| {
        let ((shape, x), (weights_shape, weights)) = (inputs.floats(0)?, inputs.floats(1)?);
        let windows = window.over(shape, weights_shape.get(2..))?;
        let channels = Channels::new(shape[1], weights_shape[0], weights_shape[1], group)?;
        let bias = bias_of(inputs.optional(2), channels.outputs)?;
        let output = windows.shape(shape[0], channels.outputs, shape.len() - 2);
        let mut y = vec![0.0; count(&output)?];
        let sample = (channels.inputs * windows.inputs(), channels.outputs * windows.outputs());
        work.spend(&[y.len(), channels.each[0].max(1), windows.taps()])?;
        if y.is_empty() {
            return one(Tensor::floats(output, y));
        }
        let mut columns = Vec::new();
        for (x, y) in x.chunks_exact(sample.0.max(1)).zip(y.chunks_exact_mut(sample.1)) {
            for at in 0..group {
                let x = &x[at * channels.each[0] * windows.inputs()..][..channels.each[0] * windows.inputs()];
                let y = &mut y[at * channels.each[1] * windows.outputs()..][..channels.each[1] * windows.outputs()];
                let len = channels.each[0] * windows.taps();
                let weights = &weights[at * channels.each[1] * len..][..channels.each[1] * len];
                if channels.each == [1, 1] {
                    slide(&windows, x, weights, y);
                } else {
                    multiply(&windows, channels.each, x, weights, y, &mut columns);
                }
            }
            if let Some(bias) = bias {
                for (y, bias) in y.chunks_exact_mut(windows.outputs()).zip(bias) {
                    y.iter_mut().for_each(|y| *y += bias);
                }
            }
        }
        one(Tensor::floats(output, y))
    }))
}

/// ConvTranspose: weights of `[inputs, outputs / group, kernel...]`.
pub(super) fn transposed(attributes: &mut Attributes) -> Result<Run> {
    let window = Window::take(attributes)?;
    let group = group_of(attributes)?;
    let extra = attributes.ints("output_padding")?.unwrap_or_default();
    let wanted = attributes.ints("output_shape")?;
    Ok(Box::new(move |inputs, work| {
        let ((shape, x), (weights_shape, weights)) = (inputs.floats(0)?, inputs.floats(1)?);
        let kernel = weights_shape.get(2..).context("input 1 has no kernel")?;
        let windows = window.transposed(shape, kernel, &extra, wanted.as_deref())?;
        // The convolution that is turned round goes from the outputs to the inputs.
        let outputs = weights_shape[1].checked_mul(group).context("has too many channels")?;
        let channels = Channels::new(outputs, weights_shape[0], weights_shape[1], group)?;
        ensure!(shape[1] == channels.outputs, "weights {weights_shape:?} do not fit an input of shape {shape:?}");
        let bias = bias_of(inputs.optional(2), outputs)?;
        let output = [&[shape[0], outputs], &windows.input[3 - kernel.len()..]].concat();
        let mut y = vec![0.0; count(&output)?];
        work.spend_slow(&[x.len().max(1), channels.each[0].max(1), windows.taps()])?;
        work.spend(&[y.len()])?;
        let sample = (channels.outputs * windows.outputs(), outputs * windows.inputs());
        if y.is_empty() {
            return one(Tensor::floats(output, y));
        }
        for (x, y) in x.chunks_exact(sample.0.max(1)).zip(y.chunks_exact_mut(sample.1)) {
            for (channel, x) in x.chunks_exact(windows.outputs()).enumerate() {
                let first = channel / channels.each[1] * channels.each[0];
                for at in 0..channels.each[0] {
                    let weights = &weights[(channel * channels.each[0] + at) * windows.taps()..][..windows.taps()];
                    let y = &mut y[(first + at) * windows.inputs()..][..windows.inputs()];
                    taps(&windows, |window, tap, place| y[place] += x[window] * weights[tap]);
                }
            }
            if let Some(bias) = bias {
                for (y, bias) in y.chunks_exact_mut(windows.inputs()).zip(bias) {
                    y.iter_mut().for_each(|y| *y += bias);
                }
            }
        }
        one(Tensor::floats(output, y))
    }))
}

/// The channels of a convolution.
pub(super) struct Channels {
    pub(super) inputs: usize,
    pub(super) outputs: usize,
    /// Inputs and outputs of a group.
    pub(super) each: [usize; 2],
}

impl Channels {
    /// Returns the channels, given those of the weights.
    ///
    /// # Errors
    ///
    /// When they do not go into groups.
    pub(super) fn new(inputs: usize, outputs: usize, each: usize, group: usize) -> Result<Self> {
        ensure!(
            each.checked_mul(group) == Some(inputs) && outputs.is_multiple_of(group),
            "weights of {outputs} x {each} channels do not fit {inputs} channels in {group} groups"
        );
        Ok(Self { inputs, outputs, each: [each, outputs / group] })
    }
}

pub(super) fn group_of(attributes: &mut Attributes) -> Result<usize> {
    let group = attributes.int("group", 1)?;
    usize::try_from(group).ok().filter(|&group| group > 0).with_context(|| format!("has {group} groups"))
}

/// Calls for each tap of each window that is not padding, with its window, its tap and its place.
pub(super) fn taps(windows: &Windows, mut call: impl FnMut(usize, usize, usize)) {
    let [_, out_height, out_width] = windows.output;
    let [_, height, width] = windows.input;
    let [kernel_depth, kernel_height, kernel_width] = windows.kernel;
    for (window, depth, row, column) in positions(windows.output) {
        debug_assert_eq!(window, (depth * out_height + row) * out_width + column);
        for i in 0..kernel_depth {
            let Some(z) = windows.place(0, depth, i) else { continue };
            for j in 0..kernel_height {
                let Some(y) = windows.place(1, row, j) else { continue };
                for k in 0..kernel_width {
                    let Some(x) = windows.place(2, column, k) else { continue };
                    call(window, (i * kernel_height + j) * kernel_width + k, (z * height + y) * width + x);
                }
            }
        }
    }
}

/// Returns the index and the place of each position of a volume.
pub(super) fn positions([depth, height, width]: [usize; 3]) -> impl Iterator<Item = (usize, usize, usize, usize)> {
    (0..depth * height * width).map(move |at| (at, at / width / height, at / width % height, at % width))
}

/// One channel by one kernel: the values of a window are added up in the order of the taps.
fn slide(windows: &Windows, x: &[f32], weights: &[f32], y: &mut [f32]) {
    let [_, height, width] = windows.input;
    let [kernel_depth, kernel_height, kernel_width] = windows.kernel;
    let [_, _, out_width] = windows.output;
    let (step, dilation) = (windows.strides[2], windows.dilations[2]);
    for (row_index, y) in y.chunks_exact_mut(out_width).enumerate() {
        let (depth, row) = (row_index / windows.output[1], row_index % windows.output[1]);
        for i in 0..kernel_depth {
            let Some(z) = windows.place(0, depth, i) else { continue };
            for j in 0..kernel_height {
                let Some(line) = windows.place(1, row, j) else { continue };
                let x = &x[(z * height + line) * width..][..width];
                for k in 0..kernel_width {
                    let weight = weights[(i * kernel_height + j) * kernel_width + k];
                    let [first, end] = inner(windows, k);
                    let start = (first * step + k * dilation).saturating_sub(windows.before[2]);
                    for (y, x) in y[first..end].iter_mut().zip(x[start.min(width)..].iter().step_by(step)) {
                        *y += weight * x;
                    }
                }
            }
        }
    }
}

/// Returns the range of windows along the last axis whose tap is not padding.
fn inner(windows: &Windows, tap: usize) -> [usize; 2] {
    let (step, before) = (windows.strides[2], windows.before[2]);
    let offset = tap * windows.dilations[2];
    let first = before.saturating_sub(offset).div_ceil(step);
    let end = (windows.input[2] + before).saturating_sub(offset).div_ceil(step);
    let end = end.min(windows.output[2]);
    [first.min(end), end]
}

/// Windows laid out as columns, some at a time, and multiplied by the weights.
fn multiply(
    windows: &Windows,
    [inputs, outputs]: [usize; 2],
    x: &[f32],
    weights: &[f32],
    y: &mut [f32],
    columns: &mut Vec<f32>,
) {
    let len = inputs * windows.taps();
    let all = windows.outputs();
    let tile = (COLUMNS / len.max(1)).clamp(1, all);
    let pointwise = windows.taps() == 1 && windows.strides == [1; 3] && windows.input == windows.output;
    if pointwise && windows.before == [0; 3] {
        product(y, [outputs, all, len], Matrix::rows(weights, len), Matrix::rows(x, all), false, false);
        return;
    }
    let mut part = Vec::new();
    let [_, height, width] = windows.input;
    let [kernel_depth, kernel_height, kernel_width] = windows.kernel;
    let [_, out_height, out_width] = windows.output;
    for first in (0..all).step_by(tile) {
        let count = tile.min(all - first);
        columns.clear();
        columns.resize(len * count, 0.0);
        for channel in 0..inputs {
            let x = &x[channel * windows.inputs()..][..windows.inputs()];
            for tap in 0..windows.taps() {
                let [i, j, k] =
                    [tap / kernel_width / kernel_height, tap / kernel_width % kernel_height, tap % kernel_width];
                debug_assert!(i < kernel_depth);
                let columns = &mut columns[(channel * windows.taps() + tap) * count..][..count];
                let [from, to] = inner(windows, k);
                // Row by row of the output, as far as the tile reaches.
                let mut at = first;
                while at < first + count {
                    let (row, column) = (at / out_width, at % out_width);
                    let end = (out_width - column).min(first + count - at);
                    let line = windows.place(0, row / out_height, i).zip(windows.place(1, row % out_height, j));
                    if let Some((z, line)) = line {
                        let x = &x[(z * height + line) * width..][..width];
                        let (from, to) = (from.max(column), to.min(column + end));
                        if from < to {
                            let start = from * windows.strides[2] + k * windows.dilations[2] - windows.before[2];
                            let targets = &mut columns[at - first + from - column..][..to - from];
                            let values = x[start..].iter().step_by(windows.strides[2]);
                            targets.iter_mut().zip(values).for_each(|(to, from)| *to = *from);
                        }
                    }
                    at += end;
                }
            }
        }
        let sizes = [outputs, count, len];
        if count == all {
            product(y, sizes, Matrix::rows(weights, len), Matrix::rows(columns, count), false, false);
            return;
        }
        part.resize(outputs * count, 0.0);
        product(&mut part, sizes, Matrix::rows(weights, len), Matrix::rows(columns, count), false, false);
        for (y, part) in y.chunks_exact_mut(all).zip(part.chunks_exact(count)) {
            y[first..first + count].copy_from_slice(part);
        }
    }
}

fn bias_of(bias: Option<&Tensor>, outputs: usize) -> Result<Option<&[f32]>> {
    let Some(bias) = bias else { return Ok(None) };
    ensure!(bias.shape == [outputs], "a bias of shape {:?} does not fit {outputs} channels", bias.shape);
    Ok(Some(bias.as_floats()?))
}

/// Values of the columns that are laid out at a time: 2 MiB.
const COLUMNS: usize = 1 << 19;
