//! What a model is made of, a bit for each part: a reader built for one model leaves out what the model does without.
//!
//! Bits 0 to 63 are the header's `operator_set`, 64 to 95 its `signal_set`, 96 to 127 its `fact_set`.

use crate::codes::{EMBEDDING, GAZETTEER, LOG, PERIODIC};
use crate::kind::{Form, Kind};
use crate::{Code, Instruction, Unary};

/// Every part that this version knows.
pub const ALL_PARTS: u128 = operators() | (0x1fff << SIGNAL) | (0xf | 0x1ff << 8 | 0x3ff << 20) << FACTS;

/// Returns the bits of all operators and their forms.
const fn operators() -> u128 {
    let kinds = (1 << Kind::ALL.len()) - 1;
    let forms = 0x1f << FORM;
    kinds | forms | 1 << ADDEND
}

/// The bit of the first form, see [`form_bit`]. Kinds have the bits below.
const FORM: u32 = 48;

/// The bit of an operator with an addend.
const ADDEND: u32 = 63;

/// The first bit of `signal_set`.
const SIGNAL: u32 = 64;

/// The first bit of `fact_set`.
const FACTS: u32 = 96;

/// A front-end in integers.
pub const FIXED: u128 = 1 << SIGNAL;

/// A front-end in floats.
pub const FLOAT: u128 = 1 << (SIGNAL + 1);

/// Filters of second order.
pub const BIQUAD: u128 = 1 << (SIGNAL + 2);

/// Absolute values.
pub const ABSOLUTE: u128 = 1 << (SIGNAL + 3);

/// Decimation.
pub const DECIMATE: u128 = 1 << (SIGNAL + 4);

/// The samples of a window as features.
pub const SAMPLES: u128 = 1 << (SIGNAL + 5);

/// Statistics of a window.
pub const STATISTICS: u128 = 1 << (SIGNAL + 6);

/// Lines of a spectrum.
pub const SPECTRUM: u128 = 1 << (SIGNAL + 7);

/// Bands of a filter bank.
pub const MEL: u128 = 1 << (SIGNAL + 8);

/// The cepstrum of bands.
pub const CEPSTRUM: u128 = 1 << (SIGNAL + 9);

/// Running means of features.
pub const RUNNING: u128 = 1 << (SIGNAL + 10);

/// A Fourier transform of more than 256 samples.
pub const LONG: u128 = 1 << (SIGNAL + 11);

/// A Fourier transform of more than 1,024 samples.
pub const LONGER: u128 = 1 << (SIGNAL + 12);

/// The bit of a number's kind; those of the other kinds follow by their codes.
const FACT_KINDS: u32 = FACTS;

/// The bit of a fact without an encoder; those of the encoders follow by their codes.
const ENCODERS: u32 = FACTS + 8;

/// The bit of a fact that is computed by code.
const CODE: u32 = FACTS + 20;

/// The bit of the first instruction that takes one number; those of the others follow by their codes.
const UNARIES: u32 = FACTS + 21;

/// Returns whether a part is among some.
#[inline(always)]
const fn holds(parts: u128, bit: u32) -> bool {
    parts >> bit & 1 == 1
}

/// Returns whether some parts have one of a front-end, as [`BIQUAD`].
#[inline(always)]
pub const fn has(parts: u128, part: u128) -> bool {
    parts & part != 0
}

/// Returns whether some parts have a front-end.
#[inline(always)]
pub const fn has_signal(parts: u128) -> bool {
    has(parts, FIXED | FLOAT)
}

/// Returns whether some parts have operators of a kind.
#[inline(always)]
pub const fn has_operator(parts: u128, kind: Kind) -> bool {
    holds(parts, kind as u32)
}

/// Returns the bit of a form of a kind that has several.
#[inline(always)]
const fn form_bit(kind: Kind, form: Form) -> Option<u32> {
    match (kind, form) {
        (Kind::Dense, Form::Int8) => Some(FORM),
        (Kind::Dense, Form::Int4) => Some(FORM + 1),
        (Kind::Dense, Form::Int8Rows) => Some(FORM + 2),
        (Kind::Convolution, Form::Int8) => Some(FORM + 3),
        (Kind::Convolution, Form::Int4) => Some(FORM + 4),
        _ => None,
    }
}

