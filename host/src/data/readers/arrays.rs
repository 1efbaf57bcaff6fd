//! Data from arrays: IDX, npy, npz and safetensors files, for training and test, with and without labels.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};

use super::Reader;
use crate::data::files::{idx, npy, safetensors};
use crate::data::raw::facts::Source;
use crate::data::raw::{Raw, channels_last, fingerprint};
use crate::domain::Array;
use crate::domain::array::check_axes;
use crate::facts::GivenFact;
use crate::heads::{Head, Target};
use crate::recipe::{Arrays, Recipe};
use crate::support::files;
use crate::support::progress::say;

pub(super) struct ArrayFiles;

impl Reader for ArrayFiles {
    fn format(&self) -> &'static str {
        "arrays"
    }

    fn read(&self, recipe: &Recipe, folder: &Path) -> Result<Raw> {
        let train = recipe.data.train.as_ref().context("data.train is missing")?;
        let mut files = Vec::new();
        let mut part = read_part(recipe, train, folder, &mut files)?;
        let mut test_from = None;
        if let Some(test) = &recipe.data.test {
            let test = read_part(recipe, test, folder, &mut files)?;
            test_from = Some(part.inputs.rows());
            part.append(test)?;
        }
        let labelled = part.inputs.rows();
        if let Some(reference) = &recipe.data.unlabelled {
            part.append_unlabelled(reference, folder, &mut files)?;
        }
        let unlabelled = part.inputs.rows() - labelled;
        let sample_shape = &part.inputs.shape[1..];
        let declared = if recipe.input.shape.is_empty() { sample_shape } else { &recipe.input.shape };
        let shape = channels_last(declared)?;
        ensure!(
            shape.iter().product::<usize>() == part.inputs.row_len(),
            "input.shape {declared:?} has {} values, a sample of {} has {}",
            shape.iter().product::<usize>(),
            train.input,
            part.inputs.row_len()
        );
        check_axes(sample_shape, shape, &train.input)?;
        if recipe.input.shape.is_empty() {
            remark(&train.input, sample_shape).iter().for_each(|remark| say(remark));
        }
        let targets = recipe
            .heads
            .iter()
            .zip(part.heads)
            .map(|(head, array)| target_from_array(head, array, labelled, &train.heads[&head.name]))
            .collect::<Result<_>>()?;
        let source =
            Source { folder, samples: part.inputs.rows(), table: None, dialect: &recipe.data.dialect()?.beside() };
        let mut arrays = part.facts.into_iter();
        let (facts, tables) = source.facts(recipe, |fact| {
            let file = &train.facts[&fact.name];
            let array = arrays.next().context("a fact without an array")?;
            let width = array.row_len();
            ensure!(width == 1, "{file}: fact {:?} has {width} values a sample, expected one", fact.name);
            GivenFact::from_numbers(fact, &array.values, |sample| format!("{file}: sample {sample}"))
        })?;
        files.extend(tables);
        let fingerprint = fingerprint(&files)?;
        let inputs = part.inputs;
        Ok(Raw { test_from, unlabelled, is_screened: true, ..Raw::new(inputs, shape, facts, targets, fingerprint) })
    }
}

/// The arrays of one part, heads and facts in the order of the recipe.
struct Part {
    inputs: Array,
    heads: Vec<Array>,
    facts: Vec<Array>,
}

impl Part {
    /// Adds inputs that have neither labels nor facts.
    fn append_unlabelled(&mut self, reference: &str, folder: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
        let (file, member) = member_of(folder, reference);
        let path = files::below(folder, file).context("data.unlabelled")?;
        let inputs = read_array(&path, member)?;
        files.push(path);
        ensure!(!inputs.shape.is_empty(), "data.unlabelled = {reference:?}: holds a single number, expected samples");
        inputs.refuse_non_finite(reference)?;
        let rows = inputs.rows();
        ensure!(rows > 0, "data.unlabelled = {reference:?}: holds no sample");
        let nothing = |like: &Array| {
            let shape = std::iter::once(rows).chain(like.shape.iter().skip(1).copied()).collect();
            Array { shape, values: vec![f32::NAN; rows * like.row_len()] }
        };
        let (heads, facts) = (self.heads.iter().map(nothing).collect(), self.facts.iter().map(nothing).collect());
        self.append(Self { inputs, heads, facts }).with_context(|| format!("data.unlabelled = {reference:?}"))
    }

    fn append(&mut self, other: Self) -> Result<()> {
        let pairs = std::iter::once((&mut self.inputs, other.inputs))
            .chain(self.heads.iter_mut().zip(other.heads))
            .chain(self.facts.iter_mut().zip(other.facts));
        for (array, mut more) in pairs {
            ensure!(
                array.shape[1..] == more.shape[1..],
                "training samples have shape {:?}, test samples {:?}",
                &array.shape[1..],
                &more.shape[1..]
            );
            array.shape[0] += more.shape[0];
            array.values.append(&mut more.values);
        }
        Ok(())
    }
}

