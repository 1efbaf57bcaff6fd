//! Distillation from end to end: teachers of every kind, losses, tasks, labels that are missing, varied samples.

use std::fs;
use std::path::Path;

use attar::recipe::Recipe;
use attar::run::distill::{self, Places};
use attar::run::report::Report;
use attar_tests::generalized::{self, Kind};
use attar_tests::{real_data, root};
use candle_core::Device;

use crate::toys::{SMALL, small_recipe};

fn run(recipe: &Recipe, data: &Path, out: &Path) -> Report {
    distill::run(recipe, &Places { data: data.into(), out: out.into(), device: Device::Cpu, command: "attar".into() })
        .unwrap()
}

fn parse(text: &str, sets: &[&str]) -> Recipe {
    let sets: Vec<String> = sets.iter().map(|set| set.to_string()).collect();
    Recipe::parse(text, "r.toml", "r", &sets).unwrap()
}

/// Returns the message of a recipe that is refused.
fn refused(text: &str, sets: &[&str]) -> String {
    let sets: Vec<String> = sets.iter().map(|set| set.to_string()).collect();
    format!("{:#}", Recipe::parse(text, "r.toml", "r", &sets).unwrap_err())
}

/// The published table within its spread, the control that must show no gain included; `./tests/bench distillation` runs all
/// hundred repetitions.
#[test]
fn generalised_distillation_gives_the_published_figures() {
    for kind in Kind::ALL {
        let figures = generalized::run(kind, 12).unwrap();
        let [teacher, labels, distilled] = figures.map(|figure| figure.mean);
        for (figure, published) in figures.iter().zip(kind.published()) {
            let spread = 3.0f64.max(1.5 * figure.deviation);
            assert!((figure.mean - published).abs() < spread, "{}: {figures:?}, published {published}", kind.name());
        }
        let gain = distilled - labels;
        if kind == Kind::CleanFeatures {
            assert!(gain.abs() < 1.5, "the control gains {gain} points");
        } else {
            assert!(gain > 4.0 && teacher + 0.5 > distilled, "{}: gain {gain}", kind.name());
        }
    }
}

/// Every loss trains a student to its end; those of layers find them by name.
#[test]
fn every_loss_trains_a_student() {
    let mut bytes = Vec::new();
    for method in ["hinton", "mse", "huber", "cosine", "standardized", "dkd", "dist"] {
        let folder = tempfile::tempdir().unwrap();
        let report = run(&small_recipe(&[&format!("distill.method={method}")]), Path::new(""), folder.path());
        assert!(report.students.last().unwrap().distilled, "{method}");
        bytes.push(fs::read(folder.path().join("student.attar")).unwrap());
    }
    for loss in [
        "kind='hint', student='residual3', teacher='conv0.activation'",
        "kind='attention', student='residual3', teacher='conv0.activation'",
        "kind='relational', student='global-average4', teacher='global-average1'",
        "kind='crd', student='global-average4', teacher='global-average1', size=16",
    ] {
        let text = SMALL.replace("stride = [4]", "stride = [8]");
        let text = format!("{text}[[distill.losses]]\n{}\n", loss.replace(", ", "\n"));
        let folder = tempfile::tempdir().unwrap();
        let recipe = parse(&text, &[]);
        run(&recipe, Path::new(""), folder.path());
        bytes.push(fs::read(folder.path().join("student.attar")).unwrap());
        // What is learned beside the student is gone.
        let net = attar::train::load_tensors(&folder.path().join("student.safetensors"), &Device::Cpu).unwrap().0;
        assert!(net.keys().all(|name| !name.starts_with("hint")), "{:?}", net.keys());
    }
    let all = bytes.len();
    bytes.sort();
    bytes.dedup();
    assert_eq!(bytes.len(), all, "two losses gave the same student");
}

