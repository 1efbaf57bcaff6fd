use attar_shared::Window;

use super::pixel_context::{Pixel, PixelContext, Place};

/// One axis of a sliding window.
#[derive(Clone, Copy)]
pub(super) struct Axis {
    pub(super) kernel: i32,
    // Of the width that the format has: a window lies on the stack under every kernel.
    stride: u16,
    dilation: u16,
    pad: u16,
    len: u16,
}

impl Axis {
    /// Returns where the window of an output begins in the input; it may lie before the first position.
    #[inline(always)]
    pub(super) fn start(self, output: u16) -> i32 {
        // The parser bounds the product by twice 65,535.
        i32::from(output).wrapping_mul(i32::from(self.stride)).wrapping_sub(i32::from(self.pad))
    }

    /// Returns the position that a tap reads, if it lies in the input.
    #[inline(always)]
    pub(super) fn position(self, start: i32, tap: i32) -> Option<usize> {
        let position = start.wrapping_add(tap.wrapping_mul(i32::from(self.dilation)));
        if (position as u32) < u32::from(self.len) { Some(position as usize) } else { None }
    }

    /// Returns the taps that lie in the input as one run of neighbours, where the taps are neighbours.
    #[inline(always)]
    pub(super) fn inside(self, start: i32) -> Option<core::ops::Range<i32>> {
        let first = start.wrapping_neg().max(0);
        let end = i32::from(self.len).wrapping_sub(start).min(self.kernel);
        if self.dilation == 1 && first < end { Some(first..end) } else { None }
    }

    /// Returns where the taps of an output begin, if they are neighbours and lie in the input.
    #[inline(always)]
    fn within(self, output: u16) -> Option<usize> {
        let start = self.start(output);
        let good = self.dilation == 1 && start >= 0 && start.wrapping_add(self.kernel) <= i32::from(self.len);
        if good { Some(start as usize) } else { None }
    }

    /// Returns where the taps of an output begin, if all lie in the input, holes or not.
    #[cfg(not(plain))]
    #[inline(always)]
    fn whole(self, output: u16) -> Option<usize> {
        let start = self.start(output);
        let last = start.wrapping_add(self.kernel.wrapping_sub(1).wrapping_mul(i32::from(self.dilation)));
        if start >= 0 && last < i32::from(self.len) { Some(start as usize) } else { None }
    }

    /// Returns which taps of an output lie in the input: all of them, with holes or not, or some of a window without.
    #[cfg(dsp)]
    #[inline(always)]
    pub(super) fn taps(self, output: u16) -> Option<core::ops::Range<usize>> {
        if self.whole(output).is_some() {
            return Some(0..self.kernel as usize);
        }
        let taps = self.inside(self.start(output))?;
        Some(taps.start as usize..taps.end as usize)
    }

    /// Returns the outputs, of so many, all of whose taps lie in the input.
    #[cfg(not(plain))]
    #[inline(always)]
    pub(super) fn whole_outputs(self, outputs: u16) -> core::ops::Range<u16> {
        let last = i32::from(self.len)
            .wrapping_add(i32::from(self.pad))
            .wrapping_sub(self.kernel.wrapping_sub(1).wrapping_mul(i32::from(self.dilation)));
        let rounded = |positions: i32| {
            positions.max(0).wrapping_add(i32::from(self.stride)).wrapping_sub(1).checked_div(i32::from(self.stride))
        };
        let [first, end] = [i32::from(self.pad), last].map(|positions| rounded(positions).unwrap_or(0) as u32);
        first.min(outputs.into()) as u16..end.min(outputs.into()) as u16
    }

    /// Returns the positions of the input from an output to the next.
    #[cfg(not(plain))]
    pub(super) fn stride(self) -> usize {
        self.stride.into()
    }

    /// Returns how many taps from this one on are neighbours in the input, or lie in the padding together.
    #[inline(always)]
    fn run(self, start: i32, tap: i32) -> i32 {
        let left = self.kernel.wrapping_sub(tap);
        if self.dilation != 1 {
            return 1;
        }
        let position = start.wrapping_add(tap);
        let end = if position < 0 {
            position.wrapping_neg()
        } else if position < i32::from(self.len) {
            i32::from(self.len).wrapping_sub(position)
        } else {
            left
        };
        end.min(left)
    }
}

/// A window over an input.
#[derive(Clone, Copy)]
pub(super) struct InputWindow {
    pub(super) vertical: Axis,
    pub(super) horizontal: Axis,
    /// Channels of the input.
    pub(super) depth: usize,
    /// Values of a row of the input.
    pub(super) row: usize,
    /// Values of a row of the window.
    pub(super) width: usize,
    /// Values of the input from the first that a window without holes shows to its last.
    pub(super) reach: usize,
    /// Values that the window shows.
    pub(super) len: usize,
}

/// Channels of a pool that are computed side by side.
pub(super) const ABREAST: usize = 8;

/// Values that a window shows one after the other.
pub(super) enum Run {
    /// Those of the input from this one on.
    Values(usize),
    /// Padding.
    Padding,
}

