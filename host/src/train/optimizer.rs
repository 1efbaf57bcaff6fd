//! Optimisers: from gradients to new weights, in place, with a state that can be saved.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use candle_core::{Tensor, Var};
use rayon::prelude::*;

use crate::net::ops::{vectorized, with_floats, with_floats_mut};
use crate::recipe::{self, OptimizerKind as Kind};

/// An optimiser and its state, for parameters in a fixed order.
///
/// | kind | step, for a gradient g, a rate r and a decay d | source |
/// |---|---|---|
/// | Adam | m ← 0.9 m + 0.1 g, v ← 0.999 v + 0.001 g²; w ← w - r m̂ / (√v̂ + 1e-8); g holds d w | Kingma, Ba 2015, algorithm 1 |
/// | AdamW | as Adam, and w ← w - r d w beside it | Loshchilov, Hutter 2019 |
/// | SGD | m ← momentum m + g; w ← w - r m; g holds d w | Polyak 1964 |
///
/// m̂ and v̂ are corrected for their start at zero.
#[derive(Debug, Clone)]
pub struct Optimizer {
    how: Settings,
    /// One tensor a parameter for each of the kind's slots.
    slots: Vec<Vec<Tensor>>,
    /// The running mean of each parameter, where one is kept.
    average: Vec<Tensor>,
    /// Steps taken.
    pub steps: usize,
}

#[derive(Debug, Clone, Copy)]
struct Settings {
    kind: Kind,
    decay: f64,
    momentum: f64,
    clip: Option<f64>,
    average: Option<f64>,
}

impl Optimizer {
    /// Returns the state before the first step.
    ///
    /// # Errors
    ///
    /// When the device refuses an allocation.
    pub fn new(parameters: &[(String, Var)], how: &recipe::Net) -> Result<Self> {
        let settings = Settings {
            kind: how.optimizer,
            decay: how.decay.unwrap_or(if how.optimizer == Kind::Adamw { 0.01 } else { 0.0 }),
            momentum: how.momentum,
            clip: how.clip,
            average: how.average,
        };
        let zeros =
            || parameters.iter().map(|(_, var)| var.as_tensor().zeros_like()).collect::<candle_core::Result<Vec<_>>>();
        let slots = (0..settings.slots()).map(|_| zeros()).collect::<candle_core::Result<_>>()?;
        let average = match settings.average {
            Some(_) => parameters.iter().map(|(_, var)| var.as_tensor().copy()).collect::<candle_core::Result<_>>()?,
            None => Vec::new(),
        };
        Ok(Self { how: settings, slots, average, steps: 0 })
    }

    /// Takes a step; a parameter without a gradient stays.
    ///
    /// # Errors
    ///
    /// When the device fails.
    pub fn step(&mut self, parameters: &[(String, Var)], gradients: &[Option<Tensor>], rate: f64) -> Result<()> {
        ensure!(parameters.len() == gradients.len(), "{} gradients for {}", gradients.len(), parameters.len());
        self.steps += 1;
        let shrink = match self.how.clip {
            Some(most) => (most / (norm(gradients)? + 1e-6)).min(1.0),
            None => 1.0,
        };
        for (place, ((_, var), gradient)) in parameters.iter().zip(gradients).enumerate() {
            let Some(gradient) = gradient else { continue };
            let update = Update::new(&self.how, self.steps, rate, shrink);
            let slots: Vec<&Tensor> = self.slots.iter().map(|slot| &slot[place]).collect();
            if var.device().is_cpu() {
                update.in_place(var, gradient, &slots)?;
            } else {
                let new = update.portable(var, gradient, &slots)?;
                self.slots.iter_mut().zip(new).for_each(|(slot, new)| slot[place] = new);
            }
        }
        if let Some(decay) = self.how.average {
            // Early on the weights of the start would weigh too much.
            let steps = self.steps as f64;
            let decay = decay.min((1.0 + steps) / (10.0 + steps));
            for ((_, var), average) in parameters.iter().zip(&mut self.average) {
                *average = ((&*average * decay)? + (var.as_tensor().detach() * (1.0 - decay))?)?;
            }
        }
        Ok(())
    }

    /// Puts the running means of the weights into the parameters, if any are kept, and returns what stood there.
    ///
    /// # Errors
    ///
    /// When the device fails.
    pub fn take_average(&self, parameters: &[(String, Var)]) -> Result<Vec<Tensor>> {
        let pairs = parameters.iter().zip(&self.average);
        pairs
            .map(|((_, var), average)| {
                let before = var.as_tensor().copy()?;
                var.set(average)?;
                Ok(before)
            })
            .collect()
    }

