//! From the tree of an expression to the code that the board runs.

use anyhow::{Context, Result, bail, ensure};
use attar_shared::{Binary, Instruction, MAX_CODE};

use super::check::{column_place, value_place};
use super::scope::{Entry, Scope};
use super::{Expression, Node, Term};
use crate::facts::value::Value;

impl Expression {
    /// Returns the code of the expression, which has to have passed [`Expression::check`] with the same scope.
    ///
    /// # Errors
    ///
    /// When it is too long.
    pub fn compile(&self, scope: &Scope) -> Result<Vec<u8>> {
        let mut code = Code { scope, bytes: Vec::new() };
        code.add(&self.root)?;
        ensure!(
            code.bytes.len() <= MAX_CODE,
            "the expression takes {} bytes, at most {MAX_CODE} fit: compute a part of it as a fact of its own",
            code.bytes.len()
        );
        Ok(code.bytes)
    }
}

struct Code<'a> {
    scope: &'a Scope,
    bytes: Vec<u8>,
}

impl Code<'_> {
    fn add(&mut self, node: &Node) -> Result<()> {
        let here = || format!("column {}", node.column);
        let instruction = match &node.term {
            Term::Number(number) => Instruction::Constant(*number),
            Term::Text(text) => bail!("{}: {text:?} can only be compared with a category", here()),
            Term::Name(name) => match self.scope.find(name).with_context(here)? {
                Entry::Fact { index, .. } => Instruction::Fact(*index),
                Entry::Input { place, .. } => Instruction::Input(*place),
            },
            Term::Field(name, column) => {
                let Entry::Fact { index, columns: Some(columns), .. } = self.scope.find(name).with_context(here)?
                else {
                    bail!("{}: {name:?} has no table", here());
                };
                let place = column_place(name, column, columns).with_context(here)?;
                Instruction::Column { fact: *index, column: u8::try_from(place).context("too many columns")? }
            }
            Term::Unary(unary, x) => {
                self.add(x)?;
                Instruction::Unary(*unary)
            }
            Term::Binary(binary, pair) => {
                for (node, other) in [(&pair[0], &pair[1]), (&pair[1], &pair[0])] {
                    self.add_or_value(node, other, *binary == Binary::Equal)?;
                }
                Instruction::Binary(*binary)
            }
            Term::Choice(parts) => {
                parts.iter().try_for_each(|part| self.add(part))?;
                Instruction::Select
            }
        };
        self.push(instruction);
        Ok(())
    }

    /// Adds a part; a text that is compared with a category is the index of that value.
    fn add_or_value(&mut self, node: &Node, other: &Node, compared: bool) -> Result<()> {
        if let (true, Term::Text(text), Term::Name(name)) = (compared, &node.term, &other.term)
            && let Entry::Fact { value: Value::Category, values: Some(values), .. } = self.scope.find(name)?
        {
            let place = value_place(name, text, values).with_context(|| format!("column {}", node.column))?;
            self.push(Instruction::Constant(place as f32));
            return Ok(());
        }
        self.add(node)
    }

    fn push(&mut self, instruction: Instruction) {
        let (bytes, len) = instruction.encode();
        self.bytes.extend(&bytes[..len]);
    }
}
