use attar_shared::Requantization;

use super::{Finish, View, ViewMut};

/// Computes `finish((a - zero_a) * (b - zero_b))`; `b` may be a vector for every position.
pub fn multiply(a: View<'_>, b: View<'_>, factor: Requantization, output: ViewMut<'_>) {
    let finish = output.finish();
    let depth = usize::from(a.shape.channels).max(1);
    let zeros = [a.zero_point, b.zero_point];
    let mut others = b.values.chunks_exact(depth).cycle();
    for (places, values) in output.values.chunks_exact_mut(depth).zip(a.values.chunks_exact(depth)) {
        for ((place, &a), &b) in places.iter_mut().zip(values).zip(others.next().unwrap_or(&[])) {
            *place = product([a, b], zeros, factor, finish);
        }
    }
}

/// As [`multiply`], where `output` holds one input, whose zero point is `zero_point`.
pub fn multiply_to(b: View<'_>, zero_point: i8, factor: Requantization, output: ViewMut<'_>) {
    let finish = output.finish();
    let depth = usize::from(output.shape.channels).max(1);
    let zeros = [zero_point, b.zero_point];
    let mut others = b.values.chunks_exact(depth).cycle();
    for places in output.values.chunks_exact_mut(depth) {
        for (place, &b) in places.iter_mut().zip(others.next().unwrap_or(&[])) {
            *place = product([*place, b], zeros, factor, finish);
        }
    }
}

#[inline(always)]
fn product(values: [i8; 2], zeros: [i8; 2], factor: Requantization, finish: Finish) -> i8 {
    let [a, b] = [0, 1].map(|i| {
        let (value, zero) = if i == 0 { (values[0], zeros[0]) } else { (values[1], zeros[1]) };
        i32::from(value).wrapping_sub(i32::from(zero))
    });
    finish.apply(a.wrapping_mul(b), factor)
}
