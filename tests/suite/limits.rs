//! What a run may reach and take: its folder, the files below its data, memory, time, and a terminal.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use attar_shared::{Clamp, HeadDefinition, HeadKind, InputDefinition, Kind, Quantization, Shape, Window};
use attar_tests::build::{Builder, Frame};
use attar_tests::models;

use crate::command::{attar, fails, in_folder, text};

/// Every file below a folder, as it is.
fn snapshot(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut all = Vec::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next).unwrap().map(|entry| entry.unwrap().path()) {
            match entry.is_dir() {
                true => folders.push(entry),
                false => all.push((entry.clone(), fs::read(entry).unwrap())),
            }
        }
    }
    all.sort();
    all
}

/// A name in a recipe or in data is no way out of the folder of runs.
#[test]
fn names_do_not_lead_out_of_the_folder_of_runs() {
    let folder = tempfile::tempdir().unwrap();
    let outer = folder.path();
    let work = outer.join("a/b/work");
    fs::create_dir_all(&work).unwrap();
    fs::write(outer.join("a/elsewhere"), "mine").unwrap();
    fs::write(work.join("recipe.toml"), crate::toys::SMALL).unwrap();
    let before = snapshot(outer);
    for name in ["..", ".", "../../x", "/tmp/abs", "a/b", "x\\\\y"] {
        let set = format!("name=\"{name}\"");
        fails(&work, &["distill", "recipe.toml", "--set", &set], &["name is", "expected the name of a folder"]);
    }
    assert!(snapshot(outer) == before, "a refused run has written");

    // Folds are called as the groups of the data are.
    let mut table = String::from("x,word,machine\n");
    for machine in ["a/../../../elsewhere", "A", "a"] {
        for row in 0..900 {
            let word = if row < 450 { "low" } else { "high" };
            table += &format!("{},{word},{machine}\n", f64::from(row % 7) * if row < 450 { 0.1 } else { 0.3 });
        }
    }
    fs::write(work.join("all.csv"), table).unwrap();
    let recipe = "name = \"r\"\n[data]\nformat = \"recordings\"\nfiles = \"*.csv\"\n\
        split = { group = \"machine\", validation = 0 }\n[input]\ncolumns = { x = \"x\" }\n\
        [signal]\nrate = 100\nfull_scale = 4.0\nlength = 32\nstep = 16\nwindow = 16\nhop = 16\n\
        features = [{ kind = \"statistics\", of = [\"rms\", \"peak\"] }]\n\
        [[heads]]\nname = \"word\"\nkind = \"class\"\ncolumn = \"word\"\n\
        [student]\narch = \"mlp\"\nhidden = [4]\nepochs = 1\n[distill]\nmethod = \"none\"\n";
    fs::write(work.join("recipe.toml"), recipe).unwrap();
    let before = snapshot(outer);
    let output = in_folder(&work, &["distill", "recipe.toml", "--folds"]);
    let said = text(&output.stderr);
    assert!(output.status.success(), "{said}");
    let mut runs: Vec<String> = fs::read_dir(work.join("runs/r"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    runs.sort();
    assert_eq!(runs, ["fold-A", "fold-a%2F..%2F..%2F..%2Felsewhere", "fold-a~2"]);
    assert!(runs.iter().all(|run| said.contains(&format!("runs/r/{run}"))), "{said}");
    let outside = snapshot(outer).into_iter().filter(|(path, _)| !path.starts_with(work.join("runs")));
    assert!(outside.eq(before), "a fold has written outside of its folder");
}

/// Whatever names a file in a recipe, the file lies below the folder of the data.
#[test]
fn recipes_read_nothing_outside_of_the_data() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let data = folder.join("data");
    fs::create_dir(&data).unwrap();
    fs::write(folder.join("outside.csv"), "x,y,f,word\n1,0,1,a\n2,1,2,b\n").unwrap();
    fs::write(data.join("inside.csv"), "x,y,f,word\n1,0,1,a\n2,1,2,b\n").unwrap();
    let csv = |file: &str, fact: &str| {
        format!(
            "[data]\nformat = \"csv\"\nfile = \"{file}\"\n[input]\ncolumns = {{ x = \"x\" }}\n{fact}\
             [[heads]]\nname = \"y\"\nkind = \"binary\"\ncolumn = \"y\"\n[student]\narch = \"mlp\"\n\
             [distill]\nmethod = \"none\"\n"
        )
    };
    let arrays = |key: &str, file: &str| {
        let mut files = [("train", "\"inside.csv\""), ("y", "\"inside.csv\""), ("more", "\"inside.csv\"")];
        let quoted = format!("{file:?}");
        files.iter_mut().filter(|(name, _)| *name == key).for_each(|(_, value)| *value = &quoted);
        format!(
            "[data]\nformat = \"arrays\"\ntrain = {{ input = {}, heads = {{ y = {} }} }}\nunlabelled = {}\n\
             [[heads]]\nname = \"y\"\nkind = \"binary\"\n[student]\narch = \"mlp\"\n[distill]\nmethod = \"none\"\n",
            files[0].1, files[1].1, files[2].1
        )
    };
    let outside = folder.join("outside.csv");
    let mut ways = vec![("../outside.csv", "holds \"..\""), (outside.to_str().unwrap(), "absolute path")];
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink("../outside.csv", data.join("link.csv")).unwrap();
        ways.push(("link.csv", "symbolic link"));
    }
    for (file, expected) in ways {
        let fact = |keys: &str| csv("inside.csv", &format!("[[facts]]\nname = \"f\"\n{keys}\n"));
        let recipes = [
            csv(file, ""),
            fact(&format!("kind = \"number\"\nfile = {file:?}")),
            fact(&format!("kind = \"category\"\ncolumn = \"word\"\ntable = {{ file = {file:?}, key = \"word\" }}")),
            arrays("train", file),
        ];
        for recipe in recipes {
            fs::write(folder.join("r.toml"), &recipe).unwrap();
            let output = in_folder(folder, &["distill", "r.toml", "--data", "data", "--out", "run"]);
            let error = text(&output.stderr);
            assert!(!output.status.success() && error.contains(expected), "{recipe}\n{error}");
        }
    }
    let listed = "[data]\nformat = \"recordings\"\nfiles = \"../{word}.csv\"\n[signal]\nrate = 100\nwindow = 16\nhop = 16\n\
        features = [{ kind = \"samples\" }]\n[[heads]]\nname = \"word\"\nkind = \"class\"\ncolumn = \"word\"\n\
        [student]\narch = \"mlp\"\n[distill]\nmethod = \"none\"\n";
    fs::write(folder.join("r.toml"), listed).unwrap();
    fails(folder, &["distill", "r.toml", "--data", "data"], &["data.files is \"../{word}.csv\""]);
}