impl InputWindow {
    pub(super) fn new(window: &Window, input: &Place) -> Self {
        let ([kernel_height, kernel_width], [down, right]) = (window.kernel, window.stride);
        let ([spread_down, spread_right], [above, before]) = (window.dilation, window.pad);
        let axis = |kernel: u16, stride, dilation, pad, len| Axis { kernel: kernel.into(), stride, dilation, pad, len };
        let depth = usize::from(input.shape.channels);
        let row = usize::from(input.shape.width).wrapping_mul(depth);
        let (rows, width) = (usize::from(kernel_height), usize::from(kernel_width).wrapping_mul(depth));
        Self {
            vertical: axis(kernel_height, down, spread_down, above, input.shape.height),
            horizontal: axis(kernel_width, right, spread_right, before, input.shape.width),
            depth,
            row,
            width,
            reach: rows.wrapping_sub(1).wrapping_mul(row).wrapping_add(width),
            len: rows.wrapping_mul(width),
        }
    }

    /// Returns the values of the input from a tap to the one beside it.
    #[cfg(not(plain))]
    #[inline(always)]
    pub(super) fn step(&self) -> usize {
        self.depth.wrapping_mul(self.horizontal.dilation.into())
    }

    /// Returns the values of the input from a tap to the one below it.
    #[cfg(not(plain))]
    #[inline(always)]
    pub(super) fn down(&self) -> usize {
        self.row.wrapping_mul(self.vertical.dilation.into())
    }

    /// As [`InputWindow::reach`], of a window with holes.
    #[cfg(not(plain))]
    #[inline(always)]
    pub(super) fn whole_reach(&self) -> usize {
        let [down, right] = [self.vertical, self.horizontal].map(|axis| axis.kernel.wrapping_sub(1) as usize);
        down.wrapping_mul(self.down()).wrapping_add(right.wrapping_mul(self.step())).wrapping_add(self.depth)
    }

    /// Returns the rows and columns of taps that lie in the input at a pixel, of a window without holes.
    #[inline(always)]
    pub(super) fn inside(&self, pixel: Pixel) -> Option<(core::ops::Range<i32>, core::ops::Range<i32>)> {
        let rows = self.vertical.inside(self.vertical.start(pixel.y))?;
        Some((rows, self.horizontal.inside(self.horizontal.start(pixel.x))?))
    }

    /// Returns where a tap that lies in the input begins, of a window without holes.
    #[inline(always)]
    pub(super) fn place(&self, pixel: Pixel, ky: i32, kx: i32) -> usize {
        let y = self.vertical.start(pixel.y).wrapping_add(ky) as usize;
        let x = self.horizontal.start(pixel.x).wrapping_add(kx) as usize;
        y.wrapping_mul(self.row).wrapping_add(x.wrapping_mul(self.depth))
    }

    /// Returns where a window begins that lies in the input as a whole and has no holes.
    #[inline(always)]
    pub(super) fn within(&self, pixel: Pixel) -> Option<usize> {
        let y = self.vertical.within(pixel.y)?;
        let x = self.horizontal.within(pixel.x)?;
        Some(y.wrapping_mul(self.row).wrapping_add(x.wrapping_mul(self.depth)))
    }

    /// Returns where a window begins that lies in the input as a whole, holes or not.
    #[cfg(not(plain))]
    #[inline(always)]
    pub(super) fn whole(&self, pixel: Pixel) -> Option<usize> {
        let y = self.vertical.whole(pixel.y)?;
        let x = self.horizontal.whole(pixel.x)?;
        Some(y.wrapping_mul(self.row).wrapping_add(x.wrapping_mul(self.depth)))
    }

    /// Returns how many channels from one on a pool computes side by side: [`ABREAST`], or one where there are fewer.
    #[inline(always)]
    pub(super) fn abreast(&self, channel: usize) -> usize {
        if self.depth.wrapping_sub(channel) < ABREAST { 1 } else { ABREAST }
    }

    /// Calls `with` on the values of N channels from one on at each position that a window without holes shows inside of the
    /// input.
    #[inline(always)]
    pub(super) fn each<const N: usize>(
        &self,
        context: &PixelContext<'_>,
        pixel: Pixel,
        channel: usize,
        mut with: impl FnMut(&[i8; N]),
    ) {
        let Some((rows, columns)) = self.inside(pixel) else { return };
        let mut first = self.place(pixel, rows.start, columns.start).wrapping_add(channel);
        let reach = columns.len().wrapping_sub(1).wrapping_mul(self.depth).wrapping_add(N);
        for _ in rows {
            let mut rest = context.values(first, reach).unwrap_or_else(|| unreachable_in_checked_model!());
            while let Some(values) = rest.first_chunk::<N>() {
                with(values);
                rest = rest.get(self.depth..).unwrap_or_default();
            }
            first = first.wrapping_add(self.row);
        }
    }

    /// Calls `with` on what the window shows at a pixel, in the order of the weights: the place among the weights, what is
    /// there, and how many values.
    #[inline(always)]
    pub(super) fn runs(&self, pixel: Pixel, mut with: impl FnMut(usize, Run, usize)) {
        let (top, left) = (self.vertical.start(pixel.y), self.horizontal.start(pixel.x));
        let mut place = 0usize;
        for ky in 0..self.vertical.kernel {
            let line = self.vertical.position(top, ky).map(|y| y.wrapping_mul(self.row));
            let mut kx = 0;
            while kx < self.horizontal.kernel {
                let taps = if line.is_some() {
                    self.horizontal.run(left, kx)
                } else {
                    self.horizontal.kernel.wrapping_sub(kx)
                };
                let len = (taps as usize).wrapping_mul(self.depth);
                let at = line.zip(self.horizontal.position(left, kx));
                let run =
                    at.map_or(Run::Padding, |(line, x)| Run::Values(line.wrapping_add(x.wrapping_mul(self.depth))));
                with(place, run, len);
                place = place.wrapping_add(len);
                kx = kx.wrapping_add(taps);
            }
        }
    }
}
