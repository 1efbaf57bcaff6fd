//! A board in QEMU: the firmware is built around the student, gets the samples, and its answers are compared.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use attar_device::Student;

use super::firmware::Firmware;
use super::{Answer, Sample, VerifyFigures, answers};
use crate::boards::Board;
use crate::boards::build::Build;
use crate::student::stream::{self, StreamFigures};
use crate::support::progress::{check_stopped, say};

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
    say(&format!("building the firmware for {} ({})", board.place(), board.target));
    let firmware = build(board, &model, "attar-firmware", folder.path())?;
    say(&format!("running {} samples on {}", samples.len(), board.place()));
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
    say(&format!("building the firmware for {} ({})", board.place(), board.target));
    let firmware = build(board, &model, "attar-firmware", folder.path())?;
    let seconds = samples.len() as f64 / f64::from(signal.channels) / f64::from(signal.rate);
    say(&format!("{} hears {seconds:.0} s", board.place()));
    let lines = run(board, &firmware, folder.path(), 1)?;
    check_stopped()?;
    StreamFigures::of_lines(&board.place(), &lines, &heard, seconds)
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

/// Builds one of the programs of the firmware around a student, and puts it into a folder.
pub(super) fn build(board: &Board, model: &Path, program: &str, folder: &Path) -> Result<PathBuf> {
    let Firmware { source, target } = Firmware::find()?;
    // Programs of one name are built into the same place: another command waits until this one has taken its own away.
    fs::create_dir_all(&target).with_context(|| format!("cannot make {}", target.display()))?;
    let lock = target.join("attar.lock");
    let lock = File::create(&lock).with_context(|| format!("cannot write {}", lock.display()))?;
    lock.lock().with_context(|| format!("cannot lock {}", target.display()))?;
    let built = Build {
        folder: &source,
        program,
        target: &board.target,
        features: &board.features.join(","),
        cache: &target,
        locked: true,
        variables: &[("ATTAR_STUDENT", model.as_os_str()), ("ATTAR_BOARD", board.name.as_ref())],
    }
    .run()?;
    let own = folder.join(program);
    fs::copy(&built, &own).with_context(|| format!("cannot copy {}", built.display()))?;
    Ok(own)
}

/// Returns QEMU with a board, without a screen or a serial line, one nanosecond an instruction; the program is to follow.
///
/// # Errors
///
/// When it is a board of silicon.
pub fn command(board: &Board) -> Result<Command> {
    let qemu = board.simulation()?;
    let mut command = Command::new(&qemu.program);
    command
        .args(&qemu.arguments)
        .args(["-display", "none", "-serial", "none", "-monitor", "none", "-icount", "shift=0"])
        .args(["-semihosting-config", "enable=on,target=native", "-kernel"]);
    Ok(command)
}

/// Runs a program in a folder and returns what it says.
pub(super) fn run(board: &Board, firmware: &Path, folder: &Path, samples: usize) -> Result<Vec<String>> {
    let output =
        command(board)?.arg(firmware).current_dir(folder).stdin(Stdio::null()).output().with_context(|| {
            let program = board.qemu.as_ref().map_or("", |qemu| &qemu.program);
            let package = if program == "qemu-system-arm" { program } else { "qemu-system-misc" };
            format!("cannot run {program}: install it (Debian: apt-get install {package})")
        })?;
    let text = String::from_utf8_lossy(&output.stdout);
    ensure!(
        output.status.success(),
        "{} ended with {} after {} of {samples} samples:\n{}{}",
        board.place(),
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
            bail!("{} said {line:?}, which is not an answer", board.place());
        };
        ensure!(
            *index == seen.to_string() && seen < expected.len(),
            "{} answered sample {index} out of turn",
            board.place()
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
    ensure!(seen == expected.len(), "{} answered {seen} of {} samples", board.place(), expected.len());
    Ok(VerifyFigures {
        on: board.place(),
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
