//! Firmware crates of `attar new`: built as a user builds them, run in QEMU, and verified over their serial line.

use std::collections::VecDeque;
use std::fs;
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use attar::boards::estimate::{self, Estimate};
use attar::boards::link::Link;
use attar::boards::{self, boards};
use attar::student::stream;

use attar::boards::verify::{answers, on_line, random_samples};
use attar_device::Student;
use attar_device::link::{Cost, Responder, Word};
use attar_shared::{Arithmetic, Model};
use attar_tests::line::{Line, Noise};
use attar_tests::nets::REFERENCES;
use attar_tests::{models, root, signal, with_checksum};

use crate::command::{attar, fails, in_folder, text};

/// Dependencies are compiled once for all crates and runs of the tests.
fn target_folder() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("boards")
}

/// Makes a crate around a model in a folder, and returns its own. Each has another name: cargo takes crates of one name in one
/// target folder for the same.
fn firmware(folder: &Path, board: &str, model: &[u8]) -> PathBuf {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    let name = format!("on-{board}-{}", COUNT.fetch_add(1, Ordering::Relaxed));
    fs::write(folder.join("model.attar"), model).unwrap();
    let output = in_folder(folder, &["new", &name, "--board", board, "--model", "model.attar"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    folder.join(name)
}

/// Programs are built into the same place: one at a time.
static ONE: Mutex<()> = Mutex::new(());

/// Runs cargo in a crate, alone, and returns what it says.
pub(crate) fn cargo(folder: &Path, arguments: &[&str]) -> String {
    let _one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    cargo_of_holder(folder, arguments)
}

/// The same for who holds [`ONE`].
fn cargo_of_holder(folder: &Path, arguments: &[&str]) -> String {
    let output = Command::new("cargo")
        .args(arguments)
        .current_dir(folder)
        .env("CARGO_TARGET_DIR", target_folder())
        .env_remove("RUSTFLAGS")
        .output()
        .unwrap();
    assert!(output.status.success(), "{arguments:?} in {}: {}", folder.display(), text(&output.stderr));
    text(&output.stdout)
}

/// Every board of QEMU: the crate is formatted, builds without a warning, and says the same as every other board.
#[test]
fn new_crates_run_in_qemu() {
    let folder = tempfile::tempdir().unwrap();
    let mut said: Option<String> = None;
    let simulated: Vec<_> = boards().unwrap().iter().filter(|board| board.is_simulated()).collect();
    assert_eq!(simulated.len(), 7);
    for board in simulated {
        let place = firmware(folder.path(), &board.name, &models::everything());
        cargo(&place, &["fmt", "--check"]);
        cargo(&place, &["clippy", "--release", "--quiet", "--", "-D", "warnings"]);
        let output = cargo(&place, &["run", "--release", "--quiet", "--bin", "run"]);
        // QEMU says first where the serial line is.
        let lines = output.lines().filter(|line| !line.contains("redirected to"));
        let output = lines.collect::<Vec<_>>().join("\n");
        let (results, cost) = output.split_once("took ").unwrap_or_else(|| panic!("{}: {output}", board.name));
        assert!(cost.contains(" instructions"), "{}: {output}", board.name);
        assert!(results.contains("self-test: ") && results.contains("fault: "), "{}: {output}", board.name);
        let expected = said.get_or_insert_with(|| results.to_string());
        assert_eq!(results, expected, "{}", board.name);
    }
}

/// A student that listens gets a program that does: formatted, without a warning, and every board hears the same.
#[test]
fn new_crates_listen_in_qemu() {
    let folder = tempfile::tempdir().unwrap();
    let mut said: Option<String> = None;
    for board in ["qemu-mps2-an386", "qemu-microbit", "qemu-riscv32-virt"] {
        let place = firmware(folder.path(), board, &models::signal(Arithmetic::Fixed));
        cargo(&place, &["fmt", "--check"]);
        cargo(&place, &["clippy", "--release", "--quiet", "--", "-D", "warnings"]);
        let output = cargo(&place, &["run", "--release", "--quiet", "--bin", "listen"]);
        let lines = output.lines().filter(|line| !line.contains("redirected to"));
        let output = lines.collect::<Vec<_>>().join("\n");
        let (results, cost) = output.split_once("the dearest hop:").unwrap_or_else(|| panic!("{board}: {output}"));
        assert!(cost.contains(" instructions") && results.contains(" hops, "), "{board}: {output}");
        let expected = said.get_or_insert_with(|| results.to_string());
        assert_eq!(results, expected, "{board}");
    }
    // Two seconds of the sensor that stands in for one, heard here.
    let model = models::signal(Arithmetic::Fixed);
    let student = Student::parse(&model).unwrap();
    let signal = student.model().signal().unwrap();
    let mut state = 1u32;
    let samples: Vec<i16> = (0..2 * signal.rate as u32 * u32::from(signal.channels))
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            (state >> 16) as i16 / 64
        })
        .collect();
    let heard = stream::listen(&student, &samples, &student.facts()).unwrap();
    let counts = format!("{} hops, {} detections", heard.sums.last().unwrap().hops, heard.detections.len());
    assert!(said.unwrap().contains(&counts), "{counts}");
}

