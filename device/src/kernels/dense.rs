use attar_shared::{Channels, Weights};

use super::Slide;
use super::eight::Eight;
use super::four::Four;
use super::matrix;

/// Computes `output[o] = finish(bias[o] + sum_i weights[o, i] * input[i])` over the flattened input.
#[inline(never)]
pub(crate) fn dense(slide: Slide<'_>, channels: Channels<'_>) {
    let taps = slide.input.shape.len();
    match channels.weights {
        Weights::Eight(bytes) => matrix::vector(slide, channels, Eight { bytes, taps }),
        Weights::Four(bytes) => matrix::vector(slide, channels, Four { bytes, taps }),
    }
}
