//! The public surface of the crates for boards, as a list that is checked in: a change of it is seen in review.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use attar_tests::root;
use public_api::Builder;

/// Returns the public items of a crate, a line each; `features` are those that docs.rs shows.
fn listing(package: &str, features: &str) -> String {
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from).join("api");
    let output = Command::new("cargo")
        .args(["rustdoc", "--quiet", "--locked", "--lib", "--package", package, "--features", features, "--target-dir"])
        .arg(&target)
        .args(["--", "-Z", "unstable-options", "--output-format", "json", "--cap-lints", "allow"])
        .current_dir(root())
        // The format of the list is not stable; the compiler is pinned in rust-toolchain.toml.
        .env("RUSTC_BOOTSTRAP", "1")
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let file = target.join("doc").join(package.replace('-', "_")).with_extension("json");
    let api = Builder::from_rustdoc_json(file)
        .omit_blanket_impls(true)
        .omit_auto_trait_impls(true)
        .omit_auto_derived_impls(true)
        .build()
        .expect("the list of another compiler than that of rust-toolchain.toml");
    api.items().map(|item| format!("{item}\n")).collect()
}

#[test]
fn public_items_are_those_that_are_listed() {
    for (package, features) in [("attar-shared", ""), ("attar-device", "signed,store,link")] {
        let path = root().join(format!("tests/golden/{package}.api"));
        let listed = listing(package, features);
        if std::env::var_os("ATTAR_OVERWRITE").is_some() {
            fs::write(&path, &listed).unwrap();
        }
        let golden = fs::read_to_string(&path).unwrap();
        let (old, new): (Vec<&str>, Vec<&str>) = (golden.lines().collect(), listed.lines().collect());
        let gone: Vec<_> = old.iter().filter(|line| !new.contains(line)).collect();
        let added: Vec<_> = new.iter().filter(|line| !old.contains(line)).collect();
        assert!(
            gone.is_empty() && added.is_empty(),
            "{}: gone {gone:#?}, added {added:#?}: review them, then run ./tests/run --overwrite",
            path.display()
        );
    }
}
