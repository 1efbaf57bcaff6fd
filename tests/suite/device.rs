//! The device API as a firmware uses it: everything sized at compile time, every misuse a typed error.

use attar_device::{Arena, EmbeddedStudent, Error, Session, Step, Student, include_student};
use attar_shared::{Defect, Model, ParseError};
use attar_tests::{models, with_checksum};

include_student!(STUDENT, "../golden/everything.attar");

const BYTES: &[u8] = include_bytes!("../golden/everything.attar");

#[test]
fn included_student_sizes_its_arena_at_compile_time_and_runs() {
    let mut arena = Arena::<{ STUDENT.arena_bytes() }>::new();
    let student = STUDENT.parse().unwrap();
    assert_eq!(student.self_test(arena.as_mut_slice()), Ok(1));
    assert_eq!((STUDENT.input_len(), STUDENT.fact_count()), (70, 10));
    let mut facts = student.facts();
    facts.set("rpm", 1772.0).unwrap();
    facts.choose("bearing", "6205").unwrap();
    facts.flag("running", true).unwrap();
    let mut session = student.session(&mut arena).unwrap();
    let outputs = session.run(&[1i16; STUDENT.input_len()], &facts).unwrap();
    let fault = outputs.head("fault").unwrap().top();
    assert!(fault.probability > 1.0 / 3.0 && !fault.label.is_empty());
    let alarm = outputs.head("alarm").unwrap().top();
    assert!(alarm.probability >= 0.5 && ["no", "yes"].contains(&alarm.label));
    assert_eq!(outputs.head("wear").unwrap().values().count(), 2);
    assert_eq!(outputs.head("wera").unwrap_err(), Error::UnknownHead);
}

#[test]
fn arena_that_is_too_small_says_by_how_much() {
    let student = STUDENT.parse().unwrap();
    let needed = STUDENT.arena_bytes();
    let mut arena = vec![0; needed - 1];
    assert_eq!(
        Session::new(*student.model(), &mut arena).unwrap_err(),
        Error::ArenaTooSmall { needed, got: needed - 1 }
    );
    assert_eq!(student.self_test(&mut arena).unwrap_err(), Error::ArenaTooSmall { needed, got: needed - 1 });
}

#[test]
fn inputs_that_do_not_fit_are_refused_and_the_session_goes_on() {
    let student = Student::parse(BYTES).unwrap();
    let mut arena = vec![0; STUDENT.arena_bytes()];
    let mut session = Session::new(*student.model(), &mut arena).unwrap();
    let facts = student.facts();
    assert_eq!(session.run(&[0f32; 69], &facts).unwrap_err(), Error::InputLength { expected: 70, got: 69 });
    let mut input = [0f32; 70];
    input[33] = f32::NAN;
    assert_eq!(session.run(&input, &facts).unwrap_err(), Error::InputNotFinite { index: 33 });
    input[33] = f32::INFINITY;
    assert_eq!(session.run(&input, &facts).unwrap_err(), Error::InputNotFinite { index: 33 });
    let none = || [0i8; 0].into_iter();
    assert_eq!(
        session.load_quantized([0; 70].into_iter(), none()).unwrap_err(),
        Error::FactsLength { expected: 24, got: 0 }
    );
    let other = models::random(3);
    let other = Student::parse(&other).unwrap();
    assert_eq!(session.run(&[0f32; 70], &other.facts()).unwrap_err(), Error::OtherModel);
    // One of the same sizes, whose facts have other names.
    let mut renamed = BYTES.to_vec();
    let place = renamed.windows(4).position(|bytes| bytes == b"\x03rpm").unwrap();
    renamed[place + 1] = b'k';
    let renamed = with_checksum(renamed);
    let renamed = Student::parse(&renamed).unwrap();
    assert_eq!(session.run(&[0f32; 70], &renamed.facts()).unwrap_err(), Error::OtherModel);
    assert!(session.run(&[0f32; 70], &facts).is_ok());
}

