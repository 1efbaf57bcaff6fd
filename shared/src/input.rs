//! The input of a model: its name and how raw values become what the network was trained on.

use crate::bytes::{Cursor, F32s, Strings, padding};
use crate::parts;
use crate::{Defect, Quantization, Tensor};

/// The input of a model; its shape and quantisation are those of tensor 0.
///
/// A raw value x of channel c enters as `x * gain[c] + offset[c]`, which is then quantised. A text enters as its bytes, zeros
/// after them.
#[derive(Debug, Clone, Copy, PartialEq)]
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
    /// The record of a front-end, if the raw values come from one; see [`crate::Model::signal`].
    pub signal: Option<&'a [u8]>,
}

impl<'a> Input<'a> {
    /// Decodes the section; names are looked through when they are to be checked.
    #[inline(never)]
    pub(crate) fn decode<const PARTS: u128>(
        section: &'a [u8],
        channel_count: u16,
        check: bool,
    ) -> Result<Self, Defect> {
        let mut cursor = Cursor::new(section);
        let name = cursor.name()?;
        let kind = cursor.u8()?;
        if kind > SIGNAL {
            return Err(Defect::Kind);
        }
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
        let channels = cursor.names(names, check)?;
        let signal = if kind == SIGNAL && parts::has_signal(PARTS) {
            // The record and its tables begin at a multiple of four bytes.
            cursor.zeros(padding(section.len().wrapping_sub(cursor.rest().len())))?;
            Some(cursor.take(cursor.rest().len())?)
        } else {
            None
        };
        if kind == SIGNAL && signal.is_none() {
            return Err(Defect::Part);
        }
        cursor.finish()?;
        Ok(Self { name, is_text: kind == TEXT, gains, offsets, channels, signal })
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
pub(crate) const SIGNAL: u8 = 2;

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
    /// The record of a front-end, from [`crate::SignalDefinition::write`], if there is one.
    pub signal: Option<&'a [u8]>,
}
