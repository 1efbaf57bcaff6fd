//! Four channels of a depthwise convolution side by side, on cores whose assembly does no more than that.
#![allow(unsafe_code)]

#[cfg(riscv)]
use super::riscv::channel_sums;
#[cfg(thumb1)]
use super::thumb1::channel_sums;
#[cfg(thumb2)]
use super::thumb2::channel_sums;

/// Where the taps of a depthwise convolution lie.
#[repr(C)]
pub(super) struct Taps {
    /// From the end of a row of the values to the next.
    pub(super) skip: usize,
    /// From the end of a row of weights to the next.
    pub(super) weight_skip: usize,
    /// Rows.
    pub(super) rows: usize,
    /// Columns.
    pub(super) columns: usize,
    /// From a tap to the next.
    pub(super) depth: usize,
}

/// Returns the sums of four channels over a rectangle of taps; `values` and `weights` begin with the first tap's.
#[inline(always)]
pub(super) fn four_channels(values: &[i8], weights: &[u8], taps: &Taps) -> [i32; 4] {
    let mut sums = [0; 4];
    let reach = |skip: usize| {
        let row = taps.columns.wrapping_mul(taps.depth).wrapping_add(skip);
        let before = taps.rows.wrapping_sub(1).wrapping_mul(row);
        before.wrapping_add(taps.columns.wrapping_sub(1).wrapping_mul(taps.depth)).wrapping_add(4)
    };
    let some = taps.rows > 0 && taps.columns > 0;
    if some && values.len() >= reach(taps.skip) && weights.len() >= reach(taps.weight_skip) {
        // SAFETY: there is a first tap, and the last lies within both.
        unsafe { channel_sums(values.as_ptr(), weights.as_ptr(), taps, &mut sums) };
    }
    sums
}
