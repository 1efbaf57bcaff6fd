//! Operators of one input, element by element.

use std::sync::Arc;

use anyhow::{Context, Result, bail, ensure};

use super::{Inputs, Run, one};
use crate::onnx::attributes::Attributes;
use crate::onnx::tensor::{Data, Element, Integer, Tensor};

/// Returns the operator that maps every float.
pub(super) fn unary(f: impl Fn(f32) -> f32 + Send + Sync + 'static) -> Result<Run> {
    Ok(Box::new(move |inputs, work| {
        let (shape, values) = inputs.floats(0)?;
        work.spend(&[values.len()])?;
        one(Tensor::floats(shape.to_vec(), values.iter().map(|&x| f(x)).collect()))
    }))
}

/// As [`unary`], with a function for integers.
fn signed(f: fn(f32) -> f32, g: fn(i64) -> i64) -> Result<Run> {
    Ok(Box::new(move |inputs, _| {
        let tensor = inputs.get(0)?;
        let data = match &tensor.data {
            Data::Float(values) => Data::Float(Arc::new(values.iter().map(|&x| f(x)).collect())),
            Data::Int(values, kind) => Data::Int(Arc::new(values.iter().map(|&x| kind.wrap(g(x))).collect()), *kind),
            other => bail!("holds {other}, expected numbers"),
        };
        one(Tensor::new(tensor.shape.clone(), data))
    }))
}

pub(super) fn abs(_: &mut Attributes) -> Result<Run> {
    signed(f32::abs, i64::wrapping_abs)
}

pub(super) fn negate(_: &mut Attributes) -> Result<Run> {
    signed(|x| -x, i64::wrapping_neg)
}

pub(super) fn sign(_: &mut Attributes) -> Result<Run> {
    signed(|x| if x == 0.0 || x.is_nan() { x } else { x.signum() }, i64::signum)
}

pub(super) fn relu(_: &mut Attributes) -> Result<Run> {
    signed(|x| if x < 0.0 { 0.0 } else { x }, |x| x.max(0))
}

pub(super) fn identity(_: &mut Attributes) -> Result<Run> {
    Ok(Box::new(|inputs, _| Ok(vec![inputs.get(0)?.clone()])))
}

pub(super) fn not(_: &mut Attributes) -> Result<Run> {
    Ok(Box::new(|inputs, _| {
        let tensor = inputs.get(0)?;
        one(Tensor::bools(tensor.shape.clone(), tensor.as_bools()?.iter().map(|x| !x).collect()))
    }))
}

pub(super) fn is_nan(_: &mut Attributes) -> Result<Run> {
    Ok(Box::new(|inputs, _| {
        let (shape, values) = inputs.floats(0)?;
        one(Tensor::bools(shape.to_vec(), values.iter().map(|x| x.is_nan()).collect()))
    }))
}

pub(super) fn is_infinite(attributes: &mut Attributes) -> Result<Run> {
    let positive = attributes.flag("detect_positive", true)?;
    let negative = attributes.flag("detect_negative", true)?;
    Ok(Box::new(move |inputs, _| {
        let (shape, values) = inputs.floats(0)?;
        let found = |&x: &f32| (positive && x == f32::INFINITY) || (negative && x == f32::NEG_INFINITY);
        one(Tensor::bools(shape.to_vec(), values.iter().map(found).collect()))
    }))
}

/// Dropout does nothing in inference.
pub(super) fn dropout(attributes: &mut Attributes) -> Result<Run> {
    attributes.int("seed", 0)?;
    attributes.float("ratio", 0.5)?;
    Ok(Box::new(|inputs, _| {
        if let Some(training) = inputs.optional(2) {
            ensure!(training.as_bools()? == [false], "is in training mode: export the network in evaluation mode");
        }
        Ok(vec![inputs.get(0)?.clone()])
    }))
}