/// What is no file is refused at once, whoever is to read it: a pipe would wait, and a device has no end.
#[cfg(unix)]
#[test]
fn pipes_devices_and_folders_are_no_inputs() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    fs::write(folder.join("m.attar"), models::everything()).unwrap();
    fs::create_dir(folder.join("folder")).unwrap();
    assert!(Command::new("mkfifo").arg(folder.join("pipe")).status().unwrap().success());
    let start = Instant::now();
    for (file, what) in [("/dev/zero", "a device"), ("pipe", "a pipe"), ("folder", "a folder")] {
        fails(folder, &["distill", file], &["the recipe: cannot read", file, what]);
        fails(folder, &["inspect", file], &[file, "a folder"].map(|part| if part == "a folder" { what } else { part }));
        fails(folder, &["run", "m.attar", "--input", file], &[file]);
        fails(folder, &["verify-signature", "m.attar", "--key", file], &[file, what]);
        fails(folder, &["compare", file], &[file]);
    }
    for name in ["x.csv", "x.npy", "x.npz", "x.safetensors", "x.idx"] {
        let _ = fs::remove_file(folder.join(name));
        assert!(Command::new("mkfifo").arg(folder.join(name)).status().unwrap().success());
        fails(folder, &["run", "m.attar", "--input", name], &["cannot read", name, "it is a pipe"]);
    }
    fs::write(folder.join("latin.toml"), b"[data]\n# \xe9\n").unwrap();
    fails(folder, &["distill", "latin.toml"], &["latin.toml:2: is not UTF-8"]);
    let long = fs::File::create(folder.join("long.toml")).unwrap();
    long.set_len(1 << 30).unwrap();
    fails(folder, &["distill", "long.toml"], &["long.toml", "more than"]);
    assert!(start.elapsed() < Duration::from_secs(60), "a refusal takes {:?}", start.elapsed());
}

