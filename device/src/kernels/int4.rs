//! Weights of 4 bits, two in a byte, for any core.

use attar_shared::Channels;
use attar_shared::internal::{ROWS, nibbles};

use super::layout::{COLUMNS, Patch, WindowRun};
use super::matrix::{TileWeights, each_block};
use super::pixel_context::{Finish, Pixel};
use super::{PixelContext, scalar};

/// Weights of 4 bits in rows, each of which begins with a new byte.
#[derive(Clone, Copy)]
pub(super) struct Int4Weights<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) taps: usize,
}

impl<'a> Int4Weights<'a> {
    #[inline(always)]
    fn of_row(self, row: usize) -> &'a [u8] {
        let bytes = self.taps.div_ceil(2);
        let first = row.wrapping_mul(bytes);
        self.bytes.get(first..first.wrapping_add(bytes)).unwrap_or_else(|| unreachable_in_checked_model!())
    }
}

impl TileWeights for Int4Weights<'_> {
    const BYTES: usize = scalar::BYTES;

    #[inline(always)]
    fn lay(patch: &mut Patch<'_>, column: usize, tap: usize, values: WindowRun<'_>, taps: usize) {
        scalar::lay(patch, column, tap, values, taps);
    }

    #[inline(always)]
    fn blocks(
        &mut self,
        context: &mut PixelContext<'_>,
        pair: &[Option<Pixel>; COLUMNS],
        patch: &Patch<'_>,
        epilogue: (&Channels<'_>, &Finish<'_>),
    ) {
        each_block(context, pair, epilogue, |_, block| {
            let first = block.wrapping_mul(ROWS);
            core::array::from_fn(|row| self.row(first.wrapping_add(row), patch))
        });
    }

    #[inline(always)]
    fn row(&self, row: usize, patch: &Patch<'_>) -> [i32; COLUMNS] {
        patch_row(self.of_row(row), self.taps, patch)
    }

    #[inline(always)]
    fn blocks_of_vector(&mut self, context: &mut PixelContext<'_>, epilogue: (&Channels<'_>, &Finish<'_>)) {
        each_block(context, &[Some(Pixel::FIRST), None], epilogue, |context, block| {
            let first = block.wrapping_mul(ROWS);
            core::array::from_fn(|row| [self.row_of_vector(first.wrapping_add(row), context.all()), 0])
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
