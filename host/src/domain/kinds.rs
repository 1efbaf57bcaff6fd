//! Kinds of losses, activations and scalings, by the names that a recipe gives them.

use serde::{Deserialize, Serialize};

/// How far an answer is from its label.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RegressionLoss {
    /// The square of the distance.
    #[default]
    Mse,
    /// The square up to a deviation, beyond it the distance (Huber 1964).
    Huber,
    /// One minus the cosine between all outputs and all labels: for embeddings.
    Cosine,
}

/// Activations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Activation {
    /// `max(x, 0)`.
    #[default]
    Relu,
    /// `min(max(x, 0), 6)`.
    Relu6,
    /// The hyperbolic tangent; a table on the board.
    Tanh,
    /// The logistic function; a table on the board.
    Sigmoid,
    /// The value as it is.
    None,
}

/// How raw inputs are brought to mean 0 and deviation 1, measured on the training split.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Normalize {
    /// Each channel by its own mean and deviation.
    #[default]
    Channel,
    /// All values by one mean and deviation.
    All,
    /// Raw values are used as they are.
    None,
}

/// What becomes of single values far outside of all others, as a sensor's code for "no reading".
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outliers {
    /// They count as the limits of the others; without them nothing changes.
    #[default]
    Clip,
    /// They are taken as they are.
    Keep,
}