#[test]
fn losses_of_layers_that_do_not_fit_are_refused_with_names_and_shapes() {
    let error = |loss: &str, sets: &[&str]| {
        let folder = tempfile::tempdir().unwrap();
        let recipe = parse(&format!("{SMALL}[[distill.losses]]\n{loss}\n"), sets);
        let places =
            Places { data: "".into(), out: folder.path().into(), device: Device::Cpu, command: "attar".into() };
        format!("{:#}", distill::run(&recipe, &places).unwrap_err())
    };
    let message = error("kind='hint'\nstudent='residual3'\nteacher='conv9'", &[]);
    assert!(message.contains("no layer \"conv9\"") && message.contains("did you mean \"conv0\""), "{message}");
    let message = error("kind='attention'\nstudent='residual3'\nteacher='conv0'", &[]);
    assert!(message.contains("[1, 16, 6]") && message.contains("[1, 32, 8]"), "{message}");
    let message = refused(&format!("{SMALL}[[distill.losses]]\nkind='hint'\n"), &["teacher.ensemble=2"]);
    assert!(message.contains("single [teacher]"), "{message}");
}

/// A teacher for each task, one student for all; a head without a teacher learns from its labels.
#[test]
fn teachers_of_single_tasks_teach_one_student() {
    let heads = "[[heads]]\nname = \"severity\"\nkind = \"regression\"\n\
         [[heads]]\nname = \"pulse_rate\"\nkind = \"regression\"\npartial = true\n\n";
    let start = SMALL.find("[teacher]").unwrap();
    let end = SMALL.find("[student]").unwrap();
    let teacher = "arch = 'mlp'\nhidden = [24]\nepochs = 6\n";
    let teachers = format!("[[teachers]]\nheads = ['fault']\n{teacher}[[teachers]]\nheads = ['severity']\n{teacher}");
    let text = format!("{}{heads}{teachers}{}", &SMALL[..start], &SMALL[end..]);
    let sets = ["data.samples=2400", "student.epochs=25", "student.rate=0.004", "distill.balance=uncertainty"];
    let report = |sets: &[&str]| run(&parse(&text, sets), Path::new(""), tempfile::tempdir().unwrap().path());
    // Only windows with a fault have pulses, and only they count.
    let reached = |report: &Report| {
        let metrics = &report.students.last().unwrap().metrics;
        let of = |head: &str, metric: &str| metrics[head][metric].as_f64().unwrap();
        [of("severity", "r2") > 0.75, of("pulse_rate", "r2") > 0.75, of("fault", "accuracy") > 0.36]
    };
    let trained = report(&sets);
    let teacher = trained.teacher.as_ref().unwrap();
    assert!(teacher.metrics["severity"]["r2"].as_f64().unwrap() > 0.5, "{}", teacher.metrics);
    assert_eq!(reached(&trained), [true; 3], "{}", trained.students.last().unwrap().metrics);
    // The control: a student that learns nothing reaches none of it.
    let untrained = report(&[sets[0], "student.epochs=1", "student.rate=1e-9", sets[3]]);
    assert_eq!(reached(&untrained), [false; 3], "{}", untrained.students.last().unwrap().metrics);
    let message = refused(&text.replace("['severity']", "['fault']"), &[]);
    assert!(message.contains("\"fault\" has 2 teachers"), "{message}");
    let message = refused(&text.replace("['severity']", "['severty']"), &[]);
    assert!(message.contains("did you mean \"severity\""), "{message}");
}

