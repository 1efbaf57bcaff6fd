//! Cortex-M: SysTick counts, cortex-m-rt paints the stack.

use attar_device::Arena;
use cortex_m::peripheral::SYST;
use cortex_m::peripheral::syst::SystClkSource;
use cortex_m_rt::entry;

use crate::STUDENT;

/// The instructions that QEMU runs in four ticks of SysTick; build.rs knows the board's clock.
const INSTRUCTIONS_IN_FOUR_TICKS: u64 = match u64::from_str_radix(env!("ATTAR_INSTRUCTIONS_IN_FOUR_TICKS"), 10) {
    Ok(instructions) => instructions,
    Err(_) => panic!("build.rs gives a number"),
};

/// A running count.
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

/// Returns how many bytes of stack were used at most.
pub fn stack_bytes() -> usize {
    unsafe extern "C" {
        static _stack_start: u32;
        static _stack_end: u32;
    }
    let (end, start) = (&raw const _stack_end, &raw const _stack_start);
    let words = (start as usize - end as usize) / 4;
    let painted = (0..words)
        // SAFETY: the linker script puts the stack between the two symbols; only words are read, and volatile reads of
        // memory that the stack has not reached are plain loads.
        .take_while(|&word| unsafe { end.add(word).read_volatile() } == cortex_m_rt::STACK_PAINT_VALUE)
        .count();
    (words - painted) * 4
}

#[entry]
fn main() -> ! {
    static mut ARENA: Arena<{ STUDENT.arena_bytes() }> = Arena::new();
    static mut INPUT: [f32; STUDENT.input_len()] = [0.0; STUDENT.input_len()];
    semihosting::process::exit(crate::run(ARENA, INPUT))
}
