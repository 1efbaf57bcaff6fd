use attar_shared::{Channels, Weights, Window};

use super::Slide;
use super::slide::{Finish, Pixel};
use super::window::Over;

/// Channels whose sums stay in registers.
const SIDE_BY_SIDE: usize = 8;

/// Computes a convolution channel by channel with weights `[kernel_height, kernel_width, channels]`.
pub(crate) fn depthwise(mut slide: Slide<'_>, window: &Window, channels: Channels<'_>) {
    // The parser knows no other width.
    let Weights::Eight(weights) = channels.weights else { return };
    let (over, finish) = (Over::new(window, &slide.input), slide.finish());
    #[cfg(dsp)]
    let fours = super::dsp::Depthwise::new(&slide, over, weights, channels, &finish);
    for pixel in slide.pixels() {
        #[cfg(dsp)]
        let mut first = fours.as_ref().map_or(0, |fours| fours.pixel(&mut slide, pixel));
        #[cfg(not(dsp))]
        let mut first = 0usize;
        while over.depth.wrapping_sub(first) >= SIDE_BY_SIDE {
            let sums = sums::<SIDE_BY_SIDE>(&slide, &over, weights, pixel, first);
            end(&mut slide, &finish, channels, (pixel, first), sums);
            first = first.wrapping_add(SIDE_BY_SIDE);
        }
        for channel in first..over.depth {
            let sums = sums::<1>(&slide, &over, weights, pixel, channel);
            end(&mut slide, &finish, channels, (pixel, channel), sums);
        }
    }
}

/// Returns the sums of N channels from the first on.
#[inline(always)]
fn sums<const N: usize>(slide: &Slide<'_>, over: &Over, weights: &[u8], pixel: Pixel, first: usize) -> [i32; N] {
    let padding = [slide.input.zero_point; N];
    let (top, left) = (over.vertical.start(pixel.y), over.horizontal.start(pixel.x));
    let mut sums = [0i32; N];
    let mut weights = weights.get(first..).unwrap_or(&[]);
    for ky in 0..over.vertical.kernel {
        let line = over.vertical.position(top, ky).map(|y| y.wrapping_mul(over.row).wrapping_add(first));
        for kx in 0..over.horizontal.kernel {
            let own = weights.first_chunk::<N>().unwrap_or(&[0; N]);
            let at = line.zip(over.horizontal.position(left, kx));
            let values = at.and_then(|(line, x)| slide.values(line.wrapping_add(x.wrapping_mul(over.depth)), N));
            let values = values.and_then(|values| values.first_chunk::<N>()).unwrap_or(&padding);
            for ((sum, &w), &x) in sums.iter_mut().zip(own).zip(values) {
                *sum = sum.wrapping_add(i32::from(w.cast_signed()) * i32::from(x));
            }
            weights = weights.get(over.depth..).unwrap_or(&[]);
        }
    }
    sums
}

/// Requantises and writes N channels of a pixel from the first on.
#[inline(always)]
fn end<const N: usize>(
    slide: &mut Slide<'_>,
    finish: &Finish,
    channels: Channels<'_>,
    (pixel, first): (Pixel, usize),
    sums: [i32; N],
) {
    let Some(constants) = channels.some::<N>(first) else { return };
    let values = finish.all(sums, &constants);
    slide.write(pixel, first, finish, values);
}