/// The sources for boards that are not built here: everything is filled in, and they are formatted.
#[test]
fn new_crates_for_boards_are_whole() {
    let folder = tempfile::tempdir().unwrap();
    for board in boards().unwrap() {
        let place = firmware(folder.path(), &board.name, &models::text());
        cargo(&place, &["fmt", "--check"]);
        let config = fs::read_to_string(place.join(".cargo/config.toml")).unwrap();
        assert!(config.contains(&board.target), "{}: {config}", board.name);
        let main = fs::read_to_string(place.join("src/bin/run.rs")).unwrap();
        assert!(main.contains("run_text(&SAMPLE"), "{}", board.name);
        let files = board.files(false);
        assert!(files.contains_key("Cargo.lock") && files.contains_key(".gitignore"), "{}", board.name);
        assert!(files.keys().all(|file| place.join(file).exists()), "{}", board.name);
    }
}

#[test]
fn new_refuses_what_it_cannot_make() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    fs::write(folder.join("model.attar"), models::everything()).unwrap();
    fs::write(folder.join("cut.attar"), &models::everything()[..500]).unwrap();
    let new = |name: &str, board: &str, model: &str, expected: &[&str]| {
        fails(folder, &["new", name, "--board", board, "--model", model], expected);
    };
    new("x", "qemu-microbitt", "model.attar", &["no board \"qemu-microbitt\"", "did you mean qemu-microbit?"]);
    new("x", "pico", "none.attar", &["cannot read none.attar"]);
    new("x", "pico", "cut.attar", &["cut.attar"]);
    new("7", "pico", "model.attar", &["has to begin with a letter"]);
    new("core", "pico", "model.attar", &["another crate's name"]);
    fs::create_dir(folder.join("full")).unwrap();
    fs::write(folder.join("full/mine.txt"), "mine").unwrap();
    new("full", "pico", "model.attar", &["full is there already and is not empty"]);
    new("full/mine.txt/x", "pico", "model.attar", &["cannot make full/mine.txt"]);
    assert_eq!(fs::read(folder.join("full/mine.txt")).unwrap(), b"mine");
    // An empty folder will do, and a folder in folders that are not there.
    fs::create_dir(folder.join("empty")).unwrap();
    for name in ["empty", "a/b"] {
        let output = in_folder(folder, &["new", name, "--board", "pico", "--model", "model.attar", "--json"]);
        assert!(output.status.success(), "{}", text(&output.stderr));
        assert!(folder.join(name).join("src/board.rs").exists());
    }
    let left = fs::read_dir(folder)
        .unwrap()
        .filter(|entry| entry.as_ref().unwrap().file_name().to_string_lossy().starts_with('.'));
    assert_eq!(left.count(), 0, "something half made was left");
}

/// Estimates of instructions, code and stack beside what was measured: nets of MLPerf Tiny within 20 %.
#[test]
fn estimates_are_near_what_was_measured() {
    let golden = fs::read_to_string(root().join("tests/golden/device.csv")).unwrap();
    let mut cases = 0;
    for net in &REFERENCES {
        for board in boards().unwrap().iter().filter(|board| board.is_simulated()) {
            let core = estimate::core(&board.core).unwrap();
            let bytes = net.for_board(&core.qemu).unwrap();
            let model = Model::parse(&bytes).unwrap();
            let line = golden.lines().find(|line| line.starts_with(&format!("{},{},", net.name, core.qemu)));
            let cells: Vec<u64> = line.unwrap().split(',').skip(2).map(|cell| cell.parse().unwrap()).collect();
            let [measured, code, stack] = cells[..] else { panic!("{line:?}") };
            let estimate = Estimate::of(&model, bytes.len(), board).unwrap();
            // What was measured begins behind the input.
            let around = core.around(&model);
            let ratio = (estimate.instructions.unwrap() as f64 - around) / measured as f64;
            println!("{} on {}: {ratio:.2}", net.name, board.name);
            assert!((ratio - 1.0).abs() < 0.2, "{} on {}: {ratio:.2}", net.name, board.name);
            assert!(estimate.engine.abs_diff(code) * 50 <= code, "{} on {}: {code} bytes", net.name, board.name);
            assert!(estimate.stack >= stack, "{} on {}: {stack} bytes of stack", net.name, board.name);
            cases += 1;
        }
    }
    assert_eq!(cases, 28);
}

