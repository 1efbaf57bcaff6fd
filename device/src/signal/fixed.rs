//! Integers of 32 bits: samples in steps of 2^-27 of full scale, levels in steps of 2^-16 dB, factors in steps of 2^-15.

use attar_shared::Signal;

use super::arithmetic::{Arithmetic, Lines, Moments, times};
use super::fourier;

/// The bits of a sample below full scale.
const SCALE: i32 = 27;

/// The bits that a window's greatest value has before the transform.
const WINDOW_BITS: i32 = 29;

impl Arithmetic for i32 {
    const ZERO: Self = 0;
    const ENTRY_BYTES: usize = 2;

    type Lines<'l> = FixedLines<'l>;

    fn of_sample(sample: i16) -> Self {
        i32::from(sample) << (SCALE - 15)
    }

    fn value(self) -> f32 {
        self as f32 * power_of_two(-SCALE)
    }

    fn decibels(self) -> f32 {
        self as f32 * power_of_two(-16)
    }

    fn absolute(self) -> Self {
        self.saturating_abs()
    }

    fn less(self, other: Self) -> Self {
        self.saturating_sub(other)
    }

    fn biquad(constants: [u32; 5], state: &mut [u32; 4], values: &mut [Self]) {
        let [b0, b1, b2, a1, a2] = constants.map(|constant| i64::from(constant.cast_signed()));
        let [mut x1, mut x2, mut y1, mut y2] = state.map(|word| i64::from(word.cast_signed()));
        for value in values {
            let x = i64::from(*value);
            let sum = [b0.wrapping_mul(x), b1.wrapping_mul(x1), b2.wrapping_mul(x2)];
            let back = [a1.wrapping_mul(y1), a2.wrapping_mul(y2)];
            let ahead = sum.into_iter().fold(1 << 28, i64::wrapping_add);
            let y = back.into_iter().fold(ahead, i64::wrapping_sub) >> 29;
            *value = y.clamp(i64::from(i32::MIN), i64::from(i32::MAX)) as i32;
            (x2, x1, y2, y1) = (x1, x, y1, i64::from(*value));
        }
        *state = [x1, x2, y1, y2].map(|word| (word as i32).cast_unsigned());
    }

    fn mean(window: &[Self]) -> Self {
        let sum = window.iter().fold(0i64, |sum, &x| sum + i64::from(x));
        // The cast cannot lose anything: a mean lies between the values.
        sum.checked_div(window.len() as i64).unwrap_or(0) as i32
    }

    fn moments(window: &[Self], removed: Self) -> Moments {
        let all = window.iter().map(|&x| x.less(removed));
        let peak = all.clone().fold(0, |peak: u32, x| peak.max(x.unsigned_abs()));
        let up = (peak | 1).leading_zeros() as i32 - 17;
        let mean = all.clone().fold(0i64, |sum, x| sum + i64::from(x)).checked_div(window.len() as i64).unwrap_or(0);
        let center = shifted(mean as i32, up);
        let (mut square, mut second, mut third, mut fourth) = (0u64, 0u64, 0i64, 0u64);
        let (mut crossings, mut before) = (0u32, None);
        for x in all {
            let (v, negative) = (shifted(x, up), x < 0);
            let u = v - center;
            let (v2, u2) = (u64::from(v.unsigned_abs()).pow(2), u64::from(u.unsigned_abs()).pow(2));
            square += v2;
            second += u2;
            third += i64::from(u) * (u2 >> 8).cast_signed();
            fourth += (u2 >> 8).pow(2);
            crossings += u32::from(before.is_some_and(|before| before != negative));
            before = Some(negative);
        }
        let count = window.len() as f32;
        Moments {
            mean: mean as f32 * power_of_two(-SCALE),
            rms: libm::sqrtf(square as f32 / count) * power_of_two(-SCALE - up),
            peak: peak as f32 * power_of_two(-SCALE),
            central: [
                second as f32 / count,
                third as f32 * power_of_two(8) / count,
                fourth as f32 * power_of_two(16) / count,
            ],
            crossings: [crossings as f32, count - 1.0],
        }
    }

    fn lines<'l, const PARTS: u128>(
        signal: &Signal<'_>,
        window: &[Self],
        removed: Self,
        scratch: &'l mut [Self],
    ) -> FixedLines<'l> {
        let values = scratch.get_mut(..usize::from(signal.transform)).unwrap_or_default();
        let greatest = window.iter().fold(0, |most: u32, &x| most.max(x.less(removed).unsigned_abs()));
        let up = (greatest | 1).leading_zeros() as i32 - (32 - WINDOW_BITS);
        let (filled, rest) = values.split_at_mut_checked(window.len()).unwrap_or_default();
        rest.fill(0);
        for (place, &x) in filled.iter_mut().zip(window) {
            *place = shifted(x.less(removed), up);
        }
        let taper = signal.taper.as_chunks::<2>().0.iter().map(|entry| i32::from(u16::from_le_bytes(*entry)));
        if !signal.taper.is_empty() {
            // The window function is the same on both sides of its middle.
            let falling = taper.clone().rev().skip(usize::from(window.len().is_multiple_of(2)));
            for (place, factor) in filled.iter_mut().zip(taper.chain(falling)) {
                *place = times(*place, factor);
            }
        }
        fourier::transform(values, signal.sine);
        FixedLines { values, up }
    }

    fn product(row: &[u8], levels: &[Self]) -> Self {
        let factors = row.as_chunks::<2>().0.iter().map(|entry| i32::from(i16::from_le_bytes(*entry)));
        factors.zip(levels).fold(0, |sum: i32, (factor, &level)| sum.wrapping_add(times(level, factor)))
    }
}

