//! The form of each layer's weights: their order, and their width by hand, for all, or by what harms least.

use anyhow::{Result, bail, ensure};
use attar_shared::Kind;

use super::fake::Fake;
use super::{Quantizer, constants};
use crate::data::dataset::FactUse;
use crate::net::{Mode, Net};
use crate::recipe::{DenseOrder, Weights};
use crate::support::progress::say;
use crate::support::suggest::did_you_mean;

/// Sets width and order of each layer's weights.
pub(super) fn choose(quantizer: &mut Quantizer<'_>, net: &Net, flash: Option<u64>) -> Result<()> {
    let how = quantizer.how;
    let stages = &mut quantizer.lowered.stages;
    for name in how.layers.keys() {
        let names = || stages.iter().filter(|stage| stage.has_free_width()).map(|stage| stage.name.as_str());
        ensure!(
            names().any(|known| known == name),
            "quantize.layers: there is no layer {name:?} with weights of free width{}; there are {}",
            did_you_mean(name, names()),
            names().collect::<Vec<_>>().join(", ")
        );
    }
    for stage in stages.iter_mut().filter(|stage| stage.has_free_width()) {
        stage.bits = match how.layers.get(&stage.name).unwrap_or(&how.weights) {
            Weights::Int4 => 4,
            Weights::Int8 | Weights::Auto => 8,
        };
        stage.in_rows = stage.kind == Kind::Dense && how.dense_order == DenseOrder::Rows;
    }
    match flash {
        Some(flash) if how.weights == Weights::Auto => by_sensitivity(quantizer, net, flash),
        _ => Ok(()),
    }
}

/// Takes 4 bits layer by layer until the file fits, first where the logits change least for a byte that is saved.
fn by_sensitivity(quantizer: &mut Quantizer<'_>, net: &Net, flash: u64) -> Result<()> {
    let mut size = quantizer.file(net)?.len() as u64;
    if size <= flash {
        return Ok(());
    }
    let free: Vec<usize> = (0..quantizer.lowered.stages.len())
        .filter(|&index| {
            let stage = &quantizer.lowered.stages[index];
            stage.has_free_width() && !quantizer.how.layers.contains_key(&stage.name)
        })
        .collect();
    let exact = logits(quantizer, net)?;
    let mut ranked = Vec::new();
    for index in free {
        quantizer.lowered.stages[index].bits = 4;
        let changed = logits(quantizer, net)?;
        quantizer.lowered.stages[index].bits = 8;
        let harm = exact.iter().zip(&changed).map(|(a, b)| f64::from(a - b).powi(2)).sum::<f64>() / exact.len() as f64;
        let saved = constants::weight_count(net, &quantizer.lowered.stages[index]) / 2;
        ranked.push((harm / saved.max(1) as f64, harm, index));
    }
    ranked.sort_by(|a, b| a.0.total_cmp(&b.0));
    for (_, harm, index) in ranked {
        quantizer.lowered.stages[index].bits = 4;
        size = quantizer.file(net)?.len() as u64;
        let name = &quantizer.lowered.stages[index].name;
        say(&format!("4 bits for {name}: logits move by {:.4}, the file takes {size} bytes", harm.sqrt()));
        if size <= flash {
            return Ok(());
        }
    }
    bail!("with 4 bits for every layer the file still takes {size} bytes, budget.flash allows {flash}")
}

/// Returns the logits on the calibration samples, weights rounded and values exact.
fn logits(quantizer: &Quantizer<'_>, net: &Net) -> Result<Vec<f32>> {
    let hook = Fake::weights_alone(&quantizer.lowered);
    let mut all = Vec::new();
    for samples in quantizer.samples.chunks(64) {
        let batch = quantizer.data.batch(samples, FactUse::of(net), net.device())?;
        for logits in net.logits(&batch.input, batch.facts.as_ref(), Mode::Evaluate, Some(&hook))? {
            all.extend(logits.flatten_all()?.to_vec1::<f32>()?);
        }
    }
    Ok(all)
}
