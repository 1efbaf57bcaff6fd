//! Depthwise convolutions, sixteen channels at a time, then four.

use core::arch::naked_asm;
use core::mem::offset_of;

use crate::kernels::jobs::{DepthwiseJob, Taps};

/// From rectangle to rectangle and from row to row: values and weights in r0 and r1, rows in r2, from tap to tap in r11 and r12;
/// of so many channels, which are four times a power of two.
macro_rules! rectangles {
    ($tap:literal, $channels:literal, $fours:literal) => {
        concat!(
            "add r10, r4, #{taps}\n",
            "ldr r3, [r4, #{rectangles}]\n",
            "2:\n",
            "ldrd r0, r1, [r10]\n",
            "ldr r2, [r10, #{rows}]\n",
            "ldrd r11, r12, [r10, #{step}]\n",
            "3:\n",
            "ldr lr, [r10, #{columns}]\n",
            "dls lr, lr\n",
            "4:\n",
            $tap,
            "add r0, r0, r11\n",
            "add r1, r1, r12\n",
            "le lr, 4b\n",
            "ldr lr, [r10, #{skip}]\n",
            "add r0, r0, lr\n",
            "ldr lr, [r10, #{weight_skip}]\n",
            "add r1, r1, lr\n",
            "subs r2, r2, #1\n",
            "bne 3b\n",
            // The next channels of the values, if they are no padding, and of the weights.
            "ldrd r0, r1, [r10]\n",
            "ldr r2, [r10, #{advance}]\n",
            "add r0, r0, r2, lsl #",
            $fours,
            "\n",
            "add r1, r1, #",
            $channels,
            "\n",
            "strd r0, r1, [r10], #{size}\n",
            "subs r3, r3, #1\n",
            "bne 2b\n",
        )
    };
}

/// The sums of all channels of a depthwise convolution that make fours, and their end.
///
/// # Safety
///
/// Every tap of every rectangle lies in what its pointers point to, for as many groups of four as there are constants and
/// places; over padding there are [`PADDING`](crate::kernels::jobs::PADDING) values.
#[unsafe(naked)]
pub(in crate::kernels) unsafe extern "C" fn all_groups(job: &mut DepthwiseJob) {
    naked_asm!(
        ".cpu cortex-m55",
        "push {{r3, r4, r5, r6, r7, r8, r9, r10, r11, lr}}",
        "vpush {{d8, d9, d10, d11, d12, d13, d14, d15}}",
        "mov r4, r0",
        "ldm r0, {{r5, r6, r7, r8, r9}}",
        // The place in a low register, which narrow stores take.
        "mov r1, r5",
        "mov r5, r9",
        "mov r9, r1",
        "ldr r3, [r4, #{groups}]",
        "str r3, [r4, #{left}]",
        "cmp r3, #4",
        "blt 20f",
        // Channels 0, 4, 8 and 12 in q0, those after each in q1, q2 and q3.
        "10:",
        "vld40.32 {{q0, q1, q2, q3}}, [r9]",
        "vld41.32 {{q0, q1, q2, q3}}, [r9]",
        "vld42.32 {{q0, q1, q2, q3}}, [r9]",
        "vld43.32 {{q0, q1, q2, q3}}, [r9]!",
        rectangles!(
            "vldrb.u8 q4, [r0]
             vldrb.u8 q5, [r1]
             vmullb.s8 q6, q4, q5
             vmullt.s8 q7, q4, q5
             vmovlb.s16 q4, q6
             vadd.i32 q0, q0, q4
             vmovlb.s16 q5, q7
             vadd.i32 q1, q1, q5
             vmovlt.s16 q6, q6
             vadd.i32 q2, q2, q6
             vmovlt.s16 q7, q7
             vadd.i32 q3, q3, q7
            ",
            "16",
            "2"
        ),
        "vld40.32 {{q4, q5, q6, q7}}, [r6]",
        "vld41.32 {{q4, q5, q6, q7}}, [r6]",
        "vld42.32 {{q4, q5, q6, q7}}, [r6]",
        "vld43.32 {{q4, q5, q6, q7}}, [r6]!",
        "vmulh.s32 q0, q0, q4",
        "vmulh.s32 q1, q1, q5",
        "vmulh.s32 q2, q2, q6",
        "vmulh.s32 q3, q3, q7",
        // A shift is the lowest byte of its lane.
        "vldrb.u8 q4, [r7], #16",
        "vneg.s8 q4, q4",
        "vrshl.s32 q0, q0, q4",
        "vshr.u32 q5, q4, #8",
        "vrshl.s32 q1, q1, q5",
        "vshr.u32 q6, q4, #16",
        "vrshl.s32 q2, q2, q6",
        "vshr.u32 q7, q4, #24",
        "vrshl.s32 q3, q3, q7",
        "vadd.i32 q0, q0, r8",
        "vadd.i32 q1, q1, r8",
        "vadd.i32 q2, q2, r8",
        "vadd.i32 q3, q3, r8",
        "vqmovnb.s32 q0, q0",
        "vqmovnt.s32 q0, q2",
        "vqmovnb.s32 q1, q1",
        "vqmovnt.s32 q1, q3",
        "vqmovnb.s16 q0, q0",
        "vqmovnt.s16 q0, q1",
        "vstrb.8 q0, [r5], #16",
        "ldr r3, [r4, #{left}]",
        "subs r3, r3, #4",
        "str r3, [r4, #{left}]",
        "cmp r3, #4",
        "bge 10b",
        "20:",
        "cmp r3, #0",
        "beq 30f",
        "21:",
        "vldrw.u32 q0, [r9], #16",
        rectangles!(
            "vldrb.s32 q1, [r0]
             vldrb.s32 q2, [r1]
             vmul.i32 q1, q1, q2
             vadd.i32 q0, q0, q1
            ",
            "4",
            "0"
        ),
        "vldrw.u32 q1, [r6], #16",
        "vmulh.s32 q0, q0, q1",
        "vldrb.u32 q1, [r7], #4",
        "vneg.s32 q1, q1",
        "vrshl.s32 q0, q0, q1",
        "vadd.i32 q0, q0, r8",
        "vqmovnb.s32 q0, q0",
        "vqmovnb.s16 q0, q0",
        "vstrb.32 q0, [r5], #4",
        "ldr r3, [r4, #{left}]",
        "subs r3, r3, #1",
        "str r3, [r4, #{left}]",
        "bne 21b",
        "30:",
        "vpop {{d8, d9, d10, d11, d12, d13, d14, d15}}",
        "pop {{r3, r4, r5, r6, r7, r8, r9, r10, r11, pc}}",
        left = const offset_of!(DepthwiseJob, left),
        groups = const offset_of!(DepthwiseJob, groups),
        rectangles = const offset_of!(DepthwiseJob, rectangles),
        taps = const offset_of!(DepthwiseJob, taps),
        rows = const offset_of!(Taps, rows),
        columns = const offset_of!(Taps, columns),
        step = const offset_of!(Taps, step),
        skip = const offset_of!(Taps, skip),
        weight_skip = const offset_of!(Taps, weight_skip),
        advance = const offset_of!(Taps, advance),
        size = const size_of::<Taps>(),
    )
}
