//! The page of a run: what it is made of, the engine in it, and the whole of it in a browser where there is one.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use attar::boards::verify::{Sample, answers, random_samples};
use attar::run::distill;
use attar::run::page::Evidence;
use attar_device::Student;
use attar_tests::{models, root};
use sha2::{Digest, Sha256};
use wasmi::{Engine, Instance, Linker, Memory, Module, Store};

use crate::command::{fails, in_folder, text};
use crate::toys::{places, small_recipe};

/// The engine of the page, in an interpreter.
struct Page {
    store: Store<()>,
    instance: Instance,
    memory: Memory,
}

impl Page {
    fn open() -> Self {
        let engine = Engine::default();
        let bytes = fs::read(root().join("host/page/student.wasm")).unwrap();
        let module = Module::new(&engine, &bytes).unwrap();
        let mut store = Store::new(&engine, ());
        let instance = Linker::new(&engine).instantiate_and_start(&mut store, &module).unwrap();
        let memory = instance.get_memory(&store, "memory").unwrap();
        Self { store, instance, memory }
    }

    fn put(&mut self, bytes: &[u8]) -> i32 {
        let reserve = self.instance.get_typed_func::<i32, i32>(&self.store, "reserve").unwrap();
        let place = reserve.call(&mut self.store, bytes.len().max(1) as i32).unwrap();
        assert!(place > 0 && place % 16 == 0);
        self.memory.write(&mut self.store, place as usize, bytes).unwrap();
        place
    }

    /// Runs a series and returns the bytes of its last answer, or the code of a failure.
    fn run(&mut self, model: &[u8], series: &[Sample]) -> Result<Vec<u8>, i32> {
        let arena_bytes = self.instance.get_typed_func::<(i32, i32), i32>(&self.store, "arena_bytes").unwrap();
        let place = self.put(model);
        let len = arena_bytes.call(&mut self.store, (place, model.len() as i32)).unwrap();
        if len < 0 {
            return Err(len);
        }
        let arena = self.put(&vec![0x55; len as usize]);
        let input: Vec<u8> = series.iter().flat_map(|sample| &sample.input).flat_map(|x| x.to_le_bytes()).collect();
        let facts = series.last().map(|sample| sample.facts.clone()).unwrap_or_default();
        let facts: Vec<u8> = facts
            .iter()
            .flat_map(|fact| [if fact.is_some() { 1.0f32 } else { 0.0 }, fact.unwrap_or(0.0)])
            .flat_map(f32::to_le_bytes)
            .collect();
        let (input_place, facts_place, answer) = (self.put(&input), self.put(&facts), self.put(&[0; 8192]));
        let name = "run";
        let run = self
            .instance
            .get_typed_func::<(i32, i32, i32, i32, i32, i32, i32, i32, i32, i32), i32>(&self.store, name)
            .unwrap();
        let arguments = (
            place,
            model.len() as i32,
            arena,
            len,
            input_place,
            input.len() as i32 / 4,
            facts_place,
            facts.len() as i32 / 4,
            answer,
            8192,
        );
        let count = run.call(&mut self.store, arguments).unwrap();
        if count < 0 {
            return Err(count);
        }
        let mut bytes = vec![0; count as usize];
        self.memory.read(&self.store, answer as usize, &mut bytes).unwrap();
        Ok(bytes)
    }
}

/// WebAssembly gives the bytes of the workstation: random graphs, series, texts, facts, and the model with everything.
#[test]
fn engine_of_the_page_gives_the_bytes_of_the_workstation() {
    let mut cases = 0;
    let given = (0..150).map(models::random).chain([models::everything(), models::text()]);
    for (index, model) in given.enumerate() {
        // Memory is never given back.
        let mut page = Page::open();
        let student = Student::parse(&model).unwrap();
        let samples = random_samples(&model, 4, index as u64).unwrap();
        let expected = answers(&student, &samples).unwrap();
        let mut at = 0;
        for series in samples.chunk_by(|_, next| !next.starts) {
            at += series.len();
            // The page has one set of facts for a series.
            let is_held = series.len() > 1;
            let series: Vec<Sample> = series
                .iter()
                .map(|sample| Sample { facts: series[series.len() - 1].facts.clone(), ..sample.clone() })
                .collect();
            let expected =
                if is_held { answers(&student, &series).unwrap().pop().unwrap() } else { expected[at - 1].clone() };
            let answer = page.run(&model, &series).unwrap();
            assert!(answer == expected.bytes(), "model {index}: the page answers something else");
            cases += 1;
        }
    }
    println!("cases: {cases}");
    assert!(cases > 300, "{cases}");
    // The controls: a model with a wrong byte is refused, and another weight is seen.
    let model = models::everything();
    let samples = random_samples(&model, 1, 0).unwrap();
    let mut broken = model.clone();
    broken[300] ^= 1;
    assert_eq!(Page::open().run(&broken, &samples), Err(-1));
    let not_finite = Sample { input: vec![f32::NAN; samples[0].input.len()], ..samples[0].clone() };
    assert_eq!(Page::open().run(&model, &[not_finite]), Err(-1));
}

