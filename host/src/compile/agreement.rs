//! How far the network that was trained as if in integers and the engine that computes in them agree, layer by layer.

use std::cell::RefCell;
use std::collections::BTreeMap;

use anyhow::{Context, Result};
use attar_device::{Session, Step, Student};
use candle_core::Tensor;
use serde::{Deserialize, Serialize};

use super::{Fake, File, Quantizer};
use crate::data::dataset::FactUse;
use crate::heads::first_greatest;
use crate::net::lowering::Values;
use crate::net::{Hook, Mode, Net};
use crate::student::engine;

/// The agreement of a network and its integers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Agreement {
    /// Samples that were run.
    pub samples: usize,
    /// For each head with more than one output, the share of samples whose greatest output is the same.
    pub equal_argmax: BTreeMap<String, f64>,
    /// For each operator, how far its outputs are apart.
    pub layers: Vec<LayerAgreement>,
}

/// The agreement of one operator.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LayerAgreement {
    /// The layer that it comes from.
    pub name: String,
    /// The width of its weights.
    pub bits: u32,
    /// The mean of the absolute difference of its outputs, in steps of their int8.
    pub mean_absolute_difference: f64,
}

impl Quantizer<'_> {
    /// Runs some samples through the network, rounded as on the board, and through the engine.
    ///
    /// # Errors
    ///
    /// As [`Quantizer::file`].
    pub fn agreement(&self, net: &Net, samples: &[usize]) -> Result<Agreement> {
        let program = self.by_stage(net)?;
        let quantizations: Vec<_> = program.tensors.iter().map(|&(_, quantization)| quantization).collect();
        let rows = super::rows_of_embeddings(net, &program)?;
        let bytes = File::new(program, self.data, false)?.encode(self.data, &rows, &[])?;
        let student = Student::parse(&bytes)?;
        let hook = Seen { fake: self.fake(net)?, parts: RefCell::new(BTreeMap::new()) };
        let mut arena = engine::arena(&student)?;
        let mut session = Session::new(*student.model(), &mut arena)?;
        let mut totals = vec![(0.0f64, 0usize); self.lowered.stages.len()];
        let mut equal = vec![0usize; self.lowered.heads.len()];
        for &sample in samples {
            let batch = self.data.batch(&[sample], FactUse::of(net), net.device())?;
            let results = net.forward(&batch.input, batch.facts.as_ref(), Mode::Evaluate, Some(&hook))?;
            let facts = engine::facts_of(&student, self.data, sample)?;
            let mut windows = self.data.input(sample).chunks_exact(student.model().input_shape().len()).peekable();
            session.reset();
            while let Some(window) = windows.next() {
                session.load(window, &facts)?;
                // Of a series the last step is looked at.
                while windows.peek().is_some() && session.step() == Step::More {}
            }
            let mut outputs: Vec<Vec<f32>> = Vec::new();
            for (index, (total, count)) in totals.iter_mut().enumerate() {
                session.step();
                let tensor = self.lowered.sources + index;
                let quantization = quantizations[tensor];
                let parts = hook.parts.borrow();
                let floats = match self.lowered.values[tensor] {
                    Values::Node(node) => results.get(node),
                    Values::Part(node, part) => parts.get(&(node, part)),
                };
                let floats = floats.context("a tensor without a layer")?.flatten_all()?.to_vec1::<f32>()?;
                let integers = session.values(tensor as u16).unwrap_or_default();
                let floats = floats.get(floats.len().saturating_sub(integers.len())..).unwrap_or_default().to_vec();
                *count += integers.len();
                *total += integers
                    .iter()
                    .zip(&floats)
                    .map(|(&q, &x)| f64::from(attar_device::quantize(x, quantization)) - f64::from(q))
                    .map(f64::abs)
                    .sum::<f64>();
                if self.lowered.heads.iter().any(|&head| usize::from(head) == tensor) {
                    outputs.push(integers.iter().map(|&q| f32::from(q)).collect());
                    outputs.push(floats);
                }
            }
            for (pair, equal) in outputs.chunks(2).zip(&mut equal) {
                *equal += usize::from(first_greatest(&pair[0]) == first_greatest(&pair[1]));
            }
        }
        let count = samples.len().max(1) as f64;
        Ok(Agreement {
            samples: samples.len(),
            equal_argmax: self
                .data
                .targets
                .iter()
                .zip(&equal)
                .filter(|(target, _)| target.outputs > 1)
                .map(|(target, &equal)| (target.name.clone(), equal as f64 / count))
                .collect(),
            layers: self
                .lowered
                .stages
                .iter()
                .zip(totals)
                .map(|(stage, (total, count))| LayerAgreement {
                    name: stage.name.clone(),
                    bits: stage.bits,
                    mean_absolute_difference: total / count.max(1) as f64,
                })
                .collect(),
        })
    }
}

/// Rounds as the board does, and keeps what recurrent layers compute on their way in the last step of a series.
struct Seen {
    fake: Fake,
    parts: RefCell<BTreeMap<(usize, &'static str), Tensor>>,
}

impl Hook for Seen {
    fn weight(&self, node: usize, place: usize, weight: &Tensor) -> candle_core::Result<Tensor> {
        self.fake.weight(node, place, weight)
    }

    fn result(&self, node: usize, result: Tensor) -> candle_core::Result<Tensor> {
        self.fake.result(node, result)
    }

    fn part(&self, node: usize, part: &'static str, value: Tensor) -> candle_core::Result<Tensor> {
        let value = self.fake.part(node, part, value)?;
        self.parts.borrow_mut().insert((node, part), value.clone());
        Ok(value)
    }
}
