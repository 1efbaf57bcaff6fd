//! Losses against a teacher: each is a file of this folder, with its formula, source, keys and defaults, and a line in the
//! table.
//!
//! z_s and z_t are the logits of student and teacher, p^T = softmax(z / T). A divergence is summed over the classes; means
//! are over the batch. Binary and multilabel heads take the divergence of Bernoulli distributions, mean over the labels,
//! for every loss that speaks of classes; regression and reconstruction take the distance of the head, unless the loss
//! has its own. Of a layer, f is `[batch, height, width, channels]`.
//!
//! This module is listed before [`crate::recipe`], which takes names, keys and default weights of losses from the table: a
//! misspelt name or key is refused with its line when the recipe is read. A loss therefore gets tensors and numbers;
//! [`crate::objective`] knows to which heads, samples and layers they belong.

mod attention;
mod cosine;
mod crd;
mod dist;
pub(crate) mod distance;
mod dkd;
mod hint;
mod hinton;
mod huber;
mod mse;
mod relational;
mod standardized;
#[cfg(test)]
mod testing;

use std::collections::BTreeMap;
use std::fmt;

use anyhow::{Context, Result, ensure};
use candle_core::{Tensor, Var};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::domain::RegressionLoss;
use crate::heads::{Form, HeadKind};
use distance::{cosine_distance, divergence_of_labels, huber, squares};

/// All losses, in the order in which errors list them.
const LOSSES: &[Formula] = &[
    Formula::Logits(&hinton::Hinton),
    Formula::Logits(&mse::Mse),
    Formula::Logits(&standardized::Standardized),
    Formula::Logits(&dkd::Dkd),
    Formula::Logits(&dist::Dist),
    Formula::Logits(&huber::Huber),
    Formula::Logits(&cosine::Cosine),
    Formula::Layers(&hint::Hint),
    Formula::Layers(&attention::Attention),
    Formula::Layers(&relational::Relational),
    Formula::Layers(&crd::Crd),
];

/// What a loss compares.
#[derive(Clone, Copy)]
pub enum Formula {
    /// The outputs of a head.
    Logits(&'static dyn LogitLoss),
    /// A layer of the student and one of the teacher.
    Layers(&'static dyn LayerLoss),
}

/// A loss against a teacher.
pub trait Loss: Sync {
    /// Returns its name in recipes.
    fn name(&self) -> &'static str;

    /// Returns its own keys in `[[distill.losses]]`, in the order in which a recipe is written.
    fn keys(&self) -> &'static [Key] {
        &[]
    }

    /// Returns the weight that its authors give it.
    fn weight(&self) -> f64 {
        1.0
    }

    /// Returns the temperature that its authors take; nothing for a loss without the key `temperature`.
    fn temperature(&self) -> Option<f64> {
        None
    }

    /// Returns the defaults of `distill.hard` and `distill.soft` when it is `distill.method`; nothing when it cannot be.
    fn as_method(&self) -> Option<[f64; 2]> {
        None
    }

    /// Returns why it does not do for a head what its name says, if it does not; `batch` is the number of samples.
    fn warning(&self, _head: &Head<'_>, _batch: usize) -> Option<String> {
        None
    }
}

/// A loss of logits, `[batch, outputs]`.
pub trait LogitLoss: Loss {
    /// Returns the loss of a class head, a scalar; nothing when it needs labels and none is known.
    ///
    /// # Errors
    ///
    /// When shapes do not fit or the device fails.
    fn of_classes(&self, batch: &Logits<'_>) -> Result<Option<Tensor>>;

    /// Returns the loss of a binary or multilabel head, a scalar.
    ///
    /// # Errors
    ///
    /// As [`LogitLoss::of_classes`].
    fn of_labels(&self, batch: &Logits<'_>) -> Result<Tensor> {
        divergence_of_labels(batch.student, batch.teacher, batch.temperature)
    }

    /// Returns the loss of a head of numbers, a scalar.
    ///
    /// # Errors
    ///
    /// As [`LogitLoss::of_classes`].
    fn of_numbers(&self, batch: &Logits<'_>) -> Result<Tensor> {
        match batch.distance {
            RegressionLoss::Mse => squares(batch.student, batch.teacher),
            RegressionLoss::Huber => Ok(huber(&(batch.student - batch.teacher)?)?.mean_all()?),
            RegressionLoss::Cosine => Ok(cosine_distance(batch.student, batch.teacher)?.mean_all()?),
        }
    }

    /// Returns what its weight is multiplied by for a class head after a number of epochs.
    fn ramp(&self, _numbers: &Numbers, _epoch: f64) -> f64 {
        1.0
    }
}

/// A loss of layers, `[batch, height, width, channels]`.
pub trait LayerLoss: Loss {
    /// Returns the loss, a scalar.
    ///
    /// # Errors
    ///
    /// When shapes do not fit or the device fails.
    fn of_layers(&self, batch: &Layers<'_>) -> Result<Tensor>;

    /// Checks that two layers of `[height, width, channels]` can be compared.
    ///
    /// # Errors
    ///
    /// When they cannot; the message names both shapes.
    fn check_shapes(&self, student: [usize; 3], teacher: [usize; 3]) -> Result<()> {
        ensure!(
            student[..2] == teacher[..2],
            "loss {:?} compares position by position: the student's layer has shape {student:?}, the teacher's {teacher:?}",
            self.name()
        );
        Ok(())
    }

    /// Returns what is learned beside the student, for layers with these numbers of channels.
    fn learned(&self, _numbers: &Numbers, _student: usize, _teacher: usize) -> Vec<Learned> {
        Vec::new()
    }
}

/// A number in `[[distill.losses]]` that a loss has.
#[derive(Debug, Clone, Copy)]
pub struct Key {
    /// Its name.
    pub name: &'static str,
    /// Its value when the recipe gives none.
    pub default: f64,
    /// The maximum of a whole number from 1 on; any number from 0 on without it.
    maximum: Option<u32>,
}

impl Key {
    /// Returns a number of 0 or more.
    pub const fn number(name: &'static str, default: f64) -> Self {
        Self { name, default, maximum: None }
    }

