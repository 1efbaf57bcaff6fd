//! Sums on cores with the vector extension: Cortex-M55 and M85.
//!
//! A vector takes the words of one pair of rows out of two groups of weights, and the words of one pixel out of a patch; the
//! products of the halves are those of SMLAD. Groups that are left over, and taps, are summed as on other cores.
//!
//! Registers q0 to q3 belong to nobody across a call.

use core::arch::naked_asm;
use core::mem::offset_of;

use attar_shared::ROWS;

use crate::kernels::blocks::Blocks;
use crate::kernels::groups::{Groups, Taps};
use crate::kernels::matrix::Sums;

/// Eight taps of four rows at two pixels.
macro_rules! eight_taps {
    () => {
        "
        vld20.32 {{q0, q1}}, [r1]
        vld21.32 {{q0, q1}}, [r1]!
        vld20.32 {{q2, q3}}, [r3]
        vld21.32 {{q2, q3}}, [r3]!
        vmladava.s16 r4, q0, q2
        vmladava.s16 r0, q0, q3
        vmladava.s16 r8, q1, q2
        vmladava.s16 r10, q1, q3
        vmovlt.s8 q0, q0
        vmovlt.s8 q1, q1
        vmladava.s16 r6, q0, q2
        vmladava.s16 r2, q0, q3
        vmladava.s16 r12, q1, q2
        vmladava.s16 lr, q1, q3
        "
    };
}

/// Computes the sums of four rows at two pixels; those of the first and third row lack the correction for what raises them.
///
/// # Safety
///
/// Weights and patch are aligned to words and hold four bytes a tap each.
#[unsafe(naked)]
unsafe extern "C" fn block_sums(weights: *const u8, patch: *const i8, taps: usize, sums: &mut Sums) {
    naked_asm!(
        ".cpu cortex-m55",
        "push {{r2, r3, r4, r5, r6, r7, r8, r9, r10, r11, r12, lr}}",
        // The end of the sixteens.
        "bic r5, r2, #15",
        "add r5, r1, r5, lsl #2",
        "and r7, r2, #8",
        "mov r3, r1",
        "mov r1, r0",
        "movs r4, #0",
        "mov r0, r4",
        "mov r8, r4",
        "mov r10, r4",
        "mov r6, r4",
        "mov r2, r4",
        "mov r12, r4",
        "mov lr, r4",
        "cmp r3, r5",
        "beq 2f",
        "1:",
        eight_taps!(),
        eight_taps!(),
        "cmp r3, r5",
        "bne 1b",
        "2:",
        "cbz r7, 3f",
        eight_taps!(),
        "3:",
        // Into the registers that the taps left over are summed in: both columns of a row next to each other.
        "mov r5, r0",
        "mov r7, r2",
        "mov r9, r10",
        "mov r10, r12",
        "mov r11, lr",
        "mov r0, r1",
        "mov r1, r3",
        "ldr r3, [sp]",
        "tst r3, #4",
        "beq 4f",
        two_taps!(),
        two_taps!(),
        "4:",
        "ldr r3, [sp]",
        "ands r3, r3, #3",
        "beq 6f",
        "5:",
        one_tap!(),
        "subs r3, r3, #1",
        "bne 5b",
        "6:",
        "sub r4, r4, r6, lsl #8",
        "sub r5, r5, r7, lsl #8",
        "sub r8, r8, r10, lsl #8",
        "sub r9, r9, r11, lsl #8",
        "ldr r3, [sp, #4]",
        "stm r3, {{r4, r5, r6, r7, r8, r9, r10, r11}}",
        "pop {{r2, r3, r4, r5, r6, r7, r8, r9, r10, r11, r12, pc}}",
    )
}

/// Where the words of a pixel's eight taps stand in a patch.
static PLACES: [u32; 4] = [0, 8, 16, 24];

