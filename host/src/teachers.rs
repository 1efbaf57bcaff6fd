//! Teachers: whatever gives logits. Networks trained here, one or an ensemble; a network from an ONNX file; logits that were
//! saved elsewhere. A new kind is a variant of [`Source`].

mod check;
mod onnx;
mod probabilities;
mod saved;

use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use serde_json::json;
use sha2::{Digest, Sha256};

use crate::data::Dataset;
use crate::heads::{Labels, Target};
use crate::net::Net;
use crate::onnx::Ending;
use crate::recipe::{self, AnswerKind, Arch};
use crate::support::progress::say;
use crate::support::suggest::shortened;
use crate::train;
pub use onnx::Onnx;
use probabilities::Kind;
pub use saved::Saved;

/// Something that answers some heads of the data.
#[derive(Debug)]
pub struct Teacher {
    /// Where its answers come from.
    pub source: Source,
    /// The heads that it answers, as places among the data's.
    pub heads: Vec<usize>,
    /// A hash of all that its answers depend on, beside the data.
    pub key: String,
    /// For each head what its answers are a function of logits by, if they are probabilities.
    endings: Vec<Option<Ending>>,
}

/// Where a teacher's answers come from.
#[derive(Debug)]
pub enum Source {
    /// The mean of the logits of networks.
    Nets(Vec<Net>),
    /// A network from a file, with what its inputs are normalised by.
    Onnx(Box<Onnx>, OnnxInput),
    /// Logits that were saved elsewhere.
    Saved(Saved),
}

/// `(raw / divide - mean) / deviation`, for all channels or for each.
#[derive(Debug, Clone)]
pub struct OnnxInput {
    gains: Vec<f32>,
    offsets: Vec<f32>,
}

impl Teacher {
    /// Returns the teacher that a recipe takes from files.
    ///
    /// # Errors
    ///
    /// When a file cannot be read, does not fit the data, or does not give the answers that the recipe knows of.
    pub fn from_files(how: &recipe::Net, data: &Dataset, folder: &Path, heads: Vec<usize>) -> Result<Self> {
        match how.arch {
            Arch::Saved => {
                let saved = Saved::read(how, data, folder, &heads)?;
                let key = saved.key.clone();
                let endings = heads
                    .iter()
                    .zip(saved.parts())
                    .map(|(&head, parts)| ending_of_parts(how, &data.targets[head], parts))
                    .collect::<Result<_>>()?;
                Ok(Self { source: Source::Saved(saved), heads, key, endings })
            }
            Arch::Onnx => Self::from_onnx(how, data, folder, heads),
            _ => bail!("a teacher of arch {:?} is trained, not read", how.arch),
        }
    }

    /// Returns the mean of networks that were trained here.
    pub fn of_nets(nets: Vec<Net>, heads: Vec<usize>, key: String) -> Self {
        let endings = vec![None; heads.len()];
        Self { source: Source::Nets(nets), heads, key, endings }
    }

