use attar_shared::{Channels, Weights, Window};

use super::Slide;
use super::eight::Eight;
use super::four::Four;
use super::matrix;
use super::window::Over;

/// Computes a convolution with weights `[out, kernel_height, kernel_width, in]`; padding holds the input's zero point.
#[inline(never)]
pub(crate) fn convolution(slide: Slide<'_>, window: &Window, channels: Channels<'_>) {
    let over = Over::new(window, &slide.input);
    match channels.weights {
        Weights::Eight(bytes) => matrix::pixels(slide, &over, channels, Eight { bytes, taps: over.len() }),
        Weights::Four(bytes) => matrix::pixels(slide, &over, channels, Four { bytes, taps: over.len() }),
    }
}
