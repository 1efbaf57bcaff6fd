//! The names of the files in the folder of a run.

/// The exported student.
pub const STUDENT_FILE: &str = "student.attar";

/// The recipe with all its values.
pub const RECIPE_FILE: &str = "recipe.toml";

/// What the run was made of: data, seeds, versions.
pub const MANIFEST_FILE: &str = "manifest.json";

/// The figures.
pub const REPORT_FILE: &str = "report.json";

/// Loss and score of each epoch, a line each.
pub const METRICS_FILE: &str = "metrics.jsonl";

/// The page.
pub const PAGE_FILE: &str = "report.html";

/// What the page shows beside the report.
pub const EVIDENCE_FILE: &str = "evidence.json";
