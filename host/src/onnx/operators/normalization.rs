//! Normalisations, and functions of whole rows such as softmax. Statistics are taken in double precision.

use anyhow::{Result, ensure};

use super::{Run, around, axes_of, axis_of, one, strides_of};
use crate::onnx::attributes::Attributes;
use crate::onnx::tensor::Tensor;

/// BatchNormalization with the statistics of the file.
pub(super) fn batch(attributes: &mut Attributes) -> Result<Run> {
    let epsilon = attributes.float("epsilon", 1e-5)?;
    // It is of training only.
    attributes.float("momentum", 0.9)?;
    let training = attributes.flag("training_mode", false)?;
    ensure!(!training, "is in training mode: export the network in evaluation mode");
    ensure!(attributes.int("spatial", 1)? == 1, "attribute \"spatial\" is 0, which is not supported");
    Ok(Box::new(move |inputs, work| {
        let (shape, x) = inputs.floats(0)?;
        ensure!(shape.len() >= 2, "an input of shape {shape:?} has no channels");
        work.spend(&[x.len()])?;
        let channel = |place| per_channel(inputs.floats(place)?, shape[1]);
        let [scale, bias, mean, variance] = [channel(1)?, channel(2)?, channel(3)?, channel(4)?];
        let of_channel = |at: usize| {
            let gain = scale[at] / (variance[at] + epsilon).sqrt();
            [gain, bias[at] - mean[at] * gain]
        };
        let lines: Vec<[f32; 2]> = (0..shape[1]).map(of_channel).collect();
        let plane: usize = shape[2..].iter().product();
        let mut y = x.to_vec();
        for (at, y) in y.chunks_exact_mut(plane.max(1)).enumerate() {
            let [gain, offset] = lines[at % shape[1]];
            y.iter_mut().for_each(|y| *y = *y * gain + offset);
        }
        one(Tensor::floats(shape.to_vec(), y))
    }))
}

/// InstanceNormalization: the statistics of each channel of each sample.
pub(super) fn instance(attributes: &mut Attributes) -> Result<Run> {
    let epsilon = attributes.float("epsilon", 1e-5)?;
    Ok(Box::new(move |inputs, work| {
        let (shape, x) = inputs.floats(0)?;
        ensure!(shape.len() > 2, "an input of shape {shape:?} has no space to normalise");
        work.spend(&[x.len()])?;
        let [scale, bias] = [per_channel(inputs.floats(1)?, shape[1])?, per_channel(inputs.floats(2)?, shape[1])?];
        let mut y = x.to_vec();
        for (at, y) in y.chunks_exact_mut(shape[2..].iter().product::<usize>().max(1)).enumerate() {
            let channel = at % shape[1];
            standardize(y, epsilon, |_, y| y * scale[channel] + bias[channel]);
        }
        one(Tensor::floats(shape.to_vec(), y))
    }))
}

/// GroupNormalization. Scale and bias are of groups in opset 18 and of channels since 21.
pub(super) fn group(attributes: &mut Attributes) -> Result<Run> {
    let epsilon = attributes.float("epsilon", 1e-5)?;
    let groups = attributes.int("num_groups", 0)?;
    stash(attributes)?;
    let by_channel = attributes.opset >= 21;
    Ok(Box::new(move |inputs, work| {
        let (shape, x) = inputs.floats(0)?;
        ensure!(shape.len() >= 2, "an input of shape {shape:?} has no channels");
        work.spend(&[x.len()])?;
        let channels = shape[1];
        let groups = usize::try_from(groups).unwrap_or(0);
        ensure!(groups > 0 && channels.is_multiple_of(groups), "{channels} channels do not go into {groups} groups");
        let len = if by_channel { channels } else { groups };
        let [scale, bias] = [per_channel(inputs.floats(1)?, len)?, per_channel(inputs.floats(2)?, len)?];
        let plane: usize = shape[2..].iter().product();
        let each = channels / groups;
        let mut y = x.to_vec();
        for (at, y) in y.chunks_exact_mut((each * plane).max(1)).enumerate() {
            let group = at % groups;
            standardize(y, epsilon, |place, y| {
                let at = if by_channel { group * each + place / plane } else { group };
                y * scale[at] + bias[at]
            });
        }
        one(Tensor::floats(shape.to_vec(), y))
    }))
}

/// LayerNormalization over the axes from one on; further outputs are the mean and the inverse of the deviation.
pub(super) fn layer(attributes: &mut Attributes) -> Result<Run> {
    let epsilon = attributes.float("epsilon", 1e-5)?;
    let axis = attributes.int("axis", -1)?;
    stash(attributes)?;
    let outputs = attributes.outputs;
    Ok(Box::new(move |inputs, work| {
        let (shape, x) = inputs.floats(0)?;
        work.spend(&[x.len()])?;
        let normal = &shape[axis_of(axis, shape.len())?..];
        let scale = over(inputs.floats(1)?, normal)?;
        let bias = match inputs.optional(2) {
            Some(_) => over(inputs.floats(2)?, normal)?,
            None => vec![0.0; scale.len()],
        };
        let mut y = x.to_vec();
        let (mut means, mut inverses) = (Vec::new(), Vec::new());
        for y in y.chunks_exact_mut(scale.len().max(1)) {
            let [mean, inverse] = standardize(y, epsilon, |place, y| y * scale[place] + bias[place]);
            means.push(mean as f32);
            inverses.push(inverse as f32);
        }
        let mut of_rows = shape.to_vec();
        of_rows[shape.len() - normal.len()..].fill(1);
        let rows = [means, inverses].into_iter().map(|values| Tensor::floats(of_rows.clone(), values));
        std::iter::once(Tensor::floats(shape.to_vec(), y)).chain(rows).take(outputs).collect()
    }))
}

