//! Operators that pick elements by index.

use std::sync::Arc;

use anyhow::{Context, Result, bail, ensure};

use super::elementwise::indices;
use super::{Run, around, axis_of, one, strides_of};
use crate::onnx::attributes::Attributes;
use crate::onnx::tensor::{Data, Integer, Tensor, count};

/// Returns an index counted from the front.
fn place_of(index: i64, len: usize) -> Result<usize> {
    let place = if index < 0 { index.checked_add(len as i64) } else { Some(index) };
    let place = place.and_then(|place| usize::try_from(place).ok()).filter(|&place| place < len);
    place.with_context(|| format!("index {index} is outside of {len} values"))
}

pub(super) fn gather(attributes: &mut Attributes) -> Result<Run> {
    let axis = attributes.int("axis", 0)?;
    Ok(Box::new(move |inputs, work| {
        let x = inputs.get(0)?;
        let [before, len, behind] = super::shape::around_axis(&x.shape, axis)?;
        let places = indices(inputs, 1)?.iter().map(|&index| place_of(index, len)).collect::<Result<Vec<_>>>()?;
        let axis = axis_of(axis, x.rank())?;
        let shape = [&x.shape[..axis], &inputs.get(1)?.shape, &x.shape[axis + 1..]].concat();
        work.spend(&[count(&shape)?])?;
        let places = &places;
        let from = (0..before).flat_map(|row| {
            places.iter().flat_map(move |place| (row * len + place) * behind..(row * len + place + 1) * behind)
        });
        one(Tensor::new(shape, x.data.pick(from)))
    }))
}

pub(super) fn gather_elements(attributes: &mut Attributes) -> Result<Run> {
    let axis = attributes.int("axis", 0)?;
    Ok(Box::new(move |inputs, work| {
        let x = inputs.get(0)?;
        let axis = axis_of(axis, x.rank())?;
        let places = elements(&x.shape, axis, &inputs.get(1)?.shape, indices(inputs, 1)?)?;
        work.spend(&[places.len()])?;
        one(Tensor::new(inputs.get(1)?.shape.clone(), x.data.pick(places.into_iter())))
    }))
}

/// Returns the places that indices of a shape name along an axis.
fn elements(shape: &[usize], axis: usize, index_shape: &[usize], indices: &[i64]) -> Result<Vec<usize>> {
    let fits =
        index_shape.len() == shape.len() && (0..shape.len()).all(|at| at == axis || index_shape[at] <= shape[at]);
    ensure!(fits, "indices of shape {index_shape:?} do not fit {shape:?}");
    let (strides, steps) = (strides_of(shape), strides_of(index_shape));
    let place = |(at, &index): (usize, &i64)| {
        let along = place_of(index, shape[axis])? * strides[axis];
        let others = (0..shape.len()).filter(|&other| other != axis);
        Ok(along + others.map(|other| at / steps[other] % index_shape[other] * strides[other]).sum::<usize>())
    };
    indices.iter().enumerate().map(place).collect()
}

/// Returns the first places of the slices that rows of indices name, and the length of a slice.
fn slices(shape: &[usize], index_shape: &[usize], indices: &[i64], batch: usize) -> Result<(Vec<usize>, usize)> {
    let depth = index_shape.last().copied().context("indices are a single number")?;
    let fits = batch < index_shape.len() && batch + depth <= shape.len() && depth > 0;
    ensure!(fits && shape[..batch] == index_shape[..batch], "indices of shape {index_shape:?} do not fit {shape:?}");
    let strides = strides_of(shape);
    let batches: usize = shape[..batch].iter().product();
    let each = (indices.len() / depth).checked_div(batches).unwrap_or(0).max(1);
    let inner: usize = shape[batch..].iter().product();
    let start = |(row, index): (usize, &[i64])| {
        let places = index.iter().enumerate();
        let along = places.map(|(at, &index)| Ok(place_of(index, shape[batch + at])? * strides[batch + at]));
        Ok(row / each * inner + along.sum::<Result<usize>>()?)
    };
    let starts = indices.chunks_exact(depth).enumerate().map(start).collect::<Result<Vec<_>>>()?;
    Ok((starts, shape[batch + depth..].iter().product()))
}

pub(super) fn gather_nd(attributes: &mut Attributes) -> Result<Run> {
    let batch = usize::try_from(attributes.int("batch_dims", 0)?).context("attribute \"batch_dims\" is negative")?;
    Ok(Box::new(move |inputs, work| {
        let x = inputs.get(0)?;
        let index_shape = &inputs.get(1)?.shape;
        let (starts, len) = slices(&x.shape, index_shape, indices(inputs, 1)?, batch)?;
        let depth = index_shape[index_shape.len() - 1];
        let shape = [&index_shape[..index_shape.len() - 1], &x.shape[batch + depth..]].concat();
        work.spend(&[count(&shape)?])?;
        one(Tensor::new(shape, x.data.pick(starts.into_iter().flat_map(|start| start..start + len))))
    }))
}

fn scattered(x: &Tensor, places: &[usize], updates: &Tensor) -> Result<Tensor> {
    ensure!(places.len() == updates.len(), "{} updates do not fit {} places", updates.len(), places.len());
    let data = match (&x.data, &updates.data) {
        (Data::Float(x), Data::Float(values)) => {
            let mut y = x.to_vec();
            places.iter().zip(values.iter()).for_each(|(&at, &value)| y[at] = value);
            Data::Float(Arc::new(y))
        }
        (Data::Int(x, kind), Data::Int(values, other)) if kind == other => {
            let mut y = x.to_vec();
            places.iter().zip(values.iter()).for_each(|(&at, &value)| y[at] = value);
            Data::Int(Arc::new(y), *kind)
        }
        (x, values) => bail!("writes {values} into {x}"),
    };
    Tensor::new(x.shape.clone(), data)
}

