//! What a model costs before it has earned any trust: the parser's work is bounded by the file, that of a run by its header.
//! Both are counted in instructions of WebAssembly, of the engine in the page, which are the same on every machine.

use std::fs;

use attar::boards;
use attar::boards::estimate::Estimate;
use attar_device::{EmbeddedStudent, Student};
use attar_shared::text::Grams;
use attar_shared::{
    Binary, Clamp, Encoder, FactDefinition, HeadDefinition, HeadKind, InputDefinition, Instruction, Kind,
    KindDefinition, Model, ParseError, Quantization, Shape, Window, WriteError,
};
use attar_tests::build::{Builder, Frame};
use attar_tests::facts::assemble;
use attar_tests::parameters::{average, bag, channels, rows};
use attar_tests::{models, reference, root, with_checksum};
use wasmi::{Config, Engine, Instance, Linker, Memory, Module, Store};

const SAME: Quantization = Quantization { scale: 1.0, zero_point: 0 };

const FUEL: u64 = 1 << 50;

/// The engine of the page in an interpreter that counts instructions.
struct Counted {
    store: Store<()>,
    instance: Instance,
    memory: Memory,
}

impl Counted {
    fn open() -> Self {
        let mut config = Config::default();
        config.consume_fuel(true);
        let engine = Engine::new(&config);
        let module = Module::new(&engine, fs::read(root().join("host/page/student.wasm")).unwrap()).unwrap();
        let mut store = Store::new(&engine, ());
        store.set_fuel(FUEL).unwrap();
        let instance = Linker::new(&engine).instantiate_and_start(&mut store, &module).unwrap();
        let memory = instance.get_memory(&store, "memory").unwrap();
        Self { store, instance, memory }
    }

    fn put(&mut self, bytes: &[u8]) -> i32 {
        let reserve = self.instance.get_typed_func::<i32, i32>(&self.store, "reserve").unwrap();
        let place = reserve.call(&mut self.store, bytes.len().max(1) as i32).unwrap();
        self.memory.write(&mut self.store, place as usize, bytes).unwrap();
        place
    }

    /// Parses a model; returns the instructions, and the bytes of arena unless the model is refused.
    fn parse(&mut self, model: &[u8]) -> (u64, Option<usize>) {
        let place = self.put(model);
        let parse = self.instance.get_typed_func::<(i32, i32), i32>(&self.store, "arena_bytes").unwrap();
        self.store.set_fuel(FUEL).unwrap();
        let arena = parse.call(&mut self.store, (place, model.len() as i32)).unwrap();
        (FUEL - self.store.get_fuel().unwrap(), usize::try_from(arena).ok())
    }

    /// Parses a model and runs it once, on zeros or on words of a letter, every fact that is set at 0, and reads all answers;
    /// returns the instructions.
    fn run(&mut self, model: &[u8]) -> u64 {
        let header = Model::parse(model).unwrap().header();
        let is_text = Model::parse(model).unwrap().input().unwrap().is_text;
        let value = |place: u32| if is_text { [97.0, 32.0][place as usize % 2] } else { 0.0f32 };
        let values: Vec<u8> = (0..header.input_values).map(value).flat_map(f32::to_le_bytes).collect();
        let facts: Vec<u8> = Model::parse(model)
            .unwrap()
            .facts()
            .flat_map(|fact| [f32::from(u8::from(!fact.is_computed())), 0.0])
            .flat_map(f32::to_le_bytes)
            .collect();
        let place = self.put(model);
        let arena = self.put(&vec![0; header.arena_len as usize]);
        let input = self.put(&values);
        let (facts_place, answer) = (self.put(&facts), self.put(&vec![0; 1 << 20]));
        let run = self
            .instance
            .get_typed_func::<(i32, i32, i32, i32, i32, i32, i32, i32, i32, i32), i32>(&self.store, "run")
            .unwrap();
        let arguments = (
            place,
            model.len() as i32,
            arena,
            header.arena_len as i32,
            input,
            header.input_values as i32,
            facts_place,
            facts.len() as i32 / 4,
            answer,
            1 << 20,
        );
        self.store.set_fuel(FUEL).unwrap();
        assert!(run.call(&mut self.store, arguments).unwrap() > 0);
        FUEL - self.store.get_fuel().unwrap()
    }
}

