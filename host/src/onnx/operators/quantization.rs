//! Quantised tensors: integers with a scale and a zero point, for all values or for each along an axis.

use anyhow::{Context, Result, bail, ensure};

use super::convolution::{Channels, group_of, taps};
use super::matrix::Operands;
use super::window::Window;
use super::{Inputs, Run, Work, axis_of, one, strides_of};
use crate::onnx::attributes::Attributes;
use crate::onnx::tensor::{Data, Element, Integer, Tensor, count};

/// Scales and zero points.
struct Steps<'a> {
    scales: &'a [f32],
    zeros: Vec<i64>,
    kind: Integer,
}

impl<'a> Steps<'a> {
    /// Returns those of two inputs; without zero points they are 0 of a type.
    fn new(inputs: &'a Inputs, scale: usize, zero: usize, other: Option<Integer>) -> Result<Self> {
        let (_, scales) = inputs.floats(scale)?;
        let (zeros, kind) = match inputs.optional(zero).map(|tensor| &tensor.data) {
            Some(Data::Int(zeros, kind)) => (zeros.to_vec(), *kind),
            Some(data) => bail!("input {zero} holds {data}, expected integers"),
            None => (vec![0; scales.len()], other.unwrap_or(Integer::U8)),
        };
        ensure!(zeros.len() == scales.len(), "has {} scales and {} zero points", scales.len(), zeros.len());
        Ok(Self { scales, zeros, kind })
    }

    /// Returns the places of each value's scale: one for all, or one along an axis.
    fn places(&self, shape: &[usize], axis: i64) -> Result<impl Fn(usize) -> usize + use<'a>> {
        let len = self.scales.len();
        let (stride, size) = if len == 1 {
            (1, 1)
        } else {
            let axis = axis_of(axis, shape.len())?;
            ensure!(shape[axis] == len, "{len} scales do not fit axis {axis} of shape {shape:?}");
            (strides_of(shape)[axis].max(1), len)
        };
        Ok(move |at: usize| at / stride % size)
    }
}

pub(super) fn quantize(attributes: &mut Attributes) -> Result<Run> {
    let axis = attributes.int("axis", 1)?;
    attributes.only_int("block_size", 0)?;
    attributes.only_int("precision", 0)?;
    // It concerns floats of 8 bits only.
    attributes.int("saturate", 1)?;
    let wanted = match attributes.int("output_dtype", 0)? {
        0 => None,
        code => match Element::from_code(code)? {
            Element::Int(kind) => Some(kind),
            _ => bail!("attribute \"output_dtype\" is {code}, which is no integer"),
        },
    };
    Ok(Box::new(move |inputs, work| {
        let (shape, x) = inputs.floats(0)?;
        work.spend(&[x.len()])?;
        let steps = Steps::new(inputs, 1, 2, wanted)?;
        let place = steps.places(shape, axis)?;
        let value = |(at, &x): (usize, &f32)| {
            let of = place(at);
            rounded(x / steps.scales[of], steps.zeros[of], steps.kind)
        };
        one(Tensor::ints(shape.to_vec(), x.iter().enumerate().map(value).collect(), steps.kind))
    }))
}

pub(super) fn dequantize(attributes: &mut Attributes) -> Result<Run> {
    let axis = attributes.int("axis", 1)?;
    attributes.only_int("block_size", 0)?;
    attributes.only_int("output_dtype", 0)?;
    Ok(Box::new(move |inputs, work| {
        let x = inputs.get(0)?;
        work.spend(&[x.len()])?;
        let steps = Steps::new(inputs, 1, 2, None)?;
        let place = steps.places(&x.shape, axis)?;
        let value = |(at, &x): (usize, &i64)| {
            let of = place(at);
            (x - steps.zeros[of]) as f32 * steps.scales[of]
        };
        let values = x.as_ints()?.iter().enumerate().map(value).collect();
        one(Tensor::floats(x.shape.clone(), values))
    }))
}