/// An assistant and former selves stand between teacher and student, and change what it learns.
#[test]
fn assistants_and_generations_pass_knowledge_on() {
    let student = |text: &str, sets: &[&str]| {
        let folder = tempfile::tempdir().unwrap();
        run(&parse(text, sets), Path::new(""), folder.path());
        let files: Vec<String> = fs::read_dir(folder.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        (fs::read(folder.path().join("student.attar")).unwrap(), files)
    };
    let assistant = format!("{SMALL}[assistant]\narch = 'mlp'\nhidden = [12]\nepochs = 2\n");
    let (plain, _) = student(SMALL, &[]);
    let (assisted, files) = student(&assistant, &[]);
    assert!(files.contains(&"assistant.safetensors".into()) && assisted != plain);
    let (reborn, files) = student(SMALL, &["distill.generations=3"]);
    assert!(files.contains(&"student-generation-2.safetensors".into()) && reborn != plain, "{files:?}");
    // Whoever learns longest sees the most views of varied samples, each with the teacher's answer to it.
    let (_, files) = student(&assistant, &["augment.noise=0.2", "assistant.epochs=5", "student.epochs=3"]);
    assert!(files.contains(&"teacher-logits-4.safetensors".into()), "{files:?}");
}

/// Logits that were saved elsewhere teach as their teacher did, to the byte; wrong counts are refused.
#[test]
fn saved_logits_teach_as_their_teacher() {
    let folder = tempfile::tempdir().unwrap();
    run(&small_recipe(&["data.split.test=0"]), Path::new(""), &folder.path().join("a"));
    let (tensors, _) =
        attar::train::load_tensors(&folder.path().join("a/teacher-logits.safetensors"), &Device::Cpu).unwrap();
    // The run kept those of the training split; elsewhere they are made for all samples.
    let recipe = small_recipe(&["data.split.test=0"]);
    let data = attar::data::load(&recipe, Path::new("")).unwrap();
    let train = tensors["fault"].to_vec2::<f32>().unwrap();
    let mut all = vec![vec![0.5f32; 4]; data.len()];
    for (&sample, row) in data.splits.train.iter().zip(&train) {
        all[sample] = row.clone();
    }
    let tensor = candle_core::Tensor::new(all, &Device::Cpu).unwrap();
    tensor.write_npy(folder.path().join("logits.npy")).unwrap();
    let start = SMALL.find("[teacher]").unwrap();
    let end = SMALL.find("[student]").unwrap();
    let saved = |file: &str| {
        let teacher = format!("[teacher]\narch = 'saved'\nlogits = {{ fault = '{file}' }}\n");
        parse(&format!("{}{teacher}{}", &SMALL[..start], &SMALL[end..]), &["data.split.test=0"])
    };
    run(&saved("logits.npy"), folder.path(), &folder.path().join("b"));
    let read = |run: &str| fs::read(folder.path().join(run).join("student.attar")).unwrap();
    assert!(read("a") == read("b"), "saved logits taught another student");

    let few = tensor.narrow(0, 0, 100).unwrap();
    few.write_npy(folder.path().join("few.npy")).unwrap();
    tensor.narrow(1, 0, 3).unwrap().contiguous().unwrap().write_npy(folder.path().join("narrow.npy")).unwrap();
    for (file, expected) in
        [("few.npy", "logits of 100 samples, expected 400"), ("narrow.npy", "has 3 logits"), ("none.npy", "none.npy")]
    {
        let places = Places {
            data: folder.path().into(),
            out: folder.path().join("c"),
            device: Device::Cpu,
            command: "attar".into(),
        };
        let message = format!("{:#}", distill::run(&saved(file), &places).unwrap_err());
        assert!(message.contains(expected), "{message}");
    }
}

/// What the teacher said of one view, one sample or one set of data is never taken for another.
#[test]
fn kept_answers_are_those_of_teacher_samples_and_views() {
    let folder = tempfile::tempdir().unwrap();
    let answers = |sets: &[&str]| {
        run(&small_recipe(sets), Path::new(""), folder.path());
        fs::read(folder.path().join("teacher-logits.safetensors")).unwrap()
    };
    let first = answers(&[]);
    assert!(answers(&["distill.temperature=9"]) == first, "the answers do not depend on the temperature");
    assert!(answers(&["teacher.epochs=3"]) != first);
    assert!(answers(&["data.seed=5"]) != first);
    // One view of varied samples, then two, each in its own file.
    assert!(answers(&["augment.noise=0.3", "augment.views=1"]) != first);
    let view = |view: usize| fs::read(folder.path().join(format!("teacher-logits-{view}.safetensors"))).unwrap();
    run(&small_recipe(&["augment.noise=0.3", "augment.views=2"]), Path::new(""), folder.path());
    let views = [view(0), view(1)];
    assert!(views[0] != views[1]);
    run(&small_recipe(&["augment.noise=0.1", "augment.views=2"]), Path::new(""), folder.path());
    assert!(view(0) != views[0], "answers to another augmentation were taken");
}

/// Optimisers, schedules, clipping, averaging and early stops all train, and differently.
#[test]
fn optimisers_and_schedules_train() {
    let mut students = Vec::new();
    // The loss of the last epoch over that of the first.
    let fall = |folder: &Path| {
        let lines = fs::read_to_string(folder.join("metrics.jsonl")).unwrap();
        let losses: Vec<f64> = lines
            .lines()
            .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap())
            .filter(|line| line["stage"] == "student")
            .map(|line| line["loss"].as_f64().unwrap())
            .collect();
        losses.last().unwrap() / losses.first().unwrap()
    };
    for set in [
        "student.optimizer=sgd",
        "student.optimizer=adamw",
        "student.clip=0.1",
        "student.average=0.9",
        "student.warm_up=1.0",
        "student.schedule=constant",
        "student.decay=0.1",
    ] {
        let folder = tempfile::tempdir().unwrap();
        run(&small_recipe(&[set, "student.rate=0.01", "student.epochs=6"]), Path::new(""), folder.path());
        assert!(fall(folder.path()) < 0.7, "{set}: the loss falls to {} of what it was", fall(folder.path()));
        students.push(fs::read(folder.path().join("student.attar")).unwrap());
    }
    let all = students.len();
    students.sort();
    students.dedup();
    assert_eq!(students.len(), all);
    // A rate of next to nothing brings nothing: the training ends after so many epochs without a gain.
    let folder = tempfile::tempdir().unwrap();
    let sets = ["student.epochs=40", "student.patience=3", "student.rate=1e-9"];
    run(&small_recipe(&sets), Path::new(""), folder.path());
    let lines = fs::read_to_string(folder.path().join("metrics.jsonl")).unwrap();
    let epochs = lines.lines().filter(|line| line.contains("\"student\"")).count();
    assert!((4..10).contains(&epochs), "{epochs} epochs");
    // The control: nothing is learned, and the loss shows it.
    assert!(fall(folder.path()) > 0.9, "the loss falls to {} of what it was", fall(folder.path()));
}

