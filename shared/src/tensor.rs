//! Tensors: shape, quantisation and place in the arena.

use crate::bytes::{u16_at, u32_at};
use crate::{ALIGNMENT, Defect};

/// The shape of a tensor, `[height, width, channels]`, channels last.
///
/// A series has height 1, a vector has height and width 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    /// Rows.
    pub height: u16,
    /// Columns, or steps of a series.
    pub width: u16,
    /// Values at a position.
    pub channels: u16,
}

impl Shape {
    /// Returns the shape of a vector.
    pub const fn vector(channels: u16) -> Self {
        Self { height: 1, width: 1, channels }
    }

    /// Returns the number of values, which in a parsed model always fits; where it does not fit it wraps.
    pub const fn len(self) -> usize {
        self.positions().wrapping_mul(self.channels as usize)
    }

    /// Returns whether the shape holds no value, which no tensor of a parsed model has.
    pub const fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// Returns the number of positions, height times width.
    pub const fn positions(self) -> usize {
        (self.height as usize).wrapping_mul(self.width as usize)
    }

    /// Returns whether this is a vector, which may be broadcast over positions.
    pub const fn is_vector(self) -> bool {
        self.height == 1 && self.width == 1
    }
}

/// What an int8 stands for: `scale * (q - zero_point)`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Quantization {
    /// The step between two neighbouring values.
    pub scale: f32,
    /// The int8 that stands for zero.
    pub zero_point: i8,
}

impl Quantization {
    /// Returns whether an int8 stands for the same in both.
    pub(crate) fn is(self, other: Self) -> bool {
        // Scales are positive, and equal where their bits are.
        self.scale.to_bits() == other.scale.to_bits() && self.zero_point == other.zero_point
    }
}

/// An int8 tensor of the graph.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Tensor {
    /// The shape.
    pub shape: Shape,
    /// What its values stand for.
    pub quantization: Quantization,
    /// Where in the arena it begins, in bytes.
    pub offset: u32,
    /// The last operator that reads it; the number of operators when a head does, or when it is held.
    pub last_use: u16,
    /// Whether it stays from one run to the next: operators before the one that writes it read what the last run left.
    pub held: bool,
}

/// Bytes of a tensor's record.
pub(crate) const TENSOR_BYTES: usize = 20;

/// The greatest scale, 2^64: what a tensor stands for stays far from the end of f32, so that no head gives NaN.
const MAX_SCALE: f32 = 18_446_744_073_709_551_616.0;

/// The most values a tensor may have.
pub(crate) const MAX_LEN: u64 = 1 << 26;

/// The greatest offset in the arena, so that no end overflows.
const MAX_OFFSET: u32 = 1 << 31;

impl Tensor {
    /// Returns the place after the last byte, rounded up to the alignment; in a parsed model it fits.
    pub fn end(&self) -> u32 {
        self.offset.wrapping_add(self.shape.len() as u32).wrapping_add(ALIGNMENT - 1) & !(ALIGNMENT - 1)
    }

    #[inline(never)]
    pub(crate) fn decode(record: &[u8; TENSOR_BYTES]) -> Result<Self, Defect> {
        let shape = Shape { height: u16_at(record, 0), width: u16_at(record, 2), channels: u16_at(record, 4) };
        let [zero_point, held] = u16_at(record, 6).to_le_bytes();
        let scale = f32::from_bits(u32_at(record, 8));
        let offset = u32_at(record, 12);
        let last_use = u16_at(record, 16);
        if held > 1 {
            return Err(Defect::Unused);
        }
        if u16_at(record, 18) != 0 {
            return Err(Defect::Padding);
        }
        if shape.height == 0 || shape.width == 0 || shape.channels == 0 {
            return Err(Defect::ZeroDimension);
        }
        if u64::from(shape.height) * u64::from(shape.width) * u64::from(shape.channels) > MAX_LEN {
            return Err(Defect::TooLarge);
        }
        // By its bits, which rise with the number: a small core has no instruction to compare floats.
        if !(f32::MIN_POSITIVE.to_bits()..=MAX_SCALE.to_bits()).contains(&scale.to_bits()) {
            return Err(Defect::Scale);
        }
        if offset % ALIGNMENT != 0 || offset > MAX_OFFSET {
            return Err(Defect::Offset);
        }
        let quantization = Quantization { scale, zero_point: zero_point.cast_signed() };
        Ok(Self { shape, quantization, offset, last_use, held: held == 1 })
    }
}
