//! Answers `attar verify student.attar --on serial:PORT`: samples come over the serial line, outputs go back.
#![no_std]
#![no_main]

use attar_device::link::{Responder, Word};
use static_cell::ConstStaticCell;

use firmware::board::{self, Board, entry};
use firmware::{Memory, STUDENT, say};

#[entry]
fn main() -> ! {
    static MEMORY: ConstStaticCell<Memory> = ConstStaticCell::new(Memory::new());
    static SAMPLE: ConstStaticCell<[Word; STUDENT.sample_words()]> =
        ConstStaticCell::new([Word::ZERO; STUDENT.sample_words()]);
    let mut board = Board::take();
    let student = STUDENT.parse();
    let memory = MEMORY.take().as_mut_slice();
    let responder = student.and_then(|student| Responder::new(&student, STUDENT.bytes(), memory, SAMPLE.take()));
    let mut responder = match responder {
        Ok(responder) => responder,
        Err(error) => board::fail(error),
    };
    say!("waiting for `attar verify student.attar --on serial:PORT`");
    loop {
        let byte = board.receive();
        if let Some(bytes) = responder.push(byte, |run| board.measure(run)) {
            board.send(bytes);
        }
    }
}
