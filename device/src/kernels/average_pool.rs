use attar_shared::{Requantization, Window};

use super::window::Over;
use super::{BLOCK, Slide};

/// Computes the mean over a window; the requantisation holds the division by the number of taps.
///
/// Padding counts as zero, and the number of taps is the same everywhere.
#[inline(never)]
pub(crate) fn average_pool(mut slide: Slide<'_>, window: &Window, requantization: Requantization) {
    let (over, finish) = (Over::new(window, &slide.input), slide.finish());
    let zero_point = i32::from(slide.input.zero_point);
    for pixel in slide.pixels() {
        for first in (0..over.depth).step_by(BLOCK) {
            let len = over.depth.wrapping_sub(first).min(BLOCK);
            let mut sums = [0i32; BLOCK];
            over.each_inside(pixel, |at| {
                let values = slide.values(at.wrapping_add(first), len).unwrap_or_default();
                for (sum, &value) in sums.iter_mut().zip(values) {
                    *sum = sum.wrapping_add(i32::from(value).wrapping_sub(zero_point));
                }
            });
            let means = sums.map(|sum| finish.apply(sum << AVERAGE_SHIFT, requantization));
            slide.write_some(pixel, first, means.get(..len).unwrap_or_default());
        }
    }
}

/// Sums are shifted left before they are averaged, so that small windows keep their precision.
const AVERAGE_SHIFT: u32 = 8;
