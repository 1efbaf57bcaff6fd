//! The device engine on the workstation: the reference that a board has to equal, run over whole data sets.

use anyhow::{Result, ensure};
use attar_device::{Facts, Session, Step, Student, dequantize};
use rand::seq::SliceRandom;
use rayon::prelude::*;

use crate::data::Dataset;
use crate::heads::HeadMetrics;
use crate::support::progress::check_stopped;
use crate::support::random;

/// Returns the arena of a student, full of zeros.
///
/// # Errors
///
/// When it asks for more than [`MOST_ARENA`]: a file of 200 bytes can say that it needs 2 GiB.
pub fn arena(student: &Student<'_>) -> Result<Vec<i8>> {
    let bytes = student.model().arena_bytes();
    ensure!(bytes <= MOST_ARENA, "the model asks for an arena of {bytes} bytes, expected at most {MOST_ARENA}");
    Ok(vec![0; bytes])
}

/// Bytes of the largest arena that this program gives a model; microcontrollers have up to some MiB.
pub const MOST_ARENA: usize = 64 << 20;

/// Goes through the operators of a session that has taken an input; Ctrl-C is heeded between them.
///
/// # Errors
///
/// When the work was stopped.
pub fn finish(session: &mut Session<'_>) -> Result<()> {
    loop {
        check_stopped()?;
        if session.step() == Step::Done {
            return Ok(());
        }
    }
}

/// Which facts a student is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FactsGiven {
    /// Those of the sample.
    True,
    /// None.
    Missing,
    /// All but one.
    MissingOne(usize),
    /// Those of another sample, drawn by a seed.
    Shuffled(u64),
    /// Those of the sample but for one, which is another's, drawn by a seed.
    ShuffledOne(usize, u64),
}

/// Returns the logits of each head for some samples, `[samples, outputs]` row by row, computed by the device engine.
///
/// # Errors
///
/// When a sample does not fit the student, or the work was stopped.
pub fn predict(student: &Student<'_>, data: &Dataset, samples: &[usize], given: FactsGiven) -> Result<Vec<Vec<f32>>> {
    let mut donors = samples.to_vec();
    if let FactsGiven::Shuffled(seed) | FactsGiven::ShuffledOne(_, seed) = given {
        donors.shuffle(&mut random::stream(seed, "shuffled facts"));
    }
    let pairs: Vec<(usize, usize)> = samples.iter().copied().zip(donors).collect();
    let chunks: Vec<Vec<Vec<f32>>> = pairs
        .par_chunks(CHUNK)
        .map(|pairs| {
            let mut arena = arena(student)?;
            let mut session = Session::new(*student.model(), &mut arena)?;
            let mut logits = vec![Vec::new(); student.model().heads().count()];
            for &(sample, donor) in pairs {
                let mut facts = facts_of(student, data, sample)?;
                match given {
                    FactsGiven::Missing => facts = student.facts(),
                    FactsGiven::MissingOne(fact) => facts.clear(fact)?,
                    FactsGiven::Shuffled(_) => facts = facts_of(student, data, donor)?,
                    FactsGiven::ShuffledOne(fact, _) => facts.set_raw(fact, data.fact_columns[fact][donor])?,
                    FactsGiven::True => {}
                }
                run_series(&mut session, data.input(sample), &facts)?;
                let outputs = session.outputs()?;
                for (all, head) in logits.iter_mut().zip(outputs.heads()) {
                    let quantization = student.model().tensor(head.head().tensor).map(|tensor| tensor.quantization);
                    if let Some(quantization) = quantization {
                        all.extend(head.quantized().iter().map(|&q| dequantize(q, quantization)));
                    }
                }
            }
            Ok(logits)
        })
        .collect::<Result<_>>()?;
    let mut logits = vec![Vec::new(); student.model().heads().count()];
    for chunk in chunks {
        logits.iter_mut().zip(chunk).for_each(|(all, part)| all.extend(part));
    }
    Ok(logits)
}

/// Runs a sample from a fresh start: at once, or step by step when it holds several inputs of the model.
///
/// # Errors
///
/// When the sample is no whole number of inputs, or the session refuses one.
pub fn run_series(session: &mut Session<'_>, input: &[f32], facts: &Facts<'_>) -> Result<()> {
    let len = session.model().input_shape().len();
    ensure!(
        !input.is_empty() && input.len().is_multiple_of(len),
        "a sample has {} values, the model takes {len}",
        input.len()
    );
    session.reset();
    for window in input.chunks_exact(len) {
        session.load(window, facts)?;
        finish(session)?;
    }
    Ok(())
}

/// Returns the places of the values of an input that lie outside of what int8 holds of it, and count as its ends; none of a text.
pub fn saturated<'a>(student: &Student<'a>, input: &[f32]) -> Vec<usize> {
    let Some(description) = student.model().input().filter(|input| !input.is_text) else { return Vec::new() };
    let (gains, offsets): (Vec<f32>, Vec<f32>) = description.gains.iter().zip(description.offsets.iter()).unzip();
    // What rounds to an end lies within.
    let range = f32::from(i8::MIN) - 0.5..=f32::from(i8::MAX) + 0.5;
    let scaled = input.iter().zip(gains.iter().zip(&offsets).cycle()).map(|(x, (gain, offset))| x * gain + offset);
    scaled.enumerate().filter(|(_, value)| !range.contains(value)).map(|(place, _)| place).collect()
}

/// Returns the figures of a student over some samples, by head.
///
/// # Errors
///
/// As [`predict`].
pub fn evaluate(
    student: &Student<'_>,
    data: &Dataset,
    samples: &[usize],
    given: FactsGiven,
) -> Result<Vec<HeadMetrics>> {
    let logits = predict(student, data, samples, given)?;
    Ok(data.targets.iter().zip(&logits).map(|(target, logits)| target.measure(samples, logits)).collect())
}

/// Returns a sample's facts for a student; nothing for one that takes none.
///
/// # Errors
///
/// When the data's facts are not the student's.
pub fn facts_of<'a>(student: &Student<'a>, data: &Dataset, sample: usize) -> Result<Facts<'a>> {
    let mut facts = student.facts();
    if student.model().header().fact_count > 0 {
        for (index, value) in data.facts_of(sample).enumerate() {
            facts.set_raw(index, value)?;
        }
    }
    Ok(facts)
}

/// Samples that one thread takes at a time.
const CHUNK: usize = 64;
