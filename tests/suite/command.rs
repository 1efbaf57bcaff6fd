//! The command line: results, JSON, exit status, and what it says of bad input. A failure leaves no half-written output.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::LazyLock;

use attar_tests::{models, root};
use serde_json::Value;

/// Returns the command, as `cargo build --release` left it.
pub(crate) fn attar() -> Command {
    let test = std::env::current_exe().unwrap();
    let binary = test.parent().and_then(Path::parent).unwrap().join("attar");
    assert!(binary.exists(), "{} is not built: run ./tests/run, or cargo build --release first", binary.display());
    let mut command = Command::new(binary);
    // The user's cache is left alone.
    command.env("ATTAR_BOARDS", Path::new(env!("CARGO_TARGET_TMPDIR")).join("budget"));
    command
}

/// A finished run that the tests share.
static RUN: LazyLock<PathBuf> = LazyLock::new(|| {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("command");
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("small.toml"), crate::toys::SMALL).unwrap();
    let output = in_folder(&folder, &["distill", "small.toml", "--out", "run", "--json"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    fs::write(folder.join("report-on-stdout.json"), &output.stdout).unwrap();
    folder
});

pub(crate) fn in_folder(folder: &Path, arguments: &[&str]) -> Output {
    attar().args(arguments).current_dir(folder).output().unwrap()
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Runs a command that has to fail with status 1, without a panic, and to say all of `expected`.
pub(crate) fn fails(folder: &Path, arguments: &[&str], expected: &[&str]) {
    let output = in_folder(folder, arguments);
    let error = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{arguments:?}: {error}");
    assert!(!error.contains("panicked"), "{arguments:?}: {error}");
    for part in expected {
        assert!(error.contains(part), "{arguments:?} does not say {part:?}: {error}");
    }
}

fn json(output: &Output) -> Value {
    assert!(output.status.success(), "{}", text(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Runs are held against the first, whatever their folders are called, and a folder without a report is named.
#[test]
fn runs_are_compared_with_the_first() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("small.toml"), crate::toys::SMALL).unwrap();
    for (out, seed, epochs) in [("a/run", "0", "1"), ("b/run", "0", "6")] {
        let epochs = format!("student.epochs={epochs}");
        let sets = ["distill", "small.toml", "--out", out, "--seed", seed, "--seeds", "3", "--set", &epochs];
        let output = in_folder(folder.path(), &sets);
        assert!(output.status.success(), "{}", text(&output.stderr));
    }
    let rows = json(&in_folder(folder.path(), &["compare", "a/run", "b/run", "--json"]));
    let rows = rows.as_array().unwrap();
    assert_eq!((rows.len(), rows[1]["against"].is_null(), rows[3]["against"].is_null()), (4, true, false));
    let (base, other) = (&rows[1]["student"], &rows[3]["student"]);
    assert_eq!(base["accuracies"].as_array().unwrap().len(), 3);
    let difference = other["accuracy"].as_f64().unwrap() - base["accuracy"].as_f64().unwrap();
    assert!((rows[3]["against"]["difference"].as_f64().unwrap() - difference).abs() < 1e-12);
    assert!(rows[3]["against"]["paired"].as_bool().unwrap() && rows[3]["against"]["p"].is_number());
    let table = text(&in_folder(folder.path(), &["compare", "a/run", "b/run/report.json"]).stdout);
    assert!(table.contains("points") && table.contains("paired where the seeds are the same"), "{table}");
    // Figures of another test split do not say which run is better.
    let other = ["distill", "small.toml", "--out", "c/run", "--seed", "1", "--set", "student.epochs=1"];
    assert!(in_folder(folder.path(), &other).status.success());
    let said = |other: &str| text(&in_folder(folder.path(), &["compare", "a/run", other]).stderr);
    assert_eq!(said("b/run/report.json"), "");
    assert!(said("c/run").contains("warning: c/run: its figures are of other samples or labels than those of a/run"));
    fails(folder.path(), &["compare", "a"], &["a/report.json", "folder of a finished run"]);
    fails(folder.path(), &["compare", "small.toml"], &["small.toml", "not a report"]);
}

/// A regression is tested by the figure that its checkpoints are chosen by.
#[test]
fn regressions_are_compared_by_their_own_figure() {
    let folder = tempfile::tempdir().unwrap();
    let recipe = "[data]\nformat = \"random\"\nsamples = 200\n[input]\nshape = [3]\n[[heads]]\nname = \"y\"\n\
        kind = \"regression\"\noutputs = 1\n[student]\narch = \"mlp\"\nhidden = [4]\n[distill]\nmethod = \"none\"\n";
    fs::write(folder.path().join("r.toml"), recipe).unwrap();
    for (out, epochs) in [("a", "1"), ("b", "8")] {
        let epochs = format!("student.epochs={epochs}");
        let output = in_folder(folder.path(), &["distill", "r.toml", "--out", out, "--seeds", "3", "--set", &epochs]);
        assert!(output.status.success(), "{}", text(&output.stderr));
        let table = text(&output.stdout);
        let row = table.lines().find(|line| line.starts_with("student, labels, int8")).unwrap();
        assert_eq!(row.matches(" ± ").count(), 2, "rmse and r2 are means of seeds: {table}");
    }
    let rows = json(&in_folder(folder.path(), &["compare", "a", "b", "--json"]));
    let against = &rows[3]["against"];
    assert!(rows[3]["figure"] == "y r2" && against["p"].is_number() && against["paired"] == true, "{rows}");
    let r2 = |row: usize| rows[row]["student"]["metrics"]["y"]["r2"].as_f64().unwrap();
    assert!((against["difference"].as_f64().unwrap() - (r2(3) - r2(1))).abs() < 1e-9, "{rows}");
    let table = text(&in_folder(folder.path(), &["compare", "a", "b"]).stdout);
    assert!(table.contains("y r2") && table.contains("difference and p: of y r2"), "{table}");
}

/// One command tells what labels, teacher, facts and integers each bring.
#[test]
fn ablation_shows_every_step() {
    let folder = tempfile::tempdir().unwrap();
    let text = format!("{}\n[quantize]\naware_epochs = 1\n", crate::toys::SMALL);
    fs::write(folder.path().join("small.toml"), text).unwrap();
    let report = json(&in_folder(folder.path(), &["distill", "small.toml", "--ablation", "--seeds", "2", "--json"]));
    let names: Vec<(&str, &str, u64)> = report["students"]
        .as_array()
        .unwrap()
        .iter()
        .map(|s| (s["name"].as_str().unwrap(), s["precision"].as_str().unwrap(), s["seeds"].as_u64().unwrap()))
        .collect();
    let expected = [
        ("labels, no facts", "f32", 2),
        ("labels, no facts", "int8", 2),
        ("labels", "f32", 2),
        ("labels", "int8", 2),
        ("distilled", "f32", 2),
        ("distilled", "int8, calibrated", 2),
        ("distilled", "int8", 2),
    ];
    assert_eq!(names, expected);
}

#[test]
fn report_has_the_documented_shape_and_is_the_same_on_stdout() {
    let printed: Value = serde_json::from_slice(&fs::read(RUN.join("report-on-stdout.json")).unwrap()).unwrap();
    let saved: Value = serde_json::from_slice(&fs::read(RUN.join("run/report.json")).unwrap()).unwrap();
    assert_eq!(printed, saved);
    assert_eq!(saved["schema"], 1);
    assert_eq!(saved["dataset"], "small");
    assert!(saved["teacher"]["parameters"].as_u64().unwrap() > 0);
    assert!(saved["teacher"]["metrics"]["fault"]["accuracy"].is_number());
    let students = saved["students"].as_array().unwrap();
    let precisions: Vec<&str> = students.iter().map(|student| student["precision"].as_str().unwrap()).collect();
    assert_eq!(precisions, ["f32", "int8"]);
    for student in students {
        assert_eq!((&student["facts"], &student["distilled"]), (&"all".into(), &true.into()));
        assert!(student["accuracy"].is_number() && student["deviation"].is_number() && student["seeds"] == 1);
    }
    assert_eq!(saved["model"]["bytes"], fs::metadata(RUN.join("run/student.attar")).unwrap().len());
    assert_eq!(saved["verify"][0]["mismatches"], 0);
}

#[test]
fn inspect_eval_verify_and_run_answer_in_text_and_json() {
    let inspected = json(&in_folder(&RUN, &["inspect", "run/student.attar", "--json"]));
    assert_eq!(inspected["facts"][0]["name"], "rpm");
    assert!(inspected["operators"].as_array().unwrap().len() > 5);
    let shown = in_folder(&RUN, &["inspect", "run/student.attar"]);
    assert!(text(&shown.stdout).contains("< peak"), "{}", text(&shown.stdout));

    let evaluated = json(&in_folder(&RUN, &["eval", "run/student.attar", "--json"]));
    for way in ["facts true", "facts missing", "rpm missing", "bearing missing", "facts shuffled"] {
        assert!(evaluated["metrics"][way]["fault"]["accuracy"].is_number(), "{way}: {evaluated}");
    }

    let verified = json(&in_folder(&RUN, &["verify", "run/student.attar", "--samples", "30", "--json"]));
    assert_eq!((&verified["samples"], &verified["mismatches"]), (&30.into(), &0.into()));

    let row = vec!["1.5"; 128].join(",");
    let header: Vec<String> = (0..128).map(|i| format!("v{i}")).collect();
    let csv = format!("{},rpm,bearing\n{row},1500,6205\n{row},,\n", header.join(","));
    fs::write(RUN.join("input.csv"), csv).unwrap();
    let answers = json(&in_folder(&RUN, &["run", "run/student.attar", "--input", "input.csv", "--json"]));
    assert_eq!(answers.as_array().unwrap().len(), 2);
    let sum: f64 =
        answers[0]["heads"]["fault"]["probabilities"].as_array().unwrap().iter().map(|p| p.as_f64().unwrap()).sum();
    assert!((sum - 1.0).abs() < 1e-5, "{sum}");
    let given = json(&in_folder(
        &RUN,
        &["run", "run/student.attar", "--input", "input.csv", "--fact", "rpm=1500", "--fact", "bearing=6205", "--json"],
    ));
    assert_eq!(given[1]["heads"], answers[0]["heads"], "a fact of the command line is that of a column");
}

#[test]
fn wrong_usage_has_status_2() {
    for arguments in [vec!["distil"], vec!["distill"], vec!["run", "x.attar"], vec!["inspect", "a", "--josn"]] {
        let output = in_folder(&RUN, &arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {}", text(&output.stderr));
    }
}

#[test]
fn bad_recipes_are_refused_with_file_line_and_advice() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let distill = |recipe: &str, expected: &[&str]| {
        fs::write(folder.join("r.toml"), recipe).unwrap();
        fails(folder, &["distill", "r.toml", "--out", "out"], expected);
        assert!(!folder.join("out/student.attar").exists());
    };
    fails(folder, &["distill", "none.toml"], &["the recipe: cannot read none.toml"]);
    distill("", &["r.toml: is empty"]);
    distill("# nothing", &["r.toml", "missing field `data`"]);
    distill("[data", &["r.toml:1"]);
    distill(&crate::toys::SMALL.replace("separable", "seperable"), &["r.toml:", "did you mean `separable`"]);
    distill(&crate::toys::SMALL.replace("\"bearing\"\nsamples", "\"bearings\"\nsamples"), &["did you mean `bearing`"]);
    distill(&crate::toys::SMALL.replace("name = \"rpm\"", "name = \"rpn\""), &["\"rpm\"", "\"rpn\""]);
    distill(&crate::toys::SMALL.replace("samples = 400", "samples = 3"), &["data.samples"]);
    distill(
        &crate::toys::SMALL.replace("channels = [8]", "channels = [8]\npool = [999]"),
        &["does not fit 1x32 positions"],
    );
    // Lists of layers, widths and budgets are held against the shapes before anything is trained.
    let student = |layers: &str, rest: &str| {
        let small = crate::toys::SMALL;
        let start = small.find("[student]").unwrap();
        format!("{}[student]\narch = \"layers\"\nlayers = [{layers}]\n{rest}", &small[..start])
    };
    distill(&student("{ kind = \"conv\" }", ""), &["layer \"conv0\"", "channels are missing"]);
    distill(&student("{ kind = \"conv\", channels = 4, stride = 0 }", ""), &["layer \"conv0\"", "stride is [1, 0]"]);
    distill(&student("{ kind = \"dense\", channels = 4, stride = 2 }", ""), &["\"dense0\"", "has no key stride"]);
    distill(
        &student("{ kind = \"conv\", channels = 4, kernel = 200, padding = \"valid\" }", ""),
        &["layer \"conv0\"", "1x200", "1x128"],
    );
    distill(
        &student("{ kind = \"residual\", layers = [{ kind = \"conv\", channels = 4, stride = 2 }] }", ""),
        &["layer \"residual0\"", "[1, 64, 4]", "[1, 128, 1]"],
    );
    distill(&student("{ kind = \"convolution\" }", ""), &["r.toml:28", "expected one of `conv`"]);
    let layers = "{ kind = \"conv\", channels = 4 }, { kind = \"facts\" }, { kind = \"global-average\" }";
    // A network that runs a step at a time sees neither a whole series nor what is still to come.
    let tail = "{ kind = \"last\" }, { kind = \"facts\" }";
    distill(
        &student(&format!("{{ kind = \"gru\", channels = 4 }}, {{ kind = \"max-pool\" }}, {tail}"), ""),
        &["layer \"max-pool1\"", "put \"last\" before it"],
    );
    distill(
        &student(&format!("{{ kind = \"conv\", channels = 4 }}, {tail}"), ""),
        &["layer \"conv0\"", "padding = \"causal\""],
    );
    distill(&student(layers, "[quantize]\nlayers = { conv9 = \"int4\" }"), &["\"conv9\"", "did you mean \"conv0\""]);
    distill(&student(layers, "[quantize]\nweights = \"auto\""), &["needs budget.flash"]);
    distill(&student(layers, "[budget]\nflash = \"16 kb\""), &["budget.flash", "\"16 kb\" is no number of bytes"]);
    distill(
        &student(layers, "[budget]\nflash = \"0 kB\"\nram = 100\nmacs = 10"),
        &["bytes, budget.flash allows 0", "arena, budget.ram allows 100", "budget.macs allows 10", "conv0"],
    );
    fails(folder, &["demo", "--set", "student.epohcs=1"], &["did you mean `epochs`"]);
    fails(folder, &["demo", "--device", "tpu"], &["--device tpu", "expected auto, cpu"]);
}

#[test]
fn bad_tables_are_refused_with_file_line_and_column() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let recipe = r#"
[data]
format = "csv"
file = "d.csv"
[input.columns]
x = "X [m]"
[[facts]]
name = "kind"
kind = "category"
values = ["a", "b"]
[[heads]]
name = "y"
kind = "class"
column = "Y"
labels = ["no", "yes"]
[student]
arch = "mlp"
epochs = 1
[distill]
method = "none"
"#;
    fs::write(folder.join("r.toml"), recipe).unwrap();
    let good: String = (0..40).map(|i| format!("{i},{},{}\n", ["a", "b"][i % 2], ["no", "yes"][i % 2])).collect();
    let with = |rows: &str, expected: &[&str]| {
        fs::write(folder.join("d.csv"), rows).unwrap();
        fails(folder, &["distill", "r.toml", "--out", "out"], expected);
        assert!(!folder.join("out/student.attar").exists());
    };
    fails(folder, &["distill", "r.toml", "--out", "out"], &["d.csv", "cannot read"]);
    with("", &["d.csv", "is empty"]);
    with("X [m],kind,Y\n", &["no row"]);
    with(&format!("X [m],kind,Y\n{good}1,a\n"), &["d.csv:42: has 2 cells"]);
    with(&format!("X [m],kind,Y\n{good}NaN,a,no\n"), &["d.csv:42: column \"X [m]\" holds \"NaN\""]);
    with(&format!("X [m],kind,Y\n{good}1,c,no\n"), &["d.csv:42: fact \"kind\" has no value \"c\""]);
    with(&format!("X [m],kind,Y\n{good}1,a,maybe\n"), &["d.csv:42: head \"y\" has no class \"maybe\""]);
    with(&format!("X,kind,Y\n{good}"), &["has no column \"X [m]\"", "it has X, kind, Y"]);
    fs::write(folder.join("d.csv"), format!("X [m],kind,Y\n{good}")).unwrap();
    let output = in_folder(folder, &["distill", "r.toml", "--out", "out"]);
    assert!(output.status.success(), "the good table: {}", text(&output.stderr));
}

#[test]
fn bad_arrays_are_refused_with_file_and_sample() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let recipe = r#"
[data]
format = "arrays"
[data.train]
input = "x.idx"
heads = { y = "y.idx" }
[[heads]]
name = "y"
kind = "class"
labels = ["a", "b"]
[student]
arch = "cnn"
channels = [2]
epochs = 1
[distill]
method = "none"
"#;
    fs::write(folder.join("r.toml"), recipe).unwrap();
    let idx = |shape: &[u32], values: &[u8]| {
        let mut bytes = vec![0, 0, 8, shape.len() as u8];
        bytes.extend(shape.iter().flat_map(|size| size.to_be_bytes()));
        bytes.extend(values);
        bytes
    };
    let pixels: Vec<u8> = (0..320).map(|i| (i * 7 % 251) as u8).collect();
    let images = idx(&[20, 4, 4], &pixels);
    let labels: Vec<u8> = (0..20).map(|i| i % 2).collect();
    let with = |x: &[u8], y: &[u8], expected: &[&str]| {
        fs::write(folder.join("x.idx"), x).unwrap();
        fs::write(folder.join("y.idx"), y).unwrap();
        fails(folder, &["distill", "r.toml", "--out", "out"], expected);
    };
    let good = idx(&[20], &labels);
    with(&images[..100], &good, &["x.idx", "84 of 320 bytes"]);
    with(b"", &good, &["x.idx", "too short"]);
    with(&images, &idx(&[19], &labels[..19]), &["y.idx has 19 samples", "x.idx has 20"]);
    let mut wrong = labels.clone();
    wrong[11] = 9;
    with(&images, &idx(&[20], &wrong), &["y.idx: sample 11 has class 9", "classes 0 to 1"]);
    with(b"\x1f\x8b broken gzip", &good, &["x.idx"]);
    with(&idx(&[20, 4, 4], &[7; 320]), &good, &["the input has one value", "calibration"]);
    fs::write(folder.join("x.idx"), &images).unwrap();
    fs::write(folder.join("y.idx"), &good).unwrap();
    let output = in_folder(folder, &["distill", "r.toml", "--out", "out"]);
    assert!(output.status.success(), "the good arrays: {}", text(&output.stderr));
    // As many values in another order of axes are other samples.
    fs::write(folder.join("turned.idx"), idx(&[20, 2, 8], &pixels)).unwrap();
    let turned = "turned.idx: a sample has the shape [2, 8], expected ";
    fails(folder, &["run", "out/student.attar", "--input", "turned.idx"], &[turned, "[4, 4, 1]"]);
    let sets = ["--set", "data.train.input=\"turned.idx\"", "--set", "input.shape=[8, 2]"];
    let distill = [["distill", "r.toml", "--out", "out"], sets].concat();
    fails(folder, &distill, &[turned, "[8, 2, 1]", "np.moveaxis(x, 1, -1)"]);
}

#[test]
fn bad_models_inputs_and_facts_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let model = models::everything();
    fs::write(folder.join("m.attar"), &model).unwrap();
    fs::write(folder.join("cut.attar"), &model[..500]).unwrap();
    let mut flipped = model.clone();
    flipped[700] ^= 4;
    fs::write(folder.join("flipped.attar"), flipped).unwrap();
    fs::write(folder.join("other.attar"), b"PK\x03\x04").unwrap();
    for command in ["inspect", "verify"] {
        fails(folder, &[command, "none.attar"], &["cannot read none.attar"]);
        fails(folder, &[command, "cut.attar"], &["cut.attar", "500 bytes", "truncated"]);
        fails(folder, &[command, "flipped.attar"], &["flipped.attar", "checksum"]);
        fails(folder, &[command, "other.attar"], &["other.attar", "fewer than the header"]);
    }
    fails(folder, &["verify", "m.attar", "--on", "qemu:mps2-an358"], &["did you mean mps2-an385?"]);
    fails(folder, &["verify", "m.attar", "--on", "moon"], &["use host, serial:PORT, or qemu:BOARD"]);
    fails(folder, &["verify", "m.attar", "--samples", "0"], &["no sample"]);
    fails(folder, &["eval", "m.attar"], &["no recipe.toml beside m.attar", "--recipe"]);

    fs::write(folder.join("short.csv"), "x,y\n1,2\n").unwrap();
    let idx = |count: u8| [vec![0, 0, 8, 2, 0, 0, 0, 1, 0, 0, 0, count], vec![1; usize::from(count)]].concat();
    fs::write(folder.join("x.idx"), idx(70)).unwrap();
    fs::write(folder.join("short.idx"), idx(69)).unwrap();
    let run = |rest: &[&str], expected: &[&str]| fails(folder, &[&["run", "m.attar"], rest].concat(), expected);
    run(&["--input", "short.csv"], &["2 values, the model takes 70"]);
    run(&["--input", "short.idx"], &["69 values, the model takes 70"]);
    run(&["--input", "none.npy"], &["cannot read none.npy"]);
    run(&["--input", "x.idx", "--fact", "rpn=5"], &["no fact \"rpn\"", "did you mean \"rpm\""]);
    run(&["--input", "x.idx", "--fact", "bearing=6206"], &["no value \"6206\"", "did you mean"]);
    run(&["--input", "x.idx", "--fact", "rpm=fast"], &["takes a number, got \"fast\""]);
    run(&["--input", "x.idx", "--fact", "rpm=NaN"], &["not finite"]);
    run(&["--input", "x.idx", "--fact", "running=perhaps"], &["takes true or false"]);
    run(&["--input", "x.idx", "--fact", "rpm"], &["expected name=value"]);
    let output =
        in_folder(folder, &["run", "m.attar", "--input", "x.idx", "--fact", "rpm=1700", "--fact", "bearing=µ-608"]);
    assert!(text(&output.stdout).starts_with("0: fault = "), "{}{}", text(&output.stdout), text(&output.stderr));
}

