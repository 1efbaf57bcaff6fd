//! Input and output of an operator that is computed pixel by pixel, wherever they lie in the arena.

#[cfg(not(plain))]
use core::cell::Cell;
#[cfg(not(plain))]
use core::ops::Range;

use attar_shared::{AddConstants, Addend, Channels, Clamp, Requantization, Shape};

use super::{saturate, sum};

/// Where a tensor lies in the arena, and what a kernel has to know of it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place {
    /// Its first value in the arena.
    pub start: usize,
    /// Its shape, `[height, width, channels]`.
    pub shape: Shape,
    /// The int8 that stands for zero.
    pub zero_point: i8,
}

/// What an operator reads and writes that is computed pixel by pixel: its output may slide over its input, since a pixel is
/// written when nothing that a later pixel reads stands in its place any more.
#[derive(Debug)]
pub(crate) struct PixelContext<'a> {
    /// The arena without the scratch.
    pub arena: &'a mut [i8],
    /// Bytes of the arena in which no tensor is alive; as many as happen to be there.
    pub scratch: &'a mut [i8],
    /// The tensor that is read.
    pub input: Place,
    /// The tensor that is written.
    pub output: Place,
    /// The range that the output is kept in.
    pub clamp: Clamp,
    /// The addition that joined the operator, and its second input.
    pub addend: Option<(&'a Addend, Place)>,
}

impl<'a> PixelContext<'a> {
    /// Returns some values of the input.
    #[inline(always)]
    pub(super) fn values(&self, first: usize, len: usize) -> Option<&[i8]> {
        let start = self.input.start.wrapping_add(first);
        self.arena.get(start..start.wrapping_add(len))
    }

    /// Returns all values of the input.
    pub(super) fn all(&self) -> &[i8] {
        self.values(0, self.input.shape.len()).unwrap_or_else(|| unreachable_in_checked_model!())
    }

    /// Returns the output's pixels in the order in which they have to be computed.
    pub(super) fn pixels(&self) -> Pixels {
        let Shape { height, width, .. } = self.output.shape;
        let backwards = self.output.start > self.input.start;
        let (y, x) = if backwards { (height.wrapping_sub(1), width.wrapping_sub(1)) } else { (0, 0) };
        let count = self.output.shape.positions();
        let index = if backwards { count.wrapping_sub(1) } else { 0 };
        Pixels { left: count, backwards, width, next: Pixel { index, y, x } }
    }

