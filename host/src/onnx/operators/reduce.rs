//! Reductions along axes.

use std::sync::Arc;

use anyhow::{Result, bail, ensure};

use super::{Inputs, Run, Work, around, axes_of, axis_of, one, strides_of};
use crate::onnx::attributes::Attributes;
use crate::onnx::tensor::{Data, Integer, Tensor, count};

/// A reduction of integers: the first value of a result, and what it and an element come to.
type Whole = (i64, fn(i64, i64) -> i64);

/// How a reduction treats its axes.
struct Axes {
    given: Option<Vec<i64>>,
    keep: bool,
    /// Without axes nothing is reduced, instead of everything.
    noop: bool,
}

impl Axes {
    fn take(attributes: &mut Attributes) -> Result<Self> {
        Ok(Self {
            given: attributes.ints("axes")?,
            keep: attributes.flag("keepdims", true)?,
            noop: attributes.flag("noop_with_empty_axes", false)?,
        })
    }

    /// Returns which axes are reduced.
    fn of(&self, inputs: &Inputs, rank: usize) -> Result<Vec<usize>> {
        let given = match (inputs.optional_ints(1)?, &self.given) {
            (Some(_), Some(_)) => bail!("has axes as an input and as an attribute"),
            (Some(axes), None) => Some(axes),
            (None, axes) => axes.as_deref(),
        };
        match given {
            Some(axes) if !axes.is_empty() => axes_of(axes, rank),
            _ if self.noop => Ok(Vec::new()),
            _ => Ok((0..rank).collect()),
        }
    }

    /// Returns, for each element, the place of the result that it goes to, and the shape of the result.
    fn places(&self, inputs: &Inputs, shape: &[usize], work: &Work) -> Result<(Vec<usize>, Vec<usize>)> {
        let axes = self.of(inputs, shape.len())?;
        let reduced: Vec<usize> =
            shape.iter().enumerate().map(|(axis, &size)| if axes.contains(&axis) { 1 } else { size }).collect();
        let (strides, steps) = (strides_of(shape), strides_of(&reduced));
        work.spend_slow(&[count(shape)?, shape.len().max(1)])?;
        let kept: Vec<usize> = (0..shape.len()).filter(|axis| !axes.contains(axis)).collect();
        let place = |at: usize| kept.iter().map(|&axis| at / strides[axis] % shape[axis] * steps[axis]).sum();
        let places = (0..count(shape)?).map(place).collect();
        let kept_sizes = || kept.iter().map(|&axis| shape[axis]).collect();
        Ok((places, if self.keep { reduced } else { kept_sizes() }))
    }
}

/// Floats in double precision: the first value of a result, what it and an element come to, and its end.
fn floats(
    attributes: &mut Attributes,
    start: f64,
    add: fn(f64, f64) -> f64,
    end: fn(f64, usize) -> f64,
    whole: Option<Whole>,
) -> Result<Run> {
    let axes = Axes::take(attributes)?;
    Ok(Box::new(move |inputs, work| {
        let x = inputs.get(0)?;
        if axes.of(inputs, x.rank())?.is_empty() && axes.noop {
            // Only what the operator does to each element is left.
            let Data::Float(values) = &x.data else { return Ok(vec![x.clone()]) };
            let values = values.iter().map(|&x| end(add(start, f64::from(x)), 1) as f32).collect();
            return one(Tensor::floats(x.shape.clone(), values));
        }
        let (places, shape) = axes.places(inputs, &x.shape, work)?;
        let len = count(&shape)?;
        one(match (&x.data, whole) {
            (Data::Float(values), _) => {
                let mut sums = vec![start; len];
                let mut counts = vec![0usize; len];
                for (&place, &value) in places.iter().zip(values.iter()) {
                    sums[place] = add(sums[place], f64::from(value));
                    counts[place] += 1;
                }
                Tensor::floats(shape, sums.iter().zip(counts).map(|(&sum, count)| end(sum, count) as f32).collect())
            }
            (Data::Int(values, kind), Some((start, add))) => {
                let mut sums = vec![start; len];
                places.iter().zip(values.iter()).for_each(|(&at, &value)| sums[at] = kind.wrap(add(sums[at], value)));
                Tensor::ints(shape, sums, *kind)
            }
            (Data::Bool(values), Some((start, add))) if start == i64::MIN || start == i64::MAX => {
                let mut sums = vec![start; len];
                places.iter().zip(values.iter()).for_each(|(&at, &value)| sums[at] = add(sums[at], value.into()));
                Tensor::bools(shape, sums.iter().map(|&sum| sum > 0).collect())
            }
            (other, _) => bail!("reduces {other}"),
        })
    }))
}

pub(super) fn sum(attributes: &mut Attributes) -> Result<Run> {
    floats(attributes, 0.0, |sum, x| sum + x, |sum, _| sum, Some((0, i64::wrapping_add)))
}

pub(super) fn mean(attributes: &mut Attributes) -> Result<Run> {
    floats(attributes, 0.0, |sum, x| sum + x, |sum, count| sum / count as f64, None)
}

pub(super) fn product(attributes: &mut Attributes) -> Result<Run> {
    floats(attributes, 1.0, |sum, x| sum * x, |sum, _| sum, Some((1, i64::wrapping_mul)))
}

pub(super) fn maximum(attributes: &mut Attributes) -> Result<Run> {
    let larger = |a: f64, b: f64| if a.is_nan() || a >= b { a } else { b };
    floats(attributes, f64::NEG_INFINITY, larger, |x, _| x, Some((i64::MIN, Ord::max)))
}

