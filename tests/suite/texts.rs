//! Texts from end to end: unseen names with and without a gazetteer, own tables of texts, rules about words, and what is
//! refused.

use std::fmt::Write;
use std::fs;
use std::path::Path;

use attar::data;
use attar::recipe::Recipe;
use attar::run::distill::{self, Places};
use attar::run::report::Report;
use attar_device::{Error, Student};
use candle_core::Device;

use crate::command::{fails, in_folder};

fn recipe(text: &str, sets: &[&str]) -> Recipe {
    let sets: Vec<String> = sets.iter().map(|set| set.to_string()).collect();
    Recipe::parse(text, "r.toml", "r", &sets).unwrap()
}

fn run(recipe: &Recipe, folder: &Path) -> Report {
    let places = Places { data: folder.into(), out: folder.join("run"), device: Device::Cpu, command: "attar".into() };
    distill::run(recipe, &places).unwrap()
}

/// Without the list of names, a student cannot tell what a name is that it never heard; of names that it heard it can.
#[test]
fn gazetteer_tells_unseen_names() {
    let text = include_str!("../../host/recipes/commands.toml");
    let accuracy = |text: &str, student: &str| -> f64 {
        let folder = tempfile::tempdir().unwrap();
        let sets = ["data.samples=4000", "distill.method=none", "compare.seeds=3", "compare.labels=false"];
        let report = run(&recipe(text, &sets), folder.path());
        let found = report.students.iter().find(|s| s.name == student && s.precision == "int8");
        found.unwrap_or_else(|| panic!("{report:?}")).accuracy.unwrap()
    };
    let (with, without) = (accuracy(text, "labels"), accuracy(text, "labels, no facts"));
    let heard = accuracy(&text.replace(", group = \"name\"", ""), "labels, no facts");
    println!("unseen names: {with:.3} with the gazetteer, {without:.3} without, {heard:.3} without of names it heard");
    assert!(with > 0.9 && without < 0.8 && heard > without + 0.04, "{with} with, {without} without, {heard} heard");
}

/// No name of the test split is in another split.
#[test]
fn names_stay_on_one_side() {
    let text = include_str!("../../host/recipes/commands.toml");
    let data = data::load(&recipe(text, &["data.samples=3000"]), Path::new("")).unwrap();
    let commands = data::simulators::commands::generate(3000, 0).unwrap();
    let names = |samples: &[usize]| {
        let named = samples.iter().map(|&sample| commands[sample].name.as_str()).filter(|name| !name.is_empty());
        named.collect::<std::collections::BTreeSet<_>>()
    };
    let (train, test) = (names(&data.splits.train), names(&data.splits.test));
    assert!(train.len() > 200 && test.len() > 40 && train.is_disjoint(&test));
    let bytes: Vec<u8> =
        data.input(7).iter().map(|&byte| (byte as i8).cast_unsigned()).take_while(|b| *b > 0).collect();
    assert_eq!(String::from_utf8(bytes).unwrap(), commands[7].text);
}

const OWN: &str = r#"
[data]
format = "csv"
file = "notes.csv"
[input]
text = "Note"
length = 60
[[facts]]
name = "parts"
kind = "gazetteer"
file = "parts.csv"
[[facts]]
name = "hot_motor"
kind = "rule"
expr = "parts.drive and not parts.tool"
[[heads]]
name = "who"
kind = "class"
column = "Who"
[student]
arch = "bag"
buckets = 64
width = 6
letters = [3, 3]
words = 1
hidden = [8]
epochs = 15
rate = 0.01
[distill]
method = "none"
[quantize]
calibration = 64
"#;

/// Notes of a workshop: what is about a drive goes to the electrician.
fn write_notes(folder: &Path) {
    let mut text = "Note,Who\n".to_string();
    let (drives, tools) = (["motor", "Getriebe", "belt"], ["drill bit", "fräser", "mill"]);
    for row in 0..300 {
        let (thing, who) =
            if row % 2 == 0 { (drives[row / 2 % 3], "electrician") } else { (tools[row / 2 % 3], "fitter") };
        let note = ["the {} is loud", "{}: smells, looks burnt", "replace {} soon"][row / 6 % 3].replace("{}", thing);
        writeln!(text, "\"{note}\",{who}").unwrap();
    }
    fs::write(folder.join("notes.csv"), text).unwrap();
    let parts =
        "phrase,kind\nMotor,drive\ngetriebe,drive\nbelt,drive\ndrill bit,tool\nFräser,tool\nmill,tool\nmill,drive\n";
    fs::write(folder.join("parts.csv"), parts).unwrap();
    fs::write(folder.join("r.toml"), OWN).unwrap();
}

