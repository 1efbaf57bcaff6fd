//! The constants of an addition, which is an operator or the end of another one, and the range of an output.

use crate::Defect;
use crate::bytes::u32_at;

/// The range an output is kept in, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Clamp {
    /// The least value.
    pub min: i8,
    /// The greatest value.
    pub max: i8,
}

/// `(a * a_multiplier + b * b_multiplier + bias) >> shift`; the bias holds the zero points and the rounding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AddConstants {
    /// The factor of the first input.
    pub a_multiplier: i32,
    /// The factor of the second input.
    pub b_multiplier: i32,
    /// What is added to both products.
    pub bias: i32,
    /// From 0 to 31.
    pub shift: u8,
}

/// An addition that joined the operator before it: the second input is added to what the operator alone would write.
///
/// With y the result of the operator alone, from its own zero point and clamp, and b the value of the second input, the
/// output is that of [`crate::Parameters::Add`] for y and b.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Addend {
    /// The addition.
    pub constants: AddConstants,
    /// The int8 that stands for zero among the results of the operator alone.
    pub zero_point: i8,
    /// The range that those results are kept in.
    pub clamp: Clamp,
}

impl Clamp {
    /// Every int8.
    pub const ALL: Self = Self { min: i8::MIN, max: i8::MAX };
}

/// Bytes of an addition's constants, by itself or after the weights of what it joined.
pub(crate) const ADDITION_BYTES: usize = 16;

impl AddConstants {
    pub(crate) fn new(bytes: &[u8; ADDITION_BYTES]) -> Self {
        let word = |at| u32_at(bytes, at).cast_signed();
        Self { a_multiplier: word(0), b_multiplier: word(4), bias: word(8), shift: bytes[12] }
    }

    pub(crate) fn check(self) -> Result<(), Defect> {
        if self.shift > 31 {
            return Err(Defect::Shift);
        }
        let factors = u64::from(self.a_multiplier.unsigned_abs()) + u64::from(self.b_multiplier.unsigned_abs());
        let bound = factors * 128 + u64::from(self.bias.unsigned_abs());
        if bound > i32::MAX as u64 { Err(Defect::Overflow) } else { Ok(()) }
    }
}

impl Addend {
    pub(crate) fn new(bytes: &[u8; ADDITION_BYTES]) -> Self {
        let [.., zero_point, min, max] = bytes.map(u8::cast_signed);
        Self { constants: AddConstants::new(bytes), zero_point, clamp: Clamp { min, max } }
    }

    pub(crate) fn check(self) -> Result<(), Defect> {
        if self.clamp.min > self.clamp.max {
            return Err(Defect::Clamp);
        }
        self.constants.check()
    }
}
