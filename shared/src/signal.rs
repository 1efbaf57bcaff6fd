//! Front-ends: how samples of a sensor become the values of the input. The record stands in the input section.

mod block;
mod write;

use crate::bytes::{Cursor, padding};
use crate::parts::{self, of_signal};
use crate::{Defect, Shape};

pub use block::{Block, Blocks, Mel, Statistics};
pub use write::{BlockDefinition, MelDefinition, SignalDefinition, Table};

/// The most channels of a signal.
pub const MAX_CHANNELS: u8 = 8;

/// The most stages before the windows.
pub const MAX_STAGES: u8 = 16;

/// The most blocks of features.
pub const MAX_BLOCKS: u8 = 4;

/// The most samples of a window, and of a Fourier transform.
pub const MAX_WINDOW: u16 = 2048;

/// The fewest samples of a Fourier transform.
pub const MIN_TRANSFORM: u16 = 16;

/// The greatest factor of one decimation.
pub const MAX_FACTOR: u32 = 64;

/// The greatest product of all decimations.
pub const MAX_DECIMATION: u32 = 4096;

/// The words that stages compute in at least, when no Fourier transform needs more.
pub(crate) const MIN_SCRATCH: usize = 64;

/// Bytes of a stage.
const STAGE_BYTES: usize = 24;

/// In what numbers a front-end computes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arithmetic {
    /// Integers of 32 bits, for cores without a floating-point unit.
    Fixed = 0,
    /// IEEE 754 binary32.
    Float = 1,
}

impl Arithmetic {
    /// Returns the bytes of an entry of a table: 16 bits fixed, 32 bits float.
    pub const fn entry_bytes(self) -> usize {
        match self {
            Self::Fixed => 2,
            Self::Float => 4,
        }
    }
}

/// What samples go through, one after the other, before they make windows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// A filter of second order: b0, b1, b2, a1, a2, the bits of f32 or of i32 in steps of 2^-29.
    Biquad([u32; 5]),
    /// The absolute value.
    Absolute,
    /// Every so-many-th sample alone goes on.
    Decimate(u32),
}

/// When the answers of a class head make a detection: their probabilities are smoothed, `p += (new - p) * smooth`; a class other
/// than the background begins when its own is the greatest and reaches `on`, and ends when it falls below `off`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Detection {
    /// How much of a new probability goes into the smoothed one, above 0 and at most 1.
    pub smooth: f32,
    /// What begins a detection, above 0 and at most 1.
    pub on: f32,
    /// What ends it, at most `on`.
    pub off: f32,
    /// The class that stands for nothing.
    pub background: Option<u16>,
}

/// A front-end.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Signal<'a> {
    /// The whole record.
    pub bytes: &'a [u8],
    /// In what numbers it computes.
    pub arithmetic: Arithmetic,
    /// Channels of the signal, whose samples take turns.
    pub channels: u8,
    /// Samples a second and channel, as they come from the sensor.
    pub rate: f32,
    /// Samples of a window, after the stages.
    pub window: u16,
    /// Samples from one window to the next.
    pub hop: u16,
    /// Samples of the Fourier transform, 0 without one.
    pub transform: u16,
    /// Hops from one run of the network to the next.
    pub every: u16,
    /// Whether each window has its mean taken away.
    pub remove_mean: bool,
    /// How much of a feature's distance to its running mean the mean follows at each hop; 0 without a running mean.
    pub follow: f32,
    /// Words of memory that the front-end needs.
    pub words: u32,
    /// Values of a hop, all channels together.
    pub features: u16,
    /// When the first head's answers make a detection.
    pub detection: Option<Detection>,
    stages: &'a [u8],
    /// The first half of the window function and its middle, in [`Arithmetic::entry_bytes`] each; empty without one.
    pub taper: &'a [u8],
    /// fixed: the first quarter of a sine, 0 to 32,768, in 16 bits each.
    pub sine: &'a [u8],
    blocks: &'a [u8],
    block_count: u8,
}

impl<'a> Signal<'a> {
    /// Reads a record, which has to be the whole of `bytes`; its tables are read, but not looked at.
    ///
    /// # Errors
    ///
    /// The rule that it breaks.
    pub fn read(bytes: &'a [u8]) -> Result<Self, Defect> {
        let mut cursor = Cursor::new(bytes);
        let signal = Self::decode(&mut cursor)?;
        if cursor.is_empty() { Ok(signal) } else { Err(Defect::Padding) }
    }

