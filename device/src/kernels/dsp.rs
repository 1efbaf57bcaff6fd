//! The sums of 8-bit weights on cores with the DSP extension: Cortex-M4, M7, M33.
//!
//! SMLAD adds two products of halves at once. Two rows share an i16 of a tap, `256 * second + first`, with the first raised
//! by 128, so that a product with the raw word sums both rows. SXTB16 takes the second rows out, whose own sum tells the first:
//! `first = mixed - 256 * second - 128 * total`. Each word of weights is unpacked once for four products.
//!
//! A patch holds i16. Of four taps, the even ones of the first pixel, those of the second, then the odd ones, in words of two:
//! the order in which SXTB16 takes bytes. Taps that are left over have a word of both pixels each.
//!
//! This module alone has unsafe code. Its functions read and write what their arguments say and nothing else; the slices
//! around them give the lengths.
#![allow(unsafe_code)]

use core::arch::{asm, naked_asm};
use core::ops::Range;

use attar_shared::{Channels, Clamp, ROWS, Requantization};

use super::Slide;
use super::matrix::{COLUMNS, Patch, Sums};
use super::slide::{Finish, Pixel};
use super::window::Over;

/// What the assembler has to be told: on ARMv8-M the extension is one of choice.
#[cfg(dsp_extension)]
macro_rules! needs {
    () => {
        ".cpu cortex-m33"
    };
}
#[cfg(not(dsp_extension))]
macro_rules! needs {
    () => {
        ""
    };
}

/// Bytes that a patch takes for each tap.
pub(super) const BYTES: usize = 4;

/// Puts what a run of a window shows into a patch.
#[inline(never)]
pub(super) fn lay(patch: &mut Patch<'_>, column: usize, tap: usize, values: Result<&[i8], (usize, i8)>, taps: usize) {
    let whole = taps & !3;
    let mut tap = tap;
    let mut total = 0i32;
    match values {
        Ok(values) => {
            let len = values.len().min(whole.saturating_sub(tap));
            let (fast, slow) = if tap & 3 == 0 { (len & !3, values.get(len & !3..)) } else { (0, Some(values)) };
            let places = patch.bytes.get_mut(tap.wrapping_mul(BYTES)..tap.wrapping_add(fast).wrapping_mul(BYTES));
            if let (Some(places), true) = (places, fast > 0) {
                // SAFETY: there are `fast` values, and four bytes of the patch for each; a column begins a word further on.
                total = unsafe {
                    spread(values.as_ptr(), places.as_mut_ptr().wrapping_add(column.wrapping_mul(4)), fast / 4)
                };
                tap = tap.wrapping_add(fast);
            }
            for &value in slow.unwrap_or_default() {
                put(patch.bytes, column, tap, value, whole);
                total = total.wrapping_add(value.into());
                tap = tap.wrapping_add(1);
            }
        }
        Err((len, value)) => {
            total = i32::from(value).wrapping_mul(len as i32);
            let end = tap.wrapping_add(len);
            let fast = if tap & 3 == 0 { len.min(whole.saturating_sub(tap)) & !3 } else { 0 };
            let places = patch.bytes.get_mut(tap.wrapping_mul(BYTES)..tap.wrapping_add(fast).wrapping_mul(BYTES));
            let [low, high] = i16::from(value).to_le_bytes().map(u8::cast_signed);
            for [first, second] in places.unwrap_or_default().as_chunks_mut::<4>().0.as_chunks_mut::<COLUMNS>().0 {
                *(if column == 0 { first } else { second }) = [low, high, low, high];
            }
            for tap in tap.wrapping_add(fast)..end {
                put(patch.bytes, column, tap, value, whole);
            }
        }
    }
    if let Some(sum) = patch.totals.get_mut(column) {
        *sum = sum.wrapping_add(total);
    }
}