    /// Returns a whole number from 1 to a maximum.
    pub const fn count(name: &'static str, default: f64, maximum: u32) -> Self {
        Self { name, default, maximum: Some(maximum) }
    }

    /// Checks a value of a recipe.
    ///
    /// # Errors
    ///
    /// When it is out of range.
    pub fn check(&self, value: f64) -> Result<()> {
        let name = self.name;
        match self.maximum {
            None => ensure!(value >= 0.0 && value.is_finite(), "{name} is {value}, expected 0 or more"),
            Some(maximum) => ensure!(
                (1.0..=f64::from(maximum)).contains(&value) && value.fract() == 0.0,
                "{name} is {value}, expected a whole number from 1 to {maximum}"
            ),
        }
        Ok(())
    }
}

/// The numbers that a recipe gives for the keys of a loss.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Numbers(BTreeMap<&'static str, f64>);

impl Numbers {
    /// Sets the value of a key.
    pub fn set(&mut self, key: &Key, value: f64) {
        self.0.insert(key.name, value);
    }

    /// Returns the value that the recipe gives, if it gives one.
    pub fn given(&self, key: &Key) -> Option<f64> {
        self.0.get(key.name).copied()
    }

    fn value(&self, key: &Key) -> f64 {
        self.given(key).unwrap_or(key.default)
    }
}

/// A head, for warnings.
#[derive(Debug, Clone, Copy)]
pub struct Head<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its kind.
    pub kind: HeadKind,
    /// The number of its outputs.
    pub outputs: usize,
}

impl Head<'_> {
    fn has_two_classes(&self) -> bool {
        self.kind.form() == Form::Classes && self.outputs == 2
    }

    /// Returns the warning of a loss of classes for a head of labels.
    fn means_hinton(&self, loss: &str) -> Option<String> {
        (self.kind.form() == Form::Flags)
            .then(|| format!("head {:?} is no class head: {loss:?} means \"hinton\" there", self.name))
    }
}

/// The outputs of a head for a batch.
#[derive(Debug, Clone, Copy)]
pub struct Logits<'a> {
    /// The student's, `[batch, outputs]`.
    pub student: &'a Tensor,
    /// The teacher's, of the same shape, without a gradient.
    pub teacher: &'a Tensor,
    /// What they are divided by.
    pub temperature: f64,
    /// The class of each sample where it is known; empty for heads of another kind.
    pub classes: &'a [Option<u32>],
    /// The distance of a head of numbers.
    pub distance: RegressionLoss,
    /// The values of the loss's keys.
    pub numbers: &'a Numbers,
}

