//! A session: a model, an arena, and the operators one after the other.

use core::ops::Range;

use attar_shared::parts::{self, ALL_PARTS};
use attar_shared::{FACTS_TENSOR, INPUT_TENSOR, Input, Kind, Model, Operator, Parameters, Quantization, Shape, Tensor};

use crate::facts::{Encoded, byte_of};
use crate::kernels::{self, Pair, PixelContext, Place, View, ViewMut};
use crate::quantize::round_to_i8;
use crate::{Error, Facts, Outputs, quantize};

/// A model with the memory to run it.
#[derive(Debug)]
pub struct Session<'a, const PARTS: u128 = ALL_PARTS> {
    model: Model<'a, PARTS>,
    arena: &'a mut [i8],
    next: u16,
}

/// What [`Session::step`] has left to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// There are operators that have not run.
    More,
    /// The outputs are there.
    Done,
}

impl<'a, const PARTS: u128> Session<'a, PARTS> {
    /// Returns a session over an arena of at least [`Model::arena_bytes`] bytes.
    ///
    /// # Errors
    ///
    /// [`Error::ArenaTooSmall`], and on a board [`Error::Misaligned`] when model or arena do not begin at multiples of four
    /// bytes.
    pub fn new(model: Model<'a, PARTS>, arena: &'a mut [i8]) -> Result<Self, Error> {
        // The kernels of boards read words; those of the workstation do not care.
        if cfg!(target_os = "none") && !(model.is_aligned() && arena.as_ptr().addr().is_multiple_of(4)) {
            return Err(Error::Misaligned);
        }
        let (needed, got) = (model.arena_bytes(), arena.len());
        let arena = arena.get_mut(..needed).ok_or(Error::ArenaTooSmall { needed, got })?;
        let mut session = Self { model, arena, next: model.header().operator_count };
        session.reset();
        Ok(session)
    }

    /// Forgets what earlier runs left: every tensor that is held from one run to the next holds zeros.
    pub fn reset(&mut self) {
        for tensor in self.model.tensors().filter(|tensor| tensor.held) {
            if let Some(values) = self.arena.get_mut(range(&tensor)) {
                values.fill(tensor.quantization.zero_point);
            } else {
                unreachable_in_checked_model!()
            }
        }
    }

