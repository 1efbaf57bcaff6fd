//! The sums of 8-bit weights in plain Rust.

#[cfg(any(dsp, thumb1))]
use attar_shared::ROWS;

use super::matrix::{COLUMNS, Patch};

/// Bytes that a patch takes for each tap.
pub(super) const BYTES: usize = COLUMNS;

/// Puts what a run of a window shows into a patch `[tap, pixel]` of int8.
#[inline(always)]
pub(super) fn lay(patch: &mut Patch<'_>, column: usize, tap: usize, values: Result<&[i8], (usize, i8)>, _taps: usize) {
    let places = patch.bytes.get_mut(tap.wrapping_mul(COLUMNS).wrapping_add(column)..).unwrap_or_default();
    let places = places.iter_mut().step_by(COLUMNS);
    let total = match values {
        Ok(values) => places.zip(values).fold(0i32, |total, (place, &value)| {
            *place = value;
            total.wrapping_add(value.into())
        }),
        Err((len, value)) => {
            places.take(len).for_each(|place| *place = value);
            i32::from(value).wrapping_mul(len as i32)
        }
    };
    if let Some(sum) = patch.totals.get_mut(column) {
        *sum = sum.wrapping_add(total);
    }
}

/// Adds to the sums of a row the products of its weights with a patch.
#[cfg(any(thumb2, riscv))]
#[inline(never)]
pub(super) fn row(weights: &[u8], patch: &Patch<'_>, sums: &mut [i32; COLUMNS]) {
    for (&weight, &[x, y]) in weights.iter().zip(patch.bytes.as_chunks::<COLUMNS>().0) {
        let [p, q] = *sums;
        let weight = i32::from(weight.cast_signed());
        *sums = [p.wrapping_add(weight * i32::from(x)), q.wrapping_add(weight * i32::from(y))];
    }
}

/// Returns the sums of a block over a vector, whose values add up to `total`.
#[cfg(any(dsp, thumb1))]
#[inline(never)]
pub(super) fn block_of_vector(weights: &[u8], values: &[i8], total: i32) -> [i32; ROWS] {
    let (groups, left) = weights.as_chunks::<16>();
    let (fours, values_left) = values.as_chunks::<4>();
    let raised = total.wrapping_mul(-128);
    let mut sums = [raised, 0, raised, 0];
    for (&[a0, b0, a2, b2, c0, d0, c2, d2, a1, b1, a3, b3, c1, d1, c3, d3], &[x0, x1, x2, x3]) in
        groups.iter().zip(fours)
    {
        sums = vector_tap(sums, [a0, b0, c0, d0], x0);
        sums = vector_tap(sums, [a1, b1, c1, d1], x1);
        sums = vector_tap(sums, [a2, b2, c2, d2], x2);
        sums = vector_tap(sums, [a3, b3, c3, d3], x3);
    }
    for (&weights, &value) in left.as_chunks::<ROWS>().0.iter().zip(values_left) {
        sums = vector_tap(sums, weights, value);
    }
    sums
}

#[cfg(any(dsp, thumb1))]
#[inline(always)]
fn vector_tap([p, q, r, s]: [i32; ROWS], [a, b, c, d]: [u8; ROWS], value: i8) -> [i32; ROWS] {
    let value = i32::from(value);
    [
        p.wrapping_add(i32::from(a).wrapping_mul(value)),
        q.wrapping_add(i32::from(b.cast_signed()).wrapping_mul(value)),
        r.wrapping_add(i32::from(c).wrapping_mul(value)),
        s.wrapping_add(i32::from(d.cast_signed()).wrapping_mul(value)),
    ]
}

/// Returns the sum of a row over a vector.
#[inline(never)]
pub(super) fn row_of_vector(weights: &[u8], values: &[i8]) -> i32 {
    weights
        .iter()
        .zip(values)
        .fold(0i32, |sum, (&weight, &value)| sum.wrapping_add(i32::from(weight.cast_signed()) * i32::from(value)))
}
