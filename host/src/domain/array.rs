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
