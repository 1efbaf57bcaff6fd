//! What the facts say of a head by themselves.

use anyhow::{Result, ensure};
use attar_shared::Kind;
use candle_core::Tensor;

use super::{Affine, Folded, Initial, Operator, Parameter, Pass, Site, weighted};
use crate::net::Mode;
use crate::net::lowering::{Lowered, Stage, Weighted};
use crate::net::ops;

/// What the facts say of a head by themselves, weights `[outputs, values]` and a bias, times one factor: weights and bias are
/// fitted before the network and stay, the factor is learned with it.
#[derive(Debug, Clone, PartialEq)]
pub struct Prior {
    /// Outputs.
    pub outputs: usize,
    /// Whether the factor has joined weights and bias.
    pub folded: bool,
}

impl Operator for Prior {
    fn shape(&self, _: &[[usize; 3]]) -> Result<[usize; 3]> {
        Ok([1, 1, self.outputs])
    }

    fn parameters(&self, inputs: &[[usize; 3]]) -> Vec<Parameter> {
        let values = inputs[0].iter().product();
        let mut all = weighted::parameters(vec![self.outputs, values], values, self.outputs, true);
        if !self.folded {
            all.push(Parameter::new("factor", [1], Initial::Ones));
        }
        all
    }

    fn forward(&self, pass: &Pass<'_>, _: &mut Mode<'_>) -> Result<Tensor> {
        // No gradient reaches what was fitted before.
        let flat = pass.input(0)?.flatten_from(1)?.detach();
        let odds = ops::dense(&flat, &pass.weight(0)?.detach(), &pass.parameter(1)?.detach())?;
        let taken = if self.folded { odds } else { odds.broadcast_mul(pass.parameter(2)?)? };
        Ok(taken.reshape((flat.dim(0)?, 1, 1, self.outputs))?)
    }

    fn fold(&self, parameters: &[&Tensor], norm: Option<&Affine>) -> Result<Folded> {
        ensure!(norm.is_none(), "no normalisation follows a prior");
        let parameters = match parameters {
            [weight, bias, factor] => vec![weight.broadcast_mul(factor)?, bias.broadcast_mul(factor)?],
            folded => folded.iter().map(|&parameter| parameter.clone()).collect(),
        };
        Ok(Folded { op: Some(Self { folded: true, ..*self }.into()), parameters })
    }

    fn lower(&self, lowered: &mut Lowered, site: &Site<'_>) -> Result<u16> {
        ensure!(self.folded, "layer {:?} has not been folded", site.name);
        let weighted = Some(Weighted::whole());
        Ok(lowered.push(site, Stage { weighted, ..Stage::new(site, Kind::Dense) }))
    }
}
