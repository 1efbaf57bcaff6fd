//! `attar run`.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use attar::data::{member_of, read_array};
use attar::domain::array::{check_axes, check_series_axes};
use attar::heads::HeadKind;
use attar::recipe::Recipe;
use attar::student::engine;
use attar::support::progress::{one_line, say};
use attar::support::suggest::{did_you_mean, listed, shortened};
use attar::tables::Table;
use attar_device::{Error, Facts, HeadOutput, Session, Student};
use attar_shared::{Category, Fact, FactKind};
use clap::Args;
use serde_json::{Map, Value, json};

use super::columns::{Columns, Tables, fact_cells};
use super::{parse_model, print, print_json, read_model};

/// Arguments of `run`.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The model.
    model: PathBuf,
    /// The samples in raw units: CSV with a column for each channel or value, npy, npz, safetensors or IDX; `FILE#member` picks an
    /// array of several. The columns of a CSV are called as in the data of the recipe, or as in the model; what was
    /// matched to what is printed. Of a model over series, a row of a CSV is the next step of one series, a row of an array a
    /// whole one.
    /// Of a model over texts, a CSV with a column called like its input, or a text file with a text in each line.
    #[arg(long, value_name = "FILE", required_unless_present = "text")]
    input: Option<PathBuf>,
    /// A text, of a model that reads texts; may be repeated.
    #[arg(long, value_name = "TEXT", conflicts_with = "input")]
    text: Vec<String>,
    /// A fact for all samples, in its own unit, as in rpm=1772; may be repeated. Where the table has a column for it, it fills the
    /// column's empty cells. Facts that are not given are missing.
    #[arg(long = "fact", value_name = "NAME=VALUE")]
    facts: Vec<String>,
    /// Treat facts without a column in the CSV as missing instead of refusing the file.
    #[arg(long)]
    missing_facts: bool,
    /// The recipe that names the columns of the data; the default is recipe.toml beside the model.
    #[arg(long, value_name = "RECIPE")]
    recipe: Option<PathBuf>,
    #[command(flatten)]
    tables: Tables,
    /// Runs this many samples at most.
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    /// Prints the answers as one JSON array.
    #[arg(long)]
    json: bool,
}

/// What samples hold.
enum Inputs {
    Numbers(Vec<Vec<f32>>),
    Texts(Vec<String>),
}

/// Samples with the facts that came with them, by name.
struct Samples {
    inputs: Inputs,
    facts: Vec<(String, Vec<String>)>,
    /// Whether each is a whole series, which starts afresh.
    series: bool,
    /// The number of each in its file, where some were left out.
    numbers: Option<Vec<usize>>,
}

impl Samples {
    /// Returns samples without facts of their own.
    fn new(inputs: Inputs) -> Self {
        Self { inputs, facts: Vec::new(), series: false, numbers: None }
    }
}

