//! What the fuzz targets do with bytes from anywhere. Each is run by cargo-fuzz (`tests/fuzz`), and by the suite on the inputs
//! that are kept in `tests/fuzz/corpus`.

use attar_device::link::{Ask, Frames, MAX_FRAME, Reply, Request, frame, read};
use attar_device::signal::Stream;
use attar_device::store::Store;
use attar_device::{PublicKey, Scope, Session, Step, Student, evaluate};
use attar_shared::{Code, FactKind, Model, SIGNATURE_BYTES, Signature};

use crate::definition::rewritten;
use crate::flash::Flash;
use crate::reference;
use crate::with_checksum;

/// A target.
pub type Target = fn(&[u8]);

/// The targets by their names, which are also those of their folders in the corpus.
pub const TARGETS: [(&str, Target); 7] = [
    ("parse", parse),
    ("run", run),
    ("write", write),
    ("code", code),
    ("link", link),
    ("store", store),
    ("signature", signature),
];

/// Makes length and checksum right, without which no mutation gets past the first check.
fn mended(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut bytes = bytes.to_vec();
    if bytes.len() < 68 {
        return None;
    }
    let len = bytes.len() as u32;
    bytes[8..12].copy_from_slice(&len.to_le_bytes());
    Some(with_checksum(bytes))
}

/// Parses the bytes as they are and mended; whatever is accepted is read to its end.
pub fn parse(bytes: &[u8]) {
    let _ = Model::parse(bytes);
    let Some(bytes) = mended(bytes) else { return };
    if let Ok(model) = Model::parse(&bytes) {
        let facts = model.facts().map(|fact| fact.name.len() + fact.unit.len()).sum::<usize>();
        let heads = model.heads().map(|head| head.name.len() + head.labels.iter().count()).sum::<usize>();
        let operators = model.operators().map(|operator| operator.inputs().len()).sum::<usize>();
        assert!(facts + heads + operators + model.tensors().count() + model.tests().count() > 0);
        // One encoding a model: what is accepted at all is refused when a byte follows.
        assert!(Model::parse(&[&bytes, [0].as_slice()].concat()).is_err());
    }
}

/// The most multiply-accumulates of a model that is run: more would tell nothing new, and take longer.
const MOST_MACS: u32 = 100_000;

/// The most steps of a model that is run, pools and facts among them.
const MOST_WORK: u32 = 1_000_000;

/// The largest arena of a model that is run.
const MOST_ARENA: usize = 1 << 20;

/// Runs what the parser accepts, twice, on input and facts that follow from the bytes; the answers are those of the plain
/// implementation of the specification.
pub fn run(bytes: &[u8]) {
    let Some(bytes) = mended(bytes) else { return };
    let Ok(student) = Student::parse(&bytes) else { return };
    let model = *student.model();
    let header = model.header();
    if header.macs > MOST_MACS || header.work > MOST_WORK || model.arena_bytes() > MOST_ARENA {
        return;
    }
    let mut arena = vec![0x55; model.arena_bytes()];
    let _ = student.self_test(&mut arena);
    let plain = reference::Model::read(&bytes).expect("what the parser accepts is right by the specification");
    listen(&student, &bytes);
    let mut session = Session::new(model, &mut arena).expect("the arena is large enough");
    let is_text = model.input().is_some_and(|input| input.is_text);
    let mut before = plain.zeros();
    for turn in 0..2usize {
        let value = |place: usize| f32::from(bytes[(64 + turn * 31 + place) % bytes.len()].cast_signed());
        let step = if is_text { 1.0 } else { 0.37 };
        let input: Vec<f32> = (0..model.input_shape().len()).map(|place| value(place) * step).collect();
        let mut facts = student.facts();
        let set: Vec<Option<f32>> = model
            .facts()
            .enumerate()
            .map(|(index, fact)| match fact.kind {
                _ if fact.is_computed() || bytes[index] % 3 == 0 => None,
                FactKind::Number { .. } => Some(value(index)),
                _ => Some(0.0),
            })
            .collect();
        for (index, &value) in set.iter().enumerate() {
            facts.set_raw(index, value).expect("the value is one that the fact takes");
        }
        session.load(&input, &facts).expect("input and facts fit");
        while session.step() == Step::More {}
        let outputs = session.outputs().expect("all operators have run");
        let known = plain.known_facts(&set, &input);
        before = plain.run_after(&before, &plain.quantize_input(&input), &plain.quantize_facts(&known));
        for head in outputs.heads() {
            assert_eq!(head.quantized(), before[usize::from(head.head().tensor)], "head {}", head.head().name);
            assert!(head.probabilities().all(|value| !value.is_nan()));
        }
    }
}

