//! The codes of facts in the file: kinds, then encoders.

pub(crate) const NUMBER: u8 = 0;
pub(crate) const CATEGORY: u8 = 1;
pub(crate) const FLAG: u8 = 2;
pub(crate) const GAZETTEER: u8 = 3;

pub(crate) const NONE: u8 = 0;
pub(crate) const Z_SCORE: u8 = 1;
pub(crate) const RANGE: u8 = 2;
pub(crate) const LOG: u8 = 3;
pub(crate) const PERIODIC: u8 = 4;
pub(crate) const ONE_HOT: u8 = 5;
pub(crate) const EMBEDDING: u8 = 6;
pub(crate) const AS_IS: u8 = 7;
pub(crate) const FEATURES: u8 = 8;
