//! The product of two, value by value; the second may be a vector.

use anyhow::{Result, bail};
use attar_shared::Kind;
use candle_core::Tensor;

use super::{Operator, Pass, Site};
use crate::net::Mode;
use crate::net::lowering::{Lowered, Stage};

/// The product of two, value by value; the second may be a vector.
#[derive(Debug, Clone, PartialEq)]
pub struct Multiply;

impl Operator for Multiply {
    fn shape(&self, inputs: &[[usize; 3]]) -> Result<[usize; 3]> {
        shape_of_pair(inputs)
    }

    fn forward(&self, pass: &Pass<'_>, _: &mut Mode<'_>) -> Result<Tensor> {
        Ok(pass.input(0)?.broadcast_mul(pass.input(1)?)?)
    }

    fn lower(&self, lowered: &mut Lowered, site: &Site<'_>) -> Result<u16> {
        Ok(lowered.push(site, Stage::new(site, Kind::Multiply)))
    }
}

/// Returns the shape of what joins two inputs value by value.
pub(super) fn shape_of_pair(inputs: &[[usize; 3]]) -> Result<[usize; 3]> {
    let &[first, second] = inputs else { bail!("it has {} inputs, expected 2", inputs.len()) };
    if second != first && second != [1, 1, first[2]] {
        bail!("it joins {second:?} to {first:?} value by value: the shapes do not fit");
    }
    Ok(first)
}
