#[cfg(plain)]
use core::ops::Range;

use attar_shared::{Channels, Weights, Window};

use super::PixelContext;
#[cfg(not(plain))]
use super::depthwise_tiles::DepthwiseTiles;
#[cfg(not(plain))]
use super::jobs::DepthwiseJob;
#[cfg(plain)]
use super::pixel_context::Finish;
use super::pixel_context::Pixel;
use super::window::InputWindow;

/// Computes a convolution channel by channel with weights `[kernel_height, kernel_width, channels]`.
#[inline(never)]
#[cfg_attr(
    not(dsp),
    allow(clippy::while_let_on_iterator, reason = "a core that takes pixels of a row at once goes on in it")
)]
pub(crate) fn depthwise(context: &mut PixelContext<'_>, window: &Window, channels: &Channels<'_>) {
    // The parser knows no other width.
    let Weights::Eight(weights) = channels.weights else { unreachable_in_checked_model!(return) };
    let (window, finish) = (InputWindow::new(window, &context.input), context.finish());
    #[cfg(not(plain))]
    let mut job = DepthwiseJob::none();
    #[cfg(not(plain))]
    let mut tiles = DepthwiseTiles::new(context, &window, weights, channels, &finish, &mut job);
    let mut pixels = context.pixels();
    while let Some(pixel) = pixels.next() {
        #[cfg(dsp)]
        if let Some(more) = tiles.lines(context, pixel, &pixels) {
            pixels.pass(more);
            continue;
        }
        #[cfg(not(plain))]
        let first = tiles.pixel(context, pixel);
        #[cfg(plain)]
        let first = eights(context, &window, weights, pixel, (channels, &finish));
        for channel in first..window.depth {
            let sums = scattered::<1>(context, &window, weights, pixel, channel);
            context.write_sums(&finish, channels, pixel, channel, &sums);
        }
    }
}

/// Computes the first channels of a pixel, as many as make eights, and returns how many.
#[cfg(plain)]
#[inline(always)]
fn eights(
    context: &mut PixelContext<'_>,
    window: &InputWindow,
    weights: &[u8],
    pixel: Pixel,
    (channels, finish): (&Channels<'_>, &Finish<'_>),
) -> usize {
    let mut first = 0usize;
    while window.depth.wrapping_sub(first) >= 8 {
        let sums: [i32; 8] = match window.inside(pixel) {
            Some(inside) => rectangles(context, window, weights, pixel, first, inside),
            None => scattered(context, window, weights, pixel, first),
        };
        context.write_sums(finish, channels, pixel, first, &sums);
        first = first.wrapping_add(8);
    }
    first
}

/// Returns the sums of N channels from the first on, of a window without holes: the taps inside of the input, then those around it.
#[cfg(plain)]
#[inline(always)]
fn rectangles<const N: usize>(
    context: &PixelContext<'_>,
    window: &InputWindow,
    weights: &[u8],
    pixel: Pixel,
    first: usize,
    (rows, columns): (Range<i32>, Range<i32>),
) -> [i32; N] {
    let (top, left) = (window.vertical.start(pixel.y), window.horizontal.start(pixel.x));
    let weight_row = (window.horizontal.kernel as usize).wrapping_mul(window.depth);
    let column = columns.start as usize;
    let at = (top.wrapping_add(rows.start) as usize)
        .wrapping_mul(window.row)
        .wrapping_add((left.wrapping_add(columns.start) as usize).wrapping_mul(window.depth))
        .wrapping_add(first);
    let own = (rows.start as usize)
        .wrapping_mul(weight_row)
        .wrapping_add(column.wrapping_mul(window.depth))
        .wrapping_add(first);
    let values = context.all().get(at..).unwrap_or_else(|| unreachable_in_checked_model!());
    let own = weights.get(own..).unwrap_or_else(|| unreachable_in_checked_model!());
    let mut sums = product(values, own, window, (rows.len(), columns.len()));
    if rows.len() < window.vertical.kernel as usize || columns.len() < window.horizontal.kernel as usize {
        pad(
            &mut sums,
            window,
            weights.get(first..).unwrap_or_else(|| unreachable_in_checked_model!()),
            (rows, columns),
            context.input.zero_point,
        );
    }
    sums
}

