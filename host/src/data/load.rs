//! From the recipe's `[data]` to a data set.

mod arrays;
mod facts;
mod recordings;
mod targets;
mod texts;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use rand_distr::{Distribution, StandardNormal};
use sha2::{Digest, Sha256};

use super::dataset::Limit;
use super::recordings::Clips;
use super::{Augment, Dataset, Normalization, Splits};
use crate::data::readers::bearing;
use crate::domain::{Array, HeadKind, Normalize};
use crate::facts::{Audience, FactSchema, GivenFact, Measurement, Value};
use crate::heads::{Labels, Target};
use crate::recipe::{Format, Fusion, Head, MissingRows, Recipe};
use crate::signal::Design;
use crate::support::files;
use crate::support::progress::say;
use crate::support::random;
use crate::support::suggest::listed;
use crate::tables::Table;
use crate::tables::screen::Screen;
pub use arrays::{member_of, read_array};
use facts::{Source, from_column};
use recordings::Heard;
pub use recordings::groups;
use targets::target_from_columns;

/// Returns the data that a recipe names, below `folder`.
///
/// # Errors
///
/// When a file is missing or broken, a value is not finite, a class out of range or a column unknown; the message names
/// the file and the line or the sample.
pub fn load(recipe: &Recipe, folder: &Path) -> Result<Dataset> {
    recipe.column_remarks().iter().for_each(|remark| say(remark));
    // What gives back the input needs nothing of the source but that.
    let (own, asked): (Vec<Head>, Vec<Head>) =
        recipe.heads.iter().cloned().partition(|head| head.kind == HeadKind::Reconstruction);
    let asked = Recipe { heads: asked, ..recipe.clone() };
    let mut raw = match recipe.data.format {
        Format::Csv => from_csv(&asked, folder)?,
        Format::Arrays => arrays::from_arrays(&asked, folder)?,
        Format::Bearing => from_simulator(&asked, folder)?,
        Format::Random => from_noise(&asked, folder)?,
        Format::Commands => texts::from_commands(&asked, folder)?,
        Format::Recordings => recordings::from_recordings(&asked, folder)?,
    };
    if recipe.data.format == Format::Arrays {
        raw.screen(&asked);
    }
    for head in own {
        let place = recipe.heads.iter().position(|other| other.name == head.name).unwrap_or(0);
        let head = Head { kind: HeadKind::Regression, ..head };
        let values = Labels::numbers(raw.inputs.values.iter().copied());
        let target = target_of(&head, raw.inputs.row_len(), Vec::new(), values);
        raw.targets.insert(place.min(raw.targets.len()), target);
    }
    raw.finish(recipe, folder)
}

/// What a source gives, before anything is measured on it.
struct Raw {
    inputs: Array,
    /// Whether the inputs are texts.
    is_text: bool,
    /// Phrases with a feature each that the source knows.
    phrases: Vec<(String, String)>,
    /// `[height, width, channels]`.
    shape: [usize; 3],
    channels: Vec<String>,
    /// The facts that are set, in the order of the recipe.
    facts: Vec<GivenFact>,
    targets: Vec<Target>,
    groups: Option<Vec<usize>>,
    test_from: Option<usize>,
    /// Which samples are the test split, if groups are named that are.
    held: Option<Vec<bool>>,
    /// Where features come from.
    signal: Option<(Design, Clips)>,
    /// From which sample on all are made for training alone.
    made_from: Option<usize>,
    /// How many of the last samples have no labels.
    unlabelled: usize,
    /// What is worth a word about the numbers of an input's channels.
    remarks: BTreeMap<usize, String>,
    /// The table's file, and the line of each sample in it.
    lines: Option<(String, Vec<u64>)>,
    fingerprint: String,
}

impl Raw {
    /// Returns numbers without names, groups or a test part of their own, all of them with labels.
    fn new(inputs: Array, shape: [usize; 3], facts: Vec<GivenFact>, targets: Vec<Target>, fingerprint: String) -> Self {
        Self {
            inputs,
            is_text: false,
            phrases: Vec::new(),
            shape,
            channels: Vec::new(),
            facts,
            targets,
            groups: None,
            test_from: None,
            held: None,
            signal: None,
            made_from: None,
            unlabelled: 0,
            remarks: BTreeMap::new(),
            lines: None,
            fingerprint,
        }
    }

