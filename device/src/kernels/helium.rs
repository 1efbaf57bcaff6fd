//! The sums of 8-bit weights on cores with the vector extension: Cortex-M55 and M85.
//!
//! Groups of four taps lie as `dsp` says: words of the first pair of rows and of the second, even taps, then odd ones. A load
//! that spreads words over four registers takes sixteen taps of each of the four apart; a shift that inserts brings the bytes of
//! a row together, so that a register has sixteen taps of one row in their order, and a patch is the values as they are. First
//! and third rows are raised by 128: their uppermost bits are turned around.
//!
//! Registers q0 to q3 belong to nobody across a call.
#![allow(unsafe_code)]

mod depthwise;
mod patch;

use core::arch::naked_asm;

use crate::kernels::jobs::TileJob;

pub(super) use depthwise::all_groups;
pub(super) use patch::{BYTES, lay, lay_rows, lays_rows, row};

/// Sixteen taps of four rows, from r1 on: even and odd taps of the first pair of rows in q0 and q2, of the second in q1 and q3.
macro_rules! sixteen_taps {
    () => {
        "
        vld40.32 {{q0, q1, q2, q3}}, [r1]
        vld41.32 {{q0, q1, q2, q3}}, [r1]
        vld42.32 {{q0, q1, q2, q3}}, [r1]
        vld43.32 {{q0, q1, q2, q3}}, [r1]!
        "
    };
}

