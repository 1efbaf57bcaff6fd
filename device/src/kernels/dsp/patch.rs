//! What a window shows, laid out in halves.

use core::arch::naked_asm;

use super::BYTES;
use crate::kernels::layout::{COLUMNS, Patch, WindowRun};
use crate::kernels::window::InputWindow;

/// The greatest window, in values, that assembly puts together on the stack.
const SMALL: usize = 64;

/// Puts what a run of a window shows into a patch.
#[inline(never)]
pub(in crate::kernels) fn lay(patch: &mut Patch<'_>, column: usize, tap: usize, values: WindowRun<'_>, taps: usize) {
    let whole = taps & !3;
    let mut tap = tap;
    let mut total = 0i32;
    match values {
        WindowRun::Values(values) => {
            let len = values.len().min(whole.saturating_sub(tap));
            let (fast, slow) = if tap & 3 == 0 { (len & !3, values.get(len & !3..)) } else { (0, Some(values)) };
            let places = patch
                .bytes
                .get_mut(tap.wrapping_mul(BYTES)..tap.wrapping_add(fast).wrapping_mul(BYTES))
                .or_else(|| unreachable_in_checked_model!());
            if let (Some(places), true) = (places, fast > 0) {
                // SAFETY: there are `fast` values, and four bytes of the patch for each; a column begins a word further on.
                total = unsafe {
                    spread(values.as_ptr(), places.as_mut_ptr().wrapping_add(column.wrapping_mul(4)), fast / 4)
                };
                tap = tap.wrapping_add(fast);
            }
            for &value in slow.unwrap_or_else(|| unreachable_in_checked_model!()) {
                put(patch.bytes, column, tap, value, whole);
                total = total.wrapping_add(value.into());
                tap = tap.wrapping_add(1);
            }
        }
        WindowRun::Padding { len, value } => {
            total = i32::from(value).wrapping_mul(len as i32);
            let end = tap.wrapping_add(len);
            let fast = if tap & 3 == 0 { len.min(whole.saturating_sub(tap)) & !3 } else { 0 };
            let places = patch
                .bytes
                .get_mut(tap.wrapping_mul(BYTES)..tap.wrapping_add(fast).wrapping_mul(BYTES))
                .or_else(|| unreachable_in_checked_model!());
            let [low, high] = i16::from(value).to_le_bytes().map(u8::cast_signed);
            for [first, second] in places
                .unwrap_or_else(|| unreachable_in_checked_model!())
                .as_chunks_mut::<4>()
                .0
                .as_chunks_mut::<COLUMNS>()
                .0
            {
                *(if column == 0 { first } else { second }) = [low, high, low, high];
            }
            for tap in tap.wrapping_add(fast)..end {
                put(patch.bytes, column, tap, value, whole);
            }
        }
    }
    patch.add_total(column, total);
}

/// Returns whether [`lay_rows`] can put windows into a patch.
#[inline(always)]
pub(in crate::kernels) fn lays_rows(window: &InputWindow) -> bool {
    window.len > 0 && (window.width.is_multiple_of(4) || window.len <= SMALL)
}

/// Puts the rows of a window that lies in the input into a patch, from the values that it reaches over, and returns whether it
/// could.
#[inline(always)]
pub(in crate::kernels) fn lay_rows(patch: &mut Patch<'_>, column: usize, values: &[i8], window: &InputWindow) -> bool {
    let len = window.width;
    if patch.bytes.len() / BYTES < window.len || values.len() < window.reach || window.len == 0 {
        return false;
    }
    let places = patch.bytes.as_mut_ptr().wrapping_add(column.wrapping_mul(4));
    let (rows, skip) = (window.vertical.kernel as usize, window.row.wrapping_sub(len));
    let total = if len & 3 == 0 {
        // SAFETY: every row lies in the values, and the patch has four bytes for each value.
        unsafe { spread_rows(values.as_ptr(), places, len / 4, rows, skip) }
    } else if window.len <= SMALL {
        // SAFETY: as above; a window has no more values than that.
        unsafe { spread_small(values.as_ptr(), places, len, rows, skip, window.len, column.wrapping_mul(2)) }
    } else {
        return false;
    };
    if let Some(sum) = patch.totals.get_mut(column) {
        *sum = total;
    } else {
        unreachable_in_checked_model!()
    }
    true
}

