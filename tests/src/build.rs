//! Builds models operator by operator, for tests that want a graph of their own.

use attar_shared::{
    Clamp, Definition, FactDefinition, HeadDefinition, InputDefinition, Kind, OperatorDefinition, Quantization, Shape,
    Tensor, TestDefinition, Window, WriteError,
};

/// A model in the making.
#[derive(Debug)]
pub struct Builder {
    sources: usize,
    operators: Vec<Operator>,
    tensors: Vec<(Shape, Quantization)>,
}

#[derive(Debug)]
struct Operator {
    kind: Kind,
    inputs: Vec<u16>,
    clamp: Clamp,
    window: Option<Window>,
    parameters: Vec<u8>,
    macs: u64,
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
}

impl Builder {
    /// Returns a model with an input, and with a facts tensor when there are facts.
    pub fn new(input: (Shape, Quantization), facts: Option<(u16, Quantization)>) -> Self {
        let facts = facts.map(|(width, quantization)| (Shape::vector(width), quantization));
        let tensors: Vec<_> = [Some(input), facts].into_iter().flatten().collect();
        Self { sources: tensors.len(), operators: Vec::new(), tensors }
    }

    /// Returns the shape of a tensor.
    pub fn shape(&self, tensor: u16) -> Shape {
        self.tensors[usize::from(tensor)].0
    }

    /// Returns the quantisation of a tensor.
    pub fn quantization(&self, tensor: u16) -> Quantization {
        self.tensors[usize::from(tensor)].1
    }

    /// Adds an operator and returns the tensor that it writes; its parameters come with the number of weights in them.
    pub fn push(
        &mut self,
        kind: Kind,
        inputs: &[u16],
        output: (Shape, Quantization),
        clamp: Clamp,
        window: Option<Window>,
        (parameters, weights): (Vec<u8>, usize),
    ) -> u16 {
        let positions = if window.is_some() { output.0.positions() } else { 1 };
        let macs = (positions * weights) as u64;
        self.operators.push(Operator { kind, inputs: inputs.to_vec(), clamp, window, parameters, macs });
        self.tensors.push(output);
        (self.tensors.len() - 1) as u16
    }

    /// Returns the file, each tensor at the lowest place that is free while it is alive.
    pub fn finish(&self, frame: &Frame<'_>) -> Result<Vec<u8>, WriteError> {
        let last = |tensor: usize| -> usize {
            if frame.heads.iter().any(|head| usize::from(head.tensor) == tensor) {
                return self.operators.len();
            }
            let reads = |operator: &Operator| operator.inputs.iter().any(|&input| usize::from(input) == tensor);
            self.operators.iter().rposition(reads).unwrap_or(0)
        };
        let mut tensors: Vec<Tensor> = Vec::new();
        for (index, &(shape, quantization)) in self.tensors.iter().enumerate() {
            let birth = index.checked_sub(self.sources);
            let mut taken: Vec<(u64, u64)> = tensors
                .iter()
                .filter(|other| birth.is_none_or(|birth| usize::from(other.last_use) >= birth))
                .map(|other| (u64::from(other.offset), other.end()))
                .collect();
            taken.sort_unstable();
            let len = (shape.len() as u64).next_multiple_of(4);
            let mut offset = 0;
            for (start, end) in taken {
                if offset + len <= start {
                    break;
                }
                offset = offset.max(end);
            }
            tensors.push(Tensor { shape, quantization, offset: offset as u32, last_use: last(index) as u16 });
        }
        let operators: Vec<OperatorDefinition<'_>> = self
            .operators
            .iter()
            .map(|operator| OperatorDefinition {
                kind: operator.kind,
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
        };
        let mut bytes = vec![0; definition.encoded_len()?];
        definition.write(&mut bytes)?;
        Ok(bytes)
    }
}

/// Returns the parameters of dense, convolution and depthwise as they stand in a file.
pub fn channels(biases: &[i32], multipliers: &[i32], shifts: &[u8], weights: &[i8]) -> Vec<u8> {
    let mut bytes: Vec<u8> = biases.iter().chain(multipliers).flat_map(|word| word.to_le_bytes()).collect();
    bytes.extend(shifts);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes.extend(weights.iter().map(|w| w.cast_unsigned()));
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

/// Returns the parameters of an average pool.
pub fn average(multiplier: i32, shift: u8) -> Vec<u8> {
    [multiplier.to_le_bytes(), [shift, 0, 0, 0]].concat()
}

/// Returns the parameters of an addition.
pub fn addition(a: i32, b: i32, bias: i32, shift: u8) -> Vec<u8> {
    [a.to_le_bytes(), b.to_le_bytes(), bias.to_le_bytes(), [shift, 0, 0, 0]].concat()
}
