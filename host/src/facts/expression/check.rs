//! What an expression's parts are, numbers in a unit, conditions or categories, and whether they fit each other.

use anyhow::{Context, Result, bail, ensure};
use attar_shared::{Binary, Unary};

use super::scope::{Entry, Scope};
use super::units::Unit;
use super::{Expression, Node, Term};
use crate::facts::value::Value;
use crate::support::suggest::did_you_mean;

/// What a part is.
#[derive(Debug, Clone)]
enum Type {
    Number(Measure),
    Condition,
    /// A category, by its name.
    Category(String),
    /// A text in quotes.
    Text(String),
}

/// In what a number is.
#[derive(Debug, Clone)]
enum Measure {
    /// A bare number, which fits any unit.
    Any,
    /// Something without a unit in the recipe.
    Unknown,
    Of(Unit),
}

impl Expression {
    /// Checks the expression: a number, in the unit if one is named, when `wanted` is given, otherwise a condition.
    ///
    /// # Errors
    ///
    /// Names the column of the first part that does not fit.
    pub fn check(&self, scope: &Scope, wanted: Option<Option<&Unit>>) -> Result<()> {
        let found = type_of(&self.root, scope)?;
        match (wanted, found) {
            (None, Type::Condition) => Ok(()),
            (None, _) => {
                bail!("a rule is a condition, as in a < b; this is {}", describe(&type_of(&self.root, scope)?))
            }
            (Some(Some(unit)), Type::Number(Measure::Of(found))) => {
                ensure!(found.fits(unit), "the expression gives {found}, the fact is in {unit}");
                Ok(())
            }
            (Some(_), Type::Number(_)) => Ok(()),
            (Some(_), found) => bail!("a derived fact is a number; this is {}", describe(&found)),
        }
    }
}

fn describe(found: &Type) -> String {
    match found {
        Type::Number(_) => "a number".into(),
        Type::Condition => "a condition".into(),
        Type::Category(name) => format!("the category {name:?}"),
        Type::Text(text) => format!("the text {text:?}"),
    }
}

fn type_of(node: &Node, scope: &Scope) -> Result<Type> {
    let here = || format!("column {}", node.column);
    let number = |node: &Node| match type_of(node, scope)? {
        Type::Number(measure) => Ok(measure),
        found => bail!("column {}: expected a number, found {}", node.column, describe(&found)),
    };
    let condition = |node: &Node| match type_of(node, scope)? {
        Type::Condition => Ok(()),
        found => bail!("column {}: expected a condition, found {}", node.column, describe(&found)),
    };
    Ok(match &node.term {
        Term::Number(_) => Type::Number(Measure::Any),
        Term::Text(text) => Type::Text(text.clone()),
        Term::Name(name) => match scope.find(name).with_context(here)? {
            Entry::Fact { value: Value::Number, unit, .. } | Entry::Input { unit, .. } => {
                Type::Number(unit.clone().map_or(Measure::Unknown, Measure::Of))
            }
            Entry::Fact { value: Value::Flag, .. } => Type::Condition,
            Entry::Fact { value: Value::Category, .. } => Type::Category(name.clone()),
            Entry::Fact { value: Value::Features, .. } => {
                bail!("{}: {name:?} is a gazetteer: name one of its features, as in {name}.FEATURE", here())
            }
        },
        Term::Field(name, column) => {
            let found = scope.find(name).with_context(here)?;
            let Entry::Fact { value: value @ (Value::Category | Value::Features), columns, units, .. } = found else {
                bail!("{}: {name:?} is no category, so that it has no table with a column {column:?}", here());
            };
            if let Some(columns) = columns {
                column_place(name, column, columns).with_context(here)?;
            }
            if *value == Value::Features {
                return Ok(Type::Condition);
            }
            let unit = units.get(column).and_then(|unit| Unit::parse(unit));
            Type::Number(unit.map_or(Measure::Unknown, Measure::Of))
        }
        Term::Unary(Unary::Not, x) => {
            condition(x)?;
            Type::Condition
        }
        Term::Unary(unary, x) => Type::Number(one(*unary, number(x)?).with_context(here)?),
        Term::Binary(Binary::And | Binary::Or, pair) => {
            pair.iter().try_for_each(condition)?;
            Type::Condition
        }
        Term::Binary(Binary::Equal, pair) => {
            equal(&type_of(&pair[0], scope)?, &type_of(&pair[1], scope)?, scope).with_context(here)?;
            Type::Condition
        }
        Term::Binary(binary, pair) => {
            let (a, b) = (number(&pair[0])?, number(&pair[1])?);
            match binary {
                Binary::Less | Binary::AtMost => {
                    alike("compares", a, b).with_context(here)?;
                    Type::Condition
                }
                Binary::Multiply => Type::Number(product(a, b, 1)),
                Binary::Divide => Type::Number(product(a, b, -1)),
                Binary::Add => Type::Number(alike("adds", a, b).with_context(here)?),
                Binary::Subtract => Type::Number(alike("subtracts", a, b).with_context(here)?),
                _ => Type::Number(alike("compares", a, b).with_context(here)?),
            }
        }
        Term::Choice(parts) => {
            let [when, then, otherwise] = parts.as_ref();
            condition(when)?;
            match (type_of(then, scope)?, type_of(otherwise, scope)?) {
                (Type::Number(a), Type::Number(b)) => Type::Number(alike("chooses between", a, b).with_context(here)?),
                (Type::Condition, Type::Condition) => Type::Condition,
                (a, b) => bail!("{}: then gives {}, else {}", here(), describe(&a), describe(&b)),
            }
        }
    })
}

