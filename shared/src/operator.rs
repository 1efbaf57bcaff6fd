//! Operators: what is computed, from which tensors, with which parameters.

use crate::bytes::{Cursor, padding, u16_at, u32_at};
use crate::channels::{Channels, Weights};
use crate::requantization::Requantization;
use crate::tensor::{Quantization, Shape, Tensor};
use crate::text::Grams;
use crate::{ALIGNMENT, Defect, INPUT_TENSOR, parts};

/// The most tensors an operator reads.
pub const MAX_INPUTS: usize = 4;

/// An operator of the graph; it writes the tensor that stands at its own place after the sources.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Operator<'a> {
    /// What is computed.
    pub parameters: Parameters<'a>,
    /// The range that the output is kept in: a fused ReLU or clamp.
    pub clamp: Clamp,
    /// What is added to the results of dense, convolution and depthwise before they are written, if anything is.
    pub addend: Option<Addend>,
    /// The tensor that is written.
    pub output: u16,
    inputs: [u16; MAX_INPUTS],
    input_count: u8,
    /// Where its parameters begin among the weights, and how many bytes they take.
    pub(crate) blob: (u32, u32),
}

/// What an operator computes, with the parameters that it needs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Parameters<'a> {
    /// A matrix product of the flattened input with weights `[out, in]`.
    Dense(Channels<'a>),
    /// A convolution with weights `[out, kernel_height, kernel_width, in]`; over a series when the height is 1.
    Convolution(Window, Channels<'a>),
    /// A convolution channel by channel with weights `[kernel_height, kernel_width, channels]`.
    Depthwise(Window, Channels<'a>),
    /// The sum of two tensors; the second may be a vector that is added at every position.
    Add(AddConstants),
    /// The mean over a window, padding counted as zero.
    AveragePool(Window, Requantization),
    /// The greatest value in a window, padding left out.
    MaxPool(Window),
    /// A function of each value: entry i is the answer to the value whose byte is i.
    Table(&'a [u8; 256]),
    /// The channels of all inputs one after the other; a vector is repeated at every position.
    Concat,
    /// The product of two tensors; the second may be a vector for every position.
    Multiply(Requantization),
    /// The last positions of a series: its own output of the run before, moved by as many as the input has, then the input.
    Delay,
    /// The mean of the rows that a text's n-grams choose.
    Bag(Bag<'a>),
}

/// An embedding bag over the hashed n-grams of a text (Joulin et al. 2017).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bag<'a> {
    /// Which n-grams, and among how many rows they choose.
    pub grams: Grams,
    /// From 256 times the mean to the output.
    pub requantization: Requantization,
    /// `[buckets, channels]`, int8.
    pub rows: &'a [u8],
}

/// The kinds of operators by their code in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Kind {
    /// [`Parameters::Dense`].
    Dense = 0,
    /// [`Parameters::Convolution`].
    Convolution = 1,
    /// [`Parameters::Depthwise`].
    Depthwise = 2,
    /// [`Parameters::Add`].
    Add = 3,
    /// [`Parameters::AveragePool`].
    AveragePool = 4,
    /// [`Parameters::MaxPool`].
    MaxPool = 5,
    /// [`Parameters::Table`].
    Table = 6,
    /// [`Parameters::Concat`].
    Concat = 7,
    /// [`Parameters::Dense`] with weights of 4 bits.
    Dense4 = 8,
    /// [`Parameters::Convolution`] with weights of 4 bits.
    Convolution4 = 9,
    /// [`Parameters::Multiply`].
    Multiply = 10,
    /// [`Parameters::Delay`].
    Delay = 11,
    /// [`Parameters::Bag`].
    Bag = 12,
    /// [`Parameters::Dense`] with weights of 8 bits in rows.
    DenseRows = 13,
}

impl Kind {
    /// Returns whether operators of this kind have weights and constants for each output channel, and may have an addend.
    pub const fn has_channels(self) -> bool {
        self.is_dense() || matches!(self, Self::Convolution | Self::Convolution4 | Self::Depthwise)
    }

    /// Returns whether operators of this kind are [`Parameters::Dense`], of any weights.
    pub const fn is_dense(self) -> bool {
        matches!(self, Self::Dense | Self::Dense4 | Self::DenseRows)
    }
}

/// The geometry of a sliding window, `[height, width]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// Taps.
    pub kernel: [u16; 2],
    /// Steps from one output to the next.
    pub stride: [u16; 2],
    /// Steps from one tap to the next.
    pub dilation: [u16; 2],
    /// Positions before the first row and column; what lies after the last follows from the output's shape.
    pub pad: [u16; 2],
}

/// The range an output is kept in, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Clamp {
    /// The least value.
    pub min: i8,
    /// The greatest value.
    pub max: i8,
}