    /// Runs the model on one input in raw units and returns its outputs.
    ///
    /// # Shape
    ///
    /// `input` is the model's input flattened, `[height, width, channels]`, channels last; of a text its bytes, as numbers of
    /// either sign, zeros after them.
    ///
    /// # Errors
    ///
    /// [`Error::InputLength`], [`Error::InputNotFinite`], [`Error::OtherModel`].
    pub fn run<T: Copy + Into<f32>>(&mut self, input: &[T], facts: &Facts<'_, PARTS>) -> Result<Outputs<'_>, Error> {
        self.load(input, facts)?;
        while self.step() == Step::More {}
        self.outputs()
    }

    /// Runs the model on a text, in UTF-8.
    ///
    /// # Errors
    ///
    /// [`Error::InputKind`] for a model that takes numbers, [`Error::TextLength`] for a text that is too long for the model,
    /// [`Error::OtherModel`].
    pub fn run_text(&mut self, text: &str, facts: &Facts<'_, PARTS>) -> Result<Outputs<'_>, Error> {
        self.load_text(text, facts)?;
        while self.step() == Step::More {}
        self.outputs()
    }

    /// Takes a text and encodes the facts, and makes ready for the first [`Session::step`].
    ///
    /// # Errors
    ///
    /// As [`Session::run_text`]; after an error the session still holds what it held.
    pub fn load_text(&mut self, text: &str, facts: &Facts<'_, PARTS>) -> Result<(), Error> {
        if !self.model.is_like(facts.model()) {
            return Err(Error::OtherModel);
        }
        if !self.model.input().is_some_and(|input| input.is_text) {
            return Err(Error::InputKind);
        }
        let (most, got) = (self.model.input_shape().len(), text.len());
        if got > most {
            return Err(Error::TextLength { most, got });
        }
        let source = range(&self.tensor(INPUT_TENSOR));
        let bytes = text.bytes().map(u8::cast_signed).chain(core::iter::repeat(0));
        self.arena
            .get_mut(source)
            .unwrap_or_else(|| unreachable_in_checked_model!())
            .iter_mut()
            .zip(bytes)
            .for_each(|(place, byte)| *place = byte);
        self.load_facts(text.as_bytes(), facts);
        self.next = 0;
        Ok(())
    }

    /// Quantises one input in raw units and encodes the facts, and makes ready for the first [`Session::step`].
    ///
    /// # Errors
    ///
    /// As [`Session::run`]; after an error the session still holds what it held.
    pub fn load<T: Copy + Into<f32>>(&mut self, input: &[T], facts: &Facts<'_, PARTS>) -> Result<(), Error> {
        if !self.model.is_like(facts.model()) {
            return Err(Error::OtherModel);
        }
        self.check_input_length(input.len())?;
        if let Some(index) = input.iter().position(|&value| !Into::<f32>::into(value).is_finite()) {
            return Err(Error::InputNotFinite { index });
        }
        let source = self.tensor(INPUT_TENSOR);
        if let (Some(description), Some(places)) = (self.model.input(), self.arena.get_mut(range(&source))) {
            quantize_input(&description, input, places);
        } else {
            unreachable_in_checked_model!()
        }
        self.load_facts(input, facts);
        self.next = 0;
        Ok(())
    }

    /// Takes an input in int8, in two parts, and encodes the facts.
    pub(crate) fn load_rows(&mut self, parts: [&[i8]; 2], facts: &Facts<'_, PARTS>) -> Result<(), Error> {
        if !self.model.is_like(facts.model()) {
            return Err(Error::OtherModel);
        }
        let source = range(&self.tensor(INPUT_TENSOR));
        let places = self.arena.get_mut(source).unwrap_or_else(|| unreachable_in_checked_model!()).iter_mut();
        places.zip(parts.into_iter().flatten()).for_each(|(place, &value)| *place = value);
        self.load_facts::<f32>(&[], facts);
        self.next = 0;
        Ok(())
    }

    fn load_facts<T: Copy + Into<f32>>(&mut self, input: &[T], facts: &Facts<'_, PARTS>) {
        if self.has_facts() {
            let tensor = self.tensor(FACTS_TENSOR);
            let text =
                self.arena.get(range(&self.tensor(INPUT_TENSOR))).unwrap_or_else(|| unreachable_in_checked_model!());
            // A text is read where it is int8 already.
            let known = facts.known_of(input, &text);
            let mut places =
                self.arena.get_mut(range(&tensor)).unwrap_or_else(|| unreachable_in_checked_model!()).iter_mut();
            known.encode(|value| {
                if let Some(place) = places.next() {
                    *place = match value {
                        Encoded::Value(value) => quantize(value, tensor.quantization),
                        Encoded::Integer(value) => value,
                    };
                } else {
                    unreachable_in_checked_model!()
                }
            });
        }
    }

    /// Takes input and facts that are quantised already, and makes ready for the first [`Session::step`].
    ///
    /// # Errors
    ///
    /// [`Error::InputLength`], [`Error::FactsLength`].
    pub fn load_quantized(
        &mut self,
        input: impl ExactSizeIterator<Item = i8>,
        facts: impl ExactSizeIterator<Item = i8>,
    ) -> Result<(), Error> {
        self.check_input_length(input.len())?;
        let facts_tensor = if self.has_facts() { Some(self.tensor(FACTS_TENSOR)) } else { None };
        let (expected, got) = (facts_tensor.map_or(0, |tensor| tensor.shape.len()), facts.len());
        if expected != got {
            return Err(Error::FactsLength { expected, got });
        }
        let source = range(&self.tensor(INPUT_TENSOR));
        self.arena
            .get_mut(source)
            .unwrap_or_else(|| unreachable_in_checked_model!())
            .iter_mut()
            .zip(input)
            .for_each(|(place, value)| *place = value);
        if let Some(tensor) = facts_tensor {
            let places = self.arena.get_mut(range(&tensor)).unwrap_or_else(|| unreachable_in_checked_model!());
            places.iter_mut().zip(facts).for_each(|(place, value)| *place = value);
        }
        self.next = 0;
        Ok(())
    }

    /// Runs the next operator and says whether there is more to do.
    pub fn step(&mut self) -> Step {
        if self.next < self.model.header().operator_count {
            self.execute(self.next);
            self.next += 1;
        }
        if self.next < self.model.header().operator_count { Step::More } else { Step::Done }
    }

    /// Returns the CRC-32 of what the operator that ran last has written; none before the first.
    pub fn last_checksum(&self) -> Option<u32> {
        let operator = self.next.checked_sub(1)?;
        let written = self.values(self.model.header().source_count() + operator)?;
        Some(attar_shared::checksum(written.iter().map(|value| value.cast_unsigned())))
    }

    /// Returns the outputs of the last run.
    ///
    /// # Errors
    ///
    /// [`Error::Unfinished`] when there are operators that have not run.
    pub fn outputs(&self) -> Result<Outputs<'_>, Error> {
        if self.next < self.model.header().operator_count {
            return Err(Error::Unfinished);
        }
        Ok(Outputs::new(self.model.whole(), self.arena))
    }

    /// Returns the values of a tensor as they are in the arena now.
    ///
    /// A tensor's bytes are its own from the operator that writes it to the last that reads it.
    pub fn values(&self, tensor: u16) -> Option<&[i8]> {
        self.arena.get(range(&self.model.tensor(tensor)?))
    }

    /// Returns the model.
    pub fn model(&self) -> &Model<'a, PARTS> {
        &self.model
    }

