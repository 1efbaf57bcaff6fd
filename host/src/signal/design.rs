//! From `[signal]` to the record: filters, window functions, filter banks and their integers.

use std::f64::consts::PI;

use anyhow::{Context, Result, ensure};
use attar_shared::{
    Arithmetic, BlockDefinition, Detection, MAX_DECIMATION, MAX_FACTOR, MAX_WINDOW, MIN_TRANSFORM, MelDefinition,
    SignalDefinition, Stage, Statistics, Table,
};

use crate::signal::recipe;
use recipe::{Feature, Filter, Scale, Statistic, Taper};

/// A front-end in double precision: what the record's integers or floats are rounded from, and what its errors are measured
/// against.
#[derive(Debug, Clone, PartialEq)]
pub struct Design {
    /// In what numbers the board computes.
    pub arithmetic: Arithmetic,
    /// Channels.
    pub channels: usize,
    /// Samples a second.
    pub rate: f64,
    /// Samples of a window and of a hop, after the stages.
    pub window: usize,
    /// Samples of a hop.
    pub hop: usize,
    /// Samples of the transform, or 0.
    pub transform: usize,
    /// Hops between runs.
    pub every: usize,
    /// Whether windows lose their mean.
    pub remove_mean: bool,
    /// How fast the running mean follows, or 0.
    pub follow: f64,
    /// When answers make a detection.
    pub detection: Option<Detection>,
    /// What samples go through.
    pub stages: Vec<Step>,
    /// A factor for each sample of a window.
    pub taper: Vec<f64>,
    /// What is computed of each window.
    pub blocks: Vec<Block>,
}

/// What samples go through.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// b0, b1, b2, a1, a2.
    Biquad([f64; 5]),
    /// The absolute value.
    Absolute,
    /// One of so many.
    Decimate(usize),
}

/// What is computed of a window.
#[derive(Debug, Clone, PartialEq)]
pub enum Block {
    /// The samples.
    Samples,
    /// These statistics, in order.
    Statistics(Vec<Statistic>),
    /// Lines of the spectrum.
    Spectrum {
        /// Whether in dB.
        decibels: bool,
        /// The first.
        first: usize,
        /// How many.
        count: usize,
        /// The least dB.
        floor: f64,
    },
    /// A filter bank.
    Mel {
        /// The lines between which filters rise and fall.
        edges: Vec<usize>,
        /// The rising filter's weight of each line.
        weights: Vec<f64>,
        /// The least dB.
        floor: f64,
        /// The rows of the cepstrum, or none.
        cosines: Vec<Vec<f64>>,
    },
}

/// Returns mel of a frequency (O'Shaughnessy, Speech Communication, 1987).
pub fn mel_of_hz(hz: f64) -> f64 {
    2595.0 * (1.0 + hz / 700.0).log10()
}

fn hz_of_mel(mel: f64) -> f64 {
    700.0 * (10f64.powf(mel / 2595.0) - 1.0)
}

/// Returns the filters of second order of a Butterworth filter, by the bilinear transform (Oppenheim and Schafer,
/// Discrete-Time Signal Processing, section 7.3): poles in pairs of quality `1 / (2 cos θ)`, one by itself for an odd order.
pub fn butterworth(high: bool, order: usize, hz: f64, rate: f64) -> Vec<[f64; 5]> {
    let k = (PI * hz / rate).tan();
    let mut sections = Vec::new();
    if order % 2 == 1 {
        let norm = 1.0 / (1.0 + k);
        let a1 = (k - 1.0) * norm;
        sections.push(if high { [norm, -norm, 0.0, a1, 0.0] } else { [k * norm, k * norm, 0.0, a1, 0.0] });
    }
    for pair in 0..order / 2 {
        // Angles of the pole pairs from the negative real axis.
        let angle = PI * (2.0 * pair as f64 + 1.0 + (order % 2) as f64) / (2.0 * order as f64);
        let q = 1.0 / (2.0 * angle.cos());
        let norm = 1.0 / (1.0 + k / q + k * k);
        let (b0, b1) = if high { (norm, -2.0 * norm) } else { (k * k * norm, 2.0 * k * k * norm) };
        sections.push([b0, b1, b0, 2.0 * (k * k - 1.0) * norm, (1.0 - k / q + k * k) * norm]);
    }
    sections
}

