use attar_shared::Requantization;

use super::{Pair, ViewMut};

/// Computes `finish((a - zero_a) * (b - zero_b))`, with the zero points of both inputs.
#[inline(never)]
pub(crate) fn multiply(pair: Pair<'_>, (zero_a, zero_b): (i8, i8), factor: Requantization, output: ViewMut<'_>) {
    let finish = output.finish();
    let (zero_a, zero_b) = (i32::from(zero_a), i32::from(zero_b));
    pair.each(output, |a, b| {
        let product = i32::from(a).wrapping_sub(zero_a).wrapping_mul(i32::from(b).wrapping_sub(zero_b));
        finish(product, factor)
    });
}
