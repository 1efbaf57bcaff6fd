//! Facts from end to end: computed on the board as in training, fused in every way, missing, privileged, and refused.

use std::fmt::Write;
use std::fs;
use std::path::Path;

use attar::boards::verify;
use attar::data;
use attar::data::dataset::FactUse;
use attar::facts::Audience;
use attar::recipe::Recipe;
use attar::run::distill::{self, Places};
use attar::run::report::Report;
use attar_device::Student;
use candle_core::Device;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::command::attar;

/// Machines of three types, each with another limit: an alarm is due when force times way exceeds it.
const RECIPE: &str = r#"
[data]
format = "csv"
file = "d.csv"
[input]
columns = { force = "Force [N]", way = "Way [m]" }
units = { force = "N", way = "m" }
[[facts]]
name = "type"
kind = "category"
values = ["A", "B", "C"]
dropout = 0
table = { file = "types.csv", key = "Type", units = { limit = "J" } }
[[facts]]
name = "work"
kind = "derived"
unit = "J"
expr = "force * way"
[[facts]]
name = "over"
kind = "rule"
expr = "work > type.limit"
[[heads]]
name = "alarm"
kind = "binary"
column = "Alarm"
[student]
arch = "mlp"
hidden = [8]
epochs = 20
rate = 0.01
[distill]
method = "none"
[quantize]
calibration = 128
"#;

const LIMITS: [(&str, f32); 3] = [("A", 20.0), ("B", 45.0), ("C", 70.0)];

/// Writes the table of the data and the table of the types.
fn write_data(folder: &Path) {
    let mut random = ChaCha8Rng::seed_from_u64(5);
    let mut text = "Force [N],Way [m],type,Day,Machine,Alarm\n".to_string();
    for row in 0..900 {
        let (force, way) = (random.random_range(1.0f32..10.0), random.random_range(1.0f32..10.0));
        let (name, limit) = LIMITS[random.random_range(0..3)];
        let alarm = u8::from(force * way > limit);
        let day = format!("2026-{:02}-{:02}", row % 12 + 1, row % 28 + 1);
        writeln!(text, "{force:.3},{way:.3},{name},{day},m{},{alarm}", row % 7).unwrap();
    }
    fs::write(folder.join("d.csv"), text).unwrap();
    let types = LIMITS.map(|(name, limit)| format!("{name},{limit},1.5\n")).concat();
    fs::write(folder.join("types.csv"), format!("Type,limit,mass\n{types}")).unwrap();
    fs::write(
        folder.join("machines.csv"),
        "Machine,age\n".to_string() + &(0..7).map(|m| format!("m{m},{m}\n")).collect::<String>(),
    )
    .unwrap();
}

fn parse(text: &str, sets: &[&str]) -> Recipe {
    let sets: Vec<String> = sets.iter().map(|set| set.to_string()).collect();
    Recipe::parse(text, "r.toml", "r", &sets).unwrap()
}

fn run(text: &str, sets: &[&str], folder: &Path) -> Report {
    write_data(folder);
    let places = Places { data: folder.into(), out: folder.join("run"), device: Device::Cpu, command: "attar".into() };
    distill::run(&parse(text, sets), &places).unwrap()
}

