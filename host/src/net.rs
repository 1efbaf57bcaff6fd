//! Networks in f32: a graph of layers with their parameters.

mod families;
mod fold;
mod graph;
pub mod gru;
mod layers;
pub mod ops;
mod tape;

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail, ensure};
use candle_core::{DType, Device, Tensor, Var};
use rand::Rng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};

pub use graph::{Graph, Node, Op};
pub use layers::build;
pub use tape::Tape;

use crate::domain::Activation;

/// A graph with its parameters.
#[derive(Debug, Clone)]
pub struct Net {
    /// What is computed.
    pub graph: Graph,
    /// What is trained, in the order of the nodes; the names are `node.weight` and `node.bias`, or `node.scale` and
    /// `node.shift` of a normalisation. A layer that a normalisation follows has no bias.
    pub parameters: Vec<(String, Var)>,
    /// What training leaves behind without a gradient: `node.mean` and `node.variance` of each normalisation.
    pub statistics: Vec<(String, Var)>,
    device: Device,
}

/// Whether a pass trains.
#[derive(Debug)]
pub enum Mode<'a> {
    /// Dropout is off.
    Evaluate,
    /// Dropout draws from a generator.
    Train(&'a mut ChaCha8Rng),
}

/// What a pass does to weights and results on their way: nothing, or what a board will do to them.
pub trait Hook {
    /// Returns the weights of a node as they are to be used.
    ///
    /// # Errors
    ///
    /// When the device fails.
    fn weight(&self, node: usize, weight: &Tensor) -> candle_core::Result<Tensor>;

    /// Returns the result of a node as it is to be used.
    ///
    /// # Errors
    ///
    /// When the device fails.
    fn result(&self, node: usize, result: Tensor) -> candle_core::Result<Tensor>;

    /// Returns what a step of a recurrent node computes on its way, `[batch, units]`, as it is to be used.
    ///
    /// # Errors
    ///
    /// When the device fails.
    fn part(&self, _node: usize, _part: gru::Part, value: Tensor) -> candle_core::Result<Tensor> {
        Ok(value)
    }
}

impl Net {
    /// Returns a network with initial weights drawn from `random`.
    ///
    /// He-normal weights (He 2015) before a ReLU, Glorot-normal ones elsewhere; biases are zero.
    ///
    /// # Errors
    ///
    /// When the device refuses an allocation.
    pub fn new(graph: Graph, random: &mut ChaCha8Rng, device: &Device) -> Result<Self> {
        let (mut parameters, mut statistics) = (Vec::new(), Vec::new());
        for (index, node) in graph.nodes.iter().enumerate() {
            if node.op == Op::Norm {
                let channels = node.shape[2];
                parameters.push((format!("{}.scale", node.name), Var::ones(channels, DType::F32, device)?));
                parameters.push((format!("{}.shift", node.name), Var::zeros(channels, DType::F32, device)?));
                statistics.push((format!("{}.mean", node.name), Var::zeros(channels, DType::F32, device)?));
                statistics.push((format!("{}.variance", node.name), Var::ones(channels, DType::F32, device)?));
            }
            if let Op::Gru { units } = node.op {
                let channels = graph.nodes[node.inputs[0]].shape[2];
                for (part, fan_in) in [("weight", channels), ("state", units)] {
                    let deviation = (2.0 / (fan_in + units) as f64).sqrt() as f32;
                    let draw = |_| -> f32 {
                        let draw: f32 = StandardNormal.sample(random);
                        draw * deviation
                    };
                    let values: Vec<f32> = (0..3 * units * fan_in).map(draw).collect();
                    let tensor = Tensor::from_vec(values, (3 * units, fan_in), device)?;
                    parameters.push((format!("{}.{part}", node.name), Var::from_tensor(&tensor)?));
                }
                parameters.push((format!("{}.bias", node.name), Var::zeros(3 * units, DType::F32, device)?));
            }
            if let Op::Embedding { parts } = &node.op {
                for (place, (run, width)) in parts.iter().enumerate() {
                    let draw = |_| -> f32 { StandardNormal.sample(random) };
                    let values: Vec<f32> = (0..run.len() * width).map(draw).collect();
                    let tensor = Tensor::from_vec(values, (run.len(), *width), device)?;
                    parameters.push((format!("{}.rows{place}", node.name), Var::from_tensor(&tensor)?));
                }
            }
            let Some(shape) = graph.weight_shape(index) else { continue };
            let fan_in: usize = match node.op {
                Op::Depthwise { .. } => shape.iter().take(2).product(),
                _ => shape.iter().skip(1).product(),
            };
            let outputs = node.shape[2];
            let variance = if graph.feeds_relu(index) { 2.0 / fan_in as f64 } else { 2.0 / (fan_in + outputs) as f64 };
            let deviation = variance.sqrt() as f32;
            let values: Vec<f32> = (0..shape.iter().product::<usize>())
                .map(|_| {
                    let draw: f32 = StandardNormal.sample(random);
                    draw * deviation
                })
                .collect();
            parameters
                .push((format!("{}.weight", node.name), Var::from_tensor(&Tensor::from_vec(values, shape, device)?)?));
            if !graph.is_normed(index) && !matches!(node.op, Op::Bag { .. }) {
                // What multiplies begins as a factor of one.
                let multiplies =
                    graph.nodes.iter().any(|reader| reader.op == Op::Multiply && reader.inputs[1] == index);
                let bias = if multiplies {
                    Var::ones(outputs, DType::F32, device)?
                } else {
                    Var::zeros(outputs, DType::F32, device)?
                };
                parameters.push((format!("{}.bias", node.name), bias));
            }
            if matches!(node.op, Op::Prior { folded: false, .. }) {
                parameters.push((format!("{}.factor", node.name), Var::ones(1, DType::F32, device)?));
            }
        }
        Ok(Self { graph, parameters, statistics, device: device.clone() })
    }

