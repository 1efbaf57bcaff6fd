//! The format: golden bytes, round trip, truncations, flips, and files that are broken under a correct checksum.

use std::fs;
use std::sync::LazyLock;

use attar_device::Student;
use attar_shared::{
    Arithmetic, Binary, Defect, Definition, Encoder, FactDefinition, FactKind, Form, HEADER_BYTES, InputDefinition,
    Instruction, Kind, KindDefinition, MAX_CODE, MAX_STACK, MAX_VALUES, Model, ParseError, Unary, WriteError,
};
use attar_tests::definition::{rewritten, with_definition};
use attar_tests::facts::assemble;
use attar_tests::{models, reference, root, with_checksum};

/// The golden file; `./tests/run --overwrite` writes it anew.
fn golden() -> Vec<u8> {
    static GOLDEN: LazyLock<Vec<u8>> = LazyLock::new(|| {
        let golden = read_or_overwrite("everything", &models::everything());
        if std::env::var_os("ATTAR_OVERWRITE").is_some() {
            fs::write(root().join("device/examples/student.attar"), &golden).unwrap();
        }
        golden
    });
    GOLDEN.clone()
}

/// All golden files; the second reads a text, the third and the fourth hear a signal.
fn goldens() -> [Vec<u8>; 4] {
    static TEXT: LazyLock<Vec<u8>> = LazyLock::new(|| read_or_overwrite("text", &models::text()));
    static SIGNAL: LazyLock<Vec<u8>> =
        LazyLock::new(|| read_or_overwrite("signal", &models::signal(Arithmetic::Fixed)));
    static FLOAT: LazyLock<Vec<u8>> =
        LazyLock::new(|| read_or_overwrite("signal-float", &models::signal(Arithmetic::Float)));
    [golden(), TEXT.clone(), SIGNAL.clone(), FLOAT.clone()]
}

fn read_or_overwrite(name: &str, bytes: &[u8]) -> Vec<u8> {
    let path = root().join(format!("tests/golden/{name}.attar"));
    if std::env::var_os("ATTAR_OVERWRITE").is_some() {
        fs::write(&path, bytes).unwrap();
    }
    fs::read(&path).unwrap()
}

#[test]
fn golden_files_are_what_the_writer_writes() {
    let signals = [Arithmetic::Fixed, Arithmetic::Float].map(models::signal);
    let [fixed, float] = signals;
    let written = [models::everything(), models::text(), fixed, float];
    assert!(goldens() == written, "the format changed: raise its version, or run ./tests/run --overwrite");
}

#[test]
fn golden_file_reproduces_its_vectors_from_any_alignment() {
    for (golden, offset) in goldens().iter().flat_map(|golden| (0..8).map(move |offset| (golden, offset))) {
        let mut bytes = vec![0u8; offset];
        bytes.extend(golden);
        let student = Student::parse(&bytes[offset..]).unwrap();
        assert_eq!(student.self_test(&mut vec![17; student.model().arena_bytes()]), Ok(1));
    }
}

#[test]
fn every_truncation_is_refused() {
    for golden in goldens() {
        for len in 0..golden.len() {
            assert!(Model::parse(&golden[..len]).is_err(), "{len} bytes were accepted");
        }
        let longer = [golden.as_slice(), &[0]].concat();
        assert!(matches!(Model::parse(&longer), Err(ParseError::Length { .. })));
    }
    println!("cases: {}", goldens().iter().map(|golden| golden.len() + 1).sum::<usize>());
}

#[test]
fn every_flipped_bit_is_refused() {
    for golden in goldens() {
        for place in 0..golden.len() * 8 {
            let mut bytes = golden.clone();
            bytes[place / 8] ^= 1 << (place % 8);
            assert!(Model::parse(&bytes).is_err(), "bit {place} was flipped and accepted");
        }
    }
    println!("cases: {}", goldens().iter().map(|golden| golden.len() * 8).sum::<usize>());
}

