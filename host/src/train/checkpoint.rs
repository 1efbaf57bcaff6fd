//! Checkpoints: everything that the next epoch needs, in one safetensors file that is written whole.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use anyhow::{Context, Result};
use candle_core::{Device, Tensor};

use super::{Epoch, Optimizer};
use crate::net::Net;
use crate::recipe;
use crate::support::files;

/// The state between two epochs.
pub(super) struct Checkpoint {
    pub(super) optimizer: Optimizer,
    pub(super) best: BTreeMap<String, Tensor>,
    pub(super) epochs: Vec<Epoch>,
}

impl Checkpoint {
    pub(super) fn start(net: &Net, how: &recipe::Net) -> Result<Self> {
        Ok(Self { optimizer: Optimizer::new(&net.parameters, how)?, best: net.snapshot()?, epochs: Vec::new() })
    }

    /// Reads a state and puts its parameters into the network.
    pub(super) fn load(path: &Path, net: &Net, how: &recipe::Net) -> Result<Self> {
        let (tensors, note) = load_tensors(path, net.device())?;
        let part = |prefix: &str| -> BTreeMap<String, Tensor> {
            tensors
                .iter()
                .filter_map(|(name, tensor)| Some((name.strip_prefix(prefix)?.to_string(), tensor.clone())))
                .collect()
        };
        let read = || -> Result<Self> {
            let epochs: Vec<Epoch> = serde_json::from_str(&note)?;
            let steps = tensors.get("steps").context("steps are missing")?.to_vec1::<u32>()?;
            let mut optimizer = Optimizer::new(&net.parameters, how)?;
            optimizer.restore(&net.parameters, &part("optimizer."), steps.first().copied().unwrap_or(0) as usize)?;
            net.restore(&part("now."))?;
            Ok(Self { optimizer, best: part("best."), epochs })
        };
        read().with_context(|| format!("{}: not a checkpoint of this network; delete it to start anew", path.display()))
    }

    pub(super) fn save(&self, path: &Path, net: &Net) -> Result<()> {
        let mut tensors: BTreeMap<String, Tensor> = BTreeMap::new();
        let state = self.optimizer.state(&net.parameters);
        tensors.extend(state.into_iter().map(|(name, tensor)| (format!("optimizer.{name}"), tensor)));
        tensors.extend(net.snapshot()?.into_iter().map(|(name, tensor)| (format!("now.{name}"), tensor)));
        tensors.extend(self.best.iter().map(|(name, tensor)| (format!("best.{name}"), tensor.clone())));
        tensors.insert("steps".into(), Tensor::new(&[self.optimizer.steps as u32], &Device::Cpu)?);
        save_tensors(path, &tensors, &serde_json::to_string(&self.epochs)?)
    }
}

/// Writes named tensors with a note to a safetensors file, whole or not at all.
///
/// # Errors
///
/// When the file cannot be written.
pub fn save_tensors(path: &Path, tensors: &BTreeMap<String, Tensor>, note: &str) -> Result<()> {
    let metadata = HashMap::from([("note".to_string(), note.to_string())]);
    let bytes = ::safetensors::serialize(tensors.iter(), Some(metadata))?;
    files::write_whole(path, &bytes)
}

/// Returns the tensors and the note of a file that [`save_tensors`] wrote.
///
/// # Errors
///
/// When the file cannot be read or is broken.
pub fn load_tensors(path: &Path, device: &Device) -> Result<(BTreeMap<String, Tensor>, String)> {
    let read = || -> Result<_> {
        let bytes = files::read_regular(path)?;
        let (_, header) = ::safetensors::SafeTensors::read_metadata(&bytes)?;
        let note = header.metadata().as_ref().and_then(|metadata| metadata.get("note")).cloned().unwrap_or_default();
        let tensors = candle_core::safetensors::load_buffer(&bytes, device)?;
        Ok((tensors.into_iter().collect(), note))
    };
    read().with_context(|| format!("cannot read {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A score that came back one bit off would choose another epoch after a stop than without one.
    #[test]
    fn scores_of_epochs_survive_to_the_last_bit() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("checkpoint");
        let epochs: Vec<Epoch> = (1..2000)
            .map(|epoch| Epoch { epoch, loss: (epoch as f64).sqrt(), validation: Some(epoch as f64 / 2003.0) })
            .collect();
        save_tensors(&path, &BTreeMap::new(), &serde_json::to_string(&epochs).unwrap()).unwrap();
        let read: Vec<Epoch> = serde_json::from_str(&load_tensors(&path, &Device::Cpu).unwrap().1).unwrap();
        for (before, after) in epochs.iter().zip(&read) {
            assert_eq!(before.loss.to_bits(), after.loss.to_bits());
            assert_eq!(before.validation.unwrap().to_bits(), after.validation.unwrap().to_bits());
        }
        assert_eq!(epochs.len(), read.len());
    }
}
