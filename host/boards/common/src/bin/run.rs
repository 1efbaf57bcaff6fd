//! Runs the student once: its self-test, the facts by their names, what it says and how long it took.
#![no_std]
#![no_main]

use attar_device::Error;
use static_cell::ConstStaticCell;

use firmware::board::{self, Board, entry};
use firmware::sample::SAMPLE;
use firmware::{Memory, STUDENT, say, tell};

#[entry]
fn main() -> ! {
    static MEMORY: ConstStaticCell<Memory> = ConstStaticCell::new(Memory::new());
    let mut board = Board::take();
    match answer(&mut board, MEMORY.take()) {
        Ok(()) => board::end(),
        Err(error) => board::fail(error),
    }
}

fn answer(board: &mut Board, memory: &'static mut Memory) -> Result<(), Error> {
    let student = STUDENT.parse()?;
    say!("student: {} bytes of flash, {} bytes of arena", STUDENT.flash_bytes(), STUDENT.arena_bytes());
    // The vectors that came with the file, operator by operator: this board computes what the workstation did.
    let vectors = student.self_test(memory.as_mut_slice())?;
    say!("self-test: {} vectors reproduced", vectors);

    let mut session = student.session(memory)?;
    {{facts}}
    let mut ran = Ok(());
    let cost = board.measure(&mut || ran = session.{{run}}(&SAMPLE, &facts).map(|_| ()));
    ran?;
    tell(&session.outputs()?);
    board::say_cost(&cost);
    Ok(())
}
