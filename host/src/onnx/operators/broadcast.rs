//! Operators of several inputs, element by element; sizes of 1 are repeated as NumPy does.

use anyhow::{Result, bail, ensure};

use super::{Run, Work, one, strides_of};
use crate::onnx::attributes::Attributes;
use crate::onnx::tensor::{Data, Tensor, count};

/// Returns the shape that both shapes broadcast to.
pub(super) fn shape_of(a: &[usize], b: &[usize]) -> Result<Vec<usize>> {
    let rank = a.len().max(b.len());
    let size = |shape: &[usize], at: usize| (at + shape.len()).checked_sub(rank).map_or(1, |at| shape[at]);
    let sizes = (0..rank).map(|at| match (size(a, at), size(b, at)) {
        (x, y) if x == y => Ok(x),
        (1, y) => Ok(y),
        (x, 1) => Ok(x),
        _ => bail!("shapes {a:?} and {b:?} do not broadcast"),
    });
    let shape: Vec<usize> = sizes.collect::<Result<_>>()?;
    count(&shape)?;
    Ok(shape)
}

/// Returns how far elements are apart along each axis of a larger shape; 0 where they are repeated.
fn repeated(shape: &[usize], rank: usize) -> Vec<usize> {
    let missing = rank - shape.len();
    let strides = strides_of(shape).into_iter().zip(shape).map(|(stride, &size)| if size == 1 { 0 } else { stride });
    std::iter::repeat_n(0, missing).chain(strides).collect()
}

/// Returns `f` of each pair of elements, in a shape that both broadcast to.
pub(super) fn pairs<A: Copy, B: Copy, C>(
    [a_shape, b_shape, shape]: [&[usize]; 3],
    a: &[A],
    b: &[B],
    mut f: impl FnMut(A, B) -> C,
) -> Vec<C> {
    if a_shape == b_shape {
        return a.iter().zip(b).map(|(&a, &b)| f(a, b)).collect();
    }
    let len: usize = shape.iter().product();
    let mut all = Vec::with_capacity(len);
    if len == 0 {
        return all;
    }
    let rank = shape.len();
    let [a_strides, b_strides] = [a_shape, b_shape].map(|shape| repeated(shape, rank));
    let row = shape.last().copied().unwrap_or(1);
    let [a_step, b_step] = [&a_strides, &b_strides].map(|strides| strides.last().copied().unwrap_or(0));
    let mut place = vec![0; rank.saturating_sub(1)];
    loop {
        let start = |strides: &[usize]| place.iter().zip(strides).map(|(at, stride)| at * stride).sum::<usize>();
        let [a_start, b_start] = [start(&a_strides), start(&b_strides)];
        all.extend((0..row).map(|at| f(a[a_start + at * a_step], b[b_start + at * b_step])));
        // The next row, the last axis first.
        let Some(axis) = (0..place.len()).rev().find(|&axis| place[axis] + 1 < shape[axis]) else { return all };
        place[axis] += 1;
        place[axis + 1..].fill(0);
    }
}

fn combine(
    a: &Tensor,
    b: &Tensor,
    work: &Work,
    f: impl Fn(f32, f32) -> f32,
    g: impl Fn(i64, i64) -> i64,
) -> Result<Tensor> {
    let shape = shape_of(&a.shape, &b.shape)?;
    work.spend(&shape)?;
    let shapes = [a.shape.as_slice(), &b.shape, &shape];
    match (&a.data, &b.data) {
        (Data::Float(x), Data::Float(y)) => Tensor::floats(shape.clone(), pairs(shapes, x, y, f)),
        (Data::Int(x, kind), Data::Int(y, other)) if kind == other => {
            Tensor::ints(shape.clone(), pairs(shapes, x, y, |x, y| kind.wrap(g(x, y))), *kind)
        }
        (x, y) => bail!("holds {x} and {y}, expected numbers of one type"),
    }
}

fn binary(f: fn(f32, f32) -> f32, g: fn(i64, i64) -> i64) -> Result<Run> {
    Ok(Box::new(move |inputs, work| one(combine(inputs.get(0)?, inputs.get(1)?, work, f, g))))
}

/// Inputs are combined from the first on.
fn variadic(f: fn(f32, f32) -> f32, g: fn(i64, i64) -> i64) -> Result<Run> {
    Ok(Box::new(move |inputs, work| {
        let all = inputs.all()?;
        let mut sum = all[0].clone();
        for other in &all[1..] {
            sum = combine(&sum, other, work, f, g)?;
        }
        Ok(vec![sum])
    }))
}

