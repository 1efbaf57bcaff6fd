//! What trust costs: instructions and stack of a signature, a self-test, and the start of a store with a settled model.
//!
//! The student is signed; `ATTAR_KEY` names its key. It answers a line each, `WHAT instructions COUNT stack BYTES`, the stack
//! being the deepest so far.
#![no_std]
#![no_main]

#[cfg_attr(target_arch = "arm", path = "../../board/cortex_m.rs")]
#[cfg_attr(target_arch = "riscv32", path = "../../board/riscv32.rs")]
mod board;

use attar_device::store::Store;
use attar_device::{Arena, PublicKey, include_student};
use embedded_storage::nor_flash::{ErrorType, NorFlash, NorFlashErrorKind, ReadNorFlash};
use semihosting::println;

include_student!(STUDENT, concat!(env!("OUT_DIR"), "/student.attar"));

const KEY: PublicKey = PublicKey::from_pem(include_str!(concat!(env!("OUT_DIR"), "/key.pub")));

/// As RAM allows on the smallest board.
const FLASH_BYTES: usize = 12 * 1024;

/// A flash made of RAM.
struct Flash(&'static mut [u8]);

impl ErrorType for Flash {
    type Error = NorFlashErrorKind;
}

impl ReadNorFlash for Flash {
    const READ_SIZE: usize = 4;

    fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), NorFlashErrorKind> {
        let from = self.0.get(offset as usize..).and_then(|rest| rest.get(..bytes.len()));
        bytes.copy_from_slice(from.ok_or(NorFlashErrorKind::OutOfBounds)?);
        Ok(())
    }

    fn capacity(&self) -> usize {
        self.0.len()
    }
}

impl NorFlash for Flash {
    const WRITE_SIZE: usize = 4;
    const ERASE_SIZE: usize = 1024;

    fn erase(&mut self, from: u32, to: u32) -> Result<(), NorFlashErrorKind> {
        self.0.get_mut(from as usize..to as usize).ok_or(NorFlashErrorKind::OutOfBounds)?.fill(0xff);
        Ok(())
    }

    fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), NorFlashErrorKind> {
        let to = self.0.get_mut(offset as usize..).and_then(|rest| rest.get_mut(..bytes.len()));
        to.ok_or(NorFlashErrorKind::OutOfBounds)?.copy_from_slice(bytes);
        Ok(())
    }
}

/// Says what something takes.
fn count<R>(what: &str, run: impl FnOnce() -> R) -> R {
    let start = board::Counter::start();
    let result = run();
    let instructions = start.instructions();
    println!("{what} instructions {instructions} stack {}", board::stack_bytes());
    result
}

/// Runs everything and returns the exit status.
fn run(arena: &'static mut Arena<{ STUDENT.arena_bytes() }>, _: &mut [f32; STUDENT.input_len()]) -> i32 {
    static mut FLASH: [u8; FLASH_BYTES] = [0xff; FLASH_BYTES];
    let flash = &raw mut FLASH;
    // SAFETY: this runs once, and nothing else names the static.
    let flash = unsafe { &mut *flash };
    i32::from(measure(arena, flash).is_none())
}

fn measure(arena: &'static mut Arena<{ STUDENT.arena_bytes() }>, flash: &'static mut [u8]) -> Option<()> {
    let student = count("parse", || STUDENT.parse()).ok()?;
    count("self-test", || student.self_test(arena.as_mut_slice())).ok()?;
    let mut store = count("store-open", || Store::open(Flash(flash))).ok()?;
    count("store-update", || {
        let mut update = store.update(STUDENT.flash_bytes()).ok()?;
        update.write(STUDENT.bytes()).ok()?;
        update.finish().ok()
    })?;
    store.choose(|_, _| Ok(true)).ok()??;
    count("store-choose", || store.choose(|_, _| Ok(true))).ok()??;
    count("signature", || KEY.check(STUDENT.bytes(), 0)).ok()
}

#[panic_handler]
fn panic(info: &core::panic::PanicInfo) -> ! {
    println!("{info}");
    semihosting::process::exit(101)
}
