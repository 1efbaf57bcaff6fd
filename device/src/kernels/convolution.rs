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
    let depth = usize::from(input.shape.channels);
    let row_len = usize::from(input.shape.width).wrapping_mul(depth);
    let kernel_row = usize::from(window.kernel[1]).wrapping_mul(depth);
    for (y, x, pixel) in output.pixels() {
        let (top, left) = (vertical.start(y), horizontal.start(x));
        let span = Span::new(horizontal, left, depth);
        for ((place, row), (bias, requantization)) in pixel.iter_mut().zip(rows()).zip(channels.constants()) {
            let mut sum = bias;
            let mut first = 0usize;
            for tap in vertical.taps() {
                let taps = first..first.wrapping_add(kernel_row);
                sum = match (vertical.position(top, tap), &span) {
                    (None, _) => row.padded(sum, taps, input.zero_point),
                    (Some(y), Some(span)) => span.sum(sum, &input, y.wrapping_mul(row_len), row, taps),
                    (Some(y), None) => scattered(sum, &input, y.wrapping_mul(row_len), row, taps, (horizontal, left)),
                };
                first = first.wrapping_add(kernel_row);
            }
            finish.put(place, sum, requantization);
        }
    }
}

/// The taps of a row of the kernel that lie in the input and are neighbours there as they are in the kernel: one product
/// over all their channels.
struct Span {
    /// Weights before the first of them.
    before: usize,
    /// Weights that they have.
    len: usize,
    /// Where the first lies in a row of the input.
    from: usize,
}

impl Span {
    /// Returns nothing where the taps are no neighbours.
    #[inline(always)]
    fn new(axis: Axis, left: i32, depth: usize) -> Option<Self> {
        let run = axis.run(left)?;
        Some(Self {
            before: (run.start as usize).wrapping_mul(depth),
            len: (run.end.wrapping_sub(run.start) as usize).wrapping_mul(depth),
            from: (left.wrapping_add(run.start) as usize).wrapping_mul(depth),
        })
    }

    /// Adds what the weights in `taps` find in the row of the input that begins at `line`.
    #[inline(always)]
    fn sum(&self, mut sum: i32, input: &View<'_>, line: usize, row: impl Row, taps: Range<usize>) -> i32 {
        let first = taps.start.wrapping_add(self.before);
        let end = first.wrapping_add(self.len);
        if self.before > 0 {
            sum = row.padded(sum, taps.start..first, input.zero_point);
        }
        if end < taps.end {
            sum = row.padded(sum, end..taps.end, input.zero_point);
        }
        input.get(line.wrapping_add(self.from), self.len).map_or(sum, |values| row.dot(sum, first, values))
    }
}

/// As [`Span::sum`], tap by tap.
#[inline(always)]
fn scattered(
    sum: i32,
    input: &View<'_>,
    line: usize,
    row: impl Row,
    taps: Range<usize>,
    (axis, left): (Axis, i32),
) -> i32 {
    let depth = usize::from(input.shape.channels).max(1);
    axis.taps().zip(taps.step_by(depth)).fold(sum, |sum, (tap, first)| {
        let at = axis.position(left, tap).map(|x| line.wrapping_add(x.wrapping_mul(depth)));
        match at.and_then(|at| input.get(at, depth)) {
            Some(values) => row.dot(sum, first, values),
            None => row.padded(sum, first..first.wrapping_add(depth), input.zero_point),
        }
    })
}
