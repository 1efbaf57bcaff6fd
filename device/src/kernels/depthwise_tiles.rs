//! Depthwise convolutions, four channels at a time, where a core has assembly for their sums.
#![allow(unsafe_code)]

#[cfg(dsp)]
mod three_by_three;

use core::mem::MaybeUninit;
use core::ops::Range;

use attar_shared::Channels;

use super::PixelContext;
use super::jobs::{DepthwiseJob, Epilogue, NOWHERE, PADDING, RECTANGLES, Taps};
use super::layout::COLUMNS;
use super::pixel_context::{Finish, Pixel};
use super::register_tile::{JOINED, Results};
#[cfg(any(dsp, helium))]
use super::target::all_groups;
#[cfg(not(any(dsp, helium)))]
use super::target::channel_sums;
use super::window::InputWindow;

/// All channels of a depthwise convolution that make fours, whose weights and constants have been looked at once for all
/// pixels.
pub(super) struct DepthwiseTiles<'a> {
    window: &'a InputWindow,
    weights: &'a [u8],
    count: usize,
    finish: &'a Finish<'a>,
    padding: [i8; PADDING],
    job: &'a mut DepthwiseJob,
    /// The columns of the output whose windows lie between the first column of the input and the last.
    #[cfg(dsp)]
    across: Range<u16>,
}

impl<'a> DepthwiseTiles<'a> {
    /// Returns the channels that make fours, none where something is missing.
    pub(super) fn new(
        context: &PixelContext<'_>,
        window: &'a InputWindow,
        weights: &'a [u8],
        channels: &Channels<'a>,
        finish: &'a Finish<'a>,
        job: &'a mut DepthwiseJob,
    ) -> Self {
        let count = window.depth & !3;
        let there = weights.get(..window.len).zip(channels.pointers(0, count));
        let count = if there.is_some() { count } else { 0 };
        let (weights, (biases, multipliers, shifts)) =
            there.unwrap_or_else(|| unreachable_in_checked_model!((&[], NOWHERE)));
        job.epilogue = Epilogue {
            biases,
            multipliers,
            shifts,
            zero_point: finish.zero_point,
            places: [core::ptr::null_mut(); COLUMNS],
        };
        job.groups = count / 4;
        job.show_all(window, weights);
        Self {
            window,
            weights,
            count,
            finish,
            padding: [context.input.zero_point; PADDING],
            job,
            #[cfg(dsp)]
            across: window.horizontal.whole_outputs(context.output.shape.width),
        }
    }

    /// Computes the channels of a pixel and returns how many; none where a window with holes leaves the input or an addition follows.
    #[inline(always)]
    pub(super) fn pixel(&mut self, context: &mut PixelContext<'_>, pixel: Pixel) -> usize {
        if self.count == 0 {
            return 0;
        }
        match self.window.whole(pixel) {
            Some(first) if !self.finish.is_joined() => self.inside(context, pixel, first),
            _ => self.any(context, pixel),
        }
    }

    /// Computes the channels of a pixel whose window lies in the input as a whole and begins at `first`.
    #[inline(never)]
    fn inside(&mut self, context: &mut PixelContext<'_>, pixel: Pixel, first: usize) -> usize {
        let (Some(_), Some(start), 1) = (
            context.values(first, self.window.whole_reach()),
            context.start_of(pixel, self.count),
            self.job.rectangles,
        ) else {
            return 0;
        };
        // One pointer to the whole arena: the output may lie over what has been read of the input.
        let arena = context.arena.as_mut_ptr();
        let epilogue = self.job.epilogue;
        self.job.epilogue.places = [arena.wrapping_add(start); COLUMNS];
        if let Some(taps) = self.job.taps.first_mut() {
            // SAFETY: of one rectangle, the first was written.
            let taps = unsafe { taps.assume_init_mut() };
            taps.values = arena.wrapping_add(context.input.start.wrapping_add(first)).cast_const();
            taps.weights = self.weights.as_ptr();
        }
        // SAFETY: the taps lie in the input and have weights, and `epilogue` the channels.
        unsafe { all_groups(self.job) };
        self.job.epilogue = epilogue;
        if !self.finish.saturates_alone() {
            context.bring_into(self.finish.clamp, pixel, self.count);
        }
        self.count
    }

