//! The `attar` command.

mod cli;

use std::process::ExitCode;

/// Training frees and takes tensors of megabytes at every step; an allocator that keeps them is twice as fast.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    if std::env::var_os("RAYON_NUM_THREADS").is_none() {
        let threads = std::thread::available_parallelism().map_or(1, |count| count.get());
        // SAFETY: no other thread has been started yet, so nobody reads the environment meanwhile. Without the variable
        // candle counts the cores anew at every matrix product.
        unsafe { std::env::set_var("RAYON_NUM_THREADS", threads.to_string()) };
    }
    cli::main()
}
