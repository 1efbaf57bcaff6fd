//! The sums of 8-bit weights in eight registers: Cortex-M0, M0+ and M23.
//!
//! Two rows and two pixels at a time, the sums in the high registers. A patch has a word for each tap: a half of each pixel.
#![allow(unsafe_code)]

use core::arch::naked_asm;
use core::mem::offset_of;

use attar_shared::ROWS;

use super::groups::Taps;
use super::matrix::{COLUMNS, Patch, Sums};
use super::window::Over;

/// Bytes that a patch takes for each tap.
pub(super) const BYTES: usize = 2 * COLUMNS;

/// Puts what a run of a window shows into a patch.
#[inline(never)]
pub(super) fn lay(patch: &mut Patch<'_>, column: usize, tap: usize, values: Result<&[i8], (usize, i8)>, _taps: usize) {
    let total = match values {
        Ok(values) => lay_row(patch, column, tap, values),
        Err((len, value)) => {
            let (words, _) = patch.bytes.as_chunks_mut::<BYTES>();
            words.iter_mut().skip(tap).take(len).for_each(|word| put(word, column, value));
            i32::from(value).wrapping_mul(len as i32)
        }
    };
    if let Some(sum) = patch.totals.get_mut(column) {
        *sum = sum.wrapping_add(total);
    }
}

/// Puts the rows of a window that lies in the input into a patch, from the values that it reaches over, and returns whether it
/// could.
#[inline(always)]
pub(super) fn lay_rows(patch: &mut Patch<'_>, column: usize, values: &[i8], over: &Over) -> bool {
    let (mut total, mut start, mut tap) = (0i32, 0usize, 0usize);
    for _ in 0..over.vertical.kernel {
        let row = values.get(start..start.wrapping_add(over.width)).unwrap_or_default();
        total = total.wrapping_add(lay_row(patch, column, tap, row));
        (start, tap) = (start.wrapping_add(over.row), tap.wrapping_add(over.width));
    }
    if let Some(sum) = patch.totals.get_mut(column) {
        *sum = total;
    }
    true
}

/// Puts values into a patch from a tap on, and returns their sum.
#[inline(always)]
fn lay_row(patch: &mut Patch<'_>, column: usize, tap: usize, values: &[i8]) -> i32 {
    let places = patch.bytes.get_mut(tap.wrapping_mul(BYTES)..tap.wrapping_add(values.len()).wrapping_mul(BYTES));
    let Some(places) = places else { return 0 };
    let fast = if values.as_ptr().addr() & 3 == 0 { values.len() & !3 } else { 0 };
    let mut total = 0i32;
    if fast > 0 {
        let place = places.as_mut_ptr().wrapping_add(column.wrapping_mul(2));
        // SAFETY: there are as many words, and sixteen bytes of the patch for each; a column begins a half further on.
        total = unsafe { spread(values.as_ptr(), place, fast / 4) };
    }
    let (words, _) = places.as_chunks_mut::<BYTES>();
    for (word, &value) in words.iter_mut().zip(values).skip(fast) {
        put(word, column, value);
        total = total.wrapping_add(value.into());
    }
    total
}

#[inline(always)]
fn put([a, b, c, d]: &mut [i8; BYTES], column: usize, value: i8) {
    let (low, high) = if column == 0 { (a, b) } else { (c, d) };
    (*low, *high) = (value, value >> 7);
}

/// The next byte of a word becomes a half of the patch and joins the sum.
macro_rules! spread_byte {
    ($place:literal) => {
        concat!("sxtb r6, r5\n", "strh r6, [r1, #", $place, "]\n", "adds r3, r3, r6\n", "lsrs r5, r5, #8\n")
    };
}

/// Puts the bytes of words into a patch, each as a half, four bytes apart, and returns their sum.
///
/// # Safety
///
/// There are as many words, aligned, and places for their bytes; one at least.
#[unsafe(naked)]
unsafe extern "C" fn spread(values: *const i8, places: *mut i8, words: usize) -> i32 {
    naked_asm!(
        "push {{r4, r5, r6, lr}}",
        "lsls r4, r2, #2",
        "adds r4, r4, r0",
        "movs r3, #0",
        "1:",
        "ldm r0!, {{r5}}",
        spread_byte!("0"),
        spread_byte!("4"),
        spread_byte!("8"),
        spread_byte!("12"),
        "adds r1, #16",
        "cmp r0, r4",
        "bne 1b",
        "mov r0, r3",
        "pop {{r4, r5, r6, pc}}",
    )
}

