use attar_shared::parts::has_form;
use attar_shared::{Channels, Form, Kind, Weights};

use super::PixelContext;
use super::int4::Int4Weights;
use super::int8::Int8Weights;
use super::{dense_rows, matrix};

/// Computes `output[o] = finish(bias[o] + sum_i weights[o, i] * input[i])` over the flattened input.
pub(crate) fn dense<const PARTS: u128>(context: &mut PixelContext<'_>, channels: &Channels<'_>) {
    match channels.weights {
        Weights::Eight(bytes) if has_form(PARTS, Kind::Dense, Form::Int8) => of_eight(context, channels, bytes),
        Weights::Four(bytes) if has_form(PARTS, Kind::Dense, Form::Int4) => of_four(context, channels, bytes),
        Weights::Rows(bytes) if has_form(PARTS, Kind::Dense, Form::Int8Rows) => of_rows(context, channels, bytes),
        Weights::Eight(_) | Weights::Four(_) | Weights::Rows(_) => unreachable_in_checked_model!(),
    }
}

// Apart and of no type of the caller's, so that they are compiled as this crate is.
#[inline(never)]
fn of_eight(context: &mut PixelContext<'_>, channels: &Channels<'_>, bytes: &[u8]) {
    let taps = context.input.shape.len();
    matrix::vector(context, channels, &mut Int8Weights::new(bytes, taps, channels));
}

#[inline(never)]
fn of_four(context: &mut PixelContext<'_>, channels: &Channels<'_>, bytes: &[u8]) {
    let taps = context.input.shape.len();
    matrix::vector(context, channels, &mut Int4Weights { bytes, taps });
}

#[inline(never)]
fn of_rows(context: &mut PixelContext<'_>, channels: &Channels<'_>, bytes: &[u8]) {
    dense_rows::vector(context, channels, bytes);
}
