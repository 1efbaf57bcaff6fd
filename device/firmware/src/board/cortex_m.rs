//! Cortex-M: SysTick counts, cortex-m-rt paints the stack.

// As crates of `attar new` have it.
#[path = "../../../../host/boards/cortex-m/src/board/stack.rs"]
mod stack;

use attar_device::Arena;
use cortex_m::peripheral::SYST;
use cortex_m::peripheral::syst::SystClkSource;
use cortex_m_rt::entry;

use crate::STUDENT;

pub use stack::stack_bytes;

/// The instructions that QEMU runs in four ticks of SysTick; build.rs knows the board's clock.
const INSTRUCTIONS_IN_FOUR_TICKS: u64 = match u64::from_str_radix(env!("ATTAR_INSTRUCTIONS_IN_FOUR_TICKS"), 10) {
    Ok(instructions) => instructions,
    Err(_) => panic!("build.rs gives a number"),
};

/// A running count: SysTick from zero, without the interrupt of the crates' clock, whose reading would be part of what is counted.
pub struct Counter {
    systick: SYST,
}

impl Counter {
    /// Starts from zero.
    pub fn start() -> Self {
        // SAFETY: this program takes SysTick nowhere else, has no interrupts, and a counter lives until it is read.
        let mut systick = unsafe { cortex_m::Peripherals::steal() }.SYST;
        systick.set_clock_source(SystClkSource::Core);
        systick.set_reload(MAX_TICKS);
        systick.clear_current();
        systick.enable_counter();
        Self { systick }
    }

    /// Returns the instructions since the start; 0 when there were more than the 24 bits of SysTick can count.
    pub fn instructions(mut self) -> u64 {
        let ticks = MAX_TICKS - SYST::get_current();
        let wrapped = self.systick.has_wrapped();
        self.systick.disable_counter();
        if wrapped { 0 } else { u64::from(ticks) * INSTRUCTIONS_IN_FOUR_TICKS / 4 }
    }
}

const MAX_TICKS: u32 = 0x00ff_ffff;

#[entry]
fn main() -> ! {
    static mut ARENA: Arena<{ STUDENT.arena_bytes() }> = Arena::new();
    static mut INPUT: [f32; STUDENT.input_len()] = [0.0; STUDENT.input_len()];
    semihosting::process::exit(crate::run(ARENA, INPUT))
}
