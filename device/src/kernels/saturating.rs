//! The end of a sum on Arm cores: the last bit that a shift takes out is the half that rounds up, and ADC adds it with the zero
//! point.
#![allow(unsafe_code)]

use core::arch::asm;

use attar_shared::Requantization;

/// Requantises, adds the zero point, and saturates to 8 bits.
#[cfg(not(thumb1))]
#[inline(always)]
pub(super) fn finish(accumulator: i32, requantization: Requantization, zero_point: i32) -> i8 {
    let mut value: i32;
    // SAFETY: it computes with its operands alone.
    unsafe {
        asm!(
            "smull {low}, {value}, {accumulator}, {multiplier}",
            "asrs {value}, {value}, {shift}",
            "adc {value}, {value}, {zero_point}",
            "ssat {value}, #8, {value}",
            low = out(reg) _,
            value = out(reg) value,
            accumulator = in(reg) accumulator,
            multiplier = in(reg) requantization.multiplier,
            shift = in(reg) u32::from(requantization.shift),
            zero_point = in(reg) zero_point,
            options(pure, nomem, nostack),
        );
    }
    value as i8
}

/// As on the larger cores, which have instructions for the product and to saturate.
#[cfg(thumb1)]
#[inline(always)]
pub(super) fn finish(accumulator: i32, requantization: Requantization, zero_point: i32) -> i8 {
    let mut value = requantization.high_word(accumulator);
    // SAFETY: it computes with its operands alone.
    unsafe {
        asm!(
            "asrs {value}, {shift}",
            "adcs {value}, {zero_point}",
            value = inout(reg) value,
            shift = in(reg) u32::from(requantization.shift),
            zero_point = in(reg) zero_point,
            options(pure, nomem, nostack),
        );
    }
    super::saturate(value, attar_shared::Clamp::ALL)
}
