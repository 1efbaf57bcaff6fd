//! Tells the kernels what the target has.

use std::env;

fn main() {
    let target = env::var("TARGET").unwrap_or_default();
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rustc-check-cfg=cfg(few_registers)");
    // Thumb of ARMv6-M and ARMv8-M baseline computes in eight registers.
    if target.starts_with("thumbv6m") || target.starts_with("thumbv8m.base") {
        println!("cargo::rustc-cfg=few_registers");
    }
}
