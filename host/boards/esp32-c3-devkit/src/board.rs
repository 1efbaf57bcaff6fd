//! {{title}}.

use core::arch::asm;

use attar_device::Error;
use attar_device::link::Cost;
use esp_backtrace as _;
use esp_hal::Blocking;
use esp_hal::clock::CpuClock;
use esp_hal::uart::{Config, Uart};
use esp_println::println;

pub use esp_hal::main as entry;

esp_bootloader_esp_idf::esp_app_desc!();

/// The board.
pub struct Board {
    uart: Uart<'static, Blocking>,
}

impl Board {
    /// Starts the board at its full speed, and the line at 115,200 bits a second: that of the pins GPIO20 and GPIO21, which
    /// the board makes a USB serial port of.
    ///
    /// # Panics
    ///
    /// When it is called twice.
    pub fn take() -> Self {
        let chip = esp_hal::init(esp_hal::Config::default().with_cpu_clock(CpuClock::max()));
        // SAFETY: the core's own counter of events counts cycles; nothing else uses it.
        unsafe { asm!("csrwi 0x7e0, 1", "csrwi 0x7e1, 1") };
        match Uart::new(chip.UART0, Config::default()) {
            Ok(uart) => Self { uart: uart.with_rx(chip.GPIO20).with_tx(chip.GPIO21) },
            Err(error) => panic!("{error}"),
        }
    }

    /// Measures a run in cycles of the core.
    pub fn measure(&mut self, run: &mut dyn FnMut()) -> Cost {
        let start = cycles();
        run();
        Cost { cycles: cycles().wrapping_sub(start), ..Cost::default() }
    }

    /// Waits for the next byte of the serial line.
    pub fn receive(&mut self) -> u8 {
        let mut byte = [0];
        // A byte that came too fast or was spoilt is one that was lost: the protocol sees to it.
        while !matches!(self.uart.read(&mut byte), Ok(1)) {}
        byte[0]
    }

    /// Sends bytes over the serial line.
    pub fn send(&mut self, mut bytes: &[u8]) {
        while let Ok(sent @ 1..) = self.uart.write(bytes) {
            bytes = bytes.get(sent..).unwrap_or_default();
        }
    }
}

fn cycles() -> u32 {
    let count;
    // SAFETY: reads the counter that `take` has started.
    unsafe { asm!("csrr {}, 0x7e2", out(reg) count) };
    count
}

/// The core's clock.
const CLOCK_HZ: u64 = {{clock_hz}};

/// Says a line: `say!("{} of {}", 1, 2)`.
#[macro_export]
macro_rules! say {
    ($($part:tt)*) => { esp_println::println!($($part)*) };
}

/// Says what a run took.
pub fn say_cost(cost: &Cost) {
    let micros = u64::from(cost.cycles) * 1_000_000 / CLOCK_HZ;
    println!("took {} cycles, {} us", cost.cycles, micros);
}

/// Ends well: the board waits.
pub fn end() -> ! {
    loop {
        core::hint::spin_loop();
    }
}

/// Ends with an error.
pub fn fail(error: Error) -> ! {
    panic!("{error}")
}
