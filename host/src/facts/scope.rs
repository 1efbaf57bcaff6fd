//! What expressions may read: facts and values of the input by their names.

use std::collections::BTreeMap;

use anyhow::{Result, bail, ensure};

use super::expression::scope::{Entry, Scope};
use super::expression::units::Unit;
use super::recipe::Fact;
use super::value::Value;
use crate::support::suggest::did_you_mean;

impl Scope {
    /// Returns the scope of facts, in the order of the model, and of inputs with their units.
    ///
    /// Values and columns that are known from the data alone are not there yet when the recipe is read.
    ///
    /// # Errors
    ///
    /// When a fact and a value of the input have one name.
    pub fn new(facts: &[Fact], inputs: &[String], units: &BTreeMap<String, String>) -> Result<Self> {
        let mut scope = Self::default();
        for name in units.keys() {
            if !inputs.contains(name) {
                let near = did_you_mean(name, inputs.iter().map(String::as_str));
                bail!("input.units names {name:?}, which is no input{near}");
            }
        }
        for (place, name) in inputs.iter().enumerate().take(usize::from(u16::MAX)) {
            let unit = units.get(name).and_then(|unit| Unit::parse(unit));
            scope.entries.insert(name.clone(), Entry::Input { place: place as u16, unit });
        }
        for (index, fact) in facts.iter().enumerate() {
            let table = fact.table.as_ref();
            let columns =
                table.filter(|table| table.file.is_none()).map(|table| table.columns.keys().cloned().collect());
            let features = fact.kind.value() == Value::Features;
            let columns = match features {
                true => (!fact.values.is_empty()).then(|| fact.values.clone()),
                false if table.is_none() => Some(Vec::new()),
                false => columns,
            };
            let entry = Entry::Fact {
                index: index as u8,
                value: fact.kind.value(),
                unit: Unit::parse(fact.unit()),
                values: (!fact.values.is_empty()).then(|| fact.values.clone()),
                columns,
                units: table.map(|table| table.units.clone()).unwrap_or_default(),
            };
            let twice = scope.entries.insert(fact.name.clone(), entry);
            ensure!(
                twice.is_none(),
                "{:?} is both a fact and a value of the input: name one of them otherwise",
                fact.name
            );
        }
        Ok(scope)
    }

    /// Checks what each fact is computed from, as far as it is known.
    ///
    /// # Errors
    ///
    /// Names the fact and the column of the mistake.
    pub fn check(&self, facts: &[Fact]) -> Result<()> {
        for fact in facts {
            if let Some(expr) = &fact.expr {
                let wanted = (fact.kind.value() == Value::Number).then(|| Unit::parse(fact.unit()));
                let checked = expr.check(self, wanted.as_ref().map(Option::as_ref));
                checked.map_err(|error| error.context(format!("fact {:?}: expr = {:?}", fact.name, expr.text())))?;
            }
        }
        Ok(())
    }
}
