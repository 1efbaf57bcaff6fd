//! Depthwise convolutions, four channels at a time.

use crate::kernels::jobs::{DepthwiseJob, Line, Lines, Taps};
use core::arch::naked_asm;
use core::mem::offset_of;

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

/// The end of a channel, whose shift is the lowest byte of r1, at a place after r12.
macro_rules! end_of_channel {
    ($sum:literal, $multiplier:literal, $place:literal) => {
        concat!(requantize!($sum, $multiplier, "r1", "r0"), "strb ", $sum, ", [r12, #", $place, "]\n")
    };
}

/// The end of four channels, whose sums are in r4 to r7, multipliers in r8 to r11, shifts in r1 and zero point in r0.
macro_rules! end_of_four {
    () => {
        concat!(
            end_of_channel!("r4", "r8", "0"),
            "lsrs r1, r1, #8\n",
            end_of_channel!("r5", "r9", "1"),
            "lsrs r1, r1, #8\n",
            end_of_channel!("r6", "r10", "2"),
            "lsrs r1, r1, #8\n",
            end_of_channel!("r7", "r11", "3"),
        )
    };
}

/// The sums of every four channels of a depthwise convolution, and their end; the job goes on to the channels that follow.
///
/// # Safety
///
/// Every tap of every rectangle lies in what its pointers point to, for as many groups of four as there are constants and
/// places; there is one of each at least. Biases and multipliers are aligned to words.
#[unsafe(naked)]
pub(in crate::kernels) unsafe extern "C" fn all_groups(job: &mut DepthwiseJob) {
    naked_asm!(
        needs!(),
        "push {{r4, r5, r6, r7, r8, r9, r10, r11, lr}}",
        "mov r2, r0",
        // The end of the rectangles.
        "ldr r3, [r2, #{rectangles}]",
        "mov r0, #{size}",
        "add r1, r2, #{taps}",
        "mla r3, r3, r0, r1",
        "str r3, [r2, #{stop}]",
        "ldr r3, [r2, #{groups}]",
        "str r3, [r2, #{left}]",
        "1:",
        "ldr r0, [r2]",
        "ldm r0!, {{r4, r5, r6, r7}}",
        "str r0, [r2]",
        "add lr, r2, #{taps}",
        "2:",
        "ldrd r0, r1, [lr]",
        "ldr r12, [lr, #{rows}]",
        "3:",
        "ldr r3, [lr, #{columns}]",
        "4:",
        "ldrd r10, r11, [lr, #{step}]",
        "ldr r8, [r0]",
        "ldr r9, [r1]",
        "add r0, r0, r10",
        "add r1, r1, r11",
        depthwise_tap!(),
        "subs r3, r3, #1",
        "bne 4b",
        "ldrd r8, r9, [lr, #{skip}]",
        "add r0, r0, r8",
        "add r1, r1, r9",
        "subs r12, r12, #1",
        "bne 3b",
        // The next four channels of the values, if they are no padding, and of the weights.
        "ldrd r0, r1, [lr]",
        "ldr r3, [lr, #8]",
        "add r0, r0, r3",
        "add r1, r1, #4",
        "strd r0, r1, [lr], #{size}",
        "ldr r3, [r2, #{stop}]",
        "cmp lr, r3",
        "bne 2b",
        "ldrd r0, r3, [r2, #4]",
        "ldm r0!, {{r8, r9, r10, r11}}",
        "ldr r1, [r3], #4",
        "strd r0, r3, [r2, #4]",
        "ldrd r0, r12, [r2, #12]",
        end_of_four!(),
        "adds r12, r12, #4",
        "str r12, [r2, #16]",
        "ldr r3, [r2, #{left}]",
        "subs r3, r3, #1",
        "str r3, [r2, #{left}]",
        "bne 1b",
        "pop {{r4, r5, r6, r7, r8, r9, r10, r11, pc}}",
        size = const size_of::<Taps>(),
        taps = const offset_of!(DepthwiseJob, taps),
        rectangles = const offset_of!(DepthwiseJob, rectangles),
        left = const offset_of!(DepthwiseJob, left),
        stop = const offset_of!(DepthwiseJob, stop),
        groups = const offset_of!(DepthwiseJob, groups),
        rows = const offset_of!(Taps, rows),
        columns = const offset_of!(Taps, columns),
        step = const offset_of!(Taps, step),
        skip = const offset_of!(Taps, skip),
    )
}