    /// Computes the channels of any pixel.
    #[inline(never)]
    fn any(&mut self, context: &mut PixelContext<'_>, pixel: Pixel) -> usize {
        let InputWindow { depth, row, .. } = *self.window;
        let Some((rows, columns)) = self.window.inside(pixel) else { return 0 };
        let first = self.window.place(pixel, rows.start, columns.start);
        let (height, width) = (self.window.vertical.kernel, self.window.horizontal.kernel);
        let hanging = [rows.start > 0, rows.end < height, columns.start > 0, columns.end < width];
        if hanging.into_iter().filter(|&hangs| hangs).count() >= RECTANGLES {
            return 0;
        }
        let reach = rows.len().wrapping_sub(1).wrapping_mul(row).wrapping_add(columns.len().wrapping_mul(depth));
        let (Some(_), Some(start)) = (context.values(first, reach), context.start_of(pixel, self.count)) else {
            return 0;
        };
        let (ys, xs) = (rows.start as usize..rows.end as usize, columns.start as usize..columns.end as usize);
        // Where an addition joined the operator, results wait on the stack: the second input may stand where the sum goes.
        let mut results = Results::new();
        let most = if self.finish.is_joined() { JOINED } else { self.count };
        let epilogue = self.job.epilogue;
        let mut channel = 0usize;
        while channel < self.count {
            let count = self.count.wrapping_sub(channel).min(most);
            let arena = context.arena.as_mut_ptr();
            let values = arena.wrapping_add(context.input.start.wrapping_add(first).wrapping_add(channel)).cast_const();
            let place = if self.finish.is_joined() { results.start() } else { arena.wrapping_add(start) };
            let weights = self.weights.as_ptr().wrapping_add(channel);
            self.job.epilogue.places = [place; COLUMNS];
            self.job.groups = count / 4;
            self.job.rectangles = 0;
            self.job.add(self.window, values, weights, (&ys, &xs), false);
            self.surround(weights, &ys, &xs);
            // SAFETY: the taps inside lie in the input, those around it read the padding; all have weights, and `epilogue` the
            // channels.
            unsafe { all_groups(self.job) };
            if self.finish.is_joined() {
                // SAFETY: as many have been written.
                context.join(pixel, channel, self.finish, unsafe { results.first(count) });
            }
            if cfg!(not(dsp)) {
                self.job.epilogue.skip(count);
            }
            channel = channel.wrapping_add(count);
        }
        if !self.finish.is_joined() && !self.finish.saturates_alone() {
            context.bring_into(self.finish.clamp, pixel, self.count);
        }
        self.job.epilogue = epilogue;
        self.job.groups = self.count / 4;
        self.job.show_all(self.window, self.weights);
        self.count
    }

    /// Adds the rectangles around that inside of the input.
    fn surround(&mut self, weights: *const u8, ys: &Range<usize>, xs: &Range<usize>) {
        let (height, width) = (self.window.vertical.kernel as usize, self.window.horizontal.kernel as usize);
        let around = [
            (0..ys.start, 0..width),
            (ys.end..height, 0..width),
            (ys.clone(), 0..xs.start),
            (ys.clone(), xs.end..width),
        ];
        for (ys, xs) in around {
            if !ys.is_empty() && !xs.is_empty() {
                self.job.add(self.window, self.padding.as_ptr(), weights, (&ys, &xs), true);
            }
        }
    }
}

impl DepthwiseJob {
    /// Nothing; for [`DepthwiseTiles::new`].
    // Made where it stays, since a copy would take the stack twice.
    // No constant either, all of whose bytes would be zeroed.
    #[inline(always)]
    pub(super) fn none() -> Self {
        Self {
            epilogue: Epilogue {
                biases: NOWHERE.0,
                multipliers: NOWHERE.1,
                shifts: NOWHERE.2,
                zero_point: 0,
                places: [core::ptr::null_mut(); COLUMNS],
            },
            rectangles: 0,
            groups: 0,
            left: 0,
            #[cfg(dsp)]
            stop: 0,
            taps: [const { MaybeUninit::uninit() }; RECTANGLES],
        }
    }

    /// Shows what most pixels show: the whole window; where its values are is said for each.
    #[inline(never)]
    fn show_all(&mut self, window: &InputWindow, weights: &[u8]) {
        let all = (&(0..window.vertical.kernel as usize), &(0..window.horizontal.kernel as usize));
        self.rectangles = 0;
        self.add(window, core::ptr::null(), weights.as_ptr(), all, false);
    }

    /// Adds a rectangle of taps; over padding the values are the same few for all.
    // Apart where `lines` computes most borders, so that what this takes of flash counts for more than its time.
    #[cfg_attr(dsp, inline(never))]
    #[cfg_attr(not(dsp), inline(always))]
    fn add(
        &mut self,
        window: &InputWindow,
        values: *const i8,
        weights: *const u8,
        (ys, xs): (&Range<usize>, &Range<usize>),
        is_padding: bool,
    ) {
        let depth = window.depth;
        let weight_row = (window.horizontal.kernel as usize).wrapping_mul(depth);
        let width = xs.len().wrapping_mul(depth);
        let skip = window.down().wrapping_sub(xs.len().wrapping_mul(window.step()));
        let [advance, step, skip] = if is_padding { [0; 3] } else { [4, window.step(), skip] };
        let first = ys.start.wrapping_mul(weight_row).wrapping_add(xs.start.wrapping_mul(depth));
        if let Some(place) = self.taps.get_mut(self.rectangles) {
            place.write(Taps {
                values,
                weights: weights.wrapping_add(first),
                advance,
                rows: ys.len(),
                columns: xs.len(),
                step,
                depth,
                skip,
                weight_skip: weight_row.wrapping_sub(width),
            });
            self.rectangles = self.rectangles.wrapping_add(1);
        }
    }
}

/// The sums of every four channels, and their end.
///
/// # Safety
///
/// Every tap of every rectangle lies in what its pointers point to, for as many groups of four as there are constants and
/// places.
#[cfg(not(any(dsp, helium)))]
unsafe fn all_groups(job: &mut DepthwiseJob) {
    let mut epilogue = job.epilogue;
    for _ in 0..job.groups {
        let mut sums = [0; 4];
        for taps in job.taps.iter_mut().take(job.rectangles) {
            // SAFETY: so many have been written.
            let taps = unsafe { taps.assume_init_mut() };
            // SAFETY: as the caller promises.
            unsafe { channel_sums(taps.values, taps.weights, taps, &mut sums) };
            taps.values = taps.values.wrapping_add(taps.advance);
            taps.weights = taps.weights.wrapping_add(4);
        }
        // SAFETY: as the caller promises.
        sums.into_iter().for_each(|sum| unsafe { epilogue.value(sum) });
    }
}
