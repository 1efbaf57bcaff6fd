use attar_shared::{Channels, Weights};

use super::{Eight, Four, ROWS, Row, View, ViewMut, block, blocks};

/// Computes `output[o] = finish(bias[o] + sum_i weights[o, i] * input[i])` over the flattened input.
pub fn dense(input: View<'_>, channels: Channels<'_>, output: ViewMut<'_>) {
    let row_bytes = channels.weights.row_bytes(input.values.len()).max(1);
    match channels.weights {
        Weights::Eight(bytes) => rows(input, channels, bytes.chunks_exact(row_bytes).map(Eight), output),
        Weights::Four(bytes) => rows(input, channels, bytes.chunks_exact(row_bytes).map(Four), output),
    }
}

#[inline(never)]
fn rows<R: Row<Sums = i32>>(
    input: View<'_>,
    channels: Channels<'_>,
    mut rows: impl Iterator<Item = R>,
    output: ViewMut<'_>,
) where
    [R; ROWS]: Row<Sums = [i32; ROWS]>,
{
    let finish = output.finish();
    let mut constants = channels.constants();
    let (blocks, rest) = blocks(output.values);
    for values in blocks {
        let (Some(rows), Some(constants)) = (block(&mut rows), block(&mut constants)) else { return };
        let sums = rows.dot(constants.map(|(bias, _)| bias), 0, input.values);
        for ((value, sum), (_, requantization)) in values.iter_mut().zip(sums).zip(constants) {
            finish.put(value, sum, requantization);
        }
    }
    for ((place, row), (bias, requantization)) in rest.iter_mut().zip(rows).zip(constants) {
        finish.put(place, row.dot(bias, 0, input.values), requantization);
    }
}
