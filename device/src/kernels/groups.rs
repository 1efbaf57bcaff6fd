//! Depthwise convolutions, four channels at a time, where a core has assembly for their sums.
#![allow(unsafe_code)]

use core::ops::Range;

use attar_shared::Channels;

use super::Slide;
use super::blocks::{End, JOINED};
#[cfg(dsp)]
use super::dsp::all_groups;
use super::matrix::COLUMNS;
#[cfg(riscv)]
use super::riscv::channel_sums;
use super::slide::{Finish, Pixel};
#[cfg(thumb1)]
use super::thumb1::channel_sums;
#[cfg(thumb2)]
use super::thumb2::channel_sums;
use super::window::Over;

/// Taps of four channels that lie in a rectangle, of a kernel over its input or over padding.
#[repr(C)]
#[derive(Clone, Copy)]
pub(super) struct Taps {
    pub(super) values: *const i8,
    pub(super) weights: *const u8,
    /// From four channels to the next four of the values: four, or none over padding.
    pub(super) advance: usize,
    /// From a row of the values to the next.
    pub(super) row: usize,
    /// From a row of weights to the next.
    pub(super) weight_row: usize,
    /// Rows, of which there are some.
    pub(super) rows: usize,
    /// Columns, of which there are some.
    pub(super) columns: usize,
    /// From a tap to the next of the values.
    pub(super) step: usize,
    /// From a tap to the next of the weights.
    pub(super) depth: usize,
    /// From the end of a row of the values to the next.
    pub(super) skip: usize,
    /// From the end of a row of weights to the next.
    pub(super) weight_skip: usize,
}

/// The most rectangles that a kernel falls into: inside, above, below, left, right.
const RECTANGLES: usize = 5;

#[repr(C)]
pub(super) struct Groups {
    pub(super) end: End,
    pub(super) rectangles: usize,
    pub(super) groups: usize,
    pub(super) sums: [i32; 4],
    pub(super) taps: [Taps; RECTANGLES],
}

/// Computes the first channels of a pixel, as many as make fours, and returns how many; none where the window has holes.
#[inline(never)]
pub(super) fn pixel(
    slide: &mut Slide<'_>,
    over: &Over,
    weights: &[u8],
    pixel: Pixel,
    end: (Channels<'_>, &Finish),
) -> usize {
    let all = over.depth & !3;
    let most = if end.1.is_joined() { JOINED } else { all };
    let mut channel = 0usize;
    while channel < all {
        let some = channel..channel.wrapping_add(all.wrapping_sub(channel).min(most));
        let next = some.end;
        if part(slide, over, weights, pixel, some, end).is_none() {
            return 0;
        }
        channel = next;
    }
    all
}

/// Computes some channels of a pixel; nothing where the window has holes.
#[inline(always)]
fn part(
    slide: &mut Slide<'_>,
    over: &Over,
    weights: &[u8],
    pixel: Pixel,
    some: Range<usize>,
    (channels, finish): (Channels<'_>, &Finish),
) -> Option<()> {
    let (rows, columns) = over.inside(pixel)?;
    let first = over.place(pixel, rows.start, columns.start);
    let (height, width) = (rows.len(), columns.len());
    let reach = height.wrapping_sub(1).wrapping_mul(over.row).wrapping_add(width.wrapping_mul(over.depth));
    slide.values(first, reach)?;
    let weights = weights.get(..over.len())?.get(some.start..)?;
    let start = slide.start_of(pixel, some.start, some.len())?;
    let (biases, multipliers, shifts) = channels.pointers(some.start, some.len())?;
    // One pointer to the whole arena: the output may lie over what has been read of the input.
    let arena = slide.arena.as_mut_ptr();
    let values = arena.wrapping_add(slide.input.start.wrapping_add(first).wrapping_add(some.start)).cast_const();
    let mut results = [0i8; JOINED];
    // The second input may stand where the sum goes.
    let place = if finish.is_joined() { results.as_mut_ptr() } else { arena.wrapping_add(start) };
    let end = End { biases, multipliers, shifts, zero_point: finish.zero_point, places: [place; COLUMNS] };
    let padding = [slide.input.zero_point; 4];
    let (ys, xs) = (rows.start as usize..rows.end as usize, columns.start as usize..columns.end as usize);
    let inside = rectangle(over, weights, values, (&ys, &xs), false);
    let mut job = Groups { end, rectangles: 1, groups: some.len() / 4, sums: [0; 4], taps: [inside; RECTANGLES] };
    if height < over.vertical.kernel as usize || width < over.horizontal.kernel as usize {
        surround(&mut job, over, weights, &padding, ys, xs);
    }
    // SAFETY: the taps inside lie in the input, those around it read one word; all have weights, and `end` the channels.
    unsafe { all_groups(&mut job) };
    slide.after(pixel, some, finish, &results);
    Some(())
}

/// Adds the rectangles around that inside of the input.
#[inline(never)]
fn surround(job: &mut Groups, over: &Over, weights: &[u8], padding: &[i8; 4], ys: Range<usize>, xs: Range<usize>) {
    let (height, width) = (over.vertical.kernel as usize, over.horizontal.kernel as usize);
    let around = [(0..ys.start, 0..width), (ys.end..height, 0..width), (ys.clone(), 0..xs.start), (ys, xs.end..width)];
    for (ys, xs) in around {
        if ys.is_empty() || xs.is_empty() {
            continue;
        }
        if let Some(place) = job.taps.get_mut(job.rectangles) {
            *place = rectangle(over, weights, padding.as_ptr(), (&ys, &xs), true);
        }
        job.rectangles = job.rectangles.wrapping_add(1);
    }
}

#[inline(always)]
fn rectangle(
    over: &Over,
    weights: &[u8],
    values: *const i8,
    (ys, xs): (&Range<usize>, &Range<usize>),
    padding: bool,
) -> Taps {
    let depth = over.depth;
    let weight_row = (over.horizontal.kernel as usize).wrapping_mul(depth);
    let first = ys.start.wrapping_mul(weight_row).wrapping_add(xs.start.wrapping_mul(depth));
    let width = xs.len().wrapping_mul(depth);
    let [advance, row, step] = if padding { [0; 3] } else { [4, over.row, depth] };
    Taps {
        values,
        weights: weights.as_ptr().wrapping_add(first),
        advance,
        row,
        weight_row,
        rows: ys.len(),
        columns: xs.len(),
        step,
        depth,
        skip: if padding { 0 } else { row.wrapping_sub(width) },
        weight_skip: weight_row.wrapping_sub(width),
    }
}

/// The sums of every four channels, and their end.
///
/// # Safety
///
/// Every tap of every rectangle lies in what its pointers point to, for as many groups of four as there are constants and
/// places.
#[cfg(not(dsp))]
unsafe fn all_groups(job: &mut Groups) {
    for _ in 0..job.groups {
        let mut sums = [0; 4];
        for taps in job.taps.iter_mut().take(job.rectangles) {
            // SAFETY: as the caller promises.
            unsafe { channel_sums(taps.values, taps.weights, taps, &mut sums) };
            taps.values = taps.values.wrapping_add(taps.advance);
            taps.weights = taps.weights.wrapping_add(4);
        }
        // SAFETY: as the caller promises.
        sums.into_iter().for_each(|sum| unsafe { job.end.channel([sum]) });
    }
}
