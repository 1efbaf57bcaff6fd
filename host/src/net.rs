//! Networks in f32: a graph of layers with their parameters.

mod families;
mod graph;
pub mod ops;

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use candle_core::{DType, Device, Tensor, Var};
use rand::Rng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};

pub use families::build;
pub use graph::{Graph, Node, Op};

use crate::recipe::Activation;

/// A graph with its parameters.
#[derive(Debug, Clone)]
pub struct Net {
    /// What is computed.
    pub graph: Graph,
    /// Weights and biases in the order of their nodes; the names are `node.weight` and `node.bias`.
    pub parameters: Vec<(String, Var)>,
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

impl Net {
    /// Returns a network with initial weights drawn from `random`.
    ///
    /// He-normal weights (He 2015) before a ReLU, Glorot-normal ones elsewhere; biases are zero.
    ///
    /// # Errors
    ///
    /// When the device refuses an allocation.
    pub fn new(graph: Graph, random: &mut ChaCha8Rng, device: &Device) -> Result<Self> {
        let mut parameters = Vec::new();
        for (index, node) in graph.nodes.iter().enumerate() {
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
            parameters.push((format!("{}.bias", node.name), Var::zeros(outputs, DType::F32, device)?));
        }
        Ok(Self { graph, parameters, device: device.clone() })
    }

    /// Returns the number of weights and biases.
    pub fn parameter_count(&self) -> usize {
        self.parameters.iter().map(|(_, var)| var.elem_count()).sum()
    }

    /// Returns the device that the parameters live on.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// Returns what each node computes.
    ///
    /// # Shape
    ///
    /// `input` is `[batch, height, width, channels]`, `facts` `[batch, 1, 1, values]`; every result is
    /// `[batch, height, width, channels]` of its node.
    ///
    /// # Errors
    ///
    /// When a shape does not fit, or the device fails.
    pub fn forward(&self, input: &Tensor, facts: Option<&Tensor>, mut mode: Mode<'_>) -> Result<Vec<Tensor>> {
        let mut results: Vec<Tensor> = Vec::with_capacity(self.graph.nodes.len());
        let mut parameters = self.parameters.iter().map(|(_, var)| var.as_tensor());
        for node in &self.graph.nodes {
            let first = node.inputs.first().map(|&index| &results[index]);
            let argument = || first.with_context(|| format!("layer {:?} has no input", node.name));
            let mut weights = || {
                parameters
                    .next()
                    .zip(parameters.next())
                    .with_context(|| format!("layer {:?} has no weights", node.name))
            };
            let result = match &node.op {
                Op::Input => {
                    let [height, width, channels] = node.shape;
                    input.reshape((input.dim(0)?, height, width, channels))?
                }
                Op::Facts => facts.context("the network takes facts and was given none")?.clone(),
                Op::Dense { outputs } => {
                    let (weight, bias) = weights()?;
                    let flat = argument()?.flatten_from(1)?;
                    let batch = flat.dim(0)?;
                    flat.matmul(&weight.t()?)?.broadcast_add(bias)?.reshape((batch, 1, 1, *outputs))?
                }
                Op::Convolution { window, .. } => {
                    let (weight, bias) = weights()?;
                    ops::conv2d(argument()?, weight, bias, window)?
                }
                Op::Depthwise { window } => {
                    let (weight, bias) = weights()?;
                    ops::depthwise(argument()?, weight, bias, window)?
                }
                Op::AveragePool { window } if window.out == [1, 1] && window.pad == [0, 0] => {
                    argument()?.mean_keepdim((1, 2))?
                }
                Op::AveragePool { window } => ops::average_pool(argument()?, window)?,
                Op::MaxPool { window } => ops::max_pool(argument()?, window)?,
                Op::Activation(activation) => activate(argument()?, *activation)?,
                Op::Dropout { share } => match &mut mode {
                    Mode::Evaluate => argument()?.clone(),
                    Mode::Train(random) => dropout(argument()?, *share, random)?,
                },
                Op::Add => argument()?.broadcast_add(&results[node.inputs[1]])?,
                Op::Concat => {
                    let parts: Vec<Tensor> = node
                        .inputs
                        .iter()
                        .map(|&index| {
                            let part = &results[index];
                            let (batch, height, width, channels) = part.dims4()?;
                            if [height, width] == node.shape[..2] {
                                return Ok(part.clone());
                            }
                            Ok(part.broadcast_as((batch, node.shape[0], node.shape[1], channels))?.contiguous()?)
                        })
                        .collect::<Result<_>>()?;
                    Tensor::cat(&parts, 3)?
                }
            };
            results.push(result);
        }
        Ok(results)
    }

    /// Returns the logits of each head, `[batch, outputs]`.
    ///
    /// # Errors
    ///
    /// As [`Net::forward`].
    pub fn logits(&self, input: &Tensor, facts: Option<&Tensor>, mode: Mode<'_>) -> Result<Vec<Tensor>> {
        let results = self.forward(input, facts, mode)?;
        self.graph.heads.iter().map(|&node| Ok(results[node].flatten_from(1)?)).collect()
    }

    /// Returns a copy of the parameters, for a checkpoint.
    ///
    /// # Errors
    ///
    /// When the device refuses an allocation.
    pub fn snapshot(&self) -> Result<BTreeMap<String, Tensor>> {
        self.parameters.iter().map(|(name, var)| Ok((name.clone(), var.as_tensor().copy()?))).collect()
    }

    /// Sets the parameters from a checkpoint after all of them have been checked.
    ///
    /// # Errors
    ///
    /// When one is missing or has another shape; then none has been changed.
    pub fn restore(&self, tensors: &BTreeMap<String, Tensor>) -> Result<()> {
        for (name, var) in &self.parameters {
            let tensor = tensors.get(name).with_context(|| format!("parameter {name:?} is missing"))?;
            ensure!(
                tensor.shape() == var.shape(),
                "parameter {name:?} has shape {:?}, expected {:?}",
                tensor.dims(),
                var.dims()
            );
        }
        for (name, var) in &self.parameters {
            var.set(&tensors[name].to_device(&self.device)?)?;
        }
        Ok(())
    }
}

fn activate(x: &Tensor, activation: Activation) -> Result<Tensor> {
    Ok(match activation {
        Activation::Relu => ops::relu(x)?,
        // Candle's clamp passes the gradient inside only, as a relu6 has to.
        Activation::Relu6 => ops::relu(x)?.clamp(0f32, 6f32)?,
        Activation::Tanh => x.tanh()?,
        Activation::Sigmoid => (((x * 0.5)?.tanh()? + 1.0)? * 0.5)?,
    })
}

/// Zeroes a share of the values and scales the others up, so that the expected value stays.
fn dropout(x: &Tensor, share: f64, random: &mut ChaCha8Rng) -> Result<Tensor> {
    let kept = 1.0 / (1.0 - share as f32);
    let mask: Vec<f32> = (0..x.elem_count()).map(|_| if random.random::<f64>() < share { 0.0 } else { kept }).collect();
    Ok((x * Tensor::from_vec(mask, x.shape(), x.device())?)?)
}