/// `(a * a_multiplier + b * b_multiplier + bias) >> shift`; the bias holds the zero points and the rounding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AddConstants {
    /// The factor of the first input.
    pub a_multiplier: i32,
    /// The factor of the second input.
    pub b_multiplier: i32,
    /// What is added to both products.
    pub bias: i32,
    /// From 0 to 31.
    pub shift: u8,
}

/// An addition that joined the operator before it: the second input is added to what the operator alone would write.
///
/// With y the result of the operator alone, from its own zero point and clamp, and b the value of the second input, the
/// output is that of [`Parameters::Add`] for y and b.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Addend {
    /// The addition.
    pub constants: AddConstants,
    /// The int8 that stands for zero among the results of the operator alone.
    pub zero_point: i8,
    /// The range that those results are kept in.
    pub clamp: Clamp,
}

impl Clamp {
    /// Every int8.
    pub const ALL: Self = Self { min: i8::MIN, max: i8::MAX };
}

/// What an operator is decoded against: the tensors before it.
pub(crate) struct Context<'a, F: Fn(u16) -> Result<Tensor, Defect>> {
    pub(crate) weights: &'a [u8],
    pub(crate) output_index: u16,
    pub(crate) tensor: F,
}

/// Bytes of an addition's constants, by itself or after the weights of what it joined.
pub(crate) const ADDITION_BYTES: usize = 16;

/// Bytes of a bag's parameters before its rows.
const BAG_BYTES: usize = 16;

/// Bytes of an operator's record.
pub(crate) const OPERATOR_BYTES: usize = 32;

/// The most taps an average may have: `taps * 255 * 256` has to fit 31 bits.
const MAX_AVERAGE_TAPS: u32 = i32::MAX as u32 / (255 << AVERAGE_SHIFT);

/// How far a sum is shifted left before it is averaged, so that small windows keep their precision.
pub(crate) const AVERAGE_SHIFT: u32 = 8;

impl<'a> Operator<'a> {
    /// Returns the tensors that are read.
    pub fn inputs(&self) -> &[u16] {
        self.inputs.get(..usize::from(self.input_count)).unwrap_or(&[])
    }

    /// Returns the code of what is computed.
    pub fn kind(&self) -> Kind {
        match self.parameters {
            Parameters::Dense(Channels { weights: Weights::Four(_), .. }) => Kind::Dense4,
            Parameters::Dense(Channels { weights: Weights::Rows(_), .. }) => Kind::DenseRows,
            Parameters::Convolution(_, Channels { weights: Weights::Four(_), .. }) => Kind::Convolution4,
            Parameters::Dense(_) => Kind::Dense,
            Parameters::Convolution(..) => Kind::Convolution,
            Parameters::Depthwise(..) => Kind::Depthwise,
            Parameters::Add(_) => Kind::Add,
            Parameters::AveragePool(..) => Kind::AveragePool,
            Parameters::MaxPool(_) => Kind::MaxPool,
            Parameters::Table(_) => Kind::Table,
            Parameters::Concat => Kind::Concat,
            Parameters::Multiply(_) => Kind::Multiply,
            Parameters::Delay => Kind::Delay,
            Parameters::Bag(_) => Kind::Bag,
        }
    }

    /// Returns where its parameters begin in the weights section, and how many bytes they are.
    pub fn parameters_range(&self) -> (u32, u32) {
        self.blob
    }

    /// Returns the multiply-accumulate operations of one run, for the shape of the first input and that of the output.
    ///
    /// For the shapes of a parsed model they fit; others may wrap.
    pub fn macs(&self, input: Shape, output: Shape) -> u64 {
        self.costs::<{ parts::ALL_PARTS }>(input, output).0
    }