    fn from_onnx(how: &recipe::Net, data: &Dataset, folder: &Path, heads: Vec<usize>) -> Result<Self> {
        let path = crate::support::files::below(folder, how.file.as_deref().context("[teacher] file is missing")?)?;
        let at = path.display();
        let mut onnx = Onnx::load(&path, data.input_shape)?;
        let expected: Vec<usize> = heads.iter().map(|&head| data.targets[head].outputs).collect();
        let got: Vec<usize> = onnx.outputs().map(|(_, width)| width).collect();
        ensure!(
            got == expected,
            "{at}: gives outputs of {got:?} values, its heads take {expected:?}; name in [teacher] heads which ones it answers"
        );
        let names: Vec<&str> = onnx.outputs().map(|(name, _)| name).collect();
        let wanted: Vec<&str> = heads.iter().map(|&head| data.targets[head].name.as_str()).collect();
        let moved = names != wanted && wanted.iter().all(|name| names.contains(name));
        ensure!(
            !moved,
            "{at}: gives the outputs {names:?} in this order, its heads are {wanted:?}: list them in [teacher] heads in the order \
             of the outputs"
        );
        column_order(&at.to_string(), &data.channels).iter().for_each(|line| say(line));
        let input = OnnxInput::new(how, data.input_shape[2])?;
        let mut hash = Sha256::new();
        for file in onnx.files() {
            let bytes = std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
            hash.update(Sha256::digest(&bytes));
        }
        let file = crate::support::files::hex(&hash.finalize());
        let key = json!([file, how.divide, how.mean, how.deviation, heads, how.outputs]).to_string();
        let key = crate::support::files::hex(&Sha256::digest(key));
        // Known answers are those of the whole network, with what may make probabilities of them at its end.
        check::against_known(how, &onnx, &input, data, folder, &heads)?;
        let mut endings = Vec::new();
        for (output, &head) in heads.iter().enumerate() {
            let target = &data.targets[head];
            let numbers = matches!(target.values, Labels::Numbers(_));
            let ending = onnx.ending(output).filter(|_| how.outputs != Some(AnswerKind::Logits) && !numbers);
            if let Some(ending) = ending {
                onnx.without_ending(output)?;
                say(&format!(
                    "{at}: head {:?} ends in {ending:?}: its logits are what comes before (outputs = \"logits\" in [teacher] \
                     takes the answers as they are)",
                    target.name
                ));
                endings.push(None);
                continue;
            }
            let samples = &data.splits.train[..data.splits.train.len().min(LOOK)];
            let answers =
                || Ok(onnx.logits(&input.rows(data, samples, None), samples.len())?.swap_remove(output).values);
            endings.push(inverse_of(how, target, &at.to_string(), answers)?);
        }
        Ok(Self { source: Source::Onnx(Box::new(onnx), input), heads, key, endings })
    }

    /// Returns the number of weights and biases; 0 where only logits are known.
    pub fn parameter_count(&self) -> usize {
        match &self.source {
            Source::Nets(nets) => nets.iter().map(Net::parameter_count).sum(),
            Source::Onnx(onnx, _) => onnx.parameter_count(),
            Source::Saved(_) => 0,
        }
    }

    /// Returns the network itself, of a teacher that is a single one trained here.
    pub fn network(&self) -> Option<&Net> {
        match &self.source {
            Source::Nets(nets) if nets.len() == 1 => nets.first(),
            _ => None,
        }
    }

    /// Returns the logits of each of its heads, `[samples, outputs]` row by row, for the samples as they are or in a view;
    /// nothing for logits that were not saved.
    ///
    /// # Errors
    ///
    /// When a network fails, or the work was stopped.
    pub fn logits(&self, data: &Dataset, samples: &[usize], view: Option<usize>) -> Result<Option<Vec<Vec<f32>>>> {
        match &self.source {
            Source::Nets(nets) => average(nets, data, samples, view).map(Some),
            Source::Onnx(onnx, input) => {
                let mut progress = crate::support::progress::Progress::new("teacher's answers", samples.len());
                let mut all: Vec<Vec<f32>> = vec![Vec::new(); self.heads.len()];
                for samples in samples.chunks(ONNX_ROWS) {
                    crate::support::progress::check_stopped()?;
                    let outputs = onnx.logits(&input.rows(data, samples, view), samples.len())?;
                    all.iter_mut().zip(outputs).for_each(|(all, output)| all.extend(output.values));
                    progress.advance(samples.len());
                }
                if all.iter().flatten().any(|value| !value.is_finite()) {
                    bail!(
                        "the teacher's answers are not all finite: are divide, mean and deviation those of its training?"
                    );
                }
                self.finish(data, &mut all);
                Ok(Some(all))
            }
            Source::Saved(saved) => {
                ensure!(view.is_none(), "saved logits say nothing of varied samples");
                let mut all = saved.rows(samples);
                if let Some(all) = &mut all {
                    self.finish(data, all);
                }
                Ok(all)
            }
        }
    }
}

