//! Why a board refuses a request: a code and two numbers, never a text.
//!
//! The workstation makes the sentence. A board formats nothing, and a program there can decide by the code.

use crate::Error;

/// A refusal: a code, and the numbers that belong to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refusal {
    /// The reason.
    pub code: RefusalCode,
    /// What was expected, in the unit of the code; 0 where the code has no such number.
    pub expected: u32,
    /// What came instead, in the same unit; 0 where the code has no such number.
    pub got: u32,
}

/// The reason of a refusal, a `u16` on the line.
///
/// | code | variant | `expected` | `got` |
/// |---|---|---|---|
/// | 1 | `Unsupported` | | |
/// | 2 | `NoUpdate` | | |
/// | 3 | `Offset` | byte that comes next | byte that came |
/// | 4 | `TooLarge` | bytes of the largest model | bytes of this one |
/// | 5 | `Length` | bytes that were announced | bytes that came |
/// | 6 | `Model` | | |
/// | 7 | `Unsigned` | | |
/// | 8 | `Signature` | | |
/// | 9 | `Downgraded` | minimum revision | revision of the model |
/// | 10 | `SelfTest` | | test vector |
/// | 11 | `Flash` | | |
/// | 12 | `FlashGeometry` | | |
/// | 13 | `FlashDiffers` | | |
/// | 14 | `Sample` | | |
/// | 15 | `SampleLength` | bytes of a sample | end of the bytes that came |
/// | 16 | `InputNotFinite` | | index of the value |
/// | 17 | `FactNotFinite` | | |
/// | 18 | `FactValue` | | |
///
/// A code keeps its meaning for ever. A new one takes the next number; a workstation that does not know it prints the number. Codes
/// from 32,768 on are left to firmwares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum RefusalCode {
    /// The firmware does not serve this request.
    Unsupported,
    /// No update has begun: the board has restarted, or the update has ended.
    NoUpdate,
    /// The bytes of the model do not continue those before.
    Offset,
    /// The model does not fit into a slot of the store.
    TooLarge,
    /// More or fewer bytes came than were announced.
    Length,
    /// The bytes are not a model that this firmware can read.
    Model,
    /// The model is not signed.
    Unsigned,
    /// The signature is not that of the board's key and the model.
    Signature,
    /// The revision is lower than the board takes.
    Downgraded,
    /// The model does not reproduce a test vector on the board.
    SelfTest,
    /// The flash reports an error.
    Flash,
    /// The flash is too small, or its words are too large, for a store.
    FlashGeometry,
    /// The flash does not give back what was written.
    FlashDiffers,
    /// The model does not take the sample, for a reason without a code of its own.
    Sample,
    /// The sample is longer than the model takes.
    SampleLength,
    /// A value of the input is not finite.
    InputNotFinite,
    /// A fact is not finite.
    FactNotFinite,
    /// A category or a flag has a value that the model does not know.
    FactValue,
    /// A code that this version does not know.
    Other(u16),
}

impl RefusalCode {
    /// Returns the reason with a number.
    pub const fn from_number(number: u16) -> Self {
        match number {
            1 => Self::Unsupported,
            2 => Self::NoUpdate,
            3 => Self::Offset,
            4 => Self::TooLarge,
            5 => Self::Length,
            6 => Self::Model,
            7 => Self::Unsigned,
            8 => Self::Signature,
            9 => Self::Downgraded,
            10 => Self::SelfTest,
            11 => Self::Flash,
            12 => Self::FlashGeometry,
            13 => Self::FlashDiffers,
            14 => Self::Sample,
            15 => Self::SampleLength,
            16 => Self::InputNotFinite,
            17 => Self::FactNotFinite,
            18 => Self::FactValue,
            other => Self::Other(other),
        }
    }

