//! Arrays of numbers as readers give them.

use anyhow::{Context, Result, bail, ensure};

/// Numbers with a shape, row-major.
#[derive(Debug, Clone, PartialEq)]
pub struct Array {
    /// Sizes of the dimensions; the first counts samples.
    pub shape: Vec<usize>,
    /// The numbers.
    pub values: Vec<f32>,
}

impl Array {
    /// Returns an array.
    ///
    /// # Errors
    ///
    /// When there are not as many values as the shape says.
    pub fn new(shape: Vec<usize>, values: Vec<f32>) -> Result<Self> {
        let expected = element_count(&shape)?;
        ensure!(expected == values.len(), "shape {shape:?} holds {expected} values, got {}", values.len());
        Ok(Self { shape, values })
    }

    /// Returns the number of samples; 1 for a single number.
    pub fn rows(&self) -> usize {
        self.shape.first().copied().unwrap_or(1)
    }

    /// Returns the number of values of a sample.
    pub fn row_len(&self) -> usize {
        self.shape.iter().skip(1).product()
    }

    /// Returns the values of a sample.
    ///
    /// # Panics
    ///
    /// When there is no such sample.
    pub fn row(&self, index: usize) -> &[f32] {
        let len = self.row_len();
        &self.values[index * len..][..len]
    }

    /// Refuses NaN and infinities; `what` is what the error calls the array.
    ///
    /// # Errors
    ///
    /// Names the sample and the place of the first one.
    pub fn refuse_non_finite(&self, what: &str) -> Result<()> {
        if let Some(place) = self.values.iter().position(|value| !value.is_finite()) {
            let len = self.row_len().max(1);
            bail!(
                "{what}: sample {}, value {} is {}, expected a finite number",
                place / len,
                place % len,
                self.values[place]
            );
        }
        Ok(())
    }
}

/// Refuses a sample whose axes are not those of `[height, width, channels]`; `what` is what the error calls the samples.
///
/// A sample fits as flat values, or with the same sizes in the same order, sizes of 1 aside. Values without positions,
/// `[1, 1, values]`, are a sample of any shape, row-major.
///
/// # Errors
///
/// With both shapes, and how to transpose one into the other.
pub fn check_axes(found: &[usize], shape: [usize; 3], what: &str) -> Result<()> {
    let expected = without_ones(&shape);
    let sizes = without_ones(found);
    let fits = sizes.len() <= 1 || sizes == expected || shape[..2] == [1, 1];
    let same_len = found.iter().product::<usize>() == shape.iter().product::<usize>();
    ensure!(
        fits && same_len,
        "{what}: a sample has the shape {found:?}, expected {shape:?} (height, width, channels) or {} values in that order{}",
        shape.iter().product::<usize>(),
        transposed(found, &expected)
    );
    Ok(())
}

/// Refuses a series whose axes are not steps of `[height, width, channels]` each; `what` is what the error calls the series.
///
/// # Errors
///
/// With both shapes, and how to transpose one into the other.
pub fn check_series_axes(found: &[usize], step: [usize; 3], what: &str) -> Result<()> {
    let (sizes, own) = (without_ones(found), without_ones(&step));
    let frames = |sizes: &[usize]| match (sizes, own.as_slice()) {
        ([first, rest @ ..], [own, others @ ..]) => rest == others && first.is_multiple_of(*own),
        _ => false,
    };
    let fits = sizes.len() <= 1 || sizes.get(1..).is_some_and(|rest| rest == own.as_slice()) || frames(&sizes);
    let count = found.iter().product::<usize>() / step.iter().product::<usize>().max(1);
    let expected: Vec<usize> = std::iter::once(count).chain(own.iter().copied()).collect();
    ensure!(
        fits,
        "{what}: a series has the shape {found:?}, expected {expected:?} (steps first, channels last){}",
        transposed(found, &expected)
    );
    Ok(())
}