    /// Returns the steps of one run, for the shape of the first input and that of the output: the multiply-accumulates of
    /// operators with weights, the taps of pools, the rows of a bag, or the values that are written; an addend's values are
    /// steps too.
    ///
    /// For the shapes of a parsed model they fit; others may wrap.
    pub fn work(&self, input: Shape, output: Shape) -> u64 {
        self.costs::<{ parts::ALL_PARTS }>(input, output).1
    }

    /// Returns the multiply-accumulates and the steps of one run.
    #[inline(always)]
    pub(crate) fn costs<const PARTS: u64>(&self, input: Shape, output: Shape) -> (u64, u64) {
        // Of an output, 32 bits are enough: weights fill the file, taps are at most 65,535 on an axis.
        let (each, weighted) = match self.parameters {
            Parameters::Dense(_) => (input.len() as u32, true),
            Parameters::Convolution(window, _) => {
                ((window.taps() as u32).wrapping_mul(u32::from(input.channels)), true)
            }
            Parameters::Depthwise(window, _) => (window.taps() as u32, true),
            Parameters::AveragePool(window, _) | Parameters::MaxPool(window) => (window.taps() as u32, false),
            Parameters::Bag(bag) if parts::has_operator(PARTS, Kind::Bag) => {
                (bag.grams.most(input.len()) as u32, false)
            }
            _ => (1, false),
        };
        let values = output.len() as u32;
        let steps = u64::from(each).wrapping_mul(values.into());
        let added = if parts::has_addend(PARTS) && self.addend.is_some() { values } else { 0 };
        (if weighted { steps } else { 0 }, steps.wrapping_add(added.into()))
    }