/// A rule that is computed on the board tells a tiny student what it cannot see, and a table says it of each type.
#[test]
fn rules_and_tables_are_computed_on_the_board() {
    let folder = tempfile::tempdir().unwrap();
    let report = run(RECIPE, &["compare.without_facts=true"], folder.path());
    let accuracy = |name: &str| {
        let student = report.students.iter().find(|student| student.name == name && student.precision == "int8");
        student.unwrap().accuracy.unwrap()
    };
    assert!(accuracy("labels") > 0.97 && accuracy("labels, no facts") < 0.93, "{report:?}");
    let bytes = fs::read(folder.path().join("run/student.attar")).unwrap();
    let student = Student::parse(&bytes).unwrap();
    let mut facts = student.facts();
    assert_eq!(facts.known(&[5.0f32, 6.0]).values().collect::<Vec<_>>(), [None, Some(30.0), None]);
    facts.choose("type", "A").unwrap();
    let known = facts.known(&[5.0f32, 6.0]);
    assert_eq!((known.get("work"), known.get("over"), known.get("nothing")), (Some(30.0), Some(1.0), None));
    assert_eq!(known.clamped(), 0);
    facts.choose("type", "B").unwrap();
    assert_eq!(facts.known(&[5.0f32, 6.0]).get("over"), Some(0.0));
    assert_eq!(facts.known(&[5000.0f32, 6.0]).clamped(), 1, "work is outside what training has seen");
    // Training has computed what the board computes.
    let data = data::load(&parse(RECIPE, &[]), folder.path()).unwrap();
    for sample in 0..50 {
        let known = attar::student::engine::facts_of(&student, &data, sample).unwrap().known(data.input(sample));
        let expected: Vec<_> = data.fact_columns.iter().map(|column| column[sample]).collect();
        assert_eq!(known.values().collect::<Vec<_>>(), expected);
    }
    explain(folder.path());
}

fn explain(folder: &Path) {
    let explain = |arguments: &[&str]| {
        let output = attar()
            .args(["facts", "explain", "run/student.attar"])
            .args(arguments)
            .current_dir(folder)
            .output()
            .unwrap();
        (
            output.status.success(),
            String::from_utf8(if output.status.success() { output.stdout } else { output.stderr }).unwrap(),
        )
    };
    let (_, said) = explain(&["--fact", "type=C", "--input", "force=8", "--input", "way=9"]);
    assert!(said.contains("72 J") && said.contains("type[0] < work") && said.contains("yes"), "{said}");
    let (_, said) = explain(&["--input", "force=8"]);
    assert!(said.contains("missing"), "{said}");
    let (good, said) = explain(&["--fact", "over=1"]);
    assert!(!good && said.contains("\"over\" is computed by the model"), "{said}");
    let (good, said) = explain(&["--input", "forse=1"]);
    assert!(!good && said.contains("did you mean \"force\""), "{said}");
}

/// What a run writes down of its recipe is that recipe, tables, constants and rules included, and `eval` goes by it.
#[test]
fn recipe_of_a_run_is_read_again() {
    let folder = tempfile::tempdir().unwrap();
    let more = "[[facts]]\nname = \"plant\"\nkind = \"category\"\nconstant = 123456789\n[[distill.rules]]\nwhen = \"work > 60\"\n\
                head = \"alarm\"\n";
    let text = RECIPE
        .replace("[student]", "[teacher]\narch='mlp'\nepochs=2\n[student]")
        .replace("method = \"none\"", "hard = 0.2");
    let text = format!("{text}{more}").replace("name = \"over\"", "name = \"over\"\nprivileged = true");
    run(&text, &[], folder.path());
    let written = fs::read_to_string(folder.path().join("run/recipe.toml")).unwrap();
    assert!(!written.contains("\"rule 1\""), "{written}");
    assert_eq!(parse(&written, &[]), parse(&text, &[]));
    let output = attar().args(["eval", "run/student.attar", "--json"]).current_dir(folder.path()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    // Without `values`, those of other data are others: indices would mean something else.
    fs::write(folder.path().join("run/recipe.toml"), written.replace("123456789", "7")).unwrap();
    let output = attar().args(["eval", "run/student.attar"]).current_dir(folder.path()).output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && error.contains("\"plant\" has the values"), "{error}");
}

