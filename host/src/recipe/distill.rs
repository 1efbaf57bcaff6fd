//! `[distill]`: how the student learns from the teacher.

use std::fmt;

use serde::de::{Error, IgnoredAny, MapAccess, Visitor};
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::facts::expression::Expression;
use crate::losses::{Key, LossName, Numbers, unknown_variant};

/// `[distill]`: how the student learns from the teacher.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Distill {
    /// The loss that `soft` weighs, by its name, or `none` (labels only).
    #[serde(default)]
    pub method: Method,
    /// What the logits are divided by before the soft labels are taken; the default is the method's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub temperature: Option<Scheduled>,
    /// What the loss against the labels is multiplied by; the default is the method's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hard: Option<Scheduled>,
    /// What the loss against the teacher is multiplied by; the default is the method's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub soft: Option<Scheduled>,
    /// `[[distill.losses]]`: more losses against the teacher, each with a weight of its own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub losses: Vec<Term>,
    /// `[[distill.rules]]`: what must hold of a label, put into what the teacher says.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<Rule>,
    /// How the losses of several heads are weighed: `fixed`, by their `weight`, or `uncertainty`.
    #[serde(default)]
    pub balance: Balance,
    /// How often the student learns: each time after the first from what it was itself before.
    #[serde(default = "Distill::default_generations")]
    pub generations: usize,
}

impl Distill {
    fn default_generations() -> usize {
        1
    }

    /// Returns the weight of the loss against the labels.
    pub fn hard_weight(&self) -> Scheduled {
        self.hard.unwrap_or(Scheduled::Constant(self.method.weights()[0]))
    }

    /// Returns the losses against the teacher: that of the method and the further ones.
    pub fn terms(&self) -> Vec<Term> {
        let own = self.method.0.map(|kind| Term {
            weight: Some(self.soft.unwrap_or(Scheduled::Constant(self.method.weights()[1]))),
            // Heads and losses without a temperature ignore it.
            temperature: self.temperature,
            ..Term::of(kind)
        });
        own.into_iter().chain(self.losses.iter().cloned()).collect()
    }
}

impl Default for Distill {
    fn default() -> Self {
        Self {
            method: Method::default(),
            temperature: None,
            hard: None,
            soft: None,
            losses: Vec::new(),
            rules: Vec::new(),
            balance: Balance::default(),
            generations: Self::default_generations(),
        }
    }
}

/// Something that must hold of a label when a condition does.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// The condition, on facts and inputs.
    pub when: Expression,
    /// The head that it speaks of.
    pub head: String,
    /// class, multilabel: the label.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// Whether the label must hold, or must not.
    #[serde(default = "Rule::default_holds")]
    pub holds: bool,
    /// What the logit of an answer falls by that breaks the rule.
    #[serde(default = "Rule::default_strength")]
    pub strength: f64,
}

impl Rule {
    fn default_holds() -> bool {
        true
    }

    fn default_strength() -> f64 {
        4.0
    }

    /// Returns the name of the fact that its condition is computed as.
    pub(crate) fn fact_name(&self, index: usize) -> String {
        format!("rule {}", index + 1)
    }
}

/// `method`: one of [`crate::losses`] with the weights `hard` and `soft`, or none.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Method(Option<LossName>);

impl Method {
    /// Labels only.
    const NONE: &'static str = "none";

    /// Returns the defaults of `hard` and `soft`.
    fn weights(self) -> [f64; 2] {
        self.0.and_then(|loss| loss.as_method()).unwrap_or([0.1, 0.9])
    }
}

impl Default for Method {
    fn default() -> Self {
        Self(Some(LossName::HINTON))
    }
}

impl Serialize for Method {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.0.map_or(Self::NONE, |loss| loss.name()))
    }
}

impl<'de> Deserialize<'de> for Method {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        if name == Self::NONE {
            return Ok(Self(None));
        }
        let methods = || LossName::all().filter(|loss| loss.as_method().is_some());
        let names = || methods().map(|loss| loss.name()).chain([Self::NONE]);
        let found = methods().find(|loss| loss.name() == name);
        found.map(|loss| Self(Some(loss))).ok_or_else(|| D::Error::custom(unknown_variant(&name, names())))
    }
}

