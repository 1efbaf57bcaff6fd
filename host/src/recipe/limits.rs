//! Limits of sizes, which are held against the recipe before anything is allocated: a recipe comes from anywhere, and a size in
//! it must not take the memory of the machine.

use anyhow::{Result, ensure};

use super::{Layer, LayerKind, Net, Recipe};
use crate::domain::limits::{COMPUTED_VALUES, MADE_VALUES, check_product};

/// Values that the answers of teachers, of an assistant and of former generations take on the disk, all views and seeds together.
const KEPT_VALUES: usize = 2 * COMPUTED_VALUES;

/// Views of which answers are kept, each in a file of its own.
const KEPT_VIEWS: usize = 1 << 14;

/// Values of one sample; an arena on a board has far fewer.
const SAMPLE_VALUES: usize = 1 << 24;

fn at_most(key: &str, value: usize, limit: usize) -> Result<()> {
    ensure!(value <= limit, "{key} is {value}, expected at most {limit}");
    Ok(())
}

impl Recipe {
    /// Checks what the answers of a run to some views of samples take in memory, and in the run folder.
    ///
    /// # Errors
    ///
    /// When they take too much, with the keys that make it.
    pub fn check_answers(&self, views: usize, samples: usize, outputs: usize) -> Result<()> {
        const VIEWS: &str = "views (augment.views, epochs)";
        ensure!(
            views <= KEPT_VIEWS,
            "{VIEWS}: the teacher answers {views} views, each kept in a file, expected at most {KEPT_VIEWS}: say augment.views = 100"
        );
        check_product(&format!("{VIEWS} x samples x outputs"), &[views, samples, outputs], COMPUTED_VALUES)?;
        let generations = self.compare.seeds.saturating_mul(self.distill.generations.saturating_sub(1));
        let sets = 1 + usize::from(self.assistant.is_some()) + generations;
        let kept = format!("answers kept of teacher, assistant and generations x seeds, x {VIEWS} x samples x outputs");
        check_product(&kept, &[sets, views, samples, outputs], KEPT_VALUES)
    }

    /// Checks the sizes that the recipe alone says.
    pub(super) fn check_limits(&self) -> Result<()> {
        let samples = self.data.samples.unwrap_or(1);
        let made = |what: &str, values: usize| {
            let keys = format!("data.samples x {what}");
            check_product(&keys, &[samples, values], MADE_VALUES)
        };
        at_most("data.samples", samples, MADE_VALUES)?;
        check_product("input.shape", &self.input.shape, SAMPLE_VALUES)?;
        for head in &self.heads {
            let outputs = head.outputs.unwrap_or(1);
            ensure!(
                (1..=MOST_OUTPUTS).contains(&outputs),
                "head {:?}: outputs is {outputs}, expected 1 to {MOST_OUTPUTS}",
                head.name
            );
            at_most(&format!("head {:?}: labels, in number,", head.name), head.labels.len(), MOST_OUTPUTS)?;
            at_most(&format!("head {:?}: columns, in number,", head.name), head.columns.len(), MOST_OUTPUTS)?;
        }
        for (what, values) in self.data.format.made(self) {
            made(what, values)?;
        }
        at_most("augment.shift", self.augment.shift, MOST_SIZE)?;
        at_most("augment.views", self.augment.views, MOST_EPOCHS)?;
        at_most("augment.pace.first_line", self.augment.pace.as_ref().map_or(0, |pace| pace.first_line), MOST_SIZE)?;
        at_most("quantize.calibration", self.quantize.calibration, MADE_VALUES)?;
        at_most("quantize.aware_epochs", self.quantize.aware_epochs, MOST_EPOCHS)?;
        at_most("quantize.tests", self.quantize.tests, MOST_TESTS)?;
        at_most("compare.seeds", self.compare.seeds, MOST_SEEDS)
    }
}

impl Net {
    /// Checks the sizes that the network's keys say; those of its layers together are checked where they are built.
    pub(super) fn check_limits(&self) -> Result<()> {
        at_most("depth", self.depth.unwrap_or(1), MOST_DEPTH)?;
        at_most("epochs", self.epochs, MOST_EPOCHS)?;
        at_most("batch", self.batch, MOST_BATCH)?;
        at_most("ensemble", self.ensemble, MOST_ENSEMBLE)?;
        for (key, len) in
            [("hidden", self.hidden.len()), ("channels", self.channels.len()), ("steps", self.steps.len())]
        {
            at_most(&format!("{key}, in number,"), len, MOST_DEPTH)?;
        }
        let count = count_of(&self.layers);
        at_most("layers, in number,", count, 4 * MOST_DEPTH)
    }
}

/// Returns the number of layers, those of residual ones among them.
fn count_of(layers: &[Layer]) -> usize {
    layers
        .iter()
        .map(|layer| match layer.kind {
            LayerKind::Residual => 1 + count_of(&layer.layers) + count_of(&layer.shortcut),
            _ => 1,
        })
        .sum()
}

/// Outputs of a head, and channels: what the format has room for.
const MOST_OUTPUTS: usize = 65_535;

