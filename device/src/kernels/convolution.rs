use core::ops::Range;

use attar_shared::{Channels, Weights, Window};

use super::window::Axis;
use super::{Eight, Finish, Four, ROWS, Row, View, ViewMut, block, blocks};

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

fn pixels<R: Row<Sums = i32>, I: Iterator<Item = R>>(
    input: View<'_>,
    window: &Window,
    channels: Channels<'_>,
    rows: impl Fn() -> I,
    output: ViewMut<'_>,
) where
    [R; ROWS]: Row<Sums = [i32; ROWS]>,
{
    let values = window.taps().wrapping_mul(usize::from(input.shape.channels));
    // Two loops, each with the registers to itself.
    if let Some(patch) = [0i8; PATCH].get_mut(..values) {
        gathered(input, window, channels, rows, output, patch);
    } else {
        in_place(input, window, channels, rows, output);
    }
}

/// Copies what the window shows, then computes all channels on it.
#[inline(never)]
fn gathered<R: Row<Sums = i32>, I: Iterator<Item = R>>(
    input: View<'_>,
    window: &Window,
    channels: Channels<'_>,
    rows: impl Fn() -> I,
    mut output: ViewMut<'_>,
    patch: &mut [i8],
) where
    [R; ROWS]: Row<Sums = [i32; ROWS]>,
{
    let finish = output.finish();
    let axes = Axis::pair(window, input.shape.height, input.shape.width);
    for (y, x, pixel) in output.pixels() {
        Place::new(&input, axes, y, x).gather(patch);
        fill(pixel, &*patch, rows(), channels, finish);
    }
}

/// Computes all channels on the input where it is.
#[inline(never)]
fn in_place<R: Row<Sums = i32>, I: Iterator<Item = R>>(
    input: View<'_>,
    window: &Window,
    channels: Channels<'_>,
    rows: impl Fn() -> I,
    mut output: ViewMut<'_>,
) where
    [R; ROWS]: Row<Sums = [i32; ROWS]>,
{
    let finish = output.finish();
    let axes = Axis::pair(window, input.shape.height, input.shape.width);
    for (y, x, pixel) in output.pixels() {
        fill(pixel, &Place::new(&input, axes, y, x), rows(), channels, finish);
    }
}

/// What weights are multiplied with.
trait Shown {
    /// Adds to each sum the products of its weights.
    fn sum<R: Row>(&self, row: R, sums: R::Sums) -> R::Sums;
}

impl Shown for [i8] {
    #[inline(always)]
    fn sum<R: Row>(&self, row: R, sums: R::Sums) -> R::Sums {
        row.dot(sums, 0, self)
    }
}

/// Writes all channels of a pixel.
#[inline(always)]
fn fill<R: Row<Sums = i32>>(
    pixel: &mut [i8],
    shown: &(impl Shown + ?Sized),
    mut rows: impl Iterator<Item = R>,
    channels: Channels<'_>,
    finish: Finish,
) where
    [R; ROWS]: Row<Sums = [i32; ROWS]>,
{
    let mut constants = channels.constants();
    let (blocks, rest) = blocks(pixel);
    for values in blocks {
        let (Some(rows), Some(constants)) = (block(&mut rows), block(&mut constants)) else { return };
        let sums = shown.sum(rows, constants.map(|(bias, _)| bias));
        for ((value, sum), (_, requantization)) in values.iter_mut().zip(sums).zip(constants) {
            finish.put(value, sum, requantization);
        }
    }
    for ((value, row), (bias, requantization)) in rest.iter_mut().zip(rows).zip(constants) {
        finish.put(value, shown.sum(row, bias), requantization);
    }
}

/// The greatest window, in values, that is copied out once for all channels: below it, looking for the values costs more than
/// their products.
const PATCH: usize = 64;

/// Where the window of a pixel lies.
struct Place<'a> {
    input: &'a View<'a>,
    vertical: Axis,
    horizontal: Axis,
    top: i32,
    left: i32,
    span: Option<Span>,
}

impl<'a> Place<'a> {
    #[inline(always)]
    fn new(input: &'a View<'a>, (vertical, horizontal): (Axis, Axis), y: u16, x: u16) -> Self {
        let (top, left) = (vertical.start(y), horizontal.start(x));
        let span = Span::new(horizontal, left, usize::from(input.shape.channels));
        Self { input, vertical, horizontal, top, left, span }
    }

    /// Copies what the window shows, padding included, in the order of the weights.
    #[inline(always)]
    fn gather(&self, patch: &mut [i8]) {
        let depth = usize::from(self.input.shape.channels).max(1);
        let row_len = usize::from(self.input.shape.width).wrapping_mul(depth);
        let kernel_row = self.horizontal.taps().len().wrapping_mul(depth).max(1);
        for (ky, places) in self.vertical.taps().zip(patch.chunks_exact_mut(kernel_row)) {
            let line = self.vertical.position(self.top, ky).map(|y| y.wrapping_mul(row_len));
            for (kx, places) in self.horizontal.taps().zip(places.chunks_exact_mut(depth)) {
                let at = line.zip(self.horizontal.position(self.left, kx));
                let values = at.and_then(|(line, x)| self.input.get(line.wrapping_add(x.wrapping_mul(depth)), depth));
                match values {
                    Some(values) => places.iter_mut().zip(values).for_each(|(place, value)| *place = *value),
                    None => places.fill(self.input.zero_point),
                }
            }
        }
    }
}

impl Shown for Place<'_> {
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
