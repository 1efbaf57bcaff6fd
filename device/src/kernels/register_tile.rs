//! Blocks of four rows of weights at a pair of pixels, or over a vector, where a core has assembly for their sums.
//!
//! Places and lengths are checked here, once for all blocks; below are pointers alone.
#![allow(unsafe_code)]

use core::marker::PhantomData;
use core::mem::MaybeUninit;

use attar_shared::Channels;
use attar_shared::internal::ROWS;

use super::PixelContext;
use super::jobs::{Epilogue, NOWHERE, TileJob};
use super::layout::{COLUMNS, Patch};
use super::pixel_context::{Finish, Following, Pixel};
#[cfg(helium)]
use super::target::all_rows_of_vector;
#[cfg(dsp)]
use super::target::lay_pair;
#[cfg(thumb1)]
use super::target::start_of;
#[cfg(any(dsp, helium))]
use super::target::{all_blocks, all_blocks_of_vector};
#[cfg(not(any(dsp, helium)))]
use super::target::{block_sums, vector_sums};
use super::target_patch::BYTES;
#[cfg(not(dsp))]
use super::target_patch::lay_rows;
use super::window::InputWindow;

/// The most channels whose results wait on the stack for the addition that joined the operator.
pub(super) const JOINED: usize = 16;

/// Results that wait for the addition that joined their operator.
pub(super) struct Results(MaybeUninit<[i8; JOINED]>);

impl Results {
    pub(super) const fn new() -> Self {
        Self(MaybeUninit::uninit())
    }

    /// Returns where the first goes.
    pub(super) const fn start(&mut self) -> *mut i8 {
        self.0.as_mut_ptr().cast()
    }

    /// Returns the first.
    ///
    /// # Safety
    ///
    /// As many have been written.
    pub(super) unsafe fn first(&self, len: usize) -> &[i8] {
        // SAFETY: as the caller promises; there are no more places than that.
        unsafe { core::slice::from_raw_parts(self.0.as_ptr().cast(), len.min(JOINED)) }
    }
}

/// All whole blocks of an operator, whose weights and constants have been looked at once for all pixels.
pub(super) struct RegisterTiles<'a> {
    job: TileJob,
    /// Whether the rows of a block stand one after the other.
    #[cfg(helium)]
    in_rows: bool,
    /// What the pointers are of.
    weights: PhantomData<&'a [u8]>,
}

impl<'a> RegisterTiles<'a> {
    /// Returns the whole blocks of weights with so many taps a row, none where something is missing.
    // No option, which would be copied, and take the stack twice.
    #[inline(always)]
    pub(super) fn new(weights: &'a [u8], taps: usize, channels: &Channels<'a>) -> Self {
        let count = channels.shifts.len() / ROWS * ROWS;
        let there = weights.get(..count.wrapping_mul(taps)).zip(channels.pointers(0, count));
        let (weights, (biases, multipliers, shifts)) =
            there.unwrap_or_else(|| unreachable_in_checked_model!((&[], NOWHERE)));
        Self {
            weights: PhantomData,
            #[cfg(helium)]
            in_rows: false,
            job: TileJob {
                epilogue: Epilogue {
                    biases,
                    multipliers,
                    shifts,
                    zero_point: 0,
                    places: [core::ptr::null_mut(); COLUMNS],
                },
                weights: weights.as_ptr(),
                values: core::ptr::null(),
                taps,
                blocks: if there.is_some() { count / ROWS } else { 0 },
                start: [0; COLUMNS],
                #[cfg(not(any(dsp, helium)))]
                sums: [[0; COLUMNS]; ROWS],
            },
        }
    }

    /// Computes the blocks at a pair of pixels.
    #[inline(always)]
    pub(super) fn pair(
        &mut self,
        context: &mut PixelContext<'_>,
        pair: &[Option<Pixel>; COLUMNS],
        patch: &Patch<'_>,
        finish: &Finish<'_>,
    ) {
        if patch.bytes.len() / BYTES >= self.job.taps {
            self.job.start = start_of(patch);
            self.run(context, pair, patch.bytes.as_ptr(), finish);
        } else {
            unreachable_in_checked_model!()
        }
    }

