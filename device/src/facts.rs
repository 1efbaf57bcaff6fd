//! Facts on their way into the network: set by name in their own units, encoded here.

use attar_shared::parts::{self, ALL_PARTS};
use attar_shared::text::{Text, each_phrase};
use attar_shared::{Encoder, Fact, FactKind, MAX_FACTS, Model, Scaling};

use crate::Error;
use crate::evaluate::{Scope, evaluate_parts};

/// What is known beside one input; everything is missing until it is set.
#[derive(Debug, Clone)]
pub struct Facts<'a, const PARTS: u128 = ALL_PARTS> {
    model: Model<'a, PARTS>,
    values: Values,
}

/// A number in its unit, the index of a category's value, 1 and 0 for a flag, or the bits of a gazetteer's features; NaN is
/// missing.
type Values = heapless::Vec<f32, MAX_FACTS>;

/// All facts of one input, those that are computed among them; see [`Facts::known`].
#[derive(Debug, Clone)]
pub struct KnownFacts<'a, const PARTS: u128 = ALL_PARTS> {
    model: Model<'a, PARTS>,
    values: Values,
    clamped: usize,
}

/// A fact by its name, or by its index in the model. This trait is sealed.
pub trait FactRef: Copy + sealed::Sealed {
    /// Returns the index of the fact in the model.
    fn index_in<const PARTS: u128>(self, model: &Model<'_, PARTS>) -> Option<usize>;
}

mod sealed {
    pub trait Sealed {}

    impl Sealed for &str {}
    impl Sealed for usize {}
}

impl FactRef for &str {
    fn index_in<const PARTS: u128>(self, model: &Model<'_, PARTS>) -> Option<usize> {
        model.facts().position(|fact| fact.name == self)
    }
}

impl FactRef for usize {
    fn index_in<const PARTS: u128>(self, model: &Model<'_, PARTS>) -> Option<usize> {
        (self < usize::from(model.header().fact_count)).then_some(self)
    }
}

impl<'a, const PARTS: u128> Facts<'a, PARTS> {
    pub(crate) fn new(model: Model<'a, PARTS>) -> Self {
        let values = (0..model.header().fact_count).map(|_| f32::NAN).take(MAX_FACTS).collect();
        Self { model, values }
    }

    /// Sets a number, in the fact's own unit.
    ///
    /// # Errors
    ///
    /// [`Error::UnknownFact`], [`Error::ComputedFact`], [`Error::FactKind`] when the fact is no number,
    /// [`Error::FactNotFinite`].
    pub fn set(&mut self, fact: impl FactRef, value: f32) -> Result<(), Error> {
        let (index, found) = self.find(fact)?;
        match found.kind {
            FactKind::Number { .. } if value.is_finite() => self.put(index, Some(value)),
            FactKind::Number { .. } => Err(Error::FactNotFinite),
            _ => Err(Error::FactKind),
        }
    }

    /// Chooses a value of a category by its name.
    ///
    /// # Errors
    ///
    /// [`Error::UnknownFact`], [`Error::FactKind`] when the fact is no category, [`Error::UnknownCategory`].
    pub fn choose(&mut self, fact: impl FactRef, value: &str) -> Result<(), Error> {
        let (index, found) = self.find(fact)?;
        let FactKind::Category(category) = found.kind else { return Err(Error::FactKind) };
        let chosen = category.values.position(value).ok_or(Error::UnknownCategory)?;
        self.put(index, Some(chosen as f32))
    }

    /// Sets a flag.
    ///
    /// # Errors
    ///
    /// [`Error::UnknownFact`], [`Error::ComputedFact`], [`Error::FactKind`] when the fact is no flag.
    pub fn flag(&mut self, fact: impl FactRef, value: bool) -> Result<(), Error> {
        let (index, found) = self.find(fact)?;
        if found.kind != FactKind::Flag {
            return Err(Error::FactKind);
        }
        self.put(index, Some(if value { 1.0 } else { 0.0 }))
    }

    /// Forgets a fact: it is missing again.
    ///
    /// # Errors
    ///
    /// [`Error::UnknownFact`], [`Error::ComputedFact`].
    pub fn clear(&mut self, fact: impl FactRef) -> Result<(), Error> {
        let (index, _) = self.find(fact)?;
        self.put(index, None)
    }

