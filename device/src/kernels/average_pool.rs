use attar_shared::{Requantization, Window};

use super::Slide;
use super::slide::{Finish, Pixel};
use super::window::{ABREAST, Over};

/// Computes the mean over a window; the requantisation holds the division by the number of taps.
///
/// Padding counts as zero, and the number of taps is the same everywhere.
#[inline(never)]
pub(crate) fn average_pool(slide: &mut Slide<'_>, window: &Window, requantization: Requantization) {
    let (over, finish) = (Over::new(window, &slide.input), slide.finish());
    let zero_point = i32::from(slide.input.zero_point);
    for pixel in slide.pixels() {
        let mut channel = 0usize;
        while channel < over.depth {
            let (mut sums, mut count) = ([0i32; ABREAST], 0i32);
            let some = over.abreast(channel);
            if some == 1 {
                over.each::<1>(slide, pixel, channel, |&[value]| {
                    sums[0] = sums[0].wrapping_add(value.into());
                    count = count.wrapping_add(1);
                });
            } else {
                over.each::<ABREAST>(slide, pixel, channel, |values| {
                    sums.iter_mut().zip(values).for_each(|(sum, &value)| *sum = sum.wrapping_add(value.into()));
                    count = count.wrapping_add(1);
                });
            }
            sums.iter_mut().for_each(|sum| *sum = sum.wrapping_sub(zero_point.wrapping_mul(count)));
            write(
                slide,
                (pixel, channel),
                sums.get(..some).unwrap_or_else(|| unreachable_in_checked_model!()),
                &finish,
                requantization,
            );
            channel = channel.wrapping_add(some);
        }
    }
}

/// Writes the means of some channels of a pixel from one on.
#[inline(never)]
fn write(
    slide: &mut Slide<'_>,
    (pixel, channel): (Pixel, usize),
    sums: &[i32],
    finish: &Finish<'_>,
    requantization: Requantization,
) {
    for (&sum, channel) in sums.iter().zip(channel..) {
        slide.write(pixel, channel, finish.apply(sum << AVERAGE_SHIFT, requantization));
    }
}

/// Sums are shifted left before they are averaged, so that small windows keep their precision.
const AVERAGE_SHIFT: u32 = 8;
