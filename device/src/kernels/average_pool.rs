use attar_shared::{Requantization, Window};

use super::window::Axis;
use super::{BLOCK, View, ViewMut};

/// Computes the mean over a window; the requantisation holds the division by the number of taps.
///
/// Padding counts as zero, and the number of taps is the same everywhere.
pub fn average_pool(input: View<'_>, window: &Window, requantization: Requantization, mut output: ViewMut<'_>) {
    let finish = output.finish();
    let (vertical, horizontal) = Axis::pair(window, input.shape.height, input.shape.width);
    let depth = usize::from(input.shape.channels).max(1);
    let row_len = usize::from(input.shape.width).wrapping_mul(depth);
    let zero_point = i32::from(input.zero_point);
    for (y, x, pixel) in output.pixels() {
        let (top, left) = (vertical.start(y), horizontal.start(x));
        for (block, places) in pixel.chunks_mut(BLOCK).enumerate() {
            let first = block.wrapping_mul(BLOCK);
            let mut sums = [0i32; BLOCK];
            for y in vertical.taps().filter_map(|tap| vertical.position(top, tap)) {
                for x in horizontal.taps().filter_map(|tap| horizontal.position(left, tap)) {
                    let at = y.wrapping_mul(row_len).wrapping_add(x.wrapping_mul(depth)).wrapping_add(first);
                    for (sum, &value) in sums.iter_mut().zip(input.get(at, places.len()).unwrap_or(&[])) {
                        *sum = sum.wrapping_add(i32::from(value).wrapping_sub(zero_point));
                    }
                }
            }
            for (place, sum) in places.iter_mut().zip(sums) {
                *place = finish.apply(sum << AVERAGE_SHIFT, requantization);
            }
        }
    }
}

/// Sums are shifted left before they are averaged, so that small windows keep their precision.
const AVERAGE_SHIFT: u32 = 8;
