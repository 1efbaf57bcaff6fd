//! Operators: what is computed, from which tensors, with which parameters; the rules of each kind are in a file of its own, and
//! the table in [`crate::kind`] lists them.

use core::ops::RangeInclusive;

use crate::addition::{ADDITION_BYTES, AddConstants, Addend, Clamp};
use crate::bytes::Cursor;
use crate::channels::{Channels, Weights};
use crate::kind::{Form, Kind, operators};
use crate::overlap::Overlap;
use crate::record::{MAX_INPUTS, Record};
use crate::requantization::Requantization;
use crate::tensor::{Quantization, Shape, Tensor};
use crate::window::Window;
use crate::{ALIGNMENT, Defect, parts};

pub use bag::Bag;

/// An operator of the graph; it writes the tensor that stands at its own place after the sources.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Operator<'a> {
    /// What is computed.
    pub parameters: Parameters<'a>,
    /// Weights and constants of each output channel, of a kind that has them ([`Kind::has_channels`]).
    pub channels: Channels<'a>,
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

/// What an operator is decoded against: the tensors before it.
pub(crate) struct Context<'a, F: Fn(u16) -> Result<Tensor, Defect>> {
    pub(crate) weights: &'a [u8],
    pub(crate) output_index: u16,
    pub(crate) tensor: F,
}

impl<'a> Operator<'a> {
    /// Returns the tensors that are read.
    pub fn inputs(&self) -> &[u16] {
        self.inputs.get(..usize::from(self.input_count)).unwrap_or(&[])
    }

    #[inline(always)]
    fn first(&self) -> u16 {
        self.inputs[0]
    }

    #[inline(always)]
    fn second(&self) -> u16 {
        self.inputs[1]
    }

    /// Returns the code of what is computed.
    pub fn kind(&self) -> Kind {
        self.parameters.kind()
    }

    /// Returns the width and order of the weights.
    pub fn form(&self) -> Form {
        match self.channels.weights {
            Weights::Four(_) => Form::Int4,
            Weights::Rows(_) => Form::Int8Rows,
            Weights::Eight(_) => Form::Int8,
        }
    }

    /// Returns the window, of an operator that has one.
    pub fn window(&self) -> Option<&Window> {
        match &self.parameters {
            Parameters::Convolution(window)
            | Parameters::Depthwise(window)
            | Parameters::AveragePool(window, _)
            | Parameters::MaxPool(window) => Some(window),
            _ => None,
        }
    }