/// Returns the sums of N channels over a rectangle of taps; `values` and `weights` begin with the first tap's.
#[cfg(plain)]
#[inline(always)]
fn product<const N: usize>(
    values: &[i8],
    weights: &[u8],
    window: &InputWindow,
    (rows, columns): (usize, usize),
) -> [i32; N] {
    let weight_row = (window.horizontal.kernel as usize).wrapping_mul(window.depth);
    let (mut values, mut weights) = (values, weights);
    let mut sums = [0i32; N];
    for _ in 0..rows {
        let (mut these, mut own) = (values, weights);
        for _ in 0..columns {
            let (Some(x), Some(w)) = (these.first_chunk::<N>(), own.first_chunk::<N>()) else {
                unreachable_in_checked_model!(break)
            };
            for ((sum, &w), &x) in sums.iter_mut().zip(w).zip(x) {
                *sum = sum.wrapping_add(i32::from(w.cast_signed()) * i32::from(x));
            }
            these = these.get(window.depth..).unwrap_or_default();
            own = own.get(window.depth..).unwrap_or_default();
        }
        values = values.get(window.row..).unwrap_or_default();
        weights = weights.get(weight_row..).unwrap_or_default();
    }
    sums
}

/// Adds the products of the taps that lie in the padding, which counts as the zero point.
#[cfg(plain)]
#[inline(never)]
fn pad<const N: usize>(
    sums: &mut [i32; N],
    window: &InputWindow,
    weights: &[u8],
    (rows, columns): (Range<i32>, Range<i32>),
    zero_point: i8,
) {
    let mut weights = weights;
    for ky in 0..window.vertical.kernel {
        for kx in 0..window.horizontal.kernel {
            if !(rows.contains(&ky) && columns.contains(&kx)) {
                for (sum, &w) in sums.iter_mut().zip(weights) {
                    *sum = sum.wrapping_add(i32::from(w.cast_signed()) * i32::from(zero_point));
                }
            }
            weights = weights.get(window.depth..).unwrap_or_default();
        }
    }
}

/// Returns the sums of N channels from the first on, tap by tap.
#[inline(never)]
fn scattered<const N: usize>(
    context: &PixelContext<'_>,
    window: &InputWindow,
    weights: &[u8],
    pixel: Pixel,
    first: usize,
) -> [i32; N] {
    let padding = [context.input.zero_point; N];
    let (top, left) = (window.vertical.start(pixel.y), window.horizontal.start(pixel.x));
    let mut sums = [0i32; N];
    let mut weights = weights.get(first..).unwrap_or_else(|| unreachable_in_checked_model!());
    for ky in 0..window.vertical.kernel {
        let line = window.vertical.position(top, ky).map(|y| y.wrapping_mul(window.row).wrapping_add(first));
        for kx in 0..window.horizontal.kernel {
            let own = weights.first_chunk::<N>().unwrap_or_else(|| unreachable_in_checked_model!(&[0; N]));
            let at = line.zip(window.horizontal.position(left, kx));
            let values = at.and_then(|(line, x)| {
                context
                    .values(line.wrapping_add(x.wrapping_mul(window.depth)), N)
                    .or_else(|| unreachable_in_checked_model!())
            });
            let values = values.and_then(|values| values.first_chunk::<N>()).unwrap_or(&padding);
            for ((sum, &w), &x) in sums.iter_mut().zip(own).zip(values) {
                *sum = sum.wrapping_add(i32::from(w.cast_signed()) * i32::from(x));
            }
            weights = weights.get(window.depth..).unwrap_or(&[]);
        }
    }
    sums
}
