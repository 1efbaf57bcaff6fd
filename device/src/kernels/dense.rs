use attar_shared::parts::has_operator;
use attar_shared::{Channels, Kind, Weights};

use super::Slide;
use super::eight::Eight;
use super::four::Four;
use super::{matrix, rows};

/// Computes `output[o] = finish(bias[o] + sum_i weights[o, i] * input[i])` over the flattened input.
pub(crate) fn dense<const PARTS: u64>(slide: &mut Slide<'_>, channels: &Channels<'_>) {
    match channels.weights {
        Weights::Eight(bytes) if has_operator(PARTS, Kind::Dense) => of_eight(slide, channels, bytes),
        Weights::Four(bytes) if has_operator(PARTS, Kind::Dense4) => of_four(slide, channels, bytes),
        Weights::Rows(bytes) if has_operator(PARTS, Kind::DenseRows) => of_rows(slide, channels, bytes),
        Weights::Eight(_) | Weights::Four(_) | Weights::Rows(_) => unreachable_in_checked_model!(),
    }
}

// Apart and of no type of the caller's, so that they are compiled as this crate is.
#[inline(never)]
fn of_eight(slide: &mut Slide<'_>, channels: &Channels<'_>, bytes: &[u8]) {
    let taps = slide.input.shape.len();
    matrix::vector(slide, channels, &mut Eight::new(bytes, taps, channels));
}

#[inline(never)]
fn of_four(slide: &mut Slide<'_>, channels: &Channels<'_>, bytes: &[u8]) {
    let taps = slide.input.shape.len();
    matrix::vector(slide, channels, &mut Four { bytes, taps });
}

#[inline(never)]
fn of_rows(slide: &mut Slide<'_>, channels: &Channels<'_>, bytes: &[u8]) {
    rows::vector(slide, channels, bytes);
}
