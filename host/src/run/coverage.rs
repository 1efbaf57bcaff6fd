//! What the samples that figures are of have in common with those that were trained on: facts outside the range of training,
//! facts that never change, classes that were never seen.

use attar_device::Student;
use attar_shared::FactKind;
use serde::{Deserialize, Serialize};

use crate::data::Dataset;
use crate::facts::{Audience, FactColumn, Value};

/// A fact in the training split and in the samples that figures are of.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct FactCoverage {
    /// The fact.
    pub name: String,
    /// Its unit, or nothing.
    pub unit: String,
    /// Samples that figures are of.
    pub samples: usize,
    /// Those of them in which it is missing.
    pub missing: usize,
    /// Those in which it is a number outside the range of training, and counts as the nearest end of it.
    pub clamped: usize,
    /// Those in which it is a category's value, or a flag's, that no training sample has.
    pub unseen: usize,
    /// number: the least and the greatest value of training, as the student has them.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub range: Option<[f64; 2]>,
    /// What it is in every training sample, if it is the same in all.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub constant_in_training: Option<String>,
    /// What the network takes it for in every sample that figures are of, if that is the same in all.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub constant: Option<String>,
}

/// Returns how the facts of some samples lie to those of the training split, for the facts that the network sees.
pub fn facts(data: &Dataset, samples: &[usize]) -> Vec<FactCoverage> {
    let facts = data.facts.seen_by(Audience::Board).iter().zip(&data.fact_columns);
    let seen = facts.filter(|(fact, _)| fact.width() > 0);
    seen.map(|(fact, column)| {
        let range = (fact.value == Value::Number).then(|| fact.range()).map(|(least, greatest)| [least, greatest]);
        let mut coverage = of_column(column, samples, bounded(range));
        let train = &data.splits.train;
        let name = |value: Option<f32>| named(value, &fact.unit, fact.value, &fact.values);
        coverage.constant_in_training = only(train.iter().map(|&sample| column[sample])).map(name);
        coverage.constant = constant(column, samples, bounded(range)).map(name);
        if matches!(fact.value, Value::Category | Value::Flag) {
            let mut trained = vec![false; fact.values.len().max(2)];
            for value in train.iter().filter_map(|&sample| column[sample]) {
                if let Some(place) = trained.get_mut(value as usize) {
                    *place = true;
                }
            }
            let known = samples.iter().filter_map(|&sample| column[sample]);
            coverage.unseen = known.filter(|&value| trained.get(value as usize) == Some(&false)).count();
        }
        FactCoverage { name: fact.name.clone(), unit: fact.unit.clone(), ..coverage }
    })
    .collect()
}

/// Returns the same against the ranges that a student has from its own training; what else was trained on it does not hold.
pub fn facts_of_student(student: &Student<'_>, data: &Dataset, samples: &[usize]) -> Vec<FactCoverage> {
    let facts = student.model().facts().zip(data.facts.seen_by(Audience::Board)).zip(&data.fact_columns);
    let seen = facts.filter(|((fact, _), _)| fact.is_seen());
    seen.map(|((fact, known), column)| {
        let range = match fact.kind {
            FactKind::Number { least, greatest } => Some([least, greatest]),
            _ => None,
        };
        let coverage = of_column(column, samples, bounded(range));
        let name = |value: Option<f32>| named(value, &known.unit, known.value, &known.values);
        let constant = constant(column, samples, bounded(range)).map(name);
        FactCoverage { name: fact.name.into(), unit: known.unit.clone(), constant, ..coverage }
    })
    .collect()
}

