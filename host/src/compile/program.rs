//! A student in integers, before it has places in memory: what the passes work on and what is written to the file.

use anyhow::{Context, Result};
use attar_shared::text::Grams;
use attar_shared::{Clamp, Form, Kind, OperatorDefinition, Quantization, Shape, Tensor, Window};

use super::plan::{self, Plan, Step};

/// Operators over tensors; the n-th operator writes the n-th tensor after the sources.
#[derive(Debug, Clone)]
pub(super) struct Program {
    /// Tensors before the first operator: input, and facts if there are any.
    pub(super) sources: usize,
    pub(super) tensors: Vec<(Shape, Quantization)>,
    pub(super) operators: Vec<Operator>,
    /// The tensor of each head.
    pub(super) heads: Vec<u16>,
    /// The tensors that stay from one run to the next.
    pub(super) held: Vec<usize>,
}

/// One operator.
#[derive(Debug, Clone)]
pub(super) struct Operator {
    /// The layer that it comes from, for reports.
    pub(super) name: String,
    pub(super) inputs: Vec<u16>,
    pub(super) clamp: Clamp,
    pub(super) window: Option<Window>,
    pub(super) constants: Constants,
    /// The addition that joined it, of dense, convolution and depthwise.
    pub(super) addend: Option<Addend>,
}

/// What an operator computes with which constants.
#[derive(Debug, Clone)]
pub(super) enum Constants {
    Dense(Channels),
    Convolution(Channels),
    Depthwise(Channels),
    Add(Addition),
    AveragePool { multiplier: i32, shift: u8 },
    MaxPool,
    Table(Box<[i8; 256]>),
    Concat,
    Upsample,
    Multiply { multiplier: i32, shift: u8 },
    Delay,
    Bag(Bag),
}

/// The rows of an embedding bag.
#[derive(Debug, Clone)]
pub(super) struct Bag {
    pub(super) grams: Grams,
    pub(super) multiplier: i32,
    pub(super) shift: u8,
    pub(super) rows: Vec<i8>,
}

/// A row for each output channel.
#[derive(Debug, Clone)]
pub(super) struct Channels {
    pub(super) rows: Vec<Row>,
    pub(super) form: Form,
}

/// The weights of an output channel and what surrounds them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Row {
    /// What an accumulator starts from; the input's zero point is folded in.
    pub(super) bias: i32,
    pub(super) multiplier: i32,
    pub(super) shift: u8,
    /// In the order of the taps, channels last.
    pub(super) weights: Vec<i8>,
}

/// An addition of the second input to the result of an operator, which has a zero point and a clamp of its own.
#[derive(Debug, Clone, Copy)]
pub(super) struct Addend {
    pub(super) addition: Addition,
    pub(super) zero_point: i8,
    pub(super) clamp: Clamp,
}

/// `(a * factors[0] + b * factors[1] + bias) >> shift`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Addition {
    pub(super) factors: [i32; 2],
    pub(super) bias: i32,
    pub(super) shift: u8,
}

impl Program {
    /// Returns the index of the tensor that an operator writes.
    pub(super) fn output(&self, operator: usize) -> usize {
        self.sources + operator
    }

    /// Returns the multiply-accumulates of one run.
    pub(super) fn macs(&self) -> u64 {
        (0..self.operators.len()).map(|operator| self.macs_of(operator)).sum()
    }

    /// Returns the multiply-accumulates of one operator.
    pub(super) fn macs_of(&self, operator: usize) -> u64 {
        let positions = self.tensors[self.output(operator)].0.positions() as u64;
        match &self.operators[operator].constants {
            Constants::Dense(channels) => channels.weight_count(),
            Constants::Convolution(channels) | Constants::Depthwise(channels) => positions * channels.weight_count(),
            _ => 0,
        }
    }

