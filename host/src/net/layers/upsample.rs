//! Each position repeated along both axes: the way back to a larger picture, or a longer series.

use anyhow::{Result, ensure};
use attar_shared::Kind;
use candle_core::Tensor;

use super::{Build, Entry, Operator, Pass, Site};
use crate::net::Mode;
use crate::net::lowering::{Lowered, Stage};
use crate::recipe::Size;

/// Each position repeated along both axes.
#[derive(Debug, Clone, PartialEq)]
pub struct Upsample {
    /// How often, along the height and the width.
    pub times: [usize; 2],
}

/// The greatest size of an axis that the format holds.
const MOST_SIZE: usize = 65_535;

pub(super) const ENTRY: Entry = Entry {
    keys: &["kernel", "activation"],
    is_activated: false,
    build: Build::Operator(|layer, place| {
        let is_series = place.shape[0] == 1;
        let times = match layer.kernel.unwrap_or(Size::One(2)) {
            Size::One(times) => [if is_series { 1 } else { times }, times],
            Size::Two(times) => times,
        };
        let fits = |axis: usize| times[axis] > 0 && times[axis] <= MOST_SIZE / place.shape[axis].max(1);
        ensure!(
            fits(0) && fits(1),
            "kernel is {times:?}, expected at least 1 and a result of at most {MOST_SIZE} positions an axis"
        );
        Ok(Upsample { times }.into())
    }),
};

impl Operator for Upsample {
    fn shape(&self, inputs: &[[usize; 3]]) -> Result<[usize; 3]> {
        let [height, width, channels] = inputs[0];
        Ok([height * self.times[0], width * self.times[1], channels])
    }

    // Candle's own operator overwrites gradients in its way back; a broadcast sums them.
    fn forward(&self, pass: &Pass<'_>, _: &mut Mode<'_>) -> Result<Tensor> {
        let x = pass.input(0)?;
        let (batch, height, width, channels) = x.dims4()?;
        let [rows, columns] = self.times;
        let apart = x.reshape((batch, height, 1, width, 1, channels))?;
        let repeated = apart.broadcast_as((batch, height, rows, width, columns, channels))?.contiguous()?;
        Ok(repeated.reshape((batch, height * rows, width * columns, channels))?)
    }

    fn lower(&self, lowered: &mut Lowered, site: &Site<'_>) -> Result<u16> {
        lowered.refuse_series(site)?;
        Ok(lowered.push(site, Stage::new(site, Kind::Upsample)))
    }
}
