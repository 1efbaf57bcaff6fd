//! Facts in training: the recipe's entries with what the data say of them, computed and encoded by the device's own code.

use std::ops::Range;
use std::path::PathBuf;

use anyhow::{Context, Result, anyhow, bail, ensure};
use attar_shared::{Code, FactDefinition, Instruction, KindDefinition, MISSING};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::measurement::Measurement;
use super::phrases::Phrases;
use super::{Encoder, Fact, Scope, Value};
use crate::domain::{Array, is_missing};
use crate::support::files;
use crate::support::suggest::{did_you_mean, shortened};
use crate::tables::Table as Csv;

/// The values of one fact, a sample each; `None` is missing. A category's is the index of its value, a flag's 0 or 1.
pub type FactColumn = Vec<Option<f32>>;

/// What the data say of a fact that is set.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct GivenFact {
    /// category: the values.
    pub values: Vec<String>,
    /// What it is for each sample.
    pub column: FactColumn,
}

/// Who sees the facts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Audience {
    /// The board, and every network that is to run there: no privileged facts.
    Board,
    /// A teacher: all facts.
    Teacher,
}

/// The facts of a data set.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct FactSchema {
    /// What each is; those that only a teacher sees stand last.
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
    /// What it is on the board.
    pub value: Value,
    /// How it enters the network.
    pub encoder: Encoder,
    /// category: the values; gazetteer: the features.
    pub values: Vec<String>,
    /// gazetteer: its phrases.
    pub phrases: Phrases,
    /// category: the columns of its table, a number for each value, [`MISSING`] where there is none.
    pub table: Vec<(String, Vec<f32>)>,
    /// The code of a fact that is computed, otherwise nothing.
    pub code: Vec<u8>,
    /// Whether only a teacher sees it.
    pub privileged: bool,
    /// The chance of being hidden in training, in the place of the network's.
    dropout: Option<f64>,
    /// The facts that it is computed from, by their places.
    sources: Vec<usize>,
}

/// The facts as a network takes them.
#[derive(Debug, Clone, PartialEq)]
pub struct FactInput {
    /// Whose they are.
    pub audience: Audience,
    /// How many encoded values.
    pub width: usize,
    /// The runs that are rows of an embedding, with the width of a row.
    pub embeddings: Vec<(Range<usize>, usize)>,
}

impl GivenFact {
    /// Reads a fact from the cells of a column; an empty one is missing. `place` says where a cell stands.
    ///
    /// # Errors
    ///
    /// When a cell holds what the fact cannot be.
    pub fn read(fact: &Fact, cells: &[impl AsRef<str>], place: impl Fn(usize) -> String) -> Result<Self> {
        let mut values = fact.values.clone();
        let cells = || cells.iter().map(AsRef::as_ref);
        if fact.kind.is_category() && values.is_empty() {
            values = cells().filter(|text| !is_missing(text)).map(String::from).collect();
            values.sort_unstable();
            values.dedup();
        }
        let read = |text: &str| -> Result<Option<f32>> {
            if !fact.kind.is_category() {
                return if is_missing(text) { Ok(None) } else { fact.kind.read(text).map(Some) };
            }
            match values.iter().position(|value| value == text) {
                Some(index) => Ok(Some(index as f32)),
                None if is_missing(text) => Ok(None),
                None => {
                    let near = did_you_mean(text, values.iter().map(String::as_str));
                    bail!("has no value {:?}{near}", shortened(text))
                }
            }
        };
        let column = cells()
            .enumerate()
            .map(|(row, text)| read(text).map_err(|error| anyhow!("{}: fact {:?} {error:#}", place(row), fact.name)))
            .collect::<Result<_>>()?;
        Ok(Self { values, column })
    }

