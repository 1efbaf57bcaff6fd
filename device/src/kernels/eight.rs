//! Weights of 8 bits, for any core.

use attar_shared::{Channels, ROWS};

use super::Slide;
#[cfg(not(plain))]
use super::blocks;
#[cfg(dsp)]
use super::dsp as core_kernels;
#[cfg(plain)]
use super::matrix::each_block;
use super::matrix::{COLUMNS, Patch, Rows};
#[cfg(riscv)]
use super::riscv as core_kernels;
use super::slide::{Finish, Pixel};
#[cfg(thumb1)]
use super::thumb1 as core_kernels;
#[cfg(thumb2)]
use super::thumb2 as core_kernels;
#[cfg(plain)]
use super::wide as core_kernels;

/// Bytes that a patch takes for each tap.
#[cfg(not(plain))]
pub(super) const BYTES: usize = core_kernels::BYTES;

/// Weights of 8 bits in the order of the file.
#[derive(Clone, Copy)]
pub(super) struct Eight<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) taps: usize,
}

impl<'a> Eight<'a> {
    /// Returns the weights of so many blocks from one on.
    #[inline(always)]
    pub(super) fn of_blocks(self, block: usize, blocks: usize) -> Option<&'a [u8]> {
        let bytes = self.taps.wrapping_mul(ROWS);
        let first = block.wrapping_mul(bytes);
        self.bytes.get(first..first.wrapping_add(blocks.wrapping_mul(bytes)))
    }

    /// Returns the weights of a row that is in no block.
    #[inline(always)]
    fn of_row(self, row: usize) -> &'a [u8] {
        let first = row.wrapping_mul(self.taps);
        self.bytes.get(first..first.wrapping_add(self.taps)).unwrap_or_default()
    }
}

impl Rows for Eight<'_> {
    const BYTES: usize = core_kernels::BYTES;

    #[inline(always)]
    fn lay(patch: &mut Patch<'_>, column: usize, tap: usize, values: Result<&[i8], (usize, i8)>, taps: usize) {
        core_kernels::lay(patch, column, tap, values, taps);
    }

    #[cfg(not(plain))]
    #[inline(always)]
    fn lay_rows(patch: &mut Patch<'_>, column: usize, values: &[i8], step: usize, rows: usize, len: usize) -> bool {
        core_kernels::lay_rows(patch, column, values, step, rows, len)
    }

    #[cfg(not(plain))]
    #[inline(always)]
    fn blocks(
        self,
        slide: &mut Slide<'_>,
        pair: [Option<Pixel>; COLUMNS],
        patch: &Patch<'_>,
        end: (Channels<'_>, &Finish),
    ) {
        blocks::all(slide, pair, self, Some(patch), patch.totals, end);
    }

    #[cfg(plain)]
    #[inline(always)]
    fn blocks(
        self,
        slide: &mut Slide<'_>,
        pair: [Option<Pixel>; COLUMNS],
        patch: &Patch<'_>,
        end: (Channels<'_>, &Finish),
    ) {
        let weights = |block| self.of_blocks(block, 1).unwrap_or_default();
        each_block(slide, pair, end, |_, block| core_kernels::block(weights(block), patch));
    }

    #[inline(always)]
    fn row(self, row: usize, patch: &Patch<'_>) -> [i32; COLUMNS] {
        core_kernels::row(self.of_row(row), patch)
    }

    #[inline(always)]
    fn blocks_of_vector(self, slide: &mut Slide<'_>, end: (Channels<'_>, &Finish)) {
        let total = slide.all().iter().fold(0i32, |total, &value| total.wrapping_add(value.into()));
        let pair = [Some(Pixel::FIRST), None];
        #[cfg(not(plain))]
        blocks::all(slide, pair, self, None, [total; COLUMNS], end);
        #[cfg(plain)]
        each_block(slide, pair, end, |slide, block| {
            let weights = self.of_blocks(block, 1).unwrap_or_default();
            core_kernels::block_of_vector(weights, slide.all(), total).map(|sum| [sum, 0])
        });
    }

    #[inline(always)]
    fn row_of_vector(self, row: usize, values: &[i8]) -> i32 {
        super::plain::row_of_vector(self.of_row(row), values)
    }
}
