//! A matrix product of the flattened input, and a bias.

use anyhow::Result;
use attar_shared::Kind;
use candle_core::Tensor;

use super::{Affine, Build, Entry, Folded, Operator, Parameter, Pass, Site, Trained, Training, channels, weighted};
use crate::net::Mode;
use crate::net::lowering::{Lowered, Stage, Weighted};
use crate::net::ops;

/// A matrix product of the flattened input, weights `[outputs, values]`, and a bias `[outputs]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Dense {
    /// Outputs.
    pub outputs: usize,
    /// Whether it has a bias; the shift of a normalisation after it takes its place.
    pub bias: bool,
}

pub(super) const ENTRY: Entry = Entry {
    keys: &["channels", "norm", "activation"],
    is_activated: true,
    build: Build::Operator(|layer, place| {
        Ok(Dense { outputs: channels(layer, weighted::MAX_OUTPUTS)?, bias: !place.is_normed }.into())
    }),
};

impl Operator for Dense {
    fn shape(&self, _: &[[usize; 3]]) -> Result<[usize; 3]> {
        Ok([1, 1, self.outputs])
    }

    fn parameters(&self, inputs: &[[usize; 3]]) -> Vec<Parameter> {
        let values = inputs[0].iter().product();
        weighted::parameters(vec![self.outputs, values], values, self.outputs, self.bias)
    }

    fn forward(&self, pass: &Pass<'_>, _: &mut Mode<'_>) -> Result<Tensor> {
        let (weight, bias) = weighted::weights(pass)?;
        let flat = pass.input(0)?.flatten_from(1)?;
        Ok(ops::dense(&flat, &weight, &bias)?.reshape((flat.dim(0)?, 1, 1, self.outputs))?)
    }

    fn train(&self, pass: &mut Training<'_>) -> Result<Option<Trained>> {
        let inputs = pass.shapes[0].iter().product();
        weighted::train(pass, ops::Dense { batch: pass.batch, inputs, outputs: self.outputs })
    }

    fn fold(&self, parameters: &[&Tensor], norm: Option<&Affine>) -> Result<Folded> {
        weighted::fold(Self { bias: true, ..*self }, parameters, norm, &[self.outputs, 1])
    }

    fn lower(&self, lowered: &mut Lowered, site: &Site<'_>) -> Result<u16> {
        lowered.refuse_series(site)?;
        let weighted = Some(Weighted::whole());
        Ok(lowered.push(site, Stage { weighted, ..Stage::new(site, Kind::Dense) }))
    }
}
