use attar_shared::AddConstants;

use super::{Pair, ViewMut};

/// Computes `(a * a_multiplier + b * b_multiplier + bias) >> shift`, clamped.
pub fn add(pair: Pair<'_>, constants: AddConstants, output: ViewMut<'_>) {
    let finish = output.finish();
    let shift = u32::from(constants.shift & 31);
    pair.each(output, |a, b| {
        let sum = i32::from(a)
            .wrapping_mul(constants.a_multiplier)
            .wrapping_add(i32::from(b).wrapping_mul(constants.b_multiplier))
            .wrapping_add(constants.bias);
        finish.saturate(sum >> shift)
    });
}