    /// Returns whether the model has facts; that it has none may be known when this is compiled.
    fn has_facts(&self) -> bool {
        parts::has_facts(PARTS) && self.model.header().fact_count > 0
    }

    fn check_input_length(&self, got: usize) -> Result<(), Error> {
        let expected = self.model.input_shape().len();
        if expected == got { Ok(()) } else { Err(Error::InputLength { expected, got }) }
    }

    /// Returns a tensor of the model; the parser has seen to it that there is one.
    fn tensor(&self, index: u16) -> Tensor {
        const NOTHING: Tensor = Tensor {
            shape: Shape::vector(0),
            quantization: Quantization { scale: 1.0, zero_point: 0 },
            offset: 0,
            last_use: 0,
            held: false,
        };
        self.model.tensor(index).unwrap_or_else(|| unreachable_in_checked_model!(NOTHING))
    }

    // Apart from the loop around it, whose frame lies under those of all kernels.
    #[inline(never)]
    fn execute(&mut self, index: u16) {
        let Ok(operator) = &self.model.operator(index) else { unreachable_in_checked_model!(return) };
        let has = |kind| parts::has_operator(PARTS, kind);
        match &operator.parameters {
            Parameters::Dense if has(Kind::Dense) => {
                if let Some(slide) = &mut self.slide(operator) {
                    kernels::dense::<PARTS>(slide, &operator.channels);
                }
            }
            Parameters::Convolution(window) if has(Kind::Convolution) => {
                if let Some(slide) = &mut self.slide(operator) {
                    kernels::convolution::<PARTS>(slide, window, &operator.channels);
                }
            }
            Parameters::Depthwise(window) if has(Kind::Depthwise) => {
                if let Some(slide) = &mut self.slide(operator) {
                    kernels::depthwise(slide, window, &operator.channels);
                }
            }
            Parameters::AveragePool(window, factor) if has(Kind::AveragePool) => {
                if let Some(slide) = &mut self.slide(operator) {
                    kernels::average_pool(slide, window, *factor);
                }
            }
            Parameters::MaxPool(window) if has(Kind::MaxPool) => {
                if let Some(slide) = &mut self.slide(operator) {
                    kernels::max_pool(slide, window);
                }
            }
            _ => self.run_by_values(operator),
        }
    }