    /// Computes the blocks at pairs of pixels of a row whose windows lie in the input, from one on, and returns how many pixels;
    /// none where something is missing.
    #[inline(never)]
    pub(super) fn row(
        &mut self,
        context: &mut PixelContext<'_>,
        window: &InputWindow,
        first: Pixel,
        following: Following,
        patch: &mut Patch<'_>,
        finish: &Finish<'_>,
    ) -> usize {
        self.pairs(context, window, first, following, patch, finish).unwrap_or(0)
    }

    #[inline(always)]
    fn pairs(
        &mut self,
        context: &mut PixelContext<'_>,
        window: &InputWindow,
        first: Pixel,
        following: Following,
        patch: &mut Patch<'_>,
        finish: &Finish<'_>,
    ) -> Option<usize> {
        let at = window.within(first)?;
        let count = self.job.blocks.wrapping_mul(ROWS);
        let pixels = following.count.wrapping_add(1) & !1;
        if pixels == 0 || count == 0 || patch.bytes.len() / BYTES < self.job.taps || window.len != self.job.taps {
            return None;
        }
        let right = following.step(window.horizontal.stride().wrapping_mul(window.depth));
        let on = following.step(count);
        let far = pixels.wrapping_sub(1);
        context.values(at, window.reach)?;
        context.values(at.wrapping_add(right.wrapping_mul(far)), window.reach)?;
        let start = context.start_of(first, count)?;
        context.arena.get(start.wrapping_add(on.wrapping_mul(far))..)?.get(..count)?;
        // One pointer to the whole arena: the output may lie over what has been read of the input.
        let arena = context.arena.as_mut_ptr();
        let mut values = arena.wrapping_add(context.input.start.wrapping_add(at)).cast_const();
        let mut place = arena.wrapping_add(start);
        self.job.epilogue.zero_point = finish.zero_point;
        self.job.values = patch.bytes.as_ptr();
        for _ in 0..pixels / COLUMNS {
            // SAFETY: the windows of all pixels lie in the input, since those of the first and the last do; the caller has asked
            // whether they can be laid.
            unsafe { lay_pair(patch, values, right, window) };
            values = values.wrapping_add(right.wrapping_mul(COLUMNS));
            self.job.start = start_of(patch);
            self.job.epilogue.places = [place, place.wrapping_add(on)];
            // SAFETY: weights and constants are there for all blocks, the patch for all taps, places for all pixels.
            unsafe { all_blocks(&mut self.job) };
            place = place.wrapping_add(on.wrapping_mul(COLUMNS));
        }
        if !finish.saturates_alone() {
            context.bring_all_into(finish.clamp, first, following, pixels);
        }
        Some(pixels)
    }

    /// Computes the blocks over a vector whose values add up to `total`.
    #[inline(always)]
    pub(super) fn vector(&mut self, context: &mut PixelContext<'_>, total: i32, finish: &Finish<'_>) {
        if context.all().len() == self.job.taps {
            self.job.start = [total.wrapping_mul(-128); COLUMNS];
            self.run(context, &[Some(Pixel::FIRST), None], core::ptr::null(), finish);
        } else {
            unreachable_in_checked_model!()
        }
    }

    /// As [`RegisterTiles::vector`], of rows that stand one after the other.
    #[cfg(helium)]
    #[inline(always)]
    pub(super) fn rows(&mut self, context: &mut PixelContext<'_>, finish: &Finish<'_>) {
        self.in_rows = true;
        self.vector(context, 0, finish);
    }

    #[inline(always)]
    fn in_rows(&self) -> bool {
        #[cfg(helium)]
        return self.in_rows;
        #[cfg(not(helium))]
        false
    }