impl Teacher {
    /// Brings answers from elsewhere to what networks here learn: probabilities become logits; regressions, which are in
    /// the target's unit, get mean 0 and deviation 1 over the training split.
    fn finish(&self, data: &Dataset, answers: &mut [Vec<f32>]) {
        for ((&head, ending), answers) in self.heads.iter().zip(&self.endings).zip(answers) {
            if let Some(ending) = *ending {
                probabilities::undo(ending, answers);
            }
            let target = &data.targets[head];
            if matches!(target.values, Labels::Numbers(_)) {
                for (place, y) in answers.iter_mut().enumerate() {
                    let [mean, deviation] = target.scaling[place % target.outputs];
                    *y = (*y - mean) / deviation;
                }
            }
        }
    }
}

impl OnnxInput {
    /// Returns what a recipe says of the inputs of a network.
    fn new(how: &recipe::Net, channels: usize) -> Result<Self> {
        for (name, list) in [("mean", &how.mean), ("deviation", &how.deviation)] {
            let good = list.len() <= 1 || list.len() == channels;
            ensure!(good, "[teacher] {name} has {} values, expected 1 or {channels}", list.len());
        }
        let count = how.mean.len().max(how.deviation.len()).max(1);
        let pick = |list: &[f32], at: usize, other: f32| list.get(at).or(list.last()).copied().unwrap_or(other);
        let (gains, offsets) = (0..count)
            .map(|at| {
                let (mean, deviation) = (pick(&how.mean, at, 0.0), pick(&how.deviation, at, 1.0));
                (1.0 / (how.divide * deviation), -mean / deviation)
            })
            .unzip();
        Ok(Self { gains, offsets })
    }

    fn rows(&self, data: &Dataset, samples: &[usize], view: Option<usize>) -> Vec<f32> {
        use std::borrow::Cow;

        let mut values = Vec::with_capacity(samples.len() * data.inputs.row_len());
        for &sample in samples {
            let raw = match view {
                Some(view) => data.raw_view(sample, view),
                None => Cow::Borrowed(data.input(sample)),
            };
            let count = self.gains.len();
            values.extend(raw.iter().enumerate().map(|(at, x)| x * self.gains[at % count] + self.offsets[at % count]));
        }
        values
    }
}

/// Returns the order in which a network from elsewhere is given columns, which it knows by their places only.
fn column_order(file: &str, columns: &[String]) -> Option<String> {
    let listed = columns.iter().map(|name| shortened(name)).collect::<Vec<_>>().join(", ");
    (columns.len() > 1).then(|| format!("{file}: its inputs are the columns in this order: {listed}"))
}

/// Returns what turns the answers to a head into logits: what the recipe says, or what they look like.
fn inverse_of(
    how: &recipe::Net,
    target: &Target,
    source: &str,
    answers: impl FnOnce() -> Result<Vec<f32>>,
) -> Result<Option<Ending>> {
    let numbers = matches!(target.values, Labels::Numbers(_));
    match how.outputs {
        Some(AnswerKind::Logits) => Ok(None),
        Some(AnswerKind::Probabilities) if numbers => Ok(None),
        Some(AnswerKind::Probabilities) => {
            let answers = answers()?;
            if let Some(answer) = answers.iter().find(|answer| !(0.0..=1.0).contains(*answer)) {
                bail!("{source}: head {:?} has the answer {answer}, which is no probability", target.name);
            }
            Ok(Some(probabilities::recognize(target, &answers).unwrap_or(probabilities::declared(target))))
        }
        None => {
            let found = probabilities::recognize(target, &answers()?);
            if let Some(ending) = found {
                let sum = if ending == Ending::Softmax { " and sum to 1" } else { "" };
                say(&format!(
                    "{source}: the answers to head {:?} lie between 0 and 1{sum}: they are taken for probabilities and turned \
                     into logits (outputs = \"logits\" in [teacher] takes them as they are)",
                    target.name
                ));
            }
            Ok(found)
        }
    }
}

