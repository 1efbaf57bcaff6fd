use attar_shared::Window;

use super::window::Axis;
use super::{BLOCK, View, ViewMut};

/// Computes the greatest value in each window; padding is left out.
pub fn max_pool(input: View<'_>, window: &Window, mut output: ViewMut<'_>) {
    let (vertical, horizontal) = Axis::pair(window, input.shape.height, input.shape.width);
    let depth = usize::from(input.shape.channels).max(1);
    let row_len = usize::from(input.shape.width).wrapping_mul(depth);
    for (y, x, pixel) in output.pixels() {
        let (top, left) = (vertical.start(y), horizontal.start(x));
        for (block, places) in pixel.chunks_mut(BLOCK).enumerate() {
            let first = block.wrapping_mul(BLOCK);
            let mut greatest = [i8::MIN; BLOCK];
            for y in vertical.taps().filter_map(|tap| vertical.position(top, tap)) {
                for x in horizontal.taps().filter_map(|tap| horizontal.position(left, tap)) {
                    let at = y.wrapping_mul(row_len).wrapping_add(x.wrapping_mul(depth)).wrapping_add(first);
                    for (most, &value) in greatest.iter_mut().zip(input.get(at, places.len()).unwrap_or(&[])) {
                        *most = value.max(*most);
                    }
                }
            }
            for (place, most) in places.iter_mut().zip(greatest) {
                *place = most;
            }
        }
    }
}