/// A loss that leaves the numbers stops with what to try, and keeps the checkpoint before.
#[test]
fn a_loss_that_is_no_number_stops_and_says_what_to_try() {
    let folder = tempfile::tempdir().unwrap();
    let recipe = small_recipe(&["student.rate=1e30", "student.optimizer=sgd", "student.epochs=9"]);
    let places = Places { data: "".into(), out: folder.path().into(), device: Device::Cpu, command: "attar".into() };
    let message = format!("{:#}", distill::run(&recipe, &places).unwrap_err());
    assert!(message.contains("student: ") && message.contains("lower the rate (now 1000"), "{message}");
    assert!(message.contains("in epoch ") && !folder.path().join("student.attar").exists(), "{message}");
    // The teacher stays: only what failed is done again.
    assert!(folder.path().join("teacher.safetensors").exists());
}

/// Labels that are missing teach nothing and count for nothing, and inputs without labels are taught by the teacher.
#[test]
fn missing_labels_and_unlabelled_inputs_are_for_the_teacher() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let array = |rows: usize, width: usize, seed: usize| {
        let values: Vec<f32> = (0..rows * width).map(|i| ((i * 31 + seed * 17) % 101) as f32 / 50.0 - 1.0).collect();
        candle_core::Tensor::from_vec(values, (rows, width), &Device::Cpu).unwrap()
    };
    let inputs = array(200, 6, 1);
    inputs.write_npy(path("x.npy")).unwrap();
    array(300, 6, 2).write_npy(path("more.npy")).unwrap();
    let sums: Vec<f32> = inputs.to_vec2::<f32>().unwrap().iter().map(|row| row.iter().sum()).collect();
    let labels = |missing: usize| {
        let class = |(i, sum): (usize, &f32)| if i % 7 < missing { -1.0 } else { f32::from(u8::from(*sum > 0.0)) };
        let values: Vec<f32> = sums.iter().enumerate().map(class).collect();
        candle_core::Tensor::from_vec(values, 200, &Device::Cpu).unwrap()
    };
    labels(3).write_npy(path("y.npy")).unwrap();
    let text = "[data]\nformat='arrays'\nunlabelled='more.npy'\n[data.train]\ninput='x.npy'\nheads={y='y.npy'}\n[[heads]]\n\
                name='y'\nkind='class'\npartial=true\n[teacher]\narch='mlp'\nhidden=[16]\nepochs=40\nrate=0.01\n[student]\n\
                arch='mlp'\nhidden=[6]\nepochs=40\nrate=0.01\n";
    let recipe = parse(text, &[]);
    let data = attar::data::load(&recipe, folder.path()).unwrap();
    assert_eq!((data.len(), data.splits.train.len()), (500, 200 - 40 - 20 + 300));
    let report = run(&recipe, folder.path(), &path("run"));
    assert!(report.students.last().unwrap().accuracy.unwrap() > 0.8, "{report:?}");
    let places =
        Places { data: folder.path().into(), out: path("other"), device: Device::Cpu, command: "attar".into() };
    let strict = parse(&text.replace("partial=true\n", ""), &[]);
    let message = format!("{:#}", distill::run(&strict, &places).unwrap_err());
    assert!(message.contains("y.npy: sample 0 has class -1"), "{message}");
}