/// Who may read what is written is the user's to say.
#[cfg(unix)]
#[test]
fn outputs_honour_the_umask_and_signing_keeps_the_mode() {
    use std::os::unix::fs::{PermissionsExt, symlink};
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let mode = |name: &str| fs::metadata(folder.join(name)).unwrap().permissions().mode() & 0o777;
    fs::write(folder.join("m.attar"), models::text()).unwrap();
    assert!(in_folder(folder, &["keygen", "--out", "key"]).status.success());
    let under = |mask: &str, command: &str| -> Output {
        let line = format!("umask {mask}; exec \"$0\" {command}");
        let program = attar().get_program().to_owned();
        Command::new("sh").args(["-c", &line]).arg(program).current_dir(folder).output().unwrap()
    };
    for (mask, expected) in [("077", 0o600), ("027", 0o640), ("002", 0o664)] {
        let out = format!("new-{mask}.attar");
        let output = under(mask, &format!("sign m.attar --key key --revision 1 --out {out}"));
        assert!(output.status.success(), "{}", text(&output.stderr));
        assert_eq!(mode(&out), expected, "umask {mask}");
    }
    fs::set_permissions(folder.join("m.attar"), fs::Permissions::from_mode(0o600)).unwrap();
    assert!(under("022", "sign m.attar --key key --revision 2").status.success());
    assert_eq!(mode("m.attar"), 0o600, "signing in place opens a private model to all");
    symlink("m.attar", folder.join("link.attar")).unwrap();
    let before = fs::read(folder.join("m.attar")).unwrap();
    let expected = ["cannot write link.attar", "symbolic link to m.attar"];
    fails(folder, &["sign", "link.attar", "--key", "key", "--revision", "3"], &expected);
    assert_eq!(fs::read(folder.join("m.attar")).unwrap(), before);
}

/// A model of a few hundred bytes: maxima over windows, each of a kernel, a stride and a padding on both axes.
/// From the last but one on, as many copies are made as there are to be.
fn of_pools(size: u16, pools: &[(u16, u16, u16)], copies: usize, label: &str) -> Vec<u8> {
    let square = |size: u16| Shape { height: size, width: size, channels: 1 };
    let quantization = Quantization { scale: 0.1, zero_point: 0 };
    let mut graph = Builder::new((square(size), quantization), None);
    let mut pool = |input: u16, (kernel, stride, pad): (u16, u16, u16)| {
        let out = (graph.shape(input).height + 2 * pad - kernel) / stride + 1;
        let window = Window { kernel: [kernel; 2], stride: [stride; 2], dilation: [1; 2], pad: [pad; 2] };
        graph.push(Kind::MaxPool, &[input], (square(out), quantization), Clamp::ALL, Some(window), (Vec::new(), 0))
    };
    let (&reduce, others) = pools.split_last().unwrap();
    let last = others.iter().fold(0, |input, &window| pool(input, window));
    // All of them live until the last is made.
    let alive: Vec<u16> = (1..copies).map(|_| pool(last, (1, 1, 0))).chain([last]).collect();
    let tensors: Vec<u16> = alive.into_iter().map(|input| pool(input, reduce)).collect();
    let names: Vec<String> = (0..copies).map(|copy| if copy == 0 { label.into() } else { copy.to_string() }).collect();
    let head =
        |name, tensor| HeadDefinition { name, kind: HeadKind::Binary, tensor, labels: &[], gains: &[], offsets: &[] };
    let heads: Vec<_> = names.iter().zip(&tensors).map(|(name, &tensor)| head(name, tensor)).collect();
    let input =
        InputDefinition { name: "x", is_text: false, signal: None, gains: &[1.0], offsets: &[0.0], channels: &[] };
    let frame = Frame { input, facts: &[], fact_mask: false, heads: &heads, tests: &[], revision: 0, overlaps: true };
    graph.finish(&frame).unwrap()
}

