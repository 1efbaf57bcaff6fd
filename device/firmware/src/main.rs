//! Runs a student on a board: its self-test, then every sample of a file, each output byte and the instructions of each
//! run. README.md holds the protocol.
#![no_std]
#![no_main]

mod answer;
mod board;
mod listen;
mod samples;

use attar_device::{Arena, Error, Step, include_student};
use semihosting::{eprintln, println};

include_student!(STUDENT, concat!(env!("OUT_DIR"), "/student.attar"));

/// What went wrong, as a line for stderr.
enum Failure {
    Student(Error),
    Samples(samples::Defect),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Student(error)
    }
}

impl From<samples::Defect> for Failure {
    fn from(defect: samples::Defect) -> Self {
        Self::Samples(defect)
    }
}

/// Runs everything and returns the exit status.
fn run(arena: &'static mut Arena<{ STUDENT.arena_bytes() }>, input: &mut [f32; STUDENT.input_len()]) -> i32 {
    let served = serve(arena, input);
    let listens = STUDENT.stream_words() > 0;
    match served.and_then(|count| if listens { listen::listen(arena).map(|()| count) } else { Ok(count) }) {
        Ok(count) => {
            println!("done {count} stack {}", board::stack_bytes());
            0
        }
        Err(Failure::Student(error)) => {
            eprintln!("error: {error}");
            1
        }
        Err(Failure::Samples(defect)) => {
            eprintln!("error: samples.bin: {defect}");
            1
        }
    }
}

fn serve(arena: &mut Arena<{ STUDENT.arena_bytes() }>, input: &mut [f32; STUDENT.input_len()]) -> Result<u32, Failure> {
    let student = STUDENT.parse()?;
    println!("attar 4 arena={} flash={} macs={}", STUDENT.arena_bytes(), STUDENT.flash_bytes(), STUDENT.macs());
    println!("self-test {}", student.self_test(arena.as_mut_slice())?);
    let mut file = samples::Samples::open(STUDENT.input_len(), STUDENT.fact_count())?;
    let mut session = student.session(arena)?;
    let mut facts = student.facts();
    while let Some((index, starts)) = file.next(input, &mut facts)? {
        if starts {
            session.reset();
        }
        let start = board::Counter::start();
        let outputs = session.run(&input[..], &facts)?;
        let instructions = start.instructions();
        answer::say(index, instructions, &outputs, &facts.known(&input[..]));
    }
    if file.count() > 0 {
        // The last sample once more, an operator at a time.
        session.reset();
        session.load(&input[..], &facts)?;
        for operator in 0.. {
            let start = board::Counter::start();
            let step = session.step();
            println!("operator {operator} instructions {}", start.instructions());
            if step == Step::Done {
                break;
            }
        }
    }
    Ok(file.count())
}

#[panic_handler]
fn panic(info: &core::panic::PanicInfo) -> ! {
    eprintln!("{info}");
    semihosting::process::exit(101)
}
