//! Where a sliding window lies on its input.

use candle_core::{Result, bail};
use std::ops::Range;

/// Geometry of a sliding window over `[height, width]`; series have height 1.
///
/// Along each axis output position `p` sees the input at `p * stride + tap * dilation - pad` for
/// each `tap < kernel`. The padding after the input is what `out` implies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// Taps.
    pub kernel: [usize; 2],
    /// Distance between neighbouring output positions, in input positions.
    pub stride: [usize; 2],
    /// Distance between neighbouring taps, in input positions.
    pub dilation: [usize; 2],
    /// Padding before the input: above it and to its left.
    pub pad: [usize; 2],
    /// Output positions.
    pub out: [usize; 2],
}

impl Window {
    /// Nothing, for a window that fits an input of `[height, width]`: nothing is zero, and neither
    /// the first nor the last output position lies wholly beside the input.
    ///
    /// # Errors
    /// When it does not fit.
    pub(super) fn check(&self, op: &str, input: [usize; 2]) -> Result<()> {
        for (axis, length) in input.into_iter().enumerate() {
            let (kernel, stride) = (self.kernel[axis], self.stride[axis]);
            let (dilation, out) = (self.dilation[axis], self.out[axis]);
            if kernel == 0 || stride == 0 || dilation == 0 || out == 0 {
                bail!("{op}: {self:?} has a zero on axis {axis}, expected at least 1")
            }
            if length == 0 {
                bail!("{op}: input has length 0 on axis {axis}, expected at least 1")
            }
            let extent = (kernel - 1).saturating_mul(dilation).saturating_add(1);
            let pad = self.pad[axis];
            if pad >= extent {
                bail!("{op}: padding of {pad} on axis {axis}, expected less than the extent {extent}")
            }
            let most = (length + pad).div_ceil(stride);
            if out > most {
                bail!("{op}: {out} output positions on axis {axis}, expected at most {most} for an input of {length}")
            }
        }
        Ok(())
    }

    /// The taps of output position `p` that lie on an input of `length`, not on padding.
    pub(super) fn taps(&self, axis: usize, p: usize, length: usize) -> Range<usize> {
        let (dilation, pad) = (self.dilation[axis], self.pad[axis]);
        let start = p * self.stride[axis];
        let end = (length + pad).saturating_sub(start).div_ceil(dilation);
        let end = end.min(self.kernel[axis]);
        pad.saturating_sub(start).div_ceil(dilation).min(end)..end
    }

    /// The input position that `tap`, one of [`taps`](Self::taps), of output position `p` sees.
    pub(super) fn input(&self, axis: usize, p: usize, tap: usize) -> usize {
        p * self.stride[axis] + tap * self.dilation[axis] - self.pad[axis]
    }

    /// Output positions a channel.
    pub(super) fn positions(&self) -> usize {
        self.out[0] * self.out[1]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn taps_are_those_on_the_input() {
        for (kernel, stride, dilation, pad) in [(3, 2, 1, 1), (3, 1, 2, 3), (16, 3, 1, 7), (2, 1, 4, 2)] {
            for length in 1..12usize {
                let extent = (kernel - 1) * dilation + 1;
                let out = (length + pad).div_ceil(stride);
                let window = Window {
                    kernel: [kernel, 1],
                    stride: [stride, 1],
                    dilation: [dilation, 1],
                    pad: [pad, 0],
                    out: [out, 1],
                };
                assert!(pad < extent && window.check("test", [length, 1]).is_ok());
                for p in 0..out {
                    let seen = |tap: &usize| {
                        let at = (p * stride + tap * dilation) as isize - pad as isize;
                        (0..length as isize).contains(&at)
                    };
                    let expected: Vec<usize> = (0..kernel).filter(seen).collect();
                    assert_eq!(window.taps(0, p, length).collect::<Vec<_>>(), expected);
                }
            }
        }
    }

    #[test]
    fn windows_beside_the_input_are_rejected() {
        let fits = Window { kernel: [3, 1], stride: [2, 1], dilation: [1, 1], pad: [1, 0], out: [25, 1] };
        let text = |window: Window| {
            let text = window.check("test", [49, 1]).unwrap_err().to_string();
            text.lines().next().unwrap().to_string()
        };
        assert!(fits.check("test", [49, 1]).is_ok());
        assert_eq!(
            text(Window { out: [26, 1], ..fits }),
            "test: 26 output positions on axis 0, expected at most 25 for an input of 49"
        );
        assert_eq!(
            text(Window { pad: [3, 0], ..fits }),
            "test: padding of 3 on axis 0, expected less than the extent 3"
        );
        let huge = Window { kernel: [usize::MAX, 1], dilation: [usize::MAX, 1], pad: [usize::MAX, 0], ..fits };
        assert!(huge.check("test", [49, 1]).is_err());
        assert!(text(Window { stride: [0, 1], ..fits }).ends_with("has a zero on axis 0, expected at least 1"));
        assert!(fits.check("test", [0, 1]).is_err());
    }
}