/// Returns how the axes of samples become those that are expected, as the end of an error.
fn transposed(found: &[usize], expected: &[usize]) -> String {
    let last = found.len().saturating_sub(1);
    let moves = (0..found.len()).flat_map(|from| (0..found.len()).rev().map(move |to| (from, to)));
    let found_by = |&(from, to): &(usize, usize)| {
        let mut moved = found.to_vec();
        let size = moved.remove(from);
        moved.insert(to, size);
        from != to && without_ones(&moved) == expected
    };
    // The samples' own axis is the first of the file.
    if let Some((from, to)) = moves.into_iter().find(found_by) {
        let to = if to == last { "-1".into() } else { (to + 1).to_string() };
        return format!(": transpose the array with np.moveaxis(x, {}, {to})", from + 1);
    }
    let sorted = |sizes: &[usize]| {
        let mut sizes = without_ones(sizes);
        sizes.sort_unstable();
        sizes
    };
    if sorted(found) == sorted(expected) {
        return ": transpose the array with np.transpose".into();
    }
    String::new()
}

/// Returns the sizes of a shape that are more than 1.
fn without_ones(shape: &[usize]) -> Vec<usize> {
    shape.iter().copied().filter(|&size| size != 1).collect()
}

/// Returns the number of values of a shape.
///
/// # Errors
///
/// When it is beyond what memory could hold.
pub(crate) fn element_count(shape: &[usize]) -> Result<usize> {
    shape
        .iter()
        .try_fold(1usize, |product, &size| product.checked_mul(size))
        .filter(|&count| count <= MAX_VALUES)
        .with_context(|| format!("shape {shape:?} is too large: at most {MAX_VALUES} values are read"))
}

/// The most values that are read from one array: 8 GiB of f32.
const MAX_VALUES: usize = 1 << 31;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_in_another_order_are_refused_with_what_to_do() {
        let axes = |found: &[usize], shape| check_axes(found, shape, "x.npy").map_err(|error| error.to_string());
        for (found, shape) in [
            (vec![192], [8, 8, 3]),
            (vec![8, 8, 3], [8, 8, 3]),
            (vec![1, 8, 8], [8, 8, 1]),
            (vec![28, 28], [1, 28, 28]),
            (vec![50, 1, 3], [1, 50, 3]),
            (vec![3, 8, 8], [1, 1, 192]),
            (vec![], [1, 1, 1]),
        ] {
            assert_eq!(axes(&found, shape), Ok(()), "{found:?}");
        }
        for (found, shape, advice) in [
            (vec![3, 8, 8], [8, 8, 3], "np.moveaxis(x, 1, -1)"),
            (vec![3, 50], [50, 1, 3], "np.moveaxis(x, 1, -1)"),
            (vec![3, 1, 50], [1, 50, 3], "np.moveaxis(x, 1, -1)"),
            (vec![6, 4, 3], [4, 6, 3], "np.moveaxis(x, 1, 2)"),
            (vec![3, 6, 4], [4, 6, 3], "np.transpose"),
            (vec![16, 12], [8, 8, 3], "192 values in that order"),
            (vec![9], [8, 1, 1], "[9]"),
        ] {
            let refused = axes(&found, shape).unwrap_err();
            assert!(refused.contains(advice) && refused.contains(&format!("{shape:?}")), "{refused}");
        }
    }

    #[test]
    fn a_series_has_its_steps_first() {
        let axes = |found: &[usize], step| check_series_axes(found, step, "x.npy").map_err(|error| error.to_string());
        for (found, step) in [
            (vec![50, 3], [1, 1, 3]),
            (vec![150], [1, 1, 3]),
            (vec![50, 1, 3], [1, 1, 3]),
            (vec![98, 40], [1, 2, 40]),
            (vec![49, 2, 40], [1, 2, 40]),
        ] {
            assert_eq!(axes(&found, step), Ok(()), "{found:?}");
        }
        let refused = axes(&[3, 50], [1, 1, 3]).unwrap_err();
        assert!(refused.contains("expected [50, 3]") && refused.contains("np.moveaxis(x, 1, -1)"), "{refused}");
        let refused = axes(&[40, 98], [1, 2, 40]).unwrap_err();
        assert!(refused.contains("shape [40, 98]"), "{refused}");
    }
}
