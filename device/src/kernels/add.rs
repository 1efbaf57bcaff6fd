use attar_shared::AddConstants;

use super::{Pair, ViewMut, sum};

/// Computes `(a * a_multiplier + b * b_multiplier + bias) >> shift`, clamped.
#[inline(never)]
pub(crate) fn add(pair: Pair<'_>, constants: AddConstants, output: ViewMut<'_>) {
    let clamp = output.clamp;
    pair.each(output, |a, b| sum(a, b, constants, clamp));
}