    /// Takes a fact from numbers as arrays hold them: in its unit, the index of a category, 0 or 1; NaN is missing.
    ///
    /// # Errors
    ///
    /// When a number is none of these; `place` says where it stands.
    pub fn from_numbers(fact: &Fact, numbers: &[f32], place: impl Fn(usize) -> String) -> Result<Self> {
        let choices = match fact.kind.value() {
            Value::Number => None,
            Value::Flag => Some(2),
            Value::Category => Some(fact.values.len()),
            Value::Features => bail!("fact {:?} is found in texts, not in arrays", fact.name),
        };
        ensure!(choices != Some(0), "fact {:?}: values are missing", fact.name);
        for (sample, value) in numbers.iter().enumerate().filter(|(_, value)| !value.is_nan()) {
            let good = choices.map_or(value.is_finite(), |n| value.fract() == 0.0 && (0.0..n as f32).contains(value));
            ensure!(good, "{}: fact {:?} is {value:?}", place(sample), fact.name);
        }
        let column = numbers.iter().map(|value| (!value.is_nan()).then_some(*value)).collect();
        Ok(Self { values: fact.values.clone(), column })
    }
}

impl FactSchema {
    /// Returns the schema of the recipe's facts, in their order, with encoders measured on the training split, the values of
    /// all facts, and the files that were read. `given` holds what the data say of those that are set.
    ///
    /// # Errors
    ///
    /// When a table cannot be read, an expression does not fit what the data hold, or an encoder's range is empty.
    pub fn measure(
        facts: &[Fact],
        given: Vec<GivenFact>,
        at: &Measurement<'_>,
        mask: bool,
    ) -> Result<(Self, Vec<FactColumn>, Vec<PathBuf>)> {
        let mut given = given.into_iter();
        let mut scope = Scope::new(facts, at.names, at.units)?;
        let (mut schema, mut columns, mut files) = (Self { facts: Vec::new(), mask }, Vec::new(), Vec::new());
        for fact in facts {
            let mut of = if fact.kind.is_computed() { GivenFact::default() } else { given.next().unwrap_or_default() };
            let mut phrases = Phrases::default();
            if fact.kind.value() == Value::Features {
                (of.values, phrases) = Phrases::read(fact, at, &mut files)?;
                scope.learn(&fact.name, &[], of.values.clone());
            }
            let table = match &fact.table {
                Some(_) => read_table(fact, &of.values, at, &mut files)?,
                None => Vec::new(),
            };
            ensure!(table.len() <= 255, "fact {:?}: its table has {} columns, at most 255 fit", fact.name, table.len());
            ensure!(
                of.values.len() <= attar_shared::MAX_VALUES,
                "fact {:?} has {} values, at most {} fit a model",
                fact.name,
                of.values.len(),
                attar_shared::MAX_VALUES
            );
            if fact.kind.is_category() {
                scope.learn(&fact.name, &of.values, table.iter().map(|(name, _)| name.clone()).collect());
            }
            let place = |name: &str| facts.iter().position(|fact| fact.name == name);
            schema.facts.push(SchemaFact {
                name: fact.name.clone(),
                unit: fact.unit().into(),
                value: fact.kind.value(),
                encoder: Encoder::Formula(attar_device::Encoding::None),
                values: of.values,
                phrases,
                table,
                code: Vec::new(),
                privileged: fact.privileged,
                dropout: fact.dropout,
                sources: fact.expr.iter().flat_map(|expr| expr.names()).filter_map(place).collect(),
            });
            columns.push(of.column);
        }
        scope.check(facts)?;
        for (index, fact) in facts.iter().enumerate() {
            if let Some(expr) = &fact.expr {
                let code =
                    expr.compile(&scope).with_context(|| format!("fact {:?}: expr = {:?}", fact.name, expr.text()))?;
                schema.facts[index].code = code;
                columns[index] = schema.compute(index, &columns, at.inputs);
            }
            if fact.kind.value() == Value::Features {
                columns[index] = schema.compute(index, &columns, at.inputs);
            }
            let values = schema.facts[index].values.len();
            ensure!(!fact.kind.is_category() || values > 0, "fact {:?} has no value in the data", fact.name);
            let known = at.train.iter().filter_map(|&sample| columns[index][sample]);
            let beyond = schema.at_other_paces(index, &columns, at);
            schema.facts[index].encoder = Encoder::measure(fact, values, known, beyond)?;
        }
        Ok((schema, columns, files))
    }

