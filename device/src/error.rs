//! What can go wrong when a student is used.

use core::fmt;

use attar_shared::ParseError;

/// Why a call was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// The file is not a valid model.
    Parse(ParseError),
    /// The arena is smaller than the model's plan.
    ArenaTooSmall {
        /// Bytes that the model needs.
        needed: usize,
        /// Bytes of the arena.
        got: usize,
    },
    /// Model or arena do not begin at multiples of four bytes.
    Misaligned,
    /// The input is not as long as the model's.
    InputLength {
        /// Values that the model takes.
        expected: usize,
        /// Values at hand.
        got: usize,
    },
    /// A text is given to a model that takes numbers.
    InputKind,
    /// A text has more bytes than the model takes.
    TextLength {
        /// Bytes that the model takes at most.
        most: usize,
        /// Bytes at hand.
        got: usize,
    },
    /// Samples are given to a model without a front-end.
    NoSignal,
    /// The memory of a stream is smaller than the model needs.
    StreamMemory {
        /// Words that the model needs.
        needed: usize,
        /// Words of the memory.
        got: usize,
    },
    /// The samples are not as many for each channel.
    SampleCount {
        /// Channels of the model's signal.
        channels: usize,
        /// Samples at hand.
        got: usize,
    },
    /// The encoded facts are not as long as the model's.
    FactsLength {
        /// Values that the model takes.
        expected: usize,
        /// Values at hand.
        got: usize,
    },
    /// The facts were made for another model.
    OtherModel,
    /// A value of the input is NaN or infinite.
    InputNotFinite {
        /// Its place in the input.
        index: usize,
    },
    /// The model has no fact of that name or index.
    UnknownFact,
    /// The fact has no such value among those it may take.
    UnknownCategory,
    /// The fact is of another kind: a number is set, a category chosen, a flag raised.
    FactKind,
    /// The fact is computed from others, and cannot be set.
    ComputedFact,
    /// The fact's value is NaN or infinite.
    FactNotFinite,
    /// The model has no head of that name or index.
    UnknownHead,
    /// The outputs are asked for before the last operator has run.
    Unfinished,
    /// The model is not signed.
    Unsigned,
    /// The signature was not made with the key, or the model was changed afterwards.
    WrongSignature,
    /// The model is older than it has to be.
    Downgraded {
        /// The least revision that is taken.
        least: u32,
        /// The revision of the model.
        got: u32,
    },
    /// The model does not reproduce its own test vector.
    SelfTest {
        /// Which vector.
        vector: usize,
        /// The first operator that writes other bytes than it did when the model was made; none when all write the same and
        /// a head differs.
        operator: Option<u16>,
    },
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Parse(error) => error.fmt(f),
            Self::ArenaTooSmall { needed, got } => write!(f, "arena has {got} bytes, the model needs {needed}"),
            Self::Misaligned => f.write_str("model and arena have to begin at multiples of four bytes"),
            Self::InputLength { expected, got } => write!(f, "input has {got} values, the model takes {expected}"),
            Self::InputKind => f.write_str("the model takes numbers, no text"),
            Self::TextLength { most, got } => write!(f, "the text has {got} bytes, the model takes up to {most}"),
            Self::NoSignal => f.write_str("the model has no front-end for samples of a sensor"),
            Self::StreamMemory { needed, got } => write!(f, "stream memory has {got} words, the model needs {needed}"),
            Self::SampleCount { channels, got } => {
                write!(f, "{got} samples are no whole number for {channels} channels")
            }
            Self::FactsLength { expected, got } => write!(f, "facts have {got} values, the model takes {expected}"),
            Self::OtherModel => f.write_str("the facts were made for another model"),
            Self::InputNotFinite { index } => write!(f, "input value {index} is not finite"),
            Self::UnknownFact => f.write_str("the model has no such fact"),
            Self::UnknownCategory => f.write_str("the fact has no such value"),
            Self::FactKind => f.write_str("the fact is of another kind"),
            Self::ComputedFact => f.write_str("the fact is computed from others and cannot be set"),
            Self::FactNotFinite => f.write_str("the fact's value is not finite"),
            Self::UnknownHead => f.write_str("the model has no such head"),
            Self::Unfinished => f.write_str("the last operator has not run yet"),
            Self::Unsigned => f.write_str("the model is not signed"),
            Self::WrongSignature => f.write_str("the signature is not that of the key and the model"),
            Self::Downgraded { least, got } => write!(f, "the model has revision {got}, at least {least} is taken"),
            Self::SelfTest { vector, operator: Some(operator) } => {
                write!(f, "operator {operator} does not reproduce test vector {vector} of the model")
            }
            Self::SelfTest { vector, operator: None } => {
                write!(f, "the heads do not reproduce test vector {vector} of the model")
            }
        }
    }
}

impl core::error::Error for Error {}

impl From<ParseError> for Error {
    fn from(error: ParseError) -> Self {
        Self::Parse(error)
    }
}
