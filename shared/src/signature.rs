//! The signature at the end of a file: what it covers, and how it gets there.

use crate::checksum::checksum;
use crate::header::{HEADER_BYTES, SIGNATURE_BYTES};
use crate::{Defect, Header, Model, ParseError, WriteError};

/// What follows the bytes that are signed: the signature itself and the checksum.
const END_BYTES: usize = SIGNATURE_BYTES + 4;

/// A file's signature, not yet checked, and what it was made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Signature<'a> {
    /// The bytes that are signed: everything before the signature, the header with its revision included.
    pub message: &'a [u8],
    /// The signature.
    pub bytes: &'a [u8; SIGNATURE_BYTES],
    /// The file's revision.
    pub revision: u32,
}

impl<'a> Signature<'a> {
    /// Returns the signature in the bytes of a file, none when it is not signed. It looks at the header and at the length
    /// alone, so that a board reads nothing else of a file that it does not trust yet.
    ///
    /// # Errors
    ///
    /// Those of [`Header::read`], [`ParseError::Length`], and [`ParseError::Header`] when the file is too short to have one.
    pub fn of(bytes: &'a [u8]) -> Result<Option<Self>, ParseError> {
        let header = Header::read(bytes)?;
        if usize::try_from(header.file_len) != Ok(bytes.len()) {
            return Err(ParseError::Length { header: header.file_len, got: bytes.len() });
        }
        if !header.is_signed {
            return Ok(None);
        }
        let end = bytes.split_last_chunk::<END_BYTES>().filter(|(message, _)| message.len() >= HEADER_BYTES);
        let (message, end) = end.ok_or(ParseError::Header(Defect::Truncated))?;
        let bytes = end.first_chunk().ok_or(ParseError::Header(Defect::Truncated))?;
        Ok(Some(Self { message, bytes, revision: header.revision }))
    }
}

/// Writes a model with a revision and a signature to the start of `buffer` and returns its bytes; a signature that it has is
/// replaced.
///
/// `buffer` has to hold [`SIGNATURE_BYTES`] more than an unsigned model; `sign` gets the bytes that the signature covers.
///
/// # Errors
///
/// [`WriteError::Invalid`] when the model is none, and [`WriteError::BufferTooSmall`].
pub fn sign<'b>(
    model: &[u8],
    revision: u32,
    buffer: &'b mut [u8],
    sign: impl FnOnce(&[u8]) -> [u8; SIGNATURE_BYTES],
) -> Result<&'b [u8], WriteError> {
    let mut header = Model::parse(model)?.header();
    let len = model.len() - if header.is_signed { END_BYTES } else { 4 };
    let (needed, got) = (len + END_BYTES, buffer.len());
    let bytes = buffer.get_mut(..needed).ok_or(WriteError::BufferTooSmall { needed, got })?;
    header.file_len = u32::try_from(needed).map_err(|_| WriteError::TooMany { got: needed })?;
    header.revision = revision;
    header.is_signed = true;
    for (place, byte) in
        bytes.iter_mut().zip(header.encode().into_iter().chain(model.iter().copied().skip(HEADER_BYTES)))
    {
        *place = byte;
    }
    if let Some((message, end)) = bytes.split_last_chunk_mut::<END_BYTES>()
        && let Some(place) = end.first_chunk_mut()
    {
        *place = sign(message);
    }
    if let Some((body, sum)) = bytes.split_last_chunk_mut::<4>() {
        *sum = checksum(body.iter().copied()).to_le_bytes();
    }
    Model::parse(bytes)?;
    Ok(bytes)
}
