//! Tables as they are found: written in other ways, with columns that are called otherwise, and with readings that are none.

use std::fs;
use std::path::Path;

use attar::data::{self, Dataset};
use attar::recipe::Recipe;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::Value;

use crate::command::{fails, in_folder, text};

fn recipe(columns: &str, head: &str, more: &str) -> Recipe {
    let text = format!(
        "[data]\nformat = \"csv\"\nfile = \"d.csv\"\n{more}\n[input]\ncolumns = {columns}\n[[heads]]\nname = \"state\"\n{head}\n\
         [student]\narch = \"mlp\"\nhidden = [4]\n[distill]\nmethod = \"none\"\n"
    );
    Recipe::parse(&text, "r.toml", "r", &[]).unwrap()
}

fn load(table: &str, columns: &str, head: &str, more: &str) -> Result<Dataset, String> {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("d.csv"), table).unwrap();
    data::load(&recipe(columns, head, more), folder.path()).map_err(|error| format!("{error:#}"))
}

const CLASS: &str = "kind = \"class\"\ncolumn = \"state\"";

/// Twelve rows of two inputs and a state.
fn rows(row: impl Fn(usize) -> String) -> String {
    (0..12).map(row).collect()
}

#[test]
fn a_table_is_the_same_however_it_is_written() {
    let own = "{ a = \"a\", b = \"b, kg\" }";
    let state = |n: usize| ["ok", "worn"][n % 2];
    let plain = format!("a,\"b, kg\",state\n{}", rows(|n| format!("{n}.5,-{n},{}\n", state(n))));
    let expected = load(&plain, own, CLASS, "").unwrap();
    let semicolons = format!("a;\"b, kg\";state\n{}", rows(|n| format!("{n},5;-{n};{}\n", state(n))));
    let units = plain.replacen('\n', "\nmm,kg,\n", 1);
    let noted = plain.replacen('\n', "\n% measured twice\n", 1);
    let marked = plain.replacen("3.5,", "-999,", 1).replacen("4.5,", ",", 1).replacen("5.5,", "?,", 1);
    for (table, more) in [
        (format!("sep=;\n{}", semicolons.replace(",5", ".5")), ""),
        (format!("# made by hand\n\n{}", semicolons.replace(",5", ".5")), ""),
        (semicolons.clone(), "decimal = \",\""),
        (units, "skip = [2]"),
        (noted, "comment = \"%\""),
        (plain.replace('\n', "\r\n"), ""),
    ] {
        let data = load(&table, own, CLASS, more).unwrap_or_else(|error| panic!("{table}: {error}"));
        assert_eq!((&data.inputs, &data.targets[0].values), (&expected.inputs, &expected.targets[0].values), "{table}");
    }
    let dropped = load(&marked, own, CLASS, "missing = [\"-999\", \"?\"]\nmissing_rows = \"drop\"").unwrap();
    assert_eq!((dropped.inputs.row(2), dropped.inputs.row(3)), (expected.inputs.row(2), expected.inputs.row(6)));
    assert_eq!(dropped.len(), 9);
    let refused = load(&marked, own, CLASS, "missing = [\"-999\", \"?\"]").unwrap_err();
    assert!(refused.contains("d.csv:5: column \"a\" holds \"-999\"") && refused.contains("missing_rows"), "{refused}");
    let refused = load(&semicolons, own, CLASS, "").unwrap_err();
    assert!(refused.contains("d.csv:2") && refused.contains("data.decimal = \",\""), "{refused}");
}