/// Puts rows of values into a patch that hold all its taps, and returns whether it could.
#[inline(always)]
pub(super) fn lay_rows(
    patch: &mut Patch<'_>,
    column: usize,
    values: &[i8],
    step: usize,
    rows: usize,
    len: usize,
) -> bool {
    let reach = rows.wrapping_sub(1).wrapping_mul(step).wrapping_add(len);
    let fits = patch.bytes.len() / BYTES >= rows.wrapping_mul(len) && values.len() >= reach;
    if len == 0 || len & 3 != 0 || rows == 0 || !fits {
        return false;
    }
    let places = patch.bytes.as_mut_ptr().wrapping_add(column.wrapping_mul(4));
    // SAFETY: every row lies in the values, and the patch has four bytes for each value.
    let total = unsafe { spread_rows(values.as_ptr(), places, len / 4, rows, step.wrapping_sub(len)) };
    if let Some(sum) = patch.totals.get_mut(column) {
        *sum = total;
    }
    true
}

/// Returns where a value stands in a patch of which `whole` taps are in fours.
#[inline(always)]
const fn place(column: usize, tap: usize, whole: usize) -> usize {
    let of_four = tap & 3;
    if tap < whole { (tap & !3) * 4 + (of_four & 1) * 8 + (of_four & 2) + column * 4 } else { tap * 4 + column * 2 }
}

#[inline(always)]
fn put(bytes: &mut [i8], column: usize, tap: usize, value: i8, whole: usize) {
    let at = place(column, tap, whole);
    if let Some(half) = bytes.get_mut(at..).and_then(|bytes| bytes.first_chunk_mut::<2>()) {
        *half = i16::from(value).to_le_bytes().map(u8::cast_signed);
    }
}

/// Adds to the sums of a block the products of its weights with a patch.
#[inline(always)]
pub(super) fn block(weights: &[u8], patch: &Patch<'_>, sums: &mut Sums) {
    let taps = weights.len() / ROWS;
    let mut own: Sums = [[0; COLUMNS]; ROWS];
    if weights.as_ptr().addr() & 3 == 0 && patch.bytes.len() / BYTES >= taps {
        // SAFETY: both are aligned to words, and hold four bytes a tap.
        unsafe { block_sums(weights.as_ptr(), patch.bytes.as_ptr(), taps, &mut own) };
        let [a, _, c, _] = &mut own;
        for row in [a, c] {
            row.iter_mut().zip(patch.totals).for_each(|(sum, total)| *sum = sum.wrapping_sub(total.wrapping_shl(7)));
        }
    } else {
        unaligned(weights, patch, &mut own);
    }
    for (sums, own) in sums.iter_mut().zip(own) {
        sums.iter_mut().zip(own).for_each(|(sum, own)| *sum = sum.wrapping_add(own));
    }
}

/// As [`block`], for a model that does not begin at a word.
#[cold]
#[inline(never)]
fn unaligned(weights: &[u8], patch: &Patch<'_>, sums: &mut Sums) {
    let taps = weights.len() / ROWS;
    for (origin, &byte) in attar_shared::order(ROWS, taps).zip(weights) {
        let weight = i32::from(origin.convert(byte).cast_signed());
        for (column, sum) in sums.get_mut(origin.row).into_iter().flatten().enumerate() {
            *sum = sum.wrapping_add(weight.wrapping_mul(value(patch, column, origin.tap, taps & !3)));
        }
    }
}

/// Adds to the sums of a row the products of its weights with a patch.
#[inline(never)]
pub(super) fn row(weights: &[u8], patch: &Patch<'_>, sums: &mut [i32; COLUMNS]) {
    let whole = weights.len() & !3;
    for (tap, &weight) in weights.iter().enumerate() {
        let weight = i32::from(weight.cast_signed());
        for (column, sum) in sums.iter_mut().enumerate() {
            *sum = sum.wrapping_add(weight.wrapping_mul(value(patch, column, tap, whole)));
        }
    }
}

#[inline(always)]
fn value(patch: &Patch<'_>, column: usize, tap: usize, whole: usize) -> i32 {
    let half = patch.bytes.get(place(column, tap, whole)..).and_then(|bytes| bytes.first_chunk::<2>());
    half.map_or(0, |half| i16::from_le_bytes(half.map(i8::cast_unsigned)).into())
}

