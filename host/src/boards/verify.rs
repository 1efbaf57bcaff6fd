//! Verification: the same outputs, byte for byte, wherever a student runs.

mod cost;
mod figures;
mod firmware;
mod qemu;
mod serial;

use anyhow::{Context, Result, bail, ensure};
use attar_device::{Facts, Session, Student};
use rand::Rng;

pub use cost::{bare_program, engine_cost, flash_bytes};
pub use figures::{EngineCost, VerifyFigures};
pub use qemu::{command, on_qemu, stream_on_qemu};
pub use serial::{on_line, on_serial};

use crate::boards::{Board, boards, find_simulated};
use crate::data::Dataset;
use crate::domain::limits::{COMPUTED_VALUES, check_product};
use crate::student::engine;
use crate::support::random;

/// One sample in raw units: what a board would measure, and the facts as [`Facts::set_raw`] takes them.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// Whether a series begins with it: what earlier runs left is forgotten.
    pub starts: bool,
    /// The input, channels last.
    pub input: Vec<f32>,
    /// The facts in the order of the model; `None` is missing.
    pub facts: Vec<Option<f32>>,
}

/// What a student answers: the int8 of every head, and the bits of its probabilities or values.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Answer {
    /// The heads' tensors one after the other.
    pub outputs: Vec<u8>,
    /// Probabilities, or values of a regression, little-endian.
    pub results: Vec<u8>,
    /// The computed facts, little-endian; a missing one is the NaN of the format.
    pub facts: Vec<u8>,
}

impl Answer {
    /// Reads the answer from a session that has run on an input with some facts.
    ///
    /// # Errors
    ///
    /// When it has not.
    pub fn of(session: &Session<'_>, input: &[f32], facts: &Facts<'_>) -> Result<Self> {
        let mut answer = Self::default();
        let known = facts.known(input);
        for value in known.computed() {
            answer.facts.extend(value.unwrap_or(attar_shared::MISSING).to_le_bytes());
        }
        for head in session.outputs()?.heads() {
            answer.outputs.extend(head.quantized().iter().map(|q| q.cast_unsigned()));
            answer.results.extend(head.probabilities().flat_map(f32::to_le_bytes));
        }
        Ok(answer)
    }

    /// Returns the bytes of all three parts, one after the other, as a board sends them over a line.
    pub fn bytes(&self) -> Vec<u8> {
        [self.outputs.as_slice(), &self.results, &self.facts].concat()
    }

    /// Returns the number of bytes that differ.
    pub fn mismatches(&self, other: &Self) -> usize {
        let differing =
            |a: &[u8], b: &[u8]| a.iter().zip(b).filter(|(a, b)| a != b).count() + a.len().abs_diff(b.len());
        differing(&self.outputs, &other.outputs)
            + differing(&self.results, &other.results)
            + differing(&self.facts, &other.facts)
    }
}

/// Runs samples through the engine on this machine and returns their answers.
///
/// # Errors
///
/// When a sample does not fit the student.
pub fn answers(student: &Student<'_>, samples: &[Sample]) -> Result<Vec<Answer>> {
    let mut arena = engine::arena(student)?;
    let mut session = Session::new(*student.model(), &mut arena)?;
    samples
        .iter()
        .enumerate()
        .map(|(index, sample)| {
            if sample.starts {
                session.reset();
            }
            let facts = facts_of(student, sample)?;
            session.load(&sample.input, &facts).with_context(|| format!("sample {index}"))?;
            engine::finish(&mut session)?;
            Answer::of(&session, &sample.input, &facts)
        })
        .collect()
}

/// Compares two runs on this machine that share nothing: one reads the file where it is and runs at once, the other reads
/// it at an odd address and runs operator by operator in an arena full of rubbish. The file's own test vectors come first.
///
/// # Errors
///
/// When the file is refused, does not reproduce its test vectors, or a sample does not fit.
pub fn on_host(bytes: &[u8], samples: &[Sample]) -> Result<VerifyFigures> {
    let student = Student::parse(bytes)?;
    let expected = answers(&student, samples)?;
    let mut shifted = vec![0; bytes.len() + 1];
    let offset = 1 - shifted.as_ptr() as usize % 2;
    shifted[offset..][..bytes.len()].copy_from_slice(bytes);
    let other = Student::parse(&shifted[offset..][..bytes.len()])?;
    let mut arena = engine::arena(&other)?;
    arena.fill(0x55);
    other.self_test(&mut arena)?;
    let mut mismatches = 0;
    let mut rest = expected.iter();
    for series in samples.chunk_by(|_, next| !next.starts) {
        arena.fill(-86);
        let mut session = Session::new(*other.model(), &mut arena)?;
        for (sample, expected) in series.iter().zip(&mut rest) {
            let facts = facts_of(&other, sample)?;
            session.load(&sample.input, &facts)?;
            engine::finish(&mut session)?;
            mismatches += expected.mismatches(&Answer::of(&session, &sample.input, &facts)?);
        }
    }
    Ok(VerifyFigures { on: "host".into(), samples: samples.len(), mismatches, ..VerifyFigures::default() })
}

