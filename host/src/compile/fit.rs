//! Whether a model is one of a recipe and its data: its inputs, facts and heads are those that the data give.

use anyhow::{Result, ensure};
use attar_device::{Encoding, Student};
use attar_shared::{Encoder, Fact, FactKind, Head, Model, Scaling, Signal};

use crate::data::Dataset;
use crate::domain::array::{check_axes, check_series_axes};
use crate::facts::{self, Audience, SchemaFact, Value};
use crate::heads::Target;
use crate::recipe::Recipe;
use crate::signal::Design;
use crate::support::progress::say;
use crate::support::suggest::listed;

/// Refuses data whose inputs or facts are not those that a model takes.
///
/// # Errors
///
/// Names what differs.
pub fn check_inputs(student: &Student<'_>, recipe: &Recipe, data: &Dataset) -> Result<()> {
    let model = student.model();
    let own: Vec<&str> = model.input().map(|input| input.channels.iter().collect()).unwrap_or_default();
    ensure!(
        own.is_empty() || data.channels.is_empty() || own == data.channels,
        "the model takes the inputs {}, the recipe gives {}: they are paired by these names",
        listed(&own),
        listed(&data.channels)
    );
    let is_text = model.input().is_some_and(|input| input.is_text);
    let name = |is_text: bool| if is_text { "a text" } else { "numbers" };
    ensure!(is_text == data.is_text, "the model takes {}, the recipe gives {}", name(is_text), name(data.is_text));
    let (expected, got) = (model.input_shape().len(), data.inputs.row_len());
    let series = got.is_multiple_of(expected) && model.tensors().any(|tensor| tensor.held);
    ensure!(expected == got || series, "a sample of the data has {got} values, the model takes {expected}");
    let shape = model.input_shape();
    let shape = [shape.height, shape.width, shape.channels].map(usize::from);
    match expected == got {
        true => check_axes(&data.input_shape, shape, "the data of the recipe")?,
        false => check_series_axes(&data.input_shape, shape, "the data of the recipe")?,
    }
    check_signal(model, data.signal.as_ref().map(|(design, _)| design))?;
    check_facts(model, recipe, data)
}

/// Refuses heads that answer something else than the data ask: answers are compared by their place.
///
/// # Errors
///
/// Names what differs.
pub fn check_heads(student: &Student<'_>, data: &Dataset) -> Result<()> {
    let heads: Vec<&str> = student.model().heads().map(|head| head.name).collect();
    let targets: Vec<&str> = data.targets.iter().map(|target| target.name.as_str()).collect();
    ensure!(heads == targets, "the model has the heads {heads:?}, the recipe {targets:?}");
    student.model().heads().zip(&data.targets).try_for_each(|(head, target)| check_head(&head, target))
}

fn check_head(head: &Head<'_>, target: &Target) -> Result<()> {
    let name = head.name;
    let kind = target.kind.format();
    ensure!(head.kind == kind, "head {name:?} is {:?} in the model, {kind:?} in the recipe", head.kind);
    let labels: Vec<&str> = head.labels.iter().collect();
    let same = labels.is_empty() || target.labels.is_empty() || labels == target.labels;
    ensure!(
        same,
        "head {name:?} has the labels {} in the model, {} in the data: name those of the model as labels in the recipe",
        listed(&labels),
        listed(&target.labels)
    );
    Ok(())
}

fn check_facts(model: &Model<'_>, recipe: &Recipe, data: &Dataset) -> Result<()> {
    let names: Vec<&str> = model.facts().map(|fact| fact.name).collect();
    let known: Vec<&str> = data.facts.seen_by(Audience::Board).iter().map(|fact| fact.name.as_str()).collect();
    // A student without facts runs on data that have some.
    ensure!(names.is_empty() || names == known, "the model has the facts {names:?}, the recipe {known:?}");
    for (own, other) in model.facts().zip(data.facts.seen_by(Audience::Board)) {
        check_fact(&own, other, recipe.facts.iter().find(|fact| fact.name == own.name))?;
    }
    Ok(())
}

