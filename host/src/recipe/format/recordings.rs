//! WAV or CSV files, one recording each; see [`crate::signal::recipe::Signal`].

use anyhow::{Result, ensure};

use super::{Keys, check_head_columns};
use crate::recipe::{Head, Recipe};

pub(super) struct Recordings;

impl Keys for Recordings {
    fn name(&self) -> &'static str {
        "recordings"
    }

    fn keys(&self) -> &'static [&'static str] {
        &[
            "data.files",
            "data.delimiter",
            "data.comment",
            "data.skip",
            "data.split.group",
            "data.split.hold_out",
            "data.split.block",
            "signal",
            "input.columns",
            "column",
        ]
    }

    fn check(&self, recipe: &Recipe, heads: &[&Head]) -> Result<()> {
        let split = &recipe.data.split;
        ensure!(recipe.data.files.is_some(), "data.files is missing: name the recordings, as \"{{label}}_*.wav\"");
        ensure!(recipe.signal.is_some(), "[signal] is missing: say how recordings become features");
        check_head_columns(heads, "a {field} of data.files or a column of the CSV files")?;
        ensure!(
            split.hold_out.is_none() || split.group.is_some(),
            "data.split.hold_out names groups: say data.split.group"
        );
        ensure!(
            split.block.is_none() || split.group.is_none(),
            "data.split has both group and block: a stretch of a recording stays in one split, or a whole group does"
        );
        ensure!(
            split.hold_out.as_ref().is_none_or(|groups| !groups.is_empty()),
            "data.split.hold_out is empty: name the groups that are tested on, or leave it out for a share"
        );
        Ok(())
    }
}
