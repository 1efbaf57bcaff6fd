//! What a board promises, shown by the linker and by the board: nothing can panic, a stack that grows too deep is caught, a
//! self-test names the operator that differs, and what trust costs.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use attar::boards::find_simulated;
use attar_device::{Error, Student};
use attar_tests::firmware::{self, Program, known_key};
use attar_tests::{models, root, trust, with_checksum};

use crate::command::text;

/// One board of each target.
const BOARDS: [&str; 6] = ["mps2-an385-m0", "mps2-an385", "mps2-an386", "mps2-an505", "mps3-an547", "riscv32-virt"];

/// A panic calls a function that does not exist: what links cannot panic. The control adds an index that may be wrong.
///
/// Signatures are left out: their library checks indices that depend on no data, and the compiler does not see it.
#[test]
fn nothing_in_the_device_crate_can_panic_on_any_core() {
    let folder = tempfile::tempdir().unwrap();
    let mut cases = 0;
    for name in BOARDS {
        let board = find_simulated(name).unwrap();
        let build = |student: &str, features| {
            let student = root().join("tests/golden").join(student);
            let program = Program { name: "whole", features, student: &student, key: &known_key() };
            firmware::build(board, program, folder.path())
        };
        for student in ["everything.attar", "text.attar", "signal.attar", "signal-float.attar"] {
            let program = build(student, "store,link,verify").unwrap_or_else(|error| panic!("{name}: {error}"));
            // It does what it should, too: the self-test and a run.
            let output = firmware::qemu(board, &program, folder.path()).output().unwrap();
            assert!(output.status.success(), "{name}: {}", text(&output.stderr));
            cases += 1;
        }
        let control = build("everything.attar", "control").expect_err("a program that may panic links");
        assert!(control.contains("undefined symbol: nothing_here_panics"), "{name}: {control}");
    }
    println!("cases: {cases}");
}

/// The stack stands below everything else, at the end of RAM: one that grows too deep faults, and spoils nothing.
#[test]
fn a_stack_that_overflows_is_caught() {
    let folder = tempfile::tempdir().unwrap();
    let student = root().join("tests/golden/text.attar");
    let caught = "the stack has overflowed; statics are whole";
    for (name, features, expected) in [
        ("mps2-an385-m0", "deep", caught),
        ("mps2-an385", "deep", caught),
        ("mps2-an386", "deep", caught),
        ("riscv32-virt", "deep", caught),
        // Armv8-M does not even enter the handler without room for its frame: the core stops until it is reset.
        ("mps2-an505", "deep", "Lockup"),
        ("mps2-an386", "stack", "the stack was deep enough"),
    ] {
        let board = find_simulated(name).unwrap();
        let program = Program { name: "stack", features, student: &student, key: &known_key() };
        let program = firmware::build(board, program, folder.path()).unwrap();
        let output = firmware::qemu(board, &program, folder.path()).output().unwrap();
        let said = text(&output.stdout) + &text(&output.stderr);
        assert!(said.contains(expected), "{name} said {said:?}");
    }
}

/// A stack of known depth needs code that never calls itself: in the program with everything no function reaches itself by
/// calls. The control has one that does.
#[test]
fn no_function_calls_itself() {
    let folder = tempfile::tempdir().unwrap();
    let student = root().join("tests/golden/everything.attar");
    for name in ["mps2-an385-m0", "mps2-an386"] {
        let board = find_simulated(name).unwrap();
        let cycles = |program, features| {
            let program = Program { name: program, features, student: &student, key: &known_key() };
            let program = firmware::build(board, program, folder.path()).unwrap();
            let calls = calls(&fs::read(program).unwrap());
            assert!(calls.len() > 10 && calls.values().map(BTreeSet::len).sum::<usize>() > 10, "{name}: {calls:?}");
            calls.keys().filter(|&function| reaches(&calls, function)).cloned().collect::<Vec<_>>()
        };
        assert_eq!(cycles("whole", "store,link,verify,signed"), [""; 0], "{name}");
        let control = cycles("stack", "deep");
        assert!(control.iter().any(|function| function.contains("dig")), "{name}: {control:?}");
    }
}

