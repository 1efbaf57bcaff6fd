//! A bare program without the engine: what starting up and answering take.
#![no_std]
#![no_main]

#[path = "../bare/board.rs"]
mod board;

fn main() -> ! {
    board::answer(|| core::hint::black_box(true))
}
