//! Facts on their way into the network: set by name in their own units, encoded here.

use attar_shared::{Encoder, Fact, FactKind, MAX_FACTS, Model};

use crate::Error;

/// What is known beside one input; everything is missing until it is set.
#[derive(Debug, Clone)]
pub struct Facts<'a> {
    model: Model<'a>,
    /// A number in its unit, the index of a category, or 1 and 0 for a flag.
    values: heapless::Vec<Option<f32>, MAX_FACTS>,
}

/// Which fact is meant: its name, or its index in the model.
pub trait FactRef: Copy {
    /// Returns the index of the fact in the model.
    fn index_in(self, model: &Model<'_>) -> Option<usize>;
}

impl FactRef for &str {
    fn index_in(self, model: &Model<'_>) -> Option<usize> {
        model.facts().position(|fact| fact.name == self)
    }
}

impl FactRef for usize {
    fn index_in(self, model: &Model<'_>) -> Option<usize> {
        (self < usize::from(model.header().fact_count)).then_some(self)
    }
}

impl<'a> Facts<'a> {
    pub(crate) fn new(model: Model<'a>) -> Self {
        let values = (0..model.header().fact_count).map(|_| None).take(MAX_FACTS).collect();
        Self { model, values }
    }

    /// Sets a number, in the fact's own unit.
    ///
    /// # Errors
    ///
    /// [`Error::UnknownFact`], [`Error::FactKind`] when the fact is no number, [`Error::FactNotFinite`].
    pub fn set(&mut self, fact: impl FactRef, value: f32) -> Result<(), Error> {
        let (index, found) = self.find(fact)?;
        match found.kind {
            FactKind::Number(_) if value.is_finite() => self.put(index, Some(value)),
            FactKind::Number(_) => Err(Error::FactNotFinite),
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
        let FactKind::Category(values) = found.kind else { return Err(Error::FactKind) };
        let chosen = values.position(value).ok_or(Error::UnknownCategory)?;
        self.put(index, Some(chosen as f32))
    }

    /// Sets a flag.
    ///
    /// # Errors
    ///
    /// [`Error::UnknownFact`], [`Error::FactKind`] when the fact is no flag.
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
    /// [`Error::UnknownFact`].
    pub fn clear(&mut self, fact: impl FactRef) -> Result<(), Error> {
        let (index, _) = self.find(fact)?;
        self.put(index, None)
    }

    /// Sets a fact of any kind from one number, as files and links carry it: a number in its unit, the index of a
    /// category, 0 or 1 for a flag; `None` for a missing one.
    ///
    /// # Errors
    ///
    /// [`Error::UnknownFact`], [`Error::FactNotFinite`], and [`Error::UnknownCategory`] when the number is no index of
    /// the category, or neither 0 nor 1 for a flag.
    pub fn set_raw(&mut self, fact: impl FactRef, value: Option<f32>) -> Result<(), Error> {
        let (index, found) = self.find(fact)?;
        if let Some(value) = value {
            let choices = match found.kind {
                FactKind::Number(_) => None,
                FactKind::Category(values) => Some(values.len()),
                FactKind::Flag => Some(2),
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

    /// Returns the model that the facts are for.
    pub fn model(&self) -> &Model<'a> {
        &self.model
    }

    /// Gives each encoded value in turn, the mask last if the model has one.
    pub(crate) fn encode(&self, mut emit: impl FnMut(f32)) {
        for (fact, value) in self.model.facts().zip(&self.values) {
            Encoding::of(&fact).encode(*value, &mut emit);
        }
        if self.model.has_fact_mask() {
            self.values.iter().for_each(|value| emit(if value.is_some() { 1.0 } else { 0.0 }));
        }
    }

    fn find(&self, fact: impl FactRef) -> Result<(usize, Fact<'a>), Error> {
        let index = fact.index_in(&self.model).ok_or(Error::UnknownFact)?;
        Ok((index, self.model.facts().nth(index).ok_or(Error::UnknownFact)?))
    }

    fn put(&mut self, index: usize, value: Option<f32>) -> Result<(), Error> {
        *self.values.get_mut(index).ok_or(Error::UnknownFact)? = value;
        Ok(())
    }
}

/// How a fact becomes values of the facts tensor; training uses it as the board does.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Encoding {
    /// One value by an encoder.
    Number(Encoder),
    /// One-hot over so many values.
    OneHot(usize),
    /// 1 or 0.
    Flag,
}

impl Encoding {
    /// Returns the encoding of a fact.
    pub fn of(fact: &Fact<'_>) -> Self {
        match fact.kind {
            FactKind::Number(encoder) => Self::Number(encoder),
            FactKind::Category(values) => Self::OneHot(values.len()),
            FactKind::Flag => Self::Flag,
        }
    }

    /// Gives the encoded values in turn; a missing fact is all zeros.
    pub fn encode(self, value: Option<f32>, mut emit: impl FnMut(f32)) {
        match self {
            Self::Number(encoder) => emit(value.map_or(0.0, |x| encode_number(encoder, x))),
            Self::OneHot(count) => {
                (0..count).for_each(|choice| emit(if value == Some(choice as f32) { 1.0 } else { 0.0 }));
            }
            Self::Flag => emit(value.unwrap_or(0.0)),
        }
    }
}

fn encode_number(encoder: Encoder, x: f32) -> f32 {
    match encoder {
        Encoder::ZScore { mean, deviation } => (x - mean) / deviation,
        Encoder::Range { low, high } => ((x - low) / (high - low)).clamp(0.0, 1.0),
    }
}