    /// Runs an operator that is not computed pixel by pixel.
    // Apart, so that its tensors do not lie under the other kernels.
    #[inline(never)]
    fn run_by_values(&mut self, operator: &Operator<'_>) {
        let inputs = operator.inputs();
        let a = self.tensor(inputs.first().copied().unwrap_or_else(|| unreachable_in_checked_model!()));
        let out = self.tensor(operator.output);
        let has = |kind| parts::has_operator(PARTS, kind);
        match &operator.parameters {
            Parameters::Table(table) if has(Kind::Table) => {
                if let Ok([values, places]) = self.arena.get_disjoint_mut([range(&a), range(&out)]) {
                    kernels::table(values, table, places);
                } else if let Some(values) = self.arena.get_mut(range(&out)) {
                    kernels::table_over(table, values);
                } else {
                    unreachable_in_checked_model!()
                }
            }
            Parameters::Add(constants) if has(Kind::Add) => {
                let b = self.tensor(inputs.get(1).copied().unwrap_or_else(|| unreachable_in_checked_model!()));
                self.pair(&a, &b, operator, |pair, output| kernels::add(pair, *constants, output));
            }
            Parameters::Multiply(factor) if has(Kind::Multiply) => {
                let b = self.tensor(inputs.get(1).copied().unwrap_or_else(|| unreachable_in_checked_model!()));
                let zeros = (a.quantization.zero_point, b.quantization.zero_point);
                self.pair(&a, &b, operator, |pair, output| kernels::multiply(pair, zeros, *factor, output));
            }
            Parameters::Bag(bag) if has(Kind::Bag) => {
                if let Ok([text, places]) = self.arena.get_disjoint_mut([range(&a), range(&out)]) {
                    kernels::bag(text, bag, view_mut(places, &out, operator));
                } else {
                    unreachable_in_checked_model!()
                }
            }
            Parameters::Delay if has(Kind::Delay) => {
                let new = self.tensor(inputs.get(1).copied().unwrap_or_else(|| unreachable_in_checked_model!()));
                if let Ok([values, series]) = self.arena.get_disjoint_mut([range(&new), range(&out)]) {
                    kernels::delay(values, series);
                } else {
                    unreachable_in_checked_model!()
                }
            }
            Parameters::Upsample if has(Kind::Upsample) => {
                if let Ok([values, places]) = self.arena.get_disjoint_mut([range(&a), range(&out)]) {
                    kernels::upsample(view(values, &a), view_mut(places, &out, operator));
                } else {
                    unreachable_in_checked_model!()
                }
            }
            Parameters::Concat if has(Kind::Concat) => {
                let mut first = 0;
                for &index in inputs {
                    let part = self.tensor(index);
                    // A part that stands where it has to go already overlaps, and stays.
                    if let Ok([values, places]) = self.arena.get_disjoint_mut([range(&part), range(&out)]) {
                        kernels::concat_part(view(values, &part), first, view_mut(places, &out, operator));
                    }
                    first += usize::from(part.shape.channels);
                }
            }
            // A model with others than `PARTS` has been refused, and the tests run every kind.
            _ => unreachable_in_checked_model!(),
        }
    }