/// `[[distill.losses]]`: a loss against the teacher, one of [`crate::losses`].
#[derive(Debug, Clone, PartialEq)]
pub struct Term {
    /// The loss.
    pub kind: LossName,
    /// What it is multiplied by; the default is its authors'.
    pub weight: Option<Scheduled>,
    /// What is divided by it; the default is its authors'. Only losses that have one take this key.
    pub temperature: Option<Scheduled>,
    /// The values of the loss's own keys.
    pub numbers: Numbers,
    /// Losses of layers: the layer of the student.
    pub student: Option<String>,
    /// Losses of layers: the layer of the teacher.
    pub teacher: Option<String>,
}

impl Term {
    /// Returns a loss with its authors' defaults.
    pub fn of(kind: LossName) -> Self {
        Self { kind, weight: None, temperature: None, numbers: Numbers::default(), student: None, teacher: None }
    }

    /// Returns whether a loss has a key.
    fn has_key(kind: LossName, key: &str) -> bool {
        match key {
            "kind" | "weight" => true,
            "temperature" => kind.temperature().is_some(),
            "student" | "teacher" => kind.is_of_layers(),
            _ => kind.keys().iter().any(|own| own.name == key),
        }
    }

    /// Returns the keys of a loss, or of all.
    fn keys(kind: Option<LossName>) -> Vec<&'static str> {
        let losses = || LossName::all().filter(|loss| kind.is_none_or(|kind| kind == *loss));
        let mut keys = vec!["kind", "weight", "temperature"];
        for key in losses().flat_map(|loss| loss.keys()) {
            if !keys.contains(&key.name) {
                keys.push(key.name);
            }
        }
        keys.extend(["student", "teacher"]);
        keys.retain(|key| losses().any(|loss| Self::has_key(loss, key)));
        keys
    }

    /// Returns the error of a key that the loss does not have, in the words of serde, which the reader of recipes locates.
    fn unknown_key<E: Error>(kind: Option<LossName>, key: &str) -> E {
        let expected: Vec<String> = Self::keys(kind).iter().map(|key| format!("`{key}`")).collect();
        let why = kind.map(|kind| format!(": loss {:?} has no key {key}", kind.name())).unwrap_or_default();
        E::custom(format!("unknown field `{key}`{why}, expected one of {}", expected.join(", ")))
    }
}

impl Serialize for Term {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("kind", &self.kind)?;
        for (key, value) in [("weight", self.weight), ("temperature", self.temperature)] {
            if let Some(value) = value {
                map.serialize_entry(key, &value)?;
            }
        }
        for key in self.kind.keys() {
            if let Some(value) = self.numbers.given(key) {
                map.serialize_entry(key.name, &value)?;
            }
        }
        for (key, layer) in [("student", &self.student), ("teacher", &self.teacher)] {
            if let Some(layer) = layer {
                map.serialize_entry(key, layer)?;
            }
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for Term {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(TermVisitor)
    }
}

struct TermVisitor;

impl<'de> Visitor<'de> for TermVisitor {
    type Value = Term;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a loss, as in { kind = \"dist\", weight = 1 }")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Term, A::Error> {
        let mut term = Term::of(LossName::HINTON);
        let mut kind = None;
        let mut numbers: Vec<(String, f64)> = Vec::new();
        // Keys come in the order of the alphabet, so which the loss has is known at the end.
        let mut seen: Vec<String> = Vec::new();
        while let Some(key) = map.next_key::<String>()? {
            match key.as_str() {
                "kind" => kind = Some(map.next_value()?),
                "weight" => term.weight = Some(map.next_value()?),
                "temperature" => term.temperature = Some(map.next_value()?),
                "student" => term.student = Some(map.next_value()?),
                "teacher" => term.teacher = Some(map.next_value()?),
                own if Term::keys(None).contains(&own) => numbers.push((key.clone(), map.next_value()?)),
                _ => drop(map.next_value::<IgnoredAny>()?),
            }
            seen.push(key);
        }
        let has_key = |key: &str| match kind {
            Some(kind) => Term::has_key(kind, key),
            None => Term::keys(None).contains(&key),
        };
        if let Some(key) = seen.iter().find(|key| !has_key(key)) {
            return Err(Term::unknown_key(kind, key));
        }
        term.kind = kind.ok_or_else(|| A::Error::missing_field("kind"))?;
        for (name, value) in numbers {
            let key: Option<&Key> = term.kind.keys().iter().find(|key| key.name == name);
            key.into_iter().for_each(|key| term.numbers.set(key, value));
        }
        Ok(term)
    }
}

/// How the losses of several heads are weighed against each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Balance {
    /// By their `weight`.
    #[default]
    Fixed,
    /// By an uncertainty that is learned for each head (Kendall 2018).
    Uncertainty,
}

