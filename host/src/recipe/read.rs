//! Reading a recipe: errors name the file, the line and the nearest right key.

use std::path::Path;

use anyhow::{Context, Result, anyhow, bail, ensure};

use super::{Arch, Fusion, Net, Recipe, Schedule, Weights};
use crate::domain::RegressionLoss;
use crate::facts::{self, EncoderKind, Fact, Scope, Value};
use crate::support::files;
use crate::support::suggest::{did_you_mean, nearest};

impl Recipe {
    /// Returns the recipe in a file, after each of `sets`, `key.path=value`, has been put into it.
    ///
    /// # Errors
    ///
    /// When the file cannot be read, is not TOML, holds a key or a value that is not known, or contradicts itself.
    pub fn read(path: &Path, sets: &[String]) -> Result<Self> {
        let bytes = files::read_at_most(path, MOST_BYTES).context("the recipe")?;
        let text = String::from_utf8(bytes).map_err(|error| {
            let line =
                error.as_bytes()[..error.utf8_error().valid_up_to()].iter().filter(|&&byte| byte == b'\n').count();
            anyhow!("{}:{}: is not UTF-8, expected a recipe in TOML", path.display(), line + 1)
        })?;
        ensure!(!text.trim().is_empty(), "{}: is empty, expected a recipe in TOML", path.display());
        let name = path.file_stem().unwrap_or_default().to_string_lossy();
        Self::parse(&text, &path.display().to_string(), &name, sets)
    }

    /// Returns the recipe in `text`; `file` is what errors call it, `name` what it is called when it does not say.
    ///
    /// # Errors
    ///
    /// As [`Recipe::read`].
    pub fn parse(text: &str, file: &str, name: &str, sets: &[String]) -> Result<Self> {
        let text = with_sets(text, file, sets)?;
        let mut recipe: Self = toml::from_str(&text).map_err(|error| located(file, &text, &error))?;
        if recipe.name.is_empty() {
            recipe.name = name.into();
        }
        recipe.input.name_text();
        recipe.expand_facts().and_then(|()| recipe.check()).with_context(|| file.to_string())?;
        Ok(recipe)
    }

    /// Puts `repeat` facts of their own in the place of a repeated one, and all in the order of the model.
    fn expand_facts(&mut self) -> Result<()> {
        for fact in std::mem::take(&mut self.facts) {
            fact.check().with_context(|| format!("fact {:?}", fact.name))?;
            match fact.repeat {
                None => self.facts.push(fact),
                Some(count) => {
                    let shared = fact.column.is_some() || fact.constant.is_some();
                    ensure!(
                        !shared,
                        "fact {:?}: repeat makes columns of their own: leave out column and constant",
                        fact.name
                    );
                    ensure!((1..=32).contains(&count), "fact {:?}: repeat is {count}, expected 1 to 32", fact.name);
                    self.facts.extend((0..count).map(|i| Fact {
                        name: format!("{}_{i}", fact.name),
                        repeat: None,
                        ..fact.clone()
                    }));
                }
            }
        }
        // What a rule of the teacher depends on is a fact that nobody but it sees.
        let rules = self.distill.rules.iter().enumerate();
        self.facts.extend(rules.map(|(index, rule)| Fact::condition(rule.fact_name(index), rule.when.clone())));
        self.facts = facts::in_order(std::mem::take(&mut self.facts))?;
        Ok(())
    }

