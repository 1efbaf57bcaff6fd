//! From layers to operators: dropout vanishes, a ReLU joins the operator before it, other activations become tables.

use anyhow::{Result, bail};
use attar_shared::{Clamp, Form, Kind, Quantization, Window};

use crate::domain::Activation;
use crate::net::gru::Part;
use crate::net::{Graph, Op, ops};

/// A graph as a list of the format's operators; tensors are numbered as in the file.
#[derive(Debug)]
pub(super) struct Lowered {
    /// Tensors before the first operator: input, and facts if there are any.
    pub(super) sources: usize,
    /// The operators.
    pub(super) stages: Vec<Stage>,
    /// `[height, width, channels]` of each tensor.
    pub(super) shapes: Vec<[usize; 3]>,
    /// What of the graph each tensor holds.
    pub(super) values: Vec<Values>,
    /// The tensor of each head.
    pub(super) heads: Vec<u16>,
    /// The tensors that stay from one run to the next.
    pub(super) held: Vec<usize>,
    /// Whether a run is a step of a series.
    pub(super) streamed: bool,
    /// Whether the input is a text, whose bytes are integers already.
    pub(super) text: bool,
}

/// What of a graph a tensor holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Values {
    /// The result of a node; of one over a series, a step of it at a time.
    Node(usize),
    /// What a recurrent node computes on its way.
    Part(usize, Part),
}

/// Which of a node's weights an operator has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Weighted {
    /// None, or the node's own.
    Whole,
    /// Those of a gate on the input, with its bias.
    GateInput(usize),
    /// Those of a gate on the state.
    GateState(usize),
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
    /// Whether those of 8 bits of a dense layer stand row by row.
    pub(super) in_rows: bool,
    /// A ReLU that joined it, or the function of a table.
    pub(super) activation: Option<Activation>,
    /// Which of the node's weights it has.
    pub(super) weighted: Weighted,
    /// Of an addition, whether the second input is taken away.
    pub(super) subtracts: bool,
}

