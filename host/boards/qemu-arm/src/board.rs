//! {{title}}, as QEMU has it.

mod clock;
mod stack;
mod uart;

use attar_device::Error;
use attar_device::link::Cost;
use semihosting::{eprintln, println, process};

use clock::Clock;
use stack::stack_bytes;
use uart::Uart;

pub use cortex_m_rt::entry;

/// The board.
pub struct Board {
    clock: Clock,
    uart: Uart,
}

impl Board {
    /// Starts the board.
    ///
    /// # Panics
    ///
    /// When it is called twice.
    pub fn take() -> Self {
        let Some(core) = cortex_m::Peripherals::take() else { panic!("the board was taken twice") };
        Self { clock: Clock::start(core.SYST), uart: Uart::open() }
    }

    /// Measures a run. QEMU knows no cycles; under `-icount shift=0` SysTick counts instructions at the clock of the board.
    pub fn measure(&mut self, run: &mut dyn FnMut()) -> Cost {
        let ticks = self.clock.of(run);
        let instructions = u64::from(ticks) * 1_000_000_000 / CLOCK_HZ;
        Cost { instructions: u32::try_from(instructions).unwrap_or(u32::MAX), cycles: 0, stack: stack_bytes() }
    }

    /// Waits for the next byte of the serial line.
    pub fn receive(&mut self) -> u8 {
        self.uart.receive()
    }

    /// Sends bytes over the serial line.
    pub fn send(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|&byte| self.uart.send(byte));
    }
}

/// The core's clock.
const CLOCK_HZ: u64 = {{clock_hz}};

/// Says a line: `say!("{} of {}", 1, 2)`.
#[macro_export]
macro_rules! say {
    ($($part:tt)*) => { semihosting::println!($($part)*) };
}

/// Says what a run took.
pub fn say_cost(cost: &Cost) {
    println!("took {} instructions, {} bytes of stack", cost.instructions, cost.stack);
}

/// Ends well.
pub fn end() -> ! {
    process::exit(0)
}

/// Ends with an error.
pub fn fail(error: Error) -> ! {
    eprintln!("error: {error}");
    process::exit(1)
}

#[panic_handler]
fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
    eprintln!("{info}");
    process::exit(101)
}
