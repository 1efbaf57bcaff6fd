//! Facts: what is known beside the input, where it comes from, and how it becomes numbers.

use crate::bytes::{Cursor, F32s, Strings, U32s};
use crate::codes::{
    AS_IS, CATEGORY, EMBEDDING, FEATURES, FLAG, GAZETTEER, LOG, NONE, NUMBER, ONE_HOT, PERIODIC, RANGE, Z_SCORE,
};
use crate::text::MAX_WORDS;
use crate::{Code, Defect, MAX_FACTS, MAX_FEATURES, MAX_VALUES, parts};

/// Something that is known beside the input.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Fact<'a> {
    /// What the fact is called.
    pub name: &'a str,
    /// The unit in which it is set or computed, or nothing.
    pub unit: &'a str,
    /// What it is.
    pub kind: FactKind<'a>,
    /// How it enters the network.
    pub encoder: Encoder<'a>,
    /// How it is computed; empty for a fact that is set.
    pub code: Code<'a>,
}

/// The kind of a fact.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum FactKind<'a> {
    /// A number in the fact's unit, brought between the least and the greatest before it is encoded.
    Number {
        /// The least that training has seen.
        least: f32,
        /// The greatest that training has seen.
        greatest: f32,
    },
    /// One of the listed values, with a row of a table for each.
    Category(Category<'a>),
    /// Yes or no: 1 or 0.
    Flag,
    /// What the words of a text are known to be.
    Gazetteer(Gazetteer<'a>),
}

/// A table from phrases to features: a text has the features of all phrases in it.
///
/// Phrases stand there as their hashes, see [`crate::text`]; a text's features are bits, the first the lowest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gazetteer<'a> {
    /// What a phrase may be, at most [`MAX_FEATURES`].
    pub features: Strings<'a>,
    /// The words of the longest phrase.
    pub words: u8,
    phrases: U32s<'a>,
    masks: &'a [u8],
}

impl<'a> Gazetteer<'a> {
    // Apart from the other kinds, which are read at every run.
    #[inline(never)]
    fn read(cursor: &mut Cursor<'a>, check: bool) -> Result<Self, Defect> {
        let count = cursor.u16()?;
        if !(1..=MAX_FEATURES).contains(&usize::from(count)) {
            return Err(Defect::Count);
        }
        let features = cursor.names(count, check)?;
        let words = cursor.u8()?;
        if !(1..=MAX_WORDS).contains(&words) {
            return Err(Defect::Count);
        }
        let len = usize::try_from(cursor.u32()?).map_err(|_| Defect::TooLarge)?;
        let phrases = cursor.u32s(len)?;
        let masks = cursor.take(if count > 8 { len.checked_mul(2).ok_or(Defect::TooLarge)? } else { len })?;
        let gazetteer = Self { features, words, phrases, masks };
        if check {
            gazetteer.check()?;
        }
        Ok(gazetteer)
    }

    /// Returns the number of phrases.
    pub fn len(&self) -> usize {
        self.phrases.len()
    }

    /// Returns whether there is no phrase.
    pub fn is_empty(&self) -> bool {
        self.phrases.is_empty()
    }

    /// Returns the features of a phrase by its hash; none where it is not in the table.
    pub fn look_up(&self, phrase: u32) -> u16 {
        self.phrases.search(phrase).map_or(0, |place| self.mask(place))
    }

