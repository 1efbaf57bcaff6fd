//! Blocks of four rows times a patch or a vector.

use core::arch::naked_asm;

use attar_shared::ROWS;

use crate::kernels::blocks::Blocks;
use crate::kernels::matrix::Sums;

/// A group of weights.
macro_rules! four_taps_of_pair {
    () => {
        concat!(two_taps!(), two_taps!())
    };
}

/// Computes the sums of four rows at two pixels; before them stands what those of the first and third row begin with.
///
/// # Safety
///
/// Weights and patch are aligned to words and hold four bytes a tap each; the sums are those of [`Blocks`].
#[unsafe(naked)]
unsafe extern "C" fn block_sums(weights: *const u8, patch: *const i8, taps: usize, sums: &mut Sums) {
    naked_asm!(
        needs!(),
        "push {{r1, r2, r3, r4, r5, r6, r7, r8, r9, r10, r11, lr}}",
        // What the rows begin with that are raised.
        "ldrd r4, r5, [r3, #-8]",
        "mov r8, r4",
        "mov r9, r5",
        "movs r6, #0",
        "mov r7, r6",
        "mov r10, r6",
        "mov r11, r6",
        // The end of the thirty-twos.
        "bic r3, r2, #31",
        "add r3, r1, r3, lsl #2",
        "str r3, [sp]",
        "cmp r1, r3",
        "beq 2f",
        "1:",
        four_taps_of_pair!(),
        four_taps_of_pair!(),
        four_taps_of_pair!(),
        four_taps_of_pair!(),
        four_taps_of_pair!(),
        four_taps_of_pair!(),
        four_taps_of_pair!(),
        four_taps_of_pair!(),
        "ldr r12, [sp]",
        "cmp r1, r12",
        "bne 1b",
        "2:",
        "ldr r3, [sp, #4]",
        "tst r3, #16",
        "beq 7f",
        four_taps_of_pair!(),
        four_taps_of_pair!(),
        four_taps_of_pair!(),
        four_taps_of_pair!(),
        "ldr r3, [sp, #4]",
        "7:",
        "tst r3, #8",
        "beq 3f",
        four_taps_of_pair!(),
        four_taps_of_pair!(),
        "ldr r3, [sp, #4]",
        "3:",
        "tst r3, #4",
        "beq 4f",
        four_taps_of_pair!(),
        "4:",
        "ldr r3, [sp, #4]",
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
        "ldr r3, [sp, #8]",
        "stm r3, {{r4, r5, r6, r7, r8, r9, r10, r11}}",
        "pop {{r1, r2, r3, r4, r5, r6, r7, r8, r9, r10, r11, pc}}",
    )
}

/// Four taps of four rows and one vector.
macro_rules! four_taps {
    () => {
        "
        ldm r0!, {{r4, r5, r6, r7}}
        ldr r3, [r1], #4
        sxtb16 r12, r3
        sxtb16 r3, r3, ror #8
        smlad r8, r4, r12, r8
        sxtb16 r4, r4, ror #8
        smlad r9, r4, r12, r9
        smlad r10, r5, r12, r10
        sxtb16 r5, r5, ror #8
        smlad r11, r5, r12, r11
        smlad r8, r6, r3, r8
        sxtb16 r6, r6, ror #8
        smlad r9, r6, r3, r9
        smlad r10, r7, r3, r10
        sxtb16 r7, r7, ror #8
        smlad r11, r7, r3, r11
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
        needs!(),
        "push {{r2, r3, r4, r5, r6, r7, r8, r9, r10, r11, r12, lr}}",
        "ldr r8, [r3, #-8]",
        "mov r10, r8",
        "mov r9, #0",
        "mov r11, r9",
        "lsrs lr, r2, #3",
        "beq 2f",
        "1:",
        four_taps!(),
        four_taps!(),
        "subs lr, lr, #1",
        "bne 1b",
        "2:",
        "ldr r2, [sp]",
        "tst r2, #4",
        "beq 3f",
        four_taps!(),
        "3:",
        "ands r2, r2, #3",
        "beq 5f",
        "4:",
        "ldr r4, [r0], #4",
        "ldrsb r3, [r1], #1",
        "smlabb r8, r4, r3, r8",
        "smlatb r10, r4, r3, r10",
        "sxtb16 r4, r4, ror #8",
        "smlabb r9, r4, r3, r9",
        "smlatb r11, r4, r3, r11",
        "subs r2, r2, #1",
        "bne 4b",
        "5:",
        "sub r8, r8, r9, lsl #8",
        "sub r10, r10, r11, lsl #8",
        "ldr r3, [sp, #4]",
        "stm r3, {{r8, r9, r10, r11}}",
        "pop {{r2, r3, r4, r5, r6, r7, r8, r9, r10, r11, r12, pc}}",
    )
}

