//! From layers to integer operators.

use anyhow::{Result, bail};

use crate::net::Graph;
use crate::net::lowering::{Lowered, Site};

/// Returns a graph as a list of the format's operators.
///
/// # Errors
///
/// When a layer has no integer operators that compute it, or there are too many tensors.
pub(super) fn lower(graph: &Graph) -> Result<Lowered> {
    let mut lowered = Lowered {
        streamed: graph.is_streamed(),
        text: graph.nodes.iter().any(|node| node.op.reads_text()),
        ..Lowered::default()
    };
    let mut tensor_of: Vec<u16> = Vec::with_capacity(graph.nodes.len());
    for (index, node) in graph.nodes.iter().enumerate() {
        let inputs: Vec<u16> = node.inputs.iter().map(|&input| tensor_of[input]).collect();
        let site = Site {
            node: index,
            name: &node.name,
            inputs: &inputs,
            shapes: &graph.shapes(&node.inputs),
            shape: node.shape,
            reads_alone: node.inputs.first().is_some_and(|&input| graph.readers(input).count() == 1),
        };
        tensor_of.push(node.op.lower(&mut lowered, &site)?);
    }
    lowered.heads = graph.heads.iter().map(|&head| tensor_of[head]).collect();
    if lowered.shapes.len() > attar_shared::MAX_TENSORS {
        bail!("the network has {} tensors, at most {} fit", lowered.shapes.len(), attar_shared::MAX_TENSORS);
    }
    Ok(lowered)
}