#[test]
fn own_texts_and_phrases_become_a_student() {
    let folder = tempfile::tempdir().unwrap();
    write_notes(folder.path());
    let report = run(&recipe(OWN, &[]), folder.path());
    assert!(report.students.last().unwrap().accuracy.unwrap() > 0.99, "{report:?}");

    let bytes = fs::read(folder.path().join("run/student.attar")).unwrap();
    let student = Student::parse(&bytes).unwrap();
    let mut arena = vec![0; student.model().arena_bytes()];
    let mut session = attar_device::Session::new(*student.model(), &mut arena).unwrap();
    let facts = student.facts();
    let mut says = |text: &str| session.run_text(text, &facts).unwrap().head("who").unwrap().top().label.to_string();
    assert_eq!([says("The MOTOR is loud"), says("replace drill-bit")], ["electrician", "fitter"]);
    let long = "a".repeat(61);
    assert_eq!(session.run_text(&long, &facts).err(), Some(Error::TextLength { most: 60, got: 61 }));
    assert!(session.run_text(&long[1..], &facts).is_ok() && session.run_text("", &facts).is_ok());
    // The text as bytes, zeros after them, is the same to it.
    let mut padded: Vec<i8> = "replace fräser".bytes().map(u8::cast_signed).collect();
    padded.resize(60, 0);
    let of_bytes = session.run(&padded, &facts).unwrap().head("who").unwrap().quantized().to_vec();
    let of_text = session.run_text("replace fräser", &facts).unwrap().head("who").unwrap().quantized().to_vec();
    assert_eq!(of_bytes, of_text);
    // "mill" is both, and so no rule says of it that it is a drive alone.
    let known = |text: &str| facts.known(text.as_bytes()).values().collect::<Vec<_>>();
    assert_eq!(known("a Drill, bit"), [Some(2.0), Some(0.0)]);
    assert_eq!(known("MILL"), [Some(3.0), Some(0.0)]);
    assert_eq!(known("Getriebe!"), [Some(1.0), Some(1.0)]);
    assert_eq!(known("motors"), [Some(0.0), Some(0.0)]);

    let output = in_folder(folder.path(), &["facts", "explain", "run/student.attar", "--text", "belt"]);
    let shown = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success() && shown.contains("drive") && shown.contains("the words of the text"), "{shown}");
    assert!(shown.contains("parts.drive and not parts.tool"), "{shown}");
    let texts = ["run", "run/student.attar", "--text", "the belt is loud", "--text", "replace mill soon"];
    let shown = String::from_utf8(in_folder(folder.path(), &texts).stdout).unwrap();
    assert!(shown.contains("0: who = electrician") && shown.contains("1: who = fitter"), "{shown}");
    fs::write(folder.path().join("a.txt"), "the belt is loud\nreplace mill soon\n").unwrap();
    fs::write(folder.path().join("a.csv"), "id,Note\n1,the belt is loud\n2,replace mill soon\n").unwrap();
    // A byte order mark is no letter of the first text.
    fs::write(folder.path().join("mark.txt"), "\u{feff}the belt is loud\r\nreplace mill soon\r\n").unwrap();
    let wide = "\u{feff}the belt is loud\nreplace mill soon".encode_utf16().flat_map(u16::to_le_bytes);
    fs::write(folder.path().join("wide.txt"), wide.collect::<Vec<u8>>()).unwrap();
    for file in ["a.txt", "a.csv", "mark.txt", "wide.txt"] {
        let again = in_folder(folder.path(), &["run", "run/student.attar", "--input", file]).stdout;
        assert_eq!(String::from_utf8(again).unwrap(), shown, "{file}");
    }
    let verified = in_folder(folder.path(), &["verify", "run/student.attar", "--data", "."]);
    assert!(String::from_utf8(verified.stdout).unwrap().contains(" 0 mismatches"));
    let inspected = String::from_utf8(in_folder(folder.path(), &["inspect", "run/student.attar"]).stdout).unwrap();
    assert!(inspected.contains("a text of up to 60 bytes") && inspected.contains("6 phrases"), "{inspected}");

    // Other data, whose longest text is shorter.
    let path = folder.path();
    fs::create_dir(path.join("other")).unwrap();
    fs::write(
        path.join("other/notes.csv"),
        "Note,Who\nbelt,electrician\nmill,fitter\n".to_string() + &"mill,fitter\n".repeat(20),
    )
    .unwrap();
    fs::copy(path.join("parts.csv"), path.join("other/parts.csv")).unwrap();
    for command in ["eval", "verify"] {
        let output = in_folder(path, &[command, "run/student.attar", "--data", "other"]);
        assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
    }
    fails(path, &["facts", "explain", "run/student.attar"], &["say --text"]);
    fails(path, &["facts", "explain", "run/student.attar", "--text", &long], &["61 bytes", "up to 60"]);
    fails(path, &["run", "run/student.attar", "--text", &long], &["--text: sample 0", "61 bytes", "up to 60"]);
    fails(path, &["run", "run/student.attar", "--text", "x", "--fact", "parts=tool"], &["computed by the model"]);
    fs::write(path.join("b.txt"), [0xff, 0xfe]).unwrap();
    fails(path, &["run", "run/student.attar", "--input", "b.txt"], &["cannot read b.txt as texts"]);
}