    /// Sets a fact of any kind from one number, as files and links carry it: a number in its unit, the index of a
    /// category, 0 or 1 for a flag; `None` for a missing one, or one that is computed.
    ///
    /// # Errors
    ///
    /// [`Error::UnknownFact`], [`Error::ComputedFact`], [`Error::FactNotFinite`], and [`Error::UnknownCategory`] when the number is no index of
    /// the category, or neither 0 nor 1 for a flag.
    pub fn set_raw(&mut self, fact: impl FactRef, value: Option<f32>) -> Result<(), Error> {
        if value.is_none() {
            return self.put(fact.index_in(&self.model).ok_or(Error::UnknownFact)?, None);
        }
        let (index, found) = self.find(fact)?;
        if let Some(value) = value {
            let choices = match found.kind {
                FactKind::Number { .. } => None,
                FactKind::Category(category) => Some(category.values.len()),
                FactKind::Flag => Some(2),
                // Found in the text, and so refused above.
                FactKind::Gazetteer(_) => None,
            };
            if !value.is_finite() {
                return Err(Error::FactNotFinite);
            }
            if choices.is_some_and(|count| !(0..count).any(|choice| choice as f32 == value)) {
                return Err(Error::UnknownCategory);
            }
        }
        self.put(index, value)
    }

    /// Returns what was set in the order of the model's facts, as [`Facts::set_raw`] takes it.
    pub fn values(&self) -> impl ExactSizeIterator<Item = Option<f32>> + '_ {
        self.values.iter().map(|value| (!value.is_nan()).then_some(*value))
    }

    /// Returns the model that the facts are for.
    pub fn model(&self) -> &Model<'a, PARTS> {
        &self.model
    }

    /// Returns all facts of an input: those that were set, and those that are computed from them and from the input.
    ///
    /// `input` is what [`crate::Session::run`] takes, or the bytes of a text. A session does this by itself; here it can be
    /// looked at.
    pub fn known<T: Copy + Into<f32>>(&self, input: &[T]) -> KnownFacts<'a, PARTS> {
        self.known_of(input, &Numbers(input))
    }

    /// Returns all facts of an input; gazetteers look at a text.
    // One copy of it is smaller, and no slower, than one in each caller.
    #[inline(never)]
    pub(crate) fn known_of<T: Copy + Into<f32>>(&self, input: &[T], text: &dyn Text) -> KnownFacts<'a, PARTS> {
        let mut known = KnownFacts { model: self.model, values: self.values.clone(), clamped: 0 };
        for (index, fact) in self.model.facts().enumerate() {
            if let FactKind::Gazetteer(gazetteer) = fact.kind
                && parts::has_gazetteer(PARTS)
            {
                if let Some(place) = known.values.get_mut(index) {
                    *place = f32::from(features_of(text, gazetteer.words, |phrase| gazetteer.look_up(phrase)));
                }
            } else if parts::has_code(PARTS) && fact.is_computed() {
                let value = evaluate_parts::<PARTS>(fact.code, &Surroundings { known: &known, input });
                // A flag is 1 or 0, whatever its code says of yes.
                let value =
                    if fact.kind == FactKind::Flag { value.map(|x| if x == 0.0 { 0.0 } else { 1.0 }) } else { value };
                if let Some(place) = known.values.get_mut(index) {
                    *place = value.unwrap_or(f32::NAN);
                }
            }
            if let (FactKind::Number { least, greatest }, Some(value)) = (fact.kind, known.value(index))
                && !(least..=greatest).contains(&value)
            {
                known.clamped += 1;
            }
        }
        known
    }

    fn find(&self, fact: impl FactRef) -> Result<(usize, Fact<'a>), Error> {
        let index = fact.index_in(&self.model).ok_or(Error::UnknownFact)?;
        let found = self.model.facts().nth(index).ok_or(Error::UnknownFact)?;
        if found.is_computed() { Err(Error::ComputedFact) } else { Ok((index, found)) }
    }

    fn put(&mut self, index: usize, value: Option<f32>) -> Result<(), Error> {
        *self.values.get_mut(index).ok_or(Error::UnknownFact)? = value.unwrap_or(f32::NAN);
        Ok(())
    }
}