    /// Returns the tensors with their places in the arena.
    pub(super) fn placed(&self, overlaps: bool) -> Result<Vec<Tensor>> {
        let steps: Vec<Step<'_>> = self.operators.iter().map(Operator::step).collect();
        let shapes: Vec<Shape> = self.tensors.iter().map(|&(shape, _)| shape).collect();
        let offsets = Plan::new(&shapes, self.sources, &steps, &self.heads, &self.held, overlaps).place();
        self.tensors
            .iter()
            .zip(offsets)
            .enumerate()
            .map(|(index, (&(shape, quantization), offset))| {
                let held = self.held.contains(&index);
                let last_use = if held { steps.len() } else { plan::last_use(index, &steps, &self.heads) };
                Ok(Tensor { shape, quantization, offset, last_use: u16::try_from(last_use)?, held })
            })
            .collect()
    }

    /// Returns the operators as the writer takes them, with the bytes of their parameters.
    pub(super) fn definitions<'a>(&'a self, parameters: &'a [Vec<u8>]) -> Vec<OperatorDefinition<'a>> {
        self.operators
            .iter()
            .zip(parameters)
            .map(|(operator, parameters)| OperatorDefinition {
                kind: operator.constants.kind(),
                form: operator.constants.form(),
                inputs: &operator.inputs,
                clamp: operator.clamp,
                window: operator.window,
                parameters,
            })
            .collect()
    }

    /// Returns the parameters of each operator as they stand in the file.
    pub(super) fn parameters(&self) -> Vec<Vec<u8>> {
        self.operators.iter().map(Operator::encode).collect()
    }

    /// Returns the operators that read a tensor.
    pub(super) fn readers(&self, tensor: usize) -> impl Iterator<Item = usize> + '_ {
        let reads = move |operator: &Operator| operator.inputs.iter().any(|&input| usize::from(input) == tensor);
        (0..self.operators.len()).filter(move |&index| reads(&self.operators[index]))
    }

    /// Returns whether a tensor is seen by nothing but operators, and those of this run.
    pub(super) fn is_inner(&self, tensor: usize) -> bool {
        !self.held.contains(&tensor) && self.heads.iter().all(|&head| usize::from(head) != tensor)
    }

    /// Takes an operator out; what read its output reads the output of an earlier one from then on.
    pub(super) fn join(&mut self, operator: usize, earlier: usize) {
        let (gone, stays) = (self.output(operator), self.output(earlier));
        let place = |tensor: usize| if tensor == gone { stays } else { tensor - usize::from(tensor > gone) };
        self.operators.remove(operator);
        self.tensors.remove(gone);
        let inputs = self.operators.iter_mut().flat_map(|operator| &mut operator.inputs);
        inputs.chain(&mut self.heads).for_each(|tensor| *tensor = place(usize::from(*tensor)) as u16);
        self.held.iter_mut().for_each(|tensor| *tensor = place(*tensor));
    }
}

impl Operator {
    fn step(&self) -> Step<'_> {
        Step { kind: self.constants.kind(), inputs: &self.inputs, window: self.window }
    }

    fn encode(&self) -> Vec<u8> {
        let mut bytes = self.constants.encode();
        if let Some(Addend { addition, zero_point, clamp }) = self.addend {
            bytes.extend(addition.encode([zero_point, clamp.min, clamp.max]));
        }
        bytes
    }
}

impl Addition {
    /// Returns its sixteen bytes; the last three are what the operator that it joined has of its own.
    fn encode(self, own: [i8; 3]) -> Vec<u8> {
        let [a, b] = self.factors;
        let mut bytes: Vec<u8> = [a, b, self.bias].into_iter().flat_map(i32::to_le_bytes).collect();
        bytes.push(self.shift);
        bytes.extend(own.map(i8::cast_unsigned));
        bytes
    }
}

impl Constants {
    pub(super) fn kind(&self) -> Kind {
        match self {
            Self::Dense(_) => Kind::Dense,
            Self::Convolution(_) => Kind::Convolution,
            Self::Depthwise(_) => Kind::Depthwise,
            Self::Add(_) => Kind::Add,
            Self::AveragePool { .. } => Kind::AveragePool,
            Self::MaxPool => Kind::MaxPool,
            Self::Table(_) => Kind::Table,
            Self::Concat => Kind::Concat,
            Self::Upsample => Kind::Upsample,
            Self::Multiply { .. } => Kind::Multiply,
            Self::Delay => Kind::Delay,
            Self::Bag(_) => Kind::Bag,
        }
    }