/// The lines of a window that was shifted up by some bits, over half as many as the transform has samples.
#[derive(Debug)]
pub(super) struct FixedLines<'l> {
    values: &'l [i32],
    up: i32,
}

impl<'l> Lines<'l> for FixedLines<'l> {
    type Number = i32;
    type Power = u64;
    type Sum = u64;
    type Weight = u64;

    const NOTHING: u64 = 0;

    fn entries(table: &[u8]) -> impl Iterator<Item = u64> {
        table.as_chunks::<2>().0.iter().map(|entry| u64::from(u16::from_le_bytes(*entry)))
    }

    fn powers(&self) -> impl Iterator<Item = u64> {
        self.values.as_chunks::<2>().0.iter().map(|&[re, im]| {
            let square = |x: i32| (i64::from(x) * i64::from(x)).cast_unsigned();
            square(re) + square(im)
        })
    }

    fn weigh(&self, power: u64, weight: u64) -> (u64, u64) {
        let power = power >> 24;
        let rising = power.wrapping_mul(weight);
        (rising, (power << 15).wrapping_sub(rising))
    }

    fn sum(&self, one: u64, other: u64) -> u64 {
        one.wrapping_add(other)
    }

    fn of_line(&self, power: u64) -> u64 {
        power
    }

    fn decibels(&self, sum: u64, level: u32, floor: u32) -> i32 {
        let floor = floor.cast_signed();
        if sum == 0 {
            return floor;
        }
        let octaves = i64::from(log2(sum)) - (i64::from(self.up) << 17);
        // The cast keeps what is far below 2^31: the logarithm is below 64, the shift at most 28.
        let decibels = ((octaves * DECIBELS_AN_OCTAVE) >> 16) as i32;
        decibels.saturating_add(level.cast_signed()).max(floor)
    }

    fn amplitude(&self, power: u64, gain: f32) -> f32 {
        libm::sqrtf(power as f32) * gain * power_of_two(-self.up)
    }
}

/// 10 lg 2 in steps of 2^-16.
const DECIBELS_AN_OCTAVE: i64 = 197_283;

/// Returns a value by 2^up, rounded down.
fn shifted(value: i32, up: i32) -> i32 {
    if up >= 0 { value.wrapping_shl(up.cast_unsigned()) } else { value.wrapping_shr(up.unsigned_abs()) }
}

/// Returns 2 to an exponent from -126 to 127.
fn power_of_two(exponent: i32) -> f32 {
    f32::from_bits((127 + exponent).cast_unsigned() << 23)
}

/// Returns the logarithm of a number above 0 to the base 2, in steps of 2^-16: a straight line between each two of
/// [`LOGARITHMS`].
fn log2(number: u64) -> i32 {
    let zeros = number.leading_zeros();
    let mantissa = (number << zeros) >> 32;
    let segment = (mantissa >> 26) as usize & 31;
    let part = (mantissa >> 10) as u32 & 0xffff;
    let mut ends = LOGARITHMS.iter().skip(segment);
    let (start, end) = (ends.next().copied().unwrap_or(0), ends.next().copied().unwrap_or(0));
    let within = start + (((end.wrapping_sub(start)) * part + (1 << 15)) >> 16);
    (((63 - zeros) << 16) + within).cast_signed()
}

/// `2^16 log2(1 + i / 32)`, rounded to nearest.
const LOGARITHMS: [u32; 33] = {
    let mut table = [0; 33];
    let mut index = 0;
    let mut places: &mut [u32] = &mut table;
    while let [place, rest @ ..] = places {
        *place = logarithm(32 + index);
        places = rest;
        index += 1;
    }
    table
};

/// Returns the logarithm of `n / 32`, from 1 to 2: the next binary digit is whether the square reaches 2.
const fn logarithm(n: u64) -> u32 {
    let mut x = n << 26; // in steps of 2^-31
    let mut bits = 0u32;
    let mut digit = 0;
    if n == 64 {
        return 1 << 16;
    }
    while digit < 20 {
        let square = (x as u128 * x as u128) >> 31;
        bits <<= 1;
        x = square as u64;
        if x >> 32 > 0 {
            bits += 1;
            x >>= 1;
        }
        digit += 1;
    }
    (bits + 8) >> 4
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logarithms_are_within_a_five_thousandth() {
        for number in (1..200_000u64).chain((0..60).map(|bits| 3 << bits)).chain([u64::MAX]) {
            let exact = (number as f64).log2();
            let error = f64::from(log2(number)) / 65_536.0 - exact;
            assert!(error.abs() < 2e-4, "{number}: {error}");
        }
    }

    #[test]
    fn products_of_two_halves_are_those_of_64_bits() {
        for value in [i32::MIN, -65_537, -1, 0, 1, 40_000, 1 << 29, i32::MAX] {
            for factor in [-32_768, -12_345, -1, 0, 1, 30_000, 32_768] {
                let high = (value >> 16).wrapping_mul(factor).wrapping_shl(1);
                let low = (value & 0xffff).wrapping_mul(factor).wrapping_add(1 << 14) >> 15;
                assert_eq!(high.wrapping_add(low), times(value, factor), "{value} {factor}");
            }
        }
    }
}