/// Returns the sums at both pixels of a row of weights times a patch.
#[inline(never)]
pub(super) fn row(weights: &[u8], patch: &Patch<'_>) -> [i32; COLUMNS] {
    let (words, _) = patch.bytes.as_chunks::<BYTES>();
    let [mut p, mut q] = [0i32; COLUMNS];
    for (&weight, &[x, _, y, _]) in weights.iter().zip(words) {
        let weight = i32::from(weight.cast_signed());
        (p, q) = (p.wrapping_add(weight * i32::from(x)), q.wrapping_add(weight * i32::from(y)));
    }
    [p, q]
}

/// The products of a tap of two rows at two pixels, by the places of the word of the patch and of both weights.
macro_rules! tap {
    ($values:literal, $first:literal, $second:literal) => {
        concat!(
            "ldr r4, [r1, #",
            $values,
            "]\n",
            "asrs r5, r4, #16\n",
            "sxth r4, r4\n",
            "ldrb r2, [r0, #",
            $first,
            "]\n",
            "ldrb r3, [r0, #",
            $second,
            "]\n",
            "sxtb r3, r3\n",
            "mov r6, r2\n",
            "muls r6, r4, r6\n",
            "add r8, r6\n",
            "muls r2, r5, r2\n",
            "add r9, r2\n",
            "muls r4, r3, r4\n",
            "add r10, r4\n",
            "muls r5, r3, r5\n",
            "add r11, r5\n",
        )
    };
}

/// The products of a tap of four rows and one vector, by the places of the value and of the weights.
macro_rules! vector_tap {
    ($x:literal, $a:literal, $b:literal, $c:literal, $d:literal) => {
        concat!(
            "ldrb r2, [r1, #",
            $x,
            "]\n",
            "sxtb r2, r2\n",
            "ldrb r3, [r0, #",
            $a,
            "]\n",
            "muls r3, r2, r3\n",
            "adds r4, r4, r3\n",
            "ldrb r3, [r0, #",
            $b,
            "]\n",
            "sxtb r3, r3\n",
            "muls r3, r2, r3\n",
            "adds r5, r5, r3\n",
            "ldrb r3, [r0, #",
            $c,
            "]\n",
            "muls r3, r2, r3\n",
            "adds r6, r6, r3\n",
            "ldrb r3, [r0, #",
            $d,
            "]\n",
            "sxtb r3, r3\n",
            "muls r3, r2, r3\n",
            "adds r7, r7, r3\n",
        )
    };
}

/// The product of a tap of one channel.
macro_rules! channel {
    ($place:literal, $sum:literal) => {
        concat!(
            "ldrb r2, [r0, #",
            $place,
            "]\n",
            "sxtb r2, r2\n",
            "ldrb r3, [r1, #",
            $place,
            "]\n",
            "sxtb r3, r3\n",
            "muls r2, r3, r2\n",
            "adds ",
            $sum,
            ", ",
            $sum,
            ", r2\n",
        )
    };
}

