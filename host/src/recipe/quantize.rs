//! `[quantize]`: how the student becomes integers.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::yes;

/// `[quantize]`: how the student becomes integers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Quantize {
    /// The width of the weights: `int8`, `int4`, or `auto`, which takes 4 bits where they harm least until the file fits
    /// `budget.flash`. Depthwise weights, which are few, are always int8.
    #[serde(default)]
    pub weights: Weights,
    /// The width of single layers by their names, in the place of `weights`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub layers: BTreeMap<String, Weights>,
    /// The order in which weights of 8 bits of dense layers stand in the file; the answers are the same.
    #[serde(default)]
    pub dense_order: DenseOrder,
    /// Training samples that the ranges are measured on.
    #[serde(default = "Quantize::default_calibration")]
    pub calibration: usize,
    /// Passes over the training split with weights and values rounded as on the board, after the training in f32.
    #[serde(default)]
    pub aware_epochs: usize,
    /// Adam's learning rate at the start of those passes; it falls along a half cosine.
    #[serde(default = "Quantize::default_aware_rate")]
    pub aware_rate: f64,
    /// Self-test vectors in the file.
    #[serde(default = "Quantize::default_tests")]
    pub tests: usize,
    /// Whether an output may lie over an input that nothing reads after it; without it the arena is larger and the
    /// answers are the same.
    #[serde(default = "yes")]
    pub overlap: bool,
    /// Whether channels that never change are taken out; without it the file is larger and the answers are the same.
    #[serde(default = "yes")]
    pub drop_dead: bool,
    /// Whether activations and additions join the operator before them; without it there are more operators and the
    /// answers are the same.
    #[serde(default = "yes")]
    pub fuse: bool,
}

impl Quantize {
    fn default_calibration() -> usize {
        512
    }

    fn default_aware_rate() -> f64 {
        0.0003
    }

    fn default_tests() -> usize {
        2
    }
}

impl Default for Quantize {
    fn default() -> Self {
        Self {
            weights: Weights::default(),
            layers: BTreeMap::new(),
            dense_order: DenseOrder::default(),
            calibration: Self::default_calibration(),
            aware_epochs: 0,
            aware_rate: Self::default_aware_rate(),
            tests: Self::default_tests(),
            overlap: true,
            drop_dead: true,
            fuse: true,
        }
    }
}

/// The width of the weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Weights {
    /// Eight bits, a scale for each output channel.
    #[default]
    Int8,
    /// Four bits, a scale for each output channel.
    Int4,
    /// Four bits where the file would not fit its budget otherwise.
    Auto,
}

/// The order of the weights of 8 bits of a dense layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DenseOrder {
    /// Four rows side by side, which suits every core.
    #[default]
    Blocks,
    /// Row by row, which is quicker on cores with the vector extension, Cortex-M55 and M85, and slower on the others.
    Rows,
}

impl DenseOrder {
    /// Returns its name in a recipe.
    pub fn name(self) -> &'static str {
        match self {
            Self::Blocks => "blocks",
            Self::Rows => "rows",
        }
    }
}
