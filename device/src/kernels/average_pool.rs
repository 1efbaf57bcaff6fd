use attar_shared::{Requantization, Window};

use super::Slide;
use super::window::Over;

/// Computes the mean over a window; the requantisation holds the division by the number of taps.
///
/// Padding counts as zero, and the number of taps is the same everywhere.
#[inline(never)]
pub(crate) fn average_pool(slide: &mut Slide<'_>, window: &Window, requantization: Requantization) {
    let (over, finish) = (Over::new(window, &slide.input), slide.finish());
    let zero_point = i32::from(slide.input.zero_point);
    for pixel in slide.pixels() {
        for channel in 0..over.depth {
            let (mut sum, mut count) = (0i32, 0usize);
            over.lines(pixel, channel, |first, len| {
                let line = slide.values(first, over.reach_of(len)).unwrap_or_default();
                let values = line.iter().step_by(over.depth);
                sum = values.fold(sum, |sum, &value| sum.wrapping_add(value.into()));
                count = count.wrapping_add(len);
            });
            let sum = sum.wrapping_sub(zero_point.wrapping_mul(count as i32));
            slide.write(pixel, channel, finish.apply(sum << AVERAGE_SHIFT, requantization));
        }
    }
}

/// Sums are shifted left before they are averaged, so that small windows keep their precision.
const AVERAGE_SHIFT: u32 = 8;
