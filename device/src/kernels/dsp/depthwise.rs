//! Depthwise convolutions, four channels at a time.

use core::arch::naked_asm;
use core::ops::Range;

use attar_shared::Channels;

use super::End;
use crate::kernels::Slide;
use crate::kernels::matrix::COLUMNS;
use crate::kernels::slide::{Finish, Pixel};
use crate::kernels::window::Over;

/// Taps of four channels that lie in a rectangle, of a kernel over its input or over padding.
#[repr(C)]
#[derive(Clone, Copy)]
struct Taps {
    values: *const i8,
    weights: *const u8,
    /// From four channels to the next four of the values: four, or none over padding.
    advance: usize,
    /// From a row of the values to the next.
    row: usize,
    /// From a row of weights to the next.
    weight_row: usize,
    /// Rows, of which there are some.
    rows: usize,
    /// Columns, of which there are some.
    columns: usize,
    /// From a tap to the next of the values.
    step: usize,
    /// From a tap to the next of the weights.
    depth: usize,
}

/// The most rectangles that a kernel falls into: inside, above, below, left, right.
const RECTANGLES: usize = 5;

#[repr(C)]
struct Groups<const N: usize> {
    end: End,
    rectangles: usize,
    groups: usize,
    sums: [i32; 4],
    taps: [Taps; N],
}

/// A depthwise convolution whose channels are computed four at a time.
pub(in crate::kernels) struct Depthwise<'a> {
    over: Over,
    weights: &'a [u8],
    constants: (*const [u8; 4], *const [u8; 4], *const u8),
    zero_point: i32,
    padding: [i8; 4],
    /// Channels that are computed.
    count: usize,
}

impl<'a> Depthwise<'a> {
    /// Returns nothing where it is not the way.
    pub(in crate::kernels) fn new(
        slide: &Slide<'_>,
        over: Over,
        weights: &'a [u8],
        channels: Channels<'_>,
        finish: &Finish,
    ) -> Option<Self> {
        let count = over.depth & !3;
        if count == 0 || weights.len() < over.len() || !finish.saturates_alone() || finish.is_joined() {
            return None;
        }
        let padding = [slide.input.zero_point; 4];
        let constants = channels.pointers(count)?;
        Some(Self { over, weights, constants, zero_point: finish.zero_point, padding, count })
    }

    /// Computes channels of a pixel and returns how many; none where the window has holes.
    #[inline(always)]
    pub(in crate::kernels) fn pixel(&self, slide: &mut Slide<'_>, pixel: Pixel) -> usize {
        let Some((rows, columns)) = self.over.inside(pixel) else { return 0 };
        let (top, left) = (self.over.vertical.start(pixel.y), self.over.horizontal.start(pixel.x));
        let first = (top.wrapping_add(rows.start) as usize)
            .wrapping_mul(self.over.row)
            .wrapping_add((left.wrapping_add(columns.start) as usize).wrapping_mul(self.over.depth));
        let (height, width) = (rows.len(), columns.len());
        let reach =
            height.wrapping_sub(1).wrapping_mul(self.over.row).wrapping_add(width.wrapping_mul(self.over.depth));
        if slide.values(first, reach).is_none() {
            return 0;
        }
        let Some(start) = slide.start_of(pixel, self.count) else { return 0 };
        // One pointer to the whole arena: the output may lie over what has been read of the input.
        let arena = slide.arena.as_mut_ptr();
        let values = arena.wrapping_add(slide.input.start.wrapping_add(first)).cast_const();
        let places = arena.wrapping_add(start);
        let (biases, multipliers, shifts) = self.constants;
        let end = End { biases, multipliers, shifts, zero_point: self.zero_point, places: [places; COLUMNS] };
        let (ys, xs) = (rows.start as usize..rows.end as usize, columns.start as usize..columns.end as usize);
        let inside = self.rectangle(values, &ys, &xs, false);
        let (groups, sums) = (self.count / 4, [0; 4]);
        // SAFETY: the taps inside lie in the input, those around it read one word; all have weights, and `end` the channels.
        unsafe {
            if height as i32 == self.over.vertical.kernel && width as i32 == self.over.horizontal.kernel {
                all_groups(&mut Groups { end, taps: [inside], rectangles: 1, groups, sums });
            } else {
                let (taps, rectangles) = self.with_padding(inside, ys, xs);
                let mut job = Groups { end, taps, rectangles, groups, sums };
                all_groups((&raw mut job).cast());
            }
        }
        self.count
    }

