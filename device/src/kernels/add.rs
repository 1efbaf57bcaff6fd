use attar_shared::AddConstants;

use super::{Finish, View, ViewMut};

/// Computes `(a * a_multiplier + b * b_multiplier + bias) >> shift`, clamped; `b` may be a vector for every position.
pub fn add(a: View<'_>, b: View<'_>, constants: AddConstants, output: ViewMut<'_>) {
    let finish = output.finish();
    let depth = usize::from(a.shape.channels).max(1);
    let mut others = b.values.chunks_exact(depth).cycle();
    for (places, values) in output.values.chunks_exact_mut(depth).zip(a.values.chunks_exact(depth)) {
        for ((place, &a), &b) in places.iter_mut().zip(values).zip(others.next().unwrap_or(&[])) {
            *place = sum(a, b, constants, finish);
        }
    }
}

/// As [`add`], where `output` holds the first input.
pub fn add_to(b: View<'_>, constants: AddConstants, output: ViewMut<'_>) {
    let finish = output.finish();
    let depth = usize::from(output.shape.channels).max(1);
    let mut others = b.values.chunks_exact(depth).cycle();
    for places in output.values.chunks_exact_mut(depth) {
        for (place, &b) in places.iter_mut().zip(others.next().unwrap_or(&[])) {
            *place = sum(*place, b, constants, finish);
        }
    }
}

#[inline(always)]
fn sum(a: i8, b: i8, constants: AddConstants, finish: Finish) -> i8 {
    let sum = i32::from(a)
        .wrapping_mul(constants.a_multiplier)
        .wrapping_add(i32::from(b).wrapping_mul(constants.b_multiplier))
        .wrapping_add(constants.bias);
    finish.saturate(sum >> u32::from(constants.shift & 31))
}
