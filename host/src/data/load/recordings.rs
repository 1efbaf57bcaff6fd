//! From recordings to samples: cut, labelled by names and columns, and turned into features.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::{Context, Result, ensure};
use rand::Rng;
use rayon::prelude::*;

use super::super::bearing;
use super::super::csv::Table;
use super::super::recordings::{self, Clips, Recording, Shape, Variation};
use super::super::{Array, Target};
use super::facts::Source;
use super::{Raw, fingerprint, indices_of, target_from_columns};
use crate::facts::GivenFact;
use crate::progress::say;
use crate::random;
use crate::recipe::Recipe;
use crate::recipe::signal::{Layout, Noise, Signal, Span};
use crate::signal::{Color, Design, Extractor, noise};

pub(super) fn from_recordings(recipe: &Recipe, folder: &Path) -> Result<Raw> {
    let how = recipe.signal.as_ref().context("[signal] is missing: say how the recordings become features")?;
    let pattern = recipe.data.files.as_deref().context("data.files is missing")?;
    let along = columns_of(recipe);
    let columns: Vec<String> = recipe.input.columns.values().cloned().collect();
    let shape = Shape {
        rate: how.rate,
        channels: how.channels,
        columns: &columns,
        full_scale: how.full_scale.unwrap_or(1.0),
        along: &along,
    };
    let found = recordings::find(folder, pattern)?;
    let is_csv = |path: &Path| path.extension().is_some_and(|end| end.eq_ignore_ascii_case("csv"));
    if found.iter().any(|(path, _)| is_csv(path)) {
        ensure!(
            columns.len() == how.channels,
            "input.columns names {} columns of the CSV files, signal.channels is {}",
            columns.len(),
            how.channels
        );
        ensure!(how.full_scale.is_some(), "signal.full_scale is missing: what does the greatest sample stand for?");
    }
    let mut all = found
        .into_par_iter()
        .map(|(path, fields)| {
            let (samples, cells) = recordings::read(&path, &shape)?;
            Ok(Recording { path, fields, samples, cells })
        })
        .collect::<Result<Vec<_>>>()?;
    let files: Vec<_> = all.iter().map(|one| one.path.clone()).collect();
    let longest = all.iter().map(|one| one.samples.len() / how.channels).max().unwrap_or(0);
    let length = how.length.as_ref().map_or(Ok(longest), |span| span.samples("signal.length", how.rate))?;
    if let Some(noise) = &how.noise {
        add_noise(&mut all, recipe, noise, length * how.channels)?;
    }
    let (cuts, table) = table_of(&all, &along, folder, how, length, recipe)?;

    let targets: Vec<Target> =
        recipe.heads.iter().map(|head| target_from_columns(&table, head)).collect::<Result<_>>()?;
    let background = background_of(how, &targets)?;
    let samples = cuts.len();
    let heard = Heard::new(how, all, cuts, length, background)?;
    let source = Source { folder, samples, table: Some(&table) };
    let (facts, mut fact_files) = source.facts(recipe, |fact| {
        let column = table.column(fact.column.as_ref().unwrap_or(&fact.name))?;
        GivenFact::read(fact, &column.texts(), |row| column.place(row))
    })?;
    let groups = match &recipe.data.split.group {
        None => None,
        Some(name) => Some(table.column(name)?.texts()),
    };
    let held = match (&recipe.data.split.hold_out, &groups) {
        (Some(wanted), Some(groups)) => {
            for name in wanted {
                ensure!(groups.contains(&name.as_str()), "data.split.hold_out: no group is called {name:?}");
            }
            Some(groups.iter().map(|group| wanted.iter().any(|name| name == group)).collect())
        }
        _ => None,
    };
    let groups = groups.map(indices_of);
    let recorded = files.len();
    fact_files.extend(files);
    let fingerprint = format!("{} {}", fingerprint(&fact_files)?, key_of(how)?);
    let Heard { design, clips, inputs, shape } = heard;
    let untested_from = how.noise.as_ref().and_then(|_| first_noise(&clips, recorded));
    let signal = Some((design, clips));
    Ok(Raw { groups, held, untested_from, signal, ..Raw::new(inputs, shape, facts, targets, fingerprint) })
}

/// Recordings with the features of their samples.
pub(super) struct Heard {
    pub(super) design: Design,
    pub(super) clips: Clips,
    /// A row for each sample.
    pub(super) inputs: Array,
    /// `[height, width, channels]`.
    pub(super) shape: [usize; 3],
}

