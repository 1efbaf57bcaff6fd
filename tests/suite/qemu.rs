//! The firmware under QEMU: host and board agree byte for byte, and instructions are what they were.

use std::fs;
use std::path::Path;

use attar::boards::find_simulated;
use attar::boards::verify::{self, random_samples};
use attar_tests::nets::REFERENCES;
use attar_tests::{models, root};
use object::{Object, ObjectSymbol};

use crate::command::{attar, text};

/// Every family of cores that QEMU has a board for, facts and all kinds of operators included.
///
/// Instructions under `-icount` are the same on every machine, so they may not grow unseen: the bounds are what was measured
/// with Rust 1.95 and 3 % more, for other compilers.
#[test]
fn boards_give_the_outputs_of_the_host_in_bounded_instructions() {
    let bytes = models::everything();
    let samples = random_samples(&bytes, 25, 7).unwrap();
    println!("cases: {}", 6 * samples.len());
    for (board, bound) in [
        ("microbit", 311_900),
        ("mps2-an385", 202_800),
        ("mps2-an386", 149_900),
        ("mps2-an505", 204_200),
        ("mps3-an547", 145_900),
        ("riscv32-virt", 220_200),
    ] {
        let figures = verify::on(&format!("qemu:{board}"), &bytes, &samples).unwrap();
        assert_eq!((figures.samples, figures.mismatches), (25, 0), "{board}");
        let instructions = figures.instructions.unwrap();
        assert!(
            (10_000..=bound).contains(&instructions),
            "{board}: {instructions} instructions, expected up to {bound}"
        );
    }
}

/// Random shapes, windows and weights, extremes among them, on every core that has kernels of its own: the host's are others,
/// and equal the specification (`parity`). `ATTAR_GRAPHS` says how many on each core.
#[test]
fn boards_equal_the_host_on_random_graphs() {
    let count = std::env::var("ATTAR_GRAPHS").ok().map_or(5, |count| count.parse().unwrap());
    let mut operators = 0;
    for seed in 9000..9000 + count {
        let bytes = models::random(seed);
        operators += attar_shared::Model::parse(&bytes).unwrap().header().operator_count;
        let samples = random_samples(&bytes, 4, seed).unwrap();
        for board in ["mps2-an385-m0", "mps2-an385", "mps2-an386", "mps2-an505", "mps3-an547", "riscv32-virt"] {
            let figures = verify::on(&format!("qemu:{board}"), &bytes, &samples).unwrap();
            assert_eq!((figures.samples, figures.mismatches), (4, 0), "graph {seed} on {board}");
        }
    }
    println!("cases: {}", count * 4 * 6);
    assert!(u64::from(operators) >= count * 2, "only {operators} operators were compared");
}

/// Windows of three by three at borders, with holes, over what they read: a core may take a row of them at once.
#[test]
fn boards_equal_the_host_on_depthwise_windows() {
    let count = std::env::var("ATTAR_GRAPHS").ok().map_or(8, |count| count.parse().unwrap());
    for seed in 0..count {
        let bytes = models::three_by_three(seed);
        let samples = random_samples(&bytes, 4, seed).unwrap();
        for board in ["mps2-an385-m0", "mps2-an385", "mps2-an386", "mps3-an547", "riscv32-virt"] {
            let figures = verify::on(&format!("qemu:{board}"), &bytes, &samples).unwrap();
            assert_eq!((figures.samples, figures.mismatches), (4, 0), "windows {seed} on {board}");
        }
    }
    println!("cases: {}", count * 4 * 5);
}

/// Dense layers of any length, in blocks and in rows, of 8 and 4 bits.
#[test]
fn boards_equal_the_host_on_dense_layers() {
    let count = std::env::var("ATTAR_GRAPHS").ok().map_or(8, |count| count.parse().unwrap());
    for seed in 0..count {
        let bytes = models::dense(seed);
        let samples = random_samples(&bytes, 4, seed).unwrap();
        for board in ["mps3-an547", "mps2-an386", "riscv32-virt"] {
            let figures = verify::on(&format!("qemu:{board}"), &bytes, &samples).unwrap();
            assert_eq!((figures.samples, figures.mismatches), (4, 0), "dense layers {seed} on {board}");
        }
    }
    println!("cases: {}", count * 4 * 3);
}

