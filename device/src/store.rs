//! A store for models in flash: two slots, of which one always holds a model that has proved itself.
//!
//! An [`Update`] goes into the slot that is not in use, is read back, and counts from the moment its record is written. The
//! next [`Store::choose`] puts it on trial: when its self-test fails, or the board does not come back from the test three times,
//! the model before it goes on. A power cut at any moment leaves the old model or the new one, whole.
//!
//! ```
//! use attar_device::store::{Slot, Store, StoreError};
//! use attar_device::{Error, Student};
//! use embedded_storage::nor_flash::NorFlash;
//!
//! fn boot<F: NorFlash>(flash: F, ram: &mut [u8], arena: &mut [i8]) -> Result<Option<Slot>, StoreError<F::Error>> {
//!     let mut store = Store::open(flash)?;
//!     store.choose(|flash, slot| {
//!         // A board whose flash is mapped into memory reads the model where it is.
//!         let model = slot.load(flash, ram)?;
//!         Ok(Student::parse(model).and_then(|student| student.self_test(arena)).is_ok())
//!     })
//! }
//!
//! fn receive<F: NorFlash>(store: &mut Store<F>, model: &[u8]) -> Result<(), StoreError<F::Error>> {
//!     let mut update = store.update(model.len())?;
//!     for piece in model.chunks(100) {
//!         update.write(piece)?;
//!     }
//!     update.finish()?; // counts from here on; the next `choose` tries it
//!     Ok(())
//! }
//! ```
//!
//! # Layout
//!
//! Each half of the flash, cut to whole erase blocks, is a slot: 256 bytes of log, then the model. The log is 8 cells of 32
//! bytes, each written once: its kind, and a CRC-32 over it. A cell that is neither erased nor right was cut off.
//!
//! # Panics
//!
//! Nothing here panics, whatever the flash holds.

mod log;
mod update;

use core::fmt;

use attar_shared::{Checksum, ParseError};
use embedded_storage::nor_flash::NorFlash;

use log::{LOG_BYTES, Log, Mark, Record};
pub use update::Update;

/// The most times that a board may not come back from a new model.
pub const MAX_TRIALS: usize = 3;

/// Bytes that are read and written at once; what a flash reads and writes at least has to divide it.
const PIECE: usize = 32;

/// Why the store could not do what it was asked for; the model in use is as it was, and the other slot may be empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum StoreError<E> {
    /// The driver of the flash reports an error.
    Flash(E),
    /// The flash reads or writes at least more than 32 bytes, or has no room for two slots.
    Geometry,
    /// The model does not fit into a slot.
    TooLarge {
        /// Bytes of the greatest model that does.
        most: usize,
        /// Bytes of the model.
        got: usize,
    },
    /// More or fewer bytes came than were announced.
    Length {
        /// Bytes that were announced.
        expected: usize,
        /// Bytes that came, as far as they were counted.
        got: usize,
    },
    /// What came is no model at first sight.
    Parse(ParseError),
    /// The flash does not give back what was written.
    Differs,
    /// The model is older than one that has proved itself, or than is required.
    Downgraded {
        /// The least revision that is taken.
        least: u32,
        /// The revision of what came.
        got: u32,
    },
}

impl<E: fmt::Debug> fmt::Display for StoreError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flash(error) => write!(f, "the flash reports {error:?}"),
            Self::Geometry => f.write_str("the flash has too large words or is too small for two slots"),
            Self::TooLarge { most, got } => write!(f, "the model has {got} bytes, a slot holds {most}"),
            Self::Length { expected, got } => write!(f, "{expected} bytes were announced, {got} came"),
            Self::Parse(error) => error.fmt(f),
            Self::Differs => f.write_str("the flash does not give back what was written"),
            Self::Downgraded { least, got } => write!(f, "the model has revision {got}, at least {least} is taken"),
        }
    }
}

impl<E: fmt::Debug> core::error::Error for StoreError<E> {}

/// Where a model stands in the flash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slot {
    /// The model's first byte, from the start of the flash.
    pub offset: u32,
    /// The model's bytes.
    pub len: usize,
    /// The model's revision.
    pub revision: u32,
    /// Whether the model has not proved itself yet.
    pub is_on_trial: bool,
}

