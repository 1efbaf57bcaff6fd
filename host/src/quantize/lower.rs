//! From layers to operators: dropout vanishes, a ReLU joins the operator before it, other activations become tables.

use anyhow::{Result, bail};
use attar_shared::{Clamp, Kind, Quantization, Window};

use crate::net::{Graph, Op, ops};
use crate::recipe::Activation;

/// A graph as a list of the format's operators; tensors are numbered as in the file.
#[derive(Debug)]
pub(super) struct Lowered {
    /// Tensors before the first operator: input, and facts if there are any.
    pub(super) sources: usize,
    /// The operators.
    pub(super) stages: Vec<Stage>,
    /// `[height, width, channels]` of each tensor.
    pub(super) shapes: Vec<[usize; 3]>,
    /// The node of the graph whose values each tensor holds.
    pub(super) nodes: Vec<usize>,
    /// The tensor of each head.
    pub(super) heads: Vec<u16>,
}

/// One operator.
#[derive(Debug)]
pub(super) struct Stage {
    pub(super) name: String,
    pub(super) kind: Kind,
    pub(super) inputs: Vec<u16>,
    pub(super) window: Option<Window>,
    /// The node whose weights it holds.
    pub(super) node: usize,
    /// The width of its weights.
    pub(super) bits: u32,
    /// A ReLU that joined it, or the function of a table.
    pub(super) activation: Option<Activation>,
}

impl Lowered {
    pub(super) fn new(graph: &Graph) -> Result<Self> {
        let mut lowered =
            Self { sources: 0, stages: Vec::new(), shapes: Vec::new(), nodes: Vec::new(), heads: Vec::new() };
        let mut tensor_of: Vec<u16> = Vec::with_capacity(graph.nodes.len());
        for (index, node) in graph.nodes.iter().enumerate() {
            let inputs: Vec<u16> = node.inputs.iter().map(|&input| tensor_of[input]).collect();
            let tensor = match &node.op {
                Op::Input | Op::Facts => {
                    lowered.sources += 1;
                    lowered.tensor(index, node.shape)
                }
                Op::Dropout { .. } => inputs[0],
                Op::Norm => bail!("layer {:?} has not been folded", node.name),
                Op::Activation(activation) => match lowered.producer(inputs[0]) {
                    Some(stage) if joins(*activation, stage.kind) && graph.readers(node.inputs[0]).count() == 1 => {
                        stage.activation = Some(*activation);
                        lowered.nodes[usize::from(inputs[0])] = index;
                        inputs[0]
                    }
                    _ => lowered.stage(graph, index, inputs, Kind::Table, Some(*activation))?,
                },
                Op::Dense { .. } => lowered.stage(graph, index, inputs, Kind::Dense, None)?,
                Op::Convolution { .. } => lowered.stage(graph, index, inputs, Kind::Convolution, None)?,
                Op::Depthwise { .. } => lowered.stage(graph, index, inputs, Kind::Depthwise, None)?,
                Op::AveragePool { .. } => lowered.stage(graph, index, inputs, Kind::AveragePool, None)?,
                Op::MaxPool { .. } => lowered.stage(graph, index, inputs, Kind::MaxPool, None)?,
                Op::Add => lowered.stage(graph, index, inputs, Kind::Add, None)?,
                Op::Concat => lowered.stage(graph, index, inputs, Kind::Concat, None)?,
            };
            tensor_of.push(tensor);
        }
        lowered.heads = graph.heads.iter().map(|&head| tensor_of[head]).collect();
        if lowered.shapes.len() > attar_shared::MAX_TENSORS {
            bail!("the network has {} tensors, at most {} fit", lowered.shapes.len(), attar_shared::MAX_TENSORS);
        }
        Ok(lowered)
    }

    fn tensor(&mut self, node: usize, shape: [usize; 3]) -> u16 {
        self.shapes.push(shape);
        self.nodes.push(node);
        (self.shapes.len() - 1) as u16
    }

    fn producer(&mut self, tensor: u16) -> Option<&mut Stage> {
        self.stages.get_mut(usize::from(tensor).checked_sub(self.sources)?).filter(|stage| stage.activation.is_none())
    }

    fn stage(
        &mut self,
        graph: &Graph,
        node: usize,
        inputs: Vec<u16>,
        kind: Kind,
        activation: Option<Activation>,
    ) -> Result<u16> {
        let window = match &graph.nodes[node].op {
            Op::Convolution { window, .. }
            | Op::Depthwise { window }
            | Op::AveragePool { window }
            | Op::MaxPool { window } => Some(format_window(window)?),
            _ => None,
        };
        self.stages.push(Stage {
            name: graph.nodes[node].name.clone(),
            kind,
            inputs,
            window,
            node,
            bits: 8,
            activation,
        });
        Ok(self.tensor(node, graph.nodes[node].shape))
    }
}

impl Stage {
    /// Returns whether its weights may have 4 bits.
    pub(super) fn has_free_width(&self) -> bool {
        matches!(self.kind, Kind::Dense | Kind::Convolution)
    }

    /// Returns the range that the output is kept in.
    pub(super) fn clamp(&self, output: Quantization) -> Clamp {
        let at = |value: f32| attar_device::quantize(value, output);
        match (self.kind, self.activation) {
            (Kind::Table, _) | (_, None) => Clamp::ALL,
            (_, Some(Activation::Relu6)) => Clamp { min: at(0.0), max: at(6.0) },
            (_, Some(_)) => Clamp { min: at(0.0), max: i8::MAX },
        }
    }
}

/// Returns whether an activation is a clamp that an operator can apply to its own output.
fn joins(activation: Activation, kind: Kind) -> bool {
    matches!(activation, Activation::Relu | Activation::Relu6)
        && matches!(kind, Kind::Dense | Kind::Convolution | Kind::Depthwise | Kind::Add | Kind::AveragePool)
}

fn format_window(window: &ops::Window) -> Result<Window> {
    let pair = |[a, b]: [usize; 2]| match (u16::try_from(a), u16::try_from(b)) {
        (Ok(a), Ok(b)) => Ok([a, b]),
        _ => bail!("window {window:?}: no size may exceed 65535"),
    };
    Ok(Window {
        kernel: pair(window.kernel)?,
        stride: pair(window.stride)?,
        dilation: pair(window.dilation)?,
        pad: pair(window.pad)?,
    })
}