/// The network that PyTorch wrote gives, on the test images, the logits that PyTorch gave.
#[test]
fn onnx_teacher_gives_the_logits_of_its_framework() {
    let (Some(images), Some(teachers)) = (real_data("fashion-mnist"), real_data("teachers")) else { return };
    let folder = images.parent().unwrap();
    let recipe = Recipe::read(&root().join("host/recipes/fashion-mnist-onnx.toml"), &[]).unwrap();
    let data = attar::data::load(&recipe, folder).unwrap();
    let teacher =
        attar::teachers::Teacher::from_files(recipe.teacher.as_ref().unwrap(), &data, folder, vec![0]).unwrap();
    let test = &data.splits.test[..2000];
    let got = teacher.logits(&data, test, None).unwrap().unwrap().remove(0);
    let expected = attar::data::read_array(&teachers.join("fashion-resnet-test-logits.npy"), None).unwrap();
    let apart = got.iter().zip(&expected.values).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(apart < 1e-4, "logits are up to {apart} apart");
    // The same answers as a check of the teacher, with the right inputs and with wrong ones.
    let checked = |sets: &[&str]| {
        let sets: Vec<String> = sets.iter().map(|set| set.to_string()).collect();
        let recipe = Recipe::read(&root().join("host/recipes/fashion-mnist-onnx.toml"), &sets).unwrap();
        attar::teachers::Teacher::from_files(recipe.teacher.as_ref().unwrap(), &data, folder, vec![0])
    };
    const CHECK: &str = "teacher.test_check=teachers/fashion-resnet-test-logits.npy";
    checked(&[CHECK]).unwrap();
    let message = format!("{:#}", checked(&[CHECK, "teacher.divide=1"]).unwrap_err());
    assert!(message.contains("are divide, mean and deviation those of its training"), "{message}");
    let right = test
        .iter()
        .zip(got.chunks(10))
        .filter(|(sample, logits)| Some(attar::heads::first_greatest(logits)) == data.targets[0].class(**sample));
    assert!(right.count() > 1800);
}

/// Small networks with what other readers ignore give what ONNX Runtime gave.
#[test]
fn onnx_cases_give_the_answers_of_another_runtime() {
    let Some(folder) = real_data("cases") else { return };
    let mut count = 0;
    for entry in fs::read_dir(folder.join("onnx")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "onnx") {
            let [x, y] =
                ["x", "y"].map(|member| attar::data::read_array(&path.with_extension("npz"), Some(member)).unwrap());
            let got = attar::onnx::Network::read(&path).unwrap().run(&x.shape, x.values).unwrap();
            let apart = got[0].values.iter().zip(&y.values).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            assert!(got[0].shape == y.shape && apart < 1e-4, "{}: {apart} apart", path.display());
            count += 1;
        }
    }
    assert!(count >= 6, "{count} cases");
}

