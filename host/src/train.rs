//! Training: one loop for teachers and students, which can be stopped after any epoch and goes on with the same bytes.

mod adam;
mod checkpoint;
pub mod loss;

use std::path::Path;

use anyhow::{Result, bail};
use candle_core::Tensor;
use rand::seq::SliceRandom;

pub use adam::Adam;
pub use checkpoint::{load_tensors, save_tensors};
pub use loss::{Objective, Soft};

use crate::data::Dataset;
use crate::data::dataset::FactUse;
use crate::metrics::{self, HeadMetrics};
use crate::net::{Hook, Mode, Net};
use crate::progress::{Progress, check_stopped};
use crate::quantize::Quantizer;
use crate::random;
use crate::recipe;
use crate::recipe::Schedule;
use checkpoint::Checkpoint;

/// What a network is trained with.
#[derive(Debug, Clone, Copy)]
pub struct Task<'a> {
    /// What it is called in progress lines.
    pub title: &'a str,
    /// The samples.
    pub data: &'a Dataset,
    /// Epochs, batch, rate and the like.
    pub how: &'a recipe::Net,
    /// What is minimised.
    pub objective: Objective<'a>,
    /// Whether the network takes the facts.
    pub with_facts: bool,
    /// Where shuffling, dropout and hidden facts start.
    pub seed: u64,
    /// Where the state is kept after each epoch, if it is.
    pub checkpoint: Option<&'a Path>,
    /// What weights and values are rounded by on their way, if they are; ranges follow the network after each epoch.
    pub aware: Option<&'a Quantizer<'a>>,
}

/// What a training came to.
#[derive(Debug, Clone)]
pub struct Trained {
    /// One entry an epoch.
    pub epochs: Vec<Epoch>,
}

/// An epoch in figures.
#[derive(Debug, Clone, Copy, serde::Serialize, serde::Deserialize)]
pub struct Epoch {
    /// From 1.
    pub epoch: usize,
    /// The mean of the loss over the training split.
    pub loss: f64,
    /// What chooses the checkpoint, on the validation split: greater is better. Absent without such a split.
    pub validation: Option<f64>,
}

/// Trains a network in place; it ends with the parameters that were best on the validation split.
///
/// # Errors
///
/// When the loss is no longer finite, the device fails, or the work was stopped.
pub fn train(net: &mut Net, task: &Task<'_>) -> Result<Trained> {
    let data = task.data;
    let how = task.how;
    let mut state = match task.checkpoint {
        Some(path) if path.exists() => Checkpoint::load(path, net)?,
        _ => Checkpoint::start(net)?,
    };
    let steps = data.splits.train.len().div_ceil(how.batch);
    let mut progress = Progress::new(task.title, steps * how.epochs);
    progress.advance(steps * state.epochs.len());
    let mut fake = task.aware.map(|aware| aware.fake(net)).transpose()?;
    while state.epochs.len() < how.epochs {
        let hook = fake.as_ref().map(|fake| fake as &dyn Hook);
        let epoch = state.epochs.len();
        let mut random = random::stream(task.seed, &format!("epoch {epoch}"));
        let mut order = data.splits.train.clone();
        order.shuffle(&mut random);
        let mut total = 0.0;
        for (step, samples) in order.chunks(how.batch).enumerate() {
            check_stopped()?;
            let facts =
                if task.with_facts { FactUse::Dropped(how.fact_dropout, &mut random) } else { FactUse::Without };
            let batch = data.batch(samples, facts, net.device())?;
            let logits = net.logits(&batch.input, batch.facts.as_ref(), Mode::Train(&mut random), hook)?;
            let loss = task.objective.loss(data, samples, &logits)?;
            let value = f64::from(loss.to_scalar::<f32>()?);
            if !value.is_finite() {
                bail!(
                    "{}: the loss is {value} in epoch {}, step {step}: lower the rate (now {}), or look for extreme values in the data",
                    task.title,
                    epoch + 1,
                    how.rate
                );
            }
            total += value * samples.len() as f64;
            let done = (epoch * steps + step) as f64 / (how.epochs * steps) as f64;
            let rate = match how.schedule {
                Schedule::Constant => how.rate,
                Schedule::Cosine => how.rate * 0.5 * (1.0 + (std::f64::consts::PI * done).cos()),
            };
            state.adam.step(&net.parameters, &loss.backward()?, rate)?;
            progress.advance(1);
        }
        let loss = total / order.len() as f64;
        // Validation sees the network as it would be exported now.
        if let Some(aware) = task.aware {
            aware.follow_ranges(net)?;
            fake = Some(aware.fake(net)?);
        }
        let validation = validate(net, task, fake.as_ref().map(|fake| fake as &dyn Hook))?;
        let best = state.epochs.iter().filter_map(|epoch| epoch.validation).fold(f64::NEG_INFINITY, f64::max);
        if validation.is_none_or(|score| score > best) {
            state.best = net.snapshot()?;
        }
        state.epochs.push(Epoch { epoch: epoch + 1, loss, validation });
        let score = validation.map(|score| format!("  validation {score:.4}")).unwrap_or_default();
        progress.line(&format!("{}: epoch {}/{}  loss {loss:.5}{score}", task.title, epoch + 1, how.epochs));
        if let Some(path) = task.checkpoint {
            state.save(path, net)?;
        }
    }
    net.restore(&state.best)?;
    Ok(Trained { epochs: state.epochs })
}

