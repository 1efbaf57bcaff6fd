//! The sums of 8-bit weights on RV32IM: four rows and two pixels in registers, one load for two products.
#![allow(unsafe_code)]

use core::arch::naked_asm;
use core::mem::offset_of;

use attar_shared::internal::ROWS;

use super::jobs::Taps;
use super::layout::Sums;

/// The products of a tap of four rows at two pixels, by the places of both values and of the weights.
macro_rules! tap {
    ($x:literal, $y:literal, $a:literal, $b:literal, $c:literal, $d:literal) => {
        concat!(
            "lb t4, ",
            $x,
            "(a1)\n",
            "lb t5, ",
            $y,
            "(a1)\n",
            "lbu t6, ",
            $a,
            "(a0)\n",
            "mul s0, t6, t4\n",
            "mul t6, t6, t5\n",
            "add a4, a4, s0\n",
            "add a5, a5, t6\n",
            "lb t6, ",
            $b,
            "(a0)\n",
            "mul s0, t6, t4\n",
            "mul t6, t6, t5\n",
            "add a6, a6, s0\n",
            "add a7, a7, t6\n",
            "lbu t6, ",
            $c,
            "(a0)\n",
            "mul s0, t6, t4\n",
            "mul t6, t6, t5\n",
            "add t0, t0, s0\n",
            "add t1, t1, t6\n",
            "lb t6, ",
            $d,
            "(a0)\n",
            "mul s0, t6, t4\n",
            "mul t6, t6, t5\n",
            "add t2, t2, s0\n",
            "add t3, t3, t6\n",
        )
    };
}

/// The products of a tap of four rows and one vector.
macro_rules! vector_tap {
    ($x:literal, $a:literal, $b:literal, $c:literal, $d:literal) => {
        concat!(
            "lb t4, ",
            $x,
            "(a1)\n",
            "lbu t0, ",
            $a,
            "(a0)\n",
            "lb t1, ",
            $b,
            "(a0)\n",
            "lbu t2, ",
            $c,
            "(a0)\n",
            "lb t3, ",
            $d,
            "(a0)\n",
            "mul t0, t0, t4\n",
            "mul t1, t1, t4\n",
            "mul t2, t2, t4\n",
            "mul t3, t3, t4\n",
            "add a4, a4, t0\n",
            "add a5, a5, t1\n",
            "add a6, a6, t2\n",
            "add a7, a7, t3\n",
        )
    };
}

/// A word becomes a word of the patch; its bytes, raised by 128, join two sums of 16 bits.
macro_rules! spread_word {
    ($from:literal, $to:literal) => {
        concat!(
            "lw t2, ",
            $from,
            "(a0)\n",
            "sw t2, ",
            $to,
            "(a1)\n",
            "xor t2, t2, t1\n",
            "and t3, t2, t0\n",
            "srli t2, t2, 8\n",
            "and t2, t2, t0\n",
            "add a3, a3, t3\n",
            "add a3, a3, t2\n",
        )
    };
}

/// Puts words of values into a patch, eight bytes apart, and returns the sum of all bytes.
///
/// # Safety
///
/// There are as many words, aligned, and places for them; at most 128.
#[unsafe(naked)]
pub(super) unsafe extern "C" fn spread(values: *const i8, places: *mut i8, words: usize) -> i32 {
    naked_asm!(
        "li t0, 0x00ff00ff",
        "li t1, 0x80808080",
        "li a3, 0",
        "andi a4, a2, -2",
        "slli a4, a4, 2",
        "add a4, a4, a0",
        "beq a0, a4, 2f",
        "1:",
        spread_word!("0", "0"),
        spread_word!("4", "8"),
        "addi a0, a0, 8",
        "addi a1, a1, 16",
        "bne a0, a4, 1b",
        "2:",
        "andi a4, a2, 1",
        "beqz a4, 3f",
        spread_word!("0", "0"),
        "3:",
        "slli a0, a3, 16",
        "srli a0, a0, 16",
        "srli a3, a3, 16",
        "add a0, a0, a3",
        "slli a2, a2, 9",
        "sub a0, a0, a2",
        "ret",
    )
}