    /// Returns the state as named tensors, for a checkpoint.
    pub fn state(&self, parameters: &[(String, Var)]) -> BTreeMap<String, Tensor> {
        let slots = self.slots.iter().enumerate().map(|(slot, tensors)| (format!("slot{slot}"), tensors));
        let all = slots.chain([("average".to_string(), &self.average)]);
        all.flat_map(|(prefix, tensors)| {
            parameters
                .iter()
                .zip(tensors)
                .map(move |((name, _), tensor)| (format!("{prefix}.{name}"), tensor.clone()))
                .collect::<Vec<_>>()
        })
        .collect()
    }

    /// Takes a state that [`Optimizer::state`] gave.
    ///
    /// # Errors
    ///
    /// When a tensor is missing or has another shape.
    pub fn restore(
        &mut self,
        parameters: &[(String, Var)],
        state: &BTreeMap<String, Tensor>,
        steps: usize,
    ) -> Result<()> {
        let find = |prefix: &str| -> Result<Vec<Tensor>> {
            parameters
                .iter()
                .map(|(name, var)| {
                    let name = format!("{prefix}.{name}");
                    let tensor = state.get(&name).with_context(|| format!("{name} is missing"))?;
                    ensure!(
                        tensor.shape() == var.shape(),
                        "{name} has shape {:?}, expected {:?}",
                        tensor.dims(),
                        var.dims()
                    );
                    // Steps change it in place.
                    Ok(tensor.copy()?)
                })
                .collect()
        };
        let slots = (0..self.slots.len()).map(|slot| find(&format!("slot{slot}"))).collect::<Result<_>>()?;
        let average = if self.average.is_empty() { Vec::new() } else { find("average")? };
        (self.slots, self.average, self.steps) = (slots, average, steps);
        Ok(())
    }
}

impl Settings {
    fn slots(&self) -> usize {
        match self.kind {
            Kind::Adam | Kind::Adamw => 2,
            Kind::Sgd => 1,
        }
    }
}

/// Returns the length of all gradients taken as one vector.
fn norm(gradients: &[Option<Tensor>]) -> Result<f64> {
    let mut squares = 0.0;
    for gradient in gradients.iter().flatten() {
        squares += f64::from(gradient.sqr()?.sum_all()?.to_scalar::<f32>()?);
    }
    Ok(squares.sqrt())
}

/// The constants of one step.
struct Update {
    kind: Kind,
    rate: f32,
    /// What the gradient is multiplied by.
    shrink: f32,
    /// What of a weight joins its gradient.
    pull: f32,
    /// What of a weight stays, beside the gradient.
    stays: f32,
    momentum: f32,
    /// Adam: the rate, corrected for the first moment's start, and the root of the second's correction.
    corrected_rate: f32,
    second_root: f32,
}

impl Update {
    fn new(how: &Settings, steps: usize, rate: f64, shrink: f64) -> Self {
        let steps = i32::try_from(steps).unwrap_or(i32::MAX);
        let apart = how.kind == Kind::Adamw;
        Self {
            kind: how.kind,
            rate: rate as f32,
            shrink: shrink as f32,
            pull: if apart { 0.0 } else { how.decay as f32 },
            stays: if apart { (1.0 - rate * how.decay) as f32 } else { 1.0 },
            momentum: how.momentum as f32,
            corrected_rate: (rate / (1.0 - BETA1.powi(steps))) as f32,
            second_root: (1.0 - BETA2.powi(steps)).sqrt() as f32,
        }
    }

    /// Changes a parameter and its slots in one pass over memory.
    fn in_place(&self, var: &Var, gradient: &Tensor, slots: &[&Tensor]) -> candle_core::Result<()> {
        let gradient = gradient.contiguous()?;
        with_floats(&gradient, |g| {
            with_floats_mut(var.as_tensor(), |w| {
                with_floats_mut(slots[0], |m| match self.kind {
                    Kind::Adam | Kind::Adamw => with_floats_mut(slots[1], |v| {
                        let chunks = w.par_chunks_mut(CHUNK).zip(m.par_chunks_mut(CHUNK));
                        let chunks = chunks.zip(v.par_chunks_mut(CHUNK)).zip(g.par_chunks(CHUNK));
                        chunks.for_each(|(((w, m), v), g)| vectorized(|| self.adam(w, m, v, g)));
                        Ok(())
                    }),
                    Kind::Sgd => {
                        let chunks = w.par_chunks_mut(CHUNK).zip(m.par_chunks_mut(CHUNK)).zip(g.par_chunks(CHUNK));
                        chunks.for_each(|((w, m), g)| {
                            vectorized(|| {
                                for ((w, m), g) in w.iter_mut().zip(m).zip(g) {
                                    *m = *m * self.momentum + g * self.shrink + *w * self.pull;
                                    *w -= self.rate * *m;
                                }
                            });
                        });
                        Ok(())
                    }
                })
            })
        })
    }

