//! An estimate of cycles on a Cortex-M4: every instruction that QEMU runs, with the timings that Arm publishes.
//!
//! The timings are those of the instruction set summary in the Cortex-M4 Technical Reference Manual (Arm 100166): one cycle
//! for data processing, multiplications and multiply-accumulates of any width; two for a load, one where it follows another
//! load or store; one for a store; one and one more for each register of a multiple or double load or store; one for a
//! branch, and between one and three more to fill the pipeline when it is taken; two to twelve for a division. Memory is
//! taken to answer without wait states. What the manual leaves open, the pipeline and divisions, is counted at its least and
//! at its most, and the truth lies between; no silicon was asked, so it stays an estimate.

use std::collections::HashMap;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use attar::boards::verify::bare_program;
use attar::boards::{Board, Qemu, find_simulated};
use attar_tests::nets::REFERENCES;
use object::{Object, ObjectSection, ObjectSymbol, SectionKind};
use serde_json::{Value, json};

/// The best published cycles a multiply-accumulate on a Cortex-M4 at 120 MHz among the results of MLPerf Tiny, in the order
/// of [`REFERENCES`].
const PUBLISHED: [f64; 4] = [1.59, 1.95, 1.42, 1.84];

/// Runs each network once and prints what its operators take.
pub(crate) fn table(as_json: bool) -> Result<()> {
    let board = find_simulated("mps2-an386")?;
    let mut rows: Vec<Value> = Vec::new();
    for (net, published) in REFERENCES.iter().zip(PUBLISHED) {
        let folder = tempfile::tempdir()?;
        let program = bare_program(board, &net.export(true)?, folder.path())?;
        let estimate = trace(board, &program).with_context(|| net.name.to_string())?;
        let per_mac = |cycles: u64| cycles as f64 / f64::from(net.macs);
        rows.push(json!({
            "net": net.name,
            "instructions": estimate.instructions,
            "least_cycles": estimate.least,
            "most_cycles": estimate.most,
            "least_cycles_per_mac": per_mac(estimate.least),
            "most_cycles_per_mac": per_mac(estimate.most),
            "published_cycles_per_mac": published,
        }));
    }
    if as_json {
        println!("{}", Value::from(rows));
        return Ok(());
    }
    println!("an estimate for Cortex-M4 from published timings, not measured on silicon");
    println!("{:<14}{:>14}{:>28}{:>20}{:>12}", "net", "instructions", "cycles", "per MAC", "published");
    for row in &rows {
        let count = |key: &str| row[key].as_u64().unwrap_or(0);
        let decimal = |key: &str| row[key].as_f64().unwrap_or(0.0);
        println!(
            "{:<14}{:>14}{:>28}{:>20}{:>12.2}",
            row["net"].as_str().unwrap_or_default(),
            count("instructions"),
            format!("{} to {}", count("least_cycles"), count("most_cycles")),
            format!("{:.2} to {:.2}", decimal("least_cycles_per_mac"), decimal("most_cycles_per_mac")),
            decimal("published_cycles_per_mac"),
        );
    }
    Ok(())
}

/// Instructions, and the cycles that they take at least and at most.
#[derive(Debug, Clone, Copy, Default)]
struct Estimate {
    instructions: u64,
    least: u64,
    most: u64,
}

/// Runs a program in QEMU, an instruction at a time, and adds up its operators.
fn trace(board: &Board, program: &Path) -> Result<Estimate> {
    let code = Code::read(program)?;
    let mut estimate = Estimate::default();
    // The instruction before, since what it takes depends on where the next one stands.
    let mut before: Option<u32> = None;
    let mut after_access = false;
    let mut unknown = None;
    each_address(board, program, |address| {
        if let Some(last) = before {
            let Some(instruction) = code.at(last) else {
                unknown = Some(last);
                return;
            };
            instruction.add_to(&mut estimate, after_access, address != last.wrapping_add(instruction.len));
            after_access = matches!(instruction.class, Class::Load | Class::Store);
        }
        before = Some(address);
    })?;
    ensure!(unknown.is_none(), "no instruction at {unknown:x?}");
    Ok(estimate)
}

