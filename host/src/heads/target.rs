//! What a network is to answer for one head: the label of each sample.

use rand::Rng;

use super::{Head, HeadKind, HeadMetrics};
use crate::domain::{Moments, RegressionLoss};
use crate::support::random;

/// What the network is to answer, for one head.
#[derive(Debug, Clone)]
pub struct Target {
    /// The head.
    pub name: String,
    /// Its kind.
    pub kind: HeadKind,
    /// Names of the outputs, or none.
    pub labels: Vec<String>,
    /// Outputs of the head: classes, labels or numbers; 1 for a binary head.
    pub outputs: usize,
    /// The labels of the samples.
    pub values: Labels,
    /// regression: mean and deviation of each output over the training split; the network learns `(y - mean) / deviation`.
    pub scaling: Vec<[f32; 2]>,
    /// What the head's loss is multiplied by.
    pub weight: f64,
    /// regression: how far from a label the network's answer is.
    pub loss: RegressionLoss,
    /// What the head's logits are divided by against the teacher, instead of by the recipe's temperature.
    pub temperature: Option<f64>,
}

/// The labels of all samples; `None` is a label that is not known.
#[derive(Debug, Clone, PartialEq)]
pub enum Labels {
    /// `[samples]`: the index of a class.
    Classes(Vec<Option<u16>>),
    /// `[samples, outputs]`: whether each output holds.
    Flags(Vec<Option<bool>>),
    /// `[samples, outputs]`: numbers in their unit.
    Numbers(Vec<Option<f32>>),
}

/// What labels are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// One of several classes.
    Classes,
    /// Flags.
    Flags,
    /// Numbers.
    Numbers,
}

impl Labels {
    /// Returns the labels of samples whose classes are all known.
    pub fn classes(classes: impl IntoIterator<Item = u16>) -> Self {
        Self::Classes(classes.into_iter().map(Some).collect())
    }

    /// Returns the labels of samples whose flags are all known.
    pub fn flags(flags: impl IntoIterator<Item = bool>) -> Self {
        Self::Flags(flags.into_iter().map(Some).collect())
    }

    /// Returns the labels of samples whose numbers are all known.
    pub fn numbers(numbers: impl IntoIterator<Item = f32>) -> Self {
        Self::Numbers(numbers.into_iter().map(Some).collect())
    }
}

impl Target {
    /// Returns the target of a head; `labels` are names of its outputs, or none.
    pub fn new(head: &Head, outputs: usize, labels: Vec<String>, values: Labels) -> Self {
        Self {
            name: head.name.clone(),
            kind: head.kind,
            labels,
            outputs,
            values,
            scaling: vec![[0.0, 1.0]; outputs],
            weight: head.weight,
            loss: head.loss,
            temperature: head.temperature,
        }
    }

    /// Returns how many labels a sample has in [`Target::values`].
    pub fn width(&self) -> usize {
        match self.values {
            Labels::Classes(_) => 1,
            Labels::Flags(_) | Labels::Numbers(_) => self.outputs,
        }
    }

    /// Returns the name of an output, its number where it has none.
    pub fn output_name(&self, output: usize) -> String {
        self.labels.get(output).cloned().unwrap_or_else(|| output.to_string())
    }

    /// Returns the name of an answer of a binary head.
    pub fn answer_name(&self, yes: bool) -> String {
        let names = if self.labels.len() == 2 { self.labels.get(usize::from(yes)).cloned() } else { None };
        names.unwrap_or_else(|| if yes { "yes" } else { "no" }.into())
    }

    /// Returns whether something of a sample's label is known.
    pub fn is_known(&self, sample: usize) -> bool {
        match &self.values {
            Labels::Classes(classes) => classes[sample].is_some(),
            Labels::Flags(_) => self.flags(sample).iter().any(Option::is_some),
            Labels::Numbers(_) => self.numbers(sample).iter().any(Option::is_some),
        }
    }

    /// Returns a sample's class; nothing when it is not known, or the head has no classes.
    pub fn class(&self, sample: usize) -> Option<usize> {
        match &self.values {
            Labels::Classes(classes) => classes[sample].map(usize::from),
            Labels::Flags(_) | Labels::Numbers(_) => None,
        }
    }

    /// Returns a sample's flags, one for each output; none when the head has no flags.
    pub fn flags(&self, sample: usize) -> &[Option<bool>] {
        match &self.values {
            Labels::Flags(flags) => row(flags, sample, self.outputs),
            Labels::Classes(_) | Labels::Numbers(_) => &[],
        }
    }

    /// Returns a sample's numbers, one for each output; none when the head has no numbers.
    pub fn numbers(&self, sample: usize) -> &[Option<f32>] {
        match &self.values {
            Labels::Numbers(numbers) => row(numbers, sample, self.outputs),
            Labels::Classes(_) | Labels::Flags(_) => &[],
        }
    }

    /// Returns a sample's labels as files hold them: the index of a class, 0 and 1, or numbers.
    pub fn written(&self, sample: usize) -> Vec<Option<f32>> {
        match &self.values {
            Labels::Classes(classes) => vec![classes[sample].map(f32::from)],
            Labels::Flags(_) => {
                self.flags(sample).iter().map(|flag| flag.map(|flag| f32::from(u8::from(flag)))).collect()
            }
            Labels::Numbers(_) => self.numbers(sample).to_vec(),
        }
    }

    /// Returns the figures of logits for some samples, as [`super::Kind::measure`].
    pub fn measure(&self, samples: &[usize], logits: &[f32]) -> HeadMetrics {
        self.kind.measure(self, samples, logits)
    }

    /// Measures mean and deviation of numbers over the training split; a direction has neither.
    pub(crate) fn measure_scaling(&mut self, train: &[usize]) {
        if !matches!(self.values, Labels::Numbers(_)) || self.loss == RegressionLoss::Cosine {
            return;
        }
        let mut moments = vec![Moments::default(); self.outputs];
        for &sample in train {
            let numbers = moments.iter_mut().zip(self.numbers(sample));
            numbers.for_each(|(moments, y)| y.iter().for_each(|&y| moments.add(y)));
        }
        self.scaling = moments.iter().map(Moments::mean_and_deviation).collect();
    }

    /// Gives a share of the training samples another class, as a careless annotator would; labels of other forms stay.
    pub(crate) fn spoil(&mut self, train: &[usize], share: f64, seed: u64) {
        let Labels::Classes(classes) = &mut self.values else { return };
        let mut random = random::stream(seed, "label noise");
        for &sample in train {
            let (chance, step) = (random.random::<f64>(), random.random_range(1..self.outputs));
            if let Some(class) = classes[sample].as_mut().filter(|_| chance < share) {
                *class = ((usize::from(*class) + step) % self.outputs) as u16;
            }
        }
    }
}

/// Returns a row of `[samples, width]`.
fn row<T>(values: &[T], sample: usize, width: usize) -> &[T] {
    &values[sample * width..][..width]
}
