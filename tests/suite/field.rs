//! Updates of a board in the field: the program `field` in QEMU, with models that come over its serial line.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::LazyLock;

use attar::boards::link::{Link, Sent};
use attar_device::store::MAX_TRIALS;
use attar_tests::firmware::{self, Program, known_key};
use attar_tests::line::{Line, Noise};
use attar_tests::{models, root, trust, with_checksum};

use crate::command::{attar, text};

fn signed(revision: u32) -> Vec<u8> {
    trust::signed(&models::text(), revision)
}

fn checksum(model: &[u8]) -> u32 {
    u32::from_le_bytes(*model.last_chunk().unwrap())
}

/// The program around the golden file, for a Cortex-M4.
static FIRMWARE: LazyLock<PathBuf> = LazyLock::new(|| {
    let student = root().join("tests/golden/everything.attar");
    let program = Program { name: "field", features: "field", student: &student, key: &known_key() };
    let board = attar::boards::find_simulated("mps2-an386").unwrap();
    firmware::build(board, program, Path::new(env!("CARGO_TARGET_TMPDIR"))).unwrap()
});

/// A board that runs until it is dropped.
struct Board {
    child: Child,
    folder: tempfile::TempDir,
}

impl Board {
    fn start(serial: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let child = Command::new("qemu-system-arm")
            .args(["-M", "mps2-an386", "-cpu", "cortex-m4", "-display", "none", "-monitor", "none", "-serial", serial])
            .args(["-semihosting-config", "enable=on,target=native", "-kernel"])
            .arg(&*FIRMWARE)
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        Self { child, folder }
    }

    /// Starts a board and connects to its serial line.
    fn connected() -> (Self, Link<Line>) {
        let board = Self::start("unix:line,server=on,wait=on");
        let line = Line::connect(&board.folder.path().join("line"));
        (board, Link::new(line))
    }

    /// Says in which operation of its flash the board loses its power after its next start, and in the self-test of which
    /// revision a watchdog bites.
    fn arm(&self, fuel: u32, watchdog: u32) {
        let words = [fuel.to_le_bytes(), watchdog.to_le_bytes()].concat();
        // Whole at once, for the board may be looking.
        fs::write(self.folder.path().join("power.new"), words).unwrap();
        fs::rename(self.folder.path().join("power.new"), self.folder.path().join("power")).unwrap();
    }
}

impl Drop for Board {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn board_takes_what_is_signed_good_and_newer_and_keeps_its_model_otherwise() {
    let (board, mut link) = Board::connected();
    let delivered = models::everything();
    let hello = link.hello().unwrap();
    assert!(!hello.is_update && hello.checksum == checksum(&delivered) && hello.revision == 3);
    let delivered_is_newer = format!("{:#}", link.update(&signed(2)).unwrap_err());
    assert!(delivered_is_newer.contains("revision 2, at least 3"), "{delivered_is_newer}");
    let first = signed(4);
    let updated = link.update(&first).unwrap();
    assert_eq!((updated.before, updated.after.checksum), (hello, checksum(&first)));
    assert!(updated.after.is_update);