/// Spreads groups of four bytes to four halves each, in words eight bytes apart, and returns the sum of all.
///
/// # Safety
///
/// There are four bytes at `values` and sixteen at `places`, less those of the other column, for each group of every row, with
/// `skip` bytes of values between rows; there is a row at least.
#[unsafe(naked)]
pub(super) unsafe extern "C" fn spread_rows(
    values: *const i8,
    places: *mut i8,
    groups: usize,
    rows: usize,
    skip: usize,
) -> i32 {
    naked_asm!(
        ".cpu cortex-m55",
        "push {{r4, r5, r6, r7, r8, lr}}",
        "ldr r7, [sp, #24]",
        "movw r6, :lower16:{order}",
        "movt r6, :upper16:{order}",
        "vldrh.u16 q2, [r6]",
        "movw r6, :lower16:{places}",
        "movt r6, :upper16:{places}",
        "vldrw.u32 q3, [r6]",
        "movs r4, #0",
        "1:",
        "lsrs r8, r2, #1",
        "wls lr, r8, 3f",
        "2:",
        "vldrb.s16 q0, [r0, q2]",
        "adds r0, r0, #8",
        "vaddva.s16 r4, q0",
        "vstrw.32 q0, [r1, q3]",
        "adds r1, r1, #32",
        "le lr, 2b",
        "3:",
        "lsls r8, r2, #31",
        "beq 4f",
        // A group alone: its word becomes two.
        "ldr r5, [r0], #4",
        "sxtb16 r8, r5",
        "sxtb16 r5, r5, ror #8",
        "str r8, [r1], #8",
        "str r5, [r1], #8",
        "sadd16 r8, r8, r5",
        "mov r5, #0x00010001",
        "smlad r4, r8, r5, r4",
        "4:",
        "add r0, r0, r7",
        "subs r3, r3, #1",
        "bne 1b",
        "mov r0, r4",
        "pop {{r4, r5, r6, r7, r8, pc}}",
        order = sym ORDER,
        places = sym PLACES,
    )
}

/// Where the values of eight taps stand that meet a vector of weights, the even ones of four first.
static ORDER: [u16; 8] = [0, 2, 1, 3, 4, 6, 5, 7];

/// Eight taps of four rows and one vector.
macro_rules! eight_values {
    () => {
        "
        vld20.32 {{q0, q1}}, [r0]
        vld21.32 {{q0, q1}}, [r0]!
        vldrb.s16 q2, [r1, q3]
        adds r1, r1, #8
        vmladava.s16 r4, q0, q2
        vmovlt.s8 q0, q0
        vmladava.s16 r8, q1, q2
        vmovlt.s8 q1, q1
        vmladava.s16 r6, q0, q2
        vmladava.s16 r10, q1, q2
        "
    };
}

/// As [`block_sums`], for one vector of int8 at any address.
///
/// # Safety
///
/// The weights are aligned to words, and there are four for each value.
#[unsafe(naked)]
unsafe extern "C" fn vector_sums(weights: *const u8, values: *const i8, taps: usize, sums: &mut [i32; ROWS]) {
    naked_asm!(
        ".cpu cortex-m55",
        "push {{r2, r3, r4, r5, r6, r7, r8, r9, r10, r11, r12, lr}}",
        "movw r3, :lower16:{order}",
        "movt r3, :upper16:{order}",
        "vldrh.u16 q3, [r3]",
        "movs r4, #0",
        "mov r6, r4",
        "mov r8, r4",
        "mov r10, r4",
        "lsrs r12, r2, #4",
        "wls lr, r12, 2f",
        "1:",
        eight_values!(),
        eight_values!(),
        "le lr, 1b",
        "2:",
        "ldr r2, [sp]",
        "tst r2, #8",
        "beq 3f",
        eight_values!(),
        "3:",
        "tst r2, #4",
        "beq 4f",
        "ldm r0!, {{r5, r7, r9, r11}}",
        "ldr r3, [r1], #4",
        "sxtb16 r12, r3",
        "sxtb16 r3, r3, ror #8",
        "smlad r4, r5, r12, r4",
        "sxtb16 r5, r5, ror #8",
        "smlad r6, r5, r12, r6",
        "smlad r8, r7, r12, r8",
        "sxtb16 r7, r7, ror #8",
        "smlad r10, r7, r12, r10",
        "smlad r4, r9, r3, r4",
        "sxtb16 r9, r9, ror #8",
        "smlad r6, r9, r3, r6",
        "smlad r8, r11, r3, r8",
        "sxtb16 r11, r11, ror #8",
        "smlad r10, r11, r3, r10",
        "4:",
        "ands r2, r2, #3",
        "beq 6f",
        "5:",
        "ldr r5, [r0], #4",
        "ldrsb r3, [r1], #1",
        "smlabb r4, r5, r3, r4",
        "smlatb r8, r5, r3, r8",
        "sxtb16 r5, r5, ror #8",
        "smlabb r6, r5, r3, r6",
        "smlatb r10, r5, r3, r10",
        "subs r2, r2, #1",
        "bne 5b",
        "6:",
        "sub r4, r4, r6, lsl #8",
        "sub r8, r8, r10, lsl #8",
        "ldr r3, [sp, #4]",
        "strd r4, r6, [r3]",
        "strd r8, r10, [r3, #8]",
        "pop {{r2, r3, r4, r5, r6, r7, r8, r9, r10, r11, r12, pc}}",
        order = sym ORDER,
    )
}

