use attar_shared::{Channels, Window};

use super::window::Axis;
use super::{View, ViewMut, dot};

/// Computes a convolution with weights `[out, kernel_height, kernel_width, in]`; padding holds the input's zero point.
pub fn convolution(input: View<'_>, window: &Window, channels: Channels<'_>, output: ViewMut<'_>) {
    let finish = output.finish();
    let (vertical, horizontal) = Axis::pair(window, input.shape.height, input.shape.width);
    let depth = usize::from(input.shape.channels);
    let row_len = usize::from(input.shape.width).wrapping_mul(depth);
    let kernel_row = usize::from(window.kernel[1]).wrapping_mul(depth).max(1);
    let kernel_len = kernel_row.wrapping_mul(usize::from(window.kernel[0])).max(1);
    let mut pixels = output.values.chunks_exact_mut(usize::from(output.shape.channels).max(1));
    for y in 0..output.shape.height {
        let top = vertical.start(y);
        for x in 0..output.shape.width {
            let left = horizontal.start(x);
            let Some(pixel) = pixels.next() else { return };
            let kernels = channels.weights.chunks_exact(kernel_len);
            for ((place, kernel), (bias, requantization)) in pixel.iter_mut().zip(kernels).zip(channels.constants()) {
                let mut sum = bias;
                for (tap, weights) in vertical.taps().zip(kernel.chunks_exact(kernel_row)) {
                    let row = vertical.position(top, tap).and_then(|y| {
                        let start = y.wrapping_mul(row_len);
                        input.values.get(start..start.wrapping_add(row_len))
                    });
                    sum = sum_row(sum, row, weights, (horizontal, left), depth, input.zero_point);
                }
                *place = finish.apply(sum, requantization);
            }
        }
    }
}

/// Adds what one row of the kernel finds in one row of the input; no row is a row of padding.
#[inline(always)]
fn sum_row(
    sum: i32,
    row: Option<&[i8]>,
    weights: &[u8],
    (axis, left): (Axis, i32),
    depth: usize,
    zero_point: i8,
) -> i32 {
    let Some(row) = row else { return padded(sum, weights, zero_point) };
    let Some(run) = axis.run(left) else {
        return axis.taps().zip(weights.chunks_exact(depth.max(1))).fold(sum, |sum, (tap, weights)| {
            let values = axis.position(left, tap).and_then(|x| row.get(x.wrapping_mul(depth)..));
            values.map_or_else(|| padded(sum, weights, zero_point), |values| dot(sum, weights, values))
        });
    };
    // The taps of the run are neighbours in the input as they are in the kernel: one product over all their channels.
    let (first, end) = (run.start as usize * depth, run.end as usize * depth);
    let from = left.wrapping_add(run.start) as usize * depth;
    let (Some(before), Some(inside), Some(after), Some(values)) =
        (weights.get(..first), weights.get(first..end), weights.get(end..), row.get(from..))
    else {
        return sum;
    };
    dot(padded(padded(sum, before, zero_point), after, zero_point), inside, values)
}

/// Adds the products of weights with the zero point, as which padding counts.
#[inline(always)]
fn padded(sum: i32, weights: &[u8], zero_point: i8) -> i32 {
    weights.iter().fold(sum, |sum, &w| sum.wrapping_add(i32::from(w.cast_signed()).wrapping_mul(i32::from(zero_point))))
}
