use attar_shared::parts::has_operator;
use attar_shared::{Channels, Kind, Weights};

use super::Slide;
use super::eight::Eight;
use super::four::Four;
use super::matrix;

/// Computes `output[o] = finish(bias[o] + sum_i weights[o, i] * input[i])` over the flattened input.
#[inline(never)]
pub(crate) fn dense<const PARTS: u64>(slide: Slide<'_>, channels: Channels<'_>) {
    let taps = slide.input.shape.len();
    match channels.weights {
        Weights::Eight(bytes) if has_operator(PARTS, Kind::Dense) => {
            matrix::vector(slide, channels, Eight { bytes, taps });
        }
        Weights::Four(bytes) if has_operator(PARTS, Kind::Dense4) => {
            matrix::vector(slide, channels, Four { bytes, taps });
        }
        Weights::Eight(_) | Weights::Four(_) => {}
    }
}