impl Design {
    /// Returns the design of a recipe; `background` is the index of the class that stands for nothing.
    ///
    /// # Errors
    ///
    /// Names the key that makes no sense and what it may be.
    pub fn new(how: &recipe::Signal, background: Option<u16>) -> Result<Self> {
        let rate = how.rate;
        ensure!(
            rate.is_finite() && (1e-3..=1e7).contains(&rate),
            "signal.rate is {rate}, expected samples a second, 0.001 to 1e7"
        );
        ensure!((1..=8).contains(&how.channels), "signal.channels is {}, expected 1 to 8", how.channels);
        let mut stages = Vec::new();
        let mut current = rate;
        for filter in &how.filters {
            stages.extend(steps_of(filter, &mut current)?);
        }
        ensure!(stages.len() <= 16, "signal.filters make {} stages, at most 16 fit", stages.len());
        let decimation = stages.iter().fold(1usize, |all, step| match step {
            Step::Decimate(by) => all.saturating_mul(*by),
            _ => all,
        });
        ensure!(
            decimation <= MAX_DECIMATION as usize,
            "signal.filters keep one sample of {decimation}, at most one of {MAX_DECIMATION} can be"
        );
        for (index, step) in stages.iter().enumerate() {
            if let Step::Biquad(constants) = step {
                check_biquad(constants, how.arithmetic)
                    .with_context(|| format!("signal.filters, stage {}", index + 1))?;
            }
        }
        let window = how.window.samples("signal.window", current)?;
        let hop = how.hop.samples("signal.hop", current)?;
        ensure!(window <= usize::from(MAX_WINDOW), "signal.window is {window} samples, at most {MAX_WINDOW} fit");
        ensure!(hop <= window, "signal.hop is {hop} samples, more than the window of {window}: samples would be lost");
        ensure!((1..=65_535).contains(&how.every), "signal.every is {}, expected 1 to 65535", how.every);
        ensure!((0.0..=1.0).contains(&how.place), "signal.place is {}, expected 0 (start) to 1 (end)", how.place);
        let has_lines =
            how.features.iter().any(|feature| !matches!(feature, Feature::Samples | Feature::Statistics { .. }));
        let transform = if has_lines { window.next_power_of_two().max(usize::from(MIN_TRANSFORM)) } else { 0 };
        ensure!(
            (1..=4).contains(&how.features.len()),
            "signal.features has {} entries, expected 1 to 4",
            how.features.len()
        );
        let blocks = how
            .features
            .iter()
            .enumerate()
            .map(|(index, feature)| {
                block_of(feature, transform, current).with_context(|| format!("signal.features, entry {}", index + 1))
            })
            .collect::<Result<Vec<_>>>()?;
        let taper = match how.taper {
            _ if !has_lines => Vec::new(),
            Taper::Rectangle => Vec::new(),
            Taper::Hann => cosine_window(window, 0.5),
            Taper::Hamming => cosine_window(window, 0.54),
        };
        // A mean that follows by a in each hop has forgotten 63 % after 1/a hops.
        let forgetting = |name: &str, span: &recipe::Span| -> Result<f64> {
            Ok((1.0 / (span.samples(name, current)? as f64 / hop as f64)).min(1.0))
        };
        let follow = how.running_mean.as_ref().map(|span| forgetting("signal.running_mean", span)).transpose()?;
        let detection = how
            .detection
            .as_ref()
            .map(|detection| {
                let (on, off) = (detection.on, detection.off);
                ensure!(
                    on > 0.0 && on <= 1.0 && (0.0..=on).contains(&off),
                    "signal.detection: on is {on} and off {off}, expected 0 <= off <= on <= 1"
                );
                let runs = forgetting("signal.detection.smooth", &detection.smooth)? * how.every as f64;
                Ok(Detection { smooth: runs.min(1.0) as f32, on: on as f32, off: off as f32, background })
            })
            .transpose()?;
        Ok(Self {
            arithmetic: match how.arithmetic {
                recipe::Arithmetic::Fixed => Arithmetic::Fixed,
                recipe::Arithmetic::Float => Arithmetic::Float,
            },
            channels: how.channels,
            rate,
            window,
            hop,
            transform,
            every: how.every,
            remove_mean: how.remove_mean,
            follow: follow.unwrap_or(0.0),
            detection,
            stages,
            taper,
            blocks,
        })
    }

