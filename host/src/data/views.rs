//! Views of the samples of a data set: augmented inputs, and the facts that change with them.

use std::borrow::Cow;
use std::ops::Range;

use rand::Rng;
use rand_distr::{Beta, Distribution, StandardNormal};
use rayon::prelude::*;

use super::augment::{Augment, Axis, Mix, moved};
use super::dataset::{Dataset, FactUse, Normalization};
use crate::facts::row_of;

impl Dataset {
    /// Returns how many views of the samples a training of some epochs sees.
    pub fn views(&self, epochs: usize) -> usize {
        self.augment.as_ref().map_or(1, |augment| augment.how.views_in(epochs, augment.signals))
    }

    /// Returns what samples are mixed with in a view, if they are.
    pub fn mix(&self, samples: &[usize], view: usize) -> Option<Vec<Mix>> {
        let augment = self.augment.as_ref()?;
        samples.iter().map(|&sample| augment.mix(self, sample, view)).collect()
    }

    /// Returns a view of a sample in raw units.
    pub fn raw_view(&self, sample: usize, view: usize) -> Cow<'_, [f32]> {
        let Some(augment) = &self.augment else { return Cow::Borrowed(self.input(sample)) };
        let mut values = augment.view(self, sample, view);
        if let Some(Mix { partner, share }) = augment.mix(self, sample, view) {
            let other = augment.view(self, partner, view);
            let pairs = values.to_mut().iter_mut().zip(other.iter());
            pairs.for_each(|(x, other)| *x = *x * (1.0 - share) + other * share);
        }
        values
    }

    /// Returns the normalised values of a view of samples, row by row.
    pub fn rows_of_view(&self, samples: &[usize], view: usize) -> Vec<f32> {
        if self.augment.is_none() {
            return self.rows(samples);
        }
        // Each sample has a stream of its own, so that they may be drawn at once.
        let len = self.inputs.row_len();
        let mut values = vec![0.0; samples.len() * len];
        let rows = values.par_chunks_exact_mut(len).zip(samples);
        rows.for_each(|(row, &sample)| self.normalization.write(row, &self.raw_view(sample, view)));
        values
    }
}

impl Dataset {
    /// Returns the encoded facts of a view of samples, as [`Dataset::fact_rows`] does: one that the view changes is changed with
    /// it, and what is computed from the input is computed from the view.
    pub fn fact_rows_of_view(&self, samples: &[usize], view: usize, facts: FactUse<'_>) -> Option<Vec<f32>> {
        let audience = facts.audience()?;
        let Some(augment) = &self.augment else { return self.fact_rows(samples, facts) };
        let paced = augment.how.pace.as_ref();
        let place = paced.and_then(|pace| self.facts.facts.iter().position(|fact| fact.name == pace.fact));
        let reads_input = self.facts.reads_input();
        if place.is_none() && !reads_input {
            return self.fact_rows(samples, facts);
        }
        let width = self.facts.width(audience);
        if width == 0 {
            return None;
        }
        let row = |&sample: &usize| {
            let mut values = row_of(&self.fact_columns, sample);
            if let (Some(place), Some(factor)) = (place, augment.pace(sample, view)) {
                values[place] *= factor as f32;
            }
            let input = if reads_input { self.raw_view(sample, view) } else { Cow::Borrowed(self.input(sample)) };
            let values = self.facts.known(values, &input);
            let mut encoded = Vec::with_capacity(width);
            self.facts.encode_row(audience, &values, &mut encoded);
            encoded
        };
        let mut encoded: Vec<f32> = samples.par_iter().flat_map_iter(row).collect();
        self.hide(&mut encoded, facts);
        Some(encoded)
    }
}

impl Augment {
    /// Returns what a sample's view is mixed with.
    fn mix(&self, data: &Dataset, sample: usize, view: usize) -> Option<Mix> {
        let alpha = self.how.mixup.filter(|&alpha| alpha > 0.0)?;
        let mut random = self.stream(sample, view, 1);
        let drawn: f64 = Beta::new(alpha, alpha).ok()?.sample(&mut random);
        let train = &data.splits.train;
        Some(Mix { partner: train[random.random_range(0..train.len())], share: drawn.min(1.0 - drawn) as f32 })
    }

