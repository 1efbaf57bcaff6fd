use attar_shared::{Requantization, Window};

use super::PixelContext;
use super::pixel_context::{Finish, Pixel};
use super::window::{ABREAST, InputWindow};

/// Computes the mean over a window; the requantisation holds the division by the number of taps.
///
/// Padding counts as zero, and the number of taps is the same everywhere.
#[inline(never)]
pub(crate) fn average_pool(context: &mut PixelContext<'_>, window: &Window, requantization: Requantization) {
    let (window, finish) = (InputWindow::new(window, &context.input), context.finish());
    let zero_point = i32::from(context.input.zero_point);
    for pixel in context.pixels() {
        let mut channel = 0usize;
        while channel < window.depth {
            let (mut sums, mut count) = ([0i32; ABREAST], 0i32);
            let some = window.abreast(channel);
            if some == 1 {
                window.each::<1>(context, pixel, channel, |&[value]| {
                    sums[0] = sums[0].wrapping_add(value.into());
                    count = count.wrapping_add(1);
                });
            } else {
                window.each::<ABREAST>(context, pixel, channel, |values| {
                    sums.iter_mut().zip(values).for_each(|(sum, &value)| *sum = sum.wrapping_add(value.into()));
                    count = count.wrapping_add(1);
                });
            }
            sums.iter_mut().for_each(|sum| *sum = sum.wrapping_sub(zero_point.wrapping_mul(count)));
            write(
                context,
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
    context: &mut PixelContext<'_>,
    (pixel, channel): (Pixel, usize),
    sums: &[i32],
    finish: &Finish<'_>,
    requantization: Requantization,
) {
    for (&sum, channel) in sums.iter().zip(channel..) {
        context.write(pixel, channel, finish.apply(sum << AVERAGE_SHIFT, requantization));
    }
}

/// Sums are shifted left before they are averaged, so that small windows keep their precision.
const AVERAGE_SHIFT: u32 = 8;
