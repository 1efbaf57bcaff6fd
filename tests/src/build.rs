//! Builds models operator by operator, for tests that want a graph of their own.

use attar::compile::plan::{self, Plan, Step};
use attar_shared::{
    Clamp, Definition, FactDefinition, Form, HeadDefinition, InputDefinition, Kind, OperatorDefinition, Quantization,
    Shape, Tensor, TestDefinition, Window, WriteError,
};

/// A model in the making.
#[derive(Debug)]
pub struct Builder {
    sources: usize,
    operators: Vec<Operator>,
    tensors: Vec<(Shape, Quantization)>,
    held: Vec<usize>,
}

#[derive(Debug)]
struct Operator {
    kind: Kind,
    form: Form,
    inputs: Vec<u16>,
    clamp: Clamp,
    window: Option<Window>,
    parameters: Vec<u8>,
    macs: u64,
}

/// A kind of operators with the form of its weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Coded(pub Kind, pub Form);

impl From<Kind> for Coded {
    fn from(kind: Kind) -> Self {
        Self(kind, Form::Int8)
    }
}

/// What stands around the graph.
#[derive(Debug, Clone, Copy)]
pub struct Frame<'a> {
    /// The input.
    pub input: InputDefinition<'a>,
    /// The facts.
    pub facts: &'a [FactDefinition<'a>],
    /// Whether a mask follows them.
    pub fact_mask: bool,
    /// The heads.
    pub heads: &'a [HeadDefinition<'a>],
    /// The self-test vectors.
    pub tests: &'a [TestDefinition<'a>],
    /// The revision.
    pub revision: u32,
    /// Whether outputs may lie over inputs.
    pub overlaps: bool,
}

impl Builder {
    /// Returns a model with an input, and with a facts tensor when there are facts.
    pub fn new(input: (Shape, Quantization), facts: Option<(u16, Quantization)>) -> Self {
        let facts = facts.map(|(width, quantization)| (Shape::vector(width), quantization));
        let tensors: Vec<_> = [Some(input), facts].into_iter().flatten().collect();
        Self { sources: tensors.len(), operators: Vec::new(), tensors, held: Vec::new() }
    }

    /// Returns the shape of a tensor.
    pub fn shape(&self, tensor: u16) -> Shape {
        self.tensors[usize::from(tensor)].0
    }

    /// Returns the quantisation of a tensor.
    pub fn quantization(&self, tensor: u16) -> Quantization {
        self.tensors[usize::from(tensor)].1
    }

    /// Returns the number of tensors: the place of the next.
    pub fn count(&self) -> u16 {
        self.tensors.len() as u16
    }

    /// Keeps a tensor from one run to the next.
    pub fn hold(&mut self, tensor: u16) {
        self.held.push(usize::from(tensor));
    }

    /// Adds an operator and returns the tensor that it writes; its parameters come with the number of weights in them.
    pub fn push(
        &mut self,
        kind: impl Into<Coded>,
        inputs: &[u16],
        output: (Shape, Quantization),
        clamp: Clamp,
        window: Option<Window>,
        (parameters, weights): (Vec<u8>, usize),
    ) -> u16 {
        let positions = if window.is_some() { output.0.positions() } else { 1 };
        let macs = (positions * weights) as u64;
        let Coded(kind, form) = kind.into();
        self.operators.push(Operator { kind, form, inputs: inputs.to_vec(), clamp, window, parameters, macs });
        self.tensors.push(output);
        (self.tensors.len() - 1) as u16
    }

    /// Returns the file, its memory planned as the host plans it.
    pub fn finish(&self, frame: &Frame<'_>) -> Result<Vec<u8>, WriteError> {
        let steps: Vec<Step<'_>> = self
            .operators
            .iter()
            .map(|operator| Step { kind: operator.kind, inputs: &operator.inputs, window: operator.window })
            .collect();
        let shapes: Vec<Shape> = self.tensors.iter().map(|&(shape, _)| shape).collect();
        let heads: Vec<u16> = frame.heads.iter().map(|head| head.tensor).collect();
        let offsets = Plan::new(&shapes, self.sources, &steps, &heads, &self.held, frame.overlaps).place();
        let tensors: Vec<Tensor> = self
            .tensors
            .iter()
            .zip(offsets)
            .enumerate()
            .map(|(index, (&(shape, quantization), offset))| {
                let held = self.held.contains(&index);
                let last_use = if held { steps.len() } else { plan::last_use(index, &steps, &heads) } as u16;
                Tensor { shape, quantization, offset, last_use, held }
            })
            .collect();
        let operators: Vec<OperatorDefinition<'_>> = self
            .operators
            .iter()
            .map(|operator| OperatorDefinition {
                kind: operator.kind,
                form: operator.form,
                inputs: &operator.inputs,
                clamp: operator.clamp,
                window: operator.window,
                parameters: &operator.parameters,
            })
            .collect();
        let definition = Definition {
            input: frame.input,
            facts: frame.facts,
            fact_mask: frame.fact_mask,
            heads: frame.heads,
            operators: &operators,
            tensors: &tensors,
            tests: frame.tests,
            macs: self.operators.iter().map(|operator| operator.macs).sum::<u64>() as u32,
            revision: frame.revision,
        };
        let mut bytes = vec![0; definition.encoded_len()?];
        definition.write(&mut bytes)?;
        Ok(bytes)
    }
}