    fn check(&self) -> Result<()> {
        // The default folder of the run is called so.
        files::check_component("name", &self.name)?;
        self.check_limits()?;
        ensure!(!self.heads.is_empty(), "there is no [[heads]]: say what the network answers");
        ensure!(self.heads.len() <= attar_shared::MAX_HEADS, "{} heads, at most 8 fit a model", self.heads.len());
        let on_board = self.facts.iter().filter(|fact| !fact.privileged).count();
        ensure!(on_board <= attar_shared::MAX_FACTS, "{on_board} facts, at most 32 fit a model");
        ensure!(self.facts.len() <= 128, "{} facts and rules, expected at most 128", self.facts.len());
        distinct("head", self.heads.iter().map(|head| head.name.as_str()))?;
        distinct("fact", self.facts.iter().map(|fact| fact.name.as_str()))?;
        let sum =
            self.all_teachers().chain(&self.assistant).chain([&self.student]).any(|net| net.fusion == Fusion::Sum);
        for fact in self.facts.iter().filter(|_| sum) {
            ensure!(
                fact.dropout.is_none_or(|chance| chance == 0.0),
                "fact {:?}: fusion \"sum\" has no mask that tells a missing fact from 0: set dropout = 0",
                fact.name
            );
        }
        let inputs: Vec<String> = self.input.columns.keys().cloned().collect();
        Scope::new(&self.facts, &inputs, &self.input.units)?.check(&self.facts)?;
        let share = |name: &str, value: f64| {
            ensure!((0.0..1.0).contains(&value), "{name} is {value}, expected a share from 0 to below 1");
            Ok(())
        };
        share("data.split.test", self.data.split.test)?;
        share("data.split.validation", self.data.split.validation)?;
        ensure!(
            self.data.split.test + self.data.split.validation < 1.0,
            "data.split leaves nothing to train on: test and validation make {}",
            self.data.split.test + self.data.split.validation
        );
        share("data.label_noise", self.data.label_noise)?;
        ensure!(
            self.teacher.is_none() || self.teachers.is_empty(),
            "[teacher] is one network, [[teachers]] are several: take one of the two"
        );
        let teachers = self.all_teachers().map(|net| ("teacher", net));
        let assistant = self.assistant.iter().map(|net| ("assistant", net));
        for (section, net) in teachers.chain(assistant).chain([("student", &self.student)]) {
            net.check().with_context(|| format!("[{section}]"))?;
            let foreign = matches!(net.arch, Arch::Onnx | Arch::Saved);
            ensure!(section == "teacher" || !foreign, "[{section}] arch \"onnx\" and \"saved\" are teachers");
            ensure!(section == "teacher" || net.heads.is_empty(), "[{section}] heads belongs to teachers");
            share(&format!("{section}.dropout"), net.dropout)?;
            share(&format!("{section}.fact_dropout"), net.fact_dropout)?;
        }
        if let Some(net) = &self.assistant {
            ensure!(net.ensemble == 1, "[assistant] ensemble is {}, an assistant is one net", net.ensemble);
            let learns = !self.distill.terms().is_empty();
            ensure!(learns, "[assistant] stands between teacher and student, but distill.method is \"none\"");
        }
        for head in self.heads.iter().filter(|head| head.rest.is_some()) {
            let by_column = head.kind.keys().contains(&"rest") && head.column.is_some();
            ensure!(by_column, "head {:?}: rest belongs to classes that come from a column", head.name);
            ensure!(!head.labels.is_empty(), "head {:?}: rest is what labels do not name: say labels", head.name);
        }
        for head in self.heads.iter().filter(|head| head.partial) {
            let format = self.data.format;
            ensure!(format.has_labels(), "head {:?}: partial is of labels, and format {format:?} has none", head.name);
        }
        ensure!(self.student.ensemble == 1, "[student] ensemble is {}, a student is one net", self.student.ensemble);
        ensure!(self.compare.seeds >= 1, "compare.seeds is 0, expected at least 1");
        ensure!(self.quantize.calibration >= 1, "quantize.calibration is 0, expected at least 1");
        self.check_distill()?;
        self.check_augment()?;
        for (name, bytes) in [("flash", &self.budget.flash), ("ram", &self.budget.ram)] {
            bytes.as_ref().map(super::Bytes::get).transpose().with_context(|| format!("budget.{name}"))?;
        }
        let aware = &self.quantize.aware_rate;
        ensure!(*aware > 0.0 && aware.is_finite(), "quantize.aware_rate is {aware}, expected more than 0");
        ensure!(
            self.quantize.weights != Weights::Auto || self.budget.flash.is_some(),
            "quantize.weights = \"auto\" needs budget.flash, which it is to fit"
        );
        ensure!(
            self.quantize.layers.values().all(|&weights| weights != Weights::Auto),
            "quantize.layers takes \"int8\" and \"int4\""
        );
        self.check_data()
    }

