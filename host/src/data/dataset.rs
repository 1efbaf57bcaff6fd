//! A data set: raw values as the reader found them, and batches of it as the network wants them.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use anyhow::Result;
use candle_core::{Device, Tensor};
use rand::Rng;
use rand_chacha::ChaCha8Rng;

use super::recordings::Clips;
use super::{Augment, Splits};
use crate::domain::{Array, Moments, Normalize, Outliers};
use crate::facts::{Audience, FactColumn, FactSchema};
use crate::heads::{Labels, Target};
use crate::net::Net;
use crate::signal::Design;
use crate::support::suggest::{did_you_mean, listed, shortened};

/// Samples with their facts and targets, all in raw units.
#[derive(Debug)]
pub struct Dataset {
    /// What the input is called in the model.
    pub input_name: String,
    /// Whether it is a text: its bytes as int8, zeros after them.
    pub is_text: bool,
    /// `[samples, height * width * channels]`, channels last.
    pub inputs: Array,
    /// `[height, width, channels]` of a sample.
    pub input_shape: [usize; 3],
    /// The names of the channels, or none.
    pub channels: Vec<String>,
    /// How raw inputs are brought to mean 0 and deviation 1.
    pub normalization: Normalization,
    /// The facts, in the order of the recipe.
    pub facts: FactSchema,
    /// The values of each fact; a category's is the index of its value.
    pub fact_columns: Vec<FactColumn>,
    /// The targets of each head, in the order of the recipe.
    pub targets: Vec<Target>,
    /// Which sample is used for what.
    pub splits: Splits,
    /// The sample with which a test part of its own begins, if the data have one.
    pub test_from: Option<usize>,
    /// How training samples are varied, if they are.
    pub augment: Option<Augment>,
    /// Where features come from: the front-end, and the recordings behind each sample.
    pub signal: Option<(Design, Clips)>,
    /// The file and the line in it of each sample, of data from a table.
    pub lines: Option<(String, Vec<u64>)>,
    /// What tells these data from others: a hash of the files, or of the simulator's settings.
    pub fingerprint: String,
    /// The facts encoded for the board, `[samples, values]`, mask included.
    pub(super) encoded_facts: Vec<f32>,
    /// The same for a teacher, where it sees more.
    pub(super) encoded_for_teacher: Option<Vec<f32>>,
}

/// `x * gain + offset` for each channel, or one pair for all.
#[derive(Debug, Clone, PartialEq)]
pub struct Normalization {
    /// Factors.
    pub gains: Vec<f32>,
    /// What is added after the gain.
    pub offsets: Vec<f32>,
    /// The channels whose values are clipped, because single ones lie far outside of all others.
    pub limits: Vec<Limit>,
}

/// What the raw values of a channel are clipped to.
#[derive(Debug, Clone, PartialEq)]
pub struct Limit {
    /// The channel.
    pub channel: usize,
    /// The smallest and the largest value that pass.
    pub range: [f32; 2],
    /// Values of the training split that lie far outside.
    pub count: usize,
    /// The first sample with such a value.
    pub sample: usize,
    /// That value.
    pub value: f32,
}

/// Samples as tensors.
#[derive(Debug)]
pub struct Batch {
    /// `[batch, height, width, channels]`, normalised.
    pub input: Tensor,
    /// `[batch, 1, 1, values]`, encoded, if there are facts.
    pub facts: Option<Tensor>,
}

/// What a batch does with the facts.
#[derive(Debug)]
pub enum FactUse<'a> {
    /// Leaves them out.
    Without,
    /// Takes somebody's as they are.
    AsKnown(Audience),
    /// Hides each of somebody's with a chance.
    Dropped(Audience, f64, &'a mut ChaCha8Rng),
}

impl FactUse<'_> {
    /// Returns that of a network: the facts that it takes, as they are.
    pub fn of(net: &Net) -> Self {
        net.graph.audience.map_or(Self::Without, Self::AsKnown)
    }

    /// Returns whose facts they are; nothing when they are left out.
    pub fn audience(&self) -> Option<Audience> {
        match self {
            Self::Without => None,
            Self::AsKnown(audience) | Self::Dropped(audience, ..) => Some(*audience),
        }
    }
}

