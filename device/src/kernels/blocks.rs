//! Blocks of four rows of weights at a pair of pixels, or over a vector, where a core has assembly for their sums.
//!
//! Places and lengths are checked here, once for all blocks; below are pointers alone.
#![allow(unsafe_code)]

use attar_shared::{Channels, ROWS};

use super::Slide;
#[cfg(dsp)]
use super::dsp::{all_blocks, all_blocks_of_vector};
use super::eight::{BYTES, Eight};
use super::matrix::{COLUMNS, Patch, Sums};
#[cfg(riscv)]
use super::riscv::{block_sums, vector_sums};
use super::slide::{Finish, Pixel};
#[cfg(thumb1)]
use super::thumb1::{block_sums, vector_sums};
#[cfg(thumb2)]
use super::thumb2::{block_sums, vector_sums};

/// The most channels whose results wait on the stack for the addition that joined the operator.
pub(super) const JOINED: usize = 32;

/// What the end of a sum needs: the constants of the channels from one on, and where its values go.
#[repr(C)]
pub(super) struct End {
    pub(super) biases: *const [u8; 4],
    pub(super) multipliers: *const [u8; 4],
    pub(super) shifts: *const u8,
    pub(super) zero_point: i32,
    pub(super) places: [*mut i8; COLUMNS],
}

/// Blocks that follow each other; the weights begin with the first's.
#[repr(C)]
pub(super) struct Blocks {
    pub(super) end: End,
    pub(super) weights: *const u8,
    /// The patch, or the vector.
    pub(super) values: *const i8,
    pub(super) taps: usize,
    pub(super) blocks: usize,
    /// 128 times the sum of each pixel's values: what the rows have too much that are raised by 128.
    pub(super) raised: [i32; COLUMNS],
    pub(super) sums: Sums,
}