    /// Computes the blocks over a patch of as many taps, or the input where there is none.
    #[inline(never)]
    fn run(
        &mut self,
        context: &mut PixelContext<'_>,
        pair: &[Option<Pixel>; COLUMNS],
        patch: *const i8,
        finish: &Finish<'_>,
    ) {
        let &[Some(first), second] = pair else { unreachable_in_checked_model!(return) };
        let count = self.job.blocks.wrapping_mul(ROWS);
        // Of a pixel alone, what the second column gives is written before the first overwrites it.
        let starts = [first, second.unwrap_or(first)].map(|pixel| context.start_of(pixel, count));
        let [Some(start), Some(other)] = starts else { unreachable_in_checked_model!(return) };
        self.job.epilogue.zero_point = finish.zero_point;
        if finish.is_joined() {
            self.joined(context, pair, patch, finish);
            return;
        }
        let in_rows = self.in_rows();
        // One pointer to the whole arena, so that what is written may stand where something has been read.
        let arena = context.arena.as_mut_ptr();
        self.job.epilogue.places = [arena.wrapping_add(start), arena.wrapping_add(other)];
        self.job.values = if patch.is_null() { arena.wrapping_add(context.input.start) } else { patch };
        // SAFETY: weights, constants and places are there for all blocks, the patch or the vector for all taps; a session sees
        // to it that model and arena are aligned to words.
        unsafe { compute(&mut self.job, patch.is_null(), in_rows) };
        if !finish.saturates_alone() {
            pair.iter().flatten().for_each(|&pixel| context.bring_into(finish.clamp, pixel, count));
        }
    }

    /// As [`RegisterTiles::run`], where an addition joined the operator: the results of some channels wait on the stack, since the
    /// second input may stand where the sum goes.
    #[inline(never)]
    fn joined(
        &mut self,
        context: &mut PixelContext<'_>,
        pair: &[Option<Pixel>; COLUMNS],
        patch: *const i8,
        finish: &Finish<'_>,
    ) {
        let mut results = [const { Results::new() }; COLUMNS];
        let in_rows = self.in_rows();
        let (epilogue, weights, blocks) = (self.job.epilogue, self.job.weights, self.job.blocks);
        let mut left = blocks;
        let mut channel = 0usize;
        while left > 0 {
            self.job.blocks = left.min(JOINED / ROWS);
            let count = self.job.blocks.wrapping_mul(ROWS);
            self.job.epilogue.places = results.each_mut().map(Results::start);
            self.job.values = if patch.is_null() { context.all().as_ptr() } else { patch };
            // SAFETY: as there.
            unsafe { compute(&mut self.job, patch.is_null(), in_rows) };
            for (pixel, results) in pair.iter().zip(&results) {
                if let &Some(pixel) = pixel {
                    // SAFETY: as many have been written.
                    context.join(pixel, channel, finish, unsafe { results.first(count) });
                }
            }
            left = left.wrapping_sub(self.job.blocks);
            channel = channel.wrapping_add(count);
            self.job.epilogue.skip(count);
            self.job.weights = self.job.weights.wrapping_add(count.wrapping_mul(self.job.taps));
        }
        (self.job.epilogue, self.job.weights, self.job.blocks) = (epilogue, weights, blocks);
    }
}

/// Returns what the sums of the rows begin with that are raised by 128.
#[cfg(not(thumb1))]
#[inline(always)]
fn start_of(patch: &Patch<'_>) -> [i32; COLUMNS] {
    patch.totals.map(|total| total.wrapping_mul(-128))
}

/// Lays what the window shows at two pixels, the second so many bytes on from the first.
///
/// # Safety
///
/// The windows of both lie in the input, and can be laid.
#[cfg(not(dsp))]
#[inline(always)]
unsafe fn lay_pair(patch: &mut Patch<'_>, values: *const i8, right: usize, window: &InputWindow) {
    patch.clear();
    for column in 0..COLUMNS {
        let values = values.wrapping_add(right.wrapping_mul(column));
        // SAFETY: as the caller promises.
        lay_rows(patch, column, unsafe { core::slice::from_raw_parts(values, window.reach) }, window);
    }
}

/// Computes blocks over a vector or a patch.
///
/// # Safety
///
/// If there are blocks, weights, constants and places are there for all of them, and as many values as taps.
#[inline(always)]
unsafe fn compute(job: &mut TileJob, is_vector: bool, _in_rows: bool) {
    if job.blocks > 0 {
        #[cfg(helium)]
        if _in_rows {
            // SAFETY: as the caller promises.
            return unsafe { all_rows_of_vector(job) };
        }
        // SAFETY: as the caller promises.
        unsafe { if is_vector { all_blocks_of_vector(job) } else { all_blocks(job) } }
    }
}

