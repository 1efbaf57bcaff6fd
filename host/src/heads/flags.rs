//! Labels that hold or do not: what binary and multilabel heads have in common.

use anyhow::{Context, Result, bail};

use super::evidence::Calibration;
use super::probabilities::sigmoid;
use super::{Head, Labels, Mistake, Target, View};
use crate::support::suggest::shortened;
use crate::tables::Column;

/// Returns the flags in columns, row by row: 0 and 1, `labels` for no and yes, or true and false in any case.
pub(super) fn read_columns(head: &Head, columns: &[Column<'_>], labels: &[String]) -> Result<Labels> {
    let columns = columns.iter().map(|column| read_column(*column, head, labels)).collect::<Result<Vec<_>>>()?;
    Ok(Labels::Flags(rows_of(&columns)))
}

/// Returns the flags in an array: 0 and 1.
pub(super) fn read_numbers(numbers: Vec<Option<f32>>, width: usize, file: &str) -> Result<Labels> {
    let flag = |(place, number): (usize, Option<f32>)| match number {
        None => Ok(None),
        Some(0.0) => Ok(Some(false)),
        Some(1.0) => Ok(Some(true)),
        Some(other) => bail!("{file}: sample {} holds {other}, expected 0 or 1", place / width),
    };
    Ok(Labels::Flags(numbers.into_iter().enumerate().map(flag).collect::<Result<_>>()?))
}

/// Returns the values of columns row by row.
pub(super) fn rows_of<T: Copy>(columns: &[Vec<T>]) -> Vec<T> {
    let rows = columns.first().map_or(0, Vec::len);
    (0..rows).flat_map(|row| columns.iter().map(move |column| column[row])).collect()
}

/// Returns the cells of a column of a binary or multilabel head as flags: 0 and 1, the labels of a binary head, or true and
/// false in any case.
fn read_column(column: Column<'_>, head: &Head, labels: &[String]) -> Result<Vec<Option<bool>>> {
    // With such labels a cell would say one thing and its label another.
    let turned = labels.iter().enumerate().find(|(index, label)| {
        let number = label.parse().ok().or_else(|| truth(label).map(|truth| f32::from(u8::from(truth))));
        number.is_some_and(|number: f32| number != *index as f32)
    });
    if let Some((index, label)) = turned {
        bail!("head {:?}: labels name what is {index} {label:?}: name no first and yes second", head.name);
    }
    let read = |(row, text): (usize, &str)| {
        if head.partial && column.is_missing(text) {
            return Ok(None);
        }
        let number = text.parse::<f32>().ok().filter(|number| *number == 0.0 || *number == 1.0);
        let label = || labels.iter().position(|label| label == text).map(|class| class == 1);
        let flag = number.map(|number| number == 1.0).or_else(label).or_else(|| truth(text));
        flag.map(Some).with_context(|| {
            let expected = match labels {
                [no, yes] => format!("{no:?} and {yes:?}"),
                _ if head.kind.is_wide() => "true and false".into(),
                _ => "texts that labels = [\"NO\", \"YES\"] names".into(),
            };
            format!(
                "{}: column {:?} holds {:?}, a {} head takes 0 and 1, or {expected}",
                column.place(row),
                shortened(column.name()),
                shortened(text),
                head.kind.name()
            )
        })
    };
    column.texts().into_iter().enumerate().map(read).collect()
}

/// Returns what a text says, if it is true or false in any case.
pub(super) fn truth(text: &str) -> Option<bool> {
    match text {
        _ if text.eq_ignore_ascii_case("true") => Some(true),
        _ if text.eq_ignore_ascii_case("false") => Some(false),
        _ => None,
    }
}

/// Returns how many samples have a flag for an output.
pub(super) fn count(target: &Target, samples: &[usize], output: usize, flag: bool) -> usize {
    samples.iter().filter(|&&sample| target.flags(sample)[output] == Some(flag)).count()
}

/// Returns what the page shows: for each label no and yes, row after row.
pub(super) fn view(target: &Target, samples: &[usize], logits: &[f32]) -> View {
    let mut view = View { confusion: vec![vec![0; 2]; 2 * target.outputs], ..View::default() };
    let mut calibration = Calibration::default();
    for (&sample, logits) in samples.iter().zip(logits.chunks_exact(target.outputs)) {
        for (label, (&truth, &logit)) in target.flags(sample).iter().zip(logits).enumerate() {
            let Some(truth) = truth else { continue };
            let said = sigmoid(logit);
            view.confusion[2 * label + usize::from(truth)][usize::from(said >= 0.5)] += 1;
            calibration.add(said, truth);
        }
    }
    calibration.finish(&mut view);
    view
}

/// Returns the outputs that are wrong about a sample.
pub(super) fn mistake(target: &Target, sample: usize, logits: &[f32]) -> Option<Mistake> {
    let (mut confusion, mut confidence) = (Vec::new(), 0.0f32);
    for (output, (&y, &logit)) in target.flags(sample).iter().zip(logits).enumerate() {
        let Some(y) = y.filter(|&y| y != (logit >= 0.0)) else { continue };
        confusion.push((2 * output + usize::from(y), 2 * output + usize::from(!y)));
        let said = sigmoid(logit);
        confidence = confidence.max(said.max(1.0 - said));
    }
    (!confusion.is_empty()).then_some(Mistake { confusion, confidence })
}
