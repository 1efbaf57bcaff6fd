//! Front-ends: from the samples of a sensor to the features that the network was trained on, the same bits on every core.
//!
//! ```no_run
//! # fn main() -> Result<(), attar_device::Error> {
//! # let bytes: &[u8] = &[];
//! # fn half_a_buffer() -> [i16; 256] { [0; 256] }
//! use attar_device::signal::{Detector, StreamMemory};
//! use attar_device::{Arena, Student};
//!
//! let student = Student::parse(bytes)?;
//! // include_student! sizes both exactly: STUDENT.stream_words(), STUDENT.arena_bytes().
//! let mut memory = StreamMemory::<1024>::new();
//! let mut arena = Arena::<4096>::new();
//! let mut stream = student.stream(&mut memory, &mut arena)?;
//! let rules = stream.front_end().signal().detection;
//! let mut detector = rules.map(Detector::<11>::new);
//! let facts = student.facts();
//! loop {
//!     let samples = half_a_buffer(); // of a microphone, by DMA or through a queue (heapless::spsc) from an interrupt
//!     let mut rest = &samples[..];
//!     while !rest.is_empty() {
//!         let Some(outputs) = stream.push(&mut rest, &facts)? else { continue };
//!         if let (Some(detector), Some(head)) = (&mut detector, outputs.heads().next())
//!             && let Some(detected) = detector.update(&head)
//!         {
//!             // detected.class has begun
//! #           let _ = detected;
//!         }
//!     }
//! }
//! # }
//! ```

mod arithmetic;
mod detector;
mod fixed;
mod float;
mod fourier;
mod stream;

use attar_shared::parts::{self, ALL_PARTS};
use attar_shared::{Arithmetic as Numbers, Block, Mel, Signal, Stage};

use crate::Error;
use arithmetic::{Arithmetic, Lines};

pub use detector::{Detected, Detector};
pub use stream::{Stream, StreamMemory};

/// A front-end at work: it takes samples as they come and gives the features of a window at each hop.
#[derive(Debug)]
pub struct FrontEnd<'a, const PARTS: u128 = ALL_PARTS> {
    signal: Signal<'a>,
    memory: &'a mut [u32],
    /// Samples of the next window that are there.
    filled: usize,
    /// Whether the running means have begun.
    runs: bool,
}

impl<'a, const PARTS: u128> FrontEnd<'a, PARTS> {
    /// Returns a front-end over as many words of memory as it needs for windows of one hop, [`Signal::needed`] of its features.
    ///
    /// # Errors
    ///
    /// [`Error::StreamMemory`].
    pub fn new(signal: Signal<'a>, memory: &'a mut [u32]) -> Result<Self, Error> {
        let (needed, got) = (signal.needed(usize::from(signal.features)), memory.len());
        let memory = memory.get_mut(..needed).ok_or(Error::StreamMemory { needed, got })?;
        let mut front_end = Self { signal, memory, filled: 0, runs: false };
        front_end.reset();
        Ok(front_end)
    }

    /// Forgets all samples.
    pub fn reset(&mut self) {
        self.memory.fill(0);
        self.filled = 0;
        self.runs = false;
    }

    /// Takes samples until a window is complete or none is left, and returns whether one is; [`FrontEnd::features`] are then
    /// its own. Samples of several channels take turns.
    ///
    /// # Errors
    ///
    /// [`Error::SampleCount`] when the channels have not as many samples as each other.
    pub fn push(&mut self, samples: &mut &[i16]) -> Result<bool, Error> {
        let channels = usize::from(self.signal.channels);
        if !samples.len().is_multiple_of(channels.max(1)) {
            return Err(Error::SampleCount { channels, got: samples.len() });
        }
        let fixed = self.signal.arithmetic == Numbers::Fixed;
        if parts::has(PARTS, parts::FIXED) && (fixed || !parts::has(PARTS, parts::FLOAT)) {
            return Ok(self.take::<i32>(samples));
        }
        if parts::has(PARTS, parts::FLOAT) {
            return Ok(self.take::<f32>(samples));
        }
        *samples = &[];
        Ok(false)
    }

    /// Returns the features of the last window: for each channel those of each block.
    pub fn features(&self) -> &[f32] {
        let features = usize::from(self.signal.features);
        let start = self.memory.len().saturating_sub(self.running_words() + features);
        bytemuck::must_cast_slice(self.memory.get(start..start.saturating_add(features)).unwrap_or_default())
    }