/// Returns which functions of a program for Thumb branch to which others.
fn calls(program: &[u8]) -> BTreeMap<String, BTreeSet<String>> {
    use object::{Object, ObjectSection, ObjectSymbol, SymbolKind};
    let file = object::File::parse(program).unwrap();
    let functions: BTreeMap<u64, (u64, String)> = file
        .symbols()
        .filter(|symbol| symbol.kind() == SymbolKind::Text && symbol.size() > 0)
        .map(|symbol| (symbol.address() & !1, (symbol.size(), symbol.name().unwrap().to_string())))
        .collect();
    let section = file.section_by_name(".text").unwrap();
    let bytes = section.data().unwrap();
    let half = |address: u64| {
        let at = (address - section.address()) as usize;
        bytes.get(at..at + 2).map_or(0, |half| u32::from(half[0]) | u32::from(half[1]) << 8)
    };
    let function_at = |address: u64| {
        let (start, (size, name)) = functions.range(..=address).next_back()?;
        (address < start + size).then_some(name)
    };
    let mut calls = BTreeMap::new();
    for (&start, (size, name)) in &functions {
        let targets: &mut BTreeSet<String> = calls.entry(name.clone()).or_default();
        if start < section.address() {
            continue;
        }
        let mut address = start;
        while address < start + size {
            let (first, second) = (half(address), half(address + 2));
            let is_wide = first >> 11 >= 0b11101;
            // BL, and B to another function. Data between the code may look like one; that adds calls and hides none.
            if first >> 11 == 0b11110 && second >> 14 >= 2 && second >> 12 & 1 == 1 {
                let sign = first >> 10 & 1;
                let [j1, j2] = [13, 11].map(|bit| 1 ^ (second >> bit & 1) ^ sign);
                let offset = sign << 24 | j1 << 23 | j2 << 22 | (first & 0x3ff) << 12 | (second & 0x7ff) << 1;
                let offset = i64::from((offset << 7).cast_signed() >> 7);
                let place = (address as i64 + 4 + offset) as u64;
                // Cores without far jumps use BL for those within a function.
                let is_inside = (start + 1..start + size).contains(&place);
                targets.extend(function_at(place).filter(|_| !is_inside).cloned());
            }
            address += if is_wide { 4 } else { 2 };
        }
    }
    calls
}

fn reaches(calls: &BTreeMap<String, BTreeSet<String>>, function: &String) -> bool {
    let mut seen: BTreeSet<&String> = BTreeSet::new();
    let mut open: Vec<&String> = calls[function].iter().collect();
    while let Some(next) = open.pop() {
        if next == function {
            return true;
        }
        if seen.insert(next) {
            open.extend(calls.get(next).into_iter().flatten());
        }
    }
    false
}

/// One weight changes in flash after the model was checked: the self-test says which operator it belongs to.
#[test]
fn self_test_names_the_operator_that_differs() {
    let golden = models::everything();
    let model = attar_shared::Model::parse(&golden).unwrap();
    let header = model.header();
    let weights = golden.len() - 4 - (header.tests_len + header.weights_len) as usize;
    let mut named = Vec::new();
    for operator in model.operators() {
        let (start, len) = operator.parameters_range();
        if len == 0 {
            continue;
        }
        // The last bytes may be padding; some weights come to nothing behind a clamp.
        let found = (0..len * 8).rev().find_map(|bit| {
            let mut bytes = golden.clone();
            bytes[weights + (start + bit / 8) as usize] ^= 1 << (bit % 8);
            let bytes = with_checksum(bytes);
            let student = Student::parse(&bytes).ok()?;
            match student.self_test(&mut vec![0; student.model().arena_bytes()]) {
                Err(Error::SelfTest { vector: 0, operator: Some(named) }) => Some(named),
                _ => None,
            }
        });
        let index = operator.output - header.source_count();
        assert_eq!(found, Some(index), "an error of operator {index}");
        named.push(index);
    }
    assert!(named.len() > 10, "{named:?}");
    println!("cases: {}", named.len());
    let error = Error::SelfTest { vector: 0, operator: Some(3) };
    assert_eq!(error.to_string(), "operator 3 does not reproduce test vector 0 of the model");
}

/// Deterministic, so that it may not grow unseen; the table is in SECURITY.md.
#[test]
fn trust_costs_what_it_did() {
    let path = root().join("tests/golden/trust.csv");
    let costs = trust::costs().unwrap();
    let line = |cost: &trust::Cost| {
        format!("{},{},{},{},{}\n", cost.core, cost.what, cost.instructions, cost.stack, cost.flash)
    };
    if std::env::var_os("ATTAR_OVERWRITE").is_some() {
        let lines: String = costs.iter().map(line).collect();
        fs::write(&path, format!("core,what,instructions,stack,flash\n{lines}")).unwrap();
    }
    let golden = fs::read_to_string(path).unwrap();
    let rows: Vec<Vec<&str>> = golden.lines().skip(1).map(|line| line.split(',').collect()).collect();
    assert_eq!(rows.len(), costs.len());
    for (row, cost) in rows.iter().zip(&costs) {
        assert_eq!(row[..2], [cost.core, cost.what.as_str()]);
        for (bound, got) in row[2..].iter().zip([cost.instructions, cost.stack, cost.flash]) {
            let bound: u64 = bound.parse().unwrap();
            assert!(got <= bound + bound * 3 / 100, "{row:?}: {cost:?}");
        }
    }
}