/// Front-ends on each core against `./tests/bench signals`.
#[test]
fn estimates_of_front_ends_are_near_what_was_measured() {
    let golden = fs::read_to_string(root().join("tests/golden/signals.csv")).unwrap();
    let mut cases = 0;
    for front_end in &signal::FRONT_ENDS {
        for (arithmetic, name) in [(Arithmetic::Fixed, "fixed"), (Arithmetic::Float, "float")] {
            let record = signal::design(front_end.text, arithmetic, None);
            let model = models::hearing(&record, 0);
            let model = Model::parse(&model).unwrap();
            for board in boards().unwrap().iter().filter(|board| board.is_simulated()) {
                let core = estimate::core(&board.core).unwrap();
                let start = format!("{},{name},{},", front_end.name, core.qemu);
                // Nobody has measured the M33, whose kernels are the M4's.
                let Some(line) = golden.lines().find_map(|line| line.strip_prefix(&start)) else { continue };
                let (instructions, memory) = line.split_once(',').unwrap();
                let measured: f64 = instructions.parse().unwrap();
                let heard = Estimate::of(&model, 1000, board).unwrap().listening.unwrap();
                let ratio = heard.instructions as f64 / measured;
                assert!((ratio - 1.0).abs() < 0.05, "{start} {ratio:.2}");
                assert_eq!(heard.memory.to_string(), memory, "{start}");
                cases += 1;
            }
        }
    }
    assert_eq!(cases, 60);
}

