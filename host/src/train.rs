//! Training: one loop for teachers and students, which can be stopped after any epoch and goes on with the same bytes.

mod checkpoint;
mod optimizer;
mod schedule;

use std::path::Path;

use anyhow::{Result, bail};
use candle_core::{Tensor, Var};
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use crate::objective::{Features, Moment, Objective, Outputs, Soft};
pub use checkpoint::{load_tensors, save_tensors};
pub use optimizer::Optimizer;

use crate::data::Dataset;
use crate::data::dataset::FactUse;
use crate::heads::HeadMetrics;
use crate::net::{Hook, Mode, Net, Tape};
use crate::recipe;
use crate::support::progress::{Progress, check_stopped};
use crate::support::random;
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
    /// The heads that the network answers, as places among the data's.
    pub heads: &'a [usize],
    /// Where shuffling, dropout and hidden facts start.
    pub seed: u64,
    /// Where the state is kept after each epoch, if it is.
    pub checkpoint: Option<&'a Path>,
    /// Epochs of the training that this one goes on from, if it does: where the schedules of losses stand.
    pub after: Option<usize>,
    /// Whether nothing is said of its progress.
    pub quiet: bool,
    /// What weights and values are rounded by on their way, if they are; ranges follow the network after each epoch.
    pub aware: Option<&'a dyn FakeQuantization>,
}

/// The rounding of a network's weights and results, which quantisation-aware training imitates (Jacob et al. 2018).
pub trait FakeQuantization: std::fmt::Debug {
    /// Returns a hook that rounds as the exported student will, with the ranges that the network carries.
    ///
    /// # Errors
    ///
    /// When the device fails, or a range cannot be measured.
    fn hook(&self, net: &Net) -> Result<Box<dyn Hook>>;

    /// Measures the ranges of a network and stores their running mean in it.
    ///
    /// # Errors
    ///
    /// When the device fails, or a range cannot be measured.
    fn update_ranges(&self, net: &mut Net) -> Result<()>;
}

impl<'a> Task<'a> {
    /// Returns a task without checkpoint or rounding, from seed 0, that says how it gets on.
    pub fn new(
        title: &'a str,
        data: &'a Dataset,
        how: &'a recipe::Net,
        objective: Objective<'a>,
        heads: &'a [usize],
    ) -> Self {
        Self { title, data, how, objective, heads, seed: 0, checkpoint: None, after: None, quiet: false, aware: None }
    }
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
    let companions = task.objective.companions(net, task.data)?;
    let layers = task.objective.layers(&net.graph)?;
    let own = net.parameters.len();
    net.parameters.extend(companions);
    let trained = train_with(net, task, own, &layers);
    net.parameters.truncate(own);
    trained
}

/// Trains a network whose parameters from `own` on are learned beside it.
fn train_with(net: &mut Net, task: &Task<'_>, own: usize, layers: &[Features]) -> Result<Trained> {
    let data = task.data;
    let how = task.how;
    let views = data.views(how.epochs);
    let mut state = match task.checkpoint {
        Some(path) if path.exists() => Checkpoint::load(path, net, how)?,
        _ => Checkpoint::start(net, how)?,
    };
    let steps = data.splits.train.len().div_ceil(how.batch);
    let mut progress = if task.quiet { Progress::none() } else { Progress::new(task.title, steps * how.epochs) };
    progress.advance(steps * state.epochs.len());
    let mut rounding = task.aware.map(|aware| aware.hook(net)).transpose()?;
    while state.epochs.len() < how.epochs && !is_patience_over(&state.epochs, how.patience) {
        let epoch = state.epochs.len();
        let mut random = random::stream(task.seed, &format!("epoch {epoch}"));
        let mut order = data.splits.train.clone();
        order.shuffle(&mut random);
        let mut total = 0.0;
        for (step, samples) in order.chunks(how.batch).enumerate() {
            check_stopped()?;
            let hook = rounding.as_deref();
            let done = epoch as f64 + step as f64 / steps as f64;
            // What goes on from a finished training stands at its end.
            let (done_of_loss, epochs) = task.after.map_or((done, how.epochs), |after| (after as f64, after));
            let moment = Moment { epoch: done_of_loss, epochs, view: epoch % views };
            let batch = Step { samples, moment, own, layers };
            let (value, gradients) = gradients(net, task, batch, &mut random, hook)?;
            if !value.is_finite() {
                bail!(diverged(task, &format!("the loss is {value}"), epoch, step + 1));
            }
            total += value * samples.len() as f64;
            let rate = schedule::rate(how, done);
            state.optimizer.step(&net.parameters, &gradients, rate)?;
            progress.advance(1);
        }
        let loss = total / order.len() as f64;
        if !is_finite(net)? {
            bail!(diverged(task, "a weight is no longer finite", epoch, steps));
        }
        // Validation sees the network as it would be kept and exported now.
        let last = state.optimizer.take_average(&net.parameters)?;
        if let Some(aware) = task.aware {
            aware.update_ranges(net)?;
            rounding = Some(aware.hook(net)?);
        }
        let validation = validate(net, task, rounding.as_deref())?;
        let best = state.epochs.iter().filter_map(|epoch| epoch.validation).fold(f64::NEG_INFINITY, f64::max);
        // Of equal scores the last: its rate was lowest, and a score that sees order alone says nothing of the threshold.
        if validation.is_none_or(|score| score >= best) {
            state.best = net.snapshot()?;
        }
        for ((_, var), last) in net.parameters.iter().zip(&last) {
            var.set(last)?;
        }
        state.epochs.push(Epoch { epoch: epoch + 1, loss, validation });
        let score = validation.map(|score| format!("  validation {score:.4}")).unwrap_or_default();
        progress.note(&format!("loss {loss:.5}{score}"));
        progress.line(&format!("{}: epoch {}/{}  loss {loss:.5}{score}", task.title, epoch + 1, how.epochs));
        if let Some(path) = task.checkpoint {
            state.save(path, net)?;
        }
    }
    net.restore(&state.best)?;
    Ok(Trained { epochs: state.epochs })
}

