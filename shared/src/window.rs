//! Sliding windows: their geometry, and how far an output has to lie from the input that it is computed of.

use crate::Defect;
use crate::overlap::Overlap;
use crate::tensor::{MAX_LEN, Shape};

/// The geometry of a sliding window, `[height, width]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// Taps.
    pub kernel: [u16; 2],
    /// Steps from one output to the next.
    pub stride: [u16; 2],
    /// Steps from one tap to the next.
    pub dilation: [u16; 2],
    /// Positions before the first row and column; what lies after the last follows from the output's shape.
    pub pad: [u16; 2],
}

impl Window {
    /// What an operator without a window holds in the place of one.
    pub(crate) const NONE: Self = Self { kernel: [0; 2], stride: [0; 2], dilation: [0; 2], pad: [0; 2] };

    /// Returns the number of taps.
    pub fn taps(&self) -> usize {
        usize::from(self.kernel[0]) * usize::from(self.kernel[1])
    }

    /// Checks that no output lies wholly in the padding, and that coordinates stay far from overflow.
    #[inline(never)]
    pub(crate) fn check(&self, input: Shape, output: Shape) -> Result<(), Defect> {
        let sizes = [(input.height, output.height), (input.width, output.width)];
        let axes = self.kernel.iter().zip(&self.stride).zip(self.dilation.iter().zip(&self.pad));
        for (((&kernel, &stride), (&dilation, &pad)), (len, out)) in axes.zip(sizes) {
            if kernel == 0 || stride == 0 || dilation == 0 {
                return Err(Defect::Window);
            }
            let reach = (u32::from(kernel) - 1) * u32::from(dilation);
            let last_start = (u64::from(out) - 1) * u64::from(stride);
            let last_place = u64::from(len) - 1 + u64::from(pad);
            if u32::from(pad) > reach || reach > u32::from(u16::MAX) || last_start > last_place {
                return Err(Defect::Window);
            }
        }
        Ok(())
    }

    /// Returns how far the output of a window has to be from its input, pixel by pixel in either order.
    ///
    /// While a pixel is computed, and until the last pixel that reads them, the bytes that its window reads must not be
    /// written. Rows and columns are taken apart: within a row the bound is greatest at an end or where the padding ends.
    // Apart, so that there is one of it.
    #[inline(never)]
    pub fn slide(&self, input: Shape, output: Shape) -> Overlap {
        // With these and the least of places at most 2^26, everything below fits 32 bits, which a small core likes.
        let is_small =
            |shape: Shape| u64::from(shape.height) * u64::from(shape.width) * u64::from(shape.channels) <= MAX_LEN;
        if self.check(input, output).is_err() || !is_small(input) || !is_small(output) {
            return Overlap::Never;
        }
        self.distances(input, output)
    }

    /// As [`Window::slide`], of small shapes, whose windows have been checked.
    #[inline(never)]
    fn distances(&self, input: Shape, output: Shape) -> Overlap {
        let [rows, columns] = [0, 1].map(|axis| Axis::new(self, axis, input, output));
        let depth = i32::from(input.channels);
        let row = i32::from(input.width) * depth;
        let pixel = i32::from(output.channels);
        let (mut before, mut after) = (0, 0);
        // The bounds of a row are linear in y between paddings, as those of a pixel are in x; at a turn of the next row, which
        // bounds this one, too. So there are a few rows to look at, however many the output has.
        for place in 0..2 * TURNS {
            let y = rows.turn(place / 2).saturating_sub((place % 2) as i32).max(0);
            let line = y * columns.count;
            for x in (0..TURNS).map(|place| columns.turn(place)) {
                // The first byte that this pixel or a later one in its row reads; the end of what it or an earlier one does.
                let first = rows.first(y) * row + columns.first(x) * depth;
                let end = rows.last(y) * row + (columns.last(x) + 1) * depth;
                before = before.max((line + x + 1) * pixel - first);
                after = after.max(end - (line + x) * pixel);
            }
            if y + 1 < rows.count {
                before = before.max((line + columns.count) * pixel - rows.first(y + 1) * row);
                let end = rows.last(y) * row + (columns.last(columns.count - 1) + 1) * depth;
                after = after.max(end - (line + columns.count) * pixel);
            }
        }
        match (u32::try_from(before), u32::try_from(after)) {
            (Ok(before), Ok(after)) => Overlap::Slide { before, after },
            _ => Overlap::Never,
        }
    }
}

/// How many outputs [`Axis::turn`] has.
const TURNS: usize = 6;

/// One axis of a window.
struct Axis {
    stride: i32,
    pad: i32,
    reach: i32,
    len: i32,
    count: i32,
}

