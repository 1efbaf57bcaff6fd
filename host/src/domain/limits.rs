//! Limits of sizes, held against what a recipe or a file asks for before anything is allocated.

use anyhow::{Result, ensure};

/// Values, of 4 bytes each, that a generator makes for all samples together.
pub const MADE_VALUES: usize = 1 << 27;

/// Values that a front-end computes, or that teachers answer, for all samples together.
pub const COMPUTED_VALUES: usize = 1 << 30;

/// Samples of a signal that a span may name.
pub const SPAN: usize = 1 << 28;

/// Checks that a product of sizes is within a limit, whatever the sizes are.
///
/// # Errors
///
/// When it is not; `what` says which keys make it.
pub fn check_product(what: &str, sizes: &[usize], limit: usize) -> Result<()> {
    let product = sizes.iter().try_fold(1usize, |all, &size| all.checked_mul(size));
    let sizes = || sizes.iter().map(usize::to_string).collect::<Vec<_>>().join(" x ");
    ensure!(product.is_some_and(|product| product <= limit), "{what}: {} values, expected at most {limit}", sizes());
    Ok(())
}