fn names(count: usize) -> Vec<String> {
    (0..count).map(|name| format!("{name:04x}")).collect()
}

fn strs(names: &[String]) -> Vec<&str> {
    names.iter().map(String::as_str).collect()
}

fn numbers(channels: &[&'static str]) -> InputDefinition<'static> {
    let channels = Vec::leak(channels.to_vec());
    InputDefinition { name: "x", is_text: false, signal: None, gains: &[1.0], offsets: &[0.0], channels }
}

const TEXT: InputDefinition<'static> =
    InputDefinition { name: "x", is_text: true, signal: None, gains: &[1.0], offsets: &[0.0], channels: &[] };

fn head<'a>(name: &'a str, tensor: u16, labels: &'a [&'a str]) -> HeadDefinition<'a> {
    HeadDefinition { name, kind: HeadKind::Multilabel, tensor, labels, gains: &[], offsets: &[] }
}

fn finish(
    graph: &Builder,
    input: InputDefinition<'_>,
    facts: &[FactDefinition<'_>],
    heads: &[HeadDefinition<'_>],
) -> Result<Vec<u8>, WriteError> {
    graph.finish(&Frame { input, facts, fact_mask: false, heads, tests: &[], revision: 0, overlaps: true })
}

fn table(graph: &mut Builder, input: u16) -> u16 {
    let output = (graph.shape(input), SAME);
    graph.push(Kind::Table, &[input], output, Clamp::ALL, None, (vec![3; 256], 0))
}

fn pool(graph: &mut Builder, kind: Kind, input: u16, kernel: [u16; 2], output: [u16; 2]) -> u16 {
    let from = graph.shape(input);
    let pad = kernel.map(|taps| (taps - 1) / 2);
    let window = Window { kernel, stride: [1; 2], dilation: [1; 2], pad };
    let parameters = if kind == Kind::MaxPool { Vec::new() } else { average(1 << 30, 9) };
    let shape = Shape { height: output[0], width: output[1], channels: from.channels };
    graph.push(kind, &[input], (shape, SAME), Clamp::ALL, Some(window), (parameters, 0))
}

/// As many labels as a head may have, in all heads: 16,384 of four letters each, in 82 KB a head.
fn labels(heads: usize) -> Vec<u8> {
    let mut graph = Builder::new((Shape::vector(16_384), SAME), None);
    let output = table(&mut graph, 0);
    let (labels, titles) = (names(16_384), names(heads));
    let labels = strs(&labels);
    let heads: Vec<_> = titles.iter().map(|title| head(title, output, &labels)).collect();
    finish(&graph, numbers(&[]), &[], &heads).unwrap()
}

/// As many names of channels.
fn channel_names() -> Vec<u8> {
    let mut graph = Builder::new((Shape::vector(16_384), SAME), None);
    let output = table(&mut graph, 0);
    let all: Vec<&'static str> = names(16_384).into_iter().map(|name| &*name.leak()).collect();
    finish(&graph, numbers(&all), &[], &[head("y", output, &[])]).unwrap()
}

/// 31 facts, of which the first are categories of 256 values and the others are computed from as many columns as fit.
fn columns(categories: usize) -> Vec<u8> {
    let values = names(256);
    let values = strs(&values);
    let column = [1.0f32; 256];
    let columns: [&[f32]; 1] = [&column];
    let titles = names(31);
    let add = Instruction::Binary(Binary::Add);
    let mut code = vec![Instruction::Column { fact: categories as u8 - 1, column: 0 }];
    while assemble(&code).len() + 4 <= attar_shared::MAX_CODE {
        code.extend([code[0], add]);
    }
    let code = assemble(&code);
    let mut facts: Vec<FactDefinition<'_>> = titles
        .iter()
        .enumerate()
        .map(|(index, name)| FactDefinition {
            name,
            unit: "",
            kind: if index < categories {
                KindDefinition::Category { values: &values, columns: &columns }
            } else {
                KindDefinition::Number { least: -1e9, greatest: 1e9 }
            },
            encoder: Encoder::None,
            code: if index < categories { &[] } else { &code },
        })
        .collect();
    facts.push(FactDefinition {
        name: "seen",
        unit: "",
        kind: KindDefinition::Flag,
        encoder: Encoder::Flag,
        code: &[],
    });
    let mut graph = Builder::new((Shape::vector(1), SAME), Some((1, SAME)));
    let parts = [graph_concat(&mut graph)];
    finish(&graph, numbers(&[]), &facts, &[head("y", parts[0], &[])]).unwrap()
}

fn graph_concat(graph: &mut Builder) -> u16 {
    graph.push(Kind::Concat, &[0, 1], (Shape::vector(2), SAME), Clamp::ALL, None, (Vec::new(), 0))
}

/// As many pools as fit, over as many rows as fit: each output lies over its input, for which the parser looks at the rows.
fn rows_of_pools() -> Vec<u8> {
    let mut graph = Builder::new((Shape { height: 65_535, width: 1, channels: 1 }, SAME), None);
    let mut last = 0;
    for _ in 0..255 {
        last = pool(&mut graph, Kind::MaxPool, last, [1, 1], [65_535, 1]);
    }
    let last = [last];
    finish(&graph, numbers(&[]), &[], &[head("y", last[0], &[])]).unwrap()
}

/// As many tensors as fit, most of which are alive at the same time, and all of which lie apart.
fn alive() -> Vec<u8> {
    let mut graph = Builder::new((Shape::vector(1), SAME), None);
    let mut level: Vec<u16> = (0..189).map(|_| table(&mut graph, 0)).collect();
    while level.len() > 1 {
        level = level
            .chunks(4)
            .map(|some| match some {
                [one] => *one,
                some => {
                    let channels = some.iter().map(|&part| graph.shape(part).channels).sum();
                    let output = (Shape::vector(channels), SAME);
                    graph.push(Kind::Concat, some, output, Clamp::ALL, None, (Vec::new(), 0))
                }
            })
            .collect();
    }
    assert!(graph.count() > 250 && graph.count() <= 256, "{}", graph.count());
    finish(&graph, numbers(&[]), &[], &[head("y", level[0], &[])]).unwrap()
}

/// Weights of a dense layer, then as many channels of a depthwise one as fit.
fn weights() -> Vec<u8> {
    let mut graph = Builder::new((Shape::vector(65_535), SAME), None);
    let constants = |count: usize| (vec![0; count], vec![1 << 30; count], vec![1; count]);
    let (biases, multipliers, shifts) = constants(65_535);
    let window = Window { kernel: [1, 1], stride: [1; 2], dilation: [1; 2], pad: [0; 2] };
    let parameters = channels(&biases, &multipliers, &shifts, &vec![1; 65_535]);
    let vector = (Shape::vector(65_535), SAME);
    let own = graph.push(Kind::Depthwise, &[0], vector, Clamp::ALL, Some(window), (parameters, 65_535));
    let (biases, multipliers, shifts) = constants(9);
    let parameters = rows(&biases, &multipliers, &shifts, &vec![1; 9 * 65_535]);
    let last = graph.push(Kind::Dense, &[own], (Shape::vector(9), SAME), Clamp::ALL, None, (parameters, 9 * 65_535));
    finish(&graph, numbers(&[]), &[], &[head("y", last, &[])]).unwrap()
}

/// A text that is as long as it may be for its n-grams, all of them, and a gazetteer of many phrases.
fn text() -> Vec<u8> {
    let mut graph = Builder::new((Shape { height: 1, width: 1_364, channels: 1 }, SAME), Some((1, SAME)));
    let grams = Grams { buckets: 3, letters: [1, 8], words: 4 };
    let parameters = bag(grams, 1 << 30, 9, &[1; 3 * 40]);
    let bag = graph.push(Kind::Bag, &[0], (Shape::vector(40), SAME), Clamp::ALL, None, (parameters, 0));
    let joined = graph.push(Kind::Concat, &[bag, 1], (Shape::vector(41), SAME), Clamp::ALL, None, (Vec::new(), 0));
    let entries: Vec<(u32, u16)> = (0..10_000).map(|phrase| (phrase * 400_000, 1)).collect();
    let kind = KindDefinition::Gazetteer { features: &["city"], words: 4, entries: &entries };
    let fact = FactDefinition { name: "known", unit: "", kind, encoder: Encoder::Features, code: &[] };
    finish(&graph, TEXT, &[fact], &[head("y", joined, &[])]).unwrap()
}

/// A pool of 127 x 127 taps over as many positions.
fn large_pool(kind: Kind) -> Vec<u8> {
    let mut graph = Builder::new((Shape { height: 127, width: 127, channels: 1 }, SAME), None);
    let output = pool(&mut graph, kind, 0, [127, 127], [127, 127]);
    finish(&graph, numbers(&[]), &[], &[head("y", output, &[])]).unwrap()
}

/// Models that are as dear to parse as their kind may be, by what is dear in them.
fn dear() -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("labels of a head", labels(1)),
        ("labels of eight heads", labels(8)),
        ("names of channels", channel_names()),
        ("values of categories", columns(31)),
        ("columns", columns(16)),
        ("rows of pools", rows_of_pools()),
        ("tensors", alive()),
        ("weights", weights()),
        ("a text", text()),
    ]
}