    /// Returns what the front-end is set up as.
    pub fn signal(&self) -> &Signal<'a> {
        &self.signal
    }

    fn running_words(&self) -> usize {
        if self.signal.follow > 0.0 { usize::from(self.signal.features) } else { 0 }
    }

    fn take<A: Arithmetic>(&mut self, samples: &mut &[i16]) -> bool {
        let signal = self.signal;
        let (window, channels) = (usize::from(signal.window), usize::from(signal.channels).max(1));
        let decimation = signal.decimation();
        while !samples.is_empty() {
            // No more than the window has room for: so many samples after the stages come of so many before them.
            let room = window.saturating_sub(self.filled);
            let most = signal.scratch_words().min(room.saturating_mul(decimation)).max(1);
            let count = most.min(samples.len() / channels);
            let (now, later) = samples.split_at_checked(count * channels).unwrap_or((samples, &[]));
            *samples = later;
            let mut got = 0;
            for channel in 0..channels {
                got = self.append::<A>(now, channel, count);
            }
            self.filled += got;
            if self.filled >= window {
                self.compute::<A>();
                return true;
            }
        }
        false
    }

    /// Puts samples of a channel through the stages and behind those of its window; returns how many came out.
    fn append<A: Arithmetic>(&mut self, samples: &[i16], channel: usize, count: usize) -> usize {
        let (signal, filled) = (self.signal, self.filled);
        let Some(Memory { state, window, scratch, .. }) = self.memory::<A>(channel) else { return 0 };
        let channels = usize::from(signal.channels).max(1);
        let mut values = scratch.get_mut(..count).unwrap_or_default();
        for (place, &sample) in values.iter_mut().zip(samples.iter().skip(channel).step_by(channels)) {
            *place = A::of_sample(sample);
        }
        let mut state = state;
        for stage in signal.stages() {
            let words = attar_shared::internal::stage_words(&stage);
            let Some((own, rest)) = state.split_at_mut_checked(words) else { break };
            state = rest;
            match stage {
                Stage::Biquad(constants) if parts::has(PARTS, parts::BIQUAD) => {
                    if let Some(own) = own.first_chunk_mut() {
                        A::biquad(constants, own, values);
                    }
                }
                Stage::Absolute if parts::has(PARTS, parts::ABSOLUTE) => {
                    values.iter_mut().for_each(|value| *value = value.absolute());
                }
                Stage::Decimate(factor) if parts::has(PARTS, parts::DECIMATE) => {
                    if let Some(phase) = own.first_mut() {
                        let kept = decimate(factor, phase, values);
                        values = values.get_mut(..kept).unwrap_or_default();
                    }
                }
                Stage::Biquad(_) | Stage::Absolute | Stage::Decimate(_) => {}
            }
        }
        let places = window.get_mut(filled..).unwrap_or_default().iter_mut();
        places.zip(values.iter()).for_each(|(place, &value)| *place = value);
        values.len()
    }

    /// Computes the features of the full window, and moves it on by a hop.
    #[inline(never)]
    fn compute<A: Arithmetic>(&mut self) {
        let signal = self.signal;
        let (hop, len) = (usize::from(signal.hop), usize::from(signal.window));
        for channel in 0..usize::from(signal.channels) {
            let Some(Memory { window, scratch, bands, features, .. }) = self.memory::<A>(channel) else { return };
            features_of::<A, PARTS>(&signal, window, scratch, bands, features);
            move_on(window, hop);
        }
        self.filled = len.saturating_sub(hop);
        if parts::has(PARTS, parts::RUNNING) && signal.follow > 0.0 {
            self.subtract_running_means();
        }
    }

    /// Takes from each feature its running mean, which begins with the first window.
    fn subtract_running_means(&mut self) {
        let (features, follow) = (usize::from(self.signal.features), self.signal.follow);
        let start = self.memory.len().saturating_sub(2 * features);
        let words = self.memory.get_mut(start..).unwrap_or_default();
        let Some((features, means)) = words.split_at_mut_checked(features) else { return };
        let (features, means): (&mut [f32], &mut [f32]) =
            (bytemuck::must_cast_slice_mut(features), bytemuck::must_cast_slice_mut(means));
        for (feature, mean) in features.iter_mut().zip(means) {
            if !self.runs {
                *mean = *feature;
            }
            let distance = *feature - *mean;
            *mean += distance * follow;
            *feature = distance;
        }
        self.runs = true;
    }

    /// Returns what of the memory serves a channel: state and window of all channels, scratch, bands, features, means.
    fn memory<A: Arithmetic>(&mut self, channel: usize) -> Option<Memory<'_, A>> {
        let signal = &self.signal;
        let (state, window) = (signal.state_words(), usize::from(signal.window));
        let channels = usize::from(signal.channels).max(1);
        let width = usize::from(signal.features) / channels;
        let (own, rest) = self.memory.split_at_mut_checked(channels * (state + window))?;
        let (state, window) = own.get_mut(channel * (state + window)..)?.split_at_mut_checked(state)?;
        let window = window.get_mut(..usize::from(signal.window))?;
        let (scratch, rest) = rest.split_at_mut_checked(signal.scratch_words())?;
        let (bands, rest) = rest.split_at_mut_checked(signal.band_words())?;
        let features = rest.get_mut(channel * width..)?.get_mut(..width)?;
        Some(Memory {
            state,
            window: bytemuck::must_cast_slice_mut(window),
            scratch: bytemuck::must_cast_slice_mut(scratch),
            bands: bytemuck::must_cast_slice_mut(bands),
            features: bytemuck::must_cast_slice_mut(features),
        })
    }
}