/// Lets a model with a front-end hear its own bytes, at once and in pieces: the answers are the same.
fn listen(student: &Student<'_>, bytes: &[u8]) {
    let Some(signal) = student.model().signal() else { return };
    let work = u64::from(signal.features) * u64::from(signal.window) / u64::from(signal.hop.max(1));
    if signal.words as usize > MOST_ARENA || work > 1 << 16 {
        return;
    }
    let frames = bytes.chunks_exact(2 * usize::from(signal.channels)).take(4096);
    let samples: Vec<i16> =
        frames.flat_map(|frame| frame.chunks(2)).map(|pair| i16::from_le_bytes([pair[0], pair[1]])).collect();
    let heard = |piece: usize| {
        let (mut memory, mut arena) = (vec![7; signal.words as usize], vec![7; student.model().arena_bytes()]);
        let mut stream = Stream::new(*student.model(), &mut memory, &mut arena).expect("the memory is large enough");
        let mut answers = Vec::new();
        for piece in samples.chunks(piece * usize::from(signal.channels)) {
            let mut rest = piece;
            while !rest.is_empty() && answers.len() < 8 {
                match stream.push(&mut rest, &student.facts()) {
                    Ok(Some(outputs)) => answers.extend(outputs.heads().map(|head| head.quantized().to_vec())),
                    Ok(None) => {}
                    // Hostile constants of floats overflow.
                    Err(_) => return answers,
                }
            }
        }
        answers
    };
    assert_eq!(heard(samples.len().max(1)), heard(1 + bytes.len() % 7));
}

/// Writes what was parsed; it is the same bytes.
pub fn write(bytes: &[u8]) {
    let Some(bytes) = mended(bytes) else { return };
    let Ok(model) = Model::parse(&bytes) else { return };
    let written = rewritten(&bytes);
    let Ok(Some(signature)) = Signature::of(&bytes) else {
        assert!(written == bytes, "the model is written otherwise than it was read");
        return;
    };
    let mut buffer = vec![0; written.len() + SIGNATURE_BYTES];
    let signed = attar_shared::sign(&written, model.header().revision, &mut buffer, |_| *signature.bytes);
    assert!(signed == Ok(&bytes), "the signed model is written otherwise than it was read");
}

/// What code may read: everything, and what is found there is the next bytes.
struct Bytes<'a>(&'a [u8]);

impl Bytes<'_> {
    fn number(&self, place: usize) -> f32 {
        let byte = |offset: usize| self.0.get((place * 4 + offset) % self.0.len().max(1)).copied().unwrap_or(0);
        f32::from_le_bytes([byte(0), byte(1), byte(2), byte(3)])
    }
}

impl Scope for Bytes<'_> {
    fn fact(&self, fact: u8) -> f32 {
        self.number(usize::from(fact))
    }

    fn input(&self, place: u16) -> f32 {
        self.number(usize::from(place))
    }

    fn column(&self, fact: u8, column: u8) -> f32 {
        self.number(usize::from(fact) * 7 + usize::from(column))
    }
}

