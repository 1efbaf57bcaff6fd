//! Losses: against the labels, and against the teacher.
//!
//! z_s and z_t are the logits of student and teacher, p^T = softmax(z / T). A divergence is summed over the classes; means
//! are over the batch, over the samples whose label is known where labels are needed. A new loss is a function in this
//! folder and a line in `soft` or `features`.
//!
//! | kind | loss of a class head | defaults | source |
//! |---|---|---|---|
//! | `hinton` | T² KL(p_t^T, p_s^T) | T 4 | Hinton, Vinyals, Dean 2015 |
//! | `mse` | mean (z_s - z_t)² | | the limit of the former for a large T |
//! | `huber` | mean of d²/2 for d = \|z_s - z_t\| up to 1, d - 1/2 beyond | | Huber 1964 |
//! | `cosine` | mean of 1 - cos(z_s, z_t) | | |
//! | `standardized` | as hinton for (z - mean) / (deviation + 1e-7), by sample | T 2, weight 9 | Sun et al. 2024 |
//! | `dkd` | min(epoch / `warm_up`, 1) T² (α KL(target against rest) + β KL(among the rest)) | T 4, α 1, β 8, warm_up 20 | Zhao et al. 2022 |
//! | `dist` | T² (β (1 - mean correlation by row) + γ (1 - mean correlation by column)) of p^T | T 4, β 1, γ 1, weight 2 | Huang et al. 2022 |
//!
//! Binary and multilabel heads take the divergence of Bernoulli distributions, mean over the labels, for every kind that
//! speaks of classes; regression and reconstruction take the mean of (z_s - z_t)², or `huber` or `cosine` where that is
//! asked for.
//!
//! | kind | loss of a layer f, `[batch, height, width, channels]` | defaults | source |
//! |---|---|---|---|
//! | `hint` | mean (R f_s - f_t)², R a learned 1x1 convolution | weight 100 | Romero et al. 2015 |
//! | `attention` | mean (a_s - a_t)² with a the mean of f² over channels, brought to length 1 | weight 1000 | Zagoruyko, Komodakis 2017 |
//! | `relational` | β smooth L1 of distances, by their mean, + γ smooth L1 of angles | β 25, γ 50 | Park et al. 2019 |

mod features;
mod hard;
mod soft;

use anyhow::{Context, Result, bail};
use candle_core::{Tensor, Var};

use crate::data::Dataset;
use crate::heads::{Labels, Target};
use crate::net::rows;
use crate::net::{Graph, Net};
use crate::recipe::{Balance, Distill, Loss, LossKind};

pub use features::Features;
pub use hard::hard;
pub use soft::soft_loss;

/// What is minimised: `hard * loss against the labels + weights * losses against the teacher`, each head by its weight.
#[derive(Debug, Clone, Copy)]
pub enum Objective<'a> {
    /// The labels alone.
    Labels,
    /// Labels and teacher.
    Distilled(&'a Distill, &'a Soft<'a>),
}

/// What the teacher says of the samples.
#[derive(Debug, Clone, Default)]
pub struct Soft<'a> {
    /// The logits for every sample of the data, `[samples, outputs]`, for each head in each view of the samples; empty for a
    /// head that has no teacher.
    pub logits: Vec<Vec<Vec<f32>>>,
    /// The network that losses of layers look into, if there is one.
    pub network: Option<&'a Net>,
}

/// Where in the training a batch stands.
#[derive(Debug, Clone, Copy)]
pub struct Moment {
    /// Epochs that are done, a fraction within one included.
    pub epoch: f64,
    /// Epochs in all.
    pub epochs: usize,
    /// Which view of the samples the network sees.
    pub view: usize,
}

impl Moment {
    fn share(self) -> f64 {
        (self.epoch / self.epochs.max(1) as f64).clamp(0.0, 1.0)
    }
}

/// What a loss looks at.
#[derive(Debug, Clone, Copy)]
pub struct Outputs<'a> {
    /// `[batch, outputs]` for each head.
    pub logits: &'a [Tensor],
    /// `[batch, height, width, channels]` of student and teacher for each pair of layers.
    pub features: &'a [[Tensor; 2]],
    /// What is learned beside the network, as [`Objective::companions`] gave it.
    pub companions: &'a [(String, Var)],
    /// Which heads of the data these are.
    pub heads: &'a [usize],
}

