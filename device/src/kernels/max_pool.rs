use attar_shared::Window;

use super::Slide;
use super::window::{ABREAST, Over};

/// Computes the greatest value in each window; padding is left out.
#[inline(never)]
pub(crate) fn max_pool(slide: &mut Slide<'_>, window: &Window) {
    let over = Over::new(window, &slide.input);
    for pixel in slide.pixels() {
        let mut channel = 0usize;
        while channel < over.depth {
            let mut greatest = [i8::MIN; ABREAST];
            let some = over.abreast(channel);
            if some == 1 {
                over.each::<1>(slide, pixel, channel, |&[value]| greatest[0] = greatest[0].max(value));
            } else {
                over.each::<ABREAST>(slide, pixel, channel, |values| {
                    greatest.iter_mut().zip(values).for_each(|(most, &value)| *most = value.max(*most));
                });
            }
            for &value in greatest.iter().take(some) {
                slide.write(pixel, channel, value);
                channel = channel.wrapping_add(1);
            }
        }
    }
}
