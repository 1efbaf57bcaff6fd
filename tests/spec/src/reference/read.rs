//! The layout of the file: header, sections, records.

use super::signal::FrontEnd;
use super::{
    Addend, Bag, Channels, Encoder, Fact, Gazetteer, Head, HeadKind, Input, Instruction, Kind, Model, Operator, Tensor,
    TestVector, Window,
};

impl Model {
    /// The model in a file. Magic, version, length and checksum are checked, then whatever is met on the way.
    pub fn read(bytes: &[u8]) -> Result<Model, String> {
        let mut file = Reader { rest: bytes };
        let mut header = file.section(HEADER_LEN)?;
        expect("magic", header.take(4)?, b"ATAR".as_slice())?;
        expect("version", header.u16()?, 1)?;
        let is_signed = header.u16()?;
        expect("a signature of kind 0 or 1", is_signed & !1, 0)?;
        expect("file_len", header.length()?, bytes.len())?;
        let (covered, checksum) = bytes.split_at(bytes.len() - CHECKSUM_LEN);
        expect("checksum", Reader { rest: checksum }.u32()?, crc32(covered))?;

        let arena_len = header.length()?;
        let operator_set = u64::from(header.u32()?) | u64::from(header.u32()?) << 32;
        let signal_set = header.u32()?;
        let fact_set = header.u32()?;
        let macs = header.u32()?;
        let work = header.u32()?;
        let operator_count = usize::from(header.u16()?);
        let fact_count = usize::from(header.u8()?);
        let head_count = usize::from(header.u8()?);
        let input_len = header.length()?;
        let facts_len = header.length()?;
        let heads_len = header.length()?;
        let weights_len = header.length()?;
        let tests_len = header.length()?;
        let input_values = header.length()?;
        let _revision = header.u32()?;

        let sources = if fact_count == 0 { 1 } else { 2 };
        let tensor_count = sources + operator_count;
        expect("at most 256 tensors", tensor_count <= 256, true)?;

        let mut input_section = file.section(input_len)?;
        let mut facts_section = file.section(facts_len)?;
        let mut heads_section = file.section(heads_len)?;
        let mut operators_section = file.section(OPERATOR_LEN * operator_count)?;
        let mut tensors_section = file.section(TENSOR_LEN * tensor_count)?;
        let mut weights = file.section(weights_len)?;
        let mut tests_section = file.section(tests_len)?;
        let signature_len = 64 * usize::from(is_signed);
        expect("bytes after the tests", file.rest.len(), signature_len + CHECKSUM_LEN)?;

        let input = input_section.input()?;
        input_section.finish("input")?;

        let mut mask = false;
        let mut facts = Vec::new();
        let mut fact_parts = 0;
        if fact_count != 0 {
            mask = facts_section.flag("mask")?;
            expect("reserved", facts_section.take(3)?, [0; 3].as_slice())?;
            for _ in 0..fact_count {
                let (fact, parts) = facts_section.fact()?;
                fact_parts |= parts;
                expect("facts of one name", facts.iter().any(|other: &Fact| other.name == fact.name), false)?;
                facts.push(fact);
            }
        }
        expect("fact_set", fact_set, fact_parts)?;
        facts_section.finish("facts")?;

        let mut heads = Vec::new();
        for _ in 0..head_count {
            heads.push(heads_section.head()?);
        }
        heads_section.finish("heads")?;
        for (index, head) in heads.iter().enumerate() {
            expect("heads of one name", heads[..index].iter().any(|other| other.name == head.name), false)?;
        }

        let mut tensors = Vec::new();
        for _ in 0..tensor_count {
            tensors.push(tensors_section.tensor()?);
        }
        expect("input_values", input_values, tensors[0].values())?;

        let mut operators = Vec::new();
        let mut kinds = 0u64;
        for index in 0..operator_count {
            let parameters_at = weights_len - weights.rest.len();
            let ((kind, form), operator) =
                operators_section.operator(&tensors, sources + index, parameters_at, &mut weights)?;
            kinds |= 1 << kind;
            if kind < 2 {
                kinds |= 1 << [48, 51][usize::from(kind)] << form;
            }
            if kind < 3 && operator.inputs.len() == 2 {
                kinds |= 1 << 63;
            }
            operators.push(operator);
        }
        expect("bytes after the parameters", weights.rest.len(), 0)?;
        expect("operator_set", operator_set, kinds)?;
        expect("signal_set", signal_set, input.parts)?;
        expect("arena_len", arena_len, arena(&tensors, &operators, sources))?;
        let (own, steps) = counts(&tensors, &operators, sources);
        expect("macs", u128::from(macs), own)?;
        let around = input_values as u128 + facts_work(&facts, &tensors) + input.front_end_work;
        expect("work", u128::from(work), steps + around)?;
        if let (Some(background), Some(head)) = (input.background, heads.first()) {
            expect("a class head for detections", &head.kind, &HeadKind::Class)?;
            expect("a background among its classes", background <= tensors[head.tensor].values(), true)?;
        }

        let mut tests = Vec::new();
        for _ in 0..tests_section.u32()? {
            let input = tests_section.int8s(input_values)?;
            let facts = if fact_count == 0 { Vec::new() } else { tests_section.int8s(tensors[1].values())? };
            let mut expected = Vec::new();
            for head in &heads {
                let tensor = tensors.get(head.tensor).ok_or("a head without a tensor")?;
                expected.push(tests_section.int8s(tensor.values())?);
            }
            let checksums = (0..operator_count).map(|_| tests_section.u32()).collect::<Result<_, _>>()?;
            tests.push(TestVector { input, facts, heads: expected, checksums });
        }
        tests_section.finish("tests")?;

        Ok(Model { input, mask, facts, heads, operators, tensors, tests })
    }
}

