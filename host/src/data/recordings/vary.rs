//! Signals as they might have been: of another speaker, in another room, over another microphone.

use rand::Rng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};

use crate::signal::recipe;
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
            let added = noise(wanted, cut.channels, Color::draw(random), db, random);
            values.iter_mut().zip(added).for_each(|(value, added)| *value += added);
        }
        values.iter_mut().for_each(|value| *value *= gain);
        if let Some([least, greatest]) = how.noise_db {
            let db = random.random_range(least..=greatest);
            let added = noise(wanted, cut.channels, Color::draw(random), db, random);
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
    let (hop, count) = (frame / 2, source.len() / channels);
    let (length, search) = ((count as f64 / factor) as usize, hop / 2);
    // Silence around it, so that every frame is whole: the first one begins before the signal, the last ends behind it.
    let before = hop * (factor.ceil() as usize + 2);
    let behind = before + 2 * frame;
    let mut padded = vec![0.0; (before + count + behind) * channels];
    padded[before * channels..(before + count) * channels].copy_from_slice(source);
    let at = |place: usize, count: usize| &padded[place * channels..(place + count) * channels];
    let alike = |a: usize, b: usize| at(a, hop).iter().zip(at(b, hop)).map(|(a, b)| a * b).sum::<f64>();
    let last = before + count + behind - frame;
    let hann: Vec<f64> =
        (0..2 * hop).map(|n| 0.5 - 0.5 * (std::f64::consts::PI * n as f64 / hop as f64).cos()).collect();
    let mut values = vec![0.0; (length + 3 * hop) * channels];
    let mut place: Option<usize> = None;
    // Frame k lies at hop k - 1 of what is returned, which is cut off in front.
    for index in 0..=length / hop + 1 {
        let wanted = before as f64 + (index as f64 - 1.0) * hop as f64 * factor;
        let wanted = (wanted.round() as usize).clamp(search, last - search);
        let follows = place.map(|place| (place + hop).min(last));
        let chosen = follows.map_or(wanted, |follows| {
            let scores = (wanted - search..=wanted + search).map(|other| (alike(other, follows), other));
            // Of silence any place is as good: the one that is wanted.
            let best = scores.max_by(|a, b| a.0.total_cmp(&b.0)).filter(|best| best.0 > 0.0);
            best.map_or(wanted, |best| best.1)
        });
        place = Some(chosen);
        let target = values[index * hop * channels..].iter_mut();
        let weights = hann.iter().flat_map(|weight| std::iter::repeat_n(weight, channels));
        target.zip(at(chosen, 2 * hop)).zip(weights).for_each(|((value, x), weight)| *value += weight * x);
    }
    values.drain(..hop * channels);
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

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    fn sine(count: usize, step: f64) -> Vec<i16> {
        (0..count).map(|n| (10_000.0 * (step * n as f64).sin()) as i16).collect()
    }

    fn cut(recording: &[i16], start: usize, length: usize) -> Cut<'_> {
        Cut { recording, start, length, settle: 0, place: 0.5, channels: 1, rate: 8000.0 }
    }

    fn variation(text: &str) -> Variation {
        Variation { shift: 0, echo: 0, how: toml::from_str(text).unwrap() }
    }

    fn crossings(samples: &[i16]) -> usize {
        samples.windows(2).filter(|pair| (pair[0] < 0) != (pair[1] < 0)).count()
    }

    fn power(samples: &[i16]) -> f64 {
        samples.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>() / samples.len() as f64
    }

    #[test]
    fn nothing_that_varies_gives_the_sample_as_it_is() {
        let recording = sine(3000, 0.1);
        let mut random = ChaCha8Rng::seed_from_u64(1);
        assert_eq!(variation("").apply(cut(&recording, 500, 1000), &mut random), recording[500..1500]);
        // A short one stands in the middle, and a settling time shows what comes before.
        let short = variation("").apply(cut(&recording[..400], 0, 1000), &mut random);
        assert_eq!(short[300..700], recording[..400]);
        let settled = variation("").apply(Cut { settle: 200, ..cut(&recording, 500, 1000) }, &mut random);
        assert_eq!(settled, recording[300..1500]);
    }

    /// A tone has the same pitch at any tempo, and another at another speed; what lies in it comes earlier or later in both.
    #[test]
    fn tempo_leaves_the_pitch_and_speed_does_not() {
        let mut recording = sine(8000, 0.3);
        recording[4000..].fill(0);
        let (mut tempos, mut speeds) = (Vec::new(), Vec::new());
        for seed in 0..12 {
            for (text, ends) in [("tempo = 0.4", &mut tempos), ("speed = 0.4", &mut speeds)] {
                let mut random = ChaCha8Rng::seed_from_u64(seed);
                let varied = variation(text).apply(cut(&recording, 0, 8000), &mut random);
                let (first, end) = (
                    varied.iter().position(|&x| x.unsigned_abs() > 1000).unwrap(),
                    varied.iter().rposition(|&x| x.unsigned_abs() > 1000).unwrap(),
                );
                let sounding = end - first;
                let pitch = crossings(&varied[first + 400..end - 400]) as f64 / (sounding - 800) as f64;
                let ratio = pitch / (0.3 / std::f64::consts::PI);
                let duration = sounding as f64 / 4000.0;
                match text {
                    "tempo = 0.4" => assert!((ratio - 1.0).abs() < 0.03, "{ratio}"),
                    _ => assert!((ratio * duration - 1.0).abs() < 0.03, "{ratio} {duration}"),
                }
                ends.push(duration);
            }
        }
        for ends in [tempos, speeds] {
            let (least, most) = ends.iter().fold((9.0f64, 0.0f64), |(a, b), &x| (a.min(x), b.max(x)));
            assert!((0.68..0.9).contains(&least) && (1.1..1.44).contains(&most), "{least} to {most}");
        }
    }

    #[test]
    fn noise_echoes_and_gains_are_as_strong_as_they_say() {
        let recording = sine(8000, 0.3);
        let of = |variation: &Variation, recording: &[i16], seed: u64| {
            variation.apply(cut(recording, 0, 8000), &mut ChaCha8Rng::seed_from_u64(seed))
        };
        for seed in 0..8 {
            let noisy = of(&variation("snr_db = [20, 20]"), &recording, seed);
            let noise: Vec<i16> = noisy.iter().zip(&recording).map(|(a, b)| a - b).collect();
            let snr = 10.0 * (power(&recording) / power(&noise)).log10();
            assert!((snr - 20.0).abs() < 0.5, "{snr}");
            let noise = of(&variation("noise_db = [-40, -40]"), &vec![0; 8000], seed);
            let db = 10.0 * (power(&noise) / 32_768f64.powi(2)).log10();
            assert!((db + 40.0).abs() < 0.5, "{db}");
            let gain = 10.0 * (power(&of(&variation("gain_db = 6"), &recording, seed)) / power(&recording)).log10();
            assert!(gain.abs() <= 6.0, "{gain}");
        }
        // A click rings for as long as the echoes last, and no longer.
        let mut click = vec![0; 8000];
        click[1000] = 20_000;
        let echoes = Variation { echo: 800, ..variation("") };
        let rings = (0..8).filter(|&seed| {
            let rung = of(&echoes, &click, seed);
            assert!(rung[1000] == 20_000 && rung[..1000].iter().chain(&rung[1802..]).all(|&x| x == 0));
            power(&rung[1001..1800]) > 10.0
        });
        assert!(rings.count() >= 4);
    }
}
