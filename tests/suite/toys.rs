//! The two techniques in their simplest form, and a small whole run: same seed, same bytes; a stop loses nothing.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command};

use attar::recipe::Recipe;
use attar::run::distill::{self, Places};
use attar_tests::root;
use candle_core::Device;
use rand::Rng;

/// A linear teacher and a linear student, 10 -> 10.
#[test]
fn linear_student_learns_the_outputs_of_a_linear_teacher() {
    let losses = losses_of("toy-distillation");
    assert_eq!(losses.len(), 10);
    assert!(losses.windows(2).all(|pair| pair[1] < pair[0]), "the loss does not fall: {losses:?}");
}

/// f(x + fact) with f linear, 10 -> 10.
#[test]
fn linear_model_of_input_plus_fact_learns_its_target() {
    let losses = losses_of("toy-facts");
    assert_eq!(losses.len(), 10);
    assert!(losses.windows(2).all(|pair| pair[1] < pair[0]), "the loss does not fall: {losses:?}");
}

/// The model of x + fact is exactly that: moving a value from the fact to the input changes nothing but the rounding.
#[test]
fn sum_fusion_adds_the_fact_to_the_input() {
    let folder = tempfile::tempdir().unwrap();
    let recipe = Recipe::read(&root().join("host/recipes/toy-facts.toml"), &[]).unwrap();
    distill::run(&recipe, &places(folder.path())).unwrap();
    let bytes = fs::read(folder.path().join("student.attar")).unwrap();
    let student = attar_device::Student::parse(&bytes).unwrap();
    let mut arena = vec![0; student.model().arena_bytes()];
    let mut session = attar_device::Session::new(*student.model(), &mut arena).unwrap();
    let mut run = |x: f32, fact: f32| -> Vec<f32> {
        let mut facts = student.facts();
        (0..10usize).for_each(|index| facts.set(index, fact).unwrap());
        session.run(&[x; 10], &facts).unwrap().head("y").unwrap().values().collect()
    };
    let (left, right, other) = (run(0.75, 0.25), run(0.25, 0.75), run(-0.5, 0.25));
    let apart = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(apart(&left, &right) < 0.1, "{left:?} {right:?}");
    assert!(apart(&left, &other) > 0.3, "the input has no influence");
}

#[test]
fn same_seed_gives_the_same_bytes_and_another_seed_others() {
    let run = |seed: u64| {
        let folder = tempfile::tempdir().unwrap();
        let recipe = small_recipe(&[&format!("seed={seed}")]);
        distill::run(&recipe, &places(folder.path())).unwrap();
        let files = ["student.attar", "student.safetensors", "teacher.safetensors", "teacher-logits.safetensors"];
        files.map(|name| fs::read(folder.path().join(name)).unwrap())
    };
    let first = run(1);
    assert!(first == run(1), "the same seed gave other bytes");
    assert!(first[0] != run(2)[0], "another seed gave the same student");
}

/// Weights of 4 bits halve the file's weights; trained on as if in integers, the network and its integers agree.
#[test]
fn integers_agree_with_the_network_that_was_trained_as_if_in_them() {
    let run = |sets: &[&str]| {
        let folder = tempfile::tempdir().unwrap();
        let recipe = small_recipe(&[&["student.norm=true", "student.epochs=6", "data.samples=1200"], sets].concat());
        let report = distill::run(&recipe, &places(folder.path())).unwrap();
        let bytes = fs::read(folder.path().join("student.attar")).unwrap();
        (report, bytes)
    };
    let aware = "quantize.aware_epochs=2";
    let (eight, bytes) = run(&[aware]);
    let (four, few_bytes) = run(&[aware, "quantize.weights=int4"]);
    let last = |report: &attar::run::report::Report| report.students.last().unwrap().precision.clone();
    assert_eq!((last(&eight), last(&four)), ("int8".into(), "int4".into()));
    for report in [&eight, &four] {
        let agreement = report.quantization.as_ref().unwrap();
        assert!(agreement.equal_argmax["fault"] > 0.9, "{agreement:?}");
        for layer in &agreement.layers {
            assert!(layer.mean_absolute_difference < 1.0, "{}: {agreement:?}", layer.name);
        }
    }
    assert!(few_bytes.len() < bytes.len(), "{} against {}", few_bytes.len(), bytes.len());
    // A budget between the two takes 4 bits for some layers alone.
    let budget = (few_bytes.len() + bytes.len()) / 2;
    let (mixed, between) = run(&[aware, "quantize.weights=auto", &format!("budget.flash={budget}")]);
    assert_eq!(last(&mixed), "int8 and int4");
    assert!(between.len() <= budget, "{} against {budget}", between.len());
}