/// Flips bits and mends the checksum: what the parser then accepts has to run, and to say the same as the specification.
#[test]
fn flipped_bits_under_a_right_checksum_are_refused_or_run() {
    let (mut accepted, mut refused) = (0, 0);
    let goldens = goldens();
    for (golden, place) in goldens.iter().flat_map(|golden| (0..(golden.len() - 4) * 8).map(move |p| (golden, p))) {
        let mut bytes = golden.clone();
        bytes[place / 8] ^= 1 << (place % 8);
        let bytes = with_checksum(bytes);
        let Ok(student) = Student::parse(&bytes) else {
            refused += 1;
            continue;
        };
        accepted += 1;
        let mut arena = vec![0; student.model().arena_bytes()];
        let mut session = attar_device::Session::new(*student.model(), &mut arena).unwrap();
        let is_text = student.model().input().unwrap().is_text;
        let step = if is_text { 7.0 } else { 0.1 };
        let input: Vec<f32> = (0..student.model().input_shape().len()).map(|i| i as f32 * step % 128.0 - 3.0).collect();
        // Every fact at its first choice, or a number of its own.
        let mut facts = student.facts();
        let set: Vec<Option<f32>> = student
            .model()
            .facts()
            .enumerate()
            .map(|(index, fact)| match fact.kind {
                _ if fact.is_computed() => None,
                FactKind::Number { .. } => Some(3.0 + index as f32),
                _ => Some(0.0),
            })
            .collect();
        set.iter().enumerate().for_each(|(index, &value)| facts.set_raw(index, value).unwrap());
        session.run(&input, &facts).unwrap();
        if place % 16 == 0 {
            let model = reference::Model::read(&bytes).unwrap();
            let known = model.known_facts(&set, &input);
            let tensors = model.run(&model.quantize_input(&input), &model.quantize_facts(&known));
            for head in session.outputs().unwrap().heads() {
                assert_eq!(head.quantized(), tensors[usize::from(head.head().tensor)], "bit {place}");
            }
        }
    }
    assert!(accepted > 1000 && refused > 1000, "{accepted} accepted, {refused} refused");
    println!("cases: {}", accepted + refused);
}

#[test]
fn what_is_parsed_is_written_to_the_same_bytes() {
    for golden in goldens() {
        assert_eq!(rewritten(&golden), golden);
    }
    for seed in 0..50 {
        let bytes = models::random(seed);
        assert_eq!(rewritten(&bytes), bytes, "seed {seed}");
    }
}