/// Returns the logits of each head for some samples, `[samples, outputs]` row by row.
///
/// # Errors
///
/// When the device fails, or the work was stopped.
pub fn predict(net: &Net, data: &Dataset, samples: &[usize], with_facts: bool) -> Result<Vec<Vec<f32>>> {
    predict_through(net, data, samples, with_facts, None)
}

fn predict_through(
    net: &Net,
    data: &Dataset,
    samples: &[usize],
    with_facts: bool,
    hook: Option<&dyn Hook>,
) -> Result<Vec<Vec<f32>>> {
    let mut logits: Vec<Vec<f32>> = vec![Vec::new(); net.graph.heads.len()];
    for samples in samples.chunks(PREDICT_BATCH) {
        check_stopped()?;
        let facts = if with_facts { FactUse::AsKnown } else { FactUse::Without };
        let batch = data.batch(samples, facts, net.device())?;
        let results = net.logits(&batch.input.detach(), batch.facts.as_ref(), Mode::Evaluate, hook)?;
        for (all, tensor) in logits.iter_mut().zip(&results) {
            all.extend(tensor.flatten_all()?.to_vec1::<f32>()?);
        }
    }
    Ok(logits)
}

/// Returns the figures of a network over some samples, by head.
///
/// # Errors
///
/// As [`predict`].
pub fn evaluate(net: &Net, data: &Dataset, samples: &[usize], with_facts: bool) -> Result<Vec<HeadMetrics>> {
    measured(data, samples, &predict(net, data, samples, with_facts)?)
}

fn measured(data: &Dataset, samples: &[usize], logits: &[Vec<f32>]) -> Result<Vec<HeadMetrics>> {
    Ok(data.targets.iter().zip(logits).map(|(target, logits)| metrics::measure(target, samples, logits)).collect())
}

/// Returns what chooses the checkpoint; for a student that only follows its teacher, what counts is still the labels.
fn validate(net: &Net, task: &Task<'_>, hook: Option<&dyn Hook>) -> Result<Option<f64>> {
    let samples = &task.data.splits.validation;
    if samples.is_empty() {
        return Ok(None);
    }
    let heads = measured(task.data, samples, &predict_through(net, task.data, samples, task.with_facts, hook)?)?;
    Ok(Some(heads.iter().map(HeadMetrics::selection).sum::<f64>() / heads.len().max(1) as f64))
}

/// Samples in a pass that does not train.
const PREDICT_BATCH: usize = 256;

/// Returns a tensor of a column of targets.
pub(crate) fn rows(values: Vec<f32>, width: usize, like: &Tensor) -> Result<Tensor> {
    let count = values.len() / width.max(1);
    Ok(Tensor::from_vec(values, (count, width), like.device())?)
}