/// Bytes that are still to be read.
pub(super) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(super) fn take(&mut self, count: usize) -> Result<&'a [u8], String> {
        let (taken, rest) = self
            .rest
            .split_at_checked(count)
            .ok_or_else(|| format!("{count} bytes wanted, {} left", self.rest.len()))?;
        self.rest = rest;
        Ok(taken)
    }

    fn section(&mut self, len: usize) -> Result<Reader<'a>, String> {
        expect("length modulo 4", len % 4, 0)?;
        Ok(Reader { rest: self.take(len)? })
    }

    fn finish(&self, section: &str) -> Result<(), String> {
        if self.rest.len() < 4 && self.rest.iter().all(|byte| *byte == 0) {
            return Ok(());
        }
        Err(format!("{section} ends with {} bytes that are not padding", self.rest.len()))
    }

    pub(super) fn u8(&mut self) -> Result<u8, String> {
        Ok(self.take(1)?[0])
    }

    fn flag(&mut self, what: &str) -> Result<bool, String> {
        let byte = self.u8()?;
        expect(what, byte <= 1, true)?;
        Ok(byte == 1)
    }

    fn i8(&mut self) -> Result<i8, String> {
        Ok(self.u8()? as i8)
    }

    pub(super) fn u16(&mut self) -> Result<u16, String> {
        let bytes = self.take(2)?;
        Ok(u16::from_le_bytes([bytes[0], bytes[1]]))
    }

    pub(super) fn u32(&mut self) -> Result<u32, String> {
        let bytes = self.take(4)?;
        Ok(u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
    }

    fn i32(&mut self) -> Result<i32, String> {
        Ok(self.u32()? as i32)
    }

    pub(super) fn f32(&mut self) -> Result<f32, String> {
        Ok(f32::from_bits(self.u32()?))
    }

    fn length(&mut self) -> Result<usize, String> {
        Ok(self.u32()? as usize)
    }

    fn int8s(&mut self, count: usize) -> Result<Vec<i8>, String> {
        Ok(self.take(count)?.iter().map(|byte| *byte as i8).collect())
    }

    fn int32s(&mut self, count: usize) -> Result<Vec<i32>, String> {
        (0..count).map(|_| self.i32()).collect()
    }

    fn floats(&mut self, count: usize) -> Result<Vec<f32>, String> {
        (0..count).map(|_| self.f32()).collect()
    }

    /// `count` bytes and the zeros that fill them up to a multiple of 4.
    fn padded(&mut self, count: usize) -> Result<&'a [u8], String> {
        let bytes = self.take(count)?;
        let padding = count.next_multiple_of(4) - count;
        expect("padding", self.take(padding)?, &[0; 3][..padding])?;
        Ok(bytes)
    }

    fn string(&mut self) -> Result<String, String> {
        let len = usize::from(self.u8()?);
        String::from_utf8(self.take(len)?.to_vec()).map_err(|error| error.to_string())
    }

    fn name(&mut self) -> Result<String, String> {
        let name = self.string()?;
        if name.is_empty() { Err("an empty name".into()) } else { Ok(name) }
    }

    /// A u16 and that many names.
    fn names(&mut self) -> Result<Vec<String>, String> {
        let count = self.u16()?;
        (0..count).map(|_| self.name()).collect()
    }

    fn input(&mut self) -> Result<Input, String> {
        let name = self.name()?;
        let kind = self.u8()?;
        expect("an input of kind 0, 1 or 2", kind <= 2, true)?;
        let is_text = kind == 1;
        let count = usize::from(self.u16()?);
        let gains = self.floats(count)?;
        let offsets = self.floats(count)?;
        let channels = self.names()?;
        // The section is a multiple of four bytes, so what is left tells how far it is to the next multiple.
        let padding = if kind == 2 { self.rest.len() % 4 } else { 0 };
        expect("padding", self.take(padding)?, [0, 0, 0][..padding].as_ref())?;
        let front_end = if kind == 2 { self.front_end()? } else { FrontEnd::default() };
        let FrontEnd { parts, work, background } = front_end;
        Ok(Input { name, is_text, gains, offsets, channels, parts, front_end_work: work, background })
    }

    /// The next fact and its bits of `fact_set`.
    fn fact(&mut self) -> Result<(Fact, u32), String> {
        let (kind, encoder) = (self.u8()?, self.u8()?);
        let code_len = usize::from(self.u16()?);
        let name = self.name()?;
        let unit = self.string()?;
        let (mut constants, mut least_greatest) = ([0.0; 2], [0.0; 2]);
        let (mut values, mut table) = (Vec::new(), Vec::new());
        let mut gazetteer = None;
        match kind {
            0 => {
                constants = [self.f32()?, self.f32()?];
                least_greatest = [self.f32()?, self.f32()?];
            }
            1 => {
                values = self.names()?;
                for _ in 0..self.u8()? {
                    let column = self.floats(values.len())?;
                    table.push(column.into_iter().map(|x| if x.is_nan() { None } else { Some(x) }).collect());
                }
            }
            2 => {}
            3 => {
                values = self.names()?;
                let words = usize::from(self.u8()?);
                let count = self.length()?;
                let hashes: Vec<u32> = (0..count).map(|_| self.u32()).collect::<Result<_, _>>()?;
                let mask = |reader: &mut Self| if values.len() > 8 { reader.u16() } else { reader.u8().map(u16::from) };
                let masks: Vec<u16> = (0..count).map(|_| mask(self)).collect::<Result<_, _>>()?;
                gazetteer = Some(Gazetteer { words, entries: hashes.into_iter().zip(masks).collect() });
            }
            _ => return Err(format!("fact of kind {kind}")),
        }
        let [a, b] = constants;
        expect("an encoder of 0 to 8", encoder <= 8, true)?;
        let mut parts = 1 << kind | 1 << (8 + encoder);
        let encoder = match (kind, encoder) {
            (_, 0) => Encoder::None,
            (0, 1) => Encoder::ZScore { mean: a, deviation: b },
            (0, 2) => Encoder::Range { low: a, high: b },
            (0, 3) => Encoder::Log { mean: a, deviation: b },
            (0, 4) => Encoder::Periodic { period: a },
            (1, 5) => Encoder::OneHot,
            (1, 6) => {
                let width = usize::from(self.u16()?);
                Encoder::Embedding(values.iter().map(|_| self.int8s(width)).collect::<Result<_, _>>()?)
            }
            (2, 7) => Encoder::Flag,
            (3, 8) => Encoder::Features,
            (kind, encoder) => return Err(format!("fact of kind {kind} with encoder {encoder}")),
        };
        let mut code = Vec::new();
        let mut bytes = Reader { rest: self.take(code_len)? };
        while !bytes.rest.is_empty() {
            let operation = bytes.u8()?;
            parts |= 1 << 20;
            if (32..=40).contains(&operation) {
                parts |= 1 << (21 + operation - 32);
            }
            code.push(match operation {
                0 => Instruction::Constant(bytes.f32()?),
                1 => Instruction::Fact(usize::from(bytes.u8()?)),
                2 => Instruction::Input(usize::from(bytes.u16()?)),
                3 => Instruction::Column { fact: usize::from(bytes.u8()?), column: usize::from(bytes.u8()?) },
                16..=26 | 32..=40 | 48 => Instruction::Operation(operation),
                _ => return Err(format!("instruction {operation}")),
            });
        }
        let fact = Fact { name, unit, is_flag: kind == 2, least_greatest, values, table, gazetteer, encoder, code };
        Ok((fact, parts))
    }

    fn head(&mut self) -> Result<Head, String> {
        let kind = self.u8()?;
        expect("reserved", self.u8()?, 0)?;
        let tensor = usize::from(self.u16()?);
        let name = self.name()?;
        let labels = self.names()?;
        let kind = match kind {
            0 => HeadKind::Class,
            1 => HeadKind::Binary,
            2 => HeadKind::Multilabel,
            3 => {
                let count = usize::from(self.u16()?);
                let (gains, offsets) = (self.floats(count)?, self.floats(count)?);
                expect("gains up to 2^54", gains.iter().all(|gain| gain.abs() <= 2f32.powi(54)), true)?;
                expect("offsets up to 2^126", offsets.iter().all(|offset| offset.abs() <= 2f32.powi(126)), true)?;
                HeadKind::Regression { gains, offsets }
            }
            _ => return Err(format!("head of kind {kind}")),
        };
        Ok(Head { name, tensor, labels, kind })
    }

    fn tensor(&mut self) -> Result<Tensor, String> {
        let height = usize::from(self.u16()?);
        let width = usize::from(self.u16()?);
        let channels = usize::from(self.u16()?);
        let zero_point = self.i8()?;
        let held = self.flag("held")?;
        let scale = self.f32()?;
        let arena_offset = self.u32()?;
        let last_use = self.u16()?;
        expect("reserved", self.u16()?, 0)?;
        Ok(Tensor { height, width, channels, zero_point, scale, arena_offset, last_use, held })
    }

    /// The next operator with the numbers of its kind and form; its parameters are the next of `weights`.
    fn operator(
        &mut self,
        tensors: &[Tensor],
        output: usize,
        parameters_at: usize,
        weights: &mut Reader<'_>,
    ) -> Result<((u8, u8), Operator), String> {
        let kind = self.u8()?;
        let count_and_form = self.u8()?;
        let (input_count, form) = (usize::from(count_and_form % 16), count_and_form / 16);
        let least = self.i8()?;
        let greatest = self.i8()?;
        let mut inputs = Vec::new();
        for slot in 0..4 {
            let input = usize::from(self.u16()?);
            if slot >= input_count {
                expect("unused input", input, 0)?;
            } else if input >= output && !tensors[input].held {
                return Err(format!("tensor {output} is made of tensor {input}"));
            } else {
                inputs.push(input);
            }
        }
        expect("input count", input_count, inputs.len())?;
        let window =
            Window { kernel: self.pair()?, stride: self.pair()?, dilation: self.pair()?, padding: self.pair()? };
        expect("where the parameters begin", self.length()?, parameters_at)?;

        let first = &tensors[*inputs.first().ok_or("an operator without an input")?];
        let n = tensors[output].channels;
        let taps = window.kernel[0] * window.kernel[1];
        if kind > 1 {
            expect("form", form, 0)?;
        }
        let parameters = match kind {
            0 => Kind::Dense(match form {
                0 => weights.rows(n, first.values())?,
                1 => weights.channels4(n, first.values())?,
                2 => weights.channels(n, n * first.values())?,
                _ => return Err(format!("dense of form {form}")),
            }),
            1 => Kind::Convolution(match form {
                0 => weights.rows(n, taps * first.channels)?,
                1 => weights.channels4(n, taps * first.channels)?,
                _ => return Err(format!("convolution of form {form}")),
            }),
            2 => Kind::Depthwise(weights.channels(n, taps * n)?),
            3 => Kind::Add {
                a_multiplier: weights.i32()?,
                b_multiplier: weights.i32()?,
                bias: weights.i32()?,
                shift: weights.padded(1)?[0],
            },
            4 => Kind::AveragePool { multiplier: weights.i32()?, shift: weights.padded(1)?[0] },
            5 => Kind::MaxPool,
            6 => Kind::Table(weights.int8s(256)?),
            7 => Kind::Concat,
            8 => Kind::Multiply { multiplier: weights.i32()?, shift: weights.padded(1)?[0] },
            9 => Kind::Delay,
            11 => Kind::Upsample,
            10 => {
                let buckets = weights.length()?;
                let [least, greatest, words, reserved] = [weights.u8()?, weights.u8()?, weights.u8()?, weights.u8()?];
                expect("reserved", reserved, 0)?;
                let letters = [usize::from(least), usize::from(greatest)];
                let (multiplier, shift) = (weights.i32()?, weights.padded(1)?[0]);
                let rows = weights.padded(buckets * n)?.iter().map(|byte| *byte as i8).collect();
                Kind::Bag(Bag { buckets, letters, words: usize::from(words), multiplier, shift, rows })
            }
            _ => return Err(format!("operator of kind {kind}")),
        };
        let joined = matches!(parameters, Kind::Dense(_) | Kind::Convolution(_) | Kind::Depthwise(_));
        let addend = if joined && input_count == 2 { Some(weights.addend()?) } else { None };
        Ok(((kind, form), Operator { kind: parameters, inputs, least, greatest, addend, window }))
    }

    fn addend(&mut self) -> Result<Addend, String> {
        Ok(Addend {
            a_multiplier: self.i32()?,
            b_multiplier: self.i32()?,
            bias: self.i32()?,
            shift: self.u8()?,
            zero_point: self.i8()?,
            least: self.i8()?,
            greatest: self.i8()?,
        })
    }

    fn pair(&mut self) -> Result<[usize; 2], String> {
        Ok([usize::from(self.u16()?), usize::from(self.u16()?)])
    }

    fn channels(&mut self, n: usize, weight_count: usize) -> Result<Channels, String> {
        let biases = self.int32s(n)?;
        let multipliers = self.int32s(n)?;
        let shifts = self.padded(n)?.to_vec();
        let weights = self.padded(weight_count)?.iter().map(|byte| *byte as i8).collect();
        Ok(Channels { biases, multipliers, shifts, weights })
    }

    /// As `channels`, with rows of `len` weights in blocks of four.
    fn rows(&mut self, n: usize, len: usize) -> Result<Channels, String> {
        let laid = self.channels(n, n * len)?;
        let mut weights = vec![0; n * len];
        for o in 0..n {
            for k in 0..len {
                let block = o / 4 * 4;
                if block + 4 > n {
                    weights[o * len + k] = laid.weights[o * len + k];
                    continue;
                }
                let (r, j) = (o % 4, k % 4);
                let place = if k - j + 4 <= len {
                    (k - j) * 4 + (j % 2) * 8 + (r / 2) * 4 + (j / 2) * 2 + r % 2
                } else {
                    k * 4 + r
                };
                let byte = i32::from(laid.weights[block * len + place] as u8);
                let weight = if r % 2 == 0 { byte - 128 } else { (byte + 128) % 256 - 128 };
                weights[o * len + k] = weight as i8;
            }
        }
        Ok(Channels { weights, ..laid })
    }

    /// As `channels`, with two weights in a byte and rows of `len` that begin with a new one.
    fn channels4(&mut self, n: usize, len: usize) -> Result<Channels, String> {
        let row_bytes = len.div_ceil(2);
        let packed = self.channels(n, n * row_bytes)?;
        let mut weights = Vec::new();
        for row in 0..n {
            for i in 0..2 * row_bytes {
                let byte = packed.weights[row * row_bytes + i / 2] as u8;
                let half = i32::from(if i % 2 == 0 { byte % 16 } else { byte / 16 });
                let weight = if half >= 8 { half - 16 } else { half };
                if i < len {
                    weights.push(weight as i8);
                } else {
                    expect("the half byte after a row", weight, 0)?;
                }
            }
        }
        Ok(Channels { weights, ..packed })
    }
}

