//! Signals as they might have been: of another speaker, in another room, over another microphone.

use rand::Rng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};

use crate::recipe::signal as recipe;
use crate::signal::{Color, noise};

/// Where a sample lies in a recording.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cut<'a> {
    /// The whole recording, samples of several channels taking turns.
    pub recording: &'a [i16],
    /// Where the sample begins, in samples of each channel.
    pub start: usize,
    /// How long it is, in samples of each channel.
    pub length: usize,
    /// How much of what comes before it is wanted as well.
    pub settle: usize,
    /// Where a shorter recording stands, from 0 to 1.
    pub place: f64,
    /// Channels.
    pub channels: usize,
    /// Samples a second and channel.
    pub rate: f64,
}

/// How training samples are varied, in samples.
#[derive(Debug, Clone, PartialEq)]
pub struct Variation {
    /// Samples by which the signal is moved at most.
    pub shift: usize,
    /// Samples in which echoes fall by 60 dB at most.
    pub echo: usize,
    /// The recipe's other keys.
    pub how: recipe::Vary,
}

impl Variation {
    /// Returns the signal of a cut as another recording of it might be.
    pub(super) fn apply(&self, cut: Cut<'_>, random: &mut ChaCha8Rng) -> Vec<i16> {
        let how = &self.how;
        let factor = |by: f64, random: &mut ChaCha8Rng| (random.random_range(-1.0..=1.0) * (1.0 + by).ln()).exp();
        let speed = factor(how.speed, random);
        let moved = random.random_range(-(self.shift as f64)..=self.shift as f64);
        let gain = 10f64.powf(random.random_range(-1.0..=1.0) * how.gain_db / 20.0);
        let tempo = factor(how.tempo, random);
        // What another speed or place may bring into view, and a little more.
        let wanted = cut.settle + cut.length;
        let reach = ((wanted + self.shift) as f64 * (1.0 + how.speed) * tempo) as usize + wanted;
        let first = cut.start.saturating_sub(reach);
        let last = (cut.start + reach).min(cut.recording.len() / cut.channels);
        let part = cut.recording[first * cut.channels..last * cut.channels].iter();
        let mut source: Vec<f64> = part.map(|&x| f64::from(x)).collect();
        if how.tempo > 0.0 {
            let frame = ((0.03 * cut.rate) as usize).max(4);
            source = stretched(&source, cut.channels, tempo, frame);
        }
        let start = (cut.start - first) as f64 / tempo;
        let mut values = resampled(&source, start, speed, moved, cut);
        if self.echo > 0 {
            let decay = random.random_range(0.0..=1.0) * self.echo as f64;
            echo(&mut values, cut.channels, decay, random);
        }
        if how.tone_db > 0.0 {
            tone(&mut values, cut.channels, cut.rate, how.tone_db, random);
        }
        let power = values.iter().map(|x| x * x).sum::<f64>() / values.len().max(1) as f64;
        if let (Some([least, greatest]), true) = (how.snr_db, power > 0.0) {
            let snr = random.random_range(least..=greatest);
            let db = 10.0 * (power / 32_768f64.powi(2)).log10() - snr;
            let added = noise(values.len(), Color::draw(random), db, random);
            values.iter_mut().zip(added).for_each(|(value, added)| *value += added);
        }
        values.iter_mut().for_each(|value| *value *= gain);
        if let Some([least, greatest]) = how.noise_db {
            let db = random.random_range(least..=greatest);
            let added = noise(values.len(), Color::draw(random), db, random);
            values.iter_mut().zip(added).for_each(|(value, added)| *value += added);
        }
        values.into_iter().map(|value| value.round() as i16).collect()
    }
}

