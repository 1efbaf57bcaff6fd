//! Graphs of layers, in the order in which they run; tensors are channels last.

use std::ops::Range;

use anyhow::{Result, ensure};
use attar_shared::text::Grams;

use super::ops::Window;
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
}

/// What a layer computes.
#[derive(Debug, Clone, PartialEq)]
pub enum Op {
    /// The normalised input.
    Input,
    /// The encoded facts.
    Facts,
    /// The encoded facts, each run of a category in `parts` by its learned rows, weights `[values, width]`.
    Embedding {
        /// The runs and the widths of their rows.
        parts: Vec<(Range<usize>, usize)>,
    },
    /// A matrix product of the flattened input, weights `[outputs, values]`, and a bias.
    Dense {
        /// Outputs.
        outputs: usize,
    },
    /// A convolution, weights `[outputs, kernel_height, kernel_width, channels]`, and a bias.
    Convolution {
        /// Channels of the result.
        outputs: usize,
        /// The geometry.
        window: Window,
    },
    /// A convolution channel by channel, weights `[kernel_height, kernel_width, channels]`, and a bias.
    Depthwise {
        /// The geometry.
        window: Window,
    },
    /// The mean over a window.
    AveragePool {
        /// The geometry.
        window: Window,
    },
    /// The greatest value in a window.
    MaxPool {
        /// The geometry.
        window: Window,
    },
    /// A batch normalisation of each channel (Ioffe, Szegedy 2015); it is folded into the layer before it on the board.
    Norm,
    /// A function of each value.
    Activation(Activation),
    /// Values dropped while training; nothing otherwise.
    Dropout {
        /// The share of values that are dropped.
        share: f64,
    },
    /// The sum of two; the second may be a vector.
    Add,
    /// The product of two, value by value; the second may be a vector.
    Multiply,
    /// The channels of all inputs one after the other; a vector is repeated.
    Concat,
    /// A gated recurrent layer over a series, see [`super::gru`]; weights `[3 units, channels]` and `[3 units, units]`.
    Gru {
        /// Channels of the result.
        units: usize,
    },
    /// What the facts alone say of a head, weights `[outputs, values]` and a bias, times one factor: weights and bias are fitted
    /// before the network and stay, the factor is learned with it.
    Prior {
        /// Outputs.
        outputs: usize,
        /// Whether the factor has joined weights and bias.
        folded: bool,
    },
    /// The last step of a series.
    Last,
    /// The mean of the rows that a text's n-grams choose, weights `[buckets, channels]`.
    Bag {
        /// Which n-grams, and among how many rows they choose.
        grams: Grams,
        /// Channels of the result.
        channels: usize,
    },
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
        let shape = self.shape_of(&name, &op, inputs)?;
        self.nodes.push(Node { name, op, inputs: inputs.to_vec(), shape });
        Ok(self.nodes.len() - 1)
    }

    /// Adds a node whose shape is given: the input or the facts.
    pub fn push_source(&mut self, name: &str, op: Op, shape: [usize; 3]) -> usize {
        self.nodes.push(Node { name: name.into(), op, inputs: Vec::new(), shape });
        self.nodes.len() - 1
    }

    /// Returns the shape of a node's weights, if it has any.
    pub fn weight_shape(&self, index: usize) -> Option<Vec<usize>> {
        let node = &self.nodes[index];
        let input = || self.nodes[node.inputs[0]].shape;
        match &node.op {
            Op::Dense { outputs } | Op::Prior { outputs, .. } => Some(vec![*outputs, input().iter().product()]),
            Op::Convolution { outputs, window } => Some(vec![*outputs, window.kernel[0], window.kernel[1], input()[2]]),
            Op::Depthwise { window } => Some(vec![window.kernel[0], window.kernel[1], input()[2]]),
            Op::Bag { grams, channels } => Some(vec![grams.buckets as usize, *channels]),
            _ => None,
        }
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
        for (index, node) in self.nodes.iter().enumerate() {
            let product = |sizes: &[usize]| sizes.iter().fold(1usize, |all, &size| all.saturating_mul(size));
            let of_rows = |parts: &[(Range<usize>, usize)]| {
                parts.iter().fold(0usize, |all, (run, width)| all.saturating_add(run.len().saturating_mul(*width)))
            };
            let weights = match &node.op {
                Op::Gru { units } => product(&[3, *units, units.saturating_add(self.nodes[node.inputs[0]].shape[2])]),
                Op::Embedding { parts } => of_rows(parts),
                _ => self.weight_shape(index).map_or(0, |shape| product(&shape)),
            };
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

    /// Returns how many parameters a node has: weights and bias, or what takes their place.
    pub fn parameter_count(&self, index: usize) -> usize {
        match self.nodes[index].op {
            Op::Norm => 2,
            Op::Gru { .. } => 3,
            Op::Prior { folded, .. } => 3 - usize::from(folded),
            Op::Bag { .. } => 1,
            Op::Embedding { ref parts } => parts.len(),
            Op::Dense { .. } | Op::Convolution { .. } | Op::Depthwise { .. } => 2 - usize::from(self.is_normed(index)),
            _ => 0,
        }
    }

    /// Returns whether a batch normalisation follows a node with weights; its shift then takes the place of the bias.
    pub fn is_normed(&self, index: usize) -> bool {
        self.readers(index).any(|node| node.op == Op::Norm)
    }

    /// Returns whether the network runs on a board a step of its series at a time.
    pub fn is_streamed(&self) -> bool {
        self.nodes.iter().any(|node| matches!(node.op, Op::Gru { .. } | Op::Last))
    }

    /// Returns the node of the facts, if the network takes any.
    pub fn facts(&self) -> Option<usize> {
        self.nodes.iter().position(|node| node.op == Op::Facts)
    }

    /// Returns whether a ReLU reads the node, or its normalisation.
    pub(crate) fn feeds_relu(&self, index: usize) -> bool {
        self.nodes.iter().enumerate().any(|(reader, node)| {
            node.inputs.contains(&index)
                && match node.op {
                    Op::Activation(activation) => matches!(activation, Activation::Relu | Activation::Relu6),
                    Op::Norm => self.feeds_relu(reader),
                    _ => false,
                }
        })
    }

    /// Returns the nodes that read a node.
    pub fn readers(&self, index: usize) -> impl Iterator<Item = &Node> {
        self.nodes.iter().filter(move |node| node.inputs.contains(&index))
    }

    fn shape_of(&self, name: &str, op: &Op, inputs: &[usize]) -> Result<[usize; 3]> {
        let first = self.nodes[inputs[0]].shape;
        Ok(match op {
            Op::Input | Op::Facts | Op::Norm | Op::Activation(_) | Op::Dropout { .. } => first,
            Op::Dense { outputs } | Op::Prior { outputs, .. } => [1, 1, *outputs],
            Op::Gru { units } => [1, first[1], *units],
            Op::Embedding { parts } => {
                let saved: usize = parts.iter().map(|(run, _)| run.len()).sum();
                [1, 1, first[2] - saved + parts.iter().map(|(_, width)| width).sum::<usize>()]
            }
            Op::Last => [1, 1, first[2]],
            Op::Bag { channels, .. } => [1, 1, *channels],
            Op::Convolution { outputs, window } => [window.out[0], window.out[1], *outputs],
            Op::Depthwise { window } | Op::AveragePool { window } | Op::MaxPool { window } => {
                [window.out[0], window.out[1], first[2]]
            }
            Op::Add | Op::Multiply => {
                let second = self.nodes[inputs[1]].shape;
                ensure!(
                    second == first || second == [1, 1, first[2]],
                    "layer {name:?} joins {second:?} to {first:?} value by value: the shapes do not fit"
                );
                first
            }
            Op::Concat => {
                let mut channels = 0;
                let spatial = inputs
                    .iter()
                    .map(|&index| self.nodes[index].shape)
                    .find(|shape| shape[..2] != [1, 1])
                    .unwrap_or(first);
                for &index in inputs {
                    let part = self.nodes[index].shape;
                    ensure!(
                        part[..2] == spatial[..2] || part[..2] == [1, 1],
                        "layer {name:?} joins {part:?} to {spatial:?}: the shapes do not fit"
                    );
                    channels += part[2];
                }
                [spatial[0], spatial[1], channels]
            }
        })
    }
}
