//! Dense layers whose weights stand row by row.

use attar_shared::Channels;
use attar_shared::internal::ROWS;

use super::PixelContext;
use super::pixel_context::{Finish, Pixel};
#[cfg(helium)]
use super::register_tile::RegisterTiles;
use super::scalar::row_of_vector;

/// Computes every output of a dense layer.
#[inline(always)]
pub(super) fn vector(context: &mut PixelContext<'_>, channels: &Channels<'_>, weights: &[u8]) {
    let taps = context.input.shape.len();
    let finish = context.finish();
    let done = fours(context, channels, weights, &finish);
    for row in done..usize::from(context.output.shape.channels) {
        let first = row.wrapping_mul(taps);
        let sum = row_of_vector(
            weights.get(first..first.wrapping_add(taps)).unwrap_or_else(|| unreachable_in_checked_model!()),
            context.all(),
        );
        context.write_sums(&finish, channels, Pixel::FIRST, row, &[sum]);
    }
}

/// Computes the outputs of rows in fours where a core has assembly for them, and returns how many there are.
#[inline(always)]
fn fours(_context: &mut PixelContext<'_>, _channels: &Channels<'_>, _weights: &[u8], _finish: &Finish<'_>) -> usize {
    #[cfg(helium)]
    RegisterTiles::new(_weights, _context.input.shape.len(), _channels).rows(_context, _finish);
    if cfg!(helium) { _channels.shifts.len() / ROWS * ROWS } else { 0 }
}
