//! The network as the board will compute it, in f32: weights and tensors rounded to their integers on the way.

use std::collections::BTreeMap;

use attar_shared::{Kind, Quantization};
use candle_core::Tensor;

use super::constants;
use crate::net::Hook;
use crate::net::lowering::{Lowered, Values, Weighted};
use crate::net::ops::{self, Rounding, Scales};

/// What among weights has a scale of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Own {
    Rows,
    Columns,
    Whole,
}

/// What every node's weights and result are rounded to.
#[derive(Debug)]
pub struct Fake {
    /// The weights, by their node and their place among its parameters: the width of each of their parts, and what has a
    /// scale of its own.
    weights: BTreeMap<(usize, usize), (Vec<u32>, Own)>,
    /// The tensors, by what each holds.
    tensors: BTreeMap<Values, Quantization>,
}

impl Fake {
    /// Returns a hook that rounds weights and leaves results as they are.
    pub(super) fn weights_alone(lowered: &Lowered) -> Self {
        let mut weights = BTreeMap::new();
        for stage in &lowered.stages {
            let own = match stage.kind {
                Kind::Depthwise => Own::Columns,
                Kind::Bag => Own::Whole,
                _ => Own::Rows,
            };
            if let Some(Weighted { weight, part, parts, .. }) = stage.weighted {
                let (bits, _) = weights.entry((stage.node, weight)).or_insert_with(|| (vec![stage.bits; parts], own));
                bits[part] = stage.bits;
            }
        }
        Self { weights, tensors: BTreeMap::new() }
    }

    /// Returns a hook that rounds weights and results.
    pub(super) fn new(lowered: &Lowered, quantizations: impl Iterator<Item = Quantization>) -> Self {
        let tensors = lowered.values.iter().copied().zip(quantizations).collect();
        Self { tensors, ..Self::weights_alone(lowered) }
    }
}

impl Hook for Fake {
    fn weight(&self, node: usize, place: usize, weight: &Tensor) -> candle_core::Result<Tensor> {
        let Some((bits, own)) = self.weights.get(&(node, place)) else { return Ok(weight.clone()) };
        let Some((&first, others)) = bits.split_first() else { return Ok(weight.clone()) };
        if others.iter().all(|&other| other == first) {
            return round_weights(weight, first, *own);
        }
        let rows = weight.dim(0)? / bits.len();
        let parts = bits
            .iter()
            .enumerate()
            .map(|(part, &bits)| round_weights(&weight.narrow(0, part * rows, rows)?.contiguous()?, bits, *own));
        Tensor::cat(&parts.collect::<candle_core::Result<Vec<_>>>()?, 0)
    }

    fn result(&self, node: usize, result: Tensor) -> candle_core::Result<Tensor> {
        self.round(Values::Node(node), result)
    }

    fn part(&self, node: usize, part: &'static str, value: Tensor) -> candle_core::Result<Tensor> {
        self.round(Values::Part(node, part), value)
    }
}

impl Fake {
    fn round(&self, values: Values, tensor: Tensor) -> candle_core::Result<Tensor> {
        let Some(&Quantization { scale, zero_point }) = self.tensors.get(&values) else { return Ok(tensor) };
        let len = tensor.elem_count();
        let zero = f32::from(zero_point);
        ops::fake_quantize(
            &tensor,
            &Rounding { scales: vec![scale], by: Scales::Rows(len), zero, least: -128.0, most: 127.0 },
        )
    }
}

/// Returns weights as integers of a width hold them.
fn round_weights(weight: &Tensor, bits: u32, own: Own) -> candle_core::Result<Tensor> {
    let values = weight.flatten_all()?.to_vec1::<f32>()?;
    let (by, scales): (Scales, Vec<f32>) = if own == Own::Columns {
        let channels = weight.dim(candle_core::D::Minus1)?;
        let column = |channel: usize| values.iter().skip(channel).step_by(channels).copied().collect::<Vec<f32>>();
        (Scales::Columns, (0..channels).map(|channel| scale(&column(channel), bits)).collect())
    } else {
        let len = if own == Own::Whole { values.len() } else { values.len() / weight.dim(0)?.max(1) };
        (Scales::Rows(len), values.chunks(len.max(1)).map(|row| scale(row, bits)).collect())
    };
    let most = ((1 << (bits - 1)) - 1) as f32;
    ops::fake_quantize(weight, &Rounding { scales, by, zero: 0.0, least: -most, most })
}

fn scale(row: &[f32], bits: u32) -> f32 {
    (constants::row_scale(row, bits) as f32).max(f32::MIN_POSITIVE)
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;
    use crate::compile::lower::lower;
    use crate::net::Graph;
    use crate::net::layers::{Gru, Input};

    /// Gates whose weights lie in one tensor may have different widths.
    #[test]
    fn each_gate_is_rounded_to_its_own_width() {
        let mut graph = Graph::default();
        let input = graph.push_source("input", Input.into(), [1, 6, 5]);
        let gru = graph.push("gru", Gru { units: 4 }.into(), &[input]).unwrap();
        graph.heads = vec![gru];
        let weight = Tensor::rand(-1f32, 1f32, (12, 5), &Device::Cpu).unwrap();
        let rounded = |widths: [u32; 3]| -> Vec<Vec<f32>> {
            let mut lowered = lower(&graph).unwrap();
            for (name, bits) in ["gru.inputupdate", "gru.inputreset", "gru.inputnew"].into_iter().zip(widths) {
                lowered.stages.iter_mut().find(|stage| stage.name == name).unwrap().bits = bits;
            }
            Fake::weights_alone(&lowered).weight(gru, 0, &weight).unwrap().to_vec2().unwrap()
        };
        let (mixed, four, eight) = (rounded([8, 4, 8]), rounded([4; 3]), rounded([8; 3]));
        assert_ne!(four[4..8], eight[4..8]);
        assert_eq!(mixed, [&eight[..4], &four[4..8], &eight[8..]].concat());
    }
}