/// A text, its n-grams and its gazetteers.
#[test]
fn boards_read_texts_as_the_host_does() {
    let bytes = models::text();
    let samples = random_samples(&bytes, 40, 11).unwrap();
    println!("cases: {}", 3 * samples.len());
    for (board, bound) in [("microbit", 107_700), ("mps2-an386", 72_000), ("riscv32-virt", 76_700)] {
        let figures = verify::on(&format!("qemu:{board}"), &bytes, &samples).unwrap();
        assert_eq!((figures.samples, figures.mismatches), (40, 0), "{board}");
        let instructions = figures.instructions.unwrap();
        assert!(
            (1_000..=bound).contains(&instructions),
            "{board}: {instructions} instructions, expected up to {bound}"
        );
    }
}

/// The program with nothing of the project but what is in it: firmware, engine and the board's layout come from a cache, all of
/// them, and the board takes what it takes with those of the checkout.
#[test]
fn boards_run_without_a_checkout() {
    let (bytes, board) = (models::everything(), "mps2-an386");
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("model.attar"), &bytes).unwrap();
    let cache = Path::new(env!("CARGO_TARGET_TMPDIR")).join("built-in");
    let output = attar()
        .args(["verify", "model.attar", "--on", "qemu:mps2-an386", "--samples", "5", "--seed", "7", "--cost", "--json"])
        .current_dir(folder.path())
        .env("ATTAR_FIRMWARE", "built-in")
        .env("XDG_CACHE_HOME", &cache)
        .env_remove("ATTAR_FIRMWARE_TARGET")
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    let figures: verify::VerifyFigures = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((figures.on.as_str(), figures.samples, figures.mismatches), ("qemu:mps2-an386", 5, 0));
    let simulated = find_simulated(board).unwrap();
    assert_eq!(figures.engine, Some(verify::engine_cost(simulated, &bytes).unwrap()));
    let samples = random_samples(&bytes, 5, 7).unwrap();
    assert_eq!(figures.operators, verify::on("qemu:mps2-an386", &bytes, &samples).unwrap().operators);
    // What the compiler has read, but for the student.
    let cache = cache.join("attar/firmware");
    let read = cache.join("target").join(&simulated.target).join("release/attar-firmware.d");
    let read = fs::read_to_string(read).unwrap();
    let sources: Vec<&str> = read.split_once(": ").unwrap().1.split_whitespace().collect();
    assert!(sources.iter().any(|source| source.ends_with("device/src/kernels/dsp.rs")), "{sources:?}");
    let elsewhere = sources.iter().filter(|source| !source.ends_with("student.attar"));
    let elsewhere: Vec<&&str> = elsewhere.filter(|source| !Path::new(source).starts_with(&cache)).collect();
    assert!(elsewhere.is_empty(), "{elsewhere:?}");
}

/// Every folder of `host/boards` whose name begins with `qemu-` is a place to verify on, by its name and by those of earlier versions.
#[test]
fn boards_of_qemu_are_those_of_the_registry() {
    let folders = fs::read_dir(root().join("host/boards")).unwrap().map(|entry| entry.unwrap());
    let folders = folders.filter(|entry| entry.path().join("board.toml").exists());
    let names = folders.filter_map(|entry| entry.file_name().to_str()?.strip_prefix("qemu-").map(String::from));
    let names: Vec<String> = names.collect();
    assert_eq!(names.len(), 7);
    for name in names {
        for spelling in [name.clone(), format!("qemu:{name}"), format!("qemu-{name}")] {
            assert_eq!(find_simulated(&spelling).unwrap().place(), format!("qemu:{name}"));
        }
    }
    let unknown = find_simulated("mps2-an368").unwrap_err().to_string();
    assert!(unknown.contains("did you mean mps2-an38"), "{unknown}");
    assert!(find_simulated("pico").is_err(), "a board of silicon is not one of QEMU");
    let elsewhere = verify::on("pico", &[], &[]).unwrap_err().to_string();
    assert!(elsewhere.contains("qemu:mps2-an385-m0"), "{elsewhere}");
}