    #[inline(never)]
    pub(crate) fn decode(cursor: &mut Cursor<'a>) -> Result<Self, Defect> {
        let start = cursor.rest();
        let arithmetic = match cursor.u8()? {
            0 => Arithmetic::Fixed,
            1 => Arithmetic::Float,
            _ => return Err(Defect::Kind),
        };
        let [channels, stage_count, block_count] = [cursor.u8()?, cursor.u8()?, cursor.u8()?];
        let rate = cursor.f32()?;
        let [window, hop, transform, every] = [cursor.u16()?, cursor.u16()?, cursor.u16()?, cursor.u16()?];
        let flags = cursor.u8()?;
        cursor.zeros(3)?;
        let follow = cursor.f32()?;
        let words = cursor.u32()?;
        let [features, background] = [cursor.u16()?, cursor.u16()?];
        let detection = Detection {
            smooth: cursor.f32()?,
            on: cursor.f32()?,
            off: cursor.f32()?,
            background: background.checked_sub(1),
        };
        let detection = if [detection.smooth, detection.on, detection.off].iter().all(|value| value.to_bits() == 0) {
            if background != 0 {
                return Err(Defect::Unused);
            }
            None
        } else {
            Some(detection)
        };
        if !(1..=MAX_CHANNELS).contains(&channels)
            || stage_count > MAX_STAGES
            || !(1..=MAX_BLOCKS).contains(&block_count)
        {
            return Err(Defect::Count);
        }
        if flags > 3 {
            return Err(Defect::Unused);
        }
        if !(1..=MAX_WINDOW).contains(&window) || hop == 0 || hop > window || every == 0 {
            return Err(Defect::Window);
        }
        let transforms = transform.is_power_of_two() && (MIN_TRANSFORM..=MAX_WINDOW).contains(&transform);
        if transform != 0 && (!transforms || transform < window) {
            return Err(Defect::Window);
        }
        let stages = cursor.take(usize::from(stage_count) * STAGE_BYTES)?;
        let tapered = if flags & TAPERED == 0 { 0 } else { usize::from(window / 2) + 1 };
        let taper = table(cursor, tapered, arithmetic)?;
        let quarter =
            if transform == 0 || arithmetic == Arithmetic::Float { 0 } else { usize::from(transform / 4) + 1 };
        let sine = table(cursor, quarter, arithmetic)?;
        let blocks = cursor.rest();
        for _ in 0..block_count {
            Block::decode(cursor, arithmetic)?;
        }
        let until = |rest: &[u8], all: &'a [u8]| all.get(..all.len().saturating_sub(rest.len())).unwrap_or_default();
        let rest = cursor.rest();
        let remove_mean = flags & REMOVE_MEAN != 0;
        let (bytes, blocks) = (until(rest, start), until(rest, blocks));
        Ok(Self {
            bytes,
            arithmetic,
            channels,
            rate,
            window,
            hop,
            transform,
            every,
            remove_mean,
            follow,
            words,
            features,
            detection,
            stages,
            taper,
            sine,
            blocks,
            block_count,
        })
    }

    /// Checks what [`Signal::decode`] has only read, for an input of some shape.
    #[inline(never)]
    pub(crate) fn check(&self, input: Shape) -> Result<(), Defect> {
        if !(self.rate.is_normal() && self.rate > 0.0) {
            return Err(Defect::Scale);
        }
        // By their bits, which rise with the number, and are above those of every other number for -0 and below 0.
        let [follow, one] = [self.follow, 1.0].map(f32::to_bits);
        if follow > one {
            return Err(Defect::NotFinite);
        }
        if let Some(Detection { smooth, on, off, .. }) = self.detection
            && let [smooth, on, off] = [smooth, on, off].map(f32::to_bits)
            && !((1..=one).contains(&smooth) && (1..=one).contains(&on) && off <= on)
        {
            return Err(Defect::NotFinite);
        }
        let (stages, _) = self.stages.as_chunks::<STAGE_BYTES>();
        let mut decimation = 1u32;
        for stage in stages {
            decimation = decimation.saturating_mul(check_stage(stage, self.arithmetic)?);
        }
        if decimation > MAX_DECIMATION {
            return Err(Defect::TooLarge);
        }
        self.check_table(self.taper)?;
        if !block::entries16(self.sine).all(|entry| entry <= ONE) {
            return Err(Defect::TooLarge);
        }
        let mut has_lines = false;
        for block in self.blocks() {
            block.check(self)?;
            has_lines |= block.has_lines();
        }
        if has_lines != (self.transform != 0) {
            return Err(Defect::Window);
        }
        let width = self.blocks().fold(0, |sum, block| sum + block.width());
        if usize::from(self.features) != width.saturating_mul(usize::from(self.channels)) {
            return Err(Defect::Count);
        }
        if self.features == 0 || !input.len().is_multiple_of(usize::from(self.features)) {
            return Err(Defect::Shape);
        }
        if usize::try_from(self.words) != Ok(self.needed(input.len())) {
            return Err(Defect::Arena);
        }
        Ok(())
    }