/// The bytes of arena that tensors take, with what convolutions lay out after those that are alive.
fn arena(tensors: &[Tensor], operators: &[Operator], sources: usize) -> usize {
    let end = |tensor: &Tensor| (tensor.arena_offset as usize + tensor.values()).next_multiple_of(4);
    let mut greatest = tensors.iter().map(end).max().unwrap_or(0);
    for (index, operator) in operators.iter().enumerate() {
        if !matches!(operator.kind, Kind::Convolution(_)) {
            continue;
        }
        let alive = tensors.iter().enumerate().filter(|(place, tensor)| {
            tensor.held || (*place <= sources + index && usize::from(tensor.last_use) >= index)
        });
        let [rows, columns] = operator.window.kernel;
        let shown = rows * columns * tensors[operator.inputs[0]].channels;
        greatest = greatest.max(alive.map(|(_, tensor)| end(tensor)).max().unwrap_or(0) + 4 * shown);
    }
    greatest
}

/// The multiply-accumulates and the steps of all operators.
fn counts(tensors: &[Tensor], operators: &[Operator], sources: usize) -> (u128, u128) {
    let (mut macs, mut work) = (0, 0);
    for (index, operator) in operators.iter().enumerate() {
        let (input, output) = (&tensors[operator.inputs[0]], &tensors[sources + index]);
        let values = output.values() as u128;
        let taps = operator.window.kernel[0] as u128 * operator.window.kernel[1] as u128;
        let own = match &operator.kind {
            Kind::Dense(_) => values * input.values() as u128,
            Kind::Convolution(_) => values * taps * input.channels as u128,
            Kind::Depthwise(_) => values * taps,
            _ => 0,
        };
        macs += own;
        work += match &operator.kind {
            Kind::Dense(_) | Kind::Convolution(_) | Kind::Depthwise(_) => own,
            Kind::AveragePool { .. } | Kind::MaxPool => values * taps,
            Kind::Bag(bag) => values * bag.most_grams(input.values()) as u128,
            _ => values,
        };
        if operator.addend.is_some() {
            work += values;
        }
    }
    (macs, work)
}