    /// Keeps what is worth a word about the channels of the inputs, and says what is about numbers among facts and targets.
    fn screen(&mut self, recipe: &Recipe) {
        let file = recipe.data.train.as_ref().map_or("", |train| train.input.as_str());
        let place = |sample: usize| format!("sample {sample}");
        let channels = self.shape[2];
        let mut screens = vec![Screen::default(); channels];
        for (at, &value) in self.inputs.values.iter().enumerate() {
            screens[at % channels].add(at / self.inputs.row_len(), value);
        }
        let of_channel = |channel: usize| self.inputs.values.iter().skip(channel).step_by(channels).copied().collect();
        let of_inputs = screens.iter().enumerate().filter_map(|(channel, screen)| {
            let name = if channels == 1 { file.into() } else { format!("{file}: column {channel}") };
            Some((channel, screen.remark(&name, &place, || of_channel(channel))?))
        });
        self.remarks = of_inputs.collect();
        let mut remarks = Vec::new();
        for target in &self.targets {
            let Labels::Numbers(all) = &target.values else { continue };
            for output in 0..target.outputs {
                let column = all.iter().skip(output).step_by(target.outputs);
                let numbers: Vec<f32> = column.map(|value| value.unwrap_or(f32::NAN)).collect();
                let name = format!("output {output} of head {:?}", target.name);
                remarks.extend(Screen::of(&numbers).remark(&name, &place, || numbers.clone()));
            }
        }
        let set = recipe.facts.iter().filter(|fact| !fact.kind.is_computed()).zip(&self.facts);
        for (fact, given) in set.filter(|(fact, _)| fact.kind.name() == "number" && fact.constant.is_none()) {
            let numbers: Vec<f32> = given.column.iter().map(|value| value.unwrap_or(f32::NAN)).collect();
            let name = format!("fact {:?}", fact.name);
            remarks.extend(Screen::of(&numbers).remark(&name, &place, || numbers.clone()));
        }
        say_some(&remarks);
    }

    /// Returns a line for each channel that something is worth a word about; what is clipped is said once.
    fn remarks_with_limits(&self, limits: &[Limit], training: usize) -> Vec<String> {
        let mut remarks = self.remarks.clone();
        for limit in limits {
            let name = self.channels.get(limit.channel).cloned().unwrap_or_else(|| limit.channel.to_string());
            let [least, greatest] = limit.range;
            let clipped = format!(
                "are clipped to {least:.4} ... {greatest:.4} (input.outliers = \"keep\" takes them as they are)"
            );
            let line = match remarks.get(&limit.channel) {
                Some(remark) => format!("{remark}; values far outside {clipped}"),
                None => format!(
                    "warning: input {name}: {} of {training} training values lie far outside of all others (sample {} has {}): \
                     they {clipped}",
                    limit.count, limit.sample, limit.value
                ),
            };
            remarks.insert(limit.channel, line);
        }
        remarks.into_values().collect()
    }