impl Lowered {
    pub(super) fn new(graph: &Graph) -> Result<Self> {
        let mut lowered = Self {
            sources: 0,
            stages: Vec::new(),
            shapes: Vec::new(),
            values: Vec::new(),
            heads: Vec::new(),
            held: Vec::new(),
            streamed: graph.is_streamed(),
            text: graph.nodes.iter().any(|node| matches!(node.op, Op::Bag { .. })),
        };
        let mut tensor_of: Vec<u16> = Vec::with_capacity(graph.nodes.len());
        for (index, node) in graph.nodes.iter().enumerate() {
            let inputs: Vec<u16> = node.inputs.iter().map(|&input| tensor_of[input]).collect();
            let tensor = match &node.op {
                Op::Input | Op::Facts => {
                    lowered.sources += 1;
                    lowered.tensor(Values::Node(index), lowered.step_of(node.shape))
                }
                Op::Dropout { .. } | Op::Last => inputs[0],
                Op::Embedding { .. } => {
                    // The board looks its rows up while it encodes the facts: their tensor holds the result.
                    lowered.values[usize::from(inputs[0])] = Values::Node(index);
                    lowered.shapes[usize::from(inputs[0])] = node.shape;
                    inputs[0]
                }
                Op::Norm | Op::Prior { folded: false, .. } => bail!("layer {:?} has not been folded", node.name),
                Op::Activation(activation) => match lowered.producer(inputs[0]) {
                    Some(stage) if joins(*activation, stage.kind) && graph.readers(node.inputs[0]).count() == 1 => {
                        stage.activation = Some(*activation);
                        lowered.values[usize::from(inputs[0])] = Values::Node(index);
                        inputs[0]
                    }
                    _ => lowered.stage(graph, index, inputs, Kind::Table, Some(*activation))?,
                },
                Op::Dense { .. } | Op::Prior { .. } => lowered.stage(graph, index, inputs, Kind::Dense, None)?,
                Op::Convolution { window, .. } | Op::Depthwise { window } => {
                    let kind =
                        if matches!(node.op, Op::Depthwise { .. }) { Kind::Depthwise } else { Kind::Convolution };
                    let inputs = lowered.delayed(graph, index, inputs, window)?;
                    lowered.stage(graph, index, inputs, kind, None)?
                }
                Op::Bag { .. } => lowered.stage(graph, index, inputs, Kind::Bag, None)?,
                Op::Gru { units } => lowered.gru(graph, index, inputs[0], *units)?,
                Op::AveragePool { window } => {
                    let recent = window.pad[1] > 0 && lowered.streamed;
                    let inputs = if recent { lowered.delayed(graph, index, inputs, window)? } else { inputs };
                    lowered.stage(graph, index, inputs, Kind::AveragePool, None)?
                }
                Op::MaxPool { .. } => lowered.stage(graph, index, inputs, Kind::MaxPool, None)?,
                Op::Add => lowered.stage(graph, index, inputs, Kind::Add, None)?,
                Op::Multiply => lowered.stage(graph, index, inputs, Kind::Multiply, None)?,
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

    /// Returns the tensors that must have one scale with this one, itself among them.
    pub(super) fn sharing(&self, tensor: usize) -> Vec<usize> {
        let mut members = vec![tensor];
        let mut next = 0;
        while let Some(&member) = members.get(next) {
            for (index, stage) in self.stages.iter().enumerate() {
                let output = self.sources + index;
                let all: Vec<usize> = stage.inputs.iter().map(|&input| usize::from(input)).chain([output]).collect();
                if matches!(stage.kind, Kind::MaxPool | Kind::Concat | Kind::Delay) && all.contains(&member) {
                    members.extend(all.into_iter().filter(|other| !members.contains(other)).collect::<Vec<_>>());
                }
            }
            next += 1;
        }
        members
    }

    fn tensor(&mut self, values: Values, shape: [usize; 3]) -> u16 {
        self.shapes.push(shape);
        self.values.push(values);
        (self.shapes.len() - 1) as u16
    }

    /// Returns the shape of a tensor: of a series, that of one step.
    fn step_of(&self, shape: [usize; 3]) -> [usize; 3] {
        if self.streamed { [1, 1, shape[2]] } else { shape }
    }

    /// Returns what a window of a streamed network reads: the steps that it reaches back to, which a delay keeps.
    fn delayed(&mut self, graph: &Graph, node: usize, inputs: Vec<u16>, window: &ops::Window) -> Result<Vec<u16>> {
        let layer = &graph.nodes[node];
        let shape = graph.nodes[layer.inputs[0]].shape;
        if !self.streamed || shape[..2] == [1, 1] {
            return Ok(inputs);
        }
        let reach = (window.kernel[1] - 1) * window.dilation[1];
        if window.kernel[0] != 1 || window.stride != [1, 1] || window.pad[1] != reach {
            bail!(
                "layer {:?}: a network that runs a step at a time has convolutions and average pools of stride 1 with padding = \"causal\" alone",
                layer.name
            );
        }
        if reach == 0 {
            return Ok(inputs);
        }
        let output = self.shapes.len() as u16;
        self.stages.push(Stage {
            name: format!("{}.delay", layer.name),
            kind: Kind::Delay,
            inputs: vec![output, inputs[0]],
            ..Stage::plain(node)
        });
        self.held.push(usize::from(output));
        let values = self.values[usize::from(inputs[0])];
        Ok(vec![self.tensor(values, [1, reach + 1, shape[2]])])
    }

    /// Adds the sixteen operators of a step of a recurrent layer and returns the tensor of its state.
    fn gru(&mut self, graph: &Graph, node: usize, input: u16, units: usize) -> Result<u16> {
        let name = &graph.nodes[node].name;
        let first = self.shapes.len() as u16;
        let at = |part: Part| first + part as u16;
        let state = at(Part::Result);
        let mut push = |part: Part, kind: Kind, inputs: &[u16], weighted: Weighted, activation: Option<Activation>| {
            self.stages.push(Stage {
                name: format!("{name}.{}", format!("{part:?}").to_lowercase()),
                kind,
                inputs: inputs.to_vec(),
                activation,
                weighted,
                subtracts: part == Part::Difference,
                ..Stage::plain(node)
            });
            let values = if part == Part::Result { Values::Node(node) } else { Values::Part(node, part) };
            self.shapes.push([1, 1, units]);
            self.values.push(values);
        };
        let (sigmoid, tanh) = (Some(Activation::Sigmoid), Some(Activation::Tanh));
        let whole = Weighted::Whole;
        let gates = [
            (Part::InputUpdate, Part::StateUpdate, Part::SumUpdate, Part::Update, state, sigmoid),
            (Part::InputReset, Part::StateReset, Part::SumReset, Part::Reset, state, sigmoid),
            (Part::InputNew, Part::StateNew, Part::SumNew, Part::New, at(Part::Kept), tanh),
        ];
        for (gate, (x, h, sum, result, read, activation)) in gates.into_iter().enumerate() {
            if gate == 2 {
                push(Part::Kept, Kind::Multiply, &[at(Part::Reset), state], whole, None);
            }
            push(x, Kind::Dense, &[input], Weighted::GateInput(gate), None);
            push(h, Kind::Dense, &[read], Weighted::GateState(gate), None);
            push(sum, Kind::Add, &[at(x), at(h)], whole, None);
            push(result, Kind::Table, &[at(sum)], whole, activation);
        }
        push(Part::Difference, Kind::Add, &[state, at(Part::New)], whole, None);
        push(Part::Mixed, Kind::Multiply, &[at(Part::Update), at(Part::Difference)], whole, None);
        push(Part::Result, Kind::Add, &[at(Part::New), at(Part::Mixed)], whole, None);
        self.held.push(usize::from(state));
        Ok(state)
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
        let layer = &graph.nodes[node];
        let recent = matches!(&layer.op, Op::AveragePool { window } if self.streamed && window.pad[1] > 0);
        let window = match &layer.op {
            Op::Convolution { window, .. } | Op::Depthwise { window } | Op::AveragePool { window }
                if self.streamed && (kind != Kind::AveragePool || recent) =>
            {
                // The delay holds exactly what the window reaches back to.
                Some(format_window(&ops::Window { pad: [0, 0], ..*window })?)
            }
            Op::Convolution { window, .. }
            | Op::Depthwise { window }
            | Op::AveragePool { window }
            | Op::MaxPool { window } => Some(format_window(window)?),
            _ => None,
        };
        let series = layer.inputs.iter().any(|&input| graph.nodes[input].shape[1] > 1);
        if self.streamed && series && !recent && matches!(kind, Kind::Dense | Kind::AveragePool | Kind::MaxPool) {
            bail!(
                "layer {:?} looks at a whole series, but the network runs a step at a time: put \"last\" before it",
                layer.name
            );
        }
        self.stages.push(Stage { name: layer.name.clone(), kind, inputs, window, activation, ..Stage::plain(node) });
        Ok(self.tensor(Values::Node(node), self.step_of(layer.shape)))
    }
}

impl Stage {
    /// Returns a stage that says nothing but its node.
    fn plain(node: usize) -> Self {
        Self {
            name: String::new(),
            kind: Kind::Concat,
            inputs: Vec::new(),
            window: None,
            node,
            bits: 8,
            in_rows: false,
            activation: None,
            weighted: Weighted::Whole,
            subtracts: false,
        }
    }

    /// Returns the width and order of its weights.
    pub(super) fn form(&self) -> Form {
        match (self.bits, self.in_rows) {
            (4, _) => Form::Int4,
            (_, true) => Form::Int8Rows,
            _ => Form::Int8,
        }
    }

    /// Returns whether its weights may have 4 bits.
    pub(super) fn has_free_width(&self) -> bool {
        matches!(self.kind, Kind::Dense | Kind::Convolution)
    }

    /// Returns whether an activation that a clamp can take over follows its operator.
    pub(super) fn has_joined(&self) -> bool {
        self.kind != Kind::Table && self.activation.is_some()
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