pub(super) fn run(arguments: &Arguments) -> Result<()> {
    let bytes = read_model(&arguments.model)?;
    let student = parse_model(&arguments.model, &bytes)?;
    let recipe = match &arguments.recipe {
        Some(path) => Some(Recipe::read(path, &[])?),
        None => attar::run::distill::recipe_beside(&arguments.model)?,
    };
    for (own, other) in recipe.iter().flat_map(|recipe| own_facts(&student, recipe)) {
        ensure!(
            own.unit == other.unit(),
            "fact {:?} is in the unit {:?} in the model, {:?} in the recipe",
            own.name,
            own.unit,
            other.unit()
        );
    }
    let samples = match &arguments.input {
        Some(path) => read_samples(path, &student, recipe.as_ref(), arguments)?,
        None => {
            let is_text = student.model().input().is_some_and(|input| input.is_text);
            ensure!(is_text, "--text: the model takes numbers: say --input FILE");
            Samples::new(Inputs::Texts(arguments.text.clone()))
        }
    };
    let file = arguments.input.as_ref().map_or("--text".into(), |path| path.display().to_string());
    let common = common_facts(&student, recipe.as_ref(), &arguments.facts)?;
    for pair in &arguments.facts {
        let name = pair.split('=').next().unwrap_or_default().trim();
        let Some((_, values)) = samples.facts.iter().find(|(other, _)| *other == name) else { continue };
        let empty = values.iter().filter(|value| is_missing(&common, name, value)).count();
        ensure!(
            empty > 0,
            "--fact {pair}: {file} has a column for this fact, without an empty cell: leave one of them out"
        );
        say(&format!("--fact {pair} fills {empty} empty cells of {file}; the other {} count", values.len() - empty));
    }
    if samples.facts.is_empty() {
        say_unset(&common);
    }
    let mut arena = engine::arena(&student).with_context(|| format!("{}", arguments.model.display()))?;
    let mut session = Session::new(*student.model(), &mut arena)?;
    let mut answers = Vec::new();
    let mut clamped = 0;
    let mut saturation = Saturation::new(&student);
    let count = match &samples.inputs {
        Inputs::Numbers(inputs) => inputs.len(),
        Inputs::Texts(texts) => texts.len(),
    };
    ensure!(count > 0, "{file}: holds no sample");
    ensure!(arguments.limit != Some(0), "--limit is 0: there is nothing to run");
    for index in 0..count.min(arguments.limit.unwrap_or(usize::MAX)) {
        let mut facts = common.clone();
        let number = samples.numbers.as_ref().map_or(index, |numbers| numbers[index]);
        let sample = || format!("{file}: sample {number}");
        for (name, values) in &samples.facts {
            if !is_missing(&facts, name, &values[index]) {
                set_fact(&mut facts, name, &values[index]).with_context(sample)?;
            }
        }
        match &samples.inputs {
            Inputs::Numbers(inputs) if samples.series => {
                engine::run_series(&mut session, &inputs[index], &facts).with_context(sample)?;
            }
            Inputs::Numbers(inputs) => {
                session.load(&inputs[index], &facts).with_context(sample)?;
                engine::finish(&mut session)?;
            }
            Inputs::Texts(texts) => {
                session.load_text(&texts[index], &facts).with_context(sample)?;
                engine::finish(&mut session)?;
            }
        }
        let (beyond, saturated) = match &samples.inputs {
            Inputs::Numbers(inputs) => {
                (facts.known(&inputs[index]).clamped(), saturation.add(&student, &inputs[index]))
            }
            Inputs::Texts(_) => (0, 0),
        };
        clamped += usize::from(beyond > 0);
        let outputs = session.outputs()?;
        if arguments.json {
            let heads: Map<String, Value> =
                outputs.heads().map(|head| (head.head().name.to_string(), kind_of(&head).output_json(&head))).collect();
            answers.push(json!({
                "sample": number,
                "heads": heads,
                "clamped_facts": beyond,
                "saturated_inputs": saturated,
            }));
        } else {
            let text = |head: HeadOutput<'_>| format!("{} = {}", head.head().name, kind_of(&head).output_text(&head));
            let heads: Vec<String> = outputs.heads().map(text).collect();
            print(&format!("{number}: {}", one_line(&heads.join("; "))))?;
        }
    }
    if clamped > 0 {
        say(&format!(
            "{clamped} samples have a fact outside of what training has seen, which counts as the nearest that it has: \
             `attar facts explain` shows them"
        ));
    }
    saturation.line().iter().for_each(|line| say(line));
    if arguments.json { print_json(&answers) } else { Ok(()) }
}

/// Counts of input values outside of what the model's int8 holds.
struct Saturation {
    samples: usize,
    /// All values that were looked at.
    seen: usize,
    /// Of each channel.
    values: Vec<usize>,
    /// Names of the channels, or none.
    names: Vec<String>,
}

impl Saturation {
    fn new(student: &Student<'_>) -> Self {
        let model = student.model();
        let names = model.input().map(|input| input.channels.iter().map(String::from).collect());
        let channels = usize::from(model.input_shape().channels);
        Self { samples: 0, seen: 0, values: vec![0; channels.max(1)], names: names.unwrap_or_default() }
    }

