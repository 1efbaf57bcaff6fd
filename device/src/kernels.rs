//! The kernels, over an arena whose places a parsed model guarantees.
//!
//! All sums are exact in 32 bits, so their order is free: a kernel for a core may block and vectorise as it likes and has to
//! equal the plain one bit for bit.
//!
//! # Which file computes what
//!
//! | operator | driver | sums of the portable build | sums of a core with assembly |
//! |---|---|---|---|
//! | convolution, dense, 8 bits | `convolution`, `dense`, `matrix` with `int8` | `portable` | `register_tile` and the core's file |
//! | convolution, dense, 4 bits | `convolution`, `dense`, `matrix` with `int4` | `int4` over `scalar` | the same |
//! | dense, row by row | `dense`, `dense_rows` | `scalar` | `register_tile` on `helium`, else `scalar` |
//! | depthwise convolution | `depthwise` | `depthwise` | `depthwise_tiles`, its `three_by_three` on `dsp`, and the core's file |
//! | pools | `average_pool`, `max_pool` | the same | the same |
//! | addition, multiplication | `add`, `multiply` over `pair` | the same | the same |
//! | the others | `bag`, `concat`, `delay`, `table`, `upsample` | the same | the same |
//!
//! | core | sums | layout of a patch | end of a sum |
//! |---|---|---|---|
//! | Cortex-M4, M7, M33 (`dsp`) | `dsp` | `dsp::patch`, halves | in the assembly; `saturating` for the channels left over |
//! | Cortex-M55, M85 (`helium`) | `helium` | `helium::patch`, bytes | likewise |
//! | Cortex-M3 (`thumb2`) | `thumb2` | `patch_words`, words of four bytes | `saturating` |
//! | Cortex-M0, M0+, M23 (`thumb1`) | `thumb1` | `thumb1`, both pixels in a word | `saturating` |
//! | RV32IM (`riscv`) | `riscv` | `patch_words` | `pixel_context` |
//! | all others (`plain`) | `portable` | `portable`, halves | `pixel_context` |
//!
//! Below every driver: `pixel_context` (input, output and the order of pixels), `window` (what a window shows), `layout`
//! (a patch: the values of a window, laid out for a kernel), `jobs` (what assembly reads). `layout` and `jobs` import no kernel.

mod add;
mod average_pool;
mod bag;
mod concat;
mod convolution;
mod delay;
mod dense;
mod dense_rows;
mod depthwise;
#[cfg(not(plain))]
mod depthwise_tiles;
#[cfg(dsp)]
mod dsp;
#[cfg(helium)]
mod helium;
mod int4;
mod int8;
#[cfg(not(plain))]
mod jobs;
mod layout;
mod matrix;
mod max_pool;
mod multiply;
mod pair;
#[cfg(any(thumb2, riscv))]
mod patch_words;
mod pixel_context;
#[cfg(plain)]
mod portable;
#[cfg(not(plain))]
mod register_tile;
#[cfg(riscv)]
mod riscv;
#[cfg(any(dsp, helium, thumb2, thumb1))]
mod saturating;
mod scalar;
mod table;
#[cfg(thumb1)]
mod thumb1;
#[cfg(thumb2)]
mod thumb2;
mod upsample;
mod window;

/// The kernels of the core that this is built for.
#[cfg(dsp)]
use dsp as target;
#[cfg(helium)]
use helium as target;
#[cfg(plain)]
use portable as target;
#[cfg(riscv)]
use riscv as target;
#[cfg(thumb1)]
use thumb1 as target;
#[cfg(thumb2)]
use thumb2 as target;

/// How that core lays out a patch.
#[cfg(any(thumb2, riscv))]
use patch_words as target_patch;
#[cfg(not(any(thumb2, riscv)))]
use target as target_patch;

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
pub(crate) use pixel_context::{PixelContext, Place};
pub(crate) use table::{table, table_over};
pub(crate) use upsample::upsample;

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
