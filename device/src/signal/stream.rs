//! Streams: samples come as they come, answers at every hop, and nothing is computed twice.

use attar_shared::Model;
use attar_shared::parts::ALL_PARTS;

use super::FrontEnd;
use crate::session::quantize_input;
use crate::{Error, Facts, Outputs, Session, Step};

/// A student that listens: its front-end, the features of the last hops, and its session.
#[derive(Debug)]
pub struct Stream<'a, const PARTS: u128 = ALL_PARTS> {
    front_end: FrontEnd<'a, PARTS>,
    session: Session<'a, PARTS>,
    /// The features of the last hops in int8, as many as an input holds; empty when that is one.
    history: &'a mut [i8],
    /// Where the oldest of them stand.
    oldest: usize,
    /// Hops that have to come before the next run.
    missing: usize,
}

/// Memory for a front-end and the features of earlier hops.
#[derive(Debug)]
pub struct StreamMemory<const WORDS: usize>([u32; WORDS]);

impl<const WORDS: usize> StreamMemory<WORDS> {
    /// Returns memory of zeros, which in a `static` takes no flash.
    pub const fn new() -> Self {
        Self([0; WORDS])
    }

    /// Returns the words.
    pub fn as_mut_slice(&mut self) -> &mut [u32] {
        &mut self.0
    }
}

impl<const WORDS: usize> Default for StreamMemory<WORDS> {
    fn default() -> Self {
        Self::new()
    }
}

impl<'a, const PARTS: u128> Stream<'a, PARTS> {
    /// Returns a stream over memory of at least [`attar_shared::Signal::words`] words and an arena of at least
    /// [`attar_shared::Model::arena_bytes`] bytes.
    ///
    /// # Errors
    ///
    /// [`Error::NoSignal`] for a model without a front-end, [`Error::StreamMemory`], [`Error::ArenaTooSmall`].
    pub fn new(model: Model<'a, PARTS>, memory: &'a mut [u32], arena: &'a mut [i8]) -> Result<Self, Error> {
        let signal = model.signal().ok_or(Error::NoSignal)?;
        let (needed, got) = (signal.words as usize, memory.len());
        let (features, input) = (usize::from(signal.features), model.input_shape().len());
        let own = signal.needed(features);
        let memory = memory.get_mut(..needed).ok_or(Error::StreamMemory { needed, got })?;
        let (memory, history) = memory.split_at_mut_checked(own).ok_or(Error::StreamMemory { needed, got })?;
        let front_end = FrontEnd::new(signal, memory)?;
        let history = bytemuck::must_cast_slice_mut::<u32, i8>(history);
        let values = if input > features { input } else { 0 };
        let history = history.get_mut(..values).unwrap_or_default();
        let session = Session::new(model, arena)?;
        let mut stream = Self { front_end, session, history, oldest: 0, missing: 0 };
        stream.reset();
        Ok(stream)
    }

    /// Forgets all samples and what the network kept of them.
    pub fn reset(&mut self) {
        self.front_end.reset();
        self.session.reset();
        self.oldest = 0;
        let features = usize::from(self.front_end.signal().features).max(1);
        self.missing = (self.history.len() / features).max(1);
    }

    /// Takes samples until the network has run or none is left, and returns its outputs if it has. The samples that were taken are
    /// cut off; call it until none is left. Samples of several channels take turns.
    ///
    /// # Errors
    ///
    /// [`Error::SampleCount`], [`Error::OtherModel`], and [`Error::InputNotFinite`] where a front-end in floats overflows.
    pub fn push(&mut self, samples: &mut &[i16], facts: &Facts<'_, PARTS>) -> Result<Option<Outputs<'_>>, Error> {
        let mut ran = false;
        while !ran && self.fill(samples)? {
            ran = self.hop(facts)?;
        }
        if ran { self.session.outputs().map(Some) } else { Ok(None) }
    }

    /// The first half of [`Stream::push`]: takes samples until a window is complete or none is left, and returns whether one is.
    /// [`Stream::run`] has to follow then.
    ///
    /// # Errors
    ///
    /// [`Error::SampleCount`].
    pub fn fill(&mut self, samples: &mut &[i16]) -> Result<bool, Error> {
        self.front_end.push(samples)
    }

    /// The second half: takes the features of the complete window and runs the network when it is time.
    ///
    /// # Errors
    ///
    /// [`Error::OtherModel`], [`Error::InputNotFinite`].
    pub fn run(&mut self, facts: &Facts<'_, PARTS>) -> Result<Option<Outputs<'_>>, Error> {
        if self.hop(facts)? { self.session.outputs().map(Some) } else { Ok(None) }
    }

    /// Returns the front-end, whose features are those of the last window.
    pub fn front_end(&self) -> &FrontEnd<'a, PARTS> {
        &self.front_end
    }

    /// Returns the session.
    pub fn session(&self) -> &Session<'a, PARTS> {
        &self.session
    }

    /// Takes the features of a window, and runs the network when it is time.
    fn hop(&mut self, facts: &Facts<'_, PARTS>) -> Result<bool, Error> {
        let features = self.front_end.features();
        if !self.history.is_empty() {
            if let Some(index) = features.iter().position(|value| !value.is_finite()) {
                return Err(Error::InputNotFinite { index });
            }
            let places = self.history.get_mut(self.oldest..).unwrap_or_default();
            let places = places.get_mut(..features.len()).unwrap_or_default();
            if let Some(input) = self.session.model().input() {
                quantize_input(&input, features, places);
            }
            self.oldest += features.len();
            if self.oldest >= self.history.len() {
                self.oldest = 0;
            }
        }
        self.missing = self.missing.saturating_sub(1);
        if self.missing > 0 {
            return Ok(false);
        }
        if self.history.is_empty() {
            self.session.load(features, facts)?;
        } else {
            let (newer, older) = self.history.split_at_checked(self.oldest).unwrap_or_default();
            self.session.load_rows([older, newer], facts)?;
        }
        self.missing = usize::from(self.front_end.signal().every);
        while self.session.step() == Step::More {}
        Ok(true)
    }
}
