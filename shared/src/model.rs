//! A parsed model: every rule has been checked, so that nothing after can fail.

use crate::bytes::{Cursor, U32s};
use crate::checksum::checksum;
use crate::fact::Columns;
use crate::header::HEADER_BYTES;
use crate::header::SIGNATURE_BYTES;
use crate::operators::{Context, has_scratch, has_window};
use crate::parts::{self, ALL_PARTS};
use crate::record::{MAX_INPUTS, OPERATOR_BYTES, Record};
use crate::scratch::alive_end;
use crate::tensor::TENSOR_BYTES;
use crate::{
    Defect, FACTS_TENSOR, Fact, FactKind, Head, HeadKind, Header, INPUT_TENSOR, Input, Instruction, Kind, MAX_FACTS,
    MAX_HEADS, MAX_TENSORS, Operator, Overlap, Parameters, ParseError, Shape, Signal, Tensor,
};

/// A model whose file has been checked as a whole; it borrows the bytes and copies nothing.
///
/// Code for parts that are not among `PARTS` is left out when this is compiled; a model that has others is refused.
#[derive(Debug, Clone, Copy)]
pub struct Model<'a, const PARTS: u128 = ALL_PARTS> {
    header: &'a [u8; HEADER_BYTES],
    /// The sections of the input, the facts and the heads.
    described: &'a [u8],
    operators: &'a [u8],
    tensors: &'a [u8],
    weights: &'a [u8],
    tests: &'a [u8],
}

/// An input with the answer that the model has to give.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TestVector<'a> {
    /// The quantised input, int8 each.
    pub input: &'a [u8],
    /// The quantised facts, int8 each.
    pub facts: &'a [u8],
    /// The tensors of the heads one after the other, int8 each.
    pub outputs: &'a [u8],
    /// The [`checksum()`] of what each operator writes.
    pub checksums: U32s<'a>,
}

impl<'a> Model<'a> {
    /// Returns the model in `bytes`, which may stand at any alignment.
    ///
    /// The time is linear in the length of the file, but for what the counts of tensors, facts and heads bound; SECURITY.md has
    /// the bounds. There is no recursion.
    ///
    /// # Errors
    ///
    /// A [`ParseError`] that names the part and the rule it breaks.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, ParseError> {
        Self::parse_parts(bytes)
    }

    /// Returns the steps of one run, of a file whose header says nothing of them yet; more than fit are as many as fit.
    pub(crate) fn work_in(bytes: &'a [u8]) -> Result<u32, ParseError> {
        let model = Self::split(bytes)?;
        Ok(u32::try_from(model.work()).unwrap_or(u32::MAX))
    }
}

impl<'a, const PARTS: u128> Model<'a, PARTS> {
    /// As [`Model::parse`], of a model that is made of `PARTS`.
    ///
    /// # Errors
    ///
    /// As [`Model::parse`], and [`Defect::Part`] of the header when the model is made of others too, which is
    /// [`Defect::Unknown`] for a reader of all parts.
    #[inline(never)]
    pub fn parse_parts(bytes: &'a [u8]) -> Result<Self, ParseError> {
        let model = Self::split(bytes)?;
        if !model.header().is_within::<PARTS>() {
            let defect = if PARTS == ALL_PARTS { Defect::Unknown } else { Defect::Part };
            return Err(ParseError::Header(defect));
        }
        model.check_input_and_facts()?;
        model.check_heads()?;
        // Counted here, so that the frames of both do not lie on each other.
        let work = model.work_around();
        let scratch_end = model.check_operators(work)?;
        model.check_memory(scratch_end)?;
        model.check_tests()?;
        Ok(model)
    }

    /// Returns the header.
    #[inline(always)]
    pub fn header(&self) -> Header {
        Header::of(self.header)
    }

    /// Returns whether the file begins at a multiple of four bytes, as all its numbers then do.
    pub fn is_aligned(&self) -> bool {
        self.header.as_ptr().addr().is_multiple_of(4)
    }