    /// Returns the number of weights and biases.
    pub fn parameter_count(&self) -> usize {
        self.parameters.iter().map(|(_, var)| var.elem_count()).sum()
    }

    /// Returns the device that the parameters live on.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// Returns what each node computes, through a hook if there is one.
    ///
    /// # Shape
    ///
    /// `input` is `[batch, height, width, channels]`, `facts` `[batch, 1, 1, values]`; every result is
    /// `[batch, height, width, channels]` of its node.
    ///
    /// # Errors
    ///
    /// When a shape does not fit, or the device fails.
    pub fn forward(
        &self,
        input: &Tensor,
        facts: Option<&Tensor>,
        mut mode: Mode<'_>,
        hook: Option<&dyn Hook>,
    ) -> Result<Vec<Tensor>> {
        let mut results: Vec<Tensor> = Vec::with_capacity(self.graph.nodes.len());
        for (index, node) in self.graph.nodes.iter().enumerate() {
            let result = match &node.op {
                Op::Input => {
                    let [height, width, channels] = node.shape;
                    input.reshape((input.dim(0)?, height, width, channels))?
                }
                Op::Facts => facts.context("the network takes facts and was given none")?.clone(),
                _ => {
                    let inputs: Vec<&Tensor> = node.inputs.iter().map(|&input| &results[input]).collect();
                    self.compute(index, &inputs, &mut mode, hook)?
                }
            };
            results.push(match hook {
                Some(hook) => hook.result(index, result)?,
                None => result,
            });
        }
        Ok(results)
    }

    /// Returns the parameters of a node, in their order.
    fn parameters_of(&self, index: usize) -> &[(String, Var)] {
        let count = |index: usize| self.graph.parameter_count(index);
        let first: usize = (0..index).map(count).sum();
        self.parameters.get(first..first + count(index)).unwrap_or_default()
    }

    /// Returns mean and variance that a normalisation has gathered.
    fn moments_of(&self, index: usize) -> Result<(&Var, &Var)> {
        let before = self.graph.nodes[..index].iter().filter(|node| node.op == Op::Norm).count();
        match self.statistics.get(2 * before..2 * before + 2) {
            Some([(_, mean), (_, variance)]) => Ok((mean, variance)),
            _ => bail!("layer {:?} has no moments", self.graph.nodes[index].name),
        }
    }

