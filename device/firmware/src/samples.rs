//! The samples that the host sends, one at a time in memory.

use core::fmt;

use attar_device::Facts;
use semihosting::fs::File;
use semihosting::io::Read;

/// An open file of samples.
pub struct Samples {
    file: File,
    count: u32,
    next: u32,
}

/// What is wrong with the file.
#[derive(Clone, Copy)]
pub enum Defect {
    Missing,
    NotSamples,
    Truncated,
    Sizes { input: [u32; 2], facts: [u32; 2] },
    Fact(u32),
}

impl fmt::Display for Defect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => f.write_str("cannot be opened"),
            Self::NotSamples => f.write_str("is not a file of samples of version 3"),
            Self::Truncated => f.write_str("ends too early"),
            Self::Sizes { input, facts } => write!(
                f,
                "has {} values and {} facts a sample, the student takes {} and {}",
                input[0], facts[0], input[1], facts[1]
            ),
            Self::Fact(index) => write!(f, "fact {index} has a value that the student does not take"),
        }
    }
}

impl Samples {
    /// Opens the file and holds its sizes against the student's: values of an input, and facts.
    pub fn open(input_len: usize, fact_count: usize) -> Result<Self, Defect> {
        let mut file = File::open(c"samples.bin").map_err(|_| Defect::Missing)?;
        let mut words = [[0; 4]; 5];
        for word in &mut words {
            *word = read(&mut file)?;
        }
        let [magic, version, count, input, facts] = words;
        if &magic != b"ATSV" || u32::from_le_bytes(version) != 3 {
            return Err(Defect::NotSamples);
        }
        let input = [u32::from_le_bytes(input), input_len as u32];
        let facts = [u32::from_le_bytes(facts), fact_count as u32];
        if input[0] != input[1] || facts[0] != facts[1] {
            return Err(Defect::Sizes { input, facts });
        }
        Ok(Self { file, count: u32::from_le_bytes(count), next: 0 })
    }

    /// Reads the next sample into `input` and `facts` and returns its index and whether a series starts with it; nothing
    /// after the last.
    pub fn next<const PARTS: u128>(
        &mut self,
        input: &mut [f32],
        facts: &mut Facts<'_, PARTS>,
    ) -> Result<Option<(u32, bool)>, Defect> {
        if self.next == self.count {
            return Ok(None);
        }
        let starts = u32::from_le_bytes(read(&mut self.file)?) != 0;
        let mut bytes = [0; 256];
        for places in input.chunks_mut(bytes.len() / 4) {
            let part = &mut bytes[..places.len() * 4];
            self.file.read_exact(part).map_err(|_| Defect::Truncated)?;
            for (place, value) in places.iter_mut().zip(part.as_chunks::<4>().0) {
                *place = f32::from_le_bytes(*value);
            }
        }
        for index in 0..u32::from(facts.model().header().fact_count) {
            let known = u32::from_le_bytes(read(&mut self.file)?) != 0;
            let value = f32::from_le_bytes(read(&mut self.file)?);
            facts.set_raw(index as usize, known.then_some(value)).map_err(|_| Defect::Fact(index))?;
        }
        self.next += 1;
        Ok(Some((self.next - 1, starts)))
    }

    /// Returns how many samples the file promises.
    pub fn count(&self) -> u32 {
        self.count
    }
}

fn read(file: &mut File) -> Result<[u8; 4], Defect> {
    let mut word = [0; 4];
    file.read_exact(&mut word).map_err(|_| Defect::Truncated)?;
    Ok(word)
}