/// The steps of the facts.
fn facts_work(facts: &[Fact], tensors: &[Tensor]) -> u128 {
    if facts.is_empty() {
        return 0;
    }
    let names = facts.len() + facts.iter().map(|fact| fact.values.len()).sum::<usize>();
    let mut work = tensors[1].values();
    for fact in facts {
        for instruction in &fact.code {
            work += if matches!(instruction, Instruction::Column { .. }) { 1 + names } else { 1 };
        }
        if let Some(gazetteer) = &fact.gazetteer {
            let bits = usize::BITS - gazetteer.entries.len().leading_zeros();
            work += tensors[0].values() * gazetteer.words * (1 + bits as usize);
        }
    }
    work as u128
}

pub(super) fn expect<T: PartialEq + std::fmt::Debug>(what: &str, got: T, expected: T) -> Result<(), String> {
    if got == expected { Ok(()) } else { Err(format!("{what} is {got:?}, expected {expected:?}")) }
}

/// The CRC-32 of zip and Ethernet, bit by bit.
fn crc32(bytes: &[u8]) -> u32 {
    let mut state = 0xFFFF_FFFF_u32;
    for byte in bytes {
        state ^= u32::from(*byte);
        for _ in 0..8 {
            state = if state & 1 == 1 { (state >> 1) ^ CRC_POLYNOMIAL_REFLECTED } else { state >> 1 };
        }
    }
    state ^ 0xFFFF_FFFF
}

