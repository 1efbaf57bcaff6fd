//! Ranges: what each tensor holds on training samples, and the int8 scale that represents it with the least error.

use std::cell::RefCell;
use std::collections::BTreeMap;

use anyhow::{Result, bail, ensure};
use attar_shared::{INPUT_TENSOR, Quantization};
use candle_core::{Tensor, Var};

use super::fake::Fake;
use crate::data::Dataset;
use crate::data::dataset::FactUse;
use crate::net::lowering::{Lowered, Values};
use crate::net::{Hook, Mode, Net};

/// The values that ranges leave out: they are clipped on the board.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Cut {
    /// The share of the values at each end.
    pub share: f64,
    /// Whether it applies to every layer and not only to the input. Ranges of facts and heads are never cut.
    pub everywhere: bool,
}

/// The range of each tensor, `[least, greatest]`; it always holds 0.
#[derive(Debug)]
pub(super) struct Ranges {
    ranges: Vec<[f32; 2]>,
}

impl Ranges {
    /// Runs the network on some samples, its weights as they will be on the board, and looks at every tensor.
    ///
    /// `cut` says what is left out at each end of ranges.
    pub(super) fn measure(net: &Net, lowered: &Lowered, data: &Dataset, samples: &[usize], cut: Cut) -> Result<Self> {
        let weights = Fake::weights_alone(lowered);
        let hook = Parts { weights, seen: RefCell::new(BTreeMap::new()) };
        let mut seen: Vec<Vec<f32>> = vec![Vec::new(); lowered.shapes.len()];
        // Behind an input that is clipped, layers and heads never see what the clipped values would make of them.
        let clip = (cut.share > 0.0 && !lowered.text).then(|| without_ends(&data.rows(samples), cut.share));
        let clip = clip.filter(|[least, greatest]| least < greatest);
        for samples in samples.chunks(64) {
            let mut batch = data.batch(samples, FactUse::of(net), net.device())?;
            if let Some([least, greatest]) = clip {
                batch.input = batch.input.clamp(least, greatest)?;
            }
            let results = net.forward(&batch.input, batch.facts.as_ref(), Mode::Evaluate, Some(&hook))?;
            for (seen, &values) in seen.iter_mut().zip(&lowered.values) {
                if let Values::Node(node) = values {
                    seen.extend(results[node].flatten_all()?.to_vec1::<f32>()?);
                }
            }
        }
        let parts = hook.seen.take();
        for (seen, &values) in seen.iter_mut().zip(&lowered.values) {
            if let Values::Part(node, part) = values {
                seen.extend(parts.get(&(node, part)).into_iter().flatten());
            }
        }
        let input = &seen[usize::from(INPUT_TENSOR)];
        if !lowered.text && input.iter().all(|value| *value == input[0]) {
            bail!(
                "the input has one value, {}, in all {} calibration samples: there is nothing to measure a range on",
                input.first().copied().unwrap_or_default(),
                samples.len()
            );
        }
        if let Some((tensor, _)) = seen.iter().enumerate().find(|(_, values)| values.iter().any(|x| !x.is_finite())) {
            let (Values::Node(node) | Values::Part(node, _)) = lowered.values[tensor];
            let node = &net.graph.nodes[node];
            bail!("layer {:?} gives values that are not finite on the calibration samples", node.name);
        }
        let exact = |tensor: usize| {
            // What comes from outside may be anything, and heads order the answers: neither is cut off.
            tensor < lowered.sources || lowered.heads.iter().any(|&head| usize::from(head) == tensor)
        };
        let mut ranges: Vec<[f32; 2]> = seen
            .iter()
            .enumerate()
            .map(|(tensor, values)| {
                let whole = values.iter().fold([0.0f32, 0.0], |[a, b], &x| [a.min(x), b.max(x)]);
                let is_cut = tensor == usize::from(INPUT_TENSOR) || (cut.everywhere && !exact(tensor));
                match (is_cut && cut.share > 0.0, exact(tensor)) {
                    (true, true) if clip.is_some() => whole,
                    (true, _) => without_ends(values, cut.share),
                    (false, true) => whole,
                    (false, false) => least_error(values, whole),
                }
            })
            .collect();
        share_ranges(lowered, &mut ranges);
        Ok(Self { ranges })
    }

    /// Returns the ranges that a network carries with it, if it does.
    pub(super) fn carried(net: &Net, lowered: &Lowered) -> Result<Option<Self>> {
        let Some((_, var)) = net.statistics.iter().find(|(name, _)| name == CARRIED) else { return Ok(None) };
        let rows = var.to_vec2::<f32>()?;
        ensure!(
            rows.len() == lowered.shapes.len(),
            "{CARRIED} holds {} ranges, expected {}",
            rows.len(),
            lowered.shapes.len()
        );
        Ok(Some(Self { ranges: rows.iter().map(|row| [row[0], row[1]]).collect() }))
    }

    /// Lets a network carry these ranges with it; those that it carries already move half of the way.
    pub(super) fn carry(&self, net: &mut Net) -> Result<()> {
        let flat = self.ranges.as_flattened().to_vec();
        let now = Tensor::from_vec(flat, (self.ranges.len(), 2), net.device())?;
        match net.statistics.iter().find(|(name, _)| name == CARRIED) {
            Some((_, var)) => var.set(&((var.as_tensor() + now)? * 0.5)?)?,
            None => net.statistics.push((CARRIED.into(), Var::from_tensor(&now)?)),
        }
        Ok(())
    }