    let refused = |link: &mut Link<Line>, model: &[u8], what: &str| {
        let after = link.update(model).unwrap().after;
        assert_eq!(after.checksum, checksum(&first), "{what} runs");
    };
    let mut unsigned = models::text();
    unsigned[68..72].copy_from_slice(&9u32.to_le_bytes());
    refused(&mut link, &with_checksum(unsigned), "an unsigned model");
    refused(&mut link, &trust::signed_by([1; 32], &models::text(), 9), "a model of another key");
    let mut changed = signed(9);
    changed[200] ^= 1;
    let changed = with_checksum(changed);
    if attar_shared::Model::parse(&changed).is_ok() {
        refused(&mut link, &changed, "a model that was changed afterwards");
    }
    let mut broken = models::text();
    let place = broken.len() - 8;
    broken[place] ^= 1;
    refused(&mut link, &trust::signed(&with_checksum(broken), 9), "a model that fails its self-test");
    let older = format!("{:#}", link.update(&signed(3)).unwrap_err());
    assert!(older.contains("revision 3, at least 4"), "{older}");
    board.arm(0, 9);
    link.restart().unwrap();
    refused(&mut link, &signed(9), "a model from which the board does not come back");
    assert_eq!(link.hello().unwrap().checksum, checksum(&first));
    // The watchdog bit as often as it may, and the next model is welcome.
    assert_eq!(MAX_TRIALS, 3);
    assert_eq!(link.update(&signed(10)).unwrap().after.revision, 10);
}

#[test]
fn power_cuts_leave_a_board_with_a_model() {
    let (board, mut link) = Board::connected();
    let mut running = signed(4);
    link.update(&running).unwrap();
    let erased = (running.len() + 256).div_ceil(4096);
    let operations = erased + running.len().div_ceil(32) + 1;
    // Two more when the board starts: the trial, and its end.
    let last = operations as u32 + 3;
    // All of them are cut in the simulated flash; here the first, the last, and some between.
    let mut cases = 0;
    for fuel in (1..=last).filter(|fuel| *fuel < 4 || *fuel > last - 6 || fuel % 8 == 0) {
        cases += 1;
        let next = signed(4 + fuel);
        board.arm(fuel, 0);
        link.restart().unwrap();
        let sent = link.send(&next).unwrap();
        // A board that is cut off while it erases is asked once more to begin, and does.
        let is_cut = (erased + 1..=operations).contains(&(fuel as usize));
        assert_eq!(sent != Sent::Whole, is_cut, "operation {fuel}: {sent:?}");
        if !is_cut {
            link.restart().unwrap();
        }
        let found = link.hello().unwrap();
        assert!(found.is_update, "operation {fuel}: the board fell back to what it was delivered with");
        let known = [checksum(&running), checksum(&next)];
        assert!(known.contains(&found.checksum), "operation {fuel}: neither the old model nor the new one");
        assert!(is_cut || found.checksum == known[1], "operation {fuel}: the new model is lost");
        assert_eq!(link.update(&next).unwrap().after.checksum, known[1], "operation {fuel}: the second attempt failed");
        running = next;
    }
    println!("cases: {cases}");
}

#[test]
fn update_arrives_over_a_line_that_loses_and_changes_one_byte_in_a_hundred() {
    let (_board, link) = Board::connected();
    let mut line = link.into_port();
    line.noise = Some(Noise::of(0.005, 0.005, 1));
    let mut link = Link::new(line);
    let mut repeated = 0;
    for revision in 4..6 {
        let model = signed(revision);
        let updated = link.update(&model).unwrap();
        assert_eq!(updated.after.checksum, checksum(&model));
        repeated = updated.repeated;
    }
    assert!(repeated > 10, "{repeated}: the line was not noisy");
}

/// The command, through a port as an operating system has them.
#[test]
fn command_updates_a_board_on_a_port() {
    use std::io::BufRead;
    let mut board = Board::start("pty");
    let mut lines = io::BufReader::new(board.child.stdout.take().unwrap()).lines();
    // "char device redirected to /dev/pts/3 (label serial0)"
    let port = lines
        .find_map(|line| line.unwrap().split(' ').find(|word| word.starts_with("/dev/")).map(String::from))
        .expect("QEMU says which port it has opened");
    let folder = board.folder.path();
    fs::write(folder.join("new.attar"), signed(4)).unwrap();
    fs::write(folder.join("unsigned.attar"), models::text()).unwrap();
    fs::write(folder.join("old.attar"), signed(1)).unwrap();
    let update = |model: &str| attar().args(["update", model, "--port", &port]).current_dir(folder).output().unwrap();
    let good = update("new.attar");
    assert!(good.status.success(), "{}", text(&good.stderr));
    assert!(text(&good.stdout).contains("now:    revision 4"), "{}", text(&good.stdout));
    let fails = |model: &str, expected: &str| {
        let output = update(model);
        assert_eq!(output.status.code(), Some(1));
        assert!(text(&output.stderr).contains(expected), "{model}: {}", text(&output.stderr));
    };
    fails("unsigned.attar", "the board refuses the model: the model has revision 0, at least 4");
    fails("old.attar", "at least 4");
    fails("none.attar", "cannot read none.attar");
    let output = attar().args(["update", "new.attar", "--port", "none"]).current_dir(folder).output().unwrap();
    assert!(text(&output.stderr).contains("cannot open the port none"), "{}", text(&output.stderr));
}