/// Returns what is worth a warning of facts. `split` is what the samples are called.
pub fn fact_warnings(facts: &[FactCoverage], split: &str) -> Vec<String> {
    let mut warnings = Vec::new();
    for fact in facts {
        let FactCoverage { name, unit, samples, clamped, unseen, .. } = fact;
        let unit = if unit.is_empty() { String::new() } else { format!(" {unit}") };
        let share = |count: usize| 100.0 * count as f64 / (*samples).max(1) as f64;
        if let (Some([least, greatest]), true) = (fact.range, share(*clamped) >= CLAMPED) {
            let [least, greatest] = [least, greatest].map(|end| end as f32);
            warnings.push(format!(
                "fact {name:?}: {clamped} of {samples} samples of the {split} split ({:.1} %) are outside the range of training, \
                 {least} to {greatest}{unit}, and are clamped to it: figures with this fact are of the clamped values",
                share(*clamped)
            ));
        }
        if *unseen > 0 {
            warnings.push(format!(
                "fact {name:?}: {unseen} of {samples} samples of the {split} split ({:.1} %) have a value that no training sample \
                 has: nothing was learned of it",
                share(*unseen)
            ));
        }
        if let Some(value) = &fact.constant_in_training {
            warnings.push(format!("fact {name:?} is {value} in every training sample: nothing can be learned from it"));
        }
        if let (Some(value), true) = (&fact.constant, *samples > 1) {
            warnings.push(format!(
                "fact {name:?} is {value} in every sample of the {split} split{}: its figures do not show what the fact brings",
                if *clamped > 0 { " after clamping" } else { "" }
            ));
        }
    }
    warnings
}

/// Returns what is worth a warning of the classes in the training split and in the samples that figures are of.
pub fn class_warnings(data: &Dataset, samples: &[usize]) -> Vec<String> {
    let mut warnings = Vec::new();
    let has_test = !data.splits.test.is_empty();
    for target in data.targets.iter().filter(|_| has_test) {
        let [trained, tested] = [&data.splits.train, samples].map(|samples| target.kind.counts(target, samples));
        let mut listed = |is_listed: &dyn Fn(usize, usize) -> bool, counted: usize, what: &str| {
            let places = (0..trained.len()).filter(|&class| is_listed(trained[class].1, tested[class].1));
            let names: Vec<String> = places
                .map(|class| {
                    let count = [trained[class].1, tested[class].1][counted];
                    format!("{:?} ({count})", trained[class].0)
                })
                .collect();
            if !names.is_empty() {
                let more = names.len().saturating_sub(LISTED);
                let more = if more > 0 { format!(" and {more} more") } else { String::new() };
                let first = names[..names.len().min(LISTED)].join(", ");
                warnings.push(format!("head {:?}: {what}: {first}{more}", target.name));
            }
        };
        listed(
            &|trained, tested| trained == 0 && tested > 0,
            1,
            "in the test split and in no training sample, so not learned",
        );
        listed(
            &|trained, tested| trained > 0 && tested == 0,
            0,
            "in the training split and in no test sample, so not measured",
        );
    }
    warnings
}

/// A range that leaves everything in it bounds nothing.
fn bounded(range: Option<[f32; 2]>) -> Option<[f32; 2]> {
    range.filter(|[least, greatest]| *least > f32::MIN && *greatest < f32::MAX)
}

fn of_column(column: &FactColumn, samples: &[usize], range: Option<[f32; 2]>) -> FactCoverage {
    let values = || samples.iter().map(|&sample| column[sample]);
    let is_outside = |value: f32| range.is_some_and(|[least, greatest]| !(least..=greatest).contains(&value));
    FactCoverage {
        samples: samples.len(),
        missing: values().filter(Option::is_none).count(),
        clamped: values().flatten().filter(|&value| is_outside(value)).count(),
        // In double precision JSON has the same digits whichever way it is written.
        range: range.map(|ends| ends.map(f64::from)),
        ..FactCoverage::default()
    }
}

/// Returns what a fact counts as in every sample, if that is one value.
fn constant(column: &FactColumn, samples: &[usize], range: Option<[f32; 2]>) -> Option<Option<f32>> {
    let clamp = |value: f32| range.map_or(value, |[least, greatest]| value.max(least).min(greatest));
    only(samples.iter().map(|&sample| column[sample].map(clamp)))
}

/// Returns the only value of several; nothing when they differ, or there are none.
fn only(mut values: impl Iterator<Item = Option<f32>>) -> Option<Option<f32>> {
    let first = values.next()?;
    values.all(|value| value == first).then_some(first)
}

fn named(value: Option<f32>, unit: &str, kind: Value, names: &[String]) -> String {
    match (value, kind) {
        (None, _) => "missing".into(),
        (Some(value), Value::Category) => format!("{:?}", names.get(value as usize).map_or("", String::as_str)),
        (Some(value), Value::Flag) => if value > 0.5 { "yes" } else { "no" }.into(),
        (Some(value), Value::Features) => {
            let bits = names.iter().enumerate().filter(|(bit, _)| value as u32 >> bit & 1 == 1);
            let names: Vec<&str> = bits.map(|(_, name)| name.as_str()).collect();
            if names.is_empty() { "without a feature".into() } else { names.join(" and ") }
        }
        (Some(value), Value::Number) if unit.is_empty() => value.to_string(),
        (Some(value), Value::Number) => format!("{value} {unit}"),
    }
}