/// Returns samples of a data set for a student; a series gives one for each of its steps.
///
/// # Errors
///
/// When the data do not fit the student.
pub fn samples_of(bytes: &[u8], data: &Dataset, indices: &[usize]) -> Result<Vec<Sample>> {
    let student = Student::parse(bytes)?;
    let model = student.model();
    let (expected, got) = (model.input_shape().len(), data.inputs.row_len());
    let series = got.is_multiple_of(expected) && model.tensors().any(|tensor| tensor.held);
    ensure!(got == expected || series, "a sample has {got} values, the model takes {expected}");
    let with_facts = model.header().fact_count > 0;
    let mut samples = Vec::new();
    for &index in indices {
        samples.extend(data.input(index).chunks_exact(expected).enumerate().map(|(step, window)| Sample {
            starts: step == 0,
            input: window.to_vec(),
            facts: if with_facts { data.facts_of(index).collect() } else { Vec::new() },
        }));
    }
    Ok(samples)
}

/// Returns samples drawn over everything that a student's input can tell apart, with facts that are now and then missing.
///
/// # Errors
///
/// When the model has no input.
pub fn random_samples(bytes: &[u8], count: usize, seed: u64) -> Result<Vec<Sample>> {
    use attar_shared::FactKind;
    let student = Student::parse(bytes)?;
    let model = student.model();
    let input = model.input().context("the model has no input")?;
    let (channels, len) = (usize::from(model.input_shape().channels), model.input_shape().len());
    check_product("--samples x values of an input", &[count, len], COMPUTED_VALUES / 4)?;
    let mut random = random::stream(seed, "verify");
    let held = model.tensors().any(|tensor| tensor.held);
    let vectors: Vec<&[u8]> = model.tests().map(|test| test.input).collect();
    let mut draw = |index: usize| -> Sample {
        let starts = !held || index.is_multiple_of(7);
        let end = if input.is_text { random.random_range(0..=len) } else { len };
        // Half of the texts are those of the self-test, turned: they hold phrases that gazetteers know.
        let own = vectors.get(index / 2 % vectors.len().max(1)).filter(|_| input.is_text && index % 2 == 1);
        let values = (0..len).map(|place| {
            if let Some(own) = own {
                return f32::from(own[(place + end) % len].cast_signed());
            }
            if input.is_text {
                // Texts of any length, of few letters, so that words come again.
                let letters = b"aab \xC3\xA9 Zz9'e";
                let any = random.random_range(0..=255u8);
                let byte = letters.get(usize::from(any) % (letters.len() + 2)).copied().unwrap_or(any);
                return if place < end { f32::from(byte.cast_signed()) } else { 0.0 };
            }
            let at = if input.gains.len() == 1 { 0 } else { place % channels };
            let (gain, offset) = (input.gains.at(at).unwrap_or(1.0), input.offsets.at(at).unwrap_or(0.0));
            let q = random.random_range(-140.0f32..140.0);
            let value = (q - offset) / gain;
            if value.is_finite() { value } else { 0.0 }
        });
        let input = values.collect();
        let facts = model.facts().map(|fact| {
            let known = random.random::<f32>() < 0.8;
            let value = match fact.kind {
                FactKind::Number { least, greatest } => {
                    // A little outside as well; without limits anything near a thousand.
                    let (low, high) = (least.max(-1e3), greatest.min(1e3));
                    low + (high - low) * random.random_range(-0.2f32..1.2)
                }
                FactKind::Category(category) => random.random_range(0..category.values.len()) as f32,
                FactKind::Flag => random.random_range(0..2) as f32,
                FactKind::Gazetteer(_) => 0.0,
            };
            (known && !fact.is_computed()).then_some(value)
        });
        Sample { starts, input, facts: facts.collect() }
    };
    Ok((0..count).map(&mut draw).collect())
}

/// Compares a student on `place`, which is `host`, `qemu:BOARD`, `serial:PORT` or `serial:PORT@BAUD`, with the engine on this
/// machine.
///
/// # Errors
///
/// When there is no such place, QEMU or its firmware cannot be run, the board does not answer, or the student fails there.
pub fn on(place: &str, bytes: &[u8], samples: &[Sample]) -> Result<VerifyFigures> {
    match place.split_once(':') {
        None if place == "host" => on_host(bytes, samples),
        None if place.starts_with("qemu-") => on_qemu(find_simulated(place)?, bytes, samples),
        Some(("qemu", board)) => on_qemu(find_simulated(board)?, bytes, samples),
        Some(("serial", port)) => on_serial(port, bytes, samples),
        _ => {
            let simulated = boards()?.iter().filter(|board| board.is_simulated());
            let places: Vec<String> = simulated.map(Board::place).collect();
            bail!("there is no {place:?} to verify on: use host, serial:PORT, or one of {}", places.join(", "))
        }
    }
}

fn facts_of<'a>(student: &Student<'a>, sample: &Sample) -> Result<Facts<'a>> {
    let mut facts = student.facts();
    for (index, &value) in sample.facts.iter().enumerate() {
        facts.set_raw(index, value)?;
    }
    Ok(facts)
}
