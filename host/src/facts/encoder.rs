//! How facts enter the network, measured on the training split.

use anyhow::{Result, bail, ensure};
use attar_device::Encoding;
use attar_shared::Scaling;

use super::{EncoderKind, Fact};
use crate::domain::Moments;
use crate::support::progress::say;

/// How a fact enters the network.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Encoder {
    /// By a formula of the device.
    Formula(Encoding),
    /// One-hot, and from there by a learned row of so many values for each value.
    Embedding {
        /// The category's values.
        values: usize,
        /// Values of a row.
        width: usize,
    },
}

impl Encoder {
    /// Returns the encoder of a fact with the constants that its known values in the training split give; `beyond` holds what it
    /// may also be while training.
    ///
    /// # Errors
    ///
    /// When there is no known value to measure, or they make no range.
    pub fn measure(fact: &Fact, values: usize, known: impl Iterator<Item = f32>, beyond: Vec<f32>) -> Result<Self> {
        let kind = fact.encoder();
        Ok(match kind {
            EncoderKind::None => Self::Formula(Encoding::None),
            EncoderKind::Flag => Self::Formula(Encoding::Flag),
            EncoderKind::OneHot => Self::Formula(Encoding::OneHot(values)),
            EncoderKind::Features => Self::Formula(Encoding::Features(values)),
            EncoderKind::Embedding => Self::Embedding { values, width: fact.width.unwrap_or(1) },
            EncoderKind::Periodic => {
                let scaling = Scaling::Periodic { period: fact.period().unwrap_or(1.0) };
                Self::Formula(Encoding::Number { scaling, least: f32::MIN, greatest: f32::MAX })
            }
            EncoderKind::ZScore | EncoderKind::Range | EncoderKind::Log => {
                let (scaling, [least, greatest]) = number(fact, kind, known)?;
                let (least, greatest) =
                    beyond.iter().fold((least, greatest), |(least, greatest), &x| (least.min(x), greatest.max(x)));
                Self::Formula(Encoding::Number { scaling, least, greatest })
            }
        })
    }

    /// Returns how training encodes it; what is behind an embedding is the network's.
    pub fn encoding(self) -> Encoding {
        match self {
            Self::Formula(encoding) => encoding,
            Self::Embedding { values, .. } => Encoding::OneHot(values),
        }
    }
}

/// Returns a number's formula, and the least and the greatest value that training has seen.
fn number(fact: &Fact, kind: EncoderKind, known: impl Iterator<Item = f32>) -> Result<(Scaling, [f32; 2])> {
    let log = kind == EncoderKind::Log;
    let mut moments = Moments::default();
    let (mut least, mut greatest) = (f32::INFINITY, f32::NEG_INFINITY);
    for value in known {
        ensure!(
            !log || value > 0.0,
            "fact {:?}: {value} has no logarithm, encoder \"log\" takes numbers above 0",
            fact.name
        );
        // The moments are those of what the board computes.
        moments.add(if log { libm::logf(value) } else { value });
        least = least.min(value);
        greatest = greatest.max(value);
    }
    let given = match kind {
        EncoderKind::Range => fact.low.zip(fact.high),
        _ => fact.mean.zip(fact.deviation),
    };
    if least > greatest && given.is_none() {
        bail!("fact {:?} is missing in every training sample: its encoder cannot be measured", fact.name);
    }
    let [mean, deviation] = moments.mean_and_deviation();
    let scaling = match kind {
        EncoderKind::Range => {
            let (low, high) = (fact.low.unwrap_or(least), fact.high.unwrap_or(greatest));
            ensure!(low < high, "fact {:?}: the range from {low} to {high} is empty", fact.name);
            Scaling::Range { low, high }
        }
        _ => {
            let (mean, deviation) = (fact.mean.unwrap_or(mean), fact.deviation.unwrap_or(deviation));
            ensure!(
                deviation.is_normal() && deviation > 0.0,
                "fact {:?}: deviation is {deviation}, expected more than 0",
                fact.name
            );
            if log { Scaling::Log { mean, deviation } } else { Scaling::ZScore { mean, deviation } }
        }
    };
    if given.is_some() && least <= greatest {
        odd_scale(&fact.name, scaling, [mean, deviation]).iter().for_each(|line| say(line));
    }
    // Without a value to learn from, everything is allowed.
    let range =
        if least > greatest { [if log { f32::MIN_POSITIVE } else { f32::MIN }, f32::MAX] } else { [least, greatest] };
    Ok((scaling, range))
}

/// Returns a warning where constants of a recipe bring the training values, of this mean and deviation, to far more or less than 1:
/// they may be of another unit.
fn odd_scale(name: &str, scaling: Scaling, [mean, deviation]: [f32; 2]) -> Option<String> {
    let (keys, offset, divisor) = match scaling {
        Scaling::Range { low, high } => (format!("low = {low} and high = {high}"), low, high - low),
        Scaling::ZScore { mean, deviation } | Scaling::Log { mean, deviation } => {
            (format!("mean = {mean} and deviation = {deviation}"), mean, deviation)
        }
        Scaling::Periodic { .. } => return None,
    };
    let [middle, spread] = [(mean - offset) / divisor, deviation / divisor];
    let is_odd = match scaling {
        Scaling::Range { .. } => !(0.0..=1.0).contains(&middle) || spread < 0.005,
        _ => middle.abs() > 10.0 || !(0.02..=20.0).contains(&spread),
    };
    let logarithm = if matches!(scaling, Scaling::Log { .. }) { " of their logarithm" } else { "" };
    is_odd.then(|| {
        format!(
            "warning: fact {name:?}: the training values have mean {mean}, deviation {deviation}{logarithm}; {keys} of the recipe bring them \
             to mean {middle}, deviation {spread}: are they of the same unit?"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn constants_of_another_unit_are_seen() {
        let warns = |scaling| odd_scale("temp", scaling, [20.0, 5.0]).is_some();
        for (low, high, odd) in [(0.0, 40.0, false), (-50.0, 150.0, false), (0.0, 1.0, true), (250.0, 310.0, true)] {
            assert_eq!(warns(Scaling::Range { low, high }), odd, "{low} to {high}");
        }
        assert!(warns(Scaling::Range { low: 0.0, high: 40_000.0 }));
        for (mean, deviation, odd) in [(0.0, 10.0, false), (20.0, 5.0, false), (0.0, 0.001, true), (293.0, 5.0, true)] {
            assert_eq!(warns(Scaling::ZScore { mean, deviation }), odd, "{mean}, {deviation}");
        }
        let line = odd_scale("temp", Scaling::Range { low: 0.0, high: 1.0 }, [20.0, 5.0]).unwrap();
        assert!(
            line.contains("mean 20, deviation 5; low = 0 and high = 1 of the recipe bring them to mean 20"),
            "{line}"
        );
    }
}
