//! Weights of 4 bits, two in a byte, for any core.

use attar_shared::{Channels, ROWS, nibbles};

use super::Slide;
use super::matrix::{COLUMNS, Patch, Rows, WindowRun, each_block};
use super::plain;
use super::slide::{Finish, Pixel};

/// Weights of 4 bits in rows, each of which begins with a new byte.
#[derive(Clone, Copy)]
pub(super) struct Four<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) taps: usize,
}

impl<'a> Four<'a> {
    #[inline(always)]
    fn of_row(self, row: usize) -> &'a [u8] {
        let bytes = self.taps.div_ceil(2);
        let first = row.wrapping_mul(bytes);
        self.bytes.get(first..first.wrapping_add(bytes)).unwrap_or_else(|| unreachable_in_checked_model!())
    }
}

impl Rows for Four<'_> {
    const BYTES: usize = plain::BYTES;

    #[inline(always)]
    fn lay(patch: &mut Patch<'_>, column: usize, tap: usize, values: WindowRun<'_>, taps: usize) {
        plain::lay(patch, column, tap, values, taps);
    }

    #[inline(always)]
    fn blocks(
        &mut self,
        slide: &mut Slide<'_>,
        pair: &[Option<Pixel>; COLUMNS],
        patch: &Patch<'_>,
        end: (&Channels<'_>, &Finish<'_>),
    ) {
        each_block(slide, pair, end, |_, block| {
            let first = block.wrapping_mul(ROWS);
            core::array::from_fn(|row| self.row(first.wrapping_add(row), patch))
        });
    }

    #[inline(always)]
    fn row(&self, row: usize, patch: &Patch<'_>) -> [i32; COLUMNS] {
        patch_row(self.of_row(row), self.taps, patch)
    }

    #[inline(always)]
    fn blocks_of_vector(&mut self, slide: &mut Slide<'_>, end: (&Channels<'_>, &Finish<'_>)) {
        each_block(slide, &[Some(Pixel::FIRST), None], end, |slide, block| {
            let first = block.wrapping_mul(ROWS);
            core::array::from_fn(|row| [self.row_of_vector(first.wrapping_add(row), slide.all()), 0])
        });
    }

    #[inline(always)]
    fn row_of_vector(&self, row: usize, values: &[i8]) -> i32 {
        vector_row(self.of_row(row), values)
    }
}

#[inline(never)]
fn patch_row(weights: &[u8], taps: usize, patch: &Patch<'_>) -> [i32; COLUMNS] {
    let [mut p, mut q] = [0; COLUMNS];
    let values = patch.bytes.get(..taps.wrapping_mul(COLUMNS)).unwrap_or_else(|| unreachable_in_checked_model!());
    let (pairs, left) = values.as_chunks::<{ 2 * COLUMNS }>();
    let mut weights = weights.iter();
    for (&[x0, y0, x1, y1], &byte) in pairs.iter().zip(&mut weights) {
        let (low, high) = nibbles(byte);
        p = add_product(add_product(p, low, x0), high, x1);
        q = add_product(add_product(q, low, y0), high, y1);
    }
    if let (&[x, y], Some(&byte)) = (left, weights.next()) {
        let (low, _) = nibbles(byte);
        (p, q) = (add_product(p, low, x), add_product(q, low, y));
    }
    [p, q]
}

#[inline(never)]
fn vector_row(weights: &[u8], values: &[i8]) -> i32 {
    let (pairs, left) = values.as_chunks::<2>();
    let mut weights = weights.iter();
    let sum = pairs.iter().zip(&mut weights).fold(0, |sum, (&[a, b], &byte)| {
        let (low, high) = nibbles(byte);
        add_product(add_product(sum, low, a), high, b)
    });
    match (left, weights.next()) {
        (&[value], Some(&byte)) => add_product(sum, nibbles(byte).0, value),
        _ => sum,
    }
}

#[inline(always)]
fn add_product(sum: i32, weight: i8, value: i8) -> i32 {
    sum.wrapping_add(i32::from(weight) * i32::from(value))
}