/// The end of a row at two pixels; its bias and multiplier are in registers.
macro_rules! end_of_row {
    ($sums:literal, $bias:literal, $multiplier:literal) => {
        concat!(
            "ldrd r0, r1, [r4, #",
            $sums,
            "]\n",
            "ldrb lr, [r7], #1\n",
            "add r0, r0, ",
            $bias,
            "\n",
            "add r1, r1, ",
            $bias,
            "\n",
            requantize!("r1", $multiplier, "lr", "r8"),
            requantize!("r0", $multiplier, "lr", "r8"),
            "strb r1, [r10], #1\n",
            "strb r0, [r9], #1\n",
        )
    };
}

/// The end of two rows at two pixels.
macro_rules! end_of_two_rows {
    ($first:literal, $second:literal) => {
        concat!(
            "ldrd r11, r12, [r5], #8\n",
            "ldrd r2, r3, [r6], #8\n",
            end_of_row!($first, "r11", "r2"),
            end_of_row!($second, "r12", "r3"),
        )
    };
}

/// The sums of every block at two pixels, and their end.
///
/// # Safety
///
/// As for [`block_sums`], for as many blocks; `end` has constants and places for as many channels.
#[unsafe(naked)]
pub(in crate::kernels) unsafe extern "C" fn all_blocks(job: &mut Blocks) {
    naked_asm!(
        needs!(),
        "push {{r3, r4, r5, r6, r7, r8, r9, r10, r11, lr}}",
        "mov r4, r0",
        "ldm r0, {{r5, r6, r7, r8, r9, r10}}",
        "ldr r3, [r4, #36]",
        "str r3, [r4, #84]",
        "ldr r0, [r4, #24]",
        "1:",
        "ldrd r1, r2, [r4, #28]",
        "add r3, r4, #48",
        "bl {sums}",
        // The weights of the next block begin where those of this one end.
        "str r0, [r4, #80]",
        end_of_two_rows!("48", "56"),
        end_of_two_rows!("64", "72"),
        "ldrd r0, r3, [r4, #80]",
        "subs r3, r3, #1",
        "str r3, [r4, #84]",
        "bne 1b",
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
        needs!(),
        "push {{r3, r4, r5, r6, r7, r8, r9, r10, r11, lr}}",
        "mov r4, r0",
        "ldm r0, {{r5, r6, r7, r8, r9, r10}}",
        "ldr r3, [r4, #36]",
        "str r3, [r4, #84]",
        "ldr r0, [r4, #24]",
        "1:",
        "ldrd r1, r2, [r4, #28]",
        "add r3, r4, #48",
        "bl {sums}",
        "str r0, [r4, #80]",
        end_of_value!("48"),
        end_of_value!("52"),
        end_of_value!("56"),
        end_of_value!("60"),
        "ldrd r0, r3, [r4, #80]",
        "subs r3, r3, #1",
        "str r3, [r4, #84]",
        "bne 1b",
        "pop {{r3, r4, r5, r6, r7, r8, r9, r10, r11, pc}}",
        sums = sym vector_sums,
    )
}