#[test]
fn bad_texts_and_tables_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    write_notes(path);
    let refused = |from: &str, to: &str, expected: &[&str]| {
        assert!(OWN.contains(from), "{from}");
        fs::write(path.join("bad.toml"), OWN.replacen(from, to, 1)).unwrap();
        fails(path, &["distill", "bad.toml", "--out", "bad"], expected);
        assert!(!path.join("bad/student.attar").exists());
    };
    refused("length = 60", "length = 20", &["notes.csv:", "the text has", "input.length allows 20"]);
    refused("text = \"Note\"", "text = \"Notes\"", &["no column \"Notes\"", "did you mean \"Note\"?"]);
    refused("text = \"Note\"", "columns = { note = \"Note\" }", &["input.length belongs to texts"]);
    refused("length = 60", "columns = { note = \"Note\" }", &["name either the columns of the input"]);
    refused("arch = \"bag\"", "arch = \"mlp\"", &["[student]: width and depth belong to"]);
    refused(
        "arch = \"bag\"\nbuckets = 64\nwidth = 6\nletters = [3, 3]\nwords = 1",
        "arch = \"mlp\"",
        &["the input is a text"],
    );
    refused("letters = [3, 3]", "letters = [3, 2]", &["letters are [3, 2]"]);
    refused("letters = [3, 3]\nwords = 1", "letters = [0, 0]\nwords = 0", &["neither letters nor words"]);
    refused("buckets = 64", "buckets = 0", &["buckets are 0"]);
    refused("words = 1", "words = 9", &["words are 9"]);
    refused("parts.csv", "part.csv", &["cannot read", "part.csv"]);
    refused("parts.drive and", "parts.drives and", &["no column \"drives\"", "did you mean \"drive\"?"]);
    refused("parts.drive and", "parts and", &["name one of its features"]);
    refused(
        "file = \"parts.csv\"",
        "file = \"parts.csv\"\nvalues = [\"drive\"]",
        &["has no column \"tool\"", "it has drive"],
    );
    refused("length = 60", "length = 60\nnormalize = \"all\"", &["belong to numbers"]);
    refused("[distill]", "[augment]\nnoise = 0.1\n[distill]", &["the input is a text"]);
    // The columns of the table may stand the other way round.
    let turned = "kind,phrase\ndrive,motor\ndrive,belt\ntool,mill\n";
    fs::write(path.join("parts.csv"), turned).unwrap();
    let key = "file = \"parts.csv\"\nkey = \"phrase\"";
    fs::write(path.join("turned.toml"), OWN.replacen("file = \"parts.csv\"", key, 1)).unwrap();
    let data = data::load(&Recipe::read(&path.join("turned.toml"), &[]).unwrap(), path).unwrap();
    assert_eq!(data.facts.facts[0].values, ["drive", "tool"]);
    for (table, expected) in [
        ("phrase\nmotor\n", "has two columns"),
        ("phrase,kind\nmotor,drive\n\"...\",tool\n", "parts.csv:3"),
        ("phrase,kind\na b c d e,drive\n", "has 5 words"),
        ("phrase,kind\nmotor,\n", "parts.csv:2: fact \"parts\": \"motor\" has no feature"),
    ] {
        fs::write(path.join("parts.csv"), table).unwrap();
        fails(path, &["distill", "r.toml", "--out", "bad"], &["parts", expected]);
    }
    fs::write(path.join("parts.csv"), "phrase,kind\nmotor,drive\nlathe,machine\n").unwrap();
    let named = "file = \"parts.csv\"\nvalues = [\"drive\", \"tool\"]";
    refused("file = \"parts.csv\"", named, &["parts.csv:3", "has no feature \"machine\""]);
    let numbers = "[data]\nformat='random'\nsamples=50\n[input]\nshape=[4]\n[[facts]]\nname='g'\nkind='gazetteer'\nfile='x.csv'\n\
                   [[heads]]\nname='y'\nkind='regression'\noutputs=1\n[student]\narch='mlp'\n[distill]\nmethod='none'\n";
    fs::write(path.join("numbers.toml"), numbers).unwrap();
    fails(path, &["distill", "numbers.toml", "--out", "bad"], &["a gazetteer knows words, the input is numbers"]);
    fs::write(path.join("numbers.toml"), numbers.replace("arch='mlp'", "arch='bag'")).unwrap();
    fails(path, &["distill", "numbers.toml", "--out", "bad"], &["a bag reads texts"]);
}
