//! The floats behind CPU tensors, and loops over them.

use std::cell::RefCell;

use candle_core::{CpuStorage, InplaceOp1, Layout, Result, Storage, Tensor, bail};

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
pub(crate) fn with_floats<R>(tensor: &Tensor, read: impl FnOnce(&[f32]) -> Result<R>) -> Result<R> {
    let (storage, layout) = tensor.storage_and_layout();
    match &*storage {
        Storage::Cpu(storage) => read(floats(storage, layout)?),
        _ => bail!("tensor is on {:?}, expected the CPU", tensor.device().location()),
    }
}

/// What `write` gives on the values of `tensor`, which it may change in place.
///
/// # Errors
/// When `tensor` is not contiguous floats in main memory, or `write` fails.
pub(crate) fn with_floats_mut<R>(tensor: &Tensor, write: impl FnOnce(&mut [f32]) -> Result<R>) -> Result<R> {
    let op = Write(RefCell::new((Some(write), None)));
    tensor.inplace_op1(&op)?;
    match op.0.into_inner().1 {
        Some(result) => Ok(result),
        None => bail!("tensor is on {:?}, expected the CPU", tensor.device().location()),
    }
}

/// A function that is called once with the values of a tensor, and what it gave.
struct Write<F, R>(RefCell<(Option<F>, Option<R>)>);

impl<R, F: FnOnce(&mut [f32]) -> Result<R>> InplaceOp1 for Write<F, R> {
    fn name(&self) -> &'static str {
        "write"
    }

    fn cpu_fwd(&self, storage: &mut CpuStorage, layout: &Layout) -> Result<()> {
        let Some((start, end)) = layout.contiguous_offsets() else { bail!("layout {layout:?} is not contiguous") };
        let CpuStorage::F32(values) = storage else { bail!("a tensor holds no 32-bit floats") };
        let mut state = self.0.borrow_mut();
        if let (Some(write), Some(values)) = (state.0.take(), values.get_mut(start..end)) {
            state.1 = Some(write(values)?);
        }
        Ok(())
    }
}

/// Runs a loop with the widest vectors that the processor has; what it computes is the same.
///
/// The loop has to be inlined here for that. The compiler does so with short closures; a long loop is the `call` of a type of
/// its own, marked `#[inline(always)]`.
#[inline(always)]
pub(crate) fn vectorized<F: pulp::NullaryFnOnce>(run: F) -> F::Output {
    pulp::Arch::new().dispatch(Call(run))
}

struct Call<F>(F);

impl<F: pulp::NullaryFnOnce> pulp::WithSimd for Call<F> {
    type Output = F::Output;

    #[inline(always)]
    fn with_simd<S: pulp::Simd>(self, _: S) -> F::Output {
        self.0.call()
    }
}

/// Values of a pass over memory that a thread takes at a time.
pub(crate) const CHUNK: usize = 1 << 15;

/// Adds `source` to `sum`, element by element.
#[inline(always)]
pub(crate) fn accumulate(sum: &mut [f32], source: &[f32]) {
    for (sum, value) in sum.iter_mut().zip(source) {
        *sum += value;
    }
}

/// The sums of equally long vectors, added in their order.
pub(super) fn total(parts: Vec<Vec<f32>>, len: usize) -> Vec<f32> {
    let mut parts = parts.into_iter();
    let mut sum = parts.next().unwrap_or_else(|| vec![0.0; len]);
    for part in parts {
        vectorized(|| accumulate(&mut sum, &part));
    }
    sum
}
