use attar_shared::AddConstants;

use super::{View, ViewMut};

/// Computes `(a * a_multiplier + b * b_multiplier + bias) >> shift`, clamped; `b` may be a vector for every position.
pub fn add(a: View<'_>, b: View<'_>, constants: AddConstants, output: ViewMut<'_>) {
    let finish = output.finish();
    let shift = u32::from(constants.shift & 31);
    let depth = usize::from(a.shape.channels).max(1);
    let mut others = b.values.chunks_exact(depth).cycle();
    for (places, values) in output.values.chunks_exact_mut(depth).zip(a.values.chunks_exact(depth)) {
        for ((place, &a), &b) in places.iter_mut().zip(values).zip(others.next().unwrap_or(&[])) {
            let sum = i32::from(a)
                .wrapping_mul(constants.a_multiplier)
                .wrapping_add(i32::from(b).wrapping_mul(constants.b_multiplier))
                .wrapping_add(constants.bias);
            *place = finish.saturate(sum >> shift);
        }
    }
}
