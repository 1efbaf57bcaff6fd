//! Windows of three by three taps over four channels: three lines of three taps, for as many pixels of a row as have theirs alike.

use super::{End, Fours, RECTANGLES, Taps};
use crate::kernels::Slide;
use crate::kernels::dsp::all_lines;
use crate::kernels::matrix::COLUMNS;
use crate::kernels::slide::{Following, Pixel, Pixels};
use crate::kernels::window::Over;

/// Three taps of four channels, beside each other or below.
#[repr(C)]
#[derive(Clone, Copy)]
pub(in crate::kernels) struct Line {
    /// Of the first tap, after the last channel; over padding four values that serve for all.
    pub(in crate::kernels) values: *const i8,
    /// Of the first tap, after the last channel.
    pub(in crate::kernels) weights: *const u8,
    /// From a channel to the next of the values: one, or none over padding.
    pub(in crate::kernels) advance: usize,
    /// From a tap to the next of the values.
    pub(in crate::kernels) step: usize,
}

/// What pixels need whose windows have the same lines; constants and places are those after the last channel.
#[repr(C)]
pub(in crate::kernels) struct Lines {
    pub(in crate::kernels) end: End,
    /// From a tap to the next of the weights.
    pub(in crate::kernels) weight_step: usize,
    pub(in crate::kernels) lines: [Line; 3],
    /// The first channel, counted from the end.
    pub(in crate::kernels) first: isize,
    /// From a pixel to the next in the output.
    pub(in crate::kernels) on: usize,
    /// From a pixel to the next of each line's values.
    pub(in crate::kernels) right: [usize; 3],
    pub(in crate::kernels) pixels: usize,
}

const _: () =
    assert!(size_of::<Lines>() <= size_of::<[Taps; RECTANGLES]>() && align_of::<Lines>() <= align_of::<Taps>());

impl Fours<'_> {
    /// Computes a pixel whose window of three by three taps leaves the input on one axis at most, with those of its row that
    /// follow and have all columns in it, and returns how many followed; none where channels are left over or an addition follows.
    #[inline(never)]
    pub(in crate::kernels) fn lines(&mut self, slide: &mut Slide<'_>, pixel: Pixel, pixels: &Pixels) -> Option<usize> {
        let Over { depth, vertical, horizontal, .. } = *self.over;
        let [down, step] = [self.over.down(), self.over.step()];
        if vertical.kernel != 3 || horizontal.kernel != 3 || self.count != depth || self.finish.is_joined() {
            return None;
        }
        let rows = vertical.taps(pixel.y)?;
        let alone = Following::NONE;
        let (some, following, [down, step], [weights_down, weight_step]) =
            if let Some(following) = pixels.following(pixel, &self.across) {
                (rows, following, [down, step], [depth.wrapping_mul(3), depth])
            } else if rows.len() == 3 {
                (horizontal.taps(pixel.x)?, alone, [step, down], [depth, depth.wrapping_mul(3)])
            } else {
                return None;
            };
        // From a pixel to the next, in the input and in the output.
        let [right, on] = [following.step(horizontal.stride().wrapping_mul(depth)), following.step(depth)];
        let more = following.count;
        let first = self.over.place(pixel, 0, 0);
        let least = first.wrapping_add(down.wrapping_mul(some.start));
        let most = first.wrapping_add(down.wrapping_mul(some.end.wrapping_sub(1))).wrapping_add(step.wrapping_mul(2));
        let far = right.wrapping_mul(more);
        for at in [least, most] {
            slide.values(at, depth)?;
            slide.values(at.wrapping_add(far), depth)?;
        }
        let start = slide.start_of(pixel, depth)?;
        slide.arena.get(start.wrapping_add(on.wrapping_mul(more))..)?.get(..depth)?;
        // One pointer to the whole arena: the output may lie over what has been read of the input.
        let arena = slide.arena.as_mut_ptr();
        let input = arena.wrapping_add(slide.input.start).wrapping_add(first).wrapping_add(depth).cast_const();
        let line = |line: usize| {
            let weights = self.weights.as_ptr().wrapping_add(weights_down.wrapping_mul(line)).wrapping_add(depth);
            if some.contains(&line) {
                Line { values: input.wrapping_add(down.wrapping_mul(line)), weights, advance: 1, step }
            } else {
                Line { values: self.padding.as_ptr(), weights, advance: 0, step: 0 }
            }
        };
        let right_of = |line: usize| if some.contains(&line) { right } else { 0 };
        let mut end = self.job.end;
        end.skip(depth);
        end.places = [arena.wrapping_add(start).wrapping_add(depth); COLUMNS];
        let job = Lines {
            end,
            weight_step,
            lines: [line(0), line(1), line(2)],
            first: (depth as isize).wrapping_neg(),
            on,
            right: [right_of(0), right_of(1), right_of(2)],
            pixels: more.wrapping_add(1),
        };
        // In the place of the taps, of which there are none now.
        self.job.rectangles = 0;
        let place = self.job.taps.as_mut_ptr().cast::<Lines>();
        // SAFETY: the taps of all pixels lie in the input, since the first and the last of them do, or read the padding; they
        // have weights, and `end` has the channels. There is room for the job.
        unsafe {
            place.write(job);
            all_lines(&mut *place);
        }
        if !self.finish.saturates_alone() {
            slide.bring_all_into(self.finish.clamp, pixel, following, more.wrapping_add(1));
        }
        Some(more)
    }
}