#[test]
fn targets_are_numbers_words_or_labels() {
    let own = "{ a = \"a\", b = \"b\" }";
    let table = |words: [&str; 2]| format!("a,b,state\n{}", rows(|n| format!("{n},1,{}\n", words[n % 2])));
    let binary = "kind = \"binary\"\ncolumn = \"state\"";
    let labelled = format!("{binary}\nlabels = [\"ok\", \"worn\"]");
    let expected: Vec<_> = (0..12).map(|n| vec![Some((n % 2) as f32)]).collect();
    for (words, head) in [
        (["0", "1"], binary),
        (["0.0", "1"], binary),
        (["False", "True"], binary),
        (["false", "TRUE"], binary),
        (["ok", "worn"], &labelled),
        (["0", "1"], &labelled),
        (["False", "True"], CLASS),
        (["False", "true"], "kind = \"class\"\ncolumn = \"state\"\nlabels = [\"FALSE\", \"TRUE\"]"),
    ] {
        let data = load(&table(words), own, head, "").unwrap_or_else(|error| panic!("{words:?}: {error}"));
        let labels: Vec<_> = (0..12).map(|sample| data.targets[0].written(sample)).collect();
        assert_eq!(labels, expected, "{words:?}, {head}");
    }
    // Classes are in the order of the alphabet; True and TRUE are one of them.
    let mixed = format!("a,b,state\n{}", rows(|n| format!("{n},1,{}\n", ["True", "False", "TRUE"][n % 3])));
    assert_eq!(load(&mixed, own, CLASS, "").unwrap().targets[0].labels, ["False", "TRUE"]);
    for (words, head, expected) in [
        (["ok", "worn"], binary, "a binary head takes 0 and 1, or texts that labels = [\"NO\", \"YES\"] names"),
        (["ok", "Worn"], &labelled, "holds \"Worn\", a binary head takes 0 and 1, or \"ok\" and \"worn\""),
        (["0", "2"], binary, "holds \"2\""),
        (["False", "True"], "kind = \"binary\"\ncolumn = \"state\"\nlabels = [\"true\", \"false\"]", "name no first"),
        (["1", "NA"], CLASS, "has 1 class"),
    ] {
        let error = load(&table(words), own, head, "").unwrap_err();
        assert!(error.contains(expected), "{words:?}: {error}");
    }
}

/// Writes data, a recipe that renames its columns, and what came of it, and returns the share of right answers of `attar run`
/// over a table.
fn right(folder: &Path, table: &str, arguments: &[&str]) -> (f64, String) {
    let run = [&["run", "run/student.attar", "--input", table, "--json"], arguments].concat();
    let output = in_folder(folder, &run);
    let said = text(&output.stderr);
    assert!(output.status.success(), "{said}");
    let answers: Value = serde_json::from_slice(&output.stdout).unwrap();
    let answers = answers.as_array().unwrap();
    let right = answers.iter().enumerate().filter(|(n, answer)| answer["heads"]["y"]["class"] == u64::from(n % 2 == 1));
    (right.count() as f64 / answers.len() as f64, said)
}

