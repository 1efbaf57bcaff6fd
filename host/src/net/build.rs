//! From a list of layers to a graph: normalisations, activations, shortcuts, and where the facts enter.

use anyhow::{Context, Result, bail, ensure};

use super::families;
use super::graph::{Graph, Node};
use super::layers::{self, Build, Op, Place};
use crate::domain::Activation;
use crate::facts::FactInput;
use crate::recipe::{Fusion, Layer, LayerKind, Net};

/// Returns the graph of a network.
///
/// # Shape
///
/// `input` is `[height, width, channels]`; `facts` are those that it takes, if any; `heads` holds the name and the number of
/// outputs of each head.
///
/// # Errors
///
/// When a layer does not fit what it reads, or facts cannot be fused as the recipe says; the message names the layer and
/// both shapes.
pub fn build(net: &Net, input: [usize; 3], facts: Option<FactInput>, heads: &[(String, usize)]) -> Result<Graph> {
    let layers = families::layers(net, input)?;
    let first = layers.iter().find(|layer| !matches!(layer.kind, LayerKind::Facts | LayerKind::Dropout));
    // Dense layers see values, not positions; facts then join a vector and are not repeated along it.
    let flat = first.is_none_or(|layer| layer.kind == LayerKind::Dense);
    let input = if flat { [1, 1, input.iter().product()] } else { input };
    let mut graph = Graph::default();
    let mut trunk = graph.push_source("input", layers::Input.into(), input);
    let mut taken = None;
    if let Some(FactInput { audience, width, embeddings }) = facts {
        let mut node = graph.push_source("facts", layers::Facts.into(), [1, 1, width]);
        if !embeddings.is_empty() {
            node = graph.push("facts.embedding", layers::Embedding { parts: embeddings }.into(), &[node])?;
        }
        graph.audience = Some(audience);
        taken = Some(node);
    }
    let facts = taken;
    let mut builder = Builder { net, graph, facts };
    trunk = builder.sequence("", &layers, trunk)?;
    let Builder { mut graph, .. } = builder;
    for (name, outputs) in heads {
        let mut head =
            graph.push(format!("head.{name}"), layers::Dense { outputs: *outputs, bias: true }.into(), &[trunk])?;
        if let (Some(facts), Fusion::Prior) = (facts, net.fusion) {
            let prior = graph.push(
                format!("prior.{name}"),
                layers::Prior { outputs: *outputs, folded: false }.into(),
                &[facts],
            )?;
            head = graph.push(format!("logits.{name}"), layers::Add.into(), &[head, prior])?;
        }
        graph.heads.push(head);
    }
    if facts.is_some_and(|facts| graph.readers(facts).next().is_none()) {
        bail!("the facts enter nowhere: put a layer of kind \"facts\" into layers, or say fuse_at");
    }
    graph.check_size()?;
    Ok(graph)
}

struct Builder<'a> {
    net: &'a Net,
    graph: Graph,
    facts: Option<usize>,
}