/// Prints which functions run the operators' instructions, for each network on a board.
pub(crate) fn profile(on: &str) -> Result<()> {
    let board = find_simulated(on)?;
    for net in &REFERENCES {
        let folder = tempfile::tempdir()?;
        let program = bare_program(board, &net.for_board(&board.name)?, folder.path())?;
        let bytes = fs::read(&program)?;
        let file = object::File::parse(bytes.as_slice())?;
        let text = |symbol: &object::Symbol<'_, '_>| symbol.kind() == object::SymbolKind::Text;
        let mut functions: Vec<(u32, &str)> = file
            .symbols()
            .filter(text)
            .filter_map(|symbol| Some((symbol.address() as u32 & !1, symbol.name().ok()?)))
            .collect();
        functions.sort_unstable();
        let mut counts: HashMap<&str, u64> = HashMap::new();
        each_address(board, &program, |address| {
            let after = functions.partition_point(|(start, _)| *start <= address);
            let name = after.checked_sub(1).map_or("?", |place| functions[place].1);
            *counts.entry(name).or_default() += 1;
        })?;
        let all: u64 = counts.values().sum();
        let mut counts: Vec<(&str, u64)> = counts.into_iter().collect();
        counts.sort_unstable_by_key(|&(name, count)| (std::cmp::Reverse(count), name));
        println!("{} on {on}: {all} instructions", net.name);
        for (name, count) in counts.iter().filter(|(_, count)| count * 200 > all) {
            println!("  {:>5.1} %{count:>12}  {}", *count as f64 / all as f64 * 100.0, readable(name));
        }
    }
    Ok(())
}

/// Returns the path in a legacy name, `_ZN` and each part behind its length, without crate and hash.
fn readable(name: &str) -> String {
    let Some(mut rest) = name.strip_prefix("_ZN") else { return name.into() };
    let mut parts = Vec::new();
    while let Some(end) = rest.find(|c: char| !c.is_ascii_digit()).filter(|end| *end > 0) {
        let Ok(len) = rest[..end].parse::<usize>() else { break };
        let Some(part) = rest.get(end..end + len) else { break };
        parts.push(part);
        rest = &rest[end + len..];
    }
    parts.get(1..parts.len().saturating_sub(1)).unwrap_or_default().join("::")
}

/// Runs a program in QEMU and calls `with` on the address of each instruction between the start of the first operator and the
/// end of the last.
fn each_address(board: &Board, program: &Path, mut with: impl FnMut(u32)) -> Result<()> {
    let (start, end) = ends(program)?;
    let Qemu { program: emulator, arguments, .. } = board.simulation()?;
    let mut qemu = Command::new(emulator)
        .args(arguments)
        .args(["-display", "none", "-serial", "none", "-monitor", "none"])
        .args(["-semihosting-config", "enable=on,target=native"])
        .args(one_by_one(emulator)?)
        .args(["-d", "exec,nochain", "-kernel"])
        .arg(program)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot run {emulator}"))?;
    let lines = BufReader::with_capacity(1 << 20, qemu.stderr.take().context("QEMU has no stderr")?);
    let mut runs = false;
    for line in lines.split(b'\n') {
        let Some(address) = address_of(&line?) else { continue };
        if address == end && runs {
            break;
        }
        runs |= address == start;
        if runs {
            with(address);
        }
    }
    // The rest of the trace is of no interest.
    qemu.kill()?;
    qemu.wait()?;
    ensure!(runs, "no operator was seen to run");
    Ok(())
}

/// Returns where the first operator starts, and where a program is that has run the last.
fn ends(program: &Path) -> Result<(u32, u32)> {
    let bytes = fs::read(program)?;
    let file = object::File::parse(bytes.as_slice())?;
    // Legacy names hold crate, type and function with their lengths.
    let find = |parts: &[&str]| {
        let mut symbols = file.symbols();
        let found = symbols.find(|symbol| {
            symbol.name().is_ok_and(|name| name.starts_with("_ZN") && parts.iter().all(|part| name.contains(part)))
        });
        found.map(|symbol| symbol.address() as u32 & !1).with_context(|| format!("no function {}", parts.join("::")))
    };
    Ok((find(&["12attar_device", "7session", "7execute"])?, find(&["5board3say"])?))
}

/// Returns the arguments that make each instruction a block of its own, which changed its name with QEMU 8.1.
fn one_by_one(qemu: &str) -> Result<&'static [&'static str]> {
    let output = Command::new(qemu).arg("--version").output().with_context(|| format!("cannot run {qemu}"))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let version = text.split_whitespace().find_map(|word| {
        let (major, rest) = word.split_once('.')?;
        Some((major.parse::<u32>().ok()?, rest.split('.').next()?.parse::<u32>().ok()?))
    });
    let version = version.with_context(|| format!("{qemu} does not say its version"))?;
    Ok(if version >= (8, 1) { &["-accel", "tcg,one-insn-per-tb=on"] } else { &["-singlestep"] })
}

