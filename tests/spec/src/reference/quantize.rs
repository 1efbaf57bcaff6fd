//! From raw values to int8, and from int8 to results.

use super::{HeadKind, Model};

impl Model {
    /// The int8 of raw values in the order of tensor 0.
    pub fn quantize_input(&self, raw: &[f32]) -> Vec<i8> {
        assert_eq!(raw.len(), self.tensors[0].values(), "values of the input");
        let mut quantized = Vec::new();
        for (index, x) in raw.iter().enumerate() {
            if self.input.is_text {
                quantized.push(*x as i32 as u8 as i8);
                continue;
            }
            let channel = index % self.tensors[0].channels;
            let pair = if self.input.gains.len() == 1 { 0 } else { channel };
            let product = x * self.input.gains[pair];
            quantized.push(round(product + self.input.offsets[pair]));
        }
        quantized
    }

    /// What each head answers: of a class head the class and its probability, of a binary one 1 or 0 and the probability of
    /// yes or of no; nothing for the others.
    pub fn answers(&self, tensors: &[Vec<i8>]) -> Vec<Option<(usize, f32)>> {
        let mut answers = Vec::new();
        for (head, results) in self.heads.iter().zip(self.head_results(tensors)) {
            let values = &tensors[head.tensor];
            answers.push(match head.kind {
                HeadKind::Class => {
                    let greatest = values.iter().max().expect("a value");
                    let class = values.iter().position(|q| q == greatest).expect("the greatest is among the values");
                    Some((class, results[class]))
                }
                HeadKind::Binary if results[0] >= 0.5 => Some((1, results[0])),
                HeadKind::Binary => Some((0, 1.0 - results[0])),
                HeadKind::Multilabel | HeadKind::Regression { .. } => None,
            });
        }
        answers
    }

    /// The probabilities or regression values of each head, taken from every tensor of the graph.
    pub fn head_results(&self, tensors: &[Vec<i8>]) -> Vec<Vec<f32>> {
        let mut results = Vec::new();
        for head in &self.heads {
            let tensor = &self.tensors[head.tensor];
            let mut v = Vec::new();
            for q in &tensors[head.tensor] {
                let steps = i16::from(*q) - i16::from(tensor.zero_point);
                v.push(f32::from(steps) * tensor.scale);
            }
            results.push(head.kind.results(&v));
        }
        results
    }
}

impl HeadKind {
    fn results(&self, v: &[f32]) -> Vec<f32> {
        match self {
            HeadKind::Class => {
                let max = v.iter().copied().fold(f32::NEG_INFINITY, f32::max);
                let powers: Vec<f32> = v.iter().map(|v| exp(v - max)).collect();
                let mut sum = 0.0;
                for power in &powers {
                    sum += power;
                }
                powers.iter().map(|power| power / sum).collect()
            }
            HeadKind::Binary | HeadKind::Multilabel => v.iter().map(|v| 1.0 / (1.0 + exp(-v))).collect(),
            HeadKind::Regression { gains, offsets } => {
                let mut results = Vec::new();
                for (index, v) in v.iter().enumerate() {
                    let pair = if gains.len() == 1 { 0 } else { index };
                    let product = v * gains[pair];
                    results.push(product + offsets[pair]);
                }
                results
            }
        }
    }
}

/// The nearest int8, halves away from zero, as the specification spells it.
pub(super) fn round(value: f32) -> i8 {
    let clamped = value.clamp(-128.0, 127.0);
    let moved = if clamped < 0.0 { clamped - 0.5 } else { clamped + 0.5 };
    moved as i8 // truncates towards zero and saturates
}

/// micromath's exponential on −80 … 80.
fn exp(x: f32) -> f32 {
    micromath::F32(x.clamp(-80.0, 80.0)).exp().0
}

#[cfg(test)]
mod tests {
    use super::super::{Encoder, Fact, Head, Input, Tensor};
    use super::*;

    #[test]
    fn round_takes_halves_away_from_zero_and_saturates() {
        for (value, rounded) in [
            (0.0, 0),
            (-0.0, 0),
            (0.49, 0),
            (0.5, 1),
            (-0.49, 0),
            (-0.5, -1),
            (1.5, 2),
            (-2.5, -3),
            (126.5, 127),
            (127.4, 127),
            (1e9, 127),
            (-127.5, -128),
            (-128.5, -128),
            (-1e9, -128),
            (f32::INFINITY, 127),
            (f32::NEG_INFINITY, -128),
        ] {
            assert_eq!(round(value), rounded, "{value}");
        }
    }

