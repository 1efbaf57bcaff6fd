//! Blocks: what is computed of a window.

use super::{Arithmetic, ONE, Signal, table};
use crate::Defect;
use crate::bytes::Cursor;

/// Some of the features of a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Block<'a> {
    /// The samples as they are, in units of full scale.
    Samples {
        /// As many as the window has.
        count: u16,
    },
    /// Numbers that describe the window.
    Statistics(Statistics),
    /// Lines of the spectrum.
    Spectrum {
        /// Whether in dB, or as amplitudes.
        decibels: bool,
        /// The first line.
        first: u16,
        /// The lines.
        count: u16,
        /// The bits of what power or amplitude is multiplied by, or of what is added to dB in steps of 2^-16.
        level: u32,
        /// The bits of the least dB.
        floor: u32,
    },
    /// Bands of a filter bank in dB, or their cepstrum.
    Mel(Mel<'a>),
}

/// Which statistics of a window are features, in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Statistics {
    /// The bits of those that are.
    pub set: u8,
}

impl Statistics {
    /// The mean.
    pub const MEAN: u8 = 1;
    /// The root of the mean square.
    pub const RMS: u8 = 2;
    /// The greatest absolute value.
    pub const PEAK: u8 = 4;
    /// Peak over RMS.
    pub const CREST: u8 = 8;
    /// The third central moment over the second to the power 3/2.
    pub const SKEWNESS: u8 = 16;
    /// The fourth central moment over the square of the second.
    pub const KURTOSIS: u8 = 32;
    /// Changes of sign per sample.
    pub const CROSSINGS: u8 = 64;

    /// Returns whether a statistic is a feature.
    pub const fn has(self, statistic: u8) -> bool {
        self.set & statistic != 0
    }
}

/// A bank of triangular filters over the lines of a power spectrum.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mel<'a> {
    /// Filters.
    pub bands: u16,
    /// Coefficients of the cepstrum, 0 for the bands themselves.
    pub coefficients: u16,
    /// The bits of what power is multiplied by, or of what is added to dB in steps of 2^-16.
    pub level: u32,
    /// The bits of the least dB.
    pub floor: u32,
    edges: &'a [u8],
    /// The rising filter's weight of each line from the first edge to the last; what is left to 1 is the falling one's.
    pub weights: &'a [u8],
    /// For each coefficient the factors of all bands.
    pub cosines: &'a [u8],
}

impl<'a> Mel<'a> {
    /// Returns the lines at which filters begin, reach their greatest and end: two more than there are bands.
    pub fn edges(&self) -> impl ExactSizeIterator<Item = u16> + Clone + use<'a> {
        entries16(self.edges)
    }

    /// Returns the values that the block gives.
    pub fn width(&self) -> usize {
        usize::from(if self.coefficients == 0 { self.bands } else { self.coefficients })
    }
}

impl<'a> Block<'a> {
    #[inline(never)]
    pub(super) fn decode(cursor: &mut Cursor<'a>, arithmetic: Arithmetic) -> Result<Self, Defect> {
        let [kind, detail] = [cursor.u8()?, cursor.u8()?];
        let count = cursor.u16()?;
        match kind {
            SAMPLES if detail == 0 => Ok(Self::Samples { count }),
            STATISTICS if (1..128).contains(&detail) && u32::from(count) == detail.count_ones() => {
                Ok(Self::Statistics(Statistics { set: detail }))
            }
            SPECTRUM if detail <= 1 => {
                let first = cursor.u16()?;
                cursor.zeros(2)?;
                let [level, floor] = [cursor.u32()?, cursor.u32()?];
                Ok(Self::Spectrum { decibels: detail == 1, first, count, level, floor })
            }
            MEL if detail == 0 => {
                let coefficients = cursor.u16()?;
                // Before what they are counted with.
                if count == 0 || count > MAX_BANDS || coefficients > count {
                    return Err(Defect::Count);
                }
                cursor.zeros(2)?;
                let [level, floor] = [cursor.u32()?, cursor.u32()?];
                let edges = table(cursor, usize::from(count) + 2, Arithmetic::Fixed)?;
                let mut all = entries16(edges);
                let (first, last) = (all.next().unwrap_or(0), all.last().unwrap_or(0));
                let lines = last.checked_sub(first).ok_or(Defect::Order)?;
                let weights = table(cursor, usize::from(lines), arithmetic)?;
                let cosines = table(cursor, usize::from(coefficients) * usize::from(count), arithmetic)?;
                Ok(Self::Mel(Mel { bands: count, coefficients, level, floor, edges, weights, cosines }))
            }
            SAMPLES | SPECTRUM | MEL => Err(Defect::Unused),
            STATISTICS => Err(Defect::Count),
            _ => Err(Defect::Kind),
        }
    }