    /// Returns whether another model is described in the same way: the sizes, the input, the facts and the heads, whatever the
    /// weights are.
    pub fn is_like(&self, other: &Self) -> bool {
        core::ptr::eq(self.header, other.header) || self.header == other.header && self.described == other.described
    }

    /// Returns the steps of one run, in the header of every parsed model: those of all operators ([`Operator::work`]), of the
    /// input and the facts, and of the front-end's hops up to the next run ([`Signal::work`]).
    pub fn work(&self) -> u64 {
        let shape = |tensor: Option<&u16>| self.shape(tensor.copied().unwrap_or(INPUT_TENSOR));
        let of =
            |operator: Operator<'_>| operator.work(shape(operator.inputs().first()), shape(Some(&operator.output)));
        self.operators().map(of).fold(self.work_around(), u64::saturating_add)
    }

    /// Returns those of the steps of one run that compute facts: by code, from columns and gazetteers.
    pub fn code_work(&self) -> u64 {
        self.facts_work().saturating_sub(self.facts_len() as u64)
    }

    /// Returns the bytes of arena that a session needs.
    pub fn arena_bytes(&self) -> usize {
        self.header().arena_len as usize
    }

    /// Returns the same model for those who hold all parts.
    pub fn whole(&self) -> Model<'a> {
        let Self { header, described, operators, tensors, weights, tests } = *self;
        Model { header, described, operators, tensors, weights, tests }
    }

    /// Returns the input.
    pub fn input(&self) -> Option<Input<'a>> {
        let channels = self.tensor(INPUT_TENSOR)?.shape.channels;
        Input::decode::<PARTS>(self.input_section(), channels, false).ok()
    }

    /// Returns the front-end, if the input's values come from one.
    pub fn signal(&self) -> Option<Signal<'a>> {
        if !parts::has_signal(PARTS) {
            return None;
        }
        Signal::read(self.input()?.signal?).ok()
    }

    /// Returns the shape of the input.
    pub fn input_shape(&self) -> Shape {
        self.tensor(INPUT_TENSOR).map_or(Shape::vector(0), |tensor| tensor.shape)
    }

    /// Returns the facts in their order in the facts tensor.
    pub fn facts(&self) -> impl Iterator<Item = Fact<'a>> + use<'a, PARTS> {
        let mut cursor = Cursor::new(self.facts_section().get(4..).unwrap_or(&[]));
        // That a model without facts has none is known when this is compiled.
        let count = if parts::has_facts(PARTS) { self.header().fact_count } else { 0 };
        (0..count).map_while(move |_| Fact::trust::<PARTS>(&mut cursor).ok())
    }

    /// Returns the values of the facts tensor, 0 for a model without facts.
    pub fn facts_len(&self) -> usize {
        if self.header().fact_count == 0 { 0 } else { self.len_of(FACTS_TENSOR).unwrap_or(0) }
    }

    /// Returns whether a mask, 1 for each fact that is known, follows the encoded facts.
    pub fn has_fact_mask(&self) -> bool {
        self.facts_section().first() == Some(&1)
    }

    /// Returns the heads.
    pub fn heads(&self) -> impl Iterator<Item = Head<'a>> + use<'a, PARTS> {
        Heads { model: *self, rest: Cursor::new(self.heads_section()), left: self.header().head_count }
    }

    /// Returns the operators in the order in which they run.
    pub fn operators(&self) -> impl ExactSizeIterator<Item = Operator<'a>> + use<'a, PARTS> {
        let model = *self;
        Operators { model, next: 0 }
    }

    /// Returns the operator at `index`.
    ///
    /// # Errors
    ///
    /// [`Defect::InputIndex`] when there is none; a parsed model has no other defect.
    #[inline(never)]
    pub fn operator(&self, index: u16) -> Result<Operator<'a>, Defect> {
        let record = record::<OPERATOR_BYTES>(self.operators, index).ok_or(Defect::InputIndex)?;
        let context = Context {
            weights: self.weights,
            output_index: self.header().source_count() + index,
            tensor: |index| self.decode_tensor(index),
        };
        Operator::decode::<PARTS, _>(Record(record), &context)
    }

    /// Returns the tensor at `index`.
    pub fn tensor(&self, index: u16) -> Option<Tensor> {
        self.decode_tensor(index).ok()
    }

    /// Returns the tensors: input, facts if any, then what each operator writes.
    pub fn tensors(&self) -> impl Iterator<Item = Tensor> + use<'a, PARTS> {
        let model = *self;
        (0..self.header().tensor_count).map_while(move |index| model.tensor(index))
    }

    /// Returns the self-test vectors.
    pub fn tests(&self) -> impl Iterator<Item = TestVector<'a>> + use<'a, PARTS> {
        let sizes = self.test_sizes();
        let mut cursor = Cursor::new(self.tests);
        let count = cursor.u32().unwrap_or(0);
        (0..count).map_while(move |_| TestVector::decode(&mut cursor, sizes).ok())
    }

    fn input_section(&self) -> &'a [u8] {
        self.section(0, self.header().input_len)
    }

    fn facts_section(&self) -> &'a [u8] {
        self.section(self.header().input_len, self.header().facts_len)
    }

    fn heads_section(&self) -> &'a [u8] {
        let header = self.header();
        self.section(header.input_len.wrapping_add(header.facts_len), header.heads_len)
    }

    /// Returns a part of what stands between the header and the operators; that it is there has been checked.
    fn section(&self, start: u32, len: u32) -> &'a [u8] {
        let start = start as usize;
        self.described.get(start..start.wrapping_add(len as usize)).unwrap_or_default()
    }

    /// Cuts the file into its sections, after length and checksum.
    // Not apart: what is returned with an error in its place would be copied byte by byte.
    #[inline(always)]
    fn split(bytes: &'a [u8]) -> Result<Self, ParseError> {
        let header = Header::read(bytes)?;
        if usize::try_from(header.file_len) != Ok(bytes.len()) {
            return Err(ParseError::Length { header: header.file_len, got: bytes.len() });
        }
        let too_short = ParseError::TooShort { got: bytes.len() };
        let (body, sum) = bytes.split_last_chunk::<4>().ok_or(too_short)?;
        let (computed, stored) = (checksum(body.iter().copied()), u32::from_le_bytes(*sum));
        if computed != stored {
            return Err(ParseError::Checksum { computed, stored });
        }
        let counts = usize::from(header.tensor_count) <= MAX_TENSORS
            && header.operator_count > 0
            && usize::from(header.fact_count) <= MAX_FACTS
            && (1..=MAX_HEADS).contains(&usize::from(header.head_count));
        if !counts {
            return Err(ParseError::Header(Defect::Count));
        }
        let (start, rest) = body.split_first_chunk().ok_or(too_short)?;
        let mut cursor = Cursor::new(rest);
        let mut sections = |lens: &[u32]| {
            let mut all = 0u32;
            for len in lens {
                if !len.is_multiple_of(4) {
                    return Err(ParseError::Header(Defect::Offset));
                }
                all = all.checked_add(*len).ok_or(ParseError::Header(Defect::TooLarge))?;
            }
            let all = usize::try_from(all).map_err(|_| ParseError::Header(Defect::TooLarge))?;
            cursor.take(all).map_err(ParseError::Header)
        };
        let model = Self {
            header: start,
            described: sections(&[header.input_len, header.facts_len, header.heads_len])?,
            operators: sections(&[u32::from(header.operator_count) * OPERATOR_BYTES as u32])?,
            tensors: sections(&[u32::from(header.tensor_count) * TENSOR_BYTES as u32])?,
            weights: sections(&[header.weights_len])?,
            tests: sections(&[header.tests_len])?,
        };
        if header.is_signed {
            cursor.take(SIGNATURE_BYTES).map_err(ParseError::Header)?;
        }
        if !cursor.is_empty() {
            return Err(ParseError::Header(Defect::Padding));
        }
        Ok(model)
    }

    #[inline(never)]
    fn check_input_and_facts(&self) -> Result<(), ParseError> {
        let input = self.decode_tensor(INPUT_TENSOR).map_err(|defect| ParseError::Tensor(INPUT_TENSOR, defect))?;
        let description =
            Input::decode::<PARTS>(self.input_section(), input.shape.channels, true).map_err(ParseError::Input)?;
        description.check_text(&input).map_err(ParseError::Input)?;
        if parts::has_signal(PARTS)
            && let Some(record) = description.signal
        {
            Signal::read(record).and_then(|signal| signal.check(input.shape)).map_err(ParseError::Input)?;
        }
        // The bytes of a text are read by their words, and features are nobody's own; neither by their places.
        let readable = if description.is_text || description.signal.is_some() { 0 } else { input.shape.len() };
        if usize::try_from(self.header().input_values) != Ok(input.shape.len()) {
            return Err(ParseError::Header(Defect::Count));
        }
        if self.header().fact_count == 0 || !parts::has_facts(PARTS) {
            return if self.header().fact_count == 0 && self.header().fact_set == 0 && self.facts_section().is_empty() {
                Ok(())
            } else {
                Err(ParseError::Fact(0, Defect::Padding))
            };
        }
        let mut cursor = Cursor::new(self.facts_section());
        let mut preamble = || {
            let mask = cursor.u8()?;
            cursor.zeros(3)?;
            if mask > 1 { Err(Defect::Unused) } else { Ok(mask == 1) }
        };
        let mask = preamble().map_err(|defect| ParseError::Fact(0, defect))?;
        let (mut width, mut set) = (0, 0);
        let mut columns = Columns::new();
        for index in 0..self.header().fact_count {
            let fact = Fact::decode::<PARTS>(&mut cursor).map_err(|defect| ParseError::Fact(index, defect))?;
            if self.facts().take(usize::from(index)).any(|earlier| earlier.name == fact.name) {
                return Err(ParseError::Fact(index, Defect::Duplicate));
            }
            if matches!(fact.kind, FactKind::Gazetteer(_)) && !description.is_text {
                return Err(ParseError::Fact(index, Defect::Kind));
            }
            if !fact.code.is_empty() {
                let checked = fact.code.check(columns.all(), readable);
                checked.map_err(|defect| ParseError::Fact(index, defect))?;
            }
            columns.add(fact.kind);
            let (kind, encoder) = fact.codes();
            set |= parts::of_fact(kind, encoder, fact.code);
            width += fact.width() + usize::from(mask && fact.is_seen());
        }
        cursor.finish().map_err(|defect| ParseError::Fact(self.header().fact_count, defect))?;
        if set != self.header().fact_set {
            return Err(ParseError::Header(Defect::Count));
        }
        let facts = self.decode_tensor(FACTS_TENSOR).map_err(|defect| ParseError::Tensor(FACTS_TENSOR, defect))?;
        if !facts.shape.is_vector() || usize::from(facts.shape.channels) != width {
            return Err(ParseError::Tensor(FACTS_TENSOR, Defect::Shape));
        }
        Ok(())
    }

    #[inline(never)]
    fn check_heads(&self) -> Result<(), ParseError> {
        let mut cursor = Cursor::new(self.heads_section());
        for index in 0..self.header().head_count {
            let refused = |defect| ParseError::Head(index, defect);
            let head = Head::decode(&mut cursor, &|tensor| self.len_of(tensor), true).map_err(refused)?;
            if self.heads().take(usize::from(index)).any(|earlier| earlier.name == head.name) {
                return Err(refused(Defect::Duplicate));
            }
            if parts::has_signal(PARTS)
                && index == 0
                && let Some(detection) = self.signal().and_then(|signal| signal.detection)
            {
                // The background is a class of the first head, from 0.
                let classes = self.len_of(head.tensor).unwrap_or(0);
                if head.kind != HeadKind::Class {
                    return Err(refused(Defect::Kind));
                }
                if detection.background.is_some_and(|class| usize::from(class) >= classes) {
                    return Err(ParseError::Input(Defect::Count));
                }
            }
        }
        cursor.finish().map_err(|defect| ParseError::Head(self.header().head_count, defect))
    }

    /// Checks the operators, and the header's work, of which they find so much before them; returns the greatest end of what
    /// they lay out beside the tensors.
    #[inline(never)]
    fn check_operators(&self, mut work: u64) -> Result<u32, ParseError> {
        let mut place = 0u32;
        let signal_set = if parts::has_signal(PARTS) { self.signal().map_or(0, |signal| signal.parts()) } else { 0 };
        let mut set = 0;
        let mut macs = 0u64;
        let mut scratch_end = 0;
        for index in 0..self.header().operator_count {
            let refused = |defect| ParseError::Operator(index, defect);
            // Looked at where it is: a copy would double the stack that this takes.
            let operator = &self.operator(index);
            let operator = operator.as_ref().map_err(|&defect| refused(defect))?;
            let (offset, used) = operator.blob;
            operator.check::<PARTS>(|tensor| self.decode_tensor(tensor)).map_err(refused)?;
            if parts::has_operator(PARTS, Kind::Bag)
                && matches!(operator.parameters, Parameters::Bag(_))
                && !self.input().is_some_and(|input| input.is_text)
            {
                return Err(refused(Defect::Kind));
            }
            if offset != place {
                return Err(refused(Defect::Offset));
            }
            place = place.checked_add(used).ok_or(refused(Defect::TooLarge))?;
            set |= parts::of_operator(operator.kind(), operator.form(), operator.addend.is_some());
            let input = self.shape(operator.inputs().first().copied().unwrap_or(0));
            let output = self.shape(operator.output);
            let (own, steps) = operator.costs::<PARTS>(input, output);
            macs = macs.wrapping_add(own);
            // At most 2^59 each: what does not fit 32 bits is refused before a sum wraps.
            work = work.wrapping_add(steps);
            if work > u64::from(u32::MAX) {
                return Err(ParseError::Header(Defect::TooLarge));
            }
            if let Some((start, len)) = self.scratch(operator, input) {
                scratch_end = start.saturating_add(len).max(scratch_end);
            }
        }
        if usize::try_from(place) != Ok(self.weights.len()) {
            return Err(ParseError::Weights(Defect::Padding));
        }
        let header = self.header();
        if set != header.operator_set || signal_set != header.signal_set {
            return Err(ParseError::Header(Defect::Count));
        }
        if macs != u64::from(header.macs) || work != u64::from(header.work) {
            return Err(ParseError::Header(Defect::Count));
        }
        Ok(scratch_end)
    }

    /// Returns the steps of one run that are not those of operators: of the input, the facts and the front-end.
    #[inline(never)]
    fn work_around(&self) -> u64 {
        let mut work = u64::from(self.header().input_values);
        if parts::has_facts(PARTS) {
            work = work.saturating_add(self.facts_work());
        }
        if parts::has_signal(PARTS)
            && let Some(signal) = self.signal()
        {
            work = work.saturating_add(signal.work().saturating_mul(signal.every.into()));
        }
        work
    }

    /// Returns the steps that the facts take: a step for each value of their tensor and for each instruction, and what
    /// gazetteers and columns are looked up in.
    #[inline(never)]
    fn facts_work(&self) -> u64 {
        let text = u64::from(self.header().input_values);
        let mut work = self.facts_len() as u64;
        // To find a column, the facts before it are read through, with the names of their values.
        let (mut columns, mut names) = (0u64, u64::from(self.header().fact_count));
        for fact in self.facts() {
            match fact.kind {
                FactKind::Category(category) => names += category.values.len() as u64,
                FactKind::Gazetteer(gazetteer) if parts::has_gazetteer(PARTS) => {
                    names += gazetteer.features.len() as u64;
                    work = work.saturating_add(gazetteer.work(text));
                }
                _ => {}
            }
            if parts::has_code(PARTS) {
                for instruction in fact.code.instructions() {
                    work = work.saturating_add(1);
                    columns += u64::from(matches!(instruction, Instruction::Column { .. }));
                }
            }
        }
        work.saturating_add(columns * names)
    }

    /// Returns the shape of a tensor, or that of none.
    // A whole tensor would stay on the caller's stack.
    #[inline(never)]
    fn shape(&self, tensor: u16) -> Shape {
        self.tensor(tensor).map_or(Shape::vector(0), |tensor| tensor.shape)
    }

    /// Returns where an operator on an input of some shape lays out what its window shows, and how many bytes it takes.
    pub fn scratch(&self, operator: &Operator<'_>, input: Shape) -> Option<(u32, u32)> {
        if !has_scratch(PARTS) {
            return None;
        }
        let len = operator.window().map_or(0, |window| operator.kind().scratch_len(window, input));
        let index = self.written_by(operator.output)?;
        (len > 0).then(|| (alive_end(self.tensors(), index, operator.output), len))
    }

    /// Checks the memory plan: tensors that are alive at the same time share no byte, but for what [`Overlap`] allows, and
    /// the arena has no spare end.
    #[inline(never)]
    fn check_memory(&self, scratch_end: u32) -> Result<(), ParseError> {
        let mut end = scratch_end;
        // Where there is no head, no tensor's index.
        let mut heads = [u16::MAX; MAX_HEADS];
        heads.iter_mut().zip(self.heads()).for_each(|(place, head)| *place = head.tensor);
        for index in 0..self.header().tensor_count {
            let refused = |defect| ParseError::Tensor(index, defect);
            let tensor = self.decode_tensor(index).map_err(refused)?;
            end = end.max(tensor.end());
            if self.last_use(index, tensor.held || heads.contains(&index)) != Some(tensor.last_use) {
                return Err(refused(Defect::LastUse));
            }
            if tensor.held && self.written_by(index).is_none() {
                return Err(refused(Defect::Unused));
            }
            for earlier in 0..index {
                let other = self.decode_tensor(earlier).map_err(refused)?;
                let apart = other.offset >= tensor.end() || tensor.offset >= other.end();
                let alive = self.written_by(index).is_none_or(|writer| other.last_use >= writer) || tensor.held;
                if alive && !apart && !self.may_share(index, earlier) {
                    return Err(refused(Defect::Overlap));
                }
            }
        }
        if end != self.header().arena_len {
            return Err(ParseError::Header(Defect::Arena));
        }
        Ok(())
    }

    /// Returns whether an operator may write `output` over `input`, which it is the last to read.
    #[inline(never)]
    fn may_share(&self, output: u16, input: u16) -> bool {
        let share = || {
            let writer = self.written_by(output)?;
            let (from, last_use) = self.tensor(input).map(|from| (from.offset, from.last_use))?;
            let (to, shape, held) = self.tensor(output).map(|to| (to.offset, to.shape, to.held))?;
            if held || last_use != writer {
                return None;
            }
            let record = Record(record::<OPERATOR_BYTES>(self.operators, writer)?);
            let kind = record.kind()?;
            let inputs = record.inputs();
            let inputs = inputs.get(..usize::from(record.input_count()))?;
            let window = (has_window(PARTS) && kind.has_window()).then(|| record.window());
            let mut shapes = [Shape::vector(0); MAX_INPUTS];
            for (shape, &index) in shapes.iter_mut().zip(inputs) {
                *shape = self.tensor(index)?.shape;
            }
            let shapes = shapes.get(..inputs.len())?;
            // An input that is read twice has to be allowed twice.
            for (place, &index) in inputs.iter().enumerate() {
                let overlap = || Overlap::new(kind, window.as_ref(), inputs, place, shapes, shape);
                if index == input && !overlap().allows(to, from) {
                    return None;
                }
            }
            Some(())
        };
        share().is_some()
    }

    #[inline(never)]
    fn check_tests(&self) -> Result<(), ParseError> {
        let mut cursor = Cursor::new(self.tests);
        let mut check = || {
            let sizes = self.test_sizes();
            for _ in 0..cursor.u32()? {
                TestVector::decode(&mut cursor, sizes)?;
            }
            cursor.finish()
        };
        check().map_err(ParseError::Tests)
    }

    /// Returns the last operator that reads a tensor, or the number of operators when it stays: a head reads it, or it is held.
    #[inline(never)]
    fn last_use(&self, tensor: u16, stays: bool) -> Option<u16> {
        if stays {
            return Some(self.header().operator_count);
        }
        (0..self.header().operator_count).rev().find(|&index| self.record_reads(index, tensor))
    }

    /// Looks at the inputs of a record alone, which keeps [`Model::last_use`] short.
    fn record_reads(&self, operator: u16, tensor: u16) -> bool {
        let record = record::<OPERATOR_BYTES>(self.operators, operator).unwrap_or(&[0; OPERATOR_BYTES]);
        Record(record).reads(tensor)
    }

    /// Returns the operator that writes a tensor; `None` for input and facts, which are there from the start.
    fn written_by(&self, tensor: u16) -> Option<u16> {
        tensor.checked_sub(self.header().source_count())
    }

    fn len_of(&self, tensor: u16) -> Option<usize> {
        self.tensor(tensor).map(|tensor| tensor.shape.len())
    }

    #[inline(never)]
    fn decode_tensor(&self, index: u16) -> Result<Tensor, Defect> {
        Tensor::decode(record::<TENSOR_BYTES>(self.tensors, index).ok_or(Defect::InputIndex)?)
    }

    fn test_sizes(&self) -> [usize; 4] {
        let outputs = self.heads().filter_map(|head| self.len_of(head.tensor)).fold(0, usize::saturating_add);
        [self.len_of(INPUT_TENSOR).unwrap_or(0), self.facts_len(), outputs, usize::from(self.header().operator_count)]
    }
}

