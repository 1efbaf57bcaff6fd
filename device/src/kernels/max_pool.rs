use attar_shared::Window;

use super::window::Over;
use super::{BLOCK, Slide};

/// Computes the greatest value in each window; padding is left out.
#[inline(never)]
pub(crate) fn max_pool(mut slide: Slide<'_>, window: &Window) {
    let over = Over::new(window, &slide.input);
    for pixel in slide.pixels() {
        for first in (0..over.depth).step_by(BLOCK) {
            let len = over.depth.wrapping_sub(first).min(BLOCK);
            let mut greatest = [i8::MIN; BLOCK];
            over.each_inside(pixel, |at| {
                let values = slide.values(at.wrapping_add(first), len).unwrap_or_default();
                for (most, &value) in greatest.iter_mut().zip(values) {
                    *most = value.max(*most);
                }
            });
            slide.write_some(pixel, first, greatest.get(..len).unwrap_or_default());
        }
    }
}
