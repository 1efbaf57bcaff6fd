//! Heads: what the last tensors mean.

use crate::Defect;
use crate::bytes::{Cursor, F32s, Strings};

/// An answer of the model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head<'a> {
    /// What the head is called.
    pub name: &'a str,
    /// What its tensor stands for.
    pub kind: HeadKind,
    /// The tensor that holds its logits or values.
    pub tensor: u16,
    /// Names of the outputs, or none; a binary head has two, for no and yes.
    pub labels: Strings<'a>,
    /// For a regression, what turns the tensor's values into the target's unit; empty for other kinds.
    pub rescale: Rescale<'a>,
}

/// `y = value * gain + offset` for each output of a regression head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rescale<'a> {
    /// One factor for all outputs, or one for each.
    pub gains: F32s<'a>,
    /// What is added after the gain.
    pub offsets: F32s<'a>,
}

/// What a head's tensor stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeadKind {
    /// One of several classes; softmax of the logits.
    Class = 0,
    /// Yes or no from one logit; sigmoid.
    Binary = 1,
    /// Several labels that may hold at once; a sigmoid each.
    Multilabel = 2,
    /// Numbers.
    Regression = 3,
}

impl<'a> Head<'a> {
    /// Decodes a head; `len_of` gives the number of values of a tensor, if there is such a tensor. Labels are looked through
    /// when they are to be checked.
    #[inline(never)]
    pub(crate) fn decode(
        cursor: &mut Cursor<'a>,
        len_of: &dyn Fn(u16) -> Option<usize>,
        check: bool,
    ) -> Result<Self, Defect> {
        let kind = match cursor.u8()? {
            0 => HeadKind::Class,
            1 => HeadKind::Binary,
            2 => HeadKind::Multilabel,
            3 => HeadKind::Regression,
            _ => return Err(Defect::Kind),
        };
        cursor.zeros(1)?;
        let tensor = cursor.u16()?;
        let len = len_of(tensor).ok_or(Defect::InputIndex)?;
        let name = cursor.name()?;
        let count = cursor.u16()?;
        let labels = cursor.names(count, check)?;
        let outputs = if kind == HeadKind::Binary { 2 } else { len };
        if count != 0 && labels.len() != outputs {
            return Err(Defect::Count);
        }
        if (kind == HeadKind::Binary && len != 1) || (kind == HeadKind::Class && len < 2) {
            return Err(Defect::Shape);
        }
        let mut scales = 0;
        if kind == HeadKind::Regression {
            scales = usize::from(cursor.u16()?);
            if scales != 1 && scales != len {
                return Err(Defect::Count);
            }
        }
        let rescale =
            Rescale { gains: cursor.f32s_up_to(scales, MAX_GAIN)?, offsets: cursor.f32s_up_to(scales, MAX_OFFSET)? };
        Ok(Self { name, kind, tensor, labels, rescale })
    }
}

/// The greatest gain of a regression, 2^54: a tensor's values stay below 2^72, so that products stay below 2^126.
const MAX_GAIN: f32 = f32::from_bits((127 + 54) << 23);

/// The greatest offset of a regression, 2^126, so that no sum is infinite.
const MAX_OFFSET: f32 = f32::from_bits((127 + 126) << 23);

/// A head of a model that is to be written; see [`Head`].
#[derive(Debug, Clone, Copy)]
pub struct HeadDefinition<'a> {
    /// What the head is called.
    pub name: &'a str,
    /// What its tensor stands for.
    pub kind: HeadKind,
    /// The tensor that holds its logits or values.
    pub tensor: u16,
    /// Names of the outputs, or none.
    pub labels: &'a [&'a str],
    /// Factors of a regression; empty for other kinds.
    pub gains: &'a [f32],
    /// What is added after the gain; empty for other kinds.
    pub offsets: &'a [f32],
}