    /// Returns the teachers, whichever way they are written.
    pub fn all_teachers(&self) -> impl Iterator<Item = &Net> {
        self.teacher.iter().chain(&self.teachers)
    }

    fn check_distill(&self) -> Result<()> {
        let distill = &self.distill;
        let terms = distill.terms();
        // Also where no loss uses it.
        let temperature = distill.temperature.map_or([1.0; 2], super::Scheduled::ends);
        if let Some(bad) = temperature.into_iter().find(|t| !(*t > 0.0 && t.is_finite())) {
            bail!("distill.temperature is {bad}, expected more than 0");
        }
        let teachers: Vec<&Net> = self.all_teachers().collect();
        for term in &terms {
            let ends = term.temperature.map_or([1.0; 2], super::Scheduled::ends);
            if let Some(bad) = ends.into_iter().find(|t| !(*t > 0.0 && t.is_finite())) {
                bail!("distill.losses: temperature is {bad}, expected more than 0");
            }
            for key in term.kind.keys() {
                term.numbers.given(key).map_or(Ok(()), |value| key.check(value)).context("distill.losses")?;
            }
        }
        let weights = terms.iter().filter_map(|term| Some(("soft", term.weight?)));
        for (name, weight) in weights.chain([("hard", distill.hard_weight())]) {
            let bad = weight.ends().into_iter().find(|weight| !(*weight >= 0.0 && weight.is_finite()));
            ensure!(bad.is_none(), "distill.{name} is {}, expected 0 or more", bad.unwrap_or_default());
        }
        for head in &self.heads {
            ensure!(
                head.temperature.is_none_or(|t| t > 0.0 && t.is_finite()),
                "head {:?}: temperature is {}, expected more than 0",
                head.name,
                head.temperature.unwrap_or_default()
            );
            ensure!(
                head.weight >= 0.0 && head.weight.is_finite(),
                "head {:?}: weight is {}, expected 0 or more",
                head.name,
                head.weight
            );
            ensure!(
                head.loss == RegressionLoss::Mse || head.kind.keys().contains(&"loss"),
                "head {:?}: loss belongs to heads of kind \"regression\"",
                head.name
            );
        }
        for rule in &distill.rules {
            ensure!(
                self.heads.iter().any(|head| head.name == rule.head),
                "distill.rules: there is no head {:?}{}",
                rule.head,
                did_you_mean(&rule.head, self.heads.iter().map(|head| head.name.as_str()))
            );
            let varied = self.augment.mixup.is_some()
                || self.augment.is_any() && rule.when.names().any(|name| self.input.columns.contains_key(name))
                || self.augment.pace.as_ref().is_some_and(|pace| rule.when.names().any(|name| name == pace.fact));
            ensure!(!varied, "distill.rules: {:?} depends on what [augment] changes", rule.when.text());
            let good = rule.strength > 0.0 && rule.strength.is_finite();
            ensure!(good, "distill.rules: strength is {}, expected more than 0", rule.strength);
            ensure!(!terms.is_empty(), "distill.rules change what a teacher says, but distill.method is \"none\"");
        }
        ensure!(
            (1..=20).contains(&distill.generations),
            "distill.generations is {}, expected 1 to 20",
            distill.generations
        );
        if terms.is_empty() {
            ensure!(distill.generations == 1, "distill.generations needs a method: a student learns from what it was");
            return Ok(());
        }
        ensure!(!teachers.is_empty(), "[teacher] is missing: describe it, or set distill.method = \"none\"");
        let all = [distill.hard_weight()]
            .into_iter()
            .chain(terms.iter().map(|term| term.weight.unwrap_or(super::Scheduled::Constant(1.0))));
        ensure!(all.into_iter().any(|weight| weight.ends() != [0.0; 2]), "distill.hard and distill.soft are both 0");
        for teacher in &teachers {
            for name in &teacher.heads {
                let names = || self.heads.iter().map(|head| head.name.as_str());
                ensure!(
                    names().any(|known| known == name),
                    "a teacher answers head {name:?}, which there is not{}",
                    did_you_mean(name, names())
                );
            }
        }
        for head in &self.heads {
            let answering =
                teachers.iter().filter(|net| net.heads.is_empty() || net.heads.contains(&head.name)).count();
            ensure!(answering < 2, "head {:?} has {answering} teachers: say in each which heads it answers", head.name);
            let learns = answering > 0 || distill.balance == super::Balance::Uncertainty || head.weight > 0.0;
            ensure!(learns, "head {:?} has neither a teacher nor a weight for its labels", head.name);
        }
        let looks = terms.iter().any(|term| term.kind.is_of_layers());
        ensure!(
            !looks
                || (teachers.len() == 1
                    && teachers[0].ensemble == 1
                    && self.assistant.is_none()
                    && distill.generations == 1),
            "losses of layers look into one network: a single [teacher] with ensemble = 1, without assistant and generations"
        );
        Ok(())
    }

