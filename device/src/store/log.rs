//! The log at the start of a slot: what was written there, and how it has proved itself.

use attar_shared::checksum;
use embedded_storage::nor_flash::NorFlash;

use super::{MAX_TRIALS, PIECE, Slot, StoreError};

/// Bytes of a log; the model stands behind it.
pub(super) const LOG_BYTES: usize = CELLS * PIECE;

/// One record, three trials, the end of the last of them, and three cells that may have been cut off.
const CELLS: usize = 8;

const MAGIC: u32 = u32::from_le_bytes(*b"ATS1");

/// What a cell says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mark {
    /// A model was written and read back.
    Written,
    /// The model is about to be tried.
    Tried,
    /// The model has proved itself.
    Confirmed,
    /// The model has failed.
    Rejected,
}

/// What a slot holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Record {
    /// Rises with every update.
    pub(super) sequence: u32,
    /// Bytes of the model.
    pub(super) len: u32,
    /// Its revision.
    pub(super) revision: u32,
    /// Its checksum, the last four bytes of the file.
    pub(super) checksum: u32,
}

/// A slot's log as it was read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Log {
    /// The slot's first byte.
    start: u32,
    record: Option<Record>,
    /// Cells that are not erased.
    used: usize,
    /// Trials that have begun.
    trials: usize,
    /// Confirmed or rejected.
    end: Option<Mark>,
    /// The first cell could not be read.
    is_unreadable: bool,
}

impl Log {
    /// Reads the log of a slot that has room for a model of `most` bytes.
    ///
    /// A cell that cannot be read was cut off, as flashes with error correction have it; an error is given beside the log.
    pub(super) fn read<F: NorFlash>(flash: &mut F, start: u32, most: usize) -> (Self, Option<F::Error>) {
        let mut log = Self { start, record: None, used: 0, trials: 0, end: None, is_unreadable: false };
        let mut error = None;
        for index in 0..CELLS {
            let mut cell = [0; PIECE];
            if let Err(reported) = flash.read(log.place(index), &mut cell) {
                error = Some(reported);
                log.used = index + 1;
                log.is_unreadable |= index == 0;
                continue;
            }
            if cell.iter().all(|&byte| byte == 0xff) {
                continue;
            }
            log.used = index + 1;
            match decode(&cell) {
                Some((Mark::Written, record)) if index == 0 && record.len as usize <= most => log.record = Some(record),
                Some((mark @ (Mark::Confirmed | Mark::Rejected), record)) if log.record == Some(record) => {
                    log.end = log.end.or(Some(mark));
                }
                Some((Mark::Tried, record)) if log.record == Some(record) => log.trials += 1,
                _ => {}
            }
        }
        (log, error)
    }

    pub(super) fn is_unreadable(&self) -> bool {
        self.is_unreadable
    }

    pub(super) fn start(&self) -> u32 {
        self.start
    }

    pub(super) fn record(&self) -> Option<Record> {
        self.record
    }

    pub(super) fn sequence(&self) -> u32 {
        self.record.map_or(0, |record| record.sequence)
    }

    /// Returns whether the slot has a model that is not given up.
    pub(super) fn is_usable(&self) -> bool {
        // There has to be room for a trial and for its end.
        let is_open = self.end.is_none() && self.trials < MAX_TRIALS && self.used + 1 < CELLS;
        self.record.is_some() && (is_open || self.is_confirmed())
    }

    pub(super) fn is_confirmed(&self) -> bool {
        self.record.is_some() && self.end == Some(Mark::Confirmed)
    }

    /// Returns where the model is.
    pub(super) fn slot(&self) -> Option<Slot> {
        let record = self.record?;
        Some(Slot {
            offset: self.start + LOG_BYTES as u32,
            len: record.len as usize,
            revision: record.revision,
            is_on_trial: self.end.is_none(),
        })
    }

    /// Forgets what the slot held, before it is erased.
    pub(super) fn forget(&mut self) {
        *self = Self { start: self.start, record: None, used: 0, trials: 0, end: None, is_unreadable: false };
    }

    /// Begins the log of a slot that was erased.
    pub(super) fn begin<F: NorFlash>(&mut self, flash: &mut F, record: Record) -> Result<(), StoreError<F::Error>> {
        self.used = 1;
        flash.write(self.start, &encode(Mark::Written, record)).map_err(StoreError::Flash)?;
        self.record = Some(record);
        Ok(())
    }

    /// Writes the next cell.
    pub(super) fn append<F: NorFlash>(&mut self, flash: &mut F, mark: Mark) -> Result<(), StoreError<F::Error>> {
        let Some(record) = self.record.filter(|_| self.used < CELLS) else { return Ok(()) };
        let place = self.place(self.used);
        self.used += 1;
        flash.write(place, &encode(mark, record)).map_err(StoreError::Flash)?;
        match mark {
            Mark::Tried => self.trials += 1,
            _ => self.end = self.end.or(Some(mark)),
        }
        Ok(())
    }

    fn place(&self, cell: usize) -> u32 {
        self.start + (cell * PIECE) as u32
    }
}

fn encode(mark: Mark, record: Record) -> [u8; PIECE] {
    let mut cell = [0; PIECE];
    let words = [MAGIC, mark as u32, record.sequence, record.len, record.revision, record.checksum, 0];
    if let Some((body, sum)) = cell.split_last_chunk_mut::<4>() {
        for (place, word) in body.as_chunks_mut::<4>().0.iter_mut().zip(words) {
            *place = word.to_le_bytes();
        }
        *sum = checksum(body.iter().copied()).to_le_bytes();
    }
    cell
}

fn decode(cell: &[u8; PIECE]) -> Option<(Mark, Record)> {
    let words: [u32; PIECE / 4] =
        core::array::from_fn(|index| cell.as_chunks::<4>().0.get(index).map_or(0, |word| u32::from_le_bytes(*word)));
    let [MAGIC, mark, sequence, len, revision, sum_of_model, 0, sum] = words else { return None };
    let marks = [Mark::Written, Mark::Tried, Mark::Confirmed, Mark::Rejected];
    let mark = marks.into_iter().find(|&known| known as u32 == mark)?;
    let is_right = sum == checksum(cell.iter().copied().take(PIECE - 4));
    is_right.then_some((mark, Record { sequence, len, revision, checksum: sum_of_model }))
}