/// A batch and where in the training it stands.
#[derive(Debug, Clone, Copy)]
pub struct Step<'a> {
    /// The samples.
    pub samples: &'a [usize],
    /// When.
    pub moment: Moment,
    /// How many parameters are the network's own; the others are learned beside it.
    pub own: usize,
    /// The layers that losses compare, as [`Objective::layers`] gave them.
    pub layers: &'a [Features],
}

/// Returns the loss of a batch and the gradients of all parameters in their order.
///
/// # Errors
///
/// When shapes do not fit or the device fails.
pub fn gradients(
    net: &Net,
    task: &Task<'_>,
    step: Step<'_>,
    random: &mut ChaCha8Rng,
    hook: Option<&dyn Hook>,
) -> Result<(f64, Vec<Option<Tensor>>)> {
    let (data, samples) = (task.data, step.samples);
    let facts = match net.graph.audience {
        Some(audience) => FactUse::Dropped(audience, task.how.fact_dropout, random),
        None => FactUse::Without,
    };
    let (input, facts) =
        (data.rows_of_view(samples, step.moment.view), data.fact_rows_of_view(samples, step.moment.view, facts));
    let heads = &net.graph.heads;
    let watched: Vec<usize> = step.layers.iter().map(|pair| pair.student).collect();
    let of_teacher = teacher_features(task, step, &input)?;
    let loss = |logits: &[Tensor], features: Vec<Tensor>| {
        let features: Vec<[Tensor; 2]> = features.into_iter().zip(of_teacher.clone()).map(Into::into).collect();
        let outputs =
            Outputs { logits, features: &features, companions: &net.parameters[step.own..], heads: task.heads };
        task.objective.loss(data, samples, step.moment, outputs)
    };
    if hook.is_some() || !net.device().is_cpu() {
        let batch = data.tensors(samples.len(), input, facts, net.device())?;
        let results = net.forward(&batch.input, batch.facts.as_ref(), Mode::Train(random), hook)?;
        let logits =
            heads.iter().map(|&node| results[node].flatten_from(1)).collect::<candle_core::Result<Vec<_>>>()?;
        let loss = loss(&logits, watched.iter().map(|&node| results[node].clone()).collect())?;
        let store = loss.backward()?;
        // Without detaching, the state of the optimiser would keep the graph of every step before.
        let gradients = net.parameters.iter().map(|(_, var)| store.get(var).map(Tensor::detach)).collect();
        return Ok((f64::from(loss.to_scalar::<f32>()?), gradients));
    }
    let tape = Tape::forward(net, samples.len(), input, facts, random, &watched)?;
    // The loss is candle's: heads and compared layers are where it begins.
    let nodes: Vec<usize> = heads.iter().chain(&watched).copied().collect();
    let leaves = nodes
        .iter()
        .map(|&node| {
            let [height, width, channels] = net.graph.nodes[node].shape;
            Ok(Var::from_slice(tape.values(node), (samples.len(), height, width, channels), net.device())?)
        })
        .collect::<Result<Vec<Var>>>()?;
    let (of_heads, of_layers) = leaves.split_at(heads.len());
    let logits =
        of_heads.iter().map(|leaf| leaf.as_tensor().flatten_from(1)).collect::<candle_core::Result<Vec<_>>>()?;
    let loss = loss(&logits, of_layers.iter().map(|leaf| leaf.as_tensor().clone()).collect())?;
    let store = loss.backward()?;
    let mut of_values = Vec::new();
    for (&node, leaf) in nodes.iter().zip(&leaves) {
        if let Some(gradient) = store.get(leaf) {
            of_values.push((node, gradient.flatten_all()?.to_vec1::<f32>()?));
        }
    }
    let mut gradients = tape.backward(of_values)?;
    gradients.extend(net.parameters[step.own..].iter().map(|(_, var)| store.get(var).map(Tensor::detach)));
    Ok((f64::from(loss.to_scalar::<f32>()?), gradients))
}