    /// Adds a sample, and returns how many such values it has.
    fn add(&mut self, student: &Student<'_>, input: &[f32]) -> usize {
        let channels = self.values.len();
        let places = engine::saturated(student, input);
        self.seen += input.len();
        places.iter().for_each(|place| self.values[place % channels] += 1);
        self.samples += usize::from(!places.is_empty());
        places.len()
    }

    /// Returns what is worth a word, if there is any such value.
    fn line(&self) -> Option<String> {
        let total: usize = self.values.iter().sum();
        let (channel, most) =
            self.values.iter().enumerate().max_by_key(|(channel, count)| (**count, usize::MAX - channel))?;
        let name = self.names.get(channel).map(|name| format!(", {most} of them of {name:?}")).unwrap_or_default();
        // A few values of other samples lie a little beyond those of the training.
        let many = total as f64 > MANY_SATURATED * self.seen as f64;
        let advice = if many { ": are they in the units of the training data?" } else { "" };
        (total > 0).then(|| {
            format!(
                "{} samples have input values outside of the range of the model's int8, which count as its ends: {total} values{name}{advice}",
                self.samples
            )
        })
    }
}

/// Returns the facts of a model that are set, each with what a recipe says of it.
fn own_facts<'a>(student: &Student<'a>, recipe: &'a Recipe) -> Vec<(Fact<'a>, &'a attar::facts::Fact)> {
    let set = student.model().facts().filter(|fact| !fact.is_computed());
    set.filter_map(|own| Some((own, recipe.facts.iter().find(|other| other.name == own.name)?))).collect()
}

/// Returns whether a cell says that a fact is missing; a category may have a value that is called so.
fn is_missing(facts: &Facts<'_>, name: &str, text: &str) -> bool {
    let is_value = |fact: Fact<'_>| match fact.kind {
        FactKind::Category(category) => category.values.iter().any(|value| value == text),
        _ => false,
    };
    attar::domain::is_missing(text) && !facts.model().facts().any(|fact| fact.name == name && is_value(fact))
}