/// The sums of every block at two pixels, and their end, four channels at once.
///
/// # Safety
///
/// As for [`block_sums`], for as many blocks; `end` has constants and places for as many channels.
#[unsafe(naked)]
pub(in crate::kernels) unsafe extern "C" fn all_blocks(job: &mut Blocks) {
    naked_asm!(
        ".cpu cortex-m55",
        "push {{r3, r4, r5, r6, r7, r8, r9, r10, r11, lr}}",
        "vpush {{d8, d9, d10, d11}}",
        "mov r4, r0",
        // What the first and third row of each pixel begin with.
        "ldrd r1, r2, [r4, #40]",
        "movs r3, #0",
        "vmov q4[2], q4[0], r1, r1",
        "vmov q4[3], q4[1], r3, r3",
        "vmov q5[2], q5[0], r2, r2",
        "vmov q5[3], q5[1], r3, r3",
        "ldm r0, {{r5, r6, r7, r8, r9, r10}}",
        // Places in low registers, which narrow stores take; biases and multipliers in theirs.
        "mov r2, r5",
        "mov r3, r6",
        "mov r5, r9",
        "mov r6, r10",
        "mov r9, r2",
        "mov r10, r3",
        "ldr r11, [r4, #36]",
        "ldr r0, [r4, #24]",
        "1:",
        "ldrd r1, r2, [r4, #28]",
        "add r3, r4, #48",
        "bl {sums}",
        "vld20.32 {{q0, q1}}, [r3]",
        "vld21.32 {{q0, q1}}, [r3]",
        "vldrw.u32 q2, [r9], #16",
        "vadd.i32 q0, q0, q4",
        "vadd.i32 q1, q1, q5",
        "vadd.i32 q0, q0, q2",
        "vadd.i32 q1, q1, q2",
        "vldrw.u32 q2, [r10], #16",
        "vmulh.s32 q0, q0, q2",
        "vmulh.s32 q1, q1, q2",
        "vldrb.u32 q2, [r7], #4",
        "vneg.s32 q2, q2",
        "vrshl.s32 q0, q0, q2",
        "vrshl.s32 q1, q1, q2",
        "vadd.i32 q0, q0, r8",
        "vadd.i32 q1, q1, r8",
        "vqmovnb.s32 q0, q0",
        "vqmovnb.s32 q1, q1",
        "vqmovnb.s16 q0, q0",
        "vqmovnb.s16 q1, q1",
        "vstrb.32 q1, [r6], #4",
        "vstrb.32 q0, [r5], #4",
        "subs r11, r11, #1",
        "bne 1b",
        "vpop {{d8, d9, d10, d11}}",
        "pop {{r3, r4, r5, r6, r7, r8, r9, r10, r11, pc}}",
        sums = sym block_sums,
    )
}

