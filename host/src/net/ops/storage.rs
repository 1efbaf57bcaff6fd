//! The floats behind CPU tensors.

use candle_core::{CpuStorage, Layout, Result, Storage, Tensor, bail};

/// The values of a contiguous tensor in main memory.
///
/// # Errors
/// When it is not contiguous or not of 32-bit floats.
pub(super) fn floats<'a>(storage: &'a CpuStorage, layout: &Layout) -> Result<&'a [f32]> {
    let Some((start, end)) = layout.contiguous_offsets() else { bail!("layout {layout:?} is not contiguous") };
    Ok(&storage.as_slice::<f32>()?[start..end])
}

/// What `read` gives on the values of `tensor`.
///
/// # Errors
/// When `tensor` is not contiguous floats in main memory, or `read` fails.
pub(super) fn with_floats<R>(tensor: &Tensor, read: impl FnOnce(&[f32]) -> Result<R>) -> Result<R> {
    let (storage, layout) = tensor.storage_and_layout();
    match &*storage {
        Storage::Cpu(storage) => read(floats(storage, layout)?),
        _ => bail!("tensor is on {:?}, expected the CPU", tensor.device().location()),
    }
}

/// Adds `source` to `sum`, element by element.
pub(super) fn accumulate(sum: &mut [f32], source: &[f32]) {
    for (sum, value) in sum.iter_mut().zip(source) {
        *sum += value;
    }
}

/// The sums of equally long vectors, added in their order.
pub(super) fn total(parts: Vec<Vec<f32>>, len: usize) -> Vec<f32> {
    let mut parts = parts.into_iter();
    let mut sum = parts.next().unwrap_or_else(|| vec![0.0; len]);
    for part in parts {
        accumulate(&mut sum, &part);
    }
    sum
}
