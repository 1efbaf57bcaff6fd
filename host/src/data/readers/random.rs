//! Normal variates for input, facts and regression targets.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use rand_distr::{Distribution, StandardNormal};

use super::Reader;
use crate::data::raw::facts::Source;
use crate::data::raw::{Raw, channels_last, fingerprint};
use crate::domain::Array;
use crate::facts::{GivenFact, Value};
use crate::heads::{Labels, Target};
use crate::recipe::Recipe;
use crate::support::random;

pub(super) struct Random;

impl Reader for Random {
    fn format(&self) -> &'static str {
        "random"
    }

    fn read(&self, recipe: &Recipe, folder: &Path) -> Result<Raw> {
        let samples = recipe.data.samples.context("data.samples is missing")?;
        let shape = channels_last(&recipe.input.shape)?;
        let width = shape.iter().product::<usize>();
        let mut random = random::stream(recipe.data.seed, "random data");
        let mut normal =
            |count: usize| -> Vec<f32> { (0..count).map(|_| StandardNormal.sample(&mut random)).collect() };
        let inputs = Array::new(vec![samples, width], normal(samples * width))?;
        let source = Source { folder, samples, table: None, dialect: &recipe.data.dialect()?.beside() };
        let (facts, files) = source.facts(recipe, |fact| {
            let number = fact.kind.value() == Value::Number;
            ensure!(number, "fact {:?}: random data have facts of kind \"number\"", fact.name);
            Ok(GivenFact { values: Vec::new(), column: normal(samples).into_iter().map(Some).collect() })
        })?;
        let targets = recipe
            .heads
            .iter()
            .map(|head| {
                let outputs = head.outputs.context("outputs is missing")?;
                Ok(Target::new(head, outputs, head.labels.clone(), Labels::numbers(normal(samples * outputs))))
            })
            .collect::<Result<_>>()?;
        let fingerprint =
            format!("random data, {samples} samples of {shape:?}, seed {} {}", recipe.data.seed, fingerprint(&files)?);
        Ok(Raw::new(inputs, shape, facts, targets, fingerprint))
    }
}
