//! What shared/README.md says beside the layout of the file: each sentence here holds for the parser and for the second
//! implementation.

use std::fs;

use attar::signal::Extractor;
use attar_device::{Session, Student};
use attar_shared::{
    Arithmetic, Binary, Defect, Definition, Encoder, FactDefinition, HEADER_BYTES, HeadDefinition, HeadKind,
    Instruction, Kind, KindDefinition, Model, ParseError, Unary, WriteError,
};
use attar_tests::definition::with_definition;
use attar_tests::facts::assemble;
use attar_tests::{crc32, models, reference, root, with_checksum};

/// Both implementations refuse a file, and neither panics.
fn refused(bytes: &[u8], what: &str) -> ParseError {
    let Err(error) = Model::parse(bytes) else { panic!("{what}: the parser accepts it") };
    assert!(reference::Model::read(bytes).is_err(), "{what}: the second implementation accepts it");
    error
}

fn patched(file: &[u8], at: usize, patch: &[u8]) -> Vec<u8> {
    let mut bytes = file.to_vec();
    bytes[at..at + patch.len()].copy_from_slice(patch);
    assert_ne!(bytes, file, "the patch changes nothing");
    with_checksum(bytes)
}

/// Where a part of a file stands in it.
fn place(file: &[u8], part: *const u8) -> usize {
    part as usize - file.as_ptr() as usize
}

fn written(definition: &Definition<'_>) -> Result<Vec<u8>, WriteError> {
    let mut bytes = vec![0; definition.encoded_len()?];
    definition.write(&mut bytes)?;
    Ok(bytes)
}

/// The versions whose bits the format promises are the same in the specification, in the crates, and in every lock.
#[test]
fn libraries_that_decide_bits_have_exact_versions() {
    let read = |path: &str| fs::read_to_string(root().join(path)).unwrap();
    let specification = read("shared/README.md");
    for (name, version) in [("libm", "0.2.16"), ("micromath", "2.1.0"), ("microfft", "0.6.0")] {
        assert!(specification.contains(&format!("{name} {version}")), "the specification does not name {name}");
        let mut crates = 0;
        for manifest in ["device/Cargo.toml", "host/Cargo.toml", "tests/spec/Cargo.toml"] {
            let manifest: toml::Table = read(manifest).parse().unwrap();
            let Some(dependency) = manifest["dependencies"].get(name) else { continue };
            let asked = dependency.as_str().or_else(|| dependency["version"].as_str()).unwrap();
            assert_eq!(asked, format!("={version}"), "{name}");
            crates += 1;
        }
        assert!(crates > 0, "no crate has {name}");
        for lock in
            ["Cargo.lock", "device/firmware/Cargo.lock", "host/page/student/Cargo.lock", "tests/fuzz/Cargo.lock"]
        {
            let lock: toml::Table = read(lock).parse().unwrap();
            let locked =
                lock["package"].as_array().unwrap().iter().filter(|package| package["name"].as_str() == Some(name));
            let versions: Vec<_> = locked.map(|package| package["version"].as_str().unwrap()).collect();
            assert_eq!(versions, [version], "{name}");
        }
    }
}

/// The bits themselves: another version of a library that rounds otherwise is seen here, whatever its number.
#[test]
fn features_in_floats_have_the_bits_that_are_written_down() {
    let golden = fs::read(root().join("tests/golden/signal-float.attar")).unwrap();
    let record = Model::parse(&golden).unwrap().input().unwrap().signal.unwrap().to_vec();
    let mut state = 1u32;
    let samples: Vec<i16> = (0..4_000)
        .map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 16) as i16 / 4
        })
        .collect();
    let features = Extractor::new(record).unwrap().features(&samples).unwrap();
    assert!(features.len() > 500 && features.iter().all(|feature| feature.is_finite()));
    let bytes: Vec<u8> = features.iter().flat_map(|feature| feature.to_le_bytes()).collect();
    assert_eq!(crc32(&bytes), FEATURES, "{:08x}", crc32(&bytes));
}

const FEATURES: u32 = 0x4a04_ac84;

