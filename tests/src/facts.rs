//! Facts for models of tests: of every kind, and as random ones as the format allows.

use attar_shared::text;
use attar_shared::{Binary, Encoder, FactDefinition, Instruction, KindDefinition, MISSING, Scaling, Unary};
use rand::Rng;
use rand_chacha::ChaCha8Rng;

/// Facts that own what definitions borrow.
#[derive(Debug, Clone, Default)]
pub struct FactList(Vec<Owned>);

#[derive(Debug, Clone)]
struct Owned {
    name: String,
    unit: &'static str,
    kind: Kind,
    encoder: Encoding,
    code: Vec<u8>,
}

#[derive(Debug, Clone)]
enum Kind {
    Number([f32; 2]),
    Category(Vec<String>, Vec<Vec<f32>>),
    Flag,
    /// Features, words of the longest phrase, phrases with the bits of their features.
    Gazetteer(Vec<String>, u8, Vec<(u32, u16)>),
}

#[derive(Debug, Clone)]
enum Encoding {
    None,
    Number(Scaling),
    OneHot,
    Embedding(u16, Vec<u8>),
    Flag,
    Features,
}

impl FactList {
    /// Returns facts of every kind with every encoder, two of them computed by every instruction.
    pub fn everything() -> Self {
        let number = |name: &str, unit, scaling, range| Owned {
            name: name.into(),
            unit,
            kind: Kind::Number(range),
            encoder: Encoding::Number(scaling),
            code: Vec::new(),
        };
        let category = |name: &str, values: &[&str], table: Vec<Vec<f32>>, encoder| Owned {
            name: name.into(),
            unit: "",
            kind: Kind::Category(values.iter().map(|value| value.to_string()).collect(), table),
            encoder,
            code: Vec::new(),
        };
        let z_score = Scaling::ZScore { mean: 1500.0, deviation: 400.0 };
        let table = vec![vec![8.0, 9.0, 8.5, MISSING], vec![2.5, -1.0, 0.0, 3.25]];
        let rows = (0..6).map(|value: i8| (value * 40 - 100).cast_unsigned()).collect();
        let ratio = every_instruction();
        let hot = [Instruction::Fact(7), Instruction::Constant(60.0), Instruction::Binary(Binary::Less)];
        let flag =
            |name: &str, code| Owned { name: name.into(), unit: "", kind: Kind::Flag, encoder: Encoding::Flag, code };
        Self(vec![
            number("rpm", "1/min", z_score, [600.0, 1800.0]),
            number("load", "", Scaling::Range { low: -1.0, high: 3.0 }, [-2.0, 4.0]),
            category("bearing", &["6203", "6205", "µ-608", "none"], table, Encoding::OneHot),
            flag("running", Vec::new()),
            number("power", "W", Scaling::Log { mean: 5.0, deviation: 2.0 }, [0.5, 9000.0]),
            number("angle", "°", Scaling::Periodic { period: 360.0 }, [f32::MIN, f32::MAX]),
            category("site", &["a", "b"], Vec::new(), Encoding::Embedding(3, rows)),
            Owned { encoder: Encoding::None, ..number("temperature", "°C", z_score, [f32::MIN, f32::MAX]) },
            Owned { code: assemble(&ratio), ..number("ratio", "", z_score, [-1e4, 1e4]) },
            flag("hot", assemble(&hot)),
        ])
    }

    /// Returns facts of a text: two gazetteers, of few and of many features, and a rule about both.
    pub fn of_text() -> Self {
        let features = |names: &[&str]| names.iter().map(|name| name.to_string()).collect::<Vec<_>>();
        let many: Vec<String> = (0..11).map(|index| format!("µ{index}")).collect();
        let rule = [
            Instruction::Column { fact: 0, column: 1 },
            Instruction::Column { fact: 1, column: 9 },
            Instruction::Unary(Unary::Not),
            Instruction::Binary(Binary::And),
        ];
        let own = |name: &str, kind, encoder, code| Owned { name: name.into(), unit: "", kind, encoder, code };
        let places = phrases(&[("new york", 3), ("york", 1), ("aa", 2), ("é", 2), ("b ab aé", 3)]);
        let others = phrases(&[("a", 1 << 9), ("b", 1 << 10 | 1), ("ab a", 0x155), ("aab", 2)]);
        Self(vec![
            own("places", Kind::Gazetteer(features(&["county", "city"]), 3, places), Encoding::Features, Vec::new()),
            own("others", Kind::Gazetteer(many, 2, others), Encoding::None, Vec::new()),
            own("away", Kind::Flag, Encoding::Flag, assemble(&rule)),
        ])
    }