impl Epilogue {
    /// Goes on to the constants of a later channel.
    #[inline(always)]
    pub(super) fn skip(&mut self, channels: usize) {
        self.biases = self.biases.wrapping_add(channels);
        self.multipliers = self.multipliers.wrapping_add(channels);
        self.shifts = self.shifts.wrapping_add(channels);
    }
}

#[cfg(not(any(dsp, helium)))]
impl Epilogue {
    /// Requantises the sum of the next channel of a vector and writes it.
    ///
    /// # Safety
    ///
    /// There are constants and places for one more channel.
    #[inline(always)]
    pub(super) unsafe fn value(&mut self, sum: i32) {
        // SAFETY: as the caller promises.
        unsafe {
            let (bias, factor) = self.constants();
            self.places[0].write(super::pixel_context::finish(sum.wrapping_add(bias), factor, self.zero_point));
        }
        self.places[0] = self.places[0].wrapping_add(1);
    }

    /// Requantises the sums of the next channel at both pixels, the second first, and writes them.
    ///
    /// # Safety
    ///
    /// As for [`Epilogue::value`].
    #[inline(always)]
    unsafe fn pair(&mut self, [p, q]: [i32; COLUMNS]) {
        let [first, second] = self.places;
        // SAFETY: as the caller promises.
        unsafe {
            let (bias, factor) = self.constants();
            second.write(super::pixel_context::finish(q.wrapping_add(bias), factor, self.zero_point));
            first.write(super::pixel_context::finish(p.wrapping_add(bias), factor, self.zero_point));
        }
        self.places = [first.wrapping_add(1), second.wrapping_add(1)];
    }

    /// Returns bias and requantisation of the next channel.
    ///
    /// # Safety
    ///
    /// There is one; a model is aligned to words.
    #[inline(always)]
    unsafe fn constants(&mut self) -> (i32, attar_shared::Requantization) {
        // SAFETY: as the caller promises.
        let (bias, multiplier, shift) =
            unsafe { (self.biases.cast::<i32>().read(), self.multipliers.cast::<i32>().read(), self.shifts.read()) };
        self.skip(1);
        (bias, attar_shared::Requantization { multiplier, shift })
    }
}

/// The sums of every block at two pixels, and their end.
///
/// # Safety
///
/// There are weights, constants and places for as many blocks, and a patch for as many taps.
#[cfg(not(any(dsp, helium)))]
#[inline(never)]
unsafe fn all_blocks(job: &mut TileJob) {
    let (mut epilogue, mut weights, start) = (job.epilogue, job.weights, job.start);
    for _ in 0..job.blocks {
        // SAFETY: as the caller promises.
        unsafe {
            #[cfg(thumb1)]
            block_sums(weights, job.values, job.taps, job);
            #[cfg(not(thumb1))]
            block_sums(weights, job.values, job.taps, &mut job.sums);
            weights = weights.add(job.taps.wrapping_mul(ROWS));
            let [a, b, c, d] = job.sums;
            // Where every row is raised, the assembly has begun with it.
            let start = if cfg!(thumb1) { [0; COLUMNS] } else { start };
            let lower = |[p, q]: [i32; COLUMNS]| [p.wrapping_add(start[0]), q.wrapping_add(start[1])];
            epilogue.pair(lower(a));
            epilogue.pair(b);
            epilogue.pair(lower(c));
            epilogue.pair(d);
        }
    }
}

/// As [`all_blocks`], of one vector.
///
/// # Safety
///
/// As there; there are as many values as taps.
#[cfg(not(any(dsp, helium)))]
#[inline(never)]
unsafe fn all_blocks_of_vector(job: &mut TileJob) {
    let (mut epilogue, mut weights, [start, _]) = (job.epilogue, job.weights, job.start);
    for _ in 0..job.blocks {
        let mut sums = [0; ROWS];
        // SAFETY: as the caller promises.
        unsafe {
            vector_sums(weights, job.values, job.taps, &mut sums);
            weights = weights.add(job.taps.wrapping_mul(ROWS));
            let [a, b, c, d] = sums;
            epilogue.value(a.wrapping_add(start));
            epilogue.value(b);
            epilogue.value(c.wrapping_add(start));
            epilogue.value(d);
        }
    }
}
