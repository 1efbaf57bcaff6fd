use attar_shared::{Channels, Weights};

use super::{Eight, Four, Row, View, ViewMut};

/// Computes `output[o] = finish(bias[o] + sum_i weights[o, i] * input[i])` over the flattened input.
pub fn dense(input: View<'_>, channels: Channels<'_>, output: ViewMut<'_>) {
    let row_bytes = channels.weights.row_bytes(input.values.len()).max(1);
    match channels.weights {
        Weights::Eight(bytes) => rows(input, channels, bytes.chunks_exact(row_bytes).map(Eight), output),
        Weights::Four(bytes) => rows(input, channels, bytes.chunks_exact(row_bytes).map(Four), output),
    }
}

#[inline(never)]
fn rows(input: View<'_>, channels: Channels<'_>, rows: impl Iterator<Item = impl Row>, output: ViewMut<'_>) {
    let finish = output.finish();
    for ((place, row), (bias, requantization)) in output.values.iter_mut().zip(rows).zip(channels.constants()) {
        finish.put(place, row.dot(bias, 0, input.values), requantization);
    }
}