    /// Returns up to six facts of any kind; computed ones read what stands before them. Of a text, whose bytes have no
    /// places, `input_values` is 0.
    pub fn random(random: &mut ChaCha8Rng, input_values: usize) -> Self {
        let mut facts = Self::default();
        for index in 0..random.random_range(1..7usize) {
            let least = random.random_range(-100.0f32..1.0);
            let mut range = [least, least + random.random_range(0.5f32..200.0)];
            let values = random.random_range(1..5usize);
            let (kind, encoder) = match random.random_range(0..4) {
                0 | 1 => {
                    let encoder = match random.random_range(0..5) {
                        0 => Encoding::None,
                        1 => {
                            range = [range[1].max(1.0) / 50.0, range[1].max(1.0)];
                            Encoding::Number(Scaling::Log { mean: 0.5, deviation: 2.0 })
                        }
                        2 => Encoding::Number(Scaling::Periodic { period: random.random_range(0.1f32..400.0) }),
                        3 => Encoding::Number(Scaling::Range { low: range[0], high: range[1] }),
                        _ => Encoding::Number(Scaling::ZScore { mean: range[0], deviation: 12.5 }),
                    };
                    (Kind::Number(range), encoder)
                }
                2 => {
                    let table = (0..random.random_range(0..3))
                        .map(|_| {
                            let number = |random: &mut ChaCha8Rng| {
                                if random.random_bool(0.2) { MISSING } else { random.random_range(-9.0f32..9.0) }
                            };
                            (0..values).map(|_| number(random)).collect()
                        })
                        .collect();
                    let encoder = match random.random_range(0..3) {
                        0 => Encoding::None,
                        1 => Encoding::OneHot,
                        _ => Encoding::Embedding(2, (0..2 * values).map(|_| random.random()).collect()),
                    };
                    (Kind::Category((0..values).map(|value| format!("v{value}")).collect(), table), encoder)
                }
                _ if input_values == 0 && random.random_bool(0.7) => {
                    let count = random.random_range(1..=16usize);
                    let letters = ["a", "b", "é", "aa", "ab", "a b", "b a é", "aab"];
                    let own =
                        |letters: &&'static str| (*letters, (random.random_range(1..=u16::MAX) >> (16 - count)).max(1));
                    let known: Vec<(&str, u16)> = letters.iter().map(own).collect();
                    let features = (0..count).map(|feature| format!("w{feature}")).collect();
                    let encoder = if random.random_bool(0.8) { Encoding::Features } else { Encoding::None };
                    (Kind::Gazetteer(features, random.random_range(1..=4), phrases(&known)), encoder)
                }
                _ => (Kind::Flag, if random.random_bool(0.7) { Encoding::Flag } else { Encoding::None }),
            };
            let computed = !matches!(kind, Kind::Category(..) | Kind::Gazetteer(..)) && random.random_bool(0.5);
            let code = if computed { facts.random_code(random, input_values) } else { Vec::new() };
            facts.0.push(Owned { name: format!("f{index}"), unit: "", kind, encoder, code });
        }
        facts
    }

    /// Returns code that leaves one number and reads these facts.
    fn random_code(&self, random: &mut ChaCha8Rng, input_values: usize) -> Vec<u8> {
        let mut code = Vec::new();
        let mut depth = 0;
        for _ in 0..random.random_range(3..30) {
            let instruction = match random.random_range(0..4) {
                0 if depth >= 1 => Instruction::Unary(Unary::ALL[random.random_range(0..Unary::ALL.len())]),
                1 if depth >= 2 => Instruction::Binary(Binary::ALL[random.random_range(0..Binary::ALL.len())]),
                2 if depth >= 3 => Instruction::Select,
                _ if depth < 12 => self.random_source(random, input_values),
                _ => continue,
            };
            depth = depth + 1 - instruction.operands();
            code.push(instruction);
        }
        while depth != 1 {
            let more = depth == 0;
            code.push(if more { Instruction::Constant(2.0) } else { Instruction::Binary(Binary::Add) });
            depth = if more { depth + 1 } else { depth - 1 };
        }
        assemble(&code)
    }