    /// Returns a view of a sample, `[height, width, channels]` in raw units.
    fn view<'a>(&self, data: &'a Dataset, sample: usize, view: usize) -> Cow<'a, [f32]> {
        let varied = match &data.signal {
            Some((_, clips)) if self.signals => Some(clips.view(sample, &mut self.stream(sample, view, 3))),
            _ => None,
        };
        let raw = varied.map_or(Cow::Borrowed(data.input(sample)), Cow::Owned);
        let mut random = self.stream(sample, view, 0);
        let how = &self.how;
        let [height, width, _] = data.input_shape;
        let moves = how.shift > 0 || how.flip || how.crop.is_some();
        let mut values = if moves {
            let flip = how.flip && random.random::<bool>();
            let mut axis = |len: usize| {
                let shift = if len > 1 && how.shift > 0 {
                    random.random_range(-(how.shift as i64)..=how.shift as i64) as f64
                } else {
                    0.0
                };
                let part = match how.crop {
                    Some(least) if len > 1 => random.random_range(least..=1.0),
                    _ => 1.0,
                };
                let start = random.random_range(0.0..=1.0) * (1.0 - part) * len as f64;
                Axis { start: start + shift, step: part, len }
            };
            let (rows, columns) = (axis(height), axis(width));
            Cow::Owned(moved(&raw, data.input_shape, rows, columns, flip))
        } else {
            raw
        };
        if let (Some(pace), Some(factor)) = (&how.pace, self.pace(sample, view)) {
            let rows = Axis { start: 0.0, step: 1.0, len: height };
            let columns = Self::paced(pace, factor, width);
            values = Cow::Owned(moved(&values, data.input_shape, rows, columns, false));
        }
        if how.scale > 0.0 {
            let factor = 1.0 + random.random_range(-how.scale..=how.scale) as f32;
            values.to_mut().iter_mut().for_each(|x| *x *= factor);
        }
        if how.noise > 0.0 {
            let gains = &data.normalization.gains;
            for (place, x) in values.to_mut().iter_mut().enumerate() {
                let draw: f32 = StandardNormal.sample(&mut random);
                // The noise is in units of the normalised values.
                *x += draw * how.noise as f32 / gains[place % gains.len()];
            }
        }
        if let Some(mask) = &how.mask {
            // Drawn apart, so that a mask leaves the rest of a view as it is.
            let mut random = self.stream(sample, view, 4);
            let size = data.input_shape;
            for (axis, share) in mask.shares().into_iter().enumerate() {
                let most = (share * size[axis] as f64).round() as usize;
                let covered = random.random_range(0..=most);
                let first = random.random_range(0..=size[axis] - covered);
                if covered > 0 {
                    cover(values.to_mut(), size, axis, first..first + covered, &data.normalization);
                }
            }
        }
        values
    }
}