pub(super) fn add(_: &mut Attributes) -> Result<Run> {
    binary(|x, y| x + y, i64::wrapping_add)
}

pub(super) fn subtract(_: &mut Attributes) -> Result<Run> {
    binary(|x, y| x - y, i64::wrapping_sub)
}

pub(super) fn multiply(_: &mut Attributes) -> Result<Run> {
    binary(|x, y| x * y, i64::wrapping_mul)
}

fn refuse_zero(divisor: &Tensor) -> Result<()> {
    ensure!(!matches!(&divisor.data, Data::Int(values, _) if values.contains(&0)), "divides integers by 0");
    Ok(())
}

pub(super) fn divide(_: &mut Attributes) -> Result<Run> {
    Ok(Box::new(|inputs, work| {
        refuse_zero(inputs.get(1)?)?;
        one(combine(inputs.get(0)?, inputs.get(1)?, work, |x, y| x / y, i64::wrapping_div))
    }))
}

/// The sign is the divisor's without `fmod`, the dividend's with it.
pub(super) fn modulo(attributes: &mut Attributes) -> Result<Run> {
    let truncated = attributes.flag("fmod", false)?;
    Ok(Box::new(move |inputs, work| {
        refuse_zero(inputs.get(1)?)?;
        let [a, b] = [inputs.get(0)?, inputs.get(1)?];
        ensure!(truncated || matches!(a.data, Data::Int(..)), "takes the remainder of floats without fmod");
        let floored = |x: i64, y: i64| {
            let rest = x.wrapping_rem(y);
            if rest != 0 && (rest < 0) != (y < 0) { rest + y } else { rest }
        };
        let rest = |x: i64, y: i64| if truncated { x.wrapping_rem(y) } else { floored(x, y) };
        one(combine(a, b, work, |x, y| x % y, rest))
    }))
}

pub(super) fn sum(_: &mut Attributes) -> Result<Run> {
    variadic(|x, y| x + y, i64::wrapping_add)
}

pub(super) fn mean(_: &mut Attributes) -> Result<Run> {
    Ok(Box::new(|inputs, work| {
        let all = inputs.all()?;
        let mut sum = all[0].clone();
        for other in &all[1..] {
            sum = combine(&sum, other, work, |x, y| x + y, i64::wrapping_add)?;
        }
        let values = sum.as_floats()?.iter().map(|x| x / all.len() as f32).collect();
        one(Tensor::floats(sum.shape.clone(), values))
    }))
}

/// A value that is not a number stays one, as in NumPy.
pub(super) fn maximum(_: &mut Attributes) -> Result<Run> {
    variadic(|x, y| if x.is_nan() || x >= y { x } else { y }, Ord::max)
}

pub(super) fn minimum(_: &mut Attributes) -> Result<Run> {
    variadic(|x, y| if x.is_nan() || x <= y { x } else { y }, Ord::min)
}

/// The exponent may be of another type; the result has the base's.
pub(super) fn power(_: &mut Attributes) -> Result<Run> {
    Ok(Box::new(|inputs, work| {
        let [a, b] = [inputs.get(0)?, inputs.get(1)?];
        let shape = shape_of(&a.shape, &b.shape)?;
        work.spend(&shape)?;
        let shapes = [a.shape.as_slice(), &b.shape, &shape];
        one(match (&a.data, &b.data) {
            (Data::Float(x), Data::Float(y)) => Tensor::floats(shape.clone(), pairs(shapes, x, y, power_of)),
            (Data::Float(x), Data::Int(y, _)) => {
                Tensor::floats(shape.clone(), pairs(shapes, x, y, |x, y| power_of(x, y as f32)))
            }
            (Data::Int(x, kind), Data::Int(y, _)) => {
                let whole = |x: i64, y: i64| match u32::try_from(y) {
                    Ok(y) => kind.wrap(x.wrapping_pow(y)),
                    Err(_) => kind.wrap((x as f64).powf(y as f64) as i64),
                };
                Tensor::ints(shape.clone(), pairs(shapes, x, y, whole), *kind)
            }
            (Data::Int(x, kind), Data::Float(y)) => {
                let whole = |x: i64, y: f32| kind.wrap((x as f64).powf(f64::from(y)) as i64);
                Tensor::ints(shape.clone(), pairs(shapes, x, y, whole), *kind)
            }
            (x, y) => bail!("holds {x} and {y}, expected numbers"),
        })
    }))
}