/// Returns a cut that is faster and elsewhere; between two samples lies a line.
fn resampled(source: &[f64], start: f64, speed: f64, moved: f64, cut: Cut<'_>) -> Vec<f64> {
    let count = source.len() / cut.channels;
    let before = ((cut.length as f64 - (count as f64 - start) / speed).max(0.0) * cut.place).round();
    let wanted = cut.settle + cut.length;
    let mut values = Vec::with_capacity(wanted * cut.channels);
    for position in 0..wanted {
        let at = start + (position as f64 - cut.settle as f64 - before - moved) * speed;
        let (first, share) = (at.floor(), at - at.floor());
        for channel in 0..cut.channels {
            let value = |place: f64| {
                let inside = place >= 0.0 && place < count as f64;
                if inside { source[place as usize * cut.channels + channel] } else { 0.0 }
            };
            values.push(value(first) * (1.0 - share) + value(first + 1.0) * share);
        }
    }
    values
}

/// Returns a signal that goes faster by a factor at its own pitch: frames are laid over each other, each from where it fits best to
/// what went before (WSOLA; Verhelst and Roelands 1993).
fn stretched(source: &[f64], channels: usize, factor: f64, frame: usize) -> Vec<f64> {
    let hop = frame / 2;
    let count = source.len() / channels;
    let length = (count as f64 / factor) as usize;
    let mut values = vec![0.0; (length + frame) * channels];
    let at = |place: i64, channel: usize| match usize::try_from(place) {
        Ok(place) if place < count => source[place * channels + channel],
        _ => 0.0,
    };
    let hann = |n: usize| 0.5 - 0.5 * (std::f64::consts::PI * n as f64 / hop as f64).cos();
    let alike = |a: i64, b: i64| -> f64 {
        (0..hop as i64).map(|n| (0..channels).map(|c| at(a + n, c) * at(b + n, c)).sum::<f64>()).sum()
    };
    let mut place = -(hop as i64);
    for index in 0..=length / hop {
        let (follows, wanted) = (place + hop as i64, ((index as f64 - 1.0) * hop as f64 * factor).round() as i64);
        let search = (hop / 2) as i64;
        place = if index == 0 {
            wanted
        } else {
            let offsets = (0..=search).flat_map(|n| [wanted - n, wanted + n]);
            offsets.max_by(|&a, &b| alike(a, follows).total_cmp(&alike(b, follows))).unwrap_or(wanted)
        };
        for n in 0..2 * hop {
            let weight = hann(n);
            for channel in 0..channels {
                let to = (index * hop + n) as i64 - hop as i64;
                if let Ok(to) = usize::try_from(to) {
                    values[to * channels + channel] += weight * at(place + n as i64, channel);
                }
            }
        }
    }
    values.truncate(length * channels);
    values
}

/// Adds echoes that fall by 60 dB within so many samples, at times and with signs drawn by chance: what a room does, in a few
/// taps (velvet noise; Karjalainen and Järveläinen 2007).
fn echo(values: &mut [f64], channels: usize, decay: f64, random: &mut ChaCha8Rng) {
    let level = random.random_range(0.0..=0.5);
    let taps: Vec<(usize, f64)> = (0..64)
        .map(|_| {
            let after = random.random_range(0.0..=1.0) * decay;
            let height: f64 = StandardNormal.sample(random);
            (after as usize + 1, level * height * 10f64.powf(-3.0 * after / decay.max(1.0)) / 4.0)
        })
        .collect();
    let plain = values.to_vec();
    for (after, height) in taps {
        values.iter_mut().skip(after * channels).zip(&plain).for_each(|(value, earlier)| *value += height * earlier);
    }
}

/// Gives what lies below and above a corner gains of their own.
fn tone(values: &mut [f64], channels: usize, rate: f64, most_db: f64, random: &mut ChaCha8Rng) {
    let highest = (rate / 4.0).max(200.0 * 1.01);
    let corner = 200.0 * (highest / 200.0).powf(random.random_range(0.0..=1.0));
    let mut gain = || 10f64.powf(random.random_range(-most_db..=most_db) / 20.0);
    let (low, high) = (gain(), gain());
    let follow = 1.0 - (-2.0 * std::f64::consts::PI * corner / rate).exp();
    let mut below = vec![0.0; channels];
    for frame in values.chunks_exact_mut(channels) {
        for (value, below) in frame.iter_mut().zip(&mut below) {
            *below += (*value - *below) * follow;
            *value = low * *below + high * (*value - *below);
        }
    }
}
