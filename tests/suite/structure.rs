//! The order of the modules: host's use only what `lib.rs` lists before them, and no crate's modules use each other in a circle.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use attar_tests::root;

/// A module's path within its crate; the root is empty.
type Module = Vec<String>;

/// A source file without comments, texts and unit tests.
struct Source {
    words: Vec<String>,
    /// Modules of unit tests in files of their own.
    tests: Vec<String>,
}

impl Source {
    /// Splits code into identifiers, `::` and single characters.
    fn new(text: &str) -> Self {
        let mut words = Vec::new();
        let mut rest = text;
        while let Some(first) = rest.chars().next() {
            let len = if rest.starts_with("//") {
                rest.find('\n').unwrap_or(rest.len())
            } else if rest.starts_with("r#\"") {
                rest.find("\"#").unwrap() + 2
            } else if first == '"' {
                text_len(rest)
            } else if rest.starts_with("'\"'") || rest.starts_with("'{'") || rest.starts_with("'}'") {
                3
            } else if rest.starts_with("::") {
                words.push("::".to_string());
                2
            } else if first.is_alphanumeric() || first == '_' {
                let len = rest.find(|next: char| !next.is_alphanumeric() && next != '_').unwrap_or(rest.len());
                words.push(rest[..len].to_string());
                len
            } else {
                if !first.is_whitespace() {
                    words.push(first.to_string());
                }
                first.len_utf8()
            };
            rest = &rest[len..];
        }
        let mut source = Self { words, tests: Vec::new() };
        source.drop_unit_tests();
        source
    }

    /// Drops `#[cfg(test)]` and the item after it.
    fn drop_unit_tests(&mut self) {
        let mark = ["#", "[", "cfg", "(", "test", ")", "]"];
        while let Some(start) = self.words.windows(mark.len()).position(|words| words == mark) {
            let mut end = start + mark.len();
            let mut depth = 0;
            loop {
                match self.words[end].as_str() {
                    "{" => depth += 1,
                    "}" => depth -= 1,
                    _ => {}
                }
                end += 1;
                if depth == 0 && [";", "}"].contains(&self.words[end - 1].as_str()) {
                    break;
                }
            }
            if let [.., keyword, name, last] = &self.words[start..end]
                && keyword == "mod"
                && last == ";"
            {
                self.tests.push(name.clone());
            }
            self.words.drain(start..end);
        }
    }

    /// Returns the modules that the file declares.
    fn children(&self) -> BTreeSet<String> {
        self.words
            .windows(3)
            .filter(|words| words[0] == "mod" && words[2] == ";")
            .map(|words| words[1].clone())
            .collect()
    }

    /// Returns all paths that begin with one of these words, with groups in braces taken apart.
    fn paths(&self, is_start: impl Fn(&str) -> bool) -> Vec<Vec<String>> {
        let mut found = Vec::new();
        for at in 0..self.words.len() {
            let begins = at == 0 || self.words[at - 1] != "::";
            if begins && is_start(&self.words[at]) && self.words.get(at + 1).is_some_and(|next| next == "::") {
                self.follow(at, &mut Vec::new(), &mut found);
            }
        }
        found
    }

    /// Adds the paths from a word on; returns where they end.
    fn follow(&self, mut at: usize, before: &mut Vec<String>, found: &mut Vec<Vec<String>>) -> usize {
        let depth = before.len();
        loop {
            before.push(self.words[at].clone());
            at += 1;
            if self.words.get(at).is_none_or(|next| next != "::") {
                found.push(before.clone());
                break;
            }
            at += 1;
            if self.words[at] == "{" {
                while self.words[at] != "}" {
                    at += 1;
                    if self.words[at] != "}" {
                        at = self.follow(at, before, found);
                    }
                    // `as name`
                    while ![",", "}"].contains(&self.words[at].as_str()) {
                        at += 1;
                    }
                }
                at += 1;
                break;
            }
        }
        before.truncate(depth);
        at
    }
}

/// Returns the length of a text with its quotes.
fn text_len(text: &str) -> usize {
    let mut is_escaped = false;
    for (at, byte) in text.bytes().enumerate().skip(1) {
        match byte {
            b'"' if !is_escaped => return at + 1,
            b'\\' => is_escaped = !is_escaped,
            _ => is_escaped = false,
        }
    }
    text.len()
}

/// The modules of a crate.
struct Crate {
    sources: BTreeMap<Module, Source>,
}

impl Crate {
    fn read(folder: &Path) -> Self {
        let mut sources = BTreeMap::new();
        read_into(folder, &mut Vec::new(), &mut sources);
        let tests: BTreeSet<Module> = sources
            .iter()
            .flat_map(|(module, source)| {
                source.tests.iter().map(move |name| [module.clone(), vec![name.clone()]].concat())
            })
            .collect();
        sources.retain(|module, _| !tests.contains(module));
        Self { sources }
    }

