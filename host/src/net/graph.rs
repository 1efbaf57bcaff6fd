//! Graphs of layers, in the order in which they run; tensors are channels last.

use std::ops::Range;

use anyhow::{Context, Result, ensure};

use super::layers::Op;
use crate::domain::Activation;
use crate::facts::Audience;

/// A network as a list of nodes, each of which reads earlier ones.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Graph {
    /// The layers.
    pub nodes: Vec<Node>,
    /// The nodes that the heads read, in the order of the heads.
    pub heads: Vec<usize>,
    /// Whose facts the node of the facts takes, if there is one.
    pub audience: Option<Audience>,
}

/// A layer.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// What it is called in checkpoints and reports.
    pub name: String,
    /// What it computes.
    pub op: Op,
    /// The nodes that it reads.
    pub inputs: Vec<usize>,
    /// `[height, width, channels]` of its result.
    pub shape: [usize; 3],
    /// The places of its parameters among those of the network.
    pub parameters: Range<usize>,
    /// The places of its statistics among those of the network.
    pub statistics: Range<usize>,
}

/// Weights of a network: 1 GiB of f32, of which training keeps several copies.
const MOST_WEIGHTS: usize = 1 << 28;

/// Values of a layer for one sample.
const MOST_VALUES: usize = 1 << 26;

impl Graph {
    /// Adds a node and returns its index.
    ///
    /// # Errors
    ///
    /// When the shapes of its inputs do not fit what it computes.
    pub fn push(&mut self, name: impl Into<String>, op: Op, inputs: &[usize]) -> Result<usize> {
        let name = name.into();
        // Checkpoints tell parameters by the names of their layers.
        ensure!(self.nodes.iter().all(|node| node.name != name), "there are two layers {name:?}: facts enter once");
        ensure!(!inputs.is_empty(), "layer {name:?} has no input");
        let shape = op.shape(&self.shapes(inputs)).with_context(|| format!("layer {name:?}"))?;
        Ok(self.add(name, op, inputs.to_vec(), shape))
    }

    /// Adds a node whose shape is given: the input or the facts.
    pub fn push_source(&mut self, name: &str, op: Op, shape: [usize; 3]) -> usize {
        self.add(name.into(), op, Vec::new(), shape)
    }

    fn add(&mut self, name: String, op: Op, inputs: Vec<usize>, shape: [usize; 3]) -> usize {
        let shapes = self.shapes(&inputs);
        let (parameters, statistics) = (self.parameter_count(), self.statistic_count());
        let parameters = parameters..parameters + op.parameters(&shapes).len();
        let statistics = statistics..statistics + op.statistics(&shapes).len();
        self.nodes.push(Node { name, op, inputs, shape, parameters, statistics });
        self.nodes.len() - 1
    }

    /// Returns how many parameters the network has, each a tensor.
    pub fn parameter_count(&self) -> usize {
        self.nodes.last().map_or(0, |node| node.parameters.end)
    }

    fn statistic_count(&self) -> usize {
        self.nodes.last().map_or(0, |node| node.statistics.end)
    }

    /// Returns the shapes of some nodes.
    pub(crate) fn shapes(&self, nodes: &[usize]) -> Vec<[usize; 3]> {
        nodes.iter().map(|&node| self.nodes[node].shape).collect()
    }

    /// Returns the values of all results of one sample.
    pub fn values(&self) -> usize {
        self.nodes.iter().map(|node| node.shape.iter().product::<usize>()).fold(0, usize::saturating_add)
    }

    /// Checks that weights and results fit a workstation, before any of them is allocated.
    ///
    /// # Errors
    ///
    /// Names the layer that does not.
    pub fn check_size(&self) -> Result<()> {
        let mut all = 0usize;
        for node in &self.nodes {
            let product = |sizes: &[usize]| sizes.iter().fold(1usize, |all, &size| all.saturating_mul(size));
            let parameters = node.op.parameters(&self.shapes(&node.inputs));
            // A bias is small beside its weights.
            let weights = parameters.iter().filter(|parameter| parameter.shape.len() > 1);
            let weights = weights.fold(0usize, |all, weights| all.saturating_add(product(&weights.shape)));
            all = all.saturating_add(weights);
            ensure!(
                all <= MOST_WEIGHTS,
                "layer {:?} has {weights} weights, the network up to it {all}, expected at most {MOST_WEIGHTS}: take smaller layers",
                node.name
            );
            let values = product(&node.shape);
            ensure!(
                values <= MOST_VALUES,
                "layer {:?} has {values} values, {:?}, expected at most {MOST_VALUES}: take fewer channels",
                node.name,
                node.shape
            );
        }
        Ok(())
    }

    /// Returns whether a batch normalisation follows a node.
    pub fn is_normed(&self, index: usize) -> bool {
        self.readers(index).any(|node| matches!(node.op, Op::Norm(_)))
    }

    /// Returns whether the network runs on a board a step of its series at a time.
    pub fn is_streamed(&self) -> bool {
        self.nodes.iter().any(|node| node.op.is_streamed())
    }

    /// Returns the node of the facts, if the network takes any.
    pub fn facts(&self) -> Option<usize> {
        self.nodes.iter().position(|node| matches!(node.op, Op::Facts(_)))
    }

    /// Returns whether a ReLU reads the node, or its normalisation.
    pub(crate) fn feeds_relu(&self, index: usize) -> bool {
        self.nodes.iter().enumerate().any(|(reader, node)| {
            node.inputs.contains(&index)
                && match node.op {
                    Op::Activation(activation) => matches!(activation, Activation::Relu | Activation::Relu6),
                    Op::Norm(_) => self.feeds_relu(reader),
                    _ => false,
                }
        })
    }

    /// Returns whether a product takes the result of a node as its second factor.
    pub(super) fn is_factor(&self, index: usize) -> bool {
        self.nodes.iter().any(|reader| matches!(reader.op, Op::Multiply(_)) && reader.inputs.get(1) == Some(&index))
    }

    /// Returns the nodes that read a node.
    pub fn readers(&self, index: usize) -> impl Iterator<Item = &Node> {
        self.nodes.iter().filter(move |node| node.inputs.contains(&index))
    }
}
