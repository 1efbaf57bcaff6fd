//! A guard below the stack of the RISC-V board: 4 KB that nobody may touch, so that a stack which grows too deep faults.

/// Where the guard begins; `memory/virt.x` leaves it free.
const START: usize = 0x803f_f000;

const BYTES: usize = 4096;

/// Locked, a power of two in size, neither read nor written nor run, in machine mode too.
const LOCKED_NAPOT_NOTHING: usize = 0x98;

/// Sets the guard, for good.
pub fn guard() {
    let address = START >> 2 | (BYTES / 8 - 1);
    // SAFETY: the first entry of physical memory protection is nobody else's, and what it takes away is unused.
    unsafe {
        core::arch::asm!("csrw pmpaddr0, {0}", "csrw pmpcfg0, {1}", in(reg) address, in(reg) LOCKED_NAPOT_NOTHING);
    }
}
