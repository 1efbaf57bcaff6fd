//! Which columns of a table are what a model takes, and how the table is written.

use std::path::Path;

use anyhow::{Context, Result, bail};
use attar::facts::Fact;
use attar::recipe::{MissingRows, Recipe};
use attar::support::progress::say;
use attar::support::suggest::{listed, shortened};
use attar::tables::{Column, Dialect, Table};
use clap::Args;

/// How a CSV is written: as the keys of `[data]` of the same names say.
#[derive(Debug, Args)]
pub(super) struct Tables {
    /// A column of the CSV by its name in the model, as in hours=hours_per_week; may be repeated.
    #[arg(long = "column", value_name = "NAME=COLUMN")]
    columns: Vec<String>,
    /// Delimiter of the CSV. Default: the recipe's, or detected.
    #[arg(long, value_name = "CHARACTER")]
    delimiter: Option<String>,
    /// Decimal separator of the CSV: a point or a comma.
    #[arg(long, value_name = "CHARACTER")]
    decimal: Option<String>,
    /// The encoding of the CSV or text file, as in windows-1252.
    #[arg(long, value_name = "NAME")]
    encoding: Option<String>,
    /// Lines of the CSV that begin with this character are left out.
    #[arg(long, value_name = "CHARACTER")]
    comment: Option<String>,
    /// A line of the CSV that is left out, counted from 1; may be repeated. 0 reads all that the recipe leaves out.
    #[arg(long, value_name = "LINE")]
    skip: Vec<u64>,
    /// A marker of missing values in the CSV; may be repeated.
    #[arg(long, value_name = "CELL", allow_hyphen_values = true)]
    missing: Vec<String>,
    /// Drop rows with a missing input instead of refusing the file.
    #[arg(long)]
    drop_missing_rows: bool,
}

impl Tables {
    /// Returns how the table is written: as the recipe says, and in its place as the flags say.
    pub(super) fn dialect(&self, recipe: Option<&Recipe>) -> Result<Dialect> {
        let mut dialect = recipe.map_or(Ok(Dialect::default()), |recipe| recipe.data.dialect())?;
        if let Some(text) = &self.delimiter {
            dialect.delimit(text).context("--delimiter")?;
        }
        if let Some(text) = &self.decimal {
            dialect.point(text).context("--decimal")?;
        }
        if let Some(label) = &self.encoding {
            dialect.encode(label).context("--encoding")?;
        }
        if let Some(text) = &self.comment {
            dialect.comment(text).context("--comment")?;
        }
        // Of the recipe's lines those around the header are the same in other files.
        let lines = dialect.skip.iter().copied().enumerate();
        dialect.skip = lines.filter(|(before, line)| *line <= *before as u64 + 2).map(|(_, line)| line).collect();
        if !self.skip.is_empty() {
            dialect.skip = self.skip.iter().copied().filter(|line| *line > 0).collect();
        }
        if !self.missing.is_empty() {
            dialect.missing.clone_from(&self.missing);
        }
        Ok(dialect)
    }

    /// Returns whether rows with a missing input are left out.
    pub(super) fn drops(&self, recipe: Option<&Recipe>) -> bool {
        self.drop_missing_rows || recipe.is_some_and(|recipe| recipe.data.missing_rows == MissingRows::Drop)
    }
}

/// Where the column of a name was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum By {
    Flag,
    Recipe,
    /// A column is called as the model calls it.
    Model,
    /// The model's values have no names.
    Order,
}

/// Finds the columns of a table by the names of a model.
#[derive(Debug)]
pub(super) struct Columns<'a> {
    path: &'a Path,
    headers: Vec<String>,
    recipe: Option<&'a Recipe>,
    given: Vec<(&'a str, &'a str)>,
    /// Names in the model, their columns, and how those were found.
    found: Vec<(String, String, By)>,
    /// Names in the model without a column, and how messages call them.
    absent: Vec<(String, String)>,
}

impl<'a> Columns<'a> {
    pub(super) fn new(path: &'a Path, table: &Table, tables: &'a Tables, recipe: Option<&'a Recipe>) -> Result<Self> {
        let given = tables
            .columns
            .iter()
            .map(|pair| {
                let (name, column) =
                    pair.split_once('=').with_context(|| format!("--column {pair}: expected name=column"))?;
                table.column(column).with_context(|| format!("--column {pair}"))?;
                Ok((name, column))
            })
            .collect::<Result<_>>()?;
        Ok(Self { path, headers: table.columns().to_vec(), recipe, given, found: Vec::new(), absent: Vec::new() })
    }

    /// Returns the column of an input.
    pub(super) fn input(&mut self, name: &str) -> Option<String> {
        let recipe = self.recipe.map(|recipe| &recipe.input);
        let in_recipe = recipe.and_then(|input| input.columns.get(name).or(input.text.as_ref()).cloned());
        self.find(name, in_recipe.as_deref())
    }

    /// Returns the column of a fact.
    pub(super) fn fact(&mut self, name: &str) -> Option<String> {
        // What lies in a file of its own has its column there.
        let in_recipe = self.recipe_fact(name).filter(|fact| fact.file.is_none() && fact.constant.is_none());
        let in_recipe = in_recipe.map(|fact| fact.column.clone().unwrap_or_else(|| fact.name.clone()));
        self.find(name, in_recipe.as_deref())
    }

