//! A patch of int8 for cores that multiply a value at a time: of four taps those of the first pixel in a word, then those of
//! the second; of taps that are left over a byte of each pixel.
#![allow(unsafe_code)]

use super::layout::{COLUMNS, Patch, WindowRun};
use super::target::spread;
use super::window::InputWindow;

/// Bytes that a patch takes for each tap.
pub(super) const BYTES: usize = COLUMNS;

/// The most words that are spread at once, so that the sums of their bytes fit 16 bits.
const WORDS: usize = 128;

/// Puts what a run of a window shows into a patch of so many taps.
#[inline(never)]
pub(super) fn lay(patch: &mut Patch<'_>, column: usize, tap: usize, values: WindowRun<'_>, taps: usize) {
    let whole = taps & !3;
    let total = match values {
        WindowRun::Values(values) => {
            let fast = if tap & 3 == 0 { values.len().min(whole.saturating_sub(tap)) & !3 } else { 0 };
            let (words, left) = values.split_at_checked(fast).unwrap_or_else(|| unreachable_in_checked_model!());
            let mut total = lay_words(patch, column, tap, words);
            for (&value, tap) in left.iter().zip(tap.wrapping_add(fast)..) {
                put(patch, column, tap, whole, value);
                total = total.wrapping_add(value.into());
            }
            total
        }
        WindowRun::Padding { len, value } => {
            (tap..tap.wrapping_add(len)).for_each(|tap| put(patch, column, tap, whole, value));
            i32::from(value).wrapping_mul(len as i32)
        }
    };
    patch.add_total(column, total);
}

/// Returns whether [`lay_rows`] can put windows into a patch.
#[inline(always)]
pub(super) fn lays_rows(window: &InputWindow) -> bool {
    window.width.is_multiple_of(4)
}

/// Puts the rows of a window that lies in the input into a patch, from the values that it reaches over, and returns whether it
/// could.
#[inline(always)]
pub(super) fn lay_rows(patch: &mut Patch<'_>, column: usize, values: &[i8], window: &InputWindow) -> bool {
    if window.width & 3 != 0 {
        return false;
    }
    let (mut total, mut start, mut tap) = (0i32, 0usize, 0usize);
    for _ in 0..window.vertical.kernel {
        let words =
            values.get(start..start.wrapping_add(window.width)).unwrap_or_else(|| unreachable_in_checked_model!());
        total = total.wrapping_add(lay_words(patch, column, tap, words));
        (start, tap) = (start.wrapping_add(window.row), tap.wrapping_add(window.width));
    }
    if let Some(sum) = patch.totals.get_mut(column) {
        *sum = total;
    } else {
        unreachable_in_checked_model!()
    }
    true
}

/// Puts values that make whole words into a patch from a tap on, and returns their sum.
#[inline(always)]
fn lay_words(patch: &mut Patch<'_>, column: usize, tap: usize, values: &[i8]) -> i32 {
    let places = patch.bytes.get_mut(tap.wrapping_mul(BYTES)..tap.wrapping_add(values.len()).wrapping_mul(BYTES));
    let Some(places) = places else { unreachable_in_checked_model!(return 0) };
    if !ANY_ADDRESS && values.as_ptr().addr() & 3 != 0 {
        return lay_bytes(places, column, values);
    }
    let mut total = 0i32;
    for (values, places) in values.chunks(4 * WORDS).zip(places.chunks_mut(4 * WORDS * BYTES)) {
        let place = places.as_mut_ptr().wrapping_add(column.wrapping_mul(4));
        // SAFETY: there are as many words, and eight bytes of the patch for each; a column begins a word further on.
        total = total.wrapping_add(unsafe { spread(values.as_ptr(), place, values.len() / 4) });
    }
    total
}

/// As [`lay_words`], for values that do not begin at a word.
#[inline(never)]
fn lay_bytes(places: &mut [i8], column: usize, values: &[i8]) -> i32 {
    let fours = values.as_chunks::<4>().0.iter().zip(places.as_chunks_mut::<4>().0.iter_mut().skip(column).step_by(2));
    fours.fold(0, |total, (four, place)| {
        *place = *four;
        four.iter().fold(total, |total: i32, &value| total.wrapping_add(value.into()))
    })
}

/// Whether the core reads words at any address.
const ANY_ADDRESS: bool = cfg!(thumb2);

/// Returns where a value stands in a patch of which `whole` taps are in fours.
#[inline(always)]
const fn place(column: usize, tap: usize, whole: usize) -> usize {
    if tap < whole { (tap & !3) * BYTES + column * 4 + (tap & 3) } else { tap * BYTES + column }
}

#[inline(always)]
fn put(patch: &mut Patch<'_>, column: usize, tap: usize, whole: usize, value: i8) {
    if let Some(byte) = patch.bytes.get_mut(place(column, tap, whole)) {
        *byte = value;
    } else {
        unreachable_in_checked_model!()
    }
}

/// Returns the sums at both pixels of a row of weights times a patch.
#[inline(never)]
pub(super) fn row(weights: &[u8], patch: &Patch<'_>) -> [i32; COLUMNS] {
    let whole = weights.len() & !3;
    let value = |column, tap| {
        patch.bytes.get(place(column, tap, whole)).copied().map_or_else(|| unreachable_in_checked_model!(), i32::from)
    };
    let mut sums = [0i32; COLUMNS];
    for (tap, &weight) in weights.iter().enumerate() {
        for (column, sum) in sums.iter_mut().enumerate() {
            *sum = sum.wrapping_add(i32::from(weight.cast_signed()) * value(column, tap));
        }
    }
    sums
}
