//! Puts the student and the memory layout of the board where the compiler and the linker find them.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::{env, fs};

fn main() {
    if let Err(error) = run() {
        println!("cargo::error={error}");
    }
}

fn run() -> Result<(), Box<dyn Error>> {
    let out = PathBuf::from(env::var_os("OUT_DIR").ok_or("cargo sets OUT_DIR")?);
    let target = env::var("TARGET")?;

    let student = env::var("ATTAR_STUDENT").unwrap_or_else(|_| "../examples/student.attar".into());
    println!("cargo::rerun-if-env-changed=ATTAR_STUDENT");
    copy(&student, &out.join("student.attar"))
        .map_err(|error| format!("the student: {error}; set ATTAR_STUDENT to an .attar file"))?;

    // The program `field` takes models of one maker only.
    println!("cargo::rerun-if-env-changed=ATTAR_KEY");
    if env::var_os("CARGO_FEATURE_FIELD").is_some() {
        let key = env::var("ATTAR_KEY").unwrap_or_default();
        copy(&key, &out.join("key.pub"))
            .map_err(|error| format!("the key: {error}; set ATTAR_KEY to the file .pub of `attar keygen`"))?;
    }

    println!("cargo::rerun-if-env-changed=ATTAR_BOARD");
    let name = env::var("ATTAR_BOARD").ok().map_or_else(|| board_of(&target).map(String::from), Ok)?;
    let name = name.strip_prefix("qemu-").unwrap_or(&name);
    let board = Board::read(&Path::new("../../host/boards").join(format!("qemu-{name}")))?;
    if board.value("target")? != target {
        return Err(format!("ATTAR_BOARD: {name} is a board for {}, not for {target}", board.value("target")?).into());
    }

    // Under `-icount shift=0` an instruction is a nanosecond, whatever the clock of the board.
    let clock_hz: u64 = board.value("clock_hz")?.replace('_', "").parse()?;
    println!("cargo::rustc-env=ATTAR_INSTRUCTIONS_IN_FOUR_TICKS={}", 4_000_000_000 / clock_hz);

    let guard = if target.starts_with("riscv") { 4 } else { 0 };
    fs::write(out.join("memory.x"), board.memory(guard)?)?;
    println!("cargo::rustc-link-search={}", out.display());
    if target.starts_with("thumb") {
        println!("cargo::rustc-link-arg=--nmagic");
    } else {
        println!("cargo::rustc-link-arg=-Tmemory.x");
    }
    println!("cargo::rustc-link-arg=-Tlink.x");
    Ok(())
}

fn copy(from: &str, to: &Path) -> Result<(), String> {
    println!("cargo::rerun-if-changed={from}");
    fs::copy(from, to).map(|_| ()).map_err(|error| format!("cannot read {from:?}: {error}"))
}

/// The board that a target is built for when none is named.
fn board_of(target: &str) -> Result<&'static str, String> {
    Ok(match target {
        "thumbv6m-none-eabi" => "microbit",
        "thumbv7m-none-eabi" => "mps2-an385",
        "thumbv7em-none-eabihf" => "mps2-an386",
        "thumbv8m.main-none-eabi" => "mps2-an505",
        "thumbv8m.main-none-eabihf" => "mps3-an547",
        "riscv32imc-unknown-none-elf" => "riscv32-virt",
        _ => return Err(format!("no board in QEMU has the target {target}: see host/boards/qemu-*/board.toml")),
    })
}

/// A board: its description, and its memory layout.
struct Board {
    description: String,
    memory: String,
    folder: PathBuf,
}

impl Board {
    fn read(folder: &Path) -> Result<Self, String> {
        let text = |file: &str| {
            let path = folder.join(file);
            println!("cargo::rerun-if-changed={}", path.display());
            fs::read_to_string(&path).map_err(|error| format!("the board: cannot read {}: {error}", path.display()))
        };
        Ok(Self { description: text("board.toml")?, memory: text("memory.x")?, folder: folder.into() })
    }

    /// Returns a key's value, a number or a string without its quotes.
    fn value(&self, key: &str) -> Result<&str, String> {
        let values = self.description.lines().filter_map(|line| line.split_once(" = "));
        let value = values.into_iter().find_map(|(known, value)| (known == key).then_some(value));
        let value = value.map(|value| value.split(" #").next().unwrap_or(value).trim().trim_matches('"'));
        value.ok_or_else(|| format!("{}/board.toml has no {key}", self.folder.display()))
    }

    /// Returns the layout with a stack at the start of RAM, below the statics: one that grows too deep faults instead of spoiling them.
    /// On cores whose RAM has other memory below it, some KiB below the stack belong to nobody: the program makes them a guard.
    fn memory(&self, guard: u32) -> Result<String, String> {
        let stack = self.value("stack")?;
        let kib = stack.strip_suffix(" KiB").ok_or_else(|| format!("stack is {stack}, expected KiB"))?;
        let mut layout = String::new();
        let mut is_split = false;
        for line in self.memory.lines() {
            let ram = line.trim_start().strip_prefix("RAM").map(|rest| rest.trim_start_matches([' ', ':']));
            let places = ram.and_then(|ram| ram.strip_prefix("ORIGIN = ")?.split_once(", LENGTH = "));
            layout += &match places {
                Some((origin, len)) => {
                    is_split = true;
                    format!(
                        "  STACK : ORIGIN = {origin} + {guard}K, LENGTH = {kib}K\n  \
                         RAM : ORIGIN = {origin} + {guard}K + {kib}K, LENGTH = {len} - {guard}K - {kib}K\n"
                    )
                }
                None => line.replace("\"REGION_STACK\", RAM", "\"REGION_STACK\", STACK") + "\n",
            };
        }
        if !is_split {
            return Err(format!("{}/memory.x has no line `RAM : ORIGIN = ..., LENGTH = ...`", self.folder.display()));
        }
        let symbols = "_stack_start = ORIGIN(STACK) + LENGTH(STACK);\n_stack_end = ORIGIN(STACK);\n";
        Ok(format!("{layout}{symbols}_stack_guard = ORIGIN(STACK) - {guard}K;\n"))
    }
}
