use attar_shared::Channels;

use super::{View, ViewMut, dot};

/// Computes `output[o] = finish(bias[o] + sum_i weights[o, i] * input[i])` over the flattened input.
pub fn dense(input: View<'_>, channels: Channels<'_>, output: ViewMut<'_>) {
    let finish = output.finish();
    let rows = channels.weights.chunks_exact(input.values.len().max(1));
    for ((place, row), (bias, requantization)) in output.values.iter_mut().zip(rows).zip(channels.constants()) {
        *place = finish.apply(dot(bias, row, input.values), requantization);
    }
}