    fn random_source(&self, random: &mut ChaCha8Rng, input_values: usize) -> Instruction {
        let fact = random.random_range(0..self.0.len().max(1));
        match (random.random_range(0..4), self.0.get(fact).map(|fact| &fact.kind)) {
            (0, _) if input_values > 0 => Instruction::Input(random.random_range(0..input_values) as u16),
            (1 | 2, Some(Kind::Category(_, table))) if !table.is_empty() => {
                Instruction::Column { fact: fact as u8, column: random.random_range(0..table.len()) as u8 }
            }
            (1 | 2, Some(Kind::Gazetteer(features, ..))) => {
                Instruction::Column { fact: fact as u8, column: random.random_range(0..features.len()) as u8 }
            }
            (1 | 2, Some(_)) => Instruction::Fact(fact as u8),
            _ => Instruction::Constant(random.random_range(-3.0f32..3.0)),
        }
    }

    /// Returns the values of the facts tensor.
    pub fn width(&self, mask: bool) -> u16 {
        let own = |fact: &Owned| match (&fact.encoder, &fact.kind) {
            (Encoding::None, _) => 0,
            (Encoding::Number(scaling), _) => scaling.width() as u16,
            (Encoding::Embedding(width, _), _) => *width,
            (Encoding::OneHot, Kind::Category(values, _)) | (Encoding::Features, Kind::Gazetteer(values, ..)) => {
                values.len() as u16
            }
            _ => 1,
        };
        self.0.iter().map(|fact| own(fact) + u16::from(mask && own(fact) > 0)).sum()
    }

    /// Calls `with` with the definitions.
    pub fn with<R>(&self, with: impl FnOnce(&[FactDefinition<'_>]) -> R) -> R {
        let lists: Vec<(Vec<&str>, Vec<&[f32]>)> = self
            .0
            .iter()
            .map(|fact| match &fact.kind {
                Kind::Category(values, table) => {
                    (values.iter().map(String::as_str).collect(), table.iter().map(Vec::as_slice).collect())
                }
                Kind::Gazetteer(features, ..) => (features.iter().map(String::as_str).collect(), Vec::new()),
                _ => (Vec::new(), Vec::new()),
            })
            .collect();
        let definitions: Vec<FactDefinition<'_>> = self
            .0
            .iter()
            .zip(&lists)
            .map(|(fact, (values, columns))| FactDefinition {
                name: &fact.name,
                unit: fact.unit,
                kind: match &fact.kind {
                    &Kind::Number([least, greatest]) => KindDefinition::Number { least, greatest },
                    Kind::Category(..) => KindDefinition::Category { values, columns },
                    Kind::Flag => KindDefinition::Flag,
                    Kind::Gazetteer(_, words, entries) => {
                        KindDefinition::Gazetteer { features: values, words: *words, entries }
                    }
                },
                encoder: match &fact.encoder {
                    Encoding::None => Encoder::None,
                    Encoding::Number(scaling) => Encoder::Number(*scaling),
                    Encoding::OneHot => Encoder::OneHot,
                    Encoding::Embedding(width, rows) => Encoder::Embedding { width: *width, rows },
                    Encoding::Flag => Encoder::Flag,
                    Encoding::Features => Encoder::Features,
                },
                code: &fact.code,
            })
            .collect();
        with(&definitions)
    }
}

/// Returns the hashes of phrases, by rising hashes, with their features.
fn phrases(known: &[(&str, u16)]) -> Vec<(u32, u16)> {
    let mut entries: Vec<(u32, u16)> =
        known.iter().map(|(phrase, features)| (text::phrase(&phrase.as_bytes()).0, *features)).collect();
    entries.sort_unstable();
    entries
}

/// Returns the bytes of some instructions.
pub fn assemble(instructions: &[Instruction]) -> Vec<u8> {
    instructions
        .iter()
        .flat_map(|instruction| {
            let (bytes, len) = instruction.encode();
            bytes.into_iter().take(len)
        })
        .collect()
}

/// The sum of what each operation makes of the speed, of the input and of a table.
fn every_instruction() -> Vec<Instruction> {
    let x = [Instruction::Fact(0), Instruction::Constant(1000.0), Instruction::Binary(Binary::Divide)];
    let add = Instruction::Binary(Binary::Add);
    let mut code = vec![Instruction::Fact(3), Instruction::Column { fact: 2, column: 1 }];
    for unary in Unary::ALL {
        code.extend(x);
        code.extend([Instruction::Unary(unary), add]);
    }
    for binary in Binary::ALL {
        code.extend(x);
        code.extend([Instruction::Input(5), Instruction::Constant(7.5), add, Instruction::Binary(binary), add]);
    }
    code.extend([Instruction::Input(3), Instruction::Select]);
    code
}