/// Computes the sums of four rows at two pixels, the first and the third raised by 128.
///
/// # Safety
///
/// There are four weights and two values for each tap.
#[unsafe(naked)]
pub(super) unsafe extern "C" fn block_sums(weights: *const u8, patch: *const i8, taps: usize, sums: &mut Sums) {
    naked_asm!(
        ".option push",
        ".option arch, +m",
        "addi sp, sp, -16",
        "sw s0, 12(sp)",
        "sw s1, 8(sp)",
        "andi s1, a2, -4",
        "slli s1, s1, 1",
        "add s1, s1, a1",
        "li a4, 0",
        "li a5, 0",
        "li a6, 0",
        "li a7, 0",
        "li t0, 0",
        "li t1, 0",
        "li t2, 0",
        "li t3, 0",
        "beq a1, s1, 2f",
        "1:",
        tap!("0", "4", "0", "1", "4", "5"),
        tap!("1", "5", "8", "9", "12", "13"),
        tap!("2", "6", "2", "3", "6", "7"),
        tap!("3", "7", "10", "11", "14", "15"),
        "addi a0, a0, 16",
        "addi a1, a1, 8",
        "bne a1, s1, 1b",
        "2:",
        "andi a2, a2, 3",
        "beqz a2, 4f",
        "3:",
        tap!("0", "1", "0", "1", "2", "3"),
        "addi a0, a0, 4",
        "addi a1, a1, 2",
        "addi a2, a2, -1",
        "bnez a2, 3b",
        "4:",
        "sw a4, 0(a3)",
        "sw a5, 4(a3)",
        "sw a6, 8(a3)",
        "sw a7, 12(a3)",
        "sw t0, 16(a3)",
        "sw t1, 20(a3)",
        "sw t2, 24(a3)",
        "sw t3, 28(a3)",
        "lw s0, 12(sp)",
        "lw s1, 8(sp)",
        "addi sp, sp, 16",
        "ret",
        ".option pop",
    )
}

/// As [`block_sums`], for one vector.
///
/// # Safety
///
/// There are four weights for each value.
#[unsafe(naked)]
pub(super) unsafe extern "C" fn vector_sums(
    weights: *const u8,
    values: *const i8,
    taps: usize,
    sums: &mut [i32; ROWS],
) {
    naked_asm!(
        ".option push",
        ".option arch, +m",
        "li a4, 0",
        "li a5, 0",
        "li a6, 0",
        "li a7, 0",
        "andi t5, a2, -4",
        "add t5, t5, a1",
        "beq a1, t5, 2f",
        "1:",
        vector_tap!("0", "0", "1", "4", "5"),
        vector_tap!("1", "8", "9", "12", "13"),
        vector_tap!("2", "2", "3", "6", "7"),
        vector_tap!("3", "10", "11", "14", "15"),
        "addi a0, a0, 16",
        "addi a1, a1, 4",
        "bne a1, t5, 1b",
        "2:",
        "andi a2, a2, 3",
        "beqz a2, 4f",
        "3:",
        vector_tap!("0", "0", "1", "2", "3"),
        "addi a0, a0, 4",
        "addi a1, a1, 1",
        "addi a2, a2, -1",
        "bnez a2, 3b",
        "4:",
        "sw a4, 0(a3)",
        "sw a5, 4(a3)",
        "sw a6, 8(a3)",
        "sw a7, 12(a3)",
        "ret",
        ".option pop",
    )
}

/// Adds to the sums of four channels the products of a rectangle of taps.
///
/// # Safety
///
/// There are a row and a column at least, and every tap lies in what the pointers point to.
#[unsafe(naked)]
pub(super) unsafe extern "C" fn channel_sums(values: *const i8, weights: *const u8, taps: &Taps, sums: &mut [i32; 4]) {
    naked_asm!(
        ".option push",
        ".option arch, +m",
        "lw a4, 0(a3)",
        "lw a5, 4(a3)",
        "lw a6, 8(a3)",
        "lw a7, 12(a3)",
        "lw t0, {rows}(a2)",
        "lw t2, {step}(a2)",
        "lw t3, {depth}(a2)",
        "1:",
        "lw t1, {columns}(a2)",
        "2:",
        "lb t4, 0(a0)",
        "lb t5, 0(a1)",
        "mul t4, t4, t5",
        "add a4, a4, t4",
        "lb t4, 1(a0)",
        "lb t5, 1(a1)",
        "mul t4, t4, t5",
        "add a5, a5, t4",
        "lb t4, 2(a0)",
        "lb t5, 2(a1)",
        "mul t4, t4, t5",
        "add a6, a6, t4",
        "lb t4, 3(a0)",
        "lb t5, 3(a1)",
        "mul t4, t4, t5",
        "add a7, a7, t4",
        "add a0, a0, t2",
        "add a1, a1, t3",
        "addi t1, t1, -1",
        "bnez t1, 2b",
        "lw t4, {skip}(a2)",
        "lw t5, {weight_skip}(a2)",
        "add a0, a0, t4",
        "add a1, a1, t5",
        "addi t0, t0, -1",
        "bnez t0, 1b",
        "sw a4, 0(a3)",
        "sw a5, 4(a3)",
        "sw a6, 8(a3)",
        "sw a7, 12(a3)",
        "ret",
        ".option pop",
        rows = const offset_of!(Taps, rows),
        columns = const offset_of!(Taps, columns),
        step = const offset_of!(Taps, step),
        depth = const offset_of!(Taps, depth),
        skip = const offset_of!(Taps, skip),
        weight_skip = const offset_of!(Taps, weight_skip),
    )
}
