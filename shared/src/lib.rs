//! The `.attar` weight format: [`Model::parse`] checks a file once and for all, [`Definition::write`] makes one.
//!
//! The bytes, the rules and the arithmetic are specified in [`specification`]; this crate is that specification in
//! code, for the host and for the board. It allocates nothing and needs no operating system.
//!
//! # Panics
//!
//! Nothing here panics, whatever the bytes: untrusted bytes are only reached through checked accessors.
#![no_std]
#![forbid(unsafe_code)]
#![deny(missing_docs)]
#![deny(clippy::indexing_slicing, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod addition;
mod bytes;
mod channels;
mod checksum;
mod code;
mod codes;
mod error;
mod fact;
mod head;
mod header;
mod input;
mod kind;
mod model;
mod operators;
mod overlap;
#[doc(hidden)]
pub mod parts;
mod record;
mod requantization;
mod scratch;
mod signal;
mod signature;
mod tensor;
pub mod text;
mod window;
mod write;

/// The specification: every byte, every rule, every rounding.
// Brackets in its formulas are no links.
#[allow(rustdoc::broken_intra_doc_links)]
#[doc = include_str!("../README.md")]
pub mod specification {}

pub use addition::{AddConstants, Addend, Clamp};
pub use bytes::{F32s, I32s, MISSING, Strings, U32s};
pub use channels::{Channels, Weights};
pub use checksum::{Checksum, checksum};
pub use code::{Binary, Code, Instruction, MAX_CODE, MAX_STACK, Unary};
pub use error::{Defect, ParseError, WriteError};
pub use fact::{Category, Encoder, Fact, FactDefinition, FactKind, Gazetteer, KindDefinition, Scaling};
pub use head::{Head, HeadDefinition, HeadKind, Rescale};
pub use header::{HEADER_BYTES, Header, SIGNATURE_BYTES};
pub use input::{Input, InputDefinition};
pub use kind::{Form, Kind};
pub use model::{Model, TestVector};
pub use operators::{Bag, Operator, OperatorDefinition, Parameters};
pub use overlap::Overlap;
pub use record::MAX_INPUTS;
pub use requantization::Requantization;
pub use signal::{
    Arithmetic, Block, BlockDefinition, Blocks, Detection, MAX_BLOCKS, MAX_CHANNELS, MAX_DECIMATION, MAX_FACTOR,
    MAX_STAGES, MAX_WINDOW, MIN_TRANSFORM, Mel, MelDefinition, Signal, SignalDefinition, Stage, Statistics, Table,
};
pub use signature::{Signature, sign};
pub use tensor::{Quantization, Shape, Tensor};
pub use window::Window;
pub use write::{Definition, TestDefinition};

/// What the engine shares with the format beyond what it promises; no part of semantic versioning.
#[doc(hidden)]
pub mod internal {
    pub use crate::channels::{Constants, Origin, ROWS, nibbles, order};
    pub use crate::signal::{ONE, stage_words, words_of};
}

/// The version of the format that this crate reads and writes.
pub const VERSION: u16 = 1;

/// The first four bytes of every file.
pub const MAGIC: [u8; 4] = *b"ATAR";

/// The most tensors a model may hold: what bounds the time of a parse.
pub const MAX_TENSORS: usize = 256;

/// The most facts a model may take: what bounds the storage of their values on a board.
pub const MAX_FACTS: usize = 32;

/// The most values a category may have: what bounds the time of a parse, and of looking one up.
pub const MAX_VALUES: usize = 256;

/// The most features a gazetteer may tell apart: the bits of a 16-bit mask.
pub const MAX_FEATURES: usize = 16;

/// The most heads a model may have.
pub const MAX_HEADS: usize = 8;

/// Tensors in the arena and blobs among the weights begin at multiples of this many bytes.
pub const ALIGNMENT: u32 = 4;

/// The index of the tensor that holds the quantised input.
pub const INPUT_TENSOR: u16 = 0;

/// The index of the tensor that holds the encoded facts, in a model that takes any.
pub const FACTS_TENSOR: u16 = 1;
