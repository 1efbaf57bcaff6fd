//! `attar doctor`.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use anyhow::Result;
use attar::boards::boards;
use attar::support::progress::one_line;
use clap::Args;
use serde::Serialize;

use super::{print_as_it_is, print_json};

/// Arguments of `doctor`.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Prints the findings as an array of JSON objects.
    #[arg(long)]
    json: bool,
}

/// One thing that was looked for.
#[derive(Debug, Serialize)]
struct Finding {
    what: String,
    found: Option<String>,
    /// What cannot be done without it.
    needed_for: &'static str,
    /// How to get it.
    get: String,
}

pub(super) fn doctor(arguments: &Arguments) -> Result<()> {
    let findings = findings()?;
    if arguments.json {
        return print_json(&findings);
    }
    let (green, yellow) = (anstyle::AnsiColor::Green.on_default(), anstyle::AnsiColor::Yellow.on_default());
    let mut lines = Vec::new();
    for Finding { what, found, needed_for, get } in &findings {
        lines.push(match found {
            Some(found) => format!("{green}found{green:#}    {what}: {}", one_line(found)),
            None => format!("{yellow}missing{yellow:#}  {what}, for {needed_for}: {get}"),
        });
    }
    let missing = findings.iter().filter(|finding| finding.found.is_none()).count();
    let found = findings.len() - missing;
    lines.push(format!("\n{found} found, {missing} missing; training on the processor needs none of them"));
    print_as_it_is(&lines.join("\n"))
}

fn findings() -> Result<Vec<Finding>> {
    let program = |name: &str, needed_for, get: &str| Finding {
        what: name.into(),
        found: version(name),
        needed_for,
        get: get.into(),
    };
    let mut findings = vec![
        program("cargo", "attar new and attar verify --on qemu:BOARD", "install Rust from https://rustup.rs"),
        program("qemu-system-arm", "attar verify --on qemu:BOARD with Arm", "Debian: apt-get install qemu-system-arm"),
        program(
            "qemu-system-riscv32",
            "attar verify --on qemu:riscv32-virt",
            "Debian: apt-get install qemu-system-misc",
        ),
        program("probe-rs", "cargo run on an Arm board", "cargo install probe-rs-tools --locked"),
        program("espflash", "cargo run on an ESP32", "cargo install espflash --locked"),
    ];
    let installed = installed_targets();
    let targets: BTreeSet<&str> = boards()?.iter().map(|board| board.target.as_str()).collect();
    for target in targets {
        let is_there = installed.as_ref().is_some_and(|installed| installed.iter().any(|name| name == target));
        findings.push(Finding {
            what: format!("target {target}"),
            found: is_there.then(|| "installed".into()),
            needed_for: "boards with that core",
            get: format!("rustup target add {target}"),
        });
    }
    let ports = serialport::available_ports().unwrap_or_default();
    let ports: Vec<String> = ports.into_iter().map(|port| port.port_name).collect();
    findings.push(Finding {
        what: "serial ports".into(),
        found: (!ports.is_empty()).then(|| ports.join(", ")),
        needed_for: "attar verify --on serial:PORT and attar update",
        get: "plug a board in; on Linux your user may have to be in the group dialout".into(),
    });
    findings.push(gpu());
    Ok(findings)
}

/// Returns what a program says of its version.
fn version(program: &str) -> Option<String> {
    let output = Command::new(program).arg("--version").output().ok().filter(|output| output.status.success())?;
    let text = String::from_utf8_lossy(&output.stdout);
    text.lines().next().map(|line| line.trim().to_string())
}

/// Returns the targets of the compiler: what rustup says, or what lies beside the compiler.
fn installed_targets() -> Option<Vec<String>> {
    let output = Command::new("rustc").args(["--print", "sysroot"]).output().ok()?;
    let root = String::from_utf8_lossy(&output.stdout).trim().to_string();
    let entries = std::fs::read_dir(Path::new(&root).join("lib/rustlib")).ok()?;
    Some(entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect())
}

fn gpu() -> Finding {
    let built_for = match (cfg!(feature = "cuda"), cfg!(feature = "metal")) {
        (true, _) => Some("CUDA"),
        (_, true) => Some("Metal"),
        _ => None,
    };
    let card = Command::new("nvidia-smi").args(["--query-gpu=name", "--format=csv,noheader"]).output().ok();
    let card = card.filter(|output| output.status.success());
    let card = card.map(|output| String::from_utf8_lossy(&output.stdout).trim().replace('\n', ", "));
    let (found, get) = match (built_for, card) {
        (Some("CUDA"), None) => (None, "this program is built for CUDA, and nvidia-smi finds no card".into()),
        (Some(built_for), card) => (
            Some(format!("built for {built_for}{}", card.map(|card| format!(", {card}")).unwrap_or_default())),
            String::new(),
        ),
        (None, Some(card)) => (None, format!("there is {card}: build with `cargo build --release --features cuda`")),
        (None, None) => (None, "build with `--features cuda` or `--features metal` on a machine that has one".into()),
    };
    Finding { what: "GPU".into(), found, needed_for: "quicker training of large teachers", get }
}
