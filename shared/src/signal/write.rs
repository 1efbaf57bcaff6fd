//! Writing a front-end's record.

use super::block::{MEL, SAMPLES, SPECTRUM, STATISTICS};
use super::{ABSOLUTE, Arithmetic, BIQUAD, DECIMATE, Detection, REMOVE_MEAN, Signal, Stage, TAPERED, WORDS};
use crate::{Defect, Statistics};

/// A front-end that is to be written; see [`Signal`].
#[derive(Debug, Clone, Copy)]
pub struct SignalDefinition<'a> {
    /// In what numbers it computes.
    pub arithmetic: Arithmetic,
    /// Channels of the signal.
    pub channels: u8,
    /// Samples a second.
    pub rate: f32,
    /// Samples of a window.
    pub window: u16,
    /// Samples from one window to the next.
    pub hop: u16,
    /// Samples of the Fourier transform, or 0.
    pub transform: u16,
    /// Hops from one run of the network to the next.
    pub every: u16,
    /// Whether each window has its mean taken away.
    pub remove_mean: bool,
    /// The rate of the running mean, or 0.
    pub follow: f32,
    /// When answers make a detection.
    pub detection: Option<Detection>,
    /// What samples go through.
    pub stages: &'a [Stage],
    /// Half of the window function and its middle, or nothing.
    pub taper: Table<'a>,
    /// fixed: a quarter of a sine.
    pub sine: Table<'a>,
    /// The features.
    pub blocks: &'a [BlockDefinition<'a>],
}

/// A table, in the arithmetic's entries.
#[derive(Debug, Clone, Copy)]
pub enum Table<'a> {
    /// 16 bits.
    Fixed(&'a [u16]),
    /// 32 bits.
    Float(&'a [f32]),
}

/// Some of the features that are to be written; see [`super::Block`].
#[derive(Debug, Clone, Copy)]
pub enum BlockDefinition<'a> {
    /// The samples.
    Samples,
    /// Statistics.
    Statistics(Statistics),
    /// Lines of the spectrum.
    Spectrum {
        /// Whether in dB.
        decibels: bool,
        /// The first line.
        first: u16,
        /// The lines.
        count: u16,
        /// As in [`super::Block::Spectrum`].
        level: u32,
        /// As in [`super::Block::Spectrum`].
        floor: u32,
    },
    /// Bands of a filter bank.
    Mel(MelDefinition<'a>),
}

/// A filter bank that is to be written; see [`super::Mel`].
#[derive(Debug, Clone, Copy)]
pub struct MelDefinition<'a> {
    /// Coefficients of the cepstrum, or 0.
    pub coefficients: u16,
    /// As in [`super::Mel::level`].
    pub level: u32,
    /// As in [`super::Mel::floor`].
    pub floor: u32,
    /// Two more than there are bands.
    pub edges: &'a [u16],
    /// A weight for each line between the first edge and the last.
    pub weights: Table<'a>,
    /// The factors of the cepstrum.
    pub cosines: Table<'a>,
}