impl Heard {
    /// Designs the front-end and computes the features of all cuts; `length` is in samples of each channel, `background` the class
    /// that is no detection.
    pub(super) fn new(
        how: &Signal,
        recordings: Vec<Recording>,
        cuts: Vec<(usize, usize)>,
        length: usize,
        background: Option<u16>,
    ) -> Result<Self> {
        let design = Design::new(how, background)?;
        let extractor = Extractor::new(design.record(design.features())?)?;
        let windows = extractor.windows(length)?;
        let signal = extractor.signal()?;
        let hop = usize::from(signal.hop) * signal.decimation();
        let settle = how.settle.as_ref().map_or(Ok(0), |span| span.samples("signal.settle", how.rate))?;
        ensure!(
            settle.is_multiple_of(hop),
            "signal.settle is {settle} samples, expected whole hops of {hop} (signal.hop times decimation)"
        );
        let vary = how
            .augment
            .as_ref()
            .map(|vary| {
                vary.check()?;
                let samples = |span: Option<&Span>, key: &str| span.map_or(Ok(0), |span| span.samples(key, how.rate));
                let shift = samples(vary.shift.as_ref(), "signal.augment.shift")?;
                let echo = samples(vary.echo.as_ref(), "signal.augment.echo")?;
                Ok::<_, anyhow::Error>(Variation { shift, echo, how: vary.clone() })
            })
            .transpose()?;
        let clips = Clips {
            recordings,
            cuts,
            length,
            settle,
            channels: how.channels,
            rate: how.rate,
            place: how.place,
            extractor,
            vary,
        };
        clips.remarks().iter().for_each(|remark| say(remark));
        let features = design.features();
        let shape = match how.layout {
            Layout::Series => [1, windows, features],
            Layout::Image => [windows, features, 1],
        };
        let inputs = Array::new(vec![clips.cuts.len(), windows * features], clips.features()?)?;
        Ok(Self { design, clips, inputs, shape })
    }
}

/// What makes the samples of a recipe what they are: `[signal]` without what a board alone does with the answers.
pub(super) fn key_of(how: &Signal) -> Result<String> {
    Ok(serde_json::to_string(&Signal { detection: None, every: 1, ..how.clone() })?)
}

/// Returns the class that is no detection.
pub(super) fn background_of(how: &Signal, targets: &[Target]) -> Result<Option<u16>> {
    let Some(label) = how.detection.as_ref().and_then(|detection| detection.background.as_ref()) else {
        return Ok(None);
    };
    let first = targets.first().context("there is no head")?;
    let place = first.labels.iter().position(|other| other == label);
    let place = place.with_context(|| format!("signal.detection.background: the first head has no class {label:?}"))?;
    Ok(Some(place as u16))
}

/// What a simulator's windows are as recordings: those, where each sample lies, and how long it is.
pub(super) type Simulated = (Vec<Recording>, Vec<(usize, usize)>, usize);

/// Simulates the vibration of bearings as a sensor of 16 bits gives it.
pub(super) fn from_simulator(
    how: &Signal,
    count: usize,
    seed: u64,
    settings: &bearing::Settings,
) -> Result<(bearing::Windows, Simulated)> {
    ensure!(
        how.rate == bearing::RATE_HZ && how.channels == 1,
        "signal: the simulator has one channel of {} samples a second, not {} of {}",
        bearing::RATE_HZ,
        how.channels,
        how.rate
    );
    ensure!(how.noise.is_none() && how.step.is_none(), "signal: step and noise belong to format \"recordings\"");
    let full_scale = how.full_scale.context("signal.full_scale is missing: how many g is the greatest sample?")?;
    let length = how.length.as_ref().context("signal.length is missing: how long is a sample?")?;
    let length = length.samples("signal.length", how.rate)?;
    let settle = how.settle.as_ref().map_or(Ok(0), |span| span.samples("signal.settle", how.rate))?;
    let values = settle + length;
    let mut windows = bearing::vibrations(count, seed, settings, values);
    let vibration = std::mem::take(&mut windows.samples);
    let scale = 32_768.0 / full_scale as f32;
    let recordings = vibration.chunks_exact(values).enumerate().map(|(index, vibration)| Recording {
        path: format!("window {index}").into(),
        fields: BTreeMap::new(),
        samples: vibration.iter().map(|g| (g * scale).round() as i16).collect(),
        cells: BTreeMap::new(),
    });
    Ok((windows, (recordings.collect(), (0..count).map(|index| (index, settle)).collect(), length)))
}

/// Returns the groups of recordings, of which each may be held out in turn.
///
/// # Errors
///
/// When the recipe has no group of recordings, or fewer than two.
pub fn groups(recipe: &Recipe, folder: &Path) -> Result<Vec<String>> {
    let (Some(pattern), Some(group)) = (&recipe.data.files, &recipe.data.split.group) else {
        anyhow::bail!("folds need groups of recordings: say data.format = \"recordings\" and data.split.group");
    };
    let found = recordings::find(folder, pattern)?;
    let names: Option<BTreeSet<String>> = found.iter().map(|(_, fields)| fields.get(group).cloned()).collect();
    let names = names.with_context(|| format!("data.split.group: data.files {pattern:?} has no {{{group}}}"))?;
    ensure!(names.len() > 1, "data.split.group: all recordings have one {group}, and nothing is left to train on");
    Ok(names.into_iter().collect())
}

