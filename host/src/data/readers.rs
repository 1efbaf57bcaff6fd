//! Readers of data, one for each format of the recipe; what a format needs of the recipe is in [`crate::recipe::Format`].

mod arrays;
mod bearing;
mod commands;
mod csv;
mod images;
mod random;
mod recordings;

use std::path::Path;

use anyhow::{Context, Result};

use super::raw::Raw;
use crate::recipe::{Format, Recipe};

pub use arrays::{member_of, read_array};
pub use recordings::groups;

/// All readers.
const READERS: &[&dyn Reader] = &[
    &csv::Csv,
    &arrays::ArrayFiles,
    &recordings::Recordings,
    &images::Images,
    &bearing::Bearing,
    &commands::Commands,
    &random::Random,
];

/// Reads the data of a format.
pub(super) trait Reader: Sync {
    /// Returns the name of its format.
    fn format(&self) -> &'static str;

    /// Returns the data that a checked recipe names, below `folder`; heads of kind `reconstruction` are left out of the recipe.
    ///
    /// # Errors
    ///
    /// When a file is missing or broken, or holds what the recipe does not expect; the message names the file.
    fn read(&self, recipe: &Recipe, folder: &Path) -> Result<Raw>;
}

/// Returns the reader of a format.
///
/// # Errors
///
/// When the table has none, which a test excludes.
pub(super) fn of(format: Format) -> Result<&'static dyn Reader> {
    let reader = READERS.iter().find(|reader| reader.format() == format.name()).copied();
    reader.with_context(|| format!("there is no reader of format {:?}", format.name()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_format_has_one_reader() {
        for format in Format::all() {
            assert_eq!(READERS.iter().filter(|reader| reader.format() == format.name()).count(), 1, "{format:?}");
        }
        assert_eq!(READERS.len(), Format::all().count());
    }
}
