//! Weights: those of each output channel, and the constants that turn its sums into int8.

use crate::bytes::{Cursor, I32s, padding};
use crate::kind::{Form, Kind};
use crate::requantization::Requantization;
use crate::{Defect, parts};

/// Weights with the constants of each output channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Channels<'a> {
    /// What an accumulator starts from; the input's zero point is folded in.
    pub biases: I32s<'a>,
    /// [`Requantization::multiplier`] for each channel.
    pub multipliers: I32s<'a>,
    /// [`Requantization::shift`] for each channel.
    pub shifts: &'a [u8],
    /// The weights, row by row.
    pub weights: Weights<'a>,
}

/// Weights as they stand in the file: a row for each output channel of dense and convolution, one row of depthwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Weights<'a> {
    /// A byte each: those of dense and convolution in the order of [`order`], those of depthwise in their own.
    Eight(&'a [u8]),
    /// Two in a byte, from -8 to 7, the first in the low half; every row begins with a new byte.
    Four(&'a [u8]),
    /// A byte each, those of a dense layer row by row in two's complement, for cores that take many taps of a row at once.
    Rows(&'a [u8]),
}

impl Weights<'_> {
    /// Returns how many bits a weight takes.
    pub fn bits(self) -> u32 {
        match self {
            Self::Eight(_) | Self::Rows(_) => 8,
            Self::Four(_) => 4,
        }
    }

    /// Returns the bytes of a row of `len` weights.
    pub fn row_bytes(self, len: usize) -> usize {
        match self {
            Self::Eight(_) | Self::Rows(_) => len,
            Self::Four(_) => len.div_ceil(2),
        }
    }
}

impl<'a> Weights<'a> {
    /// Returns them as they stand in the file.
    pub fn bytes(self) -> &'a [u8] {
        let (Self::Eight(bytes) | Self::Four(bytes) | Self::Rows(bytes)) = self;
        bytes
    }
}

/// Output channels whose 8-bit weights stand side by side, so that a value is read once for all of them.
pub const ROWS: usize = 4;

/// Taps of a block that stand together.
const TAPS: usize = 4;

/// Row and tap of each byte among four taps of four rows: an i16 of two rows for each tap, the even taps first, as a core
/// with multiplications of two halves takes them.
#[rustfmt::skip]
const GROUP: [(usize, usize); ROWS * TAPS] = [
    (0, 0), (1, 0), (0, 2), (1, 2), (2, 0), (3, 0), (2, 2), (3, 2),
    (0, 1), (1, 1), (0, 3), (1, 3), (2, 1), (3, 1), (2, 3), (3, 3),
];

/// Where a byte of the 8-bit weights of dense and convolution comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Origin {
    /// The output channel.
    pub row: usize,
    /// The place in its row.
    pub tap: usize,
    /// Whether 128 is added: of two rows that share an i16, to the first, whose byte then counts from 0 to 255.
    pub raised: bool,
}

impl Origin {
    /// Returns the byte of a weight, or the weight of a byte.
    pub const fn convert(self, byte: u8) -> u8 {
        if self.raised { byte ^ 0x80 } else { byte }
    }
}

/// Returns the order in which 8-bit weights of dense and convolution stand in the file.
///
/// Rows stand in blocks of [`ROWS`]. In a block four taps are followed by the next four; taps that are left over stand one
/// after the other, four rows each. Rows that are left over stand one after the other, each from its first tap to its last.
pub fn order(rows: usize, taps: usize) -> impl Iterator<Item = Origin> {
    let (whole_rows, whole_taps) = (rows / ROWS * ROWS, taps / TAPS * TAPS);
    let blocks = (0..whole_rows).step_by(ROWS).flat_map(move |first| {
        let groups = (0..whole_taps).step_by(TAPS).flat_map(|tap| GROUP.iter().map(move |&(r, t)| (r, tap + t)));
        let left = (whole_taps..taps).flat_map(|tap| (0..ROWS).map(move |row| (row, tap)));
        groups.chain(left).map(move |(row, tap)| Origin { row: first + row, tap, raised: row % 2 == 0 })
    });
    let left = (whole_rows..rows).flat_map(move |row| (0..taps).map(move |tap| Origin { row, tap, raised: false }));
    blocks.chain(left)
}

/// Returns both weights in a byte, that of the low half first.
#[inline(always)]
pub const fn nibbles(byte: u8) -> (i8, i8) {
    ((byte << 4).cast_signed() >> 4, byte.cast_signed() >> 4)
}

/// The constants of N channels that follow each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Constants<'a, const N: usize> {
    biases: &'a [[u8; 4]; N],
    multipliers: &'a [[u8; 4]; N],
    shifts: &'a [u8; N],
}

impl<const N: usize> Constants<'_, N> {
    /// Returns bias and requantisation of each channel.
    #[inline(always)]
    pub fn iter(&self) -> impl Iterator<Item = (i32, Requantization)> {
        let words = self.biases.iter().zip(self.multipliers);
        words.zip(self.shifts).map(|((&bias, &multiplier), &shift)| {
            (i32::from_le_bytes(bias), Requantization { multiplier: i32::from_le_bytes(multiplier), shift })
        })
    }
}

