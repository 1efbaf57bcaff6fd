//! A board in QEMU: the firmware is built around the student, gets the samples, and its answers are compared.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use attar_device::Student;

use super::{Answer, Sample, VerifyFigures, answers};
use crate::boards::build::Build;
use crate::student::stream::{self, StreamFigures};
use crate::support::progress::{check_stopped, say};

/// A board that QEMU knows and the firmware is built for.
#[derive(Debug, Clone, Copy)]
pub struct Board {
    /// Its name after `qemu:`.
    pub name: &'static str,
    /// The target of the compiler.
    pub target: &'static str,
    /// The program.
    pub qemu: &'static str,
    /// What chooses machine and core.
    pub arguments: &'static [&'static str],
    /// What the firmware is built with.
    pub features: &'static str,
}

/// The boards.
pub const BOARDS: [Board; 7] = [
    Board {
        name: "microbit",
        target: "thumbv6m-none-eabi",
        qemu: "qemu-system-arm",
        arguments: &["-M", "microbit"],
        features: "",
    },
    Board {
        name: "mps2-an385-m0",
        target: "thumbv6m-none-eabi",
        qemu: "qemu-system-arm",
        arguments: &["-M", "mps2-an385", "-cpu", "cortex-m3"],
        features: "",
    },
    Board {
        name: "mps2-an385",
        target: "thumbv7m-none-eabi",
        qemu: "qemu-system-arm",
        arguments: &["-M", "mps2-an385", "-cpu", "cortex-m3"],
        features: "",
    },
    Board {
        name: "mps2-an386",
        target: "thumbv7em-none-eabihf",
        qemu: "qemu-system-arm",
        arguments: &["-M", "mps2-an386", "-cpu", "cortex-m4"],
        features: "",
    },
    Board {
        name: "mps2-an505",
        target: "thumbv8m.main-none-eabi",
        qemu: "qemu-system-arm",
        arguments: &["-M", "mps2-an505", "-cpu", "cortex-m33"],
        features: "",
    },
    Board {
        name: "mps3-an547",
        target: "thumbv8m.main-none-eabihf",
        qemu: "qemu-system-arm",
        arguments: &["-M", "mps3-an547", "-cpu", "cortex-m55"],
        features: "helium",
    },
    Board {
        name: "riscv32-virt",
        target: "riscv32imc-unknown-none-elf",
        qemu: "qemu-system-riscv32",
        arguments: &["-M", "virt", "-cpu", "rv32,a=false,f=false,d=false", "-bios", "none"],
        features: "",
    },
];

/// Builds the firmware around a student, runs samples on a board and compares the answers with the engine here.
///
/// # Errors
///
/// When the compiler, its target or QEMU is missing (the message says how to get them), the build fails, or the firmware
/// does.
pub fn on_qemu(board: &Board, bytes: &[u8], samples: &[Sample]) -> Result<VerifyFigures> {
    let student = Student::parse(bytes)?;
    let expected = answers(&student, samples)?;
    let folder = tempfile::Builder::new().prefix("attar-verify-").tempdir()?;
    let model = folder.path().join("student.attar");
    fs::write(&model, bytes)?;
    fs::write(folder.path().join("samples.bin"), encode(samples))?;
    say(&format!("building the firmware for {} ({})", board.name, board.target));
    let firmware = build(board, &model, "attar-firmware")?;
    say(&format!("running {} samples on {}", samples.len(), board.name));
    let lines = run(board, &firmware, folder.path(), samples.len())?;
    check_stopped()?;
    compare(board, &lines, &expected)
}

/// Builds the firmware around a student, lets a board that is told facts (each in its unit, in the order of the model) hear samples,
/// and compares what it makes of them with this machine.
///
/// # Errors
///
/// As [`on_qemu`], and when the model has no front-end or not these facts.
pub fn stream_on_qemu(board: &Board, bytes: &[u8], samples: &[i16], known: &[Option<f32>]) -> Result<StreamFigures> {
    let student = Student::parse(bytes)?;
    let signal = stream::signal_of(&student)?;
    let mut facts = student.facts();
    let count = usize::from(student.model().header().fact_count);
    ensure!(known.len() == count, "{} facts, the model has {count}", known.len());
    for (index, value) in known.iter().enumerate() {
        facts.set_raw(index, *value)?;
    }
    let heard = stream::listen(&student, samples, &facts)?;
    let folder = tempfile::Builder::new().prefix("attar-listen-").tempdir()?;
    let model = folder.path().join("student.attar");
    fs::write(&model, bytes)?;
    let none = Sample { starts: true, input: vec![0.0; student.model().input_shape().len()], facts: known.to_vec() };
    fs::write(folder.path().join("samples.bin"), encode(&[none]))?;
    let mut file = b"ATSG".to_vec();
    file.extend((samples.len() as u32).to_le_bytes());
    file.extend(encode_facts(known));
    file.extend(samples.iter().flat_map(|sample| sample.to_le_bytes()));
    fs::write(folder.path().join("signal.bin"), file)?;
    say(&format!("building the firmware for {} ({})", board.name, board.target));
    let firmware = build(board, &model, "attar-firmware")?;
    let seconds = samples.len() as f64 / f64::from(signal.channels) / f64::from(signal.rate);
    say(&format!("{} hears {seconds:.0} s", board.name));
    let lines = run(board, &firmware, folder.path(), 1)?;
    check_stopped()?;
    StreamFigures::of_lines(&format!("qemu:{}", board.name), &lines, &heard, seconds)
}

