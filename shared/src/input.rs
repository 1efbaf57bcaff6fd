//! The input of a model: its name and how raw values become what the network was trained on.

use crate::Defect;
use crate::bytes::{Cursor, F32s, Strings};

/// The input of a model; its shape and quantisation are those of tensor 0.
///
/// A raw value x of channel c enters as `x * gain[c] + offset[c]`, which is then quantised.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Input<'a> {
    /// What the input is called.
    pub name: &'a str,
    /// One factor for all channels, or one for each.
    pub gains: F32s<'a>,
    /// What is added after the gain; as many as there are gains.
    pub offsets: F32s<'a>,
    /// The names of the channels, or none.
    pub channels: Strings<'a>,
}

impl<'a> Input<'a> {
    pub(crate) fn decode(section: &'a [u8], channel_count: u16) -> Result<Self, Defect> {
        let mut cursor = Cursor::new(section);
        let name = cursor.name()?;
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
        Ok(Self { name, gains, offsets, channels })
    }
}

/// The input of a model that is to be written; see [`Input`].
#[derive(Debug, Clone, Copy)]
pub struct InputDefinition<'a> {
    /// What the input is called.
    pub name: &'a str,
    /// One factor for all channels, or one for each.
    pub gains: &'a [f32],
    /// What is added after the gain.
    pub offsets: &'a [f32],
    /// The names of the channels, or none.
    pub channels: &'a [&'a str],
}