/// A teacher whose answers are probabilities teaches as it does with logits: they are recognized, and `outputs` overrules.
#[test]
fn probabilities_are_not_taken_for_logits() {
    let folder = tempfile::tempdir().unwrap();
    let (samples, classes) = (400usize, 3usize);
    let npy = |name: &str, width: usize, values: &[f32]| {
        let tensor = candle_core::Tensor::from_slice(values, (samples, width), &Device::Cpu).unwrap();
        tensor.write_npy(folder.path().join(format!("{name}.npy"))).unwrap();
    };
    // Three classes along two inputs.
    let x: Vec<f32> = (0..samples * 2).map(|at| ((at * 37 % 101) as f32 / 50.0) - 1.0).collect();
    let logits: Vec<f32> = x.chunks(2).flat_map(|x| [4.0 * x[0], 4.0 * x[1], -3.0 * (x[0] + x[1])]).collect();
    let label = |row: &[f32]| attar::heads::first_greatest(row) as f32;
    let y: Vec<f32> = logits.chunks(classes).map(label).collect();
    let softmax: Vec<f32> = logits
        .chunks(classes)
        .flat_map(|row| {
            let sum: f32 = row.iter().map(|x| x.exp()).sum();
            row.iter().map(move |x| x.exp() / sum)
        })
        .collect();
    npy("x", 2, &x);
    npy("y", 1, &y);
    npy("logits", classes, &logits);
    npy("softmax", classes, &softmax);
    let text = "[data]\nformat='arrays'\n[data.train]\ninput='x.npy'\nheads={kind='y.npy'}\n[input]\nname='x'\n\
                [[heads]]\nname='kind'\nkind='class'\n[teacher]\narch='saved'\nlogits={kind='logits.npy'}\n\
                [student]\narch='mlp'\nhidden=[8]\nepochs=3\n[compare]\nlabels=false\n[distill]\nhard=0\n";
    let teacher = |sets: &[&str]| {
        let recipe = parse(text, sets);
        let data = attar::data::load(&recipe, folder.path()).unwrap();
        let teacher =
            attar::teachers::Teacher::from_files(recipe.teacher.as_ref().unwrap(), &data, folder.path(), vec![0])
                .unwrap();
        teacher.logits(&data, &[0, 1, 2, 3], None).unwrap().unwrap().remove(0)
    };
    let apart = |a: &[f32], b: &[f32]| {
        // Logits of classes mean the same with any constant added.
        let centred = |row: &[f32]| row.iter().map(|x| x - row[0]).collect::<Vec<_>>();
        let pairs = a.chunks(classes).zip(b.chunks(classes)).flat_map(|(a, b)| centred(a).into_iter().zip(centred(b)));
        pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
    };
    let found = teacher(&["teacher.logits.kind=softmax.npy"]);
    assert!(apart(&teacher(&[]), &found) < 1e-2, "{found:?}");
    assert_eq!(teacher(&["teacher.logits.kind=softmax.npy", "teacher.outputs=logits"]), softmax[..12]);
    assert_eq!(teacher(&["teacher.logits.kind=softmax.npy", "teacher.outputs=probabilities"]), found);
    let recipe = parse(text, &["teacher.outputs=probabilities"]);
    let data = attar::data::load(&recipe, folder.path()).unwrap();
    let error = attar::teachers::Teacher::from_files(recipe.teacher.as_ref().unwrap(), &data, folder.path(), vec![0]);
    assert!(format!("{:#}", error.unwrap_err()).contains("is no probability"));
}

/// Writes rows as an npy file.
fn write_rows(folder: &Path, name: &str, width: usize, values: &[f32]) {
    let tensor = candle_core::Tensor::from_slice(values, (values.len() / width, width), &Device::Cpu).unwrap();
    tensor.write_npy(folder.join(name)).unwrap();
}

/// Values in -1 to 1 that look drawn by chance.
fn mixed(len: usize, seed: u32) -> Vec<f32> {
    let mut state = seed;
    let next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / (1 << 23) as f32 - 1.0
    };
    std::iter::repeat_with(next).take(len).collect()
}