    /// Returns the range that the results of the operator alone are kept in, and their zero point.
    #[inline(never)]
    pub(super) fn finish(&self) -> Finish<'a> {
        let own = (self.output.zero_point, self.clamp);
        let (zero_point, clamp) = self.addend.map_or(own, |(addend, _)| (addend.zero_point, addend.clamp));
        let sum = self.addend.map(|(addend, place)| Sum {
            constants: &addend.constants,
            clamp: self.clamp,
            // A vector is added at every pixel.
            start: place.start,
            step: if place.shape.is_vector() { 0 } else { usize::from(place.shape.channels) },
        });
        Finish { zero_point: i32::from(zero_point), clamp, sum }
    }

    /// Requantises the sums of N channels of a pixel, which lack the bias, makes the addition that joined the operator, if
    /// there is one, and writes.
    // Where a core has assembly, it does this by itself for most channels.
    #[cfg_attr(plain, inline(always))]
    #[cfg_attr(not(plain), inline(never))]
    pub(super) fn write_sums<const N: usize>(
        &mut self,
        finish: &Finish<'_>,
        channels: &Channels<'_>,
        pixel: Pixel,
        channel: usize,
        sums: &[i32; N],
    ) {
        let Some(constants) = channels.some::<N>(channel) else { unreachable_in_checked_model!(return) };
        let mut values = [0; N];
        for ((value, sum), (bias, requantization)) in values.iter_mut().zip(sums).zip(constants.iter()) {
            *value = finish.apply(sum.wrapping_add(bias), requantization);
        }
        if let Some(sum) = &finish.sum {
            sum.join(self.arena, pixel, channel, &mut values);
        }
        let start = self.place(pixel, channel);
        if let Some(places) = self.arena.get_mut(start..).and_then(|places| places.first_chunk_mut::<N>()) {
            *places = values;
        } else {
            unreachable_in_checked_model!()
        }
    }

    /// Returns where the first channels of a pixel of the output stand in the arena.
    #[cfg(not(plain))]
    #[inline(always)]
    pub(super) fn start_of(&self, pixel: Pixel, count: usize) -> Option<usize> {
        let start = self.place(pixel, 0);
        self.arena.get(start..start.wrapping_add(count)).map(|_| start)
    }

    /// Brings what assembly wrote to the first channels of a pixel into a clamp.
    #[cfg(not(plain))]
    pub(super) fn bring_into(&mut self, clamp: Clamp, pixel: Pixel, count: usize) {
        self.bring(clamp, self.place(pixel, 0), count);
    }

    /// As [`PixelContext::bring_into`], of all channels of a pixel and of those that follow it.
    #[cfg(not(plain))]
    pub(super) fn bring_all_into(&mut self, clamp: Clamp, pixel: Pixel, following: Following, pixels: usize) {
        let depth = usize::from(self.output.shape.channels);
        let mut start = self.place(pixel, 0);
        for _ in 0..pixels {
            self.bring(clamp, start, depth);
            start = start.wrapping_add(following.step(depth));
        }
    }

    /// Brings values of the arena into a clamp.
    #[cfg(not(plain))]
    #[inline(never)]
    fn bring(&mut self, clamp: Clamp, start: usize, count: usize) {
        let places =
            self.arena.get_mut(start..start.wrapping_add(count)).unwrap_or_else(|| unreachable_in_checked_model!());
        places.iter_mut().for_each(|place| *place = saturate((*place).into(), clamp));
    }

    /// Makes the addition that joined the operator for some channels of a pixel, from the results of the operator alone, and
    /// writes.
    #[cfg(not(plain))]
    #[inline(never)]
    pub(super) fn join(&mut self, pixel: Pixel, channel: usize, finish: &Finish<'_>, results: &[i8]) {
        let Some(joined) = &finish.sum else { unreachable_in_checked_model!(return) };
        let [own, second] = [self.place(pixel, channel), joined.place(pixel, channel)]
            .map(|start| start..start.wrapping_add(results.len()));
        // The second input stands in the place of the output, or apart from it.
        let arena = Cell::from_mut(&mut *self.arena).as_slice_of_cells();
        if let (Some(places), Some(others)) = (arena.get(own), arena.get(second)) {
            joined.add_to(results, finish.clamp, places, others);
        } else {
            unreachable_in_checked_model!()
        }
    }

    /// Writes a value of a pixel, for an operator that no addition joins.
    #[inline(always)]
    pub(super) fn write(&mut self, pixel: Pixel, channel: usize, value: i8) {
        let place = self.place(pixel, channel);
        if let Some(place) = self.arena.get_mut(place) {
            *place = value;
        } else {
            unreachable_in_checked_model!()
        }
    }

    #[inline(always)]
    fn place(&self, pixel: Pixel, channel: usize) -> usize {
        let depth = usize::from(self.output.shape.channels);
        self.output.start.wrapping_add(pixel.index.wrapping_mul(depth)).wrapping_add(channel)
    }
}

/// The end of every sum: requantise, add the zero point, clamp; and perhaps an addition.
#[derive(Clone, Copy)]
pub(super) struct Finish<'a> {
    pub(super) zero_point: i32,
    pub(super) clamp: Clamp,
    sum: Option<Sum<'a>>,
}

impl Finish<'_> {
    /// Returns whether the results of the operator alone are only brought into the range of int8.
    #[cfg(not(plain))]
    pub(super) fn saturates_alone(&self) -> bool {
        self.clamp == Clamp::ALL
    }

    /// Returns whether an addition joined the operator.
    #[cfg(not(plain))]
    pub(super) fn is_joined(&self) -> bool {
        self.sum.is_some()
    }

    #[inline(always)]
    pub(super) fn apply(&self, accumulator: i32, requantization: Requantization) -> i8 {
        // A clamp is never outside of int8, so that it may follow.
        #[cfg(not(plain))]
        return saturate(finish(accumulator, requantization, self.zero_point).into(), self.clamp);
        #[cfg(plain)]
        saturate(requantization.apply(accumulator).wrapping_add(self.zero_point), self.clamp)
    }
}

/// Requantises, adds the zero point, and saturates to int8.
#[cfg(not(plain))]
#[inline(always)]
pub(super) fn finish(accumulator: i32, requantization: Requantization, zero_point: i32) -> i8 {
    #[cfg(any(dsp, helium, thumb2, thumb1))]
    return super::saturating::finish(accumulator, requantization, zero_point);
    #[cfg(not(any(dsp, helium, thumb2, thumb1)))]
    saturate(requantization.apply(accumulator).wrapping_add(zero_point), Clamp::ALL)
}

/// An addition that joined an operator.
#[derive(Clone, Copy)]
struct Sum<'a> {
    constants: &'a AddConstants,
    clamp: Clamp,
    start: usize,
    step: usize,
}

