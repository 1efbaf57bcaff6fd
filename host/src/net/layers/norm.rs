//! A batch normalisation of each channel (Ioffe, Szegedy 2015).

use anyhow::{Context, Result, bail};
use candle_core::{Tensor, Var};

use super::{Back, Backward, Gradients, Initial, Operator, Parameter, Pass, Site, Trained, Training};
use crate::net::Mode;
use crate::net::lowering::Lowered;
use crate::net::ops::{self, BatchNorm, with_floats};

/// A batch normalisation of each channel; it joins the layer before it on the board.
#[derive(Debug, Clone, PartialEq)]
pub struct Norm;

impl Operator for Norm {
    fn shape(&self, inputs: &[[usize; 3]]) -> Result<[usize; 3]> {
        Ok(inputs[0])
    }

    fn parameters(&self, inputs: &[[usize; 3]]) -> Vec<Parameter> {
        let channels = inputs[0][2];
        vec![Parameter::new("scale", [channels], Initial::Ones), Parameter::new("shift", [channels], Initial::Zeros)]
    }

    fn statistics(&self, inputs: &[[usize; 3]]) -> Vec<Parameter> {
        let channels = inputs[0][2];
        vec![Parameter::new("mean", [channels], Initial::Zeros), Parameter::new("variance", [channels], Initial::Ones)]
    }

    fn forward(&self, pass: &Pass<'_>, mode: &mut Mode<'_>) -> Result<Tensor> {
        let x = pass.input(0)?;
        match mode {
            Mode::Evaluate => {
                let affine = Affine::new(pass.parameters, pass.statistics)?;
                Ok(x.broadcast_mul(&affine.factor)?.broadcast_add(&affine.shift)?)
            }
            Mode::Train(_) => {
                let (y, mean, variance) = ops::batch_norm(x, pass.parameter(0)?, pass.parameter(1)?)?;
                follow_moments(pass.statistics, mean, variance, x.elem_count())?;
                Ok(y)
            }
        }
    }

    fn train(&self, pass: &mut Training<'_>) -> Result<Option<Trained>> {
        let x = pass.inputs[0];
        let [(_, scale), (_, shift)] = pass.parameters else { bail!("a normalisation has scale and shift") };
        let norm = BatchNorm::measure(x, pass.shape[2], pass.rectified);
        follow_moments(pass.statistics, norm.mean.clone(), norm.variance.clone(), x.len())?;
        let values = with_floats(scale, |scale| with_floats(shift, |shift| Ok(norm.forward(x, scale, shift))))?;
        Ok(Some(Trained::new(values, norm)))
    }

    fn rectifies(&self) -> bool {
        true
    }

    fn lower(&self, _: &mut Lowered, site: &Site<'_>) -> Result<u16> {
        bail!("layer {:?} has not been folded", site.name)
    }
}

impl Backward for BatchNorm {
    fn backward(&self, mut back: Back<'_>) -> Result<Gradients> {
        let gradient = std::mem::take(&mut back.gradient);
        let [dx, dscale, dshift] = with_floats(back.parameters[0].1.as_tensor(), |scale| {
            Ok(BatchNorm::backward(self, back.inputs[0], scale, back.result, gradient))
        })?;
        back.gradients(vec![dx], vec![dscale, dshift])
    }
}

/// A normalisation by the moments that it has gathered: `factor * x + shift`, each `[channels]`.
pub struct Affine {
    pub(in crate::net) factor: Tensor,
    pub(in crate::net) shift: Tensor,
}

impl Affine {
    /// Returns `factor = scale / sqrt(variance + epsilon)` and `shift - mean * factor`.
    pub(in crate::net) fn new(parameters: &[(String, Var)], statistics: &[(String, Var)]) -> Result<Self> {
        let ([(_, scale), (_, shift)], [(_, mean), (_, variance)]) = (parameters, statistics) else {
            bail!("a normalisation has scale, shift, mean and variance");
        };
        let factor = (scale.as_tensor() / (variance.as_tensor() + f64::from(ops::EPSILON))?.sqrt()?)?;
        let shift = (shift.as_tensor() - (mean.as_tensor() * &factor)?)?;
        Ok(Self { factor, shift })
    }
}

/// Moves the moments a tenth of the way to those of a batch, which has this number of values in all channels together.
fn follow_moments(statistics: &[(String, Var)], mean: Vec<f32>, variance: Vec<f32>, values: usize) -> Result<()> {
    let [(_, gathered_mean), (_, gathered_variance)] = statistics else { bail!("a normalisation has two moments") };
    let channels = mean.len();
    let count = values.checked_div(channels).context("a normalisation has at least one channel")? as f64;
    follow(gathered_mean, mean, 1.0)?;
    follow(gathered_variance, variance, count / (count - 1.0).max(1.0))
}

/// Moves a statistic a tenth of the way to that of a batch.
fn follow(statistic: &Var, now: Vec<f32>, factor: f64) -> Result<()> {
    let now = (Tensor::from_vec(now, statistic.shape(), statistic.device())? * (0.1 * factor))?;
    Ok(statistic.set(&((statistic.as_tensor() * 0.9)? + now)?)?)
}
