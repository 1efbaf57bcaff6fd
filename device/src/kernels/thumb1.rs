//! The sums of 8-bit weights in eight registers: Cortex-M0, M0+ and M23.
//!
//! One multiplication gives the products of both pixels: a patch has a word `x + 65536 * y` for each tap, and all weights are
//! raised by 128, to 1 ..= 255, so that `x * w` fits the lower half. The word's product joins one sum as it is and, shifted by 16
//! bits, another, which is that of `y * w` less one for each x below zero. These are counted as the patch is laid out; the first
//! sum less 65,536 times the second is that of `x * w`.
#![allow(unsafe_code)]

use core::arch::naked_asm;
use core::mem::offset_of;

use attar_shared::internal::ROWS;

use super::jobs::{Taps, TileJob};
use super::layout::{COLUMNS, Patch, WindowRun};
use super::window::InputWindow;

/// Bytes that a patch takes for each tap.
pub(super) const BYTES: usize = 2 * COLUMNS;

/// Puts what a run of a window shows into a patch.
#[inline(never)]
pub(super) fn lay(patch: &mut Patch<'_>, column: usize, tap: usize, values: WindowRun<'_>, _taps: usize) {
    match values {
        WindowRun::Values(values) => lay_row(patch, column, tap, values),
        WindowRun::Padding { len, value } => {
            let (words, _) = patch.bytes.as_chunks_mut::<BYTES>();
            words.iter_mut().skip(tap).take(len).for_each(|word| put(word, column, value));
            let len = len as i32;
            count(patch, column, [i32::from(value).wrapping_mul(len), if value < 0 { len } else { 0 }]);
        }
    }
}

/// Returns whether [`lay_rows`] can put windows into a patch.
#[inline(always)]
pub(super) fn lays_rows(_window: &InputWindow) -> bool {
    true
}

/// Puts the rows of a window that lies in the input into a patch, from the values that it reaches over, and returns whether it
/// could.
#[inline(always)]
pub(super) fn lay_rows(patch: &mut Patch<'_>, column: usize, values: &[i8], window: &InputWindow) -> bool {
    let (mut start, mut tap) = (0usize, 0usize);
    for _ in 0..window.vertical.kernel {
        let row =
            values.get(start..start.wrapping_add(window.width)).unwrap_or_else(|| unreachable_in_checked_model!());
        lay_row(patch, column, tap, row);
        (start, tap) = (start.wrapping_add(window.row), tap.wrapping_add(window.width));
    }
    true
}

/// Puts values into a patch from a tap on.
#[inline(always)]
fn lay_row(patch: &mut Patch<'_>, column: usize, tap: usize, values: &[i8]) {
    let places = patch.bytes.get_mut(tap.wrapping_mul(BYTES)..tap.wrapping_add(values.len()).wrapping_mul(BYTES));
    let Some(places) = places else { unreachable_in_checked_model!(return) };
    let fast = if values.as_ptr().addr() & 3 == 0 { values.len() & !3 } else { 0 };
    let mut counts = [0i32; 2];
    if fast > 0 {
        let spread = if column == 0 { spread_low } else { spread_high };
        // SAFETY: there are as many words, and sixteen bytes of the patch for each.
        let both = unsafe { spread(values.as_ptr(), places.as_mut_ptr(), fast / 4) };
        counts = [both as i32, (both >> 32) as i32];
    }
    let (words, _) = places.as_chunks_mut::<BYTES>();
    for (word, &value) in words.iter_mut().zip(values).skip(fast) {
        put(word, column, value);
        counts = [counts[0].wrapping_add(value.into()), counts[1].wrapping_add(i32::from(value < 0))];
    }
    count(patch, column, counts);
}

/// Puts a value of the first pixel into a word, or adds one of the second.
#[inline(always)]
fn put(word: &mut [i8; BYTES], column: usize, value: i8) {
    let value = i32::from(value);
    let own = i32::from_le_bytes(word.map(i8::cast_unsigned));
    let new = if column == 0 { value } else { own.wrapping_add(value << 16) };
    *word = new.to_le_bytes().map(u8::cast_signed);
}

/// Counts the sum of some values of a pixel in, and how many of them are below zero.
#[inline(always)]
fn count(patch: &mut Patch<'_>, column: usize, [total, negatives]: [i32; 2]) {
    patch.add_total(column, total);
    if column == 0 {
        patch.negatives = patch.negatives.wrapping_add(negatives);
    }
}

/// Returns what the sums of every row begin with: what raising the weights adds, and what halves below zero borrow.
#[inline(always)]
pub(super) fn start_of(patch: &Patch<'_>) -> [i32; COLUMNS] {
    let [x, y] = patch.totals.map(|total| total.wrapping_mul(-128));
    // The second sum is taken off the first, with what it begins with.
    [x.wrapping_add(y << 16), y.wrapping_add(patch.negatives)]
}

