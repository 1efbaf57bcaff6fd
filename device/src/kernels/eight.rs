//! Weights of 8 bits, for any core.

use core::ops::Range;

use attar_shared::ROWS;

#[cfg(dsp)]
use super::Slide;
#[cfg(dsp)]
use super::dsp as core_kernels;
use super::matrix::{COLUMNS, Patch, Rows, Sums};
#[cfg(riscv)]
use super::riscv as core_kernels;
#[cfg(dsp)]
use super::slide::{Finish, Pixel};
#[cfg(thumb1)]
use super::thumb1 as core_kernels;
#[cfg(thumb2)]
use super::thumb2 as core_kernels;
#[cfg(plain)]
use super::wide as core_kernels;
#[cfg(dsp)]
use attar_shared::Channels;

/// Weights of 8 bits in the order of the file.
#[derive(Clone, Copy)]
pub(super) struct Eight<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) taps: usize,
}

impl<'a> Eight<'a> {
    /// Returns the weights of some taps of a block.
    #[inline(always)]
    pub(super) fn of_block(self, block: usize, taps: &Range<usize>) -> &'a [u8] {
        let first = block.wrapping_mul(self.taps).wrapping_add(taps.start).wrapping_mul(ROWS);
        self.bytes.get(first..first.wrapping_add(taps.len().wrapping_mul(ROWS))).unwrap_or_default()
    }

    /// Returns the weights of some taps of a row that is in no block.
    #[inline(always)]
    pub(super) fn of_row(self, row: usize, taps: &Range<usize>) -> &'a [u8] {
        let first = row.wrapping_mul(self.taps).wrapping_add(taps.start);
        self.bytes.get(first..first.wrapping_add(taps.len())).unwrap_or_default()
    }
}

impl Rows for Eight<'_> {
    const BYTES: usize = core_kernels::BYTES;

    #[inline(always)]
    fn lay(patch: &mut Patch<'_>, column: usize, tap: usize, values: Result<&[i8], (usize, i8)>, taps: usize) {
        core_kernels::lay(patch, column, tap, values, taps);
    }

    #[cfg(dsp)]
    #[inline(always)]
    fn lay_rows(patch: &mut Patch<'_>, column: usize, values: &[i8], step: usize, rows: usize, len: usize) -> bool {
        core_kernels::lay_rows(patch, column, values, step, rows, len)
    }

    #[inline(always)]
    fn block(self, block: usize, taps: Range<usize>, patch: &Patch<'_>, sums: &mut Sums) {
        core_kernels::block(self.of_block(block, &taps), patch, sums);
    }

    #[inline(always)]
    fn row(self, row: usize, taps: Range<usize>, patch: &Patch<'_>, sums: &mut [i32; COLUMNS]) {
        core_kernels::row(self.of_row(row, &taps), patch, sums);
    }

    #[cfg(dsp)]
    #[inline(always)]
    fn blocks(
        self,
        slide: &mut Slide<'_>,
        pair: [Option<Pixel>; COLUMNS],
        patch: &Patch<'_>,
        channels: Channels<'_>,
        finish: &Finish,
    ) -> usize {
        core_kernels::blocks(slide, pair, (self.bytes, self.taps), patch, channels, finish)
    }

    #[cfg(dsp)]
    #[inline(always)]
    fn blocks_of_vector(self, slide: &mut Slide<'_>, total: i32, channels: Channels<'_>, finish: &Finish) -> usize {
        core_kernels::blocks_of_vector(slide, self.bytes, total, channels, finish)
    }

    #[inline(always)]
    fn block_of_vector(self, block: usize, values: &[i8], total: i32) -> [i32; ROWS] {
        core_kernels::block_of_vector(self.of_block(block, &(0..self.taps)), values, total)
    }

    #[inline(always)]
    fn row_of_vector(self, row: usize, values: &[i8]) -> i32 {
        super::plain::row_of_vector(self.of_row(row, &(0..self.taps)), values)
    }
}