/// From that share of the samples on, in percent, clamped facts are worth a warning: the ends of a random split are always a
/// little beyond those of training.
const CLAMPED: f64 = 1.0;

/// The most classes that a warning names.
const LISTED: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::heads::Labels;
    use crate::recipe::Recipe;

    fn loaded() -> Dataset {
        let text = "[data]\nformat='bearing'\nsamples=40\nsplit={test=0.5,validation=0}\n[[facts]]\nname='rpm'\nkind='number'\n\
                    [[facts]]\nname='bearing'\nkind='category'\n[[heads]]\nname='fault'\nkind='class'\n[student]\n\
                    arch='mlp'\nhidden=[4]\n[distill]\nmethod='none'\n";
        let recipe = Recipe::parse(text, "r.toml", "r", &[]).unwrap();
        crate::data::load(&recipe, "".as_ref()).unwrap()
    }

    /// A test split outside of what was trained on is no test of a fact.
    #[test]
    fn clamped_constant_and_unseen_facts_are_counted() {
        let mut data = loaded();
        let [least, greatest] = facts(&data, &data.splits.test)[0].range.unwrap().map(|end| end as f32);
        let test = data.splits.test.clone();
        for (place, &sample) in test.iter().enumerate() {
            data.fact_columns[0][sample] = Some(greatest + 1.0 + place as f32);
            data.fact_columns[1][sample] = Some(1.0);
        }
        for &sample in &data.splits.train {
            data.fact_columns[1][sample] = Some(0.0);
        }
        let of = facts(&data, &test);
        let value = |place: usize| format!("{:?}", data.facts.facts[1].values[place]);
        assert_eq!((of[0].clamped, of[0].samples, of[0].unseen), (test.len(), test.len(), 0));
        assert_eq!(
            of[0].constant.as_deref(),
            Some(named(Some(greatest), &of[0].unit, Value::Number, &[]).as_str()),
            "{of:?}"
        );
        assert_eq!(of[0].constant_in_training, None);
        assert_eq!((of[1].unseen, of[1].clamped, of[1].constant.as_deref()), (test.len(), 0, Some(value(1).as_str())));
        assert_eq!(of[1].constant_in_training.as_ref(), Some(&value(0)));
        let said = fact_warnings(&of, "test").join("\n");
        for part in [
            "\"rpm\": 20 of 20 samples of the test split (100.0 %) are outside the range of training",
            "after clamping",
            "\"bearing\": 20 of 20 samples of the test split (100.0 %) have a value that no training sample has",
            "in every training sample",
        ] {
            assert!(said.contains(part), "no {part:?} in {said}");
        }
        // The control: what is in the range is not spoken of.
        for (place, &sample) in test.iter().enumerate() {
            data.fact_columns[0][sample] = Some(if place % 2 == 0 { least } else { greatest });
        }
        assert!(!fact_warnings(&facts(&data, &test), "test").join("\n").contains("\"rpm\""));
    }

    #[test]
    fn classes_that_one_split_lacks_are_named() {
        let mut data = loaded();
        let (train, test) = (data.splits.train.clone(), data.splits.test.clone());
        let name = |class: usize| format!("{:?}", data.targets[0].output_name(class));
        let (first, second, third) = (name(0), name(1), name(2));
        let set = |data: &mut Dataset, samples: &[usize], class: u16| {
            let Labels::Classes(classes) = &mut data.targets[0].values else { panic!("no classes") };
            samples.iter().for_each(|&sample| classes[sample] = Some(class));
        };
        set(&mut data, &train, 0);
        set(&mut data, &test, 0);
        assert!(class_warnings(&data, &test).is_empty());
        set(&mut data, &test, 1);
        set(&mut data, &test[..3], 2);
        let said = class_warnings(&data, &test).join("\n");
        assert!(said.contains(&format!("in no training sample, so not learned: {second} (17), {third} (3)")), "{said}");
        assert!(said.contains(&format!("in no test sample, so not measured: {first} (20)")), "{said}");
    }
}