    /// Adds the rectangles around that inside of the input.
    #[inline(never)]
    fn with_padding(&self, inside: Taps, ys: Range<usize>, xs: Range<usize>) -> ([Taps; RECTANGLES], usize) {
        let (height, width) = (self.over.vertical.kernel as usize, self.over.horizontal.kernel as usize);
        let mut taps = [inside; RECTANGLES];
        let around = [
            (0..ys.start, 0..width),
            (ys.end..height, 0..width),
            (ys.clone(), 0..xs.start),
            (ys.clone(), xs.end..width),
        ];
        let mut count = 1usize;
        for (ys, xs) in around.into_iter().filter(|(ys, xs)| !ys.is_empty() && !xs.is_empty()) {
            if let Some(place) = taps.get_mut(count) {
                *place = self.rectangle(self.padding.as_ptr(), &ys, &xs, true);
            }
            count = count.wrapping_add(1);
        }
        (taps, count)
    }

    #[inline(always)]
    fn rectangle(&self, values: *const i8, ys: &Range<usize>, xs: &Range<usize>, padding: bool) -> Taps {
        let Over { depth, row, .. } = self.over;
        let weight_row = (self.over.horizontal.kernel as usize).wrapping_mul(depth);
        let first = ys.start.wrapping_mul(weight_row).wrapping_add(xs.start.wrapping_mul(depth));
        Taps {
            values,
            weights: self.weights.as_ptr().wrapping_add(first),
            advance: if padding { 0 } else { 4 },
            row: if padding { 0 } else { row },
            weight_row,
            rows: ys.len(),
            columns: xs.len(),
            step: if padding { 0 } else { depth },
            depth,
        }
    }
}

/// The products of a tap of four channels, in r8 and r9.
macro_rules! depthwise_tap {
    () => {
        "
        sxtb16 r10, r8
        sxtb16 r11, r9
        sxtb16 r8, r8, ror #8
        sxtb16 r9, r9, ror #8
        smlabb r4, r10, r11, r4
        smlatt r6, r10, r11, r6
        smlabb r5, r8, r9, r5
        smlatt r7, r8, r9, r7
        "
    };
}

/// Adds the products of a rectangle of taps of four channels, as many columns as there are.
///
/// # Safety
///
/// There are a row and a column at least, and every tap lies in what the pointers point to.
#[unsafe(naked)]
unsafe extern "C" fn any_columns(values: *const i8, weights: *const u8, taps: &Taps, sums: &mut [i32; 4]) {
    naked_asm!(
        needs!(),
        "push {{r3, r4, r5, r6, r7, r8, r9, r10, r11, lr}}",
        "mov lr, r2",
        "ldr r12, [lr, #20]",
        "ldm r3, {{r4, r5, r6, r7}}",
        "1:",
        "ldr r3, [lr, #24]",
        "2:",
        "ldrd r10, r11, [lr, #28]",
        "ldr r8, [r0]",
        "ldr r9, [r1]",
        "add r0, r0, r10",
        "add r1, r1, r11",
        depthwise_tap!(),
        "subs r3, r3, #1",
        "bne 2b",
        // Back by the columns, on by a row.
        "ldrd r10, r11, [lr, #24]",
        "mls r0, r10, r11, r0",
        "ldr r11, [lr, #32]",
        "mls r1, r10, r11, r1",
        "ldrd r8, r9, [lr, #12]",
        "add r0, r0, r8",
        "add r1, r1, r9",
        "subs r12, r12, #1",
        "bne 1b",
        "ldr r3, [sp]",
        "stm r3, {{r4, r5, r6, r7}}",
        "pop {{r3, r4, r5, r6, r7, r8, r9, r10, r11, pc}}",
    )
}