/// Returns what turns saved answers to a head into logits; each part of the data has to be of the same kind.
fn ending_of_parts(how: &recipe::Net, target: &Target, parts: [(&str, &[f32]); 2]) -> Result<Option<Ending>> {
    let [train, test] = parts;
    let [found, other] = [train, test].map(|(_, answers)| probabilities::kind_of(target, answers));
    let same = found == other || found == Kind::Unknown || other == Kind::Unknown;
    ensure!(
        how.outputs.is_some() || same,
        "head {:?}: the training samples' answers in {} look like {found}, the test samples' in {} like {other}: save both as \
         logits",
        target.name,
        train.0,
        test.0
    );
    // The larger part says more.
    let (file, answers) = if found == Kind::Unknown { test } else { train };
    if let (Some(AnswerKind::Probabilities), (other, answers)) = (how.outputs, test) {
        inverse_of(how, target, other, || Ok(answers.to_vec()))?;
    }
    inverse_of(how, target, file, || Ok(answers.to_vec()))
}

/// Returns the mean of the networks' logits.
fn average(nets: &[Net], data: &Dataset, samples: &[usize], view: Option<usize>) -> Result<Vec<Vec<f32>>> {
    let mut total: Vec<Vec<f32>> = Vec::new();
    for net in nets {
        let logits = train::predict_view(net, data, samples, view)?;
        if total.is_empty() {
            total = logits;
        } else {
            total.iter_mut().flatten().zip(logits.iter().flatten()).for_each(|(sum, value)| *sum += value);
        }
    }
    total.iter_mut().flatten().for_each(|value| *value /= nets.len() as f32);
    Ok(total)
}

