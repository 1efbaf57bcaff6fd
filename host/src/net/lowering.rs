//! The integer operators that layers become, one after the other.

use anyhow::{Result, bail, ensure};
use attar_shared::text::Grams;
use attar_shared::{Clamp, Form, Kind, Quantization, Window};

use super::ops;
use crate::domain::Activation;

/// A graph as a list of the format's operators; tensors are numbered as in the file.
#[derive(Debug, Default)]
pub struct Lowered {
    /// Tensors before the first operator: input, and facts if there are any.
    pub(crate) sources: usize,
    /// The operators.
    pub(crate) stages: Vec<Stage>,
    /// `[height, width, channels]` of each tensor.
    pub(crate) shapes: Vec<[usize; 3]>,
    /// What of the graph each tensor holds.
    pub(crate) values: Vec<Values>,
    /// The tensor of each head.
    pub(crate) heads: Vec<u16>,
    /// The tensors that stay from one run to the next.
    pub(crate) held: Vec<usize>,
    /// Whether a run is a step of a series.
    pub(crate) streamed: bool,
    /// Whether the input is a text, whose bytes are integers already.
    pub(crate) text: bool,
}

/// A node that becomes integer operators.
pub struct Site<'a> {
    /// Its index in the graph.
    pub(crate) node: usize,
    /// Its name.
    pub(crate) name: &'a str,
    /// The tensors that it reads.
    pub(crate) inputs: &'a [u16],
    /// `[height, width, channels]` of each input in the graph.
    pub(crate) shapes: &'a [[usize; 3]],
    /// `[height, width, channels]` of the result in the graph.
    pub(crate) shape: [usize; 3],
    /// Whether nothing else reads its first input.
    pub(crate) reads_alone: bool,
}

/// What of a graph a tensor holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Values {
    /// The result of a node; of one over a series, a step of it at a time.
    Node(usize),
    /// A value on the way to a node's result, by its name.
    Part(usize, &'static str),
}

/// Which of a node's parameters an operator has, by their places: of each one of equally many rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Weighted {
    /// The place of the weights.
    pub(crate) weight: usize,
    /// The place of the bias, if there is one.
    pub(crate) bias: Option<usize>,
    /// Which of the parts of weights and bias.
    pub(crate) part: usize,
    /// How many parts there are.
    pub(crate) parts: usize,
}

impl Weighted {
    /// Returns all of weights and bias of a layer that has nothing else.
    pub(crate) fn whole() -> Self {
        Self { bias: Some(1), ..Self::without_bias(0) }
    }

    /// Returns all of some weights.
    pub(crate) fn without_bias(weight: usize) -> Self {
        Self { weight, bias: None, part: 0, parts: 1 }
    }
}

/// One operator.
#[derive(Debug)]
pub(crate) struct Stage {
    pub(crate) name: String,
    pub(crate) kind: Kind,
    pub(crate) inputs: Vec<u16>,
    pub(crate) window: Option<Window>,
    /// The node whose weights it holds.
    pub(crate) node: usize,
    /// The width of its weights.
    pub(crate) bits: u32,
    /// Whether those of 8 bits of a dense layer stand row by row.
    pub(crate) in_rows: bool,
    /// A ReLU that joined it, or the function of a table.
    pub(crate) activation: Option<Activation>,
    /// Which of the node's parameters it has, if any.
    pub(crate) weighted: Option<Weighted>,
    /// Of an addition, whether the second input is taken away.
    pub(crate) subtracts: bool,
    /// Of a bag, its n-grams.
    pub(crate) grams: Option<Grams>,
}

impl Lowered {
    /// Returns the tensors that must have one scale with this one, itself among them.
    pub(crate) fn sharing(&self, tensor: usize) -> Vec<usize> {
        let mut members = vec![tensor];
        let mut next = 0;
        while let Some(&member) = members.get(next) {
            for (index, stage) in self.stages.iter().enumerate() {
                let output = self.sources + index;
                let all: Vec<usize> = stage.inputs.iter().map(|&input| usize::from(input)).chain([output]).collect();
                if matches!(stage.kind, Kind::MaxPool | Kind::Concat | Kind::Delay | Kind::Upsample)
                    && all.contains(&member)
                {
                    members.extend(all.into_iter().filter(|other| !members.contains(other)).collect::<Vec<_>>());
                }
            }
            next += 1;
        }
        members
    }

    /// Returns the tensor that the next operator writes.
    pub(super) fn next(&self) -> u16 {
        self.shapes.len() as u16
    }

    /// Adds the tensor of a node that the network is given.
    pub(super) fn push_source(&mut self, site: &Site<'_>) -> u16 {
        self.sources += 1;
        self.tensor(Values::Node(site.node), self.step_of(site.shape))
    }

    /// Adds an operator that writes the result of a node.
    pub(super) fn push(&mut self, site: &Site<'_>, stage: Stage) -> u16 {
        self.stages.push(stage);
        self.tensor(Values::Node(site.node), self.step_of(site.shape))
    }

