//! The sums of 8-bit weights on cores with the DSP extension: Cortex-M4, M7, M33.
//!
//! SMLAD adds two products of halves at once. Two rows share an i16 of a tap, `256 * second + first`, with the first raised
//! by 128, so that a product with the raw word sums both rows. SXTB16 takes the second rows out, whose own sum tells the first:
//! `first = mixed - 256 * second - 128 * total`. Each word of weights is unpacked once for four products.
//!
//! A patch holds i16. Of four taps, the even ones of the first pixel, those of the second, then the odd ones, in words of two:
//! the order in which SXTB16 takes bytes. Taps that are left over have a word of both pixels each.
//!
//! Its functions read and write what their arguments say and nothing else; the slices
//! around them give the lengths.
#![allow(unsafe_code)]

/// What the assembler has to be told: on ARMv8-M the extension is one of choice.
#[cfg(dsp_extension)]
macro_rules! needs {
    () => {
        ".cpu cortex-m33"
    };
}
#[cfg(not(dsp_extension))]
macro_rules! needs {
    () => {
        ""
    };
}

/// One word of two row pairs each, and one word of two taps of each pixel.
macro_rules! two_taps {
    () => {
        "
        ldrd r12, lr, [r0], #8
        ldrd r2, r3, [r1], #8
        smlad r4, r12, r2, r4
        smlad r5, r12, r3, r5
        sxtb16 r12, r12, ror #8
        smlad r6, r12, r2, r6
        smlad r7, r12, r3, r7
        smlad r8, lr, r2, r8
        smlad r9, lr, r3, r9
        sxtb16 lr, lr, ror #8
        smlad r10, lr, r2, r10
        smlad r11, lr, r3, r11
        "
    };
}

/// A tap of four rows at two pixels that is in no group.
macro_rules! one_tap {
    () => {
        "
        ldr r12, [r0], #4
        ldr r2, [r1], #4
        smlabb r4, r12, r2, r4
        smlabt r5, r12, r2, r5
        smlatb r8, r12, r2, r8
        smlatt r9, r12, r2, r9
        sxtb16 r12, r12, ror #8
        smlabb r6, r12, r2, r6
        smlabt r7, r12, r2, r7
        smlatb r10, r12, r2, r10
        smlatt r11, r12, r2, r11
        "
    };
}

/// Requantises an accumulator, adds the zero point and saturates; multiplier, shift and zero point are in registers.
macro_rules! requantize {
    ($register:literal, $multiplier:literal, $shift:literal, $zero_point:literal) => {
        concat!(
            "smmul ",
            $register,
            ", ",
            $register,
            ", ",
            $multiplier,
            "\n",
            "asrs ",
            $register,
            ", ",
            $register,
            ", ",
            $shift,
            "\n",
            "adc ",
            $register,
            ", ",
            $register,
            ", ",
            $zero_point,
            "\n",
            "ssat ",
            $register,
            ", #8, ",
            $register,
            "\n",
        )
    };
}

mod depthwise;
mod patch;
mod register_tile;

pub(super) use depthwise::{all_groups, all_lines};
pub(super) use patch::{lay, lay_pair, lay_rows, lays_rows, row};
pub(super) use register_tile::{all_blocks, all_blocks_of_vector};

/// Bytes that a patch takes for each tap.
pub(super) const BYTES: usize = 4;
