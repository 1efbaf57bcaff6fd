//! What can be wrong with a file, and with a definition that is to become one.

use core::fmt;

/// Why a file was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
// A code of a word, so that what is behind it is copied by words.
#[repr(u32)]
pub enum ParseError {
    /// The file is shorter than its header.
    TooShort {
        /// Bytes at hand.
        got: usize,
    },
    /// The first four bytes are not those of a model.
    Magic,
    /// The file is of another version of the format.
    Version {
        /// The version in the file.
        got: u16,
    },
    /// The length in the header is not that of the file.
    Length {
        /// Bytes according to the header.
        header: u32,
        /// Bytes at hand.
        got: usize,
    },
    /// The checksum at the end does not match the bytes before it.
    Checksum {
        /// The sum of the bytes.
        computed: u32,
        /// The sum in the file.
        stored: u32,
    },
    /// The header breaks a rule.
    Header(Defect),
    /// The input section breaks a rule.
    Input(Defect),
    /// A fact breaks a rule.
    Fact(u16, Defect),
    /// A head breaks a rule.
    Head(u16, Defect),
    /// An operator breaks a rule.
    Operator(u16, Defect),
    /// A tensor breaks a rule.
    Tensor(u16, Defect),
    /// The weights section is not exactly what the operators use.
    Weights(Defect),
    /// The self-test vectors break a rule.
    Tests(Defect),
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooShort { got } => write!(f, "file has {got} bytes, fewer than the header of a model"),
            Self::Magic => write!(f, "not an .attar file (it does not begin with \"ATAR\")"),
            Self::Version { got } => write!(f, "format version {got}, this build reads {}", crate::VERSION),
            Self::Length { header, got } => {
                write!(f, "file has {got} bytes, its header says {header}: truncated or followed by something else")
            }
            Self::Checksum { computed, stored } => {
                write!(f, "checksum is {computed:08x}, the file says {stored:08x}: its bytes were changed")
            }
            Self::Header(defect) => write!(f, "header: {defect}"),
            Self::Input(defect) => write!(f, "input: {defect}"),
            Self::Fact(index, defect) => write!(f, "fact {index}: {defect}"),
            Self::Head(index, defect) => write!(f, "head {index}: {defect}"),
            Self::Operator(index, defect) => write!(f, "operator {index}: {defect}"),
            Self::Tensor(index, defect) => write!(f, "tensor {index}: {defect}"),
            Self::Weights(defect) => write!(f, "weights: {defect}"),
            Self::Tests(defect) => write!(f, "self-test vectors: {defect}"),
        }
    }
}

impl core::error::Error for ParseError {}

/// The rule that a part of a file breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Defect {
    /// The section ends before its content does.
    Truncated,
    /// Bytes that must be zero are not, or a section is longer than its content.
    Padding,
    /// A count is zero where one is needed, above its limit, or not what other parts of the file need.
    Count,
    /// A number that must be finite is not.
    NotFinite,
    /// A gain or an offset of a regression is so large that a result could be infinite.
    Infinite,
    /// A name is empty.
    EmptyName,
    /// The name of a fact or a head appears twice.
    Duplicate,
    /// A string is not UTF-8.
    Utf8,
    /// The kind is not one of this version.
    Kind,
    /// The encoder is not one of that kind of fact.
    Encoder,
    /// An encoder's deviation or period is not positive, or a range is empty.
    EncoderRange,
    /// The code of a fact has an instruction that is not known, or reads what is not there before it.
    Code,
    /// The code of a fact takes more from its stack than it holds, puts too much there, or leaves other than one number.
    Stack,
    /// A gazetteer's phrases do not rise.
    Order,
    /// A dimension is zero.
    ZeroDimension,
    /// A size does not fit 32 bits or exceeds its limit.
    TooLarge,
    /// A scale is not a positive normal number up to 2^64.
    Scale,
    /// An offset is not aligned, or not the one place where the thing may stand.
    Offset,
    /// The tensor does not lie within the arena, or the arena is not as small as its tensors allow.
    Arena,
    /// The tensor shares bytes with another that is alive at the same time.
    Overlap,
    /// The last use is not that of the last reader, or nobody reads the tensor.
    LastUse,
    /// An input is not a tensor that stands before the output.
    InputIndex,
    /// The shapes of inputs, output and parameters do not fit each other.
    Shape,
    /// The window has a zero, or reaches further past the edge than its kernel.
    Window,
    /// The clamp's least value is above its greatest.
    Clamp,
    /// Input and output must share scale and zero point, and do not.
    Quantization,
    /// A multiplier lies outside 2^30 ..= 2^31 - 1.
    Multiplier,
    /// A shift lies outside its range.
    Shift,
    /// There is an input for which the accumulator overflows 32 bits.
    Overflow,
    /// A weight of 8 bits is -128.
    Weight,
    /// A field that this kind does not use is not zero.
    Unused,
    /// The model is made of more than this program was built for.
    Part,
    /// The model is made of something that this version of the format's reader does not know.
    Unknown,
}

