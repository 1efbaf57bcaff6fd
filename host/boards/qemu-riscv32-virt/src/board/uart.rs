//! The UART of a 16550, by polling.

/// The serial line.
pub struct Uart(());

const DATA: *mut u8 = 0x1000_0000 as *mut u8;
const STATE: *const u8 = 0x1000_0005 as *const u8;

const RECEIVED: u8 = 1;
const CAN_SEND: u8 = 0x20;

impl Uart {
    /// Nothing has to be switched on.
    pub fn open() -> Self {
        Self(())
    }

    /// Waits for a byte.
    pub fn receive(&mut self) -> u8 {
        // SAFETY: the registers of the machine's UART, which nothing else uses.
        unsafe {
            while STATE.read_volatile() & RECEIVED == 0 {}
            DATA.read_volatile()
        }
    }

    /// Sends a byte.
    pub fn send(&mut self, byte: u8) {
        // SAFETY: as in `receive`.
        unsafe {
            while STATE.read_volatile() & CAN_SEND == 0 {}
            DATA.write_volatile(byte);
        }
    }
}
