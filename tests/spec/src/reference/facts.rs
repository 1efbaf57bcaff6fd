//! Facts: what is set, what is computed, and what the facts tensor gets of both.

use super::quantize::round;
use super::{Gazetteer, Model};

/// One thing the model may know beside its input.
#[derive(Clone, Debug, PartialEq)]
pub struct Fact {
    /// The name of the fact.
    pub name: String,
    /// The unit of a number, which may be empty.
    pub unit: String,
    /// Whether it is 0 or 1.
    pub is_flag: bool,
    /// Between these a number is brought before it is encoded.
    pub least_greatest: [f32; 2],
    /// A category's values.
    pub values: Vec<String>,
    /// The columns of a category's table; nothing where a number is missing.
    pub table: Vec<Vec<Option<f32>>>,
    /// What phrases are known to be, of a gazetteer; its features are the values.
    pub gazetteer: Option<Gazetteer>,
    /// How the fact is encoded.
    pub encoder: Encoder,
    /// How the fact is computed; empty when it is set.
    pub code: Vec<Instruction>,
}

/// How a fact becomes values of the facts tensor.
#[derive(Clone, Debug, PartialEq)]
pub enum Encoder {
    /// No value.
    None,
    /// `(x - mean) / deviation`.
    ZScore { mean: f32, deviation: f32 },
    /// `(x - low) / (high - low)`, clamped to 0 … 1.
    Range { low: f32, high: f32 },
    /// `(ln x - mean) / deviation`.
    Log { mean: f32, deviation: f32 },
    /// Sine and cosine of the turn that x is in.
    Periodic { period: f32 },
    /// One value for each of the category's, 1 at the chosen one.
    OneHot,
    /// A row of integers for each of the category's values.
    Embedding(Vec<Vec<i8>>),
    /// 1 or 0.
    Flag,
    /// 1 or 0 for each feature.
    Features,
}

/// One step of a fact's code.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Instruction {
    Constant(f32),
    Fact(usize),
    Input(usize),
    Column { fact: usize, column: usize },
    Operation(u8),
}

impl Model {
    /// The values of all facts for those that are set, and a raw input: a number in its unit, the index of a category, 0 or
    /// 1, or missing. What is given for a computed fact does not matter.
    pub fn known_facts(&self, set: &[Option<f32>], input: &[f32]) -> Vec<Option<f32>> {
        assert_eq!(set.len(), self.facts.len(), "facts");
        let mut known: Vec<Option<f32>> = Vec::new();
        for (fact, set) in self.facts.iter().zip(set) {
            let mut value = *set;
            if let Some(gazetteer) = &fact.gazetteer {
                value = Some(f32::from(gazetteer.features(input)));
            }
            if !fact.code.is_empty() {
                value = self.compute(&fact.code, &known, input);
                if fact.is_flag {
                    value = value.map(|x| if x == 0.0 { 0.0 } else { 1.0 });
                }
            }
            known.push(value);
        }
        known
    }

    /// The int8 of the facts tensor; it is empty when the model has no facts.
    pub fn quantize_facts(&self, known: &[Option<f32>]) -> Vec<i8> {
        assert_eq!(known.len(), self.facts.len(), "facts");
        let mut quantized = Vec::new();
        let mut quantize = |v: f32| {
            let tensor = &self.tensors[1];
            round(v / tensor.scale + f32::from(tensor.zero_point))
        };
        for (fact, x) in self.facts.iter().zip(known) {
            match (&fact.encoder, x) {
                (Encoder::Embedding(rows), Some(x)) => quantized.extend(&rows[*x as usize]),
                _ => quantized.extend(fact.encode(*x).into_iter().map(&mut quantize)),
            }
        }
        if self.mask {
            for (fact, x) in self.facts.iter().zip(known) {
                if fact.encoder != Encoder::None {
                    quantized.push(quantize(if x.is_some() { 1.0 } else { 0.0 }));
                }
            }
        }
        quantized
    }

