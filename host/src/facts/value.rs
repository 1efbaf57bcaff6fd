//! What a fact holds, and how it is encoded.

use serde::{Deserialize, Serialize};

/// What a fact is on the board.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Value {
    /// A number in a unit.
    Number,
    /// One of several values.
    Category,
    /// Yes or no.
    Flag,
    /// What the words of a text are known to be: a bit for each feature.
    Features,
}

/// How a fact enters the network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EncoderKind {
    /// `(x - mean) / deviation`.
    ZScore,
    /// `(x - low) / (high - low)`, kept within 0 and 1.
    Range,
    /// `(ln x - mean) / deviation`.
    Log,
    /// Sine and cosine of `2π x / period`.
    Periodic,
    /// A value for each of the category's.
    OneHot,
    /// A row of learned numbers for each of the category's values.
    Embedding,
    /// 1 or 0.
    Flag,
    /// 1 or 0 for each feature.
    Features,
    /// Not at all: it serves expressions.
    None,
}

impl EncoderKind {
    pub(super) fn keys(self) -> &'static [&'static str] {
        match self {
            Self::ZScore | Self::Log => &["mean", "deviation"],
            Self::Range => &["low", "high"],
            Self::Periodic => &["period"],
            Self::Embedding => &["width"],
            Self::OneHot | Self::Flag | Self::Features | Self::None => &[],
        }
    }
}
