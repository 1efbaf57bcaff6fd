//! A function of each value.

use anyhow::Result;
use attar_shared::Kind;
use candle_core::Tensor;
use rayon::prelude::*;

use super::{Operator, Pass, Site};
use crate::domain::Activation;
use crate::net::Mode;
use crate::net::lowering::{Lowered, Stage, Values};
use crate::net::ops::{self, CHUNK, vectorized};

impl Operator for Activation {
    fn shape(&self, inputs: &[[usize; 3]]) -> Result<[usize; 3]> {
        Ok(inputs[0])
    }

    fn forward(&self, pass: &Pass<'_>, _: &mut Mode<'_>) -> Result<Tensor> {
        let x = pass.input(0)?;
        Ok(match self {
            Self::Relu => ops::relu(x)?,
            // Candle's clamp passes the gradient inside only, as a relu6 has to.
            Self::Relu6 => ops::relu(x)?.clamp(0f32, 6f32)?,
            Self::Tanh => x.tanh()?,
            Self::Sigmoid => sigmoid(x)?,
            Self::None => x.clone(),
        })
    }

    fn yields_result(&self) -> bool {
        false
    }

    /// A clamp joins the operator before it, if nothing else reads that; other functions are tables.
    fn lower(&self, lowered: &mut Lowered, site: &Site<'_>) -> Result<u16> {
        let input = site.inputs[0];
        match lowered.producer(input) {
            Some(stage) if site.reads_alone && joins(*self, stage.kind) => {
                stage.activation = Some(*self);
                lowered.values[usize::from(input)] = Values::Node(site.node);
                Ok(input)
            }
            _ => Ok(lowered.push(site, Stage { activation: Some(*self), ..Stage::new(site, Kind::Table) })),
        }
    }
}

/// Returns whether an activation is a clamp that an operator can apply to its own output.
fn joins(activation: Activation, kind: Kind) -> bool {
    matches!(activation, Activation::Relu | Activation::Relu6)
        && matches!(kind, Kind::Dense | Kind::Convolution | Kind::Depthwise | Kind::Add | Kind::AveragePool)
}

/// Rectifies values.
pub(in crate::net) fn rectify(values: &mut [f32]) {
    values.par_chunks_mut(CHUNK).for_each(|values| {
        vectorized(|| values.iter_mut().for_each(|x| *x = if *x <= 0.0 { 0.0 } else { *x }));
    });
}

/// Makes the gradient of a rectified result that of what was rectified.
pub(in crate::net) fn mask(gradient: &mut [f32], result: &[f32]) {
    gradient.par_chunks_mut(CHUNK).zip(result.par_chunks(CHUNK)).for_each(|(gradient, y)| {
        vectorized(|| {
            let pairs = gradient.iter_mut().zip(y);
            pairs.for_each(|(gradient, &y)| *gradient = if y <= 0.0 { 0.0 } else { *gradient });
        });
    });
}

/// The logistic function by the hyperbolic tangent, which does not overflow.
pub(super) fn sigmoid(x: &Tensor) -> candle_core::Result<Tensor> {
    ((x * 0.5)?.tanh()? + 1.0)? * 0.5
}