    /// Returns what a node computes from its inputs, weights through a hook if there is one.
    fn compute(
        &self,
        index: usize,
        inputs: &[&Tensor],
        mode: &mut Mode<'_>,
        hook: Option<&dyn Hook>,
    ) -> Result<Tensor> {
        let node = &self.graph.nodes[index];
        let parameters = self.parameters_of(index);
        let parameter = |place: usize| -> Result<&Tensor> {
            let parameter = parameters.get(place).map(|(_, var)| var.as_tensor());
            parameter.with_context(|| format!("layer {:?} has too few parameters", node.name))
        };
        let hooked = |weight: &Tensor| match hook {
            Some(hook) => hook.weight(index, weight),
            None => Ok(weight.clone()),
        };
        let weights = || -> Result<(Tensor, Tensor)> {
            let bias = match self.graph.is_normed(index) {
                true => Tensor::zeros(node.shape[2], DType::F32, &self.device)?,
                false => parameter(1)?.clone(),
            };
            Ok((hooked(parameter(0)?)?, bias))
        };
        let x = *inputs.first().with_context(|| format!("layer {:?} has no input", node.name))?;
        Ok(match &node.op {
            Op::Input | Op::Facts => x.clone(),
            Op::Dense { outputs } => {
                let (weight, bias) = weights()?;
                let flat = x.flatten_from(1)?;
                ops::dense(&flat, &weight, &bias)?.reshape((flat.dim(0)?, 1, 1, *outputs))?
            }
            Op::Prior { outputs, folded } => {
                // No gradient reaches what was fitted before.
                let flat = x.flatten_from(1)?.detach();
                let odds = ops::dense(&flat, &hooked(parameter(0)?)?.detach(), &parameter(1)?.detach())?;
                let taken = if *folded { odds } else { odds.broadcast_mul(parameter(2)?)? };
                taken.reshape((flat.dim(0)?, 1, 1, *outputs))?
            }
            Op::Convolution { window, .. } => {
                let (weight, bias) = weights()?;
                ops::conv2d(x, &weight, &bias, window)?
            }
            Op::Depthwise { window } => {
                let (weight, bias) = weights()?;
                ops::depthwise(x, &weight, &bias, window)?
            }
            Op::AveragePool { window } if window.out == [1, 1] && window.pad == [0, 0] => x.mean_keepdim((1, 2))?,
            Op::AveragePool { window } => ops::average_pool(x, window)?,
            Op::MaxPool { window } => ops::max_pool(x, window)?,
            Op::Gru { .. } => {
                let (input, state) = (hooked(parameter(0)?)?, hooked(parameter(1)?)?);
                let weights = gru::Weights { input, state, bias: parameter(2)?.clone() };
                gru::forward(x, &weights, |part, value| match hook {
                    Some(hook) => hook.part(index, part, value),
                    None => Ok(value),
                })?
            }
            Op::Last => x.narrow(2, x.dim(2)? - 1, 1)?.contiguous()?,
            Op::Bag { grams, channels } => {
                let flat = x.flatten_from(1)?;
                let mean = ops::bag(&flat, &hooked(parameter(0)?)?, grams)?;
                mean.reshape((flat.dim(0)?, 1, 1, *channels))?
            }
            Op::Norm => {
                let (scale, shift) = (parameter(0)?, parameter(1)?);
                match mode {
                    Mode::Evaluate => {
                        let (mean, variance) = self.moments_of(index)?;
                        let factor = (scale / (variance.as_tensor() + f64::from(ops::EPSILON))?.sqrt()?)?;
                        let shift = (shift - (mean.as_tensor() * &factor)?)?;
                        x.broadcast_mul(&factor)?.broadcast_add(&shift)?
                    }
                    Mode::Train(_) => {
                        let (y, mean, variance) = ops::batch_norm(x, scale, shift)?;
                        self.follow_moments(index, mean, variance, x.elem_count())?;
                        y
                    }
                }
            }
            Op::Activation(activation) => activate(x, *activation)?,
            Op::Dropout { share } => match mode {
                Mode::Evaluate => x.clone(),
                Mode::Train(random) => {
                    (x * Tensor::from_vec(kept(x.elem_count(), *share, random), x.shape(), x.device())?)?
                }
            },
            Op::Embedding { parts } => {
                let facts = x.flatten_from(1)?;
                let mut pieces = Vec::new();
                let mut from = 0;
                for (place, (run, _)) in parts.iter().enumerate() {
                    pieces.push(facts.narrow(1, from, run.start - from)?);
                    pieces.push(facts.narrow(1, run.start, run.len())?.contiguous()?.matmul(parameter(place)?)?);
                    from = run.end;
                }
                pieces.push(facts.narrow(1, from, facts.dim(1)? - from)?);
                pieces.retain(|piece| piece.elem_count() > 0);
                let all = Tensor::cat(&pieces, 1)?;
                all.reshape((all.dim(0)?, 1, 1, node.shape[2]))?
            }
            Op::Multiply => x.broadcast_mul(inputs.get(1).context("a product has two inputs")?)?,
            Op::Add => x.broadcast_add(inputs.get(1).context("an addition has two inputs")?)?,
            Op::Concat => {
                let parts: Vec<Tensor> = inputs
                    .iter()
                    .map(|part| {
                        let (batch, height, width, channels) = part.dims4()?;
                        if [height, width] == node.shape[..2] {
                            return Ok((*part).clone());
                        }
                        Ok(part.broadcast_as((batch, node.shape[0], node.shape[1], channels))?.contiguous()?)
                    })
                    .collect::<Result<_>>()?;
                Tensor::cat(&parts, 3)?
            }
        })
    }