#[test]
fn facts_refuse_what_they_are_not() {
    let student = STUDENT.parse().unwrap();
    let mut facts = student.facts();
    assert_eq!(facts.set("rpn", 1.0), Err(Error::UnknownFact));
    assert_eq!(facts.set(10usize, 1.0), Err(Error::UnknownFact));
    assert_eq!(facts.set("ratio", 1.0), Err(Error::ComputedFact));
    assert_eq!(facts.flag("hot", true), Err(Error::ComputedFact));
    assert_eq!(facts.set_raw("hot", Some(1.0)), Err(Error::ComputedFact));
    assert_eq!(facts.set_raw("hot", None), Ok(()));
    assert_eq!(facts.set("bearing", 1.0), Err(Error::FactKind));
    assert_eq!(facts.set("rpm", f32::NAN), Err(Error::FactNotFinite));
    assert_eq!(facts.choose("bearing", "6206"), Err(Error::UnknownCategory));
    assert_eq!(facts.choose("rpm", "6205"), Err(Error::FactKind));
    assert_eq!(facts.flag("rpm", true), Err(Error::FactKind));
    assert_eq!(facts.set_raw("bearing", Some(4.0)), Err(Error::UnknownCategory));
    assert_eq!(facts.set_raw("bearing", Some(0.5)), Err(Error::UnknownCategory));
    assert_eq!(facts.set_raw("running", Some(2.0)), Err(Error::UnknownCategory));
    assert_eq!(facts.set_raw("rpm", Some(f32::INFINITY)), Err(Error::FactNotFinite));
}

#[test]
fn missing_facts_are_told_from_known_ones() {
    let student = Student::parse(BYTES).unwrap();
    let mut arena = vec![0; STUDENT.arena_bytes()];
    let mut session = Session::new(*student.model(), &mut arena).unwrap();
    let mut tensor = |facts: &attar_device::Facts<'_>| {
        session.load(&[0f32; 70], facts).unwrap();
        session.values(attar_shared::FACTS_TENSOR).unwrap().to_vec()
    };
    let mut facts = student.facts();
    let missing = tensor(&facts);
    // A speed of exactly the mean is encoded as 0, as a missing one is: the mask tells them apart.
    facts.set("rpm", 1500.0).unwrap();
    let known = tensor(&facts);
    assert_eq!(missing[..15], known[..15]);
    assert_ne!(missing[15], known[15]);
    facts.clear("rpm").unwrap();
    assert_eq!(tensor(&facts), missing);
}

#[test]
fn outputs_are_there_only_after_the_last_operator() {
    let student = STUDENT.parse().unwrap();
    let mut arena = vec![0; STUDENT.arena_bytes()];
    let mut session = Session::new(*student.model(), &mut arena).unwrap();
    session.load(&[0f32; 70], &student.facts()).unwrap();
    let mut steps = 1;
    assert_eq!(session.outputs().unwrap_err(), Error::Unfinished);
    while session.step() == Step::More {
        assert_eq!(session.outputs().unwrap_err(), Error::Unfinished);
        steps += 1;
    }
    assert_eq!(steps, student.model().header().operator_count);
    assert!(session.outputs().is_ok());
}

#[test]
fn model_of_other_parts_is_refused() {
    const DENSE: u128 = 1;
    const ALL_BUT_ADDENDS: u128 = !(1 << 63);
    let refused = ParseError::Header(Defect::Part);
    assert_eq!(Model::<DENSE>::parse_parts(BYTES).unwrap_err(), refused);
    assert_eq!(Model::<ALL_BUT_ADDENDS>::parse_parts(BYTES).unwrap_err(), refused);
    let parts = STUDENT.parse().unwrap().model().header().parts();
    assert_eq!(parts, EmbeddedStudent::parts_of(BYTES));
    // A header that hides a part is found out, whoever reads it.
    for bit in (0..128).filter(|bit| parts >> bit & 1 == 1) {
        let mut bytes = BYTES.to_vec();
        // The sets follow each other in the header.
        bytes[16 + bit / 8] &= !(1 << (bit % 8));
        let bytes = with_checksum(bytes);
        let expected = ParseError::Header(Defect::Count);
        assert_eq!(Model::parse(&bytes).unwrap_err(), expected, "bit {bit}");
    }
}

#[test]
fn broken_bytes_are_refused_by_the_student_too() {
    assert_eq!(Student::parse(&[]).unwrap_err(), Error::Parse(ParseError::TooShort { got: 0 }));
}
