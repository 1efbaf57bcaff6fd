use attar_shared::parts::has_operator;
use attar_shared::{Channels, Kind, Weights, Window};

use super::Slide;
use super::eight::Eight;
use super::four::Four;
use super::matrix;
use super::window::Over;

/// Computes a convolution with weights `[out, kernel_height, kernel_width, in]`; padding holds the input's zero point.
pub(crate) fn convolution<const PARTS: u64>(slide: &mut Slide<'_>, window: &Window, channels: &Channels<'_>) {
    match channels.weights {
        Weights::Eight(bytes) if has_operator(PARTS, Kind::Convolution) => of_eight(slide, window, channels, bytes),
        Weights::Four(bytes) if has_operator(PARTS, Kind::Convolution4) => of_four(slide, window, channels, bytes),
        Weights::Eight(_) | Weights::Four(_) | Weights::Rows(_) => unreachable_in_checked_model!(),
    }
}

// Apart and of no type of the caller's, so that they are compiled as this crate is.
#[inline(never)]
fn of_eight(slide: &mut Slide<'_>, window: &Window, channels: &Channels<'_>, bytes: &[u8]) {
    let over = Over::new(window, &slide.input);
    matrix::pixels(slide, &over, channels, &mut Eight::new(bytes, over.len, channels));
}

#[inline(never)]
fn of_four(slide: &mut Slide<'_>, window: &Window, channels: &Channels<'_>, bytes: &[u8]) {
    let over = Over::new(window, &slide.input);
    matrix::pixels(slide, &over, channels, &mut Four { bytes, taps: over.len });
}