/// A column that happens to be called as the model calls another one is not taken for it, and nothing is matched in silence.
#[test]
fn run_takes_the_columns_of_the_recipe_and_says_which() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let mut random = ChaCha8Rng::seed_from_u64(4);
    let mut numbers = || random.random_range(-1.0f32..1.0);
    // The class is the sign of the sum of an input and a fact; the stray columns say nothing.
    let samples: Vec<[f32; 4]> = (0..400)
        .map(|n| {
            let [a, stray, other] = [numbers(), numbers(), numbers()];
            [a, if n % 2 == 1 { 0.4 - a } else { -0.4 - a }, stray, other]
        })
        .collect();
    let table = |header: &str, of: fn(&[f32; 4]) -> Vec<f32>| {
        let rows = samples.iter().enumerate().map(|(n, sample)| {
            let cells: Vec<String> = of(sample).iter().map(f32::to_string).collect();
            format!("{},{}\n", cells.join(","), n % 2)
        });
        format!("{header},y\n{}", rows.collect::<String>())
    };
    fs::write(folder.join("d.csv"), table("per week,Load [N]", |s| vec![s[0], s[1]])).unwrap();
    let recipe = "[data]\nformat = \"csv\"\nfile = \"d.csv\"\n[input]\ncolumns = { hours = \"per week\" }\n\
         [[facts]]\nname = \"load\"\nkind = \"number\"\ncolumn = \"Load [N]\"\n[[heads]]\nname = \"y\"\nkind = \"binary\"\n\
         column = \"y\"\n[student]\narch = \"mlp\"\nhidden = [8]\nepochs = 20\nrate = 0.02\n[distill]\nmethod = \"none\"\n";
    fs::write(folder.join("r.toml"), recipe).unwrap();
    let distilled = in_folder(folder, &["distill", "r.toml", "--out", "run"]);
    let said = text(&distilled.stderr);
    assert!(distilled.status.success(), "{said}");
    assert!(
        said.contains("d.csv: 400 rows; input hours = \"per week\"; facts load = \"Load [N]\"; heads \"y\""),
        "{said}"
    );
    let (plain, said) = right(folder, "d.csv", &[]);
    assert!(plain > 0.95, "{plain}");
    assert!(said.contains("by the recipe: load = \"Load [N]\", hours = \"per week\"; not used: y"), "{said}");
    // Stray columns with the names of the model.
    fs::write(folder.join("trap.csv"), table("load,hours,per week,Load [N]", |s| vec![s[3], s[2], s[0], s[1]]))
        .unwrap();
    let (trapped, said) = right(folder, "trap.csv", &[]);
    assert!(trapped == plain && said.contains("hours = \"per week\"; not used: load, hours, y"), "{trapped}: {said}");
    // The control: the stray columns would have been wrong.
    let (stray, said) = right(folder, "trap.csv", &["--column", "hours=hours", "--column", "load=load"]);
    assert!(stray < 0.8 && said.contains("by --column: load, hours"), "{stray}: {said}");
    // A table that is called as the model is throughout.
    fs::write(folder.join("own.csv"), table("hours,load", |s| vec![s[0], s[1]])).unwrap();
    let (own, said) = right(folder, "own.csv", &[]);
    assert!(own == plain && said.contains("by their names in the model: load, hours"), "{said}");
    let refused = |name: &str, table: String, arguments: &[&str], expected: &[&str]| {
        fs::write(folder.join(name), table).unwrap();
        fails(folder, &[&["run", "run/student.attar", "--input", name], arguments].concat(), expected);
    };
    let mixed = table("per week,load", |s| vec![s[0], s[3]]);
    refused(
        "mixed.csv",
        mixed.clone(),
        &[],
        &["\"load\" is the column \"Load [N]\" in the recipe", "--column load=load"],
    );
    refused(
        "less.csv",
        table("per week,Lode [N]", |s| vec![s[0], s[1]]),
        &[],
        &["\"load\" (\"Load [N]\" in the recipe)"],
    );
    refused("mixed.csv", mixed, &["--column", "lode=load"], &["the model takes no column \"lode\""]);
    let (renamed, _) = right(folder, "less.csv", &["--column", "load=Lode [N]"]);
    assert_eq!(renamed, plain);
    let (missing, said) = right(folder, "less.csv", &["--missing-facts"]);
    assert!(missing < plain && said.contains("missing in all samples"), "{missing}: {said}");
    // The flags say how a table is written, and a row that is left out leaves the others their numbers.
    let dialect = table("per week,Load [N]", |s| vec![s[0], s[1]]).replace(',', ";").replace('.', ",");
    fs::write(folder.join("other.csv"), dialect.replacen('\n', "\n?;1;0\n", 1)).unwrap();
    let flags = ["--decimal", ",", "--missing", "?", "--drop-missing-rows"];
    let output = in_folder(folder, &[&["run", "run/student.attar", "--input", "other.csv"], flags.as_slice()].concat());
    let (answers, said) = (text(&output.stdout), text(&output.stderr));
    assert!(answers.starts_with("1: y = ") && answers.lines().count() == 400, "{answers}{said}");
    assert!(said.contains("1 of 401 rows have a missing input") && said.contains("delimiter ';'"), "{said}");
    // A recipe from elsewhere, for a model that has none beside it.
    fs::copy(folder.join("run/student.attar"), folder.join("alone.attar")).unwrap();
    fails(folder, &["run", "alone.attar", "--input", "d.csv"], &["has no column for the facts \"load\""]);
    let with = in_folder(folder, &["run", "alone.attar", "--input", "d.csv", "--recipe", "r.toml"]);
    assert!(with.status.success(), "{}", text(&with.stderr));
}