impl Dataset {
    /// Returns the number of samples.
    pub fn len(&self) -> usize {
        self.inputs.rows()
    }

    /// Returns whether there is no sample.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns where a sample comes from, where the data say so: file and line of a table, or a recording and the second in it.
    pub fn place(&self, sample: usize) -> Option<String> {
        if let Some((file, lines)) = &self.lines {
            return Some(format!("{file}:{}", lines.get(sample)?));
        }
        let (_, clips) = self.signal.as_ref()?;
        let &(recording, start) = clips.cuts.get(sample)?;
        let path = &clips.recordings.get(recording)?.path;
        // The folder of the data is nobody else's business.
        let parts: Vec<_> = path.iter().rev().take(2).map(|part| part.to_string_lossy()).collect();
        let name: Vec<&str> = parts.iter().rev().map(AsRef::as_ref).collect();
        Some(format!("{}, {:.3} s", name.join("/"), start as f64 / clips.rate))
    }

    /// Returns a warning about test samples that are training samples as well, if there are any.
    fn duplicates(&self) -> Option<String> {
        let key = |sample: usize| {
            let mut hash = DefaultHasher::new();
            let bits = |value: f32| if value == 0.0 { 0 } else { value.to_bits() };
            self.input(sample).iter().for_each(|&value| bits(value).hash(&mut hash));
            self.facts_of(sample).for_each(|value| value.map(bits).hash(&mut hash));
            hash.finish()
        };
        let trained: HashMap<u64, usize> =
            self.splits.train.iter().rev().map(|&sample| (key(sample), sample)).collect();
        let mut same = self.splits.test.iter().filter_map(|&sample| Some((sample, *trained.get(&key(sample))?)));
        let (first, of) = same.next()?;
        let name = |sample: usize| self.place(sample).unwrap_or_else(|| format!("sample {sample}"));
        let grouped = self.lines.is_some() || self.signal.is_some();
        Some(format!(
            "warning: {} of {} test samples have the inputs and facts of a training sample, {} those of {}: figures count them \
             as unseen: leave duplicates out{}",
            1 + same.count(),
            self.splits.test.len(),
            name(first),
            name(of),
            if grouped { ", or keep them in one split by data.split.group" } else { "" }
        ))
    }

