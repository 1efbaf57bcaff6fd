//! Targets from the columns of a table: classes, truths and numbers.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail, ensure};

use super::{MOST_CLASSES, target_of};
use crate::domain::HeadKind;
use crate::heads::{Labels, Target};
use crate::recipe::Head;
use crate::support::progress::say;
use crate::support::suggest::{listed, shortened, spelling_warnings};
use crate::tables::{Column, Table};

pub(in crate::data) fn target_from_columns(table: &Table, head: &Head) -> Result<Target> {
    if head.kind == HeadKind::Class {
        let column = table.column(head.column.as_ref().context("a class head has one column")?)?;
        let texts = column.texts();
        let mut labels = head.labels.clone();
        let of_data = labels.is_empty();
        if of_data {
            labels = texts.iter().filter(|text| !column.is_missing(text)).map(|text| text.to_string()).collect();
            labels.sort_unstable();
            // True and TRUE are one class.
            labels.dedup_by(|a, b| a == b || truth(a).is_some_and(|truth_a| truth(b) == Some(truth_a)));
        }
        if let Some(rest) = head.rest.as_ref().filter(|rest| !labels.contains(rest)) {
            labels.push(rest.clone());
        }
        let rest = head.rest.as_ref().and_then(|rest| labels.iter().position(|label| label == rest));
        ensure!(labels.len() >= 2, "head {:?} has {} class, expected two or more", head.name, labels.len());
        ensure!(
            labels.len() <= MOST_CLASSES,
            "head {:?}: column {:?} holds {} different texts, at most {MOST_CLASSES} classes are told apart: is it a regression?",
            head.name,
            column.name(),
            labels.len()
        );
        let is_fraction = |label: &String| label.parse::<f32>().is_ok_and(|number| number.fract() != 0.0);
        if of_data && labels.iter().filter(|label| is_fraction(label)).count() > MANY_FRACTIONS {
            say(&format!(
                "warning: {}: head {:?} has {} classes that are numbers such as {}: kind = \"regression\" answers numbers",
                column.full_name(),
                head.name,
                labels.len(),
                labels[0]
            ));
        }
        let places: BTreeMap<&str, usize> =
            labels.iter().enumerate().rev().map(|(class, label)| (label.as_str(), class)).collect();
        let class_of = |text: &str| {
            let same = |label: &String| truth(text).is_some_and(|truth_of| truth(label) == Some(truth_of));
            places.get(text).copied().or_else(|| labels.iter().position(same))
        };
        // Cells that count as one class in spite of their spellings, True and TRUE, need no word.
        let own = texts.iter().filter(|text| truth(text).is_none() && !column.is_missing(text)).copied();
        let what = format!("{}: classes of head {:?}", column.full_name(), head.name);
        spelling_warnings(&what, own, head.labels.iter().map(String::as_str)).iter().for_each(|warning| say(warning));
        let mut values = Vec::with_capacity(texts.len());
        for (row, text) in texts.iter().enumerate() {
            let class = class_of(text);
            // A marker may be a class by its name.
            let missing = text.is_empty() || (class.is_none() && column.is_missing(text));
            if missing && head.partial {
                values.push(None);
                continue;
            }
            let class = class.or(rest).with_context(|| {
                format!(
                    "{}: head {:?} has no class {:?}, expected one of {}{}",
                    column.place(row),
                    head.name,
                    shortened(text),
                    listed(&labels),
                    if missing { ": with partial = true it is a label that is not known" } else { "" }
                )
            })?;
            values.push(Some(class as u16));
        }
        return Ok(target_of(head, labels.len(), labels, Labels::Classes(values)));
    }
    let names: Vec<&String> =
        if head.columns.is_empty() { head.column.iter().collect() } else { head.columns.iter().collect() };
    ensure!(
        head.kind != HeadKind::Binary || names.len() == 1,
        "head {:?} is binary and names {} columns, expected one",
        head.name,
        names.len()
    );
    let columns: Vec<Column<'_>> = names.iter().map(|name| table.column(name)).collect::<Result<_>>()?;
    let values = if head.kind == HeadKind::Regression {
        let columns = columns.iter().map(|column| numbers(*column, head)).collect::<Result<Vec<_>>>()?;
        Labels::Numbers(rows_of(&columns))
    } else {
        let columns = columns.iter().map(|column| truths(*column, head)).collect::<Result<Vec<_>>>()?;
        Labels::Flags(rows_of(&columns))
    };
    let mut labels = head.labels.clone();
    if labels.is_empty() {
        labels = match head.kind {
            HeadKind::Binary => vec!["no".into(), "yes".into()],
            _ => names.iter().map(|name| name.to_string()).collect(),
        };
    }
    Ok(target_of(head, columns.len(), labels, values))
}

/// Returns the values of columns row by row.
fn rows_of<T: Copy>(columns: &[Vec<T>]) -> Vec<T> {
    let rows = columns.first().map_or(0, Vec::len);
    (0..rows).flat_map(|row| columns.iter().map(move |column| column[row])).collect()
}

/// Returns the numbers of a column.
fn numbers(column: Column<'_>, head: &Head) -> Result<Vec<Option<f32>>> {
    let numbers = match head.partial {
        true => column.numbers_or_missing()?,
        false => column.numbers()?.into_iter().map(Some).collect(),
    };
    let known: Vec<f32> = numbers.iter().map(|value| value.unwrap_or(f32::NAN)).collect();
    column.remark(&known).iter().for_each(|remark| say(remark));
    Ok(numbers)
}

/// Returns the cells of a column of a binary or multilabel head as flags: 0 and 1, the labels of a binary head, or true and
/// false in any case.
fn truths(column: Column<'_>, head: &Head) -> Result<Vec<Option<bool>>> {
    let labels: &[String] = if head.kind == HeadKind::Binary { &head.labels } else { &[] };
    // With such labels a cell would say one thing and its label another.
    let turned = labels.iter().enumerate().find(|(index, label)| {
        let number = label.parse().ok().or_else(|| truth(label).map(|truth| f32::from(u8::from(truth))));
        number.is_some_and(|number: f32| number != *index as f32)
    });
    if let Some((index, label)) = turned {
        bail!("head {:?}: labels name what is {index} {label:?}: name no first and yes second", head.name);
    }
    let read = |(row, text): (usize, &str)| {
        if head.partial && column.is_missing(text) {
            return Ok(None);
        }
        let number = text.parse::<f32>().ok().filter(|number| *number == 0.0 || *number == 1.0);
        let label = || labels.iter().position(|label| label == text).map(|class| class == 1);
        let flag = number.map(|number| number == 1.0).or_else(label).or_else(|| truth(text));
        flag.map(Some).with_context(|| {
            let expected = match labels {
                [no, yes] => format!("{no:?} and {yes:?}"),
                _ if head.kind == HeadKind::Binary => "texts that labels = [\"NO\", \"YES\"] names".into(),
                _ => "true and false".into(),
            };
            format!(
                "{}: column {:?} holds {:?}, a {} head takes 0 and 1, or {expected}",
                column.place(row),
                shortened(column.name()),
                shortened(text),
                if head.kind == HeadKind::Binary { "binary" } else { "multilabel" }
            )
        })
    };
    column.texts().into_iter().enumerate().map(read).collect()
}

/// Returns what a text says, if it is true or false in any case.
fn truth(text: &str) -> Option<bool> {
    match text {
        _ if text.eq_ignore_ascii_case("true") => Some(true),
        _ if text.eq_ignore_ascii_case("false") => Some(false),
        _ => None,
    }
}

/// More classes than that with digits behind the point are measurements.
const MANY_FRACTIONS: usize = 20;