/// Computes all whole blocks of channels of a pair of pixels; the patch holds what they show, a vector stands in the input.
#[inline(never)]
pub(super) fn all(
    slide: &mut Slide<'_>,
    pair: [Option<Pixel>; COLUMNS],
    weights: Eight<'_>,
    patch: Option<&Patch<'_>>,
    totals: [i32; COLUMNS],
    (channels, finish): (Channels<'_>, &Finish),
) {
    let taps = weights.taps;
    let all = usize::from(slide.output.shape.channels) / ROWS;
    let raised = totals.map(|total| total.wrapping_shl(7));
    let enough = patch.is_none_or(|patch| patch.bytes.len() / BYTES >= taps);
    let [Some(first), second] = pair else { return };
    if !enough {
        return;
    }
    // Of a pixel alone, what the second column gives is written before the first overwrites it.
    let second = second.unwrap_or(first);
    let mut block = 0usize;
    while block < all {
        let left = all.wrapping_sub(block);
        let blocks = if finish.is_joined() { left.min(JOINED / ROWS) } else { left };
        let (channel, count) = (block.wrapping_mul(ROWS), blocks.wrapping_mul(ROWS));
        let own = weights.of_blocks(block, blocks);
        let (Some(own), Some(constants)) = (own, channels.pointers(channel, count)) else { return };
        let starts = [first, second].map(|pixel| slide.start_of(pixel, channel, count));
        let ([Some(start), Some(other)], Some(_)) = (starts, slide.values(0, if patch.is_some() { 0 } else { taps }))
        else {
            return;
        };
        // One pointer to the whole arena, so that what is written may stand where something has been read.
        let arena = slide.arena.as_mut_ptr();
        let values = match patch {
            Some(patch) => patch.bytes.as_ptr(),
            None => arena.wrapping_add(slide.input.start).cast_const(),
        };
        let mut results = [[0i8; JOINED]; COLUMNS];
        let places = if finish.is_joined() {
            // The second input may stand where the sum goes.
            results.each_mut().map(|results| results.as_mut_ptr())
        } else {
            [arena.wrapping_add(start), arena.wrapping_add(other)]
        };
        let (biases, multipliers, shifts) = constants;
        let end = End { biases, multipliers, shifts, zero_point: finish.zero_point, places };
        let sums = [[0; COLUMNS]; ROWS];
        let mut job = Blocks { end, weights: own.as_ptr(), values, taps, blocks, raised, sums };
        // SAFETY: weights, constants and places are there for as many blocks, the patch or the vector for as many taps; a
        // session sees to it that model and arena are aligned to words.
        unsafe {
            match patch {
                Some(_) => all_blocks(&mut job),
                None => all_blocks_of_vector(&mut job),
            }
        }
        for (pixel, results) in pair.into_iter().zip(&results) {
            if let Some(pixel) = pixel {
                slide.after(pixel, channel..channel.wrapping_add(count), finish, results);
            }
        }
        block = block.wrapping_add(blocks);
    }
}

#[cfg(not(dsp))]
impl End {
    /// Requantises the sums of the next channel, the second column first, and writes them.
    ///
    /// # Safety
    ///
    /// There are constants and places for one more channel.
    #[inline(always)]
    pub(super) unsafe fn channel<const N: usize>(&mut self, sums: [i32; N]) {
        // SAFETY: as the caller promises; a model is aligned to words.
        unsafe {
            let (bias, multiplier) = (self.biases.cast::<i32>().read(), self.multipliers.cast::<i32>().read());
            let factor = attar_shared::Requantization { multiplier, shift: self.shifts.read() };
            for (sum, place) in sums.into_iter().zip(&mut self.places).rev() {
                place.write(super::slide::finish(sum.wrapping_add(bias), factor, self.zero_point));
                *place = place.add(1);
            }
            (self.biases, self.multipliers) = (self.biases.add(1), self.multipliers.add(1));
            self.shifts = self.shifts.add(1);
        }
    }
}

/// The sums of every block at two pixels, and their end.
///
/// # Safety
///
/// There are weights, constants and places for as many blocks, and a patch for as many taps.
#[cfg(not(dsp))]
unsafe fn all_blocks(job: &mut Blocks) {
    let raised = job.raised;
    for _ in 0..job.blocks {
        // SAFETY: as the caller promises.
        unsafe {
            block_sums(job.weights, job.values, job.taps, &mut job.sums);
            job.weights = job.weights.add(job.taps.wrapping_mul(ROWS));
            let [a, b, c, d] = job.sums;
            let lower = |[p, q]: [i32; COLUMNS]| [p.wrapping_sub(raised[0]), q.wrapping_sub(raised[1])];
            job.end.channel(lower(a));
            job.end.channel(b);
            job.end.channel(lower(c));
            job.end.channel(d);
        }
    }
}

/// As [`all_blocks`], of one vector.
///
/// # Safety
///
/// As there; there are as many values as taps.
#[cfg(not(dsp))]
unsafe fn all_blocks_of_vector(job: &mut Blocks) {
    let [raised, _] = job.raised;
    for _ in 0..job.blocks {
        let mut sums = [0; ROWS];
        // SAFETY: as the caller promises.
        unsafe {
            vector_sums(job.weights, job.values, job.taps, &mut sums);
            job.weights = job.weights.add(job.taps.wrapping_mul(ROWS));
            let [a, b, c, d] = sums;
            job.end.channel([a.wrapping_sub(raised)]);
            job.end.channel([b]);
            job.end.channel([c.wrapping_sub(raised)]);
            job.end.channel([d]);
        }
    }
}

// What the assembly has as numbers.
const _: () = {
    use core::mem::offset_of;
    assert!(offset_of!(End, places) == 16 && offset_of!(Blocks, weights) == 24 && offset_of!(Blocks, values) == 28);
    assert!(offset_of!(Blocks, taps) == 32 && offset_of!(Blocks, blocks) == 36 && offset_of!(Blocks, raised) == 40);
    assert!(offset_of!(Blocks, sums) == 48);
};
