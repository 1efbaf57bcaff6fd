//! All that a firmware may call, where nothing may panic: the self-test, facts by their names, numbers and texts, every kind
//! of result; with the features of those names the store, the link, and what answers `attar verify` over it. As with `bare`, the
//! program links only while nothing in it can panic. With the feature `signed` it has signatures too and is there to be measured, since their library checks
//! indices.
//!
//! The feature `control` adds an index that may be out of bounds: with it the program must not link.
#![no_std]
#![no_main]

#[path = "../bare/board.rs"]
mod board;

use core::hint::black_box;

use attar_device::signal::{Detector, StreamMemory};
use attar_device::{Arena, Error, include_student};

include_student!(STUDENT, concat!(env!("OUT_DIR"), "/student.attar"));

fn main() -> ! {
    static mut ARENA: Arena<{ STUDENT.arena_bytes() }> = Arena::new();
    static mut INPUT: [f32; STUDENT.input_len()] = [0.0; STUDENT.input_len()];
    let (arena, input) = (&raw mut ARENA, &raw mut INPUT);
    board::answer(move || {
        // SAFETY: this runs once, and nothing else names the statics.
        let (arena, input) = unsafe { (&mut *arena, &mut *input) };
        let good = run(arena, input).is_ok();
        if STUDENT.stream_words() > 0 {
            black_box(listen(black_box(&[1; 64])).is_ok());
        }
        #[cfg(feature = "signed")]
        signature();
        #[cfg(feature = "store")]
        store(black_box(&[0; 64]));
        #[cfg(feature = "link")]
        link();
        #[cfg(feature = "verify")]
        verify();
        #[cfg(feature = "control")]
        black_box(input[black_box(0)]);
        good
    })
}

#[inline(never)]
fn run(arena: &'static mut Arena<{ STUDENT.arena_bytes() }>, input: &mut [f32]) -> Result<(), Error> {
    let student = STUDENT.parse()?;
    student.self_test(arena.as_mut_slice())?;
    let mut session = student.session(arena)?;
    let mut facts = student.facts();
    // That the model has no such fact or head is an error like any other.
    let name = black_box("rpm");
    black_box(facts.set(name, 1772.0).is_ok());
    black_box(facts.choose(name, black_box("6205")).is_ok());
    black_box(facts.flag(name, black_box(true)).is_ok());
    black_box(facts.set_raw(black_box(1), None).is_ok());
    black_box(session.run_text(black_box("a text"), &facts).is_ok());
    let outputs = session.run(&*input, &facts)?;
    for head in outputs.heads() {
        black_box(head.quantized());
        head.probabilities().for_each(|probability| {
            black_box(probability);
        });
    }
    if let Ok(head) = outputs.head(black_box("fault")) {
        let top = head.top();
        black_box((top.class, top.probability, top.label));
    }
    session.reset();
    Ok(())
}

#[inline(never)]
fn listen(samples: &[i16]) -> Result<(), Error> {
    static mut MEMORY: StreamMemory<{ STUDENT.stream_words() }> = StreamMemory::new();
    static mut ARENA: Arena<{ STUDENT.arena_bytes() }> = Arena::new();
    let (memory, arena) = (&raw mut MEMORY, &raw mut ARENA);
    // SAFETY: this runs once, and nothing else names the statics.
    let (memory, arena) = unsafe { (&mut *memory, &mut *arena) };
    let student = STUDENT.parse()?;
    let mut stream = student.stream(memory, arena)?;
    let rules = stream.front_end().signal().detection;
    let mut detector = rules.map(Detector::<8>::new);
    let mut rest = samples;
    while !rest.is_empty() {
        if let Some(outputs) = stream.push(&mut rest, &student.facts())?
            && let (Some(detector), Some(head)) = (&mut detector, outputs.heads().next())
        {
            black_box(detector.update(&head));
        }
    }
    black_box(stream.front_end().features());
    stream.reset();
    Ok(())
}

#[cfg(feature = "signed")]
#[inline(never)]
fn signature() {
    let key = attar_device::PublicKey::new(black_box([7; 32]));
    black_box(STUDENT.parse_signed(&key, black_box(3)).is_ok());
}

#[cfg(feature = "store")]
#[inline(never)]
fn store(model: &[u8]) {
    use attar_device::store::Store;
    use embedded_storage::nor_flash::{ErrorType, NorFlash, NorFlashErrorKind, ReadNorFlash};

    /// A flash that is not there: the driver of a real one is not what is asked about.
    struct Absent;
    impl ErrorType for Absent {
        type Error = NorFlashErrorKind;
    }
    impl ReadNorFlash for Absent {
        const READ_SIZE: usize = 1;
        fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), NorFlashErrorKind> {
            bytes.iter_mut().for_each(|byte| *byte = black_box(offset) as u8);
            Ok(())
        }
        fn capacity(&self) -> usize {
            black_box(65536)
        }
    }
    impl NorFlash for Absent {
        const WRITE_SIZE: usize = 4;
        const ERASE_SIZE: usize = 4096;
        fn erase(&mut self, from: u32, to: u32) -> Result<(), NorFlashErrorKind> {
            black_box((from, to));
            Ok(())
        }
        fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), NorFlashErrorKind> {
            black_box((offset, bytes));
            Ok(())
        }
    }
    let Ok(mut store) = Store::open(Absent) else { return };
    black_box(store.choose(|_, slot| Ok(black_box(slot.len) > 0)).is_ok());
    if let Ok(mut update) = store.update(model.len()) {
        black_box(update.write(model).is_ok());
        black_box(update.finish().is_ok());
    }
}

#[cfg(feature = "link")]
#[inline(never)]
fn link() {
    use attar_device::link::{Answer, Frames, MAX_FRAME, Refusal, RefusalCode, Reply, Request, frame, read};
    let mut frames = Frames::new();
    for _ in 0..black_box(10) {
        if let Some(request) = frames.push(black_box(0)).and_then(read::<Request<'_>>) {
            let mut buffer = [0; MAX_FRAME];
            let refusal = Refusal::new(RefusalCode::from_number(black_box(9)), black_box(4), black_box(3));
            let reply = Reply { number: request.number, answer: Answer::Refused(refusal) };
            black_box(frame(&reply, &mut buffer));
        }
    }
}

#[cfg(feature = "verify")]
#[inline(never)]
fn verify() {
    use attar_device::link::{Cost, Responder, Word};
    let Ok(student) = STUDENT.parse() else { return };
    let mut arena = Arena::<{ STUDENT.arena_bytes() }>::new();
    let mut sample = [Word::ZERO; STUDENT.sample_words()];
    let responder = Responder::new(&student, STUDENT.bytes(), arena.as_mut_slice(), &mut sample);
    let Ok(mut responder) = responder else { return };
    for _ in 0..black_box(10) {
        let measured = |run: &mut dyn FnMut()| {
            run();
            Cost { cycles: black_box(1), ..Cost::default() }
        };
        black_box(responder.push(black_box(0), measured));
    }
}