/// Samples that are made ready for an ONNX network at a time.
const ONNX_ROWS: usize = 512;
/// Samples whose answers say whether an ONNX network gives probabilities.
const LOOK: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::onnx::testing::File;
    use crate::recipe::Recipe;

    /// Saved answers of training and test samples are of one kind, and a file too many is named as that.
    #[test]
    fn saved_probabilities_and_logits_are_not_mixed() -> Result<()> {
        let folder = tempfile::tempdir()?;
        let write = |name: &str, width: usize, values: &[f32]| {
            let shape = format!("({}, {width})", values.len() / width);
            let header = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}");
            let mut bytes = b"\x93NUMPY\x01\0".to_vec();
            bytes.extend((header.len() as u16).to_le_bytes());
            bytes.extend(header.bytes());
            bytes.extend(values.iter().flat_map(|value| value.to_le_bytes()));
            std::fs::write(folder.path().join(name), bytes)
        };
        let numbers: Vec<f32> = (0..100).map(|n| (n as f32 * 0.7).sin() * 4.0).collect();
        let softmax: Vec<f32> = numbers
            .chunks_exact(2)
            .flat_map(|row| [1.0 / (1.0 + (row[1] - row[0]).exp()), 1.0 / (1.0 + (row[0] - row[1]).exp())])
            .collect();
        write("x.npy", 2, &numbers)?;
        write("y.npy", 1, &(0..50).map(|n| (n % 2) as f32).collect::<Vec<_>>())?;
        write("logits.npy", 2, &numbers)?;
        write("softmax.npy", 2, &softmax)?;
        write("few.npy", 2, &softmax[..40])?;
        write("both.npy", 2, &[numbers.clone(), softmax.clone()].concat())?;
        let teacher = |train: &str, test: &str, parts: &str| {
            let test = if test.is_empty() { String::new() } else { format!("test_logits={{y='{test}'}}\n") };
            let text = format!(
                "[data]\nformat='arrays'\ntrain={{input='x.npy',heads={{y='y.npy'}}}}\n{parts}[[heads]]\nname='y'\n\
                 kind='class'\n[teacher]\narch='saved'\nlogits={{y='{train}'}}\n{test}[student]\narch='mlp'\n"
            );
            let recipe = Recipe::parse(&text, "r.toml", "r", &[])?;
            let data = crate::data::load(&recipe, folder.path())?;
            Teacher::from_files(recipe.teacher.as_ref().context("no teacher")?, &data, folder.path(), vec![0])
        };
        let own = "test={input='x.npy',heads={y='y.npy'}}\n";
        assert_eq!(teacher("softmax.npy", "softmax.npy", own)?.endings, [Some(Ending::Softmax)]);
        assert_eq!(teacher("logits.npy", "logits.npy", own)?.endings, [None]);
        for (train, test, parts, expected) in [
            (
                "softmax.npy",
                "logits.npy",
                own,
                "in softmax.npy look like probabilities that sum to 1, the test samples' in logits.npy like logits",
            ),
            (
                "logits.npy",
                "softmax.npy",
                own,
                "in logits.npy look like logits, the test samples' in softmax.npy like prob",
            ),
            ("both.npy", "", own, "the test samples' in both.npy like probabilities"),
            ("both.npy", "logits.npy", own, "both.npy has the test part already, 100 samples in all"),
            ("logits.npy", "logits.npy", "", "the data have no test part of their own"),
            ("logits.npy", "few.npy", own, "few.npy: has logits of 20 samples, the test part has 50"),
        ] {
            let refused = format!("{:#}", teacher(train, test, parts).err().context("it was taken")?);
            assert!(refused.contains(expected), "{refused}");
        }
        Ok(())
    }

    /// All columns are printed, in the order in which the network gets them: that of the data.
    #[test]
    fn the_order_of_columns_is_printed_in_full() -> Result<()> {
        let folder = tempfile::tempdir()?;
        let rows: String = (0..40).map(|n| format!("{n},{},{},{}\n", n * 2, n % 3, n % 2)).collect();
        std::fs::write(folder.path().join("d.csv"), format!("c2,c1,c3,y\n{rows}"))?;
        let text = "[data]\nformat='csv'\nfile='d.csv'\n[input]\ncolumns={zeta='c2',alpha='c1',mid='c3'}\n[[heads]]\nname='y'\n\
                    kind='binary'\ncolumn='y'\n[student]\narch='mlp'\n[distill]\nmethod='none'\n";
        let data = crate::data::load(&Recipe::parse(text, "r.toml", "r", &[])?, folder.path())?;
        let line = column_order("net.onnx", &data.channels).context("no line")?;
        assert_eq!(line, "net.onnx: its inputs are the columns in this order: alpha, mid, zeta");
        assert_eq!(data.input(7), [14.0, 1.0, 7.0], "the samples have that order");
        let many: Vec<String> = (0..30).map(|n| format!("c{n}")).collect();
        assert!(column_order("net.onnx", &many).is_some_and(|line| line.ends_with("c28, c29")));
        assert_eq!(column_order("net.onnx", &many[..1]), None);
        Ok(())
    }

    /// Outputs that are called as heads are answers to those heads.
    #[test]
    fn outputs_with_the_names_of_heads_are_not_swapped() -> Result<()> {
        let folder = tempfile::tempdir()?;
        let rows: String = (0..40).map(|n| format!("{n},{},{}\n", n % 2, (n / 2) % 2)).collect();
        std::fs::write(folder.path().join("d.csv"), format!("v,y,z\n{rows}"))?;
        let net = File::new(&[0, 1]).node("Neg", &["x"], "z", vec![]).node("Abs", &["x"], "y", vec![]).output("z");
        std::fs::write(folder.path().join("net.onnx"), net.bytes())?;
        let teacher = |heads: &str| {
            let text = "[data]\nformat='csv'\nfile='d.csv'\n[input]\ncolumns={v='v'}\n[[heads]]\nname='z'\nkind='binary'\ncolumn='z'\n\
                 [[heads]]\nname='y'\nkind='binary'\ncolumn='y'\n[teacher]\narch='onnx'\nfile='net.onnx'\n[student]\narch='mlp'\n";
            let recipe = Recipe::parse(text, "r.toml", "r", &[])?;
            let data = crate::data::load(&recipe, folder.path())?;
            let places = heads.split(',').map(|name| data.targets.iter().position(|target| target.name == name));
            let places = places.collect::<Option<Vec<usize>>>().context("no such head")?;
            Teacher::from_files(recipe.teacher.as_ref().context("no teacher")?, &data, folder.path(), places)
        };
        teacher("y,z")?;
        let refused = format!("{:#}", teacher("z,y").err().context("it was taken")?);
        assert!(refused.contains("list them in [teacher] heads in the order of the outputs"), "{refused}");
        Ok(())
    }
}
