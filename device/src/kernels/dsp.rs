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

/// Requantises the accumulator in r0, adds the zero point in r8 and saturates; multiplier and shift are in r2 and r3.
macro_rules! requantize {
    ($register:literal) => {
        concat!(
            "smmul ", $register, ", ", $register, ", r2\n", "asrs ", $register, ", ", $register, ", r3\n", "adc ",
            $register, ", ", $register, ", r8\n", "ssat ", $register, ", #8, ", $register, "\n",
        )
    };
}

/// Bias, multiplier and shift of the next channel, in r12, r2 and r3.
macro_rules! constants {
    () => {
        "
        ldr r12, [r5], #4
        ldr r2, [r6], #4
        ldrb r3, [r7], #1
        "
    };
}

/// The end of one row of a vector.
macro_rules! end_of_value {
    ($sum:literal) => {
        concat!(
            constants!(),
            "ldr r0, [r4, #",
            $sum,
            "]\n",
            "add r0, r0, r12\n",
            requantize!("r0"),
            "strb r0, [r9], #1\n",
        )
    };
}

mod blocks;
mod depthwise;
mod patch;

pub(super) use blocks::{all_blocks, all_blocks_of_vector, row};
pub(super) use depthwise::all_groups;
pub(super) use patch::{lay, lay_rows};

/// Bytes that a patch takes for each tap.
pub(super) const BYTES: usize = 4;