    /// Returns the features of a window, all channels together.
    pub fn features(&self) -> usize {
        let width = |block: &Block| match block {
            Block::Samples => self.window,
            Block::Statistics(which) => which.len(),
            Block::Spectrum { count, .. } => *count,
            Block::Mel { edges, cosines, .. } if cosines.is_empty() => edges.len() - 2,
            Block::Mel { cosines, .. } => cosines.len(),
        };
        self.channels * self.blocks.iter().map(width).sum::<usize>()
    }

    /// Returns how many samples come in for one that windows get.
    pub fn decimation(&self) -> usize {
        self.stages.iter().map(|step| if let Step::Decimate(by) = step { *by } else { 1 }).product()
    }

    /// Returns the square of what a line of the spectrum is multiplied by to be an amplitude: a sine of amplitude a has a line of
    /// a, whatever the window function.
    pub fn power_gain(&self) -> f64 {
        let sum = if self.taper.is_empty() { self.window as f64 } else { self.taper.iter().sum() };
        (2.0 / sum).powi(2)
    }

    /// Returns the record for an input of so many values.
    ///
    /// # Errors
    ///
    /// When the format has no room for it.
    pub fn record(&self, input: usize) -> Result<Vec<u8>> {
        let fixed = self.arithmetic == Arithmetic::Fixed;
        let half = if self.taper.is_empty() { &[] } else { &self.taper[..=self.window / 2] };
        let sine: Vec<f64> = match self.transform {
            0 => Vec::new(),
            n => (0..=n / 4).map(|k| (2.0 * PI * k as f64 / n as f64).sin()).collect(),
        };
        let (taper, sine) = (Entries::unsigned(half, fixed), Entries::unsigned(if fixed { &sine } else { &[] }, fixed));
        let stages = self.stages.iter().map(|step| self.stage(step)).collect::<Result<Vec<_>>>()?;
        let tables: Vec<[Entries; 2]> = self
            .blocks
            .iter()
            .map(|block| match block {
                Block::Mel { weights, cosines, .. } => {
                    [Entries::unsigned(weights, fixed), Entries::signed(&cosines.concat(), fixed)]
                }
                _ => [Entries::unsigned(&[], fixed), Entries::unsigned(&[], fixed)],
            })
            .collect();
        let edges: Vec<Vec<u16>> = self
            .blocks
            .iter()
            .map(|block| match block {
                Block::Mel { edges, .. } => edges.iter().map(|&edge| edge as u16).collect(),
                _ => Vec::new(),
            })
            .collect();
        let blocks: Vec<BlockDefinition<'_>> = self
            .blocks
            .iter()
            .zip(&tables)
            .zip(&edges)
            .map(|((block, [weights, cosines]), edges)| match block {
                Block::Samples => BlockDefinition::Samples,
                Block::Statistics(which) => BlockDefinition::Statistics(Statistics {
                    set: which.iter().fold(0, |set, one| set | 1 << *one as u8),
                }),
                Block::Spectrum { decibels, first, count, floor } => BlockDefinition::Spectrum {
                    decibels: *decibels,
                    first: *first as u16,
                    count: *count as u16,
                    level: if *decibels { self.level(0) } else { self.amplitude_gain() },
                    floor: if *decibels { self.decibels(*floor) } else { 0 },
                },
                Block::Mel { floor, cosines: rows, .. } => BlockDefinition::Mel(MelDefinition {
                    coefficients: rows.len() as u16,
                    level: self.level(24 - 15),
                    floor: self.decibels(*floor),
                    edges,
                    weights: weights.table(),
                    cosines: cosines.table(),
                }),
            })
            .collect();
        let definition = SignalDefinition {
            arithmetic: self.arithmetic,
            channels: self.channels as u8,
            rate: self.rate as f32,
            window: self.window as u16,
            hop: self.hop as u16,
            transform: self.transform as u16,
            every: self.every as u16,
            remove_mean: self.remove_mean,
            follow: self.follow as f32,
            detection: self.detection,
            stages: &stages,
            taper: taper.table(),
            sine: sine.table(),
            blocks: &blocks,
        };
        let mut buffer = vec![0; 1 << 20];
        let record = definition.write(input, &mut buffer);
        Ok(record.map_err(|defect| anyhow::anyhow!("the front-end does not fit the format: {defect}"))?.to_vec())
    }

