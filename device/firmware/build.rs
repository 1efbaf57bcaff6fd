//! Puts the student and the memory layout of the target where the compiler and the linker find them.

use std::path::PathBuf;
use std::{env, fs};

fn main() {
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    let target = env::var("TARGET").expect("cargo sets TARGET");

    let student = env::var("ATTAR_STUDENT").unwrap_or_else(|_| "../examples/student.attar".into());
    println!("cargo::rerun-if-env-changed=ATTAR_STUDENT");
    println!("cargo::rerun-if-changed={student}");
    if let Err(error) = fs::copy(&student, out.join("student.attar")) {
        println!("cargo::error=cannot read the student {student}: {error}; set ATTAR_STUDENT to an .attar file");
        return;
    }

    // The program `field` takes models of one maker alone.
    println!("cargo::rerun-if-env-changed=ATTAR_KEY");
    if env::var_os("CARGO_FEATURE_FIELD").is_some() {
        let key = env::var("ATTAR_KEY").unwrap_or_default();
        println!("cargo::rerun-if-changed={key}");
        if let Err(error) = fs::copy(&key, out.join("key.pub")) {
            println!(
                "cargo::error=cannot read the key {key:?}: {error}; set ATTAR_KEY to the file .pub of `attar keygen`"
            );
            return;
        }
    }

    // Under `-icount shift=0` an instruction is a nanosecond, so a tick of SysTick is 40 instructions at the 25 MHz of QEMU's
    // MPS2 boards, 50 at the 20 MHz of its AN505, 31.25 at the 32 MHz of its AN547, and 62.5 at the 16 MHz of its nRF51.
    println!("cargo::rerun-if-env-changed=ATTAR_BOARD");
    let (memory, four_ticks) = match (target.as_str(), env::var("ATTAR_BOARD").as_deref()) {
        // Code of a Cortex-M0 runs on the larger cores, whose boards have room for larger students.
        ("thumbv6m-none-eabi", Ok("mps2-an385-m0")) => ("memory/mps2.x", 160),
        ("thumbv6m-none-eabi", _) => ("memory/nrf51.x", 250),
        ("thumbv8m.main-none-eabihf", _) => ("memory/an547.x", 125),
        ("thumbv8m.main-none-eabi", _) => ("memory/an505.x", 200),
        (target, _) if target.starts_with("thumb") => ("memory/mps2.x", 160),
        _ => ("memory/virt.x", 0),
    };
    println!("cargo::rustc-env=ATTAR_INSTRUCTIONS_IN_FOUR_TICKS={four_ticks}");
    println!("cargo::rerun-if-changed={memory}");
    fs::copy(memory, out.join("memory.x")).expect("the memory layout is part of this folder");
    println!("cargo::rustc-link-search={}", out.display());
    if target.starts_with("thumb") {
        println!("cargo::rustc-link-arg=--nmagic");
    } else {
        println!("cargo::rustc-link-arg=-Tmemory.x");
    }
    println!("cargo::rustc-link-arg=-Tlink.x");
}