/// An autoencoder gives back what it has seen: far better than the mean, which explains nothing.
#[test]
fn autoencoder_gives_back_its_input() {
    let text = r#"
[data]
format = "bearing"
samples = 1500
[input]
normalize = "all"
[[heads]]
name = "again"
kind = "reconstruction"
[student]
arch = "autoencoder"
width = 32
depth = 1
epochs = 12
rate = 0.003
[distill]
method = "none"
"#;
    let folder = tempfile::tempdir().unwrap();
    let explained = |sets: &[String], out: &Path| -> Vec<f64> {
        let recipe = Recipe::parse(text, "autoencoder.toml", "autoencoder", sets).unwrap();
        let report = distill::run(&recipe, &places(out)).unwrap();
        report.students.iter().map(|student| student.metrics["again"]["r2"].as_f64().unwrap()).collect()
    };
    let trained = explained(&[], folder.path());
    assert!(trained.len() == 2 && trained.iter().all(|&r2| r2 > 0.4), "{trained:?}");
    // The control: one that learns nothing explains nothing.
    let untrained = explained(&["student.rate=1e-9".into()], tempfile::tempdir().unwrap().path());
    assert!(untrained.iter().all(|&r2| r2 < 0.0), "{untrained:?}");
    let bytes = fs::read(folder.path().join("student.attar")).unwrap();
    let student = attar_device::Student::parse(&bytes).unwrap();
    let head = student.model().heads().next().unwrap();
    assert_eq!(student.model().tensor(head.tensor).unwrap().shape.len(), 128);
}

#[test]
fn finished_stages_are_not_run_again_and_changed_ones_are() {
    let folder = tempfile::tempdir().unwrap();
    let run = |sets: &[&str]| {
        distill::run(&small_recipe(sets), &places(folder.path())).unwrap();
        let modified = |name: &str| fs::metadata(folder.path().join(name)).unwrap().modified().unwrap();
        (modified("teacher.safetensors"), modified("student.safetensors"))
    };
    let first = run(&[]);
    assert_eq!(run(&[]), first, "a finished stage was run again");
    let second = run(&["distill.temperature=5"]);
    assert_eq!(second.0, first.0, "the teacher does not depend on the temperature");
    assert_ne!(second.1, first.1, "the student depends on the temperature and was not trained again");
    let third = run(&["distill.temperature=5", "teacher.epochs=3"]);
    assert_ne!((third.0, third.1), second, "a changed teacher was not trained again");
}

