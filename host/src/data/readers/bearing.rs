//! The built-in simulator of bearing vibration: spectra, or recordings with `[signal]`.

use std::path::Path;

use anyhow::{Context, Result, bail, ensure};

use super::Reader;
use super::recordings::{self, Heard};
use crate::data::raw::facts::Source;
use crate::data::raw::{Raw, fingerprint};
use crate::data::simulators::bearing;
use crate::domain::Array;
use crate::facts::{GivenFact, Value};
use crate::heads::{Form, Labels, Target};
use crate::recipe::Recipe;

pub(super) struct Bearing;

impl Reader for Bearing {
    fn format(&self) -> &'static str {
        "bearing"
    }

    fn read(&self, recipe: &Recipe, folder: &Path) -> Result<Raw> {
        let samples = recipe.data.samples.context("data.samples is missing")?;
        let settings = bearing::Settings::default();
        let (windows, vibration) = match &recipe.signal {
            None => (bearing::simulate(samples, recipe.data.seed, &settings)?, None),
            Some(how) => {
                let (windows, vibration) = recordings::from_simulator(how, samples, recipe.data.seed, &settings)?;
                (windows, Some((how, vibration)))
            }
        };
        let source = Source { folder, samples, table: None, dialect: &recipe.data.dialect()?.beside() };
        let (facts, files) = source.facts(recipe, |fact| match (fact.name.as_str(), fact.kind.value()) {
            ("rpm", Value::Number) => {
                let column = windows.rpm.iter().map(|&rpm| Some(rpm)).collect();
                Ok(GivenFact { values: Vec::new(), column })
            }
            ("bearing", Value::Category) => {
                let values = bearing::BEARINGS.iter().map(|bearing| bearing.name.to_string()).collect();
                let column = windows.bearing.iter().map(|&index| Some(index as f32)).collect();
                Ok(GivenFact { values, column })
            }
            (name, _) => bail!("the simulator has the facts \"rpm\" (number) and \"bearing\" (category), not {name:?}"),
        })?;
        let targets: Vec<Target> = recipe
            .heads
            .iter()
            .map(|head| match (head.kind.form(), head.name.as_str()) {
                (Form::Classes, _) => {
                    let labels = bearing::CLASSES.map(String::from).to_vec();
                    let values = Labels::classes(windows.class.iter().map(|&class| class as u16));
                    Ok(Target::new(head, labels.len(), labels, values))
                }
                (Form::Numbers, "severity") => {
                    Ok(Target::new(head, 1, vec!["g".into()], Labels::numbers(windows.severity.iter().copied())))
                }
                (Form::Numbers, "pulse_rate") => {
                    ensure!(head.partial, "head \"pulse_rate\": a healthy bearing has none: set partial = true");
                    Ok(Target::new(head, 1, vec!["Hz".into()], Labels::Numbers(windows.pulse_hz.clone())))
                }
                (_, name) => bail!(
                    "the simulator has heads of kind \"class\" (the fault), and \"severity\" and \"pulse_rate\" (regression), \
                     not {name:?}"
                ),
            })
            .collect::<Result<_>>()?;
        let fingerprint = format!(
            "bearing simulator, {samples} windows, seed {}, {settings:?} {}",
            recipe.data.seed,
            fingerprint(&files)?
        );
        let Some((how, (recordings, cuts, length))) = vibration else {
            let inputs = Array::new(vec![samples, settings.lines()], windows.samples)?;
            return Ok(Raw::new(inputs, [1, settings.lines(), 1], facts, targets, fingerprint));
        };
        let background = recordings::background_of(how, &targets)?;
        let Heard { design, clips, inputs, shape } = Heard::new(how, recordings, cuts, length, background)?;
        let fingerprint = format!("{fingerprint} {}", recordings::key_of(how)?);
        Ok(Raw { signal: Some((design, clips)), ..Raw::new(inputs, shape, facts, targets, fingerprint) })
    }
}