    /// Returns what a fact comes to in training samples at the ends of the paces that augmentation gives them.
    fn at_other_paces(&self, index: usize, columns: &[FactColumn], at: &Measurement<'_>) -> Vec<f32> {
        let Some((name, factors)) = at.pace else { return Vec::new() };
        let Some(place) = self.facts.iter().position(|fact| fact.name == name) else { return Vec::new() };
        let values = at.train.iter().flat_map(|&sample| {
            factors.map(|factor| {
                let mut values = row_of(&columns[..=index], sample);
                if let Some(value) = values.get_mut(place) {
                    *value *= factor;
                }
                self.known(values, at.inputs.row(sample))[index]
            })
        });
        values.filter(|value| !value.is_nan()).collect()
    }

    /// Runs the code of a fact for every sample.
    fn compute(&self, index: usize, columns: &[FactColumn], inputs: &Array) -> FactColumn {
        let compute = |sample: usize| {
            let value = self.value(index, &row_of(&columns[..index], sample), inputs.row(sample));
            (!value.is_nan()).then_some(value)
        };
        (0..inputs.rows()).into_par_iter().map(compute).collect()
    }

    /// Returns the value of a computed fact, NaN where it is missing, from those before it and a raw input.
    fn value(&self, index: usize, values: &[f32], input: &[f32]) -> f32 {
        let fact = &self.facts[index];
        if fact.value == Value::Features {
            return f32::from(fact.phrases.features_of(input));
        }
        let value = attar_device::evaluate(Code::new(&fact.code), &Row { schema: self, values, input });
        let value = if fact.value == Value::Flag { value.map(|x| if x == 0.0 { 0.0 } else { 1.0 }) } else { value };
        value.unwrap_or(f32::NAN)
    }

    /// Returns the values of all facts of a sample, NaN where they are missing, for what was set and another raw input.
    pub(crate) fn known(&self, mut values: Vec<f32>, input: &[f32]) -> Vec<f32> {
        for index in 0..values.len() {
            if self.facts[index].is_computed() {
                values[index] = self.value(index, &values[..index], input);
            }
        }
        values
    }

    /// Returns whether a fact is computed from the input.
    pub(crate) fn reads_input(&self) -> bool {
        let reads = |fact: &SchemaFact| {
            Code::new(&fact.code).instructions().any(|instruction| matches!(instruction, Instruction::Input(_)))
        };
        self.facts.iter().any(reads)
    }

    /// Returns the facts that somebody sees.
    pub fn seen_by(&self, audience: Audience) -> &[SchemaFact] {
        let board = self.facts.iter().take_while(|fact| !fact.privileged).count();
        &self.facts[..if audience == Audience::Board { board } else { self.facts.len() }]
    }

    /// Returns whether there are facts that the board does not see.
    pub fn has_privileged(&self) -> bool {
        self.facts.last().is_some_and(|fact| fact.privileged)
    }

    /// Returns the number of encoded values, the mask included.
    pub fn width(&self, audience: Audience) -> usize {
        self.seen_by(audience).iter().map(|fact| fact.width() + usize::from(self.mask && fact.width() > 0)).sum()
    }

    /// Returns the facts as a network for somebody takes them; nothing when there are none.
    pub fn input(&self, audience: Audience) -> Option<FactInput> {
        let width = self.width(audience);
        (width > 0).then(|| FactInput { audience, width, embeddings: self.embeddings(audience) })
    }

    /// Returns the runs of encoded values that are rows of an embedding, with what each becomes.
    fn embeddings(&self, audience: Audience) -> Vec<(Range<usize>, usize)> {
        let mut first = 0;
        let mut all = Vec::new();
        for fact in self.seen_by(audience) {
            let own = first..first + fact.width();
            first = own.end;
            if let Encoder::Embedding { width, .. } = fact.encoder {
                all.push((own, width));
            }
        }
        all
    }