/// Bytes that are no UTF-8, in every string of a file.
#[test]
fn strings_are_utf8() {
    let mut strings = 0;
    for golden in [models::everything(), models::text(), models::signal(Arithmetic::Fixed)] {
        let model = Model::parse(&golden).unwrap();
        let mut parts = Vec::new();
        let input = model.input().unwrap();
        parts.push(input.name);
        parts.extend(input.channels.iter());
        for fact in model.facts() {
            parts.extend([fact.name, fact.unit]);
            match fact.kind {
                attar_shared::FactKind::Category(category) => parts.extend(category.values.iter()),
                attar_shared::FactKind::Gazetteer(gazetteer) => parts.extend(gazetteer.features.iter()),
                _ => {}
            }
        }
        for head in model.heads() {
            parts.push(head.name);
            parts.extend(head.labels.iter());
        }
        for part in parts.into_iter().filter(|part| !part.is_empty()) {
            let error = refused(&patched(&golden, place(&golden, part.as_ptr()), &[0xff]), part);
            let defect = match error {
                ParseError::Input(defect) | ParseError::Fact(_, defect) | ParseError::Head(_, defect) => defect,
                other => panic!("{part}: {other}"),
            };
            assert_eq!(defect, Defect::Utf8, "{part}");
            strings += 1;
        }
    }
    assert!(strings > 40, "{strings}");
}

/// Every code that has a table, at the first value behind it and at the last of a byte.
#[test]
fn codes_that_are_not_listed_are_refused() {
    let everything = models::everything();
    let model = Model::parse(&everything).unwrap();
    let header = model.header();
    let facts = HEADER_BYTES + header.input_len as usize;
    let heads = facts + header.facts_len as usize;
    let operators = heads + header.heads_len as usize;
    let kind_of_input = place(&everything, model.input().unwrap().name.as_ptr()) + model.input().unwrap().name.len();
    let code = place(&everything, model.facts().nth(8).unwrap().code.bytes().as_ptr());
    for (what, at, first) in [
        ("version", 4, 2),
        ("signature", 6, 2),
        ("input", kind_of_input, 3),
        ("mask", facts, 2),
        ("fact", facts + 4, 4),
        ("encoder", facts + 5, 9),
        ("head", heads, 4),
        ("operator", operators, 14),
        ("instruction", code, 4),
        ("instruction", code, 27),
        ("instruction", code, 41),
        ("instruction", code, 49),
        ("held", operators + 32 * usize::from(header.operator_count) + 7, 2),
    ] {
        for kind in [first, 255] {
            refused(&patched(&everything, at, &[kind]), what);
        }
    }
    for arithmetic in [Arithmetic::Fixed, Arithmetic::Float] {
        let file = models::signal(arithmetic);
        let signal = Model::parse(&file).unwrap().signal().unwrap();
        let start = place(&file, signal.bytes.as_ptr());
        let stages = start + 44;
        // The blocks end the record; the first has statistics and four bytes.
        let blocks = stages + 24 * signal.stages().len();
        let tables = signal.taper.len().next_multiple_of(4) + signal.sine.len().next_multiple_of(4);
        let blocks = blocks + tables;
        assert_eq!(file[blocks..blocks + 2], [1, 127]);
        for (what, at, first) in [
            ("arithmetic", start, 2),
            ("flags", start + 16, 4),
            ("stage", stages, 3),
            ("block", blocks, 4),
            ("detail of statistics", blocks + 1, 128),
            ("detail of a spectrum", blocks + 5, 2),
        ] {
            for kind in [first, 255] {
                refused(&patched(&file, at, &[kind]), what);
            }
        }
    }
}

/// -0 where a rule asks for 0 or for a number from 0 on: a file has one encoding.
#[test]
fn minus_zero_is_refused_where_zero_is_meant() {
    let minus = (-0.0f32).to_le_bytes();
    let file = models::signal(Arithmetic::Float);
    let start = place(&file, Model::parse(&file).unwrap().signal().unwrap().bytes.as_ptr());
    for (what, at) in [("follow", 20), ("off", 40)] {
        assert_eq!(refused(&patched(&file, start + at, &minus), what), ParseError::Input(Defect::NotFinite));
    }
    let text = models::text();
    let input = Model::parse(&text).unwrap().input().unwrap();
    let offset = place(&text, input.name.as_ptr()) + input.name.len() + 1 + 2 + 4;
    assert_eq!(Model::parse(&patched(&text, offset, &minus)).map(|_| ()), Err(ParseError::Input(Defect::Quantization)));
    let everything = models::everything();
    let model = Model::parse(&everything).unwrap();
    for (index, second) in [(5, 4), (7, 0), (7, 4)] {
        let fact = model.facts().nth(index).unwrap();
        let constants = place(&everything, fact.unit.as_ptr()) + fact.unit.len();
        let changed = patched(&everything, constants + second, &minus);
        assert_eq!(Model::parse(&changed).map(|_| ()), Err(ParseError::Fact(index as u16, Defect::Unused)));
    }
}

