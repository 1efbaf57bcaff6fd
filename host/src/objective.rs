//! What a training minimises: the losses against the labels and those of [`crate::losses`] against a teacher, each head
//! and layer by its weight.

mod features;
mod hard;
mod soft;

use anyhow::{Context, Result};
use candle_core::{Tensor, Var};

use crate::data::Dataset;
use crate::heads::{Labels, Target};
use crate::losses::{Formula, Head, LayerLoss};
use crate::net::rows;
use crate::net::{Graph, Net};
use crate::recipe::{Balance, Distill, Term};
use features::Compared;

pub use features::Features;
pub use hard::hard;

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
        let losses = of_layers(distill).into_iter();
        losses.map(|(term, loss)| Features::find(&term, loss, student, soft.network)).collect()
    }

    /// Returns what has to be learned beside a network: parameters of losses, uncertainties of heads.
    ///
    /// # Errors
    ///
    /// As [`Objective::layers`].
    pub fn companions(&self, net: &Net, data: &Dataset) -> Result<Vec<(String, Var)>> {
        let mut companions = Vec::new();
        let Self::Distilled(distill, _) = self else { return Ok(companions) };
        for (place, (pair, (term, loss))) in self.layers(&net.graph)?.iter().zip(of_layers(distill)).enumerate() {
            companions.extend(pair.learned(&term, loss, place, net)?);
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
                        for term in distill.terms() {
                            let Formula::Logits(loss) = term.kind.formula() else { continue };
                            let (value, weight) = soft::term(&term, loss, target, samples, moment, logits, &teacher)?;
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
            // A mixed sample is of no single class.
            let mut targets = outputs.heads.iter().filter_map(|&head| data.targets.get(head));
            let classes = match (targets.find(|target| matches!(target.values, Labels::Classes(_))), &mix) {
                (Some(target), None) => classes(target, samples),
                _ => vec![None; samples.len()],
            };
            for (place, ((term, loss), [student, teacher])) in
                of_layers(distill).iter().zip(outputs.features).enumerate()
            {
                let batch = Compared { student, teacher, classes: &classes, companions: outputs.companions };
                add(features::term(term, *loss, place, moment, &batch)?)?;
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

/// Returns the losses of layers, in the order of the recipe.
fn of_layers(distill: &Distill) -> Vec<(Term, &'static dyn LayerLoss)> {
    let terms = distill.terms().into_iter();
    terms
        .filter_map(|term| match term.kind.formula() {
            Formula::Layers(loss) => Some((term, loss)),
            Formula::Logits(_) => None,
        })
        .collect()
}

/// Returns the classes of samples where they are known; nothing for heads of another kind.
fn classes(target: &Target, samples: &[usize]) -> Vec<Option<u32>> {
    let Labels::Classes(classes) = &target.values else { return Vec::new() };
    samples.iter().map(|&sample| classes[sample].map(u32::from)).collect()
}

/// Says what of a recipe cannot do what its name says: with two classes there is nothing among the rest, for example.
pub fn warnings(distill: &Distill, data: &Dataset, batch: usize) -> Vec<String> {
    let mut warnings = Vec::new();
    for term in distill.terms() {
        for target in &data.targets {
            let head = Head { name: &target.name, kind: target.kind, outputs: target.outputs };
            warnings.extend(term.kind.warning(&head, batch));
        }
    }
    warnings.dedup();
    warnings
}

/// What the uncertainties of heads are called beside the parameters.
const UNCERTAINTY: &str = "heads.uncertainty";
