//! The encoded facts, categories by their learned rows.

use std::ops::Range;

use anyhow::Result;
use candle_core::Tensor;

use super::{Initial, Operator, Parameter, Pass, Site};
use crate::net::Mode;
use crate::net::lowering::{Lowered, Values};

/// The encoded facts, each run of a category in `parts` by its learned rows, weights `[values, width]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Embedding {
    /// The runs and the widths of their rows.
    pub parts: Vec<(Range<usize>, usize)>,
}

impl Operator for Embedding {
    fn shape(&self, inputs: &[[usize; 3]]) -> Result<[usize; 3]> {
        let saved: usize = self.parts.iter().map(|(run, _)| run.len()).sum();
        Ok([1, 1, inputs[0][2] - saved + self.parts.iter().map(|(_, width)| width).sum::<usize>()])
    }

    fn parameters(&self, _: &[[usize; 3]]) -> Vec<Parameter> {
        let rows = |(place, (run, width)): (usize, &(Range<usize>, usize))| {
            Parameter::new(format!("rows{place}"), [run.len(), *width], Initial::Normal)
        };
        self.parts.iter().enumerate().map(rows).collect()
    }

    fn forward(&self, pass: &Pass<'_>, _: &mut Mode<'_>) -> Result<Tensor> {
        let facts = pass.input(0)?.flatten_from(1)?;
        let mut pieces = Vec::new();
        let mut from = 0;
        for (place, (run, _)) in self.parts.iter().enumerate() {
            pieces.push(facts.narrow(1, from, run.start - from)?);
            pieces.push(facts.narrow(1, run.start, run.len())?.contiguous()?.matmul(pass.parameter(place)?)?);
            from = run.end;
        }
        pieces.push(facts.narrow(1, from, facts.dim(1)? - from)?);
        pieces.retain(|piece| piece.elem_count() > 0);
        let all = Tensor::cat(&pieces, 1)?;
        Ok(all.reshape((all.dim(0)?, 1, 1, pass.shape[2]))?)
    }

    /// The board looks its rows up while it encodes the facts: their tensor holds the result.
    fn lower(&self, lowered: &mut Lowered, site: &Site<'_>) -> Result<u16> {
        let facts = usize::from(site.inputs[0]);
        lowered.values[facts] = Values::Node(site.node);
        lowered.shapes[facts] = site.shape;
        Ok(site.inputs[0])
    }
}