impl<const PARTS: u128> KnownFacts<'_, PARTS> {
    /// Returns a fact's value: a number in its unit, the index of a category's value, 1 or 0 for a flag, the bits of a
    /// gazetteer's features, the first the lowest; `None` where it is missing or the model has no such fact.
    pub fn get(&self, fact: impl FactRef) -> Option<f32> {
        self.value(fact.index_in(&self.model)?)
    }

    /// Returns all values in the order of the model's facts.
    pub fn values(&self) -> impl ExactSizeIterator<Item = Option<f32>> + '_ {
        self.values.iter().map(|value| (!value.is_nan()).then_some(*value))
    }

    /// Returns the values of the computed facts in the order of the model's facts.
    pub fn computed(&self) -> impl Iterator<Item = Option<f32>> + '_ {
        self.model.facts().zip(self.values()).filter(|(fact, _)| fact.is_computed()).map(|(_, value)| value)
    }

    /// Returns how many numbers lay outside the range that training has seen, and were brought into it.
    pub fn clamped(&self) -> usize {
        self.clamped
    }

    fn value(&self, index: usize) -> Option<f32> {
        self.values.get(index).copied().filter(|value| !value.is_nan())
    }

    /// Gives each value of the facts tensor in turn, the mask last if the model has one.
    pub(crate) fn encode(&self, mut emit: impl FnMut(Encoded)) {
        // A bit for each fact that the network sees, and whether it is known.
        let (mut seen, mut there) = (0u32, 0u32);
        for (index, fact) in self.model.facts().enumerate() {
            let value = self.value(index);
            seen |= u32::from(fact.is_seen()) << index;
            there |= u32::from(value.is_some()) << index;
            match (fact.encoder, value) {
                (Encoder::Embedding { width, rows }, Some(value)) if parts::has_embedding(PARTS) => {
                    let width = usize::from(width);
                    let row = rows.chunks_exact(width.max(1)).nth(value as usize).unwrap_or_default();
                    row.iter().for_each(|value| emit(Encoded::Integer(value.cast_signed())));
                }
                (Encoder::Embedding { width, .. }, None) => (0..width).for_each(|_| emit(Encoded::Value(0.0))),
                _ => Encoding::of(&fact).encode_parts::<PARTS>(value, |value| emit(Encoded::Value(value))),
            }
        }
        if self.model.has_fact_mask() {
            for index in (0..MAX_FACTS).filter(|index| seen >> index & 1 == 1) {
                emit(Encoded::Value(if there >> index & 1 == 1 { 1.0 } else { 0.0 }));
            }
        }
    }
}

/// A value of the facts tensor.
pub(crate) enum Encoded {
    /// That is still to be quantised.
    Value(f32),
    /// That is quantised already.
    Integer(i8),
}

/// What the code of a fact reads.
struct Surroundings<'s, 'a, T, const PARTS: u128> {
    known: &'s KnownFacts<'a, PARTS>,
    input: &'s [T],
}

impl<T: Copy + Into<f32>, const PARTS: u128> Scope for Surroundings<'_, '_, T, PARTS> {
    fn fact(&self, fact: u8) -> f32 {
        self.known.values.get(usize::from(fact)).copied().unwrap_or(f32::NAN)
    }

    fn input(&self, place: u16) -> f32 {
        self.input.get(usize::from(place)).map_or(f32::NAN, |&value| value.into())
    }

    fn column(&self, fact: u8, column: u8) -> f32 {
        let found = self.known.model.facts().nth(usize::from(fact));
        let Some(value) = self.known.value(usize::from(fact)) else { return f32::NAN };
        match found.map(|fact| fact.kind) {
            Some(FactKind::Category(category)) => {
                category.look_up(usize::from(column), value as usize).unwrap_or(f32::NAN)
            }
            Some(FactKind::Gazetteer(_)) => f32::from((value as u16) >> (column & 15) & 1),
            _ => f32::NAN,
        }
    }
}

/// Returns the bits of the features that the phrases of a text have, of at most so many words each; training uses it as the
/// board does.
///
/// `look_up` says what a phrase is by its hash.
pub fn features_of(text: &dyn Text, words: u8, look_up: impl Fn(u32) -> u16) -> u16 {
    let mut features = 0;
    each_phrase(text, words, |phrase| features |= look_up(phrase));
    features
}

