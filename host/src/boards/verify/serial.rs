//! A board on a serial line: samples go to it and answers come back, whatever the line loses and however often it restarts.

use std::io::{Read, Write};
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use attar_device::Student;
use attar_device::link::{Ask, Cost, fact_words};
use attar_shared::checksum;

use super::{Answer, Sample, VerifyFigures, answers};
use crate::boards::link::{self, Link, Said};
use crate::support::progress::{Progress, check_stopped, say};

/// Runs samples on a board behind a port and compares the answers with the engine here. A port may name its speed, as in
/// `/dev/ttyACM0@115200`, which is what it is without.
///
/// # Errors
///
/// As [`on_line`], and when the port cannot be opened.
pub fn on_serial(port: &str, bytes: &[u8], samples: &[Sample]) -> Result<VerifyFigures> {
    let (name, baud) = match port.rsplit_once('@') {
        Some((name, baud)) => {
            let baud = baud.parse().ok().filter(|&baud| baud > 0);
            (name, baud.with_context(|| format!("serial:{port}: expected the bits a second behind @, as in @115200"))?)
        }
        None => (port, link::BAUD),
    };
    ensure!(!name.is_empty(), "serial: names no port: use serial:PORT, as in serial:/dev/ttyACM0");
    let mut line = link::open(Path::new(name), baud)?;
    let figures = on_line(&mut line, bytes, samples)?;
    Ok(VerifyFigures { on: format!("serial:{name}"), ..figures })
}

/// Runs samples on a board behind a line and compares the answers with the engine here.
///
/// # Errors
///
/// When the board runs another model, refuses a sample, does not answer, or forgets what it was sent again and again.
pub fn on_line<P: Read + Write>(line: &mut Link<P>, bytes: &[u8], samples: &[Sample]) -> Result<VerifyFigures> {
    let student = Student::parse(bytes)?;
    let expected = answers(&student, samples)?;
    say("asking the board what it runs");
    let hello = line.hello()?;
    let own = bytes.last_chunk().map_or(0, |word| u32::from_le_bytes(*word));
    ensure!(
        (hello.len as usize, hello.checksum) == (bytes.len(), own),
        "the board runs another model: {} bytes with checksum {:08x}, not {} with {own:08x}; flash this one first",
        hello.len,
        hello.checksum,
        bytes.len()
    );
    let mut figures = VerifyFigures { on: "serial".into(), samples: samples.len(), ..VerifyFigures::default() };
    let mut progress = Progress::new("verify: samples", samples.len());
    let mut expected = expected.iter();
    // A board that restarts forgets what a series left, so a series is sent as a whole.
    for series in samples.chunk_by(|_, next| !next.starts) {
        let mut attempts = 0;
        let ran = loop {
            check_stopped()?;
            match run(line, series)? {
                Some(ran) => break ran,
                None => attempts += 1,
            }
            ensure!(attempts < ATTEMPTS, "the board has lost a sample {attempts} times: does it restart all the time?");
        };
        for (answered, expected) in ran.iter().zip(&mut expected) {
            figures.mismatches += differing(&answered.bytes, expected);
            let Cost { cycles, instructions, stack } = answered.cost;
            figures.instructions = figures.instructions.max(counted(instructions));
            figures.cycles = figures.cycles.max(counted(cycles));
            figures.stack = figures.stack.max(counted(stack).map(|bytes| bytes as usize));
        }
        progress.advance(series.len());
    }
    figures.repeated = Some(line.repeated);
    Ok(figures)
}

/// What a board answered to a sample.
struct Answered {
    cost: Cost,
    bytes: Vec<u8>,
}

/// Runs a series; nothing when the board has restarted in it.
fn run<P: Read + Write>(line: &mut Link<P>, series: &[Sample]) -> Result<Option<Vec<Answered>>> {
    let mut answers = Vec::with_capacity(series.len());
    for (step, sample) in series.iter().enumerate() {
        let bytes = encode(sample);
        let mut offset = 0;
        while let Some((sent, said)) = line.ask_sample(&bytes, offset)? {
            match said {
                Said::Done => offset += sent,
                other => bail!("the board does not take a sample: {}", reason(other)),
            }
        }
        let checksum_of_sample = checksum(bytes.iter().copied());
        let ran = match line.ask(Ask::Run { step: step as u32, checksum: checksum_of_sample })? {
            Said::Ran(ran) => ran,
            Said::Lost => return Ok(None),
            other => bail!("the board does not run a sample: {}", reason(other)),
        };
        let mut answer = Vec::new();
        while answer.len() < ran.len as usize {
            match line.ask_outputs(answer.len())? {
                Said::Bytes(part) if !part.is_empty() => answer.extend(part),
                Said::Bytes(_) | Said::Lost => return Ok(None),
                other => bail!("the board does not give its outputs: {}", reason(other)),
            }
        }
        if answer.len() != ran.len as usize || checksum(answer.iter().copied()) != ran.checksum {
            return Ok(None);
        }
        answers.push(Answered { cost: ran.cost, bytes: answer });
    }
    Ok(Some(answers))
}

/// A sample as [`Ask::Sample`] has it.
fn encode(sample: &Sample) -> Vec<u8> {
    let input = sample.input.iter().flat_map(|value| value.to_le_bytes());
    let facts = sample.facts.iter().flat_map(|&fact| fact_words(fact)).flat_map(u32::to_le_bytes);
    input.chain(facts).collect()
}

/// A count of the board, which says 0 where it does not count.
fn counted(count: u32) -> Option<u64> {
    Some(u64::from(count)).filter(|&count| count > 0)
}

fn differing(answer: &[u8], expected: &Answer) -> usize {
    let expected = expected.bytes();
    answer.iter().zip(&expected).filter(|(a, b)| a != b).count() + answer.len().abs_diff(expected.len())
}

fn reason(said: Said) -> String {
    match said {
        Said::Refused(why) => link::explain(why),
        other => format!("it answered {other:?}"),
    }
}

/// How often a series is sent to a board that restarts.
const ATTEMPTS: usize = 20;
