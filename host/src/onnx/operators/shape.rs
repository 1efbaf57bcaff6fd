//! Operators that move elements or make tensors, without arithmetic.

use std::sync::Arc;

use anyhow::{Context, Result, bail, ensure};

use super::{Run, Work, around, axes_of, axis_of, one, strides_of};
use crate::onnx::attributes::Attributes;
use crate::onnx::tensor::{Data, Element, Integer, Tensor, count, sizes};

/// Returns the elements of a new shape, each from the place that a function of its coordinates gives.
fn gathered(x: &Tensor, shape: Vec<usize>, work: &Work, place: impl Fn(&[usize]) -> usize) -> Result<Tensor> {
    let len = count(&shape)?;
    work.spend_slow(&[len, shape.len().max(1)])?;
    let mut at = vec![0usize; shape.len()];
    let mut first = true;
    let places = (0..len).map(|_| {
        // The next coordinates, the last axis first.
        if !std::mem::take(&mut first) {
            for axis in (0..shape.len()).rev() {
                at[axis] += 1;
                if at[axis] < shape[axis] {
                    break;
                }
                at[axis] = 0;
            }
        }
        place(&at)
    });
    let data = x.data.pick(places);
    Tensor::new(shape, data)
}

pub(super) fn concat(attributes: &mut Attributes) -> Result<Run> {
    let axis = attributes.optional_int("axis")?.context("attribute \"axis\" is missing")?;
    Ok(Box::new(move |inputs, work| {
        let all = inputs.all()?;
        let axis = axis_of(axis, all[0].rank())?;
        let mut shape = all[0].shape.clone();
        for other in &all[1..] {
            let fits =
                other.rank() == shape.len() && (0..shape.len()).all(|at| at == axis || other.shape[at] == shape[at]);
            ensure!(fits, "shapes {:?} and {:?} do not join along axis {axis}", all[0].shape, other.shape);
            shape[axis] = shape[axis].checked_add(other.shape[axis]).context("is too long")?;
        }
        work.spend(&[count(&shape)?])?;
        let data = Data::joined(&all.iter().map(|tensor| &tensor.data).collect::<Vec<_>>())?;
        let starts = all.iter().scan(0, |sum, tensor| {
            let start = *sum;
            *sum += tensor.len();
            Some(start)
        });
        let runs: Vec<(usize, usize)> =
            starts.zip(&all).map(|(start, tensor)| (start, tensor.shape[axis..].iter().product())).collect();
        let before: usize = shape[..axis].iter().product();
        let places = (0..before)
            .flat_map(|row| runs.iter().flat_map(move |&(start, len)| start + row * len..start + (row + 1) * len));
        one(Tensor::new(shape.clone(), data.pick(places)))
    }))
}

pub(super) fn constant(attributes: &mut Attributes) -> Result<Run> {
    let mut found = Vec::new();
    found.extend(attributes.tensor("value")?);
    if let Some(value) = attributes.optional_float("value_float")? {
        found.push(Tensor::floats(Vec::new(), vec![value])?);
    }
    if let Some(values) = attributes.floats("value_floats")? {
        found.push(Tensor::floats(vec![values.len()], values)?);
    }
    if let Some(value) = attributes.optional_int("value_int")? {
        found.push(Tensor::ints(Vec::new(), vec![value], Integer::I64)?);
    }
    if let Some(values) = attributes.ints("value_ints")? {
        found.push(Tensor::ints(vec![values.len()], values, Integer::I64)?);
    }
    ensure!(found.len() == 1, "has {} values that are supported, expected one", found.len());
    Ok(Box::new(move |_, _| Ok(found.clone())))
}

pub(super) fn constant_of_shape(attributes: &mut Attributes) -> Result<Run> {
    let value = attributes.tensor("value")?.map_or_else(|| Tensor::floats(vec![1], vec![0.0]), Ok)?;
    ensure!(value.len() == 1, "attribute \"value\" has {} elements, expected one", value.len());
    Ok(Box::new(move |inputs, work| {
        let shape = sizes(inputs.get(0)?.as_ints()?)?;
        one(gathered(&value, shape, work, |_| 0))
    }))
}

