use attar_shared::{Channels, Weights, Window};

use super::window::Axis;
use super::{View, ViewMut};

/// Channels whose sums stay in registers.
const SIDE_BY_SIDE: usize = 8;

/// Computes a convolution channel by channel with weights `[kernel_height, kernel_width, channels]`.
pub fn depthwise(input: View<'_>, window: &Window, channels: Channels<'_>, mut output: ViewMut<'_>) {
    // The parser knows no other width.
    let Weights::Eight(weights) = channels.weights else { return };
    let finish = output.finish();
    let (vertical, horizontal) = Axis::pair(window, input.shape.height, input.shape.width);
    for (y, x, pixel) in output.pixels() {
        let place = Place { input, weights, vertical, horizontal, top: vertical.start(y), left: horizontal.start(x) };
        let mut constants = channels.constants();
        let mut first = 0usize;
        let mut blocks = pixel.chunks_exact_mut(SIDE_BY_SIDE);
        for values in &mut blocks {
            let sums = place.sums::<SIDE_BY_SIDE>(first);
            for ((value, sum), (bias, requantization)) in values.iter_mut().zip(sums).zip(&mut constants) {
                finish.put(value, sum.wrapping_add(bias), requantization);
            }
            first = first.wrapping_add(SIDE_BY_SIDE);
        }
        for (value, (bias, requantization)) in blocks.into_remainder().iter_mut().zip(constants) {
            let [sum] = place.sums::<1>(first);
            finish.put(value, sum.wrapping_add(bias), requantization);
            first = first.wrapping_add(1);
        }
    }
}

/// Where the window of a pixel lies.
struct Place<'a> {
    input: View<'a>,
    weights: &'a [u8],
    vertical: Axis,
    horizontal: Axis,
    top: i32,
    left: i32,
}

impl Place<'_> {
    /// Returns the sums of N channels from the first on.
    #[inline(always)]
    fn sums<const N: usize>(&self, first: usize) -> [i32; N] {
        let depth = usize::from(self.input.shape.channels).max(1);
        let row_len = usize::from(self.input.shape.width).wrapping_mul(depth);
        let padding = [self.input.zero_point; N];
        let mut sums = [0i32; N];
        let mut weights = self.weights.get(first..).unwrap_or(&[]);
        for ky in self.vertical.taps() {
            let line = self.vertical.position(self.top, ky).map(|y| y.wrapping_mul(row_len).wrapping_add(first));
            for kx in self.horizontal.taps() {
                let own = weights.first_chunk::<N>().unwrap_or(&[0; N]);
                let at = line.zip(self.horizontal.position(self.left, kx));
                let values = at.and_then(|(line, x)| self.input.get(line.wrapping_add(x.wrapping_mul(depth)), N));
                let values = values.and_then(|values| values.first_chunk::<N>()).unwrap_or(&padding);
                for ((sum, &w), &x) in sums.iter_mut().zip(own).zip(values) {
                    *sum = sum.wrapping_add(i32::from(w.cast_signed()) * i32::from(x));
                }
                weights = weights.get(depth..).unwrap_or(&[]);
            }
        }
        sums
    }
}