impl Sum<'_> {
    /// Returns where the value that is added to a channel of a pixel stands.
    #[inline(always)]
    fn place(&self, pixel: Pixel, channel: usize) -> usize {
        self.start.wrapping_add(pixel.index.wrapping_mul(self.step)).wrapping_add(channel)
    }

    /// Adds the results of the operator alone, brought into a clamp, to values of the second input, and writes.
    #[cfg(not(plain))]
    #[inline(always)]
    fn add_to(&self, results: &[i8], clamp: Clamp, places: &[Cell<i8>], others: &[Cell<i8>]) {
        let (constants, own) = (*self.constants, self.clamp);
        let all = places.iter().zip(others).zip(results);
        if clamp == Clamp::ALL && own == Clamp::ALL {
            all.for_each(|((place, other), &result)| place.set(sum(result, other.get(), constants, Clamp::ALL)));
        } else {
            all.for_each(|((place, other), &result)| {
                place.set(sum(saturate(result.into(), clamp), other.get(), constants, own));
            });
        }
    }

    /// Adds the values of the second input.
    #[inline(never)]
    fn join(&self, arena: &[i8], pixel: Pixel, channel: usize, values: &mut [i8]) {
        let others = arena.get(self.place(pixel, channel)..).unwrap_or_else(|| unreachable_in_checked_model!());
        values
            .iter_mut()
            .zip(others)
            .for_each(|(value, &other)| *value = sum(*value, other, *self.constants, self.clamp));
    }
}

/// A pixel of an output.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pixel {
    /// Pixels before it.
    pub(super) index: usize,
    /// Its row.
    pub(super) y: u16,
    /// Its column.
    pub(super) x: u16,
}

impl Pixel {
    /// The one pixel of a vector.
    pub(super) const FIRST: Self = Self { index: 0, y: 0, x: 0 };
}

/// The pixels of an output in one of two orders.
#[derive(Debug)]
pub(super) struct Pixels {
    left: usize,
    backwards: bool,
    width: u16,
    next: Pixel,
}

/// How many pixels of a row follow one, and to which side.
#[cfg(not(plain))]
#[derive(Debug, Clone, Copy)]
pub(super) struct Following {
    pub(super) count: usize,
    backwards: bool,
}

#[cfg(not(plain))]
impl Following {
    /// None.
    #[cfg(dsp)]
    pub(super) const NONE: Self = Self { count: 0, backwards: false };

    /// Returns a step from a pixel to the next, from that to the right.
    #[inline(always)]
    pub(super) fn step(self, right: usize) -> usize {
        if self.backwards { right.wrapping_neg() } else { right }
    }
}

#[cfg(not(plain))]
impl Pixels {
    /// Returns how many pixels of a row follow one in a range of columns, if it is itself one of them.
    #[inline(always)]
    pub(super) fn following(&self, pixel: Pixel, columns: &Range<u16>) -> Option<Following> {
        if !columns.contains(&pixel.x) {
            return None;
        }
        let backwards = self.backwards;
        let count = if backwards {
            pixel.x.wrapping_sub(columns.start)
        } else {
            columns.end.wrapping_sub(pixel.x).wrapping_sub(1)
        };
        Some(Following { count: count.into(), backwards })
    }

    /// Passes over pixels, of which there are as many in this row.
    #[inline(always)]
    pub(super) fn pass(&mut self, count: usize) {
        let Some(before) = count.checked_sub(1) else { return };
        let Pixel { index, x, .. } = self.next;
        let by = before as u16;
        (self.next.index, self.next.x) = if self.backwards {
            (index.wrapping_sub(before), x.wrapping_sub(by))
        } else {
            (index.wrapping_add(before), x.wrapping_add(by))
        };
        self.left = self.left.wrapping_sub(before);
        self.next();
    }
}

impl Iterator for Pixels {
    type Item = Pixel;

    #[inline(always)]
    fn next(&mut self) -> Option<Pixel> {
        self.left = self.left.checked_sub(1)?;
        let pixel = self.next;
        if self.backwards {
            self.next.index = pixel.index.wrapping_sub(1);
            self.next.x = pixel.x.wrapping_sub(1);
            if pixel.x == 0 {
                (self.next.y, self.next.x) = (pixel.y.wrapping_sub(1), self.width.wrapping_sub(1));
            }
        } else {
            self.next.index = pixel.index.wrapping_add(1);
            self.next.x = pixel.x.wrapping_add(1);
            if self.next.x == self.width {
                (self.next.y, self.next.x) = (pixel.y.wrapping_add(1), 0);
            }
        }
        Some(pixel)
    }
}