    /// Returns what is hidden together in training, with the chance where the recipe names one: a fact that is set, and all
    /// that is computed from it.
    pub(crate) fn hidden_together(&self, audience: Audience) -> Vec<(Option<f64>, Vec<usize>)> {
        let facts = self.seen_by(audience);
        let values: usize = facts.iter().map(SchemaFact::width).sum();
        let (mut first, mut seen) = (0, 0);
        let mut places: Vec<Vec<usize>> = Vec::new();
        for fact in facts {
            let mut own: Vec<usize> = (first..first + fact.width()).collect();
            first += fact.width();
            if self.mask && fact.width() > 0 {
                own.push(values + seen);
                seen += 1;
            }
            places.push(own);
        }
        let mut groups = Vec::new();
        for (index, fact) in facts.iter().enumerate() {
            // What is computed from the input alone is never missing on the board.
            if fact.is_computed() && fact.dropout.is_none() {
                continue;
            }
            let mut reached = vec![false; facts.len()];
            reached[index] = true;
            for (later, other) in facts.iter().enumerate().skip(index + 1) {
                reached[later] = other.sources.iter().any(|&source| reached[source]);
            }
            let all: Vec<usize> = places
                .iter()
                .zip(&reached)
                .filter(|(_, reached)| **reached)
                .flat_map(|(places, _)| places.clone())
                .collect();
            if !all.is_empty() {
                groups.push((fact.dropout, all));
            }
        }
        groups
    }

    /// Encodes every sample, `[samples, values]`.
    pub(crate) fn encode(&self, audience: Audience, columns: &[FactColumn], samples: usize) -> Vec<f32> {
        let mut encoded = Vec::with_capacity(samples * self.width(audience));
        (0..samples).for_each(|sample| self.encode_row(audience, &row_of(columns, sample), &mut encoded));
        encoded
    }

    /// Adds the encoded values of a sample, whose facts are NaN where they are missing.
    pub(crate) fn encode_row(&self, audience: Audience, values: &[f32], encoded: &mut Vec<f32>) {
        let facts = || self.seen_by(audience).iter().zip(values);
        for (fact, value) in facts() {
            let known = (!value.is_nan()).then_some(*value);
            fact.encoder.encoding().encode(known, |value| encoded.push(value));
        }
        if self.mask {
            let seen = facts().filter(|(fact, _)| fact.width() > 0);
            encoded.extend(seen.map(|(_, value)| if value.is_nan() { 0.0 } else { 1.0 }));
        }
    }

    /// Calls `with` with the facts of the board as the writer of the format takes them; `rows` holds those of each embedding.
    pub fn with_definitions<R>(&self, rows: &[Vec<u8>], with: impl FnOnce(&[FactDefinition<'_>]) -> R) -> R {
        let facts = self.seen_by(Audience::Board);
        let lists: Vec<(Vec<&str>, Vec<&[f32]>)> = facts
            .iter()
            .map(|fact| {
                let columns = fact.table.iter().map(|(_, column)| column.as_slice()).collect();
                (fact.values.iter().map(String::as_str).collect(), columns)
            })
            .collect();
        let mut rows = rows.iter();
        let definitions: Vec<FactDefinition<'_>> = facts
            .iter()
            .zip(&lists)
            .map(|(fact, (values, columns))| {
                let (least, greatest) = fact.range();
                FactDefinition {
                    name: &fact.name,
                    unit: &fact.unit,
                    kind: match fact.value {
                        Value::Number => KindDefinition::Number { least, greatest },
                        Value::Category => KindDefinition::Category { values, columns },
                        Value::Flag => KindDefinition::Flag,
                        Value::Features => KindDefinition::Gazetteer {
                            features: values,
                            words: fact.phrases.words,
                            entries: &fact.phrases.entries,
                        },
                    },
                    encoder: match fact.encoder {
                        Encoder::Formula(encoding) => match encoding {
                            attar_device::Encoding::None => attar_shared::Encoder::None,
                            attar_device::Encoding::Number { scaling, .. } => attar_shared::Encoder::Number(scaling),
                            attar_device::Encoding::OneHot(_) => attar_shared::Encoder::OneHot,
                            attar_device::Encoding::Flag => attar_shared::Encoder::Flag,
                            attar_device::Encoding::Features(_) => attar_shared::Encoder::Features,
                        },
                        Encoder::Embedding { width, .. } => {
                            let rows = rows.next().map_or(&[][..], Vec::as_slice);
                            attar_shared::Encoder::Embedding { width: width as u16, rows }
                        }
                    },
                    code: &fact.code,
                }
            })
            .collect();
        with(&definitions)
    }
}

impl SchemaFact {
    /// Returns whether the board computes it.
    pub fn is_computed(&self) -> bool {
        !self.code.is_empty() || self.value == Value::Features
    }

    /// Returns how many values it has among the encoded ones, its mask aside.
    pub fn width(&self) -> usize {
        self.encoder.encoding().width()
    }

    /// Returns the least and the greatest value that it is brought between.
    pub(crate) fn range(&self) -> (f32, f32) {
        match self.encoder {
            Encoder::Formula(attar_device::Encoding::Number { least, greatest, .. }) => (least, greatest),
            _ => (f32::MIN, f32::MAX),
        }
    }
}

/// Returns the facts of a sample, NaN where they are missing.
pub(crate) fn row_of(columns: &[FactColumn], sample: usize) -> Vec<f32> {
    columns.iter().map(|column| column.get(sample).copied().flatten().unwrap_or(f32::NAN)).collect()
}

/// What the code of a fact reads, for one sample.
struct Row<'a> {
    schema: &'a FactSchema,
    /// The facts before it; NaN is missing.
    values: &'a [f32],
    input: &'a [f32],
}

impl attar_device::Scope for Row<'_> {
    fn fact(&self, fact: u8) -> f32 {
        self.values.get(usize::from(fact)).copied().unwrap_or(f32::NAN)
    }

