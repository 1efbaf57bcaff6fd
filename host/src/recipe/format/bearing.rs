//! The built-in simulator of bearing vibration.

use anyhow::Result;

use super::{Keys, check_samples};
use crate::recipe::{Head, Recipe};

pub(super) struct Bearing;

impl Keys for Bearing {
    fn name(&self) -> &'static str {
        "bearing"
    }

    fn keys(&self) -> &'static [&'static str] {
        &["data.samples", "data.seed", "signal"]
    }

    fn check(&self, recipe: &Recipe, _heads: &[&Head]) -> Result<()> {
        check_samples(recipe, 40)
    }

    fn made(&self, _recipe: &Recipe) -> Vec<(&'static str, usize)> {
        // A spectrum of the simulator has fewer lines than this.
        vec![("lines of a spectrum", 1 << 7)]
    }
}
