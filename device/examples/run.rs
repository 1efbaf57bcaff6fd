//! Runs a student on the workstation with the code that runs on a board: `cargo run -p attar-device --example run`.

use attar_device::{Arena, Error, include_student};

include_student!(STUDENT, "student.attar"); // checked and sized at compile time

// No more than that, or this does not compile: bytes of flash, bytes of arena, multiply-accumulates.
const _: () = STUDENT.within(4096, 1024, 10_000);

fn main() -> Result<(), Error> {
    let mut arena = Arena::<{ STUDENT.arena_bytes() }>::new();
    let student = STUDENT.parse()?;
    println!("self-test: {} vectors reproduced", student.self_test(arena.as_mut_slice())?);

    let mut session = student.session(&mut arena)?;
    let mut facts = student.facts(); // all missing at first
    facts.set("rpm", 1772.0)?; // in its own unit
    let input = [0.5f32; STUDENT.input_len()];
    let outputs = session.run(&input, &facts)?;
    for head in outputs.heads() {
        let top = head.top();
        println!("{}: {} {:.3} {:?}", head.head().name, top.class, top.probability, top.label);
    }
    Ok(())
}
