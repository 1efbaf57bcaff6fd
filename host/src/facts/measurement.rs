//! The data that the encoders and tables of facts are measured on.

use std::collections::BTreeMap;
use std::path::Path;

use crate::domain::Array;
use crate::tables::Dialect;

/// What facts are measured on.
#[derive(Debug, Clone, Copy)]
pub struct Measurement<'a> {
    /// The inputs in raw units.
    pub inputs: &'a Array,
    /// Whether they are texts.
    pub is_text: bool,
    /// The names of the input's values, as far as they have any.
    pub names: &'a [String],
    /// Their units.
    pub units: &'a BTreeMap<String, String>,
    /// What table files are relative to.
    pub folder: &'a Path,
    /// How they are written.
    pub dialect: &'a Dialect,
    /// Phrases with a feature each, which gazetteers without a file take.
    pub phrases: &'a [(String, String)],
    /// The samples that encoders are measured on.
    pub train: &'a [usize],
    /// The fact that augmentation multiplies, and the factors that it reaches.
    pub pace: Option<(&'a str, [f32; 2])>,
}
