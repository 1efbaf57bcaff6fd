//! The network as the board will compute it, in f32: weights and tensors rounded to their integers on the way.

use std::collections::BTreeMap;

use attar_shared::{Kind, Quantization};
use candle_core::Tensor;

use super::constants;
use crate::net::Hook;
use crate::net::lowering::{Lowered, Values};
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
    /// The width of the weights of nodes that have any, and what has a scale of its own.
    weights: BTreeMap<usize, (u32, Own)>,
    /// The tensors, by what each holds.
    tensors: BTreeMap<Values, Quantization>,
}

impl Fake {
    /// Returns a hook that rounds weights and leaves results as they are.
    pub(super) fn weights_alone(lowered: &Lowered) -> Self {
        let weights = lowered
            .stages
            .iter()
            .filter_map(|stage| {
                let own = match stage.kind {
                    Kind::Dense | Kind::Convolution => Own::Rows,
                    Kind::Depthwise => Own::Columns,
                    Kind::Bag => Own::Whole,
                    _ => return None,
                };
                Some((stage.node, (stage.bits, own)))
            })
            .collect();
        Self { weights, tensors: BTreeMap::new() }
    }

    /// Returns a hook that rounds weights and results.
    pub(super) fn new(lowered: &Lowered, quantizations: impl Iterator<Item = Quantization>) -> Self {
        let tensors = lowered.values.iter().copied().zip(quantizations).collect();
        Self { tensors, ..Self::weights_alone(lowered) }
    }
}

impl Hook for Fake {
    fn weight(&self, node: usize, weight: &Tensor) -> candle_core::Result<Tensor> {
        let Some(&(bits, own)) = self.weights.get(&node) else { return Ok(weight.clone()) };
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

fn scale(row: &[f32], bits: u32) -> f32 {
    (constants::row_scale(row, bits) as f32).max(f32::MIN_POSITIVE)
}