/// One reading of -999 spoils the range of all others: it is named with its column and line.
#[test]
fn odd_readings_are_told_of() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let rows = (0..200).map(|n| {
        let a = if n == 120 { -999.0 } else { f64::from(n % 17) / 10.0 };
        format!("{a},{},{},7,{}\n", f64::from(n % 13), 1_700_000_000 + n, n % 2)
    });
    fs::write(folder.join("d.csv"), format!("a,b,time,c,y\n{}", rows.collect::<String>())).unwrap();
    let recipe = "[data]\nformat = \"csv\"\nfile = \"d.csv\"\n[input]\ncolumns = { a = \"a\", b = \"b\", t = \"time\", c = \"c\" }\n\
         [[heads]]\nname = \"y\"\nkind = \"binary\"\ncolumn = \"y\"\n[student]\narch = \"mlp\"\nhidden = [4]\nepochs = 1\n\
         [distill]\nmethod = \"none\"\n";
    fs::write(folder.join("r.toml"), recipe).unwrap();
    let said = text(&in_folder(folder, &["distill", "r.toml", "--out", "run"]).stderr);
    assert!(said.contains("column \"a\" is -999 once (line 122), far from all else"), "{said}");
    assert!(said.contains("column \"time\" ") && said.contains("subtract an offset"), "{said}");
    assert!(said.contains("column \"c\" is 7 in all of 200 rows"), "{said}");
    assert!(!said.contains("column \"b\""), "{said}");
}

/// A column of times is held against the rate, and a signal of a few steps is told of.
#[test]
fn recordings_are_held_against_their_own_times() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let recipe = "[data]\nformat = \"recordings\"\nfiles = \"{word}_*.csv\"\n[input]\ncolumns = { x = \"x\" }\n[signal]\nrate = 8000\n\
         full_scale = 1.0\nwindow = 256\nhop = 128\nfeatures = [{ kind = \"mel\", bands = 8 }]\n[[heads]]\nname = \"word\"\n\
         kind = \"class\"\ncolumn = \"word\"\n[student]\narch = \"cnn1d\"\nchannels = [4]\nepochs = 1\n[distill]\nmethod = \"none\"\n";
    fs::write(folder.join("r.toml"), recipe).unwrap();
    let write = |header: &str, level: f64, time: &dyn Fn(usize) -> f64| {
        for (index, word) in (0..8).map(|index| (index, ["high", "low"][index % 2])) {
            let step = if word == "high" { 1.1 } else { 0.3 };
            let rows = (0..600).map(|n| format!("{},{}\n", time(n), level * (step * (n + index) as f64).sin()));
            fs::write(folder.join(format!("{word}_{index}.csv")), format!("{header},x\n{}", rows.collect::<String>()))
                .unwrap();
        }
    };
    let load = || {
        let recipe = Recipe::read(&folder.join("r.toml"), &[]).unwrap();
        data::load(&recipe, folder).map(|data| data.len()).map_err(|error| format!("{error:#}"))
    };
    let seconds = |n: usize| n as f64 / 8000.0;
    for (header, unit) in [("time", 1.0), ("Time [s]", 1.0), ("t_ms", 1e3), ("timestamp (us)", 1e6)] {
        write(header, 0.5, &|n| 1_700_000_000.0 + seconds(n) * unit);
        assert_eq!(load(), Ok(8), "{header}");
    }
    // In whole milliseconds, of which eight samples have one; and as a count.
    write("t_ms", 0.5, &|n| (seconds(n) * 1e3).floor());
    assert_eq!(load(), Ok(8));
    write("t", 0.5, &|n| n as f64);
    assert_eq!(load(), Ok(8));
    write("time [ms]", 0.5, &|n| 2.0 * seconds(n) * 1e3);
    assert!(
        load()
            .unwrap_err()
            .contains("high_0.csv:2: column \"time [ms]\" has 4000.0 samples a second, signal.rate is 8000")
    );
    write("time", 0.5, &|n| seconds(if n == 300 { 10 } else { n }));
    assert!(load().unwrap_err().contains("high_0.csv:302: column \"time\" goes backwards"));
    write("time", 0.005, &|n| seconds(n) + if n < 400 { 0.0 } else { 1.0 });
    let said = text(&in_folder(folder, &["distill", "r.toml", "--out", "run"]).stderr);
    assert!(said.contains("gaps in their column \"time\"") && said.contains(".csv:402, from 0.0498"), "{said}");
    assert!(said.contains("8 recordings stay below 1 % of signal.full_scale"), "{said}");
    write("time [s]", 0.0002, &seconds);
    let odd =
        text(&in_folder(folder, &["distill", "r.toml", "--out", "run", "--set", "signal.full_scale=0.001"]).stderr);
    assert!(!odd.contains("recordings stay") && !odd.contains("gaps"), "{odd}");
}