    fn check_augment(&self) -> Result<()> {
        let augment = &self.augment;
        ensure!(
            augment.crop.is_none_or(|crop| crop > 0.0 && crop <= 1.0),
            "augment.crop is {:?}, expected above 0 to 1",
            augment.crop
        );
        for (name, value, below) in [("noise", augment.noise, f64::INFINITY), ("scale", augment.scale, 1.0)] {
            ensure!(value >= 0.0 && value < below, "augment.{name} is {value}, expected from 0 to below {below}");
        }
        if let Some(mask) = &augment.mask {
            for (axis, share) in ["height", "width", "channels"].into_iter().zip(mask.shares()) {
                ensure!((0.0..1.0).contains(&share), "augment.mask.{axis} is {share}, expected from 0 to below 1");
            }
        }
        ensure!(
            augment.mixup.is_none_or(|alpha| alpha > 0.0 && alpha.is_finite()),
            "augment.mixup is {:?}, expected more than 0",
            augment.mixup
        );
        ensure!(
            augment.mixup.is_none() || self.facts.iter().all(|fact| fact.encoder() == EncoderKind::None),
            "augment.mixup would mix facts as well, which stay as they are"
        );
        ensure!(
            !augment.is_any() || self.all_teachers().all(|net| net.arch != Arch::Saved),
            "[augment] varies the samples, of which saved logits say nothing: take the teacher itself"
        );
        if let Some(pace) = &augment.pace {
            let good = pace.by > 0.0 && pace.by <= 1.0;
            ensure!(good, "augment.pace.by is {}, expected above 0 to 1", pace.by);
            let fact = self.facts.iter().find(|fact| fact.name == pace.fact);
            let fact = fact.with_context(|| {
                let near = did_you_mean(&pace.fact, self.facts.iter().map(|fact| fact.name.as_str()));
                format!("augment.pace: there is no fact {:?}{near}", pace.fact)
            })?;
            let number = fact.kind.value() == Value::Number && !fact.kind.is_computed();
            ensure!(number, "augment.pace: fact {:?} is no number that is set", pace.fact);
            ensure!(augment.mixup.is_none(), "augment.pace changes a fact, which mixup would mix");
        }
        ensure!(augment.is_any() || augment.views == 0, "augment.views without anything that varies");
        ensure!(
            !augment.is_any() || self.heads.iter().all(|head| !head.kind.is_input()),
            "[augment] would change what a reconstruction has to give back"
        );
        Ok(())
    }
}

