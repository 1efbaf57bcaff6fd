//! Tells the kernels what the target has.

use std::env;

fn main() {
    let target = env::var("TARGET").unwrap_or_default();
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rustc-check-cfg=cfg(dsp, dsp_extension)");
    // Stable Rust tells of no DSP extension: `cfg(target_feature)` has it neither for thumbv7em nor for thumbv8m.main.
    let dsp = target.starts_with("thumbv7em") || target.starts_with("thumbv8m.main");
    if dsp && env::var_os("CARGO_FEATURE_PLAIN").is_none() {
        println!("cargo::rustc-cfg=dsp");
        if target.starts_with("thumbv8m") {
            println!("cargo::rustc-cfg=dsp_extension");
        }
    }
}
