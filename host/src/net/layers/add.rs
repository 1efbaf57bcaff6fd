//! The sum of two; the second may be a vector.

use anyhow::Result;
use attar_shared::Kind;
use candle_core::Tensor;
use rayon::prelude::*;

use super::multiply::shape_of_pair;
use super::{Back, Backward, Build, Entry, Gradients, Operator, Pass, Site, Trained, Training};
use crate::net::Mode;
use crate::net::lowering::{Lowered, Stage};
use crate::net::ops::{CHUNK, accumulate, vectorized};

/// The sum of two; the second may be a vector.
#[derive(Debug, Clone, PartialEq)]
pub struct Add;

/// The sum of layers and of their shortcut.
pub(super) const RESIDUAL: Entry =
    Entry { keys: &["layers", "shortcut", "activation"], is_activated: true, build: Build::Sum };

impl Operator for Add {
    fn shape(&self, inputs: &[[usize; 3]]) -> Result<[usize; 3]> {
        shape_of_pair(inputs)
    }

    fn forward(&self, pass: &Pass<'_>, _: &mut Mode<'_>) -> Result<Tensor> {
        Ok(pass.input(0)?.broadcast_add(pass.input(1)?)?)
    }

    fn train(&self, pass: &mut Training<'_>) -> Result<Option<Trained>> {
        let [x, other] = pass.inputs else { return Ok(None) };
        if x.len() != other.len() {
            return Ok(None);
        }
        let mut values = x.to_vec();
        values.par_chunks_mut(CHUNK).zip(other.par_chunks(CHUNK)).for_each(|(sum, other)| {
            vectorized(|| accumulate(sum, other));
        });
        Ok(Some(Trained::new(values, Sum)))
    }

    fn lower(&self, lowered: &mut Lowered, site: &Site<'_>) -> Result<u16> {
        Ok(lowered.push(site, Stage::new(site, Kind::Add)))
    }
}

struct Sum;

impl Backward for Sum {
    fn backward(&self, back: Back<'_>) -> Result<Gradients> {
        let Back { wanted, gradient, .. } = back;
        let other = if wanted[0] && wanted[1] { gradient.clone() } else { Vec::new() };
        let of_inputs = if wanted[0] { vec![gradient, other] } else { vec![other, gradient] };
        Ok(Gradients { of_parameters: Vec::new(), of_inputs })
    }
}