    /// Returns scale and zero point of each tensor.
    pub(super) fn quantizations(&self, lowered: &Lowered) -> Vec<Quantization> {
        let mut all: Vec<Quantization> = self.ranges.iter().map(|&range| quantization(range)).collect();
        if let (true, Some(input)) = (lowered.text, all.first_mut()) {
            *input = Quantization { scale: 1.0, zero_point: 0 };
        }
        all
    }
}

/// Rounds weights, and gathers the values on the way to results.
struct Parts {
    weights: Fake,
    seen: RefCell<BTreeMap<(usize, &'static str), Vec<f32>>>,
}

impl Hook for Parts {
    fn weight(&self, node: usize, place: usize, weight: &Tensor) -> candle_core::Result<Tensor> {
        self.weights.weight(node, place, weight)
    }

    fn result(&self, _: usize, result: Tensor) -> candle_core::Result<Tensor> {
        Ok(result)
    }

    fn part(&self, node: usize, part: &'static str, value: Tensor) -> candle_core::Result<Tensor> {
        let values = value.flatten_all()?.to_vec1::<f32>()?;
        self.seen.borrow_mut().entry((node, part)).or_default().extend(values);
        Ok(value)
    }
}

/// Returns the range of values, with 0, without a share of them at each end.
fn without_ends(values: &[f32], cut: f64) -> [f32; 2] {
    let mut values = values.to_vec();
    values.sort_unstable_by(f32::total_cmp);
    let left_out = (values.len() as f64 * cut).ceil() as usize;
    let least = values.get(left_out).copied().unwrap_or_default();
    let greatest = values.len().checked_sub(left_out + 1).and_then(|at| values.get(at)).copied().unwrap_or_default();
    [least.min(0.0), greatest.max(0.0)]
}

/// Returns the part of a range whose 256 steps represent the values with the least squared error.
fn least_error(values: &[f32], [least, greatest]: [f32; 2]) -> [f32; 2] {
    let step = values.len().div_ceil(MAX_VALUES).max(1);
    let mut best = (f64::INFINITY, [least, greatest]);
    for part in (0..CANDIDATES).map(|n| 1.0 - n as f32 * 0.5 / CANDIDATES as f32) {
        let range = [least * part, greatest * part];
        let Quantization { scale, zero_point } = quantization(range);
        let zero = f32::from(zero_point);
        let error: f64 = values
            .iter()
            .step_by(step)
            .map(|&x| {
                let q = (x / scale + zero).round().clamp(-128.0, 127.0);
                f64::from((q - zero) * scale - x).powi(2)
            })
            .sum();
        if error < best.0 {
            best = (error, range);
        }
    }
    best.1
}

/// Returns the scale that spreads a range over all int8 such that 0 is one of them exactly.
fn quantization([least, greatest]: [f32; 2]) -> Quantization {
    let scale = ((greatest - least) / 255.0).max(f32::MIN_POSITIVE * 1e6);
    let scale = if greatest - least <= 0.0 { 1.0 } else { scale };
    let zero_point = (-128.0 - least / scale).round().clamp(-128.0, 127.0) as i8;
    Quantization { scale, zero_point }
}

/// Gives the tensors that have to share their scale the union of their ranges: those of a max pool, a concat, a delay.
fn share_ranges(lowered: &Lowered, ranges: &mut [[f32; 2]]) {
    for tensor in 0..ranges.len() {
        let members = lowered.sharing(tensor);
        let union = members.iter().fold([0.0f32, 0.0], |[a, b], &m| [a.min(ranges[m][0]), b.max(ranges[m][1])]);
        members.iter().for_each(|&member| ranges[member] = union);
    }
}

/// What ranges are called among the statistics of a network.
const CARRIED: &str = "quantize.ranges";

/// Values of a tensor that are looked at for each candidate.
const MAX_VALUES: usize = 200_000;

/// Ranges that are tried, from the whole down to half.
const CANDIDATES: usize = 25;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zero_is_always_an_int8() {
        for range in [[0.0, 6.0], [-1.0, 0.0], [-0.3, 12.7], [0.0, 0.0], [-1e-20, 1e-20]] {
            let quantization = quantization(range);
            assert_eq!(attar_device::dequantize(quantization.zero_point, quantization), 0.0);
            assert!(quantization.scale.is_normal(), "{range:?}");
        }
    }

    #[test]
    fn a_share_is_left_out_at_each_end() {
        let values: Vec<f32> = (-500..500).map(|n| n as f32).collect();
        assert_eq!(without_ends(&values, 0.01), [-490.0, 489.0]);
        assert_eq!(without_ends(&values, 0.0001), [-499.0, 498.0]);
        assert_eq!(without_ends(&[3.0, 4.0], 0.9), [0.0, 0.0]);
    }

    #[test]
    fn outlier_is_cut_off_when_that_lessens_the_error() {
        let with_outlier =
            |count: usize| -> Vec<f32> { (0..count).map(|n| n as f32 / count as f32).chain([1.8]).collect() };
        let [least, greatest] = least_error(&with_outlier(190_000), [0.0, 1.8]);
        assert!(least == 0.0 && (1.0..1.8).contains(&greatest), "{least} {greatest}");
        // Among few values the outlier's own error counts for more than finer steps.
        assert_eq!(least_error(&with_outlier(1000), [0.0, 1.8]), [0.0, 1.8]);
    }
}