/// A small file may ask for an arena of gigabytes: nobody allocates it, and what it takes can still be looked at.
#[test]
fn an_arena_that_no_board_has_is_not_allocated() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let model = of_pools(4000, &[(1, 1, 0), (1, 4000, 0)], 6, "y");
    assert!(model.len() < 2000, "{}", model.len());
    fs::write(folder.join("m.attar"), model).unwrap();
    let expected = ["the model asks for an arena of ", "expected at most 67108864"];
    fails(folder, &["verify", "m.attar", "--samples", "1"], &expected);
    let inspected = in_folder(folder, &["inspect", "m.attar"]);
    assert!(inspected.status.success() && text(&inspected.stdout).contains("arena  "), "{}", text(&inspected.stdout));
    assert!(in_folder(folder, &["budget", "m.attar"]).status.success());
    // Many samples of a large input are as much.
    fs::write(folder.join("wide.attar"), of_pools(4000, &[(1, 4000, 0)], 1, "y")).unwrap();
    fails(folder, &["verify", "wide.attar", "--samples", "100000"], &["--samples x values of an input"]);
}

/// What a model calls its heads is no command to the terminal.
#[test]
fn control_characters_in_names_do_not_reach_the_terminal() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let hostile = "\x1b]0;owned\x07\x1b[2J\r\u{9b}31m\n9: forged";
    fs::write(folder.join("m.attar"), of_pools(1, &[(1, 1, 0)], 1, hostile)).unwrap();
    fs::write(folder.join("x.csv"), "a\n1\n").unwrap();
    fs::write(folder.join("bad.csv"), format!("\"{hostile}\",\"{hostile}\"\n1,2\n")).unwrap();
    for arguments in [
        ["inspect", "m.attar"].as_slice(),
        &["run", "m.attar", "--input", "x.csv"],
        &["verify", "m.attar", "--samples", "3"],
        &["run", "m.attar", "--input", "bad.csv"],
        &["run", "m.attar", "--input", "none-\x1b[2J.csv"],
        &["inspect", "m.attar", "--json"],
        &["run", "m.attar", "--input", "x.csv", "--json"],
    ] {
        // As on a terminal: elsewhere escape sequences are taken out, and those of attar itself with them.
        let output = attar().args(arguments).current_dir(folder).env("CLICOLOR_FORCE", "1").output().unwrap();
        for stream in [&output.stdout, &output.stderr] {
            let raw = text(stream);
            let raw = raw.replace("\x1b[1m\x1b[31merror:\x1b[0m", "error:");
            let found = raw.chars().find(|&c| c.is_control() && c != '\n');
            assert!(found.is_none(), "{arguments:?}: {found:?} in {raw:?}");
            assert!(raw.lines().all(|line| !line.starts_with("9: forged")), "{arguments:?}: {raw}");
        }
        if arguments.contains(&"--json") {
            let value: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
            assert!(value.to_string().contains("owned"), "{value}");
        }
    }
}