/// As [`lay_rows`] of both pixels, the second so many bytes on from the first.
///
/// # Safety
///
/// [`lays_rows`] is true of the window, the patch has four bytes for each of its taps, and both pixels' rows are there.
#[inline(always)]
pub(in crate::kernels) unsafe fn lay_pair(
    patch: &mut Patch<'_>,
    values: *const i8,
    right: usize,
    window: &InputWindow,
) {
    let rows = window.vertical.kernel as usize;
    let skip = window.row.wrapping_sub(window.width);
    if window.width & 3 == 0 {
        // SAFETY: as the caller promises.
        let both = unsafe { spread_pair(values, patch.bytes.as_mut_ptr(), window.width / 4, rows, skip, right) };
        patch.totals = [both as i32, (both >> 32) as i32];
        return;
    }
    for (column, total) in patch.totals.iter_mut().enumerate() {
        let (values, places) = (values.wrapping_add(right.wrapping_mul(column)), patch.bytes.as_mut_ptr());
        let (places, back) = (places.wrapping_add(column.wrapping_mul(4)), column.wrapping_mul(2));
        // SAFETY: as the caller promises.
        *total = unsafe { spread_small(values, places, window.width, rows, skip, window.len, back) };
    }
}

/// Returns where a value stands in a patch of which `whole` taps are in fours.
#[inline(always)]
const fn place(column: usize, tap: usize, whole: usize) -> usize {
    let of_four = tap & 3;
    if tap < whole { (tap & !3) * 4 + (of_four & 1) * 8 + (of_four & 2) + column * 4 } else { tap * 4 + column * 2 }
}

#[inline(always)]
fn put(bytes: &mut [i8], column: usize, tap: usize, value: i8, whole: usize) {
    let at = place(column, tap, whole);
    if let Some(half) = bytes.get_mut(at..).and_then(|bytes| bytes.first_chunk_mut::<2>()) {
        *half = i16::from(value).to_le_bytes().map(u8::cast_signed);
    }
}

#[inline(always)]
fn value(patch: &Patch<'_>, column: usize, tap: usize, whole: usize) -> i32 {
    let half = patch.bytes.get(place(column, tap, whole)..).and_then(|bytes| bytes.first_chunk::<2>());
    half.map_or(0, |half| i16::from_le_bytes(half.map(i8::cast_unsigned)).into())
}

/// Returns the sums at both pixels of a row of weights times a patch.
#[inline(never)]
pub(in crate::kernels) fn row(weights: &[u8], patch: &Patch<'_>) -> [i32; COLUMNS] {
    let whole = weights.len() & !3;
    let mut sums = [0i32; COLUMNS];
    for (tap, &weight) in weights.iter().enumerate() {
        let weight = i32::from(weight.cast_signed());
        for (column, sum) in sums.iter_mut().enumerate() {
            *sum = sum.wrapping_add(weight.wrapping_mul(value(patch, column, tap, whole)));
        }
    }
    sums
}

/// A word of four bytes becomes two words of two halves, which join the total.
macro_rules! spread_word {
    () => {
        "
        ldr r6, [r0], #4
        sxtb16 r12, r6
        sxtb16 r6, r6, ror #8
        str r12, [r1], #8
        str r6, [r1], #8
        sadd16 r12, r12, r6
        smlad r4, r12, r5, r4
        "
    };
}

/// Spreads groups of four bytes to four halves each, in words eight bytes apart, and returns the sum of all.
///
/// # Safety
///
/// There are four bytes at `values` and sixteen at `places`, less those of the other column, for each group; one at least.
#[inline(always)]
unsafe fn spread(values: *const i8, places: *mut i8, groups: usize) -> i32 {
    // SAFETY: as the caller promises, of one row.
    unsafe { spread_rows(values, places, groups, 1, 0) }
}

/// As [`spread`], of so many rows with `skip` bytes between them.
///
/// # Safety
///
/// As there, for every row; there is one at least.
#[unsafe(naked)]
unsafe extern "C" fn spread_rows(values: *const i8, places: *mut i8, groups: usize, rows: usize, skip: usize) -> i32 {
    naked_asm!(
        needs!(),
        "push {{r4, r5, r6, r7, r8, lr}}",
        "ldr r7, [sp, #24]",
        "movs r4, #0",
        "mov r5, #0x00010001",
        "1:",
        "lsrs r8, r2, #2",
        "beq 3f",
        "2:",
        spread_word!(),
        spread_word!(),
        spread_word!(),
        spread_word!(),
        "subs r8, r8, #1",
        "bne 2b",
        "3:",
        "ands r8, r2, #3",
        "beq 5f",
        "4:",
        spread_word!(),
        "subs r8, r8, #1",
        "bne 4b",
        "5:",
        "add r0, r0, r7",
        "subs r3, r3, #1",
        "bne 1b",
        "mov r0, r4",
        "pop {{r4, r5, r6, r7, r8, pc}}",
    )
}