impl<'a> TestVector<'a> {
    fn decode(cursor: &mut Cursor<'a>, [input, facts, outputs, operators]: [usize; 4]) -> Result<Self, Defect> {
        let [input, facts, outputs] = [cursor.take(input)?, cursor.take(facts)?, cursor.take(outputs)?];
        Ok(Self { input, facts, outputs, checksums: cursor.u32s(operators)? })
    }
}

struct Heads<'a, const PARTS: u128> {
    model: Model<'a, PARTS>,
    rest: Cursor<'a>,
    left: u16,
}

impl<'a, const PARTS: u128> Iterator for Heads<'a, PARTS> {
    type Item = Head<'a>;

    #[inline(never)]
    fn next(&mut self) -> Option<Head<'a>> {
        self.left = self.left.checked_sub(1)?;
        Head::decode(&mut self.rest, &|tensor| self.model.len_of(tensor), false).ok()
    }
}

struct Operators<'a, const PARTS: u128> {
    model: Model<'a, PARTS>,
    next: u16,
}

impl<'a, const PARTS: u128> Iterator for Operators<'a, PARTS> {
    type Item = Operator<'a>;

    fn next(&mut self) -> Option<Operator<'a>> {
        let operator = self.model.operator(self.next).ok()?;
        self.next += 1;
        Some(operator)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = usize::from(self.model.header().operator_count.saturating_sub(self.next));
        (left, Some(left))
    }
}

impl<const PARTS: u128> ExactSizeIterator for Operators<'_, PARTS> {}

fn record<const BYTES: usize>(records: &[u8], index: u16) -> Option<&[u8; BYTES]> {
    records.get(usize::from(index) * BYTES..)?.first_chunk()
}