/// Returns whether some parts have operators of a kind with weights of a form; kinds of one form have no part for it.
#[inline(always)]
pub const fn has_form(parts: u128, kind: Kind, form: Form) -> bool {
    match form_bit(kind, form) {
        Some(bit) => holds(parts, bit),
        None => has_operator(parts, kind) && matches!((kind, form), (Kind::Depthwise, Form::Int8)),
    }
}

/// Returns whether some parts have weights of a form, of any kind.
#[inline(always)]
pub(crate) const fn has_form_of_any(parts: u128, form: Form) -> bool {
    has_form(parts, Kind::Dense, form) || has_form(parts, Kind::Convolution, form)
}

/// Returns whether some parts have operators with an addend.
#[inline(always)]
pub const fn has_addend(parts: u128) -> bool {
    holds(parts, ADDEND)
}

/// Returns whether some parts have facts.
#[inline(always)]
pub const fn has_facts(parts: u128) -> bool {
    parts >> FACT_KINDS != 0
}

/// Returns whether some parts have facts of the kind with this code.
#[inline(always)]
pub(crate) const fn has_kind(parts: u128, kind: u8) -> bool {
    holds(parts, FACT_KINDS + kind as u32)
}

/// Returns whether some parts have facts with the encoder with this code.
#[inline(always)]
pub(crate) const fn has_encoder(parts: u128, encoder: u8) -> bool {
    holds(parts, ENCODERS + encoder as u32)
}

/// Returns whether some parts have gazetteers.
#[inline(always)]
pub const fn has_gazetteer(parts: u128) -> bool {
    has_kind(parts, GAZETTEER)
}

/// Returns whether some parts have facts that enter by their logarithm.
#[inline(always)]
pub const fn has_logarithm(parts: u128) -> bool {
    has_encoder(parts, LOG)
}

/// Returns whether some parts have facts that enter by sine and cosine.
#[inline(always)]
pub const fn has_period(parts: u128) -> bool {
    has_encoder(parts, PERIODIC)
}

/// Returns whether some parts have categories that enter by the rows of a table.
#[inline(always)]
pub const fn has_embedding(parts: u128) -> bool {
    has_encoder(parts, EMBEDDING)
}

/// Returns whether some parts have facts that are computed by code.
#[inline(always)]
pub const fn has_code(parts: u128) -> bool {
    holds(parts, CODE)
}

/// Returns whether some parts have code with an instruction.
#[inline(always)]
pub const fn has_unary(parts: u128, unary: Unary) -> bool {
    holds(parts, UNARIES + unary as u32 - Unary::Negate as u32)
}

/// Returns the bits of `operator_set` that an operator takes.
pub(crate) fn of_operator(kind: Kind, form: Form, has_addend: bool) -> u64 {
    let form = form_bit(kind, form).map_or(0, |bit| 1 << bit);
    1 << kind as u32 | form | u64::from(has_addend) << ADDEND
}

/// Returns the bits of `fact_set` that a fact takes whose kind and encoder have these codes.
pub(crate) fn of_fact(kind: u8, encoder: u8, code: Code<'_>) -> u32 {
    let part = |instruction| match instruction {
        Instruction::Unary(unary) => 1 << (UNARIES - FACTS + unary as u32 - Unary::Negate as u32),
        _ => 0,
    };
    let codes = code.instructions().fold(0, |parts, instruction| parts | part(instruction) | 1 << (CODE - FACTS));
    1 << kind | 1 << (ENCODERS - FACTS + u32::from(encoder)) | codes
}

/// Returns the bits of `signal_set` of some parts of a front-end.
pub(crate) const fn of_signal(parts: u128) -> u32 {
    (parts >> SIGNAL) as u32
}
