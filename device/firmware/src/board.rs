//! What differs between families of cores: how a program starts, how instructions are counted, how deep the stack went.

#[cfg(target_arch = "arm")]
mod cortex_m;
#[cfg(target_arch = "arm")]
pub use cortex_m::{Counter, stack_bytes};

#[cfg(target_arch = "riscv32")]
mod riscv32;
#[cfg(target_arch = "riscv32")]
pub use riscv32::{Counter, stack_bytes};