pub(super) fn expand(_: &mut Attributes) -> Result<Run> {
    Ok(Box::new(|inputs, work| {
        let x = inputs.get(0)?;
        let shape = super::broadcast::shape_of(&x.shape, &sizes(inputs.get(1)?.as_ints()?)?)?;
        let missing = shape.len() - x.rank();
        let strides = strides_of(&x.shape);
        one(gathered(x, shape, work, |at| {
            let steps = strides.iter().zip(&x.shape).zip(&at[missing..]);
            steps.map(|((stride, &size), at)| if size == 1 { 0 } else { stride * at }).sum()
        }))
    }))
}

pub(super) fn eye_like(attributes: &mut Attributes) -> Result<Run> {
    let diagonal = attributes.int("k", 0)?;
    let element = attributes.optional_int("dtype")?.map(Element::from_code).transpose()?;
    Ok(Box::new(move |inputs, work| {
        let x = inputs.get(0)?;
        ensure!(x.rank() == 2, "an input of shape {:?} is no matrix", x.shape);
        work.spend(&[x.len()])?;
        let columns = x.shape[1];
        let on = |at: usize| (at % columns) as i64 - (at / columns) as i64 == diagonal;
        let kind = match (element, &x.data) {
            (Some(Element::Int(kind)), _) => Some(kind),
            (None, Data::Int(_, kind)) => Some(*kind),
            (Some(Element::Bool), _) | (None, Data::Bool(_)) => bail!("makes booleans, which is not supported"),
            _ => None,
        };
        one(match kind {
            Some(kind) => Tensor::ints(x.shape.clone(), (0..x.len()).map(|at| i64::from(on(at))).collect(), kind),
            None => Tensor::floats(x.shape.clone(), (0..x.len()).map(|at| f32::from(u8::from(on(at)))).collect()),
        })
    }))
}

pub(super) fn flatten(attributes: &mut Attributes) -> Result<Run> {
    let axis = attributes.int("axis", 1)?;
    Ok(Box::new(move |inputs, _| {
        let x = inputs.get(0)?;
        let axis = if axis == x.rank() as i64 { x.rank() } else { axis_of(axis, x.rank())? };
        let shape = vec![x.shape[..axis].iter().product(), x.shape[axis..].iter().product()];
        one(x.clone().reshaped(shape))
    }))
}

pub(super) fn reshape(attributes: &mut Attributes) -> Result<Run> {
    let keep_zeros = attributes.flag("allowzero", false)?;
    // Opset 1 had the shape as an attribute.
    let given = attributes.ints("shape")?;
    Ok(Box::new(move |inputs, _| {
        let x = inputs.get(0)?;
        let wanted = match (&given, inputs.optional_ints(1)?) {
            (None, Some(shape)) => shape,
            (Some(shape), None) => shape,
            _ => bail!("needs its shape as an input"),
        };
        ensure!(wanted.iter().filter(|&&size| size == -1).count() <= 1, "shape {wanted:?} leaves two sizes open");
        let mut shape = Vec::new();
        for (at, &size) in wanted.iter().enumerate() {
            shape.push(match size {
                0 if !keep_zeros => *x.shape.get(at).with_context(|| format!("shape {wanted:?} copies no size"))?,
                -1 => 1,
                size => usize::try_from(size).ok().with_context(|| format!("shape {wanted:?} is negative"))?,
            });
        }
        if let Some(open) = wanted.iter().position(|&size| size == -1) {
            let known = count(&shape)?;
            let fits = known > 0 && x.len().is_multiple_of(known);
            ensure!(fits, "{} values do not fit shape {wanted:?}", x.len());
            shape[open] = x.len() / known;
        }
        one(x.clone().reshaped(shape))
    }))
}

pub(super) fn shape(attributes: &mut Attributes) -> Result<Run> {
    let start = attributes.int("start", 0)?;
    let end = attributes.optional_int("end")?;
    Ok(Box::new(move |inputs, _| {
        let shape = &inputs.get(0)?.shape;
        let rank = shape.len() as i64;
        let bound = |at: i64| if at < 0 { at.saturating_add(rank) } else { at }.clamp(0, rank) as usize;
        let (start, end) = (bound(start), bound(end.unwrap_or(rank)));
        let sizes: Vec<i64> = shape[start..end.max(start)].iter().map(|&size| size as i64).collect();
        one(Tensor::ints(vec![sizes.len()], sizes, Integer::I64))
    }))
}

