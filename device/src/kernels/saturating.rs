//! The end of a sum on cores with SSAT: Cortex-M3, M4, M7 and M33.
#![allow(unsafe_code)]

use core::arch::asm;

use attar_shared::Requantization;

/// Requantises, adds the zero point, and saturates to 8 bits.
#[inline(always)]
pub(super) fn finish(accumulator: i32, requantization: Requantization, zero_point: i32) -> i8 {
    let mut value: i32;
    // The last bit that is shifted out is the half that rounds up, and ADC adds it with the zero point.
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
