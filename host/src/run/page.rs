//! The page of a run: one file that needs no network, with the student running in it.

mod evidence;
mod layout;
mod plots;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use attar_device::Student;

pub use evidence::{Evidence, HeadEvidence, Said, Shown};

use super::folder::{EVIDENCE_FILE, MANIFEST_FILE, METRICS_FILE, PAGE_FILE, RECIPE_FILE, REPORT_FILE, STUDENT_FILE};
use crate::run::report::Report;
use crate::support::files;

/// Everything that the page is made of.
#[derive(Debug)]
pub(crate) struct Run {
    report: Report,
    evidence: Evidence,
    curves: std::collections::BTreeMap<String, Vec<(f64, f64, Option<f64>)>>,
    recipe: String,
    manifest: serde_json::Value,
    model: Vec<u8>,
}

/// Writes the page of the run in a folder and returns where it is.
///
/// # Errors
///
/// When a file of the run is missing or is none, or the page cannot be written.
pub fn write(folder: &Path) -> Result<PathBuf> {
    let text = |name: &str| -> Result<String> {
        let path = folder.join(name);
        files::read_regular(&path).and_then(|bytes| Ok(String::from_utf8(bytes)?)).with_context(|| {
            let advice = "give the command of the run again, which goes on where it was";
            format!("{} is no folder of a finished run: cannot read {} ({advice})", folder.display(), path.display())
        })
    };
    let model_path = folder.join(STUDENT_FILE);
    let run = Run {
        report: parsed(&text(REPORT_FILE)?, &folder.join(REPORT_FILE))?,
        evidence: parsed(&text(EVIDENCE_FILE)?, &folder.join(EVIDENCE_FILE))?,
        curves: evidence::curves(&text(METRICS_FILE)?),
        recipe: text(RECIPE_FILE)?,
        manifest: parsed(&text(MANIFEST_FILE)?, &folder.join(MANIFEST_FILE))?,
        model: files::read_regular(&model_path)?,
    };
    let student = Student::parse(&run.model).with_context(|| format!("{}", model_path.display()))?;
    let checksum = run.model.last_chunk().map_or(0, |sum| u32::from_le_bytes(*sum));
    ensure!(
        checksum == run.evidence.model,
        "{} is of another model than {}: give the command of the run again, which ends what was stopped",
        folder.join(EVIDENCE_FILE).display(),
        model_path.display()
    );
    let page = layout::page(&run, student.model())?;
    let path = folder.join(PAGE_FILE);
    files::write_whole(&path, page.as_bytes())?;
    Ok(path)
}

fn parsed<T: serde::de::DeserializeOwned>(text: &str, path: &Path) -> Result<T> {
    serde_json::from_str(text).with_context(|| format!("{}", path.display()))
}