#[test]
fn budget_says_what_fits() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("small.attar"), models::everything()).unwrap();
    let vww = REFERENCES.iter().find(|net| net.name.starts_with("MobileNet")).unwrap();
    fs::write(folder.path().join("large.attar"), vww.export(true).unwrap()).unwrap();
    let budget = |arguments: &[&str]| -> serde_json::Value {
        let output = in_folder(folder.path(), &[&["budget", "--json"], arguments].concat());
        assert!(output.status.success(), "{}", text(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    };
    let all = budget(&[]);
    assert_eq!(all.as_array().unwrap().len(), boards().unwrap().len());
    let fits = budget(&["small.attar", "large.attar", "--board", "qemu-microbit"]);
    let fits: Vec<bool> = fits.as_array().unwrap().iter().map(|row| row["fits"].as_bool().unwrap()).collect();
    assert_eq!(fits, [true, false], "a micro:bit has 16 KiB of RAM");
    let built = budget(&["small.attar", "--board", "qemu-mps2-an386", "--build"]);
    let (flash, ram) = (built[0]["built"]["flash"].as_u64().unwrap(), built[0]["built"]["ram"].as_u64().unwrap());
    assert!((15_000..120_000).contains(&flash) && (256..8_000).contains(&ram), "{built}");
    fails(folder.path(), &["budget", "none.attar"], &["cannot read none.attar"]);
    fails(folder.path(), &["budget", "small.attar", "--board", "pcio"], &["did you mean pico?"]);
    // The order of dense weights that suits the board is named where it would help, and nothing where the model has it.
    let dense = REFERENCES.iter().find(|net| net.name == "autoencoder").unwrap();
    fs::write(folder.path().join("blocks.attar"), dense.export(true).unwrap()).unwrap();
    fs::write(folder.path().join("rows.attar"), dense.for_board("mps3-an547").unwrap()).unwrap();
    for (board, other) in [("qemu-mps3-an547", ["rows", ""]), ("qemu-mps2-an386", ["", "blocks"])] {
        let rows = budget(&["blocks.attar", "rows.attar", "--board", board]);
        let named = rows.as_array().unwrap().iter().map(|row| row["estimate"]["other_order"]["dense_order"].as_str());
        assert_eq!(named.map(Option::unwrap_or_default).collect::<Vec<_>>(), other, "{board}");
        let table = text(&in_folder(folder.path(), &["budget", "blocks.attar", "rows.attar", "--board", board]).stdout);
        assert_eq!(table.matches("with quantize.dense_order = ").count(), 1, "{table}");
    }
    // A table for people has a row for each board that can be bought.
    let table = text(&in_folder(folder.path(), &["budget", "small.attar"]).stdout);
    assert!(table.contains("small.attar on nrf52840-dk") && !table.contains("qemu-microbit"), "{table}");
}

/// A board in QEMU that answers `attar verify`.
struct Board {
    child: Child,
    folder: tempfile::TempDir,
}

impl Board {
    fn start(name: &str, model: &[u8], serial: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let place = firmware(folder.path(), name, model);
        let board = boards::find(name).unwrap();
        let program = folder.path().join("verify");
        let one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
        cargo_of_holder(&place, &["build", "--release", "--quiet", "--bin", "verify"]);
        // Before another is built in its place.
        fs::copy(target_folder().join(&board.target).join("release/verify"), &program).unwrap();
        drop(one);
        let child = Command::new("qemu-system-arm")
            .args(&board.simulation().unwrap().arguments)
            .args(["-display", "none", "-monitor", "unix:monitor,server=on,wait=off"])
            .args(["-semihosting-config", "enable=on,target=native", "-serial", serial, "-kernel"])
            .arg(program)
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        Self { child, folder }
    }

    fn line(&self) -> Line {
        Line::connect(&self.folder.path().join("line"))
    }
}

impl Drop for Board {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

const SOCKET: &str = "unix:line,server=on,wait=on";

/// Returns the model with facts whose samples are the shortest of the first hundreds, with or without tensors that stay from
/// one run to the next: QEMU's line is slow.
fn small_model(held: bool) -> Vec<u8> {
    let len = |bytes: &Vec<u8>| {
        let model = Model::parse(bytes).unwrap();
        let is_wanted = model.tensors().any(|tensor| tensor.held) == held && model.header().fact_count > 1;
        is_wanted.then(|| model.header().input_values + 2 * u32::from(model.header().fact_count))
    };
    let models = (0..400).map(models::random).filter_map(|model| Some((len(&model)?, model)));
    models.min_by_key(|(len, _)| *len).unwrap().1
}

/// A board that is no more than the code that answers: what is written to it is read by it at once.
struct Fake<'a> {
    responder: Responder<'a>,
    answers: VecDeque<u8>,
}

impl Read for Fake<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.answers.len().min(buffer.len());
        buffer.iter_mut().zip(self.answers.drain(..count)).for_each(|(place, byte)| *place = byte);
        if count == 0 { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(count) }
    }
}