/// Labels of arrays that are counted from 1 leave a class that nothing is known of.
#[test]
fn classes_without_samples_and_arrays_of_archives_are_told_of() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let npy = |kind: &str, shape: &str, data: Vec<u8>| {
        let header = format!("{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}, }}");
        [b"\x93NUMPY\x01\0".as_slice(), &(header.len() as u16).to_le_bytes(), header.as_bytes(), &data].concat()
    };
    fs::write(
        folder.join("x.npy"),
        npy("<f4", "(60, 2)", (0..120).flat_map(|n| (n as f32).sin().to_le_bytes()).collect()),
    )
    .unwrap();
    fs::write(folder.join("y.npy"), npy("|u1", "(60,)", (0..60).map(|n| 1 + n % 3).collect())).unwrap();
    let recipe = "[data]\nformat = \"arrays\"\ntrain = { input = \"x.npy\", heads = { y = \"y.npy\" } }\n[[heads]]\nname = \"y\"\n\
         kind = \"class\"\n[student]\narch = \"mlp\"\nhidden = [4]\nepochs = 1\n[distill]\nmethod = \"none\"\n";
    fs::write(folder.join("r.toml"), recipe).unwrap();
    let said = text(&in_folder(folder, &["distill", "r.toml", "--out", "run"]).stderr);
    assert!(
        said.contains("y: no sample has class 0: the student will not know it: labels of arrays are counted from 0"),
        "{said}"
    );
    fs::write(
        folder.join("y.npy"),
        npy("<u4", "(60,)", (0..60).flat_map(|_| 4_000_000_000u32.to_le_bytes()).collect()),
    )
    .unwrap();
    fails(
        folder,
        &["distill", "r.toml", "--out", "other"],
        &["y.npy: head \"y\" has class 4000000000", "at most 65535"],
    );
    let values: Vec<u8> = (0..4).flat_map(|n| (n as f32 / 10.0).to_le_bytes()).collect();
    let entry = |name: &str, at: usize| {
        format!("\"{name}\":{{\"dtype\":\"F32\",\"shape\":[2,2],\"data_offsets\":[{at},{}]}}", at + 16)
    };
    let header = format!("{{{},{}}}", entry("a", 0), entry("b", 16));
    let tensors = [&(header.len() as u64).to_le_bytes(), header.as_bytes(), &values, &values].concat();
    fs::write(folder.join("two.safetensors"), tensors).unwrap();
    fails(folder, &["run", "run/student.attar", "--input", "two.safetensors"], &["holds a, b; choose one"]);
    let one = in_folder(folder, &["run", "run/student.attar", "--input", "two.safetensors#b"]);
    assert!(one.status.success() && text(&one.stdout).lines().count() == 2, "{}", text(&one.stderr));
    fs::write(folder.join("x.foo"), b"no array at all").unwrap();
    fails(folder, &["run", "run/student.attar", "--input", "x.foo"], &["x.foo: is of no type that is known", ".npz"]);
}

