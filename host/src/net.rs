//! Networks in f32: a graph of layers with their parameters.

mod build;
mod families;
mod fold;
mod graph;
pub mod layers;
pub(crate) mod lowering;
pub mod ops;
mod tape;

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use candle_core::{Device, Tensor, Var};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};

pub use build::build;
pub use graph::{Graph, Node};
pub use layers::{Dense, Op};
pub use tape::Tape;

use layers::{Initial, Parameter, Pass};

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
    /// Returns the weights of a node, by their place among its parameters, as they are to be used.
    ///
    /// # Errors
    ///
    /// When the device fails.
    fn weight(&self, node: usize, place: usize, weight: &Tensor) -> candle_core::Result<Tensor>;

    /// Returns the result of a node as it is to be used.
    ///
    /// # Errors
    ///
    /// When the device fails.
    fn result(&self, node: usize, result: Tensor) -> candle_core::Result<Tensor>;

    /// Returns a value on the way to the result of a node, `[batch, units]`, as it is to be used; the node names it.
    ///
    /// # Errors
    ///
    /// When the device fails.
    fn part(&self, _node: usize, _part: &'static str, value: Tensor) -> candle_core::Result<Tensor> {
        Ok(value)
    }
}

impl Net {
    /// Returns a network with initial weights drawn from `random`.
    ///
    /// # Errors
    ///
    /// When the device refuses an allocation.
    pub fn new(graph: Graph, random: &mut ChaCha8Rng, device: &Device) -> Result<Self> {
        let (mut parameters, mut statistics) = (Vec::new(), Vec::new());
        for (index, node) in graph.nodes.iter().enumerate() {
            let shapes = graph.shapes(&node.inputs);
            let mut var = |Parameter { name, shape, initial }: Parameter| -> Result<(String, Var)> {
                let values = initial_values(initial, shape.iter().product(), &graph, index, random);
                let var = Var::from_tensor(&Tensor::from_vec(values, shape, device)?)?;
                Ok((format!("{}.{name}", node.name), var))
            };
            for parameter in node.op.parameters(&shapes) {
                parameters.push(var(parameter)?);
            }
            for statistic in node.op.statistics(&shapes) {
                statistics.push(var(statistic)?);
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
                Op::Input(_) => {
                    let [height, width, channels] = node.shape;
                    input.reshape((input.dim(0)?, height, width, channels))?
                }
                Op::Facts(_) => facts.context("the network takes facts and was given none")?.clone(),
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

    /// Returns the parameters of a node, in its order.
    pub(crate) fn parameters_of(&self, index: usize) -> &[(String, Var)] {
        &self.parameters[self.graph.nodes[index].parameters.clone()]
    }

    /// Returns the statistics of a node, in its order.
    fn statistics_of(&self, index: usize) -> &[(String, Var)] {
        &self.statistics[self.graph.nodes[index].statistics.clone()]
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
        let pass = Pass {
            node: index,
            name: &node.name,
            shape: node.shape,
            inputs,
            parameters: self.parameters_of(index),
            statistics: self.statistics_of(index),
            hook,
        };
        node.op.forward(&pass, mode)
    }

    /// Returns the rows of each embedding, `[values, width]`, in the order of the facts.
    pub fn embedding_rows(&self) -> impl Iterator<Item = &Tensor> {
        let embeddings = self.graph.nodes.iter().enumerate().filter(|(_, node)| matches!(node.op, Op::Embedding(_)));
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

/// Returns the values of a parameter of a node before training.
fn initial_values(initial: Initial, count: usize, graph: &Graph, node: usize, random: &mut ChaCha8Rng) -> Vec<f32> {
    let glorot = |fan_in: usize, fan_out: usize| 2.0 / (fan_in + fan_out) as f64;
    let variance = match initial {
        Initial::Zeros => return vec![0.0; count],
        Initial::Ones => return vec![1.0; count],
        // A factor begins with 1, which changes nothing.
        Initial::Bias => return vec![if graph.is_factor(node) { 1.0 } else { 0.0 }; count],
        Initial::Weights { fan_in, .. } if graph.feeds_relu(node) => 2.0 / fan_in as f64,
        Initial::Weights { fan_in, fan_out } | Initial::Glorot { fan_in, fan_out } => glorot(fan_in, fan_out),
        Initial::Normal => 1.0,
    };
    let deviation = variance.sqrt() as f32;
    let draws = (0..count).map(|_| -> f32 { StandardNormal.sample(random) });
    draws.map(|draw| draw * deviation).collect()
}

/// Returns a tensor of a column of targets.
pub(crate) fn rows(values: Vec<f32>, width: usize, like: &Tensor) -> Result<Tensor> {
    let count = values.len() / width.max(1);
    Ok(Tensor::from_vec(values, (count, width), like.device())?)
}
