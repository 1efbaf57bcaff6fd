//! Noise of three colours, for classes of its own and to vary recordings with.

use rand::Rng;
use rand_distr::{Distribution, StandardNormal};

/// How the power of noise falls with the frequency.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Color {
    /// Not at all.
    White,
    /// As 1/f.
    Pink,
    /// As 1/f².
    Brown,
}

impl Color {
    /// Returns one of the three.
    pub fn draw(random: &mut impl Rng) -> Self {
        [Self::White, Self::Pink, Self::Brown][random.random_range(0..3)]
    }
}

/// Returns noise of a level in dB of full scale, that of its root mean square: so many values of each channel, which take turns
/// and know nothing of each other.
pub fn noise(count: usize, channels: usize, color: Color, db: f64, random: &mut impl Rng) -> Vec<f64> {
    if channels == 1 {
        return of_channel(count, color, db, random);
    }
    let each: Vec<Vec<f64>> = (0..channels).map(|_| of_channel(count, color, db, random)).collect();
    (0..count).flat_map(|place| each.iter().map(move |values| values[place])).collect()
}

fn of_channel(count: usize, color: Color, db: f64, random: &mut impl Rng) -> Vec<f64> {
    let (mut brown, mut pink) = (0.0f64, [0.0f64; 3]);
    let mut values: Vec<f64> = (0..count)
        .map(|_| {
            let white: f64 = StandardNormal.sample(random);
            match color {
                Color::White => white,
                Color::Pink => {
                    // Three poles a factor of eight apart come within 1 dB of 1/f over most of the band.
                    for (state, pole) in pink.iter_mut().zip([0.995f64, 0.96, 0.7]) {
                        *state = pole * *state + (1.0 - pole).sqrt() * white;
                    }
                    pink.iter().sum()
                }
                Color::Brown => {
                    brown = 0.99 * brown + white;
                    brown
                }
            }
        })
        .collect();
    let power = values.iter().map(|x| x * x).sum::<f64>() / count.max(1) as f64;
    let gain = 10f64.powf(db / 20.0) * 32_768.0 / power.sqrt().max(1e-12);
    values.iter_mut().for_each(|x| *x *= gain);
    values
}
