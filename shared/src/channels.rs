//! Weights: those of each output channel, and the constants that turn its sums into int8.

use crate::Defect;
use crate::bytes::{Cursor, I32s, padding};
use crate::operator::Requantization;

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
    /// An int8 each.
    Eight(&'a [u8]),
    /// Two in a byte, from -8 to 7, the first in the low half; every row begins with a new byte.
    Four(&'a [u8]),
}

impl Weights<'_> {
    /// Returns how many bits a weight takes.
    pub fn bits(self) -> u32 {
        match self {
            Self::Eight(_) => 8,
            Self::Four(_) => 4,
        }
    }

    /// Returns the bytes of a row of `len` weights.
    pub fn row_bytes(self, len: usize) -> usize {
        match self {
            Self::Eight(_) => len,
            Self::Four(_) => len.div_ceil(2),
        }
    }
}

/// Returns both weights in a byte, that of the low half first.
#[inline(always)]
pub const fn nibbles(byte: u8) -> (i8, i8) {
    ((byte << 4).cast_signed() >> 4, byte.cast_signed() >> 4)
}

impl<'a> Channels<'a> {
    /// Returns bias and requantisation of each channel in turn.
    pub fn constants(self) -> impl Iterator<Item = (i32, Requantization)> + 'a {
        self.biases
            .iter()
            .zip(self.multipliers.iter())
            .zip(self.shifts)
            .map(|((bias, multiplier), &shift)| (bias, Requantization { multiplier, shift }))
    }

    pub(crate) fn decode(cursor: &mut Cursor<'a>, outputs: usize, bytes: usize, four: bool) -> Result<Self, Defect> {
        let biases = cursor.i32s(outputs)?;
        let multipliers = cursor.i32s(outputs)?;
        let shifts = cursor.take(outputs)?;
        cursor.zeros(padding(outputs))?;
        let values = cursor.take(bytes)?;
        cursor.zeros(padding(bytes))?;
        let weights = if four { Weights::Four(values) } else { Weights::Eight(values) };
        Ok(Self { biases, multipliers, shifts, weights })
    }

    /// Checks each output channel of weights whose rows hold `len` of them.
    pub(crate) fn check_rows(&self, len: usize) -> Result<(), Defect> {
        let row_bytes = self.weights.row_bytes(len);
        match self.weights {
            Weights::Eight(bytes) => self.check(bytes.chunks_exact(row_bytes).map(magnitude)),
            Weights::Four(bytes) => {
                let spare = |row: &&[u8]| !len.is_multiple_of(2) && row.last().is_some_and(|byte| byte >> 4 != 0);
                if bytes.chunks_exact(row_bytes).any(|row| spare(&row)) {
                    return Err(Defect::Padding);
                }
                self.check(bytes.chunks_exact(row_bytes).map(|row| {
                    let pairs = row.iter().map(|&byte| nibbles(byte));
                    pairs.map(|(a, b)| u64::from(a.unsigned_abs()) + u64::from(b.unsigned_abs())).sum()
                }))
            }
        }
    }

    /// Checks each channel of depthwise weights, tap after tap.
    pub(crate) fn check_columns(&self, count: usize) -> Result<(), Defect> {
        let Weights::Eight(bytes) = self.weights else { return Err(Defect::Kind) };
        let column = |channel| bytes.iter().skip(channel).step_by(count);
        self.check((0..count).map(|channel| column(channel).map(|w| u64::from(w.cast_signed().unsigned_abs())).sum()))
    }

    /// Checks that no input can overflow an accumulator: `|bias| + 128 * sum |w|` has to fit 31 bits.
    fn check(&self, sums: impl Iterator<Item = u64>) -> Result<(), Defect> {
        for ((bias, requantization), sum) in self.constants().zip(sums) {
            requantization.check()?;
            let bound = u64::from(bias.unsigned_abs()).saturating_add(sum.saturating_mul(128));
            if bound > i32::MAX as u64 {
                return Err(Defect::Overflow);
            }
        }
        Ok(())
    }
}

fn magnitude(row: &[u8]) -> u64 {
    row.iter().map(|w| u64::from(w.cast_signed().unsigned_abs())).sum()
}
