//! What a driver hands over to assembly, which reads it by offsets. Types only, so that a core's kernels need no driver.

use core::mem::MaybeUninit;

use super::layout::COLUMNS;
#[cfg(not(any(dsp, helium)))]
use super::layout::Sums;

/// What the end of a sum needs: the constants of the channels from one on, and where its values go.
#[repr(C)]
#[derive(Clone, Copy)]
pub(super) struct Epilogue {
    pub(super) biases: *const [u8; 4],
    pub(super) multipliers: *const [u8; 4],
    pub(super) shifts: *const u8,
    pub(super) zero_point: i32,
    pub(super) places: [*mut i8; COLUMNS],
}

/// Blocks that follow each other; the weights begin with the first's.
#[repr(C)]
#[derive(Clone, Copy)]
pub(super) struct TileJob {
    pub(super) epilogue: Epilogue,
    pub(super) weights: *const u8,
    /// The patch, or the vector.
    pub(super) values: *const i8,
    pub(super) taps: usize,
    pub(super) blocks: usize,
    /// What the sums of the rows begin with that are raised by 128: less 128 times the sum of each pixel's values, and more on
    /// cores that take both pixels at once.
    pub(super) start: [i32; COLUMNS],
    /// Where assembly leaves the sums of a block.
    #[cfg(not(any(dsp, helium)))]
    pub(super) sums: Sums,
}

/// Constants of no channel.
pub(super) const NOWHERE: (*const [u8; 4], *const [u8; 4], *const u8) =
    (core::ptr::null(), core::ptr::null(), core::ptr::null());

/// Taps of four channels that lie in a rectangle, of a kernel over its input or over padding.
#[repr(C)]
#[derive(Clone, Copy)]
pub(super) struct Taps {
    pub(super) values: *const i8,
    pub(super) weights: *const u8,
    /// From four channels to the next four of the values: four, or none over padding.
    pub(super) advance: usize,
    /// Rows, of which there are some.
    pub(super) rows: usize,
    /// Columns, of which there are some.
    pub(super) columns: usize,
    /// From a tap to the next of the values.
    pub(super) step: usize,
    /// From a tap to the next of the weights.
    pub(super) depth: usize,
    /// From the end of a row of the values to the next.
    pub(super) skip: usize,
    /// From the end of a row of weights to the next.
    pub(super) weight_skip: usize,
}

/// Values of padding that are there, as many as an assembly takes at once.
pub(super) const PADDING: usize = if cfg!(helium) { 16 } else { 4 };

/// The most rectangles that a kernel falls into here: inside, above or below, left or right. One that is larger than its input
/// on an axis, and hangs over on both sides and on the other axis, is left to the plain code.
pub(super) const RECTANGLES: usize = 3;

/// What the sums of a pixel need.
#[repr(C)]
pub(super) struct DepthwiseJob {
    pub(super) epilogue: Epilogue,
    pub(super) rectangles: usize,
    pub(super) groups: usize,
    /// For assembly that has no register left: how many groups there are to do.
    pub(super) left: usize,
    /// For the same: where the rectangles end.
    #[cfg(dsp)]
    pub(super) stop: usize,
    /// As many as there are rectangles; where there are none, `lines` has what it needs in their place.
    pub(super) taps: [MaybeUninit<Taps>; RECTANGLES],
}

/// Three taps of four channels, beside each other or below.
#[cfg(dsp)]
#[repr(C)]
#[derive(Clone, Copy)]
pub(super) struct Line {
    /// Of the first tap, after the last channel; over padding four values that serve for all.
    pub(super) values: *const i8,
    /// Of the first tap, after the last channel.
    pub(super) weights: *const u8,
    /// From a channel to the next of the values: one, or none over padding.
    pub(super) advance: usize,
    /// From a tap to the next of the values.
    pub(super) step: usize,
}

/// What pixels need whose windows have the same lines; constants and places are those after the last channel.
#[cfg(dsp)]
#[repr(C)]
pub(super) struct Lines {
    pub(super) epilogue: Epilogue,
    /// From a tap to the next of the weights.
    pub(super) weight_step: usize,
    pub(super) lines: [Line; 3],
    /// The first channel, counted from the end.
    pub(super) first: isize,
    /// From a pixel to the next in the output.
    pub(super) on: usize,
    /// From a pixel to the next of each line's values.
    pub(super) right: [usize; 3],
    pub(super) pixels: usize,
}

#[cfg(dsp)]
const _: () =
    assert!(size_of::<Lines>() <= size_of::<[Taps; RECTANGLES]>() && align_of::<Lines>() <= align_of::<Taps>());

// What the assembly has as numbers.
const _: () = {
    use core::mem::offset_of;
    assert!(
        offset_of!(Epilogue, places) == 16 && offset_of!(TileJob, weights) == 24 && offset_of!(TileJob, values) == 28
    );
    assert!(offset_of!(TileJob, taps) == 32 && offset_of!(TileJob, blocks) == 36 && offset_of!(TileJob, start) == 40);
    #[cfg(not(any(dsp, helium)))]
    assert!(offset_of!(TileJob, sums) == 48);
};