/// As [`sixteen_taps`], of as many groups of four as r7 holds, of which there are fewer; zeros in place of the others. Places of
/// groups are at r11.
macro_rules! some_fours {
    () => {
        "
        vldrw.u32 q4, [r11]
        vadd.i32 q4, q4, r1
        vctp.32 r7
        vpstttt
        vldrwt.u32 q0, [q4]
        vldrwt.u32 q1, [q4, #4]
        vldrwt.u32 q2, [q4, #8]
        vldrwt.u32 q3, [q4, #12]
        add r1, r1, r7, lsl #4
        lsls r7, r7, #2
        vctp.8 r7
        "
    };
}

/// Sums of sixteen taps of four rows at two pixels, whose values are loaded as they are said to be.
macro_rules! at_two_pixels {
    ($first:literal, $second:literal) => {
        concat!(
            "veor q4, q0, q5\n",
            "veor q2, q2, q5\n",
            "vsli.16 q4, q2, #8\n",
            "vsri.16 q2, q0, #8\n",
            $first,
            "vmladava.s8 r0, q4, q6\n",
            "vmladava.s8 r4, q2, q6\n",
            $second,
            "vmladava.s8 r2, q4, q7\n",
            "vmladava.s8 r6, q2, q7\n",
            "veor q0, q1, q5\n",
            "veor q3, q3, q5\n",
            "vsli.16 q0, q3, #8\n",
            "vsri.16 q3, q1, #8\n",
            "vmladava.s8 r8, q0, q6\n",
            "vmladava.s8 r12, q3, q6\n",
            "vmladava.s8 r10, q0, q7\n",
            "vmladava.s8 lr, q3, q7\n",
        )
    };
}

/// Sixteen taps of four rows at two pixels.
macro_rules! sixteen_at_two_pixels {
    () => {
        concat!(sixteen_taps!(), at_two_pixels!("vldrb.u8 q6, [r3], #16\n", "vldrb.u8 q7, [r5], #16\n"))
    };
}

/// Sums of sixteen taps of four rows and one vector: of the first and third row raised and with 256 times the row after it.
macro_rules! at_one_pixel {
    () => {
        "
        vmovlb.s8 q5, q4
        vmovlt.s8 q6, q4
        vmladava.s16 r0, q0, q5
        vmladava.s16 r4, q1, q5
        vmladava.s16 r0, q2, q6
        vmladava.s16 r4, q3, q6
        vsri.16 q2, q0, #8
        vsri.16 q3, q1, #8
        vmladava.s8 r2, q2, q4
        vmladava.s8 r6, q3, q4
        "
    };
}

/// The sums of every block at two pixels, and their end, four channels at once.
///
/// # Safety
///
/// There are weights, constants and places for as many blocks, and a patch for as many taps; weights and constants are aligned
/// to words.
#[unsafe(naked)]
pub(in crate::kernels) unsafe extern "C" fn all_blocks(job: &mut TileJob) {
    naked_asm!(
        ".cpu cortex-m55",
        "push {{r3, r4, r5, r6, r7, r8, r9, r10, r11, lr}}",
        "vpush {{d8, d9, d10, d11, d12, d13, d14, d15}}",
        // Constants, zero point and places; weights, patch, taps and blocks: a copy, which is counted in.
        "sub sp, sp, #40",
        "ldm r0, {{r1, r2, r3, r4, r5, r6, r7, r8, r9, r10}}",
        "stm sp, {{r1, r2, r3, r4, r5, r6, r7, r8, r9, r10}}",
        "cmp r10, #0",
        "beq 9f",
        "vmov.i16 q5, #0x80",
        "1:",
        "ldrd r1, r3, [sp, #24]",
        "ldr r9, [sp, #32]",
        "add r5, r3, r9",
        "movs r0, #0",
        "mov r2, r0",
        "mov r4, r0",
        "mov r6, r0",
        "mov r8, r0",
        "mov r10, r0",
        "mov r12, r0",
        "mov lr, r0",
        // The end of the thirty-twos.
        "bic r7, r9, #31",
        "add r7, r1, r7, lsl #2",
        "cmp r1, r7",
        "beq 3f",
        "2:",
        sixteen_at_two_pixels!(),
        sixteen_at_two_pixels!(),
        "cmp r1, r7",
        "bne 2b",
        "3:",
        "tst r9, #16",
        "beq 4f",
        sixteen_at_two_pixels!(),
        "4:",
        "lsrs r7, r9, #2",
        "ands r7, r7, #3",
        "beq 5f",
        "adr r11, 10f",
        some_fours!(),
        at_two_pixels!("vpst\nvldrbt.u8 q6, [r3]\n", "vpst\nvldrbt.u8 q7, [r5]\n"),
        "add r3, r3, r7",
        "add r5, r5, r7",
        "5:",
        "ands r7, r9, #3",
        "beq 6f",
        // Taps left over have a word each, of a byte for each row.
        "vctp.32 r7",
        "vpsttt",
        "vldrwt.u32 q0, [r1]",
        "vldrbt.s32 q6, [r3]",
        "vldrbt.s32 q7, [r5]",
        "add r1, r1, r7, lsl #2",
        "veor q0, q0, q5",
        "vmovlb.s8 q1, q0",
        "vmovlt.s8 q2, q0",
        "vmovlb.s16 q3, q1",
        "vmladava.s32 r0, q3, q6",
        "vmladava.s32 r2, q3, q7",
        "vmovlb.s16 q3, q2",
        "vmladava.s32 r4, q3, q6",
        "vmladava.s32 r6, q3, q7",
        "vmovlt.s16 q1, q1",
        "vmladava.s32 r8, q1, q6",
        "vmladava.s32 r10, q1, q7",
        "vmovlt.s16 q2, q2",
        "vmladava.s32 r12, q2, q6",
        "vmladava.s32 lr, q2, q7",
        "6:",
        "str r1, [sp, #24]",
        "vmov d0, r0, r4",
        "vmov d1, r8, r12",
        "vmov d2, r2, r6",
        "vmov d3, r10, lr",
        "ldm sp, {{r1, r2, r3, r4, r5, r6}}",
        "vldrw.u32 q2, [r1], #16",
        "vadd.i32 q0, q0, q2",
        "vadd.i32 q1, q1, q2",
        "vldrw.u32 q2, [r2], #16",
        "vmulh.s32 q0, q0, q2",
        "vmulh.s32 q1, q1, q2",
        "vldrb.u32 q2, [r3], #4",
        "vneg.s32 q2, q2",
        "vrshl.s32 q0, q0, q2",
        "vrshl.s32 q1, q1, q2",
        "vadd.i32 q0, q0, r4",
        "vadd.i32 q1, q1, r4",
        "vqmovnb.s32 q0, q0",
        "vqmovnb.s32 q1, q1",
        "vqmovnb.s16 q0, q0",
        "vqmovnb.s16 q1, q1",
        // Of a pixel alone, what the second gives is overwritten.
        "vstrb.32 q1, [r6], #4",
        "vstrb.32 q0, [r5], #4",
        "stm sp, {{r1, r2, r3, r4, r5, r6}}",
        "ldr r1, [sp, #36]",
        "subs r1, r1, #1",
        "str r1, [sp, #36]",
        "bne 1b",
        "9:",
        "add sp, sp, #40",
        "vpop {{d8, d9, d10, d11, d12, d13, d14, d15}}",
        "pop {{r3, r4, r5, r6, r7, r8, r9, r10, r11, pc}}",
        // Where groups of four taps begin.
        ".p2align 2",
        "10:",
        ".word 0, 16, 32, 48",
    )
}

/// Sixteen taps of four rows and one vector, where each row stands by itself.
macro_rules! sixteen_of_rows {
    () => {
        "
        vldrb.u8 q0, [r10], #16
        vldrb.u8 q1, [r1], #16
        vmladava.s8 r0, q0, q1
        vldrb.u8 q1, [r3], #16
        vmladava.s8 r2, q0, q1
        vldrb.u8 q1, [r5], #16
        vmladava.s8 r4, q0, q1
        vldrb.u8 q1, [r7], #16
        vmladava.s8 r6, q0, q1
        "
    };
}

/// As [`all_blocks_of_vector`], of rows that stand one after the other.
///
/// # Safety
///
/// As there; the weights may be at any address.
#[unsafe(naked)]
pub(in crate::kernels) unsafe extern "C" fn all_rows_of_vector(job: &mut TileJob) {
    naked_asm!(
        ".cpu cortex-m55",
        "push {{r3, r4, r5, r6, r7, r8, r9, r10, r11, lr}}",
        "sub sp, sp, #24",
        // Biases, multipliers, shifts, zero point, place; weights, values, taps, blocks.
        "ldm r0!, {{r8, r9}}",
        "ldm r0, {{r1, r2, r3}}",
        "strd r1, r3, [sp, #16]",
        "vdup.32 q2, r2",
        "vmov.i32 q3, #0",
        "adds r0, #16",
        "ldm r0, {{r1, r2, r3, r11}}",
        "lsrs r4, r3, #5",
        "stm sp, {{r1, r2, r3, r4}}",
        "1:",
        "ldm sp, {{r1, r10, r12, lr}}",
        "add r3, r1, r12",
        "add r5, r3, r12",
        "add r7, r5, r12",
        "add r0, r7, r12",
        "str r0, [sp]",
        "and r12, r12, #31",
        "vmov r0, r2, d6",
        "vmov r4, r6, d6",
        "wls lr, lr, 3f",
        "2:",
        sixteen_of_rows!(),
        sixteen_of_rows!(),
        "le lr, 2b",
        "3:",
        "wlstp.8 lr, r12, 5f",
        "4:",
        sixteen_of_rows!(),
        "letp lr, 4b",
        "5:",
        "vmov d0, r0, r2",
        "vmov d1, r4, r6",
        "ldrd r1, r3, [sp, #16]",
        "vldrw.u32 q1, [r8], #16",
        "vadd.i32 q0, q0, q1",
        "vldrw.u32 q1, [r9], #16",
        "vmulh.s32 q0, q0, q1",
        "vldrb.u32 q1, [r1], #4",
        "vneg.s32 q1, q1",
        "vrshl.s32 q0, q0, q1",
        "vadd.i32 q0, q0, q2",
        "vqmovnb.s32 q0, q0",
        "vqmovnb.s16 q0, q0",
        "vstrb.32 q0, [r3], #4",
        "strd r1, r3, [sp, #16]",
        "subs r11, r11, #1",
        "bne 1b",
        "add sp, sp, #24",
        "pop {{r3, r4, r5, r6, r7, r8, r9, r10, r11, pc}}",
    )
}

/// Returns the sum of values.
pub(super) fn total(values: &[i8]) -> i32 {
    // SAFETY: there are as many values.
    unsafe { sum(values.as_ptr(), values.len()) }
}

/// Returns the sum of `len` values.
///
/// # Safety
///
/// There are as many.
#[unsafe(naked)]
unsafe extern "C" fn sum(values: *const i8, len: usize) -> i32 {
    naked_asm!(
        ".cpu cortex-m55",
        "push {{r4, lr}}",
        "movs r2, #0",
        "wlstp.8 lr, r1, 2f",
        "1:",
        "vldrb.u8 q0, [r0], #16",
        "vaddva.s8 r2, q0",
        "letp lr, 1b",
        "2:",
        "mov r0, r2",
        "pop {{r4, pc}}",
    )
}

/// As [`all_blocks`], of one vector of int8 at any address.
///
/// # Safety
///
/// As there; there are as many values as taps.
#[unsafe(naked)]
pub(in crate::kernels) unsafe extern "C" fn all_blocks_of_vector(job: &mut TileJob) {
    naked_asm!(
        ".cpu cortex-m55",
        "push {{r0, r4, r5, r6, r7, r8, r9, r10, r11, lr}}",
        "vpush {{d8, d9, d10, d11, d12, d13, d14, d15}}",
        // What the first and third row begin with.
        "ldr r1, [r0, #40]",
        "movs r2, #0",
        "vmov d14, r1, r2",
        "vmov d15, r1, r2",
        // Biases, multipliers, shifts, zero point, place, weights, blocks.
        "ldm r0, {{r1, r2, r3, r4, r5}}",
        "mov r8, r1",
        "mov r9, r2",
        "mov r10, r4",
        "ldr r1, [r0, #24]",
        "str r3, [sp, #64]",
        "ldrd r3, r12, [r0, #28]",
        "ldr r4, [r0, #36]",
        "push {{r3, r4, r5, r12}}",
        "cmp r4, #0",
        "beq 9f",
        "1:",
        "ldr r3, [sp]",
        "ldr r12, [sp, #12]",
        "movs r0, #0",
        "mov r2, r0",
        "mov r4, r0",
        "mov r6, r0",
        "lsrs r7, r12, #5",
        "wls lr, r7, 3f",
        "2:",
        sixteen_taps!(),
        "vldrb.u8 q4, [r3], #16",
        at_one_pixel!(),
        sixteen_taps!(),
        "vldrb.u8 q4, [r3], #16",
        at_one_pixel!(),
        "le lr, 2b",
        "3:",
        "tst r12, #16",
        "beq 4f",
        sixteen_taps!(),
        "vldrb.u8 q4, [r3], #16",
        at_one_pixel!(),
        "4:",
        "lsrs r7, r12, #2",
        "ands r7, r7, #3",
        "beq 5f",
        "adr r11, 10f",
        some_fours!(),
        "vpst",
        "vldrbt.u8 q4, [r3]",
        "add r3, r3, r7",
        at_one_pixel!(),
        "5:",
        "sub r0, r0, r2, lsl #8",
        "sub r4, r4, r6, lsl #8",
        "ands r7, r12, #3",
        "beq 6f",
        "vctp.32 r7",
        "vpstt",
        "vldrwt.u32 q0, [r1]",
        "vldrbt.s32 q4, [r3]",
        "add r1, r1, r7, lsl #2",
        // Raised rows are bytes without a sign.
        "vmovlb.u8 q1, q0",
        "vmovlt.s8 q2, q0",
        "vmovlb.u16 q3, q1",
        "vmladava.s32 r0, q3, q4",
        "vmovlt.u16 q1, q1",
        "vmladava.s32 r4, q1, q4",
        "vmovlb.s16 q3, q2",
        "vmladava.s32 r2, q3, q4",
        "vmovlt.s16 q2, q2",
        "vmladava.s32 r6, q2, q4",
        "6:",
        "vmov d0, r0, r2",
        "vmov d1, r4, r6",
        "ldrd r4, r5, [sp, #4]",
        "ldr r7, [sp, #80]",
        "vldrw.u32 q1, [r8], #16",
        "vadd.i32 q0, q0, q7",
        "vadd.i32 q0, q0, q1",
        "vldrw.u32 q1, [r9], #16",
        "vmulh.s32 q0, q0, q1",
        "vldrb.u32 q1, [r7], #4",
        "vneg.s32 q1, q1",
        // Rounding is that of a shift to the right by as many bits.
        "vrshl.s32 q0, q0, q1",
        "vadd.i32 q0, q0, r10",
        "vqmovnb.s32 q0, q0",
        "vqmovnb.s16 q0, q0",
        "vstrb.32 q0, [r5], #4",
        "str r7, [sp, #80]",
        "subs r4, r4, #1",
        "strd r4, r5, [sp, #4]",
        "bne 1b",
        "9:",
        "add sp, sp, #16",
        "vpop {{d8, d9, d10, d11, d12, d13, d14, d15}}",
        "pop {{r0, r4, r5, r6, r7, r8, r9, r10, r11, pc}}",
        ".p2align 2",
        "10:",
        ".word 0, 16, 32, 48",
    )
}
