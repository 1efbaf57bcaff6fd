//! Facts in training: the recipe's entries with their measured encoders, encoded by the device's own code.

use std::ops::Range;

use anyhow::{Result, bail, ensure};
use attar_device::Encoding;
use attar_shared::{Encoder, FactDefinition};

use super::dataset::Moments;
use crate::recipe::{EncoderKind, Fact, FactKind};

/// The values of one fact, a sample each; `None` is missing. A category's is the index of its value, a flag's 0 or 1.
pub type FactColumn = Vec<Option<f32>>;

/// The facts of a model.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct FactSchema {
    /// What each is.
    pub facts: Vec<SchemaFact>,
    /// Whether a mask follows the values.
    pub mask: bool,
}

/// A fact with everything that its encoding needs.
#[derive(Debug, Clone, PartialEq)]
pub struct SchemaFact {
    /// The name.
    pub name: String,
    /// The unit, or nothing.
    pub unit: String,
    /// The encoding.
    pub encoding: Encoding,
    /// category: the values.
    pub values: Vec<String>,
}

impl FactSchema {
    /// Returns the schema of the recipe's facts, with encoders measured on the training split.
    ///
    /// `categories` holds the values that each category may take, in the order of their indices; `mask` says whether a
    /// mask is to follow the values.
    ///
    /// # Errors
    ///
    /// When an encoder's range is empty.
    pub fn measure(
        facts: &[Fact],
        categories: &[Vec<String>],
        columns: &[FactColumn],
        train: &[usize],
        mask: bool,
    ) -> Result<Self> {
        let facts = facts.iter().zip(categories).zip(columns).map(|((fact, values), column)| {
            let encoding = match fact.kind {
                FactKind::Category => Encoding::OneHot(values.len()),
                FactKind::Flag => Encoding::Flag,
                FactKind::Number => Encoding::Number(measure_encoder(fact, train.iter().filter_map(|&i| column[i]))?),
            };
            Ok(SchemaFact { name: fact.name.clone(), unit: fact.unit.clone(), encoding, values: values.clone() })
        });
        Ok(Self { facts: facts.collect::<Result<_>>()?, mask })
    }

    /// Returns the number of encoded values, the mask included.
    pub fn width(&self) -> usize {
        let mask = if self.mask { self.facts.len() } else { 0 };
        self.facts.iter().map(SchemaFact::width).sum::<usize>() + mask
    }

    /// Returns for each fact the places of its values and of its mask.
    pub(super) fn places(&self) -> impl Iterator<Item = impl Iterator<Item = usize>> {
        let values: usize = self.facts.iter().map(SchemaFact::width).sum();
        let mut first = 0;
        self.facts.iter().enumerate().map(move |(index, fact)| {
            let own: Range<usize> = first..first + fact.width();
            first = own.end;
            own.chain(self.mask.then_some(values + index))
        })
    }

    /// Encodes every sample, `[samples, values]`.
    pub(super) fn encode(&self, columns: &[FactColumn], samples: usize) -> Vec<f32> {
        let mut encoded = Vec::with_capacity(samples * self.width());
        for sample in 0..samples {
            for (fact, column) in self.facts.iter().zip(columns) {
                fact.encoding.encode(column[sample], |value| encoded.push(value));
            }
            if self.mask {
                encoded.extend(columns.iter().map(|column| if column[sample].is_some() { 1.0 } else { 0.0 }));
            }
        }
        encoded
    }

    /// Calls `with` with the facts as the writer of the format takes them.
    pub fn with_definitions<R>(&self, with: impl FnOnce(&[FactDefinition<'_>]) -> R) -> R {
        let values: Vec<Vec<&str>> =
            self.facts.iter().map(|fact| fact.values.iter().map(String::as_str).collect()).collect();
        let definitions: Vec<FactDefinition<'_>> = self
            .facts
            .iter()
            .zip(&values)
            .map(|(SchemaFact { name, unit, encoding, .. }, values)| match *encoding {
                Encoding::Number(encoder) => FactDefinition::Number { name, unit, encoder },
                Encoding::OneHot(_) => FactDefinition::Category { name, values },
                Encoding::Flag => FactDefinition::Flag { name },
            })
            .collect();
        with(&definitions)
    }
}

impl SchemaFact {
    fn width(&self) -> usize {
        match self.encoding {
            Encoding::OneHot(count) => count,
            Encoding::Number(_) | Encoding::Flag => 1,
        }
    }
}

fn measure_encoder(fact: &Fact, values: impl Iterator<Item = f32>) -> Result<Encoder> {
    let mut moments = Moments::default();
    let (mut least, mut greatest) = (f32::INFINITY, f32::NEG_INFINITY);
    for value in values {
        moments.add(value);
        least = least.min(value);
        greatest = greatest.max(value);
    }
    if least > greatest
        && (fact.mean.is_none() || fact.deviation.is_none())
        && (fact.low.is_none() || fact.high.is_none())
    {
        bail!("fact {:?} is missing in every training sample: its encoder cannot be measured", fact.name);
    }
    let [mean, deviation] = moments.mean_and_deviation();
    let encoder = match fact.encoder {
        EncoderKind::ZScore => {
            let deviation = fact.deviation.unwrap_or(deviation);
            ensure!(deviation > 0.0, "fact {:?}: deviation is {deviation}, expected more than 0", fact.name);
            Encoder::ZScore { mean: fact.mean.unwrap_or(mean), deviation }
        }
        EncoderKind::Range => {
            let (low, high) = (fact.low.unwrap_or(least), fact.high.unwrap_or(greatest));
            ensure!(low < high, "fact {:?}: the range from {low} to {high} is empty", fact.name);
            Encoder::Range { low, high }
        }
    };
    Ok(encoder)
}