/// Returns where a column stands in a category's table.
pub(super) fn column_place(name: &str, column: &str, columns: &[String]) -> Result<usize> {
    columns.iter().position(|known| known == column).with_context(|| {
        if columns.is_empty() {
            return format!("the category {name:?} has no table: give it one, table = {{ file = \"FILE.csv\" }}");
        }
        let near = did_you_mean(column, columns.iter().map(String::as_str));
        format!("the table of {name:?} has no column {column:?}{near}; it has {}", columns.join(", "))
    })
}

/// Returns where a value stands in a category.
pub(super) fn value_place(name: &str, value: &str, values: &[String]) -> Result<usize> {
    values.iter().position(|known| known == value).with_context(|| {
        let near = did_you_mean(value, values.iter().map(String::as_str));
        format!("the category {name:?} has no value {value:?}{near}; it has {}", values.join(", "))
    })
}

fn equal(a: &Type, b: &Type, scope: &Scope) -> Result<()> {
    match (a, b) {
        (Type::Number(a), Type::Number(b)) => alike("compares", a.clone(), b.clone()).map(|_| ()),
        (Type::Condition, Type::Condition) => Ok(()),
        (Type::Category(name), Type::Text(text)) | (Type::Text(text), Type::Category(name)) => {
            match scope.find(name)? {
                Entry::Fact { values: Some(values), .. } => value_place(name, text, values).map(|_| ()),
                _ => Ok(()),
            }
        }
        _ => bail!("compares {} with {}", describe(a), describe(b)),
    }
}

/// Returns in what two numbers are that have to be in the same.
fn alike(does: &str, a: Measure, b: Measure) -> Result<Measure> {
    match (a, b) {
        (Measure::Any, other) | (other, Measure::Any) => Ok(other),
        (Measure::Of(a), Measure::Of(b)) => {
            ensure!(a.fits(&b), "{does} {a} and {b}");
            Ok(Measure::Of(a))
        }
        _ => Ok(Measure::Unknown),
    }
}

fn product(a: Measure, b: Measure, power: i32) -> Measure {
    match (a, b) {
        (Measure::Any, Measure::Any) => Measure::Any,
        (Measure::Of(unit), Measure::Any) => Measure::Of(unit.scaled()),
        (Measure::Any, Measure::Of(unit)) => Measure::Of(Unit::none().times(&unit, power).scaled()),
        (Measure::Of(a), Measure::Of(b)) => Measure::Of(a.times(&b, power)),
        _ => Measure::Unknown,
    }
}

fn one(unary: Unary, x: Measure) -> Result<Measure> {
    match (unary, x) {
        (Unary::Negate | Unary::Absolute | Unary::Floor, x) => Ok(x),
        (Unary::SquareRoot, Measure::Of(unit)) => Ok(unit.root().map_or(Measure::Unknown, Measure::Of)),
        (Unary::SquareRoot, x) => Ok(x),
        (Unary::Sine | Unary::Cosine, Measure::Of(unit)) if !unit.is_none() => bail!("takes the angle of {unit}"),
        _ => Ok(Measure::Any),
    }
}
