//! The kernels: one operator a file, over an arena whose places a parsed model guarantees.
//!
//! All sums are exact in 32 bits, so their order is free: a kernel for a core may block and vectorise as it likes and has to
//! equal the plain one bit for bit. Convolution and dense share one driver, [`matrix`]; what differs from core to core are
//! the sums of a block of weights, in [`eight`].

mod add;
mod average_pool;
mod bag;
#[cfg(not(plain))]
mod blocks;
mod concat;
mod convolution;
mod delay;
mod dense;
mod depthwise;
#[cfg(dsp)]
mod dsp;
mod eight;
mod four;
#[cfg(any(thumb2, riscv))]
mod fours;
#[cfg(not(plain))]
mod groups;
#[cfg(helium)]
mod helium;
mod matrix;
mod max_pool;
mod multiply;
mod pair;
mod plain;
#[cfg(riscv)]
mod riscv;
mod rows;
#[cfg(any(dsp, helium, thumb2, thumb1))]
mod saturating;
mod slide;
mod table;
#[cfg(thumb1)]
mod thumb1;
#[cfg(thumb2)]
mod thumb2;
#[cfg(plain)]
mod wide;
mod window;

pub(crate) use add::add;
pub(crate) use average_pool::average_pool;
pub(crate) use bag::bag;
pub(crate) use concat::concat_part;
pub(crate) use convolution::convolution;
pub(crate) use delay::delay;
pub(crate) use dense::dense;
pub(crate) use depthwise::depthwise;
pub(crate) use max_pool::max_pool;
pub(crate) use multiply::multiply;
pub(crate) use pair::Pair;
pub(crate) use slide::{Place, Slide};
pub(crate) use table::{table, table_over};

use attar_shared::{AddConstants, Clamp, Requantization, Shape};

/// A tensor that is read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct View<'a> {
    /// The values, `[height, width, channels]`.
    pub values: &'a [i8],
    /// The shape.
    pub shape: Shape,
}

/// A tensor that is written.
#[derive(Debug)]
pub(crate) struct ViewMut<'a> {
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
    fn finish(&self) -> impl Fn(i32, Requantization) -> i8 + use<> {
        let (zero_point, clamp) = (i32::from(self.zero_point), self.clamp);
        move |accumulator, factor| saturate(factor.apply(accumulator).wrapping_add(zero_point), clamp)
    }
}

/// Returns `(a * a_multiplier + b * b_multiplier + bias) >> shift`, clamped.
#[inline(always)]
fn sum(a: i8, b: i8, constants: AddConstants, clamp: Clamp) -> i8 {
    let sum = i32::from(a)
        .wrapping_mul(constants.a_multiplier)
        .wrapping_add(i32::from(b).wrapping_mul(constants.b_multiplier))
        .wrapping_add(constants.bias);
    saturate(sum >> (constants.shift & 31), clamp)
}

#[inline(always)]
fn saturate(value: i32, clamp: Clamp) -> i8 {
    // Not Ord::clamp, which panics when the ends are swapped.
    value.max(i32::from(clamp.min)).min(i32::from(clamp.max)) as i8
}
