//! Folding: a normalisation joins the weights of the layer before it, as it will stand on the board.

use anyhow::{Context, Result, bail};
use candle_core::{Tensor, Var};

use super::graph::{Graph, Node, Op};
use super::{Net, ops};

impl Net {
    /// Returns the network that computes the same in evaluation, without normalisations; its parameters are its own.
    ///
    /// With `factor = scale / sqrt(variance + epsilon)` the weights of a channel are multiplied by the factor, and its
    /// bias is `shift - mean * factor`.
    ///
    /// # Errors
    ///
    /// When a normalisation follows a layer without weights.
    pub fn folded(&self) -> Result<Self> {
        let mut graph = Graph { audience: self.graph.audience, ..Graph::default() };
        let mut place_of: Vec<usize> = Vec::with_capacity(self.graph.nodes.len());
        let mut parameters = Vec::new();
        let named = |name: String| -> Result<&Tensor> {
            let found = self.state().find(|(other, _)| *other == name);
            Ok(found.with_context(|| format!("{name:?} is missing"))?.1.as_tensor())
        };
        let mut push = |name: String, tensor: &Tensor| -> Result<()> {
            parameters.push((name, Var::from_tensor(&tensor.detach().copy()?)?));
            Ok(())
        };
        for (index, node) in self.graph.nodes.iter().enumerate() {
            let inputs: Vec<usize> = node.inputs.iter().map(|&input| place_of[input]).collect();
            if node.op == Op::Norm {
                place_of.push(inputs[0]);
                continue;
            }
            if matches!(node.op, Op::Bag { .. }) {
                let name = format!("{}.weight", node.name);
                push(name.clone(), named(name)?)?;
            } else if self.graph.weight_shape(index).is_some() {
                let weight = named(format!("{}.weight", node.name))?;
                let norm = self.graph.nodes.iter().find(|reader| reader.op == Op::Norm && reader.inputs == [index]);
                let (weight, bias) = match norm {
                    _ if matches!(node.op, Op::Prior { folded: false, .. }) => {
                        let factor = named(format!("{}.factor", node.name))?;
                        let bias = named(format!("{}.bias", node.name))?;
                        (weight.broadcast_mul(factor)?, bias.broadcast_mul(factor)?)
                    }
                    Some(norm) => self.fold(weight, node, norm, &named)?,
                    None => (weight.clone(), named(format!("{}.bias", node.name))?.clone()),
                };
                push(format!("{}.weight", node.name), &weight)?;
                push(format!("{}.bias", node.name), &bias)?;
            }
            if matches!(node.op, Op::Gru { .. }) {
                for part in ["weight", "state", "bias"] {
                    let name = format!("{}.{part}", node.name);
                    push(name.clone(), named(name)?)?;
                }
            }
            if let Op::Embedding { parts } = &node.op {
                for place in 0..parts.len() {
                    let name = format!("{}.rows{place}", node.name);
                    push(name.clone(), named(name)?)?;
                }
            }
            let op = match node.op {
                Op::Prior { outputs, .. } => Op::Prior { outputs, folded: true },
                ref op => op.clone(),
            };
            graph.nodes.push(Node { inputs, op, ..node.clone() });
            place_of.push(graph.nodes.len() - 1);
        }
        graph.heads = self.graph.heads.iter().map(|&head| place_of[head]).collect();
        Ok(Self { graph, parameters, statistics: Vec::new(), device: self.device.clone() })
    }

    fn fold<'a>(
        &self,
        weight: &Tensor,
        node: &Node,
        norm: &Node,
        named: &impl Fn(String) -> Result<&'a Tensor>,
    ) -> Result<(Tensor, Tensor)> {
        let part = |part: &str| named(format!("{}.{part}", norm.name));
        let factor = (part("scale")? / (part("variance")? + f64::from(ops::EPSILON))?.sqrt()?)?;
        let bias = (part("shift")? - (part("mean")? * &factor)?)?;
        let weight = match node.op {
            // Depthwise weights hold the channels last, the others first.
            Op::Depthwise { .. } => weight.broadcast_mul(&factor)?,
            Op::Dense { .. } => weight.broadcast_mul(&factor.unsqueeze(1)?)?,
            Op::Convolution { .. } => weight.broadcast_mul(&factor.reshape((factor.elem_count(), 1, 1, 1))?)?,
            _ => bail!("layer {:?} normalises {:?}, which has no weights", norm.name, node.name),
        };
        Ok((weight, bias))
    }
}