/// The next byte of a word becomes a word of the patch and joins the sum; its sign, the last bit to leave, is counted.
macro_rules! spread_byte_low {
    ($place:literal) => {
        concat!(
            "sxtb r6, r5\n",
            "str r6, [r1, #",
            $place,
            "]\n",
            "adds r3, r3, r6\n",
            "lsrs r5, r5, #8\n",
            "adcs r2, r7\n",
        )
    };
}

/// The next byte of a word is added to the upper half of a word of the patch and joins the sum.
macro_rules! spread_byte_high {
    ($place:literal) => {
        concat!(
            "sxtb r6, r5\n",
            "ldrh r7, [r1, #",
            $place,
            "]\n",
            "adds r7, r7, r6\n",
            "strh r7, [r1, #",
            $place,
            "]\n",
            "adds r3, r3, r6\n",
            "lsrs r5, r5, #8\n",
        )
    };
}

/// Puts the bytes of words into a patch, each as a word, and returns their sum, with how many are below zero in the upper half.
///
/// # Safety
///
/// There are as many words, aligned, and words of the patch for their bytes, aligned too; one at least.
#[unsafe(naked)]
unsafe extern "C" fn spread_low(values: *const i8, places: *mut i8, words: usize) -> u64 {
    naked_asm!(
        "push {{r4, r5, r6, r7, lr}}",
        "lsls r4, r2, #2",
        "adds r4, r4, r0",
        "movs r2, #0",
        "movs r3, #0",
        "movs r7, #0",
        "1:",
        "ldm r0!, {{r5}}",
        spread_byte_low!("0"),
        spread_byte_low!("4"),
        spread_byte_low!("8"),
        spread_byte_low!("12"),
        "adds r1, #16",
        "cmp r0, r4",
        "bne 1b",
        "mov r0, r3",
        "mov r1, r2",
        "pop {{r4, r5, r6, r7, pc}}",
    )
}

/// As [`spread_low`], into the upper halves of words that have the first pixel; nothing is counted.
///
/// # Safety
///
/// As there.
#[unsafe(naked)]
unsafe extern "C" fn spread_high(values: *const i8, places: *mut i8, words: usize) -> u64 {
    naked_asm!(
        "push {{r4, r5, r6, r7, lr}}",
        "lsls r4, r2, #2",
        "adds r4, r4, r0",
        "movs r3, #0",
        "1:",
        "ldm r0!, {{r5}}",
        spread_byte_high!("2"),
        spread_byte_high!("6"),
        spread_byte_high!("10"),
        spread_byte_high!("14"),
        "adds r1, #16",
        "cmp r0, r4",
        "bne 1b",
        "mov r0, r3",
        "movs r1, #0",
        "pop {{r4, r5, r6, r7, pc}}",
    )
}

/// Returns the sums at both pixels of a row of weights times a patch.
#[inline(never)]
pub(super) fn row(weights: &[u8], patch: &Patch<'_>) -> [i32; COLUMNS] {
    let (words, _) = patch.bytes.as_chunks::<BYTES>();
    let [mut p, mut q] = [0i32; COLUMNS];
    for (&weight, word) in weights.iter().zip(words) {
        let weight = i32::from(weight.cast_signed());
        let word = i32::from_le_bytes(word.map(i8::cast_unsigned));
        let x = i32::from(word as i8);
        let y = word.wrapping_sub(x) >> 16;
        (p, q) = (p.wrapping_add(weight.wrapping_mul(x)), q.wrapping_add(weight.wrapping_mul(y)));
    }
    [p, q]
}

/// A weight, which may have to be raised by 128, times a word of the patch; it joins a sum, and its upper half another.
macro_rules! product {
    ($weight:literal, $raise:literal, $sum:literal, $upper:literal) => {
        concat!(
            "ldrb r3, [r0, #",
            $weight,
            "]\n",
            $raise,
            "muls r3, r2, r3\n",
            "add ",
            $sum,
            ", r3\n",
            "asrs r3, r3, #16\n",
            "add ",
            $upper,
            ", r3\n",
        )
    };
}

/// The products of a tap of four rows at two pixels, by the places of the word of the patch and of the weights.
macro_rules! tap {
    ($values:literal, $a:literal, $b:literal, $c:literal, $d:literal) => {
        concat!(
            "ldr r2, [r1, #",
            $values,
            "]\n",
            product!($a, "", "r5", "r8"),
            product!($b, "eors r3, r4\n", "r6", "r9"),
            product!($c, "", "r7", "r10"),
            product!($d, "eors r3, r4\n", "r11", "r12"),
        )
    };
}