/// Returns the first sample that is made of noise, behind those of so many recordings.
fn first_noise(clips: &Clips, recordings: usize) -> Option<usize> {
    clips.cuts.iter().position(|&(recording, _)| recording >= recordings)
}

/// Returns the columns that heads, facts and groups are read from.
fn columns_of(recipe: &Recipe) -> Vec<String> {
    let heads = recipe.heads.iter().flat_map(|head| head.column.iter().chain(&head.columns)).cloned();
    let facts = recipe.facts.iter().filter(|fact| !fact.kind.is_computed() && fact.constant.is_none());
    let facts = facts.map(|fact| match (&fact.file, &fact.key) {
        (Some(_), Some(key)) => key.clone(),
        _ => fact.column.clone().unwrap_or_else(|| fact.name.clone()),
    });
    let mut all: Vec<String> = heads.chain(facts).chain(recipe.data.split.group.clone()).collect();
    all.sort_unstable();
    all.dedup();
    all
}

/// Adds recordings of noise, each with the fields of another recording but for its class.
fn add_noise(all: &mut Vec<Recording>, recipe: &Recipe, how: &Noise, length: usize) -> Result<()> {
    ensure!(
        how.share > 0.0 && how.share <= 1.0 && how.db[0] <= how.db[1],
        "signal.noise: share {} and db {:?}, expected above 0 to 1, and rising levels",
        how.share,
        how.db
    );
    let head = recipe.heads.first().and_then(|head| head.column.clone());
    let column = head.context("signal.noise: the first head has no column")?;
    let count = (all.len() as f64 * how.share).round() as usize;
    let mut random = random::stream(recipe.seed, "noise recordings");
    for index in 0..count {
        let (db, color) = (random.random_range(how.db[0]..=how.db[1]), Color::draw(&mut random));
        let samples = noise(length, color, db, &mut random).into_iter().map(|x| x.round() as i16).collect();
        // Spread over all recordings, so that every group has its share.
        let like = &all[index * all.len() / count.max(1) % all.len()];
        let mut fields = like.fields.clone();
        fields.insert(column.clone(), how.label.clone());
        all.push(Recording { path: format!("noise {index}").into(), fields, samples, cells: BTreeMap::new() });
    }
    Ok(())
}

/// Where each sample comes from, and what is known of it: a row for each.
fn table_of(
    all: &[Recording],
    along: &[String],
    folder: &Path,
    how: &Signal,
    length: usize,
    recipe: &Recipe,
) -> Result<(Vec<(usize, usize)>, Table)> {
    let step = how.step.as_ref().map(|span| span.samples("signal.step", how.rate)).transpose()?;
    let labels: Vec<&String> = recipe.heads.iter().flat_map(|head| &head.column).collect();
    let mut names: Vec<String> =
        all.iter().flat_map(|one| one.fields.keys().chain(one.cells.keys())).cloned().collect();
    names.push("file".into());
    names.sort_unstable();
    names.dedup();
    if let Some(missing) = along.iter().find(|name| !names.contains(name)) {
        let near = crate::nearest(missing, names.iter().map(String::as_str));
        let near = near.map(|near| format!(" (did you mean {near:?}?)")).unwrap_or_default();
        anyhow::bail!(
            "neither data.files nor a column of the recordings has {missing:?}{near}; there are {}",
            names.join(", ")
        );
    }
    let (mut cuts, mut rows, mut places) = (Vec::new(), Vec::new(), Vec::new());
    for (index, one) in all.iter().enumerate() {
        let count = one.samples.len() / how.channels;
        let mut start = 0;
        loop {
            let end = (start + length).min(count);
            let changes = |label: &&String| {
                one.cells.get(*label).is_some_and(|cells| cells[start..end].iter().any(|cell| *cell != cells[end - 1]))
            };
            if !labels.iter().any(changes) {
                let cell = |name: &String| match (one.cells.get(name), one.fields.get(name)) {
                    (Some(cells), _) => cells[end - 1].clone(),
                    (None, Some(field)) => field.clone(),
                    (None, None) if name == "file" => {
                        one.path.strip_prefix(folder).unwrap_or(&one.path).display().to_string()
                    }
                    (None, None) => String::new(),
                };
                cuts.push((index, start));
                rows.push(names.iter().map(cell).collect::<Vec<String>>());
                places.push(one.path.display().to_string());
            }
            match step {
                Some(step) if start + step + length <= count => start += step,
                _ => break,
            }
        }
    }
    ensure!(
        !rows.is_empty(),
        "every window of the recordings holds a change of its label: take a shorter signal.length"
    );
    Ok((cuts, Table::of(folder, names, rows, places)))
}