/// Computes the sums of four rows at two pixels, the first and the third raised by 128.
///
/// # Safety
///
/// There are four weights and a word of the patch for each tap; the patch is aligned to words.
#[unsafe(naked)]
pub(super) unsafe extern "C" fn block_sums(weights: *const u8, patch: *const i8, taps: usize, sums: &mut Sums) {
    naked_asm!(
        "push {{r4, r5, r6, r7, lr}}",
        "mov r4, r8",
        "mov r5, r9",
        "mov r6, r10",
        "mov r7, r11",
        "push {{r4, r5, r6, r7}}",
        "push {{r0, r1, r2, r3}}",
        "movs r4, #0",
        "mov r8, r4",
        "mov r9, r4",
        "mov r10, r4",
        "mov r11, r4",
        "lsrs r7, r2, #2",
        "lsls r7, r7, #4",
        "adds r7, r7, r1",
        "cmp r1, r7",
        "beq 2f",
        "1:",
        tap!("0", "0", "1"),
        tap!("4", "8", "9"),
        tap!("8", "2", "3"),
        tap!("12", "10", "11"),
        "adds r0, #16",
        "adds r1, #16",
        "cmp r1, r7",
        "bne 1b",
        "2:",
        "ldr r2, [sp, #8]",
        "lsls r7, r2, #30",
        "lsrs r7, r7, #28",
        "beq 4f",
        "adds r7, r7, r1",
        "3:",
        tap!("0", "0", "1"),
        "adds r0, #4",
        "adds r1, #4",
        "cmp r1, r7",
        "bne 3b",
        "4:",
        "ldr r3, [sp, #12]",
        "mov r2, r8",
        "str r2, [r3, #0]",
        "mov r2, r9",
        "str r2, [r3, #4]",
        "mov r2, r10",
        "str r2, [r3, #8]",
        "mov r2, r11",
        "str r2, [r3, #12]",
        "movs r4, #0",
        "mov r8, r4",
        "mov r9, r4",
        "mov r10, r4",
        "mov r11, r4",
        "ldr r0, [sp]",
        "ldr r1, [sp, #4]",
        "ldr r2, [sp, #8]",
        "lsrs r7, r2, #2",
        "lsls r7, r7, #4",
        "adds r7, r7, r1",
        "cmp r1, r7",
        "beq 6f",
        "5:",
        tap!("0", "4", "5"),
        tap!("4", "12", "13"),
        tap!("8", "6", "7"),
        tap!("12", "14", "15"),
        "adds r0, #16",
        "adds r1, #16",
        "cmp r1, r7",
        "bne 5b",
        "6:",
        "ldr r2, [sp, #8]",
        "lsls r7, r2, #30",
        "lsrs r7, r7, #28",
        "beq 8f",
        "adds r7, r7, r1",
        "7:",
        tap!("0", "2", "3"),
        "adds r0, #4",
        "adds r1, #4",
        "cmp r1, r7",
        "bne 7b",
        "8:",
        "ldr r3, [sp, #12]",
        "mov r2, r8",
        "str r2, [r3, #16]",
        "mov r2, r9",
        "str r2, [r3, #20]",
        "mov r2, r10",
        "str r2, [r3, #24]",
        "mov r2, r11",
        "str r2, [r3, #28]",
        "add sp, #16",
        "pop {{r4, r5, r6, r7}}",
        "mov r8, r4",
        "mov r9, r5",
        "mov r10, r6",
        "mov r11, r7",
        "pop {{r4, r5, r6, r7, pc}}",
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
        "push {{r2, r3, r4, r5, r6, r7, lr}}",
        "movs r4, #0",
        "movs r5, #0",
        "movs r6, #0",
        "movs r7, #0",
        "lsrs r2, r2, #2",
        "lsls r2, r2, #2",
        "adds r2, r2, r1",
        "mov r12, r2",
        "cmp r1, r12",
        "beq 2f",
        "1:",
        vector_tap!("0", "0", "1", "4", "5"),
        vector_tap!("1", "8", "9", "12", "13"),
        vector_tap!("2", "2", "3", "6", "7"),
        vector_tap!("3", "10", "11", "14", "15"),
        "adds r0, #16",
        "adds r1, #4",
        "cmp r1, r12",
        "bne 1b",
        "2:",
        "ldr r2, [sp]",
        "lsls r2, r2, #30",
        "lsrs r2, r2, #30",
        "adds r2, r2, r1",
        "mov r12, r2",
        "cmp r1, r12",
        "beq 4f",
        "3:",
        vector_tap!("0", "0", "1", "2", "3"),
        "adds r0, #4",
        "adds r1, #1",
        "cmp r1, r12",
        "bne 3b",
        "4:",
        "ldr r3, [sp, #4]",
        "stm r3!, {{r4, r5, r6, r7}}",
        "pop {{r2, r3, r4, r5, r6, r7, pc}}",
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
        "push {{r3, r4, r5, r6, r7, lr}}",
        "mov r4, r8",
        "mov r5, r9",
        "mov r6, r10",
        "mov r7, r11",
        "push {{r4, r5, r6, r7}}",
        "mov r12, r2",
        "ldr r4, [r2, #{step}]",
        "mov r8, r4",
        "ldr r4, [r2, #{depth}]",
        "mov r11, r4",
        "ldr r4, [r2, #{rows}]",
        "mov r10, r4",
        "ldm r3!, {{r4, r5, r6, r7}}",
        "1:",
        "mov r2, r12",
        "ldr r2, [r2, #{columns}]",
        "mov r9, r2",
        "2:",
        channel!("0", "r4"),
        channel!("1", "r5"),
        channel!("2", "r6"),
        channel!("3", "r7"),
        "add r0, r8",
        "add r1, r11",
        "mov r2, r9",
        "subs r2, #1",
        "mov r9, r2",
        "bne 2b",
        "mov r2, r12",
        "ldr r3, [r2, #{skip}]",
        "adds r0, r0, r3",
        "ldr r3, [r2, #{weight_skip}]",
        "adds r1, r1, r3",
        "mov r2, r10",
        "subs r2, #1",
        "mov r10, r2",
        "bne 1b",
        "ldr r3, [sp, #16]",
        "stm r3!, {{r4, r5, r6, r7}}",
        "pop {{r4, r5, r6, r7}}",
        "mov r8, r4",
        "mov r9, r5",
        "mov r10, r6",
        "mov r11, r7",
        "pop {{r3, r4, r5, r6, r7, pc}}",
        rows = const offset_of!(Taps, rows),
        columns = const offset_of!(Taps, columns),
        step = const offset_of!(Taps, step),
        depth = const offset_of!(Taps, depth),
        skip = const offset_of!(Taps, skip),
        weight_skip = const offset_of!(Taps, weight_skip),
    )
}
