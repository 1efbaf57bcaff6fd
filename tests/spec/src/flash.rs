//! A NOR flash that loses its power: writes clear bits of erased words, erasing takes whole blocks, and the operation in
//! which the power goes is left half done.

use embedded_storage::nor_flash::{
    ErrorType, NorFlash, NorFlashError, NorFlashErrorKind, ReadNorFlash, check_erase, check_read, check_write,
};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// A flash of blocks of `ERASE` bytes, which are written `WRITE` at a time.
#[derive(Debug, Clone)]
pub struct Flash<const WRITE: usize, const ERASE: usize> {
    bytes: Vec<u8>,
    /// Words that were written since their block was erased.
    written: Vec<bool>,
    /// How often each block was erased.
    pub erased: Vec<u32>,
    /// Operations until the power goes; none for ever.
    pub fuel: Option<u64>,
    /// A byte that reads as an error until its block is erased.
    pub unreadable: Option<u32>,
    /// Operations so far.
    pub operations: u64,
    random: ChaCha8Rng,
}

/// What the flash reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// There is no power.
    Off,
    /// Another error of the driver.
    Driver(NorFlashErrorKind),
}

impl NorFlashError for Failure {
    fn kind(&self) -> NorFlashErrorKind {
        match self {
            Self::Off => NorFlashErrorKind::Other,
            Self::Driver(kind) => *kind,
        }
    }
}

impl<const WRITE: usize, const ERASE: usize> Flash<WRITE, ERASE> {
    /// Returns a flash of `blocks` blocks that holds rubbish; how an operation is cut off follows from the seed.
    pub fn new(blocks: usize, seed: u64) -> Self {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let bytes: Vec<u8> = (0..blocks * ERASE).map(|_| random.random()).collect();
        let written = vec![true; bytes.len() / WRITE];
        Self { bytes, written, erased: vec![0; blocks], fuel: None, unreadable: None, operations: 0, random }
    }

    /// Returns the bytes as they are.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Returns the bytes, to spoil them.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.bytes
    }

    /// Counts an operation and returns whether it is done in full, half, or not any more.
    fn power(&mut self) -> Result<bool, Failure> {
        self.operations += 1;
        match &mut self.fuel {
            None => Ok(true),
            Some(0) => Err(Failure::Off),
            Some(left) => {
                *left -= 1;
                Ok(*left > 0)
            }
        }
    }
}

impl<const WRITE: usize, const ERASE: usize> ErrorType for Flash<WRITE, ERASE> {
    type Error = Failure;
}

impl<const WRITE: usize, const ERASE: usize> ReadNorFlash for Flash<WRITE, ERASE> {
    const READ_SIZE: usize = 1;

    fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), Failure> {
        check_read(self, offset, bytes.len()).map_err(Failure::Driver)?;
        if self.fuel == Some(0) {
            return Err(Failure::Off);
        }
        if self.unreadable.is_some_and(|place| (offset..offset + bytes.len() as u32).contains(&place)) {
            return Err(Failure::Driver(NorFlashErrorKind::Other));
        }
        bytes.copy_from_slice(&self.bytes[offset as usize..][..bytes.len()]);
        Ok(())
    }

    fn capacity(&self) -> usize {
        self.bytes.len()
    }
}

impl<const WRITE: usize, const ERASE: usize> NorFlash for Flash<WRITE, ERASE> {
    const WRITE_SIZE: usize = WRITE;
    const ERASE_SIZE: usize = ERASE;

    /// Erases block after block; each is an operation. One that is cut off has some bits erased and others not.
    fn erase(&mut self, from: u32, to: u32) -> Result<(), Failure> {
        check_erase(self, from, to).map_err(Failure::Driver)?;
        for block in from as usize / ERASE..to as usize / ERASE {
            let whole = self.power()?;
            self.erased[block] += 1;
            self.unreadable = self.unreadable.filter(|&place| place as usize / ERASE != block);
            for place in block * ERASE..(block + 1) * ERASE {
                let kept = if whole || self.random.random_bool(0.5) { 0xff } else { self.random.random() };
                self.bytes[place] |= kept;
            }
            // What was half erased must be erased again before it is written.
            self.written[block * ERASE / WRITE..(block + 1) * ERASE / WRITE].fill(!whole);
            if !whole {
                return Err(Failure::Off);
            }
        }
        Ok(())
    }

    /// Writes word after word; each call is an operation. One that is cut off has written some words, and some bits of one.
    fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), Failure> {
        check_write(self, offset, bytes.len()).map_err(Failure::Driver)?;
        let whole = self.power()?;
        let words = bytes.len() / WRITE;
        let last = if whole { words } else { self.random.random_range(0..=words) };
        for (index, word) in bytes.chunks(WRITE).enumerate().take((last + 1).min(words)) {
            let first = offset as usize + index * WRITE;
            assert!(!self.written[first / WRITE], "the word at {first} is written twice");
            for (place, &byte) in self.bytes[first..].iter_mut().zip(word) {
                let cleared = if index < last { 0xff } else { self.random.random::<u8>() };
                *place &= byte | !cleared;
            }
            // A word that reads as erased may have been left alone: it is as good as new.
            self.written[first / WRITE] =
                self.bytes[first..first + WRITE].iter().any(|&byte| byte != 0xff) || index < last;
        }
        if whole { Ok(()) } else { Err(Failure::Off) }
    }
}