fn check_fact(own: &Fact<'_>, other: &SchemaFact, written: Option<&facts::Fact>) -> Result<()> {
    let name = own.name;
    let (kind, values) = match own.kind {
        FactKind::Number { .. } => (Value::Number, Vec::new()),
        FactKind::Category(category) => (Value::Category, category.values.iter().collect()),
        FactKind::Flag => (Value::Flag, Vec::new()),
        FactKind::Gazetteer(gazetteer) => (Value::Features, gazetteer.features.iter().collect::<Vec<_>>()),
    };
    ensure!(kind == other.value, "fact {name:?} is {kind:?} in the model, {:?} in the recipe", other.value);
    ensure!(
        values == other.values || matches!(kind, Value::Number | Value::Flag),
        "fact {name:?} has the values {values:?} in the model, {:?} in the data: name them in the recipe",
        other.values
    );
    ensure!(
        own.unit == other.unit,
        "fact {name:?} is in the unit {:?} in the model, {:?} in the recipe",
        own.unit,
        other.unit
    );
    let (encoder, in_recipe) = (encoder_name(own.encoder), encoder_name_of(other.encoder));
    ensure!(
        encoder == in_recipe,
        "fact {name:?} has the encoder {encoder:?} in the model, {in_recipe:?} in the recipe"
    );
    let computed = |is_computed: bool| if is_computed { "computed" } else { "set" };
    ensure!(
        own.is_computed() == other.is_computed(),
        "fact {name:?} is {} in the model, {} in the recipe",
        computed(own.is_computed()),
        computed(other.is_computed())
    );
    // What the recipe does not say is measured on its data, which may be others than those of the training.
    let constants = match own.encoder {
        Encoder::Number(Scaling::ZScore { mean, deviation } | Scaling::Log { mean, deviation }) => {
            vec![
                ("mean", mean, written.and_then(|fact| fact.mean)),
                ("deviation", deviation, written.and_then(|fact| fact.deviation)),
            ]
        }
        Encoder::Number(Scaling::Range { low, high }) => {
            vec![("low", low, written.and_then(|fact| fact.low)), ("high", high, written.and_then(|fact| fact.high))]
        }
        Encoder::Number(Scaling::Periodic { period }) => {
            vec![("period", period, written.and_then(facts::Fact::period))]
        }
        _ => Vec::new(),
    };
    for (constant, own, other) in constants {
        ensure!(
            other.is_none_or(|other| other == own),
            "fact {name:?} has {constant} = {own} in the model, {} in the recipe",
            other.unwrap_or_default()
        );
    }
    Ok(())
}

fn encoder_name(encoder: Encoder<'_>) -> &'static str {
    match encoder {
        Encoder::None => "none",
        Encoder::OneHot => "one-hot",
        Encoder::Embedding { .. } => "embedding",
        Encoder::Flag => "flag",
        Encoder::Features => "features",
        Encoder::Number(scaling) => scaling_name(scaling),
    }
}

fn encoder_name_of(encoder: facts::Encoder) -> &'static str {
    match encoder {
        facts::Encoder::Embedding { .. } => "embedding",
        facts::Encoder::Formula(Encoding::None) => "none",
        facts::Encoder::Formula(Encoding::OneHot(_)) => "one-hot",
        facts::Encoder::Formula(Encoding::Flag) => "flag",
        facts::Encoder::Formula(Encoding::Features(_)) => "features",
        facts::Encoder::Formula(Encoding::Number { scaling, .. }) => scaling_name(scaling),
    }
}

fn scaling_name(scaling: Scaling) -> &'static str {
    match scaling {
        Scaling::ZScore { .. } => "z-score",
        Scaling::Range { .. } => "range",
        Scaling::Log { .. } => "log",
        Scaling::Periodic { .. } => "periodic",
    }
}

/// Refuses features of another front-end than the model's; when they are listened to and what makes a detection may differ.
fn check_signal(model: &Model<'_>, design: Option<&Design>) -> Result<()> {
    let (own, design) = match (model.signal(), design) {
        (None, None) => return Ok(()),
        (Some(own), Some(design)) => (own, design),
        (own, _) => {
            let name = |there: bool| if there { "a [signal]" } else { "no [signal]" };
            anyhow::bail!("the model has {}, the recipe has {}", name(own.is_some()), name(own.is_none()));
        }
    };
    let design = Design { every: usize::from(own.every), detection: own.detection, ..design.clone() };
    let record = design.record(model.input_shape().len())?;
    let Ok(other) = Signal::read(&record) else { anyhow::bail!("the recipe's [signal] does not fit the model") };
    let figures = |signal: &Signal<'_>| {
        [
            ("channels", f64::from(signal.channels)),
            ("rate", f64::from(signal.rate)),
            ("window", f64::from(signal.window)),
            ("hop", f64::from(signal.hop)),
            ("transform", f64::from(signal.transform)),
            ("features of a hop", f64::from(signal.features)),
            ("running mean", f64::from(signal.follow)),
        ]
    };
    for ((name, own), (_, other)) in figures(&own).into_iter().zip(figures(&other)) {
        ensure!(own == other, "the front-end of the model has {name} {own}, the recipe's {other}");
    }
    // Tables of cosines may differ in a last bit where another machine computed them.
    if own.bytes != record {
        say(
            "warning: the recipe's [signal] is not the model's front-end to the last byte: are stages and features the same?",
        );
    }
    Ok(())
}