    /// fixed: entries lie in 0 to 1; float: they are finite.
    fn check_table(&self, table: &[u8]) -> Result<(), Defect> {
        match self.arithmetic {
            Arithmetic::Fixed if block::entries16(table).all(|entry| entry <= ONE) => Ok(()),
            Arithmetic::Fixed => Err(Defect::TooLarge),
            Arithmetic::Float if block::entries32(table).all(|bits| f32::from_bits(bits).is_finite()) => Ok(()),
            Arithmetic::Float => Err(Defect::NotFinite),
        }
    }

    /// Returns the stages in their order.
    pub fn stages(&self) -> impl ExactSizeIterator<Item = Stage> + DoubleEndedIterator + Clone + use<'a> {
        self.stages.as_chunks::<STAGE_BYTES>().0.iter().map(stage)
    }

    /// Returns the blocks of features of a channel, in their order.
    pub fn blocks(&self) -> Blocks<'a> {
        Blocks::new(self.blocks, self.block_count, self.arithmetic)
    }

    /// Returns how many samples come in for one that the windows get.
    pub fn decimation(&self) -> usize {
        self.stages().fold(1, |all, stage| match stage {
            // Checked: the product is at most MAX_DECIMATION.
            Stage::Decimate(factor) => factor.max(1) as usize * all,
            _ => all,
        })
    }

    /// Returns the words that the stages of a channel keep from one sample to the next.
    pub fn state_words(&self) -> usize {
        self.stages().map(|stage| stage_words(&stage)).sum()
    }

    /// Returns the words that samples are computed in.
    pub fn scratch_words(&self) -> usize {
        usize::from(self.transform).max(MIN_SCRATCH)
    }

    /// Returns the words that the bands of a filter bank take while their cepstrum is computed.
    pub fn band_words(&self) -> usize {
        let bands = |block| match block {
            Block::Mel(mel) if mel.coefficients > 0 => usize::from(mel.bands),
            _ => 0,
        };
        self.blocks().map(bands).max().unwrap_or(0)
    }

    /// Returns the words of memory that the front-end needs for an input of so many values.
    pub fn needed(&self, input: usize) -> usize {
        let channels = usize::from(self.channels) * (self.state_words() + usize::from(self.window));
        let running = if self.follow > 0.0 { 2 } else { 1 };
        channels
            + self.scratch_words()
            + self.band_words()
            + running * usize::from(self.features)
            + self.history_words(input)
    }

    /// Returns the words that the features of earlier hops take, int8 each, when an input holds several hops.
    pub fn history_words(&self, input: usize) -> usize {
        if input > usize::from(self.features) { input.div_ceil(4) } else { 0 }
    }

    /// Returns the steps of a hop: the samples that come in and those that each stage takes; the samples of the window, for
    /// itself and for each block; the points of the transform, for each of its stages and for each block; the products of
    /// cepstra; and the features.
    pub fn work(&self) -> u64 {
        // From the last stage to the first, where decimations multiply: at most 2,048 samples of 4,096 each.
        let (mut samples, mut each) = (u32::from(self.hop), 0u32);
        for stage in self.stages().rev() {
            if let Stage::Decimate(factor) = stage {
                samples = samples.wrapping_mul(factor);
            }
            each = each.wrapping_add(samples);
        }
        let blocks = u32::from(self.block_count);
        each = each.wrapping_add(samples).wrapping_add(u32::from(self.window) * (1 + blocks));
        each = each.wrapping_add(u32::from(self.transform) * (self.transform.trailing_zeros() + blocks));
        for block in self.blocks() {
            if let Block::Mel(mel) = block {
                each = each.wrapping_add(u32::from(mel.coefficients) * u32::from(mel.bands));
            }
        }
        u64::from(each) * u64::from(self.channels) + u64::from(self.features)
    }

    /// Returns the bits of `signal_set` that the front-end takes, see [`crate::parts`].
    pub(crate) fn parts(&self) -> u32 {
        let mut set = match self.arithmetic {
            Arithmetic::Fixed => of_signal(parts::FIXED),
            Arithmetic::Float => of_signal(parts::FLOAT),
        };
        for stage in self.stages() {
            set |= match stage {
                Stage::Biquad(_) => of_signal(parts::BIQUAD),
                Stage::Absolute => of_signal(parts::ABSOLUTE),
                Stage::Decimate(_) => of_signal(parts::DECIMATE),
            };
        }
        for block in self.blocks() {
            set |= match block {
                Block::Samples { .. } => of_signal(parts::SAMPLES),
                Block::Statistics(_) => of_signal(parts::STATISTICS),
                Block::Spectrum { .. } => of_signal(parts::SPECTRUM),
                Block::Mel(mel) if mel.coefficients > 0 => of_signal(parts::MEL | parts::CEPSTRUM),
                Block::Mel(_) => of_signal(parts::MEL),
            };
        }
        let at_least = |size: u16, part: u32| if self.transform > size { part } else { 0 };
        let running = if self.follow > 0.0 { of_signal(parts::RUNNING) } else { 0 };
        set | running | at_least(256, of_signal(parts::LONG)) | at_least(1024, of_signal(parts::LONGER))
    }
}

