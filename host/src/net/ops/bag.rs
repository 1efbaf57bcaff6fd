//! The embedding bag: the mean of the rows that a text's n-grams choose.

use attar_shared::text::Grams;
use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor};
use rayon::prelude::*;

use super::storage::{accumulate, floats, with_floats};

/// See [`super::bag()`].
pub(super) fn bag(weight: &Tensor, chosen: Vec<Vec<u32>>) -> Result<Tensor> {
    let channels = weight.dim(1)?;
    weight.contiguous()?.apply_op1(Bag { chosen, channels })
}

/// Returns the buckets of the n-grams of texts of so many bytes each.
pub(super) fn chosen(texts: &[f32], bytes: usize, grams: &Grams) -> Vec<Vec<u32>> {
    let of_text = |text: &[f32]| {
        let bytes: Vec<i8> = text.iter().map(|&byte| attar_device::round_to_i8(byte)).collect();
        let mut buckets = Vec::new();
        grams.each(&bytes.as_slice(), |bucket| buckets.push(bucket));
        buckets
    };
    texts.par_chunks(bytes.max(1)).map(of_text).collect()
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

#[cfg(test)]
mod tests {
    use super::super::{portable, testing::*};
    use super::*;

    const GRAMS: Grams = Grams { buckets: 11, letters: [2, 3], words: 2 };

    #[test]
    fn agrees_with_a_direct_loop_in_values_and_gradients() -> Result<()> {
        // The second text has no word, the third the same one twice.
        let texts = ["to new york", " .,  ", "ab ab"].map(|text| format!("{text:\0<12}"));
        let texts: Vec<f32> = texts.iter().flat_map(|text| text.bytes()).map(f32::from).collect();
        let chosen = chosen(&texts, 12, &GRAMS);
        assert!(chosen[0].len() > 20 && chosen[1].is_empty() && chosen[2].len() == 13, "{chosen:?}");
        let naive = |o: &[Tensor]| -> Vec<f32> {
            let rows = values(&o[0]);
            let mean = |chosen: &Vec<u32>, c: usize| {
                let sum: f32 = chosen.iter().map(|&bucket| rows[bucket as usize * 5 + c]).sum();
                if chosen.is_empty() { 0.0 } else { sum / chosen.len() as f32 }
            };
            chosen.iter().flat_map(|chosen| (0..5).map(move |c| mean(chosen, c))).collect()
        };
        let operands = [random(1, &[11, 5])?];
        check_operator(&operands, naive, |o| bag(&o[0], chosen.clone()), |o| portable::bag(&o[0], &chosen))
    }
}
