//! Dense layers whose weights stand row by row.

use attar_shared::{Channels, ROWS};

#[cfg(helium)]
use super::blocks::Whole;
use super::plain::row_of_vector;
use super::slide::Pixel;
use super::{Slide, slide};

/// Computes every output of a dense layer.
#[inline(always)]
pub(super) fn vector(slide: &mut Slide<'_>, channels: &Channels<'_>, weights: &[u8]) {
    let taps = slide.input.shape.len();
    let finish = slide.finish();
    let done = fours(slide, channels, weights, &finish);
    for row in done..usize::from(slide.output.shape.channels) {
        let first = row.wrapping_mul(taps);
        let sum = row_of_vector(
            weights.get(first..first.wrapping_add(taps)).unwrap_or_else(|| unreachable_in_checked_model!()),
            slide.all(),
        );
        slide.end(&finish, channels, Pixel::FIRST, row, &[sum]);
    }
}

/// Computes the outputs of rows in fours where a core has assembly for them, and returns how many there are.
#[inline(always)]
fn fours(_slide: &mut Slide<'_>, _channels: &Channels<'_>, _weights: &[u8], _finish: &slide::Finish<'_>) -> usize {
    #[cfg(helium)]
    Whole::new(_weights, _slide.input.shape.len(), _channels).rows(_slide, _finish);
    if cfg!(helium) { _channels.shifts.len() / ROWS * ROWS } else { 0 }
}
