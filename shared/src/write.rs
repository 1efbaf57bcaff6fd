//! Writing a model: the one encoding that the parser accepts.

use crate::checksum::checksum;
use crate::codes::{CATEGORY, FLAG, GAZETTEER, NUMBER};
use crate::header::HEADER_BYTES;
use crate::input::{NUMBERS, SIGNAL, TEXT};
use crate::scratch::alive_end;
use crate::window::Window;
use crate::{
    Code, Encoder, FactDefinition, HeadDefinition, HeadKind, Header, InputDefinition, KindDefinition, MAX_INPUTS,
    Model, OperatorDefinition, ParseError, Shape, Signal, Tensor, WriteError, parts,
};

/// A model that is to be written.
#[derive(Debug, Clone, Copy)]
pub struct Definition<'a> {
    /// The input; it is tensor 0.
    pub input: InputDefinition<'a>,
    /// The facts; they are tensor 1 when there are any.
    pub facts: &'a [FactDefinition<'a>],
    /// Whether the facts tensor ends with a mask, 1 for each fact that is known.
    pub fact_mask: bool,
    /// The heads.
    pub heads: &'a [HeadDefinition<'a>],
    /// The operators in the order in which they run.
    pub operators: &'a [OperatorDefinition<'a>],
    /// Input, facts if any, then what each operator writes.
    pub tensors: &'a [Tensor],
    /// Self-test vectors.
    pub tests: &'a [TestDefinition<'a>],
    /// Multiply-accumulate operations of one run.
    pub macs: u32,
    /// Which of the models for one purpose this is: a later one has a greater number.
    pub revision: u32,
}

/// A self-test vector that is to be written.
#[derive(Debug, Clone, Copy)]
pub struct TestDefinition<'a> {
    /// The quantised input.
    pub input: &'a [i8],
    /// The quantised facts, empty without any.
    pub facts: &'a [i8],
    /// The tensors of the heads one after the other.
    pub outputs: &'a [i8],
    /// The [`crate::checksum()`] of what each operator writes.
    pub checksums: &'a [u32],
}