    /// Returns the taps of its window.
    #[inline(always)]
    fn taps(&self) -> u32 {
        self.window().map_or(0, |window| window.taps() as u32)
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
    pub(crate) fn costs<const PARTS: u128>(&self, input: Shape, output: Shape) -> (u64, u64) {
        // Of an output, 32 bits are enough: weights fill the file, taps are at most 65,535 on an axis.
        let each = self.kind().steps::<PARTS>(self, input);
        let values = output.len() as u32;
        let steps = u64::from(each).wrapping_mul(values.into());
        let added = if parts::has_addend(PARTS) && self.addend.is_some() { values } else { 0 };
        (if self.kind().has_channels() { steps } else { 0 }, steps.wrapping_add(added.into()))
    }

    /// Decodes a record and finds its parameters, whose sizes follow from the shapes of its tensors.
    pub(crate) fn decode<const PARTS: u128, F>(record: Record<'_>, context: &Context<'a, F>) -> Result<Self, Defect>
    where
        F: Fn(u16) -> Result<Tensor, Defect>,
    {
        let kind = record.kind().filter(|&kind| is_among::<PARTS>(kind)).ok_or(Defect::Kind)?;
        let form = record.form();
        let inputs = record.inputs();
        let input_count = record.input_count();
        if inputs.iter().skip(usize::from(input_count)).any(|&input| input != 0) {
            return Err(Defect::Unused);
        }
        let window = record.window();
        let skipped = record.offset()?;

        let first = (context.tensor)(inputs[0])?.shape;
        let out = (context.tensor)(context.output_index)?.shape;
        let blob = context.weights.get(skipped..).ok_or(Defect::Offset)?;
        let outputs = usize::from(out.channels);
        let mut fields = Fields { window, cursor: Cursor::new(blob), outputs };
        let mut operator = Self {
            parameters: Parameters::Concat,
            channels: Channels::NONE,
            clamp: record.clamp(),
            addend: None,
            output: context.output_index,
            inputs,
            input_count,
            blob: (skipped as u32, 0),
        };
        if let Some((rows, len)) = kind.rows::<PARTS>(&window, first, out) {
            // In one place: what several return with a defect in its place is copied byte by byte.
            let weights: fn(&'a [u8]) -> Weights<'a> = match form {
                INT8 => Weights::Eight,
                INT4 if parts::has_form_of_any(PARTS, Form::Int4) => Weights::Four,
                INT8_ROWS if parts::has_form_of_any(PARTS, Form::Int8Rows) => Weights::Rows,
                _ => return Err(Defect::Kind),
            };
            if kind.forms::<PARTS>() >> form & 1 == 0 {
                return Err(Defect::Kind);
            }
            let len = len.ok_or(Defect::TooLarge)?;
            let bytes = weights(&[]).row_bytes(len).checked_mul(rows).ok_or(Defect::TooLarge)?;
            operator.channels.decode(&mut fields.cursor, outputs, bytes, weights)?;
        } else if form != INT8 {
            return Err(Defect::Kind);
        }
        kind.decode::<PARTS>(&mut fields, &mut operator.parameters)?;
        if parts::has_addend(PARTS) && kind.has_channels() && input_count > 1 {
            operator.addend = Some(Addend::new(fields.cursor.chunk()?));
        }
        operator.blob.1 = u32::try_from(blob.len() - fields.cursor.rest().len()).map_err(|_| Defect::TooLarge)?;
        if !(has_window(PARTS) && kind.has_window()) && window != Window::NONE {
            return Err(Defect::Unused);
        }
        Ok(operator)
    }

    /// Checks every rule that an operator has to keep for the engine to run it without a further check.
    #[inline(never)]
    pub(crate) fn check<const PARTS: u128>(&self, at: impl Fn(u16) -> Result<Tensor, Defect>) -> Result<(), Defect> {
        let kind = self.kind();
        let has_addend = parts::has_addend(PARTS) && self.addend.is_some();
        let wanted = if has_addend { 2..=2 } else { kind.inputs::<PARTS>() };
        if !wanted.contains(&usize::from(self.input_count)) {
            return Err(Defect::Count);
        }
        for &index in self.inputs() {
            // What a later operator writes is there from the run before, where it is held.
            if index >= self.output && !at(index)?.held {
                return Err(Defect::InputIndex);
            }
            if index == self.output && kind != Kind::Delay {
                return Err(Defect::InputIndex);
            }
        }
        if self.clamp.min > self.clamp.max {
            return Err(Defect::Clamp);
        }
        if !kind.has_clamp::<PARTS>() && self.clamp != Clamp::ALL {
            return Err(Defect::Unused);
        }
        let tensors = Tensors { input: at(self.first())?, output: at(self.output)?, at };
        if let Some(addend) = &self.addend
            && parts::has_addend(PARTS)
        {
            let (b, out) = ((tensors.at)(self.second())?.shape, tensors.output.shape);
            fits(b == out || (b.is_vector() && b.channels == out.channels))?;
            addend.check()?;
        }
        kind.check::<PARTS, _>(self, &tensors)
    }
}

impl Overlap {
    /// Returns how the output of an operator may share bytes with its input at `place`.
    ///
    /// `inputs` are the tensors that it reads, `shapes` their shapes.
    // A frame of its own would lie under the deepest one of the parser.
    #[inline(always)]
    pub fn new(
        kind: Kind,
        window: Option<&Window>,
        inputs: &[u16],
        place: usize,
        shapes: &[Shape],
        output: Shape,
    ) -> Self {
        let Some(&input) = shapes.get(place) else { return Self::Never };
        let is_apart = inputs.first() != inputs.get(1);
        let sharing = Sharing { window, place, shapes, input, output, is_apart };
        if kind.has_channels() && place == 1 { sharing.by_values() } else { kind.overlap(&sharing) }
    }
}

/// The rules of a kind of operators.
///
/// Functions are inlined into the one place that calls them, so that the parser's stack holds one set of variables.
pub(crate) trait Rules {
    /// Whether it has a window.
    const HAS_WINDOW: bool = false;
    /// Whether it has weights and constants for each output channel, and may have an addend.
    const HAS_CHANNELS: bool = false;
    /// Whether a range that is less than int8 may be fused to it.
    const HAS_CLAMP: bool = true;
    /// The forms of its weights, a bit for each code.
    const FORMS: u8 = 1 << Form::Int8 as u8;
    /// Whether it needs bytes beside its tensors.
    const HAS_SCRATCH: bool = false;
    /// How many tensors it reads, without an addend.
    const INPUTS: RangeInclusive<usize> = 1..=1;

    /// Returns the number of rows of weights and the weights of each; `None` for a length that overflows.
    fn rows(_: &Window, _input: Shape, _output: Shape) -> (usize, Option<usize>) {
        (0, Some(0))
    }

    /// Reads its parameters into their place: a result that holds them would be copied byte by byte.
    fn decode<'a>(fields: &mut Fields<'a>, parameters: &mut Parameters<'a>) -> Result<(), Defect>;

    /// Returns the steps for each value of the output: multiply-accumulates, taps, rows.
    fn steps(_: &Operator<'_>, _input: Shape) -> u32 {
        1
    }

    /// Checks shapes and parameters.
    fn check<const PARTS: u128, F>(operator: &Operator<'_>, tensors: &Tensors<F>) -> Result<(), Defect>
    where
        F: Fn(u16) -> Result<Tensor, Defect>;

    /// Returns how its output may share bytes with one of its inputs, of which nothing else is read then.
    fn overlap(_: &Sharing<'_>) -> Overlap {
        Overlap::Never
    }

    /// Returns the bytes that it needs beside its tensors, a multiple of four.
    fn scratch_len(_: &Window, _input: Shape) -> u32 {
        0
    }
}

/// What an operator's parameters are read from.
pub(crate) struct Fields<'a> {
    pub(crate) window: Window,
    /// The parameters in the file, behind the channels.
    pub(crate) cursor: Cursor<'a>,
    /// Channels of the output.
    pub(crate) outputs: usize,
}

impl<'a> Fields<'a> {
    /// Reads a multiplier, a shift and three zeros.
    #[inline(always)]
    fn requantization(&mut self) -> Result<Requantization, Defect> {
        let requantization = Requantization { multiplier: self.cursor.i32()?, shift: self.cursor.u8()? };
        self.cursor.zeros(3)?;
        Ok(requantization)
    }
}

/// The tensors that an operator is checked against.
pub(crate) struct Tensors<F> {
    pub(crate) input: Tensor,
    pub(crate) output: Tensor,
    pub(crate) at: F,
}

impl<F: Fn(u16) -> Result<Tensor, Defect>> Tensors<F> {
    /// Refuses a tensor that does not have the output's scale and zero point.
    #[inline(always)]
    fn same(&self, quantization: Quantization) -> Result<(), Defect> {
        if quantization.is(self.output.quantization) { Ok(()) } else { Err(Defect::Quantization) }
    }

    /// Refuses a second input that has neither the first one's shape nor is a vector of its channels.
    #[inline(always)]
    fn pair(&self, operator: &Operator<'_>) -> Result<(), Defect> {
        let (a, b) = (self.input.shape, (self.at)(operator.second())?.shape);
        fits(a == self.output.shape && (b == a || b.is_vector() && b.channels == a.channels))
    }
}

/// An output and an input that are to share bytes.
pub(crate) struct Sharing<'s> {
    pub(crate) window: Option<&'s Window>,
    /// The place of the input among the operator's.
    pub(crate) place: usize,
    /// The shapes of all inputs.
    pub(crate) shapes: &'s [Shape],
    pub(crate) input: Shape,
    pub(crate) output: Shape,
    /// Whether the first two inputs are different tensors.
    pub(crate) is_apart: bool,
}

impl Sharing<'_> {
    /// Value by value: the place of a value is free once its own answer is known.
    #[inline(always)]
    fn by_values(&self) -> Overlap {
        if self.input == self.output && self.is_apart { Overlap::At(0) } else { Overlap::Never }
    }

