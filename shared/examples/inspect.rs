//! Reads an `.attar` file and lists what it holds: `cargo run -p attar-shared --example inspect -- FILE`.

use std::error::Error;

use attar_shared::Model;

fn main() -> Result<(), Box<dyn Error>> {
    let path = std::env::args_os().nth(1).ok_or("name an .attar file")?;
    let bytes = std::fs::read(path)?;
    let model = Model::parse(&bytes)?; // every rule of the format is checked here, once
    println!("{} bytes, {} of arena, revision {}", bytes.len(), model.arena_bytes(), model.header().revision);
    for fact in model.facts() {
        println!("fact {} {:?} {}", fact.name, fact.unit, if fact.is_computed() { "computed" } else { "set" });
    }
    for operator in model.operators() {
        println!("operator {:?} of tensors {:?} to {}", operator.kind(), operator.inputs(), operator.output);
    }
    for head in model.heads() {
        println!("head {} ({:?}): {}", head.name, head.kind, head.labels.iter().collect::<Vec<_>>().join(", "));
    }
    Ok(())
}
