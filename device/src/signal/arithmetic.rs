//! What integers and floats both do, each in its own way.

use attar_shared::{Signal, Statistics};

/// A number of a front-end.
pub(super) trait Arithmetic: bytemuck::Pod + Copy {
    /// 0.
    const ZERO: Self;

    /// Bytes of an entry of a table.
    const ENTRY_BYTES: usize;

    /// The lines of a spectrum.
    type Lines<'l>: Lines<'l, Number = Self>;

    /// Returns a sample: full scale is 1 in floats, 2^27 in integers.
    fn of_sample(sample: i16) -> Self;

    /// Returns a sample in units of full scale.
    fn value(self) -> f32;

    /// Returns a level in dB.
    fn decibels(self) -> f32;

    /// Returns the absolute value.
    fn absolute(self) -> Self;

    /// Returns the difference.
    fn less(self, other: Self) -> Self;

    /// Puts values through a filter of second order, whose state is x1, x2, y1, y2.
    fn biquad(constants: [u32; 5], state: &mut [u32; 4], values: &mut [Self]);

    /// Returns the mean of a window.
    fn mean(window: &[Self]) -> Self;

    /// Returns what the statistics of a window are made of, after `removed` is taken from each value.
    fn moments(window: &[Self], removed: Self) -> Moments;

    /// Returns the lines of a window's spectrum, after `removed` is taken from each value.
    fn lines<'l, const PARTS: u128>(
        signal: &Signal<'_>,
        window: &[Self],
        removed: Self,
        scratch: &'l mut [Self],
    ) -> Self::Lines<'l>;

    /// Returns the sum of the products of a table's row and some levels.
    fn product(row: &[u8], levels: &[Self]) -> Self;
}

/// The lines of a spectrum, from 0 to half of the rate.
pub(super) trait Lines<'l> {
    /// A level.
    type Number: Copy;

    /// A power of one line.
    type Power: Copy;

    /// A sum of weighted powers.
    type Sum: Copy;

    /// The weight of a line.
    type Weight: Copy;

    /// The sum of nothing.
    const NOTHING: Self::Sum;

    /// Returns the weights in a table.
    fn entries(table: &[u8]) -> impl Iterator<Item = Self::Weight>;

    /// Returns the power of each line.
    fn powers(&self) -> impl Iterator<Item = Self::Power>;

    /// Returns a power by its weight, and by what is left of that to 1.
    fn weigh(&self, power: Self::Power, weight: Self::Weight) -> (Self::Sum, Self::Sum);

    /// Returns the sum of two.
    fn sum(&self, one: Self::Sum, other: Self::Sum) -> Self::Sum;

    /// Returns the power of one line as a sum.
    fn of_line(&self, power: Self::Power) -> Self::Sum;

    /// Returns a sum's level.
    fn decibels(&self, sum: Self::Sum, level: u32, floor: u32) -> Self::Number;

    /// Returns the amplitude of a line.
    fn amplitude(&self, power: Self::Power, gain: f32) -> f32;
}

/// What statistics are made of; means over the window, in units of full scale, or of any unit where that cancels.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moments {
    pub(super) mean: f32,
    pub(super) rms: f32,
    pub(super) peak: f32,
    /// Of the distances to the mean: the squares, cubes and fourth powers, all in one unit and its powers.
    pub(super) central: [f32; 3],
    /// Changes of sign, and how many there may be.
    pub(super) crossings: [f32; 2],
}

impl Moments {
    /// Writes the statistics that are asked for, in their order.
    pub(super) fn write(&self, which: Statistics, places: &mut [f32]) {
        let [second, third, fourth] = self.central;
        let [crossings, steps] = self.crossings;
        let over = |a: f32, b: f32| if b > 0.0 { a / b } else { 0.0 };
        let all = [
            (Statistics::MEAN, self.mean),
            (Statistics::RMS, self.rms),
            (Statistics::PEAK, self.peak),
            (Statistics::CREST, over(self.peak, self.rms)),
            (Statistics::SKEWNESS, over(third, second * libm::sqrtf(second))),
            (Statistics::KURTOSIS, over(fourth, second * second)),
            (Statistics::CROSSINGS, over(crossings, steps)),
        ];
        let asked = all.into_iter().filter(|&(statistic, _)| which.has(statistic));
        places.iter_mut().zip(asked).for_each(|(place, (_, value))| *place = value);
    }
}

/// Returns `floor((value * factor + 2^14) / 2^15)` of a factor in steps of 2^-15, modulo 2^32.
#[inline(always)]
pub(super) fn times(value: i32, factor: i32) -> i32 {
    if cfg!(thumb1) {
        // Two 32-bit products: a Cortex-M0 has no 64-bit multiplication.
        let high = (value >> 16).wrapping_mul(factor).wrapping_shl(1);
        let low = (value & 0xffff).wrapping_mul(factor).wrapping_add(1 << 14) >> 15;
        high.wrapping_add(low)
    } else {
        ((i64::from(value) * i64::from(factor) + (1 << 14)) >> 15) as i32
    }
}