/// Returns the address in a line `Trace 0: 0x7f… [cs_base/pc/flags/cflags] name`.
fn address_of(line: &[u8]) -> Option<u32> {
    let text = std::str::from_utf8(line).ok()?.strip_prefix("Trace ")?;
    let (_, inside) = text.split_once('[')?;
    u32::from_str_radix(inside.split('/').nth(1)?, 16).ok()
}

/// The instructions of a program.
struct Code(HashMap<u32, Instruction>);

impl Code {
    fn read(program: &Path) -> Result<Self> {
        let bytes = fs::read(program)?;
        let file = object::File::parse(bytes.as_slice())?;
        let mut instructions = HashMap::new();
        for section in file.sections().filter(|section| section.kind() == SectionKind::Text) {
            let (data, base) = (section.data()?, section.address() as u32);
            // Where data stands between functions, what is read of it is never asked for.
            for at in (0..data.len().saturating_sub(1)).step_by(2) {
                let half = |at: usize| data.get(at..at + 2).map_or(0, |half| u16::from_le_bytes([half[0], half[1]]));
                instructions.insert(base + at as u32, Instruction::decode(half(at), half(at + 2)));
            }
        }
        Ok(Self(instructions))
    }

    fn at(&self, address: u32) -> Option<Instruction> {
        self.0.get(&address).copied()
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Class {
    /// One cycle, more where it jumps.
    Plain,
    /// A load of one register.
    Load,
    /// A store of one register.
    Store,
    /// So many registers, to or from memory.
    Multiple(u32),
    Division,
}

#[derive(Debug, Clone, Copy)]
struct Instruction {
    class: Class,
    /// Bytes.
    len: u32,
}

impl Instruction {
    /// Tells what the encoding of a Thumb instruction (Armv7-M Architecture Reference Manual, A5) takes.
    fn decode(first: u16, second: u16) -> Self {
        let wide = first >> 11 >= 0b11101;
        let class = if wide { wide_class(first, second) } else { narrow_class(first) };
        Self { class, len: if wide { 4 } else { 2 } }
    }

    fn add_to(self, estimate: &mut Estimate, after_access: bool, jumps: bool) {
        let (least, most) = match self.class {
            Class::Plain | Class::Store => (1, 1),
            Class::Load if after_access => (1, 1),
            Class::Load => (2, 2),
            Class::Multiple(registers) => (1 + u64::from(registers), 1 + u64::from(registers)),
            Class::Division => (2, 12),
        };
        let (fill_least, fill_most) = if jumps { (1, 3) } else { (0, 0) };
        estimate.instructions += 1;
        estimate.least += least + fill_least;
        estimate.most += most + fill_most;
    }
}

fn narrow_class(half: u16) -> Class {
    match half >> 11 {
        // From a literal; from the stack.
        0b01001 | 0b10011 => Class::Load,
        0b10010 => Class::Store,
        // With a register as offset: STR, STRH, STRB, LDRSB, LDR, LDRH, LDRB, LDRSH.
        0b01010 | 0b01011 => {
            if half >> 9 & 7 < 3 {
                Class::Store
            } else {
                Class::Load
            }
        }
        0b01100 | 0b01110 | 0b10000 => Class::Store,
        0b01101 | 0b01111 | 0b10001 => Class::Load,
        0b11000 | 0b11001 => Class::Multiple((half & 0xff).count_ones()),
        // PUSH and POP.
        0b10110 | 0b10111 if half >> 9 & 3 == 2 => Class::Multiple((half & 0x1ff).count_ones()),
        _ => Class::Plain,
    }
}

fn wide_class(first: u16, second: u16) -> Class {
    match first >> 9 & 0x3f {
        // Multiples; doubles, where bit 6 is set.
        0b110100 if first >> 6 & 1 == 0 => Class::Multiple(second.count_ones()),
        // TBB and TBH load what they jump by.
        0b110100 if first & 0xfff0 == 0xe8d0 => Class::Load,
        0b110100 => Class::Multiple(2),
        // Single stores and loads.
        0b111100 => {
            if first >> 4 & 1 == 1 {
                Class::Load
            } else {
                Class::Store
            }
        }
        // Of floating-point registers: multiples when the base moves on, or singles.
        0b110110 if second >> 9 & 7 == 0b101 => {
            let is_single = first >> 8 & 1 == 1 && first >> 5 & 1 == 0;
            match (is_single, first >> 4 & 1 == 1) {
                (true, true) => Class::Load,
                (true, false) => Class::Store,
                (false, _) => Class::Multiple(u32::from(second & 0xff)),
            }
        }
        // Bits 8 to 4 of 11101 hold multiplications, SDIV and UDIV among them.
        0b111101 if matches!(first & 0xfff0, 0xfb90 | 0xfbb0) => Class::Division,
        _ => Class::Plain,
    }
}