/// The most instructions of a parse for a byte of the file, and those that the counts of tensors, facts and heads allow.
const EACH_BYTE: u64 = 140;
const WHATEVER_ITS_LENGTH: u64 = 12_000_000;

#[test]
fn parser_takes_instructions_in_proportion_to_the_file() {
    let mut beyond = Vec::new();
    let given = dear();
    println!("cases: {}", given.len());
    for (what, model) in given {
        let (count, arena) = Counted::open().parse(&model);
        let most = EACH_BYTE * model.len() as u64 + WHATEVER_ITS_LENGTH;
        println!("{what}: {} bytes, {count} instructions, at most {most}", model.len());
        assert!(arena.is_some(), "{what}: the model is refused");
        if count > most {
            beyond.push(format!("{what}: {count}, at most {most}"));
        }
    }
    assert_eq!(beyond, [""; 0]);
    // The control: an instruction for each pair of labels, or for each row of the pools, would be seen.
    let most = |model: &[u8]| EACH_BYTE * model.len() as u64 + WHATEVER_ITS_LENGTH;
    assert!(most(&labels(1)) < 16_384 * 16_383 / 2);
    assert!(most(&rows_of_pools()) < 255 * 65_535);
}

/// The most instructions of a run for a step of work: an instruction of code that is an exponential, or a lookup.
const EACH_STEP: u64 = 200;