impl Slot {
    /// Reads the model into a buffer and returns its bytes.
    ///
    /// # Errors
    ///
    /// [`StoreError::TooLarge`] when the buffer is smaller than the model, rounded up to 32 bytes, and
    /// [`StoreError::Flash`].
    pub fn load<'b, F: NorFlash>(&self, flash: &mut F, buffer: &'b mut [u8]) -> Result<&'b [u8], StoreError<F::Error>> {
        let (most, got) = (buffer.len(), self.len.next_multiple_of(PIECE));
        let bytes = buffer.get_mut(..got).ok_or(StoreError::TooLarge { most, got })?;
        flash.read(self.offset, bytes).map_err(StoreError::Flash)?;
        Ok(bytes.get(..self.len).unwrap_or_default())
    }
}

/// Two slots for models in a flash.
#[derive(Debug)]
pub struct Store<F> {
    flash: F,
    logs: [Log; 2],
    /// The slot that [`Store::choose`] gave.
    chosen: Option<usize>,
    /// No model of a lesser revision is chosen.
    required: u32,
    /// The greatest revision of a model that has proved itself, as far as this store has seen.
    proved: u32,
}

impl<F: NorFlash> Store<F> {
    /// Reads what the flash holds; nothing is written.
    ///
    /// # Errors
    ///
    /// [`StoreError::Geometry`] and [`StoreError::Flash`].
    pub fn open(mut flash: F) -> Result<Self, StoreError<F::Error>> {
        let divides = |size: usize| size != 0 && PIECE.is_multiple_of(size);
        let fits = F::ERASE_SIZE.is_multiple_of(PIECE) && slot_bytes(&flash) > LOG_BYTES;
        if !(divides(F::WRITE_SIZE) && divides(F::READ_SIZE) && F::ERASE_SIZE > 0 && fits) {
            return Err(StoreError::Geometry);
        }
        let (second, most) = (slot_bytes(&flash) as u32, slot_bytes(&flash) - LOG_BYTES);
        let [(first, _), (second, error)] = [Log::read(&mut flash, 0, most), Log::read(&mut flash, second, most)];
        if let Some(error) = error.filter(|_| first.is_unreadable() && second.is_unreadable()) {
            return Err(StoreError::Flash(error));
        }
        let logs = [first, second];
        let revisions =
            logs.iter().filter(|log| log.is_confirmed()).filter_map(Log::record).map(|record| record.revision);
        let proved = revisions.max().unwrap_or(0);
        Ok(Self { flash, logs, chosen: None, required: 0, proved })
    }

    /// Requires a revision, that of the model which the firmware is delivered with, say: no older one is chosen or taken.
    pub fn require(&mut self, revision: u32) {
        self.required = self.required.max(revision);
    }

    /// Returns the bytes of the greatest model that fits.
    pub fn most(&self) -> usize {
        slot_bytes(&self.flash) - LOG_BYTES
    }

    /// Returns the newest model that proves itself: it is whole, and `is_good` says so, which should parse it, check its
    /// signature and run its self-test. None when there is no such model.
    ///
    /// A model on trial is noted before `is_good` is called, so that one from whose test the board does not come back is given up
    /// after [`MAX_TRIALS`]. What a model does after it has proved itself is not watched. An error of `is_good` leaves the model on
    /// trial.
    ///
    /// # Errors
    ///
    /// [`StoreError::Flash`], when no model proves itself, or that it has cannot be noted, and the flash reported an error on the
    /// way.
    pub fn choose(
        &mut self,
        mut is_good: impl FnMut(&mut F, &Slot) -> Result<bool, StoreError<F::Error>>,
    ) -> Result<Option<Slot>, StoreError<F::Error>> {
        let mut error = None;
        let required = self.required;
        let may_run = |log: &Log| log.is_usable() && log.record().is_some_and(|record| record.revision >= required);
        let newest = self.newest(may_run);
        let other = newest.map(|newest| 1 - newest).filter(|&other| may_run(self.log(other)));
        for which in [newest, other].into_iter().flatten() {
            match self.prove(which, &mut is_good) {
                Ok(Some(slot)) => {
                    self.chosen = Some(which);
                    self.proved = self.proved.max(slot.revision);
                    return Ok(Some(slot));
                }
                Ok(None) => {}
                Err(reported) => error = Some(reported),
            }
        }
        error.map_or(Ok(None), Err)
    }