    /// Decodes a record and finds its parameters, whose sizes follow from the shapes of its tensors.
    pub(crate) fn decode<const PARTS: u64, F>(
        record: &[u8; OPERATOR_BYTES],
        context: &Context<'a, F>,
    ) -> Result<Self, Defect>
    where
        F: Fn(u16) -> Result<Tensor, Defect>,
    {
        let [kind, input_count] = u16_at(record, 0).to_le_bytes();
        let [min, max] = u16_at(record, 2).to_le_bytes();
        let clamp = Clamp { min: min.cast_signed(), max: max.cast_signed() };
        let inputs = [4, 6, 8, 10].map(|at| u16_at(record, at));
        if inputs.iter().skip(usize::from(input_count)).any(|&input| input != 0) {
            return Err(Defect::Unused);
        }
        let window = Window::read(record);
        let offset = u32_at(record, 28);

        let first = (context.tensor)(inputs[0])?.shape;
        let out = (context.tensor)(context.output_index)?.shape;
        let skipped = usize::try_from(offset).map_err(|_| Defect::Offset)?;
        let blob = context.weights.get(skipped..).ok_or(Defect::Offset)?;
        let mut blob_cursor = Cursor::new(blob);
        let taps = usize::from(window.kernel[0]) * usize::from(window.kernel[1]);
        let outputs = usize::from(out.channels);

        let mut used = 0;
        let has = |kind| parts::has_operator(PARTS, kind);
        // Rows of so many weights: one for each output, or one in all.
        let rows = match kind {
            0 | 8 | 13 if parts::has_dense(PARTS) => Some((outputs, Some(first.len()))),
            1 | 9 if has(Kind::Convolution) || has(Kind::Convolution4) => {
                Some((outputs, taps.checked_mul(usize::from(first.channels))))
            }
            2 if has(Kind::Depthwise) => Some((1, taps.checked_mul(outputs))),
            _ => None,
        };
        // In one place: what several return with a defect in its place is copied byte by byte.
        let channels = match rows {
            Some((rows, len)) => {
                let form: fn(&'a [u8]) -> Weights<'a> = match kind {
                    8 | 9 if has(Kind::Dense4) || has(Kind::Convolution4) => Weights::Four,
                    13 if has(Kind::DenseRows) => Weights::Rows,
                    _ => Weights::Eight,
                };
                let len = len.ok_or(Defect::TooLarge)?;
                let bytes = form(&[]).row_bytes(len).checked_mul(rows).ok_or(Defect::TooLarge)?;
                used = outputs * 9 + padding(outputs) + bytes + padding(bytes);
                Some(Channels::decode(&mut blob_cursor, outputs, bytes, form)?)
            }
            None => None,
        };
        let parameters = match (kind, channels) {
            (0 | 8 | 13, Some(channels)) if parts::has_dense(PARTS) => Parameters::Dense(channels),
            (1 | 9, Some(channels)) if has(Kind::Convolution) || has(Kind::Convolution4) => {
                Parameters::Convolution(window, channels)
            }
            (2, Some(channels)) if has(Kind::Depthwise) => Parameters::Depthwise(window, channels),
            (3, _) if has(Kind::Add) => {
                used = ADDITION_BYTES;
                let bytes = blob_cursor.chunk::<ADDITION_BYTES>()?;
                let &[.., 0, 0, 0] = bytes else { return Err(Defect::Padding) };
                Parameters::Add(AddConstants::of(bytes))
            }
            (4 | 10, _) if has(Kind::AveragePool) || has(Kind::Multiply) => {
                used = 8;
                let requantization = Requantization { multiplier: blob_cursor.i32()?, shift: blob_cursor.u8()? };
                blob_cursor.zeros(3)?;
                if kind == 4 {
                    Parameters::AveragePool(window, requantization)
                } else {
                    Parameters::Multiply(requantization)
                }
            }
            (5, _) if has(Kind::MaxPool) => Parameters::MaxPool(window),
            (6, _) if has(Kind::Table) => {
                used = 256;
                let (table, _) = blob.split_first_chunk::<256>().ok_or(Defect::Truncated)?;
                Parameters::Table(table)
            }
            (7, _) if has(Kind::Concat) => Parameters::Concat,
            (11, _) if has(Kind::Delay) => Parameters::Delay,
            (12, _) if has(Kind::Bag) => {
                let (bag, bytes) = Bag::decode(&mut blob_cursor, outputs)?;
                used = bytes;
                Parameters::Bag(bag)
            }
            _ => return Err(Defect::Kind),
        };
        let joined =
            matches!(parameters, Parameters::Dense(_) | Parameters::Convolution(..) | Parameters::Depthwise(..));
        let addend = if parts::has_addend(PARTS) && joined && input_count > 1 {
            used += ADDITION_BYTES;
            Some(Addend::of(blob_cursor.chunk()?))
        } else {
            None
        };
        let used = u32::try_from(used).map_err(|_| Defect::TooLarge)?;
        let output = context.output_index;
        let operator = Self { parameters, clamp, addend, output, inputs, input_count, blob: (offset, used) };
        if operator.window().is_none() && window != Window::NONE {
            return Err(Defect::Unused);
        }
        Ok(operator)
    }

    /// Checks every rule that an operator has to keep for the engine to run it without a further check.
    #[inline(never)]
    pub(crate) fn check<const PARTS: u64>(&self, at: impl Fn(u16) -> Result<Tensor, Defect>) -> Result<(), Defect> {
        let has = |kind| parts::has_operator(PARTS, kind);
        let wanted = match self.parameters {
            Parameters::Add(_) | Parameters::Multiply(_) | Parameters::Delay => 2..=2,
            Parameters::Concat => 2..=MAX_INPUTS,
            _ if parts::has_addend(PARTS) && self.addend.is_some() => 2..=2,
            _ => 1..=1,
        };
        if !wanted.contains(&usize::from(self.input_count)) {
            return Err(Defect::Count);
        }
        for &index in self.inputs() {
            // What a later operator writes is there from the run before, where it is held.
            if index >= self.output && !at(index)?.held {
                return Err(Defect::InputIndex);
            }
            if index == self.output && self.parameters != Parameters::Delay {
                return Err(Defect::InputIndex);
            }
        }
        let input = at(self.inputs[0])?;
        let output = at(self.output)?;
        let (a, out) = (input.shape, output.shape);
        if self.clamp.min > self.clamp.max {
            return Err(Defect::Clamp);
        }
        let same = |quantization: Quantization| {
            if quantization.is(output.quantization) { Ok(()) } else { Err(Defect::Quantization) }
        };
        let check_rows = |channels: &Channels<'_>, len, has_four| match channels.weights {
            Weights::Four(_) if has_four => channels.check_nibbles(len),
            _ => channels.check_rows(len, has(Kind::DenseRows)),
        };
        let unclamped = || if self.clamp == Clamp::ALL { Ok(()) } else { Err(Defect::Unused) };
        let fits = |good: bool| if good { Ok(()) } else { Err(Defect::Shape) };
        if let Some(addend) = &self.addend
            && parts::has_addend(PARTS)
        {
            let b = at(self.inputs[1])?.shape;
            fits(b == out || (b.is_vector() && b.channels == out.channels))?;
            addend.check()?;
        }
        match &self.parameters {
            Parameters::Dense(channels) if parts::has_dense(PARTS) => {
                fits(out.is_vector())?;
                check_rows(channels, a.len(), has(Kind::Dense4))
            }
            Parameters::Convolution(window, channels) if has(Kind::Convolution) || has(Kind::Convolution4) => {
                window.check(a, out)?;
                check_rows(channels, window.taps() * usize::from(a.channels), has(Kind::Convolution4))
            }
            Parameters::Depthwise(window, channels) if has(Kind::Depthwise) => {
                window.check(a, out)?;
                fits(a.channels == out.channels)?;
                channels.check_columns(usize::from(a.channels))
            }
            Parameters::Add(constants) if has(Kind::Add) => {
                let b = at(self.inputs[1])?.shape;
                fits(a == out && (b == a || (b.is_vector() && b.channels == a.channels)))?;
                constants.check()
            }
            Parameters::Multiply(requantization) if has(Kind::Multiply) => {
                let b = at(self.inputs[1])?.shape;
                fits(a == out && (b == a || (b.is_vector() && b.channels == a.channels)))?;
                requantization.check()
            }
            Parameters::Bag(bag) if has(Kind::Bag) => {
                unclamped()?;
                fits(self.inputs[0] == INPUT_TENSOR && out.is_vector())?;
                bag.grams.check(a.len())?;
                bag.requantization.check()
            }
            Parameters::Delay if has(Kind::Delay) => {
                let new = at(self.inputs[1])?;
                if self.inputs[0] != self.output || self.inputs[1] == self.output {
                    return Err(Defect::InputIndex);
                }
                unclamped()?;
                fits(out.height == 1 && new.shape.height == 1 && new.shape.channels == out.channels)?;
                fits(new.shape.width <= out.width)?;
                same(new.quantization)
            }
            Parameters::AveragePool(window, requantization) if has(Kind::AveragePool) => {
                window.check(a, out)?;
                fits(a.channels == out.channels)?;
                if window.dilation != [1, 1] {
                    return Err(Defect::Window);
                }
                if window.taps() as u64 > u64::from(MAX_AVERAGE_TAPS) {
                    return Err(Defect::Overflow);
                }
                requantization.check()
            }
            Parameters::MaxPool(window) if has(Kind::MaxPool) => {
                window.check(a, out)?;
                fits(a.channels == out.channels)?;
                unclamped()?;
                if window.dilation != [1, 1] {
                    return Err(Defect::Window);
                }
                same(input.quantization)
            }
            Parameters::Table(_) if has(Kind::Table) => {
                unclamped()?;
                fits(a == out)
            }
            Parameters::Concat if has(Kind::Concat) => {
                unclamped()?;
                let mut channels = 0;
                for &index in self.inputs() {
                    let part = at(index)?;
                    let aligned = part.shape.height == out.height && part.shape.width == out.width;
                    fits(aligned || part.shape.is_vector())?;
                    same(part.quantization)?;
                    channels += u32::from(part.shape.channels);
                }
                fits(channels == u32::from(out.channels))
            }
            // Of those that are not among the parts nothing is decoded.
            Parameters::Dense(_)
            | Parameters::Convolution(..)
            | Parameters::Depthwise(..)
            | Parameters::Add(_)
            | Parameters::Multiply(_)
            | Parameters::Bag(_)
            | Parameters::Delay
            | Parameters::AveragePool(..)
            | Parameters::MaxPool(_)
            | Parameters::Table(_)
            | Parameters::Concat => Err(Defect::Part),
        }
    }
}

