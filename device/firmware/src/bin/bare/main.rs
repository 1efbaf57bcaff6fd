//! The engine and nothing else: what a student takes in flash and stack beside its own bytes and its arena.
//!
//! It parses the student, runs it on int8 zeros and reads the int8 of its heads. The answer is a line, `stack BYTES`; the
//! size of the program less that of `empty` is the engine's.
#![no_std]
#![no_main]

mod board;

use core::iter::repeat_n;

use attar_device::{Arena, Error, Session, Step, include_student};

include_student!(STUDENT, concat!(env!("OUT_DIR"), "/student.attar"));

fn main() -> ! {
    static mut ARENA: Arena<{ STUDENT.arena_bytes() }> = Arena::new();
    let arena = &raw mut ARENA;
    board::answer(move || {
        // SAFETY: this runs once, and nothing else names the static.
        run(unsafe { &mut *arena }).is_ok()
    })
}

#[inline(never)]
fn run(arena: &'static mut Arena<{ STUDENT.arena_bytes() }>) -> Result<(), Error> {
    let student = STUDENT.parse()?;
    let mut session = student.session(arena)?;
    let facts = session.model().facts_len();
    session.load_quantized(repeat_n(0, STUDENT.input_len()), repeat_n(0, facts))?;
    while session.step() == Step::More {}
    read(&session)
}

// Apart, so that what it needs does not lie under the kernels.
#[inline(never)]
fn read<const PARTS: u128>(session: &Session<'_, PARTS>) -> Result<(), Error> {
    for head in session.outputs()?.heads() {
        core::hint::black_box(head.quantized());
    }
    Ok(())
}
