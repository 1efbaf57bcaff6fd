//! The UART of the nRF51, by polling.

/// The serial line.
pub struct Uart(());

const BASE: usize = 0x4000_2000;

impl Uart {
    /// Switches it on.
    pub fn open() -> Self {
        write(0x50c, 24); // sends on pin 24,
        write(0x514, 25); // receives on pin 25,
        write(0x524, 0x01d7_e000); // 115,200 bits a second
        write(0x500, 4); // enabled
        write(0x000, 1); // starts to receive
        write(0x008, 1); // starts to send
        Self(())
    }

    /// Waits for a byte.
    pub fn receive(&mut self) -> u8 {
        while read(0x108) == 0 {}
        write(0x108, 0);
        read(0x518) as u8
    }

    /// Sends a byte.
    pub fn send(&mut self, byte: u8) {
        write(0x11c, 0);
        write(0x51c, u32::from(byte));
        while read(0x11c) == 0 {}
    }
}

fn read(register: usize) -> u32 {
    // SAFETY: a register of the UART, which nothing else uses.
    unsafe { ((BASE + register) as *const u32).read_volatile() }
}

fn write(register: usize, value: u32) {
    // SAFETY: as in `read`.
    unsafe { ((BASE + register) as *mut u32).write_volatile(value) }
}
