//! Families of networks: from the keys of a recipe to a graph.

use anyhow::{Result, ensure};

use super::graph::{Graph, Op};
use super::ops::Window;
use crate::recipe::{Arch, FuseAt, Fusion, Gather, Net};

/// Returns the graph of a network.
///
/// # Shape
///
/// `input` is `[height, width, channels]`; `facts` is the number of encoded facts, 0 for a network without any;
/// `heads` holds the name and the number of outputs of each head.
///
/// # Errors
///
/// When a stage leaves nothing of its input, or facts cannot be fused as the recipe says.
pub fn build(net: &Net, input: [usize; 3], facts: usize, heads: &[(String, usize)]) -> Result<Graph> {
    let mut graph = Graph::default();
    // Dense layers see values, not positions; facts then join a vector and are not repeated along it.
    let input = if net.arch == Arch::Mlp { [1, 1, input.iter().product()] } else { input };
    let mut trunk = graph.push_source("input", Op::Input, input);
    let facts = (facts > 0).then(|| graph.push_source("facts", Op::Facts, [1, 1, facts]));
    let fuse_at = net.fuse_at.unwrap_or(if net.arch == Arch::Mlp { FuseAt::Input } else { FuseAt::Features });
    if let (Some(facts), FuseAt::Input) = (facts, fuse_at) {
        trunk = fuse(&mut graph, net, trunk, facts)?;
    }
    if net.arch == Arch::Cnn {
        trunk = stages(&mut graph, net, trunk)?;
    }
    if let (Some(facts), FuseAt::Features) = (facts, fuse_at) {
        trunk = fuse(&mut graph, net, trunk, facts)?;
    }
    for (index, &outputs) in net.hidden.iter().enumerate() {
        trunk = graph.push(format!("dense{index}"), Op::Dense { outputs }, &[trunk])?;
        trunk = graph.push(format!("dense{index}.activation"), Op::Activation(net.activation), &[trunk])?;
    }
    if net.dropout > 0.0 {
        trunk = graph.push("dropout", Op::Dropout { share: net.dropout }, &[trunk])?;
    }
    for (name, outputs) in heads {
        let head = graph.push(format!("head.{name}"), Op::Dense { outputs: *outputs }, &[trunk])?;
        graph.heads.push(head);
    }
    Ok(graph)
}

fn fuse(graph: &mut Graph, net: &Net, trunk: usize, facts: usize) -> Result<usize> {
    let shape = graph.nodes[trunk].shape;
    match net.fusion {
        Fusion::Concat => graph.push("fusion", Op::Concat, &[trunk, facts]),
        Fusion::Add => {
            let projected = graph.push("fusion.facts", Op::Dense { outputs: shape[2] }, &[facts])?;
            graph.push("fusion", Op::Add, &[trunk, projected])
        }
        Fusion::Sum => {
            let width = graph.nodes[facts].shape[2];
            ensure!(
                shape[2] == width,
                "fusion \"sum\" adds facts to the input value by value: there are {width} encoded facts for {} values",
                shape[2]
            );
            graph.push("fusion", Op::Add, &[trunk, facts])
        }
    }
}

fn stages(graph: &mut Graph, net: &Net, mut trunk: usize) -> Result<usize> {
    let pick = |list: &[usize], stage: usize, default: usize| match list {
        [] => default,
        [one] => *one,
        many => many[stage],
    };
    for (stage, &channels) in net.channels.iter().enumerate() {
        let shape = graph.nodes[trunk].shape;
        let (kernel, stride) = (pick(&net.kernel, stage, 3), pick(&net.stride, stage, 1));
        let window = Window::same(shape, kernel, stride);
        let name = format!("stage{stage}");
        let mut result = if net.separable && stage > 0 {
            let depthwise = graph.push(format!("{name}.depthwise"), Op::Depthwise { window }, &[trunk])?;
            let depthwise =
                graph.push(format!("{name}.depthwise.activation"), Op::Activation(net.activation), &[depthwise])?;
            let pointwise = Window::same(graph.nodes[depthwise].shape, 1, 1);
            graph.push(&name, Op::Convolution { outputs: channels, window: pointwise }, &[depthwise])?
        } else {
            graph.push(&name, Op::Convolution { outputs: channels, window }, &[trunk])?
        };
        if net.residual && graph.nodes[result].shape == shape {
            result = graph.push(format!("{name}.add"), Op::Add, &[result, trunk])?;
        }
        trunk = graph.push(format!("{name}.activation"), Op::Activation(net.activation), &[result])?;
        let pool = pick(&net.pool, stage, 1);
        if pool > 1 {
            let window = Window::pool(graph.nodes[trunk].shape, pool);
            ensure!(
                window.out.iter().all(|&size| size > 0),
                "pool {pool} of stage {stage} is larger than its input {:?}",
                graph.nodes[trunk].shape
            );
            trunk = graph.push(format!("{name}.pool"), Op::MaxPool { window }, &[trunk])?;
        }
    }
    if net.gather == Gather::GlobalAverage {
        let [height, width, _] = graph.nodes[trunk].shape;
        let window = Window { kernel: [height, width], stride: [1, 1], dilation: [1, 1], pad: [0, 0], out: [1, 1] };
        trunk = graph.push("gather", Op::AveragePool { window }, &[trunk])?;
    } else if net.fusion == Fusion::Concat && graph.facts().is_some() {
        // Facts join a vector, so the features become one: a dense layer would flatten them anyway.
        ensure!(
            graph.nodes[trunk].shape[..2] == [1, 1],
            "gather \"flatten\" with fusion \"concat\" repeats the facts at every position: use gather = \"global-average\" or fusion = \"add\""
        );
    }
    Ok(trunk)
}

impl Window {
    /// Returns a window that keeps every stride-th position: the padding is spread over both sides, more of it after.
    ///
    /// Over a series, of height 1, the kernel spans time alone.
    pub fn same(shape: [usize; 3], kernel: usize, stride: usize) -> Self {
        let series = shape[0] == 1;
        let axis = |len: usize, kernel: usize, stride: usize| {
            let out = len.div_ceil(stride);
            let total = ((out - 1) * stride + kernel).saturating_sub(len);
            (total / 2, out)
        };
        let kernel = [if series { 1 } else { kernel }, kernel];
        let stride = [if series { 1 } else { stride }, stride];
        let (top, height) = axis(shape[0], kernel[0], stride[0]);
        let (left, width) = axis(shape[1], kernel[1], stride[1]);
        Self { kernel, stride, dilation: [1, 1], pad: [top, left], out: [height, width] }
    }

    /// Returns a window that moves by its own size and drops what is left at the end.
    pub fn pool(shape: [usize; 3], size: usize) -> Self {
        let kernel = [if shape[0] == 1 { 1 } else { size }, size];
        Self {
            kernel,
            stride: kernel,
            dilation: [1, 1],
            pad: [0, 0],
            out: [shape[0] / kernel[0], shape[1] / kernel[1]],
        }
    }
}