/// The memory of a channel.
struct Memory<'m, A> {
    state: &'m mut [u32],
    window: &'m mut [A],
    scratch: &'m mut [A],
    bands: &'m mut [A],
    features: &'m mut [f32],
}

/// Moves what is behind a hop to the start.
fn move_on<A: Copy>(window: &mut [A], hop: usize) {
    let cells = core::cell::Cell::from_mut(window).as_slice_of_cells();
    for (to, from) in cells.iter().zip(cells.iter().skip(hop)) {
        to.set(from.get());
    }
}

/// Keeps the first of every `factor` values, wherever the values were cut, and returns how many there are.
fn decimate<A: Copy>(factor: u32, phase: &mut u32, values: &mut [A]) -> usize {
    let cells = core::cell::Cell::from_mut(values).as_slice_of_cells();
    let (mut places, mut kept) = (cells.iter(), 0);
    for value in cells {
        if *phase == 0
            && let Some(place) = places.next()
        {
            place.set(value.get());
            kept += 1;
        }
        *phase = if *phase + 1 >= factor { 0 } else { *phase + 1 };
    }
    kept
}

/// Computes the features of a window.
fn features_of<A: Arithmetic, const PARTS: u128>(
    signal: &Signal<'_>,
    window: &[A],
    scratch: &mut [A],
    bands: &mut [A],
    features: &mut [f32],
) {
    let removed = if signal.remove_mean { A::mean(window) } else { A::ZERO };
    let with_lines = parts::has(PARTS, parts::SPECTRUM | parts::MEL) && signal.transform > 0;
    let lines = if with_lines { Some(A::lines::<PARTS>(signal, window, removed, scratch)) } else { None };
    let mut features = features;
    for block in signal.blocks() {
        let Some((own, rest)) = features.split_at_mut_checked(block.width()) else { return };
        features = rest;
        match block {
            Block::Samples { .. } if parts::has(PARTS, parts::SAMPLES) => {
                own.iter_mut().zip(window).for_each(|(place, &value)| *place = value.less(removed).value());
            }
            Block::Statistics(which) if parts::has(PARTS, parts::STATISTICS) => {
                A::moments(window, removed).write(which, own);
            }
            Block::Spectrum { decibels, first, level, floor, .. } if parts::has(PARTS, parts::SPECTRUM) => {
                let Some(lines) = &lines else { return };
                let powers = lines.powers().skip(usize::from(first));
                for (place, power) in own.iter_mut().zip(powers) {
                    *place = if decibels {
                        lines.decibels(lines.of_line(power), level, floor).decibels()
                    } else {
                        lines.amplitude(power, f32::from_bits(level))
                    };
                }
            }
            Block::Mel(mel) if parts::has(PARTS, parts::MEL) => {
                let Some(lines) = &lines else { return };
                if parts::has(PARTS, parts::CEPSTRUM) && mel.coefficients > 0 {
                    let bands = bands.get_mut(..usize::from(mel.bands)).unwrap_or_default();
                    let mut places = bands.iter_mut();
                    each_band(lines, &mel, |band| places.next().into_iter().for_each(|place| *place = band));
                    let count = usize::from(mel.bands).max(1);
                    let rows = mel.cosines.chunks_exact((count * A::ENTRY_BYTES).max(1));
                    own.iter_mut().zip(rows).for_each(|(place, row)| *place = A::product(row, bands).decibels());
                } else {
                    let mut places = own.iter_mut();
                    each_band(lines, &mel, |band| places.next().into_iter().for_each(|place| *place = band.decibels()));
                }
            }
            // A model with others than `PARTS` has been refused.
            Block::Samples { .. } | Block::Statistics(_) | Block::Spectrum { .. } | Block::Mel(_) => {}
        }
    }
}

/// Gives the level of each band: a line between two edges belongs to the filter that rises there by its weight, and to the one
/// that falls by what is left of it.
fn each_band<'l, L: Lines<'l>>(lines: &L, mel: &Mel<'_>, mut give: impl FnMut(L::Number)) {
    let mut edges = mel.edges();
    let mut from = edges.next().unwrap_or(0);
    let mut powers = lines.powers().skip(usize::from(from)).zip(L::entries(mel.weights));
    let mut rising = L::NOTHING;
    for (band, edge) in edges.enumerate() {
        let falling = rising;
        rising = L::NOTHING;
        let mut fallen = falling;
        for (power, weight) in powers.by_ref().take(usize::from(edge.saturating_sub(from))) {
            let (to_rising, to_falling) = lines.weigh(power, weight);
            rising = lines.sum(rising, to_rising);
            fallen = lines.sum(fallen, to_falling);
        }
        from = edge;
        if band > 0 {
            give(lines.decibels(fallen, mel.level, mel.floor));
        }
    }
}
