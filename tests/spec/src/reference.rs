//! The `.attar` format and its arithmetic once more, as plainly as `shared/README.md` reads.
//!
//! Nothing here is taken from `attar-shared` or `attar-device`: what both sides agree on bit for bit is what the
//! specification says. Sums are i64, requantisation is i128 with a real floor division, every tensor has its own
//! `Vec`. Files are read on trust where the real parser checks; [`Model::read`] refuses what it happens to see.
//!
//! # Panics
//! [`Model::run`] and the others panic on a model that breaks a MUST rule, or on slices of the wrong length.

mod arithmetic;
mod facts;
mod quantize;
mod read;
mod signal;
mod text;

pub use facts::{Encoder, Fact, Instruction};

/// A model read from its specification, with everything owned.
#[derive(Clone, Debug, PartialEq)]
pub struct Model {
    /// What the model takes, and how raw values become int8.
    pub input: Input,
    /// Whether the facts tensor ends with one value a fact that says whether it is known.
    pub mask: bool,
    /// What the model may know beside its input, in the order of the facts tensor.
    pub facts: Vec<Fact>,
    /// The results of the model.
    pub heads: Vec<Head>,
    /// The operators; operator i writes tensor [`Model::sources`] + i.
    pub operators: Vec<Operator>,
    /// Every tensor of the graph: the input, the facts if there are any, the outputs of the operators.
    pub tensors: Vec<Tensor>,
    /// The self-test vectors.
    pub tests: Vec<TestVector>,
}

/// What a model takes.
#[derive(Clone, Debug, PartialEq)]
pub struct Input {
    /// The name of the input.
    pub name: String,
    /// Whether it is a text.
    pub is_text: bool,
    /// One gain, or one a channel.
    pub gains: Vec<f32>,
    /// As many offsets as gains.
    pub offsets: Vec<f32>,
    /// The names of the channels, or none.
    pub channels: Vec<String>,
    /// The bits of `signal_set` of a front-end.
    pub parts: u32,
    /// The steps of a front-end from one run of the network to the next.
    pub front_end_work: u128,
    /// Of a front-end with detections: 0, or the class plus one that is never detected.
    pub background: Option<usize>,
}

/// One result of the model.
#[derive(Clone, Debug, PartialEq)]
pub struct Head {
    /// The name of the head.
    pub name: String,
    /// The index of the tensor that the result is taken from.
    pub tensor: usize,
    /// The names of the values, or none.
    pub labels: Vec<String>,
    /// How values become results.
    pub kind: HeadKind,
}

/// How the values of a head's tensor become its result.
#[derive(Clone, Debug, PartialEq)]
pub enum HeadKind {
    /// Probabilities that sum to one.
    Class,
    /// The probability of yes.
    Binary,
    /// A probability for each value.
    Multilabel,
    /// `v * gain + offset`, one pair for all values or one for each.
    Regression { gains: Vec<f32>, offsets: Vec<f32> },
}

/// One step of the graph.
#[derive(Clone, Debug, PartialEq)]
pub struct Operator {
    /// What is calculated, with its parameters.
    pub kind: Kind,
    /// The indices of the tensors read.
    pub inputs: Vec<usize>,
    /// No output is below.
    pub least: i8,
    /// No output is above.
    pub greatest: i8,
    /// What is added to the results of dense, convolution and depthwise.
    pub addend: Option<Addend>,
    /// The window of kinds that have one, all zeros for others; each pair is rows, columns.
    pub window: Window,
}

/// An addition of the second input to the result of an operator, which has its own zero point and clamp.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Addend {
    /// The factor of the result.
    pub a_multiplier: i32,
    /// The factor of the second input.
    pub b_multiplier: i32,
    /// What is added to both.
    pub bias: i32,
    /// How far the sum is shifted to the right.
    pub shift: u8,
    /// The zero point of the result before the addition.
    pub zero_point: i8,
    /// No result before the addition is below.
    pub least: i8,
    /// No result before the addition is above.
    pub greatest: i8,
}

/// Where the taps of an output lie, as rows and columns.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Window {
    /// The number of taps.
    pub kernel: [usize; 2],
    /// The step from one output to the next.
    pub stride: [usize; 2],
    /// The step from one tap to the next.
    pub dilation: [usize; 2],
    /// The positions of padding before the first.
    pub padding: [usize; 2],
}

