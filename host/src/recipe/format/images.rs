//! PNG and JPEG files, one image each; their names and folders say what they are.

use anyhow::{Result, ensure};

use super::{Keys, check_head_columns};
use crate::recipe::{Head, Recipe};

pub(super) struct Images;

impl Keys for Images {
    fn name(&self) -> &'static str {
        "images"
    }

    fn keys(&self) -> &'static [&'static str] {
        &["data.files", "data.split.group", "input.shape", "column"]
    }

    fn check(&self, recipe: &Recipe, heads: &[&Head]) -> Result<()> {
        ensure!(recipe.data.files.is_some(), "data.files is missing: name the images, as \"{{label}}/*.png\"");
        let shape = &recipe.input.shape;
        ensure!(
            matches!(shape.as_slice(), [_, _] | [_, _, 1 | 3]),
            "input.shape is {shape:?}, expected [height, width] or [height, width, 1] for grey images, \
             [height, width, 3] for RGB"
        );
        check_head_columns(heads, "a {field} of data.files")
    }
}
