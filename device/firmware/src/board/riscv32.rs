//! RISC-V, 32 bits: the core counts its own instructions.

#[path = "guard.rs"]
mod guard;

use attar_device::Arena;
use riscv::register::minstret;
use riscv_rt::entry;

use crate::STUDENT;

/// A running count.
pub struct Counter {
    start: u64,
}

impl Counter {
    /// Starts from zero.
    pub fn start() -> Self {
        Self { start: minstret::read64() }
    }

    /// Returns the instructions since the start.
    pub fn instructions(self) -> u64 {
        minstret::read64().wrapping_sub(self.start)
    }
}

/// The stack is not painted here: 0 says that nothing is known.
pub fn stack_bytes() -> u32 {
    0
}

#[entry]
fn main() -> ! {
    guard::guard();
    static mut ARENA: Arena<{ STUDENT.arena_bytes() }> = Arena::new();
    static mut INPUT: [f32; STUDENT.input_len()] = [0.0; STUDENT.input_len()];
    let (arena, input) = (&raw mut ARENA, &raw mut INPUT);
    // SAFETY: there is one hart, this function runs once, and nothing else names the two statics.
    let (arena, input) = unsafe { (&mut *arena, &mut *input) };
    semihosting::process::exit(crate::run(arena, input))
}