    /// Makes room for a model of `len` bytes and returns what takes them. What the slot held is lost; it is never the one in
    /// use, nor, before [`Store::choose`], the newest that has proved itself.
    ///
    /// # Errors
    ///
    /// [`StoreError::TooLarge`] and [`StoreError::Flash`].
    pub fn update(&mut self, len: usize) -> Result<Update<'_, F>, StoreError<F::Error>> {
        let (most, got) = (self.most(), len);
        if got > most {
            return Err(StoreError::TooLarge { most, got });
        }
        let [first, _] = &self.logs;
        let which = self.kept().map_or(usize::from(first.is_unreadable()), |kept| 1 - kept);
        let log = self.log_mut(which);
        log.forget();
        let start = log.start();
        let end = start + (LOG_BYTES + len).next_multiple_of(F::ERASE_SIZE) as u32;
        self.flash.erase(start, end).map_err(StoreError::Flash)?;
        Ok(Update::new(self, which, len))
    }

    /// Returns the flash.
    pub fn flash(&mut self) -> &mut F {
        &mut self.flash
    }

    /// Returns the slot that must not be lost.
    fn kept(&self) -> Option<usize> {
        self.chosen.or_else(|| self.newest(Log::is_confirmed)).or_else(|| self.newest(Log::is_usable))
    }

    fn newest(&self, is: impl Fn(&Log) -> bool) -> Option<usize> {
        (0..2).filter(|&which| is(self.log(which))).max_by_key(|&which| self.log(which).sequence())
    }

    fn log(&self, which: usize) -> &Log {
        let [first, second] = &self.logs;
        if which == 0 { first } else { second }
    }

    fn log_mut(&mut self, which: usize) -> &mut Log {
        let [first, second] = &mut self.logs;
        if which == 0 { first } else { second }
    }

    /// Returns the model of a slot, if it proves itself.
    fn prove(
        &mut self,
        which: usize,
        is_good: &mut impl FnMut(&mut F, &Slot) -> Result<bool, StoreError<F::Error>>,
    ) -> Result<Option<Slot>, StoreError<F::Error>> {
        let Some(mut slot) = self.log(which).slot() else { return Ok(None) };
        if slot.is_on_trial {
            self.mark(which, Mark::Tried)?;
        }
        let is_good = self.is_whole(which)? && is_good(&mut self.flash, &slot)?;
        if slot.is_on_trial {
            self.mark(which, if is_good { Mark::Confirmed } else { Mark::Rejected })?;
        }
        slot.is_on_trial = false;
        Ok(is_good.then_some(slot))
    }

    fn mark(&mut self, which: usize, mark: Mark) -> Result<(), StoreError<F::Error>> {
        let mut log = *self.log(which);
        let written = log.append(&mut self.flash, mark);
        *self.log_mut(which) = log;
        written
    }

    /// Returns whether a slot holds the bytes that its record speaks of.
    fn is_whole(&mut self, which: usize) -> Result<bool, StoreError<F::Error>> {
        let log = *self.log(which);
        let (Some(record), Some(slot)) = (log.record(), log.slot()) else { return Ok(false) };
        Ok(checksum_of(&mut self.flash, &slot)? == [record.checksum; 2])
    }
}

/// Returns the checksum that a model in the flash should have, and the one at its end.
fn checksum_of<F: NorFlash>(flash: &mut F, slot: &Slot) -> Result<[u32; 2], StoreError<F::Error>> {
    let body = slot.len.saturating_sub(4);
    let mut sum = Checksum::new();
    let mut end = [0; 4];
    let mut place = 0;
    while place < slot.len {
        let mut piece = [0; PIECE];
        flash.read(slot.offset + place as u32, &mut piece).map_err(StoreError::Flash)?;
        let of_body = body.saturating_sub(place).min(PIECE);
        sum.add(piece.iter().copied().take(of_body));
        // The checksum may begin in one piece and end in the next.
        for (byte, at) in piece.into_iter().zip(place..).skip(of_body) {
            if let Some(last) = end.get_mut(at - body) {
                *last = byte;
            }
        }
        place += PIECE;
    }
    Ok([sum.value(), u32::from_le_bytes(end)])
}

/// Returns the bytes of a slot: half of the flash in whole erase blocks.
fn slot_bytes<F: NorFlash>(flash: &F) -> usize {
    let half = flash.capacity().min(u32::MAX as usize) / 2;
    half - half.checked_rem(F::ERASE_SIZE).unwrap_or(0)
}
