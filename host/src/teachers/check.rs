//! Known answers of a network from elsewhere, held against what it gives here.

use std::path::Path;

use anyhow::{Context, Result, ensure};

use super::{Onnx, OnnxInput};
use crate::data::{Dataset, read_array};
use crate::domain::Array;
use crate::recipe;
use crate::support::progress::say;

/// Compares a network's answers with those in the files of `check` and `test_check`, and prints how far they are apart.
///
/// # Errors
///
/// When a file cannot be read, does not fit, or holds other answers.
pub(super) fn against_known(
    how: &recipe::Net,
    onnx: &Onnx,
    input: &OnnxInput,
    data: &Dataset,
    folder: &Path,
    heads: &[usize],
) -> Result<()> {
    let labelled = data.test_from.unwrap_or(data.len());
    if let Some(name) = how.check.as_deref() {
        let path = crate::support::files::below(folder, name)?;
        if path.extension().is_some_and(|extension| extension == "npz") {
            let x = read_array(&path, Some("x"))?;
            let y = read_array(&path, Some("y"))?;
            let answers = onnx.answers_to_raw(&x.values).with_context(|| name.to_string())?.concat();
            return compare(name, &y, &answers, y.rows());
        }
        samples(name, &path, onnx, input, data, 0..labelled, heads)?;
    }
    if let Some(name) = how.test_check.as_deref() {
        ensure!(labelled < data.len(), "test_check = {name:?}: the data has no test part of its own");
        let path = crate::support::files::below(folder, name)?;
        samples(name, &path, onnx, input, data, labelled..data.len(), heads)?;
    }
    Ok(())
}

fn samples(
    name: &str,
    path: &Path,
    onnx: &Onnx,
    input: &OnnxInput,
    data: &Dataset,
    part: std::ops::Range<usize>,
    heads: &[usize],
) -> Result<()> {
    let known = read_array(path, None)?;
    ensure!(heads.len() == 1, "{name}: an npy file holds the answers of one output, the network has {}", heads.len());
    ensure!(known.rows() <= part.len(), "{name}: has answers to {} samples, there are {}", known.rows(), part.len());
    let samples: Vec<usize> = part.take(known.rows().min(MAX_ROWS)).collect();
    let mut answers = Vec::new();
    for samples in samples.chunks(super::ONNX_ROWS) {
        crate::support::progress::check_stopped()?;
        let outputs = onnx.logits(&input.rows(data, samples, None), samples.len())?;
        answers.extend(outputs.into_iter().flat_map(|output| output.values));
    }
    compare(name, &known, &answers, samples.len())
}

/// Holds answers against the first rows of an array.
fn compare(name: &str, known: &Array, answers: &[f32], rows: usize) -> Result<()> {
    let (width, all) = (known.row_len(), known.rows());
    ensure!(rows > 0 && width > 0, "{name}: has shape {:?}: there is no answer to compare", known.shape);
    ensure!(answers.len() == rows * width, "{name}: has {width} answers a sample, the network gives another number");
    known.refuse_non_finite(name)?;
    let scale = known.values.iter().fold(1.0f32, |scale, x| scale.max(x.abs()));
    let apart = |(at, (a, b)): (usize, (&f32, &f32))| (at, *a, *b, (a - b).abs() / scale);
    let worst = answers
        .iter()
        .zip(&known.values)
        .enumerate()
        .map(apart)
        .fold((0, 0.0, 0.0, 0.0f32), |worst, next| if next.3.is_nan() || next.3 > worst.3 { next } else { worst });
    let (at, got, expected, apart) = worst;
    ensure!(
        apart <= TOLERANCE,
        "{name}: sample {} has the answer {expected}, the network gives {got}: are divide, mean and deviation those of its \
         training, and are the samples in the order of the data? ({PLAINER})",
        at / width.max(1)
    );
    say(&format!(
        "{name}: the network gives these answers ({rows} of {all} samples compared, {apart:.1e} apart at most)"
    ));
    Ok(())
}

/// The largest difference, relative to the largest answer, that rounding explains.
const TOLERANCE: f32 = 1e-3;
/// Samples that are compared.
const MAX_ROWS: usize = 2048;
const PLAINER: &str =
    "if they are, the network is computed differently here: save its logits and use `arch = \"saved\"`";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_answers_are_refused_with_their_sample() -> Result<()> {
        let known = Array::new(vec![3, 2], vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0])?;
        compare("y.npy", &known, &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0], 3)?;
        compare("y.npy", &known, &[1.0, 2.0001], 1)?;
        for (answers, expected) in [
            ([1.0, 2.0, 3.0, 4.5, 5.0, 6.0], "sample 1 has the answer 4, the network gives 4.5"),
            ([1.0, 2.0, 3.0, 4.0, f32::NAN, 6.0], "sample 2 has the answer 5, the network gives NaN"),
        ] {
            let text = format!("{:#}", compare("y.npy", &known, &answers, 3).err().context("it was taken")?);
            assert!(text.contains(expected), "{text}");
        }
        assert!(compare("y.npy", &known, &[1.0; 3], 3).is_err());
        for shape in [vec![0, 2], vec![3, 0], vec![0]] {
            let none = Array::new(shape, Vec::new())?;
            let text = format!("{:#}", compare("y.npy", &none, &[], none.rows()).err().context("it was taken")?);
            assert!(text.contains("there is no answer to compare"), "{text}");
        }
        Ok(())
    }
}
