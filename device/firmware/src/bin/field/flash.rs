//! A NOR flash made of RAM that a restart leaves alone, with a power cut on demand: QEMU has no flash that programs write.
//!
//! A test leaves a file `power` for the debugger: the number of the operation in which the power goes, so that half of it is
//! done and the board restarts, and the revision in whose self-test a watchdog bites. The board reads it once and removes it.

use semihosting::fs::{self, File};
use semihosting::io::Read;

use attar_device::store::Slot;
use embedded_storage::nor_flash::{
    ErrorType, NorFlash, NorFlashErrorKind, ReadNorFlash, check_erase, check_read, check_write,
};

/// Behind everything that the linker knows of, in the MPS2's 4 MB of RAM.
const START: usize = 0x2030_0000;
const BYTES: usize = 128 * 1024;

/// Operations until the power goes, 0 for never; behind the flash, so that a restart finds them again.
const FUEL: *mut u32 = (START + BYTES) as *mut u32;
/// The revision in whose self-test the board restarts, 0 for none.
const WATCHDOG: *mut u32 = (START + BYTES + 4) as *mut u32;

/// Reads what a test has in mind.
pub fn arm() {
    let mut words = [0; 8];
    let read = File::open(c"power").and_then(|mut file| file.read_exact(&mut words));
    if read.is_ok() && fs::remove_file(c"power").is_ok() {
        let [a, b, c, d, e, f, g, h] = words;
        // SAFETY: the words lie in RAM behind the flash, which nothing else uses.
        unsafe {
            FUEL.write_volatile(u32::from_le_bytes([a, b, c, d]));
            WATCHDOG.write_volatile(u32::from_le_bytes([e, f, g, h]));
        }
    }
}

/// The flash.
pub struct Flash;

/// Returns a model where it stands.
pub fn mapped(slot: &Slot) -> &'static [u8] {
    let start = slot.offset as usize;
    assert!(start <= BYTES && slot.len <= BYTES - start, "the store keeps to the flash");
    // SAFETY: the range lies within the memory of the flash, which lives for ever; a slot that is in use is never written.
    unsafe { core::slice::from_raw_parts((START + start) as *const u8, slot.len) }
}

/// Restarts the board in the self-test of a model, if a test wants it.
pub fn watchdog(slot: &Slot) {
    // SAFETY: the word lies in RAM behind the flash.
    if slot.revision != 0 && unsafe { WATCHDOG.read_volatile() } == slot.revision {
        crate::restart();
    }
}

/// Counts an operation and returns whether it is the one in which the power goes.
fn is_cut() -> bool {
    // SAFETY: the word lies in RAM behind the flash.
    unsafe {
        let left = FUEL.read_volatile();
        FUEL.write_volatile(left.saturating_sub(1));
        left == 1
    }
}

fn byte(place: usize) -> *mut u8 {
    assert!(place < BYTES, "the callers have checked the range");
    (START + place) as *mut u8
}

impl ErrorType for Flash {
    type Error = NorFlashErrorKind;
}

impl ReadNorFlash for Flash {
    const READ_SIZE: usize = 1;

    fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), NorFlashErrorKind> {
        check_read(self, offset, bytes.len())?;
        for (place, value) in (offset as usize..).zip(bytes) {
            // SAFETY: the byte lies in the memory of the flash.
            *value = unsafe { byte(place).read_volatile() };
        }
        Ok(())
    }

    fn capacity(&self) -> usize {
        BYTES
    }
}

impl NorFlash for Flash {
    const WRITE_SIZE: usize = 4;
    const ERASE_SIZE: usize = 4096;

    fn erase(&mut self, from: u32, to: u32) -> Result<(), NorFlashErrorKind> {
        check_erase(self, from, to)?;
        for block in (from as usize..to as usize).step_by(Self::ERASE_SIZE) {
            let cut = is_cut();
            let len = if cut { Self::ERASE_SIZE / 2 } else { Self::ERASE_SIZE };
            for place in block..block + len {
                // SAFETY: as above.
                unsafe { byte(place).write_volatile(0xff) };
            }
            if cut {
                crate::restart();
            }
        }
        Ok(())
    }

    fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), NorFlashErrorKind> {
        check_write(self, offset, bytes.len())?;
        let cut = is_cut();
        let len = if cut { bytes.len() / 2 } else { bytes.len() };
        for (place, &value) in (offset as usize..).zip(bytes).take(len) {
            // SAFETY: as above. Writing clears bits and sets none.
            unsafe { byte(place).write_volatile(byte(place).read_volatile() & value) };
        }
        if cut {
            crate::restart();
        }
        Ok(())
    }
}
