use attar_shared::Window;

use super::PixelContext;
use super::window::{ABREAST, InputWindow};

/// Computes the greatest value in each window; padding is left out.
#[inline(never)]
pub(crate) fn max_pool(context: &mut PixelContext<'_>, window: &Window) {
    let window = InputWindow::new(window, &context.input);
    for pixel in context.pixels() {
        let mut channel = 0usize;
        while channel < window.depth {
            let mut greatest = [i8::MIN; ABREAST];
            let some = window.abreast(channel);
            if some == 1 {
                window.each::<1>(context, pixel, channel, |&[value]| greatest[0] = greatest[0].max(value));
            } else {
                window.each::<ABREAST>(context, pixel, channel, |values| {
                    greatest.iter_mut().zip(values).for_each(|(most, &value)| *most = value.max(*most));
                });
            }
            for &value in greatest.iter().take(some) {
                context.write(pixel, channel, value);
                channel = channel.wrapping_add(1);
            }
        }
    }
}