/// Covers a span of an axis by the mean of the training samples, which is 0 once it is normalised.
fn cover(values: &mut [f32], [_, width, channels]: [usize; 3], axis: usize, span: Range<usize>, mean: &Normalization) {
    let per_axis = mean.gains.len();
    for (place, value) in values.iter_mut().enumerate() {
        let position = [place / (width * channels), place / channels % width, place % channels][axis];
        if span.contains(&position) {
            *value = -mean.offsets[place % per_axis] / mean.gains[place % per_axis];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recipe::Recipe;

    fn data(augment: &str) -> Dataset {
        let text = format!(
            "[data]\nformat='random'\nsamples=50\n[input]\nshape=[5,7,2]\n[[heads]]\nname='y'\nkind='regression'\n\
             outputs=2\n[student]\narch='mlp'\n[distill]\nmethod='none'\n[augment]\n{augment}\n"
        );
        crate::data::load(&Recipe::parse(&text, "r.toml", "r", &[]).unwrap(), "".as_ref()).unwrap()
    }

    #[test]
    fn views_differ_and_come_back_the_same() {
        for augment in [
            "shift=2",
            "flip=true",
            "crop=0.6",
            "noise=0.2",
            "scale=0.3",
            "mixup=0.4",
            "mask={ width=0.5, channels=0.5 }",
        ] {
            let data = data(augment);
            let samples: Vec<usize> = data.splits.train.iter().copied().take(8).collect();
            let (first, again) = (data.rows_of_view(&samples, 3), data.rows_of_view(&samples, 3));
            assert_eq!(first, again, "{augment}");
            assert_ne!(first, data.rows_of_view(&samples, 4), "{augment}");
            assert_ne!(first, data.rows(&samples), "{augment}");
            let alone = data.rows_of_view(&samples[3..4], 3);
            assert_eq!(alone, first[3 * 70..4 * 70], "{augment}: a view depends on its batch");
        }
        let plain = data("");
        assert_eq!(plain.rows_of_view(&[1, 2], 5), plain.rows(&[1, 2]));
    }

    #[test]
    fn a_shift_moves_pixels_and_repeats_the_edge_and_a_flip_turns_rows() {
        let raw: Vec<f32> = (0..12).map(|x| x as f32).collect();
        let axis = |start: f64, len: usize| Axis { start, step: 1.0, len };
        let got = moved(&raw, [3, 4, 1], axis(1.0, 3), axis(-1.0, 4), false);
        assert_eq!(got, [4.0, 4.0, 5.0, 6.0, 8.0, 8.0, 9.0, 10.0, 8.0, 8.0, 9.0, 10.0]);
        let got = moved(&raw, [3, 4, 1], axis(0.0, 3), axis(0.0, 4), true);
        assert_eq!(got[..4], [3.0, 2.0, 1.0, 0.0]);
        // Half of a row stretched over all of it: between neighbours by their shares.
        let half = Axis { start: 0.0, step: 0.5, len: 4 };
        assert_eq!(moved(&raw, [3, 4, 1], axis(0.0, 3), half, false)[..4], [0.0, 0.25, 0.75, 1.25]);
    }

    /// A line at three times the shaft's frequency stays there at another speed, in the view and in its facts.
    #[test]
    fn a_view_at_another_pace_has_its_fact_changed_along() {
        let text = "[data]\nformat='bearing'\nsamples=60\n[[facts]]\nname='rpm'\nkind='number'\nunit='1/min'\n[[facts]]\n\
                    name='hertz'\nkind='derived'\nunit='Hz'\nexpr='rpm / 60'\n[[heads]]\nname='fault'\nkind='class'\n[student]\n\
                    arch='mlp'\n[distill]\nmethod='none'\n[augment]\n\
                    pace={ fact='rpm', by=0.2, axis='frequency', first_line=1 }\n";
        let mut data = crate::data::load(&Recipe::parse(text, "r.toml", "r", &[]).unwrap(), "".as_ref()).unwrap();
        // Lines whose height is their frequency in turns of the shaft: they are the same at any speed.
        let line_hz = 1000.0 / 256.0;
        for sample in 0..data.len() {
            let hertz = data.fact_columns[1][sample].unwrap();
            let lines = (0..128).map(|line| (line + 1) as f32 * line_hz / hertz);
            data.inputs.values[sample * 128..][..128].copy_from_slice(&lines.collect::<Vec<f32>>());
        }
        let augment = data.augment.clone().unwrap();
        let (mut least, mut most) = (f64::INFINITY, 0.0f64);
        for sample in 0..data.len() {
            let factor = augment.pace(sample, 4).unwrap();
            (least, most) = (least.min(factor), most.max(factor));
            let rows = data.fact_rows_of_view(&[sample], 4, FactUse::AsKnown(crate::facts::Audience::Board)).unwrap();
            let plain = data.fact_rows(&[sample], FactUse::AsKnown(crate::facts::Audience::Board)).unwrap();
            // Both z-scores are those of the new speed, which is the same in another unit.
            assert!((rows[0] - rows[1]).abs() < 1e-4 && (rows[0] - plain[0]).abs() > 0.0, "{rows:?} {plain:?}");
            let hertz = f64::from(data.fact_columns[1][sample].unwrap()) * factor;
            for (line, height) in data.raw_view(sample, 4).iter().enumerate().skip(1).take(90) {
                let expected = (line + 1) as f64 * f64::from(line_hz) / hertz;
                assert!((f64::from(*height) - expected).abs() < 1e-3 * expected, "line {line}: {height} {expected}");
            }
        }
        assert!((1.0 / 1.2..0.87).contains(&least) && (1.13..=1.2).contains(&most), "{least} to {most}");
    }

    /// What is covered is 0 once it is normalised, in one span of an axis; the rest stays as it is.
    #[test]
    fn masks_cover_a_span_by_the_mean() {
        let data = data("mask={ width=0.5 }");
        let mut covered = 0;
        for view in 0..20 {
            let sample = data.splits.train[view];
            let (plain, masked) = (data.rows(&[sample]), data.rows_of_view(&[sample], view));
            let columns: Vec<usize> = (0..7).filter(|x| masked[x * 2] != plain[x * 2]).collect();
            assert!(columns.len() <= 4 && columns.windows(2).all(|pair| pair[1] == pair[0] + 1), "{columns:?}");
            for (place, (&value, &was)) in masked.iter().zip(&plain).enumerate() {
                let hidden = columns.contains(&(place / 2 % 7));
                assert!(if hidden { value.abs() < 1e-6 } else { value == was }, "{place}: {value} {was}");
            }
            covered += columns.len();
        }
        assert!(covered > 20, "{covered}");
    }

    #[test]
    fn mixes_have_the_shares_that_they_say() {
        let data = data("mixup=1.0");
        let sample = data.splits.train[0];
        let mix = data.mix(&[sample], 2).unwrap()[0];
        assert!(mix.share > 0.0 && mix.share <= 0.5 && data.splits.train.contains(&mix.partner));
        let (own, other) = (data.input(sample)[3], data.input(mix.partner)[3]);
        assert!((data.raw_view(sample, 2)[3] - (own * (1.0 - mix.share) + other * mix.share)).abs() < 1e-6);
    }
}
