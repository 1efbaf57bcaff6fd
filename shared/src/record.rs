//! The record of an operator: what the file says of it apart from its parameters.

use crate::Defect;
use crate::addition::Clamp;
use crate::bytes::{u16_at, u32_at};
use crate::kind::Kind;
use crate::window::Window;

/// The most tensors an operator reads.
pub const MAX_INPUTS: usize = 4;

/// Bytes of a record.
pub(crate) const OPERATOR_BYTES: usize = 32;

/// Where a record has its inputs.
const INPUTS: [usize; MAX_INPUTS] = [4, 6, 8, 10];

/// A record in the file. Fields are read where they are needed: all of them together take a multiple of the stack.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Record<'a>(pub(crate) &'a [u8; OPERATOR_BYTES]);

impl Record<'_> {
    /// Returns the kind, if this version knows it.
    #[inline(always)]
    pub(crate) fn kind(self) -> Option<Kind> {
        Kind::from_code(u16_at(self.0, 0).to_le_bytes()[0])
    }

    /// Returns how many tensors are read.
    #[inline(always)]
    pub(crate) fn input_count(self) -> u8 {
        u16_at(self.0, 0).to_le_bytes()[1] & 0xf
    }

    /// Returns the code of the weights' form.
    #[inline(always)]
    pub(crate) fn form(self) -> u8 {
        u16_at(self.0, 0).to_le_bytes()[1] >> 4
    }

    #[inline(always)]
    pub(crate) fn clamp(self) -> Clamp {
        let [min, max] = u16_at(self.0, 2).to_le_bytes();
        Clamp { min: min.cast_signed(), max: max.cast_signed() }
    }

    /// Returns the places of all inputs, also of those that are not used.
    #[inline(always)]
    pub(crate) fn inputs(self) -> [u16; MAX_INPUTS] {
        INPUTS.map(|at| u16_at(self.0, at))
    }

    /// Returns whether a tensor is read.
    pub(crate) fn reads(self, tensor: u16) -> bool {
        INPUTS.iter().take(self.input_count().into()).any(|&at| u16_at(self.0, at) == tensor)
    }

    #[inline(always)]
    pub(crate) fn window(self) -> Window {
        let pair = |at| [u16_at(self.0, at), u16_at(self.0, at + 2)];
        Window { kernel: pair(12), stride: pair(16), dilation: pair(20), pad: pair(24) }
    }

    /// Returns where the parameters begin in the weights section.
    #[inline(always)]
    pub(crate) fn offset(self) -> Result<usize, Defect> {
        usize::try_from(u32_at(self.0, 28)).map_err(|_| Defect::Offset)
    }
}