    /// Returns all phrases with their features, in the order of their hashes.
    pub fn entries(&self) -> impl Iterator<Item = (u32, u16)> + '_ {
        self.phrases.iter().enumerate().map(|(place, phrase)| (phrase, self.mask(place)))
    }

    /// Returns the steps that it takes to look up all phrases of a text of so many bytes: each byte may begin as many phrases
    /// as there are words in the longest, each of which is searched for by bisection.
    pub(crate) fn work(&self, bytes: u64) -> u64 {
        let bisections = usize::BITS - self.len().leading_zeros();
        bytes * u64::from(self.words) * u64::from(1 + bisections)
    }

    fn mask(&self, place: usize) -> u16 {
        if self.features.len() > 8 {
            self.masks.as_chunks::<2>().0.get(place).map_or(0, |mask| u16::from_le_bytes(*mask))
        } else {
            self.masks.get(place).copied().map_or(0, u16::from)
        }
    }

    fn check(&self) -> Result<(), Defect> {
        let beyond = u32::from(u16::MAX) << self.features.len();
        let mut before = None;
        for (phrase, mask) in self.entries() {
            if mask == 0 || u32::from(mask) & beyond != 0 {
                return Err(Defect::Unused);
            }
            if before.is_some_and(|before| before >= phrase) {
                return Err(Defect::Order);
            }
            before = Some(phrase);
        }
        Ok(())
    }
}

/// The values of a category and what is known of each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Category<'a> {
    /// The values.
    pub values: Strings<'a>,
    /// The table's columns one after the other, a number for each value; NaN is missing.
    pub table: F32s<'a>,
}

impl Category<'_> {
    /// Returns the number of the table's columns.
    pub fn columns(&self) -> usize {
        self.table.len().checked_div(self.values.len()).unwrap_or(0)
    }

    /// Returns the number of a value in a column; `None` where it is missing or there is none.
    pub fn look_up(&self, column: usize, value: usize) -> Option<f32> {
        if value >= self.values.len() {
            return None;
        }
        let place = column.checked_mul(self.values.len())?.checked_add(value)?;
        self.table.at(place).filter(|number| !number.is_nan())
    }
}

/// How a fact becomes values of the facts tensor.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Encoder<'a> {
    /// It takes no value: other facts are computed from it.
    None,
    /// A number, by a formula.
    Number(Scaling),
    /// A category: a value for each of its values, 1 at the chosen one and 0 elsewhere.
    OneHot,
    /// A category: the row of its value, in the integers of the facts tensor.
    Embedding {
        /// Values of a row.
        width: u16,
        /// The rows one after the other, int8.
        rows: &'a [u8],
    },
    /// A flag: 1 or 0.
    Flag,
    /// A gazetteer: 1 for each feature that the text has, 0 for the others.
    Features,
}

impl Encoder<'_> {
    /// Returns its code, and the two constants of a formula.
    pub(crate) fn code(self) -> (u8, [f32; 2]) {
        match self {
            Self::None => (NONE, [0.0; 2]),
            Self::Number(scaling) => scaling.encode(),
            Self::OneHot => (ONE_HOT, [0.0; 2]),
            Self::Embedding { .. } => (EMBEDDING, [0.0; 2]),
            Self::Flag => (AS_IS, [0.0; 2]),
            Self::Features => (FEATURES, [0.0; 2]),
        }
    }
}

/// How a number becomes what the network reads, in f32 arithmetic.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Scaling {
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
    /// `(ln x - mean) / deviation`.
    Log {
        /// The mean of the logarithms.
        mean: f32,
        /// Their deviation.
        deviation: f32,
    },
    /// Two values: sine and cosine of `2π x / period`.
    Periodic {
        /// After which everything is as it was.
        period: f32,
    },
}

impl Scaling {
    /// Returns how many values a number becomes.
    pub fn width(self) -> usize {
        if matches!(self, Self::Periodic { .. }) { 2 } else { 1 }
    }

    /// Returns the byte that stands for it, and its two constants.
    fn encode(self) -> (u8, [f32; 2]) {
        match self {
            Self::ZScore { mean, deviation } => (Z_SCORE, [mean, deviation]),
            Self::Range { low, high } => (RANGE, [low, high]),
            Self::Log { mean, deviation } => (LOG, [mean, deviation]),
            Self::Periodic { period } => (PERIODIC, [period, 0.0]),
        }
    }

