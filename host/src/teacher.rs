//! Teachers: whatever gives logits. Networks trained here, one or an ensemble; a network from an ONNX file; logits that were
//! saved elsewhere. A new kind is a variant of [`Source`].

#[cfg(feature = "onnx")]
mod onnx;
mod saved;

use std::path::Path;

use anyhow::{Result, bail, ensure};

use crate::data::Dataset;
use crate::net::Net;
use crate::recipe::{self, Arch};
use crate::train;
#[cfg(feature = "onnx")]
pub use onnx::Onnx;
pub use saved::Saved;

/// Something that answers some heads of the data.
#[derive(Debug)]
pub struct Teacher {
    /// Where its answers come from.
    pub source: Source,
    /// The heads that it answers, as places among the data's.
    pub heads: Vec<usize>,
    /// A hash of all that its answers depend on, beside the data.
    pub key: String,
}

/// Where a teacher's answers come from.
#[derive(Debug)]
pub enum Source {
    /// The mean of the logits of networks.
    Nets(Vec<Net>),
    /// A network from a file, with what its inputs are normalised by.
    #[cfg(feature = "onnx")]
    Onnx(Box<Onnx>, OnnxInput),
    /// Logits that were saved elsewhere.
    Saved(Saved),
}

/// `(raw / divide - mean) / deviation`, for all channels or for each.
#[cfg(feature = "onnx")]
#[derive(Debug, Clone)]
pub struct OnnxInput {
    gains: Vec<f32>,
    offsets: Vec<f32>,
}

impl Teacher {
    /// Returns the teacher that a recipe takes from files.
    ///
    /// # Errors
    ///
    /// When a file cannot be read, or does not fit the data.
    pub fn from_files(how: &recipe::Net, data: &Dataset, folder: &Path, heads: Vec<usize>) -> Result<Self> {
        match how.arch {
            Arch::Saved => {
                let saved = Saved::read(how, data, folder, &heads)?;
                let key = saved.key.clone();
                Ok(Self { source: Source::Saved(saved), heads, key })
            }
            Arch::Onnx => Self::from_onnx(how, data, folder, heads),
            _ => bail!("a teacher of arch {:?} is trained, not read", how.arch),
        }
    }

    #[cfg(feature = "onnx")]
    fn from_onnx(how: &recipe::Net, data: &Dataset, folder: &Path, heads: Vec<usize>) -> Result<Self> {
        use anyhow::Context;
        use serde_json::json;
        use sha2::{Digest, Sha256};

        let path = folder.join(how.file.as_deref().context("[teacher] file is missing")?);
        let onnx = Onnx::load(&path, data.input_shape)?;
        let expected: Vec<usize> = heads.iter().map(|&head| data.targets[head].outputs).collect();
        let got: Vec<usize> = onnx.outputs().map(|(_, width)| width).collect();
        ensure!(
            got == expected,
            "{}: gives outputs of {got:?} values, its heads take {expected:?}; name in [teacher] heads which ones it answers",
            path.display()
        );
        let channels = data.input_shape[2];
        for (name, list) in [("mean", &how.mean), ("deviation", &how.deviation)] {
            let good = list.len() <= 1 || list.len() == channels;
            ensure!(good, "[teacher] {name} has {} values, expected 1 or {channels}", list.len());
        }
        let count = how.mean.len().max(how.deviation.len()).max(1);
        let pick = |list: &[f32], at: usize, other: f32| list.get(at).or(list.last()).copied().unwrap_or(other);
        let (gains, offsets) = (0..count)
            .map(|at| {
                let (mean, deviation) = (pick(&how.mean, at, 0.0), pick(&how.deviation, at, 1.0));
                (1.0 / (how.divide * deviation), -mean / deviation)
            })
            .unzip();
        let mut hash = Sha256::new();
        for file in onnx.files() {
            let bytes = std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
            hash.update(Sha256::digest(&bytes));
        }
        let file = crate::files::hex(&hash.finalize());
        let key = json!([file, how.divide, how.mean, how.deviation, heads]).to_string();
        let key = crate::files::hex(&Sha256::digest(key));
        Ok(Self { source: Source::Onnx(Box::new(onnx), OnnxInput { gains, offsets }), heads, key })
    }

    #[cfg(not(feature = "onnx"))]
    fn from_onnx(_: &recipe::Net, _: &Dataset, _: &Path, _: Vec<usize>) -> Result<Self> {
        bail!(
            "this build of attar reads no ONNX files: build it with its default features, or save the \
             teacher's logits to an npy file and give them with arch = \"saved\""
        )
    }

