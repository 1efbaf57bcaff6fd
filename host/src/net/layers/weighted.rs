//! What layers with weights and a bias have in common.

use anyhow::Result;
use candle_core::{DType, Tensor};

use super::{Back, Backward, Folded, Gradients, Initial, Op, Parameter, Pass, Trained, Training};
use crate::net::ops::{Layer, with_floats};

/// Outputs of a layer, which the format holds in 16 bits.
pub(super) const MAX_OUTPUTS: usize = 65_535;

/// Returns the parameters: weights, and a bias if there is one.
pub(super) fn parameters(shape: Vec<usize>, fan_in: usize, fan_out: usize, bias: bool) -> Vec<Parameter> {
    let weight = Parameter::new("weight", shape, Initial::Weights { fan_in, fan_out });
    let bias = bias.then(|| Parameter::new("bias", [fan_out], Initial::Bias));
    [weight].into_iter().chain(bias).collect()
}

/// Returns weights and bias in a pass by candle; the bias is 0 where there is none.
pub(super) fn weights(pass: &Pass<'_>) -> Result<(Tensor, Tensor)> {
    let weight = pass.weight(0)?;
    let bias = match pass.parameters.get(1) {
        Some((_, bias)) => bias.as_tensor().clone(),
        None => Tensor::zeros(pass.shape[2], DType::F32, weight.device())?,
    };
    Ok((weight, bias))
}

/// Runs a layer in training.
pub(super) fn train(pass: &Training<'_>, layer: impl Layer + 'static) -> Result<Option<Trained>> {
    let x = pass.inputs[0];
    let weight = pass.parameters[0].1.as_tensor();
    let values = with_floats(weight, |weight| match pass.parameters.get(1) {
        Some((_, bias)) => with_floats(bias, |bias| Ok(layer.forward(x, weight, Some(bias)))),
        None => Ok(layer.forward(x, weight, None)),
    })?;
    Ok(Some(Trained::new(values, Weighted(layer))))
}

struct Weighted<L>(L);

impl<L: Layer> Backward for Weighted<L> {
    fn backward(&self, back: Back<'_>) -> Result<Gradients> {
        let weight = back.parameters[0].1.as_tensor();
        let [dx, dweight, dbias] =
            with_floats(weight, |weight| Ok(self.0.backward(back.inputs[0], weight, &back.gradient, back.wanted[0])))?;
        back.gradients(vec![dx], vec![dweight, dbias])
    }
}

/// Returns a layer with a bias; a normalisation after it joins its parameters, for which its factors get the shape
/// `factor_shape`.
pub(super) fn fold(
    op: impl Into<Op>,
    parameters: &[&Tensor],
    norm: Option<&super::Affine>,
    factor_shape: &[usize],
) -> Result<Folded> {
    let parameters = match norm {
        Some(norm) => {
            vec![parameters[0].broadcast_mul(&norm.factor.reshape(factor_shape)?)?, norm.shift.clone()]
        }
        None => parameters.iter().map(|&parameter| parameter.clone()).collect(),
    };
    Ok(Folded { op: Some(op.into()), parameters })
}