impl<'a> Channels<'a> {
    /// No channel.
    pub(crate) const NONE: Self =
        Self { biases: I32s(&[]), multipliers: I32s(&[]), shifts: &[], weights: Weights::Eight(&[]) };

    /// Returns the constants of N channels from the first on, if there are so many.
    #[inline(always)]
    pub fn some<const N: usize>(&self, first: usize) -> Option<Constants<'a, N>> {
        let [biases, multipliers] = [self.biases, self.multipliers].map(|words| words.0.get(first..));
        Some(Constants {
            biases: biases?.first_chunk()?,
            multipliers: multipliers?.first_chunk()?,
            shifts: self.shifts.get(first..)?.first_chunk()?,
        })
    }

    /// Returns where the biases, multipliers and shifts of so many channels from one on stand, if there are so many.
    #[inline(always)]
    pub fn pointers(&self, first: usize, count: usize) -> Option<(*const [u8; 4], *const [u8; 4], *const u8)> {
        let some = first..first.wrapping_add(count);
        let [biases, multipliers] =
            [self.biases, self.multipliers].map(|words| words.0.get(some.clone()).map(<[_]>::as_ptr));
        Some((biases?, multipliers?, self.shifts.get(some)?.as_ptr()))
    }

    /// Returns bias and requantisation of a channel.
    pub fn at(&self, channel: usize) -> Option<(i32, Requantization)> {
        self.some::<1>(channel)?.iter().next()
    }

    /// Returns bias and requantisation of each channel in turn.
    pub fn constants(self) -> impl Iterator<Item = (i32, Requantization)> + 'a {
        self.biases
            .iter()
            .zip(self.multipliers.iter())
            .zip(self.shifts)
            .map(|((bias, multiplier), &shift)| (bias, Requantization { multiplier, shift }))
    }

    /// Reads constants and weights into their place: a result that holds them would be copied byte by byte.
    #[inline(always)]
    pub(crate) fn decode(
        &mut self,
        cursor: &mut Cursor<'a>,
        outputs: usize,
        bytes: usize,
        form: impl FnOnce(&'a [u8]) -> Weights<'a>,
    ) -> Result<(), Defect> {
        self.biases = cursor.i32s(outputs)?;
        self.multipliers = cursor.i32s(outputs)?;
        self.shifts = cursor.take(outputs)?;
        cursor.zeros(padding(outputs))?;
        let values = cursor.take(bytes)?;
        cursor.zeros(padding(bytes))?;
        self.weights = form(values);
        Ok(())
    }

    /// Checks each output channel of a kind whose rows hold `len` weights.
    #[inline(always)]
    pub(crate) fn check_form<const PARTS: u128>(&self, kind: Kind, len: usize) -> Result<(), Defect> {
        match self.weights {
            Weights::Four(_) if parts::has_form(PARTS, kind, Form::Int4) => self.check_nibbles(len),
            _ => self.check_rows(len, parts::has_form_of_any(PARTS, Form::Int8Rows)),
        }
    }

    /// Checks each output channel of weights whose rows hold `len` of them.
    #[inline(never)]
    fn check_rows(&self, len: usize, has_rows: bool) -> Result<(), Defect> {
        let (mut rest, in_blocks) = match self.weights {
            Weights::Eight(bytes) => (bytes, true),
            Weights::Rows(bytes) if has_rows => (bytes, false),
            _ => return Err(Defect::Kind),
        };
        let mut channel = 0;
        while channel < self.shifts.len() {
            // What does not fill a block stands a row at a time.
            let rows = if !in_blocks || self.shifts.len() - channel < ROWS { 1 } else { ROWS };
            let taken = rest.split_at_checked(len.wrapping_mul(rows)).ok_or(Defect::Truncated)?;
            check_least(taken.0, rows != 1)?;
            let sums = if rows == 1 { [magnitude(taken.0, 1), 0, 0, 0] } else { magnitudes(taken.0) };
            sums.iter().take(rows).zip(channel..).try_for_each(|(&sum, channel)| self.check(channel, sum))?;
            (rest, channel) = (taken.1, channel + rows);
        }
        Ok(())
    }

    /// As [`Channels::check_rows`], for weights of 4 bits.
    #[inline(never)]
    fn check_nibbles(&self, len: usize) -> Result<(), Defect> {
        let Weights::Four(bytes) = self.weights else { return Err(Defect::Kind) };
        let mut rest = bytes;
        for channel in 0..self.shifts.len() {
            let (row, more) = rest.split_at_checked(len.div_ceil(2)).ok_or(Defect::Truncated)?;
            if !len.is_multiple_of(2) && row.last().is_some_and(|byte| byte >> 4 != 0) {
                return Err(Defect::Padding);
            }
            let pairs = row.iter().map(|&byte| nibbles(byte));
            self.check(channel, pairs.fold(0, |sum, (a, b)| add_magnitude(add_magnitude(sum, a), b)))?;
            rest = more;
        }
        Ok(())
    }

    /// Checks each channel of depthwise weights, tap after tap.
    #[inline(never)]
    pub(crate) fn check_columns(&self, count: usize) -> Result<(), Defect> {
        let Weights::Eight(bytes) = self.weights else { return Err(Defect::Kind) };
        check_least(bytes, false)?;
        let column = |channel| magnitude(bytes.get(channel..).unwrap_or_default(), count);
        (0..count).try_for_each(|channel| self.check(channel, column(channel)))
    }

    /// Checks that no input can overflow the accumulator of a channel, which has weights of this magnitude in all:
    /// `|bias| + 128 * sum |w|` has to fit 31 bits.
    #[inline(never)]
    fn check(&self, channel: usize, sum: u32) -> Result<(), Defect> {
        let (bias, requantization) = self.at(channel).ok_or(Defect::Truncated)?;
        requantization.check()?;
        let bound = bias.unsigned_abs().saturating_add(sum.saturating_mul(128));
        if bound > i32::MAX as u32 { Err(Defect::Overflow) } else { Ok(()) }
    }
}

