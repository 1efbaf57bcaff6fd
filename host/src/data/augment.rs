//! Augmentation: views of a sample that differ as the sensor's world does, the same for teacher and student.
//!
//! A view follows from the recipe's seed, the view's number and the sample alone, so that what the teacher said of it can
//! be kept.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::recipe;

/// How samples are varied.
#[derive(Debug, Clone, PartialEq)]
pub struct Augment {
    pub(super) how: recipe::Augment,
    /// Whether the signals that features are computed from are varied.
    pub(super) signals: bool,
    seed: u64,
}

/// What a sample is mixed with.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Mix {
    /// The other sample.
    pub partner: usize,
    /// Its share, at most one half.
    pub share: f32,
}

impl Augment {
    /// Returns the augmentation of a recipe, if it asks for any; `signals` are varied before their features are computed.
    pub fn new(how: &recipe::Augment, seed: u64, signals: bool) -> Option<Self> {
        (signals || how.is_any()).then(|| Self { how: how.clone(), signals, seed })
    }

    /// Returns the stream of a sample's view; `purpose` keeps what is drawn for different things apart.
    pub(super) fn stream(&self, sample: usize, view: usize, purpose: u64) -> ChaCha8Rng {
        let parts = [self.seed, view as u64, sample as u64, purpose];
        // SplitMix64's finaliser, once a part.
        let mixed = parts.into_iter().fold(0u64, |state, part| {
            let mut z = state ^ part.wrapping_add(0x9E37_79B9_7F4A_7C15);
            z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
            z ^ (z >> 31)
        });
        ChaCha8Rng::seed_from_u64(mixed)
    }

    /// Returns by how much faster a view of a sample goes.
    pub(super) fn pace(&self, sample: usize, view: usize) -> Option<f64> {
        let pace = self.how.pace.as_ref()?;
        let most = (1.0 + pace.by).ln();
        Some(self.stream(sample, view, 2).random_range(-most..=most).exp())
    }

    /// Returns where the columns of a view come from that goes faster by a factor.
    pub(super) fn paced(pace: &recipe::Pace, factor: f64, len: usize) -> Axis {
        match pace.axis {
            recipe::PaceAxis::Time => Axis { start: 0.0, step: factor, len },
            recipe::PaceAxis::Frequency => {
                // Line k has the frequency (k + first) d; what stood at a frequency stands at factor times it.
                let (first, step) = (pace.first_line as f64, 1.0 / factor);
                Axis { start: (step - 1.0) * (first - 0.5), step, len }
            }
        }
    }
}

/// Where along an axis a position of a view comes from.
#[derive(Clone, Copy)]
pub(super) struct Axis {
    pub(super) start: f64,
    pub(super) step: f64,
    pub(super) len: usize,
}

impl Axis {
    /// Returns the two positions next to the place of a position, and the share of the second.
    fn between(&self, position: usize) -> (usize, usize, f32) {
        let last = (self.len - 1) as f64;
        // Middles of positions stretch over each other; what lies beyond an edge is the edge.
        let at = (self.start + (position as f64 + 0.5) * self.step - 0.5).clamp(0.0, last);
        let first = at.floor();
        (first as usize, (first + 1.0).min(last) as usize, (at - first) as f32)
    }
}

/// Returns a sample whose rows and columns come from elsewhere in it, between positions by the nearest ones' shares.
pub(super) fn moved(raw: &[f32], [_, width, channels]: [usize; 3], rows: Axis, columns: Axis, flip: bool) -> Vec<f32> {
    let mut values = Vec::with_capacity(raw.len());
    for y in 0..rows.len {
        let (top, bottom, down) = rows.between(y);
        for x in 0..columns.len {
            let (left, right, along) = columns.between(if flip { columns.len - 1 - x } else { x });
            let at = |y: usize, x: usize, c: usize| raw[(y * width + x) * channels + c];
            for c in 0..channels {
                let line = |y: usize| at(y, left, c) * (1.0 - along) + at(y, right, c) * along;
                values.push(line(top) * (1.0 - down) + line(bottom) * down);
            }
        }
    }
    values
}
