//! A guard below the stack of the RISC-V board: 4 KB that nobody may touch, so that a stack which grows too deep faults.

unsafe extern "C" {
    /// Where the guard begins; `build.rs` leaves it free.
    static _stack_guard: u8;
}

const BYTES: usize = 4096;

/// Locked, a power of two in size, neither read nor written nor run, in machine mode too.
const LOCKED_NAPOT_NOTHING: usize = 0x98;

/// Sets the guard, for good.
pub fn guard() {
    let address = (&raw const _stack_guard as usize) >> 2 | (BYTES / 8 - 1);
    // SAFETY: the first entry of physical memory protection is nobody else's, and what it takes away is unused.
    unsafe {
        core::arch::asm!("csrw pmpaddr0, {0}", "csrw pmpcfg0, {1}", in(reg) address, in(reg) LOCKED_NAPOT_NOTHING);
    }
}
