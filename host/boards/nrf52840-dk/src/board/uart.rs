//! The UART that the board's debugger makes a USB serial port of: pins P0.06 and P0.08.

use embassy_nrf::uarte::{self, Config, Uarte};
use embassy_nrf::{bind_interrupts, peripherals};

bind_interrupts!(struct Interrupts {
    UARTE0 => uarte::InterruptHandler<peripherals::UARTE0>;
});

/// The serial line.
pub struct Uart(Uarte<'static>);

impl Uart {
    /// Starts the chip, and the line at 115,200 bits a second.
    pub fn open() -> Self {
        let mut chip_config = embassy_nrf::config::Config::default();
        // The crystal keeps the line's speed.
        chip_config.hfclk_source = embassy_nrf::config::HfclkSource::ExternalXtal;
        let chip = embassy_nrf::init(chip_config);
        // The speed of a line of this chip is 115,200 unless it is told otherwise.
        Self(Uarte::new(chip.UARTE0, chip.P0_08, chip.P0_06, Interrupts, Config::default()))
    }

    /// Waits for a byte.
    pub fn receive(&mut self) -> u8 {
        let mut byte = [0];
        // A byte that came too fast or was spoilt is one that was lost: the protocol sees to it.
        while self.0.blocking_read(&mut byte).is_err() {}
        byte[0]
    }

    /// Sends bytes.
    pub fn send(&mut self, bytes: &[u8]) {
        // Bytes in RAM always can be sent.
        let _ = self.0.blocking_write(bytes);
    }
}
