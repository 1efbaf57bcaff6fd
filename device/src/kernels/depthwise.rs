use attar_shared::{Channels, Weights, Window};

use super::window::Axis;
use super::{BLOCK, View, ViewMut};

/// Computes a convolution channel by channel with weights `[kernel_height, kernel_width, channels]`.
pub fn depthwise(input: View<'_>, window: &Window, channels: Channels<'_>, mut output: ViewMut<'_>) {
    // The parser knows no other width.
    let Weights::Eight(weights) = channels.weights else { return };
    let finish = output.finish();
    let (vertical, horizontal) = Axis::pair(window, input.shape.height, input.shape.width);
    let depth = usize::from(input.shape.channels).max(1);
    let row_len = usize::from(input.shape.width).wrapping_mul(depth);
    let kernel_row = usize::from(window.kernel[1]).wrapping_mul(depth).max(1);
    let padding = [input.zero_point; BLOCK];
    for (y, x, pixel) in output.pixels() {
        let (top, left) = (vertical.start(y), horizontal.start(x));
        let mut constants = channels.constants();
        for (block, places) in pixel.chunks_mut(BLOCK).enumerate() {
            let first = block.wrapping_mul(BLOCK);
            let mut sums = [0i32; BLOCK];
            for (ky, weights) in vertical.taps().zip(weights.chunks_exact(kernel_row)) {
                let row = vertical.position(top, ky).map(|y| y.wrapping_mul(row_len).wrapping_add(first));
                for (kx, weights) in horizontal.taps().zip(weights.chunks_exact(depth)) {
                    let at = row.and_then(|row| {
                        let position = horizontal.position(left, kx)?;
                        input.get(row.wrapping_add(position.wrapping_mul(depth)), places.len())
                    });
                    let values = at.unwrap_or(&padding);
                    let weights = weights.get(first..).unwrap_or(&[]);
                    for ((sum, &w), &x) in sums.iter_mut().zip(weights).zip(values) {
                        *sum = sum.wrapping_add(i32::from(w.cast_signed()) * i32::from(x));
                    }
                }
            }
            for ((place, sum), (bias, requantization)) in places.iter_mut().zip(sums).zip(&mut constants) {
                finish.put(place, sum.wrapping_add(bias), requantization);
            }
        }
    }
}