    #[test]
    fn input_takes_one_pair_for_all_channels_or_one_for_each() {
        let mut model = model();
        assert_eq!(model.quantize_input(&[1.0, 2.0, -3.0, 100.0]), [3, 5, -5, 127]);
        model.input.gains = vec![2.0, -1.0];
        model.input.offsets = vec![1.0, 0.25];
        assert_eq!(model.quantize_input(&[1.0, 2.0, -3.0, 100.0]), [3, -2, -5, -100]);
    }

    #[test]
    fn facts_are_encoded_in_order_with_their_mask_at_the_end() {
        // scale 0.1, zero point -20: 0 is -20, 1 is -10
        let known = model().quantize_facts(&[Some(7.0), Some(25.0), Some(2.0), Some(1.0)]);
        assert_eq!(known, [-5, -10, -20, -20, -10, -10, -10, -10, -10, -10]);
        // 1 is below the least of 2, and becomes it.
        let low = model().quantize_facts(&[Some(1.0), Some(-5.0), Some(0.0), Some(0.0)]);
        assert_eq!(low, [-30, -20, -10, -20, -20, -20, -10, -10, -10, -10]);
        let half = model().quantize_facts(&[None, Some(15.0), None, Some(1.0)]);
        assert_eq!(half, [-20, -15, -20, -20, -20, -10, -20, -10, -20, -10]);
    }

    #[test]
    fn heads_give_probabilities_and_values() {
        let tensors = vec![vec![10, 20, 0, 20], Vec::new()];
        let results = model().head_results(&tensors);
        let class = &results[0];
        assert_eq!(class[1], class[3]);
        assert!((class.iter().sum::<f32>() - 1.0).abs() < 1e-6);
        assert!((class[1] / class[0] - 5.0_f32.exp()).abs() < 1.0);
        assert!(results[1][0] == 0.5 && results[1][1] > 0.99 && results[1][2] < 0.01);
        assert_eq!(results[2], [1.0, 11.0, -9.0, 11.0]);
    }

    #[test]
    fn exp_is_near_the_true_value() {
        for step in -8000..=8000 {
            let x = step as f32 / 100.0;
            let error = (f64::from(exp(x)) / f64::from(x).exp() - 1.0).abs();
            assert!(error < 0.0025, "exp({x}) is off by {error}");
        }
    }

    /// Four values in two channels, four facts in a vector of ten, heads that read tensor 0.
    fn model() -> Model {
        let tensor = |width, channels, zero_point, scale| Tensor {
            height: 1,
            width,
            channels,
            zero_point,
            scale,
            arena_offset: 0,
            last_use: 0,
            held: false,
        };
        let fact = |encoder| Fact {
            name: String::new(),
            unit: String::new(),
            is_flag: encoder == Encoder::Flag,
            least_greatest: [2.0, 60.0],
            values: if encoder == Encoder::OneHot { vec!["a".into(), "b".into(), "c".into()] } else { Vec::new() },
            table: Vec::new(),
            gazetteer: None,
            encoder,
            code: Vec::new(),
        };
        let head = |kind| Head { name: String::new(), tensor: 0, labels: Vec::new(), kind };
        Model {
            input: Input {
                name: String::new(),
                is_text: false,
                parts: 0,
                front_end_work: 0,
                background: None,
                gains: vec![2.0],
                offsets: vec![1.0],
                channels: Vec::new(),
            },
            mask: true,
            facts: vec![
                fact(Encoder::ZScore { mean: 4.0, deviation: 2.0 }),
                fact(Encoder::Range { low: 10.0, high: 20.0 }),
                fact(Encoder::OneHot),
                fact(Encoder::Flag),
            ],
            heads: vec![
                head(HeadKind::Class),
                head(HeadKind::Multilabel),
                head(HeadKind::Regression { gains: vec![2.0], offsets: vec![1.0] }),
            ],
            operators: Vec::new(),
            tensors: vec![tensor(2, 2, 10, 0.5), tensor(1, 10, -20, 0.1)],
            tests: Vec::new(),
        }
    }
}