pub(super) fn scatter_elements(attributes: &mut Attributes) -> Result<Run> {
    let axis = attributes.int("axis", 0)?;
    attributes.only_text("reduction", "none")?;
    Ok(Box::new(move |inputs, work| {
        let x = inputs.get(0)?;
        let places = elements(&x.shape, axis_of(axis, x.rank())?, &inputs.get(1)?.shape, indices(inputs, 1)?)?;
        work.spend(&[x.len().max(places.len())])?;
        one(scattered(x, &places, inputs.get(2)?))
    }))
}

pub(super) fn scatter_nd(attributes: &mut Attributes) -> Result<Run> {
    attributes.only_text("reduction", "none")?;
    Ok(Box::new(move |inputs, work| {
        let x = inputs.get(0)?;
        let (starts, len) = slices(&x.shape, &inputs.get(1)?.shape, indices(inputs, 1)?, 0)?;
        work.spend(&[starts.len(), len])?;
        let places: Vec<usize> = starts.into_iter().flat_map(|start| start..start + len).collect();
        one(scattered(x, &places, inputs.get(2)?))
    }))
}

pub(super) fn non_zero(_: &mut Attributes) -> Result<Run> {
    Ok(Box::new(|inputs, work| {
        let x = inputs.get(0)?;
        work.spend(&[x.len(), x.rank().max(1)])?;
        let set = |at: usize| match &x.data {
            Data::Float(x) => x[at] != 0.0,
            Data::Int(x, _) => x[at] != 0,
            Data::Bool(x) => x[at],
        };
        let places: Vec<usize> = (0..x.len()).filter(|&at| set(at)).collect();
        let strides = strides_of(&x.shape);
        let axes = strides.iter().zip(&x.shape);
        let all = axes.flat_map(|(stride, size)| places.iter().map(move |at| (at / stride % size) as i64)).collect();
        one(Tensor::ints(vec![x.rank(), places.len()], all, Integer::I64))
    }))
}

pub(super) fn one_hot(attributes: &mut Attributes) -> Result<Run> {
    let axis = attributes.int("axis", -1)?;
    Ok(Box::new(move |inputs, work| {
        let x = inputs.get(0)?;
        let depth = match &inputs.get(1)?.data {
            Data::Int(depth, _) if depth.len() == 1 => depth[0],
            Data::Float(depth) if depth.len() == 1 => depth[0] as i64,
            _ => bail!("input 1 is no single number"),
        };
        let depth = usize::try_from(depth).ok().context("input 1 is negative")?;
        let indices: Vec<i64> = match &x.data {
            Data::Int(values, _) => values.to_vec(),
            Data::Float(values) => values.iter().map(|&x| x as i64).collect(),
            Data::Bool(_) => bail!("input 0 holds booleans, expected indices"),
        };
        let axis = axis_of(axis, x.rank() + 1)?;
        let mut shape = x.shape.clone();
        shape.insert(axis, depth);
        let len = count(&shape)?;
        work.spend(&[len])?;
        let [_, _, behind] = around(&shape, axis);
        let on = |at: usize| {
            let index = indices[at / (behind * depth) * behind + at % behind];
            let index = if index < 0 { index.saturating_add(depth as i64) } else { index };
            usize::from(index == (at / behind % depth) as i64)
        };
        let values = inputs.get(2)?;
        ensure!(values.shape == [2], "input 2 of shape {:?} is not [off, on]", values.shape);
        one(Tensor::new(shape.clone(), values.data.pick((0..len).map(on))))
    }))
}

/// TopK; of equal values the first one comes first.
pub(super) fn top_k(attributes: &mut Attributes) -> Result<Run> {
    let axis = attributes.int("axis", -1)?;
    let largest = attributes.flag("largest", true)?;
    attributes.flag("sorted", true)?;
    Ok(Box::new(move |inputs, work| {
        let (shape, x) = inputs.floats(0)?;
        let axis = axis_of(axis, shape.len())?;
        let [before, len, behind] = around(shape, axis);
        let k = usize::try_from(inputs.get(1)?.as_int()?).ok().filter(|&k| k <= len);
        let k = k.with_context(|| format!("asks for more than {len} values"))?;
        work.spend(&[x.len(), 32])?;
        let mut output = shape.to_vec();
        output[axis] = k;
        let total = count(&output)?;
        let (mut values, mut places) = (vec![0.0; total], vec![0; total]);
        for (row, rest) in (0..before).flat_map(|row| (0..behind).map(move |rest| (row, rest))) {
            let value = |at: usize| x[(row * len + at) * behind + rest];
            let mut order: Vec<usize> = (0..len).collect();
            order.sort_by(|&a, &b| {
                let order = value(a).total_cmp(&value(b));
                if largest { order.reverse() } else { order }
            });
            for (at, &place) in order[..k].iter().enumerate() {
                values[(row * k + at) * behind + rest] = value(place);
                places[(row * k + at) * behind + rest] = place as i64;
            }
        }
        Ok(vec![Tensor::floats(output.clone(), values)?, Tensor::ints(output, places, Integer::I64)?])
    }))
}