    /// Returns what the recipe says of a fact.
    pub(super) fn recipe_fact(&self, name: &str) -> Option<&'a Fact> {
        self.recipe?.facts.iter().find(|fact| fact.name == name)
    }

    /// Takes the columns that are no facts as the values of a model that does not name them.
    pub(super) fn in_order(&mut self) -> Vec<String> {
        let is_fact = |header: &String| self.found.iter().any(|(_, column, _)| column == header);
        let names: Vec<String> = self.headers.iter().filter(|header| !is_fact(header)).cloned().collect();
        self.found.extend(names.iter().map(|name| (name.clone(), name.clone(), By::Order)));
        names
    }

    fn find(&mut self, name: &str, in_recipe: Option<&str>) -> Option<String> {
        let has = |column: &str| self.headers.iter().any(|header| header == column);
        let given = self.given.iter().find(|(given, _)| *given == name).map(|(_, column)| *column);
        let found = match (given, in_recipe) {
            (Some(column), _) => Some((column, By::Flag)),
            // Where both are there, a column that the model's name happens to fit is another one.
            (None, Some(column)) if has(column) => Some((column, By::Recipe)),
            _ if has(name) => Some((name, By::Model)),
            _ => None,
        };
        match found {
            Some((column, by)) => {
                self.found.push((name.into(), column.into(), by));
                Some(column.into())
            }
            None => {
                let called =
                    in_recipe.filter(|column| *column != name).map(|column| format!(" ({column:?} in the recipe)"));
                self.absent.push((name.into(), format!("{name:?}{}", called.unwrap_or_default())));
                None
            }
        }
    }

    /// Says what was matched to what, and refuses a table in which one column is called as in the recipe, and another is not there
    /// but for one that has its name in the model.
    pub(super) fn say(&self) -> Result<()> {
        let of_given = self.given.iter().find(|(name, _)| !self.found.iter().any(|(found, ..)| found == name));
        if let Some((name, column)) = of_given {
            bail!("--column {name}={column}: the model takes no column {name:?}");
        }
        let mut taken: Vec<&str> = self.found.iter().map(|(_, column, _)| column.as_str()).collect();
        taken.sort_unstable();
        if let Some(pair) = taken.windows(2).find(|pair| pair[0] == pair[1]) {
            let names: Vec<&str> =
                self.found.iter().filter(|(_, column, _)| column == pair[0]).map(|(name, ..)| name.as_str()).collect();
            say(&format!("warning: {}: column {:?} is taken for {}", self.path.display(), pair[0], listed(&names)));
        }
        let renamed = |by: By| self.found.iter().filter(move |(_, _, found)| *found == by);
        let by_recipe = renamed(By::Recipe).find(|(name, column, _)| name != column);
        let by_model = renamed(By::Model).find(|(name, ..)| self.recipe_name(name).is_some());
        if let (Some((_, one, _)), Some((name, ..))) = (by_recipe, by_model) {
            bail!(
                "{}: {name:?} is the column {:?} in the recipe, which is not here, while {one:?} is: if the column {name:?} holds the \
                 same, say --column {name}={name}",
                self.path.display(),
                self.recipe_name(name).unwrap_or_default()
            );
        }
        let parts = [
            (By::Flag, "--column"),
            (By::Recipe, "the recipe"),
            (By::Model, "their names in the model"),
            (By::Order, "their order"),
        ];
        let parts: Vec<String> = parts
            .into_iter()
            .filter_map(|(by, how)| {
                let pairs: Vec<String> = renamed(by)
                    .map(|(name, column, _)| if name == column { name.clone() } else { format!("{name} = {column:?}") })
                    .collect();
                (!pairs.is_empty()).then(|| format!("by {how}: {}", listed(&pairs)))
            })
            .collect();
        let unused: Vec<&String> = self.headers.iter().filter(|header| !taken.contains(&header.as_str())).collect();
        let unused = if unused.is_empty() { String::new() } else { format!("; not used: {}", listed(&unused)) };
        let matched =
            if parts.is_empty() { "no column of the model".into() } else { format!("columns {}", parts.join("; ")) };
        say(&format!("{}: {matched}{unused}", self.path.display()));
        Ok(())
    }

    /// Returns the names of the model for which there is no column.
    pub(super) fn absent(&self) -> &[(String, String)] {
        &self.absent
    }

    /// Returns the column of a name in the recipe, where it is another than the name.
    fn recipe_name(&self, name: &str) -> Option<&'a str> {
        let of_input = || self.recipe?.input.columns.get(name).map(String::as_str);
        let of_fact = || self.recipe_fact(name).filter(|fact| fact.file.is_none())?.column.as_deref();
        of_input().or_else(of_fact).filter(|column| *column != name)
    }
}

/// Returns the cells of a fact's column as `attar run` sets them.
pub(super) fn fact_cells(column: Column<'_>, is_number: bool, fact: Option<&Fact>) -> Result<Vec<String>> {
    let date = fact.filter(|fact| fact.kind.name() == "date");
    let cells = column.cells(is_number && date.is_none())?;
    let read = |(row, cell): (usize, &std::borrow::Cow<'_, str>)| match date {
        Some(date) if !attar::domain::is_missing(cell) => {
            let day = date.kind.read(cell);
            let day =
                day.with_context(|| format!("{}: fact {:?} {:?}", column.place(row), date.name, shortened(cell)))?;
            Ok(day.to_string())
        }
        _ => Ok(cell.to_string()),
    };
    cells.iter().enumerate().map(read).collect()
}
