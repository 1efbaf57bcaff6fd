//! From recordings to samples: cut, labelled by names and columns, and turned into features.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::{Context, Result, ensure};
use rand::Rng;
use rayon::prelude::*;

use super::Reader;
use crate::data::raw::facts::{Source, from_column};
use crate::data::raw::target_from_columns;
use crate::data::raw::{Raw, fingerprint, indices_of};
use crate::data::recordings::{self, Clips, Recording, Shape, Variation};
use crate::data::simulators::bearing;
use crate::domain::Array;
use crate::domain::limits::{COMPUTED_VALUES, MADE_VALUES, check_product};
use crate::heads::{Form, Target};
use crate::recipe::Recipe;
use crate::signal::recipe::{Layout, Noise, Signal, Span};
use crate::signal::{Color, Design, Extractor, noise};
use crate::support::progress::say;
use crate::support::random;
use crate::tables::{Dialect, Table};

pub(super) struct Recordings;

impl Reader for Recordings {
    fn format(&self) -> &'static str {
        "recordings"
    }

    fn read(&self, recipe: &Recipe, folder: &Path) -> Result<Raw> {
        let how = recipe.signal.as_ref().context("[signal] is missing: say how the recordings become features")?;
        let pattern = recipe.data.files.as_deref().context("data.files is missing")?;
        let along = columns_of(recipe);
        let dialect = recipe.data.dialect()?;
        let columns: Vec<String> = recipe.input.columns.values().cloned().collect();
        let shape = Shape {
            rate: how.rate,
            channels: how.channels,
            columns: &columns,
            full_scale: how.full_scale.unwrap_or(1.0),
            along: &along,
        };
        let found = recordings::find(folder, pattern)?;
        if found.iter().any(|(path, _)| recordings::is_csv(path)) {
            ensure!(
                columns.len() == how.channels,
                "input.columns names {} columns of the CSV files, signal.channels is {}",
                columns.len(),
                how.channels
            );
            ensure!(how.full_scale.is_some(), "signal.full_scale is missing: what does the greatest sample stand for?");
        } else {
            ensure!(
                how.full_scale.is_none() && columns.is_empty(),
                "signal.full_scale and input.columns belong to CSV files, and all recordings are WAV"
            );
        }
        let read: Vec<Result<Recording>> = found
            .into_par_iter()
            .map(|(path, fields)| {
                let (samples, cells) = recordings::read_as(&path, &shape, &dialect)?;
                Ok(Recording { path, fields, samples, cells })
            })
            .collect();
        // Of several broken files the first is named, whichever was read first.
        let mut all = read.into_iter().collect::<Result<Vec<_>>>()?;
        let files: Vec<_> = all.iter().map(|one| one.path.clone()).collect();
        let longest = all.iter().map(|one| one.samples.len() / how.channels).max().unwrap_or(0);
        let length = how.length.as_ref().map_or(Ok(longest), |span| span.samples("signal.length", how.rate))?;
        for (span, key) in [(&how.settle, "signal.settle"), (&how.step, "signal.step")] {
            let samples = span.as_ref().map_or(Ok(0), |span| span.samples(key, how.rate))?;
            ensure!(samples <= longest, "{key} is {samples} samples, more than the {longest} of the longest recording");
        }
        remark_on_lengths(&all, how, length);
        let files_only = all.len();
        if let Some(noise) = &how.noise {
            add_noise(&mut all, recipe, noise, length)?;
        }
        let Cut { cuts, table, blocks } = cut(&all, &along, &dialect, folder, how, length, recipe)?;

        let targets: Vec<Target> =
            recipe.heads.iter().map(|head| target_from_columns(&table, head)).collect::<Result<_>>()?;
        let background = background_of(how, &targets)?;
        let samples = cuts.len();
        let heard = Heard::new(how, all, cuts, length, background)?;
        let source = Source { folder, samples, table: Some(&table), dialect: &dialect.beside() };
        let (facts, mut fact_files) = source.facts(recipe, |fact| {
            let column = table.column(fact.column.as_ref().unwrap_or(&fact.name))?;
            from_column(fact, column, None)
        })?;
        // Samples of one recording have too much in common to be on two sides.
        let cut_once = heard.clips.cuts.windows(2).all(|pair| pair[0].0 != pair[1].0);
        let of_blocks: Vec<String>;
        let groups = match &recipe.data.split.group {
            Some(name) => Some(table.column(name)?.texts()),
            None if recipe.data.split.block.is_none() && cut_once => None,
            None => {
                of_blocks = blocks;
                Some(of_blocks.iter().map(String::as_str).collect())
            }
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
        fact_files.extend(files);
        let fingerprint = format!("{} {}", fingerprint(&fact_files)?, key_of(how)?);
        let Heard { design, clips, inputs, shape } = heard;
        let made_from = how.noise.as_ref().and_then(|_| first_noise(&clips, files_only));
        let signal = Some((design, clips));
        Ok(Raw { groups, held, made_from, signal, ..Raw::new(inputs, shape, facts, targets, fingerprint) })
    }
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
        check_product(
            "samples (signal.step) x windows (signal.hop) x features",
            &[clips.cuts.len(), windows, features],
            COMPUTED_VALUES,
        )?;
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
    let Some(detection) = &how.detection else { return Ok(None) };
    let first = targets.first().context("there is no head")?;
    ensure!(
        first.kind.form() == Form::Classes,
        "signal.detection: the first head, {:?}, is of kind {:?}, expected \"class\": only classes are detected",
        first.name,
        first.kind
    );
    let Some(label) = &detection.background else { return Ok(None) };
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
    check_product("data.samples x signal.length + settle", &[count, values], MADE_VALUES)?;
    let mut windows = bearing::vibrations(count, seed, settings, values)?;
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
    let dialect = recipe.data.dialect()?;
    let mut names = BTreeSet::new();
    for (path, fields) in recordings::find(folder, pattern)? {
        match fields.get(group) {
            Some(name) => {
                names.insert(name.clone());
            }
            None if recordings::is_csv(&path) => {
                names.extend(Table::read(&path, &dialect)?.column(group)?.texts().into_iter().map(String::from));
            }
            None => anyhow::bail!("data.split.group: data.files {pattern:?} has no {{{group}}}"),
        }
    }
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

/// Samples that recordings are cut into; of each is known where it comes from.
const MOST_CUTS: usize = 1 << 22;

/// Adds recordings of noise, each of the group of another recording; `length` is in samples of each channel. What other heads would
/// say of them is unknown.
fn add_noise(all: &mut Vec<Recording>, recipe: &Recipe, how: &Noise, length: usize) -> Result<()> {
    ensure!(
        how.share > 0.0 && how.share <= 1.0 && how.db[0] <= how.db[1],
        "signal.noise: share {} and db {:?}, expected above 0 to 1, and rising levels",
        how.share,
        how.db
    );
    let head = recipe.heads.first().and_then(|head| head.column.clone());
    let column = head.context("signal.noise: the first head has no column")?;
    let others: BTreeSet<&String> =
        recipe.heads.iter().skip(1).flat_map(|head| head.column.iter().chain(&head.columns)).collect();
    let recorded = all.len();
    let count = (recorded as f64 * how.share).round() as usize;
    let mut random = random::stream(recipe.seed, "noise recordings");
    check_product("recordings of noise (signal.noise.share) x signal.length", &[count, length], MADE_VALUES)?;
    for index in 0..count {
        let (db, color) = (random.random_range(how.db[0]..=how.db[1]), Color::draw(&mut random));
        let channels = recipe.signal.as_ref().map_or(1, |signal| signal.channels);
        let samples = noise(length, channels, color, db, &mut random).into_iter().map(|x| x.round() as i16).collect();
        // Spread over all recordings, so that every group has its share.
        let like = &all[index * recorded / count];
        let mut fields = like.fields.clone();
        let cells = like.cells.iter().filter_map(|(name, cells)| Some((name.clone(), cells.last()?.clone())));
        fields.extend(cells);
        fields.retain(|name, _| !others.contains(name));
        fields.insert(column.clone(), how.label.clone());
        all.push(Recording { path: format!("noise {index}").into(), fields, samples, cells: BTreeMap::new() });
    }
    Ok(())
}

/// Says what a length of samples means for the recordings, where that may be a surprise.
fn remark_on_lengths(all: &[Recording], how: &Signal, length: usize) {
    let lengths = || all.iter().map(|one| one.samples.len() / how.channels);
    let seconds = length as f64 / how.rate;
    let long = lengths().filter(|&count| count >= 2 * length).count();
    if long > 0 && how.step.is_none() {
        say(&format!(
            "warning: {long} recordings hold more than one sample of {seconds} s, and the first of each is all that is used: say \
             signal.step"
        ));
    }
    let short = lengths().filter(|&count| 10 * count < length).count();
    if short > 0 {
        say(&format!(
            "warning: {short} recordings are filled up with zeros to more than ten times their length, to samples of {seconds} s \
             (signal.length)"
        ));
    }
}

/// Recordings cut into samples.
struct Cut {
    /// Where each sample comes from: a recording, and where in it.
    cuts: Vec<(usize, usize)>,
    /// What is known of each.
    table: Table,
    /// The recording of each, and the stretch of it that stays in one split.
    blocks: Vec<String>,
}

/// Cuts recordings into samples of so many samples of each channel.
fn cut(
    all: &[Recording],
    along: &[String],
    dialect: &Dialect,
    folder: &Path,
    how: &Signal,
    length: usize,
    recipe: &Recipe,
) -> Result<Cut> {
    let step = how.step.as_ref().map(|span| span.samples("signal.step", how.rate)).transpose()?;
    let block = &recipe.data.split.block;
    let block = block.as_ref().map(|span| span.samples("data.split.block", how.rate)).transpose()?;
    ensure!(block.is_none_or(|block| block >= length), "data.split.block is shorter than a sample, signal.length");
    // What a sample has one of: classes of heads, and its group.
    let classes = recipe.heads.iter().filter(|head| head.kind.form() != Form::Numbers);
    let single: Vec<&String> =
        classes.flat_map(|head| head.column.iter().chain(&head.columns)).chain(&recipe.data.split.group).collect();
    let mut names: Vec<String> =
        all.iter().flat_map(|one| one.fields.keys().chain(one.cells.keys())).cloned().collect();
    names.push("file".into());
    names.sort_unstable();
    names.dedup();
    if let Some(missing) = along.iter().find(|name| !names.contains(name)) {
        let near = crate::support::suggest::did_you_mean(missing, names.iter().map(String::as_str));
        anyhow::bail!(
            "neither data.files nor a column of the recordings has {missing:?}{near}; there are {}",
            names.join(", ")
        );
    }
    if let Some(step) = step {
        let count = |one: &Recording| (one.samples.len() / how.channels).saturating_sub(length) / step + 1;
        let samples: usize = all.iter().map(count).sum();
        ensure!(
            samples <= MOST_CUTS,
            "signal.step is {step}, which makes {samples} samples, expected at most {MOST_CUTS}"
        );
    }
    let (mut cuts, mut rows, mut places, mut blocks) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let (mut changing, mut straddling) = (BTreeMap::new(), 0usize);
    for (index, one) in all.iter().enumerate() {
        let count = one.samples.len() / how.channels;
        let mut start = 0;
        loop {
            let end = (start + length).min(count);
            let changes = |label: &&&String| {
                one.cells.get(**label).is_some_and(|cells| cells[start..end].iter().any(|cell| *cell != cells[end - 1]))
            };
            let straddles = block.is_some_and(|block| start / block != (end - 1) / block);
            if let Some(column) = single.iter().find(changes) {
                *changing.entry(column.as_str()).or_insert(0usize) += 1;
            } else if straddles {
                straddling += 1;
            } else {
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
                blocks.push(format!("{index} {}", block.map_or(0, |block| start / block)));
            }
            match step {
                Some(step) if start + step + length <= count => start += step,
                _ => break,
            }
        }
    }
    for (column, count) in &changing {
        say(&format!("{count} samples are left out, in which {column} changes"));
    }
    if straddling > 0 {
        say(&format!("{straddling} samples are left out, which lie in two stretches of data.split.block"));
    }
    ensure!(
        !rows.is_empty(),
        "every sample of the recordings is left out, since {} changes in it: take a shorter signal.length",
        changing.keys().copied().chain((straddling > 0).then_some("data.split.block")).collect::<Vec<_>>().join(" or ")
    );
    Ok(Cut { cuts, table: Table::of(folder, names, rows, places, dialect), blocks })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::heads::{HeadKind, Labels};

    #[test]
    fn detections_of_a_head_that_has_no_classes_are_refused() {
        let text = r#"
            rate = 4000
            window = 48
            hop = 20
            features = [{ kind = "samples" }]
            detection = { smooth = "100 ms", on = 0.6, off = 0.3, background = "quiet" }
        "#;
        let how: Signal = toml::from_str(text).unwrap();
        let target = |kind| Target {
            name: "wear".into(),
            kind,
            labels: vec!["hum".into(), "quiet".into()],
            outputs: 2,
            values: Labels::classes([]),
            scaling: Vec::new(),
            weight: 1.0,
            loss: crate::domain::RegressionLoss::default(),
            temperature: None,
        };
        assert_eq!(background_of(&how, &[target(HeadKind::CLASS)]).unwrap(), Some(1));
        let error = background_of(&how, &[target(HeadKind::REGRESSION)]).unwrap_err().to_string();
        let expected = "signal.detection: the first head, \"wear\", is of kind \"regression\", expected \"class\": only classes are detected";
        assert_eq!(error, expected);
    }
}