impl<'a> Objective<'a> {
    /// Returns the pairs of layers that are compared, as nodes of student and teacher, in the order of the losses.
    ///
    /// # Errors
    ///
    /// When a layer is missing or the teacher is no network of ours.
    pub fn layers(&self, student: &Graph) -> Result<Vec<Features>> {
        let Self::Distilled(distill, soft) = self else { return Ok(Vec::new()) };
        let losses = distill.terms().into_iter().filter(|loss| loss.kind.is_of_features());
        losses.map(|loss| Features::find(&loss, student, soft.network)).collect()
    }

    /// Returns what has to be learned beside a network: regressors of hints, uncertainties of heads.
    ///
    /// # Errors
    ///
    /// As [`Objective::layers`].
    pub fn companions(&self, net: &Net, data: &Dataset) -> Result<Vec<(String, Var)>> {
        let mut companions = Vec::new();
        let Self::Distilled(distill, _) = self else { return Ok(companions) };
        for (place, pair) in self.layers(&net.graph)?.iter().enumerate() {
            companions.extend(pair.regressor(place, net)?);
        }
        if distill.balance == Balance::Uncertainty {
            let zeros = Var::zeros(data.targets.len(), candle_core::DType::F32, net.device())?;
            companions.push((UNCERTAINTY.into(), zeros));
        }
        Ok(companions)
    }

    /// Returns the loss of a batch, a scalar.
    ///
    /// # Errors
    ///
    /// When shapes do not fit or the device fails.
    pub fn loss(&self, data: &Dataset, samples: &[usize], moment: Moment, outputs: Outputs<'_>) -> Result<Tensor> {
        let mut total: Option<Tensor> = None;
        let mut add = |term: Tensor| -> Result<()> {
            total = Some(match total.take() {
                Some(total) => (total + term)?,
                None => term,
            });
            Ok(())
        };
        let mix = data.mix(samples, moment.view);
        for (&head, logits) in outputs.heads.iter().zip(outputs.logits) {
            let target = data.targets.get(head).context("the data have too few heads")?;
            let mut loss: Option<Tensor> = None;
            let mut add_to_head = |term: Tensor, weight: f64| -> Result<()> {
                if weight != 0.0 {
                    let term = (term * weight)?;
                    loss = Some(match loss.take() {
                        Some(loss) => (loss + term)?,
                        None => term,
                    });
                }
                Ok(())
            };
            let labels = || hard::mixed(target, samples, mix.as_deref(), logits);
            match self {
                Self::Labels => {
                    if let Some(term) = labels()? {
                        add_to_head(term, 1.0)?;
                    }
                }
                Self::Distilled(distill, soft) => {
                    let teacher = soft.rows(head, target, samples, moment.view, logits)?;
                    // A head without a teacher learns from its labels alone.
                    let hard = if teacher.is_some() { distill.hard_weight().at(moment.share()) } else { 1.0 };
                    if hard != 0.0
                        && let Some(term) = labels()?
                    {
                        add_to_head(term, hard)?;
                    }
                    if let Some(teacher) = teacher {
                        for term in distill.terms().iter().filter(|term| !term.kind.is_of_features()) {
                            let (value, weight) = soft::term(term, target, samples, moment, logits, &teacher)?;
                            if let Some(value) = value {
                                add_to_head(value, weight)?;
                            }
                        }
                    }
                }
            }
            if let Some(loss) = loss {
                add((balanced(loss, head, outputs.companions)? * target.weight)?)?;
            }
        }
        if let Self::Distilled(distill, _) = self {
            let losses = distill.terms().into_iter().filter(|loss| loss.kind.is_of_features());
            for (place, (loss, [student, teacher])) in losses.zip(outputs.features).enumerate() {
                add(features::term(&loss, place, moment, student, teacher, outputs.companions)?)?;
            }
        }
        match total {
            Some(total) => Ok(total),
            None => {
                // A batch in which nothing is known teaches nothing.
                let logits = outputs.logits.first().context("a network without heads")?;
                Ok((logits.sum_all()? * 0.0)?)
            }
        }
    }
}