impl Definition<'_> {
    /// Returns the bytes that the file takes.
    ///
    /// # Errors
    ///
    /// [`WriteError::LongName`] and [`WriteError::TooMany`].
    pub fn encoded_len(&self) -> Result<usize, WriteError> {
        let mut sink = Sink { buffer: &mut [], len: 0, section_start: 0 };
        self.encode(&mut sink)?;
        Ok(sink.len + 4)
    }

    /// Writes the file to the start of `buffer`, parses it, and returns its bytes.
    ///
    /// # Errors
    ///
    /// [`WriteError::BufferTooSmall`], [`WriteError::LongName`], [`WriteError::TooMany`], and [`WriteError::Invalid`]
    /// when the definition breaks a rule of the format.
    pub fn write<'b>(&self, buffer: &'b mut [u8]) -> Result<&'b [u8], WriteError> {
        let needed = self.encoded_len()?;
        let got = buffer.len();
        let bytes = buffer.get_mut(..needed).ok_or(WriteError::BufferTooSmall { needed, got })?;
        let mut sink = Sink { buffer: bytes, len: 0, section_start: 0 };
        let header = self.encode(&mut sink)?;
        if let Some(start) = bytes.first_chunk_mut::<HEADER_BYTES>() {
            *start = header.encode();
        }
        seal(bytes);
        let work = Model::work_in(bytes).map_err(WriteError::Invalid)?;
        if let Some(start) = bytes.first_chunk_mut::<HEADER_BYTES>() {
            *start = Header { work, ..header }.encode();
        }
        seal(bytes);
        Model::parse(bytes).map_err(WriteError::Invalid)?;
        Ok(bytes)
    }

    /// Puts everything but the header and the checksum, and returns the header that belongs to it.
    fn encode(&self, sink: &mut Sink<'_>) -> Result<Header, WriteError> {
        sink.put(&[0; HEADER_BYTES]);
        sink.end_section()?;
        let signal_set = self.encode_input(sink)?;
        let input_len = sink.end_section()?;
        let fact_set = self.encode_facts(sink)?;
        let facts_len = sink.end_section()?;
        for head in self.heads {
            encode_head(head, sink)?;
        }
        let heads_len = sink.end_section()?;
        let mut place = 0;
        let mut operator_set = 0;
        for operator in self.operators {
            encode_operator(operator, place, sink)?;
            place += count_u32(operator.parameters.len())?;
            let has_addend = operator.kind.has_channels() && operator.inputs.len() > 1;
            operator_set |= parts::of_operator(operator.kind, operator.form, has_addend);
        }
        sink.end_section()?;
        for tensor in self.tensors {
            encode_tensor(tensor, sink);
        }
        sink.end_section()?;
        for operator in self.operators {
            sink.put(operator.parameters);
        }
        let weights_len = sink.end_section()?;
        sink.put(&count_u32(self.tests.len())?.to_le_bytes());
        for test in self.tests {
            for values in [test.input, test.facts, test.outputs] {
                values.iter().for_each(|&value| sink.put(&[value.cast_unsigned()]));
            }
            test.checksums.iter().for_each(|sum| sink.put(&sum.to_le_bytes()));
        }
        let tests_len = sink.end_section()?;
        Ok(Header {
            file_len: count_u32(sink.len + 4)?,
            arena_len: self.arena_len(),
            operator_set,
            signal_set,
            fact_set,
            macs: self.macs,
            // Counted when everything else is written.
            work: 0,
            tensor_count: count_u16(self.tensors.len())?,
            operator_count: count_u16(self.operators.len())?,
            fact_count: count_u8(self.facts.len())?.into(),
            head_count: count_u8(self.heads.len())?.into(),
            input_len,
            facts_len,
            heads_len,
            weights_len,
            tests_len,
            revision: self.revision,
            is_signed: false,
            input_values: count_u32(self.tensors.first().map_or(0, |input| input.shape.len()))?,
        })
    }

    /// Returns the greatest end of a tensor, or of what a convolution lays out beside its tensors.
    fn arena_len(&self) -> u32 {
        let first = self.tensors.len().saturating_sub(self.operators.len());
        let ends = self.operators.iter().zip(first..).zip(0..).map(|((operator, output), index)| {
            let input = operator.inputs.first().and_then(|&input| self.tensors.get(usize::from(input)));
            let input = input.map_or(Shape::vector(0), |tensor| tensor.shape);
            match operator.window.map_or(0, |window| operator.kind.scratch_len(&window, input)) {
                0 => 0,
                len => alive_end(self.tensors.iter().copied(), index, output as u16).saturating_add(len),
            }
        });
        ends.chain(self.tensors.iter().map(Tensor::end)).max().unwrap_or(0)
    }

    /// Puts the input and returns the parts that its front-end takes.
    fn encode_input(&self, sink: &mut Sink<'_>) -> Result<u32, WriteError> {
        sink.string(self.input.name)?;
        sink.put(&[match self.input.signal {
            Some(_) => SIGNAL,
            None if self.input.is_text => TEXT,
            None => NUMBERS,
        }]);
        sink.put(&count_u16(self.input.gains.len())?.to_le_bytes());
        sink.f32s(self.input.gains);
        sink.f32s(self.input.offsets);
        sink.strings(self.input.channels)?;
        let Some(record) = self.input.signal else { return Ok(0) };
        while !(sink.len - sink.section_start).is_multiple_of(4) {
            sink.put(&[0]);
        }
        sink.put(record);
        let signal = Signal::read(record).map_err(ParseError::Input)?;
        Ok(signal.parts())
    }

    /// Puts the facts and returns the parts that they take.
    fn encode_facts(&self, sink: &mut Sink<'_>) -> Result<u32, WriteError> {
        let mut set = 0;
        if !self.facts.is_empty() {
            sink.put(&[u8::from(self.fact_mask), 0, 0, 0]);
        }
        for fact in self.facts {
            set |= encode_fact(fact, sink)?;
        }
        Ok(set)
    }
}

/// Puts the checksum at the end of a file.
fn seal(bytes: &mut [u8]) {
    if let Some((body, sum)) = bytes.split_last_chunk_mut::<4>() {
        *sum = checksum(body.iter().copied()).to_le_bytes();
    }
}

/// Puts a fact and returns the parts that it takes.
fn encode_fact(fact: &FactDefinition<'_>, sink: &mut Sink<'_>) -> Result<u32, WriteError> {
    let kind = match fact.kind {
        KindDefinition::Number { .. } => NUMBER,
        KindDefinition::Category { .. } => CATEGORY,
        KindDefinition::Flag => FLAG,
        KindDefinition::Gazetteer { .. } => GAZETTEER,
    };
    let (encoder, constants) = fact.encoder.code();
    sink.put(&[kind, encoder]);
    sink.put(&count_u16(fact.code.len())?.to_le_bytes());
    sink.string(fact.name)?;
    sink.string(fact.unit)?;
    match fact.kind {
        KindDefinition::Number { least, greatest } => {
            sink.f32s(&constants);
            sink.f32s(&[least, greatest]);
        }
        KindDefinition::Category { values, columns } => {
            sink.strings(values)?;
            sink.put(&[count_u8(columns.len())?]);
            for column in columns {
                same_length(values.len(), column.len())?;
                sink.f32s(column);
            }
        }
        KindDefinition::Flag => {}
        KindDefinition::Gazetteer { features, words, entries } => {
            sink.strings(features)?;
            sink.put(&[words]);
            sink.put(&count_u32(entries.len())?.to_le_bytes());
            entries.iter().for_each(|(phrase, _)| sink.put(&phrase.to_le_bytes()));
            let bytes = features.len().div_ceil(8).min(2);
            entries.iter().for_each(|(_, mask)| sink.put(mask.to_le_bytes().get(..bytes).unwrap_or_default()));
        }
    }
    if let Encoder::Embedding { width, rows } = fact.encoder {
        if let KindDefinition::Category { values, .. } = fact.kind {
            same_length(values.len() * usize::from(width), rows.len())?;
        }
        sink.put(&width.to_le_bytes());
        sink.put(rows);
    }
    sink.put(fact.code);
    Ok(parts::of_fact(kind, encoder, Code::new(fact.code)))
}

