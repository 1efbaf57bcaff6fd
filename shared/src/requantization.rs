//! From an accumulator back to eight bits, with one rounding.

use crate::Defect;

/// A positive factor below 1/4, `multiplier / 2^(32 + shift)`, applied with one rounding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Requantization {
    /// From 2^30 to 2^31 - 1.
    pub multiplier: i32,
    /// From 1 to 31.
    pub shift: u8,
}

impl Requantization {
    /// Returns `round(accumulator * multiplier / 2^(32 + shift))`, halves rounded up.
    ///
    /// It is written with the high word alone, as a core with a high multiply (SMMUL, MULH) computes it; since floors
    /// nest, it equals `(accumulator * multiplier + 2^(31 + shift)) >> (32 + shift)` in exact arithmetic.
    #[inline(always)]
    pub const fn apply(self, accumulator: i32) -> i32 {
        let high = ((accumulator as i64 * self.multiplier as i64) >> 32) as i32;
        let shift = (self.shift & 31) as u32;
        high.wrapping_add(1i32 << (shift.wrapping_sub(1) & 31)) >> shift
    }

    /// Returns the high word of the product with an accumulator, by products of halves: for cores without one of 64 bits, where
    /// a library's takes twice as long.
    #[inline(always)]
    pub const fn high_word(self, accumulator: i32) -> i32 {
        // The multiplier is positive, so that its upper half has 15 bits, and no sum below overflows.
        let (low, high) = (accumulator & 0xffff, accumulator >> 16);
        let (own_low, own_high) = (self.multiplier & 0xffff, self.multiplier >> 16);
        let carried = low.wrapping_mul(own_low).cast_unsigned() >> 16;
        let middle = high.wrapping_mul(own_low).wrapping_add(carried.cast_signed());
        let lower = (middle & 0xffff).wrapping_add(low.wrapping_mul(own_high)).cast_unsigned() >> 16;
        high.wrapping_mul(own_high).wrapping_add(middle >> 16).wrapping_add(lower.cast_signed())
    }

    pub(crate) const fn check(self) -> Result<(), Defect> {
        if self.multiplier < 1 << 30 {
            return Err(Defect::Multiplier);
        }
        if self.shift < 1 || self.shift > 31 { Err(Defect::Shift) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requantization_rounds_once_like_exact_arithmetic() {
        let mut state = 1u64;
        for _ in 0..200_000 {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            let accumulator = (state >> 32) as u32 as i32;
            let multiplier = (1 << 30) + ((state >> 8) as i32 & ((1 << 30) - 1));
            let shift = 1 + (state >> 3) as u8 % 31;
            let exact = (i128::from(accumulator) * i128::from(multiplier) + (1i128 << (31 + shift))) >> (32 + shift);
            let factor = Requantization { multiplier, shift };
            assert_eq!(i128::from(factor.apply(accumulator)), exact, "{accumulator} * {multiplier} >> {shift}");
            let high = (i64::from(accumulator) * i64::from(multiplier)) >> 32;
            assert_eq!(i64::from(factor.high_word(accumulator)), high, "{accumulator} * {multiplier}");
        }
    }

    #[test]
    fn requantization_of_extremes_does_not_overflow() {
        for accumulator in [i32::MIN, -0x1_0000, -0x8000, -1, 0, 1, 0x7fff, 0xffff, 0x1_0000, i32::MAX] {
            for multiplier in [1 << 30, 0x4000_ffff, 0x7fff_0000, i32::MAX] {
                for shift in [1, 31] {
                    let factor = Requantization { multiplier, shift };
                    let got = factor.apply(accumulator);
                    assert!(got.unsigned_abs() <= 1 << 29, "{accumulator} {shift} {got}");
                    let high = (i64::from(accumulator) * i64::from(multiplier)) >> 32;
                    assert_eq!(i64::from(factor.high_word(accumulator)), high, "{accumulator} {multiplier}");
                }
            }
        }
    }
}