impl Window {
    /// What an operator without a window holds in the place of one.
    pub(crate) const NONE: Self = Self { kernel: [0; 2], stride: [0; 2], dilation: [0; 2], pad: [0; 2] };

    #[inline(always)]
    pub(crate) fn read(record: &[u8; OPERATOR_BYTES]) -> Self {
        let pair = |at| [u16_at(record, at), u16_at(record, at + 2)];
        Self { kernel: pair(12), stride: pair(16), dilation: pair(20), pad: pair(24) }
    }

    /// Returns the number of taps.
    pub fn taps(&self) -> usize {
        usize::from(self.kernel[0]) * usize::from(self.kernel[1])
    }

    /// Checks that no output lies wholly in the padding, and that coordinates stay far from overflow.
    #[inline(never)]
    pub(crate) fn check(&self, input: Shape, output: Shape) -> Result<(), Defect> {
        let sizes = [(input.height, output.height), (input.width, output.width)];
        let axes = self.kernel.iter().zip(&self.stride).zip(self.dilation.iter().zip(&self.pad));
        for (((&kernel, &stride), (&dilation, &pad)), (len, out)) in axes.zip(sizes) {
            if kernel == 0 || stride == 0 || dilation == 0 {
                return Err(Defect::Window);
            }
            let reach = (u32::from(kernel) - 1) * u32::from(dilation);
            let last_start = (u64::from(out) - 1) * u64::from(stride);
            let last_place = u64::from(len) - 1 + u64::from(pad);
            if u32::from(pad) > reach || reach > u32::from(u16::MAX) || last_start > last_place {
                return Err(Defect::Window);
            }
        }
        Ok(())
    }
}

