//! host/README.md is the reference of recipes: it names every key, and its example is one.

use std::collections::BTreeSet;

use super::Recipe;
use crate::facts;

/// Returns the names that an error lists behind `what`, an unknown field or variant.
fn listed(document: &str, what: &str) -> Option<Vec<String>> {
    let error = toml::from_str::<Recipe>(document).err()?;
    let (_, expected) = error.message().split_once(what)?.1.split_once("expected ")?;
    Some(expected.split('`').skip(1).step_by(2).map(str::to_string).collect())
}

/// Collects the keys of a table of a recipe, and those of the tables in it. `within` returns a recipe with that table, whose
/// content it is given.
fn collect(within: &dyn Fn(&str) -> String, tables: &mut BTreeSet<Vec<String>>) {
    let unknown = within("unknown_ = 1");
    if let Some(keys) = listed(&unknown, "unknown field `unknown_`") {
        if tables.insert(keys.clone()) {
            for key in keys {
                collect(&|content| within(&format!("{key} = {{ {content} }}")), tables);
                collect(&|content| within(&format!("{key} = [{{ {content} }}]")), tables);
                // Tables by names that the user chooses.
                collect(&|content| within(&format!("{key} = {{ any = {{ {content} }} }}")), tables);
            }
        }
    } else if let Some(kinds) = listed(&within("kind = 'unknown_'"), "unknown variant `unknown_`") {
        for kind in kinds {
            collect(&|content| within(&format!("kind = '{kind}', {content}")), tables);
        }
    }
}

#[test]
fn readme_names_every_key() {
    let mut tables = BTreeSet::new();
    collect(&str::to_string, &mut tables);
    let keys: BTreeSet<&str> = tables.iter().flatten().map(String::as_str).collect();
    // The control: of the recipe, a section, a list, a fact, a list of tables with a kind.
    for key in ["quantize", "aware_epochs", "layers", "encoding", "temperature", "bands", "order"] {
        assert!(keys.contains(key), "{key} was not found among {keys:?}");
    }
    let sections = [
        "data",
        "input",
        "facts",
        "heads",
        "augment",
        "signal",
        "teacher",
        "teachers",
        "assistant",
        "student",
        "distill",
        "losses",
        "quantize",
        "compare",
        "budget",
    ];
    let readme = include_str!("../../README.md");
    let missing: Vec<&str> = keys
        .into_iter()
        .filter(|&key| {
            let named = match key {
                "losses" | "rules" => format!("[[distill.{key}]]"),
                _ if sections.contains(&key) => format!("[{key}]"),
                _ => format!("`{key}`"),
            };
            !readme.contains(&named)
        })
        .collect();
    assert!(missing.is_empty(), "host/README.md does not name {missing:?}");
}

#[test]
fn example_of_the_readme_is_a_recipe() {
    let readme = include_str!("../../README.md");
    let blocks: Vec<&str> = readme.split("```toml").skip(1).map(|rest| rest.split("```").next().unwrap()).collect();
    Recipe::parse(blocks[0], "README.md", "example", &[]).unwrap();
    let student = &blocks[0][blocks[0].find("[student]").unwrap()..blocks[0].find("[distill]").unwrap()];
    let listed = [blocks[0].replace(student, blocks[2]).as_str(), blocks[1]].concat();
    let recipe = Recipe::parse(&listed, "README.md", "example", &[]).unwrap();
    let facts = facts::FactInput { audience: facts::Audience::Board, width: 3, embeddings: Vec::new() };
    crate::net::build(&recipe.student, [20, 10, 1], Some(facts), &[("failure".into(), 1)]).unwrap();
}
