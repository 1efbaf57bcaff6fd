//! The greatest value in a window.

use anyhow::Result;
use attar_shared::Kind;
use candle_core::Tensor;

use super::{Back, Backward, Build, Entry, Gradients, Operator, Pass, Site, Trained, Training, window};
use crate::net::Mode;
use crate::net::lowering::{Lowered, Stage, format_window};
use crate::net::ops::{self, Window};

/// The greatest value in a window.
#[derive(Debug, Clone, PartialEq)]
pub struct MaxPool {
    /// The geometry.
    pub window: Window,
}

pub(super) const ENTRY: Entry = Entry {
    keys: &["kernel", "stride", "padding", "activation"],
    is_activated: false,
    build: Build::Operator(|layer, place| Ok(MaxPool { window: window::of_pool(layer, place.shape)? }.into())),
};

impl Operator for MaxPool {
    fn shape(&self, inputs: &[[usize; 3]]) -> Result<[usize; 3]> {
        Ok([self.window.out[0], self.window.out[1], inputs[0][2]])
    }

    fn forward(&self, pass: &Pass<'_>, _: &mut Mode<'_>) -> Result<Tensor> {
        Ok(ops::max_pool(pass.input(0)?, &self.window)?)
    }

    fn train(&self, pass: &mut Training<'_>) -> Result<Option<Trained>> {
        let pool = ops::MaxPool::new(self.window, pass.batch, pass.shapes[0]);
        Ok(Some(Trained::new(pool.forward(pass.inputs[0]), pool)))
    }

    fn yields_result(&self) -> bool {
        false
    }

    fn lower(&self, lowered: &mut Lowered, site: &Site<'_>) -> Result<u16> {
        let window = Some(format_window(&self.window)?);
        lowered.refuse_series(site)?;
        Ok(lowered.push(site, Stage { window, ..Stage::new(site, Kind::MaxPool) }))
    }
}

impl Backward for ops::MaxPool {
    fn backward(&self, back: Back<'_>) -> Result<Gradients> {
        Ok(Gradients::of_input(ops::MaxPool::backward(self, back.inputs[0], back.result, &back.gradient)))
    }
}