    /// Returns input and output of an operator that is computed pixel by pixel, and the bytes where it lays out what its
    /// window shows, if it does.
    fn slide<'s>(&'s mut self, operator: &'s Operator<'_>) -> Option<PixelContext<'s>> {
        let input =
            place(&self.tensor(operator.inputs().first().copied().unwrap_or_else(|| unreachable_in_checked_model!())));
        let second = || operator.inputs().get(1).map(|&index| place(&self.tensor(index)));
        let addend = if parts::has_addend(PARTS) { operator.addend.as_ref().zip(second()) } else { None };
        let output = place(&self.tensor(operator.output));
        let (start, len) = match self.model.scratch(operator, input.shape) {
            Some((start, len)) => (start as usize, len as usize),
            None => (self.arena.len(), 0),
        };
        let (arena, scratch) = self.arena.split_at_mut_checked(start).or_else(|| unreachable_in_checked_model!())?;
        let scratch = scratch.get_mut(..len).or_else(|| unreachable_in_checked_model!())?;
        Some(PixelContext { arena, scratch, input, output, clamp: operator.clamp, addend })
    }

    /// Calls a kernel on two inputs and the output, which may stand in the place of one of them.
    fn pair(&mut self, a: &Tensor, b: &Tensor, operator: &Operator<'_>, kernel: impl Fn(Pair<'_>, ViewMut<'_>)) {
        let out = self.tensor(operator.output);
        let (x, y, z) = (range(a), range(b), range(&out));
        if a.offset == b.offset {
            // A tensor may be taken with itself; then the output stands apart.
            if let Ok([values, places]) = self.arena.get_disjoint_mut([x, z]) {
                kernel(Pair::Apart(view(values, a), view(values, b)), view_mut(places, &out, operator));
            } else {
                unreachable_in_checked_model!()
            }
        } else if let Ok([first, second, places]) = self.arena.get_disjoint_mut([x.clone(), y.clone(), z.clone()]) {
            kernel(Pair::Apart(view(first, a), view(second, b)), view_mut(places, &out, operator));
        } else if let Ok([second, places]) = self.arena.get_disjoint_mut([y, z.clone()]) {
            kernel(Pair::OverFirst(view(second, b)), view_mut(places, &out, operator));
        } else if let Ok([first, places]) = self.arena.get_disjoint_mut([x, z]) {
            kernel(Pair::OverSecond(view(first, a)), view_mut(places, &out, operator));
        } else {
            unreachable_in_checked_model!()
        }
    }
}

fn range(tensor: &Tensor) -> Range<usize> {
    let start = tensor.offset as usize;
    start..start.saturating_add(tensor.shape.len())
}

fn place(tensor: &Tensor) -> Place {
    Place { start: tensor.offset as usize, shape: tensor.shape, zero_point: tensor.quantization.zero_point }
}

fn view<'v>(values: &'v [i8], tensor: &Tensor) -> View<'v> {
    View { values, shape: tensor.shape }
}

fn view_mut<'v>(values: &'v mut [i8], tensor: &Tensor, operator: &Operator<'_>) -> ViewMut<'v> {
    ViewMut { values, shape: tensor.shape, zero_point: tensor.quantization.zero_point, clamp: operator.clamp }
}

/// Quantises raw values of an input, or of some positions of it.
pub(crate) fn quantize_input<T: Copy + Into<f32>>(description: &Input<'_>, values: &[T], places: &mut [i8]) {
    let gains = description.gains.iter().zip(description.offsets.iter());
    if description.gains.len() == 1 {
        let (gain, offset) = gains.last().unwrap_or_else(|| unreachable_in_checked_model!());
        for (place, &value) in places.iter_mut().zip(values) {
            *place = match description.is_text {
                true => byte_of(value).cast_signed(),
                false => round_to_i8(value.into() * gain + offset),
            };
        }
    } else {
        // One pair a channel, at every position again; chunks would ask whether the channels are none.
        for ((place, &value), (gain, offset)) in places.iter_mut().zip(values).zip(gains.cycle()) {
            *place = round_to_i8(value.into() * gain + offset);
        }
    }
}
