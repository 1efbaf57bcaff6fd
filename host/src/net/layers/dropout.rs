//! Values dropped while training; nothing otherwise.

use anyhow::{Context, Result, ensure};
use candle_core::Tensor;
use rand::Rng;
use rand_chacha::ChaCha8Rng;

use super::{Back, Backward, Build, Entry, Gradients, Operator, Pass, Site, Trained, Training};
use crate::net::Mode;
use crate::net::lowering::Lowered;

/// Values dropped while training; nothing otherwise.
#[derive(Debug, Clone, PartialEq)]
pub struct Dropout {
    /// The share of values that are dropped.
    pub share: f64,
}

pub(super) const ENTRY: Entry = Entry {
    keys: &["share"],
    is_activated: false,
    build: Build::Operator(|layer, _| {
        let share = layer.share.context("share is missing")?;
        ensure!((0.0..1.0).contains(&share), "share is {share}, expected 0 to below 1");
        Ok(Dropout { share }.into())
    }),
};

impl Dropout {
    /// Returns a factor for each value: zero for a share of them, for the others what keeps the expected value.
    fn factors(&self, count: usize, random: &mut ChaCha8Rng) -> Vec<f32> {
        let kept = 1.0 / (1.0 - self.share as f32);
        (0..count).map(|_| if random.random::<f64>() < self.share { 0.0 } else { kept }).collect()
    }
}

impl Operator for Dropout {
    fn shape(&self, inputs: &[[usize; 3]]) -> Result<[usize; 3]> {
        Ok(inputs[0])
    }

    fn forward(&self, pass: &Pass<'_>, mode: &mut Mode<'_>) -> Result<Tensor> {
        let x = pass.input(0)?;
        Ok(match mode {
            Mode::Evaluate => x.clone(),
            Mode::Train(random) => {
                (x * Tensor::from_vec(self.factors(x.elem_count(), random), x.shape(), x.device())?)?
            }
        })
    }

    fn train(&self, pass: &mut Training<'_>) -> Result<Option<Trained>> {
        let x = pass.inputs[0];
        let factors = self.factors(x.len(), pass.random);
        let values = x.iter().zip(&factors).map(|(x, factor)| x * factor).collect();
        Ok(Some(Trained::new(values, Factors(factors))))
    }

    fn lower(&self, _: &mut Lowered, site: &Site<'_>) -> Result<u16> {
        Ok(site.inputs[0])
    }
}

struct Factors(Vec<f32>);

impl Backward for Factors {
    fn backward(&self, back: Back<'_>) -> Result<Gradients> {
        let mut gradient = back.gradient;
        gradient.iter_mut().zip(&self.0).for_each(|(gradient, factor)| *gradient *= factor);
        Ok(Gradients::of_input(gradient))
    }
}