/// As [`spread_rows`], of two pixels, the second `right` bytes on from the first, whose sum is in the lower half.
///
/// # Safety
///
/// As there, of both.
#[unsafe(naked)]
unsafe extern "C" fn spread_pair(
    values: *const i8,
    places: *mut i8,
    groups: usize,
    rows: usize,
    skip: usize,
    right: usize,
) -> u64 {
    naked_asm!(
        needs!(),
        "push {{r4, r5, r6, r7, r8, r9, r10, r11, lr}}",
        "ldrd r10, r11, [sp, #36]",
        "movs r8, #0",
        "mov r9, r8",
        "mov r12, #0x00010001",
        "1:",
        "mov lr, r2",
        "2:",
        "ldr r5, [r0, r11]",
        "ldr r4, [r0], #4",
        "sxtb16 r6, r4, ror #8",
        "sxtb16 r7, r5, ror #8",
        "sxtb16 r4, r4",
        "sxtb16 r5, r5",
        "stm r1!, {{r4, r5, r6, r7}}",
        "sadd16 r4, r4, r6",
        "sadd16 r5, r5, r7",
        "smlad r8, r4, r12, r8",
        "smlad r9, r5, r12, r9",
        "subs lr, lr, #1",
        "bne 2b",
        "add r0, r0, r10",
        "subs r3, r3, #1",
        "bne 1b",
        "mov r0, r8",
        "mov r1, r9",
        "pop {{r4, r5, r6, r7, r8, r9, r10, r11, pc}}",
    )
}

/// As [`spread_rows`], of rows of `width` values that do not come in fours, in all `taps`, at most [`SMALL`]: they are put
/// together on the stack first. Taps that are left over begin `back` bytes before those of the fours would.
///
/// # Safety
///
/// As there; a row has values that make no fours.
#[unsafe(naked)]
unsafe extern "C" fn spread_small(
    values: *const i8,
    places: *mut i8,
    width: usize,
    rows: usize,
    skip: usize,
    taps: usize,
    back: usize,
) -> i32 {
    naked_asm!(
        needs!(),
        "push {{r4, r5, r6, r7, r8, lr}}",
        "ldrd r7, r8, [sp, #24]",
        "sub sp, sp, #{small}",
        "mov r12, sp",
        "lsr r5, r2, #2",
        "and r6, r2, #3",
        "1:",
        "movs r4, r5",
        "beq 4f",
        "2:",
        "ldr lr, [r0], #4",
        "subs r4, r4, #1",
        "str lr, [r12], #4",
        "bne 2b",
        // The last word of a row lies over the one before.
        "add r0, r0, r6",
        "add r12, r12, r6",
        "ldr lr, [r0, #-4]",
        "str lr, [r12, #-4]",
        "3:",
        "add r0, r0, r7",
        "subs r3, r3, #1",
        "bne 1b",
        "b 6f",
        "4:",
        "mov r4, r6",
        "5:",
        "ldrb lr, [r0], #1",
        "subs r4, r4, #1",
        "strb lr, [r12], #1",
        "bne 5b",
        "b 3b",
        "6:",
        "mov r0, sp",
        "movs r4, #0",
        "mov r5, #0x00010001",
        "lsrs r3, r8, #2",
        "beq 8f",
        "7:",
        spread_word!(),
        "subs r3, r3, #1",
        "bne 7b",
        "8:",
        "ands r3, r8, #3",
        "beq 12f",
        "ldr r12, [sp, #{small} + 32]",
        "sub r1, r1, r12",
        "9:",
        "ldrsb r6, [r0], #1",
        "subs r3, r3, #1",
        "strh r6, [r1], #4",
        "add r4, r4, r6",
        "bne 9b",
        "12:",
        "mov r0, r4",
        "add sp, sp, #{small}",
        "pop {{r4, r5, r6, r7, r8, pc}}",
        small = const SMALL,
    )
}
