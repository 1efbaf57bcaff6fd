//! What a model is made of, a bit for each part: a reader built for one model leaves out what the model does without.
//!
//! The lower half is the header's `operator_set`, the upper half its `fact_set`.

use crate::fact::{EMBEDDING, GAZETTEER, LOG, PERIODIC};
use crate::{Code, Instruction, Kind, Unary};

/// Every part there is.
pub const ALL_PARTS: u64 = u64::MAX;

/// The bit of an operator with an addend.
const ADDEND: u32 = 31;

/// A front-end in integers.
pub const FIXED: u64 = 1 << 16;

/// A front-end in floats.
pub const FLOAT: u64 = 1 << 17;

/// Filters of second order.
pub const BIQUAD: u64 = 1 << 18;

/// Absolute values.
pub const ABSOLUTE: u64 = 1 << 19;

/// Decimation.
pub const DECIMATE: u64 = 1 << 20;

/// The samples of a window as features.
pub const SAMPLES: u64 = 1 << 21;

/// Statistics of a window.
pub const STATISTICS: u64 = 1 << 22;

/// Lines of a spectrum.
pub const SPECTRUM: u64 = 1 << 23;

/// Bands of a filter bank.
pub const MEL: u64 = 1 << 24;

/// The cepstrum of bands.
pub const CEPSTRUM: u64 = 1 << 25;

/// Running means of features.
pub const RUNNING: u64 = 1 << 26;

/// A Fourier transform of more than 256 samples.
pub const LONG: u64 = 1 << 27;

/// A Fourier transform of more than 1,024 samples.
pub const LONGER: u64 = 1 << 28;

/// The bit of a number's kind; those of the other kinds follow by their codes.
const FACT_KINDS: u32 = 32;

/// The bit of a fact without an encoder; those of the encoders follow by their codes.
const ENCODERS: u32 = 40;

/// The bit of a fact that is computed by code.
const CODE: u32 = 52;

/// The bit of the first instruction that takes one number; those of the others follow by their codes.
const UNARIES: u32 = 53;

/// Returns whether a part is among some.
#[inline(always)]
const fn holds(parts: u64, bit: u32) -> bool {
    parts >> bit & 1 == 1
}

/// Returns whether some parts have one of a front-end, as [`BIQUAD`].
#[inline(always)]
pub const fn has(parts: u64, part: u64) -> bool {
    parts & part != 0
}

/// Returns whether some parts have a front-end.
#[inline(always)]
pub const fn has_signal(parts: u64) -> bool {
    has(parts, FIXED | FLOAT)
}

/// Returns whether some parts have operators of a kind.
#[inline(always)]
pub const fn has_operator(parts: u64, kind: Kind) -> bool {
    holds(parts, kind as u32)
}

/// Returns whether some parts have dense operators, of any weights.
#[inline(always)]
pub const fn has_dense(parts: u64) -> bool {
    has_operator(parts, Kind::Dense) || has_operator(parts, Kind::Dense4) || has_operator(parts, Kind::DenseRows)
}

/// Returns whether some parts have operators with a window.
pub(crate) const fn has_window(parts: u64) -> bool {
    has_operator(parts, Kind::Convolution)
        || has_operator(parts, Kind::Convolution4)
        || has_operator(parts, Kind::Depthwise)
        || has_operator(parts, Kind::AveragePool)
        || has_operator(parts, Kind::MaxPool)
}

/// Returns whether some parts have operators that take bytes beside their tensors.
pub(crate) const fn has_scratch(parts: u64) -> bool {
    has_operator(parts, Kind::Convolution) || has_operator(parts, Kind::Convolution4)
}

/// Returns whether some parts have operators with an addend.
#[inline(always)]
pub const fn has_addend(parts: u64) -> bool {
    holds(parts, ADDEND)
}

/// Returns whether some parts have facts.
#[inline(always)]
pub const fn has_facts(parts: u64) -> bool {
    parts >> FACT_KINDS != 0
}

/// Returns whether some parts have facts of the kind with this code.
#[inline(always)]
pub(crate) const fn has_kind(parts: u64, kind: u8) -> bool {
    holds(parts, FACT_KINDS + kind as u32)
}

/// Returns whether some parts have facts with the encoder with this code.
#[inline(always)]
pub(crate) const fn has_encoder(parts: u64, encoder: u8) -> bool {
    holds(parts, ENCODERS + encoder as u32)
}

/// Returns whether some parts have gazetteers.
#[inline(always)]
pub const fn has_gazetteer(parts: u64) -> bool {
    has_kind(parts, GAZETTEER)
}

/// Returns whether some parts have facts that enter by their logarithm.
#[inline(always)]
pub const fn has_logarithm(parts: u64) -> bool {
    has_encoder(parts, LOG)
}

/// Returns whether some parts have facts that enter by sine and cosine.
#[inline(always)]
pub const fn has_period(parts: u64) -> bool {
    has_encoder(parts, PERIODIC)
}

/// Returns whether some parts have categories that enter by the rows of a table.
#[inline(always)]
pub const fn has_embedding(parts: u64) -> bool {
    has_encoder(parts, EMBEDDING)
}

/// Returns whether some parts have facts that are computed by code.
#[inline(always)]
pub const fn has_code(parts: u64) -> bool {
    holds(parts, CODE)
}

/// Returns whether some parts have code with an instruction.
#[inline(always)]
pub const fn has_unary(parts: u64, unary: Unary) -> bool {
    holds(parts, UNARIES + unary as u32 - Unary::Negate as u32)
}

/// Returns the parts that an operator takes.
pub(crate) fn of_operator(kind: Kind, has_addend: bool) -> u64 {
    1 << kind as u32 | u64::from(has_addend) << ADDEND
}

/// Returns the parts that a fact takes whose kind and encoder have these codes.
pub(crate) fn of_fact(kind: u8, encoder: u8, code: Code<'_>) -> u64 {
    let part = |instruction| match instruction {
        Instruction::Unary(unary) => 1 << (UNARIES + unary as u32 - Unary::Negate as u32),
        _ => 0,
    };
    let codes = code.instructions().fold(0, |parts, instruction| parts | part(instruction) | 1 << CODE);
    1 << (FACT_KINDS + u32::from(kind)) | 1 << (ENCODERS + u32::from(encoder)) | codes
}
