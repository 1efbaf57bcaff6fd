//! Batches of four samples for the losses' tests, and their formulas' parts in double precision.

use candle_core::{Device, Tensor, Var};

use super::{LayerLoss, Layers, LogitLoss, Logits, Numbers};
use crate::domain::RegressionLoss;
use crate::heads::{Form, HeadKind};

pub(super) const CLASSES: [Option<u32>; 4] = [Some(0), Some(2), Some(1), Some(1)];

/// Returns the logits of four samples.
pub(super) fn logits(values: &[f32]) -> Tensor {
    Tensor::from_vec(values.to_vec(), (4, values.len() / 4), &Device::Cpu).unwrap()
}

/// Returns the logits of a student and of a teacher for four samples and three outputs.
pub(super) fn pair() -> (Tensor, Tensor) {
    let student = [1.0, -1.0, 0.5, 2.0, 0.0, 1.0, 0.3, -0.7, 0.2, -1.0, 0.4, 0.9];
    let teacher = [2.0, 0.0, -1.0, 0.0, 0.0, 3.0, -0.5, 1.5, 0.1, 0.2, 1.1, -2.0];
    (logits(&student), logits(&teacher))
}

/// Returns a loss of logits for the defaults of its keys.
pub(super) fn term(loss: &dyn LogitLoss, kind: HeadKind, student: &Tensor, teacher: &Tensor) -> Tensor {
    let numbers = Numbers::default();
    let batch = Logits {
        student,
        teacher,
        temperature: loss.temperature().unwrap_or(4.0),
        classes: if kind == HeadKind::CLASS { &CLASSES } else { &[] },
        distance: RegressionLoss::Mse,
        numbers: &numbers,
    };
    match kind.form() {
        Form::Classes => loss.of_classes(&batch).unwrap().unwrap(),
        Form::Flags => loss.of_labels(&batch).unwrap(),
        Form::Numbers => loss.of_numbers(&batch).unwrap(),
    }
}

/// Returns the value of [`term`].
pub(super) fn value(loss: &dyn LogitLoss, kind: HeadKind, student: &Tensor, teacher: &Tensor) -> f64 {
    f64::from(term(loss, kind, student, teacher).to_scalar::<f32>().unwrap())
}

/// Returns a layer of four samples, two rows and three columns.
pub(super) fn layer(seed: usize, channels: usize) -> Tensor {
    let values: Vec<f32> = (0..4 * 6 * channels).map(|i| ((i * 37 + seed * 101) % 89) as f32 / 40.0 - 1.0).collect();
    Tensor::from_vec(values, (4, 2, 3, channels), &Device::Cpu).unwrap()
}

/// Returns what a loss learns beside the student, with its first values.
pub(super) fn learned_of(loss: &dyn LayerLoss, student: usize, teacher: usize) -> Vec<(&'static str, Var)> {
    let learned = loss.learned(&Numbers::default(), student, teacher).into_iter();
    learned.map(|one| (one.name, Var::from_vec(one.values, one.shape, &Device::Cpu).unwrap())).collect()
}

/// Returns a loss of layers for the defaults of its keys.
pub(super) fn term_of_layers(
    loss: &dyn LayerLoss,
    student: &Tensor,
    teacher: &Tensor,
    learned: &[(&'static str, Var)],
) -> Tensor {
    let learned: Vec<(&str, &Var)> = learned.iter().map(|(name, var)| (*name, var)).collect();
    let (numbers, temperature) = (Numbers::default(), loss.temperature().unwrap_or(1.0));
    let batch = Layers { student, teacher, temperature, classes: &CLASSES, numbers: &numbers, learned: &learned };
    loss.of_layers(&batch).unwrap()
}

/// Returns the value of [`term_of_layers`].
pub(super) fn value_of_layers(
    loss: &dyn LayerLoss,
    student: &Tensor,
    teacher: &Tensor,
    learned: &[(&'static str, Var)],
) -> f64 {
    f64::from(term_of_layers(loss, student, teacher, learned).to_scalar::<f32>().unwrap())
}

/// Returns logits, divided by a number.
pub(super) fn rows(z: &Tensor, by: f64) -> Vec<Vec<f64>> {
    let rows = z.to_vec2::<f32>().unwrap();
    rows.iter().map(|row| row.iter().map(|&z| f64::from(z) / by).collect()).collect()
}

pub(super) fn softmax(z: &[f64]) -> Vec<f64> {
    let exps: Vec<f64> = z.iter().map(|z| z.exp()).collect();
    let sum: f64 = exps.iter().sum();
    exps.iter().map(|e| e / sum).collect()
}

pub(super) fn kl(p: &[f64], q: &[f64]) -> f64 {
    p.iter().zip(q).map(|(p, q)| p * (p / q).ln()).sum()
}

/// Checks a loss in f32 against its formula in f64.
pub(super) fn assert_near(got: f64, expected: f64) {
    assert!((got - expected).abs() < 1e-4 * expected.abs().max(1.0), "{got}, by the formula {expected}");
}