    fn compute(&self, code: &[Instruction], known: &[Option<f32>], input: &[f32]) -> Option<f32> {
        let mut stack: Vec<Option<f32>> = Vec::new();
        for instruction in code {
            let result = match *instruction {
                Instruction::Constant(c) => Some(c),
                Instruction::Fact(fact) => known[fact],
                Instruction::Input(place) => Some(input[place]),
                Instruction::Column { fact, column } if self.facts[fact].gazetteer.is_some() => {
                    known[fact].map(|bits| f32::from(u8::from(bits as u32 & (1 << column) != 0)))
                }
                Instruction::Column { fact, column } => {
                    known[fact].and_then(|value| self.facts[fact].table[column][value as usize])
                }
                Instruction::Operation(48) => {
                    let [b, a, c] = [stack.pop(), stack.pop(), stack.pop()].map(|x| x.expect("three operands"));
                    c.and_then(|c| if c != 0.0 { a } else { b })
                }
                Instruction::Operation(byte) if byte >= 32 => {
                    let x = stack.pop().expect("an operand");
                    x.map(|x| match byte {
                        32 => -x,
                        33 => x.abs(),
                        34 => libm::sqrtf(x),
                        35 => libm::logf(x),
                        36 => libm::expf(x),
                        37 => libm::sinf(x),
                        38 => libm::cosf(x),
                        39 => libm::floorf(x),
                        40 => f32::from(u8::from(x == 0.0)),
                        _ => panic!("instruction {byte}"),
                    })
                }
                Instruction::Operation(byte) => {
                    let [b, a] = [stack.pop(), stack.pop()].map(|x| x.expect("two operands"));
                    let truth = |holds: bool| f32::from(u8::from(holds));
                    a.zip(b).map(|(a, b)| match byte {
                        16 => a + b,
                        17 => a - b,
                        18 => a * b,
                        19 => a / b,
                        20 => {
                            if a <= b {
                                a
                            } else {
                                b
                            }
                        }
                        21 => {
                            if a >= b {
                                a
                            } else {
                                b
                            }
                        }
                        22 => truth(a < b),
                        23 => truth(a <= b),
                        24 => truth(a == b),
                        25 => truth(a != 0.0 && b != 0.0),
                        26 => truth(a != 0.0 || b != 0.0),
                        _ => panic!("instruction {byte}"),
                    })
                }
            };
            stack.push(result.filter(|x| x.is_finite()));
        }
        assert_eq!(stack.len(), 1, "what a code leaves");
        stack[0]
    }
}

impl Fact {
    fn encode(&self, x: Option<f32>) -> Vec<f32> {
        let [least, greatest] = self.least_greatest;
        let Some(x) = x else {
            return vec![
                0.0;
                match &self.encoder {
                    Encoder::None => 0,
                    Encoder::Periodic { .. } => 2,
                    Encoder::OneHot | Encoder::Features => self.values.len(),
                    Encoder::Embedding(rows) => rows[0].len(),
                    _ => 1,
                }
            ];
        };
        // A zero keeps its sign: -0 is not below 0.
        let within = if x < least { least } else { x };
        let within = if within > greatest { greatest } else { within };
        match &self.encoder {
            Encoder::None | Encoder::Embedding(_) => Vec::new(),
            Encoder::ZScore { mean, deviation } => vec![(within - mean) / deviation],
            Encoder::Range { low, high } => vec![((within - low) / (high - low)).clamp(0.0, 1.0)],
            Encoder::Log { mean, deviation } => vec![(libm::logf(within) - mean) / deviation],
            Encoder::Periodic { period } => {
                let quotient = within / period;
                let turns = if quotient.is_finite() { quotient } else { 0.0 };
                let angle = (turns - libm::floorf(turns)) * 6.283_185_5;
                vec![libm::sinf(angle), libm::cosf(angle)]
            }
            Encoder::OneHot => (0..self.values.len()).map(|index| if index as f32 == x { 1.0 } else { 0.0 }).collect(),
            Encoder::Flag => vec![if x == 0.0 { 0.0 } else { 1.0 }],
            Encoder::Features => {
                (0..self.values.len()).map(|bit| f32::from(u8::from(x as u32 & (1 << bit) != 0))).collect()
            }
        }
    }
}
