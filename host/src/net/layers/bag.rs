//! The mean of the rows that a text's n-grams choose.

use anyhow::Result;
use attar_shared::Kind;
use attar_shared::text::Grams;
use candle_core::Tensor;

use super::{Initial, Operator, Parameter, Pass, Site};
use crate::net::Mode;
use crate::net::lowering::{Lowered, Stage, Weighted};
use crate::net::ops;

/// The mean of the rows that a text's n-grams choose, weights `[buckets, channels]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Bag {
    /// Which n-grams, and among how many rows they choose.
    pub grams: Grams,
    /// Channels of the result.
    pub channels: usize,
}

impl Operator for Bag {
    fn shape(&self, _: &[[usize; 3]]) -> Result<[usize; 3]> {
        Ok([1, 1, self.channels])
    }

    fn parameters(&self, _: &[[usize; 3]]) -> Vec<Parameter> {
        let initial = Initial::Weights { fan_in: self.channels, fan_out: self.channels };
        vec![Parameter::new("weight", [self.grams.buckets as usize, self.channels], initial)]
    }

    fn forward(&self, pass: &Pass<'_>, _: &mut Mode<'_>) -> Result<Tensor> {
        let flat = pass.input(0)?.flatten_from(1)?;
        let mean = ops::bag(&flat, &pass.weight(0)?, &self.grams)?;
        Ok(mean.reshape((flat.dim(0)?, 1, 1, self.channels))?)
    }

    fn lower(&self, lowered: &mut Lowered, site: &Site<'_>) -> Result<u16> {
        let weighted = Some(Weighted::without_bias(0));
        Ok(lowered.push(site, Stage { weighted, grams: Some(self.grams), ..Stage::new(site, Kind::Bag) }))
    }

    fn reads_text(&self) -> bool {
        true
    }
}