    fn finish(mut self, recipe: &Recipe, folder: &Path) -> Result<Dataset> {
        let samples = self.inputs.rows();
        let split = &recipe.data.split;
        let labelled = samples - self.unlabelled;
        let shares = [split.test, split.validation];
        let mut splits = match &self.held {
            Some(held) => Splits::hold(held, self.groups.as_deref(), split.validation, recipe.seed),
            None => Splits::cut(labelled, self.groups.as_deref(), self.test_from, shares, recipe.seed),
        };
        splits.train.extend(labelled..samples);
        if let Some(first) = self.made_from {
            for split in [&mut splits.test, &mut splits.validation] {
                let (kept, others) = std::mem::take(split).into_iter().partition(|&sample| sample < first);
                *split = kept;
                splits.train.extend::<Vec<usize>>(others);
            }
        }
        if self.groups.is_some() && splits.validation.len() as f64 > 2.0 * split.validation * samples as f64 {
            say(&format!(
                "warning: {} of {samples} samples choose the checkpoint (data.split.validation = {}), since groups stay whole: \
                 validation = 0 trains on them",
                splits.validation.len(),
                split.validation
            ));
        }
        let advice = match recipe.data.split.group {
            None if self.signal.is_some() => {
                "say data.split.block = \"10 s\", for stretches of a recording, or name a column as data.split.group"
            }
            _ if splits.validation.is_empty() => "take a smaller data.split.test",
            _ => "say data.split.validation = 0, or take a smaller test",
        };
        let of_groups = self.groups.as_ref().map(|groups| {
            let count = groups.iter().max().map_or(0, |greatest| greatest + 1);
            format!(": there are {count} groups, and each stays in one split: {advice}")
        });
        ensure!(
            !splits.train.is_empty(),
            "{samples} samples leave none to train on after the splits{}",
            of_groups.unwrap_or_default()
        );
        let channels = self.shape[2];
        let (augment, [height, width, _]) = (&recipe.augment, self.shape);
        ensure!(
            height * width > 1 || (augment.shift == 0 && augment.crop.is_none() && !augment.flip),
            "augment.shift, flip and crop move positions; samples of {:?} have none: declare input.shape",
            self.shape
        );
        ensure!(
            width > 1 || !augment.flip,
            "augment.flip turns rows round; samples of {:?} have one column",
            self.shape
        );
        let normalize = if self.is_text { Normalize::None } else { recipe.input.normalize };
        let outliers = recipe.input.outliers;
        let normalization = Normalization::measure(&self.inputs, &splits.train, channels, normalize, outliers);
        let remarks = self.remarks_with_limits(&normalization.limits, splits.train.len());
        match self.channels.is_empty() {
            true => say_some(&remarks),
            false => remarks.iter().for_each(|remark| say(remark)),
        }
        let mut nets = recipe.all_teachers().chain(&recipe.assistant).chain([&recipe.student]);
        let mask = nets.all(|net| net.fusion != Fusion::Sum);
        let names: &[String] = if self.channels.len() == self.inputs.row_len() { &self.channels } else { &[] };
        let pace = recipe.augment.pace.as_ref();
        ensure!(
            width > 1 || pace.is_none(),
            "augment.pace stretches samples; those of {:?} have one column: declare input.shape",
            self.shape
        );
        let at = Measurement {
            inputs: &self.inputs,
            is_text: self.is_text,
            phrases: &self.phrases,
            names,
            units: &recipe.input.units,
            folder,
            dialect: &recipe.data.dialect()?.beside(),
            train: &splits.train,
            pace: pace.map(|pace| (pace.fact.as_str(), [1.0 / (1.0 + pace.by as f32), 1.0 + pace.by as f32])),
        };
        let (facts, fact_columns, tables) = FactSchema::measure(&recipe.facts, self.facts, &at, mask)?;
        if !tables.is_empty() {
            self.fingerprint = format!("{} {}", self.fingerprint, fingerprint(&tables)?);
        }
        let encoded_facts = facts.encode(Audience::Board, &fact_columns, samples);
        let encoded_for_teacher =
            facts.has_privileged().then(|| facts.encode(Audience::Teacher, &fact_columns, samples));
        for target in &mut self.targets {
            target.measure_scaling(&splits.train);
            if recipe.data.label_noise > 0.0 {
                target.spoil(&splits.train, recipe.data.label_noise, recipe.data.seed);
            }
        }
        Ok(Dataset {
            input_name: recipe.input.name.clone(),
            is_text: self.is_text,
            inputs: self.inputs,
            input_shape: self.shape,
            channels: self.channels,
            normalization,
            facts,
            fact_columns,
            targets: self.targets,
            splits,
            test_from: self.test_from,
            augment: Augment::new(
                &recipe.augment,
                recipe.seed,
                self.signal.as_ref().is_some_and(|(_, clips)| clips.vary.is_some()),
            ),
            signal: self.signal,
            lines: self.lines,
            fingerprint: self.fingerprint,
            encoded_facts,
            encoded_for_teacher,
        })
    }
}