const HEADER_LEN: usize = 72;
const OPERATOR_LEN: usize = 32;
const TENSOR_LEN: usize = 20;
const CHECKSUM_LEN: usize = 4;
const CRC_POLYNOMIAL_REFLECTED: u32 = 0x04C1_1DB7_u32.reverse_bits();

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksum_is_that_of_zip() {
        assert_eq!(crc32(b"123456789"), 0xCBF4_3926);
    }

    #[test]
    fn a_file_written_by_hand_is_read_and_run() {
        let model = Model::read(&by_hand()).unwrap();
        assert_eq!(model.input.name, "in");
        assert_eq!(model.facts[0].encoder, Encoder::Range { low: 0.0, high: 10.0 });
        assert!(model.mask);
        assert_eq!(model.heads[0].labels, ["no", "yes"]);
        let input = model.quantize_input(&[3.0, -4.0]);
        assert_eq!(input, [4, -3]);
        let facts = model.quantize_facts(&[Some(5.0)]);
        assert_eq!(facts, [50, 100]);
        // 7 + floor((10 + 1·4 + 2·-3 + 3·50 + 4·100) / 8 + 1/2) = 7 + floor(70.25)
        let tensors = model.run(&input, &facts);
        assert_eq!(tensors, [vec![4, -3], vec![50, 100], vec![4, -3, 50, 100], vec![77]]);
        assert_eq!(
            model.tests,
            [TestVector { input, facts, heads: vec![vec![77]], checksums: vec![0x0403_0201, 0x0807_0605] }]
        );
        let probability = model.head_results(&tensors)[0][0];
        assert!((probability - 1.0 / (1.0 + (-0.7_f32).exp())).abs() < 0.003, "{probability}");
    }

    #[test]
    fn every_flipped_byte_and_every_truncation_is_refused() {
        let file = by_hand();
        for at in 0..file.len() {
            let mut damaged = file.clone();
            damaged[at] ^= 0x10;
            assert!(Model::read(&damaged).is_err(), "byte {at}");
            assert!(Model::read(&file[..at]).is_err(), "length {at}");
        }
    }

    /// Two inputs and one fact with its mask, joined by a concat, then dense to one value with a binary head.
    fn by_hand() -> Vec<u8> {
        let mut input = b"\x02in\0\x01\0".to_vec();
        push(&mut input, &[1.0_f32.to_bits(), 1.0_f32.to_bits()]);
        input.extend([0, 0]); // no names of channels
        input.resize(input.len().next_multiple_of(4), 0);

        let mut facts = b"\x01\0\0\0\0\x02\0\0\x03age\x01y".to_vec();
        push(&mut facts, &[0.0, 10.0, 0.0, 120.0].map(f32::to_bits));
        facts.resize(facts.len().next_multiple_of(4), 0);

        let mut heads = b"\x01\0\x03\0\x02ok\x02\0\x02no\x03yes".to_vec();
        heads.resize(heads.len().next_multiple_of(4), 0);

        let mut operators = b"\x07\x02\x80\x7f\0\0\x01\0\0\0\0\0".to_vec();
        operators.resize(32, 0);
        operators.extend(b"\x00\x01\x80\x7f\x02\0\0\0\0\0\0\0");
        operators.resize(64, 0);

        let mut tensors = Vec::new();
        for (channels, zero_point, offset, last_use) in [(2, 0, 0, 0), (2, 0, 4, 0), (4, 0, 8, 1), (1, 7, 0, 2)] {
            tensors.extend([1, 0, 1, 0, channels, 0, zero_point, 0]);
            push(&mut tensors, &[0.01_f32.to_bits(), offset, last_use]);
        }

        let mut weights = Vec::new();
        push(&mut weights, &[10, 1 << 30]);
        weights.extend([1, 0, 0, 0, 1, 2, 3, 4]);

        let mut tests = vec![1, 0, 0, 0, 4, (-3_i8) as u8, 50, 100, 77, 1, 2, 3, 4, 5, 6, 7, 8];
        tests.resize(20, 0);

        let sections = [&input, &facts, &heads, &operators, &tensors, &weights, &tests];
        let lens = sections.map(|section| section.len() as u32);
        let mut file = b"ATAR\x01\0\0\0".to_vec();
        let fact_set = 1 << 0 | 1 << (8 + 2);
        // The kinds dense and concat, and behind them the form of dense.
        push(&mut file, &[72 + lens.iter().sum::<u32>() + 4, 12, 0b1000_0001, 1 << 16, 0, fact_set, 4]);
        // 2 values of the input and 2 of the facts, 4 that the concat writes, 4 products.
        push(&mut file, &[12]);
        file.extend([2, 0, 1, 1]);
        push(&mut file, &[lens[0], lens[1], lens[2], lens[5], lens[6], 2, 0]);
        file.extend(sections.into_iter().flatten());
        let checksum = crc32(&file);
        push(&mut file, &[checksum]);
        file
    }

    fn push(bytes: &mut Vec<u8>, words: &[u32]) {
        bytes.extend(words.iter().flat_map(|word| word.to_le_bytes()));
    }
}