    /// Returns the module that a path within another module means.
    fn resolve(&self, from: &Module, path: &[String]) -> Module {
        let mut module = from.clone();
        let mut path = path.iter().peekable();
        while let Some(word) = path.next_if(|word| ["crate", "super", "self"].contains(&word.as_str())) {
            match word.as_str() {
                "crate" => module.clear(),
                "super" => drop(module.pop()),
                _ => {}
            }
        }
        for word in path {
            module.push(word.clone());
            if self.sources.contains_key(&module) {
                continue;
            }
            module.pop();
            // An item that is passed on from a child.
            let source = &self.sources[&module];
            let children = source.children();
            let passed =
                source.paths(|first| children.contains(first)).into_iter().find(|path| path.last() == Some(word));
            if let Some(path) = passed {
                return self.resolve(&module, &path);
            }
            break;
        }
        module
    }

    /// Returns which modules each uses, as siblings: of two modules, the first ancestors that differ.
    fn uses(&self) -> BTreeMap<Module, BTreeSet<Module>> {
        let mut uses = BTreeMap::<Module, BTreeSet<Module>>::new();
        for (from, source) in &self.sources {
            let children = source.children();
            let starts = |word: &str| ["crate", "super", "self"].contains(&word) || children.contains(word);
            for path in source.paths(starts) {
                let to = self.resolve(from, &path);
                let shared = from.iter().zip(&to).take_while(|(a, b)| a == b).count();
                if shared < from.len() && shared < to.len() {
                    uses.entry(from[..=shared].to_vec()).or_default().insert(to[..=shared].to_vec());
                }
            }
        }
        uses
    }
}

fn read_into(folder: &Path, module: &mut Module, sources: &mut BTreeMap<Module, Source>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap().to_string();
        if path.is_dir() {
            module.push(name);
            read_into(&path, module, sources);
            module.pop();
        } else if path.extension().is_some_and(|extension| extension == "rs") && name != "main" {
            let source = Source::new(&fs::read_to_string(&path).unwrap());
            let mut module = module.clone();
            if name != "lib" {
                module.push(name);
            }
            sources.insert(module, source);
        }
    }
}

/// Returns the uses that are part of a circle.
fn circles(uses: &BTreeMap<Module, BTreeSet<Module>>) -> Vec<String> {
    let reaches = |from: &Module, to: &Module| {
        let mut seen = BTreeSet::from([from]);
        let mut open = vec![from];
        while let Some(module) = open.pop() {
            if module == to {
                return true;
            }
            open.extend(uses.get(module).into_iter().flatten().filter(|next| seen.insert(next)));
        }
        false
    };
    let all = uses.iter().flat_map(|(from, to)| to.iter().map(move |to| (from, to)));
    let circular = all.filter(|(from, to)| reaches(to, from));
    circular.map(|(from, to)| format!("{} -> {}", from.join("::"), to.join("::"))).collect()
}

#[test]
fn host_modules_use_those_listed_before_them() {
    let source = fs::read_to_string(root().join("host/src/lib.rs")).unwrap();
    let order: Vec<&str> = source.lines().filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';')).collect();
    assert!(order.len() > 10, "{order:?}");
    let place = |module: &Module| order.iter().position(|name| *name == module[0]);
    let mut upwards = Vec::new();
    for (from, to) in Crate::read(&root().join("host/src")).uses() {
        // The command line is not in the library.
        let (1, Some(from_place)) = (from.len(), place(&from)) else { continue };
        upwards
            .extend(to.iter().filter(|to| place(to) > Some(from_place)).map(|to| format!("{} -> {}", from[0], to[0])));
    }
    assert!(upwards.is_empty(), "used, but listed below in host/src/lib.rs: {upwards:?}");
}

#[test]
fn modules_do_not_use_each_other_in_a_circle() {
    for folder in ["shared/src", "device/src", "host/src"] {
        let circles = circles(&Crate::read(&root().join(folder)).uses());
        assert!(circles.is_empty(), "{folder}: {circles:#?}");
    }
}

/// The reader of sources is held to a crate whose circle is known.
#[test]
fn circles_are_found() {
    let sources = [
        ("", "pub mod a; pub mod b; mod c; pub use c::Thing;"),
        ("a", "use crate::b::{self, x::Y as Z};"),
        ("b", "// crate::a\nfn f() { \"crate::a\"; super::Thing::new(); }"),
        ("c", "fn g() { crate::a::h() }\n#[cfg(test)]\nmod tests { use crate::b; }"),
    ];
    let sources =
        sources.map(|(name, text)| (name.split_terminator("::").map(String::from).collect(), Source::new(text)));
    let uses = Crate { sources: BTreeMap::from(sources) }.uses();
    let module = |name: &str| vec![name.to_string()];
    assert_eq!(uses[&module("a")], BTreeSet::from([module("b")]));
    assert_eq!(uses[&module("b")], BTreeSet::from([module("c")]));
    assert_eq!(uses[&module("c")], BTreeSet::from([module("a")]));
    assert_eq!(circles(&uses), ["a -> b", "b -> c", "c -> a"]);
}
