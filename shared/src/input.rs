//! The input of a model: its name and how raw values become what the network was trained on.

use crate::bytes::{Cursor, F32s, Strings};
use crate::{Defect, Quantization, Tensor};

/// The input of a model; its shape and quantisation are those of tensor 0.
///
/// A raw value x of channel c enters as `x * gain[c] + offset[c]`, which is then quantised. A text enters as its bytes, zeros
/// after them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Input<'a> {
    /// What the input is called.
    pub name: &'a str,
    /// Whether it is a text, in UTF-8, and not numbers.
    pub is_text: bool,
    /// One factor for all channels, or one for each.
    pub gains: F32s<'a>,
    /// What is added after the gain; as many as there are gains.
    pub offsets: F32s<'a>,
    /// The names of the channels, or none.
    pub channels: Strings<'a>,
}

impl<'a> Input<'a> {
    #[inline(never)]
    pub(crate) fn decode(section: &'a [u8], channel_count: u16) -> Result<Self, Defect> {
        let mut cursor = Cursor::new(section);
        let name = cursor.name()?;
        let is_text = match cursor.u8()? {
            NUMBERS => false,
            TEXT => true,
            _ => return Err(Defect::Kind),
        };
        let count = cursor.u16()?;
        if count != 1 && count != channel_count {
            return Err(Defect::Count);
        }
        let gains = cursor.finite_f32s(usize::from(count))?;
        let offsets = cursor.finite_f32s(usize::from(count))?;
        let names = cursor.u16()?;
        if names != 0 && names != channel_count {
            return Err(Defect::Count);
        }
        let channels = cursor.names(names)?;
        cursor.finish()?;
        Ok(Self { name, is_text, gains, offsets, channels })
    }

    /// Checks that a text enters a tensor as it is: a byte is an int8.
    pub(crate) fn check_text(&self, tensor: &Tensor) -> Result<(), Defect> {
        if !self.is_text {
            return Ok(());
        }
        if tensor.shape.height != 1 || tensor.shape.channels != 1 || !self.channels.is_empty() {
            return Err(Defect::Shape);
        }
        let plain = self.gains.0 == [1f32.to_le_bytes()] && self.offsets.0 == [[0; 4]];
        let as_is = Quantization { scale: 1.0, zero_point: 0 };
        if plain && tensor.quantization.is(as_is) { Ok(()) } else { Err(Defect::Quantization) }
    }
}

pub(crate) const NUMBERS: u8 = 0;
pub(crate) const TEXT: u8 = 1;

/// The input of a model that is to be written; see [`Input`].
#[derive(Debug, Clone, Copy)]
pub struct InputDefinition<'a> {
    /// What the input is called.
    pub name: &'a str,
    /// Whether it is a text.
    pub is_text: bool,
    /// One factor for all channels, or one for each.
    pub gains: &'a [f32],
    /// What is added after the gain.
    pub offsets: &'a [f32],
    /// The names of the channels, or none.
    pub channels: &'a [&'a str],
}
