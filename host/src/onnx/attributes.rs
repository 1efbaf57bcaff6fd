//! The attributes of a node. An operator takes those that it knows; what is left is refused, so that no attribute is ignored.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail, ensure};

use super::proto;
use super::tensor::{Folder, Tensor};

/// The attributes of a node that no operator has taken yet.
#[derive(Debug)]
pub(super) struct Attributes {
    left: BTreeMap<String, Attribute>,
    /// The version of the operators.
    pub(super) opset: i64,
    /// The number of outputs that the node has.
    pub(super) outputs: usize,
}

#[derive(Debug)]
enum Attribute {
    Float(f32),
    Int(i64),
    Text(String),
    Tensor(Tensor),
    Floats(Vec<f32>),
    Ints(Vec<i64>),
    Texts(Vec<String>),
}

impl Attribute {
    fn kind(&self) -> &'static str {
        match self {
            Self::Float(_) => "a float",
            Self::Int(_) => "an integer",
            Self::Text(_) => "a text",
            Self::Tensor(_) => "a tensor",
            Self::Floats(_) => "a list of floats",
            Self::Ints(_) => "a list of integers",
            Self::Texts(_) => "a list of texts",
        }
    }
}

impl Attributes {
    /// Returns the attributes of a node.
    ///
    /// # Errors
    ///
    /// When one is there twice, or of a kind that no operator here has.
    pub(super) fn of_node(node: &proto::Node, opset: i64, folder: &Folder) -> Result<Self> {
        let mut left = BTreeMap::new();
        for attribute in &node.attributes {
            let name = &attribute.name;
            let value = read(attribute, folder).with_context(|| format!("attribute {name:?}"))?;
            ensure!(left.insert(name.clone(), value).is_none(), "attribute {name:?} is there twice");
        }
        Ok(Self { left, opset, outputs: node.outputs.len() })
    }

    /// Returns an integer, `other` where it is left out.
    pub(super) fn int(&mut self, name: &str, other: i64) -> Result<i64> {
        Ok(self.optional_int(name)?.unwrap_or(other))
    }

    pub(super) fn optional_int(&mut self, name: &str) -> Result<Option<i64>> {
        match self.left.remove(name) {
            None => Ok(None),
            Some(Attribute::Int(value)) => Ok(Some(value)),
            Some(other) => bail!("attribute {name:?} is {}, expected an integer", other.kind()),
        }
    }

    /// Returns an integer that is 0 or 1.
    pub(super) fn flag(&mut self, name: &str, other: bool) -> Result<bool> {
        match self.int(name, other.into())? {
            0 => Ok(false),
            1 => Ok(true),
            value => bail!("attribute {name:?} is {value}, expected 0 or 1"),
        }
    }

    /// Returns a float, `other` where it is left out.
    pub(super) fn float(&mut self, name: &str, other: f32) -> Result<f32> {
        Ok(self.optional_float(name)?.unwrap_or(other))
    }

    pub(super) fn optional_float(&mut self, name: &str) -> Result<Option<f32>> {
        match self.left.remove(name) {
            None => Ok(None),
            Some(Attribute::Float(value)) => Ok(Some(value)),
            Some(other) => bail!("attribute {name:?} is {}, expected a float", other.kind()),
        }
    }

    pub(super) fn ints(&mut self, name: &str) -> Result<Option<Vec<i64>>> {
        match self.left.remove(name) {
            None => Ok(None),
            Some(Attribute::Ints(values)) => Ok(Some(values)),
            Some(other) => bail!("attribute {name:?} is {}, expected integers", other.kind()),
        }
    }

    pub(super) fn floats(&mut self, name: &str) -> Result<Option<Vec<f32>>> {
        match self.left.remove(name) {
            None => Ok(None),
            Some(Attribute::Floats(values)) => Ok(Some(values)),
            Some(other) => bail!("attribute {name:?} is {}, expected floats", other.kind()),
        }
    }

    /// Returns a text, `other` where it is left out.
    pub(super) fn text(&mut self, name: &str, other: &str) -> Result<String> {
        match self.left.remove(name) {
            None => Ok(other.into()),
            Some(Attribute::Text(value)) => Ok(value),
            Some(other) => bail!("attribute {name:?} is {}, expected a text", other.kind()),
        }
    }

    pub(super) fn texts(&mut self, name: &str) -> Result<Option<Vec<String>>> {
        match self.left.remove(name) {
            None => Ok(None),
            Some(Attribute::Texts(values)) => Ok(Some(values)),
            Some(other) => bail!("attribute {name:?} is {}, expected texts", other.kind()),
        }
    }

    pub(super) fn tensor(&mut self, name: &str) -> Result<Option<Tensor>> {
        match self.left.remove(name) {
            None => Ok(None),
            Some(Attribute::Tensor(value)) => Ok(Some(value)),
            Some(other) => bail!("attribute {name:?} is {}, expected a tensor", other.kind()),
        }
    }

    /// Takes an attribute that must have one value; anything else would ask for a computation that is not there.
    pub(super) fn only_int(&mut self, name: &str, value: i64) -> Result<()> {
        let got = self.int(name, value)?;
        ensure!(got == value, "attribute {name:?} is {got}; only {value} is supported");
        Ok(())
    }

    /// As [`Attributes::only_int`], for a text.
    pub(super) fn only_text(&mut self, name: &str, value: &str) -> Result<()> {
        let got = self.text(name, value)?;
        ensure!(got == value, "attribute {name:?} is {got:?}; only {value:?} is supported");
        Ok(())
    }

    /// Refuses what no one has taken.
    pub(super) fn finish(self) -> Result<()> {
        match self.left.keys().next() {
            None => Ok(()),
            Some(name) => bail!("attribute {name:?} is not supported"),
        }
    }
}

fn read(attribute: &proto::Attribute, folder: &Folder) -> Result<Attribute> {
    ensure!(attribute.reference.is_empty(), "refers to an attribute of a function, which is not supported");
    let text = |bytes: &Vec<u8>| String::from_utf8(bytes.clone()).context("is not UTF-8");
    // Files of IR version 1 and 2 leave the kind out; all exporters of today write it.
    Ok(match attribute.kind {
        1 => Attribute::Float(attribute.float),
        2 => Attribute::Int(attribute.int),
        3 => Attribute::Text(text(&attribute.text)?),
        4 => Attribute::Tensor(Tensor::read(attribute.tensor.as_ref().context("has no tensor")?, folder)?),
        6 => Attribute::Floats(attribute.floats.clone()),
        7 => Attribute::Ints(attribute.ints.clone()),
        8 => Attribute::Texts(attribute.texts.iter().map(text).collect::<Result<_>>()?),
        5 | 10 => bail!("holds a graph, which is not supported"),
        kind => bail!("is of the unknown kind {kind}"),
    })
}