/// A model of numbers, with facts and code of the test's own behind one input value.
fn with_facts(facts: &[FactDefinition<'_>]) -> Result<Vec<u8>, WriteError> {
    let bytes = models::everything();
    let model = Model::parse(&bytes).unwrap();
    with_definition(&model, |definition| {
        let mut all = definition.facts.to_vec();
        all.splice(7..8, [FactDefinition { encoder: Encoder::None, ..facts[0] }]);
        all.splice(8..9, [FactDefinition { encoder: all[8].encoder, ..facts[1] }]);
        // What the last fact reads is another fact now.
        let last = assemble(&[Instruction::Fact(7)]);
        all[9] = FactDefinition { code: &last, ..all[9] };
        written(&Definition { facts: &all, tests: &[], ..*definition })
    })
}

/// What both implementations know of the facts, as bits, when fact 7 is set and the others are missing.
fn known(bytes: &[u8], value: f32) -> Vec<Option<f32>> {
    let student = Student::parse(bytes).unwrap();
    let input = vec![0.0; student.model().input_shape().len()];
    let mut facts = student.facts();
    facts.set_raw(7usize, Some(value)).unwrap();
    let known: Vec<Option<f32>> = facts.known(&input).values().collect();
    let plain = reference::Model::read(bytes).unwrap();
    let mut set = vec![None; known.len()];
    set[7] = Some(value);
    let other = plain.known_facts(&set, &input);
    let bits = |values: &[Option<f32>]| values.iter().map(|value| value.map(f32::to_bits)).collect::<Vec<_>>();
    assert_eq!(bits(&known), bits(&other));
    let mut arena = vec![0; student.model().arena_bytes()];
    let mut session = Session::new(*student.model(), &mut arena).unwrap();
    session.load(&input, &facts).unwrap();
    assert_eq!(session.values(1).unwrap(), plain.quantize_facts(&other));
    known
}

const NUMBER: KindDefinition<'_> = KindDefinition::Number { least: 0.0, greatest: 1.0 };

fn fact<'a>(name: &'a str, code: &'a [u8]) -> FactDefinition<'a> {
    FactDefinition { name, unit: "", kind: NUMBER, encoder: Encoder::None, code }
}

/// Code reads a number as it was set; only the encoder limits it.
#[test]
fn code_reads_numbers_that_are_not_limited() {
    let code = assemble(&[Instruction::Fact(7)]);
    let bytes = with_facts(&[fact("set", &[]), fact("read", &code)]).unwrap();
    for value in [-7.5, -0.0, 0.0, 0.5, 1.0, 12.0, 1e30] {
        assert_eq!(known(&bytes, value)[8].map(f32::to_bits), Some(f32::to_bits(value)));
    }
}

/// Of 0 and -0 neither is the lesser: the first is given; their quotients are missing alike.
#[test]
fn of_equal_numbers_the_first_is_given() {
    let zero = |sign: f32| Instruction::Constant(0.0f32.copysign(sign));
    for (operation, signs) in [(Binary::Minimum, [1.0, -1.0]), (Binary::Maximum, [-1.0, 1.0])] {
        let code = assemble(&[zero(signs[0]), zero(signs[1]), Instruction::Binary(operation)]);
        let bytes = with_facts(&[fact("set", &[]), fact("read", &code)]).unwrap();
        assert_eq!(known(&bytes, 0.0)[8].map(f32::to_bits), Some(0.0f32.copysign(signs[0]).to_bits()));
    }
    let code = assemble(&[Instruction::Constant(1.0), Instruction::Fact(7), Instruction::Binary(Binary::Divide)]);
    let bytes = with_facts(&[fact("set", &[]), fact("read", &code)]).unwrap();
    assert_eq!([known(&bytes, 0.0)[8], known(&bytes, -0.0)[8]], [None, None]);
    let code = assemble(&[Instruction::Fact(7), Instruction::Unary(Unary::Not)]);
    let bytes = with_facts(&[fact("set", &[]), fact("read", &code)]).unwrap();
    assert_eq!([known(&bytes, 0.0)[8], known(&bytes, -0.0)[8]], [Some(1.0); 2]);
}

/// A missing fact is the zero point in each of its values, an embedding too, and so is its value of the mask.
#[test]
fn missing_facts_are_zero_points() {
    let bytes = models::everything();
    let student = Student::parse(&bytes).unwrap();
    let model = student.model();
    let zero = model.tensor(1).unwrap().quantization.zero_point;
    let input = vec![0.0; model.input_shape().len()];
    let mut arena = vec![0; model.arena_bytes()];
    let mut session = Session::new(*model, &mut arena).unwrap();
    session.load(&input, &student.facts()).unwrap();
    // The last two facts are computed from others, which are missing.
    assert_eq!(session.values(1).unwrap(), vec![zero; model.facts_len()]);
    let plain = reference::Model::read(&bytes).unwrap();
    let unknown = plain.known_facts(&vec![None; plain.facts.len()], &input);
    assert_eq!(plain.quantize_facts(&unknown), vec![zero; model.facts_len()]);
    // The control: an embedding that is known is its row.
    let mut facts = student.facts();
    facts.choose("site", "b").unwrap();
    session.load(&input, &facts).unwrap();
    assert_ne!(session.values(1).unwrap(), vec![zero; model.facts_len()]);
}

/// The most that gains and offsets may be, on the widest scale: results are finite, and one step more is refused.
#[test]
fn results_of_regressions_are_finite() {
    let bytes = models::everything();
    let model = Model::parse(&bytes).unwrap();
    let index = model.heads().position(|head| head.kind == HeadKind::Regression).unwrap();
    let tensor = model.heads().nth(index).unwrap().tensor;
    let above = |value: f32| f32::from_bits(value.to_bits() + 1);
    let (gain, offset) = (2f32.powi(54), 2f32.powi(126));
    with_definition(&model, |definition| {
        let write = |gains: &[f32], offsets: &[f32]| {
            let mut heads: Vec<HeadDefinition<'_>> = definition.heads.to_vec();
            heads[index] = HeadDefinition { gains, offsets, ..heads[index] };
            let mut tensors = definition.tensors.to_vec();
            tensors[usize::from(tensor)].quantization.scale = 2f32.powi(64);
            tensors[usize::from(tensor)].quantization.zero_point = -128;
            written(&Definition { heads: &heads, tensors: &tensors, tests: &[], ..*definition })
        };
        for [gains, offsets] in [[[gain, -gain], [offset, -offset]], [[gain, gain], [-offset, offset]]] {
            let bytes = write(&gains, &offsets).unwrap();
            let plain = reference::Model::read(&bytes).unwrap();
            for q in [i8::MIN, 0, i8::MAX] {
                let values: Vec<Vec<i8>> = plain.tensors.iter().map(|tensor| vec![q; tensor.values()]).collect();
                let results = &plain.head_results(&values)[index];
                assert!(results.iter().all(|result| result.is_finite()), "{results:?}");
            }
        }
        let invalid = |defect| Err(WriteError::Invalid(ParseError::Head(index as u16, defect)));
        assert_eq!(write(&[1.0, above(gain)], &[0.0; 2]), invalid(Defect::Infinite));
        assert_eq!(write(&[1.0, -above(gain)], &[0.0; 2]), invalid(Defect::Infinite));
        assert_eq!(write(&[1.0; 2], &[above(offset), 0.0]), invalid(Defect::Infinite));
        assert_eq!(write(&[1.0; 2], &[f32::NAN, 0.0]), invalid(Defect::NotFinite));
        assert_eq!(write(&[1.0; 2], &[f32::NEG_INFINITY, 0.0]), invalid(Defect::NotFinite));
    });
    // The second implementation by itself.
    let gains = place(&bytes, model.heads().nth(index).unwrap().name.as_ptr());
    let at = bytes[gains..].windows(4).position(|four| four == 2.5f32.to_le_bytes()).unwrap() + gains;
    refused(&patched(&bytes, at, &above(gain).to_le_bytes()), "a gain above 2^54");
}

/// Detections are of a class head, and the background is one of its classes.
#[test]
fn background_is_a_class_of_the_first_head() {
    let file = models::signal(Arithmetic::Fixed);
    let model = Model::parse(&file).unwrap();
    let start = place(&file, model.signal().unwrap().bytes.as_ptr());
    // Three classes: 1 to 3 are theirs, 0 is none.
    for background in 0..=3u16 {
        let mut changed = file.clone();
        changed[start + 30..start + 32].copy_from_slice(&background.to_le_bytes());
        let changed = with_checksum(changed);
        assert!(Model::parse(&changed).is_ok(), "{background}");
        assert!(reference::Model::read(&changed).is_ok(), "{background}");
    }
    for background in [4u16, 255, u16::MAX] {
        let error = refused(&patched(&file, start + 30, &background.to_le_bytes()), "a class that is not there");
        assert_eq!(error, ParseError::Input(Defect::Count));
    }
    let head = place(&file, model.heads().next().unwrap().name.as_ptr()) - 5;
    assert_eq!(file[head], 0);
    assert_eq!(refused(&patched(&file, head, &[2]), "a multilabel head"), ParseError::Head(0, Defect::Kind));
}

/// Tables of a front-end are data: another entry is accepted, and makes other features.
#[test]
fn tables_of_front_ends_are_data() {
    let file = models::signal(Arithmetic::Fixed);
    let signal = Model::parse(&file).unwrap().signal().unwrap();
    let mut state = 7u32;
    let samples: Vec<i16> = (0..4_000)
        .map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 16) as i16
        })
        .collect();
    let features = |bytes: &[u8]| {
        let record = Model::parse(bytes).unwrap().input().unwrap().signal.unwrap().to_vec();
        Extractor::new(record).unwrap().features(&samples).unwrap()
    };
    // As the specification has the writer's sine.
    let points = f64::from(signal.transform);
    for (k, entry) in signal.sine.chunks_exact(2).enumerate() {
        let sine = (2.0 * std::f64::consts::PI * k as f64 / points).sin();
        assert_eq!(u16::from_le_bytes([entry[0], entry[1]]), (32_768.0 * sine).round() as u16, "entry {k}");
    }
    let at = place(&file, signal.sine.as_ptr()) + 6;
    let changed = patched(&file, at, &12_345u16.to_le_bytes());
    assert!(reference::Model::read(&changed).is_ok());
    assert_ne!(features(&changed), features(&file));
    assert!(Model::parse(&patched(&file, at, &32_769u16.to_le_bytes())).is_err());
}