/// Checks and evaluates code, right or not: a value is finite or missing.
pub fn code(bytes: &[u8]) {
    let (code, numbers) = bytes.split_at(bytes.len() / 2);
    let code = Code::new(code);
    let is_right = code.check(&[Some(0), Some(3), None, Some(255)], 16).is_ok();
    let value = evaluate(code, &Bytes(numbers));
    assert!(value.is_none_or(f32::is_finite));
    if is_right {
        assert!(!code.is_empty(), "code that leaves nothing was accepted");
    }
}

/// Reads frames from any bytes; one that is sent afterwards is read whatever came before.
pub fn link(bytes: &[u8]) {
    let mut frames = Frames::new();
    for &byte in bytes {
        if let Some(message) = frames.push(byte) {
            if let Some(reply) = read::<Reply<'_>>(message) {
                let mut buffer = [0; MAX_FRAME];
                let framed = frame(&reply, &mut buffer).expect("a reply that was read can be sent");
                let mut again = Frames::new();
                let same = framed.iter().any(|&byte| again.push(byte).and_then(read::<Reply<'_>>) == Some(reply));
                assert!(same, "a reply that was read is another one when it is sent");
            }
            if let Some(request) = read::<Request<'_>>(message) {
                let mut buffer = [0; MAX_FRAME];
                assert!(frame(&request, &mut buffer).is_some(), "a request that was read cannot be sent");
            }
        }
    }
    let data = &bytes[..bytes.len().min(attar_device::link::MAX_DATA)];
    let sent = Request { number: bytes.len() as u32, ask: Ask::Data { offset: 1, bytes: data } };
    let mut buffer = [0; MAX_FRAME];
    let framed = frame(&sent, &mut buffer).expect("the request fits");
    assert!(framed[1..framed.len() - 1].iter().all(|&byte| byte != 0), "a zero within a frame");
    // Another implementation unpacks the same message.
    let mut other = framed[1..framed.len() - 1].to_vec();
    let len = cobs::decode_in_place(&mut other).expect("the frame is one by another implementation");
    assert!(read::<Request<'_>>(&other[..len - 4]) == Some(sent));
    // The zero before the frame may end another one.
    let mut got = None;
    for &byte in framed {
        got = frames.push(byte).map(|message| read::<Request<'_>>(message) == Some(sent)).or(got);
    }
    assert_eq!(got, Some(true), "the frame was not read");
}

/// Opens a store over a flash that holds the bytes, twice as many of them; chooses, and updates.
pub fn store(bytes: &[u8]) {
    let mut flash = Flash::<4, 256>::new(16, 1);
    let len = flash.bytes().len();
    for half in [0, len / 2] {
        for (place, &byte) in flash.bytes_mut()[half..].iter_mut().zip(bytes) {
            *place = byte;
        }
    }
    let mut store = Store::open(flash).expect("the flash has room");
    let _ = store.choose(|flash, slot| {
        assert!(slot.offset as usize + slot.len <= flash.bytes().len());
        Ok(slot.load(flash, &mut [0; 2048]).is_ok_and(|model| Model::parse(model).is_ok()))
    });
    let model = &bytes[..bytes.len().min(store.most())];
    let finished = store.update(model.len()).and_then(|mut update| {
        update.write(model)?;
        update.finish()
    });
    if finished.is_ok() {
        let chosen = store.choose(|_, _| Ok(true)).expect("the flash works").expect("there is a model");
        assert_eq!(&store.flash().bytes()[chosen.offset as usize..][..chosen.len], model);
    }
}

/// Checks signatures: none is right, for the key is nobody's.
pub fn signature(bytes: &[u8]) {
    let key = |start: usize| core::array::from_fn(|place| bytes.get(start + place).copied().unwrap_or(7));
    for model in [Some(bytes.to_vec()), mended(bytes)].into_iter().flatten() {
        for start in [0, 64] {
            let _ = PublicKey::new(key(start)).check(&model, 0);
        }
        let nobody = PublicKey::new([0x42; 32]).check(&model, 0);
        assert!(nobody.is_err(), "a signature that nobody made was accepted");
    }
}
