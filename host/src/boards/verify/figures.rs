//! What a verification comes to, as reports hold it.

use serde::{Deserialize, Serialize};

/// A comparison of outputs.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct VerifyFigures {
    /// `host`, `qemu:BOARD` or `serial:PORT`.
    pub on: String,
    /// Samples that were run.
    pub samples: usize,
    /// Output bytes, of logits and probabilities, that differed.
    pub mismatches: usize,
    /// Instructions of one run, the greatest of all samples; absent where they cannot be counted.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub instructions: Option<u64>,
    /// Cycles of one run, the greatest of all samples; absent where they are not counted.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub cycles: Option<u64>,
    /// Requests that were sent more than once, on a serial line.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub repeated: Option<usize>,
    /// Instructions of each operator of the last sample.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub operators: Vec<u64>,
    /// The deepest that the stack went, in bytes; absent where it is not measured.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub stack: Option<usize>,
    /// What the engine takes by itself, where that was asked for.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub engine: Option<EngineCost>,
}

/// What the engine takes on a board beside a student's own bytes and its arena: parser, session and the operators that the
/// student has, input and output in int8.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct EngineCost {
    /// Bytes of code and constants, those of starting up left out.
    pub flash: u64,
    /// The deepest that the stack goes, in bytes, from the call that parses on.
    pub stack: usize,
}

impl VerifyFigures {
    /// Returns the instructions of all operators: a run without the quantisation of its input and its facts.
    pub fn network_instructions(&self) -> u64 {
        self.operators.iter().sum()
    }
}