/// Every way of fusing, with every encoder, trains a student whose integers are those of the specification.
#[test]
fn facts_are_fused_in_every_way_with_every_encoder() {
    let more = r#"
[[facts]]
name = "age"
kind = "number"
file = "machines.csv"
key = "Machine"
encoder = "range"
[[facts]]
name = "day"
kind = "date"
column = "Day"
[[facts]]
name = "site"
kind = "category"
column = "Machine"
encoder = "embedding"
width = 2
[[facts]]
name = "plant"
kind = "number"
constant = 3
encoder = "none"
[[facts]]
name = "lever"
kind = "derived"
encoder = "log"
expr = "force / way * plant"
"#;
    let text = format!("{RECIPE}{more}");
    let mut files = Vec::new();
    for (fusion, at) in [
        ("concat", "input"),
        ("add", "features"),
        ("film", "dense0"),
        ("gate", "dense0"),
        ("prior", "features"),
        ("film", "input"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let sets = [format!("student.fusion={fusion}"), format!("student.fuse_at={at}")];
        let report = run(&text, &sets.each_ref().map(String::as_str), folder.path());
        let accuracy = report.students.last().unwrap().accuracy.unwrap();
        assert!(accuracy > 0.8, "{fusion} at {at}: {accuracy}");
        // What the facts alone say of the alarm is worth something, and the report says how much of it is taken.
        let priors = &report.students.last().unwrap().priors;
        assert_eq!(priors.len(), usize::from(fusion == "prior"), "{fusion}: {priors:?}");
        assert!(priors.values().all(|weight| *weight > 0.1 && *weight != 1.0), "{priors:?}");
        let layers = &report.quantization.as_ref().unwrap().layers;
        assert!(layers.iter().all(|layer| layer.mean_absolute_difference < 1.0), "{fusion}: {layers:?}");
        let bytes = fs::read(folder.path().join("run/student.attar")).unwrap();
        equals_the_specification(&bytes);
        depends_on_facts(&bytes, fusion);
        files.push(bytes);
    }
    // The row of an embedding is looked up: no operator stands for it, and each site has a row of its own.
    let student = Student::parse(&files[0]).unwrap();
    let site = student.model().facts().position(|fact| fact.name == "site").unwrap();
    let fact = student.model().facts().nth(site).unwrap();
    let attar_shared::Encoder::Embedding { width: 2, rows } = fact.encoder else { panic!("{fact:?}") };
    assert_eq!(rows.len(), 14);
    assert!(rows.chunks(2).any(|row| row != &rows[..2]), "all rows are the same: {rows:?}");
    assert_eq!(student.model().operators().count(), 3, "concat, two dense layers");
}

/// The outputs of half the samples change when nothing is known of them.
fn depends_on_facts(bytes: &[u8], fusion: &str) {
    let samples = verify::random_samples(bytes, 40, 4).unwrap();
    let nothing = |sample: &verify::Sample| verify::Sample { facts: vec![None; sample.facts.len()], ..sample.clone() };
    let without: Vec<verify::Sample> = samples.iter().map(nothing).collect();
    let student = Student::parse(bytes).unwrap();
    let [with, without] = [samples, without].map(|samples| verify::answers(&student, &samples).unwrap());
    let changed = with.iter().zip(&without).filter(|(a, b)| a.outputs != b.outputs).count();
    assert!(changed >= 20, "{fusion}: {changed} of 40 outputs depend on the facts");
}

/// Runs random samples through the engine and through the implementation from the specification.
fn equals_the_specification(bytes: &[u8]) {
    let samples = verify::random_samples(bytes, 40, 3).unwrap();
    let answers = verify::answers(&Student::parse(bytes).unwrap(), &samples).unwrap();
    let plain = attar_tests::reference::Model::read(bytes).unwrap();
    for (sample, answer) in samples.iter().zip(&answers) {
        let known = plain.known_facts(&sample.facts, &sample.input);
        let tensors = plain.run(&plain.quantize_input(&sample.input), &plain.quantize_facts(&known));
        let outputs: Vec<u8> =
            plain.heads.iter().flat_map(|head| &tensors[head.tensor]).map(|q| q.cast_unsigned()).collect();
        assert_eq!(answer.outputs, outputs);
        let computed = plain.facts.iter().zip(&known).filter(|(fact, _)| !fact.code.is_empty());
        let expected: Vec<u8> =
            computed.flat_map(|(_, value)| value.unwrap_or(attar_shared::MISSING).to_le_bytes()).collect();
        assert_eq!(answer.facts, expected);
    }
}

/// A fact that is hidden takes with it what is computed from it; what the input alone decides is never hidden.
#[test]
fn facts_are_hidden_with_what_is_computed_from_them() {
    let folder = tempfile::tempdir().unwrap();
    write_data(folder.path());
    let data = data::load(&parse(&RECIPE.replace("dropout = 0", "dropout = 0.5"), &[]), folder.path()).unwrap();
    let mut random = attar::support::random::stream(1, "test");
    let samples: Vec<usize> = (0..300).collect();
    let facts = FactUse::Dropped(Audience::Board, 0.9, &mut random);
    let rows = data.fact_rows(&samples, facts).unwrap();
    // Three types, work, over; then the masks of the three facts.
    let mut hidden = 0;
    for row in rows.chunks_exact(8) {
        assert_eq!(row[6], 1.0, "work is never missing");
        assert_eq!(row[5], row[7], "over goes with the type");
        if row[5] == 0.0 {
            assert_eq!((&row[..3], row[4]), (&[0.0; 3][..], 0.0));
            hidden += 1;
        }
    }
    assert!((100..200).contains(&hidden), "{hidden} of 300 were hidden at a chance of one half");
}

/// What is computed from the input is computed from the view that the network sees, as the board would.
#[test]
fn facts_follow_the_view_that_they_are_computed_from() {
    let folder = tempfile::tempdir().unwrap();
    write_data(folder.path());
    let data = data::load(&parse(&format!("{RECIPE}[augment]\nscale = 0.3\n"), &[]), folder.path()).unwrap();
    let samples: Vec<usize> = data.splits.train.iter().copied().take(50).collect();
    let rows = data.fact_rows_of_view(&samples, 2, FactUse::AsKnown(Audience::Board)).unwrap();
    let plain = data.fact_rows(&samples, FactUse::AsKnown(Audience::Board)).unwrap();
    let mut changed = 0;
    for ((row, plain), &sample) in rows.chunks_exact(8).zip(plain.chunks_exact(8)).zip(&samples) {
        let view = data.raw_view(sample, 2);
        data.facts.facts[1].encoder.encoding().encode(Some(view[0] * view[1]), |work| assert_eq!(row[3], work));
        assert_eq!(row[..3], plain[..3], "the type is what it was");
        changed += usize::from(row[3] != plain[3]);
    }
    assert!(changed > 40, "{changed} of 50 views have another work");
}

/// What is privileged teaches the student and is not in its file; what is computed from it has to be privileged too.
#[test]
fn privileged_facts_are_the_teachers_alone() {
    let folder = tempfile::tempdir().unwrap();
    let teacher = "[teacher]\narch='mlp'\nhidden=[16]\nepochs=30\nrate=0.01\n";
    let text =
        RECIPE.replace("[student]", &format!("{teacher}[student]")).replace("method = \"none\"", "method = \"hinton\"");
    let hidden = ["work", "over"].iter().fold(text.clone(), |text, name| {
        text.replace(&format!("name = \"{name}\""), &format!("name = \"{name}\"\nprivileged = true"))
    });
    let report = run(&hidden, &[], folder.path());
    assert!(report.teacher.as_ref().unwrap().accuracy.unwrap() > 0.95, "{report:?}");
    let bytes = fs::read(folder.path().join("run/student.attar")).unwrap();
    let names: Vec<&str> = Student::parse(&bytes).unwrap().model().facts().map(|fact| fact.name).collect();
    assert_eq!(names, ["type"]);
    let data = data::load(&parse(&hidden, &[]), folder.path()).unwrap();
    assert_eq!((data.facts.width(Audience::Board), data.facts.width(Audience::Teacher)), (4, 8));
    let message = refused(&text.replace("name = \"work\"", "name = \"work\"\nprivileged = true"));
    assert!(message.contains("\"over\" is computed from \"work\", which is privileged"), "{message}");
}

/// Returns the message of a recipe that is refused.
fn refused(text: &str) -> String {
    format!("{:#}", Recipe::parse(text, "r.toml", "r", &[]).unwrap_err())
}

#[test]
fn facts_that_cannot_be_are_refused_with_fact_and_column() {
    let deep = format!("{}way{}", "force * (".repeat(20), ")".repeat(20));
    for (from, to, expected) in [
        ("force * way", "force * wai", "column 9: there is no fact or input \"wai\" (did you mean \"way\"?)"),
        ("force * way", "force + way", "column 7: adds N and m"),
        ("force * way", &deep, "the expression is too deep: it needs 21 numbers at once"),
        ("force * way", "force * (way", "column 13: expected"),
        ("unit = \"J\"\nexpr", "unit = \"W\"\nexpr", "the expression gives Nm, the fact is in W"),
        ("force * way", "if over then force * way else 1", "facts work, over are computed from each other in a circle"),
        ("work > type.limit", "work", "a rule is a condition"),
        ("work > type.limit", "type == 'D'", "has no value \"D\""),
        ("kind = \"rule\"", "kind = \"rul\"", "there is no kind of fact \"rul\" (did you mean \"rule\"?)"),
        ("kind = \"rule\"", "kind = \"rule\"\nmean = 1", "kind \"rule\" with encoder \"flag\" has no key mean"),
        ("kind = \"rule\"", "kind = \"rule\"\nencoder = \"log\"", "encoder of a rule is one of flag, none"),
        ("expr = \"force * way\"", "", "kind \"derived\" needs expr"),
        ("name = \"type\"", "name = \"force\"", "\"force\" is both a fact and a value of the input"),
        ("units = { force = \"N\"", "units = { forse = \"N\"", "input.units names \"forse\", which is no input"),
        ("kind = \"rule\"", "kind = \"rule\"\nrepeat = 2", "has no key repeat"),
        ("unit = \"J\"\nexpr = \"force * way\"", "expr = \"sin(force / way * 1)\"", "takes the angle of"),
        ("dropout = 0", "dropout = 1", "fact \"type\": dropout is no share"),
        ("key = \"Type\", ", "columns = { a = { A = 1 } }, ", "table needs either file"),
    ] {
        assert!(RECIPE.contains(from), "{from}");
        let message = refused(&RECIPE.replacen(from, to, 1));
        assert!(message.contains(expected), "{from} -> {to}: {message}");
    }
    // What only the data can tell.
    let folder = tempfile::tempdir().unwrap();
    write_data(folder.path());
    let load = |text: &str| format!("{:#}", data::load(&parse(text, &[]), folder.path()).unwrap_err());
    let message = load(&RECIPE.replace("type.limit", "type.limt"));
    assert!(message.contains("has no column \"limt\" (did you mean \"limit\"?)"), "{message}");
    let message = load(&RECIPE.replace("types.csv", "typs.csv"));
    assert!(message.contains("fact \"type\"") && message.contains("typs.csv"), "{message}");
    let message = load(&RECIPE.replace("[\"A\", \"B\", \"C\"]", "[\"A\", \"B\", \"C\", \"D\"]"));
    assert!(message.contains("no row has Type = \"D\""), "{message}");
    let message = load(
        &RECIPE
            .replace("kind = \"derived\"", "kind = \"derived\"\nencoder = \"log\"")
            .replace("force * way", "force * way - 30"),
    );
    assert!(message.contains("has no logarithm"), "{message}");
}

/// What a teacher knows beside the student's input helps where it is a function of that input, and not where it is not
/// (Lopez-Paz et al. 2016): labels say whether `z + noise > 0` with `z = a · x`. A teacher that sees `z` passes on labels without
/// noise; one that sees the noise knows each label for sure, and nothing of it can be told from x.
#[test]
fn privileged_facts_help_where_theory_says_so() {
    let (mut helped, mut in_vain) = (Vec::new(), Vec::new());
    for seed in 0..20 {
        let plain = student_of(seed, None);
        helped.push(student_of(seed, Some("z")) - plain);
        in_vain.push(student_of(seed, Some("noise")) - plain);
    }
    let mean = |gains: &[f64]| gains.iter().sum::<f64>() / gains.len() as f64;
    let error = |gains: &[f64]| {
        let squares: f64 = gains.iter().map(|gain| (gain - mean(gains)).powi(2)).sum();
        (squares / (gains.len() * (gains.len() - 1)) as f64).sqrt()
    };
    let [helped, in_vain] = [&helped, &in_vain].map(|gains| (100.0 * mean(gains), 100.0 * error(gains)));
    eprintln!(
        "a teacher that sees z: {:+.1} ± {:.1} points; one that sees the noise: {:+.1} ± {:.1}",
        helped.0, helped.1, in_vain.0, in_vain.1
    );
    assert!(helped.0 > 3.0 * helped.1 && helped.0 > 1.0, "{helped:?}");
    assert!(in_vain.0 < 1.0, "{in_vain:?}");
}

/// Draws samples `[x, z, noise]`.
fn noisy(random: &mut ChaCha8Rng, direction: &[f32], count: usize) -> Vec<(Vec<f32>, f32, f32)> {
    let mut sample = || {
        let x: Vec<f32> = (0..INPUTS).map(|_| normal(random)).collect();
        let z = x.iter().zip(direction).map(|(x, a)| x * a).sum();
        (x, z, 3.0 * normal(random))
    };
    (0..count).map(|_| sample()).collect()
}

/// A normal variate, nearly: the sum of twelve (Irwin-Hall).
fn normal(random: &mut ChaCha8Rng) -> f32 {
    (0..12).map(|_| random.random_range(-0.5f32..0.5)).sum()
}

/// Returns for how many of 2,000 samples a student tells the sign of z, one that was taught from 100 labels by a teacher who
/// sees a fact, or none.
fn student_of(seed: u64, fact: Option<&str>) -> f64 {
    let folder = tempfile::tempdir().unwrap();
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let direction: Vec<f32> = (0..INPUTS).map(|_| normal(&mut random)).collect();
    let mut text = (0..INPUTS).map(|i| format!("x{i:02},")).collect::<String>() + "z,noise,y\n";
    for (x, z, noise) in noisy(&mut random, &direction, 100) {
        x.iter().for_each(|x| write!(text, "{x},").unwrap());
        writeln!(text, "{z},{noise},{}", u8::from(z + noise > 0.0)).unwrap();
    }
    fs::write(folder.path().join("noisy.csv"), text).unwrap();
    let columns: String = (0..INPUTS).map(|i| format!("x{i:02} = \"x{i:02}\"\n")).collect();
    let fact = fact.map(|name| format!("[[facts]]\nname = \"{name}\"\nkind = \"number\"\nprivileged = true\n"));
    let recipe = format!(
        "[data]\nformat = \"csv\"\nfile = \"noisy.csv\"\nsplit = {{ test = 0, validation = 0 }}\n[input.columns]\n{columns}\
         {}[[heads]]\nname = \"y\"\nkind = \"binary\"\ncolumn = \"y\"\n[teacher]\narch = \"mlp\"\nepochs = 60\nrate = 0.03\n\
         optimizer = \"adamw\"\ndecay = 1.0\nfact_dropout = 0\n[student]\narch = \"mlp\"\nepochs = 60\nrate = 0.03\n[distill]\n\
         temperature = 1\nhard = 0\nsoft = 1\n[quantize]\ncalibration = 64\n",
        fact.unwrap_or_default()
    );
    let out = folder.path().join("run");
    let places = Places { data: folder.path().into(), out: out.clone(), device: Device::Cpu, command: "attar".into() };
    distill::run(&parse(&recipe, &[]), &places).unwrap();
    let bytes = fs::read(out.join("student.attar")).unwrap();
    let student = Student::parse(&bytes).unwrap();
    assert_eq!(student.model().facts().count(), 0);
    let mut arena = vec![0; student.model().arena_bytes()];
    let mut session = attar_device::Session::new(*student.model(), &mut arena).unwrap();
    let right = noisy(&mut random, &direction, 2000).into_iter().filter(|(x, z, _)| {
        let outputs = session.run(x, &student.facts()).unwrap();
        (outputs.head("y").unwrap().top().class == 1) == (*z > 0.0)
    });
    right.count() as f64 / 2000.0
}

const INPUTS: usize = 20;

/// Rules that hold where labels do not: a quarter of the labels is wrong, and what is known of extremes is put into what the
/// teacher says. Twenty seeds, the same data and networks with and without.
#[test]
fn rules_teach_what_wrong_labels_do_not() {
    let rules = r#"
[[distill.rules]]
when = "force * way > 60"
head = "alarm"
[[distill.rules]]
when = "force * way < 30"
head = "alarm"
holds = false
"#;
    let gains: Vec<f64> =
        (0..20).map(|seed| taught_from_wrong_labels(seed, rules) - taught_from_wrong_labels(seed, "")).collect();
    let mean = gains.iter().sum::<f64>() / 20.0;
    let error = (gains.iter().map(|gain| (gain - mean).powi(2)).sum::<f64>() / (20.0 * 19.0)).sqrt();
    eprintln!("rules: {:+.1} ± {:.1} points", 100.0 * mean, 100.0 * error);
    assert!(mean > 3.0 * error && mean > 0.01, "{mean} ± {error}");
    let bad = |rules: &str| {
        let text = format!("{RECIPE}{rules}").replace("method = \"none\"", "method = \"hinton\"\n");
        refused(&text.replace("[student]", "[teacher]\narch='mlp'\n[student]"))
    };
    let message = bad(&rules.replacen("force * way", "force * wy", 1));
    assert!(message.contains("rule 1") && message.contains("did you mean \"way\""), "{message}");
    let message = bad(&rules.replacen("\"alarm\"", "\"alrm\"", 1));
    assert!(message.contains("there is no head \"alrm\" (did you mean \"alarm\"?)"), "{message}");
    let message = refused(&format!("{RECIPE}{rules}"));
    assert!(message.contains("distill.method is \"none\""), "{message}");
}

/// Returns how often a student is right that was taught from 200 labels of which every fourth is wrong.
fn taught_from_wrong_labels(seed: u64, rules: &str) -> f64 {
    let folder = tempfile::tempdir().unwrap();
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut sample =
        || (random.random_range(1.0f32..10.0), random.random_range(1.0f32..10.0), random.random_bool(0.25));
    let mut text = "force,way,alarm\n".to_string();
    for _ in 0..200 {
        let (force, way, wrong) = sample();
        writeln!(text, "{force},{way},{}", u8::from((force * way > 45.0) != wrong)).unwrap();
    }
    fs::write(folder.path().join("d.csv"), text).unwrap();
    let recipe = format!(
        "seed = {seed}\n[data]\nformat = 'csv'\nfile = 'd.csv'\nsplit = {{ test = 0, validation = 0 }}\n[input]\n\
         columns = {{ force = 'force', way = 'way' }}\n[[heads]]\nname = 'alarm'\nkind = 'binary'\ncolumn = 'alarm'\n\
         [teacher]\narch = 'mlp'\nhidden = [16]\nepochs = 40\nrate = 0.01\n[student]\narch = 'mlp'\nhidden = [8]\nepochs = 60\n\
         rate = 0.01\n[distill]\ntemperature = 1\nhard = 0\nsoft = 1\n{rules}\n[quantize]\ncalibration = 64\n"
    );
    let out = folder.path().join("run");
    let places = Places { data: folder.path().into(), out: out.clone(), device: Device::Cpu, command: "attar".into() };
    distill::run(&parse(&recipe, &[]), &places).unwrap();
    let bytes = fs::read(out.join("student.attar")).unwrap();
    let student = Student::parse(&bytes).unwrap();
    assert_eq!(student.model().facts().count(), 0, "what rules depend on is no fact of the board");
    let mut arena = vec![0; student.model().arena_bytes()];
    let mut session = attar_device::Session::new(*student.model(), &mut arena).unwrap();
    let right = (0..1000).filter(|_| {
        let (force, way, _) = sample();
        let outputs = session.run(&[force, way], &student.facts()).unwrap();
        (outputs.head("alarm").unwrap().top().class == 1) == (force * way > 45.0)
    });
    right.count() as f64 / 1000.0
}
