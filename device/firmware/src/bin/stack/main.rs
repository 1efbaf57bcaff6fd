//! What happens to a stack that grows too deep: on the boards of this folder it stands below the statics, at the start of RAM or
//! above a guard, so that it faults instead of spoiling them. With the feature `deep` this program sees to it that it does.
#![no_std]
#![no_main]

use core::hint::black_box;
use core::sync::atomic::{AtomicU32, Ordering};

#[cfg(target_arch = "riscv32")]
#[path = "../../board/guard.rs"]
mod guard;

use semihosting::println;

/// What an overflow would spoil first, were the stack above it.
static STATICS: [AtomicU32; 64] = [const { AtomicU32::new(0x5a5a_5a5a) }; 64];

#[cfg_attr(target_arch = "arm", cortex_m_rt::entry)]
#[cfg_attr(target_arch = "riscv32", riscv_rt::entry)]
fn main() -> ! {
    #[cfg(target_arch = "riscv32")]
    {
        guard::guard();
        // The handler's first instruction stands at the next multiple of four.
        let handler = (trapped as *const () as usize).next_multiple_of(4);
        // SAFETY: from here on all traps go to the handler below.
        unsafe { core::arch::asm!("csrw mtvec, {0}", in(reg) handler) };
    }
    if cfg!(feature = "deep") {
        black_box(dig(black_box(1_000_000)));
    }
    println!("the stack was deep enough");
    semihosting::process::exit(0)
}

/// Takes at least 64 bytes of stack for each of `left`.
#[inline(never)]
fn dig(left: u32) -> u32 {
    let frame = black_box([left; 16]);
    let deeper = if left == 0 { 0 } else { dig(left - 1) };
    frame.iter().fold(deeper, |sum, word| sum ^ word)
}

/// The handler has no stack: it gets one where the old one began, since nothing returns to what stood there.
#[cfg(target_arch = "arm")]
#[cortex_m_rt::exception(trampoline = false)]
unsafe fn HardFault() -> ! {
    // SAFETY: the linker script knows where the stack begins, and what follows never returns.
    unsafe {
        core::arch::asm!(
            "ldr r0, ={start}",
            "mov sp, r0",
            "bl {overflowed}",
            start = sym _stack_start,
            overflowed = sym overflowed,
            options(noreturn)
        )
    }
}

/// As the handler of Arm.
#[cfg(target_arch = "riscv32")]
#[unsafe(naked)]
#[unsafe(link_section = ".trap")]
extern "C" fn trapped() -> ! {
    core::arch::naked_asm!(
        ".balign 4",
        "la sp, {start}",
        "j {overflowed}",
        start = sym _stack_start,
        overflowed = sym overflowed,
    )
}

unsafe extern "C" {
    static _stack_start: u32;
}

extern "C" fn overflowed() -> ! {
    let are_whole = STATICS.iter().all(|word| word.load(Ordering::Relaxed) == 0x5a5a_5a5a);
    println!("the stack has overflowed{}", if are_whole { "; statics are whole" } else { " into the statics" });
    semihosting::process::exit(0)
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo) -> ! {
    semihosting::process::exit(101)
}