impl fmt::Display for Defect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Truncated => "ends too early",
            Self::Padding => "bytes that must be zero are not, or the section is too long",
            Self::Count => "a count is wrong",
            Self::NotFinite => "a number is not finite",
            Self::Infinite => "a gain above 2^54 or an offset above 2^126 could make a result infinite",
            Self::EmptyName => "a name is empty",
            Self::Duplicate => "a name appears twice",
            Self::Utf8 => "a string is not UTF-8",
            Self::Kind => "the kind is not known",
            Self::Encoder => "the encoder is not known",
            Self::EncoderRange => "the encoder's range is empty",
            Self::Code => "the code has an unknown instruction or reads what is not there",
            Self::Stack => "the code's stack runs empty or over",
            Self::Order => "the phrases of a gazetteer do not rise",
            Self::ZeroDimension => "a dimension is zero",
            Self::TooLarge => "a size is too large",
            Self::Scale => "the scale is not a positive normal number up to 2^64",
            Self::Offset => "an offset is wrong",
            Self::Arena => "the arena does not fit its tensors",
            Self::Overlap => "shares memory with a tensor that is alive at the same time",
            Self::LastUse => "the last use is wrong",
            Self::InputIndex => "an input is not an earlier tensor",
            Self::Shape => "the shapes do not fit",
            Self::Window => "the window does not fit its input",
            Self::Clamp => "the clamp is empty",
            Self::Quantization => "input and output must share scale and zero point",
            Self::Multiplier => "a multiplier is out of range",
            Self::Shift => "a shift is out of range",
            Self::Overflow => "an accumulator could overflow",
            Self::Weight => "a weight is -128",
            Self::Unused => "a field that is not used is not zero",
            Self::Unknown => "the model has operators or other parts that this version does not know: use a newer one",
            Self::Part => "the model has parts that this program was built without: build it around this model",
        })
    }
}

/// Why a definition could not be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum WriteError {
    /// The buffer is smaller than the file.
    BufferTooSmall {
        /// Bytes of the file.
        needed: usize,
        /// Bytes of the buffer.
        got: usize,
    },
    /// A name has more than 255 bytes.
    LongName {
        /// Bytes of the name.
        len: usize,
    },
    /// A count or a length does not fit its field.
    TooMany {
        /// What was to be written.
        got: usize,
    },
    /// A column of a category's table, or the rows of its embedding, have another length than its values say.
    Length {
        /// Numbers that there should be.
        expected: usize,
        /// Numbers that there are.
        got: usize,
    },
    /// What was written breaks a rule of the format.
    Invalid(ParseError),
}

impl fmt::Display for WriteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BufferTooSmall { needed, got } => write!(f, "buffer has {got} bytes, the model needs {needed}"),
            Self::LongName { len } => write!(f, "name has {len} bytes, at most 255 fit"),
            Self::TooMany { got } => write!(f, "{got} is more than its field can hold"),
            Self::Length { expected, got } => {
                write!(f, "a list of a category has {got} numbers, its values take {expected}")
            }
            Self::Invalid(error) => write!(f, "the model breaks a rule of its format: {error}"),
        }
    }
}

impl core::error::Error for WriteError {}
