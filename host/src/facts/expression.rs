//! Expressions of computed facts: read from text, checked against what there is, compiled to the code that the board runs.
//!
//! `torque * rpm * 6.283185 / 60`, `tool_wear * torque > type.overstrain`, `if load > 2 then "6205" == bearing else hot`.

mod check;
mod compile;
mod parse;
pub(super) mod scope;
#[cfg(test)]
mod tests;
pub mod units;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

pub use scope::Entry;

/// An expression that has been read.
#[derive(Debug, Clone, PartialEq)]
pub struct Expression {
    text: String,
    root: Node,
}

/// A part of an expression and where it stands.
#[derive(Debug, Clone, PartialEq)]
struct Node {
    /// From 1.
    column: usize,
    term: Term,
}

#[derive(Debug, Clone, PartialEq)]
enum Term {
    Number(f32),
    /// In quotes: a category's value.
    Text(String),
    Name(String),
    /// A column of a category's table.
    Field(String, String),
    Unary(attar_shared::Unary, Box<Node>),
    Binary(attar_shared::Binary, Box<[Node; 2]>),
    /// Condition, then, else.
    Choice(Box<[Node; 3]>),
}

impl Expression {
    /// Returns the names that it reads, of facts and of the input.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let mut names = Vec::new();
        self.root.walk(&mut |node| match &node.term {
            Term::Name(name) | Term::Field(name, _) => names.push(name.as_str()),
            _ => {}
        });
        names.into_iter()
    }

    /// Returns it as it was written.
    pub fn text(&self) -> &str {
        &self.text
    }
}

impl Node {
    fn children(&self) -> &[Node] {
        match &self.term {
            Term::Number(_) | Term::Text(_) | Term::Name(_) | Term::Field(..) => &[],
            Term::Unary(_, x) => std::slice::from_ref(x),
            Term::Binary(_, pair) => pair.as_slice(),
            Term::Choice(parts) => parts.as_slice(),
        }
    }

    /// Returns how many numbers the board holds at once while it computes the part.
    fn stack(&self) -> usize {
        let operands = self.children().iter().enumerate();
        operands.map(|(waiting, child)| waiting + child.stack()).max().unwrap_or(1)
    }

    fn walk<'a>(&'a self, visit: &mut impl FnMut(&'a Node)) {
        visit(self);
        self.children().iter().for_each(|child| child.walk(visit));
    }
}

impl Serialize for Expression {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

impl<'de> Deserialize<'de> for Expression {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(|error: anyhow::Error| serde::de::Error::custom(format!("{error:#}")))
    }
}