/// One reading of -999 among 600 flattened its column to nothing, in integers even more than in f32.
#[test]
fn one_reading_far_outside_costs_no_accuracy() {
    let folder = tempfile::tempdir().unwrap();
    let mut x = mixed(600 * 2, 3);
    let y: Vec<f32> = x.chunks(2).map(|x| f32::from(u8::from(x[0] * x[0] + x[1] > 0.3))).collect();
    x[77 * 2] = -999.0;
    write_rows(folder.path(), "x.npy", 2, &x);
    write_rows(folder.path(), "y.npy", 1, &y);
    let text = "[data]\nformat='arrays'\n[data.train]\ninput='x.npy'\nheads={kind='y.npy'}\n[input]\nname='x'\n\
                [[heads]]\nname='kind'\nkind='class'\n[student]\narch='mlp'\nhidden=[16]\nepochs=60\nrate=0.005\n\
                [distill]\nmethod='none'\n";
    let accuracies = |sets: &[&str], out: &str| {
        let report = run(&parse(text, sets), folder.path(), &folder.path().join(out));
        let of = |precision: &str| report.students.iter().find(|student| student.precision == precision).unwrap();
        [of("f32"), of("int8")].map(|student| student.accuracy.unwrap())
    };
    let [float, integer] = accuracies(&[], "clip");
    assert!(float > 0.93 && integer > float - 0.02, "f32 {float}, int8 {integer}");
    let [float, integer] = accuracies(&["input.outliers=keep"], "keep");
    assert!(float < 0.93 || integer < float - 0.05, "the reading does no harm: f32 {float}, int8 {integer}");
}

/// Numbers with a tail as heavy as Cauchy's take a range that leaves nothing of most of them in int8: shares of their ends are left
/// out until the integers are as good as f32.
#[test]
fn heavy_tails_cost_the_integers_little() {
    // Without normalisation the first layer multiplies what is left of the tails.
    for (normalize, most) in [("channel", 0.02), ("none", 0.05)] {
        heavy_tails_cost_little(normalize, most);
    }
}

fn heavy_tails_cost_little(normalize: &str, most: f64) {
    let folder = tempfile::tempdir().unwrap();
    let x: Vec<f64> =
        mixed(900 * 2, 21).iter().map(|&u| (0.4999 * f64::from(u) * std::f64::consts::PI).tan()).collect();
    let rows = x.chunks(2).map(|x| {
        let class = usize::from(x[0] >= -0.6) + usize::from(x[0] >= 0.6);
        format!("{:.4},{:.4},{class}\n", x[0], x[1])
    });
    fs::write(folder.path().join("d.csv"), format!("a,b,y\n{}", rows.collect::<String>())).unwrap();
    let recipe = format!(
        "[data]\nformat='csv'\nfile='d.csv'\n[input]\ncolumns={{a='a',b='b'}}\nnormalize='{normalize}'\n[[heads]]\nname='y'\n\
         kind='class'\ncolumn='y'\n[student]\narch='mlp'\nhidden=[24]\nepochs=80\nrate=0.01\n[distill]\nmethod='none'\n"
    );
    fs::write(folder.path().join("r.toml"), recipe).unwrap();
    let output = crate::command::in_folder(folder.path(), &["distill", "r.toml", "--out", "run", "--json"]);
    let said = crate::command::text(&output.stderr);
    assert!(output.status.success(), "{said}");
    assert!(said.contains("% of the values at each end, which are clipped"), "{said}");
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let accuracy = |precision: &str| {
        let students = report["students"].as_array().unwrap();
        students.iter().find(|student| student["precision"] == precision).unwrap()["accuracy"].as_f64().unwrap()
    };
    let (float, integer) = (accuracy("f32"), accuracy("int8"));
    assert!(float > 0.95 && integer > float - most, "{normalize}: f32 {float}, int8 {integer}: {said}");
}