pub(super) fn celu(attributes: &mut Attributes) -> Result<Run> {
    let alpha = attributes.float("alpha", 1.0)?;
    unary(move |x| x.max(0.0) + (alpha * (x / alpha).exp_m1()).min(0.0))
}

pub(super) fn elu(attributes: &mut Attributes) -> Result<Run> {
    let alpha = attributes.float("alpha", 1.0)?;
    unary(move |x| if x < 0.0 { alpha * x.exp_m1() } else { x })
}

pub(super) fn selu(attributes: &mut Attributes) -> Result<Run> {
    let alpha = attributes.float("alpha", 1.673_263_2)?;
    let gamma = attributes.float("gamma", 1.050_701)?;
    unary(move |x| if x <= 0.0 { gamma * alpha * x.exp_m1() } else { gamma * x })
}

pub(super) fn leaky_relu(attributes: &mut Attributes) -> Result<Run> {
    let alpha = attributes.float("alpha", 0.01)?;
    unary(move |x| if x < 0.0 { alpha * x } else { x })
}

pub(super) fn thresholded_relu(attributes: &mut Attributes) -> Result<Run> {
    let alpha = attributes.float("alpha", 1.0)?;
    unary(move |x| if x > alpha { x } else { 0.0 })
}

pub(super) fn hard_sigmoid(attributes: &mut Attributes) -> Result<Run> {
    let alpha = attributes.float("alpha", 0.2)?;
    let beta = attributes.float("beta", 0.5)?;
    unary(move |x| (alpha * x + beta).clamp(0.0, 1.0))
}

pub(super) fn shrink(attributes: &mut Attributes) -> Result<Run> {
    let bias = attributes.float("bias", 0.0)?;
    let lambda = attributes.float("lambd", 0.5)?;
    unary(move |x| {
        if x < -lambda {
            x + bias
        } else if x > lambda {
            x - bias
        } else {
            0.0
        }
    })
}

pub(super) fn swish(attributes: &mut Attributes) -> Result<Run> {
    let alpha = attributes.float("alpha", 1.0)?;
    unary(move |x| x * sigmoid(alpha * x))
}

pub(super) fn gelu(attributes: &mut Attributes) -> Result<Run> {
    match attributes.text("approximate", "none")?.as_str() {
        "none" => unary(|x| 0.5 * x * (1.0 + libm::erff(x * std::f32::consts::FRAC_1_SQRT_2))),
        "tanh" => unary(|x| {
            let scale = (2.0 / std::f32::consts::PI).sqrt();
            0.5 * x * (1.0 + (scale * (x + 0.044_715 * x * x * x)).tanh())
        }),
        other => bail!("attribute \"approximate\" is {other:?}, expected \"none\" or \"tanh\""),
    }
}

/// Bounds come as attributes before opset 11, as inputs since.
pub(super) fn clip(attributes: &mut Attributes) -> Result<Run> {
    let [low, high] = [attributes.optional_float("min")?, attributes.optional_float("max")?];
    ensure!(attributes.opset < 11 || (low.is_none() && high.is_none()), "has its bounds as attributes since opset 11");
    Ok(Box::new(move |inputs, _| {
        let tensor = inputs.get(0)?;
        if let Data::Int(values, kind) = &tensor.data {
            let bound = |place, other| {
                inputs
                    .optional(place)
                    .map_or(Ok(other), |bound| bound.as_int().with_context(|| format!("input {place}")))
            };
            let [low, high] = [bound(1, i64::MIN)?, bound(2, i64::MAX)?];
            let values = values.iter().map(|&x| x.max(low).min(high)).collect();
            return one(Tensor::ints(tensor.shape.clone(), values, *kind));
        }
        let bound = |place: usize, other: Option<f32>, none: f32| -> Result<f32> {
            let Some(bound) = inputs.optional(place) else { return Ok(other.unwrap_or(none)) };
            let values = bound.as_floats().with_context(|| format!("input {place}"))?;
            ensure!(values.len() == 1, "input {place} has {} values, expected one", values.len());
            Ok(values[0])
        };
        let [low, high] = [bound(1, low, f32::NEG_INFINITY)?, bound(2, high, f32::INFINITY)?];
        ensure!(!low.is_nan() && !high.is_nan(), "has a bound that is not a number");
        let clip = |&x: &f32| if x.is_nan() { x } else { x.max(low).min(high) };
        one(Tensor::floats(tensor.shape.clone(), tensor.as_floats()?.iter().map(clip).collect()))
    }))
}