fn same_length(expected: usize, got: usize) -> Result<(), WriteError> {
    if expected == got { Ok(()) } else { Err(WriteError::Length { expected, got }) }
}

fn encode_head(head: &HeadDefinition<'_>, sink: &mut Sink<'_>) -> Result<(), WriteError> {
    sink.put(&[head.kind as u8, 0]);
    sink.put(&head.tensor.to_le_bytes());
    sink.string(head.name)?;
    sink.strings(head.labels)?;
    if head.kind == HeadKind::Regression {
        sink.put(&count_u16(head.gains.len())?.to_le_bytes());
        sink.f32s(head.gains);
        sink.f32s(head.offsets);
    }
    Ok(())
}

fn encode_operator(operator: &OperatorDefinition<'_>, place: u32, sink: &mut Sink<'_>) -> Result<(), WriteError> {
    let count = operator.inputs.len();
    if count > MAX_INPUTS || !operator.parameters.len().is_multiple_of(4) {
        return Err(WriteError::TooMany { got: count });
    }
    let clamp = [operator.clamp.min.cast_unsigned(), operator.clamp.max.cast_unsigned()];
    sink.put(&[operator.kind as u8, count as u8 | (operator.form as u8) << 4]);
    sink.put(&clamp);
    for place in 0..MAX_INPUTS {
        sink.put(&operator.inputs.get(place).unwrap_or(&0).to_le_bytes());
    }
    let window = operator.window.unwrap_or(Window::NONE);
    for pair in [window.kernel, window.stride, window.dilation, window.pad] {
        pair.iter().for_each(|value| sink.put(&value.to_le_bytes()));
    }
    sink.put(&place.to_le_bytes());
    Ok(())
}

fn encode_tensor(tensor: &Tensor, sink: &mut Sink<'_>) {
    for size in [tensor.shape.height, tensor.shape.width, tensor.shape.channels] {
        sink.put(&size.to_le_bytes());
    }
    sink.put(&[tensor.quantization.zero_point.cast_unsigned(), u8::from(tensor.held)]);
    sink.put(&tensor.quantization.scale.to_le_bytes());
    sink.put(&tensor.offset.to_le_bytes());
    sink.put(&tensor.last_use.to_le_bytes());
    sink.put(&[0; 2]);
}

/// Counts bytes and keeps as many as its buffer holds: an empty buffer measures.
struct Sink<'a> {
    buffer: &'a mut [u8],
    len: usize,
    section_start: usize,
}

impl Sink<'_> {
    fn put(&mut self, bytes: &[u8]) {
        let end = self.len + bytes.len();
        if let Some(place) = self.buffer.get_mut(self.len..end) {
            place.copy_from_slice(bytes);
        }
        self.len = end;
    }

    fn f32s(&mut self, values: &[f32]) {
        values.iter().for_each(|value| self.put(&value.to_le_bytes()));
    }

    fn string(&mut self, string: &str) -> Result<(), WriteError> {
        let len = u8::try_from(string.len()).map_err(|_| WriteError::LongName { len: string.len() })?;
        self.put(&[len]);
        self.put(string.as_bytes());
        Ok(())
    }

    fn strings(&mut self, strings: &[&str]) -> Result<(), WriteError> {
        self.put(&count_u16(strings.len())?.to_le_bytes());
        strings.iter().try_for_each(|string| self.string(string))
    }

    /// Pads the section to four bytes and returns its length.
    fn end_section(&mut self) -> Result<u32, WriteError> {
        while !self.len.is_multiple_of(4) {
            self.put(&[0]);
        }
        let len = self.len - self.section_start;
        self.section_start = self.len;
        count_u32(len)
    }
}

fn count_u8(got: usize) -> Result<u8, WriteError> {
    u8::try_from(got).map_err(|_| WriteError::TooMany { got })
}

fn count_u16(got: usize) -> Result<u16, WriteError> {
    u16::try_from(got).map_err(|_| WriteError::TooMany { got })
}

fn count_u32(got: usize) -> Result<u32, WriteError> {
    u32::try_from(got).map_err(|_| WriteError::TooMany { got })
}

/// What can go wrong between writing and parsing is told by the parser.
impl From<ParseError> for WriteError {
    fn from(error: ParseError) -> Self {
        Self::Invalid(error)
    }
}