/// Returns the sums of a block over a vector, whose values add up to `total`.
#[inline(always)]
pub(super) fn block_of_vector(weights: &[u8], values: &[i8], total: i32) -> [i32; ROWS] {
    if weights.as_ptr().addr() & 3 != 0 || weights.len() != values.len().wrapping_mul(ROWS) {
        return super::plain::block_of_vector(weights, values, total);
    }
    let mut sums = [0; ROWS];
    // SAFETY: the weights are aligned to words, and there are four for each value.
    unsafe { vector_sums(weights.as_ptr(), values.as_ptr(), values.len(), &mut sums) };
    let [a, b, c, d] = sums;
    let raised = total.wrapping_shl(7);
    [a.wrapping_sub(raised), b, c.wrapping_sub(raised), d]
}

/// Taps of four channels that lie in a rectangle, of a kernel over its input or over padding.
#[repr(C)]
#[derive(Clone, Copy)]
pub(super) struct Taps {
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

/// What the end of a sum needs: the constants of the channels from one on, and where its values go.
#[repr(C)]
struct End {
    biases: *const [u8; 4],
    multipliers: *const [u8; 4],
    shifts: *const u8,
    zero_point: i32,
    places: [*mut i8; COLUMNS],
}

impl End {
    /// Returns the end of the first `count` channels of a pair of pixels, if all lie where they should.
    #[inline(always)]
    fn new(
        slide: &mut Slide<'_>,
        [first, second]: [Option<Pixel>; COLUMNS],
        count: usize,
        channels: Channels<'_>,
        finish: &Finish,
    ) -> Option<Self> {
        let constants = channels.pointers(count)?;
        let first = slide.places(first?, count)?.as_mut_ptr();
        // Of a pixel alone, what the second column gives is written before the first overwrites it.
        let second = second.map_or(Some(first), |pixel| Some(slide.places(pixel, count)?.as_mut_ptr()))?;
        Some(Self {
            biases: constants.0,
            multipliers: constants.1,
            shifts: constants.2,
            zero_point: finish.zero_point,
            places: [first, second],
        })
    }
}

/// The most channels whose results wait on the stack for an addition.
const JOINED: usize = 64;

#[repr(C)]
struct Blocks {
    end: End,
    weights: *const u8,
    values: *const i8,
    taps: usize,
    blocks: usize,
    raised: [i32; COLUMNS],
    sums: Sums,
}

/// Computes all whole blocks of channels of a pair of pixels and returns how many; none where it cannot.
#[inline(never)]
pub(super) fn blocks(
    slide: &mut Slide<'_>,
    pair: [Option<Pixel>; COLUMNS],
    (weights, taps): (&[u8], usize),
    patch: &Patch<'_>,
    channels: Channels<'_>,
    finish: &Finish,
) -> usize {
    let blocks = usize::from(slide.output.shape.channels) / ROWS;
    let aligned = weights.as_ptr().addr() & 3 == 0 && patch.bytes.as_ptr().addr() & 3 == 0;
    let enough = patch.bytes.len() / BYTES >= taps && weights.len() / ROWS >= blocks.wrapping_mul(taps);
    if blocks == 0 || !aligned || !enough {
        return 0;
    }
    let count = blocks.wrapping_mul(ROWS);
    let joined = finish.is_joined();
    if !finish.saturates_alone() || joined && count > JOINED {
        return 0;
    }
    let Some(mut end) = End::new(slide, pair, count, channels, finish) else { return 0 };
    let mut results = [[0i8; JOINED]; COLUMNS];
    if joined {
        // The second input may stand where the sum goes.
        end.places = results.each_mut().map(|results| results.as_mut_ptr());
    }
    let raised = patch.totals.map(|total| total.wrapping_shl(7));
    let (weights, values, sums) = (weights.as_ptr(), patch.bytes.as_ptr(), [[0; COLUMNS]; ROWS]);
    // SAFETY: weights and patch hold what so many blocks of so many taps need, and `end` as many channels.
    unsafe { all_blocks(&mut Blocks { end, weights, values, taps, blocks, raised, sums }) };
    if joined {
        for (pixel, results) in pair.into_iter().zip(&results) {
            if let Some(pixel) = pixel {
                slide.join(pixel, finish, results.get(..count).unwrap_or_default());
            }
        }
    }
    blocks
}

/// Computes all whole blocks of channels of a vector whose values add up to `total`, and returns how many.
#[inline(never)]
pub(super) fn blocks_of_vector(
    slide: &mut Slide<'_>,
    weights: &[u8],
    total: i32,
    channels: Channels<'_>,
    finish: &Finish,
) -> usize {
    let blocks = usize::from(slide.output.shape.channels) / ROWS;
    let (taps, values) = (slide.all().len(), slide.all().as_ptr());
    if blocks == 0 || weights.as_ptr().addr() & 3 != 0 || weights.len() / ROWS < blocks.wrapping_mul(taps) {
        return 0;
    }
    let pair = [Some(Pixel { index: 0, y: 0, x: 0 }), None];
    if !finish.saturates_alone() || finish.is_joined() {
        return 0;
    }
    let Some(end) = End::new(slide, pair, blocks.wrapping_mul(ROWS), channels, finish) else { return 0 };
    let raised = [total.wrapping_shl(7); COLUMNS];
    let (weights, sums) = (weights.as_ptr(), [[0; COLUMNS]; ROWS]);
    // SAFETY: weights hold what so many blocks of so many values need, and `end` as many channels; a dense layer's output
    // lies apart from its input.
    unsafe { all_blocks_of_vector(&mut Blocks { end, weights, values, taps, blocks, raised, sums }) };
    blocks
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
pub(super) struct Depthwise<'a> {
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
    pub(super) fn new(
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
    pub(super) fn pixel(&self, slide: &mut Slide<'_>, pixel: Pixel) -> usize {
        let Some((rows, columns)) = self.over.inside(pixel) else { return 0 };
        let (top, left) = (self.over.vertical.start(pixel.y), self.over.horizontal.start(pixel.x));
        let first = (top.wrapping_add(rows.start) as usize)
            .wrapping_mul(self.over.row)
            .wrapping_add((left.wrapping_add(columns.start) as usize).wrapping_mul(self.over.depth));
        let (height, width) = (rows.len(), columns.len());
        let reach =
            height.wrapping_sub(1).wrapping_mul(self.over.row).wrapping_add(width.wrapping_mul(self.over.depth));
        let Some(values) = slide.values(first, reach).map(<[i8]>::as_ptr) else { return 0 };
        let Some(places) = slide.places(pixel, self.count).map(<[i8]>::as_mut_ptr) else { return 0 };
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

/// Requantises, adds the zero point, and saturates to 8 bits and a clamp.
#[inline(always)]
pub(super) fn finish(accumulator: i32, requantization: Requantization, zero_point: i32, clamp: Clamp) -> i8 {
    let mut value: i32;
    // The last bit that is shifted out is the half that rounds up, and ADC adds it with the zero point.
    // SAFETY: it computes with its operands alone.
    unsafe {
        asm!(
            needs!(),
            "smmul {value}, {accumulator}, {multiplier}",
            "asrs {value}, {value}, {shift}",
            "adc {value}, {value}, {zero_point}",
            "ssat {value}, #8, {value}",
            value = out(reg) value,
            accumulator = in(reg) accumulator,
            multiplier = in(reg) requantization.multiplier,
            shift = in(reg) u32::from(requantization.shift),
            zero_point = in(reg) zero_point,
            options(pure, nomem, nostack),
        );
    }
    if clamp == Clamp::ALL { value as i8 } else { super::saturate(value, clamp) }
}

/// A word of four bytes becomes two words of two halves, which join the total.
macro_rules! spread_word {
    () => {
        "
        ldr r6, [r0], #4
        sxtb16 r12, r6
        sxtb16 r6, r6, ror #8
        str r12, [r1], #8
        str r6, [r1], #8
        sadd16 r12, r12, r6
        smlad r4, r12, r5, r4
        "
    };
}

/// Spreads groups of four bytes to four halves each, in words eight bytes apart, and returns the sum of all.
///
/// # Safety
///
/// There are four bytes at `values` and sixteen at `places`, less those of the other column, for each group; one at least.
#[inline(always)]
unsafe fn spread(values: *const i8, places: *mut i8, groups: usize) -> i32 {
    // SAFETY: as the caller promises, of one row.
    unsafe { spread_rows(values, places, groups, 1, 0) }
}

/// As [`spread`], of so many rows with `skip` bytes between them.
///
/// # Safety
///
/// As there, for every row; there is one at least.
#[unsafe(naked)]
unsafe extern "C" fn spread_rows(values: *const i8, places: *mut i8, groups: usize, rows: usize, skip: usize) -> i32 {
    naked_asm!(
        needs!(),
        "push {{r4, r5, r6, r7, r8, lr}}",
        "ldr r7, [sp, #24]",
        "movs r4, #0",
        "mov r5, #0x00010001",
        "1:",
        "lsrs r8, r2, #2",
        "beq 3f",
        "2:",
        spread_word!(),
        spread_word!(),
        spread_word!(),
        spread_word!(),
        "subs r8, r8, #1",
        "bne 2b",
        "3:",
        "ands r8, r2, #3",
        "beq 5f",
        "4:",
        spread_word!(),
        "subs r8, r8, #1",
        "bne 4b",
        "5:",
        "add r0, r0, r7",
        "subs r3, r3, #1",
        "bne 1b",
        "mov r0, r4",
        "pop {{r4, r5, r6, r7, r8, pc}}",
    )
}

/// One word of two row pairs each, and one word of two taps of each pixel.
macro_rules! two_taps {
    () => {
        "
        ldrd r12, lr, [r0], #8
        ldrd r2, r3, [r1], #8
        smlad r4, r12, r2, r4
        smlad r5, r12, r3, r5
        sxtb16 r12, r12, ror #8
        smlad r6, r12, r2, r6
        smlad r7, r12, r3, r7
        smlad r8, lr, r2, r8
        smlad r9, lr, r3, r9
        sxtb16 lr, lr, ror #8
        smlad r10, lr, r2, r10
        smlad r11, lr, r3, r11
        "
    };
}

/// Computes the sums of four rows at two pixels; those of the first and third row lack the correction for what raises them.
///
/// # Safety
///
/// Weights and patch are aligned to words and hold four bytes a tap each.
#[unsafe(naked)]
unsafe extern "C" fn block_sums(weights: *const u8, patch: *const i8, taps: usize, sums: &mut Sums) {
    naked_asm!(
        needs!(),
        "push {{r1, r2, r3, r4, r5, r6, r7, r8, r9, r10, r11, lr}}",
        // The end of the eights.
        "bic r3, r2, #7",
        "add r3, r1, r3, lsl #2",
        "str r3, [sp]",
        "movs r4, #0",
        "mov r5, r4",
        "mov r6, r4",
        "mov r7, r4",
        "mov r8, r4",
        "mov r9, r4",
        "mov r10, r4",
        "mov r11, r4",
        "cmp r1, r3",
        "beq 2f",
        "1:",
        two_taps!(),
        two_taps!(),
        two_taps!(),
        two_taps!(),
        "ldr r12, [sp]",
        "cmp r1, r12",
        "bne 1b",
        "2:",
        "ldr r3, [sp, #4]",
        "tst r3, #4",
        "beq 4f",
        two_taps!(),
        two_taps!(),
        "4:",
        "ldr r3, [sp, #4]",
        "ands r3, r3, #3",
        "beq 6f",
        "5:",
        "ldr r12, [r0], #4",
        "ldr r2, [r1], #4",
        "smlabb r4, r12, r2, r4",
        "smlabt r5, r12, r2, r5",
        "smlatb r8, r12, r2, r8",
        "smlatt r9, r12, r2, r9",
        "sxtb16 r12, r12, ror #8",
        "smlabb r6, r12, r2, r6",
        "smlabt r7, r12, r2, r7",
        "smlatb r10, r12, r2, r10",
        "smlatt r11, r12, r2, r11",
        "subs r3, r3, #1",
        "bne 5b",
        "6:",
        "sub r4, r4, r6, lsl #8",
        "sub r5, r5, r7, lsl #8",
        "sub r8, r8, r10, lsl #8",
        "sub r9, r9, r11, lsl #8",
        "ldr r3, [sp, #8]",
        "stm r3, {{r4, r5, r6, r7, r8, r9, r10, r11}}",
        "pop {{r1, r2, r3, r4, r5, r6, r7, r8, r9, r10, r11, pc}}",
    )
}

/// Four taps of four rows and one vector.
macro_rules! four_taps {
    () => {
        "
        ldm r0!, {{r4, r5, r6, r7}}
        ldr r3, [r1], #4
        sxtb16 r12, r3
        sxtb16 r3, r3, ror #8
        smlad r8, r4, r12, r8
        sxtb16 r4, r4, ror #8
        smlad r9, r4, r12, r9
        smlad r10, r5, r12, r10
        sxtb16 r5, r5, ror #8
        smlad r11, r5, r12, r11
        smlad r8, r6, r3, r8
        sxtb16 r6, r6, ror #8
        smlad r9, r6, r3, r9
        smlad r10, r7, r3, r10
        sxtb16 r7, r7, ror #8
        smlad r11, r7, r3, r11
        "
    };
}

/// As [`block_sums`], for one vector of int8 at any address.
///
/// # Safety
///
/// The weights are aligned to words, and there are four for each value.
#[unsafe(naked)]
unsafe extern "C" fn vector_sums(weights: *const u8, values: *const i8, taps: usize, sums: &mut [i32; ROWS]) {
    naked_asm!(
        needs!(),
        "push {{r2, r3, r4, r5, r6, r7, r8, r9, r10, r11, r12, lr}}",
        "mov r8, #0",
        "mov r9, r8",
        "mov r10, r8",
        "mov r11, r8",
        "lsrs lr, r2, #3",
        "beq 2f",
        "1:",
        four_taps!(),
        four_taps!(),
        "subs lr, lr, #1",
        "bne 1b",
        "2:",
        "ldr r2, [sp]",
        "tst r2, #4",
        "beq 3f",
        four_taps!(),
        "3:",
        "ands r2, r2, #3",
        "beq 5f",
        "4:",
        "ldr r4, [r0], #4",
        "ldrsb r3, [r1], #1",
        "smlabb r8, r4, r3, r8",
        "smlatb r10, r4, r3, r10",
        "sxtb16 r4, r4, ror #8",
        "smlabb r9, r4, r3, r9",
        "smlatb r11, r4, r3, r11",
        "subs r2, r2, #1",
        "bne 4b",
        "5:",
        "sub r8, r8, r9, lsl #8",
        "sub r10, r10, r11, lsl #8",
        "ldr r3, [sp, #4]",
        "stm r3, {{r8, r9, r10, r11}}",
        "pop {{r2, r3, r4, r5, r6, r7, r8, r9, r10, r11, r12, pc}}",
    )
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

/// Requantises the accumulator in r0, adds the zero point in r8 and saturates; multiplier and shift are in r2 and r3.
macro_rules! requantize {
    ($register:literal) => {
        concat!(
            "smmul ", $register, ", ", $register, ", r2\n", "asrs ", $register, ", ", $register, ", r3\n", "adc ",
            $register, ", ", $register, ", r8\n", "ssat ", $register, ", #8, ", $register, "\n",
        )
    };
}

/// Bias, multiplier and shift of the next channel, in r12, r2 and r3.
macro_rules! constants {
    () => {
        "
        ldr r12, [r5], #4
        ldr r2, [r6], #4
        ldrb r3, [r7], #1
        "
    };
}

/// The end of one row at two pixels; the correction of raised rows has been taken from the sums.
macro_rules! end_of_row {
    ($sums:literal) => {
        concat!(
            constants!(),
            "ldrd r0, r1, [r4, #",
            $sums,
            "]\n",
            "add r0, r0, r12\n",
            "add r1, r1, r12\n",
            requantize!("r1"),
            requantize!("r0"),
            "strb r1, [r10], #1\n",
            "strb r0, [r9], #1\n",
        )
    };
}

/// As [`end_of_row`], of a row that is raised by 128.
macro_rules! end_of_raised_row {
    ($sums:literal) => {
        concat!(
            constants!(),
            "ldrd r0, r1, [r4, #",
            $sums,
            "]\n",
            "ldrd r11, lr, [r4, #40]\n",
            "add r0, r0, r12\n",
            "add r1, r1, r12\n",
            "sub r0, r0, r11\n",
            "sub r1, r1, lr\n",
            requantize!("r1"),
            requantize!("r0"),
            "strb r1, [r10], #1\n",
            "strb r0, [r9], #1\n",
        )
    };
}

/// The sums of every block at two pixels, and their end.
///
/// # Safety
///
/// As for [`block_sums`], for as many blocks; `end` has constants and places for as many channels.
#[unsafe(naked)]
unsafe extern "C" fn all_blocks(job: &mut Blocks) {
    naked_asm!(
        needs!(),
        "push {{r3, r4, r5, r6, r7, r8, r9, r10, r11, lr}}",
        "mov r4, r0",
        "ldm r0, {{r5, r6, r7, r8, r9, r10}}",
        "ldr r0, [r4, #24]",
        "1:",
        "ldrd r1, r2, [r4, #28]",
        "add r3, r4, #48",
        "bl {sums}",
        // The weights of the next block begin where those of this one end.
        "str r0, [r4, #24]",
        end_of_raised_row!("48"),
        end_of_row!("56"),
        end_of_raised_row!("64"),
        end_of_row!("72"),
        "ldrd r0, r1, [r4, #24]",
        "ldr r3, [r4, #36]",
        "subs r3, r3, #1",
        "str r3, [r4, #36]",
        "bne 1b",
        "pop {{r3, r4, r5, r6, r7, r8, r9, r10, r11, pc}}",
        sums = sym block_sums,
    )
}

/// The end of one row of a vector.
macro_rules! end_of_value {
    ($sum:literal) => {
        concat!(
            constants!(),
            "ldr r0, [r4, #",
            $sum,
            "]\n",
            "add r0, r0, r12\n",
            requantize!("r0"),
            "strb r0, [r9], #1\n",
        )
    };
}

/// As [`end_of_value`], of a row that is raised by 128.
macro_rules! end_of_raised_value {
    ($sum:literal) => {
        concat!(
            constants!(),
            "ldr r0, [r4, #",
            $sum,
            "]\n",
            "ldr r11, [r4, #40]\n",
            "add r0, r0, r12\n",
            "sub r0, r0, r11\n",
            requantize!("r0"),
            "strb r0, [r9], #1\n",
        )
    };
}

/// As [`all_blocks`], of one vector.
///
/// # Safety
///
/// As for [`vector_sums`], for as many blocks; `end` has constants and places for as many channels.
#[unsafe(naked)]
unsafe extern "C" fn all_blocks_of_vector(job: &mut Blocks) {
    naked_asm!(
        needs!(),
        "push {{r3, r4, r5, r6, r7, r8, r9, r10, r11, lr}}",
        "mov r4, r0",
        "ldm r0, {{r5, r6, r7, r8, r9, r10}}",
        "ldr r0, [r4, #24]",
        "1:",
        "ldrd r1, r2, [r4, #28]",
        "add r3, r4, #48",
        "bl {sums}",
        "str r0, [r4, #24]",
        end_of_raised_value!("48"),
        end_of_value!("52"),
        end_of_raised_value!("56"),
        end_of_value!("60"),
        "ldr r0, [r4, #24]",
        "ldr r3, [r4, #36]",
        "subs r3, r3, #1",
        "str r3, [r4, #36]",
        "bne 1b",
        "pop {{r3, r4, r5, r6, r7, r8, r9, r10, r11, pc}}",
        sums = sym vector_sums,
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
const _: () = {
    use core::mem::offset_of;
    assert!(offset_of!(Blocks, weights) == 24 && offset_of!(Blocks, values) == 28 && offset_of!(Blocks, taps) == 32);
    assert!(offset_of!(Blocks, blocks) == 36 && offset_of!(Blocks, raised) == 40 && offset_of!(Blocks, sums) == 48);
    assert!(offset_of!(Taps, advance) == 8 && offset_of!(Taps, row) == 12 && offset_of!(Taps, rows) == 20);
    assert!(offset_of!(Taps, columns) == 24 && offset_of!(Taps, step) == 28 && offset_of!(Taps, depth) == 32);
    assert!(size_of::<Taps>() == 36 && offset_of!(End, places) == 16);
};
