//! A run: from a recipe and data to a verified student, its report and its page.

pub mod budget;
pub mod coverage;
pub mod distill;
pub mod folder;
pub mod page;
pub mod report;
