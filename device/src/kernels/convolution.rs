use attar_shared::parts::has_form;
use attar_shared::{Channels, Form, Kind, Weights, Window};

use super::PixelContext;
use super::int4::Int4Weights;
use super::int8::Int8Weights;
use super::matrix;
use super::window::InputWindow;

/// Computes a convolution with weights `[out, kernel_height, kernel_width, in]`; padding holds the input's zero point.
pub(crate) fn convolution<const PARTS: u128>(context: &mut PixelContext<'_>, window: &Window, channels: &Channels<'_>) {
    match channels.weights {
        Weights::Eight(bytes) if has_form(PARTS, Kind::Convolution, Form::Int8) => {
            of_eight(context, window, channels, bytes)
        }
        Weights::Four(bytes) if has_form(PARTS, Kind::Convolution, Form::Int4) => {
            of_four(context, window, channels, bytes)
        }
        Weights::Eight(_) | Weights::Four(_) | Weights::Rows(_) => unreachable_in_checked_model!(),
    }
}

// Apart and of no type of the caller's, so that they are compiled as this crate is.
#[inline(never)]
fn of_eight(context: &mut PixelContext<'_>, window: &Window, channels: &Channels<'_>, bytes: &[u8]) {
    let window = InputWindow::new(window, &context.input);
    matrix::pixels(context, &window, channels, &mut Int8Weights::new(bytes, window.len, channels));
}

#[inline(never)]
fn of_four(context: &mut PixelContext<'_>, window: &Window, channels: &Channels<'_>, bytes: &[u8]) {
    let window = InputWindow::new(window, &context.input);
    matrix::pixels(context, &window, channels, &mut Int4Weights { bytes, taps: window.len });
}