fn power_of(x: f32, y: f32) -> f32 {
    if y == 2.0 { x * x } else { x.powf(y) }
}

pub(super) fn parametric_relu(_: &mut Attributes) -> Result<Run> {
    Ok(Box::new(|inputs, work| {
        let [a, b] = [inputs.get(0)?, inputs.get(1)?];
        ensure!(shape_of(&a.shape, &b.shape)? == a.shape, "slopes of shape {:?} do not fit {:?}", b.shape, a.shape);
        one(combine(
            a,
            b,
            work,
            |x, slope| if x < 0.0 { slope * x } else { x },
            |x, slope| {
                if x < 0 { slope.wrapping_mul(x) } else { x }
            },
        ))
    }))
}

fn compare(f: fn(&f32, &f32) -> bool, g: fn(&i64, &i64) -> bool, h: Option<fn(&bool, &bool) -> bool>) -> Result<Run> {
    Ok(Box::new(move |inputs, work| {
        let [a, b] = [inputs.get(0)?, inputs.get(1)?];
        let shape = shape_of(&a.shape, &b.shape)?;
        work.spend(&shape)?;
        let shapes = [a.shape.as_slice(), &b.shape, &shape];
        let values = match (&a.data, &b.data, h) {
            (Data::Float(x), Data::Float(y), _) => pairs(shapes, x, y, |x, y| f(&x, &y)),
            (Data::Int(x, kind), Data::Int(y, other), _) if kind == other => pairs(shapes, x, y, |x, y| g(&x, &y)),
            (Data::Bool(x), Data::Bool(y), Some(h)) => pairs(shapes, x, y, |x, y| h(&x, &y)),
            (x, y, _) => bail!("compares {x} and {y}"),
        };
        one(Tensor::bools(shape.clone(), values))
    }))
}

pub(super) fn equal(_: &mut Attributes) -> Result<Run> {
    compare(f32::eq, i64::eq, Some(bool::eq))
}

pub(super) fn less(_: &mut Attributes) -> Result<Run> {
    compare(f32::lt, i64::lt, None)
}

pub(super) fn less_or_equal(_: &mut Attributes) -> Result<Run> {
    compare(f32::le, i64::le, None)
}

pub(super) fn greater(_: &mut Attributes) -> Result<Run> {
    compare(f32::gt, i64::gt, None)
}

pub(super) fn greater_or_equal(_: &mut Attributes) -> Result<Run> {
    compare(f32::ge, i64::ge, None)
}

fn logic(f: fn(bool, bool) -> bool) -> Result<Run> {
    Ok(Box::new(move |inputs, work| {
        let [a, b] = [inputs.get(0)?, inputs.get(1)?];
        let shape = shape_of(&a.shape, &b.shape)?;
        work.spend(&shape)?;
        let values = pairs([&a.shape, &b.shape, &shape], a.as_bools()?, b.as_bools()?, f);
        one(Tensor::bools(shape.clone(), values))
    }))
}

pub(super) fn and(_: &mut Attributes) -> Result<Run> {
    logic(|x, y| x & y)
}

pub(super) fn or(_: &mut Attributes) -> Result<Run> {
    logic(|x, y| x | y)
}

pub(super) fn xor(_: &mut Attributes) -> Result<Run> {
    logic(|x, y| x ^ y)
}

/// Where: the second input where the first is true, else the third.
pub(super) fn choose(_: &mut Attributes) -> Result<Run> {
    Ok(Box::new(|inputs, work| {
        let [condition, a, b] = [inputs.get(0)?, inputs.get(1)?, inputs.get(2)?];
        let both = shape_of(&a.shape, &b.shape)?;
        let shape = shape_of(&condition.shape, &both)?;
        work.spend(&shape)?;
        let chosen = condition.as_bools()?;
        // The places of both are broadcast together, then one of them is chosen.
        let places = |tensor: &Tensor| (0..tensor.len()).collect::<Vec<_>>();
        let of_both = pairs([&a.shape, &b.shape, &both], &places(a), &places(b), |a, b| (a, b));
        let picked = pairs([&condition.shape, &both, &shape], chosen, &of_both, |first, (a, b)| (first, a, b));
        let pick = |len: usize| {
            let at = picked.iter().map(move |&(first, a, b)| if first { a } else { len + b });
            at.collect::<Vec<usize>>()
        };
        let data = Data::joined(&[&a.data, &b.data])?.pick(pick(a.len()).into_iter());
        one(Tensor::new(shape.clone(), data))
    }))
}
