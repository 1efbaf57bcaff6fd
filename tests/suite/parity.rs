//! The engine against the specification: every tensor of random graphs, byte for byte.

use attar_device::{Session, Step, Student};
use attar_shared::parts::ALL_PARTS;
use attar_shared::{FactKind, HeadKind, Model};
use attar_tests::{models, reference};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

#[test]
fn engine_equals_the_specification_on_random_graphs() {
    let (mut kinds, mut operators, mut addends) = (0, 0, 0);
    for seed in 0..1200 {
        let bytes = models::random(seed);
        let model = Model::parse(&bytes).unwrap();
        let header = model.header();
        addends += model.operators().filter(|operator| operator.addend.is_some()).count();
        kinds |= header.operator_set;
        operators += u32::from(header.operator_count);
        compare_all_tensors(&bytes, seed);
    }
    println!("cases: 1200");
    assert!(operators > 5000, "only {operators} operators were compared");
    assert!(addends > 500, "only {addends} additions had joined an operator");
    assert_eq!(u128::from(kinds), ALL_PARTS & u128::from(u64::MAX), "some operator or form never came up");
}

#[test]
fn engine_equals_the_specification_on_the_model_with_everything() {
    compare_all_tensors(&models::everything(), 1);
    compare_all_tensors(&models::text(), 2);
}

/// The control: the comparison sees a single wrong weight.
#[test]
fn comparison_sees_one_changed_weight() {
    let bytes = models::everything();
    let model = reference::Model::read(&bytes).unwrap();
    let mut other = bytes.clone();
    // The last weight of the last operator, before the self-test vectors and the checksum.
    let header = Model::parse(&bytes).unwrap().header();
    let at = bytes.len() - 4 - header.tests_len as usize - 4;
    other[at] ^= 0x40;
    let other = reference::Model::read(&attar_tests::with_checksum(other)).unwrap();
    let input: Vec<i8> = (0..70).map(|i| (i * 37 % 251) as u8 as i8).collect();
    assert_ne!(model.run(&input, &[50; 24]).last(), other.run(&input, &[50; 24]).last());
}

/// Runs a model four times and holds every tensor against the specification, right after the operator that writes it.
pub(crate) fn compare_all_tensors(bytes: &[u8], seed: u64) {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let student = Student::parse(bytes).unwrap();
    let model = *student.model();
    let plain = reference::Model::read(bytes).unwrap();
    let mut arena = vec![99; model.arena_bytes()];
    let sources = model.header().source_count();
    // One session runs several times: what is held from one run to the next has to be the same as well.
    let mut session = Session::new(model, &mut arena).unwrap();
    let mut before = plain.zeros();
    for round in 0..4 {
        if round == 3 {
            session.reset();
            before = plain.zeros();
        }
        let is_text = model.input().unwrap().is_text;
        let text = attar::boards::verify::random_samples(bytes, 1, seed + round).unwrap().remove(0).input;
        // Raw values that fill the int8 range and leave it at both ends, and runs of extremes.
        let raw: Vec<f32> = (0..model.input_shape().len())
            .map(|_| match round {
                0 => random.random_range(-20.0..20.0),
                1 => random.random_range(-2.0..2.0),
                _ => {
                    if random.random() {
                        1e6
                    } else {
                        -1e6
                    }
                }
            })
            .collect();
        let raw = if is_text { text } else { raw };
        let known: Vec<Option<f32>> = model
            .facts()
            .map(|fact| {
                let value = match fact.kind {
                    FactKind::Number { .. } if random.random_bool(0.5) => random.random_range(-5.0f32..5.0),
                    FactKind::Number { .. } => random.random_range(-3000.0f32..3000.0),
                    FactKind::Category(category) => random.random_range(0..category.values.len()) as f32,
                    FactKind::Flag => f32::from(u8::from(random.random::<bool>())),
                    FactKind::Gazetteer(_) => 0.0,
                };
                (!fact.is_computed() && random.random_bool(0.7)).then_some(value)
            })
            .collect();
        let mut facts = student.facts();
        for (index, &value) in known.iter().enumerate() {
            facts.set_raw(index, value).unwrap();
        }
        let known = plain.known_facts(&known, &raw);
        let bits = |value: Option<f32>| value.map(f32::to_bits);
        let got: Vec<_> = facts.known(&raw).values().map(bits).collect();
        assert_eq!(got, known.iter().copied().map(bits).collect::<Vec<_>>(), "seed {seed}: computed facts");
        let expected = plain.run_after(&before, &plain.quantize_input(&raw), &plain.quantize_facts(&known));
        before.clone_from(&expected);
        session.load(&raw, &facts).unwrap();
        for tensor in 0..sources {
            assert_eq!(session.values(tensor).unwrap(), expected[usize::from(tensor)], "seed {seed}, source {tensor}");
        }
        for index in 0..model.header().operator_count {
            let step = session.step();
            assert_eq!(step == Step::Done, index + 1 == model.header().operator_count);
            let tensor = sources + index;
            assert_eq!(
                session.values(tensor).unwrap(),
                expected[usize::from(tensor)],
                "seed {seed}, operator {index}: {:?}",
                model.operator(index).map(|operator| operator.kind())
            );
        }
        for (head, answer) in session.outputs().unwrap().heads().zip(plain.answers(&expected)) {
            let Some((class, probability)) = answer else { continue };
            let top = head.top();
            assert_eq!((top.class, top.probability.to_bits()), (class, probability.to_bits()), "seed {seed}");
        }
        let results = plain.head_results(&expected);
        for (head, expected) in session.outputs().unwrap().heads().zip(&results) {
            let bits = |values: &mut dyn Iterator<Item = f32>| values.map(f32::to_bits).collect::<Vec<_>>();
            let got = if head.head().kind == HeadKind::Regression {
                bits(&mut head.values())
            } else {
                bits(&mut head.probabilities())
            };
            assert_eq!(got, bits(&mut expected.iter().copied()), "seed {seed}, head {}", head.head().name);
        }
    }
}

/// The control of the control: the golden model is no constant, whatever its operators saturate.
#[test]
fn outputs_of_the_model_with_everything_depend_on_input_and_facts() {
    let model = reference::Model::read(&models::everything()).unwrap();
    let run = |step: usize, fact: i8| {
        let input: Vec<i8> = (0..70).map(|i| (i * step % 251) as u8 as i8).collect();
        model.run(&input, &[fact; 24])
    };
    let (first, other_input, other_facts) = (run(37, 50), run(91, 50), run(37, -50));
    // Tensors 6, 11 and 12 are what becomes of the facts alone.
    for index in (2..first.len()).filter(|index| ![6, 11, 12].contains(index)) {
        assert_ne!(first[index], other_input[index], "tensor {index} does not depend on the input");
    }
    assert_ne!(first.last(), other_facts.last(), "nothing depends on the facts");
}
