//! Weights of 8 bits, for any core.

use attar_shared::Channels;
#[cfg(plain)]
use attar_shared::ROWS;

use super::Slide;
#[cfg(not(plain))]
use super::blocks::Whole;
#[cfg(dsp)]
use super::dsp as core_kernels;
#[cfg(helium)]
use super::helium as core_kernels;
#[cfg(plain)]
use super::matrix::each_block;
use super::matrix::{COLUMNS, Patch, Rows, WindowRun};
#[cfg(riscv)]
use super::riscv as core_kernels;
#[cfg(not(plain))]
use super::slide::Following;
use super::slide::{Finish, Pixel};
#[cfg(thumb1)]
use super::thumb1 as core_kernels;
#[cfg(thumb2)]
use super::thumb2 as core_kernels;
#[cfg(plain)]
use super::wide as core_kernels;
use super::window::Over;

/// Bytes that a patch takes for each tap.
#[cfg(not(plain))]
pub(super) const BYTES: usize = core_kernels::BYTES;

#[cfg(not(plain))]
pub(super) use core_kernels::lay_rows;

/// Weights of 8 bits in the order of the file.
pub(super) struct Eight<'a> {
    bytes: &'a [u8],
    taps: usize,
    #[cfg(not(plain))]
    whole: Whole<'a>,
}

impl<'a> Eight<'a> {
    /// Returns weights with so many taps a row.
    #[inline(always)]
    pub(super) fn new(bytes: &'a [u8], taps: usize, _channels: &Channels<'a>) -> Self {
        Self {
            bytes,
            taps,
            #[cfg(not(plain))]
            whole: Whole::new(bytes, taps, _channels),
        }
    }

    /// Returns the weights of a block.
    #[cfg(plain)]
    #[inline(always)]
    fn of_block(&self, block: usize) -> &'a [u8] {
        let bytes = self.taps.wrapping_mul(ROWS);
        let first = block.wrapping_mul(bytes);
        self.bytes.get(first..first.wrapping_add(bytes)).unwrap_or_else(|| unreachable_in_checked_model!())
    }

    /// Returns the weights of a row that is in no block.
    #[inline(always)]
    fn of_row(&self, row: usize) -> &'a [u8] {
        let first = row.wrapping_mul(self.taps);
        self.bytes.get(first..first.wrapping_add(self.taps)).unwrap_or_else(|| unreachable_in_checked_model!())
    }
}

impl Rows for Eight<'_> {
    const BYTES: usize = core_kernels::BYTES;

    #[inline(always)]
    fn lay(patch: &mut Patch<'_>, column: usize, tap: usize, values: WindowRun<'_>, taps: usize) {
        core_kernels::lay(patch, column, tap, values, taps);
    }

    #[inline(always)]
    fn lay_rows(patch: &mut Patch<'_>, column: usize, values: &[i8], over: &Over) -> bool {
        #[cfg(not(plain))]
        return lay_rows(patch, column, values, over);
        #[cfg(plain)]
        core_kernels::lay_rows(patch, column, values, over)
    }

    #[cfg(not(plain))]
    #[inline(always)]
    fn lays_rows(over: &Over) -> bool {
        core_kernels::lays_rows(over)
    }

    #[cfg(not(plain))]
    #[inline(always)]
    fn run(
        &mut self,
        slide: &mut Slide<'_>,
        over: &Over,
        first: Pixel,
        following: Following,
        patch: &mut Patch<'_>,
        finish: &Finish<'_>,
    ) -> usize {
        self.whole.row(slide, over, first, following, patch, finish)
    }

    #[cfg(not(plain))]
    #[inline(always)]
    fn blocks(
        &mut self,
        slide: &mut Slide<'_>,
        pair: &[Option<Pixel>; COLUMNS],
        patch: &Patch<'_>,
        end: (&Channels<'_>, &Finish<'_>),
    ) {
        self.whole.pair(slide, pair, patch, end.1);
    }

    #[cfg(plain)]
    #[inline(always)]
    fn blocks(
        &mut self,
        slide: &mut Slide<'_>,
        pair: &[Option<Pixel>; COLUMNS],
        patch: &Patch<'_>,
        end: (&Channels<'_>, &Finish<'_>),
    ) {
        each_block(slide, pair, end, |_, block| core_kernels::block(self.of_block(block), patch));
    }

    #[inline(always)]
    fn row(&self, row: usize, patch: &Patch<'_>) -> [i32; COLUMNS] {
        core_kernels::row(self.of_row(row), patch)
    }

    #[inline(always)]
    fn blocks_of_vector(&mut self, slide: &mut Slide<'_>, end: (&Channels<'_>, &Finish<'_>)) {
        #[cfg(helium)]
        let total = core_kernels::total(slide.all());
        #[cfg(not(helium))]
        let total = slide.all().iter().fold(0i32, |total, &value| total.wrapping_add(value.into()));
        #[cfg(not(plain))]
        self.whole.vector(slide, total, end.1);
        #[cfg(plain)]
        each_block(slide, &[Some(Pixel::FIRST), None], end, |slide, block| {
            core_kernels::block_of_vector(self.of_block(block), slide.all(), total).map(|sum| [sum, 0])
        });
    }

    #[inline(always)]
    fn row_of_vector(&self, row: usize, values: &[i8]) -> i32 {
        super::plain::row_of_vector(self.of_row(row), values)
    }
}
