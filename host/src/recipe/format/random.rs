//! Normal variates for input, facts and regression targets: what the toy recipes use.

use anyhow::{Result, ensure};

use super::{Keys, check_samples};
use crate::recipe::{Head, Recipe};

pub(super) struct Random;

impl Keys for Random {
    fn name(&self) -> &'static str {
        "random"
    }

    fn keys(&self) -> &'static [&'static str] {
        &["data.samples", "data.seed", "input.shape", "outputs"]
    }

    fn check(&self, recipe: &Recipe, heads: &[&Head]) -> Result<()> {
        check_samples(recipe, 1)?;
        ensure!(!recipe.input.shape.is_empty(), "input.shape is missing: say how many values to make");
        for head in heads {
            ensure!(
                head.kind.keys().contains(&"outputs") && head.outputs.is_some(),
                "head {:?}: random data have regression heads with outputs = N",
                head.name
            );
        }
        Ok(())
    }

    fn has_labels(&self) -> bool {
        false
    }

    fn made(&self, recipe: &Recipe) -> Vec<(&'static str, usize)> {
        vec![
            ("input.shape", recipe.input.shape.iter().product()),
            ("outputs of all heads", recipe.heads.iter().filter_map(|head| head.outputs).sum()),
            ("facts", recipe.facts.len()),
        ]
    }
}
