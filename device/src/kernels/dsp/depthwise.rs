//! Depthwise convolutions, four channels at a time.

use crate::kernels::groups::{Groups, Taps};
use core::arch::naked_asm;

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
        "ldr r12, [lr, #28]",
        "ldr r2, [lr, #32]",
        "ldr r3, [lr, #20]",
        "1:",
        "ldr r8, [r0]",
        "ldr r9, [r1]",
        depthwise_tap!(),
        "ldr r8, [r0, r12]",
        "ldr r9, [r1, r2]",
        depthwise_tap!(),
        "ldr r8, [r0, r12, lsl #1]",
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
pub(in crate::kernels) unsafe extern "C" fn all_groups(job: &mut Groups) {
    naked_asm!(
        needs!(),
        "push {{r3, r4, r5, r6, r7, r8, r9, r10, r11, lr}}",
        "mov r4, r0",
        "ldm r0, {{r5, r6, r7, r8, r9, r10}}",
        "ldr r3, [r4, #{groups}]",
        "str r3, [r4, #{left}]",
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
        "strd r0, r1, [r10], #{size}",
        "subs r11, r11, #1",
        "bne 2b",
        end_of_value!("{sums}"),
        end_of_value!("{sums} + 4"),
        end_of_value!("{sums} + 8"),
        end_of_value!("{sums} + 12"),
        "ldr r3, [r4, #{left}]",
        "subs r3, r3, #1",
        "str r3, [r4, #{left}]",
        "bne 1b",
        "pop {{r3, r4, r5, r6, r7, r8, r9, r10, r11, pc}}",
        size = const size_of::<Taps>(),
        any = sym any_columns,
        three = sym three_columns,
        taps = const core::mem::offset_of!(Groups, taps),
        sums = const core::mem::offset_of!(Groups, sums),
        rectangles = const core::mem::offset_of!(Groups, rectangles),
        left = const core::mem::offset_of!(Groups, left),
        groups = const core::mem::offset_of!(Groups, groups),
    )
}

// What the assembly has as numbers.
const _: () = {
    use core::mem::offset_of;
    assert!(offset_of!(Taps, advance) == 8 && offset_of!(Taps, row) == 12);
    assert!(offset_of!(Taps, rows) == 20 && offset_of!(Taps, columns) == 24);
    assert!(offset_of!(Taps, step) == 28 && offset_of!(Taps, depth) == 32);
};
