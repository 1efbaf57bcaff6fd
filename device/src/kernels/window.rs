use core::ops::Range;

use attar_shared::Window;

/// One axis of a sliding window.
#[derive(Clone, Copy)]
pub(super) struct Axis {
    kernel: i32,
    stride: i32,
    dilation: i32,
    pad: i32,
    len: i32,
}

impl Axis {
    /// Returns the vertical and the horizontal axis of a window over an input.
    pub(super) fn pair(window: &Window, height: u16, width: u16) -> (Self, Self) {
        let [kernel, stride, dilation, pad] = [window.kernel, window.stride, window.dilation, window.pad];
        let axis = |a: u16, b: u16, c: u16, d: u16, len: u16| Self {
            kernel: a.into(),
            stride: b.into(),
            dilation: c.into(),
            pad: d.into(),
            len: len.into(),
        };
        let [vertical, horizontal] = [0, 1].map(|i| {
            let at = |pair: [u16; 2]| if i == 0 { pair[0] } else { pair[1] };
            axis(at(kernel), at(stride), at(dilation), at(pad), if i == 0 { height } else { width })
        });
        (vertical, horizontal)
    }

    /// Returns where the window of an output begins in the input; it may lie before the first position.
    #[inline(always)]
    pub(super) fn start(self, output: u16) -> i32 {
        // The parser bounds the product by twice 65,535.
        i32::from(output).wrapping_mul(self.stride).wrapping_sub(self.pad)
    }

    /// Returns the position that a tap reads, if it lies in the input.
    #[inline(always)]
    pub(super) fn position(self, start: i32, tap: i32) -> Option<usize> {
        let position = start.wrapping_add(tap.wrapping_mul(self.dilation));
        if (0..self.len).contains(&position) { Some(position as usize) } else { None }
    }

    /// Returns all taps.
    pub(super) fn taps(self) -> Range<i32> {
        0..self.kernel
    }

    /// Returns the taps that lie in the input as one run of neighbours, where the taps are neighbours.
    #[inline(always)]
    pub(super) fn run(self, start: i32) -> Option<Range<i32>> {
        if self.dilation != 1 {
            return None;
        }
        let first = start.wrapping_neg().max(0);
        let end = self.len.wrapping_sub(start).min(self.kernel);
        Some(first..end.max(first))
    }
}