/// Sizes along an axis: what the format has room for.
const MOST_SIZE: usize = 65_535;

/// Blocks of a family, or entries of a list of layers.
const MOST_DEPTH: usize = 256;

/// Passes over the training split.
const MOST_EPOCHS: usize = 1_000_000;

/// Samples in a step.
const MOST_BATCH: usize = 1 << 20;

/// Networks whose logits are averaged.
const MOST_ENSEMBLE: usize = 100;

/// Seeds for each student.
const MOST_SEEDS: usize = 1000;

/// Self-test vectors: what the format has room for.
const MOST_TESTS: usize = 65_535;

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::time::{Duration, Instant};

    use toml::Value;

    use super::*;
    use crate::data;
    use crate::net;

    /// Keys that few recipes hold, with one of each format.
    const RANDOM: &str = r#"
seed = 1
[data]
format = "random"
samples = 60
seed = 2
split = { test = 0.2, validation = 0.1 }
[input]
shape = [4, 6, 2]
[[facts]]
name = "a"
kind = "number"
encoder = "z-score"
mean = 0.0
deviation = 1.0
dropout = 0.1
[[facts]]
name = "b"
kind = "number"
encoder = "range"
low = -1.0
high = 1.0
[[facts]]
name = "c"
kind = "number"
encoder = "periodic"
period = 3.0
repeat = 2
[[heads]]
name = "y"
kind = "regression"
outputs = 3
weight = 1.0
temperature = 2.0
[augment]
shift = 1
crop = 0.9
noise = 0.1
scale = 0.1
views = 2
mask = { height = 0.1, width = 0.1, channels = 0.1 }
pace = { fact = "a", by = 0.1, axis = "frequency", first_line = 1 }
[teacher]
arch = "layers"
ensemble = 2
layers = [
  { kind = "conv", channels = 4, kernel = [3, 3], stride = 1, dilation = 1 },
  { kind = "residual", layers = [{ kind = "depthwise", kernel = 3 }] },
  { kind = "max-pool", kernel = 2, stride = 1 },
  { kind = "dropout", share = 0.1 },
  { kind = "facts" },
  { kind = "global-average" },
]
[assistant]
arch = "resnet"
width = 4
depth = 1
[student]
arch = "cnn"
channels = [4, 4]
kernel = [3]
stride = [1]
pool = [2, 1]
hidden = [8]
dropout = 0.1
fact_dropout = 0.1
epochs = 2
batch = 16
rate = 0.01
optimizer = "sgd"
momentum = 0.9
decay = 0.001
schedule = "steps"
steps = [1]
step_factor = 0.1
warm_up = 0.5
clip = 1.0
average = 0.9
patience = 3
[distill]
method = "mse"
temperature = { start = 4.0, end = 1.0 }
hard = { start = 0.1, end = 0.5 }
soft = 0.9
generations = 1
losses = [{ kind = "huber", weight = 0.5 }]
[[distill.rules]]
when = "b > 0.5"
head = "y"
strength = 4.0
[quantize]
calibration = 32
aware_epochs = 1
aware_rate = 0.0003
tests = 2
[budget]
flash = 100000
ram = "64 KiB"
macs = 1000000
[compare]
seeds = 1
"#;

    /// Paths to the numbers in a value, through tables and lists.
    fn numbers(value: &Value, path: &[String], found: &mut Vec<Vec<String>>) {
        let below = |part: String| [path, &[part]].concat();
        match value {
            Value::Integer(_) | Value::Float(_) => found.push(path.to_vec()),
            Value::Table(table) => table.iter().for_each(|(key, value)| numbers(value, &below(key.clone()), found)),
            Value::Array(list) => {
                list.iter().enumerate().for_each(|(at, value)| numbers(value, &below(at.to_string()), found));
            }
            _ => {}
        }
    }

    fn at<'a>(value: &'a mut Value, path: &[String]) -> &'a mut Value {
        path.iter().fold(value, |value, part| match value {
            Value::Array(list) => &mut list[part.parse::<usize>().unwrap()],
            other => other.get_mut(part.as_str()).unwrap(),
        })
    }

    /// Whatever number stands at a key, a recipe is taken or refused, at once and without a panic; what is taken makes networks, and
    /// data where they are made from nothing.
    #[test]
    fn no_number_in_a_recipe_panics_or_takes_long() {
        let mut recipes = vec![("random".to_string(), RANDOM.to_string())];
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("recipes");
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            recipes.push((path.display().to_string(), std::fs::read_to_string(path).unwrap()));
        }
        let hostile = [
            Value::Integer(0),
            Value::Integer(1),
            Value::Integer(-1),
            Value::Integer(70_000),
            Value::Integer(100_000_000_000),
            Value::Integer(i64::MAX),
            Value::Float(f64::NAN),
            Value::Float(f64::INFINITY),
            Value::Float(f64::NEG_INFINITY),
            Value::Float(-0.5),
            Value::Float(1e300),
            Value::Float(1e-310),
        ];
        let (mut tried, mut taken) = (0, 0);
        for (name, text) in &recipes {
            let mut good: Value = toml::from_str(text).unwrap();
            let parse = |value: &Value| Recipe::parse(&toml::to_string(value).unwrap(), name, "test", &[]);
            // Fewer samples make the same errors.
            if good["data"].get("samples").is_some() {
                good["data"]["samples"] = Value::Integer(60);
            }
            parse(&good).unwrap_or_else(|error| panic!("{name}: {error:#}"));
            let mut paths = Vec::new();
            numbers(&good, &[], &mut paths);
            for path in &paths {
                for bad in &hostile {
                    let mut changed = good.clone();
                    *at(&mut changed, path) = bad.clone();
                    let start = Instant::now();
                    tried += 1;
                    let Ok(recipe) = parse(&changed) else { continue };
                    taken += 1;
                    for net in recipe.all_teachers().chain(&recipe.assistant).chain([&recipe.student]) {
                        let _ = net::build(net, [8, 16, 2], None, &[("y".into(), 3)]);
                    }
                    let huge = bad.as_integer().is_some_and(|number| number > 1);
                    if recipe.data.samples.is_some() && !huge {
                        let _ = data::load(&recipe, Path::new("."));
                    }
                    let limit = Duration::from_secs(5);
                    assert!(start.elapsed() < limit, "{name}: {} = {bad} took {:?}", path.join("."), start.elapsed());
                }
            }
        }
        assert!(tried > 1000 && taken > 100, "{tried} recipes, {taken} taken");
    }

    /// The message names the key, the value and the limit.
    #[test]
    fn sizes_beyond_their_limits_are_named() {
        for (set, expected) in [
            (
                "heads=[{ name = 'y', kind = 'regression', outputs = 0 }]",
                "head \"y\": outputs is 0, expected 1 to 65535",
            ),
            ("heads=[{ name = 'y', kind = 'regression', outputs = 70000 }]", "outputs is 70000"),
            ("student.patience=0", "patience is 0"),
            ("augment.shift=70000", "augment.shift is 70000, expected at most 65535"),
            ("quantize.aware_epochs=10000000", "quantize.aware_epochs is 10000000, expected at most 1000000"),
            ("compare.seeds=100000", "compare.seeds is 100000, expected at most 1000"),
            ("assistant.depth=4000", "depth is 4000, expected at most 256"),
        ] {
            let error = format!("{:#}", Recipe::parse(RANDOM, "r.toml", "r", &[set.into()]).unwrap_err());
            assert!(error.contains(expected), "{set}: {error}");
        }
        let recipe = Recipe::parse(RANDOM, "r.toml", "r", &["student.hidden=[65535, 65535]".into()]).unwrap();
        let error = net::build(&recipe.student, [8, 16, 2], None, &[("y".into(), 3)]).unwrap_err();
        assert!(error.to_string().contains("has 4294836225 weights"), "{error:#}");
    }

    /// Answers that are kept have a limit in files and in values, whatever keys multiply them.
    #[test]
    fn answers_that_are_kept_are_bounded() {
        let recipe = |sets: &[&str]| {
            let sets: Vec<String> = sets.iter().map(|set| set.to_string()).collect();
            Recipe::parse(RANDOM, "r.toml", "r", &sets).unwrap()
        };
        let plain = recipe(&["augment.views=0", "student.epochs=1000000"]);
        plain.check_answers(2, 60_000, 10).unwrap();
        let error = plain.check_answers(1_000_000, 60, 3).unwrap_err().to_string();
        assert!(error.contains("1000000 views") && error.contains("augment.views = 100"), "{error}");
        assert!(plain.check_answers(2000, 60_000, 10).is_err());
        let many = recipe(&["distill.generations=20", "compare.seeds=1000"]);
        let error = many.check_answers(2, 60_000, 10).unwrap_err().to_string();
        assert!(error.contains("19002 x 2 x 60000 x 10 values"), "{error}");
    }

    /// What a format does not read is not there for nothing.
    #[test]
    fn keys_that_a_format_does_not_read_are_refused() {
        let csv = "[data]\nformat = 'csv'\nfile = 'x.csv'\n[input]\ncolumns = { a = 'a' }\n\
            [[heads]]\nname = 'y'\nkind = 'class'\ncolumn = 'y'\n[student]\narch = 'mlp'\n[distill]\nmethod = 'none'\n";
        Recipe::parse(csv, "r.toml", "r", &[]).unwrap();
        for (set, expected) in [
            ("input.shape=[1, 1, 1]", "input.shape belongs to formats \"arrays\""),
            ("data.samples=100", "data.samples belongs to formats \"bearing\", \"commands\" and \"random\""),
            ("data.seed=3", "data.seed belongs to"),
            (
                "heads=[{ name = 'y', kind = 'regression', column = 'y', outputs = 2 }]",
                "outputs belongs to format \"random\"",
            ),
        ] {
            let error = format!("{:#}", Recipe::parse(csv, "r.toml", "r", &[set.into()]).unwrap_err());
            assert!(error.contains(expected), "{set}: {error}");
        }
    }
}
