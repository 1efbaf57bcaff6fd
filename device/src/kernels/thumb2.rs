//! The sums of 8-bit weights on Cortex-M3: four rows and two pixels in registers, one load for two products.
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
            "ldrsb r2, [r1, #",
            $x,
            "]\n",
            "ldrsb r3, [r1, #",
            $y,
            "]\n",
            "ldrb r12, [r0, #",
            $a,
            "]\n",
            "mla r4, r12, r2, r4\n",
            "mla r5, r12, r3, r5\n",
            "ldrsb lr, [r0, #",
            $b,
            "]\n",
            "mla r6, lr, r2, r6\n",
            "mla r7, lr, r3, r7\n",
            "ldrb r12, [r0, #",
            $c,
            "]\n",
            "mla r8, r12, r2, r8\n",
            "mla r9, r12, r3, r9\n",
            "ldrsb lr, [r0, #",
            $d,
            "]\n",
            "mla r10, lr, r2, r10\n",
            "mla r11, lr, r3, r11\n",
        )
    };
}

/// The products of a tap of four rows and one vector.
macro_rules! vector_tap {
    ($x:literal, $a:literal, $b:literal, $c:literal, $d:literal) => {
        concat!(
            "ldrsb r12, [r1, #",
            $x,
            "]\n",
            "ldrb r8, [r0, #",
            $a,
            "]\n",
            "mla r4, r8, r12, r4\n",
            "ldrsb r9, [r0, #",
            $b,
            "]\n",
            "mla r5, r9, r12, r5\n",
            "ldrb r8, [r0, #",
            $c,
            "]\n",
            "mla r6, r8, r12, r6\n",
            "ldrsb r9, [r0, #",
            $d,
            "]\n",
            "mla r7, r9, r12, r7\n",
        )
    };
}

/// A word becomes a word of the patch; its bytes, raised by 128, join two sums of 16 bits.
macro_rules! spread_word {
    () => {
        "
        ldr r6, [r0], #4
        str r6, [r1], #8
        eor r6, r6, r5
        and r7, r6, r4
        and r6, r4, r6, lsr #8
        add r3, r3, r7
        add r3, r3, r6
        "
    };
}

/// Puts words of values into a patch, eight bytes apart, and returns the sum of all bytes.
///
/// # Safety
///
/// There are as many words, and places for them; at most 128.
#[unsafe(naked)]
pub(super) unsafe extern "C" fn spread(values: *const i8, places: *mut i8, words: usize) -> i32 {
    naked_asm!(
        "push {{r4, r5, r6, r7}}",
        "mov r4, #0x00ff00ff",
        "mov r5, #0x80808080",
        "movs r3, #0",
        "lsrs r12, r2, #1",
        "beq 2f",
        "1:",
        spread_word!(),
        spread_word!(),
        "subs r12, r12, #1",
        "bne 1b",
        "2:",
        "tst r2, #1",
        "beq 3f",
        spread_word!(),
        "3:",
        "uxth r0, r3",
        "add r0, r0, r3, lsr #16",
        "sub r0, r0, r2, lsl #9",
        "pop {{r4, r5, r6, r7}}",
        "bx lr",
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
        "push {{r2, r3, r4, r5, r6, r7, r8, r9, r10, r11, r12, lr}}",
        "bic r3, r2, #3",
        "add r3, r1, r3, lsl #1",
        "and r2, r2, #3",
        "strd r2, r3, [sp, #-8]!",
        "mov r4, #0",
        "mov r5, r4",
        "mov r6, r4",
        "mov r7, r4",
        "mov r8, r4",
        "mov r9, r4",
        "mov r10, r4",
        "mov r11, r4",
        "cmp r1, r3",
        "beq 2f",
        "1:",
        tap!("0", "4", "0", "1", "4", "5"),
        tap!("1", "5", "8", "9", "12", "13"),
        tap!("2", "6", "2", "3", "6", "7"),
        tap!("3", "7", "10", "11", "14", "15"),
        "add r0, r0, #16",
        "add r1, r1, #8",
        "ldr r12, [sp, #4]",
        "cmp r1, r12",
        "bne 1b",
        "2:",
        "ldr r2, [sp]",
        "cbz r2, 4f",
        "3:",
        tap!("0", "1", "0", "1", "2", "3"),
        "add r0, r0, #4",
        "add r1, r1, #2",
        "ldr r12, [sp]",
        "subs r12, r12, #1",
        "str r12, [sp]",
        "bne 3b",
        "4:",
        "ldr r3, [sp, #12]",
        "stm r3, {{r4, r5, r6, r7, r8, r9, r10, r11}}",
        "add sp, sp, #8",
        "pop {{r2, r3, r4, r5, r6, r7, r8, r9, r10, r11, r12, pc}}",
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
        "push {{r3, r4, r5, r6, r7, r8, r9, lr}}",
        "mov r4, #0",
        "mov r5, r4",
        "mov r6, r4",
        "mov r7, r4",
        "lsrs r3, r2, #2",
        "beq 2f",
        "1:",
        vector_tap!("0", "0", "1", "4", "5"),
        vector_tap!("1", "8", "9", "12", "13"),
        vector_tap!("2", "2", "3", "6", "7"),
        vector_tap!("3", "10", "11", "14", "15"),
        "add r0, r0, #16",
        "add r1, r1, #4",
        "subs r3, r3, #1",
        "bne 1b",
        "2:",
        "ands r3, r2, #3",
        "beq 4f",
        "3:",
        vector_tap!("0", "0", "1", "2", "3"),
        "add r0, r0, #4",
        "add r1, r1, #1",
        "subs r3, r3, #1",
        "bne 3b",
        "4:",
        "ldr r3, [sp]",
        "stm r3, {{r4, r5, r6, r7}}",
        "pop {{r3, r4, r5, r6, r7, r8, r9, pc}}",
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
        "push {{r3, r4, r5, r6, r7, r8, r9, r10, r11, lr}}",
        "mov lr, r2",
        "ldrd r10, r11, [lr, #{step}]",
        "ldr r12, [lr, #{rows}]",
        "ldm r3, {{r4, r5, r6, r7}}",
        "1:",
        "ldr r3, [lr, #{columns}]",
        "2:",
        "ldrsb r8, [r0, #0]",
        "ldrsb r9, [r1, #0]",
        "mla r4, r8, r9, r4",
        "ldrsb r8, [r0, #1]",
        "ldrsb r9, [r1, #1]",
        "mla r5, r8, r9, r5",
        "ldrsb r8, [r0, #2]",
        "ldrsb r9, [r1, #2]",
        "mla r6, r8, r9, r6",
        "ldrsb r8, [r0, #3]",
        "ldrsb r9, [r1, #3]",
        "mla r7, r8, r9, r7",
        "add r0, r0, r10",
        "add r1, r1, r11",
        "subs r3, r3, #1",
        "bne 2b",
        "ldrd r8, r9, [lr, #{skip}]",
        "add r0, r0, r8",
        "add r1, r1, r9",
        "subs r12, r12, #1",
        "bne 1b",
        "ldr r3, [sp]",
        "stm r3, {{r4, r5, r6, r7}}",
        "pop {{r3, r4, r5, r6, r7, r8, r9, r10, r11, pc}}",
        rows = const offset_of!(Taps, rows),
        columns = const offset_of!(Taps, columns),
        step = const offset_of!(Taps, step),
        skip = const offset_of!(Taps, skip),
    )
}
