//! A convolution channel by channel, and a bias.

use anyhow::Result;
use attar_shared::Kind;
use candle_core::Tensor;

use super::{Affine, Build, Entry, Folded, Operator, Parameter, Pass, Site, Trained, Training, weighted, window};
use crate::net::Mode;
use crate::net::lowering::{Lowered, Stage, Weighted};
use crate::net::ops::{self, Window};

/// A convolution channel by channel, weights `[kernel_height, kernel_width, channels]`, and a bias `[channels]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Depthwise {
    /// The geometry.
    pub window: Window,
    /// Whether it has a bias; the shift of a normalisation after it takes its place.
    pub bias: bool,
}

pub(super) const ENTRY: Entry = Entry {
    keys: &["kernel", "stride", "dilation", "padding", "norm", "activation"],
    is_activated: true,
    build: Build::Operator(|layer, place| {
        let window = window::of_convolution(layer, place.shape)?;
        Ok(Depthwise { window, bias: !place.is_normed }.into())
    }),
};

impl Operator for Depthwise {
    fn shape(&self, inputs: &[[usize; 3]]) -> Result<[usize; 3]> {
        Ok([self.window.out[0], self.window.out[1], inputs[0][2]])
    }

    fn parameters(&self, inputs: &[[usize; 3]]) -> Vec<Parameter> {
        let ([height, width], channels) = (self.window.kernel, inputs[0][2]);
        weighted::parameters(vec![height, width, channels], height * width, channels, self.bias)
    }

    fn forward(&self, pass: &Pass<'_>, _: &mut Mode<'_>) -> Result<Tensor> {
        let (weight, bias) = weighted::weights(pass)?;
        Ok(ops::depthwise(pass.input(0)?, &weight, &bias, &self.window)?)
    }

    fn train(&self, pass: &mut Training<'_>) -> Result<Option<Trained>> {
        let [height, width, channels] = pass.shapes[0];
        let (window, batch, input) = (self.window, pass.batch, [height, width]);
        weighted::train(pass, ops::Depthwise { window, batch, input, channels })
    }

    fn fold(&self, parameters: &[&Tensor], norm: Option<&Affine>) -> Result<Folded> {
        // Its weights hold the channels last, those of other layers first.
        let channels = parameters[0].dim(2)?;
        weighted::fold(Self { bias: true, ..*self }, parameters, norm, &[channels])
    }

    fn lower(&self, lowered: &mut Lowered, site: &Site<'_>) -> Result<u16> {
        let (inputs, window) = lowered.delayed(site, &self.window)?;
        let (window, weighted) = (Some(window), Some(Weighted::whole()));
        Ok(lowered.push(site, Stage { inputs, window, weighted, ..Stage::new(site, Kind::Depthwise) }))
    }
}
