//! Weights of 8 bits, for any core.

use attar_shared::Channels;
#[cfg(plain)]
use attar_shared::internal::ROWS;

use super::layout::{COLUMNS, Patch, WindowRun};
use super::matrix::TileWeights;
#[cfg(plain)]
use super::matrix::each_block;
#[cfg(not(plain))]
use super::pixel_context::Following;
use super::pixel_context::{Finish, Pixel};
#[cfg(not(plain))]
use super::register_tile::RegisterTiles;
#[cfg(any(plain, helium))]
use super::target;
use super::window::InputWindow;
use super::{PixelContext, target_patch};

/// Weights of 8 bits in the order of the file.
pub(super) struct Int8Weights<'a> {
    bytes: &'a [u8],
    taps: usize,
    #[cfg(not(plain))]
    tiles: RegisterTiles<'a>,
}

impl<'a> Int8Weights<'a> {
    /// Returns weights with this number of taps in a row.
    #[inline(always)]
    pub(super) fn new(bytes: &'a [u8], taps: usize, _channels: &Channels<'a>) -> Self {
        Self {
            bytes,
            taps,
            #[cfg(not(plain))]
            tiles: RegisterTiles::new(bytes, taps, _channels),
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

impl TileWeights for Int8Weights<'_> {
    const BYTES: usize = target_patch::BYTES;

    #[inline(always)]
    fn lay(patch: &mut Patch<'_>, column: usize, tap: usize, values: WindowRun<'_>, taps: usize) {
        target_patch::lay(patch, column, tap, values, taps);
    }

    #[inline(always)]
    fn lay_rows(patch: &mut Patch<'_>, column: usize, values: &[i8], window: &InputWindow) -> bool {
        target_patch::lay_rows(patch, column, values, window)
    }

    #[cfg(not(plain))]
    #[inline(always)]
    fn lays_rows(window: &InputWindow) -> bool {
        target_patch::lays_rows(window)
    }

    #[cfg(not(plain))]
    #[inline(always)]
    fn run(
        &mut self,
        context: &mut PixelContext<'_>,
        window: &InputWindow,
        first: Pixel,
        following: Following,
        patch: &mut Patch<'_>,
        finish: &Finish<'_>,
    ) -> usize {
        self.tiles.row(context, window, first, following, patch, finish)
    }

    #[cfg(not(plain))]
    #[inline(always)]
    fn blocks(
        &mut self,
        context: &mut PixelContext<'_>,
        pair: &[Option<Pixel>; COLUMNS],
        patch: &Patch<'_>,
        epilogue: (&Channels<'_>, &Finish<'_>),
    ) {
        self.tiles.pair(context, pair, patch, epilogue.1);
    }

    #[cfg(plain)]
    #[inline(always)]
    fn blocks(
        &mut self,
        context: &mut PixelContext<'_>,
        pair: &[Option<Pixel>; COLUMNS],
        patch: &Patch<'_>,
        epilogue: (&Channels<'_>, &Finish<'_>),
    ) {
        each_block(context, pair, epilogue, |_, block| target::block(self.of_block(block), patch));
    }

    #[inline(always)]
    fn row(&self, row: usize, patch: &Patch<'_>) -> [i32; COLUMNS] {
        target_patch::row(self.of_row(row), patch)
    }

    #[inline(always)]
    fn blocks_of_vector(&mut self, context: &mut PixelContext<'_>, epilogue: (&Channels<'_>, &Finish<'_>)) {
        #[cfg(helium)]
        let total = target::total(context.all());
        #[cfg(not(helium))]
        let total = context.all().iter().fold(0i32, |total, &value| total.wrapping_add(value.into()));
        #[cfg(not(plain))]
        self.tiles.vector(context, total, epilogue.1);
        #[cfg(plain)]
        each_block(context, &[Some(Pixel::FIRST), None], epilogue, |context, block| {
            target::block_of_vector(self.of_block(block), context.all(), total).map(|sum| [sum, 0])
        });
    }

    #[inline(always)]
    fn row_of_vector(&self, row: usize, values: &[i8]) -> i32 {
        super::scalar::row_of_vector(self.of_row(row), values)
    }
}