impl Builder<'_> {
    /// Adds layers one after the other and returns the last node; names are the kinds with their places, below `prefix`.
    fn sequence(&mut self, prefix: &str, layers: &[Layer], mut trunk: usize) -> Result<usize> {
        for (index, layer) in layers.iter().enumerate() {
            let name = format!("{prefix}{}{index}", layer.kind.name());
            let dense_follows = layers.get(index + 1).is_none_or(|next| next.kind == LayerKind::Dense);
            trunk = self.layer(&name, layer, trunk, dense_follows).with_context(|| format!("layer {name:?}"))?;
        }
        Ok(trunk)
    }

    fn layer(&mut self, name: &str, layer: &Layer, trunk: usize, dense_follows: bool) -> Result<usize> {
        let entry = layers::entry(layer.kind);
        for key in layer.keys() {
            ensure!(entry.keys.contains(&key), "kind {:?} has no key {key}", layer.kind.name());
        }
        let node = match entry.build {
            Build::Operator(build) => {
                let is_normed = entry.keys.contains(&"norm")
                    && layer.norm.or(self.net.norm).unwrap_or(families::normed(self.net.arch));
                let Node { ref op, shape, .. } = self.graph.nodes[trunk];
                let place = Place { shape, is_first: matches!(op, Op::Input(_)), is_normed };
                let node = self.graph.push(name, build(layer, &place)?, &[trunk])?;
                if is_normed { self.graph.push(format!("{name}.norm"), layers::Norm.into(), &[node])? } else { node }
            }
            Build::Sum => {
                ensure!(!layer.layers.is_empty(), "layers are missing");
                let branch = self.sequence(&format!("{name}."), &layer.layers, trunk)?;
                let shortcut = self.sequence(&format!("{name}.shortcut."), &layer.shortcut, trunk)?;
                let (a, b) = (self.graph.nodes[branch].shape, self.graph.nodes[shortcut].shape);
                ensure!(a == b, "its layers give {a:?} and its shortcut {b:?}: they cannot be added");
                self.graph.push(name, layers::Add.into(), &[branch, shortcut])?
            }
            Build::Fusion => match self.facts {
                Some(facts) => self.fuse(trunk, facts, dense_follows)?,
                None => trunk,
            },
        };
        let default = if entry.is_activated { self.net.activation } else { Activation::None };
        self.activation(name, layer.activation.unwrap_or(default), node)
    }

    fn activation(&mut self, name: &str, activation: Activation, node: usize) -> Result<usize> {
        match activation {
            Activation::None => Ok(node),
            activation => self.graph.push(format!("{name}.activation"), activation.into(), &[node]),
        }
    }

    fn fuse(&mut self, trunk: usize, facts: usize, dense_follows: bool) -> Result<usize> {
        let graph = &mut self.graph;
        let shape = graph.nodes[trunk].shape;
        match self.net.fusion {
            Fusion::Concat => {
                // A dense layer flattens: facts at every position would be weights for nothing.
                ensure!(
                    !dense_follows || shape[..2] == [1, 1],
                    "fusion \"concat\" before a dense layer repeats the facts at each of {}x{} positions: use gather = \"global-average\" or fusion = \"add\"",
                    shape[0],
                    shape[1]
                );
                graph.push("fusion", layers::Concat.into(), &[trunk, facts])
            }
            Fusion::Add => {
                let shift =
                    graph.push("fusion.facts", layers::Dense { outputs: shape[2], bias: true }.into(), &[facts])?;
                graph.push("fusion", layers::Add.into(), &[trunk, shift])
            }
            Fusion::Film => {
                let factor =
                    graph.push("fusion.factor", layers::Dense { outputs: shape[2], bias: true }.into(), &[facts])?;
                let shift =
                    graph.push("fusion.facts", layers::Dense { outputs: shape[2], bias: true }.into(), &[facts])?;
                let scaled = graph.push("fusion.scaled", layers::Multiply.into(), &[trunk, factor])?;
                graph.push("fusion", layers::Add.into(), &[scaled, shift])
            }
            // To the logits, not here.
            Fusion::Prior => Ok(trunk),
            Fusion::Gate => {
                let open =
                    graph.push("fusion.facts", layers::Dense { outputs: shape[2], bias: true }.into(), &[facts])?;
                let gate = graph.push("fusion.gate", Activation::Sigmoid.into(), &[open])?;
                graph.push("fusion", layers::Multiply.into(), &[trunk, gate])
            }
            Fusion::Sum => {
                let width = graph.nodes[facts].shape[2];
                ensure!(
                    shape[2] == width,
                    "fusion \"sum\" adds facts to the input value by value: there are {width} encoded facts for {} values",
                    shape[2]
                );
                graph.push("fusion", layers::Add.into(), &[trunk, facts])
            }
        }
    }
}