/// What a board does not need is not there: nothing that formats or panics (with a panic the program would not even link), and no
/// library of floats on cores without an FPU, unless facts need them.
#[test]
fn bare_engine_links_neither_formatting_nor_floats() {
    let folder = tempfile::tempdir().unwrap();
    let named = |board: &str, bytes: &[u8], is_meant: &dyn Fn(&str) -> bool| -> Vec<String> {
        let program = verify::bare_program(find_simulated(board).unwrap(), bytes, folder.path()).unwrap();
        let file = fs::read(program).unwrap();
        let file = object::File::parse(file.as_slice()).unwrap();
        file.symbols().map(|symbol| symbol.name().unwrap().to_string()).filter(|name| is_meant(name)).collect()
    };
    // As compilers call them: those of Arm's ABI, and those that end in the widths of their operands.
    let is_float = |name: &str| {
        let ends = ["sf2", "sf3", "df2", "df3", "sfsi", "sisf", "unssf"];
        ["__aeabi_f", "__aeabi_d", "__aeabi_i2f", "__aeabi_ui2f"].iter().any(|start| name.starts_with(start))
            || name.starts_with("__") && ends.iter().any(|end| name.ends_with(end))
    };
    let is_text = |name: &str| name.contains("4core3fmt") || name.contains("9panicking");
    let net = REFERENCES[1].export(true).unwrap();
    for board in ["mps2-an385-m0", "mps2-an385", "mps2-an386", "riscv32-virt"] {
        assert_eq!(named(board, &net, &is_float), [""; 0], "{board}");
        for bytes in [&net, &models::everything(), &models::text()] {
            assert_eq!(named(board, bytes, &is_text), [""; 0], "{board}");
        }
    }
    // The control: facts are numbers, and these cores have no instruction for them.
    for board in ["mps2-an385-m0", "mps2-an385", "riscv32-virt"] {
        assert_ne!(named(board, &models::everything(), &is_float), [""; 0], "{board}");
    }
}

/// The control of the tests above: the comparison sees one bit of one weight.
#[test]
fn comparison_sees_a_changed_weight() {
    let bytes = models::everything();
    let samples = random_samples(&bytes, 5, 3).unwrap();
    let mut other = bytes.clone();
    let header = attar_shared::Model::parse(&bytes).unwrap().header();
    // The last weight before the self-test vectors; without the vectors, which would stop the board at once.
    let weights_end = bytes.len() - 4 - header.tests_len as usize;
    other[weights_end - 4] ^= 0x40;
    other.truncate(weights_end);
    other.extend([0; 8]);
    let len = other.len() as u32;
    other[8..12].copy_from_slice(&len.to_le_bytes());
    other[60..64].copy_from_slice(&4u32.to_le_bytes());
    let other = attar_tests::with_checksum(other);
    let expected = verify::answers(&attar_device::Student::parse(&bytes).unwrap(), &samples).unwrap();
    let got = verify::answers(&attar_device::Student::parse(&other).unwrap(), &samples).unwrap();
    let mismatches: usize = expected.iter().zip(&got).map(|(a, b)| a.mismatches(b)).sum();
    assert!(mismatches > 0, "the comparison does not see a changed weight");
}

#[test]
fn firmware_carries_the_golden_student_when_none_is_named() {
    let default = fs::read(root().join("device/examples/student.attar")).unwrap();
    assert!(default == models::everything(), "device/examples/student.attar is not the golden file");
}
