//! Runs a student an operator at a time, as a cooperative executor would between other work:
//! `cargo run -p attar-device --example steps`.

use attar_device::{Arena, Error, Step, include_student};

include_student!(STUDENT, "student.attar");

fn main() -> Result<(), Error> {
    let mut arena = Arena::<{ STUDENT.arena_bytes() }>::new();
    let student = STUDENT.parse()?;
    let mut session = student.session(&mut arena)?;
    session.load(&[0.5f32; STUDENT.input_len()], &student.facts())?;
    let mut operators = 1;
    while session.step() == Step::More {
        // Here is time for something else.
        operators += 1;
    }
    let first = session.outputs()?.heads().next().map(|head| (head.head().name, head.top()));
    println!("{operators} operators: {first:?}");
    Ok(())
}
