//! Floats: full scale is 1, each operation rounds by itself.

use attar_shared::{Signal, parts};

use super::arithmetic::{Arithmetic, Lines, Moments};

impl Arithmetic for f32 {
    const ZERO: Self = 0.0;
    const ENTRY_BYTES: usize = 4;

    type Lines<'l> = FloatLines<'l>;

    fn of_sample(sample: i16) -> Self {
        f32::from(sample) * (1.0 / 32_768.0)
    }

    fn value(self) -> f32 {
        self
    }

    fn decibels(self) -> f32 {
        self
    }

    fn absolute(self) -> Self {
        self.abs()
    }

    fn less(self, other: Self) -> Self {
        self - other
    }

    fn biquad(constants: [u32; 5], state: &mut [u32; 4], values: &mut [Self]) {
        let [b0, b1, b2, a1, a2] = constants.map(f32::from_bits);
        let [mut x1, mut x2, mut y1, mut y2] = state.map(f32::from_bits);
        for value in values {
            let x = *value;
            let y = b0 * x + b1 * x1 + b2 * x2 - a1 * y1 - a2 * y2;
            *value = y;
            (x2, x1, y2, y1) = (x1, x, y1, y);
        }
        *state = [x1, x2, y1, y2].map(f32::to_bits);
    }

    fn mean(window: &[Self]) -> Self {
        window.iter().fold(0.0, |sum, x| sum + x) / (window.len() as f32)
    }

    fn moments(window: &[Self], removed: Self) -> Moments {
        let all = window.iter().map(|&x| x - removed);
        let count = window.len() as f32;
        let mean = all.clone().fold(0.0, |sum, x| sum + x) / count;
        let (mut square, mut second, mut third, mut fourth, mut peak) = (0.0f32, 0.0, 0.0, 0.0, 0.0f32);
        let (mut crossings, mut before) = (0u32, None);
        for x in all {
            let (u, negative) = (x - mean, x < 0.0);
            let u2 = u * u;
            square += x * x;
            second += u2;
            third += u2 * u;
            fourth += u2 * u2;
            peak = peak.max(x.abs());
            crossings += u32::from(before.is_some_and(|before| before != negative));
            before = Some(negative);
        }
        Moments {
            mean,
            rms: libm::sqrtf(square / count),
            peak,
            central: [second / count, third / count, fourth / count],
            crossings: [crossings as f32, count - 1.0],
        }
    }

    fn lines<'l, const PARTS: u128>(
        signal: &Signal<'_>,
        window: &[Self],
        removed: Self,
        scratch: &'l mut [Self],
    ) -> FloatLines<'l> {
        let values = scratch.get_mut(..usize::from(signal.transform)).unwrap_or_default();
        let (filled, rest) = values.split_at_mut_checked(window.len()).unwrap_or_default();
        rest.fill(0.0);
        for (place, &x) in filled.iter_mut().zip(window) {
            *place = x - removed;
        }
        if !signal.taper.is_empty() {
            let taper = Self::entries(signal.taper);
            let falling = taper.clone().rev().skip(usize::from(window.len().is_multiple_of(2)));
            for (place, factor) in filled.iter_mut().zip(taper.chain(falling)) {
                *place *= factor;
            }
        }
        transform::<PARTS>(values);
        // Half of the rate has no line here.
        if let Some(half) = values.get_mut(1) {
            *half = 0.0;
        }
        FloatLines { values }
    }

    fn product(row: &[u8], levels: &[Self]) -> Self {
        Self::entries(row).zip(levels).fold(0.0, |sum, (factor, level)| sum + factor * level)
    }
}

trait Entries {
    fn entries(table: &[u8]) -> impl DoubleEndedIterator<Item = f32> + Clone;
}

impl Entries for f32 {
    fn entries(table: &[u8]) -> impl DoubleEndedIterator<Item = f32> + Clone {
        table.as_chunks::<4>().0.iter().map(|entry| f32::from_le_bytes(*entry))
    }
}

/// Transforms a real series in place; microfft has a function for each length.
fn transform<const PARTS: u128>(values: &mut [f32]) {
    macro_rules! of_length {
        ($length:literal, $transform:ident) => {
            if let Some(values) = values.first_chunk_mut::<$length>() {
                // The lines stand where the values stood.
                let _ = microfft::real::$transform(values);
            }
        };
    }
    match values.len() {
        16 => of_length!(16, rfft_16),
        32 => of_length!(32, rfft_32),
        64 => of_length!(64, rfft_64),
        128 => of_length!(128, rfft_128),
        256 => of_length!(256, rfft_256),
        512 if parts::has(PARTS, parts::LONG) => of_length!(512, rfft_512),
        1024 if parts::has(PARTS, parts::LONG) => of_length!(1024, rfft_1024),
        2048 if parts::has(PARTS, parts::LONGER) => of_length!(2048, rfft_2048),
        _ => {}
    }
}

/// The lines as microfft gives them: real and imaginary parts, not divided.
#[derive(Debug)]
pub(super) struct FloatLines<'l> {
    values: &'l [f32],
}

impl<'l> Lines<'l> for FloatLines<'l> {
    type Number = f32;
    type Power = f32;
    type Sum = f32;
    type Weight = f32;

    const NOTHING: f32 = 0.0;

    fn entries(table: &[u8]) -> impl Iterator<Item = f32> {
        <f32 as Entries>::entries(table)
    }

    fn powers(&self) -> impl Iterator<Item = f32> {
        self.values.as_chunks::<2>().0.iter().map(|&[re, im]| re * re + im * im)
    }

    fn weigh(&self, power: f32, weight: f32) -> (f32, f32) {
        let rising = power * weight;
        (rising, power - rising)
    }

    fn sum(&self, one: f32, other: f32) -> f32 {
        one + other
    }

    fn of_line(&self, power: f32) -> f32 {
        power
    }

    fn decibels(&self, sum: f32, level: u32, floor: u32) -> f32 {
        // The logarithm of 0 is below every floor.
        (10.0 * libm::log10f(sum * f32::from_bits(level))).max(f32::from_bits(floor))
    }

    fn amplitude(&self, power: f32, gain: f32) -> f32 {
        libm::sqrtf(power) * gain
    }
}
