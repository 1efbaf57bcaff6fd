//! The channels of all inputs one after the other; a vector is repeated.

use anyhow::{Result, ensure};
use attar_shared::Kind;
use candle_core::Tensor;

use super::{Operator, Pass, Site};
use crate::net::Mode;
use crate::net::lowering::{Lowered, Stage};

/// The channels of all inputs one after the other; a vector is repeated.
#[derive(Debug, Clone, PartialEq)]
pub struct Concat;

impl Operator for Concat {
    fn shape(&self, inputs: &[[usize; 3]]) -> Result<[usize; 3]> {
        let spatial = inputs.iter().copied().find(|shape| shape[..2] != [1, 1]).unwrap_or(inputs[0]);
        let mut channels = 0;
        for &part in inputs {
            ensure!(
                part[..2] == spatial[..2] || part[..2] == [1, 1],
                "it joins {part:?} to {spatial:?}: the shapes do not fit"
            );
            channels += part[2];
        }
        Ok([spatial[0], spatial[1], channels])
    }

    fn forward(&self, pass: &Pass<'_>, _: &mut Mode<'_>) -> Result<Tensor> {
        let [own_height, own_width, _] = pass.shape;
        let parts: Vec<Tensor> = pass
            .inputs
            .iter()
            .map(|part| {
                let (batch, height, width, channels) = part.dims4()?;
                if [height, width] == [own_height, own_width] {
                    return Ok((*part).clone());
                }
                Ok(part.broadcast_as((batch, own_height, own_width, channels))?.contiguous()?)
            })
            .collect::<Result<_>>()?;
        Ok(Tensor::cat(&parts, 3)?)
    }

    fn lower(&self, lowered: &mut Lowered, site: &Site<'_>) -> Result<u16> {
        Ok(lowered.push(site, Stage::new(site, Kind::Concat)))
    }
}