/// The samples as the firmware reads them; see device/firmware/README.md.
fn encode(samples: &[Sample]) -> Vec<u8> {
    let sizes = samples.first().map_or([0, 0], |sample| [sample.input.len(), sample.facts.len()]);
    let mut bytes = b"ATSV".to_vec();
    for word in [3, samples.len(), sizes[0], sizes[1]] {
        bytes.extend((word as u32).to_le_bytes());
    }
    for sample in samples {
        bytes.extend(u32::from(sample.starts).to_le_bytes());
        bytes.extend(sample.input.iter().flat_map(|value| value.to_le_bytes()));
        bytes.extend(encode_facts(&sample.facts));
    }
    bytes
}

/// Two words a fact: whether it is known, and its value.
fn encode_facts(facts: &[Option<f32>]) -> impl Iterator<Item = u8> {
    let words = facts.iter().flat_map(|fact| [u32::from(fact.is_some()), fact.unwrap_or(0.0).to_bits()]);
    words.flat_map(u32::to_le_bytes)
}

/// Builds one of the programs of the firmware around a student.
pub(super) fn build(board: &Board, model: &Path, program: &str) -> Result<PathBuf> {
    let source = firmware_source()?;
    let target_folder = env::var_os("ATTAR_FIRMWARE_TARGET").map_or_else(|| source.join("target"), PathBuf::from);
    Build {
        folder: &source,
        program,
        target: board.target,
        features: board.features,
        cache: &target_folder,
        locked: true,
        variables: &[("ATTAR_STUDENT", model.as_os_str()), ("ATTAR_BOARD", board.name.as_ref())],
    }
    .run()
}

/// Returns the folder of the firmware's source: that of this build, or `ATTAR_FIRMWARE`.
fn firmware_source() -> Result<PathBuf> {
    let built_in = Path::new(env!("CARGO_MANIFEST_DIR")).join("../device/firmware");
    let source = env::var_os("ATTAR_FIRMWARE").map_or(built_in, PathBuf::from);
    ensure!(
        source.join("Cargo.toml").exists(),
        "the firmware's source is not at {}: set ATTAR_FIRMWARE to the folder device/firmware of the project",
        source.display()
    );
    Ok(source)
}

/// Runs a program in a folder and returns what it says.
pub(super) fn run(board: &Board, firmware: &Path, folder: &Path, samples: usize) -> Result<Vec<String>> {
    let output = Command::new(board.qemu)
        .args(board.arguments)
        .args(["-display", "none", "-serial", "none", "-monitor", "none", "-icount", "shift=0"])
        .args(["-semihosting-config", "enable=on,target=native"])
        .arg("-kernel")
        .arg(firmware)
        .current_dir(folder)
        .stdin(Stdio::null())
        .output()
        .with_context(|| {
            let package = if board.qemu == "qemu-system-arm" { board.qemu } else { "qemu-system-misc" };
            format!("cannot run {}: install it (Debian: apt-get install {package})", board.qemu)
        })?;
    let text = String::from_utf8_lossy(&output.stdout);
    ensure!(
        output.status.success(),
        "{} ended with {} after {} of {samples} samples:\n{}{}",
        board.name,
        output.status,
        text.lines().filter(|line| line.starts_with("sample ")).count(),
        text.lines().rev().take(3).map(|line| format!("{line}\n")).collect::<String>(),
        String::from_utf8_lossy(&output.stderr)
    );
    // What a program says without opening a file comes by QEMU's stderr.
    let aside = String::from_utf8_lossy(&output.stderr);
    Ok(text.lines().chain(aside.lines()).map(String::from).collect())
}

fn compare(board: &Board, lines: &[String], expected: &[Answer]) -> Result<VerifyFigures> {
    let mut instructions = 0;
    let mut mismatches = 0;
    let mut seen = 0;
    for line in lines.iter().filter(|line| line.starts_with("sample ")) {
        let words: Vec<&str> = line.split(' ').collect();
        let ["sample", index, "instructions", count, "outputs", outputs, "results", results, "facts", facts] =
            words.as_slice()
        else {
            bail!("{} said {line:?}, which is not an answer", board.name);
        };
        ensure!(
            *index == seen.to_string() && seen < expected.len(),
            "{} answered sample {index} out of turn",
            board.name
        );
        let answer = Answer { outputs: unhex(outputs)?, results: unhex(results)?, facts: unhex(facts)? };
        mismatches += expected[seen].mismatches(&answer);
        instructions = instructions.max(count.parse::<u64>().with_context(|| format!("{count:?} instructions"))?);
        seen += 1;
    }
    let operators = lines.iter().filter_map(|line| {
        let (_, count) = line.strip_prefix("operator ")?.split_once(" instructions ")?;
        count.parse::<u64>().ok()
    });
    let stack = lines.iter().find_map(|line| line.strip_prefix("done ")?.split_once(" stack ")?.1.parse().ok());
    ensure!(seen == expected.len(), "{} answered {seen} of {} samples", board.name, expected.len());
    Ok(VerifyFigures {
        on: format!("qemu:{}", board.name),
        samples: seen,
        mismatches,
        instructions: (instructions > 0).then_some(instructions),
        operators: operators.collect(),
        stack: stack.filter(|bytes| *bytes > 0),
        ..VerifyFigures::default()
    })
}

fn unhex(text: &str) -> Result<Vec<u8>> {
    ensure!(text.len().is_multiple_of(2), "{text:?} is not hexadecimal");
    (0..text.len())
        .step_by(2)
        .map(|at| {
            let digits = text.get(at..at + 2).with_context(|| format!("{text:?} is not hexadecimal"))?;
            u8::from_str_radix(digits, 16).with_context(|| format!("{text:?} is not hexadecimal"))
        })
        .collect()
}
