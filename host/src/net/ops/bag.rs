//! The embedding bag: the mean of the rows that a text's n-grams choose.

use attar_shared::text::Grams;
use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor, bail};
use rayon::prelude::*;

use super::storage::{accumulate, floats, with_floats};

/// The mean of the rows of `weight` that the n-grams of each text choose; 0 for a text without any.
///
/// The words and n-grams are those of the device, found anew in each pass: that costs less than a tenth of a step.
///
/// # Shape
/// `x` is `[batch, bytes]`, each byte as the int8 that it is on the board, `weight` `[buckets, channels]`; the result is
/// `[batch, channels]`.
///
/// # Errors
/// When the shapes do not fit, or a tensor is not of 32-bit floats.
pub fn bag(x: &Tensor, weight: &Tensor, grams: &Grams) -> Result<Tensor> {
    const OP: &str = "bag";
    let (batch, bytes) = x.dims2()?;
    let (buckets, channels) = weight.dims2()?;
    if buckets != grams.buckets as usize {
        bail!("{OP}: weight has shape {:?}, expected [{}, channels]", weight.dims(), grams.buckets)
    }
    super::check_floats(OP, &[x, weight])?;
    let texts = x.flatten_all()?.to_vec1::<f32>()?;
    let chosen: Vec<Vec<u32>> = texts.par_chunks(bytes.max(1)).map(|text| chosen(text, grams)).collect();
    if weight.device().is_cpu() {
        return weight.contiguous()?.apply_op1(Bag { chosen, channels });
    }
    // Elsewhere a product with how often each row is chosen, over how many are.
    let mut shares = vec![0.0f32; batch * buckets];
    for (shares, chosen) in shares.chunks_exact_mut(buckets).zip(&chosen) {
        chosen.iter().for_each(|&bucket| shares[bucket as usize] += 1.0 / chosen.len() as f32);
    }
    Tensor::from_vec(shares, (batch, buckets), weight.device())?.matmul(weight)
}

/// Returns the buckets of a text's n-grams.
fn chosen(text: &[f32], grams: &Grams) -> Vec<u32> {
    let bytes: Vec<i8> = text.iter().map(|&byte| attar_device::round_to_i8(byte)).collect();
    let mut buckets = Vec::new();
    grams.each(&bytes.as_slice(), |bucket| buckets.push(bucket));
    buckets
}

struct Bag {
    chosen: Vec<Vec<u32>>,
    channels: usize,
}

impl CustomOp1 for Bag {
    fn name(&self) -> &'static str {
        "bag"
    }

    fn cpu_fwd(&self, weight: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let rows = floats(weight, layout)?;
        let mut y = vec![0.0; self.chosen.len() * self.channels];
        for (mean, chosen) in y.chunks_exact_mut(self.channels).zip(&self.chosen) {
            for &bucket in chosen {
                accumulate(mean, &rows[bucket as usize * self.channels..][..self.channels]);
            }
            mean.iter_mut().for_each(|sum| *sum /= chosen.len().max(1) as f32);
        }
        Ok((CpuStorage::F32(y), (self.chosen.len(), self.channels).into()))
    }

    fn bwd(&self, weight: &Tensor, _: &Tensor, gradient: &Tensor) -> Result<Option<Tensor>> {
        let mut of_rows = vec![0.0f32; weight.elem_count()];
        with_floats(&gradient.contiguous()?, |gradient| {
            for (gradient, chosen) in gradient.chunks_exact(self.channels).zip(&self.chosen) {
                let share: Vec<f32> = gradient.iter().map(|x| x / chosen.len().max(1) as f32).collect();
                for &bucket in chosen {
                    accumulate(&mut of_rows[bucket as usize * self.channels..][..self.channels], &share);
                }
            }
            Ok(())
        })?;
        Ok(Some(Tensor::from_vec(of_rows, weight.shape(), weight.device())?))
    }
}