impl Net {
    fn check(&self) -> Result<()> {
        self.check_limits()?;
        let stages = self.channels.len();
        let cnn = matches!(self.arch, Arch::Cnn | Arch::Cnn1d);
        let stage_keys = [&self.channels, &self.kernel, &self.stride, &self.pool];
        ensure!(
            cnn || (stage_keys.iter().all(|list| list.is_empty()) && !self.separable && !self.residual),
            "channels, kernel, stride, pool, separable and residual belong to arch \"cnn\" and \"cnn1d\""
        );
        ensure!(!cnn || stages > 0, "arch \"cnn\" needs channels = [...]");
        let sized = !matches!(self.arch, Arch::Mlp | Arch::Cnn | Arch::Cnn1d | Arch::Layers);
        ensure!(
            sized || (self.width.is_none() && self.depth.is_none()),
            "width and depth belong to dscnn, resnet, mobilenet-v1, autoencoder, tcn, gru and lstm, width to bag"
        );
        ensure!(self.arch != Arch::Bag || self.depth.is_none(), "arch \"bag\" has no depth");
        let grams = self.buckets.is_some() || self.letters.is_some() || self.words.is_some();
        ensure!(self.arch == Arch::Bag || !grams, "buckets, letters and words belong to arch \"bag\"");
        for (name, size) in [("width", self.width), ("depth", self.depth)] {
            ensure!(size.is_none_or(|size| (1..=4096).contains(&size)), "{name} is {size:?}, expected 1 to 4096");
        }
        let onnx = self.arch == Arch::Onnx;
        ensure!(
            onnx || (self.file.is_none() && self.divide == 1.0 && self.mean.is_empty() && self.deviation.is_empty()),
            "file, divide, mean and deviation belong to arch \"onnx\""
        );
        ensure!(!onnx || self.file.is_some(), "arch \"onnx\" needs file = \"FILE.onnx\"");
        let good = |x: &f32| x.is_finite() && *x != 0.0;
        ensure!(good(&self.divide), "divide is {}, expected a number other than 0", self.divide);
        ensure!(self.mean.iter().all(|x| x.is_finite()), "mean holds {:?}, expected finite numbers", self.mean);
        ensure!(self.deviation.iter().all(good), "deviation holds {:?}, expected numbers other than 0", self.deviation);
        let saved = self.arch == Arch::Saved;
        ensure!(!(onnx || saved) || self.ensemble == 1, "ensemble belongs to networks that are trained here");
        ensure!(
            saved || (self.logits.is_empty() && self.test_logits.is_empty()),
            "logits and test_logits belong to arch \"saved\""
        );
        ensure!(onnx || saved || self.outputs.is_none(), "outputs belongs to arch \"onnx\" and \"saved\"");
        ensure!(
            onnx || (self.check.is_none() && self.test_check.is_none()),
            "check and test_check belong to arch \"onnx\""
        );
        ensure!(!saved || !self.logits.is_empty(), "arch \"saved\" needs logits = {{ HEAD = \"FILE\" }}");
        let listed = self.arch == Arch::Layers;
        ensure!(listed || self.layers.is_empty(), "layers belongs to arch \"layers\"");
        ensure!(!listed || !self.layers.is_empty(), "arch \"layers\" needs layers = [...]");
        for (name, list) in [("kernel", &self.kernel), ("stride", &self.stride), ("pool", &self.pool)] {
            ensure!(
                list.len() <= 1 || list.len() == stages,
                "{name} has {} entries, expected 1 or {stages} (as many as channels)",
                list.len()
            );
        }
        for (name, list) in [
            ("hidden", &self.hidden),
            ("channels", &self.channels),
            ("kernel", &self.kernel),
            ("stride", &self.stride),
            ("pool", &self.pool),
        ] {
            if let Some(size) = list.iter().find(|&&size| size == 0 || size > 65_535) {
                bail!("{name} holds {size}, expected 1 to 65535");
            }
        }
        ensure!(self.batch >= 1, "batch is 0, expected at least 1");
        ensure!(self.ensemble >= 1, "ensemble is 0, expected at least 1");
        ensure!(self.rate > 0.0 && self.rate.is_finite(), "rate is {}, expected more than 0", self.rate);
        ensure!(
            (self.schedule == Schedule::Steps) != self.steps.is_empty(),
            "steps = [...] and schedule = \"steps\" belong together"
        );
        ensure!(self.warm_up >= 0.0 && self.warm_up.is_finite(), "warm_up is {}, expected 0 or more", self.warm_up);
        let positive = |name: &str, value: Option<f64>, below: f64| {
            let good = value.is_none_or(|value| value >= 0.0 && value < below);
            ensure!(good, "{name} is {}, expected from 0 to below {below}", value.unwrap_or_default());
            Ok(())
        };
        positive("decay", self.decay, f64::INFINITY)?;
        positive("momentum", Some(self.momentum), 1.0)?;
        positive("average", self.average, 1.0)?;
        positive("step_factor", Some(self.step_factor), f64::INFINITY)?;
        ensure!(self.clip.is_none_or(|clip| clip > 0.0), "clip is {:?}, expected more than 0", self.clip);
        ensure!(self.patience != Some(0), "patience is 0, expected at least 1");
        ensure!(
            self.fusion != Fusion::Sum || self.fact_dropout == 0.0,
            "fusion \"sum\" has no mask that tells a missing fact from 0: set fact_dropout = 0"
        );
        Ok(())
    }
}