/// Public reports of what goes wrong, as files.
#[test]
fn tables_of_the_cases_are_read_or_refused_with_what_to_do() {
    let Some(cases) = attar_tests::real_data("cases") else { return };
    let folder = cases.join("csv");
    let load = |file: &str, columns: &str, head: &str, more: &str| {
        let text = format!(
            "[data]\nformat = \"csv\"\nfile = \"{file}.csv\"\n{more}\n[input]\ncolumns = {columns}\n[[heads]]\nname = \"state\"\n\
             {head}\n[student]\narch = \"mlp\"\nhidden = [4]\n[distill]\nmethod = \"none\"\n"
        );
        let recipe = Recipe::parse(&text, "r.toml", "r", &[]).unwrap();
        data::load(&recipe, &folder).map(|data| data.len()).map_err(|error| format!("{error:#}"))
    };
    let own = "{ temp = \"temp\", vib = \"vib\", load = \"load\" }";
    let quoted = "{ temp = \"temp\", vib = \"vib\", load = \"load, kg\" }";
    let binary = "kind = \"binary\"\ncolumn = \"state\"";
    assert_eq!(load("semi_quoted_comma_header", quoted, CLASS, ""), Ok(240));
    assert_eq!(load("sep_line", own, CLASS, ""), Ok(240));
    assert_eq!(load("semi_deccomma", own, CLASS, "decimal = \",\""), Ok(240));
    assert!(load("semi_deccomma", own, CLASS, "").unwrap_err().contains("data.decimal"));
    assert_eq!(load("bool_true", own, binary, ""), Ok(240));
    assert!(load("missing_value", own, CLASS, "").unwrap_err().contains("data.missing_rows"));
    let kept = load("missing_value", own, CLASS, "missing_rows = \"drop\"").unwrap();
    assert!((200..240).contains(&kept), "{kept}");
    assert!(load("open_quote", own, CLASS, "").unwrap_err().contains("open_quote.csv:3: a quote is opened here"));
}

#[test]
fn recordings_and_arrays_of_the_cases_are_read() {
    let Some(cases) = attar_tests::real_data("cases") else { return };
    let shape = data::recordings::Shape { rate: 8000.0, channels: 1, columns: &[], full_scale: 1.0, along: &[] };
    let read = |name: &str| data::recordings::read(&cases.join("wav").join(name), &shape).unwrap().0;
    let plain = read("pcm16.wav");
    assert_eq!(plain.len(), 4000);
    for name in ["list_before_oddpad.wav", "ff_sizes.wav", "scipy_float64.wav", "bext_ext32_valid24.wav"] {
        let other = read(name);
        let far = plain.iter().zip(&other).map(|(a, b)| (i32::from(*a) - i32::from(*b)).abs()).max().unwrap();
        assert!(other.len() == plain.len() && far <= 1, "{name}: {} samples, {far} apart", other.len());
    }
    let half = data::read_array(&cases.join("npy/x_f2.npy"), None).unwrap();
    assert!(half.shape == [240, 6] && half.values.iter().all(|value| value.is_finite()));
}

