use attar_shared::parts::has_operator;
use attar_shared::{Channels, Kind, Weights, Window};

use super::Slide;
use super::eight::Eight;
use super::four::Four;
use super::matrix;
use super::window::Over;

/// Computes a convolution with weights `[out, kernel_height, kernel_width, in]`; padding holds the input's zero point.
#[inline(never)]
pub(crate) fn convolution<const PARTS: u64>(slide: Slide<'_>, window: &Window, channels: Channels<'_>) {
    let over = Over::new(window, &slide.input);
    match channels.weights {
        Weights::Eight(bytes) if has_operator(PARTS, Kind::Convolution) => {
            matrix::pixels(slide, &over, channels, Eight { bytes, taps: over.len() });
        }
        Weights::Four(bytes) if has_operator(PARTS, Kind::Convolution4) => {
            matrix::pixels(slide, &over, channels, Four { bytes, taps: over.len() });
        }
        Weights::Eight(_) | Weights::Four(_) => {}
    }
}