#[test]
fn failure_to_write_leaves_the_old_student_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    fs::write(folder.join("r.toml"), crate::toys::SMALL).unwrap();
    // A file stands where the run folder should be.
    fs::write(folder.join("out"), "in the way").unwrap();
    fails(folder, &["distill", "r.toml", "--out", "out"], &["--out: out is a file, expected a folder"]);
    assert_eq!(fs::read_to_string(folder.join("out")).unwrap(), "in the way");

    // A finished run whose student is larger than any file may get in the next one, and no other file is that changes.
    fs::write(folder.join("r.toml"), crate::toys::SMALL.replace("[4, 6, 6]", "[16, 32, 48]")).unwrap();
    let output = in_folder(folder, &["distill", "r.toml", "--out", "run"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let student = folder.join("run/student.attar");
    let names = || -> BTreeSet<_> {
        fs::read_dir(folder.join("run"))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect()
    };
    let (old, before) = (fs::read(&student).unwrap(), names());
    assert!(old.len() > 4096, "{} bytes", old.len());
    // Another vector for the self-test is another student. The limit is in blocks of 512 or 1,024 bytes, and a write beyond it
    // fails as on a full disk, where the signal is ignored.
    let limited = |limit: &str| {
        Command::new("sh")
            .args(["-c", &format!("trap '' XFSZ; ulimit -f {limit}; exec \"$@\""), "sh"])
            .arg(attar().get_program())
            .args(["distill", "r.toml", "--out", "run", "--set", "quantize.tests=3"])
            .current_dir(folder)
            .output()
            .unwrap()
    };
    let output = limited("4");
    let error = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{error}");
    assert!(error.contains("cannot write run/student.attar: File too large"), "{error}");
    assert!(fs::read(&student).unwrap() == old, "the old student is another one");
    assert_eq!(names(), before, "litter");
    // The control: the same command without the limit writes another student.
    let output = limited("unlimited");
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(fs::read(&student).unwrap() != old, "the new student is the old one");
}

#[test]
fn folder_in_the_place_of_the_student_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    fs::write(folder.join("r.toml"), crate::toys::SMALL).unwrap();
    fs::create_dir_all(folder.join("run/student.attar")).unwrap();
    fails(folder, &["distill", "r.toml", "--out", "run"], &["cannot write", "student.attar", "it is a folder"]);
}