/// Kills the command in the middle, at twenty moments; the run that goes on ends with the bytes of one that never stopped.
///
/// A moment is counted in lines of progress, of which the command prints one an epoch, and not in seconds: on a machine with
/// other work each kill comes as far into a run as on an idle one.
#[test]
fn killed_run_goes_on_to_the_same_bytes() {
    let whole = tempfile::tempdir().unwrap();
    let cut = tempfile::tempdir().unwrap();
    let recipe = whole.path().join("small.toml");
    // With statistics of normalisations, and with a second training as if in integers.
    let text = SMALL.replace("epochs = 2", "epochs = 80").replace("separable = true", "separable = true\nnorm = true");
    let text = text + "average = 0.9\n[augment]\nnoise = 0.1\nviews = 3\n[quantize]\naware_epochs = 20\n";
    fs::write(&recipe, text).unwrap();
    let run = |out: &Path| {
        let mut command = crate::command::attar();
        command.arg("distill").arg(&recipe).arg("--out").arg(out).args(["--device", "cpu"]);
        command
    };
    let output = run(&whole.path().join("run")).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mut random = attar::support::random::stream(20, "moments");
    let mut kills = 0;
    while kills < 20 {
        let mut child = run(&cut.path().join("run")).stderr(std::process::Stdio::piped()).spawn().unwrap();
        let lines = random.random_range(3..16);
        // A pipe that nobody reads ends the command in another way.
        let mut printed = lines_of(&mut child);
        let seen = printed.by_ref().take(lines).count();
        // Within the epoch that follows, where nothing is written yet, or as its checkpoint is.
        std::thread::sleep(std::time::Duration::from_micros(random.random_range(0..15_000)));
        let _ = child.kill();
        let killed = !child.wait().unwrap().success();
        kills += usize::from(killed && seen == lines);
        if !killed {
            break;
        }
    }
    assert!(kills > 9, "the run was over after {kills} kills");
    let output = run(&cut.path().join("run")).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    for name in ["student.attar", "student.safetensors", "student-integer.safetensors", "teacher.safetensors"] {
        let read = |folder: &Path| fs::read(folder.join("run").join(name)).unwrap();
        assert!(read(whole.path()) == read(cut.path()), "{name} differs after a stop");
    }
    let left: Vec<_> = fs::read_dir(cut.path().join("run"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.ends_with(".checkpoint"))
        .collect();
    assert!(left.is_empty(), "litter: {left:?}");
}

/// Ctrl-C ends with status 1, says how to go on, and leaves no half-written output.
#[cfg(unix)]
#[test]
fn interrupt_saves_and_says_how_to_go_on() {
    let folder = tempfile::tempdir().unwrap();
    let recipe = folder.path().join("long.toml");
    fs::write(&recipe, SMALL.replace("epochs = 2", "epochs = 5000")).unwrap();
    let mut child = crate::command::attar()
        .arg("distill")
        .arg(&recipe)
        .arg("--out")
        .arg(folder.path().join("run"))
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    // The student trains.
    let mut lines = lines_of(&mut child);
    assert!(lines.any(|line| line.starts_with("student: epoch ")), "the run ended before its student was trained");
    let kill = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(kill.success());
    let text: Vec<String> = lines.collect();
    assert_eq!(child.wait().unwrap().code(), Some(1), "{text:?}");
    assert!(text.iter().any(|line| line.contains("the same command goes on")), "{text:?}");
    assert!(!folder.path().join("run/student.attar").exists());
}

/// Returns the lines that a command prints on stderr, as they come.
fn lines_of(child: &mut Child) -> impl Iterator<Item = String> + use<> {
    BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok)
}

fn losses_of(name: &str) -> Vec<f64> {
    let folder = tempfile::tempdir().unwrap();
    let recipe = Recipe::read(&root().join(format!("host/recipes/{name}.toml")), &[]).unwrap();
    let report = distill::run(&recipe, &places(folder.path())).unwrap();
    assert_eq!(report.verify[0].mismatches, 0);
    let lines = fs::read_to_string(folder.path().join("metrics.jsonl")).unwrap();
    lines
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap())
        .filter(|line| line["stage"] == "student")
        .map(|line| line["loss"].as_f64().unwrap())
        .collect()
}

pub(crate) fn small_recipe(sets: &[&str]) -> Recipe {
    let sets: Vec<String> = sets.iter().map(|set| set.to_string()).collect();
    Recipe::parse(SMALL, "small.toml", "small", &sets).unwrap()
}

pub(crate) fn places(out: &Path) -> Places {
    Places { data: Path::new("").into(), out: out.into(), device: Device::Cpu, command: "attar".into() }
}

/// A run of seconds that has every part: convolutions over a series, facts, a teacher.
pub(crate) const SMALL: &str = r#"
[data]
format = "bearing"
samples = 400

[[facts]]
name = "rpm"
kind = "number"

[[facts]]
name = "bearing"
kind = "category"

[[heads]]
name = "fault"
kind = "class"

[teacher]
arch = "cnn"
channels = [8]
stride = [4]
hidden = [16]
dropout = 0.2
epochs = 2

[student]
arch = "cnn"
channels = [4, 6, 6]
kernel = [5, 3, 3]
stride = [4, 2, 1]
separable = true
residual = true
fusion = "add"
activation = "relu6"
epochs = 2
"#;
