//! `[distill]`: how the student learns from the teacher.

use serde::{Deserialize, Serialize};

use crate::facts::expression::Expression;

/// `[distill]`: how the student learns from the teacher.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Distill {
    /// What `soft` weighs: `hinton`, `mse`, `standardized`, `dkd`, `dist`, `huber`, `cosine`, or `none` (labels alone).
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
    pub losses: Vec<Loss>,
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
        self.hard.unwrap_or(Scheduled::Constant(match self.method {
            Method::Dkd | Method::Dist => 1.0,
            _ => 0.1,
        }))
    }

    /// Returns the losses against the teacher: that of the method and the further ones.
    pub fn terms(&self) -> Vec<Loss> {
        let kind = match self.method {
            Method::Hinton => Some(LossKind::Hinton),
            Method::Mse => Some(LossKind::Mse),
            Method::Standardized => Some(LossKind::Standardized),
            Method::Dkd => Some(LossKind::Dkd),
            Method::Dist => Some(LossKind::Dist),
            Method::Huber => Some(LossKind::Huber),
            Method::Cosine => Some(LossKind::Cosine),
            Method::None => None,
        };
        let own = kind.map(|kind| {
            // By themselves these two are weighed against a hard loss of 0.1.
            let usual = if matches!(kind, LossKind::Hinton | LossKind::Mse | LossKind::Huber | LossKind::Cosine) {
                Some(Scheduled::Constant(0.9))
            } else {
                None
            };
            Loss { weight: self.soft.or(usual), temperature: self.temperature, is_method: true, ..Loss::of(kind) }
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

/// Ways of distillation; each is a loss of the same name in [`LossKind`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Method {
    /// Soft labels.
    #[default]
    Hinton,
    /// The teacher's outputs.
    Mse,
    /// Soft labels of standardised logits.
    Standardized,
    /// Decoupled soft labels.
    Dkd,
    /// Correlations of soft labels.
    Dist,
    /// The teacher's outputs, far ones counted less.
    Huber,
    /// The direction of the teacher's outputs.
    Cosine,
    /// Labels alone.
    None,
}

/// A loss against the teacher.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Loss {
    /// Its formula.
    pub kind: LossKind,
    /// What it is multiplied by; the default is its authors'.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight: Option<Scheduled>,
    /// What the logits are divided by; the default is its authors'.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub temperature: Option<Scheduled>,
    /// dkd: the weight of the target against the rest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alpha: Option<f64>,
    /// dkd: the weight of the classes among the rest; dist: of each sample's classes; relational: of distances.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub beta: Option<f64>,
    /// dist: the weight of each class's samples; relational: of angles.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gamma: Option<f64>,
    /// dkd: epochs over which its weight rises from zero.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warm_up: Option<f64>,
    /// hint, attention, relational: the layer of the student.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub student: Option<String>,
    /// hint, attention, relational: the layer of the teacher.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub teacher: Option<String>,
    /// Whether it is that of `method`.
    #[serde(skip)]
    pub(crate) is_method: bool,
}

impl Loss {
    /// Returns a loss with its authors' defaults.
    pub fn of(kind: LossKind) -> Self {
        Self {
            kind,
            weight: None,
            temperature: None,
            alpha: None,
            beta: None,
            gamma: None,
            warm_up: None,
            student: None,
            teacher: None,
            is_method: false,
        }
    }
}

impl Loss {
    /// Checks that only keys are given that the kind has.
    pub(super) fn check_keys(&self) -> anyhow::Result<()> {
        use LossKind::{Attention, Dist, Dkd, Hint, Hinton, Relational, Standardized};
        let rules: [(&str, bool, &[LossKind]); 7] = [
            // That of `method` is the recipe's, which other heads and losses may use.
            ("temperature", self.temperature.is_some() && !self.is_method, &[Hinton, Standardized, Dkd, Dist]),
            ("alpha", self.alpha.is_some(), &[Dkd]),
            ("beta", self.beta.is_some(), &[Dkd, Dist, Relational]),
            ("gamma", self.gamma.is_some(), &[Dist, Relational]),
            ("warm_up", self.warm_up.is_some(), &[Dkd]),
            ("student", self.student.is_some(), &[Hint, Attention, Relational]),
            ("teacher", self.teacher.is_some(), &[Hint, Attention, Relational]),
        ];
        for (key, present, kinds) in rules {
            anyhow::ensure!(!present || kinds.contains(&self.kind), "distill.losses: {:?} has no key {key}", self.kind);
        }
        Ok(())
    }
}

/// The losses against the teacher; formulas and sources are in [`crate::losses`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LossKind {
    /// Soft labels (Hinton 2015).
    Hinton,
    /// The logits themselves.
    Mse,
    /// Soft labels of standardised logits (Sun 2024).
    Standardized,
    /// Target and rest apart (Zhao 2022).
    Dkd,
    /// Correlations within and between samples (Huang 2022).
    Dist,
    /// The logits themselves, by the loss of Huber.
    Huber,
    /// The direction of the outputs.
    Cosine,
    /// A layer of the student to one of the teacher (Romero 2015).
    Hint,
    /// Where a layer looks (Zagoruyko 2017).
    Attention,
    /// Distances and angles between samples (Park 2019).
    Relational,
}

impl LossKind {
    /// Returns whether the loss compares layers, not outputs.
    pub fn is_of_features(self) -> bool {
        matches!(self, Self::Hint | Self::Attention | Self::Relational)
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