pub(super) fn size(_: &mut Attributes) -> Result<Run> {
    Ok(Box::new(|inputs, _| one(Tensor::ints(Vec::new(), vec![inputs.get(0)?.len() as i64], Integer::I64))))
}

pub(super) fn squeeze(attributes: &mut Attributes) -> Result<Run> {
    let given = attributes.ints("axes")?;
    Ok(Box::new(move |inputs, _| {
        let x = inputs.get(0)?;
        let axes = match inputs.optional_ints(1)?.or(given.as_deref()) {
            Some(axes) => axes_of(axes, x.rank())?,
            None => (0..x.rank()).filter(|&axis| x.shape[axis] == 1).collect(),
        };
        ensure!(axes.iter().all(|&axis| x.shape[axis] == 1), "axes {axes:?} of shape {:?} are not 1", x.shape);
        let left = (0..x.rank()).filter(|axis| !axes.contains(axis)).map(|axis| x.shape[axis]).collect();
        one(x.clone().reshaped(left))
    }))
}

pub(super) fn unsqueeze(attributes: &mut Attributes) -> Result<Run> {
    let given = attributes.ints("axes")?;
    Ok(Box::new(move |inputs, _| {
        let x = inputs.get(0)?;
        let axes = inputs.optional_ints(1)?.or(given.as_deref()).context("has no axes")?;
        let rank = x.rank() + axes.len();
        let axes = axes_of(axes, rank)?;
        let mut old = x.shape.iter();
        let new = (0..rank).map(|axis| if axes.contains(&axis) { 1 } else { old.next().copied().unwrap_or(1) });
        one(x.clone().reshaped(new.collect()))
    }))
}

pub(super) fn transpose(attributes: &mut Attributes) -> Result<Run> {
    let order = attributes.ints("perm")?;
    Ok(Box::new(move |inputs, work| {
        let x = inputs.get(0)?;
        let order = match &order {
            Some(order) => order.iter().map(|&axis| axis_of(axis, x.rank())).collect::<Result<Vec<_>>>()?,
            None => (0..x.rank()).rev().collect(),
        };
        let all = (0..x.rank()).all(|axis| order.contains(&axis)) && order.len() == x.rank();
        ensure!(all, "attribute \"perm\" {order:?} is no order of {} axes", x.rank());
        let strides = strides_of(&x.shape);
        let steps: Vec<usize> = order.iter().map(|&axis| strides[axis]).collect();
        let shape = order.iter().map(|&axis| x.shape[axis]).collect();
        one(gathered(x, shape, work, |at| at.iter().zip(&steps).map(|(at, step)| at * step).sum()))
    }))
}

pub(super) fn split(attributes: &mut Attributes) -> Result<Run> {
    let axis = attributes.int("axis", 0)?;
    let given = attributes.ints("split")?;
    let parts = attributes.optional_int("num_outputs")?;
    let outputs = attributes.outputs;
    ensure!(
        parts.is_none_or(|parts| parts == outputs as i64),
        "attribute \"num_outputs\" is not the number of outputs"
    );
    Ok(Box::new(move |inputs, work| {
        let x = inputs.get(0)?;
        let axis = axis_of(axis, x.rank())?;
        let len = x.shape[axis];
        let lens = match inputs.optional_ints(1)?.or(given.as_deref()) {
            Some(lens) => sizes(lens)?,
            None => {
                ensure!(
                    parts.is_some() || len.is_multiple_of(outputs),
                    "{len} values do not split into {outputs} parts"
                );
                let each = len.div_ceil(outputs);
                (0..outputs).map(|at| each.min(len.saturating_sub(at * each))).collect()
            }
        };
        let whole =
            lens.len() == outputs && lens.iter().try_fold(0usize, |sum, &len| sum.checked_add(len)) == Some(len);
        ensure!(whole, "splits {len} values into {lens:?} for {outputs} outputs");
        let strides = strides_of(&x.shape);
        let mut start = 0;
        let mut all = Vec::new();
        for len in lens {
            let mut shape = x.shape.clone();
            shape[axis] = len;
            let first = start * strides[axis];
            all.push(gathered(x, shape, work, |at| {
                first + at.iter().zip(&strides).map(|(at, stride)| at * stride).sum::<usize>()
            })?);
            start += len;
        }
        Ok(all)
    }))
}

