//! The normalised input.

use anyhow::Result;
use candle_core::Tensor;

use super::{Operator, Pass, Site};
use crate::net::Mode;
use crate::net::lowering::Lowered;

/// The normalised input.
#[derive(Debug, Clone, PartialEq)]
pub struct Input;

impl Operator for Input {
    fn shape(&self, inputs: &[[usize; 3]]) -> Result<[usize; 3]> {
        Ok(inputs[0])
    }

    fn forward(&self, pass: &Pass<'_>, _: &mut Mode<'_>) -> Result<Tensor> {
        Ok(pass.input(0)?.clone())
    }

    fn yields_result(&self) -> bool {
        false
    }

    fn lower(&self, lowered: &mut Lowered, site: &Site<'_>) -> Result<u16> {
        Ok(lowered.push_source(site))
    }
}
