//! A convolution, and a bias.

use anyhow::Result;
use attar_shared::Kind;
use candle_core::Tensor;

use super::{
    Affine, Build, Entry, Folded, Operator, Parameter, Pass, Site, Trained, Training, channels, weighted, window,
};
use crate::net::Mode;
use crate::net::lowering::{Lowered, Stage, Weighted};
use crate::net::ops::{self, Window};

/// A convolution, weights `[outputs, kernel_height, kernel_width, channels]`, and a bias `[outputs]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Convolution {
    /// Channels of the result.
    pub outputs: usize,
    /// The geometry.
    pub window: Window,
    /// Whether it has a bias; the shift of a normalisation after it takes its place.
    pub bias: bool,
}

pub(super) const ENTRY: Entry = Entry {
    keys: &["channels", "kernel", "stride", "dilation", "padding", "norm", "activation"],
    is_activated: true,
    build: Build::Operator(|layer, place| {
        let window = window::of_convolution(layer, place.shape)?;
        let outputs = channels(layer, weighted::MAX_OUTPUTS)?;
        Ok(Convolution { outputs, window, bias: !place.is_normed }.into())
    }),
};

impl Operator for Convolution {
    fn shape(&self, _: &[[usize; 3]]) -> Result<[usize; 3]> {
        Ok([self.window.out[0], self.window.out[1], self.outputs])
    }

    fn parameters(&self, inputs: &[[usize; 3]]) -> Vec<Parameter> {
        let ([height, width], channels) = (self.window.kernel, inputs[0][2]);
        let shape = vec![self.outputs, height, width, channels];
        weighted::parameters(shape, height * width * channels, self.outputs, self.bias)
    }

    fn forward(&self, pass: &Pass<'_>, _: &mut Mode<'_>) -> Result<Tensor> {
        let (weight, bias) = weighted::weights(pass)?;
        Ok(ops::conv2d(pass.input(0)?, &weight, &bias, &self.window)?)
    }

    fn train(&self, pass: &mut Training<'_>) -> Result<Option<Trained>> {
        let [height, width, channels] = pass.shapes[0];
        let (window, batch, input) = (self.window, pass.batch, [height, width]);
        weighted::train(pass, ops::Convolution { window, batch, input, channels, out: self.outputs })
    }

    fn fold(&self, parameters: &[&Tensor], norm: Option<&Affine>) -> Result<Folded> {
        weighted::fold(Self { bias: true, ..*self }, parameters, norm, &[self.outputs, 1, 1, 1])
    }

    fn lower(&self, lowered: &mut Lowered, site: &Site<'_>) -> Result<u16> {
        let (inputs, window) = lowered.delayed(site, &self.window)?;
        let (window, weighted) = (Some(window), Some(Weighted::whole()));
        Ok(lowered.push(site, Stage { inputs, window, weighted, ..Stage::new(site, Kind::Convolution) }))
    }
}
