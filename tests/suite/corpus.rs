//! The fuzz targets on the inputs that are kept: seeds, what a fuzzer found interesting, and what once failed.

use std::fs;
use std::path::PathBuf;

use attar_device::link::{Answer, Ask, Hello, MAX_FRAME, Refusal, RefusalCode, Reply, Request, frame};
use attar_shared::{Arithmetic, Model, SIGNATURE_BYTES};
use attar_spec::targets::TARGETS;
use attar_tests::{models, root};

fn folder(target: &str) -> PathBuf {
    root().join("tests/fuzz/corpus").join(target)
}

/// What a fuzzer starts from.
fn seeds() -> Vec<(&'static str, String, Vec<u8>)> {
    let mut models: Vec<(String, Vec<u8>)> =
        vec![("everything".into(), models::everything()), ("text".into(), models::text())];
    models.push(("signal".into(), models::signal(Arithmetic::Fixed)));
    models.push(("signal-float".into(), models::signal(Arithmetic::Float)));
    let random = (0..200).map(|seed| (format!("random-{seed}"), models::random(seed)));
    models.extend(random.filter(|(_, bytes)| bytes.len() < 1500).take(12));
    let text = models::text();
    let mut buffer = vec![0; text.len() + SIGNATURE_BYTES];
    let signed = attar_shared::sign(&text, 3, &mut buffer, |_| [9; SIGNATURE_BYTES]).unwrap();
    models.push(("signed".into(), signed.to_vec()));
    let mut seeds = Vec::new();
    for (name, bytes) in &models {
        for target in ["parse", "run", "write"] {
            seeds.push((target, name.clone(), bytes.clone()));
        }
    }
    seeds.push(("signature", "signed".into(), signed.to_vec()));
    seeds.push(("store", "text".into(), text));
    for (index, fact) in Model::parse(&models[0].1).unwrap().facts().enumerate().filter(|(_, fact)| fact.is_computed())
    {
        let numbers: Vec<u8> = (0..16).flat_map(|value| (value as f32 - 3.5).to_le_bytes()).collect();
        let mut bytes = fact.code.bytes().to_vec();
        let len = bytes.len();
        bytes.extend(numbers.iter().cycle().take(len));
        seeds.push(("code", format!("fact-{index}"), bytes));
    }
    let mut buffer = [0; MAX_FRAME];
    let asks = [Ask::Hello, Ask::Begin { len: 1000 }, Ask::Data { offset: 64, bytes: &[0, 1, 0, 2] }, Ask::Restart];
    for (number, ask) in (0..).zip(asks) {
        let bytes = frame(&Request { number, ask }, &mut buffer).unwrap().to_vec();
        seeds.push(("link", format!("request-{number}"), bytes));
    }
    let hello = Hello { protocol: 1, len: 1, checksum: 2, revision: 3, is_update: true };
    let refused = Answer::Refused(Refusal::new(RefusalCode::Downgraded, 4, 3));
    for (number, answer) in (0..).zip([Answer::Hello(hello), Answer::Done, refused]) {
        let bytes = frame(&Reply { number, answer }, &mut buffer).unwrap().to_vec();
        seeds.push(("link", format!("reply-{number}"), bytes));
    }
    seeds
}

#[test]
fn fuzz_targets_pass_on_all_inputs_that_are_kept() {
    let seeds = seeds();
    let mut cases = 0;
    for (target, run) in TARGETS {
        if std::env::var_os("ATTAR_OVERWRITE").is_some() {
            fs::create_dir_all(folder(target)).unwrap();
            for (_, name, bytes) in seeds.iter().filter(|(of, ..)| *of == target) {
                fs::write(folder(target).join(format!("seed-{name}")), bytes).unwrap();
            }
        }
        let before = cases;
        for entry in fs::read_dir(folder(target)).unwrap() {
            let path = entry.unwrap().path();
            let bytes = fs::read(&path).unwrap();
            if let Err(panic) = std::panic::catch_unwind(|| run(&bytes)) {
                panic!("{}: {:?}", path.display(), panic.downcast_ref::<String>());
            }
            cases += 1;
        }
        let of_target = seeds.iter().filter(|(of, ..)| *of == target).count();
        assert!(of_target > 0 && cases - before >= of_target, "{target} has too few inputs");
    }
    println!("cases: {cases}");
}