    /// Returns the number on the line.
    pub const fn number(self) -> u16 {
        match self {
            Self::Unsupported => 1,
            Self::NoUpdate => 2,
            Self::Offset => 3,
            Self::TooLarge => 4,
            Self::Length => 5,
            Self::Model => 6,
            Self::Unsigned => 7,
            Self::Signature => 8,
            Self::Downgraded => 9,
            Self::SelfTest => 10,
            Self::Flash => 11,
            Self::FlashGeometry => 12,
            Self::FlashDiffers => 13,
            Self::Sample => 14,
            Self::SampleLength => 15,
            Self::InputNotFinite => 16,
            Self::FactNotFinite => 17,
            Self::FactValue => 18,
            Self::Other(number) => number,
        }
    }
}

impl Refusal {
    /// Returns a refusal with its numbers.
    pub const fn new(code: RefusalCode, expected: u32, got: u32) -> Self {
        Self { code, expected, got }
    }
}

impl From<RefusalCode> for Refusal {
    fn from(code: RefusalCode) -> Self {
        Self::new(code, 0, 0)
    }
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        match error {
            Error::Parse(_) => RefusalCode::Model.into(),
            Error::Unsigned => RefusalCode::Unsigned.into(),
            Error::WrongSignature => RefusalCode::Signature.into(),
            Error::Downgraded { least, got } => Self::new(RefusalCode::Downgraded, least, got),
            Error::SelfTest { vector, .. } => Self::new(RefusalCode::SelfTest, 0, vector as u32),
            Error::InputNotFinite { index } => Self::new(RefusalCode::InputNotFinite, 0, index as u32),
            Error::FactNotFinite => RefusalCode::FactNotFinite.into(),
            Error::UnknownCategory => RefusalCode::FactValue.into(),
            _ => RefusalCode::Sample.into(),
        }
    }
}

#[cfg(feature = "store")]
impl<E> From<crate::store::StoreError<E>> for Refusal {
    fn from(error: crate::store::StoreError<E>) -> Self {
        use crate::store::StoreError;
        match error {
            StoreError::Flash(_) => RefusalCode::Flash.into(),
            StoreError::Geometry => RefusalCode::FlashGeometry.into(),
            StoreError::TooLarge { most, got } => Self::new(RefusalCode::TooLarge, most as u32, got as u32),
            StoreError::Length { expected, got } => Self::new(RefusalCode::Length, expected as u32, got as u32),
            StoreError::Parse(_) => RefusalCode::Model.into(),
            StoreError::Differs => RefusalCode::FlashDiffers.into(),
            StoreError::Downgraded { least, got } => Self::new(RefusalCode::Downgraded, least, got),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::{Answer, Frames, MAX_FRAME, Reply, frame, read};
    use super::*;

    #[test]
    fn every_number_is_one_code_and_comes_back() {
        let known = (0..=u16::MAX).filter(|&number| RefusalCode::from_number(number) != RefusalCode::Other(number));
        assert_eq!(known.clone().collect::<heapless::Vec<_, 32>>(), (1..=18).collect::<heapless::Vec<_, 32>>());
        for number in 0..=u16::MAX {
            assert_eq!(RefusalCode::from_number(number).number(), number);
        }
    }

    #[test]
    fn a_refusal_is_these_bytes() {
        let refusal = Refusal::new(RefusalCode::Downgraded, 4, 0x0102_0304);
        let reply = Reply { number: 7, answer: Answer::Refused(refusal) };
        let mut buffer = [0; MAX_FRAME];
        let mut frames = Frames::new();
        let expected = [7, 0, 0, 0, 2, 9, 0, 4, 0, 0, 0, 4, 3, 2, 1];
        let framed = frame(&reply, &mut buffer).unwrap();
        assert!(framed.iter().any(|&byte| frames.push(byte) == Some(&expected)));
        assert_eq!(read::<Reply<'_>>(&expected), Some(reply));
        // The text of an earlier version is no refusal.
        assert_eq!(read::<Reply<'_>>(b"\x07\0\0\0\x02it is old"), None);
    }

    #[test]
    fn a_downgrade_keeps_its_revisions() {
        let refusal = Refusal::from(Error::Downgraded { least: 4, got: 3 });
        assert_eq!(refusal, Refusal::new(RefusalCode::Downgraded, 4, 3));
    }
}