    fn decode(encoder: u8, [a, b]: [f32; 2], least: f32) -> Result<Self, Defect> {
        let (scaling, width) = match encoder {
            Z_SCORE => (Self::ZScore { mean: a, deviation: b }, b),
            RANGE => (Self::Range { low: a, high: b }, b - a),
            LOG if least > 0.0 => (Self::Log { mean: a, deviation: b }, b),
            PERIODIC if b.to_bits() == 0 => (Self::Periodic { period: a }, a),
            LOG => return Err(Defect::EncoderRange),
            PERIODIC => return Err(Defect::Unused),
            _ => return Err(Defect::Encoder),
        };
        if !a.is_finite() || !width.is_finite() {
            return Err(Defect::NotFinite);
        }
        if width.is_normal() && width > 0.0 { Ok(scaling) } else { Err(Defect::EncoderRange) }
    }
}

impl<'a> Fact<'a> {
    /// Returns how many values of the facts tensor the fact takes, its mask aside.
    pub fn width(&self) -> usize {
        match (self.encoder, self.kind) {
            (Encoder::None, _) => 0,
            (Encoder::Number(scaling), _) => scaling.width(),
            (Encoder::OneHot, FactKind::Category(category)) => category.values.len(),
            (Encoder::Embedding { width, .. }, _) => usize::from(width),
            (Encoder::Features, FactKind::Gazetteer(gazetteer)) => gazetteer.features.len(),
            (Encoder::Flag | Encoder::OneHot | Encoder::Features, _) => 1,
        }
    }

    /// Returns whether the network sees the fact, so that it has a place in the mask.
    pub fn is_seen(&self) -> bool {
        self.encoder != Encoder::None
    }

    /// Returns the codes of kind and encoder.
    pub(crate) fn codes(&self) -> (u8, u8) {
        let kind = match self.kind {
            FactKind::Number { .. } => NUMBER,
            FactKind::Category(_) => CATEGORY,
            FactKind::Flag => FLAG,
            FactKind::Gazetteer(_) => GAZETTEER,
        };
        (kind, self.encoder.code().0)
    }

    /// Returns whether the fact is computed, from others and from the input, and cannot be set.
    pub fn is_computed(&self) -> bool {
        !self.code.is_empty() || matches!(self.kind, FactKind::Gazetteer(_))
    }

    pub(crate) fn decode<const PARTS: u128>(cursor: &mut Cursor<'a>) -> Result<Self, Defect> {
        Self::read::<PARTS>(cursor, true)
    }

    /// Reads a fact whose rules have been checked before.
    pub(crate) fn trust<const PARTS: u128>(cursor: &mut Cursor<'a>) -> Result<Self, Defect> {
        Self::read::<PARTS>(cursor, false)
    }