/// The bytes of a text that stand as numbers of either sign.
#[derive(Debug, Clone, Copy)]
pub struct Numbers<'a, T>(pub &'a [T]);

impl<T: Copy + Into<f32>> Text for Numbers<'_, T> {
    fn len(&self) -> usize {
        self.0.len()
    }

    fn byte(&self, place: usize) -> u8 {
        self.0.get(place).map_or(0, |&byte| byte_of(byte))
    }
}

/// Returns the byte that a number from -128 to 255 stands for.
pub(crate) fn byte_of(value: impl Into<f32>) -> u8 {
    value.into() as i32 as u8
}

/// How a fact becomes values of the facts tensor; training uses it as the board does.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Encoding {
    /// Nothing.
    None,
    /// By a formula, after it was brought between the least and the greatest.
    Number {
        /// The formula.
        scaling: Scaling,
        /// The least.
        least: f32,
        /// The greatest.
        greatest: f32,
    },
    /// One-hot over so many values.
    OneHot(usize),
    /// 1 or 0.
    Flag,
    /// So many bits, the lowest first.
    Features(usize),
}

impl Encoding {
    /// Returns the encoding of a fact; that of an embedding is one-hot, as before its rows are looked up.
    pub fn of(fact: &Fact<'_>) -> Self {
        match (fact.encoder, fact.kind) {
            (Encoder::Number(scaling), FactKind::Number { least, greatest }) => {
                Self::Number { scaling, least, greatest }
            }
            (Encoder::OneHot | Encoder::Embedding { .. }, FactKind::Category(category)) => {
                Self::OneHot(category.values.len())
            }
            (Encoder::Flag, _) => Self::Flag,
            (Encoder::Features, FactKind::Gazetteer(gazetteer)) => Self::Features(gazetteer.features.len()),
            _ => Self::None,
        }
    }

    /// Returns how many values it gives.
    pub fn width(self) -> usize {
        match self {
            Self::None => 0,
            Self::Number { scaling, .. } => scaling.width(),
            Self::OneHot(count) | Self::Features(count) => count,
            Self::Flag => 1,
        }
    }

    /// Gives the encoded values in turn; a missing fact is all zeros.
    pub fn encode(self, value: Option<f32>, emit: impl FnMut(f32)) {
        self.encode_parts::<ALL_PARTS>(value, emit);
    }

    fn encode_parts<const PARTS: u128>(self, value: Option<f32>, mut emit: impl FnMut(f32)) {
        match (self, value) {
            (Self::Number { scaling, least, greatest }, Some(value)) => {
                let x = if value < least { least } else { value };
                let x = if x > greatest { greatest } else { x };
                encode_number::<PARTS>(scaling, x, emit);
            }
            (Self::OneHot(count), Some(value)) => {
                (0..count).for_each(|choice| emit(if value == choice as f32 { 1.0 } else { 0.0 }));
            }
            (Self::Flag, Some(value)) => emit(value),
            (Self::Features(count), Some(value)) => {
                (0..count).for_each(|bit| emit(f32::from((value as u16) >> (bit & 15) & 1)));
            }
            (_, None) => (0..self.width()).for_each(|_| emit(0.0)),
            (Self::None, _) => {}
        }
    }
}

fn encode_number<const PARTS: u128>(scaling: Scaling, x: f32, mut emit: impl FnMut(f32)) {
    match scaling {
        Scaling::ZScore { mean, deviation } => emit((x - mean) / deviation),
        Scaling::Range { low, high } => emit(((x - low) / (high - low)).clamp(0.0, 1.0)),
        Scaling::Log { mean, deviation } if parts::has_logarithm(PARTS) => emit((libm::logf(x) - mean) / deviation),
        Scaling::Periodic { period } if parts::has_period(PARTS) => {
            let turns = x / period;
            let turns = if turns.is_finite() { turns } else { 0.0 };
            let angle = (turns - libm::floorf(turns)) * core::f32::consts::TAU;
            emit(libm::sinf(angle));
            emit(libm::cosf(angle));
        }
        Scaling::Log { .. } | Scaling::Periodic { .. } => {}
    }
}
