use core::ops::Range;

use attar_shared::{Channels, Weights, Window};

use super::window::Axis;
use super::{Eight, Four, Row, View, ViewMut};

/// Computes a convolution with weights `[out, kernel_height, kernel_width, in]`; padding holds the input's zero point.
pub fn convolution(input: View<'_>, window: &Window, channels: Channels<'_>, output: ViewMut<'_>) {
    let row_bytes = channels.weights.row_bytes(window.taps().wrapping_mul(usize::from(input.shape.channels))).max(1);
    match channels.weights {
        Weights::Eight(bytes) => {
            pixels(input, window, channels, || bytes.chunks_exact(row_bytes).map(Eight), output);
        }
        Weights::Four(bytes) => pixels(input, window, channels, || bytes.chunks_exact(row_bytes).map(Four), output),
    }
}

#[inline(always)]
fn pixels<R: Row, I: Iterator<Item = R>>(
    input: View<'_>,
    window: &Window,
    channels: Channels<'_>,
    rows: impl Fn() -> I,
    mut output: ViewMut<'_>,
) {
    let finish = output.finish();
    let (vertical, horizontal) = Axis::pair(window, input.shape.height, input.shape.width);
    let row_len = usize::from(input.shape.width).wrapping_mul(usize::from(input.shape.channels));
    let kernel_row = usize::from(window.kernel[1]).wrapping_mul(usize::from(input.shape.channels));
    for (y, x, pixel) in output.pixels() {
        let (top, left) = (vertical.start(y), horizontal.start(x));
        for ((place, row), (bias, requantization)) in pixel.iter_mut().zip(rows()).zip(channels.constants()) {
            let mut sum = bias;
            let mut first = 0;
            for tap in vertical.taps() {
                let line = vertical.position(top, tap).map(|y| y.wrapping_mul(row_len));
                sum = sum_row(sum, &input, line, row, first..first.wrapping_add(kernel_row), (horizontal, left));
                first = first.wrapping_add(kernel_row);
            }
            *place = finish.apply(sum, requantization);
        }
    }
}

/// Adds what the weights in `taps`, a row of the kernel, find in the row of the input that begins at `line`; no line is a
/// row of padding.
#[inline(always)]
fn sum_row(
    sum: i32,
    input: &View<'_>,
    line: Option<usize>,
    row: impl Row,
    taps: Range<usize>,
    (axis, left): (Axis, i32),
) -> i32 {
    let (depth, zero_point) = (usize::from(input.shape.channels).max(1), input.zero_point);
    let Some(line) = line else { return row.padded(sum, taps, zero_point) };
    let Some(run) = axis.run(left) else {
        return axis.taps().zip(taps.step_by(depth)).fold(sum, |sum, (tap, first)| {
            let at = axis.position(left, tap).map(|x| line.wrapping_add(x.wrapping_mul(depth)));
            match at.and_then(|at| input.get(at, depth)) {
                Some(values) => row.dot(sum, first, values),
                None => row.padded(sum, first..first.wrapping_add(depth), zero_point),
            }
        });
    };
    // The taps of the run are neighbours in the input as they are in the kernel: one product over all their channels.
    let first = taps.start.wrapping_add((run.start as usize).wrapping_mul(depth));
    let end = taps.start.wrapping_add((run.end as usize).wrapping_mul(depth));
    let from = line.wrapping_add((left.wrapping_add(run.start) as usize).wrapping_mul(depth));
    let values = input.get(from, end.wrapping_sub(first)).unwrap_or(&[]);
    let sum = row.padded(row.padded(sum, taps.start..first, zero_point), end..taps.end, zero_point);
    row.dot(sum, first, values)
}