    /// Reads a fact; lists are looked through when they are to be checked.
    fn read<const PARTS: u128>(cursor: &mut Cursor<'a>, check: bool) -> Result<Self, Defect> {
        let has = |kind| parts::has_kind(PARTS, kind);
        let kind = cursor.u8()?;
        let encoder = cursor.u8()?;
        let code_len = usize::from(cursor.u16()?);
        let name = cursor.name()?;
        let unit = cursor.string()?;
        let (kind, encoder) = match kind {
            NUMBER if has(NUMBER) => {
                let constants = [cursor.f32()?, cursor.f32()?];
                let (least, greatest) = (cursor.f32()?, cursor.f32()?);
                if !least.is_finite() || !greatest.is_finite() {
                    return Err(Defect::NotFinite);
                }
                if least > greatest {
                    return Err(Defect::EncoderRange);
                }
                let encoder = match encoder {
                    NONE if constants.map(f32::to_bits) == [0; 2] => Encoder::None,
                    NONE => return Err(Defect::Unused),
                    _ => Encoder::Number(Scaling::decode(encoder, constants, least)?),
                };
                (FactKind::Number { least, greatest }, encoder)
            }
            CATEGORY if has(CATEGORY) => {
                let count = cursor.u16()?;
                if !(1..=MAX_VALUES).contains(&usize::from(count)) {
                    return Err(Defect::Count);
                }
                let values = cursor.names(count, check)?;
                let numbers = usize::from(cursor.u8()?) * usize::from(count);
                let table = if check { cursor.numbers_or_missing(numbers)? } else { cursor.f32s(numbers)? };
                let encoder = match encoder {
                    NONE => Encoder::None,
                    ONE_HOT => Encoder::OneHot,
                    EMBEDDING => {
                        let width = cursor.u16()?;
                        if width == 0 {
                            return Err(Defect::Count);
                        }
                        let len = usize::from(count).checked_mul(usize::from(width)).ok_or(Defect::TooLarge)?;
                        Encoder::Embedding { width, rows: cursor.take(len)? }
                    }
                    _ => return Err(Defect::Encoder),
                };
                (FactKind::Category(Category { values, table }), encoder)
            }
            FLAG if has(FLAG) => (
                FactKind::Flag,
                match encoder {
                    NONE => Encoder::None,
                    AS_IS => Encoder::Flag,
                    _ => return Err(Defect::Encoder),
                },
            ),
            GAZETTEER if has(GAZETTEER) => {
                let gazetteer = Gazetteer::read(cursor, check)?;
                let encoder = match encoder {
                    NONE => Encoder::None,
                    FEATURES => Encoder::Features,
                    _ => return Err(Defect::Encoder),
                };
                (FactKind::Gazetteer(gazetteer), encoder)
            }
            _ => return Err(Defect::Kind),
        };
        if code_len > 0 && matches!(kind, FactKind::Category(_) | FactKind::Gazetteer(_)) {
            return Err(Defect::Code);
        }
        let code = Code::new(cursor.take(code_len)?);
        Ok(Self { name, unit, kind, encoder, code })
    }
}

/// A fact of a model that is to be written; see [`Fact`].
#[derive(Debug, Clone, Copy)]
pub struct FactDefinition<'a> {
    /// What the fact is called.
    pub name: &'a str,
    /// The unit in which it is set or computed, or nothing.
    pub unit: &'a str,
    /// What it is.
    pub kind: KindDefinition<'a>,
    /// How it enters the network.
    pub encoder: Encoder<'a>,
    /// How it is computed; empty for a fact that is set.
    pub code: &'a [u8],
}

/// The kind of a fact that is to be written; see [`FactKind`].
#[derive(Debug, Clone, Copy)]
pub enum KindDefinition<'a> {
    /// A number.
    Number {
        /// The least that training has seen.
        least: f32,
        /// The greatest that training has seen.
        greatest: f32,
    },
    /// One of several values.
    Category {
        /// The values.
        values: &'a [&'a str],
        /// The table's columns, a number for each value; NaN is missing.
        columns: &'a [&'a [f32]],
    },
    /// Yes or no.
    Flag,
    /// What the words of a text are known to be.
    Gazetteer {
        /// What a phrase may be.
        features: &'a [&'a str],
        /// The words of the longest phrase.
        words: u8,
        /// The hash and the features of each phrase, by rising hashes.
        entries: &'a [(u32, u16)],
    },
}

/// The columns of the facts that have been read: what [`Code::check`] takes.
pub(crate) struct Columns {
    of: [Option<u8>; MAX_FACTS],
    count: usize,
}

impl Columns {
    pub(crate) const fn new() -> Self {
        Self { of: [None; MAX_FACTS], count: 0 }
    }

    pub(crate) fn add(&mut self, kind: FactKind<'_>) {
        let columns = match kind {
            FactKind::Category(category) => Some(category.columns()),
            FactKind::Gazetteer(gazetteer) => Some(gazetteer.features.len()),
            FactKind::Number { .. } | FactKind::Flag => None,
        };
        if let Some(place) = self.of.get_mut(self.count) {
            *place = columns.and_then(|count| u8::try_from(count).ok());
        }
        self.count += 1;
    }

    pub(crate) fn all(&self) -> &[Option<u8>] {
        self.of.get(..self.count).unwrap_or(&self.of)
    }
}
