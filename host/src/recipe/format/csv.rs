//! A table with a header line.

use anyhow::{Result, ensure};

use super::Keys;
use crate::recipe::{Head, Recipe};

pub(super) struct Csv;

impl Keys for Csv {
    fn name(&self) -> &'static str {
        "csv"
    }

    fn keys(&self) -> &'static [&'static str] {
        &[
            "data.file",
            "data.delimiter",
            "data.comment",
            "data.skip",
            "data.missing_rows",
            "data.split.group",
            "input.columns",
            "input.text",
            "column",
        ]
    }

    fn check(&self, recipe: &Recipe, heads: &[&Head]) -> Result<()> {
        ensure!(recipe.data.file.is_some(), "data.file is missing: name the CSV file");
        ensure!(
            recipe.input.columns.is_empty() != recipe.input.text.is_none(),
            "name either the columns of the input, input.columns, or the one that holds its text, input.text"
        );
        for head in heads {
            let wide = head.kind.is_wide() || !head.columns.is_empty();
            ensure!(
                if wide { !head.columns.is_empty() } else { head.column.is_some() },
                "head {:?}: {} is missing",
                head.name,
                if wide { "columns" } else { "column" }
            );
        }
        Ok(())
    }

    fn is_text(&self, recipe: &Recipe) -> bool {
        recipe.input.text.is_some()
    }
}