impl Write for Fake<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        for &byte in bytes {
            let measured = |run: &mut dyn FnMut()| {
                run();
                Cost { cycles: 7, ..Cost::default() }
            };
            self.answers.extend(self.responder.push(byte, measured).into_iter().flatten());
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The control: a board that computes with one other byte of its model, and says that it has the right model, is found out.
#[test]
fn board_that_computes_something_else_is_found_out() {
    let model = models::everything();
    let samples = random_samples(&model, 30, 1).unwrap();
    let expected = answers(&Student::parse(&model).unwrap(), &samples).unwrap();
    // The last byte that may be another one and does count.
    let changed = (0..model.len() - 4).rev().map(|place| {
        let mut other = model.clone();
        other[place] ^= 0x20;
        with_checksum(other)
    });
    let counts = |other: &Vec<u8>| {
        let student = Student::parse(other).ok()?;
        let answers = answers(&student, &samples).ok()?;
        Some(answers.iter().zip(&expected).any(|(a, b)| a.mismatches(b) > 0)).filter(|differs| *differs)
    };
    let other = changed.into_iter().find(|other| counts(other).is_some()).unwrap();
    for (runs, is_right) in [(&model, true), (&other, false)] {
        let student = Student::parse(runs).unwrap();
        let header = student.model().header();
        let mut arena = vec![0; student.model().arena_bytes()];
        let words = header.input_values as usize + 2 * usize::from(header.fact_count);
        let mut sample = vec![Word::ZERO; words];
        let responder = Responder::new(&student, &model, &mut arena, &mut sample).unwrap();
        let mut link = Link::new(Fake { responder, answers: VecDeque::new() });
        let figures = on_line(&mut link, &model, &samples).unwrap();
        assert_eq!((figures.mismatches == 0, figures.cycles), (is_right, Some(7)), "{figures:?}");
    }
}

/// A model from somebody else may have any text for a unit: it stays a text in the source that is written.
#[test]
fn texts_of_a_model_do_not_become_code() {
    let folder = tempfile::tempdir().unwrap();
    let mut model = models::everything();
    let unit = model.windows(5).position(|bytes| bytes == b"1/min").unwrap();
    model[unit..][..5].copy_from_slice(b"\nx();");
    let place = firmware(folder.path(), "qemu-mps2-an386", &with_checksum(model));
    let source = fs::read_to_string(place.join("src/bin/run.rs")).unwrap();
    assert!(source.contains(r"// \nx();") && !source.lines().any(|line| line.trim() == "x();"), "{source}");
}

/// A thousand samples over a line that loses one byte in a hundred: each is answered in the end, and none wrong.
#[test]
fn thousand_samples_are_verified_over_a_line_that_loses_bytes() {
    let model = small_model(false);
    let board = Board::start("qemu-mps2-an386", &model, SOCKET);
    let mut line = board.line();
    line.noise = Some(Noise::of(0.01, 0.0, 1));
    let mut link = Link::new(line);
    let samples = random_samples(&model, 1000, 3).unwrap();
    let figures = on_line(&mut link, &model, &samples).unwrap();
    assert_eq!((figures.samples, figures.mismatches), (1000, 0), "{figures:?}");
    assert!(figures.instructions.is_some() && figures.stack.is_some() && figures.cycles.is_none(), "{figures:?}");
    let spoilt = link.into_port().noise.unwrap().spoilt;
    println!("{spoilt} bytes lost, {} requests sent again", figures.repeated.unwrap());
    assert!(spoilt > 500, "{spoilt}");
}

/// Bytes that are lost and changed, and a board that restarts now and then.
#[test]
fn series_are_verified_on_a_board_that_restarts() {
    let model = small_model(true);
    let board = Board::start("qemu-mps2-an386", &model, SOCKET);
    let mut line = board.line();
    line.noise = Some(Noise::of(0.002, 0.002, 1));
    let mut link = Link::new(line);
    let samples = random_samples(&model, 300, 3).unwrap();
    assert!(samples.iter().any(|sample| !sample.starts), "the samples are no series");
    let done = AtomicBool::new(false);
    let mut monitor = UnixStream::connect(board.folder.path().join("monitor")).unwrap();
    let (figures, restarts) = thread::scope(|scope| {
        let restarts = scope.spawn(|| {
            let mut restarts = 0;
            while !done.load(Ordering::Relaxed) && restarts < 5 {
                thread::sleep(Duration::from_millis(300));
                monitor.write_all(b"system_reset\n").unwrap();
                restarts += 1;
            }
            restarts
        });
        let figures = on_line(&mut link, &model, &samples);
        done.store(true, Ordering::Relaxed);
        (figures, restarts.join().unwrap())
    });
    let figures = figures.unwrap();
    assert_eq!((figures.samples, figures.mismatches), (300, 0), "{figures:?}");
    assert!(restarts > 1, "the board did not restart");
}

/// The command, on a port as an operating system has them.
#[test]
fn command_verifies_a_board_on_a_port() {
    use std::io::{BufRead, BufReader};
    let mut board = Board::start("qemu-microbit", &models::everything(), "pty");
    let mut lines = BufReader::new(board.child.stdout.take().unwrap()).lines();
    let port = lines
        .find_map(|line| line.unwrap().split(' ').find(|word| word.starts_with("/dev/")).map(String::from))
        .expect("QEMU says which port it has opened");
    let folder = board.folder.path();
    let on = format!("serial:{port}");
    let verify = |model: &str, on: &str| {
        attar().args(["verify", model, "--on", on, "--samples", "20"]).current_dir(folder).output().unwrap()
    };
    let good = verify("model.attar", &on);
    assert!(good.status.success(), "{}", text(&good.stderr));
    assert!(text(&good.stdout).contains("0 mismatches (20 samples on serial:"), "{}", text(&good.stdout));
    fs::write(folder.join("other.attar"), models::text()).unwrap();
    let fails = |output: std::process::Output, expected: &str| {
        assert_eq!(output.status.code(), Some(1));
        assert!(text(&output.stderr).contains(expected), "{}", text(&output.stderr));
    };
    fails(verify("other.attar", &on), "the board runs another model");
    fails(verify("model.attar", "serial:/dev/none"), "cannot open the port /dev/none");
    fails(verify("model.attar", &format!("{on}@fast")), "the bits a second behind @");
    fails(verify("model.attar", "serial:"), "names no port");
    fails(verify("model.attar", "serail:x"), "use host, serial:PORT");
}
