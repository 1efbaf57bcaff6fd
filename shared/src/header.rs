//! The fixed header, readable in `const` context so that a firmware sizes its arena when it is compiled.

use crate::bytes::{u16_at, u32_at};
use crate::{Defect, MAGIC, ParseError, VERSION};

/// Bytes of the header.
pub const HEADER_BYTES: usize = 72;

/// Bytes of an Ed25519 signature (RFC 8032).
pub const SIGNATURE_BYTES: usize = 64;

/// The kind of signature; 0 is none.
const ED25519: u16 = 1;

/// The numbers at the start of a file; every other place follows from them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Bytes of the file, the checksum included.
    pub file_len: u32,
    /// Bytes of the arena that a session needs.
    pub arena_len: u32,
    /// The kinds and forms of operators; bits 0 to 63 of [`crate::parts`].
    pub operator_set: u64,
    /// The parts of a front-end; bits 64 to 95 of [`crate::parts`].
    pub signal_set: u32,
    /// Multiply-accumulate operations of one run.
    pub macs: u32,
    /// Steps of one run, see [`crate::Model::work`]: the multiply-accumulates, and what they do not count.
    pub work: u32,
    /// Tensors, the input and the facts included; the file does not store it.
    pub tensor_count: u16,
    /// Operators.
    pub operator_count: u16,
    /// Facts.
    pub fact_count: u16,
    /// Heads.
    pub head_count: u16,
    /// Bytes of the input section.
    pub input_len: u32,
    /// Bytes of the facts section.
    pub facts_len: u32,
    /// Bytes of the heads section.
    pub heads_len: u32,
    /// Bytes of the weights section.
    pub weights_len: u32,
    /// Bytes of the section of self-test vectors.
    pub tests_len: u32,
    /// Values of the input, so that a firmware sizes its buffers.
    pub input_values: u32,
    /// The kinds and encoders of facts; bits 96 to 127 of [`crate::parts`].
    pub fact_set: u32,
    /// Which of the models for one purpose this is: a later one has a greater number.
    pub revision: u32,
    /// Whether the file ends with an Ed25519 signature, before its checksum.
    pub is_signed: bool,
}

impl Header {
    /// Reads the header; it checks its own fields, and neither the length of the file nor its checksum.
    ///
    /// # Errors
    ///
    /// [`ParseError::TooShort`], [`ParseError::Magic`], [`ParseError::Version`], or [`ParseError::Header`] for
    /// a signature of no known kind.
    pub const fn read(bytes: &[u8]) -> Result<Self, ParseError> {
        let Some((header, _)) = bytes.split_first_chunk::<HEADER_BYTES>() else {
            return Err(ParseError::TooShort { got: bytes.len() });
        };
        if u32_at(header, 0) != u32::from_le_bytes(MAGIC) {
            return Err(ParseError::Magic);
        }
        let version = u16_at(header, 4);
        if version != VERSION {
            return Err(ParseError::Version { got: version });
        }
        if u16_at(header, 6) > ED25519 {
            return Err(ParseError::Header(Defect::Unused));
        }
        Ok(Self::of(header))
    }

    /// Returns the fields of a header that has been read before.
    #[inline(always)]
    pub(crate) const fn of(header: &[u8; HEADER_BYTES]) -> Self {
        let [fact_count, head_count] = u16_at(header, 42).to_le_bytes();
        let operator_count = u16_at(header, 40);
        let sources = if fact_count == 0 { 1 } else { 2 };
        Self {
            file_len: u32_at(header, 8),
            arena_len: u32_at(header, 12),
            operator_set: u32_at(header, 16) as u64 | (u32_at(header, 20) as u64) << 32,
            signal_set: u32_at(header, 24),
            fact_set: u32_at(header, 28),
            macs: u32_at(header, 32),
            work: u32_at(header, 36),
            // Not above MAX_TENSORS in a model that is accepted.
            tensor_count: operator_count.saturating_add(sources),
            operator_count,
            fact_count: fact_count as u16,
            head_count: head_count as u16,
            input_len: u32_at(header, 44),
            facts_len: u32_at(header, 48),
            heads_len: u32_at(header, 52),
            weights_len: u32_at(header, 56),
            tests_len: u32_at(header, 60),
            input_values: u32_at(header, 64),
            revision: u32_at(header, 68),
            is_signed: u16_at(header, 6) == ED25519,
        }
    }

    /// Returns the tensors that are there before the first operator: the input, and the facts if there are any.
    pub const fn source_count(&self) -> u16 {
        if self.fact_count == 0 { 1 } else { 2 }
    }

    /// Returns the parts that the model is made of, see [`crate::parts`].
    pub const fn parts(&self) -> u128 {
        self.operator_set as u128 | (self.signal_set as u128) << 64 | (self.fact_set as u128) << 96
    }

    /// Returns whether the model is made of `PARTS` and no others.
    pub(crate) fn is_within<const PARTS: u128>(&self) -> bool {
        self.operator_set & !(PARTS as u64) == 0
            && self.signal_set & !((PARTS >> 64) as u32) == 0
            && self.fact_set & !((PARTS >> 96) as u32) == 0
    }

    pub(crate) fn encode(&self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        let [operators, operators_high] = [self.operator_set as u32, (self.operator_set >> 32) as u32];
        let words = [
            u32::from_le_bytes(MAGIC),
            u32::from(VERSION) | u32::from(self.is_signed) << 16,
            self.file_len,
            self.arena_len,
            operators,
            operators_high,
            self.signal_set,
            self.fact_set,
            self.macs,
            self.work,
            u32::from(self.operator_count) | u32::from(self.fact_count) << 16 | u32::from(self.head_count) << 24,
            self.input_len,
            self.facts_len,
            self.heads_len,
            self.weights_len,
            self.tests_len,
            self.input_values,
            self.revision,
        ];
        for (place, word) in bytes.as_chunks_mut::<4>().0.iter_mut().zip(words) {
            *place = word.to_le_bytes();
        }
        bytes
    }
}