    /// Pixel by pixel, as far as the window reads.
    #[inline(always)]
    fn by_pixels(&self) -> Overlap {
        match self.window {
            Some(window) if self.is_apart => window.slide(self.input, self.output),
            _ => Overlap::Never,
        }
    }
}

#[inline(always)]
fn fits(good: bool) -> Result<(), Defect> {
    if good { Ok(()) } else { Err(Defect::Shape) }
}

macro_rules! define_rules {
    ($($(#[$doc:meta])* $code:literal $kind:ident $name:literal $module:ident $(($($parameter:ty),*))?,)*) => {
        $(mod $module;)*

        /// What an operator computes, with the parameters that it needs.
        #[derive(Debug, Clone, Copy, PartialEq)]
        #[non_exhaustive]
        pub enum Parameters<'a> {
            $($(#[$doc])* $kind$(($($parameter),*))?,)*
        }

        impl Parameters<'_> {
            /// Returns the kind.
            pub const fn kind(&self) -> Kind {
                match self {
                    $(Self::$kind { .. } => Kind::$kind,)*
                }
            }
        }

        impl Kind {
            /// Returns whether operators of this kind have a window.
            pub const fn has_window(self) -> bool {
                match self {
                    $(Self::$kind => <$module::$kind as Rules>::HAS_WINDOW,)*
                }
            }

            /// Returns whether operators of this kind have weights and constants for each output channel, and may have an
            /// addend.
            pub const fn has_channels(self) -> bool {
                match self {
                    $(Self::$kind => <$module::$kind as Rules>::HAS_CHANNELS,)*
                }
            }

            #[inline(always)]
            fn has_clamp<const PARTS: u128>(self) -> bool {
                match self {
                    $(Self::$kind if parts::has_operator(PARTS, Self::$kind) => <$module::$kind as Rules>::HAS_CLAMP,)*
                    _ => false,
                }
            }

            #[inline(always)]
            fn inputs<const PARTS: u128>(self) -> RangeInclusive<usize> {
                match self {
                    $(Self::$kind if parts::has_operator(PARTS, Self::$kind) => <$module::$kind as Rules>::INPUTS,)*
                    _ => 1..=1,
                }
            }

            /// Returns the forms of its weights, a bit for each code.
            #[inline(always)]
            fn forms<const PARTS: u128>(self) -> u8 {
                match self {
                    $(Self::$kind if parts::has_operator(PARTS, Self::$kind) => <$module::$kind as Rules>::FORMS,)*
                    _ => 0,
                }
            }

            /// Returns the bytes that an operator needs beside its tensors, a multiple of four.
            pub fn scratch_len(self, window: &Window, input: Shape) -> u32 {
                match self {
                    $(Self::$kind => $module::$kind::scratch_len(window, input),)*
                }
            }

            #[inline(always)]
            pub(crate) fn overlap(self, sharing: &Sharing<'_>) -> Overlap {
                match self {
                    $(Self::$kind => $module::$kind::overlap(sharing),)*
                }
            }

            /// Returns rows and weights a row of a kind with channels.
            #[inline(always)]
            pub(crate) fn rows<const PARTS: u128>(
                self,
                window: &Window,
                input: Shape,
                output: Shape,
            ) -> Option<(usize, Option<usize>)> {
                match self {
                    $(Self::$kind
                        if <$module::$kind as Rules>::HAS_CHANNELS && parts::has_operator(PARTS, Self::$kind) =>
                    {
                        Some($module::$kind::rows(window, input, output))
                    })*
                    _ => None,
                }
            }

            #[inline(always)]
            pub(crate) fn decode<'a, const PARTS: u128>(
                self,
                fields: &mut Fields<'a>,
                parameters: &mut Parameters<'a>,
            ) -> Result<(), Defect> {
                match self {
                    $(Self::$kind if parts::has_operator(PARTS, Self::$kind) => $module::$kind::decode(fields, parameters),)*
                    _ => Err(Defect::Kind),
                }
            }

            #[inline(always)]
            pub(crate) fn steps<const PARTS: u128>(self, operator: &Operator<'_>, input: Shape) -> u32 {
                match self {
                    $(Self::$kind if parts::has_operator(PARTS, Self::$kind) => $module::$kind::steps(operator, input),)*
                    _ => 1,
                }
            }

            #[inline(always)]
            pub(crate) fn check<const PARTS: u128, F>(
                self,
                operator: &Operator<'_>,
                tensors: &Tensors<F>,
            ) -> Result<(), Defect>
            where
                F: Fn(u16) -> Result<Tensor, Defect>,
            {
                match self {
                    $(Self::$kind if parts::has_operator(PARTS, Self::$kind) => {
                        $module::$kind::check::<PARTS, F>(operator, tensors)
                    })*
                    // Of kinds that are not among the parts nothing is decoded.
                    _ => Err(Defect::Part),
                }
            }
        }

        /// Returns whether a kind is among the parts.
        #[inline(always)]
        fn is_among<const PARTS: u128>(kind: Kind) -> bool {
            match kind {
                $(Kind::$kind => parts::has_operator(PARTS, Kind::$kind),)*
            }
        }

        /// Returns whether some parts have operators with a window.
        pub(crate) const fn has_window(parts: u128) -> bool {
            $(parts::has_operator(parts, Kind::$kind) && <$module::$kind as Rules>::HAS_WINDOW)||*
        }

        /// Returns whether some parts have operators that need bytes beside their tensors.
        pub(crate) const fn has_scratch(parts: u128) -> bool {
            $(parts::has_operator(parts, Kind::$kind) && <$module::$kind as Rules>::HAS_SCRATCH)||*
        }
    };
}
operators!(define_rules);

const INT8: u8 = Form::Int8 as u8;
const INT4: u8 = Form::Int4 as u8;
const INT8_ROWS: u8 = Form::Int8Rows as u8;

/// An operator of a model that is to be written; the n-th writes the n-th tensor after the sources.
#[derive(Debug, Clone, Copy)]
pub struct OperatorDefinition<'a> {
    /// What is computed.
    pub kind: Kind,
    /// Width and order of the weights.
    pub form: Form,
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