/// A layer of the student and one of the teacher for a batch.
#[derive(Debug, Clone, Copy)]
pub struct Layers<'a> {
    /// The student's, `[batch, height, width, channels]`.
    pub student: &'a Tensor,
    /// The teacher's, without a gradient.
    pub teacher: &'a Tensor,
    /// The loss's temperature, 1 where it has none.
    pub temperature: f64,
    /// The class of each sample in the first class head where it is known.
    pub classes: &'a [Option<u32>],
    /// The values of the loss's keys.
    pub numbers: &'a Numbers,
    /// What [`LayerLoss::learned`] returned, by its names.
    pub learned: &'a [(&'a str, &'a Var)],
}

impl Layers<'_> {
    fn learned(&self, name: &str) -> Result<&Tensor> {
        let found = self.learned.iter().find(|(other, _)| *other == name);
        found.map(|(_, var)| var.as_tensor()).with_context(|| format!("{name:?} is not learned beside the network"))
    }
}

/// A parameter that is learned beside the student and left out of its file.
#[derive(Debug, Clone, PartialEq)]
pub struct Learned {
    /// Its name within the loss.
    pub name: &'static str,
    /// Its shape.
    pub shape: Vec<usize>,
    /// Its first values.
    pub values: Vec<f32>,
}

/// A loss by its name.
#[derive(Clone, Copy)]
pub struct LossName(Formula);

impl LossName {
    /// Soft labels, the default.
    pub const HINTON: Self = Self(Formula::Logits(&hinton::Hinton));

    /// Returns all losses.
    pub fn all() -> impl Iterator<Item = Self> {
        LOSSES.iter().copied().map(Self)
    }

    /// Returns what it compares.
    pub fn formula(self) -> Formula {
        self.0
    }

    /// Returns whether it compares layers, not outputs.
    pub fn is_of_layers(self) -> bool {
        matches!(self.0, Formula::Layers(_))
    }

    /// Returns the loss of a name, or an error that lists all.
    ///
    /// # Errors
    ///
    /// When there is none of that name.
    pub fn find(name: &str) -> Result<Self> {
        Self::all()
            .find(|loss| loss.name() == name)
            .with_context(|| unknown_variant(name, Self::all().map(|loss| loss.name())))
    }
}

/// Returns the message of serde about a name that is none of these, to which the reader of recipes adds the nearest one.
pub(crate) fn unknown_variant(name: &str, names: impl Iterator<Item = &'static str>) -> String {
    let names: Vec<String> = names.map(|name| format!("`{name}`")).collect();
    format!("unknown variant `{name}`, expected one of {}", names.join(", "))
}

impl std::ops::Deref for LossName {
    type Target = dyn Loss;

    fn deref(&self) -> &Self::Target {
        match self.0 {
            Formula::Logits(loss) => loss,
            Formula::Layers(loss) => loss,
        }
    }
}

impl fmt::Debug for LossName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl PartialEq for LossName {
    fn eq(&self, other: &Self) -> bool {
        self.name() == other.name()
    }
}