/// Ctrl-C ends work on many samples after the one that is at work, and a second one ends the program whatever it does.
#[cfg(unix)]
#[test]
fn ctrl_c_is_heeded_between_samples_and_a_second_one_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    fs::write(folder.join("many.attar"), of_pools(300, &[(60, 1, 0), (1, 300, 0)], 1, "y")).unwrap();
    fs::write(folder.join("long.attar"), of_pools(1000, &[(65, 1, 0), (1, 1000, 0)], 1, "y")).unwrap();
    let start = |arguments: &[&str]| {
        let mut command = attar();
        let child = command.args(arguments).current_dir(folder);
        let child = child.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        std::thread::sleep(Duration::from_millis(1500));
        child
    };
    let interrupt = |child: &std::process::Child| {
        let pid = child.id().to_string();
        assert!(Command::new("kill").args(["-INT", &pid]).status().unwrap().success(), "it has ended by itself");
    };
    let simulated = |format: &str, head: &str, net: &str| {
        let recipe = format!(
            "[data]\nformat = \"{format}\"\nsamples = 1000000\n{head}[student]\n{net}[distill]\nmethod = \"none\"\n"
        );
        fs::write(folder.join(format!("{format}.toml")), recipe).unwrap();
    };
    simulated("bearing", "[[heads]]\nname = \"fault\"\nkind = \"class\"\n", "arch = \"mlp\"\n");
    for arguments in [&["verify", "many.attar", "--samples", "500"][..], &["distill", "bearing.toml", "--out", "run"]] {
        let child = start(arguments);
        interrupt(&child);
        let at = Instant::now();
        let output = child.wait_with_output().unwrap();
        assert!(at.elapsed() < Duration::from_secs(20), "{arguments:?}: Ctrl-C takes {:?}", at.elapsed());
        let said = text(&output.stderr);
        assert!(
            output.status.code() == Some(1) && said.contains("stopped"),
            "{arguments:?}: {:?} {said}",
            output.status
        );
        assert!(arguments[0] == "distill" || !said.contains("epoch"), "{said}");
    }

    let mut child = start(&["verify", "long.attar", "--samples", "1"]);
    interrupt(&child);
    std::thread::sleep(Duration::from_millis(500));
    assert!(child.try_wait().unwrap().is_none(), "one inference is too short for this test");
    interrupt(&child);
    let at = Instant::now();
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert!(at.elapsed() < Duration::from_secs(5), "a second Ctrl-C takes {:?}", at.elapsed());
}

/// What is shared of a run says nothing of the folders of who made it.
#[test]
fn reports_name_no_folders_of_the_user() {
    let folder = tempfile::tempdir().unwrap();
    let home = folder.path().join("jane-doe");
    fs::create_dir(&home).unwrap();
    fs::write(home.join("small.toml"), crate::toys::SMALL).unwrap();
    let (recipe, out) = (home.join("small.toml"), home.join("run"));
    let arguments = ["distill", recipe.to_str().unwrap(), "--out", out.to_str().unwrap(), "--set", "teacher.epochs=1"];
    let output = in_folder(folder.path(), &arguments);
    assert!(output.status.success(), "{}", text(&output.stderr));
    // On the terminal the place is what counts.
    assert!(text(&output.stdout).contains(&format!("page: {}", out.join("report.html").display())));
    for (path, bytes) in snapshot(&out) {
        let found = bytes.windows(8).any(|part| part == b"jane-doe");
        assert!(!found, "{} tells where the run was made", path.display());
    }
    let page = fs::read_to_string(out.join("report.html")).unwrap();
    assert!(page.contains("attar distill small.toml --out run --set teacher.epochs=1"));
    let report: serde_json::Value = serde_json::from_slice(&fs::read(out.join("report.json")).unwrap()).unwrap();
    assert_eq!(report["model"]["file"], "student.attar");

    // A crate has a path of this machine in it as long as the engine is taken from its source: that is said.
    let crate_folder = home.join("firmware");
    let model = out.join("student.attar");
    let arguments =
        ["new", crate_folder.to_str().unwrap(), "--board", "qemu-mps2-an386", "--model", model.to_str().unwrap()];
    let output = in_folder(folder.path(), &arguments);
    let said = text(&output.stdout);
    assert!(said.contains("takes the engine from") && said.contains("version = "), "{said}{}", text(&output.stderr));
}

/// A stderr that takes nothing, as a log on a full disk, ends no run and turns no error into a panic.
#[test]
fn full_stderr_changes_no_status() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    fs::write(folder.join("recipe.toml"), crate::toys::SMALL).unwrap();
    let status = |arguments: &[&str]| {
        let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let command = attar().args(arguments).current_dir(folder).stdout(Stdio::null()).stderr(full).status();
        command.unwrap().code()
    };
    assert_eq!(status(&["inspect", "nothing.attar"]), Some(1));
    assert_eq!(status(&["distill", "recipe.toml", "--out", "run"]), Some(0));
    assert!(folder.join("run/student.attar").exists());
}