/// A table in the arithmetic's entries, padded to four bytes.
fn table<'a>(cursor: &mut Cursor<'a>, entries: usize, arithmetic: Arithmetic) -> Result<&'a [u8], Defect> {
    let len = entries * arithmetic.entry_bytes();
    let table = cursor.take(len)?;
    cursor.zeros(padding(len))?;
    Ok(table)
}

fn stage(record: &[u8; STAGE_BYTES]) -> Stage {
    let (words, _) = record.as_chunks::<4>();
    let word = |index: usize| words.get(index).map_or(0, |bytes| u32::from_le_bytes(*bytes));
    match word(0) {
        BIQUAD => Stage::Biquad([word(1), word(2), word(3), word(4), word(5)]),
        ABSOLUTE => Stage::Absolute,
        _ => Stage::Decimate(word(1)),
    }
}

/// Returns how many samples come in for one that goes on.
fn check_stage(record: &[u8; STAGE_BYTES], arithmetic: Arithmetic) -> Result<u32, Defect> {
    let mut words = record.as_chunks::<4>().0.iter().map(|bytes| u32::from_le_bytes(*bytes));
    let kind = words.next().unwrap_or(u32::MAX);
    let used = match kind {
        BIQUAD => 5,
        ABSOLUTE => 0,
        DECIMATE => 1,
        _ => return Err(Defect::Kind),
    };
    if words.clone().skip(used).any(|word| word != 0) {
        return Err(Defect::Unused);
    }
    if kind == BIQUAD && arithmetic == Arithmetic::Float && words.clone().any(|bits| !f32::from_bits(bits).is_finite())
    {
        return Err(Defect::NotFinite);
    }
    if kind != DECIMATE {
        return Ok(1);
    }
    words.next().filter(|factor| (2..=MAX_FACTOR).contains(factor)).ok_or(Defect::Window)
}

/// Returns the words that a stage keeps from one sample to the next.
pub fn stage_words(stage: &Stage) -> usize {
    match stage {
        Stage::Biquad(_) => 4,
        Stage::Absolute => 0,
        Stage::Decimate(_) => 1,
    }
}

const BIQUAD: u32 = 0;
const ABSOLUTE: u32 = 1;
const DECIMATE: u32 = 2;

/// The flag of windows whose mean is taken away.
const REMOVE_MEAN: u8 = 1;

/// The flag of windows with a window function.
const TAPERED: u8 = 2;

/// 1 in a table of 16 bits.
pub const ONE: u16 = 1 << 15;

/// Returns the words of memory that the front-end of the model in a file needs, 0 without one: for constants, of a file that is
/// checked later.
pub const fn words_of(file: &[u8]) -> usize {
    // Header, name, kind, gains and offsets, names of channels, padding.
    let mut place = crate::HEADER_BYTES;
    place += 1 + byte(file, place);
    if byte(file, place) != crate::input::SIGNAL as usize {
        return 0;
    }
    place += 1;
    place += 2 + 8 * (byte(file, place) + 256 * byte(file, place + 1));
    let mut names = byte(file, place) + 256 * byte(file, place + 1);
    place += 2;
    while names > 0 {
        place += 1 + byte(file, place);
        names -= 1;
    }
    place = place.next_multiple_of(4) + WORDS;
    byte(file, place) | byte(file, place + 1) << 8 | byte(file, place + 2) << 16 | byte(file, place + 3) << 24
}

const fn byte(file: &[u8], place: usize) -> usize {
    match file.split_at_checked(place) {
        Some((_, [byte, ..])) => *byte as usize,
        _ => 0,
    }
}

/// Where the words of memory, and behind them the number of features, stand in a record.
const WORDS: usize = 24;