/// Those of a value of a head, with its label and probability.
const EACH_ANSWER: u64 = 1_500;

/// Those that do not depend on the work: the records of operators, facts and heads are read at each run.
const EACH_RUN: u64 = 16_000_000;

#[test]
fn a_run_takes_instructions_in_proportion_to_its_work() {
    let mut given = dear();
    given.extend([
        ("a max pool", large_pool(Kind::MaxPool)),
        ("an average pool", large_pool(Kind::AveragePool)),
        ("everything", models::everything()),
    ]);
    given.extend((0..100).map(|seed| ("a random graph", models::random(seed))));
    println!("cases: {}", given.len());
    let mut beyond = Vec::new();
    for (what, model) in given {
        let (parse, _) = Counted::open().parse(&model);
        let count = Counted::open().run(&model).saturating_sub(parse);
        let parsed = Model::parse(&model).unwrap();
        let header = parsed.header();
        // Answers are asked for after the run: a probability for each value of a head.
        let answers: usize = parsed.heads().map(|head| parsed.tensor(head.tensor).unwrap().shape.len()).sum();
        let most = EACH_STEP * u64::from(header.work) + EACH_ANSWER * answers as u64 + EACH_RUN;
        if what != "a random graph" {
            println!("{what}: {} MACs, {} steps, {count} instructions", header.macs, header.work);
        }
        if count > most {
            beyond.push(format!("{what}: {count}, at most {most} for {} steps", header.work));
        }
    }
    assert_eq!(beyond, [""; 0]);
}