/// Answers are compared by their place: data whose labels or inputs are others are refused, not measured.
#[test]
fn a_model_is_measured_on_its_own_labels_and_inputs_only() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let mut random = ChaCha8Rng::seed_from_u64(6);
    let values: Vec<[f32; 2]> =
        (0..300).map(|_| [random.random_range(-1.0f32..1.0), random.random_range(-1.0f32..1.0)]).collect();
    let table = |labels: [&str; 2]| {
        let rows = values.iter().map(|[a, b]| {
            format!("{a},{b},{},{}\n", if *a > 0.0 { "P1" } else { "P2" }, labels[usize::from(a + b > 0.0)])
        });
        format!("a,b,pump,k\n{}", rows.collect::<String>())
    };
    let recipe = |columns: &str, labels: &str| {
        format!(
            "[data]\nformat = \"csv\"\nfile = \"d.csv\"\n[input]\ncolumns = {{ {columns} }}\n[[facts]]\nname = \"pump\"\n\
             kind = \"category\"\n[[facts]]\nname = \"load\"\nkind = \"number\"\nunit = \"N\"\ncolumn = \"a\"\n[[heads]]\n\
             name = \"k\"\nkind = \"class\"\ncolumn = \"k\"\n{labels}[student]\narch = \"mlp\"\nhidden = [8]\nepochs = 2\n\
             [distill]\nmethod = \"none\"\n"
        )
    };
    fs::write(folder.join("d.csv"), table(["idle", "leak"])).unwrap();
    fs::write(folder.join("r.toml"), recipe("a = \"a\", b = \"b\"", "")).unwrap();
    let distilled = in_folder(folder, &["distill", "r.toml", "--out", "run"]);
    assert!(distilled.status.success(), "{}", text(&distilled.stderr));
    const MODEL: &str = "run/student.attar";
    assert!(in_folder(folder, &["eval", MODEL, "--data", "."]).status.success());
    // Written otherwise, the labels are sorted otherwise.
    fs::create_dir(folder.join("other")).unwrap();
    fs::write(folder.join("other/d.csv"), table(["idle", "Leak"])).unwrap();
    let expected = ["head \"k\" has the labels idle, leak in the model, Leak, idle in the data"];
    fails(folder, &["eval", MODEL, "--data", "other"], &expected);
    // Named in the recipe they are matched, and what is none of them is refused.
    fs::write(folder.join("labels.toml"), recipe("a = \"a\", b = \"b\"", "labels = [\"idle\", \"leak\"]\n")).unwrap();
    let expected = ["no class \"Leak\""];
    fails(folder, &["eval", MODEL, "--recipe", "labels.toml", "--data", "other"], &expected);
    // A table that has grown is split otherwise: what was trained on may be tested.
    fs::create_dir(folder.join("grown")).unwrap();
    fs::write(folder.join("grown/d.csv"), table(["idle", "leak"]) + "0.1,0.2,P1,leak\n").unwrap();
    let said = |data: &str| text(&in_folder(folder, &["eval", MODEL, "--data", data]).stderr);
    assert!(said("grown").contains("the data are others than those of the run"), "{}", said("grown"));
    assert!(said("grown").contains("may hold samples that it was trained on"), "{}", said("grown"));
    assert!(!said(".").contains("the data are others"), "{}", said("."));
    fs::write(folder.join("inputs.toml"), recipe("p = \"b\", q = \"a\"", "")).unwrap();
    let expected = ["the model takes the inputs a, b, the recipe gives p, q"];
    fails(folder, &["eval", MODEL, "--recipe", "inputs.toml", "--data", "."], &expected);
    fails(folder, &["verify", MODEL, "--recipe", "inputs.toml", "--data", "."], &expected);
    // Facts are those of the model in all that the recipe says of them.
    let plain = recipe("a = \"a\", b = \"b\"", "");
    for (from, to, expected) in [
        ("\"N\"", "\"kN\"", "fact \"load\" is in the unit \"N\" in the model, \"kN\" in the recipe"),
        ("\"N\"", "\"N\"\nencoder = \"range\"", "has the encoder \"z-score\" in the model, \"range\" in the recipe"),
        ("\"N\"", "\"N\"\nmean = 7\ndeviation = 2", "in the model, 7 in the recipe"),
        ("\"pump\"\n", "\"motor\"\ncolumn = \"pump\"\n", "the model has the facts [\"pump\", \"load\"], the recipe"),
        ("\"category\"\n", "\"category\"\nvalues = [\"P2\", \"P1\"]\n", "has the values [\"P1\", \"P2\"] in the model"),
    ] {
        fs::write(folder.join("facts.toml"), plain.replacen(from, to, 1)).unwrap();
        for command in ["eval", "verify"] {
            fails(folder, &[command, MODEL, "--recipe", "facts.toml", "--data", "."], &[expected]);
        }
        if to == "\"kN\"" {
            fails(folder, &["run", MODEL, "--recipe", "facts.toml", "--input", "d.csv"], &[expected]);
        }
    }
    // A fact from both sides has two values.
    let expected = ["d.csv has a column for this fact, without an empty cell: leave one of them out"];
    fails(folder, &["run", MODEL, "--input", "d.csv", "--fact", "pump=P2"], &expected);
    // Inputs in another unit saturate, which is printed.
    let run = |name: &str, table: &str| {
        fs::write(folder.join(name), table).unwrap();
        let output = in_folder(folder, &["run", MODEL, "--input", name, "--json"]);
        assert!(output.status.success(), "{}", text(&output.stderr));
        let answers: Value = serde_json::from_slice(&output.stdout).unwrap();
        (text(&output.stderr), answers)
    };
    let (said, answers) = run("units.csv", "a,b,pump\n0.1,200,P1\n0.2,-0.3,P2\n0.9,-900,P2\n");
    let expected = "2 samples have input values outside of the range of the model's int8, which count as its ends: 2 values, 2 of \
                    them of \"b\"";
    assert!(said.contains(expected) && said.contains("are they in the units of the training data?"), "{said}");
    let counts: Vec<_> = answers.as_array().unwrap().iter().map(|answer| answer["saturated_inputs"].as_u64()).collect();
    assert_eq!(counts, [Some(1), Some(0), Some(1)]);
    let (said, _) = run("own.csv", &table(["idle", "leak"]));
    assert!(!said.contains("are they in the units"), "{said}");
    // A file without a sample is no success.
    let npy = |shape: &str| {
        let header = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}");
        let len = (header.len() as u16).to_le_bytes();
        [b"\x93NUMPY\x01\0".as_slice(), &len, header.as_bytes()].concat()
    };
    fs::write(folder.join("none.npy"), npy("(0, 2)")).unwrap();
    let order = "none.npy: its columns are the model's inputs in this order: a, b";
    fails(folder, &["run", MODEL, "--input", "none.npy"], &["none.npy: holds no sample", order]);
    fails(folder, &["run", MODEL, "--input", "own.csv", "--limit", "0"], &["--limit is 0"]);
}