#[test]
fn each_broken_rule_is_named() {
    let golden = golden();
    let header = Model::parse(&golden).unwrap().header();
    let operators = HEADER_BYTES + (header.input_len + header.facts_len + header.heads_len) as usize;
    let tensors = operators + 32 * usize::from(header.operator_count);
    let tests = golden.len() - 4 - header.tests_len as usize;
    let facts = HEADER_BYTES + header.input_len as usize;
    let heads = facts + header.facts_len as usize;
    let weights = tensors + 20 * usize::from(header.tensor_count);
    let model = Model::parse(&golden).unwrap();
    let fact = |index: usize| model.facts().nth(index).unwrap();
    let place = |start: *const u8| start as usize - golden.as_ptr() as usize;
    let start_of = |index: usize| place(fact(index).name.as_ptr()) - 5;
    let code_of = |index: usize| place(fact(index).code.bytes().as_ptr());
    let end_of_code = |index: usize| code_of(index) + fact(index).code.bytes().len();
    // Behind name, unit, and the names of the values, each with its length.
    let table_of = |index: usize| {
        let FactKind::Category(category) = fact(index).kind else { panic!("fact {index} is no category") };
        let values: usize = category.values.iter().map(|value| value.len() + 1).sum();
        start_of(index) + 4 + 1 + fact(index).name.len() + 1 + fact(index).unit.len() + 2 + values + 1
    };
    let values_of = |index: usize| {
        let FactKind::Category(category) = fact(index).kind else { panic!("fact {index} is no category") };
        category.values.iter().map(|value| value.len() + 1).sum::<usize>()
    };
    let cases: Vec<(&str, usize, Vec<u8>, ParseError)> = vec![
        ("a signature of no kind", 6, vec![2], ParseError::Header(Defect::Unused)),
        ("a signature that is not there", 6, vec![1], ParseError::Header(Defect::Truncated)),
        ("an arena that is too large", 12, vec![0, 0, 1, 0], ParseError::Header(Defect::Arena)),
        ("a wrong operator set", 16, vec![0], ParseError::Header(Defect::Count)),
        ("an operator that this version does not know", 18, vec![1], ParseError::Header(Defect::Unknown)),
        ("a stage that this version does not know", 26, vec![1], ParseError::Header(Defect::Unknown)),
        ("an encoder that this version does not know", 31, vec![0x80], ParseError::Header(Defect::Unknown)),
        ("a front-end that is not there", 24, vec![1], ParseError::Header(Defect::Count)),
        ("wrong MACs", 32, vec![0], ParseError::Header(Defect::Count)),
        ("wrong work", 36, vec![0; 4], ParseError::Header(Defect::Count)),
        ("no operators", 40, vec![0, 0], ParseError::Header(Defect::Count)),
        ("more tensors than there may be", 40, vec![255, 0], ParseError::Header(Defect::Count)),
        ("too many facts", 42, vec![33], ParseError::Header(Defect::Count)),
        ("too many heads", 43, vec![9], ParseError::Header(Defect::Count)),
        ("a section that is not aligned", 44, vec![header.input_len as u8 + 1], ParseError::Header(Defect::Offset)),
        ("an empty input name", HEADER_BYTES, vec![0], ParseError::Input(Defect::EmptyName)),
        ("a mask that is neither 0 nor 1", facts, vec![2], ParseError::Fact(0, Defect::Unused)),
        ("a fact of no kind", facts + 4, vec![9], ParseError::Fact(0, Defect::Kind)),
        ("an encoder of no kind", facts + 5, vec![7], ParseError::Fact(0, Defect::Encoder)),
        ("a name that is not UTF-8", facts + 9, vec![0xff], ParseError::Fact(0, Defect::Utf8)),
        ("a deviation of zero", facts + 22, vec![0; 4], ParseError::Fact(0, Defect::EncoderRange)),
        ("a least above the greatest", facts + 29, vec![0x7f], ParseError::Fact(0, Defect::EncoderRange)),
        ("a category that is computed", start_of(2) + 2, vec![1], ParseError::Fact(2, Defect::Code)),
        ("a table with another NaN", table_of(2) + 12, vec![1], ParseError::Fact(2, Defect::NotFinite)),
        ("a logarithm of what is below 0", start_of(4) + 23, vec![0xbf], ParseError::Fact(4, Defect::EncoderRange)),
        ("an instruction of no kind", code_of(8), vec![99], ParseError::Fact(8, Defect::Code)),
        ("a fact that is computed from itself", code_of(8) + 1, vec![8], ParseError::Fact(8, Defect::Code)),
        ("a column of what is no category", code_of(8) + 3, vec![0], ParseError::Fact(8, Defect::Code)),
        ("a column that is not there", code_of(8) + 4, vec![2], ParseError::Fact(8, Defect::Code)),
        ("a constant that is not finite", code_of(9) + 5, vec![0x80, 0x7f], ParseError::Fact(9, Defect::NotFinite)),
        ("an input that is not there", end_of_code(8) - 3, vec![70], ParseError::Fact(8, Defect::Code)),
        ("a stack that runs empty", code_of(9) + 2, vec![16; 5], ParseError::Fact(9, Defect::Stack)),
        ("bytes beside the mask", facts + 2, vec![1], ParseError::Fact(0, Defect::Padding)),
        ("a period with a second constant", start_of(5) + 19, vec![1], ParseError::Fact(5, Defect::Unused)),
        ("a period below 0", start_of(5) + 16, vec![0xc3], ParseError::Fact(5, Defect::EncoderRange)),
        (
            "a category without values",
            table_of(2) - 1 - values_of(2) - 2,
            vec![0, 0],
            ParseError::Fact(2, Defect::Count),
        ),
        ("a stack with something left on it", end_of_code(9) - 1, vec![40], ParseError::Fact(9, Defect::Stack)),
        ("a head of no kind", heads, vec![4], ParseError::Head(0, Defect::Kind)),
        ("a head without a tensor", heads + 2, vec![99, 0], ParseError::Head(0, Defect::InputIndex)),
        ("an operator of no kind", operators, vec![14], ParseError::Operator(0, Defect::Kind)),
        ("weights of no form", operators + 1, vec![0x31], ParseError::Operator(0, Defect::Kind)),
        ("weights in rows of a convolution", operators + 1, vec![0x21], ParseError::Operator(0, Defect::Kind)),
        ("a form of depthwise", operators + 33, vec![0x11], ParseError::Operator(1, Defect::Kind)),
        ("three inputs for a convolution", operators + 1, vec![3], ParseError::Operator(0, Defect::Count)),
        ("an addend of another shape", operators + 1, vec![2], ParseError::Operator(0, Defect::Shape)),
        ("a clamp the wrong way round", operators + 2, vec![127, 128], ParseError::Operator(0, Defect::Clamp)),
        ("an operator that reads itself", operators + 4, vec![2], ParseError::Operator(0, Defect::InputIndex)),
        ("an unused input that is set", operators + 6, vec![1], ParseError::Operator(0, Defect::Unused)),
        ("a stride of zero", operators + 16, vec![0, 0], ParseError::Operator(0, Defect::Window)),
        ("a dilation of zero", operators + 20, vec![0, 0], ParseError::Operator(0, Defect::Window)),
        ("padding beyond the kernel", operators + 24, vec![3, 0], ParseError::Operator(0, Defect::Window)),
        ("parameters elsewhere", operators + 28, vec![4], ParseError::Operator(0, Defect::Padding)),
        ("parameters outside", operators + 28, vec![255; 4], ParseError::Operator(0, Defect::Offset)),
        ("a multiplier below 2^30", weights + 24, vec![0; 4], ParseError::Operator(0, Defect::Multiplier)),
        ("a negative multiplier", weights + 27, vec![0xff], ParseError::Operator(0, Defect::Multiplier)),
        ("a shift of zero", weights + 48, vec![0], ParseError::Operator(0, Defect::Shift)),
        ("a shift of 32", weights + 48, vec![32], ParseError::Operator(0, Defect::Shift)),
        ("padding that is not zero", weights + 54, vec![1], ParseError::Operator(0, Defect::Padding)),
        ("a raised weight of -128", weights + 56, vec![0], ParseError::Operator(0, Defect::Weight)),
        ("a weight of -128", weights + 57, vec![0x80], ParseError::Operator(0, Defect::Weight)),
        // Four rows of 18 taps are a block; two are left over. Then come the constants of the depthwise convolution.
        ("-128 in a row of no block", weights + 56 + 72, vec![0x80], ParseError::Operator(0, Defect::Weight)),
        ("a depthwise weight of -128", weights + 56 + 108 + 56, vec![0x80], ParseError::Operator(1, Defect::Weight)),
        (
            "an accumulator that overflows",
            weights,
            vec![0xff, 0xff, 0xff, 0x7f],
            ParseError::Operator(0, Defect::Overflow),
        ),
        ("an accumulator that underflows", weights, vec![0, 0, 0, 0x80], ParseError::Operator(0, Defect::Overflow)),
        ("a dimension of zero", tensors + 40, vec![0, 0], ParseError::Operator(0, Defect::ZeroDimension)),
        ("a scale of zero", tensors + 20 + 8, vec![0; 4], ParseError::Tensor(1, Defect::Scale)),
        ("a scale that is NaN", tensors + 20 + 8, vec![0, 0, 0xc0, 0x7f], ParseError::Tensor(1, Defect::Scale)),
        ("a source that is held", tensors + 7, vec![1], ParseError::Tensor(0, Defect::LastUse)),
        ("an offset that is too great", tensors + 12, vec![4, 0, 0, 0x80], ParseError::Tensor(0, Defect::Offset)),
        ("neither held nor not", tensors + 7, vec![2], ParseError::Tensor(0, Defect::Unused)),
        ("a last use that is not the last", tensors + 16, vec![1, 0], ParseError::Tensor(0, Defect::LastUse)),
        ("tests that are too many", tests, vec![9, 0, 0, 0], ParseError::Tests(Defect::Truncated)),
        ("tests that are too few", tests, vec![0; 4], ParseError::Tests(Defect::Padding)),
    ];
    println!("cases: {}", cases.len());
    let mut wrong = Vec::new();
    for (what, at, patch, expected) in cases {
        let mut bytes = golden.clone();
        bytes[at..at + patch.len()].copy_from_slice(&patch);
        assert_ne!(bytes, golden, "{what}: the patch changes nothing");
        let got = Model::parse(&with_checksum(bytes)).map(|_| ());
        if got != Err(expected) {
            wrong.push(format!("{what}: {got:?}, expected {expected:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Weights of a dense layer in rows, which no golden file has.
#[test]
fn rows_of_a_dense_layer_have_no_weight_of_minus_128() {
    let bytes = models::dense(3);
    let model = Model::parse(&bytes).unwrap();
    let first = model.operator(0).unwrap();
    assert_eq!((first.kind(), first.form()), (Kind::Dense, Form::Int8Rows));
    let header = model.header();
    let (tensors, operators) = (usize::from(header.tensor_count), usize::from(header.operator_count));
    let weights = HEADER_BYTES
        + (header.input_len + header.facts_len + header.heads_len) as usize
        + 32 * operators
        + 20 * tensors
        + (first.parameters_range().0 as usize)
        + (9 * usize::from(model.tensor(first.output).unwrap().shape.channels)).next_multiple_of(4);
    let rows = first.channels.weights.bytes();
    assert_eq!(bytes[weights..][..rows.len()], *rows);
    for at in [0, rows.len() / 2, rows.len() - 1] {
        let mut broken = bytes.clone();
        broken[weights + at] = 0x80;
        let refused = Model::parse(&with_checksum(broken)).map(|_| ());
        assert_eq!(refused, Err(ParseError::Operator(0, Defect::Weight)), "weight {at}");
    }
}

/// What one flipped byte does not reach: limits of the code, names that differ, lists of a category.
#[test]
fn facts_that_break_a_limit_are_refused() {
    let golden = golden();
    let model = Model::parse(&golden).unwrap();
    let constants = |count: usize| {
        let (one, add) = (Instruction::Constant(1.0), Instruction::Binary(Binary::Add));
        assemble(&[vec![one; count], vec![add; count - 1]].concat())
    };
    let negated =
        |count| assemble(&[vec![Instruction::Fact(0)], vec![Instruction::Unary(Unary::Negate); count]].concat());
    let codes = [constants(MAX_STACK), constants(MAX_STACK + 1), negated(MAX_CODE - 2), negated(MAX_CODE - 1)];
    let names: Vec<String> = (0..=MAX_VALUES).map(|value| value.to_string()).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    with_definition(&model, |definition| {
        let own = |index: usize| definition.facts[index];
        let write = |index: usize, fact| {
            let mut facts = definition.facts.to_vec();
            facts[index] = fact;
            let mut buffer = vec![0; golden.len() + 8192];
            Definition { facts: &facts, ..*definition }.write(&mut buffer).map(|_| ())
        };
        let invalid = |index, defect| Err(WriteError::Invalid(ParseError::Fact(index, defect)));
        for (code, expected) in
            codes.iter().zip([Ok(()), invalid(8, Defect::Stack), Ok(()), invalid(8, Defect::TooLarge)])
        {
            assert_eq!(write(8, FactDefinition { code, ..own(8) }), expected);
        }
        assert_eq!(write(1, FactDefinition { name: "rpm", ..own(1) }), invalid(1, Defect::Duplicate));
        assert_eq!(write(3, FactDefinition { encoder: Encoder::OneHot, ..own(3) }), invalid(3, Defect::Encoder));
        let category = |values| KindDefinition::Category { values, columns: &[] };
        let one = FactDefinition { kind: category(&["x"]), ..own(6) };
        assert_eq!(write(6, one), Err(WriteError::Length { expected: 3, got: 6 }));
        let many = FactDefinition { kind: category(&names), ..own(2) };
        assert_eq!(write(2, many), invalid(2, Defect::Count));
    });
}

#[test]
fn tensors_that_live_together_and_overlap_are_refused() {
    let golden = golden();
    let model = Model::parse(&golden).unwrap();
    let header = model.header();
    let tensors = HEADER_BYTES
        + (header.input_len + header.facts_len + header.heads_len) as usize
        + 32 * usize::from(header.operator_count);
    let (mut overlaps, mut apart) = (0, 0);
    for index in 1..usize::from(header.tensor_count) {
        let mut bytes = golden.clone();
        // Every tensor at the start of the arena: the input or a neighbour is alive there.
        bytes[tensors + 20 * index + 12..][..4].fill(0);
        let bytes = with_checksum(bytes);
        match Model::parse(&bytes) {
            Err(ParseError::Tensor(_, Defect::Overlap)) => overlaps += 1,
            // Without the tensor that reached its end the arena is larger than it has to be.
            Err(ParseError::Header(Defect::Arena)) => {}
            // Nothing that is alive was there: the values are the same as before.
            Ok(_) => {
                crate::parity::compare_all_tensors(&bytes, index as u64);
                apart += 1;
            }
            other => panic!("tensor {index}: {other:?}"),
        }
    }
    println!("tensors: {overlaps} refused, {apart} accepted");
    assert!(overlaps >= 5, "{overlaps} overlaps were found");
}

/// An output that begins within its input is as close as its window allows: four bytes closer it is refused as an overlap with its
/// input. Few have room left there, since a later tensor is in the way.
#[test]
fn outputs_closer_to_their_inputs_than_their_windows_allow_are_refused() {
    let (mut close, mut crowded) = (0, 0);
    for seed in 0..400 {
        let bytes = models::random(seed);
        let model = Model::parse(&bytes).unwrap();
        let header = model.header();
        let sources = header.source_count();
        let places = HEADER_BYTES
            + (header.input_len + header.facts_len + header.heads_len) as usize
            + 32 * usize::from(header.operator_count)
            + 12;
        for operator in model.operators() {
            let (input, output) = (operator.inputs()[0], operator.output);
            let (from, to) = (model.tensor(input).unwrap(), model.tensor(output).unwrap());
            let apart = from.offset >= to.end() || to.offset >= from.end();
            // An output in the very place of its input can come no closer.
            if apart || from.last_use != output - sources || to.offset == from.offset {
                continue;
            }
            let closer = if to.offset < from.offset { to.offset + 4 } else { to.offset - 4 };
            let mut other = bytes.clone();
            other[places + 20 * usize::from(output)..][..4].copy_from_slice(&closer.to_le_bytes());
            // Of two tensors that overlap, the error names the later one.
            match Model::parse(&with_checksum(other)) {
                Err(ParseError::Tensor(index, Defect::Overlap)) if index == output => close += 1,
                Err(ParseError::Tensor(index, Defect::Overlap)) if index > output => crowded += 1,
                other => panic!("seed {seed}, operator {}: {other:?}", output - sources),
            }
        }
    }
    println!("outputs: {close} as close as they may be, {crowded} with another tensor in the way");
    assert!(close > 100 && crowded * 6 < close, "{close} are as close as they may be, {crowded} are not");
}

#[test]
fn writer_refuses_what_the_parser_would() {
    let bytes = golden();
    let model = Model::parse(&bytes).unwrap();
    let mut small = vec![0; 10];
    with_definition(&model, |definition| {
        assert_eq!(definition.write(&mut small), Err(WriteError::BufferTooSmall { needed: bytes.len(), got: 10 }));
        let long = "x".repeat(256);
        let input = InputDefinition { name: &long, ..definition.input };
        assert_eq!(Definition { input, ..*definition }.encoded_len(), Err(WriteError::LongName { len: 256 }));
        let wrong = Definition { macs: 1, ..*definition };
        let mut buffer = vec![0; bytes.len()];
        assert_eq!(wrong.write(&mut buffer), Err(WriteError::Invalid(ParseError::Header(Defect::Count))));
    });
}

#[test]
fn texts_that_break_a_rule_are_refused() {
    let golden = &goldens()[1];
    let model = Model::parse(golden).unwrap();
    with_definition(&model, |definition| {
        let own = definition.facts[0];
        let write = |changed: &Definition<'_>| {
            let mut buffer = vec![0; golden.len() + 1024];
            changed.write(&mut buffer).map(|_| ())
        };
        let with_fact =
            |fact| write(&Definition { facts: &[fact, definition.facts[1], definition.facts[2]], ..*definition });
        let invalid = |error| Err(WriteError::Invalid(error));
        let fact = |defect| invalid(ParseError::Fact(0, defect));
        let gazetteer = |words, entries| KindDefinition::Gazetteer { features: &["county", "city"], words, entries };
        for (kind, expected) in [
            (gazetteer(3, &[]), Ok(())),
            (gazetteer(3, &[(5, 1), (6, 3)]), Ok(())),
            (gazetteer(3, &[(6, 1), (5, 3)]), fact(Defect::Order)),
            (gazetteer(3, &[(5, 1), (5, 3)]), fact(Defect::Order)),
            (gazetteer(3, &[(5, 0)]), fact(Defect::Unused)),
            (gazetteer(3, &[(5, 4)]), fact(Defect::Unused)),
            (gazetteer(0, &[]), fact(Defect::Count)),
            (gazetteer(5, &[]), fact(Defect::Count)),
            (KindDefinition::Gazetteer { features: &[], words: 1, entries: &[] }, fact(Defect::Count)),
            // Nothing depends on names of a list that differ.
            (KindDefinition::Gazetteer { features: &["x", "x"], words: 1, entries: &[] }, Ok(())),
        ] {
            assert_eq!(with_fact(FactDefinition { kind, ..own }), expected, "{kind:?}");
        }
        assert_eq!(with_fact(FactDefinition { encoder: Encoder::Flag, ..own }), fact(Defect::Encoder));
        assert_eq!(with_fact(FactDefinition { code: &[0, 0, 0, 0, 0], ..own }), fact(Defect::Code));
        let byte = assemble(&[Instruction::Input(0)]);
        let facts = [own, definition.facts[1], FactDefinition { code: &byte, ..definition.facts[2] }];
        let changed = Definition { facts: &facts, ..*definition };
        assert_eq!(write(&changed), invalid(ParseError::Fact(2, Defect::Code)), "a text has no values by place");

        let input = |input| write(&Definition { input, ..*definition });
        let text = definition.input;
        let expected = |defect| invalid(ParseError::Input(defect));
        assert_eq!(input(InputDefinition { gains: &[2.0], ..text }), expected(Defect::Quantization));
        assert_eq!(input(InputDefinition { offsets: &[-0.0], ..text }), expected(Defect::Quantization));
        assert_eq!(input(InputDefinition { channels: &["byte"], ..text }), expected(Defect::Shape));
        assert_eq!(input(InputDefinition { is_text: false, ..text }), fact(Defect::Kind), "numbers have no words");

        // Numbers of the same widths in the places of the gazetteers: what is left is a bag that reads numbers.
        let number = KindDefinition::Number { least: 0.0, greatest: 1.0 };
        let periodic = Encoder::Number(attar_shared::Scaling::Periodic { period: 1.0 });
        let facts = [
            FactDefinition { kind: number, encoder: periodic, ..own },
            FactDefinition { kind: number, encoder: Encoder::None, ..definition.facts[1] },
            FactDefinition { code: &[], ..definition.facts[2] },
        ];
        let changed = Definition { input: InputDefinition { is_text: false, ..text }, facts: &facts, ..*definition };
        assert_eq!(write(&changed), invalid(ParseError::Operator(0, Defect::Kind)), "a bag reads texts");

        let bag = definition.operators[0];
        for (place, patch, defect) in [
            (0, vec![0; 4], Defect::TooLarge),
            (4, vec![0], Defect::Window),
            (4, vec![5], Defect::Window),
            (5, vec![9], Defect::Window),
            (6, vec![5], Defect::Window),
            (4, vec![0; 3], Defect::Window),
            (7, vec![1], Defect::Padding),
            (8, vec![0; 4], Defect::Multiplier),
            (12, vec![32], Defect::Shift),
            (13, vec![1], Defect::Padding),
        ] {
            let mut parameters = bag.parameters.to_vec();
            parameters[place..place + patch.len()].copy_from_slice(&patch);
            let mut operators = definition.operators.to_vec();
            operators[0].parameters = &parameters;
            let got = write(&Definition { operators: &operators, ..*definition });
            assert_eq!(got, invalid(ParseError::Operator(0, defect)), "byte {place}: {patch:?}");
        }
        let mut operators = definition.operators.to_vec();
        operators[0].clamp.min = 0;
        let got = write(&Definition { operators: &operators, ..*definition });
        assert_eq!(got, invalid(ParseError::Operator(0, Defect::Unused)), "a bag has no clamp");
    });
}