/// RMSNormalization: division by the root of the mean of squares.
pub(super) fn root_mean_square(attributes: &mut Attributes) -> Result<Run> {
    let epsilon = attributes.float("epsilon", 1e-5)?;
    let axis = attributes.int("axis", -1)?;
    stash(attributes)?;
    Ok(Box::new(move |inputs, work| {
        let (shape, x) = inputs.floats(0)?;
        work.spend(&[x.len()])?;
        let scale = over(inputs.floats(1)?, &shape[axis_of(axis, shape.len())?..])?;
        let mut y = x.to_vec();
        for y in y.chunks_exact_mut(scale.len().max(1)) {
            let squares = y.iter().map(|&y| f64::from(y) * f64::from(y)).sum::<f64>() / y.len() as f64;
            let root = (squares + f64::from(epsilon)).sqrt();
            y.iter_mut().zip(&scale).for_each(|(y, scale)| *y = (f64::from(*y) / root) as f32 * scale);
        }
        one(Tensor::floats(shape.to_vec(), y))
    }))
}

/// MeanVarianceNormalization over some axes.
pub(super) fn mean_variance(attributes: &mut Attributes) -> Result<Run> {
    let axes = attributes.ints("axes")?.unwrap_or_else(|| vec![0, 2, 3]);
    Ok(Box::new(move |inputs, work| {
        let (shape, x) = inputs.floats(0)?;
        work.spend(&[x.len()])?;
        let axes = axes_of(&axes, shape.len())?;
        let strides = strides_of(shape);
        // All that share their place along the other axes are one row.
        let mut rows = std::collections::BTreeMap::<usize, Vec<usize>>::new();
        for at in 0..x.len() {
            let key = (0..shape.len()).filter(|axis| !axes.contains(axis));
            let key = key.map(|axis| at / strides[axis] % shape[axis] * strides[axis]).sum();
            rows.entry(key).or_default().push(at);
        }
        let mut y = x.to_vec();
        for places in rows.values() {
            let mut row: Vec<f32> = places.iter().map(|&at| x[at]).collect();
            let [mean, variance] = moments(&row);
            row.iter_mut().for_each(|y| *y = ((f64::from(*y) - mean) / (variance.sqrt() + 1e-9)) as f32);
            places.iter().zip(row).for_each(|(&at, value)| y[at] = value);
        }
        one(Tensor::floats(shape.to_vec(), y))
    }))
}

/// LRN: division by a power of the squares of the channels around.
pub(super) fn local_response(attributes: &mut Attributes) -> Result<Run> {
    let alpha = f64::from(attributes.float("alpha", 1e-4)?);
    let beta = f64::from(attributes.float("beta", 0.75)?);
    let bias = f64::from(attributes.float("bias", 1.0)?);
    let size = usize::try_from(attributes.int("size", 0)?).unwrap_or(0);
    ensure!(size > 0, "attribute \"size\" is missing or 0");
    Ok(Box::new(move |inputs, work| {
        let (shape, x) = inputs.floats(0)?;
        ensure!(shape.len() > 2, "an input of shape {shape:?} has no channels");
        let (channels, plane) = (shape[1], shape[2..].iter().product::<usize>());
        work.spend_slow(&[x.len(), size.min(channels).max(1)])?;
        let mut y = x.to_vec();
        let sample = (channels * plane).max(1);
        for (y, x) in y.chunks_exact_mut(sample).zip(x.chunks_exact(sample)) {
            for channel in 0..channels {
                let first = channel.saturating_sub((size - 1) / 2);
                let end = (channel + size / 2 + 1).min(channels);
                for at in 0..plane {
                    let squares = (first..end).map(|other| f64::from(x[other * plane + at]).powi(2)).sum::<f64>();
                    let by = (bias + alpha / size as f64 * squares).powf(beta);
                    y[channel * plane + at] = (f64::from(x[channel * plane + at]) / by) as f32;
                }
            }
        }
        one(Tensor::floats(shape.to_vec(), y))
    }))
}

/// LpNormalization: division by the norm along an axis, 0 where that is 0.
pub(super) fn lp(attributes: &mut Attributes) -> Result<Run> {
    let axis = attributes.int("axis", -1)?;
    let p = attributes.int("p", 2)?;
    ensure!(p == 1 || p == 2, "attribute \"p\" is {p}, expected 1 or 2");
    along(axis, move |row| {
        let norm = match p {
            1 => row.iter().map(|x| f64::from(x.abs())).sum::<f64>(),
            _ => row.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>().sqrt(),
        };
        row.iter_mut().for_each(|x| *x = if norm == 0.0 { 0.0 } else { (f64::from(*x) / norm) as f32 });
    })
}