/// A number, or one that goes linearly from a start to an end over the training.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(untagged, expecting = "expected a number, or { start = NUMBER, end = NUMBER }")]
pub enum Scheduled {
    /// The same throughout.
    Constant(f64),
    /// From the first step to the last.
    Linear(Linear),
}

/// Both ends of a number that changes.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Linear {
    /// At the first step.
    pub start: f64,
    /// At the last step.
    pub end: f64,
}

impl Scheduled {
    /// Returns the value after a share of the training.
    pub fn at(self, share: f64) -> f64 {
        match self {
            Self::Constant(value) => value,
            Self::Linear(Linear { start, end }) => start + (end - start) * share,
        }
    }

    /// Returns the values at both ends.
    pub fn ends(self) -> [f64; 2] {
        [self.at(0.0), self.at(1.0)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn distill(text: &str) -> Result<Distill, toml::de::Error> {
        toml::from_str(text)
    }

    #[test]
    fn keys_of_another_loss_are_refused() {
        for (text, expected) in [
            ("[[losses]]\nkind = 'hinton'\nalpha = 1", "unknown field `alpha`: loss \"hinton\" has no key alpha"),
            ("[[losses]]\nkind = 'dkd'\nalpa = 'x'", "`kind`, `weight`, `temperature`, `alpha`, `beta`, `warm_up`"),
            ("[[losses]]\nkind = 'hint'\ntemperature = 1", "one of `kind`, `weight`, `student`, `teacher`"),
            ("[[losses]]\nkind = 'dkd'\nalpha = 'x'", "expected f64"),
            ("[[losses]]\nkind = 'dkt'", "unknown variant `dkt`, expected one of `hinton`"),
            ("[[losses]]\nweight = 1", "missing field `kind`"),
            (
                "[[losses]]\nwight = 1",
                "unknown field `wight`, expected one of `kind`, `weight`, `temperature`, `alpha`",
            ),
            ("method = 'hint'", "`cosine`, `none`"),
        ] {
            let error = distill(text).unwrap_err();
            assert!(error.message().contains(expected), "{text}: {error}");
        }
    }

    /// The key of a stage is a hash of what is written, so the order stays.
    #[test]
    fn losses_are_written_as_they_are_read() {
        let text = "method = \"none\"\nbalance = \"fixed\"\ngenerations = 1\n\n[[losses]]\nkind = \"dkd\"\nweight = 0.5\n\
                    temperature = 3.0\nalpha = 2.0\nwarm_up = 0.0\n\n[[losses]]\nkind = \"relational\"\ngamma = 1.0\n\
                    student = \"a\"\nteacher = \"b\"\n";
        let distill = distill(text).unwrap();
        assert_eq!(toml::from_str::<Distill>(&toml::to_string(&distill).unwrap()).unwrap(), distill);
        let written = serde_json::to_string(&distill).unwrap();
        let expected = "\"losses\":[{\"kind\":\"dkd\",\"weight\":0.5,\"temperature\":3.0,\"alpha\":2.0,\"warm_up\":0.0},\
                        {\"kind\":\"relational\",\"gamma\":1.0,\"student\":\"a\",\"teacher\":\"b\"}]";
        assert!(written.contains(expected), "{written}");
    }

    #[test]
    fn a_method_is_a_loss_with_the_weights_of_its_authors() {
        let weights = |text: &str| {
            let distill = distill(text).unwrap();
            let soft = distill.terms().first().map(|term| term.weight.unwrap().at(0.0));
            (distill.hard_weight().at(0.0), soft)
        };
        for (text, expected) in [
            ("", (0.1, Some(0.9))),
            ("method = 'standardized'", (0.1, Some(9.0))),
            ("method = 'dkd'", (1.0, Some(1.0))),
            ("method = 'dist'", (1.0, Some(2.0))),
            ("method = 'dist'\nhard = 0.5\nsoft = 3", (0.5, Some(3.0))),
            ("method = 'none'", (0.1, None)),
        ] {
            assert_eq!(weights(text), expected, "{text}");
        }
    }
}