pub(super) fn minimum(attributes: &mut Attributes) -> Result<Run> {
    let smaller = |a: f64, b: f64| if a.is_nan() || a <= b { a } else { b };
    floats(attributes, f64::INFINITY, smaller, |x, _| x, Some((i64::MAX, Ord::min)))
}

pub(super) fn l1(attributes: &mut Attributes) -> Result<Run> {
    floats(
        attributes,
        0.0,
        |sum, x| sum + x.abs(),
        |sum, _| sum,
        Some((0, |sum, x| sum.wrapping_add(x.wrapping_abs()))),
    )
}

pub(super) fn l2(attributes: &mut Attributes) -> Result<Run> {
    floats(attributes, 0.0, |sum, x| sum + x * x, |sum, _| sum.sqrt(), None)
}

pub(super) fn sum_of_squares(attributes: &mut Attributes) -> Result<Run> {
    floats(attributes, 0.0, |sum, x| sum + x * x, |sum, _| sum, Some((0, |sum, x| sum.wrapping_add(x.wrapping_mul(x)))))
}

pub(super) fn log_sum(attributes: &mut Attributes) -> Result<Run> {
    floats(attributes, 0.0, |sum, x| sum + x, |sum, _| sum.ln(), None)
}

/// The largest element is taken out first, so that the exponentials do not overflow.
pub(super) fn log_sum_exp(attributes: &mut Attributes) -> Result<Run> {
    let axes = Axes::take(attributes)?;
    Ok(Box::new(move |inputs, work| {
        let (shape, x) = inputs.floats(0)?;
        if axes.of(inputs, shape.len())?.is_empty() && axes.noop {
            return Ok(vec![inputs.get(0)?.clone()]);
        }
        let (places, output) = axes.places(inputs, shape, work)?;
        let mut largest = vec![f64::NEG_INFINITY; count(&output)?];
        places.iter().zip(x).for_each(|(&at, &x)| largest[at] = largest[at].max(f64::from(x)));
        let finite = |x: f64| if x.is_finite() { x } else { 0.0 };
        let mut sums = vec![0.0; largest.len()];
        places.iter().zip(x).for_each(|(&at, &x)| sums[at] += (f64::from(x) - finite(largest[at])).exp());
        let values = sums.iter().zip(&largest).map(|(sum, &largest)| (sum.ln() + finite(largest)) as f32).collect();
        one(Tensor::floats(output, values))
    }))
}

fn arg(attributes: &mut Attributes, better: fn(f64, f64) -> bool) -> Result<Run> {
    let axis = attributes.int("axis", 0)?;
    let keep = attributes.flag("keepdims", true)?;
    let last = attributes.flag("select_last_index", false)?;
    Ok(Box::new(move |inputs, work| {
        let x = inputs.get(0)?;
        let axis = axis_of(axis, x.rank())?;
        let [before, len, behind] = around(&x.shape, axis);
        work.spend(&[x.len()])?;
        let value = |at: usize| match &x.data {
            Data::Float(values) => Ok(f64::from(values[at])),
            Data::Int(values, kind) if *kind != Integer::I64 => Ok(values[at] as f64),
            other => bail!("takes the extreme of {other}"),
        };
        ensure!(len > 0 || before * behind == 0, "takes the extreme of no values");
        let mut places = Vec::with_capacity(before * behind);
        for first in (0..before).flat_map(|at| (0..behind).map(move |rest| at * len * behind + rest)) {
            let mut best = (value(first)?, 0);
            for at in 1..len {
                let x = value(first + at * behind)?;
                if better(x, best.0) || (last && x == best.0) {
                    best = (x, at);
                }
            }
            places.push(best.1 as i64);
        }
        let mut shape = x.shape.clone();
        if keep {
            shape[axis] = 1
        } else {
            _ = shape.remove(axis)
        }
        one(Tensor::ints(shape, places, Integer::I64))
    }))
}

pub(super) fn arg_max(attributes: &mut Attributes) -> Result<Run> {
    arg(attributes, |x, best| x > best)
}

pub(super) fn arg_min(attributes: &mut Attributes) -> Result<Run> {
    arg(attributes, |x, best| x < best)
}

/// CumSum along an axis.
pub(super) fn cumulative_sum(attributes: &mut Attributes) -> Result<Run> {
    let exclusive = attributes.flag("exclusive", false)?;
    let reverse = attributes.flag("reverse", false)?;
    Ok(Box::new(move |inputs, work| {
        let x = inputs.get(0)?;
        let axis = axis_of(inputs.get(1)?.as_int()?, x.rank())?;
        let [before, len, behind] = around(&x.shape, axis);
        work.spend(&[x.len()])?;
        let order = |first: usize| (0..len).map(move |at| first + if reverse { len - 1 - at } else { at } * behind);
        let firsts = (0..before).flat_map(|at| (0..behind).map(move |rest| at * len * behind + rest));
        let data = match &x.data {
            Data::Float(values) => {
                let mut y = vec![0.0; values.len()];
                for first in firsts {
                    let mut sum = 0.0f64;
                    for at in order(first) {
                        let next = sum + f64::from(values[at]);
                        y[at] = if exclusive { sum } else { next } as f32;
                        sum = next;
                    }
                }
                Data::Float(Arc::new(y))
            }
            Data::Int(values, kind) => {
                let mut y = vec![0; values.len()];
                for first in firsts {
                    let mut sum = 0;
                    for at in order(first) {
                        let next = kind.wrap(i64::wrapping_add(sum, values[at]));
                        y[at] = if exclusive { sum } else { next };
                        sum = next;
                    }
                }
                Data::Int(Arc::new(y), *kind)
            }
            other => bail!("adds up {other}"),
        };
        one(Tensor::new(x.shape.clone(), data))
    }))
}
