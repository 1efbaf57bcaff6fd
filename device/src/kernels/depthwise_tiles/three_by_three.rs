//! Windows of three by three taps over four channels: three lines of three taps, for as many pixels of a row as have theirs alike.

use super::DepthwiseTiles;
use crate::kernels::PixelContext;
use crate::kernels::jobs::{Line, Lines};
use crate::kernels::layout::COLUMNS;
use crate::kernels::pixel_context::{Following, Pixel, Pixels};
use crate::kernels::target::all_lines;
use crate::kernels::window::InputWindow;

impl DepthwiseTiles<'_> {
    /// Computes a pixel whose window of three by three taps leaves the input on one axis at most, with those of its row that
    /// follow and have all columns in it, and returns how many followed; none where channels are left over or an addition follows.
    #[inline(never)]
    pub(in crate::kernels) fn lines(
        &mut self,
        context: &mut PixelContext<'_>,
        pixel: Pixel,
        pixels: &Pixels,
    ) -> Option<usize> {
        let InputWindow { depth, vertical, horizontal, .. } = *self.window;
        let [down, step] = [self.window.down(), self.window.step()];
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
        let first = self.window.place(pixel, 0, 0);
        let least = first.wrapping_add(down.wrapping_mul(some.start));
        let most = first.wrapping_add(down.wrapping_mul(some.end.wrapping_sub(1))).wrapping_add(step.wrapping_mul(2));
        let far = right.wrapping_mul(more);
        for at in [least, most] {
            context.values(at, depth)?;
            context.values(at.wrapping_add(far), depth)?;
        }
        let start = context.start_of(pixel, depth)?;
        context.arena.get(start.wrapping_add(on.wrapping_mul(more))..)?.get(..depth)?;
        // One pointer to the whole arena: the output may lie over what has been read of the input.
        let arena = context.arena.as_mut_ptr();
        let input = arena.wrapping_add(context.input.start).wrapping_add(first).wrapping_add(depth).cast_const();
        let line = |line: usize| {
            let weights = self.weights.as_ptr().wrapping_add(weights_down.wrapping_mul(line)).wrapping_add(depth);
            if some.contains(&line) {
                Line { values: input.wrapping_add(down.wrapping_mul(line)), weights, advance: 1, step }
            } else {
                Line { values: self.padding.as_ptr(), weights, advance: 0, step: 0 }
            }
        };
        let right_of = |line: usize| if some.contains(&line) { right } else { 0 };
        let mut epilogue = self.job.epilogue;
        epilogue.skip(depth);
        epilogue.places = [arena.wrapping_add(start).wrapping_add(depth); COLUMNS];
        let job = Lines {
            epilogue,
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
        // have weights, and `epilogue` has the channels. There is room for the job.
        unsafe {
            place.write(job);
            all_lines(&mut *place);
        }
        if !self.finish.saturates_alone() {
            context.bring_all_into(self.finish.clamp, pixel, following, more.wrapping_add(1));
        }
        Some(more)
    }
}
