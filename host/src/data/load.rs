//! From the recipe's `[data]` to a data set.

use std::path::Path;

use anyhow::{Result, ensure};

use super::dataset::Limit;
use super::raw::{Raw, fingerprint};
use super::{Augment, Dataset, Normalization, Splits, readers};
use crate::domain::Normalize;
use crate::facts::{Audience, FactSchema, Measurement};
use crate::heads::{Head, HeadKind, Labels, Target};
use crate::recipe::{Fusion, Recipe};
use crate::support::progress::say;
use crate::tables::screen::Screen;

/// Returns the data that a recipe names, below `folder`.
///
/// # Errors
///
/// When a file is missing or broken, a value is not finite, a class out of range or a column unknown; the message names
/// the file and the line or the sample.
pub fn load(recipe: &Recipe, folder: &Path) -> Result<Dataset> {
    recipe.column_remarks().iter().for_each(|remark| say(remark));
    // What gives back the input needs nothing of the source but that.
    let (own, asked): (Vec<Head>, Vec<Head>) = recipe.heads.iter().cloned().partition(|head| head.kind.is_input());
    let asked = Recipe { heads: asked, ..recipe.clone() };
    let mut raw = readers::of(recipe.data.format)?.read(&asked, folder)?;
    if raw.is_screened {
        raw.screen(&asked);
    }
    for head in own {
        let place = recipe.heads.iter().position(|other| other.name == head.name).unwrap_or(0);
        let head = Head { kind: HeadKind::REGRESSION, ..head };
        let values = Labels::numbers(raw.inputs.values.iter().copied());
        let target = Target::new(&head, raw.inputs.row_len(), Vec::new(), values);
        raw.targets.insert(place.min(raw.targets.len()), target);
    }
    raw.finish(recipe, folder)
}

impl Raw {
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

/// Says the first of some remarks, and how many more there are.
fn say_some(remarks: &[String]) {
    remarks.iter().take(MOST_REMARKS).for_each(|remark| say(remark));
    if remarks.len() > MOST_REMARKS {
        say(&format!("warning: and {} columns more of that kind", remarks.len() - MOST_REMARKS));
    }
}

/// More warnings about columns than that say no more.
const MOST_REMARKS: usize = 5;

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::domain::Array;

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