/// A recipe is written by hand; the longest here has a few thousand.
const MOST_BYTES: u64 = 4 << 20;

fn distinct<'a>(what: &str, names: impl Iterator<Item = &'a str>) -> Result<()> {
    let mut seen = std::collections::BTreeSet::new();
    for name in names {
        ensure!(!name.is_empty() && name.len() <= 255, "a {what} has no name, or one of more than 255 bytes");
        ensure!(seen.insert(name), "{what} {name:?} appears twice");
    }
    Ok(())
}

/// Puts each `key.path=value` into the text, whose lines stay where they are.
fn with_sets(text: &str, file: &str, sets: &[String]) -> Result<String> {
    if sets.is_empty() {
        return Ok(text.into());
    }
    let mut document: toml_edit::DocumentMut = text.parse().map_err(|error| anyhow!("{file}: {error}"))?;
    for set in sets {
        let (key, value) = set.split_once('=').with_context(|| format!("--set {set}: expected key=value"))?;
        let value: toml_edit::Value = value.trim().parse().unwrap_or_else(|_| value.trim().into());
        let mut item = document.as_item_mut();
        for part in key.trim().split('.') {
            ensure!(!part.is_empty(), "--set {set}: the key has an empty part");
            ensure!(
                item.is_none() || item.is_table_like(),
                "--set {set}: {part:?} is not a key of a table; lists like [[facts]] are edited in the recipe"
            );
            item = &mut item[part];
        }
        *item = toml_edit::value(value);
    }
    Ok(document.to_string())
}

/// Puts file, line and the nearest right key to what the TOML reader says.
fn located(file: &str, text: &str, error: &toml::de::Error) -> anyhow::Error {
    let start = start_of(text, error);
    let before = text.get(..start).unwrap_or_default();
    let line = before.matches('\n').count() + 1;
    let column = before.chars().rev().take_while(|&c| c != '\n').count() + 1;
    let message = error.message().trim_end();
    let mut quoted = message.split('`').skip(1).step_by(2);
    let advice = match (quoted.next(), message.starts_with("unknown")) {
        (Some(wrong), true) => nearest(wrong, quoted).map(|right| format!(" (did you mean `{right}`?)")),
        _ => None,
    };
    anyhow!("{file}:{line}:{column}: {message}{}", advice.unwrap_or_default())
}