    /// Returns what is worth a word before anything is trained: facts that are missing, classes and splits that are too small
    /// to say anything.
    pub fn remarks(&self) -> Vec<String> {
        let mut remarks = Vec::new();
        let given = self.facts.facts.iter().zip(&self.fact_columns).filter(|(fact, _)| !fact.is_computed());
        let missing = given.filter_map(|(fact, column)| {
            let count = column.iter().filter(|value| value.is_none()).count();
            (count > 0).then(|| format!("{} {:.1} %", fact.name, count as f64 / column.len() as f64 * 100.0))
        });
        let missing: Vec<String> = missing.collect();
        if !missing.is_empty() {
            remarks.push(format!("facts missing: {}", missing.join(", ")));
        }
        let test = &self.splits.test;
        if (1..FEW_SAMPLES).contains(&test.len()) {
            remarks.push(format!("warning: the test split has {} samples: its figures say little", test.len()));
        }
        remarks.extend(self.duplicates());
        for target in &self.targets {
            let Labels::Flags(flags) = &target.values else { continue };
            for output in 0..target.outputs {
                let mut known = flags.iter().skip(output).step_by(target.outputs).flatten();
                let Some(first) = known.next().filter(|first| known.all(|flag| flag == *first)) else { continue };
                let of = if target.outputs == 1 { String::new() } else { format!(" of output {output}") };
                remarks.push(format!(
                    "warning: {}: every label{of} is {}: there is nothing to learn",
                    target.name,
                    u8::from(*first)
                ));
            }
        }
        for target in &self.targets {
            let Labels::Classes(classes) = &target.values else { continue };
            let mut counts = vec![0usize; target.outputs];
            let mut in_training = counts.clone();
            classes.iter().flatten().for_each(|&class| counts[usize::from(class)] += 1);
            let trained = self.splits.train.iter().filter_map(|&sample| classes[sample]);
            trained.for_each(|class| in_training[usize::from(class)] += 1);
            let name_of = |class: usize| target.labels.get(class).cloned().unwrap_or_else(|| class.to_string());
            let empty: Vec<String> = (0..target.outputs).filter(|&class| counts[class] == 0).map(name_of).collect();
            if !empty.is_empty() {
                let advice = match (target.labels.is_empty(), counts[0]) {
                    (true, 0) => ": labels of arrays are counted from 0",
                    _ => "",
                };
                remarks.push(format!(
                    "warning: {}: no sample has class {}: the student will not know {}{advice}",
                    target.name,
                    listed(&empty),
                    if empty.len() == 1 { "it" } else { "them" }
                ));
            }
            let untrained = (0..target.outputs).filter(|&class| counts[class] > 0 && in_training[class] == 0);
            let untrained: Vec<String> = untrained.map(name_of).collect();
            if !untrained.is_empty() {
                let names = listed(&untrained);
                remarks.push(format!("warning: {}: no sample of the training split has class {names}", target.name));
            }
            let names = || target.labels.iter().map(String::as_str);
            let few: Vec<(usize, usize)> =
                counts.iter().copied().enumerate().filter(|(_, count)| (1..FEW_OF_A_CLASS).contains(count)).collect();
            for &(class, count) in few.iter().take(MOST_LINES) {
                let name = target.labels.get(class).map_or("", String::as_str);
                let near = did_you_mean(name, names().filter(|other| *other != name));
                let shown = shortened(name);
                remarks.push(format!("warning: {}: class {shown:?} has {count} samples{near}", target.name));
            }
            if few.len() > MOST_LINES {
                let more = few.len() - MOST_LINES;
                remarks.push(format!("warning: {}: and {more} classes more have as few", target.name));
            }
        }
        remarks
    }

    /// Returns a sample's values in raw units.
    pub fn input(&self, sample: usize) -> &[f32] {
        self.inputs.row(sample)
    }

    /// Returns a sample's facts of the board, as [`attar_device::Facts::set_raw`] takes them: nothing for those that the board
    /// computes by itself.
    pub fn facts_of(&self, sample: usize) -> impl Iterator<Item = Option<f32>> + '_ {
        let seen = self.facts.seen_by(Audience::Board).iter().zip(&self.fact_columns);
        seen.map(move |(fact, column)| if fact.is_computed() { None } else { column[sample] })
    }

    /// Returns samples as tensors: each value is read, normalised and written once.
    ///
    /// # Errors
    ///
    /// When the device refuses an allocation.
    pub fn batch(&self, samples: &[usize], facts: FactUse<'_>, device: &Device) -> Result<Batch> {
        self.tensors(samples.len(), self.rows(samples), self.fact_rows(samples, facts), device)
    }

    /// Returns rows of inputs and facts as tensors.
    ///
    /// # Errors
    ///
    /// When there are too few values, or the device refuses an allocation.
    pub fn tensors(&self, count: usize, input: Vec<f32>, facts: Option<Vec<f32>>, device: &Device) -> Result<Batch> {
        let [height, width, channels] = self.input_shape;
        let input = Tensor::from_vec(input, (count, height, width, channels), device)?;
        let facts = match facts {
            Some(values) => {
                let width = values.len() / count.max(1);
                Some(Tensor::from_vec(values, (count, 1, 1, width), device)?)
            }
            None => None,
        };
        Ok(Batch { input, facts })
    }

    /// Returns the normalised values of samples, row by row.
    pub fn rows(&self, samples: &[usize]) -> Vec<f32> {
        let len = self.inputs.row_len();
        let mut values = vec![0.0; samples.len() * len];
        let rows = values.chunks_exact_mut(len).zip(samples);
        rows.for_each(|(row, &sample)| self.normalization.write(row, self.input(sample)));
        values
    }

    /// Returns the encoded facts of samples, row by row, if there are any and they are used.
    pub fn fact_rows(&self, samples: &[usize], facts: FactUse<'_>) -> Option<Vec<f32>> {
        let audience = facts.audience()?;
        let width = self.facts.width(audience);
        if width == 0 {
            return None;
        }
        let encoded = match (&self.encoded_for_teacher, audience) {
            (Some(encoded), Audience::Teacher) => encoded,
            _ => &self.encoded_facts,
        };
        let mut values = Vec::with_capacity(samples.len() * width);
        for &sample in samples {
            values.extend_from_slice(&encoded[sample * width..][..width]);
        }
        self.hide(&mut values, facts);
        Some(values)
    }

    /// Hides facts in encoded rows, where that is what they are for.
    pub(super) fn hide(&self, encoded: &mut [f32], facts: FactUse<'_>) {
        let FactUse::Dropped(audience, chance, random) = facts else { return };
        let groups = self.facts.hidden_together(audience);
        for row in encoded.chunks_exact_mut(self.facts.width(audience).max(1)) {
            for (own, places) in &groups {
                let chance = own.unwrap_or(chance);
                if chance > 0.0 && random.random::<f64>() < chance {
                    places.iter().for_each(|&place| row[place] = 0.0);
                }
            }
        }
    }
}