/// Rows of a table beside the data belong to samples by a key or by their order; which of the two is printed.
#[test]
fn facts_from_a_table_beside_say_how_they_are_joined() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let rows = |of: fn(usize) -> String| (0..60).map(of).collect::<String>();
    fs::write(folder.join("d.csv"), format!("id,a,y\n{}", rows(|n| format!("m{n},{n},{}\n", n % 2)))).unwrap();
    fs::write(folder.join("f.csv"), format!("id,load\n{}", rows(|n| format!("m{},{}\n", 59 - n, n * 3)))).unwrap();
    for (key, joined) in [("key = \"id\"\n", "joined by \"id\""), ("", "joined row by row, in their order")] {
        let recipe = format!(
            "[data]\nformat = \"csv\"\nfile = \"d.csv\"\n[input]\ncolumns = {{ a = \"a\" }}\n[[facts]]\nname = \"load\"\n\
             kind = \"number\"\nfile = \"f.csv\"\n{key}[[heads]]\nname = \"y\"\nkind = \"binary\"\ncolumn = \"y\"\n[student]\n\
             arch = \"mlp\"\nepochs = 1\n[distill]\nmethod = \"none\"\n"
        );
        fs::write(folder.join("r.toml"), recipe).unwrap();
        let output = in_folder(folder, &["distill", "r.toml", "--out", "run"]);
        let said = text(&output.stderr);
        assert!(output.status.success(), "{said}");
        assert!(said.contains(&format!("f.csv: fact \"load\" is column \"load\", {joined}")), "{said}");
    }
}