/// DynamicQuantizeLinear: 8 bits over the range of the whole tensor, which holds 0.
pub(super) fn dynamic_quantize(_: &mut Attributes) -> Result<Run> {
    Ok(Box::new(|inputs, work| {
        let (shape, x) = inputs.floats(0)?;
        work.spend(&[x.len()])?;
        let [low, high] = x.iter().fold([0.0f32; 2], |[low, high], &x| [low.min(x), high.max(x)]);
        let scale = (high - low) / 255.0;
        let zero = if scale == 0.0 { 0 } else { Integer::U8.saturate(f64::from((-low / scale).round_ties_even())) };
        let value = |&x: &f32| if scale == 0.0 { zero } else { rounded(x / scale, zero, Integer::U8) };
        Ok(vec![
            Tensor::ints(shape.to_vec(), x.iter().map(value).collect(), Integer::U8)?,
            Tensor::floats(Vec::new(), vec![scale])?,
            Tensor::ints(Vec::new(), vec![zero], Integer::U8)?,
        ])
    }))
}

fn rounded(x: f32, zero: i64, kind: Integer) -> i64 {
    kind.saturate(f64::from(x.round_ties_even()) + zero as f64)
}

/// Returns an integer input minus its zero point, which is per tensor or per index of an axis.
fn centred(inputs: &Inputs, at: usize, zero: usize, axis: i64) -> Result<(Vec<usize>, Vec<i64>)> {
    let x = inputs.get(at)?;
    let values = x.as_ints().with_context(|| format!("input {at}"))?;
    let Some(zeros) = inputs.optional_ints(zero)? else { return Ok((x.shape.clone(), values.to_vec())) };
    let (stride, size) = match zeros.len() {
        1 => (1, 1),
        len => {
            let axis = axis_of(axis, x.rank())?;
            ensure!(x.shape[axis] == len, "{len} zero points do not fit axis {axis} of shape {:?}", x.shape);
            (strides_of(&x.shape)[axis].max(1), len)
        }
    };
    Ok((x.shape.clone(), values.iter().enumerate().map(|(at, x)| x - zeros[at / stride % size]).collect()))
}

fn product(
    (a_shape, a): &(Vec<usize>, Vec<i64>),
    (b_shape, b): &(Vec<usize>, Vec<i64>),
    work: &Work,
) -> Result<(Vec<usize>, Vec<i64>)> {
    let Operands { sizes: [m, n, k], places, shape } = Operands::new(a_shape, b_shape)?;
    work.spend_slow(&[places.len(), m, n, k.max(1)])?;
    let mut y = Vec::with_capacity(count(&shape)?);
    for (left, right) in places {
        let (a, b) = (&a[left * m * k..], &b[right * k * n..]);
        let sum = |row: usize, column: usize| (0..k).map(|at| a[row * k + at] * b[at * n + column]).sum::<i64>();
        y.extend((0..m * n).map(|at| sum(at / n, at % n)));
    }
    Ok((shape, y))
}

pub(super) fn multiply_integer(_: &mut Attributes) -> Result<Run> {
    Ok(Box::new(|inputs, work| {
        let (shape, y) = product(&centred(inputs, 0, 2, -2)?, &centred(inputs, 1, 3, -1)?, work)?;
        one(Tensor::ints(shape, y.into_iter().map(|y| Integer::I32.wrap(y)).collect(), Integer::I32))
    }))
}

/// QLinearMatMul, with one scale a matrix, or one a row of the first and a column of the second.
pub(super) fn multiply(_: &mut Attributes) -> Result<Run> {
    Ok(Box::new(|inputs, work| {
        let (shape, y) = product(&centred(inputs, 0, 2, -2)?, &centred(inputs, 3, 5, -1)?, work)?;
        let ((_, a), (_, b)) = (inputs.floats(1)?, inputs.floats(4)?);
        let output = Steps::new(inputs, 6, 7, None)?;
        ensure!(
            a.len() == 1 && b.len() == 1 && output.scales.len() == 1,
            "has scales of rows, which are not supported"
        );
        requantized(shape, &y, output, |_| a[0] * b[0])
    }))
}

