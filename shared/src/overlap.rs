//! Where an output may lie over an input that nothing reads after it.

use crate::bytes::u16_at;
use crate::operator::{Kind, MAX_INPUTS, OPERATOR_BYTES, Operator, Parameters, Window};
use crate::parts;
use crate::tensor::{MAX_LEN, Shape};

/// How the output of an operator may share bytes with an input that the operator is the last to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Overlap {
    /// Not at all.
    Never,
    /// The input begins this many bytes after the output, no more and no less.
    At(u32),
    /// The output may slide over the input, since its pixels are computed one after the other.
    Slide {
        /// From the first pixel to the last, the output begins at least this many bytes before the input.
        before: u32,
        /// From the last pixel to the first, the output begins at least this many bytes after the input.
        after: u32,
    },
}

impl Overlap {
    /// Returns whether an output at `output` may share bytes with an input at `input`.
    pub fn allows(self, output: u32, input: u32) -> bool {
        match self {
            Self::Never => false,
            Self::At(place) => output.checked_add(place) == Some(input),
            Self::Slide { before, after } => match input.checked_sub(output) {
                Some(distance) if distance > 0 => distance >= before,
                _ => output.saturating_sub(input) >= after,
            },
        }
    }
}

impl Overlap {
    /// Returns how the output of an operator may share bytes with its input at `place`.
    ///
    /// `inputs` are the tensors that it reads, `shapes` their shapes.
    pub fn of(
        kind: Kind,
        window: Option<&Window>,
        inputs: &[u16],
        place: usize,
        shapes: &[Shape],
        output: Shape,
    ) -> Self {
        let Some(&input) = shapes.get(place) else { return Self::Never };
        let apart = inputs.first() != inputs.get(1);
        let weighted = kind.has_channels();
        match (kind, window) {
            // Value by value, so the place of a value is free once its own answer is known.
            (Kind::Add | Kind::Multiply, _) if input == output && apart => Self::At(0),
            _ if weighted && place == 1 => {
                if input == output && apart {
                    Self::At(0)
                } else {
                    Self::Never
                }
            }
            (_, Some(window)) if apart => window.slide(input, output),
            (Kind::Table, _) => Self::At(0),
            // A part of a vector may stand where it has to go.
            (Kind::Concat, _) if output.is_vector() => {
                Self::At(shapes.iter().take(place).map(|shape| u32::from(shape.channels)).sum())
            }
            _ => Self::Never,
        }
    }
}

impl Kind {
    /// All, in the order of their codes.
    const ALL: [Self; 14] = [
        Self::Dense,
        Self::Convolution,
        Self::Depthwise,
        Self::Add,
        Self::AveragePool,
        Self::MaxPool,
        Self::Table,
        Self::Concat,
        Self::Dense4,
        Self::Convolution4,
        Self::Multiply,
        Self::Delay,
        Self::Bag,
        Self::DenseRows,
    ];

    /// Returns whether operators of this kind have a window.
    const fn has_window(self) -> bool {
        matches!(self, Self::Convolution | Self::Convolution4 | Self::Depthwise | Self::AveragePool | Self::MaxPool)
    }
}

/// What a record says of its operator without the parameters, which take a multiple of its stack.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sketch {
    pub(crate) kind: Kind,
    pub(crate) window: Option<Window>,
    inputs: [u16; MAX_INPUTS],
    count: usize,
}

impl Sketch {
    /// Returns the sketch of a record, unless it is of no kind.
    pub(crate) fn read<const PARTS: u64>(record: &[u8; OPERATOR_BYTES]) -> Option<Self> {
        let [kind, count] = u16_at(record, 0).to_le_bytes();
        let kind = *Kind::ALL.get(usize::from(kind))?;
        let window = if parts::has_window(PARTS) && kind.has_window() { Some(Window::read(record)) } else { None };
        Some(Self { kind, window, inputs: [4, 6, 8, 10].map(|at| u16_at(record, at)), count: count.into() })
    }

    /// Returns the tensors that are read.
    pub(crate) fn inputs(&self) -> &[u16] {
        self.inputs.get(..self.count).unwrap_or(&[])
    }
}

impl Operator<'_> {
    /// Returns the window, of an operator that has one.
    pub fn window(&self) -> Option<&Window> {
        match &self.parameters {
            Parameters::Convolution(window, _)
            | Parameters::Depthwise(window, _)
            | Parameters::AveragePool(window, _)
            | Parameters::MaxPool(window) => Some(window),
            _ => None,
        }
    }
}

impl Window {
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

    #[test]
    fn kinds_stand_where_their_codes_say() {
        for (code, kind) in Kind::ALL.into_iter().enumerate() {
            assert_eq!(kind as usize, code);
        }
    }

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
