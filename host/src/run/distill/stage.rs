//! Stages: pieces of work whose results stay in the run folder under a key of everything that they depend on.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Result;
use serde_json::json;
use sha2::{Digest, Sha256};

use crate::data::Dataset;
use crate::facts::Audience;
use crate::net::Net;
use crate::recipe::{self, Recipe};
use crate::support::files;
use crate::train::{self, Epoch};

/// One training.
#[derive(Debug, Clone)]
pub(super) struct Stage {
    /// Its file in the run folder, without the ending.
    pub(super) name: String,
    /// A hash of what it depends on.
    pub(super) key: String,
    /// Where its randomness starts.
    pub(super) seed: u64,
}

impl Stage {
    pub(super) fn new(
        recipe: &Recipe,
        data: &Dataset,
        how: &recipe::Net,
        answers: Option<&str>,
        facts: Option<Audience>,
        seed: u64,
        name: &str,
    ) -> Result<Self> {
        // A student depends on what its teacher said and on how it is to learn from that, a teacher on nothing but itself.
        let teacher = answers.map(|answers| (&recipe.distill, answers));
        let inputs = json!([
            env!("CARGO_PKG_VERSION"),
            TRAINING,
            data.fingerprint,
            recipe.seed,
            recipe.data,
            recipe.input,
            crate::facts::Written(&recipe.facts),
            recipe.heads,
            data.facts.mask,
            recipe.augment,
            how,
            teacher,
            facts,
            seed
        ]);
        let key = files::hex(&Sha256::digest(inputs.to_string()));
        Ok(Self { name: name.into(), key, seed })
    }

    /// Returns the stage that trains a student on as if in integers.
    pub(super) fn aware(&self, how: &recipe::Quantize, flash: Option<u64>) -> Result<Self> {
        let key = files::hex(&Sha256::digest(json!([self.key, how, flash]).to_string()));
        Ok(Self { name: format!("{}-integer", self.name), key, seed: self.seed })
    }

    /// Returns the part of the name that tells teacher from student, so that both may start from one seed.
    pub(super) fn role(&self) -> &str {
        if self.name.starts_with("teacher") { "teacher" } else { "student" }
    }

    pub(super) fn file(&self, folder: &Path) -> PathBuf {
        folder.join(format!("{}.safetensors", self.name))
    }

    /// Returns where the state between epochs is kept; the key in its name keeps another recipe's state out.
    pub(super) fn checkpoint(&self, folder: &Path) -> PathBuf {
        folder.join(format!("{}-{}.checkpoint", self.name, &self.key[..16]))
    }

    /// Puts the stage's result into the network and returns its epochs, if there is one of the same key.
    pub(super) fn load(&self, path: &Path, net: &Net) -> Result<Option<Vec<Epoch>>> {
        if fs::metadata(path).is_err() {
            return Ok(None);
        }
        // A file that is broken or another's is made anew: it is a cache.
        let Ok((tensors, note)) = train::load_tensors(path, net.device()) else { return Ok(None) };
        let Ok((key, epochs)) = serde_json::from_str::<(String, Vec<Epoch>)>(&note) else { return Ok(None) };
        if key != self.key || net.restore(&tensors).is_err() {
            return Ok(None);
        }
        Ok(Some(epochs))
    }

    pub(super) fn save(&self, path: &Path, net: &Net, epochs: &[Epoch]) -> Result<()> {
        train::save_tensors(path, &net.snapshot()?, &serde_json::to_string(&(&self.key, epochs))?)
    }
}

/// What a training computes; raised when the same recipe comes to other weights, so that no older ones are taken.
const TRAINING: u32 = 2;
