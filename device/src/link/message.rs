//! Messages as bytes; the documentation of [`super`] has their tables.

use super::{Answer, Ask, Cost, Hello, Ran, Refusal, RefusalCode, Reply, Request};

mod sealed {
    pub trait Sealed {}

    impl Sealed for super::Request<'_> {}
    impl Sealed for super::Reply<'_> {}
}

/// A request or a reply. This trait is sealed.
pub trait Message<'a>: Sized + sealed::Sealed {
    /// Puts the message; nothing when it does not fit.
    #[doc(hidden)]
    fn put(&self, to: &mut Bytes<'_>) -> Option<()>;

    /// Takes the message that `bytes` are, all of them.
    #[doc(hidden)]
    fn take(bytes: &'a [u8]) -> Option<Self>;
}

/// A message that is being written.
#[derive(Debug)]
pub struct Bytes<'b> {
    pub(super) bytes: &'b mut [u8],
    pub(super) len: usize,
}

impl Bytes<'_> {
    pub(super) fn all(&mut self, bytes: &[u8]) -> Option<()> {
        let end = self.len.checked_add(bytes.len())?;
        self.bytes.get_mut(self.len..end)?.copy_from_slice(bytes);
        self.len = end;
        Some(())
    }

    fn word(&mut self, word: u32) -> Option<()> {
        self.all(&word.to_le_bytes())
    }
}

fn word(bytes: &[u8]) -> Option<(u32, &[u8])> {
    let (word, rest) = bytes.split_first_chunk()?;
    Some((u32::from_le_bytes(*word), rest))
}

/// Takes numbers and nothing behind them.
fn words<const COUNT: usize>(mut bytes: &[u8]) -> Option<[u32; COUNT]> {
    let mut words = [0; COUNT];
    for place in &mut words {
        (*place, bytes) = word(bytes)?;
    }
    bytes.is_empty().then_some(words)
}

impl<'a> Message<'a> for Request<'a> {
    fn put(&self, to: &mut Bytes<'_>) -> Option<()> {
        to.word(self.number)?;
        match self.ask {
            Ask::Hello => to.all(&[0]),
            Ask::Begin { len } => {
                to.all(&[1])?;
                to.word(len)
            }
            Ask::Data { offset, bytes } => {
                to.all(&[2])?;
                to.word(offset)?;
                to.all(bytes)
            }
            Ask::Finish => to.all(&[3]),
            Ask::Restart => to.all(&[4]),
            Ask::Sample { offset, bytes } => {
                to.all(&[5])?;
                to.word(offset)?;
                to.all(bytes)
            }
            Ask::Run { step, checksum } => {
                to.all(&[6])?;
                to.word(step)?;
                to.word(checksum)
            }
            Ask::Outputs { offset, most } => {
                to.all(&[7])?;
                to.word(offset)?;
                to.word(most)
            }
        }
    }

    fn take(bytes: &'a [u8]) -> Option<Self> {
        let (number, rest) = word(bytes)?;
        let (kind, rest) = rest.split_first()?;
        let ask = match (kind, rest) {
            (0, []) => Ask::Hello,
            (1, rest) => {
                let [len] = words(rest)?;
                Ask::Begin { len }
            }
            (2, rest) => {
                let (offset, bytes) = word(rest)?;
                Ask::Data { offset, bytes }
            }
            (3, []) => Ask::Finish,
            (4, []) => Ask::Restart,
            (5, rest) => {
                let (offset, bytes) = word(rest)?;
                Ask::Sample { offset, bytes }
            }
            (6, rest) => {
                let [step, checksum] = words(rest)?;
                Ask::Run { step, checksum }
            }
            (7, rest) => {
                let [offset, most] = words(rest)?;
                Ask::Outputs { offset, most }
            }
            _ => return None,
        };
        Some(Self { number, ask })
    }
}

impl<'a> Message<'a> for Reply<'a> {
    fn put(&self, to: &mut Bytes<'_>) -> Option<()> {
        to.word(self.number)?;
        match self.answer {
            Answer::Hello(Hello { protocol, len, checksum, revision, is_update }) => {
                to.all(&[0])?;
                [protocol, len, checksum, revision, u32::from(is_update)]
                    .into_iter()
                    .try_for_each(|field| to.word(field))
            }
            Answer::Done => to.all(&[1]),
            Answer::Refused(Refusal { code, expected, got }) => {
                to.all(&[2])?;
                to.all(&code.number().to_le_bytes())?;
                to.word(expected)?;
                to.word(got)
            }
            Answer::Lost => to.all(&[3]),
            Answer::Ran(Ran { cost: Cost { cycles, instructions, stack }, len, checksum }) => {
                to.all(&[4])?;
                [cycles, instructions, stack, len, checksum].into_iter().try_for_each(|field| to.word(field))
            }
            Answer::Bytes(bytes) => {
                to.all(&[5])?;
                to.all(bytes)
            }
        }
    }

    fn take(bytes: &'a [u8]) -> Option<Self> {
        let (number, rest) = word(bytes)?;
        let (kind, rest) = rest.split_first()?;
        let answer = match (kind, rest) {
            (0, rest) => {
                let [protocol, len, checksum, revision, update @ 0..=1] = words(rest)? else { return None };
                Answer::Hello(Hello { protocol, len, checksum, revision, is_update: update == 1 })
            }
            (1, []) => Answer::Done,
            (2, rest) => {
                let (code, rest) = rest.split_first_chunk()?;
                let [expected, got] = words(rest)?;
                Answer::Refused(Refusal::new(RefusalCode::from_number(u16::from_le_bytes(*code)), expected, got))
            }
            (3, []) => Answer::Lost,
            (4, rest) => {
                let [cycles, instructions, stack, len, checksum] = words(rest)?;
                Answer::Ran(Ran { cost: Cost { cycles, instructions, stack }, len, checksum })
            }
            (5, bytes) => Answer::Bytes(bytes),
            _ => return None,
        };
        Some(Self { number, answer })
    }
}
