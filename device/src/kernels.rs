//! The kernels: one operator a file, each over plain slices whose lengths a parsed model guarantees.
//!
//! All sums are exact in 32 bits, so their order is free: a kernel for a target may block and vectorise as it likes and
//! has to equal the plain one bit for bit. These are the plain ones; [`crate::Session`] calls kernels through this
//! module alone, so a faster one for a target is chosen here.

mod add;
mod average_pool;
mod bag;
mod concat;
mod convolution;
mod delay;
mod dense;
mod depthwise;
mod max_pool;
mod multiply;
mod pair;
mod table;
mod window;

pub use add::add;
pub use average_pool::average_pool;
pub use bag::bag;
pub use concat::concat_part;
pub use convolution::convolution;
pub use delay::delay;
pub use dense::dense;
pub use depthwise::depthwise;
pub use max_pool::max_pool;
pub use multiply::multiply;
pub use pair::Pair;
pub use table::{table, table_over};

use core::ops::Range;

use attar_shared::{AddConstants, Addend, Clamp, Requantization, Shape, nibbles};

/// A tensor that is read, or what is left of it while an output is written over it.
#[derive(Debug, Clone, Copy)]
pub struct View<'a> {
    /// The values, `[height, width, channels]`, from the first that is left.
    pub values: &'a [i8],
    /// How many values before them are gone.
    pub skipped: usize,
    /// The shape.
    pub shape: Shape,
    /// The int8 that stands for zero.
    pub zero_point: i8,
}

/// A tensor that is written, or some of its pixels.
#[derive(Debug)]
pub struct ViewMut<'a> {
    /// The values, `[height, width, channels]`, from the first pixel that is to be written.
    pub values: &'a mut [i8],
    /// How many pixels stand before them.
    pub first: usize,
    /// The shape.
    pub shape: Shape,
    /// The int8 that stands for zero.
    pub zero_point: i8,
    /// The range that the values are kept in.
    pub clamp: Clamp,
    /// The addition that joined dense, convolution or depthwise; the values then hold its second input.
    pub addend: Option<Addend>,
}

impl<'a> View<'a> {
    /// Returns some values by their place in the whole tensor.
    #[inline(always)]
    fn get(&self, start: usize, len: usize) -> Option<&'a [i8]> {
        let start = start.checked_sub(self.skipped)?;
        self.values.get(start..start.wrapping_add(len))
    }
}

impl ViewMut<'_> {
    /// Returns the pixels that are to be written, each with its row and column.
    #[inline(always)]
    fn pixels(&mut self) -> impl Iterator<Item = (u16, u16, &mut [i8])> {
        let width = usize::from(self.shape.width).max(1);
        let (mut y, mut x) = if self.first == 0 { (0, 0) } else { (self.first / width, self.first % width) };
        self.values.chunks_exact_mut(usize::from(self.shape.channels).max(1)).map(move |pixel| {
            let at = (y as u16, x as u16);
            x += 1;
            if x == width {
                (y, x) = (y.wrapping_add(1), 0);
            }
            (at.0, at.1, pixel)
        })
    }

    /// Returns what turns an accumulator into an output value.
    fn finish(&self) -> Finish {
        let own = (self.zero_point, self.clamp);
        let (zero_point, clamp) = self.addend.map_or(own, |addend| (addend.zero_point, addend.clamp));
        let sum = self.addend.map(|addend| (addend.constants, self.clamp));
        Finish { zero_point: i32::from(zero_point), clamp, sum }
    }
}

/// The end of every sum: requantise, add the zero point, clamp; and perhaps an addition to what stands in the place.
#[derive(Clone, Copy)]
struct Finish {
    zero_point: i32,
    clamp: Clamp,
    sum: Option<(AddConstants, Clamp)>,
}

impl Finish {
    #[inline(always)]
    fn apply(self, accumulator: i32, requantization: Requantization) -> i8 {
        saturate(requantization.apply(accumulator).wrapping_add(self.zero_point), self.clamp)
    }

