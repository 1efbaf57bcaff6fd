//! Adam (Kingma and Ba 2015, algorithm 1), with a state that can be saved.

use anyhow::Result;
use candle_core::backprop::GradStore;
use candle_core::{Tensor, Var};

/// The moments of each parameter, in the order of the parameters.
#[derive(Debug, Clone)]
pub struct Adam {
    /// First moments.
    pub first: Vec<Tensor>,
    /// Second moments.
    pub second: Vec<Tensor>,
    /// Steps taken.
    pub steps: usize,
}

impl Adam {
    /// Returns the state before the first step.
    ///
    /// # Errors
    ///
    /// When the device refuses an allocation.
    pub fn new(parameters: &[(String, Var)]) -> Result<Self> {
        let zeros =
            || parameters.iter().map(|(_, var)| var.as_tensor().zeros_like()).collect::<candle_core::Result<Vec<_>>>();
        Ok(Self { first: zeros()?, second: zeros()?, steps: 0 })
    }

    /// Takes a step; a parameter that the loss does not depend on stays.
    ///
    /// # Errors
    ///
    /// When the device fails.
    pub fn step(&mut self, parameters: &[(String, Var)], gradients: &GradStore, rate: f64) -> Result<()> {
        self.steps += 1;
        let steps = i32::try_from(self.steps).unwrap_or(i32::MAX);
        let (correction1, correction2) = (1.0 - BETA1.powi(steps), 1.0 - BETA2.powi(steps));
        for ((_, var), (first, second)) in parameters.iter().zip(self.first.iter_mut().zip(&mut self.second)) {
            let Some(gradient) = gradients.get(var) else { continue };
            // Without this the moments would keep the graph of every step before.
            let gradient = gradient.detach();
            *first = ((&*first * BETA1)? + (&gradient * (1.0 - BETA1))?)?;
            *second = ((&*second * BETA2)? + (gradient.sqr()? * (1.0 - BETA2))?)?;
            let denominator = ((&*second / correction2)?.sqrt()? + EPSILON)?;
            var.set(&(var.as_tensor() - ((&*first * (rate / correction1))? / denominator)?)?)?;
        }
        Ok(())
    }
}

const BETA1: f64 = 0.9;
const BETA2: f64 = 0.999;
const EPSILON: f64 = 1e-8;
