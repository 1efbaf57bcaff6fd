//! A model on its way into a slot.

use attar_shared::{HEADER_BYTES, Header};
use embedded_storage::nor_flash::NorFlash;

use super::{LOG_BYTES, PIECE, Record, Slot, Store, StoreError, checksum_of};

/// A model that comes piece by piece. Dropped before [`Update::finish`], it leaves its slot empty.
#[derive(Debug)]
pub struct Update<'s, F> {
    store: &'s mut Store<F>,
    which: usize,
    len: usize,
    /// Bytes that came.
    came: usize,
    /// The last of them, which do not fill a piece yet.
    piece: [u8; PIECE],
}

impl<'s, F: NorFlash> Update<'s, F> {
    pub(super) fn new(store: &'s mut Store<F>, which: usize, len: usize) -> Self {
        Self { store, which, len, came: 0, piece: [0xff; PIECE] }
    }

    /// Returns how many bytes came.
    pub fn came(&self) -> usize {
        self.came
    }

    /// Writes the next bytes of the model, as many as there are.
    ///
    /// # Errors
    ///
    /// [`StoreError::Length`] when there are more than were announced, and [`StoreError::Flash`], after which the update can
    /// only be dropped.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), StoreError<F::Error>> {
        let got = self.came.saturating_add(bytes.len());
        if got > self.len {
            return Err(StoreError::Length { expected: self.len, got });
        }
        for &byte in bytes {
            if let Some(place) = self.piece.get_mut(self.came % PIECE) {
                *place = byte;
            }
            self.came += 1;
            if self.came.is_multiple_of(PIECE) {
                self.flush(self.came - PIECE)?;
            }
        }
        Ok(())
    }

    /// Reads the model back and lets it count: the next [`Store::choose`] puts it on trial.
    ///
    /// # Errors
    ///
    /// [`StoreError::Length`] when bytes are missing, [`StoreError::Parse`] when the header is none,
    /// [`StoreError::Differs`] when the flash holds something else or the checksum is wrong, [`StoreError::Downgraded`], and
    /// [`StoreError::Flash`].
    pub fn finish(mut self) -> Result<Slot, StoreError<F::Error>> {
        let Self { which, len, came, .. } = self;
        if came != len {
            return Err(StoreError::Length { expected: len, got: came });
        }
        if !came.is_multiple_of(PIECE) {
            self.flush(came - came % PIECE)?;
        }
        let offset = self.start();
        let mut start = [0; HEADER_BYTES];
        self.store.flash.read(offset, &mut start).map_err(StoreError::Flash)?;
        let header = Header::read(&start).map_err(StoreError::Parse)?;
        let got = header.file_len as usize;
        if got != len {
            return Err(StoreError::Length { expected: len, got });
        }
        let (least, got) = (self.store.proved.max(self.store.required), header.revision);
        if got < least {
            return Err(StoreError::Downgraded { least, got });
        }
        let slot = Slot { offset, len, revision: header.revision, is_on_trial: true };
        let [computed, stored] = checksum_of(&mut self.store.flash, &slot)?;
        if computed != stored {
            return Err(StoreError::Differs);
        }
        let newest = self.store.logs.iter().map(|log| log.sequence()).max().unwrap_or(0);
        let record = Record {
            sequence: newest.saturating_add(1),
            len: len as u32,
            revision: header.revision,
            checksum: computed,
        };
        let mut log = *self.store.log(which);
        let written = log.begin(&mut self.store.flash, record);
        *self.store.log_mut(which) = log;
        written.map(|()| slot)
    }

    fn start(&self) -> u32 {
        self.store.log(self.which).start() + LOG_BYTES as u32
    }

    /// Writes the piece that begins at a byte of the model.
    fn flush(&mut self, at: usize) -> Result<(), StoreError<F::Error>> {
        let place = self.start() + at as u32;
        self.store.flash.write(place, &self.piece).map_err(StoreError::Flash)?;
        self.piece = [0xff; PIECE];
        Ok(())
    }
}
