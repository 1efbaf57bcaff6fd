//! The kernels: one operator a file, each over plain slices whose lengths a parsed model guarantees.
//!
//! All sums are exact in 32 bits, so their order is free: a kernel for a target may block and vectorise as it likes and
//! has to equal the plain one bit for bit. These are the plain ones; [`crate::Session`] calls kernels through this
//! module alone, so a faster one for a target is chosen here.

mod add;
mod average_pool;
mod concat;
mod convolution;
mod dense;
mod depthwise;
mod max_pool;
mod table;
mod window;

pub use add::add;
pub use average_pool::average_pool;
pub use concat::concat_part;
pub use convolution::convolution;
pub use dense::dense;
pub use depthwise::depthwise;
pub use max_pool::max_pool;
pub use table::table;

use attar_shared::{Clamp, Requantization, Shape};

/// A tensor that is read.
#[derive(Debug, Clone, Copy)]
pub struct View<'a> {
    /// The values, `[height, width, channels]`.
    pub values: &'a [i8],
    /// The shape.
    pub shape: Shape,
    /// The int8 that stands for zero.
    pub zero_point: i8,
}

/// A tensor that is written.
#[derive(Debug)]
pub struct ViewMut<'a> {
    /// The values, `[height, width, channels]`.
    pub values: &'a mut [i8],
    /// The shape.
    pub shape: Shape,
    /// The int8 that stands for zero.
    pub zero_point: i8,
    /// The range that the values are kept in.
    pub clamp: Clamp,
}

impl ViewMut<'_> {
    /// Returns what turns an accumulator into an output value.
    fn finish(&self) -> Finish {
        Finish { zero_point: i32::from(self.zero_point), clamp: self.clamp }
    }
}

/// The end of every sum: requantise, add the zero point, clamp.
#[derive(Clone, Copy)]
struct Finish {
    zero_point: i32,
    clamp: Clamp,
}

impl Finish {
    #[inline(always)]
    fn apply(self, accumulator: i32, requantization: Requantization) -> i8 {
        self.saturate(requantization.apply(accumulator).wrapping_add(self.zero_point))
    }

    #[inline(always)]
    fn saturate(self, value: i32) -> i8 {
        // Not Ord::clamp, which panics when the ends are swapped.
        value.max(i32::from(self.clamp.min)).min(i32::from(self.clamp.max)) as i8
    }
}

/// Channels that are summed side by side where a window slides over each channel by itself.
const BLOCK: usize = 16;

/// Returns the sum of the products of weights and values.
#[inline(always)]
fn dot(start: i32, weights: &[u8], values: &[i8]) -> i32 {
    weights.iter().zip(values).fold(start, |sum, (&w, &x)| sum.wrapping_add(i32::from(w.cast_signed()) * i32::from(x)))
}
