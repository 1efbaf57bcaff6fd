//! Blocks of four rows times a patch or a vector.

use core::arch::naked_asm;

use crate::kernels::jobs::TileJob;

/// A group of weights.
macro_rules! four_taps_of_pair {
    () => {
        concat!(two_taps!(), two_taps!())
    };
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

/// The end of a row at two pixels; its shift is the lowest byte of r0, the zero point in r12.
macro_rules! end_of_row {
    ($first:literal, $second:literal, $multiplier:literal) => {
        concat!(requantize!($first, $multiplier, "r0", "r12"), requantize!($second, $multiplier, "r0", "r12"))
    };
}

/// The sums of every block at two pixels, and their end.
///
/// Four taps take as many bytes of code as any four, so that a block begins as many groups before the end of eight as its first
/// pass has; the passes that follow have all eight.
///
/// # Safety
///
/// There are weights, constants and places for as many blocks, one at least, and a patch for as many taps; weights, constants
/// and patch are aligned to words.
#[unsafe(naked)]
pub(in crate::kernels) unsafe extern "C" fn all_blocks(job: &mut TileJob) {
    naked_asm!(
        needs!(),
        "push {{r3, r4, r5, r6, r7, r8, r9, r10, r11, lr}}",
        "sub sp, sp, #56",
        "ldm r0!, {{r1, r2, r3, r4, r5, r6}}",
        "strd r2, r3, [sp, #{multipliers}]",
        "str r1, [sp, #{biases}]",
        "strd r5, r6, [sp, #{places}]",
        "str r4, [sp, #{zero_point}]",
        "ldm r0, {{r1, r2, r3, r4, r5, r6}}",
        "mov r0, r1",
        "str r2, [sp]",
        "strd r5, r6, [sp, #4]",
        "str r4, [sp, #{left}]",
        "and r4, r3, #3",
        "str r4, [sp, #{odd}]",
        "bic r4, r3, #3",
        "add r4, r2, r4, lsl #2",
        "str r4, [sp, #{end}]",
        // Where the first pass begins.
        "lsrs r3, r3, #2",
        "adr.w r4, 4f",
        "beq 1f",
        "subs r3, r3, #1",
        "and r3, r3, #7",
        "adds r3, r3, #1",
        "mov r5, #{group}",
        "adr.w r4, 3f",
        "mls r4, r3, r5, r4",
        "1:",
        "orr r4, r4, #1",
        "str r4, [sp, #{entry}]",
        "1:",
        // Sums begin with the biases, those of two rows with 256 times the second's besides.
        "ldr r12, [sp, #{biases}]",
        "ldm r12!, {{r4, r6, r8, r10}}",
        "str r12, [sp, #{biases}]",
        "ldm sp, {{r1, r2, r3}}",
        "add r4, r4, r6, lsl #8",
        "add r5, r4, r3",
        "add r4, r4, r2",
        "mov r7, r6",
        "add r8, r8, r10, lsl #8",
        "add r9, r8, r3",
        "add r8, r8, r2",
        "mov r11, r10",
        "ldr pc, [sp, #{entry}]",
        "2:",
        four_taps_of_pair!(),
        four_taps_of_pair!(),
        four_taps_of_pair!(),
        four_taps_of_pair!(),
        four_taps_of_pair!(),
        four_taps_of_pair!(),
        four_taps_of_pair!(),
        four_taps_of_pair!(),
        "3:",
        "ldr r12, [sp, #{end}]",
        "cmp r1, r12",
        "bne 2b",
        "4:",
        "ldr r3, [sp, #{odd}]",
        "cbz r3, 6f",
        "5:",
        one_tap!(),
        "subs r3, r3, #1",
        "bne 5b",
        "6:",
        "sub r4, r4, r6, lsl #8",
        "sub r5, r5, r7, lsl #8",
        "sub r8, r8, r10, lsl #8",
        "sub r9, r9, r11, lsl #8",
        // The weights of the next block begin where those of this one end.
        "str r0, [sp, #{weights}]",
        "ldrd r12, lr, [sp, #{multipliers}]",
        "ldr r0, [lr], #4",
        "str lr, [sp, #{multipliers} + 4]",
        "ldm r12!, {{r1, r2, r3, lr}}",
        "str r12, [sp, #{multipliers}]",
        "ldr r12, [sp, #{zero_point}]",
        end_of_row!("r4", "r5", "r1"),
        "lsrs r0, r0, #8",
        end_of_row!("r6", "r7", "r2"),
        "lsrs r0, r0, #8",
        end_of_row!("r8", "r9", "r3"),
        "lsrs r0, r0, #8",
        end_of_row!("r10", "r11", "lr"),
        // Of a pixel alone, what the second gives is overwritten.
        "ldrd r1, r2, [sp, #{places}]",
        "strb r5, [r2], #1",
        "strb r7, [r2], #1",
        "strb r9, [r2], #1",
        "strb r11, [r2], #1",
        "strb r4, [r1], #1",
        "strb r6, [r1], #1",
        "strb r8, [r1], #1",
        "strb r10, [r1], #1",
        "strd r1, r2, [sp, #{places}]",
        "ldrd r3, r0, [sp, #{left}]",
        "subs r3, r3, #1",
        "str r3, [sp, #{left}]",
        "bne 1b",
        "add sp, sp, #56",
        "pop {{r3, r4, r5, r6, r7, r8, r9, r10, r11, pc}}",
        // The patch and what sums begin with come first.
        end = const 12,
        entry = const 16,
        multipliers = const 20,
        biases = const 28,
        places = const 32,
        zero_point = const 40,
        left = const 44,
        weights = const 48,
        odd = const 52,
        group = const 96,
    )
}

/// As [`all_blocks`], of one vector of int8 at any address.
///
/// # Safety
///
/// As there; there are as many values as taps.
#[unsafe(naked)]
pub(in crate::kernels) unsafe extern "C" fn all_blocks_of_vector(job: &mut TileJob) {
    naked_asm!(
        needs!(),
        "push {{r4, r5, r6, r7, r8, r9, r10, r11, lr}}",
        "sub sp, sp, #44",
        "ldm r0!, {{r1, r2, r3, r4, r5}}",
        "str r1, [sp, #{biases}]",
        "strd r2, r3, [sp, #{multipliers}]",
        "strd r4, r5, [sp, #{zero_point}]",
        "adds r0, #4",
        "ldm r0, {{r0, r1, r2, r3, r4}}",
        "str r1, [sp]",
        "lsrs r5, r2, #3",
        "str r5, [sp, #4]",
        "and r2, r2, #7",
        "str r2, [sp, #{odd}]",
        "str r3, [sp, #{left}]",
        "str r4, [sp, #{start}]",
        "1:",
        "ldr r2, [sp, #{biases}]",
        "ldr r3, [sp, #{start}]",
        "ldm r2!, {{r8, r9, r10, r11}}",
        "str r2, [sp, #{biases}]",
        "add r8, r8, r9, lsl #8",
        "add r8, r8, r3",
        "add r10, r10, r11, lsl #8",
        "add r10, r10, r3",
        "ldrd r1, lr, [sp]",
        "cmp lr, #0",
        "beq 3f",
        "2:",
        four_taps!(),
        four_taps!(),
        "subs lr, lr, #1",
        "bne 2b",
        "3:",
        "ldr r2, [sp, #{odd}]",
        "cmp r2, #0",
        "beq 6f",
        "tst r2, #4",
        "beq 4f",
        four_taps!(),
        "4:",
        "ands r2, r2, #3",
        "beq 6f",
        "5:",
        "ldr r4, [r0], #4",
        "ldrsb r3, [r1], #1",
        "smlabb r8, r4, r3, r8",
        "smlatb r10, r4, r3, r10",
        "sxtb16 r4, r4, ror #8",
        "smlabb r9, r4, r3, r9",
        "smlatb r11, r4, r3, r11",
        "subs r2, r2, #1",
        "bne 5b",
        "6:",
        "sub r8, r8, r9, lsl #8",
        "sub r10, r10, r11, lsl #8",
        "ldrd r2, r1, [sp, #{multipliers}]",
        "ldm r2!, {{r4, r5, r6, r7}}",
        "ldr r3, [r1], #4",
        "strd r2, r1, [sp, #{multipliers}]",
        "ldrd r12, r1, [sp, #{zero_point}]",
        requantize!("r8", "r4", "r3", "r12"),
        "lsrs r3, r3, #8",
        requantize!("r9", "r5", "r3", "r12"),
        "lsrs r3, r3, #8",
        requantize!("r10", "r6", "r3", "r12"),
        "lsrs r3, r3, #8",
        requantize!("r11", "r7", "r3", "r12"),
        "strb r8, [r1], #1",
        "strb r9, [r1], #1",
        "strb r10, [r1], #1",
        "strb r11, [r1], #1",
        "ldr r2, [sp, #{left}]",
        "str r1, [sp, #{place}]",
        "subs r2, r2, #1",
        "str r2, [sp, #{left}]",
        "bne 1b",
        "add sp, sp, #44",
        "pop {{r4, r5, r6, r7, r8, r9, r10, r11, pc}}",
        // Values and how many eights there are come first.
        biases = const 8,
        multipliers = const 12,
        zero_point = const 20,
        place = const 24,
        odd = const 28,
        left = const 32,
        start = const 36,
    )
}
