//! The encoded facts.

use anyhow::Result;
use candle_core::Tensor;

use super::{Build, Entry, Operator, Pass, Site};
use crate::net::Mode;
use crate::net::lowering::Lowered;

/// The encoded facts.
#[derive(Debug, Clone, PartialEq)]
pub struct Facts;

/// Where the facts enter.
pub(super) const ENTRY: Entry = Entry { keys: &[], is_activated: false, build: Build::Fusion };

impl Operator for Facts {
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