fn read_samples(path: &Path, student: &Student<'_>, recipe: Option<&Recipe>, arguments: &Arguments) -> Result<Samples> {
    let model = student.model();
    let expected = model.input_shape().len();
    let ending = path.extension().map(|ending| ending.to_ascii_lowercase());
    let is_csv = ending.is_some_and(|ending| ending == "csv" || ending == "tsv");
    let text = model.input().filter(|input| input.is_text);
    let dialect = arguments.tables.dialect(recipe)?;
    if text.is_some() && !is_csv {
        let cannot = || format!("cannot read {} as texts", path.display());
        let (lines, _) = dialect.decode(attar::support::files::read_regular(path)?).with_context(cannot)?;
        ensure!(!lines.is_empty(), "{}: it is empty", cannot());
        return Ok(Samples::new(Inputs::Texts(lines.lines().map(String::from).collect())));
    }
    if !is_csv {
        let (file, member) = match path.to_str().map(|name| member_of(Path::new(""), name)) {
            Some((file, member)) => (Path::new(file), member),
            None => (path, None),
        };
        let array = read_array(file, member)?;
        let shape = model.input_shape();
        let shape = [shape.height, shape.width, shape.channels].map(usize::from);
        // One sample may come without the dimension that counts samples; rows of a model without positions are samples.
        let flat = array.shape.iter().filter(|&&size| size != 1).count() <= 1;
        let single = array.values.len() == expected && array.rows() != 1 && (flat || shape[..2] != [1, 1]);
        let (rows, got) = if single { (1, expected) } else { (array.rows(), array.row_len()) };
        let axes = if single { &array.shape } else { array.shape.get(1..).unwrap_or_default() };
        // A model that keeps something from run to run takes a whole series, step by step.
        let series = got != expected && got.is_multiple_of(expected) && model.tensors().any(|tensor| tensor.held);
        ensure!(got == expected || series, "{}: a sample has {got} values, the model takes {expected}", path.display());
        let name = path.display().to_string();
        if series {
            check_series_axes(axes, shape, &name)?
        } else {
            check_axes(axes, shape, &name)?
        }
        let channels: Vec<String> =
            model.input().map(|input| input.channels.iter().map(shortened).collect()).unwrap_or_default();
        if channels.len() > 1 {
            say(&format!("{name}: its columns are the model's inputs in this order: {}", channels.join(", ")));
        }
        let inputs = array.values.chunks_exact(got).take(rows).map(<[f32]>::to_vec).collect();
        return Ok(Samples { series, ..Samples::new(Inputs::Numbers(inputs)) });
    }
    let mut table = Table::read(path, &dialect)?;
    let mut columns = Columns::new(path, &table, &arguments.tables, recipe)?;
    let set = model.facts().filter(|fact| !fact.is_computed());
    let of_facts: Vec<_> = set.filter_map(|fact| Some((fact, columns.fact(fact.name)?))).collect();
    let absent = columns.absent().to_vec();
    let mut input = |name: &str| columns.input(name).unwrap_or_else(|| name.into());
    let names: Vec<String> = match model.input() {
        Some(text) if text.is_text => vec![input(text.name)],
        Some(numbers) if !numbers.channels.is_empty() => numbers.channels.iter().map(input).collect(),
        _ => columns.in_order(),
    };
    columns.say()?;
    ensure!(
        text.is_some() || names.len() == expected,
        "{}: a row has {} values, the model takes {expected}",
        path.display(),
        names.len()
    );
    check_absent(path, &absent, recipe, arguments)?;
    let drops = text.is_none() && arguments.tables.drops(recipe);
    let rows = table.rows();
    let numbers = if drops { Some(table.drop_missing(&names.iter().collect::<Vec<_>>())?) } else { None };
    ensure!(
        table.rows() == rows || !model.tensors().any(|tensor| tensor.held),
        "{}: the rows are the steps of one series, and none can be left out",
        path.display()
    );
    let facts = of_facts
        .into_iter()
        .map(|(fact, column)| {
            let is_number = matches!(fact.kind, FactKind::Number { .. });
            let cells = fact_cells(table.column(&column)?, is_number, columns.recipe_fact(fact.name))?;
            Ok((fact.name.to_string(), cells))
        })
        .collect::<Result<_>>()?;
    if text.is_some() {
        let texts = table.column(&names[0])?.texts().into_iter().map(String::from).collect();
        return Ok(Samples { facts, ..Samples::new(Inputs::Texts(texts)) });
    }
    let columns: Vec<Vec<f32>> = names
        .iter()
        .map(|name| {
            let column = table.column(name)?;
            let numbers = column.numbers()?;
            column.odd_reading(&numbers).iter().for_each(|remark| say(remark));
            Ok(numbers)
        })
        .collect::<Result<_>>()?;
    let inputs = (0..table.rows()).map(|row| columns.iter().map(|column| column[row]).collect()).collect();
    Ok(Samples { facts, numbers, ..Samples::new(Inputs::Numbers(inputs)) })
}

/// Refuses a table without columns for facts that nothing else sets, unless they are meant to be missing.
fn check_absent(
    path: &Path,
    absent: &[(String, String)],
    recipe: Option<&Recipe>,
    arguments: &Arguments,
) -> Result<()> {
    let given =
        |name: &str| arguments.facts.iter().any(|pair| pair.split_once('=').is_some_and(|(own, _)| own.trim() == name));
    let unset = absent.iter().filter(|(name, _)| !given(name) && constant_of(recipe, name).is_none());
    let shown: Vec<&String> = unset.map(|(_, shown)| shown).collect();
    if shown.is_empty() {
        return Ok(());
    }
    let facts = format!("{}: has no column for the facts {}", path.display(), listed(&shown));
    ensure!(arguments.missing_facts, "{facts}: add them, give them to all samples by --fact, or say --missing-facts");
    say(&format!("{facts}: they are missing in all samples"));
    Ok(())
}

