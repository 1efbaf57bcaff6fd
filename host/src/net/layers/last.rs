//! The last step of a series.

use anyhow::Result;
use candle_core::Tensor;

use super::{Build, Entry, Operator, Pass, Site};
use crate::net::Mode;
use crate::net::lowering::Lowered;

/// The last step of a series.
#[derive(Debug, Clone, PartialEq)]
pub struct Last;

pub(super) const ENTRY: Entry = Entry {
    keys: &[],
    is_activated: false,
    build: Build::Operator(|_, place| {
        place.check_series()?;
        Ok(Last.into())
    }),
};

impl Operator for Last {
    fn shape(&self, inputs: &[[usize; 3]]) -> Result<[usize; 3]> {
        Ok([1, 1, inputs[0][2]])
    }

    fn forward(&self, pass: &Pass<'_>, _: &mut Mode<'_>) -> Result<Tensor> {
        let x = pass.input(0)?;
        Ok(x.narrow(2, x.dim(2)? - 1, 1)?.contiguous()?)
    }

    fn lower(&self, _: &mut Lowered, site: &Site<'_>) -> Result<u16> {
        Ok(site.inputs[0])
    }

    fn is_streamed(&self) -> bool {
        true
    }
}
