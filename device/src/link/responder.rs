//! The board's end of `attar verify`: takes samples, runs the student on them, and lets its outputs be read.

use attar_shared::parts::ALL_PARTS;
use attar_shared::{MAX_FACTS, MISSING, checksum};

use super::{
    Answer, Ask, Cost, Frames, Hello, MAX_DATA, MAX_FRAME, Ran, Refusal, RefusalCode, Reply, Request, frame, read,
};
use crate::{Error, Facts, Session, Student};

/// Answers `attar verify --on serial:PORT` for one student.
///
/// It takes the bytes of the line one by one and gives back what is to be sent; the line itself, and how a run is measured,
/// are the firmware's.
///
/// ```
/// use attar_device::link::{Cost, Responder, Word};
/// use attar_device::{Arena, include_student};
///
/// include_student!(STUDENT, concat!(env!("CARGO_MANIFEST_DIR"), "/examples/student.attar"));
///
/// # fn main() -> Result<(), attar_device::Error> {
/// let student = STUDENT.parse()?;
/// let mut arena = Arena::<{ STUDENT.arena_bytes() }>::new();
/// let mut sample = [Word::ZERO; STUDENT.sample_words()];
/// let mut responder = Responder::new(&student, STUDENT.bytes(), arena.as_mut_slice(), &mut sample)?;
/// # let mut received = [0, 0].into_iter();
/// # let mut send = |_: &[u8]| {};
/// while let Some(byte) = received.next() {
///     let measured = |run: &mut dyn FnMut()| {
///         run();
///         Cost::default() // what the board's counters say
///     };
///     if let Some(bytes) = responder.push(byte, measured) {
///         send(bytes);
///     }
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Responder<'a, const PARTS: u128 = ALL_PARTS> {
    hello: Hello,
    bench: Bench<'a, PARTS>,
    frames: Frames,
    /// The number that was answered last, with the bytes of the answer.
    answered: Option<u32>,
    frame: [u8; MAX_FRAME],
    len: usize,
}

/// Four bytes of a sample: a number, least significant byte first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Word([u8; 4]);

impl Word {
    /// Four zeros.
    pub const ZERO: Self = Self([0; 4]);
}

impl From<Word> for f32 {
    fn from(word: Word) -> Self {
        Self::from_le_bytes(word.0)
    }
}

impl<'a, const PARTS: u128> Responder<'a, PARTS> {
    /// Returns what answers for the student in `bytes`, with the memory for a session, and for a sample as many words as
    /// [`crate::EmbeddedStudent::sample_words`] says.
    ///
    /// # Errors
    ///
    /// As [`Session::new`], and [`Error::InputLength`] when the memory for the sample has another length.
    pub fn new(
        student: &Student<'a, PARTS>,
        bytes: &[u8],
        arena: &'a mut [i8],
        sample: &'a mut [Word],
    ) -> Result<Self, Error> {
        let header = student.model().header();
        let input_len = header.input_values as usize;
        let (expected, got) = (input_len + 2 * usize::from(header.fact_count), sample.len());
        let (input, facts) = sample.split_at_mut_checked(input_len).unwrap_or_default();
        if expected != got {
            return Err(Error::InputLength { expected, got });
        }
        let session = Session::new(*student.model(), arena)?;
        Ok(Self {
            hello: Hello::of(bytes, false),
            bench: Bench { student: *student, session, input, facts, step: 0, has_run: false },
            frames: Frames::new(),
            answered: None,
            frame: [0; MAX_FRAME],
            len: 0,
        })
    }

    /// Takes the next byte of the line, and returns what is to be sent when it ends a request.
    ///
    /// `measure` calls what it is given once, the run of a sample, and returns what that took.
    pub fn push(&mut self, byte: u8, measure: impl FnOnce(&mut dyn FnMut()) -> Cost) -> Option<&[u8]> {
        let mut part = [0; MAX_DATA];
        let request = read::<Request<'_>>(self.frames.push(byte)?)?;
        let number = request.number;
        // What was answered is said once more, not done twice.
        if self.answered != Some(number) {
            let answer = match request.ask {
                Ask::Hello => Answer::Hello(self.hello),
                Ask::Sample { offset, bytes } => self.bench.take(offset, bytes),
                Ask::Run { step, checksum } => {
                    self.bench.run(step, checksum, measure).unwrap_or_else(|error| Answer::Refused(error.into()))
                }
                Ask::Outputs { offset, most } => {
                    let part = part.get_mut(..MAX_DATA.min(most as usize)).unwrap_or_default();
                    self.bench.outputs(offset, part)
                }
                Ask::Begin { .. } | Ask::Data { .. } | Ask::Finish | Ask::Restart => {
                    Answer::Refused(RefusalCode::Unsupported.into())
                }
            };
            self.len = frame(&Reply { number, answer }, &mut self.frame)?.len();
            self.answered = Some(number);
        }
        self.frame.get(..self.len)
    }
}