/// As [`all_blocks`], of one vector.
///
/// # Safety
///
/// As for [`vector_sums`], for as many blocks; `end` has constants and places for as many channels.
#[unsafe(naked)]
pub(in crate::kernels) unsafe extern "C" fn all_blocks_of_vector(job: &mut Blocks) {
    naked_asm!(
        ".cpu cortex-m55",
        "push {{r3, r4, r5, r6, r7, r8, r9, r10, r11, lr}}",
        "vpush {{d8, d9}}",
        "mov r4, r0",
        "ldr r1, [r4, #40]",
        "movs r3, #0",
        "vmov q4[2], q4[0], r1, r1",
        "vmov q4[3], q4[1], r3, r3",
        "ldm r0, {{r5, r6, r7, r8, r9}}",
        // The place in a low register, which narrow stores take.
        "mov r1, r5",
        "mov r5, r9",
        "mov r9, r1",
        "ldr r11, [r4, #36]",
        "ldr r0, [r4, #24]",
        "1:",
        "ldrd r1, r2, [r4, #28]",
        "add r3, r4, #48",
        "bl {sums}",
        "vldrw.u32 q0, [r3]",
        "vldrw.u32 q1, [r9], #16",
        "vadd.i32 q0, q0, q4",
        "vadd.i32 q0, q0, q1",
        end_of_four!("r5"),
        "subs r11, r11, #1",
        "bne 1b",
        "vpop {{d8, d9}}",
        "pop {{r3, r4, r5, r6, r7, r8, r9, r10, r11, pc}}",
        sums = sym vector_sums,
    )
}

/// The sums of every four channels of a depthwise convolution, and their end.
///
/// # Safety
///
/// Every tap of every rectangle lies in what its pointers point to, for as many groups of four as there are constants and
/// places.
#[unsafe(naked)]
pub(in crate::kernels) unsafe extern "C" fn all_groups(job: &mut Groups) {
    naked_asm!(
        ".cpu cortex-m55",
        "push {{r4, r5, r6, r7, r8, r9, r10, r11, r12, lr}}",
        "mov r4, r0",
        "ldm r0, {{r5, r6, r7, r8, r9}}",
        // The place in a low register, which narrow stores take.
        "mov r1, r5",
        "mov r5, r9",
        "mov r9, r1",
        "ldr r3, [r4, #{groups}]",
        "str r3, [r4, #{left}]",
        "1:",
        "vldrw.u32 q0, [r9], #16",
        "add r10, r4, #{taps}",
        "ldr r3, [r4, #{rectangles}]",
        "2:",
        // Values and weights; rows; from tap to tap.
        "ldrd r0, r1, [r10]",
        "ldr r2, [r10, #{rows}]",
        "ldrd r11, r12, [r10, #{step}]",
        "3:",
        "ldr lr, [r10, #{columns}]",
        "dls lr, lr",
        "4:",
        "vldrb.s32 q1, [r0]",
        "vldrb.s32 q2, [r1]",
        "add r0, r0, r11",
        "add r1, r1, r12",
        "vmul.i32 q1, q1, q2",
        "vadd.i32 q0, q0, q1",
        "le lr, 4b",
        "ldr lr, [r10, #{skip}]",
        "add r0, r0, lr",
        "ldr lr, [r10, #{weight_skip}]",
        "add r1, r1, lr",
        "subs r2, r2, #1",
        "bne 3b",
        // The next four channels of the values, if they are no padding, and of the weights.
        "ldrd r0, r1, [r10]",
        "ldr r2, [r10, #8]",
        "add r0, r0, r2",
        "adds r1, r1, #4",
        "strd r0, r1, [r10], #{size}",
        "subs r3, r3, #1",
        "bne 2b",
        end_of_four!("r5"),
        "ldr r3, [r4, #{left}]",
        "subs r3, r3, #1",
        "str r3, [r4, #{left}]",
        "bne 1b",
        "pop {{r4, r5, r6, r7, r8, r9, r10, r11, r12, pc}}",
        left = const offset_of!(Groups, left),
        groups = const offset_of!(Groups, groups),
        rectangles = const offset_of!(Groups, rectangles),
        taps = const offset_of!(Groups, taps),
        rows = const offset_of!(Taps, rows),
        columns = const offset_of!(Taps, columns),
        step = const offset_of!(Taps, step),
        skip = const offset_of!(Taps, skip),
        weight_skip = const offset_of!(Taps, weight_skip),
        size = const size_of::<Taps>(),
    )
}