    /// Returns the bits of a level in dB.
    fn decibels(&self, value: f64) -> u32 {
        match self.arithmetic {
            Arithmetic::Fixed => ((value * 65_536.0).round() as i32).cast_unsigned(),
            Arithmetic::Float => (value as f32).to_bits(),
        }
    }

    /// Returns the bits of what turns a power of the transform into one of full scale. Integers have it by 2^(54 - shift), halved
    /// once for each doubling of half the transform, squared.
    fn level(&self, shift: i32) -> u32 {
        match self.arithmetic {
            Arithmetic::Fixed => {
                let halves = (self.transform as f64 / 2.0).powi(2);
                self.decibels(10.0 * (self.power_gain() * halves * 2f64.powi(shift - 54)).log10())
            }
            Arithmetic::Float => (self.power_gain() as f32).to_bits(),
        }
    }

    fn amplitude_gain(&self) -> u32 {
        let gain = self.power_gain().sqrt();
        let own = match self.arithmetic {
            Arithmetic::Fixed => gain * self.transform as f64 / 2.0 / 2f64.powi(27),
            Arithmetic::Float => gain,
        };
        (own as f32).to_bits()
    }

    fn stage(&self, step: &Step) -> Result<Stage> {
        Ok(match step {
            Step::Biquad(constants) => {
                let mut bits = [0; 5];
                for (place, &constant) in bits.iter_mut().zip(constants) {
                    *place = match self.arithmetic {
                        Arithmetic::Fixed => {
                            ensure!(
                                (-4.0..4.0).contains(&constant),
                                "signal.filters: a constant of a filter is {constant}, integers go from -4 to 4"
                            );
                            ((constant * 2f64.powi(29)).round() as i32).cast_unsigned()
                        }
                        Arithmetic::Float => (constant as f32).to_bits(),
                    };
                }
                Stage::Biquad(bits)
            }
            Step::Absolute => Stage::Absolute,
            Step::Decimate(by) => Stage::Decimate(*by as u32),
        })
    }
}

/// A table in the arithmetic's entries.
enum Entries {
    Fixed(Vec<u16>),
    Float(Vec<f32>),
}

impl Entries {
    fn unsigned(values: &[f64], fixed: bool) -> Self {
        if fixed {
            Self::Fixed(values.iter().map(|value| (value * 32_768.0).round() as u16).collect())
        } else {
            Self::Float(values.iter().map(|&value| value as f32).collect())
        }
    }

    fn signed(values: &[f64], fixed: bool) -> Self {
        if fixed {
            let entry = |value: f64| (value * 32_768.0).round().clamp(-32_768.0, 32_767.0) as i16;
            Self::Fixed(values.iter().map(|&value| entry(value).cast_unsigned()).collect())
        } else {
            Self::unsigned(values, false)
        }
    }

