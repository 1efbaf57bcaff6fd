//! What surrounds the assembly of Cortex-M3, M0 and RV32IM: sums of a block, of a vector, of four channels.
#![allow(unsafe_code)]

use attar_shared::ROWS;

use super::matrix::{COLUMNS, Patch, Sums};
#[cfg(riscv)]
use super::riscv::{BYTES, block_sums, channel_sums, vector_sums};
#[cfg(thumb1)]
use super::thumb1::{BYTES, block_sums, channel_sums};
#[cfg(thumb2)]
use super::thumb2::{BYTES, block_sums, channel_sums, vector_sums};

/// Adds to the sums of a block the products of its weights with a patch.
#[inline(always)]
pub(super) fn block(weights: &[u8], patch: &Patch<'_>, sums: &mut Sums) {
    let taps = weights.len() / ROWS;
    if patch.bytes.len() / BYTES < taps {
        return;
    }
    let mut own: Sums = [[0; COLUMNS]; ROWS];
    // SAFETY: there are four weights for each tap, and a patch is aligned to words and holds every tap of both pixels.
    unsafe { block_sums(weights.as_ptr(), patch.bytes.as_ptr(), taps, &mut own) };
    patch.add_raised(sums, own);
}

/// Returns the sums of a block over a vector, whose values add up to `total`.
#[cfg(not(thumb1))]
#[inline(always)]
pub(super) fn block_of_vector(weights: &[u8], values: &[i8], total: i32) -> [i32; ROWS] {
    let mut sums = [0; ROWS];
    if weights.len() == values.len().wrapping_mul(ROWS) {
        // SAFETY: there are four weights for each value.
        unsafe { vector_sums(weights.as_ptr(), values.as_ptr(), values.len(), &mut sums) };
    }
    let [a, b, c, d] = sums;
    let raised = total.wrapping_shl(7);
    [a.wrapping_sub(raised), b, c.wrapping_sub(raised), d]
}

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