/// The sums of a row at both pixels, from what its products have joined, to where r3 points.
macro_rules! sums_of_row {
    ($sum:literal, $upper:literal) => {
        concat!("mov r1, ", $upper, "\n", "lsls r0, r1, #16\n", "subs r0, ", $sum, ", r0\n", "stm r3!, {{r0, r1}}\n")
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

/// The product of a tap of one channel, at a place that a register has.
macro_rules! channel {
    ($place:literal, $sum:literal) => {
        concat!(
            "ldrsb r2, [r0, ",
            $place,
            "]\n",
            "ldrsb r3, [r1, ",
            $place,
            "]\n",
            "muls r2, r3, r2\n",
            "add ",
            $sum,
            ", r2\n",
        )
    };
}

/// Computes the sums of four rows at two pixels, each from what the job says that it begins with, into the job.
///
/// # Safety
///
/// There are four weights and a word of the patch for each tap; the patch is aligned to words.
#[unsafe(naked)]
pub(super) unsafe extern "C" fn block_sums(weights: *const u8, patch: *const i8, taps: usize, job: &mut TileJob) {
    naked_asm!(
        "push {{r4, r5, r6, r7, lr}}",
        "mov r4, r8",
        "mov r5, r9",
        "mov r6, r10",
        "mov r7, r11",
        "push {{r2, r3, r4, r5, r6, r7}}",
        "adds r3, #{start}",
        "ldm r3!, {{r5, r6}}",
        "mov r8, r6",
        "mov r9, r6",
        "mov r10, r6",
        "mov r12, r6",
        "mov r6, r5",
        "mov r7, r5",
        "mov r11, r5",
        "movs r4, #128",
        "lsrs r3, r2, #2",
        "lsls r3, r3, #4",
        "adds r3, r3, r1",
        "mov lr, r3",
        "cmp r1, lr",
        "beq 2f",
        "1:",
        tap!("0", "0", "1", "4", "5"),
        tap!("4", "8", "9", "12", "13"),
        tap!("8", "2", "3", "6", "7"),
        tap!("12", "10", "11", "14", "15"),
        "adds r0, #16",
        "adds r1, #16",
        "cmp r1, lr",
        "bne 1b",
        "2:",
        "ldr r3, [sp]",
        "lsls r3, r3, #30",
        "lsrs r3, r3, #28",
        "beq 4f",
        "add lr, r3",
        "3:",
        tap!("0", "0", "1", "2", "3"),
        "adds r0, #4",
        "adds r1, #4",
        "cmp r1, lr",
        "bne 3b",
        "4:",
        "ldr r3, [sp, #4]",
        "adds r3, #{sums}",
        sums_of_row!("r5", "r8"),
        sums_of_row!("r6", "r9"),
        sums_of_row!("r7", "r10"),
        "mov r5, r11",
        sums_of_row!("r5", "r12"),
        "pop {{r2, r3, r4, r5, r6, r7}}",
        "mov r8, r4",
        "mov r9, r5",
        "mov r10, r6",
        "mov r11, r7",
        "pop {{r4, r5, r6, r7, pc}}",
        start = const offset_of!(TileJob, start),
        sums = const offset_of!(TileJob, sums),
    )
}

/// Computes the sums of four rows over a vector, of the first and the third raised by 128.
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
        "push {{r4, r5, r6, r7, lr}}",
        "mov r4, r8",
        "mov r5, r9",
        "mov r6, r10",
        "mov r7, r11",
        "push {{r2, r3, r4, r5, r6, r7}}",
        "ldm r3!, {{r4, r5, r6, r7}}",
        "mov r8, r4",
        "mov r9, r5",
        "mov r10, r6",
        "mov r11, r7",
        "ldr r4, [r2, #{step}]",
        "mov r12, r4",
        "ldr r4, [r2, #{depth}]",
        "mov lr, r4",
        // Columns and rows to do.
        "ldr r3, [r2, #{rows}]",
        "push {{r2, r3}}",
        "movs r4, #0",
        "movs r5, #1",
        "movs r6, #2",
        "movs r7, #3",
        "1:",
        "ldr r2, [sp, #8]",
        "ldr r2, [r2, #{columns}]",
        "2:",
        "str r2, [sp]",
        channel!("r4", "r8"),
        channel!("r5", "r9"),
        channel!("r6", "r10"),
        channel!("r7", "r11"),
        "add r0, r12",
        "add r1, lr",
        "ldr r2, [sp]",
        "subs r2, #1",
        "bne 2b",
        "ldr r3, [sp, #8]",
        "ldr r2, [r3, #{skip}]",
        "adds r0, r0, r2",
        "ldr r2, [r3, #{weight_skip}]",
        "adds r1, r1, r2",
        "ldr r3, [sp, #4]",
        "subs r3, #1",
        "str r3, [sp, #4]",
        "bne 1b",
        "ldr r3, [sp, #12]",
        "mov r4, r8",
        "mov r5, r9",
        "mov r6, r10",
        "mov r7, r11",
        "stm r3!, {{r4, r5, r6, r7}}",
        "add sp, #16",
        "pop {{r4, r5, r6, r7}}",
        "mov r8, r4",
        "mov r9, r5",
        "mov r10, r6",
        "mov r11, r7",
        "pop {{r4, r5, r6, r7, pc}}",
        rows = const offset_of!(Taps, rows),
        columns = const offset_of!(Taps, columns),
        step = const offset_of!(Taps, step),
        depth = const offset_of!(Taps, depth),
        skip = const offset_of!(Taps, skip),
        weight_skip = const offset_of!(Taps, weight_skip),
    )
}
