//! The input itself, as an autoencoder gives it back: to everything but a recipe, a regression of the input.

use anyhow::{Result, bail};
use attar_device::HeadOutput;
use serde_json::Value;

use super::regression::Regression;
use super::{Form, Head, HeadMetrics, Kind, Mistake, Target, View};
use crate::tables::Column;

pub(super) struct Reconstruction;

impl Kind for Reconstruction {
    fn name(&self) -> &'static str {
        "reconstruction"
    }

    fn format(&self) -> attar_shared::HeadKind {
        Regression.format()
    }

    fn form(&self) -> Form {
        Regression.form()
    }

    fn is_input(&self) -> bool {
        true
    }

    fn read_columns(&self, head: &Head, _columns: &[Column<'_>]) -> Result<Target> {
        bail!("head {:?} gives back the input and has no labels of its own", head.name)
    }

    fn read_numbers(&self, head: &Head, numbers: Vec<Option<f32>>, width: usize, file: &str) -> Result<Target> {
        Regression.read_numbers(head, numbers, width, file)
    }

    fn measure(&self, target: &Target, samples: &[usize], logits: &[f32]) -> HeadMetrics {
        Regression.measure(target, samples, logits)
    }

    fn no_better_than_chance(&self, target: &Target, samples: &[usize], figures: &HeadMetrics) -> Option<String> {
        Regression.no_better_than_chance(target, samples, figures)
    }

    fn probabilities(&self, target: &Target, logits: &[f32]) -> Vec<f32> {
        Regression.probabilities(target, logits)
    }

    fn counts(&self, target: &Target, samples: &[usize]) -> Vec<(String, usize)> {
        Regression.counts(target, samples)
    }

    fn output_of(&self, target: &Target, label: Option<&str>) -> Result<usize> {
        Regression.output_of(target, label)
    }

    fn view(&self, target: &Target, samples: &[usize], logits: &[f32]) -> View {
        Regression.view(target, samples, logits)
    }

    fn mistake(&self, target: &Target, sample: usize, logits: &[f32]) -> Option<Mistake> {
        Regression.mistake(target, sample, logits)
    }

    fn truth_text(&self, answers: &[String], truth: &[Option<f32>]) -> String {
        Regression.truth_text(answers, truth)
    }

    fn answer_text(&self, answers: &[String], values: &[f32]) -> String {
        Regression.answer_text(answers, values)
    }

    fn output_text(&self, output: &HeadOutput<'_>) -> String {
        Regression.output_text(output)
    }

    fn output_json(&self, output: &HeadOutput<'_>) -> Value {
        Regression.output_json(output)
    }
}
