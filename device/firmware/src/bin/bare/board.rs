//! How a bare program starts, and how deep its stack goes.

use semihosting::io::Write;

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

/// Without formatting, which would be most of the program.
fn say(bytes: usize) {
    let digits = [1000, 100, 10, 1].map(|unit| b'0' + (bytes / unit % 10) as u8);
    if let Ok(mut out) = semihosting::io::stdout() {
        let _ = out.write_all(b"stack ");
        let _ = out.write_all(&digits);
        let _ = out.write_all(b"\n");
    }
}

#[cfg_attr(target_arch = "arm", cortex_m_rt::entry)]
#[cfg_attr(target_arch = "riscv32", riscv_rt::entry)]
fn start() -> ! {
    crate::main()
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo) -> ! {
    semihosting::process::exit(101)
}