#[test]
fn recipes_of_the_project_are_read() {
    for entry in fs::read_dir(root().join("host/recipes")).unwrap() {
        let path = entry.unwrap().path();
        attar::recipe::Recipe::read(&path, &[]).unwrap_or_else(|error| panic!("{error:#}"));
    }
}

/// What helps on a terminal: completions that a shell takes, a page for each command, and what is there.
#[test]
fn shells_and_manuals_know_the_commands() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let output = in_folder(folder, &["completions", shell]);
        let script = text(&output.stdout);
        assert!(output.status.success() && script.contains("verify-signature"), "{shell}");
    }
    fs::write(folder.join("attar.bash"), in_folder(folder, &["completions", "bash"]).stdout).unwrap();
    let checked = Command::new("bash").args(["-n", "attar.bash"]).current_dir(folder).status().unwrap();
    assert!(checked.success(), "bash does not take the script");
    let output = in_folder(folder, &["man", "--out", "man/man1"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let pages: Vec<_> = fs::read_dir(folder.join("man/man1")).unwrap().map(|page| page.unwrap().path()).collect();
    assert!(pages.len() > 15 && pages.iter().all(|page| page.extension().is_some_and(|end| end == "1")), "{pages:?}");
    assert!(fs::read_to_string(folder.join("man/man1/attar-new.1")).unwrap().contains("board"));
    fs::write(folder.join("file"), "").unwrap();
    fails(folder, &["man", "--out", "file/man"], &["cannot make file/man"]);
    let found = json(&in_folder(folder, &["doctor", "--json"]));
    let cargo = found.as_array().unwrap().iter().find(|finding| finding["what"] == "cargo").unwrap();
    assert!(cargo["found"].as_str().unwrap().starts_with("cargo "), "{cargo}");
    // No colours where nobody sees them.
    assert!(!in_folder(folder, &["doctor"]).stdout.contains(&0x1b));
    assert!(!in_folder(folder, &["inspect", "none"]).stderr.contains(&0x1b));
}

/// The first page of the guide, done: its recipe on data as it describes them, its commands, its firmware.
#[test]
fn first_page_of_the_guide_works() {
    use rand::{Rng, SeedableRng};
    let page = fs::read_to_string(root().join("host/guide/1-own-data.md")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let recipe = page.split("```toml\n").nth(1).unwrap().split("```").next().unwrap();
    fs::write(folder.join("pump.toml"), recipe).unwrap();
    let mut random = rand_chacha::ChaCha8Rng::seed_from_u64(1);
    let mut rows = String::from("Pressure [bar],flow,current,speed,pump,state\n");
    assert!(page.contains(rows.trim_end()), "the page shows other columns");
    for _ in 0..2000 {
        let (pump, size) = [("P1", 1.0), ("P2", 1.3), ("P3", 0.8)][random.random_range(0..3)];
        let speed = random.random_range(900.0..1800.0);
        let (state, [p, f, c]) =
            [("healthy", [1.0, 1.0, 1.0]), ("leak", [0.8, 1.1, 1.05]), ("blocked", [1.2, 0.6, 0.9])]
                [[0, 0, 0, 1, 2][random.random_range(0..5)]];
        let pace: f64 = speed / 1450.0;
        let mut noisy = |x: f64| x * random.random_range(0.95..1.05);
        let (p, f) = (noisy(4.0 * size * pace * pace * p), noisy(12.0 * size * pace * f));
        let c = noisy(6.0 * pace.powi(3) * c);
        rows += &format!("{p:.2},{f:.2},{c:.2},{speed:.0},{pump},{state}\n");
    }
    fs::write(folder.join("pump.csv"), rows).unwrap();
    let report = json(&in_folder(folder, &["distill", "pump.toml", "--json"]));
    let accuracy = report["students"].as_array().unwrap().last().unwrap()["accuracy"].as_f64().unwrap();
    assert!(accuracy > 0.9, "the student of the guide reaches {accuracy}");
    assert!(folder.join("runs/pump/report.html").exists());
    let student = "runs/pump/student.attar";
    for line in page.lines().filter(|line| line.starts_with("    attar ") && line.contains(student)) {
        let arguments: Vec<&str> = line.split_whitespace().skip(1).collect();
        let output = in_folder(folder, &arguments);
        assert!(output.status.success(), "{line}: {}", text(&output.stderr));
    }
    let said = crate::boards::cargo(&folder.join("pump-monitor"), &["run", "--release", "--quiet"]);
    assert!(said.contains("state: "), "{said}");
}

/// A label that was typed otherwise, a test split of a few rows and missing facts are told before anything is trained.
#[test]
fn data_that_say_little_are_remarked_upon() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let mut rows = String::from("x,load,state\n");
    for row in 0..60 {
        let state = if row == 30 { "Good" } else { ["good", "worn"][row % 2] };
        let load = if row % 6 == 0 { String::new() } else { row.to_string() };
        rows += &format!("{},{load},{state}\n", row % 7);
    }
    fs::write(folder.join("few.csv"), rows).unwrap();
    let recipe = "[data]\nformat='csv'\nfile='few.csv'\n[input]\ncolumns={x='x'}\n[[facts]]\nname='load'\nkind='number'\n\
                  [[heads]]\nname='state'\nkind='class'\ncolumn='state'\n[student]\narch='mlp'\nhidden=[4]\nepochs=1\n\
                  [distill]\nmethod='none'\n";
    fs::write(folder.join("few.toml"), recipe).unwrap();
    let output = in_folder(folder, &["distill", "few.toml"]);
    let said = text(&output.stderr);
    assert!(output.status.success(), "{said}");
    for part in [
        "facts missing: load 16.7 %",
        "the test split has 12 samples",
        "class \"Good\" has 1 samples (did you mean \"good\"?)",
        "1 epochs are 1 steps",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
}