    /// Returns the number of weights and biases; 0 where only logits are known.
    pub fn parameter_count(&self) -> usize {
        match &self.source {
            Source::Nets(nets) => nets.iter().map(Net::parameter_count).sum(),
            #[cfg(feature = "onnx")]
            Source::Onnx(onnx, _) => onnx.parameter_count(),
            Source::Saved(_) => 0,
        }
    }

    /// Returns the network itself, of a teacher that is a single one trained here.
    pub fn network(&self) -> Option<&Net> {
        match &self.source {
            Source::Nets(nets) if nets.len() == 1 => nets.first(),
            _ => None,
        }
    }

    /// Returns the logits of each of its heads, `[samples, outputs]` row by row, for the samples as they are or in a view;
    /// nothing for logits that were not saved.
    ///
    /// # Errors
    ///
    /// When a network fails, or the work was stopped.
    pub fn logits(&self, data: &Dataset, samples: &[usize], view: Option<usize>) -> Result<Option<Vec<Vec<f32>>>> {
        match &self.source {
            Source::Nets(nets) => average(nets, data, samples, view).map(Some),
            #[cfg(feature = "onnx")]
            Source::Onnx(onnx, input) => {
                let mut progress = crate::progress::Progress::new("teacher's answers", samples.len());
                let mut all: Vec<Vec<f32>> = vec![Vec::new(); self.heads.len()];
                for samples in samples.chunks(ONNX_ROWS) {
                    crate::progress::check_stopped()?;
                    let outputs = onnx.logits(&input.rows(data, samples, view), samples.len())?;
                    all.iter_mut().zip(outputs).for_each(|(all, output)| all.extend(output.values));
                    progress.advance(samples.len());
                }
                if all.iter().flatten().any(|value| !value.is_finite()) {
                    bail!(
                        "the teacher's answers are not all finite: are divide, mean and deviation those of its training?"
                    );
                }
                standardize(data, &self.heads, &mut all);
                Ok(Some(all))
            }
            Source::Saved(saved) => {
                ensure!(view.is_none(), "saved logits say nothing of varied samples");
                let mut all = saved.rows(samples);
                if let Some(all) = &mut all {
                    standardize(data, &self.heads, all);
                }
                Ok(all)
            }
        }
    }
}

#[cfg(feature = "onnx")]
impl OnnxInput {
    fn rows(&self, data: &Dataset, samples: &[usize], view: Option<usize>) -> Vec<f32> {
        use std::borrow::Cow;

        let mut values = Vec::with_capacity(samples.len() * data.inputs.row_len());
        for &sample in samples {
            let raw = match view {
                Some(view) => data.raw_view(sample, view),
                None => Cow::Borrowed(data.input(sample)),
            };
            let count = self.gains.len();
            values.extend(raw.iter().enumerate().map(|(at, x)| x * self.gains[at % count] + self.offsets[at % count]));
        }
        values
    }
}

/// Brings what a teacher from elsewhere says of a regression, in the target's own unit, to what networks here learn: mean 0 and
/// deviation 1 over the training split.
fn standardize(data: &Dataset, heads: &[usize], logits: &mut [Vec<f32>]) {
    for (&head, logits) in heads.iter().zip(logits) {
        let target = &data.targets[head];
        if target.kind == recipe::HeadKind::Regression {
            for (place, y) in logits.iter_mut().enumerate() {
                let [mean, deviation] = target.scaling[place % target.outputs];
                *y = (*y - mean) / deviation;
            }
        }
    }
}

/// Returns the mean of the networks' logits.
fn average(nets: &[Net], data: &Dataset, samples: &[usize], view: Option<usize>) -> Result<Vec<Vec<f32>>> {
    let mut total: Vec<Vec<f32>> = Vec::new();
    for net in nets {
        let logits = train::predict_view(net, data, samples, view)?;
        if total.is_empty() {
            total = logits;
        } else {
            total.iter_mut().flatten().zip(logits.iter().flatten()).for_each(|(sum, value)| *sum += value);
        }
    }
    total.iter_mut().flatten().for_each(|value| *value /= nets.len() as f32);
    Ok(total)
}

/// Samples that are made ready for an ONNX network at a time.
#[cfg(feature = "onnx")]
const ONNX_ROWS: usize = 512;
