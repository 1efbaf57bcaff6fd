use attar_shared::{Requantization, Window};

use super::Slide;
use super::slide::{Finish, Pixel};
use super::window::Over;

/// Computes the mean over a window; the requantisation holds the division by the number of taps.
///
/// Padding counts as zero, and the number of taps is the same everywhere.
#[inline(never)]
pub(crate) fn average_pool(slide: &mut Slide<'_>, window: &Window, requantization: Requantization) {
    let (over, finish) = (Over::new(window, &slide.input), slide.finish());
    for pixel in slide.pixels() {
        let mut channel = 0usize;
        while channel < over.depth {
            if over.depth.wrapping_sub(channel) >= 8 {
                some::<8>(slide, &over, (pixel, channel), &finish, requantization);
                channel = channel.wrapping_add(8);
            } else {
                some::<1>(slide, &over, (pixel, channel), &finish, requantization);
                channel = channel.wrapping_add(1);
            }
        }
    }
}

/// Computes N channels of a pixel from one on.
#[inline(always)]
fn some<const N: usize>(
    slide: &mut Slide<'_>,
    over: &Over,
    (pixel, channel): (Pixel, usize),
    finish: &Finish,
    requantization: Requantization,
) {
    let (mut sums, mut count) = ([0i32; N], 0usize);
    over.lines(pixel, channel, |first, len| {
        let reach = len.wrapping_sub(1).wrapping_mul(over.depth).wrapping_add(N);
        let mut rest = slide.values(first, reach).unwrap_or_default();
        while let Some(values) = rest.first_chunk::<N>() {
            sums.iter_mut().zip(values).for_each(|(sum, &value)| *sum = sum.wrapping_add(value.into()));
            rest = rest.get(over.depth..).unwrap_or_default();
        }
        count = count.wrapping_add(len);
    });
    let zeros = i32::from(slide.input.zero_point).wrapping_mul(count as i32);
    for (sum, channel) in sums.into_iter().zip(channel..) {
        slide.write(pixel, channel, finish.apply(sum.wrapping_sub(zeros) << AVERAGE_SHIFT, requantization));
    }
}

/// Sums are shifted left before they are averaged, so that small windows keep their precision.
const AVERAGE_SHIFT: u32 = 8;