/// Slice; before opset 10 its bounds are attributes.
pub(super) fn slice(attributes: &mut Attributes) -> Result<Run> {
    let given = [attributes.ints("starts")?, attributes.ints("ends")?, attributes.ints("axes")?];
    ensure!(attributes.opset < 10 || given.iter().all(Option::is_none), "has its bounds as attributes since opset 10");
    Ok(Box::new(move |inputs, work| {
        let x = inputs.get(0)?;
        let bound = |at: usize| -> Result<Option<&[i64]>> {
            Ok(inputs.optional_ints(at + 1)?.or(given.get(at).and_then(|given| given.as_deref())))
        };
        let (starts, ends) = (bound(0)?.context("has no starts")?, bound(1)?.context("has no ends")?);
        let axes: Vec<usize> = match bound(2)? {
            Some(axes) => axes.iter().map(|&axis| axis_of(axis, x.rank())).collect::<Result<_>>()?,
            None => (0..starts.len()).collect(),
        };
        let ones = vec![1; starts.len()];
        let steps = inputs.optional_ints(4)?.unwrap_or(&ones);
        let fits = ends.len() == starts.len() && axes.len() == starts.len() && steps.len() == starts.len();
        ensure!(fits && axes.len() <= x.rank(), "has bounds for several numbers of axes");
        ensure!(axes.iter().enumerate().all(|(at, axis)| !axes[..at].contains(axis)), "slices an axis twice");
        let mut shape = x.shape.clone();
        let mut first = vec![0i64; x.rank()];
        let mut step = vec![1i64; x.rank()];
        for (at, &axis) in axes.iter().enumerate() {
            let len = x.shape[axis] as i64;
            let stride = steps[at];
            ensure!(stride != 0, "has a step of 0");
            let place = |bound: i64| if bound < 0 { bound.saturating_add(len) } else { bound };
            let (from, to) = if stride > 0 {
                (place(starts[at]).clamp(0, len), place(ends[at]).clamp(0, len))
            } else {
                (place(starts[at]).clamp(0, (len - 1).max(0)), place(ends[at]).clamp(-1, len - 1))
            };
            let span = if stride > 0 { to - from } else { from - to };
            shape[axis] = span.max(0).unsigned_abs().div_ceil(stride.unsigned_abs()) as usize;
            if len == 0 {
                shape[axis] = 0;
            }
            (first[axis], step[axis]) = (from, stride);
        }
        let strides = strides_of(&x.shape);
        one(gathered(x, shape, work, |at| {
            let place = |axis: usize| (first[axis] + at[axis] as i64 * step[axis]) as usize * strides[axis];
            (0..at.len()).map(place).sum()
        }))
    }))
}

pub(super) fn tile(_: &mut Attributes) -> Result<Run> {
    Ok(Box::new(|inputs, work| {
        let x = inputs.get(0)?;
        let repeats = sizes(inputs.get(1)?.as_ints()?)?;
        ensure!(repeats.len() == x.rank(), "repeats {repeats:?} do not fit shape {:?}", x.shape);
        let shape = x.shape.iter().zip(&repeats).map(|(size, by)| size.checked_mul(*by).context("is too long"));
        let shape = shape.collect::<Result<Vec<_>>>()?;
        let strides = strides_of(&x.shape);
        one(gathered(x, shape, work, |at| {
            at.iter().zip(&x.shape).zip(&strides).map(|((at, size), stride)| at % size * stride).sum()
        }))
    }))
}