/// An operator may read a tensor twice; its output then lies over neither.
#[test]
fn a_tensor_may_be_joined_to_itself() {
    let bytes = models::everything();
    let model = Model::parse(&bytes).unwrap();
    let twice: Vec<_> = model
        .operators()
        .filter(|operator| operator.kind() == Kind::Concat && operator.inputs()[0] == operator.inputs()[1])
        .collect();
    assert!(!twice.is_empty(), "the golden file joins a tensor to itself");
    for operator in twice {
        let [input, output] = [operator.inputs()[0], operator.output].map(|index| model.tensor(index).unwrap());
        assert!(output.offset >= input.end() || input.offset >= output.end());
    }
    let plain = reference::Model::read(&bytes).unwrap();
    let (input, facts) = (vec![3; model.input_shape().len()], vec![5; model.facts_len()]);
    let tensors = plain.run(&input, &facts);
    let student = Student::parse(&bytes).unwrap();
    let mut arena = vec![0; model.arena_bytes()];
    let mut session = Session::new(*student.model(), &mut arena).unwrap();
    session.load_quantized(input.iter().copied(), facts.iter().copied()).unwrap();
    for index in 0..model.header().operator_count {
        session.step();
        let tensor = model.header().source_count() + index;
        assert_eq!(session.values(tensor).unwrap(), tensors[usize::from(tensor)]);
    }
}

/// Names of a list may be equal, those of facts and heads may not; a look-up takes the first.
#[test]
fn equal_names_are_refused_where_something_is_looked_up_by_them() {
    let bytes = models::everything();
    let model = Model::parse(&bytes).unwrap();
    with_definition(&model, |definition| {
        let mut facts = definition.facts.to_vec();
        let KindDefinition::Category { columns, .. } = facts[2].kind else { panic!("fact 2 is no category") };
        facts[2].kind = KindDefinition::Category { values: &["x", "y", "x", "y"], columns };
        let mut heads = definition.heads.to_vec();
        heads[0].labels = &["same", "same", "same"];
        let changed = written(&Definition { facts: &facts, heads: &heads, ..*definition }).unwrap();
        assert!(reference::Model::read(&changed).is_ok());
        let student = Student::parse(&changed).unwrap();
        let mut known = student.facts();
        known.choose("bearing", "y").unwrap();
        assert_eq!(known.values().nth(2), Some(Some(1.0)));
        let name = heads[0].name;
        heads[1].name = name;
        let refused = written(&Definition { heads: &heads, ..*definition });
        assert_eq!(refused, Err(WriteError::Invalid(ParseError::Head(1, Defect::Duplicate))));
    });
}
