//! How many of the ONNX project's own node tests, and of networks of other exporters, are computed as their authors say.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use attar::data::read_array;
use attar::onnx::Network;

/// What became of a case.
enum Outcome {
    Right,
    Refused(String),
    Wrong(String),
}

/// Prints the counts of right, refused and wrong cases, and each case that is wrong.
///
/// A case is a folder with `net.onnx`, `x.npy` and `y0.npy`, `y1.npy` and so on, as `tests/onnx/cases.py` writes them; a file `halves`
/// marks those that compute in 16 bits.
///
/// # Errors
///
/// When the folder cannot be read, or a case is wrong.
pub(crate) fn table(folder: &Path, refused: bool) -> Result<()> {
    let mut counts: BTreeMap<String, [usize; 3]> = BTreeMap::new();
    let mut names: Vec<_> = fs::read_dir(folder)
        .with_context(|| format!("cannot read {}: write the cases with tests/onnx/cases.py", folder.display()))?
        .map(|entry| Ok(entry?.path()))
        .collect::<Result<Vec<_>>>()?;
    names.sort();
    ensure!(!names.is_empty(), "{} holds no cases", folder.display());
    for path in names {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let source = name.split('_').next().unwrap_or_default().to_string();
        let place = match outcome(&path)? {
            Outcome::Right => 0,
            Outcome::Refused(why) => {
                if refused {
                    println!("refused: {name}: {why}");
                }
                1
            }
            Outcome::Wrong(why) => {
                println!("WRONG: {name}: {why}");
                2
            }
        };
        counts.entry(source).or_default()[place] += 1;
    }
    println!("{:12} {:>7} {:>7} {:>7}", "source", "right", "refused", "wrong");
    let mut wrong = 0;
    for (source, [right, refused, wrongs]) in counts {
        println!("{source:12} {right:7} {refused:7} {wrongs:7}");
        wrong += wrongs;
    }
    if wrong > 0 {
        bail!("{wrong} cases are computed wrongly");
    }
    Ok(())
}

fn outcome(folder: &Path) -> Result<Outcome> {
    let x = read_array(&folder.join("x.npy"), None)?;
    let answers = Network::read(&folder.join("net.onnx")).and_then(|network| network.run(&x.shape, x.values.clone()));
    let answers = match answers {
        Ok(answers) => answers,
        Err(error) => return Ok(Outcome::Refused(format!("{error:#}"))),
    };
    let in_halves = folder.join("halves").exists();
    for (at, answer) in answers.iter().enumerate() {
        let y = read_array(&folder.join(format!("y{at}.npy")), None)?;
        // A single number is stored as one row.
        let len: usize = answer.shape.iter().product();
        if y.shape != answer.shape && !(len == 1 && y.values.len() == 1) {
            return Ok(Outcome::Wrong(format!("output {at} has shape {:?}, expected {:?}", answer.shape, y.shape)));
        }
        for (place, (&got, &expected)) in answer.values.iter().zip(&y.values).enumerate() {
            // The ONNX project compares within 1e-3 of the value. Sums in another order need the rounding of a float on top;
            // networks in 16 bits are computed in 32 here, and differ by the roundings that are left out.
            let share = if in_halves { 4e-3 } else { 1e-3 };
            let near = (got - expected).abs() <= share * expected.abs() + 1e-5;
            if !(near || got == expected || (got.is_nan() && expected.is_nan())) {
                return Ok(Outcome::Wrong(format!("output {at} is {got} at {place}, expected {expected}")));
            }
        }
    }
    Ok(Outcome::Right)
}