/// Pad; before opset 11 its widths and value are attributes.
pub(super) fn pad(attributes: &mut Attributes) -> Result<Run> {
    let mode = attributes.text("mode", "constant")?;
    ensure!(["constant", "reflect", "edge", "wrap"].contains(&mode.as_str()), "mode {mode:?} is not known");
    let given = attributes.ints("pads")?;
    let value = attributes.optional_float("value")?;
    ensure!(attributes.opset < 11 || (given.is_none() && value.is_none()), "has its pads as attributes since opset 11");
    Ok(Box::new(move |inputs, work| {
        let x = inputs.get(0)?;
        let pads = inputs.optional_ints(1)?.or(given.as_deref()).context("has no pads")?;
        let axes = match inputs.optional_ints(3)? {
            Some(axes) => axes.iter().map(|&axis| axis_of(axis, x.rank())).collect::<Result<Vec<_>>>()?,
            None => (0..x.rank()).collect(),
        };
        ensure!(pads.len() == 2 * axes.len(), "has {} pads for {} axes", pads.len(), axes.len());
        let mut before = vec![0i64; x.rank()];
        let mut shape = x.shape.clone();
        for (at, &axis) in axes.iter().enumerate() {
            let (first, last) = (pads[at], pads[axes.len() + at]);
            let size = (x.shape[axis] as i64).checked_add(first).and_then(|size| size.checked_add(last));
            let size = size.and_then(|size| usize::try_from(size).ok());
            shape[axis] = size.with_context(|| format!("pads of {first} and {last} leave nothing"))?;
            before[axis] = first;
            let len = x.shape[axis] as i64;
            if mode == "reflect" {
                ensure!(first.max(last) < len.max(1), "reflects {} values of {len}", first.max(last));
            }
            ensure!(mode == "constant" || len > 0, "pads an axis without values");
        }
        count(&shape)?;
        let fill = match (&x.data, inputs.optional(2)) {
            (_, Some(fill)) => {
                ensure!(fill.len() == 1, "input 2 has {} values, expected one", fill.len());
                fill.clone()
            }
            (Data::Float(_), None) => Tensor::floats(vec![1], vec![value.unwrap_or(0.0)])?,
            (Data::Int(_, kind), None) => Tensor::ints(vec![1], vec![value.unwrap_or(0.0) as i64], *kind)?,
            (Data::Bool(_), None) => Tensor::bools(vec![1], vec![false])?,
        };
        let data = Data::joined(&[&x.data, &fill.data])?;
        let len = x.len();
        let source = Tensor { shape: vec![len + 1], data };
        let strides = strides_of(&x.shape);
        one(gathered(&source, shape, work, |at| {
            let mut place = 0;
            for axis in 0..at.len() {
                let size = x.shape[axis] as i64;
                let mut from = at[axis] as i64 - before[axis];
                if !(0..size).contains(&from) {
                    from = match mode.as_str() {
                        "reflect" if from < 0 => -from,
                        "reflect" => 2 * (size - 1) - from,
                        "edge" => from.clamp(0, size - 1),
                        "wrap" => from.rem_euclid(size),
                        _ => return len,
                    };
                }
                place += from as usize * strides[axis];
            }
            place
        }))
    }))
}

pub(super) fn range(_: &mut Attributes) -> Result<Run> {
    Ok(Box::new(|inputs, work| {
        let [start, limit, step] = [inputs.get(0)?, inputs.get(1)?, inputs.get(2)?];
        ensure!([start, limit, step].iter().all(|tensor| tensor.len() == 1), "bounds are not single numbers");
        let len = |span: f64, step: f64| -> Result<usize> {
            ensure!(step != 0.0, "has a step of 0");
            let len = (span / step).ceil().max(0.0) as usize;
            count(&[len])?;
            work.spend(&[len])?;
            Ok(len)
        };
        one(match (&start.data, &limit.data, &step.data) {
            (Data::Float(x), Data::Float(y), Data::Float(z)) => {
                let len = len(f64::from(y[0]) - f64::from(x[0]), f64::from(z[0]))?;
                Tensor::floats(vec![len], (0..len).map(|at| x[0] + at as f32 * z[0]).collect())
            }
            (Data::Int(x, kind), Data::Int(y, _), Data::Int(z, _)) => {
                let len = len(y[0] as f64 - x[0] as f64, z[0] as f64)?;
                let value = |at: usize| kind.wrap(x[0].wrapping_add((at as i64).wrapping_mul(z[0])));
                Tensor::ints(vec![len], (0..len).map(value).collect(), *kind)
            }
            _ => bail!("bounds are not of one type"),
        })
    }))
}