    /// Adds an operator that writes a vector on the way to the result of a node, by its name.
    pub(super) fn push_part(&mut self, site: &Site<'_>, part: &'static str, stage: Stage, channels: usize) -> u16 {
        self.stages.push(Stage { name: format!("{}.{part}", site.name), ..stage });
        self.tensor(Values::Part(site.node, part), [1, 1, channels])
    }

    /// Keeps a tensor from one run to the next, which operators have read as `state` before it was `written`.
    ///
    /// # Errors
    ///
    /// When they have read another tensor.
    pub(super) fn hold(&mut self, site: &Site<'_>, state: u16, written: u16) -> Result<u16> {
        ensure!(written == state, "layer {:?} reads its state from tensor {state} and writes {written}", site.name);
        self.held.push(usize::from(state));
        Ok(state)
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

    /// Returns the inputs and the window of an operator that slides over its first input. In a streamed network it reads the
    /// steps that the window reaches back to, which a delay keeps, and nothing else.
    ///
    /// # Errors
    ///
    /// When the window of a streamed network reads steps that are still to come, or a size does not fit the format.
    pub(super) fn delayed(&mut self, site: &Site<'_>, window: &ops::Window) -> Result<(Vec<u16>, Window)> {
        let inputs = site.inputs.to_vec();
        if !self.streamed {
            return Ok((inputs, format_window(window)?));
        }
        // The delay holds exactly what the window reaches back to.
        let inner = format_window(&ops::Window { pad: [0, 0], ..*window })?;
        let shape = site.shapes[0];
        if shape[..2] == [1, 1] {
            return Ok((inputs, inner));
        }
        let reach = (window.kernel[1] - 1) * window.dilation[1];
        if window.kernel[0] != 1 || window.stride != [1, 1] || window.pad[1] != reach {
            bail!(
                "layer {:?}: a network that runs a step at a time has convolutions and average pools of stride 1 with padding = \"causal\" alone",
                site.name
            );
        }
        if reach == 0 {
            return Ok((inputs, inner));
        }
        let output = self.next();
        let delay = Stage::new(site, Kind::Delay);
        self.stages.push(Stage { name: format!("{}.delay", site.name), inputs: vec![output, inputs[0]], ..delay });
        self.held.push(usize::from(output));
        let values = self.values[usize::from(inputs[0])];
        Ok((vec![self.tensor(values, [1, reach + 1, shape[2]])], inner))
    }

    /// Refuses what reads a whole series in a network that runs a step at a time.
    ///
    /// # Errors
    ///
    /// Names the layer.
    pub(super) fn refuse_series(&self, site: &Site<'_>) -> Result<()> {
        ensure!(
            !self.streamed || site.shapes.iter().all(|shape| shape[1] <= 1),
            "layer {:?} looks at a whole series, but the network runs a step at a time: put \"last\" before it",
            site.name
        );
        Ok(())
    }

    /// Returns the operator that writes a tensor, unless an activation has joined it.
    pub(super) fn producer(&mut self, tensor: u16) -> Option<&mut Stage> {
        self.stages.get_mut(usize::from(tensor).checked_sub(self.sources)?).filter(|stage| stage.activation.is_none())
    }
}

impl Stage {
    /// Returns an operator that reads all inputs of a node and has no constants.
    pub(super) fn new(site: &Site<'_>, kind: Kind) -> Self {
        Self {
            name: site.name.to_string(),
            kind,
            inputs: site.inputs.to_vec(),
            window: None,
            node: site.node,
            bits: 8,
            in_rows: false,
            activation: None,
            weighted: None,
            subtracts: false,
            grams: None,
        }
    }

    /// Returns the width and order of its weights.
    pub(crate) fn form(&self) -> Form {
        match (self.bits, self.in_rows) {
            (4, _) => Form::Int4,
            (_, true) => Form::Int8Rows,
            _ => Form::Int8,
        }
    }

    /// Returns whether its weights may have 4 bits.
    pub(crate) fn has_free_width(&self) -> bool {
        matches!(self.kind, Kind::Dense | Kind::Convolution)
    }

    /// Returns whether an activation that a clamp can take over follows its operator.
    pub(crate) fn has_joined(&self) -> bool {
        self.kind != Kind::Table && self.activation.is_some()
    }

    /// Returns the range that the output is kept in.
    pub(crate) fn clamp(&self, output: Quantization) -> Clamp {
        let at = |value: f32| attar_device::quantize(value, output);
        match (self.kind, self.activation) {
            (Kind::Table, _) | (_, None) => Clamp::ALL,
            (_, Some(Activation::Relu6)) => Clamp { min: at(0.0), max: at(6.0) },
            (_, Some(_)) => Clamp { min: at(0.0), max: i8::MAX },
        }
    }
}

/// Returns a window as the format holds it.
pub(super) fn format_window(window: &ops::Window) -> Result<Window> {
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
