//! Facts: what is known beside the input, and how it becomes numbers.

use crate::Defect;
use crate::bytes::{Cursor, Strings};

/// Something that is known beside the input.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Fact<'a> {
    /// What the fact is called.
    pub name: &'a str,
    /// The unit in which it is set, or nothing.
    pub unit: &'a str,
    /// What it is and how it is encoded.
    pub kind: FactKind<'a>,
}

/// The kind of a fact with its encoder.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum FactKind<'a> {
    /// A number in the fact's unit; one value.
    Number(Encoder),
    /// One of the listed values; one-hot, a value for each.
    Category(Strings<'a>),
    /// Yes or no; one value, 1 or 0.
    Flag,
}

/// How a number becomes what the network reads, in f32 arithmetic.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Encoder {
    /// `(x - mean) / deviation`.
    ZScore {
        /// The mean over the training split.
        mean: f32,
        /// The deviation over the training split.
        deviation: f32,
    },
    /// `(x - low) / (high - low)`, kept within 0 and 1.
    Range {
        /// What becomes 0.
        low: f32,
        /// What becomes 1.
        high: f32,
    },
}

impl<'a> Fact<'a> {
    /// Returns how many values of the facts tensor the fact takes, its mask aside.
    pub fn width(&self) -> usize {
        match self.kind {
            FactKind::Number(_) | FactKind::Flag => 1,
            FactKind::Category(values) => values.len(),
        }
    }

    pub(crate) fn decode(cursor: &mut Cursor<'a>) -> Result<Self, Defect> {
        let kind = cursor.u8()?;
        let encoder = cursor.u8()?;
        let name = cursor.name()?;
        let unit = cursor.string()?;
        let kind = match (kind, encoder) {
            (NUMBER, Z_SCORE) => {
                let encoder = Encoder::ZScore { mean: cursor.f32()?, deviation: cursor.f32()? };
                FactKind::Number(encoder)
            }
            (NUMBER, RANGE) => FactKind::Number(Encoder::Range { low: cursor.f32()?, high: cursor.f32()? }),
            (CATEGORY, 0) => {
                let count = cursor.u16()?;
                if count == 0 {
                    return Err(Defect::Count);
                }
                FactKind::Category(cursor.names(count)?)
            }
            (FLAG, 0) => FactKind::Flag,
            (NUMBER | CATEGORY | FLAG, _) => return Err(Defect::Encoder),
            _ => return Err(Defect::Kind),
        };
        if let FactKind::Number(encoder) = kind {
            let (start, width) = match encoder {
                Encoder::ZScore { mean, deviation } => (mean, deviation),
                Encoder::Range { low, high } => (low, high - low),
            };
            if !start.is_finite() || !width.is_finite() {
                return Err(Defect::NotFinite);
            }
            if !(width.is_normal() && width > 0.0) {
                return Err(Defect::EncoderRange);
            }
        }
        Ok(Self { name, unit, kind })
    }
}

/// A fact of a model that is to be written; see [`Fact`].
#[derive(Debug, Clone, Copy)]
pub enum FactDefinition<'a> {
    /// A number in a unit.
    Number {
        /// What the fact is called.
        name: &'a str,
        /// The unit in which it is set, or nothing.
        unit: &'a str,
        /// How it is encoded.
        encoder: Encoder,
    },
    /// One of several values.
    Category {
        /// What the fact is called.
        name: &'a str,
        /// The values.
        values: &'a [&'a str],
    },
    /// Yes or no.
    Flag {
        /// What the fact is called.
        name: &'a str,
    },
}

pub(crate) const NUMBER: u8 = 0;
pub(crate) const CATEGORY: u8 = 1;
pub(crate) const FLAG: u8 = 2;
pub(crate) const Z_SCORE: u8 = 0;
pub(crate) const RANGE: u8 = 1;
