//! What is said, byte by byte: numbers little-endian, a text or bytes to the end of the message.
//!
//! | request | bytes after the number (u32) |
//! |---|---|
//! | hello | 0 |
//! | begin | 1, u32 length |
//! | data | 2, u32 offset, the bytes |
//! | finish | 3 |
//! | restart | 4 |
//!
//! | reply | bytes after the number (u32) |
//! |---|---|
//! | hello | 0, u32 protocol, u32 length, u32 checksum, u32 revision, u32 1 for an update or 0 |
//! | done | 1 |
//! | refused | 2, the text |

use super::{Answer, Ask, Hello, Reply, Request};

/// A request or a reply.
pub trait Message<'a>: Sized {
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
        }
    }

    fn take(bytes: &'a [u8]) -> Option<Self> {
        let (number, rest) = word(bytes)?;
        let (kind, rest) = rest.split_first()?;
        let ask = match (kind, rest) {
            (0, []) => Ask::Hello,
            (1, rest) => match word(rest)? {
                (len, []) => Ask::Begin { len },
                _ => return None,
            },
            (2, rest) => {
                let (offset, bytes) = word(rest)?;
                Ask::Data { offset, bytes }
            }
            (3, []) => Ask::Finish,
            (4, []) => Ask::Restart,
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
            Answer::Refused { why } => {
                to.all(&[2])?;
                to.all(why.as_bytes())
            }
        }
    }

    fn take(bytes: &'a [u8]) -> Option<Self> {
        let (number, rest) = word(bytes)?;
        let (kind, rest) = rest.split_first()?;
        let answer = match (kind, rest) {
            (0, rest) => {
                let (protocol, rest) = word(rest)?;
                let (len, rest) = word(rest)?;
                let (checksum, rest) = word(rest)?;
                let (revision, rest) = word(rest)?;
                match word(rest)? {
                    (update @ 0..=1, []) => {
                        Answer::Hello(Hello { protocol, len, checksum, revision, is_update: update == 1 })
                    }
                    _ => return None,
                }
            }
            (1, []) => Answer::Done,
            (2, text) => Answer::Refused { why: core::str::from_utf8(text).ok()? },
            _ => return None,
        };
        Some(Self { number, answer })
    }
}
