//! {{title}}.

mod clock;
mod stack;
mod uart;

use attar_device::Error;
use attar_device::link::Cost;
use defmt::{Display2Format, println};
use {defmt_rtt as _, panic_probe as _};

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
        let uart = Uart::open();
        // SAFETY: the driver of the chip has the other peripherals, and leaves SysTick alone.
        let core = unsafe { cortex_m::Peripherals::steal() };
        Self { clock: Clock::start(core.SYST), uart }
    }

    /// Measures a run in cycles of the core.
    pub fn measure(&mut self, run: &mut dyn FnMut()) -> Cost {
        Cost { cycles: self.clock.of(run), instructions: 0, stack: stack_bytes() }
    }

    /// Waits for the next byte of the serial line.
    pub fn receive(&mut self) -> u8 {
        self.uart.receive()
    }

    /// Sends bytes over the serial line.
    pub fn send(&mut self, bytes: &[u8]) {
        self.uart.send(bytes);
    }
}

/// The core's clock, as the driver of the chip sets it.
const CLOCK_HZ: u64 = {{clock_hz}};

/// Says a line by way of the probe: `say!("{} of {}", 1, 2)`.
#[macro_export]
macro_rules! say {
    ($($part:tt)*) => { defmt::println!($($part)*) };
}

/// Says what a run took.
pub fn say_cost(cost: &Cost) {
    let micros = u64::from(cost.cycles) * 1_000_000 / CLOCK_HZ;
    println!("took {} cycles, {} us, {} bytes of stack", cost.cycles, micros, cost.stack);
}

/// Ends well: the board waits.
pub fn end() -> ! {
    loop {
        cortex_m::asm::wfi();
    }
}

/// Ends with an error.
pub fn fail(error: Error) -> ! {
    defmt::panic!("{}", Display2Format(&error))
}
