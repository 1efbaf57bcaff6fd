//! What the heads say: logits as they are, probabilities and labels on demand.

use attar_shared::{Head, HeadKind, Model, Tensor};
use micromath::F32;

use crate::{Error, dequantize};

/// The outputs of a run.
#[derive(Debug, Clone, Copy)]
pub struct Outputs<'a> {
    model: Model<'a>,
    arena: &'a [i8],
}

/// One head of a run.
#[derive(Debug, Clone, Copy)]
pub struct HeadOutput<'a> {
    head: Head<'a>,
    tensor: Tensor,
    logits: &'a [i8],
}

/// The answer of a class or binary head.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Top<'a> {
    /// The class; for a binary head 1 when the probability is at least one half.
    pub class: usize,
    /// Its probability.
    pub probability: f32,
    /// Its name, empty when the model has none.
    pub label: &'a str,
}

impl<'a> Outputs<'a> {
    pub(crate) fn new(model: Model<'a>, arena: &'a [i8]) -> Self {
        Self { model, arena }
    }

    /// Returns a head by its name.
    ///
    /// # Errors
    ///
    /// [`Error::UnknownHead`].
    pub fn head(&self, name: &str) -> Result<HeadOutput<'a>, Error> {
        self.heads().find(|output| output.head.name == name).ok_or(Error::UnknownHead)
    }

    /// Returns the heads in their order.
    pub fn heads(&self) -> impl Iterator<Item = HeadOutput<'a>> + use<'a> {
        let Self { model, arena } = *self;
        model.heads().filter_map(move |head| {
            let tensor = model.tensor(head.tensor)?;
            let start = tensor.offset as usize;
            let logits = arena.get(start..start.saturating_add(tensor.shape.len()))?;
            Some(HeadOutput { head, tensor, logits })
        })
    }
}

impl<'a> HeadOutput<'a> {
    /// Returns what the head is.
    pub fn head(&self) -> &Head<'a> {
        &self.head
    }

    /// Returns the logits or values as the last operator left them.
    pub fn quantized(&self) -> &'a [i8] {
        self.logits
    }

    /// Returns the logits, or for a regression the values in the target's unit.
    pub fn values(&self) -> impl ExactSizeIterator<Item = f32> + Clone + use<'a> {
        let Self { head, tensor, logits } = *self;
        let single = head.rescale.gains.len() == 1;
        logits.iter().enumerate().map(move |(index, &q)| {
            let value = dequantize(q, tensor.quantization);
            let at = if single { 0 } else { index };
            match (head.rescale.gains.at(at), head.rescale.offsets.at(at)) {
                (Some(gain), Some(offset)) => value * gain + offset,
                _ => value,
            }
        })
    }

    /// Returns what the head is there to give: probabilities, or the values of a regression.
    ///
    /// Softmax for classes, a sigmoid each otherwise, by micromath's exponential: within 0.24 %, the same bits on every
    /// target.
    pub fn probabilities(&self) -> impl ExactSizeIterator<Item = f32> + use<'a> {
        let kind = self.head.kind;
        let greatest = self.values().fold(f32::NEG_INFINITY, |a, b| if b > a { b } else { a });
        let total =
            if kind == HeadKind::Class { self.values().fold(0.0, |sum, v| sum + exp(v - greatest)) } else { 1.0 };
        self.values().map(move |value| match kind {
            HeadKind::Class => exp(value - greatest) / total,
            HeadKind::Binary | HeadKind::Multilabel => 1.0 / (1.0 + exp(-value)),
            HeadKind::Regression => value,
        })
    }

    /// Returns the most probable class, the first of several that are equal; of a regression, its greatest value.
    pub fn top(&self) -> Top<'a> {
        let label = |class| self.head.labels.at(class).unwrap_or("");
        if self.head.kind == HeadKind::Binary {
            let yes = self.probabilities().next().unwrap_or(0.0);
            let class = usize::from(yes >= 0.5);
            return Top { class, probability: if class == 1 { yes } else { 1.0 - yes }, label: label(class) };
        }
        let mut best = (0, self.logits.first().copied().unwrap_or(i8::MIN));
        for (class, &logit) in self.logits.iter().enumerate() {
            if logit > best.1 {
                best = (class, logit);
            }
        }
        Top { class: best.0, probability: self.probabilities().nth(best.0).unwrap_or(0.0), label: label(best.0) }
    }
}

/// Returns e^x, kept where the approximation holds: below -80 it is e^-80, above 80 it is e^80.
fn exp(x: f32) -> f32 {
    F32(x.clamp(-80.0, 80.0)).exp().0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exp_is_positive_finite_and_within_a_quarter_of_a_percent() {
        for step in -8000..=8000 {
            let x = step as f32 / 100.0;
            let exact = libm_exp(f64::from(x));
            let error = (f64::from(exp(x)) - exact) / exact;
            assert!(error > -0.0025 && error < 0.0025, "exp({x}): relative error {error}");
        }
        assert!(exp(-1e9) > 0.0 && exp(1e9).is_finite());
    }

    /// The exponential by its series, on an argument halved until the series is short.
    fn libm_exp(x: f64) -> f64 {
        let small = x / 1024.0;
        let mut term = 1.0;
        let mut sum = 1.0;
        for n in 1..20 {
            term *= small / f64::from(n);
            sum += term;
        }
        (0..10).fold(sum, |power, _| power * power)
    }
}