fn add_magnitude(sum: u32, weight: i8) -> u32 {
    sum.saturating_add(u32::from(weight.unsigned_abs()))
}

/// Checks that no weight is -128; in a block every other byte is raised by 128.
#[inline(never)]
fn check_least(weights: &[u8], is_block: bool) -> Result<(), Defect> {
    let mut least = if is_block { 0 } else { 0x80 };
    for &byte in weights {
        if byte == least {
            return Err(Defect::Weight);
        }
        least ^= if is_block { 0x80 } else { 0 };
    }
    Ok(())
}

/// Returns the sum of the magnitudes of weights that stand so many bytes apart.
fn magnitude(weights: &[u8], step: usize) -> u32 {
    weights.iter().step_by(step).fold(0, |sum, weight| add_magnitude(sum, weight.cast_signed()))
}

/// Returns the sums of the magnitudes of a block's rows.
fn magnitudes(block: &[u8]) -> [u32; ROWS] {
    let of_raised = |byte: u8| (byte ^ 0x80).cast_signed();
    let [mut p, mut q, mut r, mut s] = [0; ROWS];
    let grouped = block.len() / (ROWS * TAPS) * (ROWS * TAPS);
    let (groups, left) = block.split_at_checked(grouped).unwrap_or_default();
    // Two taps of the first pair of rows, then two of the second.
    for &[a, b, c, d, e, f, g, h] in groups.as_chunks::<8>().0 {
        p = add_magnitude(add_magnitude(p, of_raised(a)), of_raised(c));
        q = add_magnitude(add_magnitude(q, b.cast_signed()), d.cast_signed());
        r = add_magnitude(add_magnitude(r, of_raised(e)), of_raised(g));
        s = add_magnitude(add_magnitude(s, f.cast_signed()), h.cast_signed());
    }
    for &[a, b, c, d] in left.as_chunks::<ROWS>().0 {
        (p, q) = (add_magnitude(p, of_raised(a)), add_magnitude(q, b.cast_signed()));
        (r, s) = (add_magnitude(r, of_raised(c)), add_magnitude(s, d.cast_signed()));
    }
    [p, q, r, s]
}

#[cfg(test)]
#[allow(clippy::indexing_slicing)]
mod tests {
    extern crate std;

    use std::vec::Vec;

    use super::*;

    #[test]
    fn order_holds_every_weight_once() {
        for (rows, taps) in [(1, 1), (4, 4), (4, 5), (5, 4), (9, 11), (8, 3), (3, 8), (16, 27)] {
            let mut seen: Vec<_> = order(rows, taps).map(|origin| (origin.row, origin.tap)).collect();
            assert_eq!(seen.len(), rows * taps);
            seen.sort();
            seen.dedup();
            assert_eq!(seen.len(), rows * taps, "{rows} rows, {taps} taps");
        }
    }

    #[test]
    fn magnitudes_are_those_of_the_rows() {
        for taps in [1, 3, 4, 7, 16] {
            let weight = |origin: &Origin| (origin.row * 33 + origin.tap * 7) as u8;
            let block: Vec<u8> = order(ROWS, taps).map(|origin| origin.convert(weight(&origin))).collect();
            let mut sums = [0; ROWS];
            for origin in order(ROWS, taps) {
                sums[origin.row] += u32::from(weight(&origin).cast_signed().unsigned_abs());
            }
            assert_eq!(magnitudes(&block), sums, "{taps} taps");
        }
    }

    #[test]
    fn two_rows_share_an_i16_of_each_tap_even_taps_first() {
        let places: Vec<_> = order(4, 4).map(|origin| (origin.row, origin.tap)).collect();
        let rows_0_1 = [(0, 0), (1, 0), (0, 2), (1, 2)];
        let down = rows_0_1.map(|(row, tap)| (row + 2, tap));
        let odd = |words: [(usize, usize); 4]| words.map(|(row, tap)| (row, tap + 1));
        assert_eq!(places, [rows_0_1, down, odd(rows_0_1), odd(down)].concat());
        let raised: Vec<bool> = order(6, 1).map(|origin| origin.raised).collect();
        assert_eq!(raised, [true, false, true, false, false, false]);
    }
}