fn requantized(shape: Vec<usize>, y: &[i64], output: Steps<'_>, scale: impl Fn(usize) -> f32) -> Result<Vec<Tensor>> {
    let (by, zero) = (output.scales[0], output.zeros[0]);
    let value = |(at, &y): (usize, &i64)| rounded(y as f32 * (scale(at) / by), zero, output.kind);
    one(Tensor::ints(shape, y.iter().enumerate().map(value).collect(), output.kind))
}

/// A convolution of integers, in 64 bits.
fn convolved(
    window: &Window,
    group: usize,
    (shape, x): &(Vec<usize>, Vec<i64>),
    (weights_shape, weights): &(Vec<usize>, Vec<i64>),
    bias: Option<&[i64]>,
    work: &Work,
) -> Result<(Vec<usize>, Vec<i64>, usize)> {
    let windows = window.over(shape, weights_shape.get(2..))?;
    let channels = Channels::new(shape[1], weights_shape[0], weights_shape[1], group)?;
    ensure!(
        bias.is_none_or(|bias| bias.len() == channels.outputs),
        "its bias does not fit {} channels",
        channels.outputs
    );
    let output = windows.shape(shape[0], channels.outputs, shape.len() - 2);
    let len = count(&output)?;
    work.spend_slow(&[len, channels.each[0].max(1), windows.taps()])?;
    let mut y = vec![0i64; len];
    for (index, y) in y.chunks_exact_mut(windows.outputs().max(1)).enumerate() {
        let (sample, channel) = (index / channels.outputs, index % channels.outputs);
        y.fill(bias.map_or(0, |bias| bias[channel]));
        let first = sample * channels.inputs + channel / channels.each[1] * channels.each[0];
        for at in 0..channels.each[0] {
            let x = &x[(first + at) * windows.inputs()..][..windows.inputs()];
            let weights = &weights[(channel * channels.each[0] + at) * windows.taps()..][..windows.taps()];
            taps(&windows, |window, tap, place| y[window] += x[place] * weights[tap]);
        }
    }
    Ok((output, y, windows.outputs()))
}

pub(super) fn convolution_integer(attributes: &mut Attributes) -> Result<Run> {
    let window = Window::take(attributes)?;
    let group = group_of(attributes)?;
    Ok(Box::new(move |inputs, work| {
        let (x, weights) = (centred(inputs, 0, 2, 0)?, centred(inputs, 1, 3, 0)?);
        let (shape, y, _) = convolved(&window, group, &x, &weights, None, work)?;
        one(Tensor::ints(shape, y.into_iter().map(|y| Integer::I32.wrap(y)).collect(), Integer::I32))
    }))
}

/// QLinearConv, with one scale for all weights or one an output channel.
pub(super) fn convolution(attributes: &mut Attributes) -> Result<Run> {
    let window = Window::take(attributes)?;
    let group = group_of(attributes)?;
    Ok(Box::new(move |inputs, work| {
        let (x, weights) = (centred(inputs, 0, 2, 0)?, centred(inputs, 3, 5, 0)?);
        let (shape, y, plane) = convolved(&window, group, &x, &weights, inputs.optional_ints(8)?, work)?;
        let ((_, a), (_, b)) = (inputs.floats(1)?, inputs.floats(4)?);
        let output = Steps::new(inputs, 6, 7, None)?;
        let channels = shape[1];
        let fits = a.len() == 1 && (b.len() == 1 || b.len() == channels) && output.scales.len() == 1;
        ensure!(fits, "its scales do not fit {channels} channels");
        requantized(shape, &y, output, |at| a[0] * b[if b.len() == 1 { 0 } else { at / plane % channels }])
    }))
}
