//! The UART of Arm's Cortex-M System Design Kit, by polling.

/// The serial line.
pub struct Uart(());

const BASE: usize = {{uart}};
const DATA: *mut u32 = BASE as *mut u32;
const STATE: *mut u32 = (BASE + 4) as *mut u32;
const CONTROL: *mut u32 = (BASE + 8) as *mut u32;
const DIVIDER: *mut u32 = (BASE + 16) as *mut u32;

const TRANSMIT_FULL: u32 = 1;
const RECEIVE_FULL: u32 = 2;

impl Uart {
    /// Switches it on.
    pub fn open() -> Self {
        // SAFETY: the registers of the board's first UART, which nothing else uses.
        unsafe {
            DIVIDER.write_volatile(16);
            CONTROL.write_volatile(3);
        }
        Self(())
    }

    /// Waits for a byte.
    pub fn receive(&mut self) -> u8 {
        // SAFETY: as in `open`.
        unsafe {
            while STATE.read_volatile() & RECEIVE_FULL == 0 {}
            DATA.read_volatile() as u8
        }
    }

    /// Sends a byte.
    pub fn send(&mut self, byte: u8) {
        // SAFETY: as in `open`.
        unsafe {
            while STATE.read_volatile() & TRANSMIT_FULL != 0 {}
            DATA.write_volatile(u32::from(byte));
        }
    }
}
