//! Input and output of an operator that is computed pixel by pixel, wherever they lie in the arena.

use attar_shared::{AddConstants, Addend, Channels, Clamp, Requantization, Shape};

use super::sum;

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
pub(crate) struct Slide<'a> {
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
    pub addend: Option<(Addend, Place)>,
}

impl Slide<'_> {
    /// Returns some values of the input.
    #[inline(always)]
    pub(super) fn values(&self, first: usize, len: usize) -> Option<&[i8]> {
        let start = self.input.start.wrapping_add(first);
        self.arena.get(start..start.wrapping_add(len))
    }

    /// Returns whether input and output share no byte.
    pub(super) fn is_apart(&self) -> bool {
        let end = |place: &Place| place.start.wrapping_add(place.shape.len());
        end(&self.input) <= self.output.start || end(&self.output) <= self.input.start
    }

    /// Returns all values of the input.
    pub(super) fn all(&self) -> &[i8] {
        self.values(0, self.input.shape.len()).unwrap_or_default()
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
    pub(super) fn finish(&self) -> Finish {
        let own = (self.output.zero_point, self.clamp);
        let (zero_point, clamp) = self.addend.map_or(own, |(addend, _)| (addend.zero_point, addend.clamp));
        let sum = self.addend.map(|(addend, place)| Sum {
            constants: addend.constants,
            clamp: self.clamp,
            // A vector is added at every pixel.
            start: place.start,
            step: if place.shape.is_vector() { 0 } else { usize::from(place.shape.channels) },
        });
        Finish { zero_point: i32::from(zero_point), clamp, sum }
    }

    /// Requantises the sums of N channels of a pixel, which lack the bias, makes the addition that joined the operator, if
    /// there is one, and writes.
    #[inline(always)]
    pub(super) fn end<const N: usize>(
        &mut self,
        finish: &Finish,
        channels: &Channels<'_>,
        pixel: Pixel,
        channel: usize,
        sums: &[i32; N],
    ) {
        let Some(constants) = channels.some::<N>(channel) else { return };
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
        }
    }

    /// Returns where the first `count` channels of a pixel of the output stand in the arena.
    #[cfg(dsp)]
    #[inline(always)]
    pub(super) fn start_of(&self, pixel: Pixel, count: usize) -> Option<usize> {
        let start = self.place(pixel, 0);
        self.arena.get(start..start.wrapping_add(count)).map(|_| start)
    }

    /// Writes the first channels of a pixel from the results of the operator alone, once the addition has been made.
    #[cfg(dsp)]
    pub(super) fn join(&mut self, pixel: Pixel, finish: &Finish, results: &[i8]) {
        let Some(joined) = &finish.sum else { return };
        let place = self.place(pixel, 0);
        let other = joined.start.wrapping_add(pixel.index.wrapping_mul(joined.step));
        let (constants, clamp) = (joined.constants, joined.clamp);
        let ends = [place, other].map(|start| start..start.wrapping_add(results.len()));
        if let Ok([places, others]) = self.arena.get_disjoint_mut(ends) {
            for ((place, other), &result) in places.iter_mut().zip(others).zip(results) {
                *place = sum(result, *other, constants, clamp);
            }
        } else if let Some(places) = self.arena.get_mut(place..place.wrapping_add(results.len())) {
            // The second input stands in the place of the output.
            places.iter_mut().zip(results).for_each(|(place, &result)| *place = sum(result, *place, constants, clamp));
        }
    }

    /// Writes values of a pixel from a channel on, for an operator that no addition joins.
    #[inline(always)]
    pub(super) fn write_some(&mut self, pixel: Pixel, channel: usize, values: &[i8]) {
        let start = self.place(pixel, channel);
        let places = self.arena.get_mut(start..start.wrapping_add(values.len())).unwrap_or_default();
        places.iter_mut().zip(values).for_each(|(place, &value)| *place = value);
    }

    #[inline(always)]
    fn place(&self, pixel: Pixel, channel: usize) -> usize {
        let depth = usize::from(self.output.shape.channels);
        self.output.start.wrapping_add(pixel.index.wrapping_mul(depth)).wrapping_add(channel)
    }
}

/// The end of every sum: requantise, add the zero point, clamp; and perhaps an addition.
#[derive(Clone, Copy)]
pub(super) struct Finish {
    pub(super) zero_point: i32,
    pub(super) clamp: Clamp,
    sum: Option<Sum>,
}

impl Finish {
    /// Returns whether the results of the operator alone are only brought into the range of int8.
    #[cfg(dsp)]
    pub(super) fn saturates_alone(&self) -> bool {
        self.clamp == Clamp::ALL
    }

    /// Returns whether an addition joined the operator.
    #[cfg(dsp)]
    pub(super) fn is_joined(&self) -> bool {
        self.sum.is_some()
    }

    #[inline(always)]
    pub(super) fn apply(&self, accumulator: i32, requantization: Requantization) -> i8 {
        #[cfg(any(dsp, thumb2))]
        return super::saturating::finish(accumulator, requantization, self.zero_point, self.clamp);
        #[cfg(not(any(dsp, thumb2)))]
        super::saturate(requantization.apply(accumulator).wrapping_add(self.zero_point), self.clamp)
    }
}

/// An addition that joined an operator.
#[derive(Clone, Copy)]
struct Sum {
    constants: AddConstants,
    clamp: Clamp,
    start: usize,
    step: usize,
}

impl Sum {
    /// Adds the values of the second input.
    #[inline(never)]
    fn join(&self, arena: &[i8], pixel: Pixel, channel: usize, values: &mut [i8]) {
        let start = self.start.wrapping_add(pixel.index.wrapping_mul(self.step)).wrapping_add(channel);
        let others = arena.get(start..).unwrap_or_default();
        values
            .iter_mut()
            .zip(others)
            .for_each(|(value, &other)| *value = sum(*value, other, self.constants, self.clamp));
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

/// The pixels of an output in one of two orders.
#[derive(Debug)]
pub(super) struct Pixels {
    left: usize,
    backwards: bool,
    width: u16,
    next: Pixel,
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
