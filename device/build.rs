//! Tells the kernels what the target has.

use std::env;

fn main() {
    let target = env::var("TARGET").unwrap_or_default();
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rustc-check-cfg=cfg(plain, dsp, dsp_extension, helium, thumb2, thumb1, riscv)");
    // Stable Rust tells of no DSP extension: `cfg(target_feature)` has it neither for thumbv7em nor for thumbv8m.main.
    let has = |starts: &[&str]| starts.iter().any(|start| target.starts_with(start));
    let kernels = if env::var_os("CARGO_FEATURE_PLAIN").is_some() {
        "plain"
    } else if has(&["thumbv8m.main"]) && env::var_os("CARGO_FEATURE_HELIUM").is_some() {
        "helium"
    } else if has(&["thumbv7em", "thumbv8m.main"]) {
        "dsp"
    } else if has(&["thumbv7m"]) {
        "thumb2"
    } else if has(&["thumbv6m", "thumbv8m.base"]) {
        "thumb1"
    } else if has(&["riscv32im"]) {
        "riscv"
    } else {
        "plain"
    };
    println!("cargo::rustc-cfg={kernels}");
    if kernels == "dsp" && has(&["thumbv8m"]) {
        println!("cargo::rustc-cfg=dsp_extension");
    }
}
