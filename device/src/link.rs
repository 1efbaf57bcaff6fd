//! What a board and a workstation say to each other over a serial line, in frames that survive it.
//!
//! A message is followed by its CRC-32 and packed by COBS (Cheshire and Baker 1999), so that the byte 0 stands between frames
//! alone: whatever noise, lost bytes or a restart do to one frame, the next is read. The workstation asks, the board answers; a
//! [`Request`] that is not answered in time is sent again with the number that it had, and a board that has answered that
//! number says the same once more instead of doing it twice.
//!
//! Messages and frames are a few lines of our own: the crates that are made for them (postcard, cobs) index slices where the
//! compiler cannot see that they may, and here the linker has to show that nothing can panic.
//!
//! ```
//! use attar_device::link::{Ask, Frames, Request, frame, read};
//!
//! let mut buffer = [0; attar_device::link::MAX_FRAME];
//! let sent = frame(&Request { number: 1, ask: Ask::Hello }, &mut buffer).unwrap_or_default();
//! let mut frames = Frames::new();
//! let noise = [7, 0, 9];
//! let request = noise.iter().chain(sent).find_map(|&byte| {
//!     let message = frames.push(byte)?;
//!     read::<Request>(message).map(|request| (request.number, request.ask == Ask::Hello))
//! });
//! assert_eq!(request, Some((1, true)));
//! ```
//!
//! # Messages
//!
//! Numbers are little-endian; bytes go to the end of the message. Nothing follows what the tables list.
//!
//! | request | bytes after the number (u32) |
//! |---|---|
//! | hello | 0 |
//! | begin | 1, u32 length |
//! | data | 2, u32 offset, the bytes |
//! | finish | 3 |
//! | restart | 4 |
//! | sample | 5, u32 offset, the bytes |
//! | run | 6, u32 step, u32 checksum |
//! | outputs | 7, u32 offset, u32 most bytes |
//!
//! | reply | bytes after the number (u32) |
//! |---|---|
//! | hello | 0, u32 protocol, u32 length, u32 checksum, u32 revision, u32 1 for an update or 0 |
//! | done | 1 |
//! | refused | 2, u16 code, u32 expected, u32 got; [`RefusalCode`] lists the codes |
//! | lost | 3 |
//! | ran | 4, u32 cycles, u32 instructions, u32 stack, u32 length, u32 checksum |
//! | bytes | 5, the bytes |

mod cobs;
mod message;
mod refusal;
mod responder;

use attar_shared::{Header, checksum};

use message::Bytes;
pub use message::Message;
pub use refusal::{Refusal, RefusalCode};
pub use responder::{Responder, Word};

/// The most bytes of a model, a sample or an answer in one message.
pub const MAX_DATA: usize = 192;

/// The most bytes of a message, its checksum included; below 254, so that COBS adds one byte.
pub const MAX_MESSAGE: usize = 224;

/// The most bytes of a frame: a message, what COBS adds, and a zero before and behind it.
pub const MAX_FRAME: usize = MAX_MESSAGE + 3;

/// The version of these messages. Version 1, which was never released, sent an English text instead of a refusal code.
pub const PROTOCOL: u32 = 2;

/// A request of the workstation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Request<'a> {
    /// Another one for each request, and the same when it is sent again.
    pub number: u32,
    /// What is asked for.
    pub ask: Ask<'a>,
}

/// What a workstation asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ask<'a> {
    /// Who is there.
    Hello,
    /// To make room for a model.
    Begin {
        /// Bytes of the model.
        len: u32,
    },
    /// To take the next bytes of the model, at most [`MAX_DATA`].
    Data {
        /// The place of the first.
        offset: u32,
        /// The bytes.
        bytes: &'a [u8],
    },
    /// To read the model back and let it count.
    Finish,
    /// To restart.
    Restart,
    /// To take bytes of a sample, at most [`MAX_DATA`]: the values of the input, then each fact as [`fact_words`] gives it.
    Sample {
        /// The place of the first.
        offset: u32,
        /// The bytes.
        bytes: &'a [u8],
    },
    /// To run the model on the sample.
    Run {
        /// Which input of a series it is; 0 begins one, and what earlier runs left is forgotten.
        step: u32,
        /// The CRC-32 of the whole sample.
        checksum: u32,
    },
    /// To read what the last run answered: the int8 of all heads, the bits of their probabilities or values, and those of the
    /// computed facts.
    Outputs {
        /// The place of the first byte.
        offset: u32,
        /// The most bytes that may come; never more than [`MAX_DATA`] do.
        most: u32,
    },
}

