//! The UART that the board's debugger makes a USB serial port of: USART2, pins PA2 and PA3.

use embassy_stm32::mode::Blocking;
use embassy_stm32::rcc::{
    AHBPrescaler, APBPrescaler, Hse, HseMode, Pll, PllMul, PllPDiv, PllPreDiv, PllSource, Sysclk,
};
use embassy_stm32::time::Hertz;
use embassy_stm32::usart::{self, Config};

/// The serial line.
pub struct Uart(usart::Uart<'static, Blocking>);

impl Uart {
    /// Starts the chip at 96 MHz, and the line at 115,200 bits a second.
    pub fn open() -> Self {
        let mut chip = embassy_stm32::Config::default();
        // The debugger's 8 MHz, divided by 4, times 96, divided by 2.
        chip.rcc.hse = Some(Hse { freq: Hertz(8_000_000), mode: HseMode::Bypass });
        chip.rcc.pll_src = PllSource::HSE;
        chip.rcc.pll = Some(Pll {
            prediv: PllPreDiv::DIV4,
            mul: PllMul::MUL96,
            divp: Some(PllPDiv::DIV2),
            divq: None,
            divr: None,
        });
        chip.rcc.ahb_pre = AHBPrescaler::DIV1;
        chip.rcc.apb1_pre = APBPrescaler::DIV2;
        chip.rcc.apb2_pre = APBPrescaler::DIV1;
        chip.rcc.sys = Sysclk::PLL1_P;
        let chip = embassy_stm32::init(chip);
        match usart::Uart::new_blocking(chip.USART2, chip.PA3, chip.PA2, Config::default()) {
            Ok(uart) => Self(uart),
            Err(_) => defmt::panic!("USART2 has no such speed"),
        }
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
