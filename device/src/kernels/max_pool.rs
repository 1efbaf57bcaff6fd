use attar_shared::Window;

use super::Slide;
use super::window::Over;

/// Computes the greatest value in each window; padding is left out.
#[inline(never)]
pub(crate) fn max_pool(slide: &mut Slide<'_>, window: &Window) {
    let over = Over::new(window, &slide.input);
    for pixel in slide.pixels() {
        for channel in 0..over.depth {
            let mut greatest = i8::MIN;
            over.lines(pixel, channel, |first, len| {
                let line = slide.values(first, over.reach_of(len)).unwrap_or_default();
                greatest = line.iter().step_by(over.depth).fold(greatest, |most, &value| value.max(most));
            });
            slide.write(pixel, channel, greatest);
        }
    }
}