/// As [`any_columns`], for three inside of the input.
///
/// # Safety
///
/// As there.
#[unsafe(naked)]
unsafe extern "C" fn three_columns(values: *const i8, weights: *const u8, taps: &Taps, sums: &mut [i32; 4]) {
    naked_asm!(
        needs!(),
        "push {{r3, r4, r5, r6, r7, r8, r9, r10, r11, lr}}",
        "ldm r3, {{r4, r5, r6, r7}}",
        "mov lr, r2",
        "ldr r2, [lr, #32]",
        "ldr r3, [lr, #20]",
        "1:",
        "ldr r8, [r0]",
        "ldr r9, [r1]",
        depthwise_tap!(),
        "ldr r8, [r0, r2]",
        "ldr r9, [r1, r2]",
        depthwise_tap!(),
        "ldr r8, [r0, r2, lsl #1]",
        "ldr r9, [r1, r2, lsl #1]",
        depthwise_tap!(),
        "ldrd r8, r9, [lr, #12]",
        "add r0, r0, r8",
        "add r1, r1, r9",
        "subs r3, r3, #1",
        "bne 1b",
        "ldr r3, [sp]",
        "stm r3, {{r4, r5, r6, r7}}",
        "pop {{r3, r4, r5, r6, r7, r8, r9, r10, r11, pc}}",
    )
}

/// The sums of every four channels of a depthwise convolution, and their end.
///
/// # Safety
///
/// As for [`any_columns`], for as many groups of four; `end` has constants and places for as many channels.
#[unsafe(naked)]
unsafe extern "C" fn all_groups(job: *mut Groups<1>) {
    naked_asm!(
        needs!(),
        "push {{r3, r4, r5, r6, r7, r8, r9, r10, r11, lr}}",
        "mov r4, r0",
        "ldm r0, {{r5, r6, r7, r8, r9, r10}}",
        "1:",
        "mov r0, #0",
        "mov r1, #0",
        "strd r0, r1, [r4, #{sums}]",
        "strd r0, r1, [r4, #{sums} + 8]",
        "add r10, r4, #{taps}",
        "ldr r11, [r4, #{rectangles}]",
        "2:",
        "ldrd r0, r1, [r10]",
        "mov r2, r10",
        "add r3, r4, #{sums}",
        "ldr r12, [r10, #24]",
        "cmp r12, #3",
        "ldr r12, [r10, #8]",
        "it eq",
        "cmpeq r12, #4",
        "beq 3f",
        "bl {any}",
        "b 4f",
        "3:",
        "bl {three}",
        "4:",
        // The next four channels of the values, if they are no padding, and of the weights.
        "ldrd r0, r1, [r10]",
        "ldr r2, [r10, #8]",
        "add r0, r0, r2",
        "add r1, r1, #4",
        "strd r0, r1, [r10], #36",
        "subs r11, r11, #1",
        "bne 2b",
        end_of_value!("{sums}"),
        end_of_value!("{sums} + 4"),
        end_of_value!("{sums} + 8"),
        end_of_value!("{sums} + 12"),
        "ldr r3, [r4, #{groups}]",
        "subs r3, r3, #1",
        "str r3, [r4, #{groups}]",
        "bne 1b",
        "pop {{r3, r4, r5, r6, r7, r8, r9, r10, r11, pc}}",
        any = sym any_columns,
        three = sym three_columns,
        taps = const core::mem::offset_of!(Groups<1>, taps),
        sums = const core::mem::offset_of!(Groups<1>, sums),
        rectangles = const core::mem::offset_of!(Groups<1>, rectangles),
        groups = const core::mem::offset_of!(Groups<1>, groups),
    )
}

// The offsets that the assembly has as numbers.

// The offsets that the assembly has as numbers.
const _: () = {
    use core::mem::offset_of;
    assert!(size_of::<Taps>() == 36 && offset_of!(Taps, advance) == 8 && offset_of!(Taps, row) == 12);
    assert!(offset_of!(Taps, rows) == 20 && offset_of!(Taps, columns) == 24);
    assert!(offset_of!(Taps, step) == 28 && offset_of!(Taps, depth) == 32);
};
