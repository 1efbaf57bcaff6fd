//! The samples of a sensor that the host sends, if it does: what the front-end and the network make of them, summed up.

use attar_device::format::Checksum;
use attar_device::signal::{Detector, StreamMemory};
use attar_device::{Arena, Error};
use semihosting::fs::File;
use semihosting::io::Read;
use semihosting::println;

use crate::board::Counter;
use crate::{Failure, STUDENT, samples};

/// The most classes that are told apart.
const CLASSES: usize = 32;

/// Samples that are pushed at once, at most: whole samples of all channels.
const PUSHED: usize = 64;

/// Hops that a line speaks of.
const HOPS: u32 = 64;

/// Pushes all samples and says the checksums of features and outputs, instructions, and what was detected. README.md has the
/// format.
pub fn listen(arena: &mut Arena<{ STUDENT.arena_bytes() }>) -> Result<(), Failure> {
    static mut MEMORY: StreamMemory<{ STUDENT.stream_words() }> = StreamMemory::new();
    let memory = &raw mut MEMORY;
    // SAFETY: there is one core, this function runs once, and nothing else names the static.
    let memory = unsafe { &mut *memory };
    let Ok(mut file) = File::open(c"signal.bin") else { return Ok(()) };
    let mut word = [0; 4];
    let mut next = || {
        file.read_exact(&mut word)
            .map(|()| u32::from_le_bytes(word))
            .map_err(|_| Failure::Samples(samples::Defect::Truncated))
    };
    if next()? != u32::from_le_bytes(*b"ATSG") {
        return Err(Failure::Samples(samples::Defect::NotSamples));
    }
    let count = next()?;
    let student = STUDENT.parse()?;
    let rules = student.model().signal().ok_or(Error::NoSignal)?.detection;
    let mut detector = rules.map(Detector::<CLASSES>::new);
    let mut facts = student.facts();
    for index in 0..u32::from(student.model().header().fact_count) {
        let (known, value) = (next()? != 0, f32::from_bits(next()?));
        let set = facts.set_raw(index as usize, known.then_some(value));
        set.map_err(|_| Failure::Samples(samples::Defect::Fact(index)))?;
    }
    let mut stream = student.stream(memory, arena)?;
    println!("stream words={} samples={count}", STUDENT.stream_words());
    let mut sums = Sums::new();
    let mut left = count as usize;
    let channels = student.model().signal().map_or(1, |signal| usize::from(signal.channels));
    let (mut bytes, mut values) = ([0; 2 * PUSHED], [0; PUSHED]);
    while left > 0 {
        let now = left.min(PUSHED) / channels * channels;
        if now == 0 {
            return Err(Failure::Samples(samples::Defect::Truncated));
        }
        let part = &mut bytes[..2 * now];
        file.read_exact(part).map_err(|_| Failure::Samples(samples::Defect::Truncated))?;
        for (value, pair) in values.iter_mut().zip(part.as_chunks::<2>().0) {
            *value = i16::from_le_bytes(*pair);
        }
        left -= now;
        let mut rest = &values[..now];
        while !rest.is_empty() {
            let start = Counter::start();
            let ready = stream.fill(&mut rest)?;
            sums.front += start.instructions();
            if !ready {
                continue;
            }
            for feature in stream.front_end().features() {
                sums.features.add(feature.to_bits().to_le_bytes());
            }
            let start = Counter::start();
            let ran = stream.run(&facts)?;
            let instructions = start.instructions();
            sums.network += instructions;
            if let Some(outputs) = ran {
                sums.runs += 1;
                for head in outputs.heads() {
                    sums.outputs.add(head.quantized().iter().map(|q| q.cast_unsigned()));
                }
                if let (Some(detector), Some(head)) = (&mut detector, outputs.heads().next())
                    && let Some(detected) = detector.update(&head)
                {
                    println!(
                        "detected hop {} class {} probability {:08x}",
                        sums.hops,
                        detected.class,
                        detected.probability.to_bits()
                    );
                }
            }
            sums.hops += 1;
            if sums.hops.is_multiple_of(HOPS) {
                sums.say();
            }
        }
    }
    sums.say();
    Ok(())
}

/// What has been computed until now.
struct Sums {
    hops: u32,
    runs: u32,
    front: u64,
    network: u64,
    features: Checksum,
    outputs: Checksum,
}

impl Sums {
    fn new() -> Self {
        Self { hops: 0, runs: 0, front: 0, network: 0, features: Checksum::new(), outputs: Checksum::new() }
    }

    fn say(&self) {
        println!(
            "hops {} runs {} front {} network {} features {:08x} outputs {:08x}",
            self.hops,
            self.runs,
            self.front,
            self.network,
            self.features.value(),
            self.outputs.value()
        );
    }
}
