//! How a driver hands the input over to the kernels of a core. Types only, so that a core's kernels need no driver.

use attar_shared::internal::ROWS;

/// Pixels that are computed side by side, so that each weight is read once for both.
pub(super) const COLUMNS: usize = 2;

/// Sums of a block of output channels, each at every pixel.
pub(super) type Sums = [[i32; COLUMNS]; ROWS];

/// Values that a window shows one after the other.
#[derive(Clone, Copy)]
pub(super) enum WindowRun<'a> {
    /// Values of the input.
    Values(&'a [i8]),
    /// Padding: the same value `len` times.
    Padding {
        /// The number of values.
        len: usize,
        /// The zero point of the input.
        value: i8,
    },
}

/// What a window shows at two pixels, laid out for a kernel.
pub(super) struct Patch<'a> {
    /// The values, in the order of the kernel that reads them; on a board aligned to four bytes.
    pub(super) bytes: &'a mut [i8],
    /// The sum of each pixel's values.
    pub(super) totals: [i32; COLUMNS],
    /// How many values of the first pixel are below zero.
    #[cfg(thumb1)]
    pub(super) negatives: i32,
}

impl Patch<'_> {
    /// Forgets what has been counted of the pixels before.
    #[inline(always)]
    pub(super) fn clear(&mut self) {
        self.totals = [0; COLUMNS];
        #[cfg(thumb1)]
        (self.negatives = 0);
    }

    /// Adds to the sum of a pixel's values.
    #[inline(always)]
    pub(super) fn add_total(&mut self, column: usize, total: i32) {
        if let Some(sum) = self.totals.get_mut(column) {
            *sum = sum.wrapping_add(total);
        } else {
            unreachable_in_checked_model!()
        }
    }
}