/// Returns where an error begins. Of a key that a table of this kind does not have it knows no more than the table.
fn start_of(text: &str, error: &toml::de::Error) -> usize {
    let start = error.span().map_or(0, |span| span.start);
    let unknown = error.message().strip_prefix("unknown field `").and_then(|rest| rest.split('`').next());
    let (Some(key), Some(table)) = (unknown, text.get(start..)) else { return start };
    let mut at = start;
    for (number, line) in table.split_inclusive('\n').enumerate() {
        if number > 0 && line.trim_start().starts_with('[') {
            break;
        }
        let indent = line.len() - line.trim_start().len();
        let after = line.trim_start().strip_prefix(key).map(str::trim_start);
        if after.is_some_and(|after| after.starts_with('=')) {
            return at + indent;
        }
        at += line.len();
    }
    start
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINIMAL: &str = r#"
[data]
format = "random"
samples = 10
[input]
shape = [4]
[[heads]]
name = "y"
kind = "regression"
outputs = 2
[teacher]
arch = "mlp"
[student]
arch = "mlp"
epochs = 3
"#;

    fn error(text: &str, sets: &[&str]) -> String {
        let sets: Vec<String> = sets.iter().map(|set| set.to_string()).collect();
        format!("{:#}", Recipe::parse(text, "r.toml", "r", &sets).unwrap_err())
    }

    #[test]
    fn misspelt_key_is_named_with_its_line_and_the_nearest_right_one() {
        let message = error(&MINIMAL.replace("epochs", "epohcs"), &[]);
        assert!(message.contains("r.toml:15:") && message.contains("did you mean `epochs`"), "{message}");
    }

    /// The reader of TOML knows the place of such a key no closer than its table.
    #[test]
    fn key_of_another_kind_is_named_with_its_line() {
        let losses = "[[distill.losses]]\nkind = \"mse\"\n[[distill.losses]]\nkind = \"dkd\"\nweight = 1\nbeta = 2\n  ";
        let lines = MINIMAL.lines().count();
        for (key, column, expected) in [
            ("gamma = 2", 3, "loss \"dkd\" has no key gamma"),
            ("alpa = 2", 3, "did you mean `alpha`"),
            ("[[distill.losses]]\n kind = \"hint\"\n beta = 3", 2, "loss \"hint\" has no key beta"),
        ] {
            let line = lines + 6 + key.lines().count();
            let message = error(&format!("{MINIMAL}{losses}{key}\n"), &[]);
            assert!(message.contains(&format!("r.toml:{line}:{column}: ")) && message.contains(expected), "{message}");
        }
    }

    #[test]
    fn misspelt_section_and_value_are_named() {
        let message = error(&MINIMAL.replace("[input]", "[inptu]"), &[]);
        assert!(message.contains("did you mean `input`"), "{message}");
        let message = error(&MINIMAL.replace("\"random\"", "\"randm\""), &[]);
        assert!(message.contains("did you mean `random`"), "{message}");
    }

    #[test]
    fn set_changes_a_value_and_refuses_what_is_not_there() {
        let sets = ["student.epochs=7".to_string(), "name=other".to_string()];
        let recipe = Recipe::parse(MINIMAL, "r.toml", "r", &sets).unwrap();
        assert_eq!((recipe.student.epochs, recipe.name.as_str()), (7, "other"));
        assert!(error(MINIMAL, &["student.epohcs=7"]).contains("did you mean `epochs`"));
        assert!(error(MINIMAL, &["student.epochs"]).contains("expected key=value"));
        assert!(error(MINIMAL, &["heads.name=z"]).contains("not a key of a table"));
    }

    #[test]
    fn contradictions_are_refused() {
        for (set, expected) in [
            ("data.split.test=0.95", "leaves nothing to train on"),
            ("student.batch=0", "batch is 0"),
            ("student.hidden=[0]", "hidden holds 0"),
            ("student.channels=[4]", "belong to arch \"cnn\""),
            ("student.width=4", "width and depth belong to"),
            ("student.arch=layers", "needs layers"),
            ("distill.temperature=0", "temperature is 0"),
            ("distill.temperature=nan", "temperature is NaN"),
            ("distill.temperature={ start = 1, end = nan }", "temperature is NaN"),
            ("data.samples=100000000000", "data.samples is 100000000000, expected at most"),
            ("data.samples=100000000", "data.samples x input.shape: 100000000 x 4 values, expected at most"),
            ("input.shape=[65535, 65535, 65535]", "input.shape: 65535 x 65535 x 65535 values"),
            ("student.batch=100000000", "batch is 100000000, expected at most"),
            ("student.epochs=100000000", "epochs is 100000000, expected at most"),
            ("teacher.ensemble=100000000", "ensemble is 100000000, expected at most"),
            ("name=..", "name is \"..\", expected the name of a folder"),
            ("name=/abs", "name is \"/abs\", expected the name of a folder"),
            ("name=../../x", "expected the name of a folder"),
            ("data.file=x.csv", "belongs to format \"csv\""),
            ("compare.seeds=0", "seeds is 0"),
        ] {
            let message = error(MINIMAL, &[set]);
            assert!(message.contains(expected), "{set}: {message}");
        }
    }

    #[test]
    fn repeated_fact_becomes_facts_of_their_own() {
        let text = format!("{MINIMAL}[[facts]]\nname = \"f\"\nkind = \"number\"\nrepeat = 3\n");
        let recipe = Recipe::parse(&text, "r.toml", "r", &[]).unwrap();
        let names: Vec<_> = recipe.facts.iter().map(|fact| fact.name.as_str()).collect();
        assert_eq!(names, ["f_0", "f_1", "f_2"]);
    }
}