impl SignalDefinition<'_> {
    /// Writes the record for an input of so many values to the start of a buffer and returns it.
    ///
    /// # Errors
    ///
    /// [`Defect::Truncated`] when the buffer is too small, else the rule that the record breaks.
    pub fn write<'b>(&self, input: usize, buffer: &'b mut [u8]) -> Result<&'b [u8], Defect> {
        let mut sink = Sink { buffer, len: 0 };
        self.encode(&mut sink)?;
        let len = sink.len;
        // What follows from the rest is put in when the rest can be read.
        let signal = Signal::read(buffer.get(..len).unwrap_or_default())?;
        let width = signal.blocks().fold(0, |sum, block| sum + block.width()) * usize::from(self.channels);
        let features = u16::try_from(width).map_err(|_| Defect::TooLarge)?;
        let words = Signal { features, ..signal }.needed(input);
        let words = u32::try_from(words).map_err(|_| Defect::TooLarge)?;
        for (place, byte) in
            buffer.iter_mut().skip(WORDS).zip(words.to_le_bytes().into_iter().chain(features.to_le_bytes()))
        {
            *place = byte;
        }
        Ok(buffer.get(..len).unwrap_or_default())
    }

    fn encode(&self, sink: &mut Sink<'_>) -> Result<(), Defect> {
        let count = |len: usize| u8::try_from(len).map_err(|_| Defect::Count);
        let (tapered, removed) = (!self.taper.is_empty(), self.remove_mean);
        let flags = if tapered { TAPERED } else { 0 } | if removed { REMOVE_MEAN } else { 0 };
        sink.put(&[self.arithmetic as u8, self.channels, count(self.stages.len())?, count(self.blocks.len())?])?;
        sink.put(&self.rate.to_le_bytes())?;
        for size in [self.window, self.hop, self.transform, self.every] {
            sink.put(&size.to_le_bytes())?;
        }
        sink.put(&[flags, 0, 0, 0])?;
        sink.put(&self.follow.to_le_bytes())?;
        sink.put(&[0; 6])?;
        let background = self.detection.and_then(|detection| detection.background);
        sink.put(&background.map_or(0, |class| class.wrapping_add(1)).to_le_bytes())?;
        let detection = self.detection.map_or([0.0; 3], |detection| [detection.smooth, detection.on, detection.off]);
        detection.iter().try_for_each(|value| sink.put(&value.to_le_bytes()))?;
        for stage in self.stages {
            let words = match *stage {
                Stage::Biquad([b0, b1, b2, a1, a2]) => [BIQUAD, b0, b1, b2, a1, a2],
                Stage::Absolute => [ABSOLUTE, 0, 0, 0, 0, 0],
                Stage::Decimate(factor) => [DECIMATE, factor, 0, 0, 0, 0],
            };
            words.iter().try_for_each(|word| sink.put(&word.to_le_bytes()))?;
        }
        sink.table(self.taper)?;
        sink.table(self.sine)?;
        self.blocks.iter().try_for_each(|block| self.encode_block(block, sink))
    }

    fn encode_block(&self, block: &BlockDefinition<'_>, sink: &mut Sink<'_>) -> Result<(), Defect> {
        let mut head = |kind: u8, detail: u8, count: u16| {
            let [low, high] = count.to_le_bytes();
            sink.put(&[kind, detail, low, high])
        };
        match *block {
            BlockDefinition::Samples => head(SAMPLES, 0, self.window),
            BlockDefinition::Statistics(Statistics { set }) => head(STATISTICS, set, set.count_ones() as u16),
            BlockDefinition::Spectrum { decibels, first, count, level, floor } => {
                head(SPECTRUM, u8::from(decibels), count)?;
                sink.put(&u32::from(first).to_le_bytes())?;
                sink.put(&level.to_le_bytes())?;
                sink.put(&floor.to_le_bytes())
            }
            BlockDefinition::Mel(mel) => {
                let bands = mel.edges.len().checked_sub(2).and_then(|bands| u16::try_from(bands).ok());
                head(MEL, 0, bands.ok_or(Defect::Count)?)?;
                sink.put(&u32::from(mel.coefficients).to_le_bytes())?;
                sink.put(&mel.level.to_le_bytes())?;
                sink.put(&mel.floor.to_le_bytes())?;
                sink.table(Table::Fixed(mel.edges))?;
                sink.table(mel.weights)?;
                sink.table(mel.cosines)
            }
        }
    }
}

impl Table<'_> {
    fn is_empty(&self) -> bool {
        match self {
            Self::Fixed(entries) => entries.is_empty(),
            Self::Float(entries) => entries.is_empty(),
        }
    }
}

struct Sink<'a> {
    buffer: &'a mut [u8],
    len: usize,
}

impl Sink<'_> {
    fn put(&mut self, bytes: &[u8]) -> Result<(), Defect> {
        let end = self.len + bytes.len();
        self.buffer.get_mut(self.len..end).ok_or(Defect::Truncated)?.copy_from_slice(bytes);
        self.len = end;
        Ok(())
    }

    fn table(&mut self, table: Table<'_>) -> Result<(), Defect> {
        match table {
            Table::Fixed(entries) => entries.iter().try_for_each(|entry| self.put(&entry.to_le_bytes()))?,
            Table::Float(entries) => entries.iter().try_for_each(|entry| self.put(&entry.to_le_bytes()))?,
        }
        while !self.len.is_multiple_of(4) {
            self.put(&[0])?;
        }
        Ok(())
    }
}