/// Returns the target of a head of the recipe.
fn target_of(head: &Head, outputs: usize, labels: Vec<String>, values: Labels) -> Target {
    Target {
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

fn from_csv(recipe: &Recipe, folder: &Path) -> Result<Raw> {
    let file = recipe.data.file.as_deref().context("data.file is missing")?;
    let path = files::below(folder, file).context("data.file")?;
    let dialect = recipe.data.dialect()?;
    let mut table = Table::read(&path, &dialect)?;
    if recipe.data.missing_rows == MissingRows::Drop {
        table.drop_missing(&recipe.input.columns.values().collect::<Vec<_>>())?;
    }
    let table = table;
    let rows = table.rows();
    let channels: Vec<String> = recipe.input.columns.keys().cloned().collect();
    let mut remarks = BTreeMap::new();
    let inputs = match &recipe.input.text {
        Some(name) => {
            let column = table.column(name)?;
            texts::array_of(&column.texts(), recipe.input.length, |row| column.place(row))?
        }
        None => {
            let columns: Vec<Vec<f32>> = recipe
                .input
                .columns
                .values()
                .enumerate()
                .map(|(channel, name)| {
                    let column = table.column(name)?;
                    let numbers = column.numbers()?;
                    remarks.extend(column.remark(&numbers).map(|remark| (channel, remark)));
                    Ok(numbers)
                })
                .collect::<Result<_>>()?;
            let values = (0..rows).flat_map(|row| columns.iter().map(move |column| column[row])).collect();
            Array::new(vec![rows, columns.len()], values)?
        }
    };

    let source = Source { folder, samples: rows, table: Some(&table), dialect: &dialect.beside() };
    let (facts, mut files) = source.facts(recipe, |fact| {
        let column = table.column(fact.column.as_ref().unwrap_or(&fact.name))?;
        from_column(fact, column, None)
    })?;
    let targets = recipe.heads.iter().map(|head| target_from_columns(&table, head)).collect::<Result<_>>()?;
    let groups = match &recipe.data.split.group {
        None => None,
        Some(name) => Some(indices_of(table.column(name)?.texts())),
    };
    say(&format!("{}: {rows} rows; {}", path.display(), matched(recipe)));
    let is_text = recipe.input.text.is_some();
    let shape = if is_text { [1, inputs.row_len(), 1] } else { [1, 1, inputs.row_len()] };
    files.insert(0, path);
    let fingerprint = fingerprint(&files)?;
    let lines = Some((file.display().to_string(), table.lines().to_vec()));
    Ok(Raw { is_text, channels, groups, lines, remarks, ..Raw::new(inputs, shape, facts, targets, fingerprint) })
}

/// Says the first of some remarks, and how many more there are.
fn say_some(remarks: &[String]) {
    remarks.iter().take(MOST_REMARKS).for_each(|remark| say(remark));
    if remarks.len() > MOST_REMARKS {
        say(&format!("warning: and {} columns more of that kind", remarks.len() - MOST_REMARKS));
    }
}

/// Returns which columns of a table are what, in words.
fn matched(recipe: &Recipe) -> String {
    let pair = |name: &str, column: &str| {
        if name == column { format!("{name:?}") } else { format!("{name} = {column:?}") }
    };
    let inputs: Vec<String> = match &recipe.input.text {
        Some(text) => vec![pair(&recipe.input.name, text)],
        None => recipe.input.columns.iter().map(|(name, column)| pair(name, column)).collect(),
    };
    let in_table =
        recipe.facts.iter().filter(|fact| !fact.kind.is_computed() && fact.constant.is_none() && fact.file.is_none());
    let facts: Vec<String> =
        in_table.map(|fact| pair(&fact.name, fact.column.as_ref().unwrap_or(&fact.name))).collect();
    let heads: Vec<String> = recipe
        .heads
        .iter()
        .map(|head| {
            let columns: Vec<&String> = head.column.iter().chain(&head.columns).collect();
            match columns.as_slice() {
                [one] => pair(&head.name, one),
                _ => format!("{} = {}", head.name, listed(&columns)),
            }
        })
        .collect();
    let parts = [("input", inputs), ("facts", facts), ("heads", heads)];
    let parts = parts.iter().filter(|(_, names)| !names.is_empty());
    parts.map(|(what, names)| format!("{what} {}", listed(names))).collect::<Vec<_>>().join("; ")
}

fn from_simulator(recipe: &Recipe, folder: &Path) -> Result<Raw> {
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
        .map(|head| match (head.kind, head.name.as_str()) {
            (HeadKind::Class, _) => {
                let labels = bearing::CLASSES.map(String::from).to_vec();
                let values = Labels::classes(windows.class.iter().map(|&class| class as u16));
                Ok(target_of(head, labels.len(), labels, values))
            }
            (HeadKind::Regression, "severity") => {
                Ok(target_of(head, 1, vec!["g".into()], Labels::numbers(windows.severity.iter().copied())))
            }
            (HeadKind::Regression, "pulse_rate") => {
                ensure!(head.partial, "head \"pulse_rate\": a healthy bearing has none: set partial = true");
                Ok(target_of(head, 1, vec!["Hz".into()], Labels::Numbers(windows.pulse_hz.clone())))
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

fn from_noise(recipe: &Recipe, folder: &Path) -> Result<Raw> {
    let samples = recipe.data.samples.context("data.samples is missing")?;
    let shape = channels_last(&recipe.input.shape)?;
    let width = shape.iter().product::<usize>();
    let mut random = random::stream(recipe.data.seed, "random data");
    let mut normal = |count: usize| -> Vec<f32> { (0..count).map(|_| StandardNormal.sample(&mut random)).collect() };
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
            Ok(target_of(head, outputs, head.labels.clone(), Labels::numbers(normal(samples * outputs))))
        })
        .collect::<Result<_>>()?;
    let fingerprint =
        format!("random data, {samples} samples of {shape:?}, seed {} {}", recipe.data.seed, fingerprint(&files)?);
    Ok(Raw::new(inputs, shape, facts, targets, fingerprint))
}

/// Returns `[height, width, channels]` for a shape of one to three sizes.
fn channels_last(shape: &[usize]) -> Result<[usize; 3]> {
    let shape = match *shape {
        [values] => [1, 1, values],
        // An image without channels and a series are told apart by nothing but the user: two sizes are an image.
        [height, width] => [height, width, 1],
        [height, width, channels] => [height, width, channels],
        _ => bail!("input.shape {shape:?} has {} sizes, expected 1 to 3", shape.len()),
    };
    ensure!(shape.iter().all(|size| (1..=65_535).contains(size)), "input.shape {shape:?}: expected 1 to 65535 each");
    Ok(shape)
}

/// Returns the group of each text: equal texts share an index.
fn indices_of<'a>(texts: impl IntoIterator<Item = &'a str>) -> Vec<usize> {
    let mut seen = BTreeMap::new();
    texts
        .into_iter()
        .map(|text| {
            let next = seen.len();
            *seen.entry(text).or_insert(next)
        })
        .collect()
}

/// Returns a hash of the files' bytes.
fn fingerprint(files: &[PathBuf]) -> Result<String> {
    let mut hash = Sha256::new();
    for path in files {
        let mut file = files::open_regular(path)?;
        io::copy(&mut file, &mut hash).with_context(|| format!("cannot read {}", path.display()))?;
    }
    Ok(files::hex(&hash.finalize()))
}

/// More warnings about columns than that say no more.
const MOST_REMARKS: usize = 5;

/// A model has no head of more.
const MOST_CLASSES: usize = 65_535;

#[cfg(test)]
mod tests {
    use super::*;

    fn loaded(table: &str, more: &str) -> Dataset {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("d.csv"), table).unwrap();
        let text = format!(
            "[data]\nformat='csv'\nfile='d.csv'\n[input]\ncolumns={{a='a'}}\n{more}[[heads]]\nname='y'\nkind='binary'\n\
             column='y'\n[student]\narch='mlp'\n[distill]\nmethod='none'\n"
        );
        load(&Recipe::parse(&text, "r.toml", "r", &[]).unwrap(), folder.path()).unwrap()
    }

    /// A reading that is odd and clipped is one line.
    #[test]
    fn an_outlier_is_said_once() {
        let limit = Limit { channel: 1, range: [-2.0, 2.0], count: 1, sample: 7, value: -999.0 };
        let inputs = Array::new(vec![1, 2], vec![0.0; 2]).unwrap();
        let mut raw = Raw::new(inputs, [1, 1, 2], Vec::new(), Vec::new(), String::new());
        let alone = raw.remarks_with_limits(std::slice::from_ref(&limit), 100);
        assert!(alone[0].contains("1 of 100 training values") && alone[0].contains("-2.0000 ... 2.0000"), "{alone:?}");
        raw.remarks = BTreeMap::from([(0, "warning: a".into()), (1, "warning: b is -999 once".into())]);
        let lines = raw.remarks_with_limits(&[limit], 100);
        assert_eq!(lines.len(), 2);
        assert_eq!(lines[0], "warning: a");
        assert!(
            lines[1].starts_with("warning: b is -999 once; values far outside are clipped to -2.0000"),
            "{lines:?}"
        );
    }

    #[test]
    fn test_samples_that_are_training_samples_are_counted() {
        let remark = |data: Dataset| data.remarks().into_iter().find(|remark| remark.contains("of a training sample"));
        let rows = |of: fn(usize) -> usize| (0..60).map(|n| format!("{}.5,{}\n", of(n), n % 2)).collect::<String>();
        assert_eq!(remark(loaded(&format!("a,y\n{}", rows(|n| n)), "")), None);
        let data = loaded(&format!("a,y\n{}", rows(|n| n / 2)), "");
        let count = data.splits.test.iter().filter(|&&sample| data.splits.train.contains(&(sample ^ 1))).count();
        let first = *data.splits.test.iter().find(|&&sample| data.splits.train.contains(&(sample ^ 1))).unwrap();
        let remark = remark(data).unwrap();
        let expected = format!(
            "{count} of 12 test samples have the inputs and facts of a training sample, d.csv:{} those of d.csv:{}",
            first + 2,
            (first ^ 1) + 2
        );
        assert!(remark.contains(&expected), "{remark}, {expected}");
    }
}
