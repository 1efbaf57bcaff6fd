//! The mean over a window.

use anyhow::Result;
use attar_shared::Kind;
use candle_core::Tensor;
use rayon::prelude::*;

use super::{Back, Backward, Build, Entry, Gradients, Operator, Pass, Site, Trained, Training, window};
use crate::net::Mode;
use crate::net::lowering::{Lowered, Stage, format_window};
use crate::net::ops::{self, Window, accumulate, vectorized};

/// The mean over a window.
#[derive(Debug, Clone, PartialEq)]
pub struct AveragePool {
    /// The geometry.
    pub window: Window,
}

pub(super) const ENTRY: Entry = Entry {
    keys: &["kernel", "stride", "padding", "activation"],
    is_activated: false,
    build: Build::Operator(|layer, place| Ok(AveragePool { window: window::of_pool(layer, place.shape)? }.into())),
};

/// The mean of each channel over all positions.
pub(super) const GLOBAL: Entry = Entry {
    keys: &[],
    is_activated: false,
    build: Build::Operator(|_, place| {
        let [height, width, _] = place.shape;
        let (kernel, ones) = ([height, width], [1, 1]);
        Ok(AveragePool { window: Window { kernel, stride: ones, dilation: ones, pad: [0, 0], out: ones } }.into())
    }),
};

impl AveragePool {
    /// Returns whether the window is the whole input.
    fn is_global(&self) -> bool {
        self.window.out == [1, 1] && self.window.pad == [0, 0]
    }
}

impl Operator for AveragePool {
    fn shape(&self, inputs: &[[usize; 3]]) -> Result<[usize; 3]> {
        Ok([self.window.out[0], self.window.out[1], inputs[0][2]])
    }

    fn forward(&self, pass: &Pass<'_>, _: &mut Mode<'_>) -> Result<Tensor> {
        let x = pass.input(0)?;
        Ok(if self.is_global() { x.mean_keepdim((1, 2))? } else { ops::average_pool(x, &self.window)? })
    }

    fn train(&self, pass: &mut Training<'_>) -> Result<Option<Trained>> {
        if !self.is_global() {
            return Ok(None);
        }
        let (x, channels) = (pass.inputs[0], pass.shape[2]);
        let image = x.len() / pass.batch;
        let share = channels as f32 / image as f32;
        let mut values = vec![0.0; pass.batch * channels];
        values.par_chunks_mut(channels).zip(x.par_chunks(image)).for_each(|(mean, x)| {
            vectorized(|| {
                x.chunks_exact(channels).for_each(|x| accumulate(mean, x));
                mean.iter_mut().for_each(|mean| *mean *= share);
            });
        });
        Ok(Some(Trained::new(values, Mean { image, channels })))
    }

    fn lower(&self, lowered: &mut Lowered, site: &Site<'_>) -> Result<u16> {
        let is_recent = lowered.streamed && self.window.pad[1] > 0;
        let stage = Stage::new(site, Kind::AveragePool);
        let stage = if is_recent {
            let (inputs, window) = lowered.delayed(site, &self.window)?;
            Stage { inputs, window: Some(window), ..stage }
        } else {
            let window = Some(format_window(&self.window)?);
            lowered.refuse_series(site)?;
            Stage { window, ..stage }
        };
        Ok(lowered.push(site, stage))
    }
}

/// The mean over all positions.
struct Mean {
    /// Values of a sample.
    image: usize,
    channels: usize,
}

impl Backward for Mean {
    fn backward(&self, back: Back<'_>) -> Result<Gradients> {
        let Self { image, channels } = *self;
        let share = channels as f32 / image as f32;
        let mut dx = vec![0.0; back.inputs[0].len()];
        dx.par_chunks_mut(image).zip(back.gradient.par_chunks(channels)).for_each(|(dx, gradient)| {
            vectorized(|| {
                for dx in dx.chunks_exact_mut(channels) {
                    dx.iter_mut().zip(gradient).for_each(|(dx, gradient)| *dx = gradient * share);
                }
            });
        });
        Ok(Gradients::of_input(dx))
    }
}