fn read_part(recipe: &Recipe, part: &Arrays, folder: &Path, files: &mut Vec<PathBuf>) -> Result<Part> {
    let mut read = |reference: &str| {
        let (file, member) = member_of(folder, reference);
        let path = files::below(folder, file).context("data.train and data.test")?;
        files.push(path.clone());
        read_array(&path, member)
    };
    let inputs = read(&part.input)?;
    ensure!(!inputs.shape.is_empty() && inputs.rows() > 0, "{}: holds no sample", part.input);
    inputs.refuse_non_finite(&part.input)?;
    let mut array_for = |name: &str, reference: &str| {
        let array = read(reference)?;
        let rows = array.shape.first().copied().unwrap_or(0);
        ensure!(
            rows == inputs.rows(),
            "{reference} has {rows} samples for {name:?}, {} has {}",
            part.input,
            inputs.rows()
        );
        Ok(array)
    };
    let heads =
        recipe.heads.iter().map(|head| array_for(&head.name, &part.heads[&head.name])).collect::<Result<_>>()?;
    let own = recipe.facts.iter().filter(|fact| fact.is_in_arrays());
    let facts = own.map(|fact| array_for(&fact.name, &part.facts[&fact.name])).collect::<Result<_>>()?;
    Ok(Part { inputs, heads, facts })
}

/// Returns the array in a file, whose reader is chosen by its name.
///
/// # Errors
///
/// When the file cannot be read or is broken.
pub fn read_array(path: &Path, member: Option<&str>) -> Result<Array> {
    let ending = path.extension().and_then(|ending| ending.to_str()).map(str::to_ascii_lowercase);
    match ending.as_deref() {
        Some("npy" | "npz") => npy::read(path, member),
        Some("safetensors") => safetensors::read(path, member),
        Some("csv") => bail!("{}: a table is read by data.format = \"csv\", not as an array", path.display()),
        _ => {
            ensure!(member.is_none(), "{}: only .npz and .safetensors files have members", path.display());
            idx::read(path)
        }
    }
}

/// Returns file and member of a reference such as `data.npz#x`; a file whose own name has the `#` is itself.
pub fn member_of<'a>(folder: &Path, reference: &'a str) -> (&'a str, Option<&'a str>) {
    match reference.rsplit_once('#') {
        Some((file, member)) if !folder.join(reference).exists() => (file, Some(member)),
        _ => (reference, None),
    }
}

/// Returns how the axes of samples are taken that no `input.shape` describes, and whether they look like another order.
fn remark(file: &str, shape: &[usize]) -> Option<String> {
    let &[height, width, channels] = shape else { return None };
    let taken =
        format!("{file}: a sample of {shape:?} is taken as height {height}, width {width}, channels {channels}");
    let channels_first = (2..=4).contains(&height) && channels > 4 || height == 1 && width == channels && width > 4;
    Some(match channels_first {
        true => format!(
            "warning: {taken}: with channels first, transpose it with np.moveaxis(x, 1, -1), else say input.shape = {shape:?}"
        ),
        false => taken,
    })
}

fn target_from_array(head: &Head, array: Array, labelled: usize, file: &str) -> Result<Target> {
    let width = array.row_len();
    let end = labelled * width;
    let is_unknown = |place: usize, number: f32| match head.partial {
        true => head.kind.is_unknown(number),
        // Behind the labelled samples are those without any label.
        false => place >= end && number.is_nan(),
    };
    let known = |(place, number): (usize, f32)| (!is_unknown(place, number)).then_some(number);
    let numbers: Vec<Option<f32>> = array.values.into_iter().enumerate().map(known).collect();
    let is_bad = |number: &Option<f32>| number.is_some_and(|number| !number.is_finite());
    if let Some(place) = numbers.iter().position(is_bad) {
        bail!(
            "{file}: sample {} holds {}, expected a finite number{}",
            place / width.max(1),
            numbers[place].unwrap_or_default(),
            if head.partial { "" } else { "; with partial = true in the head it is a label that is not known" }
        );
    }
    head.kind.read_numbers(head, numbers, width, file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_that_nothing_describes_are_printed() {
        for (shape, warns) in [([3, 32, 32], true), ([1, 28, 28], true), ([32, 32, 3], false), ([1, 98, 40], false)] {
            let remark = remark("x.npy", &shape).unwrap();
            assert!(remark.contains(&format!("height {}, width {}", shape[0], shape[1])), "{remark}");
            assert_eq!(remark.starts_with("warning"), warns, "{remark}");
        }
        assert_eq!(remark("x.npy", &[28, 28]), None);
    }
}