/// Returns what the teacher's compared layers give for a batch.
fn teacher_features(task: &Task<'_>, step: Step<'_>, input: &[f32]) -> Result<Vec<Tensor>> {
    let Objective::Distilled(_, Soft { network: Some(teacher), .. }) = task.objective else { return Ok(Vec::new()) };
    if step.layers.is_empty() {
        return Ok(Vec::new());
    }
    let facts = task.data.fact_rows_of_view(step.samples, step.moment.view, FactUse::of(teacher));
    let batch = task.data.tensors(step.samples.len(), input.to_vec(), facts, teacher.device())?;
    let results = teacher.forward(&batch.input, batch.facts.as_ref(), Mode::Evaluate, None)?;
    Ok(step.layers.iter().map(|pair| results[pair.teacher].detach()).collect())
}

/// Returns whether every weight is a number.
fn is_finite(net: &Net) -> Result<bool> {
    // A sum is not finite when one of its terms is not.
    for (_, var) in &net.parameters {
        if !var.as_tensor().abs()?.sum_all()?.to_scalar::<f32>()?.is_finite() {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Returns what to say and to try when a training has left the numbers.
fn diverged(task: &Task<'_>, what: &str, epoch: usize, step: usize) -> String {
    format!(
        "{}: {what} in epoch {}, step {step}: lower the rate (now {}), set clip = 1.0, or look for extreme values in the \
         data; {}",
        task.title,
        epoch + 1,
        task.how.rate,
        match (epoch, task.checkpoint) {
            (0, _) | (_, None) => "nothing was saved yet".to_string(),
            _ => format!("the checkpoint of epoch {epoch} stays"),
        }
    )
}

/// Returns whether the last epochs brought nothing.
fn is_patience_over(epochs: &[Epoch], patience: Option<usize>) -> bool {
    let (Some(patience), Some(best)) = (patience, best_epoch(epochs)) else { return false };
    epochs.len() - best > patience
}

/// Returns the place of the first of the best epochs.
fn best_epoch(epochs: &[Epoch]) -> Option<usize> {
    let scored = epochs.iter().enumerate().filter_map(|(place, epoch)| Some((place, epoch.validation?)));
    let best = scored.fold(None, |best: Option<(usize, f64)>, (place, score)| match best {
        Some((_, before)) if score <= before => best,
        _ => Some((place, score)),
    });
    best.map(|(place, _)| place)
}

/// Returns the logits of each head for some samples, `[samples, outputs]` row by row.
///
/// # Errors
///
/// When the device fails, or the work was stopped.
pub fn predict(net: &Net, data: &Dataset, samples: &[usize]) -> Result<Vec<Vec<f32>>> {
    predict_through(net, data, samples, None, None)
}

/// As [`predict`], for a view of the samples if one is named.
///
/// # Errors
///
/// As [`predict`].
pub fn predict_view(net: &Net, data: &Dataset, samples: &[usize], view: Option<usize>) -> Result<Vec<Vec<f32>>> {
    predict_through(net, data, samples, view, None)
}

fn predict_through(
    net: &Net,
    data: &Dataset,
    samples: &[usize],
    view: Option<usize>,
    hook: Option<&dyn Hook>,
) -> Result<Vec<Vec<f32>>> {
    let mut logits: Vec<Vec<f32>> = vec![Vec::new(); net.graph.heads.len()];
    for samples in samples.chunks(PREDICT_BATCH) {
        check_stopped()?;
        let (input, facts) = match view {
            Some(view) => (data.rows_of_view(samples, view), data.fact_rows_of_view(samples, view, FactUse::of(net))),
            None => (data.rows(samples), data.fact_rows(samples, FactUse::of(net))),
        };
        let batch = data.tensors(samples.len(), input, facts, net.device())?;
        let results = net.logits(&batch.input, batch.facts.as_ref(), Mode::Evaluate, hook)?;
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
pub fn evaluate(net: &Net, data: &Dataset, samples: &[usize]) -> Result<Vec<HeadMetrics>> {
    measured(data, samples, &predict(net, data, samples)?)
}

fn measured(data: &Dataset, samples: &[usize], logits: &[Vec<f32>]) -> Result<Vec<HeadMetrics>> {
    Ok(data.targets.iter().zip(logits).map(|(target, logits)| target.measure(samples, logits)).collect())
}

/// Returns what chooses the checkpoint; for a student that only follows its teacher, what counts is still the labels.
fn validate(net: &Net, task: &Task<'_>, hook: Option<&dyn Hook>) -> Result<Option<f64>> {
    let samples = &task.data.splits.validation;
    if samples.is_empty() {
        return Ok(None);
    }
    let logits = predict_through(net, task.data, samples, None, hook)?;
    let heads: Vec<HeadMetrics> = task
        .heads
        .iter()
        .zip(&logits)
        .map(|(&head, logits)| task.data.targets[head].measure(samples, logits))
        .collect();
    let scores: Vec<f64> = heads.iter().filter_map(HeadMetrics::selection).collect();
    Ok((!scores.is_empty()).then(|| scores.iter().sum::<f64>() / scores.len() as f64))
}

/// Samples in a pass that does not train.
const PREDICT_BATCH: usize = 256;
