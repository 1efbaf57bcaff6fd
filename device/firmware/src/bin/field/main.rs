//! Update in the field: a signed model comes over the serial line into a store with two slots, is tried at the next start,
//! and goes if it fails.
//!
//! The board is QEMU's MPS2, whose UART is real and whose flash is made of RAM that a restart leaves alone; with the
//! drivers of another board in the place of `uart.rs` and `flash.rs` the rest serves as it is.
#![no_std]
#![no_main]

mod flash;
mod uart;

use attar_device::link::{Answer, Ask, Hello, Refusal, RefusalCode, Request};
use attar_device::store::{Slot, Store};
use attar_device::{Arena, Error, PublicKey, Student, include_student};
use cortex_m_rt::entry;

use flash::Flash;
use uart::Line;

// The model that the firmware is delivered with; nothing is older.
include_student!(STUDENT, concat!(env!("OUT_DIR"), "/student.attar"));

/// Who may make models for this board: the file that ATTAR_KEY names, when the firmware is built.
const KEY: PublicKey = PublicKey::from_pem(include_str!(concat!(env!("OUT_DIR"), "/key.pub")));

/// RAM for whatever model may come.
const ARENA_BYTES: usize = 64 * 1024;

#[entry]
fn main() -> ! {
    static mut ARENA: Arena<ARENA_BYTES> = Arena::new();
    flash::arm();
    let mut line = Line::open();
    // A product whose flash cannot be read would go on with the model that it was delivered with, and say so.
    let Ok(mut store) = Store::open(Flash) else { panic!("the flash cannot be read, or has no room for a store") };
    store.require(STUDENT.revision());
    let chosen = store.choose(|_, slot| Ok(is_good(slot, ARENA.as_mut_slice())));
    let hello = match chosen {
        Ok(Some(slot)) => Hello::of(flash::mapped(&slot), true),
        _ => {
            if let Err(error) = STUDENT.parse().and_then(|student| student.self_test(ARENA.as_mut_slice())) {
                panic!("{error}");
            }
            Hello::of(STUDENT.bytes(), false)
        }
    };
    // A product would go on with its work here, and look at the line now and then.
    serve(&mut store, &mut line, hello)
}

/// Checks a model in the store: who made it, every rule of its format, and its self-test on this very board.
fn is_good(slot: &Slot, arena: &mut [i8]) -> bool {
    let mut proven = || -> Result<(), Error> {
        let student = Student::parse_signed(flash::mapped(slot), &KEY, 0)?;
        flash::watchdog(slot);
        student.self_test(arena).map(|_| ())
    };
    proven().is_ok()
}

/// Answers the workstation for ever.
fn serve(store: &mut Store<Flash>, line: &mut Line, hello: Hello) -> ! {
    let mut ask = None;
    loop {
        let request = ask.take().unwrap_or_else(|| line.next());
        match request.what {
            What::Begin { len } => ask = Some(receive(store, line, request.number, len)),
            What::Hello => line.answer(request.number, Answer::Hello(hello)),
            What::Restart => {
                line.answer(request.number, Answer::Done);
                restart();
            }
            What::Data { .. } | What::Finish => line.refuse(request.number, RefusalCode::NoUpdate),
            What::Other => line.refuse(request.number, RefusalCode::Unsupported),
        }
    }
}

/// Takes a model, and returns the request that is none about it.
fn receive(store: &mut Store<Flash>, line: &mut Line, number: u32, len: u32) -> Owned {
    let mut update = match store.update(len as usize) {
        Ok(update) => update,
        Err(error) => {
            line.refuse(number, error);
            return line.next();
        }
    };
    line.answer(number, Answer::Done);
    loop {
        let request = line.next();
        match request.what {
            What::Data { offset, bytes } if offset as usize == update.came() => match update.write(&bytes) {
                Ok(()) => line.answer(request.number, Answer::Done),
                Err(error) => {
                    line.refuse(request.number, error);
                    return line.next();
                }
            },
            What::Data { offset, .. } => {
                line.refuse(request.number, Refusal::new(RefusalCode::Offset, update.came() as u32, offset));
            }
            What::Finish => {
                match update.finish() {
                    Ok(_) => line.answer(request.number, Answer::Done),
                    Err(error) => line.refuse(request.number, error),
                }
                return line.next();
            }
            _ => return request,
        }
    }
}

/// A request that does not hold on to the line.
pub struct Owned {
    number: u32,
    what: What,
}

/// As [`Ask`], with bytes of its own.
enum What {
    Hello,
    Begin { len: u32 },
    Data { offset: u32, bytes: heapless::Vec<u8, { attar_device::link::MAX_DATA }> },
    Finish,
    Restart,
    Other,
}

impl Owned {
    /// Returns the request, if its bytes are not too many.
    fn of(request: &Request<'_>) -> Option<Self> {
        let what = match request.ask {
            Ask::Hello => What::Hello,
            Ask::Begin { len } => What::Begin { len },
            Ask::Data { offset, bytes } => What::Data { offset, bytes: heapless::Vec::from_slice(bytes).ok()? },
            Ask::Finish => What::Finish,
            Ask::Restart => What::Restart,
            _ => What::Other,
        };
        Some(Self { number: request.number, what })
    }
}

fn restart() -> ! {
    cortex_m::peripheral::SCB::sys_reset()
}

#[panic_handler]
fn panic(info: &core::panic::PanicInfo) -> ! {
    semihosting::eprintln!("{info}");
    semihosting::process::exit(101)
}