    /// Writes the answer to its place, which holds what is to be added to it, if anything is.
    #[inline(always)]
    fn put(self, place: &mut i8, accumulator: i32, requantization: Requantization) {
        let value = self.apply(accumulator, requantization);
        *place = match self.sum {
            None => value,
            Some((constants, clamp)) => sum(value, *place, constants, clamp),
        };
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

/// Channels that are summed side by side where a window slides over each channel by itself.
const BLOCK: usize = 16;

/// Output channels that are summed side by side, so that each value is read once for all of them.
const ROWS: usize = 4;

/// Weights of one output channel, of any width, by their place in the channel; or of [`ROWS`] of them.
trait Row: Copy {
    /// A sum for each channel.
    type Sums: Copy;

    /// Adds the products of the weights from `first` on with values.
    fn dot(self, sums: Self::Sums, first: usize, values: &[i8]) -> Self::Sums;

    /// Adds the products of some weights with the zero point, as which padding counts.
    fn padded(self, sums: Self::Sums, places: Range<usize>, zero_point: i8) -> Self::Sums;
}

impl Row for [Eight<'_>; ROWS] {
    type Sums = [i32; ROWS];

    #[inline(always)]
    fn dot(self, sums: Self::Sums, first: usize, values: &[i8]) -> Self::Sums {
        let [a, b, c, d] = self.map(|row| row.0.get(first..first.wrapping_add(values.len())).unwrap_or(&[]));
        let weights = a.iter().zip(b).zip(c.iter().zip(d));
        values.iter().zip(weights).fold(sums, |[p, q, r, s], (&x, ((&a, &b), (&c, &d)))| {
            [
                add_product(p, a.cast_signed(), x),
                add_product(q, b.cast_signed(), x),
                add_product(r, c.cast_signed(), x),
                add_product(s, d.cast_signed(), x),
            ]
        })
    }

    #[inline(always)]
    fn padded(self, sums: Self::Sums, places: Range<usize>, zero_point: i8) -> Self::Sums {
        each(self, sums, |row, sum| row.padded(sum, places.clone(), zero_point))
    }
}

impl Row for [Four<'_>; ROWS] {
    type Sums = [i32; ROWS];

    #[inline(always)]
    fn dot(self, sums: Self::Sums, first: usize, values: &[i8]) -> Self::Sums {
        each(self, sums, |row, sum| row.dot(sum, first, values))
    }

    #[inline(always)]
    fn padded(self, sums: Self::Sums, places: Range<usize>, zero_point: i8) -> Self::Sums {
        each(self, sums, |row, sum| row.padded(sum, places.clone(), zero_point))
    }
}

#[inline(always)]
fn each<R: Copy>(rows: [R; ROWS], sums: [i32; ROWS], add: impl Fn(R, i32) -> i32) -> [i32; ROWS] {
    let [a, b, c, d] = rows;
    let [p, q, r, s] = sums;
    [add(a, p), add(b, q), add(c, r), add(d, s)]
}

/// Splits values that are to be computed into those that go [`ROWS`] at a time, and those that go one by one: all of them where
/// a block does not fit the registers.
#[inline(always)]
fn blocks(values: &mut [i8]) -> (impl Iterator<Item = &mut [i8; ROWS]>, &mut [i8]) {
    let whole = if cfg!(few_registers) { 0 } else { values.len() / ROWS * ROWS };
    let (whole, rest) = values.split_at_mut_checked(whole).unwrap_or_default();
    (whole.as_chunks_mut::<ROWS>().0.iter_mut(), rest)
}

/// Returns the next [`ROWS`] of some.
#[inline(always)]
fn block<T>(mut of: impl Iterator<Item = T>) -> Option<[T; ROWS]> {
    Some([of.next()?, of.next()?, of.next()?, of.next()?])
}

/// Weights of 8 bits.
#[derive(Clone, Copy)]
struct Eight<'a>(&'a [u8]);

impl Row for Eight<'_> {
    type Sums = i32;

    #[inline(always)]
    fn dot(self, sum: i32, first: usize, values: &[i8]) -> i32 {
        let weights = self.0.get(first..first.wrapping_add(values.len())).unwrap_or(&[]);
        let ((weights, weights_left), (values, values_left)) = (weights.as_chunks::<4>(), values.as_chunks::<4>());
        let sum = weights.iter().zip(values).fold(sum, |sum, (&[w0, w1, w2, w3], &[x0, x1, x2, x3])| {
            let sum = add_product(add_product(sum, w0.cast_signed(), x0), w1.cast_signed(), x1);
            add_product(add_product(sum, w2.cast_signed(), x2), w3.cast_signed(), x3)
        });
        weights_left.iter().zip(values_left).fold(sum, |sum, (&w, &x)| add_product(sum, w.cast_signed(), x))
    }

    #[inline(always)]
    fn padded(self, sum: i32, places: Range<usize>, zero_point: i8) -> i32 {
        let weights = self.0.get(places).unwrap_or(&[]);
        weights.iter().fold(sum, |sum, &w| add_product(sum, w.cast_signed(), zero_point))
    }
}

/// Weights of 4 bits, two in a byte.
#[derive(Clone, Copy)]
struct Four<'a>(&'a [u8]);

impl Row for Four<'_> {
    type Sums = i32;

    #[inline(always)]
    fn dot(self, mut sum: i32, first: usize, values: &[i8]) -> i32 {
        let mut bytes = self.0.get(first / 2..).unwrap_or(&[]).iter();
        let mut values = values;
        if first % 2 == 1
            && let (Some(&byte), Some((&value, rest))) = (bytes.next(), values.split_first())
        {
            sum = add_product(sum, nibbles(byte).1, value);
            values = rest;
        }
        let mut pairs = values.chunks_exact(2);
        for (pair, &byte) in (&mut pairs).zip(&mut bytes) {
            let (low, high) = nibbles(byte);
            if let [a, b] = *pair {
                sum = add_product(add_product(sum, low, a), high, b);
            }
        }
        match (pairs.remainder().first(), bytes.next()) {
            (Some(&value), Some(&byte)) => add_product(sum, nibbles(byte).0, value),
            _ => sum,
        }
    }

    #[inline(always)]
    fn padded(self, sum: i32, places: Range<usize>, zero_point: i8) -> i32 {
        places.fold(sum, |sum, place| {
            let (low, high) = nibbles(self.0.get(place / 2).copied().unwrap_or(0));
            add_product(sum, if place % 2 == 0 { low } else { high }, zero_point)
        })
    }
}

#[inline(always)]
fn add_product(sum: i32, weight: i8, value: i8) -> i32 {
    sum.wrapping_add(i32::from(weight) * i32::from(value))
}