    fn input(&self, place: u16) -> f32 {
        self.input.get(usize::from(place)).copied().unwrap_or(f32::NAN)
    }

    fn column(&self, fact: u8, column: u8) -> f32 {
        let value = self.fact(fact);
        if value.is_nan() {
            return value;
        }
        let found = &self.schema.facts[usize::from(fact)];
        if found.value == Value::Features {
            return f32::from((value as u16) >> (column & 15) & 1);
        }
        let numbers = found.table.get(usize::from(column));
        numbers.and_then(|(_, numbers)| numbers.get(value as usize)).copied().unwrap_or(f32::NAN)
    }
}

/// Returns the columns of a category's table, a number for each of its values.
fn read_table(
    fact: &Fact,
    values: &[String],
    at: &Measurement<'_>,
    files: &mut Vec<PathBuf>,
) -> Result<Vec<(String, Vec<f32>)>> {
    let Some(table) = &fact.table else { return Ok(Vec::new()) };
    let Some(file) = &table.file else {
        return table
            .columns
            .iter()
            .map(|(column, numbers)| {
                let missing = values.iter().find(|value| !numbers.contains_key(*value));
                if let Some(value) = missing {
                    bail!("fact {:?}: table.columns.{column} has no number for the value {value:?}", fact.name);
                }
                Ok((column.clone(), values.iter().map(|value| numbers[value]).collect()))
            })
            .collect();
    };
    let path = files::below(at.folder, file).with_context(|| format!("fact {:?}: table.file", fact.name))?;
    let csv = Csv::read(&path, at.dialect).with_context(|| format!("fact {:?}", fact.name))?;
    files.push(path.clone());
    let key = table.key.clone().unwrap_or_else(|| csv.columns()[0].clone());
    let keys = csv.column(&key).with_context(|| format!("fact {:?}", fact.name))?.texts();
    let rows = values
        .iter()
        .map(|value| {
            let mut found = keys.iter().enumerate().filter(|(_, key)| *key == value).map(|(row, _)| row);
            let row = found.next().with_context(|| {
                let near = did_you_mean(value, keys.iter().copied());
                format!("{}: fact {:?}: no row has {key} = {value:?}{near}", path.display(), fact.name)
            })?;
            ensure!(
                found.next().is_none(),
                "{}: fact {:?}: two rows have {key} = {value:?}",
                path.display(),
                fact.name
            );
            Ok(row)
        })
        .collect::<Result<Vec<usize>>>()?;
    csv.columns()
        .iter()
        .filter(|column| **column != key)
        .map(|column| {
            let numbers = csv.column(column)?.numbers_or_missing()?;
            Ok((column.clone(), rows.iter().map(|&row| numbers[row].unwrap_or(MISSING)).collect()))
        })
        .collect()
}