/// The student with a sample.
#[derive(Debug)]
struct Bench<'a, const PARTS: u128> {
    student: Student<'a, PARTS>,
    session: Session<'a, PARTS>,
    input: &'a mut [Word],
    /// Two words a fact.
    facts: &'a mut [Word],
    /// The step of a series that comes next.
    step: u32,
    has_run: bool,
}

impl<'a, const PARTS: u128> Bench<'a, PARTS> {
    fn take<'r>(&mut self, offset: u32, bytes: &[u8]) -> Answer<'r> {
        self.has_run = false;
        let len = 4 * (self.input.len() + self.facts.len()) as u32;
        let end = offset.saturating_add(bytes.len() as u32);
        let words = self.input.iter_mut().chain(self.facts.iter_mut());
        let mut places = words.flat_map(|word| word.0.iter_mut()).skip(offset as usize);
        for &byte in bytes {
            match places.next() {
                Some(place) => *place = byte,
                None => return Answer::Refused(Refusal::new(RefusalCode::SampleLength, len, end)),
            }
        }
        Answer::Done
    }

    fn run<'r>(
        &mut self,
        step: u32,
        sum: u32,
        measure: impl FnOnce(&mut dyn FnMut()) -> Cost,
    ) -> Result<Answer<'r>, Error> {
        let sample = self.input.iter().chain(self.facts.iter());
        if checksum(sample.flat_map(|word| word.0)) != sum || (step != 0 && step != self.step) {
            return Ok(Answer::Lost);
        }
        self.has_run = false;
        if step == 0 {
            self.session.reset();
        }
        let facts = self.known_facts()?;
        let mut ran = Ok(());
        let cost = measure(&mut || ran = self.session.run(self.input, &facts).map(|_| ()));
        ran?;
        self.step = step.wrapping_add(1);
        self.has_run = true;
        let mut len = 0;
        let checksum = checksum(self.answer(&facts)?.inspect(|_| len += 1));
        Ok(Answer::Ran(Ran { cost, len, checksum }))
    }

    fn outputs<'r>(&self, offset: u32, part: &'r mut [u8]) -> Answer<'r> {
        let facts = self.known_facts().ok().filter(|_| self.has_run);
        let Some(bytes) = facts.as_ref().and_then(|facts| self.answer(facts).ok()) else { return Answer::Lost };
        let mut len = 0;
        for (place, byte) in part.iter_mut().zip(bytes.skip(offset as usize)) {
            *place = byte;
            len += 1;
        }
        Answer::Bytes(part.get(..len).unwrap_or_default())
    }

    /// The facts of the sample.
    fn known_facts(&self) -> Result<Facts<'a, PARTS>, Error> {
        let mut facts = self.student.facts();
        for (index, pair) in self.facts.chunks_exact(2).enumerate() {
            if let [known, value] = *pair {
                facts.set_raw(index, (known != Word::ZERO).then_some(value.into()))?;
            }
        }
        Ok(facts)
    }

    /// The bytes of the last run's answer.
    fn answer(&self, facts: &Facts<'_, PARTS>) -> Result<impl Iterator<Item = u8> + use<'_, 'a, PARTS>, Error> {
        let outputs = self.session.outputs()?;
        let known = facts.known(self.input);
        let mut computed = [[0; 4]; MAX_FACTS];
        let count = computed.len().min(known.computed().count());
        for (place, value) in computed.iter_mut().zip(known.computed()) {
            *place = value.unwrap_or(MISSING).to_le_bytes();
        }
        let heads = outputs.heads().flat_map(|head| head.quantized().iter().map(|q| q.cast_unsigned()));
        let results = outputs.heads().flat_map(|head| head.probabilities().flat_map(f32::to_le_bytes));
        Ok(heads.chain(results).chain(computed.into_iter().take(count).flatten()))
    }
}