impl Axis {
    fn new(window: &Window, axis: usize, input: Shape, output: Shape) -> Self {
        let pick = |pair: [u16; 2]| i32::from(if axis == 0 { pair[0] } else { pair[1] });
        let side = |shape: Shape| i32::from(if axis == 0 { shape.height } else { shape.width });
        Self {
            stride: pick(window.stride),
            pad: pick(window.pad),
            // At most 65,535, as the window has been checked.
            reach: (pick(window.kernel) - 1) * pick(window.dilation),
            len: side(input),
            count: side(output),
        }
    }

    /// The first position that an output can read.
    fn first(&self, output: i32) -> i32 {
        (output * self.stride - self.pad).max(0)
    }

    /// The last position that an output can read.
    fn last(&self, output: i32) -> i32 {
        (output * self.stride - self.pad + self.reach).min(self.len - 1)
    }

    /// One of the outputs at which a bound that is linear between paddings can be greatest.
    fn turn(&self, place: usize) -> i32 {
        let stride = self.stride.max(1);
        let output = match place {
            0 => 0,
            1 | 2 => self.pad / stride + (place - 1) as i32,
            3 | 4 => (self.len - 1 + self.pad - self.reach).div_euclid(stride) + (place - 3) as i32,
            _ => self.count,
        };
        output.max(0).min(self.count - 1)
    }
}

#[cfg(test)]
#[allow(clippy::indexing_slicing)]
mod tests {
    extern crate std;
    use std::vec::Vec;

    use super::*;

    /// The bounds by the rule itself: all pixels, all bytes.
    fn by_hand(window: &Window, input: Shape, output: Shape) -> Option<(i64, i64)> {
        let [h, w, c] = [input.height, input.width, input.channels].map(i64::from);
        let (rows, columns) = (i64::from(output.height), i64::from(output.width));
        let mut reads = Vec::new();
        for y in 0..rows {
            for x in 0..columns {
                let mut span: Option<(i64, i64)> = None;
                for ky in 0..i64::from(window.kernel[0]) {
                    for kx in 0..i64::from(window.kernel[1]) {
                        let at = [
                            y * i64::from(window.stride[0]) + ky * i64::from(window.dilation[0])
                                - i64::from(window.pad[0]),
                            x * i64::from(window.stride[1]) + kx * i64::from(window.dilation[1])
                                - i64::from(window.pad[1]),
                        ];
                        if (0..h).contains(&at[0]) && (0..w).contains(&at[1]) {
                            let start = (at[0] * w + at[1]) * c;
                            let (a, b) = span.unwrap_or((start, start + c));
                            span = Some((a.min(start), b.max(start + c)));
                        }
                    }
                }
                reads.push(span);
            }
        }
        let pixel = i64::from(output.channels);
        let mut before = 0;
        let mut first = i64::MAX;
        for (index, span) in reads.iter().enumerate().rev() {
            first = first.min(span.map_or(i64::MAX, |span| span.0));
            if first < i64::MAX {
                before = before.max((index as i64 + 1) * pixel - first);
            }
        }
        let mut after = 0;
        let mut end = 0;
        for (index, span) in reads.iter().enumerate() {
            end = end.max(span.map_or(0, |span| span.1));
            after = after.max(end - index as i64 * pixel);
        }
        Some((before, after))
    }

    #[test]
    fn bounds_are_those_of_the_rule_and_as_small_where_windows_have_no_holes() {
        let mut state = 5u64;
        let mut draw = |from: u64, to: u64| {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (from + (state >> 33) % (to - from + 1)) as u16
        };
        let mut exact = 0;
        for _ in 0..20_000 {
            let kernel = [draw(1, 4), draw(1, 4)];
            let stride = [draw(1, 3), draw(1, 3)];
            let dilation = [draw(1, 2), draw(1, 2)];
            let pad = [0, 1].map(|axis: usize| draw(0, u64::from((kernel[axis] - 1) * dilation[axis])));
            let input = Shape { height: draw(1, 8), width: draw(1, 8), channels: draw(1, 4) };
            let sides = [input.height, input.width];
            let out = [0, 1].map(|axis| draw(1, u64::from((sides[axis] - 1 + pad[axis]) / stride[axis] + 1)));
            let output = Shape { height: out[0], width: out[1], channels: draw(1, 6) };
            let window = Window { kernel, stride, dilation, pad };
            let Overlap::Slide { before, after } = window.slide(input, output) else { continue };
            let Some((needed_before, needed_after)) = by_hand(&window, input, output) else { continue };
            assert!(
                i64::from(before) >= needed_before && i64::from(after) >= needed_after,
                "{window:?} {input:?} {output:?}"
            );
            if dilation == [1, 1] {
                exact += 1;
                assert_eq!(
                    (i64::from(before), i64::from(after)),
                    (needed_before, needed_after),
                    "{window:?} {input:?} {output:?}"
                );
            }
        }
        assert!(exact > 1000);
    }
}