impl Soft<'_> {
    /// Returns the teacher's logits for some samples, `[batch, outputs]`, or nothing where the head has no teacher.
    fn rows(
        &self,
        head: usize,
        target: &Target,
        samples: &[usize],
        view: usize,
        like: &Tensor,
    ) -> Result<Option<Tensor>> {
        let views = self.logits.len();
        let logits =
            self.logits.get(view).with_context(|| format!("the teacher has seen {views} views, not view {view}"))?;
        let logits = logits.get(head).context("the teacher has too few heads")?;
        if logits.is_empty() {
            return Ok(None);
        }
        let values = samples.iter().flat_map(|&sample| &logits[sample * target.outputs..][..target.outputs]);
        Ok(Some(rows(values.copied().collect(), target.outputs, like)?))
    }
}

/// Returns `e^-s L + s / 2` with the head's learned s, kept within -10 and 10 (Kendall, Gal, Cipolla 2018), or L.
fn balanced(loss: Tensor, head: usize, companions: &[(String, Var)]) -> Result<Tensor> {
    let Some((_, uncertainty)) = companions.iter().find(|(name, _)| name == UNCERTAINTY) else { return Ok(loss) };
    let s = uncertainty.as_tensor().get(head)?.clamp(-10f32, 10f32)?;
    Ok(((loss * s.neg()?.exp()?)? + (s * 0.5)?)?)
}

/// Says what of a recipe cannot do what its name says: with two classes there is nothing among the rest, for example.
pub fn warnings(distill: &Distill, data: &Dataset, batch: usize) -> Vec<String> {
    let mut warnings = Vec::new();
    for loss in distill.terms() {
        for target in &data.targets {
            let two = matches!(target.values, Labels::Classes(_)) && target.outputs == 2;
            let labels = matches!(target.values, Labels::Flags(_));
            let name = name_of(loss.kind);
            match loss.kind {
                LossKind::Dkd if two => warnings.push(format!(
                    "head {:?} has two classes: nothing is left among the rest, so \"dkd\" sees the target alone; take \"hinton\"",
                    target.name
                )),
                LossKind::Standardized if two => warnings.push(format!(
                    "head {:?} has two classes: of two standardised logits only the sign is left; take \"hinton\"",
                    target.name
                )),
                LossKind::Dkd | LossKind::Dist | LossKind::Standardized if labels => warnings.push(format!(
                    "head {:?} is no class head: {name:?} means \"hinton\" there",
                    target.name
                )),
                LossKind::Cosine if target.outputs == 1 => warnings.push(format!(
                    "head {:?} has one output, which has no direction: \"cosine\" teaches nothing there; take \"mse\"",
                    target.name
                )),
                LossKind::Dist if batch < 8 => warnings.push(format!(
                    "batches of {batch} are too small for the correlations of \"dist\" between samples; take 32 or more"
                )),
                _ => {}
            }
        }
    }
    warnings.dedup();
    warnings
}

/// Returns the name of a loss in recipes.
fn name_of(kind: LossKind) -> String {
    serde_json::to_value(kind).ok().and_then(|value| value.as_str().map(String::from)).unwrap_or_default()
}

fn named<'a>(companions: &'a [(String, Var)], name: &str) -> Result<&'a Tensor> {
    match companions.iter().find(|(other, _)| other == name) {
        Some((_, var)) => Ok(var.as_tensor()),
        None => bail!("{name:?} is not learned beside the network"),
    }
}

/// What the uncertainties of heads are called beside the parameters.
const UNCERTAINTY: &str = "heads.uncertainty";

/// What a loss weighs when the recipe does not say.
fn default_weight(loss: &Loss) -> f64 {
    match loss.kind {
        LossKind::Standardized => 9.0,
        LossKind::Dist => 2.0,
        LossKind::Hint => 100.0,
        LossKind::Attention => 1000.0,
        _ => 1.0,
    }
}