/// The products of a line of three taps of four channels; lr goes on to the next line.
macro_rules! line {
    () => {
        concat!(
            "ldm lr!, {{r0, r1, r8, r12}}\n",
            "mla r0, r3, r8, r0\n",
            "add r1, r1, r3\n",
            "ldr r8, [r0]\n",
            "ldr r9, [r1]\n",
            depthwise_tap!(),
            "ldr r8, [r0, r12]\n",
            "ldr r9, [r1, r2]\n",
            depthwise_tap!(),
            "ldr r8, [r0, r12, lsl #1]\n",
            "ldr r9, [r1, r2, lsl #1]\n",
            depthwise_tap!(),
        )
    };
}

/// What a line begins with at the next pixel.
macro_rules! next_pixel {
    ($values:literal, $right:literal) => {
        concat!(
            "ldr r0, [lr, #",
            $values,
            "]\nldr r1, [lr, #",
            $right,
            "]\nadd r0, r0, r1\nstr r0, [lr, #",
            $values,
            "]\n",
        )
    };
}

/// Depthwise convolutions of three by three taps at pixels with the same lines, four channels at a time.
///
/// # Safety
///
/// Every tap of every line lies in what its pointers point to, for as many pixels and groups of four as there are constants and
/// places; there is one of each at least. Biases and multipliers are aligned to words.
#[unsafe(naked)]
pub(in crate::kernels) unsafe extern "C" fn all_lines(job: &mut Lines) {
    naked_asm!(
        needs!(),
        "push {{r3, r4, r5, r6, r7, r8, r9, r10, r11, lr}}",
        "add lr, r0, #{lines}",
        "ldr r2, [lr, #{weight_step} - {lines}]",
        "1:",
        // Channels are counted up to none, from the ends of all that has a place for each.
        "ldr r3, [lr, #{first} - {lines}]",
        "2:",
        "ldr r0, [lr, #-{lines}]",
        "add r0, r0, r3, lsl #2",
        "ldm r0, {{r4, r5, r6, r7}}",
        line!(),
        line!(),
        line!(),
        "sub lr, lr, #48",
        "ldrd r0, r1, [lr, #4 - {lines}]",
        "add r0, r0, r3, lsl #2",
        "ldm r0, {{r8, r9, r10, r11}}",
        "ldr r1, [r1, r3]",
        "ldrd r0, r12, [lr, #12 - {lines}]",
        "add r12, r12, r3",
        end_of_four!(),
        "adds r3, r3, #4",
        "bne 2b",
        next_pixel!("16 - {lines}", "{on} - {lines}"),
        next_pixel!("0", "{right} - {lines}"),
        next_pixel!("16", "{right} + 4 - {lines}"),
        next_pixel!("32", "{right} + 8 - {lines}"),
        "ldr r0, [lr, #{pixels} - {lines}]",
        "subs r0, r0, #1",
        "str r0, [lr, #{pixels} - {lines}]",
        "bne 1b",
        "pop {{r3, r4, r5, r6, r7, r8, r9, r10, r11, pc}}",
        lines = const offset_of!(Lines, lines),
        weight_step = const offset_of!(Lines, weight_step),
        first = const offset_of!(Lines, first),
        on = const offset_of!(Lines, on),
        right = const offset_of!(Lines, right),
        pixels = const offset_of!(Lines, pixels),
    )
}

// What the assembly has as numbers.
const _: () = {
    assert!(offset_of!(Line, values) == 0 && offset_of!(Line, weights) == 4 && offset_of!(Line, advance) == 8);
    assert!(offset_of!(Line, step) == 12 && size_of::<Line>() == 16 && offset_of!(Lines, epilogue) == 0);
    assert!(offset_of!(Taps, values) == 0 && offset_of!(Taps, weights) == 4 && offset_of!(Taps, advance) == 8);
    assert!(offset_of!(Taps, depth) == offset_of!(Taps, step) + 4);
    assert!(offset_of!(Taps, weight_skip) == offset_of!(Taps, skip) + 4);
};