impl Normalization {
    /// Puts the normalised values of a sample into a row.
    pub(super) fn write(&self, row: &mut [f32], raw: &[f32]) {
        match (self.gains.as_slice(), self.offsets.as_slice()) {
            ([gain], [offset]) => row.iter_mut().zip(raw).for_each(|(y, x)| *y = x * gain + offset),
            (gains, offsets) => {
                for (row, pixel) in row.chunks_exact_mut(gains.len()).zip(raw.chunks_exact(gains.len())) {
                    let pairs = gains.iter().zip(offsets);
                    for ((y, x), (gain, offset)) in row.iter_mut().zip(pixel).zip(pairs) {
                        *y = x * gain + offset;
                    }
                }
            }
        }
        for &Limit { channel, range: [least, greatest], .. } in &self.limits {
            let [low, high] = [least, greatest].map(|x| x * self.gains[channel] + self.offsets[channel]);
            row.iter_mut().skip(channel).step_by(self.gains.len()).for_each(|y| *y = y.clamp(low, high));
        }
    }

    /// Measures mean and deviation over the training split, of values within the limits of their channel.
    pub(super) fn measure(
        inputs: &Array,
        train: &[usize],
        channels: usize,
        how: Normalize,
        outliers: Outliers,
    ) -> Self {
        let groups = match how {
            Normalize::None => return Self { gains: vec![1.0], offsets: vec![0.0], limits: Vec::new() },
            Normalize::All => 1,
            Normalize::Channel => channels,
        };
        // Columns of a table only: in a series or an image single large values are what is to be seen.
        let columns = how == Normalize::Channel && channels == inputs.row_len();
        let limits: Vec<Limit> = match outliers {
            Outliers::Clip if columns => (0..groups).filter_map(|group| Limit::find(inputs, train, group)).collect(),
            _ => Vec::new(),
        };
        let mut ranges = vec![[f32::NEG_INFINITY, f32::INFINITY]; groups];
        limits.iter().for_each(|limit| ranges[limit.channel] = limit.range);
        let mut moments = vec![Moments::default(); groups];
        for &sample in train {
            for (index, &x) in inputs.row(sample).iter().enumerate() {
                let [least, greatest] = ranges[index % groups];
                moments[index % groups].add(x.clamp(least, greatest));
            }
        }
        let (gains, offsets) = moments
            .iter()
            .map(|moments| {
                let [mean, deviation] = moments.mean_and_deviation();
                (1.0 / deviation, -mean / deviation)
            })
            .unzip();
        Self { gains, offsets, limits }
    }
}