/// Integers are held against the network on training samples: faults in the test part lie outside of every range.
#[test]
fn faults_in_the_test_part_do_not_stop_an_export() {
    let folder = tempfile::tempdir().unwrap();
    let latent = mixed(600 * 2, 5);
    let mix = mixed(2 * 8, 7);
    let x: Vec<f32> = latent
        .chunks(2)
        .flat_map(|t| (0..8).map(|at| t[0] * mix[at] + t[1] * mix[8 + at]).collect::<Vec<_>>())
        .collect();
    let faults: Vec<f32> = mixed(200 * 8, 9)
        .chunks(8)
        .zip(mixed(200, 11))
        .flat_map(|(row, size)| row.iter().map(move |x| x * (9.0 * size).exp()).collect::<Vec<_>>())
        .collect();
    write_rows(folder.path(), "x.npy", 8, &x);
    write_rows(folder.path(), "faults.npy", 8, &faults);
    let text = "[data]\nformat='arrays'\n[data.train]\ninput='x.npy'\n[data.test]\ninput='faults.npy'\n[input]\nname='x'\n\
                [[heads]]\nname='x'\nkind='reconstruction'\n[student]\narch='mlp'\nhidden=[6,3,6]\nepochs=10\nrate=0.005\n\
                [distill]\nmethod='none'\n";
    run(&parse(text, &[]), folder.path(), &folder.path().join("out"));
    assert!(folder.path().join("out/student.attar").exists());
}

/// Of several seeds the student that is best on validation goes into the file.
#[test]
fn the_best_seed_on_validation_is_shipped() {
    let mut better = 0;
    for base in 0..4 {
        let folder = tempfile::tempdir().unwrap();
        let figure = |seeds: usize| {
            let sets = [format!("compare.seeds={seeds}"), format!("seed={base}"), "distill.method=none".to_string()];
            let recipe = small_recipe(&sets.each_ref().map(String::as_str));
            let out = folder.path().join(format!("{seeds}"));
            run(&recipe, Path::new(""), &out);
            let data = attar::data::load(&recipe, Path::new("")).unwrap();
            let bytes = fs::read(out.join("student.attar")).unwrap();
            let student = attar_device::Student::parse(&bytes).unwrap();
            let given = attar::student::engine::FactsGiven::True;
            attar::student::engine::evaluate(&student, &data, &data.splits.validation, given).unwrap()[0]
                .selection()
                .unwrap()
        };
        let (first, best) = (figure(1), figure(3));
        assert!(best >= first, "seed {base}: {best} is shipped where the first seed has {first}");
        better += usize::from(best > first);
    }
    assert!(better > 0, "the first seed is the best each time: the test tries too little");
}

#[test]
fn teachers_and_augmentations_that_cannot_be_are_refused() {
    for (loss, expected) in [
        ("kind='hinton'\nstudent='conv0'", "has no key student"),
        ("kind='mse'\nweight={start=1,end=0,epochs=5}", "expected a number, or { start"),
    ] {
        let message = refused(&format!("{SMALL}[[distill.losses]]\n{loss}\n"), &[]);
        assert!(message.contains(expected), "{message}");
    }

    let start = SMALL.find("[student]").unwrap();
    let message = refused(&format!("{}[student]\narch='onnx'\nfile='x.onnx'\n", &SMALL[..start]), &[]);
    assert!(message.contains("[student] arch \"onnx\" and \"saved\" are teachers"), "{message}");
    for (sets, expected) in [
        (&["teacher.divide=0"][..], "belong to arch \"onnx\""),
        (&["teacher.file=x.onnx"], "belong to arch \"onnx\""),
        (&["augment.mixup=0.2"], "would mix facts"),
        (&["augment.crop=1.5"], "augment.crop"),
        (&["assistant.arch=mlp", "assistant.ensemble=2"], "an assistant is one net"),
        (&["heads.partial=true"], "not a key of a table"),
        (&["augment.views=3"], "without anything that varies"),
        (&["student.average=1.0"], "average is 1"),
        (&["student.schedule=steps"], "belong together"),
        (&["distill.generations=0"], "generations is 0"),
        (&["distill.method=hintom"], "did you mean `hinton`"),
        (&["distill.soft=-1"], "distill.soft is -1"),
    ] {
        let message = refused(SMALL, sets);
        assert!(message.contains(expected), "{sets:?}: {message}");
    }
}
