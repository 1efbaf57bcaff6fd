//! The sums of 8-bit weights in plain Rust.

use super::layout::{COLUMNS, Patch, WindowRun};

/// Bytes that a patch takes for each tap.
pub(super) const BYTES: usize = COLUMNS;

/// Puts what a run of a window shows into a patch `[tap, pixel]` of int8.
#[inline(always)]
pub(super) fn lay(patch: &mut Patch<'_>, column: usize, tap: usize, values: WindowRun<'_>, _taps: usize) {
    let places = patch
        .bytes
        .get_mut(tap.wrapping_mul(COLUMNS).wrapping_add(column)..)
        .unwrap_or_else(|| unreachable_in_checked_model!());
    let places = places.iter_mut().step_by(COLUMNS);
    let total = match values {
        WindowRun::Values(values) => places.zip(values).fold(0i32, |total, (place, &value)| {
            *place = value;
            total.wrapping_add(value.into())
        }),
        WindowRun::Padding { len, value } => {
            places.take(len).for_each(|place| *place = value);
            i32::from(value).wrapping_mul(len as i32)
        }
    };
    patch.add_total(column, total);
}

/// Returns the sum of a row over a vector.
#[inline(never)]
pub(super) fn row_of_vector(weights: &[u8], values: &[i8]) -> i32 {
    weights
        .iter()
        .zip(values)
        .fold(0i32, |sum, (&weight, &value)| sum.wrapping_add(i32::from(weight.cast_signed()) * i32::from(value)))
}