    fn form(&self) -> Form {
        match self {
            Self::Dense(channels) | Self::Convolution(channels) => channels.form,
            _ => Form::Int8,
        }
    }

    fn encode(&self) -> Vec<u8> {
        match self {
            Self::Dense(channels) | Self::Convolution(channels) => channels.encode(false),
            Self::Depthwise(channels) => channels.encode(true),
            Self::Add(addition) => addition.encode([0; 3]),
            Self::AveragePool { multiplier, shift } | Self::Multiply { multiplier, shift } => {
                [multiplier.to_le_bytes(), [*shift, 0, 0, 0]].concat()
            }
            Self::Table(answers) => answers.iter().map(|answer| answer.cast_unsigned()).collect(),
            Self::MaxPool | Self::Concat | Self::Delay | Self::Upsample => Vec::new(),
            Self::Bag(bag) => bag.encode(),
        }
    }
}

impl Bag {
    fn encode(&self) -> Vec<u8> {
        let mut bytes = self.grams.buckets.to_le_bytes().to_vec();
        bytes.extend([self.grams.letters[0], self.grams.letters[1], self.grams.words, 0]);
        bytes.extend(self.multiplier.to_le_bytes());
        bytes.extend([self.shift, 0, 0, 0]);
        bytes.extend(self.rows.iter().map(|weight| weight.cast_unsigned()));
        pad(&mut bytes);
        bytes
    }
}

impl Channels {
    fn weight_count(&self) -> u64 {
        self.rows.iter().map(|row| row.weights.len() as u64).sum()
    }

    /// Returns biases, multipliers, shifts and weights; `by_tap` puts the channels of a tap side by side.
    fn encode(&self, by_tap: bool) -> Vec<u8> {
        let mut bytes: Vec<u8> = self.rows.iter().flat_map(|row| row.bias.to_le_bytes()).collect();
        bytes.extend(self.rows.iter().flat_map(|row| row.multiplier.to_le_bytes()));
        bytes.extend(self.rows.iter().map(|row| row.shift));
        pad(&mut bytes);
        if by_tap {
            let taps = self.rows.first().map_or(0, |row| row.weights.len());
            bytes.extend((0..taps).flat_map(|tap| self.rows.iter().map(move |row| row.weights[tap].cast_unsigned())));
        } else if self.form == Form::Int4 {
            let low = |weight: i8| weight.cast_unsigned() & 15;
            for row in &self.rows {
                bytes.extend(row.weights.chunks(2).map(|pair| low(pair[0]) | pair.get(1).map_or(0, |&w| low(w) << 4)));
            }
        } else if self.form == Form::Int8Rows {
            bytes.extend(self.rows.iter().flat_map(|row| row.weights.iter().map(|weight| weight.cast_unsigned())));
        } else {
            let taps = self.rows.first().map_or(0, |row| row.weights.len());
            let order = attar_shared::internal::order(self.rows.len(), taps);
            bytes.extend(order.map(|from| from.convert(self.rows[from.row].weights[from.tap].cast_unsigned())));
        }
        pad(&mut bytes);
        bytes
    }
}

/// Returns the table that keeps values in a range.
pub(super) fn clamp_table(clamp: Clamp) -> [i8; 256] {
    std::array::from_fn(|byte| (byte as u8).cast_signed().max(clamp.min).min(clamp.max))
}

fn pad(bytes: &mut Vec<u8>) {
    bytes.resize(bytes.len().next_multiple_of(4), 0);
}

/// Returns a shape as the format holds it.
pub(super) fn format_shape(shape: [usize; 3]) -> Result<Shape> {
    let [height, width, channels] = shape.map(u16::try_from);
    let sides = height.ok().zip(width.ok()).zip(channels.ok());
    let ((height, width), channels) = sides.with_context(|| format!("shape {shape:?}: no side may exceed 65535"))?;
    Ok(Shape { height, width, channels })
}
