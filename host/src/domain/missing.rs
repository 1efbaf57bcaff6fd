//! Cells that hold no value.

/// Returns whether a cell says that there is nothing: empty, NA, NaN or null.
pub fn is_missing(text: &str) -> bool {
    ["", "na", "n/a", "nan", "null"].iter().any(|word| word.eq_ignore_ascii_case(text))
}