    /// Moves the moments of a normalisation a tenth of the way to those of a batch of so many values.
    fn follow_moments(&self, index: usize, mean: Vec<f32>, variance: Vec<f32>, values: usize) -> Result<()> {
        let (gathered_mean, gathered_variance) = self.moments_of(index)?;
        let count = (values / self.graph.nodes[index].shape[2]) as f64;
        follow(gathered_mean, mean, 1.0)?;
        follow(gathered_variance, variance, count / (count - 1.0).max(1.0))
    }

    /// Returns the rows of each embedding, `[values, width]`, in the order of the facts.
    pub fn embedding_rows(&self) -> impl Iterator<Item = &Tensor> {
        let embeddings =
            self.graph.nodes.iter().enumerate().filter(|(_, node)| matches!(node.op, Op::Embedding { .. }));
        embeddings.flat_map(|(index, _)| self.parameters_of(index)).map(|(_, rows)| rows.as_tensor())
    }

    /// Returns the logits of each head, `[batch, outputs]`.
    ///
    /// # Errors
    ///
    /// As [`Net::forward`].
    pub fn logits(
        &self,
        input: &Tensor,
        facts: Option<&Tensor>,
        mode: Mode<'_>,
        hook: Option<&dyn Hook>,
    ) -> Result<Vec<Tensor>> {
        let results = self.forward(input, facts, mode, hook)?;
        self.graph.heads.iter().map(|&node| Ok(results[node].flatten_from(1)?)).collect()
    }

    /// Returns all that makes the network what it is: parameters and statistics.
    fn state(&self) -> impl Iterator<Item = &(String, Var)> {
        self.parameters.iter().chain(&self.statistics)
    }

    /// Returns a copy of parameters and statistics, for a checkpoint.
    ///
    /// # Errors
    ///
    /// When the device refuses an allocation.
    pub fn snapshot(&self) -> Result<BTreeMap<String, Tensor>> {
        self.state().map(|(name, var)| Ok((name.clone(), var.as_tensor().copy()?))).collect()
    }

    /// Sets parameters and statistics from a checkpoint after all of them have been checked.
    ///
    /// # Errors
    ///
    /// When one is missing or has another shape; then none has been changed.
    pub fn restore(&self, tensors: &BTreeMap<String, Tensor>) -> Result<()> {
        for (name, var) in self.state() {
            let tensor = tensors.get(name).with_context(|| format!("parameter {name:?} is missing"))?;
            ensure!(
                tensor.shape() == var.shape(),
                "parameter {name:?} has shape {:?}, expected {:?}",
                tensor.dims(),
                var.dims()
            );
        }
        for (name, var) in self.state() {
            var.set(&tensors[name].to_device(&self.device)?)?;
        }
        Ok(())
    }
}

/// Moves a statistic a tenth of the way to what a batch gave.
fn follow(statistic: &Var, now: Vec<f32>, factor: f64) -> Result<()> {
    let now = (Tensor::from_vec(now, statistic.shape(), statistic.device())? * (0.1 * factor))?;
    Ok(statistic.set(&((statistic.as_tensor() * 0.9)? + now)?)?)
}

fn activate(x: &Tensor, activation: Activation) -> Result<Tensor> {
    Ok(match activation {
        Activation::Relu => ops::relu(x)?,
        // Candle's clamp passes the gradient inside only, as a relu6 has to.
        Activation::Relu6 => ops::relu(x)?.clamp(0f32, 6f32)?,
        Activation::Tanh => x.tanh()?,
        Activation::Sigmoid => (((x * 0.5)?.tanh()? + 1.0)? * 0.5)?,
        Activation::None => x.clone(),
    })
}

/// Returns a factor for each value: zero for a share of them, for the others what keeps the expected value.
fn kept(count: usize, share: f64, random: &mut ChaCha8Rng) -> Vec<f32> {
    let kept = 1.0 / (1.0 - share as f32);
    (0..count).map(|_| if random.random::<f64>() < share { 0.0 } else { kept }).collect()
}

/// Returns a tensor of a column of targets.
pub(crate) fn rows(values: Vec<f32>, width: usize, like: &Tensor) -> Result<Tensor> {
    let count = values.len() / width.max(1);
    Ok(Tensor::from_vec(values, (count, width), like.device())?)
}