impl<'a> Bag<'a> {
    /// Returns the bag and the bytes that it takes.
    // Apart from the other kinds, which are decoded at every step of a run.
    #[inline(never)]
    fn decode(cursor: &mut Cursor<'a>, channels: usize) -> Result<(Self, usize), Defect> {
        let buckets = cursor.u32()?;
        let grams = Grams { buckets, letters: [cursor.u8()?, cursor.u8()?], words: cursor.u8()? };
        cursor.zeros(1)?;
        let requantization = Requantization { multiplier: cursor.i32()?, shift: cursor.u8()? };
        cursor.zeros(3)?;
        let bytes = usize::try_from(buckets).ok().and_then(|rows| rows.checked_mul(channels));
        let bytes = bytes.ok_or(Defect::TooLarge)?;
        let rows = cursor.take(bytes)?;
        cursor.zeros(padding(bytes))?;
        Ok((Self { grams, requantization, rows }, BAG_BYTES + bytes + padding(bytes)))
    }
}

impl AddConstants {
    fn of(bytes: &[u8; ADDITION_BYTES]) -> Self {
        let word = |at| u32_at(bytes, at).cast_signed();
        Self { a_multiplier: word(0), b_multiplier: word(4), bias: word(8), shift: bytes[12] }
    }

    fn check(self) -> Result<(), Defect> {
        if self.shift > 31 {
            return Err(Defect::Shift);
        }
        let factors = u64::from(self.a_multiplier.unsigned_abs()) + u64::from(self.b_multiplier.unsigned_abs());
        let bound = factors * 128 + u64::from(self.bias.unsigned_abs());
        if bound > i32::MAX as u64 { Err(Defect::Overflow) } else { Ok(()) }
    }
}

impl Addend {
    fn of(bytes: &[u8; ADDITION_BYTES]) -> Self {
        let [.., zero_point, min, max] = bytes.map(u8::cast_signed);
        Self { constants: AddConstants::of(bytes), zero_point, clamp: Clamp { min, max } }
    }

    fn check(self) -> Result<(), Defect> {
        if self.clamp.min > self.clamp.max {
            return Err(Defect::Clamp);
        }
        self.constants.check()
    }
}

/// An operator of a model that is to be written; the n-th writes the n-th tensor after the sources.
#[derive(Debug, Clone, Copy)]
pub struct OperatorDefinition<'a> {
    /// What is computed.
    pub kind: Kind,
    /// The tensors that are read, 1 to 4; the second of dense, convolution and depthwise is an [`Addend`]'s.
    pub inputs: &'a [u16],
    /// The range that the output is kept in.
    pub clamp: Clamp,
    /// The window of a convolution or pooling.
    pub window: Option<Window>,
    /// The parameters as they stand in the file, a multiple of four bytes; see shared/README.md.
    pub parameters: &'a [u8],
}

const _: () = assert!(ALIGNMENT == 4, "parameters are padded to four bytes");