pub(super) fn softmax(attributes: &mut Attributes) -> Result<Run> {
    rows(attributes, |row| {
        let largest = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        row.iter_mut().for_each(|x| *x = (*x - largest).exp());
        let sum: f32 = row.iter().sum();
        row.iter_mut().for_each(|x| *x /= sum);
    })
}

pub(super) fn log_softmax(attributes: &mut Attributes) -> Result<Run> {
    rows(attributes, |row| {
        let largest = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let sum = row.iter().map(|x| (x - largest).exp()).sum::<f32>().ln();
        row.iter_mut().for_each(|x| *x = *x - largest - sum);
    })
}

/// Hardmax: 1 at the first of the largest values, 0 elsewhere.
pub(super) fn hardmax(attributes: &mut Attributes) -> Result<Run> {
    rows(attributes, |row| {
        let mut best = 0;
        (0..row.len()).for_each(|at| {
            if row[at] > row[best] {
                best = at
            }
        });
        row.iter_mut().enumerate().for_each(|(at, x)| *x = f32::from(u8::from(at == best)));
    })
}

/// Rows along an axis; before opset 13 along it and all behind it.
fn rows(attributes: &mut Attributes, f: impl Fn(&mut [f32]) + Send + Sync + 'static) -> Result<Run> {
    if attributes.opset >= 13 {
        return along(attributes.int("axis", -1)?, f);
    }
    let axis = attributes.int("axis", 1)?;
    Ok(Box::new(move |inputs, work| {
        let (shape, x) = inputs.floats(0)?;
        work.spend(&[x.len()])?;
        let rest = if axis == shape.len() as i64 { &[] } else { &shape[axis_of(axis, shape.len())?..] };
        let mut y = x.to_vec();
        y.chunks_exact_mut(rest.iter().product::<usize>().max(1)).for_each(&f);
        one(Tensor::floats(shape.to_vec(), y))
    }))
}

fn along(axis: i64, f: impl Fn(&mut [f32]) + Send + Sync + 'static) -> Result<Run> {
    Ok(Box::new(move |inputs, work| {
        let (shape, x) = inputs.floats(0)?;
        work.spend(&[x.len()])?;
        let [before, len, behind] = around(shape, axis_of(axis, shape.len())?);
        let mut y = x.to_vec();
        if behind == 1 {
            y.chunks_exact_mut(len.max(1)).for_each(&f);
            return one(Tensor::floats(shape.to_vec(), y));
        }
        let mut row = vec![0.0; len];
        for first in (0..before).flat_map(|at| (0..behind).map(move |rest| at * len * behind + rest)) {
            row.iter_mut().enumerate().for_each(|(at, value)| *value = y[first + at * behind]);
            f(&mut row);
            row.iter().enumerate().for_each(|(at, &value)| y[first + at * behind] = value);
        }
        one(Tensor::floats(shape.to_vec(), y))
    }))
}

/// Brings values to mean 0 and deviation 1, and on through a function of their place; returns the mean and the inverse of the
/// deviation.
fn standardize(values: &mut [f32], epsilon: f32, f: impl Fn(usize, f32) -> f32) -> [f64; 2] {
    let [mean, variance] = moments(values);
    let scale = 1.0 / (variance + f64::from(epsilon)).sqrt();
    for (place, value) in values.iter_mut().enumerate() {
        *value = f(place, ((f64::from(*value) - mean) * scale) as f32);
    }
    [mean, scale]
}

/// Returns mean and variance.
fn moments(values: &[f32]) -> [f64; 2] {
    let len = values.len() as f64;
    let mean = values.iter().map(|&x| f64::from(x)).sum::<f64>() / len;
    [mean, values.iter().map(|&x| (f64::from(x) - mean).powi(2)).sum::<f64>() / len]
}

/// The type of the statistics; they are in double precision here.
fn stash(attributes: &mut Attributes) -> Result<()> {
    let kind = attributes.int("stash_type", 1)?;
    ensure!(matches!(kind, 1 | 10 | 11 | 16), "attribute \"stash_type\" is {kind}, which is no float");
    Ok(())
}

fn per_channel<'a>((shape, values): (&[usize], &'a [f32]), len: usize) -> Result<&'a [f32]> {
    ensure!(shape == [len], "parameters of shape {shape:?} do not fit {len} channels");
    Ok(values)
}

/// Returns parameters for each value of the normal axes, repeated where their sizes are 1.
fn over((shape, values): (&[usize], &[f32]), normal: &[usize]) -> Result<Vec<f32>> {
    ensure!(
        super::broadcast::shape_of(shape, normal)? == normal,
        "parameters of shape {shape:?} do not fit values of {normal:?}"
    );
    let zeros = vec![0.0; normal.iter().product()];
    Ok(super::broadcast::pairs([normal, shape, normal], &zeros, values, |_, value| value))
}