impl Serialize for LossName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl<'de> Deserialize<'de> for LossName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        Self::find(&name).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::testing::{layer, learned_of, logits, pair, value, value_of_layers};
    use super::*;

    const KINDS: [HeadKind; 4] = [HeadKind::CLASS, HeadKind::BINARY, HeadKind::MULTILABEL, HeadKind::REGRESSION];

    fn losses_of_logits() -> impl Iterator<Item = &'static dyn LogitLoss> {
        LOSSES.iter().filter_map(|formula| match *formula {
            Formula::Logits(loss) => Some(loss),
            Formula::Layers(_) => None,
        })
    }

    fn losses_of_layers() -> impl Iterator<Item = &'static dyn LayerLoss> {
        LOSSES.iter().filter_map(|formula| match *formula {
            Formula::Layers(loss) => Some(loss),
            Formula::Logits(_) => None,
        })
    }

    /// A key that is not a loss's own would hide the one that all have.
    #[test]
    fn names_and_keys_are_distinct_and_defaults_are_in_range() {
        for (place, loss) in LossName::all().enumerate() {
            assert_eq!(LossName::all().position(|other| other.name() == loss.name()), Some(place), "{loss:?}");
            assert_ne!(loss.name(), "none");
            for key in loss.keys() {
                let common = ["kind", "weight", "temperature", "student", "teacher"];
                assert!(!common.contains(&key.name), "{loss:?}: {}", key.name);
                key.check(key.default).unwrap();
            }
            assert!(loss.weight() > 0.0 && loss.temperature().is_none_or(|t| t > 0.0), "{loss:?}");
        }
    }

    #[test]
    fn losses_of_logits_are_zero_where_student_and_teacher_agree_and_finite_for_extreme_ones() {
        let (_, teacher) = pair();
        let extreme = logits(&[200.0, -200.0, 0.0, -200.0, 200.0, 3.0, 0.0, 0.0, 0.0, 80.0, 80.0, -80.0]);
        for loss in losses_of_logits() {
            for kind in KINDS {
                let agreed = value(loss, kind, &teacher, &teacher);
                assert!(agreed.abs() < 2e-5, "{} {kind:?}: {agreed}", loss.name());
                assert!(value(loss, kind, &extreme, &teacher).is_finite(), "{} {kind:?}", loss.name());
                assert!(value(loss, kind, &teacher, &extreme).is_finite(), "{} {kind:?}", loss.name());
            }
        }
    }

    #[test]
    fn gradients_of_losses_of_logits_are_those_of_finite_differences() {
        let (student, teacher) = pair();
        for loss in losses_of_logits() {
            for kind in KINDS {
                let (student, teacher) = if kind == HeadKind::BINARY {
                    let first = |x: &Tensor| x.narrow(1, 0, 1).unwrap().contiguous().unwrap();
                    (first(&student), first(&teacher))
                } else {
                    (student.clone(), teacher.clone())
                };
                let leaf = Var::from_tensor(&student).unwrap();
                let gradients = testing::term(loss, kind, leaf.as_tensor(), &teacher).backward().unwrap();
                let gradient = gradients.get(&leaf).unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap();
                // One output has no direction but its sign.
                let flat = loss.name() == "cosine" && kind == HeadKind::BINARY;
                assert!(flat || gradient.iter().any(|g| g.abs() > 1e-3), "{} {kind:?}", loss.name());
                let values = student.flatten_all().unwrap().to_vec1::<f32>().unwrap();
                for place in [0, values.len() / 2, values.len() - 1] {
                    let at = |by: f32| {
                        let mut values = values.clone();
                        values[place] += by;
                        let moved = Tensor::from_vec(values, student.shape(), &Device::Cpu).unwrap();
                        value(loss, kind, &moved, &teacher)
                    };
                    let slope = (at(1e-2) - at(-1e-2)) / 2e-2;
                    let got = f64::from(gradient[place]);
                    let near = (slope - got).abs() < 2e-2 * (1.0 + slope.abs());
                    assert!(near, "{} {kind:?}: {got} {slope}", loss.name());
                }
            }
        }
    }

    #[test]
    fn gradients_of_losses_of_layers_are_those_of_finite_differences() {
        for loss in losses_of_layers() {
            let (student, teacher) = (layer(1, 3), layer(2, 5));
            let leaf = Var::from_tensor(&student).unwrap();
            let learned = learned_of(loss, 3, 5);
            let store = testing::term_of_layers(loss, leaf.as_tensor(), &teacher, &learned).backward().unwrap();
            let gradient = store.get(&leaf).unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap();
            assert!(gradient.iter().any(|g| g.abs() > 1e-5), "{}", loss.name());
            for (name, var) in &learned {
                assert!(store.get(var).is_some(), "{}: {name} is not learned", loss.name());
            }
            let values = student.flatten_all().unwrap().to_vec1::<f32>().unwrap();
            for place in [0, 17, 40, 71] {
                let at = |by: f32| {
                    let mut values = values.clone();
                    values[place] += by;
                    let moved = Tensor::from_vec(values, student.shape(), &Device::Cpu).unwrap();
                    value_of_layers(loss, &moved, &teacher, &learned)
                };
                let slope = (at(5e-3) - at(-5e-3)) / 1e-2;
                let got = f64::from(gradient[place]);
                assert!((slope - got).abs() < 3e-2 * (0.3 + slope.abs()), "{}: {got} {slope}", loss.name());
            }
        }
    }
}
