use attar_shared::Window;

use super::window::Axis;
use super::{BLOCK, View, ViewMut};

/// Computes the greatest value in each window; padding is left out.
pub fn max_pool(input: View<'_>, window: &Window, output: ViewMut<'_>) {
    let (vertical, horizontal) = Axis::pair(window, input.shape.height, input.shape.width);
    let depth = usize::from(input.shape.channels).max(1);
    let row_len = usize::from(input.shape.width).wrapping_mul(depth);
    let mut pixels = output.values.chunks_exact_mut(depth);
    for y in 0..output.shape.height {
        let top = vertical.start(y);
        for x in 0..output.shape.width {
            let left = horizontal.start(x);
            let Some(pixel) = pixels.next() else { return };
            for (block, places) in pixel.chunks_mut(BLOCK).enumerate() {
                let first = block.wrapping_mul(BLOCK);
                let mut greatest = [i8::MIN; BLOCK];
                for y in vertical.taps().filter_map(|tap| vertical.position(top, tap)) {
                    for x in horizontal.taps().filter_map(|tap| horizontal.position(left, tap)) {
                        let at = y.wrapping_mul(row_len).wrapping_add(x.wrapping_mul(depth)).wrapping_add(first);
                        for (most, &value) in greatest.iter_mut().zip(input.values.get(at..).unwrap_or(&[])) {
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
}