impl Limit {
    /// Returns the limit of a column, if single values of it lie far outside of all others.
    ///
    /// Quartiles are computed from at most [`LOOK`] evenly spaced values. A column of which half the values are equal may have no
    /// interquartile range, and then has no limit.
    fn find(inputs: &Array, train: &[usize], channel: usize) -> Option<Self> {
        let values = || train.iter().map(|&sample| (sample, inputs.row(sample)[channel]));
        let mut some: Vec<f32> = values().step_by(train.len().div_ceil(LOOK).max(1)).map(|(_, x)| x).collect();
        some.retain(|x| x.is_finite());
        some.sort_unstable_by(f32::total_cmp);
        let (low, high) = (*some.get(some.len() / 4)?, *some.get(some.len() * 3 / 4)?);
        let spread = high - low;
        if some.len() < FEW_SAMPLES || spread <= 0.0 {
            return None;
        }
        let far = |&(_, x): &(usize, f32)| x < low - FAR * spread || x > high + FAR * spread;
        let (sample, value) = values().find(far)?;
        let count = values().filter(far).count();
        let range = [low - NEAR * spread, high + NEAR * spread];
        (count <= train.len() / 20).then_some(Self { channel, range, count, sample, value })
    }
}

/// Interquartile ranges beyond the quartiles from which on a value is an outlier; of normal values 1 in 10^160 lies there.
const FAR: f32 = 20.0;

/// Interquartile ranges beyond the quartiles that outliers are clipped to: seven deviations of normal values.
const NEAR: f32 = 5.0;

/// Values of a column that its quartiles are taken from.
const LOOK: usize = 100_000;

/// Fewer samples than that make no figure.
const FEW_SAMPLES: usize = 20;

/// Classes of few samples that are named.
const MOST_LINES: usize = 5;

/// Fewer samples of a class than that teach nothing of it.
const FEW_OF_A_CLASS: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;

    fn column(values: impl Iterator<Item = f32>) -> Array {
        let values: Vec<f32> = values.flat_map(|x| [x, 1.0]).collect();
        Array::new(vec![values.len() / 2, 2], values).unwrap()
    }

    fn measured(inputs: &Array, outliers: Outliers) -> Normalization {
        let train: Vec<usize> = (0..inputs.rows()).collect();
        Normalization::measure(inputs, &train, 2, Normalize::Channel, outliers)
    }

    #[test]
    fn one_reading_far_outside_does_not_flatten_its_column() {
        let clean = || (0..600).map(|at| (at as f32 * 0.7).sin());
        let spoilt = column(clean().take(599).chain([-999.0]));
        let kept = measured(&spoilt, Outliers::Keep);
        assert!(kept.gains[0] < 0.05 && kept.limits.is_empty());
        let clipped = measured(&spoilt, Outliers::Clip);
        let limit = &clipped.limits[0];
        assert_eq!((limit.channel, limit.count, limit.sample, limit.value), (0, 1, 599, -999.0));
        let expected = measured(&column(clean()), Outliers::Clip);
        assert!(expected.limits.is_empty());
        assert!((clipped.gains[0] / expected.gains[0] - 1.0).abs() < 0.1, "{clipped:?} {expected:?}");
        let mut row = [0.0; 2];
        clipped.write(&mut row, &[-999.0, 1.0]);
        assert!((-20.0..-5.0).contains(&row[0]), "{row:?}");
        let mut row = [0.0; 2];
        clipped.write(&mut row, &[0.5, 1.0]);
        assert_eq!(row[0], 0.5 * clipped.gains[0] + clipped.offsets[0]);
    }

    #[test]
    fn values_that_are_many_or_near_are_no_outliers() {
        // 7 % at -999 are a second kind of sample; 12 deviations are far, but not that far; most values equal have no range.
        for values in [
            column((0..600).map(|at| if at % 15 == 0 { -999.0 } else { (at as f32).sin() })),
            column((0..600).map(|at| if at == 7 { 12.0 } else { (at as f32).sin() })),
            column((0..600).map(|at| if at % 5 == 0 { at as f32 } else { 0.0 })),
        ] {
            let [clipped, kept] = [Outliers::Clip, Outliers::Keep].map(|outliers| measured(&values, outliers));
            assert_eq!(clipped, kept);
        }
    }
}