pub(super) fn cast(attributes: &mut Attributes) -> Result<Run> {
    let to = attributes.optional_int("to")?.context("attribute \"to\" is missing")?;
    let to = Element::from_code(to)?;
    // Both concern types of 8 bits only, which no value here has.
    attributes.int("saturate", 1)?;
    attributes.text("round_mode", "up")?;
    Ok(Box::new(move |inputs, _| Ok(vec![converted(inputs.get(0)?, to)?])))
}

pub(super) fn cast_like(attributes: &mut Attributes) -> Result<Run> {
    attributes.int("saturate", 1)?;
    attributes.text("round_mode", "up")?;
    Ok(Box::new(|inputs, _| {
        let to = match &inputs.get(1)?.data {
            Data::Float(_) => Element::Float,
            Data::Int(_, kind) => Element::Int(*kind),
            Data::Bool(_) => Element::Bool,
        };
        Ok(vec![converted(inputs.get(0)?, to)?])
    }))
}

fn converted(tensor: &Tensor, to: Element) -> Result<Tensor> {
    let data = match (&tensor.data, to) {
        (Data::Float(_), Element::Float | Element::Double) => tensor.data.clone(),
        (Data::Float(values), Element::Half | Element::BrainHalf) => {
            Data::Float(Arc::new(values.iter().map(|&x| to.round(x)).collect()))
        }
        (Data::Float(values), Element::Int(kind)) => {
            Data::Int(Arc::new(values.iter().map(|&x| kind.wrap(x as i64)).collect()), kind)
        }
        (Data::Float(values), Element::Bool) => Data::Bool(Arc::new(values.iter().map(|&x| x != 0.0).collect())),
        (Data::Int(values, _), Element::Int(kind)) => {
            Data::Int(Arc::new(values.iter().map(|&x| kind.wrap(x)).collect()), kind)
        }
        (Data::Int(values, _), Element::Bool) => Data::Bool(Arc::new(values.iter().map(|&x| x != 0).collect())),
        (Data::Int(values, _), to) => Data::Float(Arc::new(values.iter().map(|&x| to.round(x as f32)).collect())),
        (Data::Bool(values), Element::Bool) => Data::Bool(values.clone()),
        (Data::Bool(values), Element::Int(kind)) => {
            Data::Int(Arc::new(values.iter().map(|&x| i64::from(x)).collect()), kind)
        }
        (Data::Bool(values), _) => Data::Float(Arc::new(values.iter().map(|&x| f32::from(u8::from(x))).collect())),
    };
    Tensor::new(tensor.shape.clone(), data)
}

/// Returns a tensor's values as integers of a type, for indices of 32 and 64 bits alike.
pub(super) fn indices(inputs: &Inputs, place: usize) -> Result<&[i64]> {
    let tensor = inputs.get(place)?;
    match &tensor.data {
        Data::Int(values, Integer::I32 | Integer::I64) => Ok(values),
        other => bail!("input {place} holds {other}, expected indices"),
    }
}

pub(super) fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + (-x).exp())
}

pub(super) fn softplus(x: f32) -> f32 {
    x.max(0.0) + (-x.abs()).exp().ln_1p()
}

pub(super) fn hard_swish(x: f32) -> f32 {
    x * (x / 6.0 + 0.5).clamp(0.0, 1.0)
}