/// What an operator calculates.
#[derive(Clone, Debug, PartialEq)]
pub enum Kind {
    /// Weights `[n, height · width · channels]`.
    Dense(Channels),
    /// Weights `[n, kernel height, kernel width, channels]`.
    Convolution(Channels),
    /// Weights `[kernel height, kernel width, n]`.
    Depthwise(Channels),
    /// `(a · a_multiplier + b · b_multiplier + bias) >> shift`.
    Add { a_multiplier: i32, b_multiplier: i32, bias: i32, shift: u8 },
    /// The requantisation of 256 times the sum of the taps.
    AveragePool { multiplier: i32, shift: u8 },
    /// The greatest tap.
    MaxPool,
    /// The output for each byte of the input, read as 0 … 255.
    Table(Vec<i8>),
    /// The channels of the inputs one after the other.
    Concat,
    /// The requantisation of the product of two values.
    Multiply { multiplier: i32, shift: u8 },
    /// The output of the run before without its first positions, then the second input.
    Delay,
    /// The mean of the rows that the n-grams of a text choose.
    Bag(Bag),
    /// The input's pixels, each repeated.
    Upsample,
}

/// The parameters of a bag.
#[derive(Clone, Debug, PartialEq)]
pub struct Bag {
    /// The rows to choose among.
    pub buckets: usize,
    /// The least and the greatest number of letters, 0 and 0 for none.
    pub letters: [usize; 2],
    /// The greatest number of words.
    pub words: usize,
    /// Of the requantisation.
    pub multiplier: i32,
    /// Of the requantisation.
    pub shift: u8,
    /// `[buckets, n]`.
    pub rows: Vec<i8>,
}

/// What phrases are known to be.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Gazetteer {
    /// The words of the longest phrase.
    pub words: usize,
    /// The hash of each phrase with the bits of its features.
    pub entries: Vec<(u32, u16)>,
}

/// The parameters of dense, convolution and depthwise.
#[derive(Clone, Debug, PartialEq)]
pub struct Channels {
    /// One an output channel.
    pub biases: Vec<i32>,
    /// One an output channel.
    pub multipliers: Vec<i32>,
    /// One an output channel.
    pub shifts: Vec<u8>,
    /// Without the padding at the end.
    pub weights: Vec<i8>,
}

/// The shape and the scale of a tensor, and its place in the arena of the real engine.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tensor {
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
    /// Channels, the innermost axis.
    pub channels: usize,
    /// The int8 that stands for 0.
    pub zero_point: i8,
    /// What a step of 1 stands for.
    pub scale: f32,
    /// Not used here: each tensor has its own memory.
    pub arena_offset: u32,
    /// Not used here, like the offset.
    pub last_use: u16,
    /// Whether its values stay until the next run.
    pub held: bool,
}

/// The int8 that go in, and those of the heads' tensors that must come out.
#[derive(Clone, Debug, PartialEq)]
pub struct TestVector {
    /// The input tensor.
    pub input: Vec<i8>,
    /// The facts tensor, empty when the model has none.
    pub facts: Vec<i8>,
    /// The tensor of each head.
    pub heads: Vec<Vec<i8>>,
    /// The checksum of what each operator writes.
    pub checksums: Vec<u32>,
}

impl Model {
    /// The number of tensors that are there before the first operator.
    pub fn sources(&self) -> usize {
        if self.facts.is_empty() { 1 } else { 2 }
    }

    /// Every tensor of the graph after one run from zeros, by its index; `facts` is empty when the model has none.
    pub fn run(&self, input: &[i8], facts: &[i8]) -> Vec<Vec<i8>> {
        self.run_after(&self.zeros(), input, facts)
    }

    /// Every tensor full of its zero point: what stands before the first run.
    pub fn zeros(&self) -> Vec<Vec<i8>> {
        self.tensors.iter().map(|tensor| vec![tensor.zero_point; tensor.values()]).collect()
    }

    /// Every tensor of the graph after a run that follows one which left `before`.
    pub fn run_after(&self, before: &[Vec<i8>], input: &[i8], facts: &[i8]) -> Vec<Vec<i8>> {
        assert_eq!(input.len(), self.tensors[0].values(), "values of the input");
        let mut values = before.to_vec();
        values[0] = input.to_vec();
        if self.facts.is_empty() {
            assert!(facts.is_empty(), "the model takes no facts");
        } else {
            assert_eq!(facts.len(), self.tensors[1].values(), "values of the facts");
            values[1] = facts.to_vec();
        }
        for (index, operator) in self.operators.iter().enumerate() {
            let place = self.sources() + index;
            let output = &self.tensors[place];
            let result = operator.evaluate(&self.tensors, &values, output);
            assert_eq!(result.len(), output.values(), "values of an output");
            values[place] = result;
        }
        values
    }
}

impl Tensor {
    /// The number of values.
    pub fn values(&self) -> usize {
        self.height * self.width * self.channels
    }

    /// Where `[y, x, c]` lies, row-major with the channels last.
    pub fn index(&self, y: usize, x: usize, c: usize) -> usize {
        (y * self.width + x) * self.channels + c
    }

    /// Whether height and width are 1.
    pub fn is_vector(&self) -> bool {
        self.height == 1 && self.width == 1
    }
}