    pub(super) fn check(&self, signal: &Signal<'_>) -> Result<(), Defect> {
        let lines = signal.transform / 2;
        let finite = |bits: u32| f32::from_bits(bits).is_finite();
        let numbers = |level: u32, floor: u32| {
            let good = signal.arithmetic == Arithmetic::Fixed || finite(level) && finite(floor);
            if good { Ok(()) } else { Err(Defect::NotFinite) }
        };
        match *self {
            Self::Samples { count } if count == signal.window => Ok(()),
            Self::Samples { .. } => Err(Defect::Count),
            Self::Statistics(_) => Ok(()),
            Self::Spectrum { decibels, first, count, level, floor } => {
                if count == 0 || u32::from(first) + u32::from(count) > u32::from(lines) {
                    return Err(Defect::Count);
                }
                if !decibels && floor != 0 {
                    return Err(Defect::Unused);
                }
                // An amplitude's factor is a float in either arithmetic.
                if decibels {
                    numbers(level, floor)
                } else if finite(level) {
                    Ok(())
                } else {
                    Err(Defect::NotFinite)
                }
            }
            Self::Mel(mel) => {
                let mut before = 0;
                for edge in mel.edges() {
                    if edge < before || edge > lines {
                        return Err(Defect::Order);
                    }
                    before = edge;
                }
                signal.check_table(mel.weights)?;
                if signal.arithmetic == Arithmetic::Float {
                    signal.check_table(mel.cosines)?;
                }
                numbers(mel.level, mel.floor)
            }
        }
    }

    pub(super) fn has_lines(&self) -> bool {
        matches!(self, Self::Spectrum { .. } | Self::Mel(_))
    }

    /// Returns the values that the block gives, of each channel.
    pub fn width(&self) -> usize {
        match self {
            Self::Samples { count } | Self::Spectrum { count, .. } => usize::from(*count),
            Self::Statistics(statistics) => statistics.set.count_ones() as usize,
            Self::Mel(mel) => mel.width(),
        }
    }
}

/// The blocks of a front-end.
#[derive(Debug, Clone)]
pub struct Blocks<'a> {
    cursor: Cursor<'a>,
    left: u8,
    arithmetic: Arithmetic,
}

impl<'a> Blocks<'a> {
    pub(super) fn new(bytes: &'a [u8], left: u8, arithmetic: Arithmetic) -> Self {
        Self { cursor: Cursor::new(bytes), left, arithmetic }
    }
}

impl<'a> Iterator for Blocks<'a> {
    type Item = Block<'a>;

    fn next(&mut self) -> Option<Block<'a>> {
        self.left = self.left.checked_sub(1)?;
        Block::decode(&mut self.cursor, self.arithmetic).ok()
    }
}

/// Returns the entries of a table of 16 bits.
pub(super) fn entries16(table: &[u8]) -> impl ExactSizeIterator<Item = u16> + Clone + '_ {
    table.as_chunks::<2>().0.iter().map(|bytes| u16::from_le_bytes(*bytes))
}

/// Returns the bits of the entries of a table of 32 bits.
pub(super) fn entries32(table: &[u8]) -> impl ExactSizeIterator<Item = u32> + Clone + '_ {
    table.as_chunks::<4>().0.iter().map(|bytes| u32::from_le_bytes(*bytes))
}

pub(super) const SAMPLES: u8 = 0;
pub(super) const STATISTICS: u8 = 1;
pub(super) const SPECTRUM: u8 = 2;
pub(super) const MEL: u8 = 3;

/// The most bands of a filter bank.
const MAX_BANDS: u16 = 128;

const _: () = assert!(ONE == 32_768, "a weight and what is left of it add up to this");
