//! Units, so that an expression that adds kelvins to watts is found when the recipe is read.
//!
//! What is not known as a unit is one of its own: parts per hour are `parts/h`.

use std::collections::BTreeMap;
use std::fmt;

/// A unit: powers of base units, and how often the base unit fits into it.
#[derive(Debug, Clone, PartialEq)]
pub struct Unit {
    powers: BTreeMap<String, i32>,
    /// Unknown once a bare number was multiplied in: it may have been a conversion.
    factor: Option<f64>,
}

/// A name, base units with their powers, and a factor.
type Named = (&'static str, &'static [(&'static str, i32)], f64);

/// The units that have a name.
const NAMED: [Named; 27] = [
    ("1", &[], 1.0),
    ("%", &[], 0.01),
    ("rad", &[], 1.0),
    ("deg", &[], std::f64::consts::PI / 180.0),
    ("°", &[], std::f64::consts::PI / 180.0),
    ("m", &[("m", 1)], 1.0),
    ("s", &[("s", 1)], 1.0),
    ("min", &[("s", 1)], 60.0),
    ("h", &[("s", 1)], 3600.0),
    ("d", &[("s", 1)], 86400.0),
    ("kg", &[("kg", 1)], 1.0),
    ("N", &[("kg", 1), ("m", 1), ("s", -2)], 1.0),
    ("Nm", &[("kg", 1), ("m", 2), ("s", -2)], 1.0),
    ("J", &[("kg", 1), ("m", 2), ("s", -2)], 1.0),
    ("W", &[("kg", 1), ("m", 2), ("s", -3)], 1.0),
    ("Wh", &[("kg", 1), ("m", 2), ("s", -2)], 3600.0),
    ("Pa", &[("kg", 1), ("m", -1), ("s", -2)], 1.0),
    ("bar", &[("kg", 1), ("m", -1), ("s", -2)], 1e5),
    ("K", &[("K", 1)], 1.0),
    ("A", &[("A", 1)], 1.0),
    ("V", &[("kg", 1), ("m", 2), ("s", -3), ("A", -1)], 1.0),
    ("ohm", &[("kg", 1), ("m", 2), ("s", -3), ("A", -2)], 1.0),
    ("Ω", &[("kg", 1), ("m", 2), ("s", -3), ("A", -2)], 1.0),
    ("Hz", &[("s", -1)], 1.0),
    ("rpm", &[("s", -1)], 1.0 / 60.0),
    ("l", &[("m", 3)], 1e-3),
    ("t", &[("kg", 1)], 1000.0),
];

/// Prefixes that units other than these may have: `min` is no milli-inch.
const PREFIXES: [(&str, f64); 10] = [
    ("n", 1e-9),
    ("µ", 1e-6),
    ("μ", 1e-6),
    ("u", 1e-6),
    ("h", 1e2),
    ("m", 1e-3),
    ("c", 1e-2),
    ("k", 1e3),
    ("M", 1e6),
    ("G", 1e9),
];

impl Unit {
    /// Returns a unit from its text; nothing for an empty one.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        if text.is_empty() {
            return None;
        }
        let mut unit = Self::none();
        let mut inverted = false;
        let mut word = String::new();
        for c in text.chars().chain([' ']) {
            if !matches!(c, ' ' | '·' | '⋅' | '*' | '/') {
                word.push(c);
                continue;
            }
            if !word.is_empty() {
                let (name, power) = split_power(&word);
                unit = unit.times(&Self::named(name), if inverted { -power } else { power });
                inverted = false;
                word.clear();
            }
            inverted |= c == '/';
        }
        Some(unit)
    }

    /// Returns the unit of a ratio.
    pub fn none() -> Self {
        Self { powers: BTreeMap::new(), factor: Some(1.0) }
    }

    /// Returns whether it is a plain number, or may have become one by a conversion: radians, not degrees.
    pub fn is_none(&self) -> bool {
        self.powers.is_empty() && self.factor.is_none_or(|factor| (factor - 1.0).abs() < 1e-6)
    }

    /// Returns the product with another unit to a power.
    pub fn times(&self, other: &Self, power: i32) -> Self {
        let mut powers = self.powers.clone();
        for (base, of) in &other.powers {
            *powers.entry(base.clone()).or_default() += of * power;
        }
        powers.retain(|_, power| *power != 0);
        let factor = self.factor.zip(other.factor).map(|(a, b)| a * b.powi(power));
        Self { powers, factor }
    }

    /// Returns the unit of what was multiplied by a bare number.
    pub fn scaled(&self) -> Self {
        Self { factor: None, ..self.clone() }
    }

    /// Returns the unit of a root; nothing where there is none.
    pub fn root(&self) -> Option<Self> {
        if self.powers.values().any(|power| power % 2 != 0) {
            return None;
        }
        let powers = self.powers.iter().map(|(base, power)| (base.clone(), power / 2)).collect();
        Some(Self { powers, factor: self.factor.map(f64::sqrt) })
    }

    /// Returns whether numbers in both may be added and compared.
    pub fn fits(&self, other: &Self) -> bool {
        let same = |(a, b): (f64, f64)| (a / b - 1.0).abs() < 1e-6;
        self.powers == other.powers && self.factor.zip(other.factor).is_none_or(same)
    }

    fn named(name: &str) -> Self {
        let of = |powers: &[(&str, i32)], factor: f64| Self {
            powers: powers.iter().map(|(base, power)| (base.to_string(), *power)).collect(),
            factor: Some(factor),
        };
        let find = |name: &str| NAMED.iter().find(|(known, ..)| *known == name);
        if let Some((_, powers, factor)) = find(name) {
            return of(powers, *factor);
        }
        for (prefix, scale) in PREFIXES {
            let known = name.strip_prefix(prefix).filter(|rest| !["1", "%", "min", "d", "kg", "t"].contains(rest));
            if let Some((_, powers, factor)) = known.and_then(find) {
                return of(powers, factor * scale);
            }
        }
        of(&[(name, 1)], 1.0)
    }
}

/// Returns the name and the power of `m`, `m2`, `m²`, `s^-1`.
fn split_power(word: &str) -> (&str, i32) {
    if let Some((name, power)) = word.split_once('^')
        && let Some(power) = power.parse().ok().filter(|power: &i32| power.abs() <= 20)
    {
        return (name, power);
    }
    for (end, power) in [('²', 2), ('³', 3), ('2', 2), ('3', 3)] {
        if let Some(name) = word.strip_suffix(end)
            && name.chars().all(char::is_alphabetic)
            && !name.is_empty()
        {
            return (name, power);
        }
    }
    (word, 1)
}

impl fmt::Display for Unit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.powers.is_empty() {
            return match self.factor.filter(|factor| (factor - 1.0).abs() > 1e-6) {
                Some(factor) => write!(f, "{factor:.4}"),
                None => f.write_str("a plain number"),
            };
        }
        // A name is easier to read than its powers.
        let named = NAMED.iter().filter(|(name, ..)| !name.is_empty()).find(|(_, powers, factor)| {
            powers.len() == self.powers.len()
                && powers.iter().all(|(base, power)| self.powers.get(*base) == Some(power))
                && self.factor.is_none_or(|own| (own / factor - 1.0).abs() < 1e-6)
        });
        if let Some((name, ..)) = named {
            return f.write_str(name);
        }
        if let Some(factor) = self.factor.filter(|factor| (factor - 1.0).abs() > 1e-6) {
            write!(f, "{factor} ")?;
        }
        let parts: Vec<String> = self
            .powers
            .iter()
            .map(|(base, power)| if *power == 1 { base.clone() } else { format!("{base}^{power}") })
            .collect();
        f.write_str(&parts.join(" "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_with_several_spellings_are_one() {
        let unit = |text: &str| Unit::parse(text).unwrap();
        for (a, b) in [
            ("1/min", "rpm"),
            ("N m", "Nm"),
            ("W", "Nm/s"),
            ("m/s²", "m s^-2"),
            ("m/s2", "m/s/s"),
            ("kWh", "1 kW h"),
            ("parts/h", "parts h^-1"),
            ("µs", "us"),
        ] {
            assert!(unit(a).fits(&unit(b)), "{a} and {b}: {:?} {:?}", unit(a), unit(b));
        }
        for (a, b) in [("K", "°C"), ("min", "s"), ("g", "kg"), ("Nm", "W"), ("parts", "pieces"), ("min", "m")] {
            assert!(!unit(a).fits(&unit(b)), "{a} and {b}");
        }
        assert!(unit("min").scaled().fits(&unit("s")), "a bare number may convert");
        assert!(Unit::parse(" ").is_none());
        assert_eq!(unit("kg m^2/s^3").to_string(), "W");
        assert_eq!(unit("m^2/s^2").root().unwrap().to_string(), "m s^-1");
    }
}