    fn table(&self) -> Table<'_> {
        match self {
            Self::Fixed(entries) => Table::Fixed(entries),
            Self::Float(entries) => Table::Float(entries),
        }
    }
}

fn cosine_window(len: usize, alpha: f64) -> Vec<f64> {
    (0..len).map(|n| alpha - (1.0 - alpha) * (2.0 * PI * n as f64 / len as f64).cos()).collect()
}

fn steps_of(filter: &Filter, rate: &mut f64) -> Result<Vec<Step>> {
    let below_half = |name: &str, hz: f64| {
        ensure!(
            hz > 0.0 && hz < *rate / 2.0,
            "signal.filters: {name} at {hz} Hz, expected above 0 and below {} Hz, half of the rate there",
            *rate / 2.0
        );
        Ok(())
    };
    let pass = |high: bool, order: usize, hz: f64| -> Result<Vec<Step>> {
        ensure!((1..=8).contains(&order), "signal.filters: order is {order}, expected 1 to 8");
        Ok(butterworth(high, order, hz, *rate).into_iter().map(Step::Biquad).collect())
    };
    Ok(match *filter {
        Filter::Dc { hz } => {
            below_half("dc", hz)?;
            pass(true, 1, hz)?
        }
        Filter::HighPass { hz, order } => {
            below_half("high-pass", hz)?;
            pass(true, order, hz)?
        }
        Filter::LowPass { hz, order } => {
            below_half("low-pass", hz)?;
            pass(false, order, hz)?
        }
        Filter::Emphasis { by } => {
            ensure!(by > 0.0 && by < 1.0, "signal.filters: emphasis by {by}, expected above 0 and below 1");
            vec![Step::Biquad([1.0, -by, 0.0, 0.0, 0.0])]
        }
        Filter::Biquad { constants } => {
            ensure!(constants.iter().all(|constant| constant.is_finite()), "signal.filters: a constant is not finite");
            vec![Step::Biquad(constants)]
        }
        Filter::Absolute => vec![Step::Absolute],
        Filter::Decimate { by } => {
            ensure!(
                (2..=MAX_FACTOR as usize).contains(&by),
                "signal.filters: decimate by {by}, expected 2 to {MAX_FACTOR}"
            );
            *rate /= by as f64;
            vec![Step::Decimate(by)]
        }
    })
}

/// Checks that a filter of second order dies away, and in integers far enough.
fn check_biquad(&[b0, b1, b2, a1, a2]: &[f64; 5], arithmetic: recipe::Arithmetic) -> Result<()> {
    ensure!(
        a2.abs() < 1.0 && a1.abs() < 1.0 + a2,
        "a filter with a1 = {a1}, a2 = {a2} does not die away: expected |a2| < 1 and |a1| < 1 + a2"
    );
    // What rounding keeps alive after the signal has ended: half a step of 2^-27 over the distance of the poles from 1 and -1.
    // A filter of first order falls to its last step, since it goes one way.
    let left = 2f64.powi(-28) / (1.0 + a1 + a2).min(1.0 - a1 + a2);
    let level = 20.0 * left.log10();
    let gain = [b0, b1, b2].into_iter().map(f64::abs).fold(0.0, f64::max);
    ensure!(
        arithmetic == recipe::Arithmetic::Float || a2 == 0.0 || (left <= 1e-4 && gain >= 2f64.powi(-20)),
        "in integers this filter would hang at {level:.0} dB of full scale when the signal is over: decimate before it, take a \
         higher corner, or arithmetic = \"float\""
    );
    Ok(())
}