    #[inline(always)]
    fn adam(&self, w: &mut [f32], m: &mut [f32], v: &mut [f32], g: &[f32]) {
        const B1: f32 = BETA1 as f32;
        const B2: f32 = BETA2 as f32;
        for (((w, m), v), g) in w.iter_mut().zip(m).zip(v).zip(g) {
            let g = g * self.shrink + *w * self.pull;
            *m = *m * B1 + g * (1.0 - B1);
            *v = *v * B2 + g * g * (1.0 - B2);
            let root = v.sqrt() / self.second_root + EPSILON as f32;
            *w = *w * self.stays - self.corrected_rate * *m / root;
        }
    }

    /// The same by candle's operators; sets the parameter and returns the new slots.
    fn portable(&self, var: &Var, gradient: &Tensor, slots: &[&Tensor]) -> candle_core::Result<Vec<Tensor>> {
        let weight = var.as_tensor().detach();
        let g = ((gradient.detach() * f64::from(self.shrink))? + (&weight * f64::from(self.pull))?)?;
        let m = slots[0];
        let (step, slots) = match self.kind {
            Kind::Adam | Kind::Adamw => {
                let m = ((m * BETA1)? + (&g * (1.0 - BETA1))?)?;
                let v = ((slots[1] * BETA2)? + (g.sqr()? * (1.0 - BETA2))?)?;
                let root = ((v.sqrt()? / f64::from(self.second_root))? + EPSILON)?;
                (((&m * f64::from(self.corrected_rate))? / root)?, vec![m, v])
            }
            Kind::Sgd => {
                let m = ((m * f64::from(self.momentum))? + g)?;
                ((&m * f64::from(self.rate))?, vec![m])
            }
        };
        var.set(&((weight * f64::from(self.stays))? - step)?)?;
        Ok(slots)
    }
}

const BETA1: f64 = 0.9;
const BETA2: f64 = 0.999;
const EPSILON: f64 = 1e-8;

/// Values that a thread takes at a time.
const CHUNK: usize = 1 << 15;

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;

    fn settings(kind: Kind) -> Settings {
        Settings { kind, decay: 0.1, momentum: 0.9, clip: None, average: None }
    }

    /// Three steps of each kind against its formula in f64, and the portable step against the one in place.
    #[test]
    fn steps_are_those_of_their_formulas() {
        for kind in [Kind::Adam, Kind::Adamw, Kind::Sgd] {
            let how = settings(kind);
            let vars = [0, 1].map(|_| Var::new(&[1.0f32, -2.0, 0.5], &Device::Cpu).unwrap());
            let mut slots: Vec<Vec<Tensor>> =
                (0..2).map(|_| (0..2).map(|_| vars[0].as_tensor().zeros_like().unwrap()).collect()).collect();
            let (mut w, mut m, mut v) = (vec![1.0f64, -2.0, 0.5], vec![0.0f64; 3], vec![0.0f64; 3]);
            for step in 1..=3usize {
                let gradient: Vec<f32> = (0..3).map(|i| (i as f32 - 1.2) * step as f32).collect();
                let update = Update::new(&how, step, 0.05, 0.5);
                let tensor = Tensor::from_vec(gradient.clone(), 3, &Device::Cpu).unwrap();
                update.in_place(&vars[0], &tensor, &[&slots[0][0], &slots[0][1]]).unwrap();
                let new = update.portable(&vars[1], &tensor, &[&slots[1][0], &slots[1][1]]).unwrap();
                for (slot, new) in slots[1].iter_mut().zip(new) {
                    *slot = new;
                }
                for i in 0..3 {
                    let pull = if kind == Kind::Adamw { 0.0 } else { 0.1 * w[i] };
                    let g = f64::from(gradient[i]) * 0.5 + pull;
                    if kind == Kind::Sgd {
                        m[i] = 0.9 * m[i] + g;
                        w[i] -= 0.05 * m[i];
                    } else {
                        m[i] = 0.9 * m[i] + 0.1 * g;
                        v[i] = 0.999 * v[i] + 0.001 * g * g;
                        let (m_hat, v_hat) =
                            (m[i] / (1.0 - 0.9f64.powi(step as i32)), v[i] / (1.0 - 0.999f64.powi(step as i32)));
                        let decay = if kind == Kind::Adamw { 0.05 * 0.1 * w[i] } else { 0.0 };
                        w[i] -= 0.05 * m_hat / (v_hat.sqrt() + 1e-8) + decay;
                    }
                }
                for var in &vars {
                    let got = var.as_tensor().to_vec1::<f32>().unwrap();
                    assert!(
                        got.iter().zip(&w).all(|(a, b)| (f64::from(*a) - b).abs() < 1e-5),
                        "{kind:?} {got:?} {w:?}"
                    );
                }
            }
        }
    }

    #[test]
    fn clipping_bounds_the_length_of_all_gradients() {
        let gradients = [
            Some(Tensor::new(&[3.0f32], &Device::Cpu).unwrap()),
            None,
            Some(Tensor::new(&[4.0f32], &Device::Cpu).unwrap()),
        ];
        assert!((norm(&gradients).unwrap() - 5.0).abs() < 1e-6);
    }
}
