use core::ops::Range;

use attar_shared::{Channels, Weights, Window};

use super::window::Axis;
use super::{Eight, Four, ROWS, Row, View, ViewMut, block};

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
fn pixels<R: Row<Sums = i32>, I: Iterator<Item = R>>(
    input: View<'_>,
    window: &Window,
    channels: Channels<'_>,
    rows: impl Fn() -> I,
    mut output: ViewMut<'_>,
) where
    [R; ROWS]: Row<Sums = [i32; ROWS]>,
{
    let finish = output.finish();
    let (vertical, horizontal) = Axis::pair(window, input.shape.height, input.shape.width);
    let depth = usize::from(input.shape.channels);
    let at = |y: u16, x: u16| {
        let (top, left) = (vertical.start(y), horizontal.start(x));
        Place { input: &input, vertical, horizontal, top, left, span: Span::new(horizontal, left, depth) }
    };
    for (y, x, pixel) in output.pixels() {
        let place = at(y, x);
        let (mut rows, mut constants) = (rows(), channels.constants());
        let mut blocks = pixel.chunks_exact_mut(ROWS);
        for values in &mut blocks {
            let (Some(rows), Some(constants)) = (block(&mut rows), block(&mut constants)) else { return };
            let sums = place.sum(rows, constants.map(|(bias, _)| bias));
            for ((value, sum), (_, requantization)) in values.iter_mut().zip(sums).zip(constants) {
                finish.put(value, sum, requantization);
            }
        }
        for ((value, row), (bias, requantization)) in blocks.into_remainder().iter_mut().zip(rows).zip(constants) {
            finish.put(value, place.sum(row, bias), requantization);
        }
    }
}

/// Where the window of a pixel lies.
struct Place<'a> {
    input: &'a View<'a>,
    vertical: Axis,
    horizontal: Axis,
    top: i32,
    left: i32,
    span: Option<Span>,
}

impl Place<'_> {
    /// Adds to each sum the products of its weights with what the window shows.
    #[inline(always)]
    fn sum<R: Row>(&self, row: R, mut sums: R::Sums) -> R::Sums {
        let depth = usize::from(self.input.shape.channels);
        let row_len = usize::from(self.input.shape.width).wrapping_mul(depth);
        let kernel_row = self.horizontal.taps().len().wrapping_mul(depth);
        let mut first = 0usize;
        for tap in self.vertical.taps() {
            let taps = first..first.wrapping_add(kernel_row);
            let line = self.vertical.position(self.top, tap).map(|y| y.wrapping_mul(row_len));
            sums = match (line, &self.span) {
                (None, _) => row.padded(sums, taps, self.input.zero_point),
                (Some(line), Some(span)) => span.sum(sums, self.input, line, row, taps),
                (Some(line), None) => scattered(sums, self.input, line, row, taps, (self.horizontal, self.left)),
            };
            first = first.wrapping_add(kernel_row);
        }
        sums
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
    fn sum<R: Row>(&self, mut sum: R::Sums, input: &View<'_>, line: usize, row: R, taps: Range<usize>) -> R::Sums {
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
fn scattered<R: Row>(
    sum: R::Sums,
    input: &View<'_>,
    line: usize,
    row: R,
    taps: Range<usize>,
    (axis, left): (Axis, i32),
) -> R::Sums {
    let depth = usize::from(input.shape.channels).max(1);
    axis.taps().zip(taps.step_by(depth)).fold(sum, |sum, (tap, first)| {
        let at = axis.position(left, tap).map(|x| line.wrapping_add(x.wrapping_mul(depth)));
        match at.and_then(|at| input.get(at, depth)) {
            Some(values) => row.dot(sum, first, values),
            None => row.padded(sum, first..first.wrapping_add(depth), input.zero_point),
        }
    })
}