/// A pool has no multiply-accumulates, and is no less work: the header, the estimate and `within` count its taps.
#[test]
fn taps_of_pools_are_work() {
    for kind in [Kind::MaxPool, Kind::AveragePool] {
        let bytes = large_pool(kind);
        let student = Student::parse(&bytes).unwrap();
        let header = student.model().header();
        let taps = 127 * 127 * 127 * 127;
        assert_eq!((header.macs, header.work), (0, 127 * 127 + taps), "the values of the input, and the taps");
        assert_eq!(student.model().work(), u64::from(header.work));
        let board = boards::find("qemu-microbit").unwrap();
        let estimate = Estimate::of(student.model(), bytes.len(), board).unwrap();
        assert!(estimate.instructions.unwrap() > u64::from(taps), "{:?}", estimate.instructions);
        let embedded: EmbeddedStudent = EmbeddedStudent::new(bytes.leak());
        embedded.within(1024, 1 << 20, header.work);
        assert!(std::panic::catch_unwind(|| embedded.within(1024, 1 << 20, header.work - 1)).is_err());
    }
}

/// Code of facts has none either, and columns are what takes longest in it.
#[test]
fn estimates_count_the_code_of_facts() {
    let bytes = columns(16);
    let student = Student::parse(&bytes).unwrap();
    let estimate = Estimate::of(student.model(), bytes.len(), boards::find("qemu-microbit").unwrap()).unwrap();
    assert!(estimate.instructions.unwrap() > u64::from(student.model().header().work));
}

/// A header that says another work is refused by both implementations, and so is a work that no header can hold.
#[test]
fn work_is_recomputed() {
    let pools = [large_pool(Kind::MaxPool), columns(16), text(), models::everything()];
    println!("cases: {}", 3 * (pools.len() + 100) + 1);
    for bytes in pools.into_iter().chain((0..100).map(models::random)) {
        let work = Model::parse(&bytes).unwrap().header().work;
        assert!(reference::Model::read(&bytes).is_ok());
        for other in [work - 1, work + 1, 0] {
            let mut changed = bytes.clone();
            changed[36..40].copy_from_slice(&other.to_le_bytes());
            let changed = with_checksum(changed);
            assert!(matches!(Model::parse(&changed), Err(ParseError::Header(attar_shared::Defect::Count))));
            assert!(reference::Model::read(&changed).is_err_and(|error| error.contains("work")));
        }
    }
    let mut graph = Builder::new((Shape { height: 2048, width: 2048, channels: 4 }, SAME), None);
    let output = pool(&mut graph, Kind::MaxPool, 0, [33, 33], [2048, 2048]);
    let refused = finish(&graph, numbers(&[]), &[], &[head("y", output, &[])]);
    assert_eq!(refused, Err(WriteError::Invalid(ParseError::Header(attar_shared::Defect::TooLarge))));
}