pub(super) fn depth_to_space(attributes: &mut Attributes) -> Result<Run> {
    let block = block_of(attributes)?;
    let mode = attributes.text("mode", "DCR")?;
    ensure!(mode == "DCR" || mode == "CRD", "mode {mode:?} is not known");
    Ok(Box::new(move |inputs, work| {
        let x = inputs.get(0)?;
        let [batch, channels, height, width] = four(&x.shape)?;
        ensure!(channels.is_multiple_of(block * block), "{channels} channels do not go into blocks of {block}");
        let depth = channels / (block * block);
        let tall = [height, width].map(|size| size.checked_mul(block));
        let [Some(tall), Some(wide)] = tall else { bail!("is too large") };
        one(gathered(x, vec![batch, depth, tall, wide], work, |at| {
            let [row, column] = [at[2] % block, at[3] % block];
            let channel = match mode.as_str() {
                "DCR" => (row * block + column) * depth + at[1],
                _ => (at[1] * block + row) * block + column,
            };
            ((at[0] * channels + channel) * height + at[2] / block) * width + at[3] / block
        }))
    }))
}

pub(super) fn space_to_depth(attributes: &mut Attributes) -> Result<Run> {
    let block = block_of(attributes)?;
    // The order of the channels, since opset 26 at the latest.
    attributes.only_text("mode", "DCR")?;
    Ok(Box::new(move |inputs, work| {
        let x = inputs.get(0)?;
        let [batch, channels, height, width] = four(&x.shape)?;
        ensure!(height.is_multiple_of(block) && width.is_multiple_of(block), "does not go into blocks of {block}");
        let deep = channels.checked_mul(block * block).context("is too large")?;
        one(gathered(x, vec![batch, deep, height / block, width / block], work, |at| {
            let (of, channel) = (at[1] / channels, at[1] % channels);
            let [row, column] = [at[2] * block + of / block, at[3] * block + of % block];
            ((at[0] * channels + channel) * height + row) * width + column
        }))
    }))
}

fn block_of(attributes: &mut Attributes) -> Result<usize> {
    let block = attributes.int("blocksize", 0)?;
    let block = usize::try_from(block).ok().filter(|block| (1..=1 << 10).contains(block));
    block.context("attribute \"blocksize\" is missing or outside of 1 to 1024")
}

fn four(shape: &[usize]) -> Result<[usize; 4]> {
    shape.try_into().ok().with_context(|| format!("an input of shape {shape:?} is no [batch, channels, height, width]"))
}

/// Trilu: what lies above or below a diagonal becomes 0.
pub(super) fn triangle(attributes: &mut Attributes) -> Result<Run> {
    let upper = attributes.flag("upper", true)?;
    Ok(Box::new(move |inputs, work| {
        let x = inputs.get(0)?;
        ensure!(x.rank() >= 2, "an input of shape {:?} is no matrix", x.shape);
        let diagonal = inputs.optional(1).map_or(Ok(0), Tensor::as_int)?;
        let [rows, columns] = [x.shape[x.rank() - 2], x.shape[x.rank() - 1]];
        work.spend(&[x.len()])?;
        let kept = |at: usize| {
            let over = (at % columns) as i64 - (at / columns % rows) as i64;
            if upper { over >= diagonal } else { over <= diagonal }
        };
        let data = match &x.data {
            Data::Float(x) => {
                Data::Float(Arc::new(x.iter().enumerate().map(|(at, &x)| if kept(at) { x } else { 0.0 }).collect()))
            }
            Data::Int(x, kind) => {
                Data::Int(Arc::new(x.iter().enumerate().map(|(at, &x)| if kept(at) { x } else { 0 }).collect()), *kind)
            }
            Data::Bool(x) => Data::Bool(Arc::new(x.iter().enumerate().map(|(at, &x)| x && kept(at)).collect())),
        };
        one(Tensor::new(x.shape.clone(), data))
    }))
}

/// Returns the number of elements before, along and behind an axis that a file names.
pub(super) fn around_axis(shape: &[usize], axis: i64) -> Result<[usize; 3]> {
    Ok(around(shape, axis_of(axis, shape.len())?))
}