/// Returns what a fact is for every sample by its recipe.
fn constant_of(recipe: Option<&Recipe>, name: &str) -> Option<String> {
    let fact = recipe?.facts.iter().find(|fact| fact.name == name)?;
    let text = fact.constant.as_ref()?.text();
    let is_date = fact.kind.name() == "date";
    Some(if is_date { fact.kind.read(&text).map_or(text, |day| day.to_string()) } else { text })
}

/// Returns the facts of all samples: constants of the recipe, and those that are given as `name=value`.
pub(super) fn common_facts<'a>(student: &Student<'a>, recipe: Option<&Recipe>, pairs: &[String]) -> Result<Facts<'a>> {
    let mut common = student.facts();
    for fact in student.model().facts().filter(|fact| !fact.is_computed()) {
        if let Some(constant) = constant_of(recipe, fact.name) {
            set_fact(&mut common, fact.name, &constant)
                .with_context(|| format!("fact {:?} of the recipe", fact.name))?;
        }
    }
    give_facts(&mut common, pairs)?;
    Ok(common)
}

/// Prints which facts nothing sets.
pub(super) fn say_unset(common: &Facts<'_>) {
    let unset = common.model().facts().zip(common.values());
    let unset: Vec<&str> =
        unset.filter(|(fact, value)| !fact.is_computed() && value.is_none()).map(|(fact, _)| fact.name).collect();
    if !unset.is_empty() {
        say(&format!("facts {} are missing in all samples: give them by --fact NAME=VALUE", listed(&unset)));
    }
}

fn give_facts(facts: &mut Facts<'_>, pairs: &[String]) -> Result<()> {
    for pair in pairs {
        let (name, value) = pair.split_once('=').with_context(|| format!("--fact {pair}: expected name=value"))?;
        set_fact(facts, name.trim(), value.trim()).with_context(|| format!("--fact {pair}"))?;
    }
    Ok(())
}

pub(super) fn set_fact(facts: &mut Facts<'_>, name: &str, value: &str) -> Result<()> {
    let model = *facts.model();
    let Some(fact) = model.facts().find(|fact| fact.name == name) else {
        let names: Vec<&str> = model.facts().map(|fact| fact.name).collect();
        if names.is_empty() {
            bail!("the model takes no facts");
        }
        let near = did_you_mean(name, names.iter().copied());
        bail!("the model has no fact {name:?}{near}; it has {}", names.join(", "));
    };
    if fact.is_computed() {
        bail!("fact {name:?} is computed by the model and cannot be given");
    }
    match fact.kind {
        FactKind::Gazetteer(_) => Ok(()),
        FactKind::Number { .. } => {
            let number: f32 = value.parse().with_context(|| format!("fact {name:?} takes a number, got {value:?}"))?;
            Ok(facts.set(name, number)?)
        }
        FactKind::Category(Category { values, .. }) => match facts.choose(name, value) {
            Err(Error::UnknownCategory) => {
                let near = did_you_mean(value, values.iter());
                bail!(
                    "fact {name:?} has no value {value:?}{near}; it has {}",
                    values.iter().collect::<Vec<_>>().join(", ")
                )
            }
            other => Ok(other?),
        },
        FactKind::Flag => match value.to_lowercase().as_str() {
            "1" | "1.0" | "true" | "yes" => Ok(facts.flag(name, true)?),
            "0" | "0.0" | "false" | "no" => Ok(facts.flag(name, false)?),
            _ => bail!("fact {name:?} takes true or false, got {value:?}"),
        },
    }
}

fn kind_of(output: &HeadOutput<'_>) -> HeadKind {
    HeadKind::of_format(output.head().kind)
}

/// The share of input values outside of a model's int8 above which the data may be in other units.
const MANY_SATURATED: f64 = 0.01;