/// Returns a fact of a sample as it is sent: whether it is known, and its value as [`crate::Facts::set_raw`] takes it.
pub fn fact_words(value: Option<f32>) -> [u32; 2] {
    [u32::from(value.is_some()), value.unwrap_or(0.0).to_bits()]
}

/// An answer of the board.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reply<'a> {
    /// The number of the request.
    pub number: u32,
    /// What is answered.
    pub answer: Answer<'a>,
}

/// What a board answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer<'a> {
    /// Who is there.
    Hello(Hello),
    /// It is done.
    Done,
    /// It is not done, for this reason.
    Refused(Refusal),
    /// What it builds on is not there: the board has restarted, or never had it.
    Lost,
    /// The model has run.
    Ran(Ran),
    /// What was asked for.
    Bytes(&'a [u8]),
}

/// What a run took, and what it left to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ran {
    /// What it took.
    pub cost: Cost,
    /// Bytes of the answer.
    pub len: u32,
    /// The CRC-32 of the answer.
    pub checksum: u32,
}

/// What a run took.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Cost {
    /// Cycles of the core, 0 where they are not counted.
    pub cycles: u32,
    /// Instructions, 0 where they are not counted.
    pub instructions: u32,
    /// The deepest that the stack ever went, in bytes; 0 where it is not measured.
    pub stack: u32,
}

/// What a board says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hello {
    /// [`PROTOCOL`].
    pub protocol: u32,
    /// Bytes of the model that runs.
    pub len: u32,
    /// Its checksum, the last four bytes of the file.
    pub checksum: u32,
    /// Its revision.
    pub revision: u32,
    /// Whether it came by an update, or with the firmware.
    pub is_update: bool,
}

impl Hello {
    /// Returns what a board says of the model that runs; what cannot be read of it is 0.
    pub fn of(model: &[u8], is_update: bool) -> Self {
        let revision = Header::read(model).map_or(0, |header| header.revision);
        let checksum = model.last_chunk().map_or(0, |word| u32::from_le_bytes(*word));
        Self { protocol: PROTOCOL, len: model.len() as u32, checksum, revision, is_update }
    }
}

/// Packs a message into a frame at the start of `buffer` and returns its bytes; none when the message is too long.
pub fn frame<'b, 'm>(message: &impl Message<'m>, buffer: &'b mut [u8; MAX_FRAME]) -> Option<&'b [u8]> {
    let mut bytes = [0; MAX_MESSAGE];
    let mut to = Bytes { bytes: &mut bytes, len: 0 };
    message.put(&mut to)?;
    let sum = checksum(to.bytes.iter().copied().take(to.len));
    to.all(&sum.to_le_bytes())?;
    let len = to.len;
    let packed = cobs::pack(bytes.get(..len)?, buffer.get_mut(1..MAX_FRAME - 1)?)?;
    // The zero before it ends whatever noise there was.
    *buffer.first_mut()? = 0;
    *buffer.get_mut(packed + 1)? = 0;
    buffer.get(..packed + 2)
}

/// Returns the message in the bytes that [`Frames::push`] gave; none when it is no such message.
pub fn read<'a, T: Message<'a>>(message: &'a [u8]) -> Option<T> {
    T::take(message)
}

/// Finds frames in the bytes of a line.
#[derive(Debug, Clone)]
pub struct Frames {
    bytes: [u8; MAX_FRAME],
    len: usize,
    /// Bytes since the last zero do not fit.
    is_lost: bool,
}

impl Frames {
    /// Returns what has seen no byte yet.
    pub const fn new() -> Self {
        Self { bytes: [0; MAX_FRAME], len: 0, is_lost: false }
    }

    /// Takes the next byte of the line and returns the message that it ends, if it ends one and its checksum is right.
    pub fn push(&mut self, byte: u8) -> Option<&[u8]> {
        if byte != 0 {
            match self.bytes.get_mut(self.len) {
                Some(place) => {
                    *place = byte;
                    self.len += 1;
                }
                None => self.is_lost = true,
            }
            return None;
        }
        let (len, is_lost) = (self.len, self.is_lost);
        (self.len, self.is_lost) = (0, false);
        if is_lost {
            return None;
        }
        let packed = self.bytes.get_mut(..len)?;
        let len = cobs::unpack(packed)?;
        let (message, sum) = self.bytes.get(..len)?.split_last_chunk::<4>()?;
        (checksum(message.iter().copied()) == u32::from_le_bytes(*sum)).then_some(message)
    }
}

impl Default for Frames {
    fn default() -> Self {
        Self::new()
    }
}