/// What is checked in was compiled from these sources.
#[test]
fn engine_of_the_page_is_of_these_sources() {
    fn gather(folder: &Path, files: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                gather(&path, files);
            } else if path.extension().is_some_and(|end| end == "rs") {
                files.push(path);
            }
        }
    }
    let mut files = Vec::new();
    for folder in ["device/src", "shared/src", "host/page/student/src"] {
        gather(&root().join(folder), &mut files);
    }
    files.extend(["Cargo.toml", "Cargo.lock"].map(|name| root().join("host/page/student").join(name)));
    files.sort_by_key(|path| path.strip_prefix(root()).unwrap().to_path_buf().into_os_string());
    let mut hash = Sha256::new();
    files.iter().for_each(|path| hash.update(fs::read(path).unwrap()));
    let sources = attar::support::files::hex(&hash.finalize());
    let engine = attar::support::files::hex(&Sha256::digest(fs::read(root().join("host/page/student.wasm")).unwrap()));
    let kept = fs::read_to_string(root().join("host/page/student.sources")).unwrap();
    assert_eq!(format!("{sources}\n{engine}\n"), kept, "the engine has changed: run host/page/build");
}

/// A run has its page, `attar report` writes it anew from the folder alone, and says what is missing.
#[test]
fn page_is_written_with_a_run_and_anew() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    distill::run(&small_recipe(&["name='a <b> run'"]), &places(&folder.join("run"))).unwrap();
    let page = fs::read_to_string(folder.join("run/report.html")).unwrap();
    for part in [
        "<title>",
        "id=\"try\"",
        "id=\"students\"",
        "id=\"training\"",
        "id=\"heads\"",
        "id=\"memory\"",
        "id=\"made\"",
        "<svg",
    ] {
        assert!(page.contains(part), "no {part}");
    }
    assert!(page.contains("a &lt;b&gt; run") && !page.contains("a <b> run"), "a text is not escaped");
    for part in ["class=\"reflow\"", "data-name=\"fault accuracy\"", "each class: the share", "range of training"] {
        assert!(page.contains(part), "no {part}");
    }
    // Nothing is fetched from anywhere.
    for part in ["src=\"http", "href=\"http", "@import", "url("] {
        assert!(!page.contains(part), "{part}");
    }
    let text_of = fs::read_to_string(folder.join("run/evidence.json")).unwrap();
    let evidence: Evidence = serde_json::from_str(&text_of).unwrap();
    let student = &evidence.heads[0].student;
    let counted: usize = student.confusion.iter().flatten().sum();
    assert_eq!(counted, evidence.samples, "each sample stands once in the matrix");
    assert!(!evidence.shown.is_empty());
    fs::remove_file(folder.join("run/report.html")).unwrap();
    let output = in_folder(folder, &["report", "run"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(fs::read_to_string(folder.join("run/report.html")).unwrap() == page, "the page is another one");
    fails(folder, &["report", "nothing"], &["cannot read nothing/report.json", "no folder of a finished run"]);
    fs::write(folder.join("run/evidence.json"), "{}").unwrap();
    fails(folder, &["report", "run"], &["run/evidence.json", "missing field"]);
}

/// In a browser: the student runs there, and each sample's answer has the bytes of the workstation.
#[test]
fn page_runs_in_a_browser() {
    let Some(browser) = browser() else {
        println!("SKIPPED: there is no Chromium");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    distill::run(&small_recipe(&[]), &places(&folder.path().join("run"))).unwrap();
    let page = folder.path().join("run/report.html");
    let shown = dump(&browser, &page, folder.path());
    assert!(shown.contains("Bit for bit"), "{}", verdict(&shown));
    let evidence = fs::read_to_string(folder.path().join("run/evidence.json")).unwrap();
    let count = serde_json::from_str::<Evidence>(&evidence).unwrap().shown.len();
    assert!(shown.contains(&format!("{count} of {count} samples")), "{}", verdict(&shown));
    // The control: one other digit in what the workstation answered, and the page says so.
    let text = fs::read_to_string(&page).unwrap();
    let at = text.find("\"answer\":\"").unwrap() + 10;
    let digit = if &text[at..=at] == "0" { "1" } else { "0" };
    fs::write(&page, format!("{}{digit}{}", &text[..at], &text[at + 1..])).unwrap();
    let shown = dump(&browser, &page, folder.path());
    assert!(!shown.contains(&format!("{count} of {count} samples")), "{}", verdict(&shown));
}

fn browser() -> Option<PathBuf> {
    let names = ["chromium", "chromium-browser", "google-chrome"];
    let folders: Vec<PathBuf> = std::env::split_paths(&std::env::var_os("PATH")?).collect();
    names.iter().find_map(|name| folders.iter().map(|folder| folder.join(name)).find(|path| path.exists()))
}

fn dump(browser: &Path, page: &Path, folder: &Path) -> String {
    let output = Command::new(browser)
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"])
        .args(["--disable-background-networking", "--disable-component-update", "--disable-sync"])
        .arg(format!("--user-data-dir={}", folder.join("browser").display()))
        .args(["--virtual-time-budget=10000", "--dump-dom"])
        .arg(format!("file://{}", page.display()))
        .stderr(Stdio::null())
        .output()
        .unwrap();
    text(&output.stdout)
}

fn verdict(page: &str) -> &str {
    page.split_once("id=\"verdict\"").map_or("no verdict", |(_, rest)| rest.split("</p>").next().unwrap_or(rest))
}
