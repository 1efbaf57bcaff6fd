//! The UART on the pins GP0 and GP1, which a debug probe makes a USB serial port of.

use embassy_rp::uart::{self, Blocking, Config};

/// The serial line.
pub struct Uart(uart::Uart<'static, Blocking>);

impl Uart {
    /// Starts the chip, and the line at 115,200 bits a second.
    pub fn open() -> Self {
        let chip = embassy_rp::init(embassy_rp::config::Config::default());
        Self(uart::Uart::new_blocking(chip.UART0, chip.PIN_0, chip.PIN_1, Config::default()))
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
