//! {{title}}, as QEMU has it.

mod uart;

use attar_device::Error;
use attar_device::link::Cost;
use riscv::register::minstret;
use semihosting::{eprintln, println, process};

use uart::Uart;

pub use riscv_rt::entry;

/// The board.
pub struct Board {
    uart: Uart,
}

impl Board {
    /// Starts the board.
    pub fn take() -> Self {
        Self { uart: Uart::open() }
    }

    /// Measures a run: the core counts its own instructions.
    pub fn measure(&mut self, run: &mut dyn FnMut()) -> Cost {
        let start = minstret::read64();
        run();
        let instructions = minstret::read64().wrapping_sub(start);
        Cost { instructions: u32::try_from(instructions).unwrap_or(u32::MAX), ..Cost::default() }
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

/// Says a line: `say!("{} of {}", 1, 2)`.
#[macro_export]
macro_rules! say {
    ($($part:tt)*) => { semihosting::println!($($part)*) };
}

/// Says what a run took.
pub fn say_cost(cost: &Cost) {
    println!("took {} instructions", cost.instructions);
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