fn block_of(feature: &Feature, transform: usize, rate: f64) -> Result<Block> {
    let floor_of = |floor: f64| {
        ensure!((-200.0..=0.0).contains(&floor), "floor is {floor} dB, expected -200 to 0");
        Ok(floor)
    };
    match feature {
        Feature::Samples => Ok(Block::Samples),
        Feature::Statistics { of } => {
            let mut which = of.clone();
            which.sort_unstable();
            which.dedup();
            ensure!(!of.is_empty(), "of = [] names no statistic");
            ensure!(which.len() == of.len(), "of names a statistic twice");
            Ok(Block::Statistics(which))
        }
        Feature::Spectrum { from, to, scale, floor } => {
            let (step, lines) = (rate / transform as f64, transform / 2);
            let line = |hz: f64| (hz / step).round().max(0.0) as usize;
            let first = from.map_or(1, line);
            let last = to.map_or(lines - 1, line).min(lines - 1);
            let (least, greatest) = (from.unwrap_or(step), to.unwrap_or(rate / 2.0));
            ensure!(
                (0.0..=rate / 2.0).contains(&least) && (0.0..=rate / 2.0).contains(&greatest),
                "from {least} to {greatest} Hz, expected frequencies up to {} Hz, half of the rate",
                rate / 2.0
            );
            ensure!(
                first <= last,
                "from {least} to {greatest} Hz holds no line of the spectrum, which are {step:.1} Hz apart"
            );
            let decibels = *scale == Scale::Db;
            Ok(Block::Spectrum { decibels, first, count: last - first + 1, floor: floor_of(*floor)? })
        }
        Feature::Mel { bands, from, to, floor } => {
            bank(*bands, 0, [*from, to.unwrap_or(rate / 2.0)], floor_of(*floor)?, transform, rate)
        }
        Feature::Mfcc { coefficients, bands, from, to, floor } => {
            ensure!(
                (1..=*bands).contains(coefficients),
                "coefficients is {coefficients}, expected 1 to the {bands} bands"
            );
            bank(*bands, *coefficients, [*from, to.unwrap_or(rate / 2.0)], floor_of(*floor)?, transform, rate)
        }
    }
}

/// Returns a bank of triangular filters whose corners are equally far apart in mel (Davis and Mermelstein 1980), and the rows
/// of an orthonormal DCT-II for a cepstrum.
fn bank(
    bands: usize,
    coefficients: usize,
    [from, to]: [f64; 2],
    floor: f64,
    transform: usize,
    rate: f64,
) -> Result<Block> {
    ensure!((1..=128).contains(&bands), "bands is {bands}, expected 1 to 128");
    ensure!(
        from >= 0.0 && from < to && to <= rate / 2.0,
        "from {from} to {to} Hz, expected rising frequencies up to {} Hz, half of the rate",
        rate / 2.0
    );
    let (low, high) = (mel_of_hz(from), mel_of_hz(to));
    let corners: Vec<f64> =
        (0..bands + 2).map(|corner| hz_of_mel(low + (high - low) * corner as f64 / (bands + 1) as f64)).collect();
    let step = rate / transform as f64;
    let edges: Vec<usize> =
        corners.iter().map(|hz| ((hz / step - 1e-9).ceil().max(0.0) as usize).min(transform / 2)).collect();
    if let Some(band) = (0..bands).find(|&band| edges[band] == edges[band + 2]) {
        anyhow::bail!(
            "band {} of {bands}, from {:.0} to {:.0} Hz, holds no line of the spectrum, which are {step:.1} Hz apart: take fewer \
             bands or a longer window",
            band + 1,
            corners[band],
            corners[band + 2]
        );
    }
    let mut weights = Vec::new();
    for segment in 0..=bands {
        for line in edges[segment]..edges[segment + 1] {
            let share = (line as f64 * step - corners[segment]) / (corners[segment + 1] - corners[segment]);
            weights.push(share.clamp(0.0, 1.0));
        }
    }
    let count = bands as f64;
    let cosines = (0..coefficients)
        .map(|row| {
            let scale = (if row == 0 { 1.0 } else { 2.0 } / count).sqrt();
            (0..bands).map(|band| scale * (PI * row as f64 * (band as f64 + 0.5) / count).cos()).collect()
        })
        .collect();
    Ok(Block::Mel { edges, weights, floor, cosines })
}
