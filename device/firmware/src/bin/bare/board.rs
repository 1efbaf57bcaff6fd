//! How a bare program starts, and how deep its stack goes.

/// Runs something and says how many bytes of stack it took.
pub fn answer(run: impl FnOnce() -> bool) -> ! {
    let here = &raw const run as usize;
    let words = || (here - DEEPEST..here - 128).step_by(4).map(|address| address as *mut u32);
    // SAFETY: the stack of every board is deeper, and what lies below the frame of this function is nobody's yet.
    words().for_each(|word| unsafe { word.write_volatile(PAINT) });
    let good = run();
    // SAFETY: as above.
    let untouched = words().take_while(|word| unsafe { word.read_volatile() } == PAINT).count();
    say(DEEPEST - 4 * untouched);
    semihosting::process::exit(if good { 0 } else { 1 })
}

/// How far the stack is looked at, in bytes.
const DEEPEST: usize = 4096;

const PAINT: u32 = 0xdead_beef;

/// Without formatting, which would be most of the program, and with nothing that could panic.
fn say(bytes: usize) {
    let digit = |rest: usize| b'0' + (rest % 10) as u8;
    let [a, b, c, d] = [1000, 100, 10, 1].map(|unit| digit(bytes.checked_div(unit).unwrap_or(0)));
    let line = [b's', b't', b'a', b'c', b'k', b' ', a, b, c, d, b'\n', 0];
    if let Ok(line) = core::ffi::CStr::from_bytes_with_nul(&line) {
        semihosting::sys::arm_compat::sys_write0(line);
    }
}

#[cfg_attr(target_arch = "arm", cortex_m_rt::entry)]
#[cfg_attr(target_arch = "riscv32", riscv_rt::entry)]
fn start() -> ! {
    crate::main()
}

#[cfg(not(feature = "signed"))]
unsafe extern "C" {
    /// There is no such function: a program in which something could panic does not link.
    fn nothing_here_panics() -> !;
}

/// With signatures a program can only be measured: their library checks indices that depend on no data, which the compiler
/// does not see.
#[cfg(feature = "signed")]
fn nothing_here_panics() -> ! {
    loop {
        core::hint::spin_loop();
    }
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo) -> ! {
    // SAFETY: it is never called, as there would be no program.
    #[cfg_attr(feature = "signed", allow(unused_unsafe))]
    unsafe {
        nothing_here_panics()
    }
}
