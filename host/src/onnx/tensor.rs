//! The values that nodes exchange: a shape, an element type and the elements row by row.

use std::fmt;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, Result, bail, ensure};

use super::proto;

/// A tensor. A clone shares the elements.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Tensor {
    pub(super) shape: Vec<usize>,
    pub(super) data: Data,
}

/// The elements of a tensor. Floats of 16 and 64 bits are held in 32 bits.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Data {
    Float(Arc<Vec<f32>>),
    Int(Arc<Vec<i64>>, Integer),
    Bool(Arc<Vec<bool>>),
}

/// The type of an integer element; arithmetic wraps around in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Integer {
    I8,
    U8,
    I16,
    U16,
    I32,
    U32,
    I64,
}

/// The type of an element.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Element {
    Float,
    Half,
    BrainHalf,
    Double,
    Int(Integer),
    Bool,
}

impl Integer {
    /// Returns the smallest and the largest value.
    pub(super) fn bounds(self) -> [i64; 2] {
        match self {
            Self::I8 => [i64::from(i8::MIN), i64::from(i8::MAX)],
            Self::U8 => [0, i64::from(u8::MAX)],
            Self::I16 => [i64::from(i16::MIN), i64::from(i16::MAX)],
            Self::U16 => [0, i64::from(u16::MAX)],
            Self::I32 => [i64::from(i32::MIN), i64::from(i32::MAX)],
            Self::U32 => [0, i64::from(u32::MAX)],
            Self::I64 => [i64::MIN, i64::MAX],
        }
    }

    /// Returns the value modulo the number of values of the type.
    pub(super) fn wrap(self, value: i64) -> i64 {
        match self {
            Self::I8 => i64::from(value as i8),
            Self::U8 => i64::from(value as u8),
            Self::I16 => i64::from(value as i16),
            Self::U16 => i64::from(value as u16),
            Self::I32 => i64::from(value as i32),
            Self::U32 => i64::from(value as u32),
            Self::I64 => value,
        }
    }

    /// Returns the nearest value of the type.
    pub(super) fn saturate(self, value: f64) -> i64 {
        let [low, high] = self.bounds();
        (value as i64).clamp(low, high)
    }
}

impl Element {
    /// Returns the element type of a code of `TensorProto.DataType`.
    pub(super) fn from_code(code: i64) -> Result<Self> {
        Ok(match code {
            1 => Self::Float,
            2 => Self::Int(Integer::U8),
            3 => Self::Int(Integer::I8),
            4 => Self::Int(Integer::U16),
            5 => Self::Int(Integer::I16),
            6 => Self::Int(Integer::I32),
            7 => Self::Int(Integer::I64),
            9 => Self::Bool,
            10 => Self::Half,
            11 => Self::Double,
            12 => Self::Int(Integer::U32),
            16 => Self::BrainHalf,
            _ => bail!("elements of the ONNX type {code}{} are not supported", name_of(code)),
        })
    }

    fn bytes(self) -> usize {
        match self {
            Self::Bool | Self::Int(Integer::I8 | Integer::U8) => 1,
            Self::Half | Self::BrainHalf | Self::Int(Integer::I16 | Integer::U16) => 2,
            Self::Float | Self::Int(Integer::I32 | Integer::U32) => 4,
            Self::Double | Self::Int(Integer::I64) => 8,
        }
    }

    /// Returns a float rounded to the type; the type must be one of floats.
    pub(super) fn round(self, x: f32) -> f32 {
        match self {
            Self::Half => half::f16::from_f32(x).to_f32(),
            Self::BrainHalf => half::bf16::from_f32(x).to_f32(),
            _ => x,
        }
    }
}

fn name_of(code: i64) -> &'static str {
    match code {
        8 => " (string)",
        13 => " (uint64)",
        14 | 15 => " (complex)",
        17..=20 | 24 => " (8-bit float)",
        21 | 22 => " (4-bit integer)",
        23 => " (4-bit float)",
        _ => "",
    }
}

impl fmt::Display for Data {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Float(_) => f.write_str("floats"),
            Self::Int(_, kind) => write!(f, "{kind:?}"),
            Self::Bool(_) => f.write_str("booleans"),
        }
    }
}

impl Tensor {
    /// Returns a tensor of floats.
    ///
    /// # Errors
    ///
    /// When the shape does not hold that number of values.
    pub(super) fn floats(shape: Vec<usize>, values: Vec<f32>) -> Result<Self> {
        Self::new(shape, Data::Float(Arc::new(values)))
    }

    /// Returns a tensor of integers.
    ///
    /// # Errors
    ///
    /// As [`Tensor::floats`].
    pub(super) fn ints(shape: Vec<usize>, values: Vec<i64>, kind: Integer) -> Result<Self> {
        Self::new(shape, Data::Int(Arc::new(values), kind))
    }

    /// Returns a tensor of booleans.
    ///
    /// # Errors
    ///
    /// As [`Tensor::floats`].
    pub(super) fn bools(shape: Vec<usize>, values: Vec<bool>) -> Result<Self> {
        Self::new(shape, Data::Bool(Arc::new(values)))
    }

    pub(super) fn new(shape: Vec<usize>, data: Data) -> Result<Self> {
        let len = count(&shape)?;
        ensure!(len == data.len(), "shape {shape:?} does not hold {} values", data.len());
        Ok(Self { shape, data })
    }

    /// Returns the same elements in another shape.
    ///
    /// # Errors
    ///
    /// As [`Tensor::floats`].
    pub(super) fn reshaped(self, shape: Vec<usize>) -> Result<Self> {
        Self::new(shape, self.data)
    }

    pub(super) fn len(&self) -> usize {
        self.data.len()
    }

    pub(super) fn rank(&self) -> usize {
        self.shape.len()
    }

    /// Returns the values of a tensor of floats.
    ///
    /// # Errors
    ///
    /// When it holds something else.
    pub(super) fn as_floats(&self) -> Result<&[f32]> {
        match &self.data {
            Data::Float(values) => Ok(values),
            other => bail!("holds {other}, expected floats"),
        }
    }

    /// Returns the values of a tensor of integers.
    ///
    /// # Errors
    ///
    /// When it holds something else.
    pub(super) fn as_ints(&self) -> Result<&[i64]> {
        match &self.data {
            Data::Int(values, _) => Ok(values),
            other => bail!("holds {other}, expected integers"),
        }
    }

    /// Returns the values of a tensor of booleans.
    ///
    /// # Errors
    ///
    /// When it holds something else.
    pub(super) fn as_bools(&self) -> Result<&[bool]> {
        match &self.data {
            Data::Bool(values) => Ok(values),
            other => bail!("holds {other}, expected booleans"),
        }
    }

    /// Returns the one value of a tensor of integers.
    ///
    /// # Errors
    ///
    /// When it holds another number of values, or something else.
    pub(super) fn as_int(&self) -> Result<i64> {
        match self.as_ints()? {
            [value] => Ok(*value),
            values => bail!("holds {} values, expected one", values.len()),
        }
    }

    /// Returns a constant of a file.
    ///
    /// # Errors
    ///
    /// When its values are not as many as its shape asks for, of a type that is not supported, or cannot be read.
    pub(super) fn read(constant: &proto::Constant, folder: &Folder) -> Result<Self> {
        ensure!(constant.segment.is_none(), "is stored in segments, which are not supported");
        let shape = sizes(&constant.dims)?;
        let len = count(&shape)?;
        let element = Element::from_code(constant.element.into())?;
        let external = constant.location != 0;
        ensure!(external || constant.external.is_empty(), "names an external file and says that it is not external");
        if external {
            ensure!(constant.location == 1, "has the unknown data location {}", constant.location);
            let bytes = folder.read(constant, len * element.bytes())?;
            return Self::from_bytes(shape, element, &bytes);
        }
        if !constant.raw.is_empty() || len == 0 {
            return Self::from_bytes(shape, element, &constant.raw);
        }
        let halves = || constant.int32s.iter().map(|&bits| bits as u16);
        match element {
            Element::Float => Self::floats(shape, constant.floats.clone()),
            Element::Double => Self::floats(shape, constant.doubles.iter().map(|&x| x as f32).collect()),
            Element::Half => Self::floats(shape, halves().map(|bits| half::f16::from_bits(bits).to_f32()).collect()),
            Element::BrainHalf => {
                Self::floats(shape, halves().map(|bits| half::bf16::from_bits(bits).to_f32()).collect())
            }
            Element::Int(Integer::I64) => Self::ints(shape, constant.int64s.clone(), Integer::I64),
            Element::Int(Integer::U32) => {
                let values = constant.uint64s.iter().map(|&x| i64::from(x as u32)).collect();
                Self::ints(shape, values, Integer::U32)
            }
            Element::Int(kind) => {
                let values = constant.int32s.iter().map(|&x| kind.wrap(i64::from(x))).collect();
                Self::ints(shape, values, kind)
            }
            Element::Bool => Self::bools(shape, constant.int32s.iter().map(|&x| x != 0).collect()),
        }
    }

    fn from_bytes(shape: Vec<usize>, element: Element, bytes: &[u8]) -> Result<Self> {
        let expected = count(&shape)? * element.bytes();
        ensure!(bytes.len() == expected, "of shape {shape:?} has {} bytes, expected {expected}", bytes.len());
        match element {
            Element::Float => Self::floats(shape, each(bytes, f32::from_le_bytes)),
            Element::Double => Self::floats(shape, each(bytes, |bytes| f64::from_le_bytes(bytes) as f32)),
            Element::Half => Self::floats(shape, each(bytes, |bytes| half::f16::from_le_bytes(bytes).to_f32())),
            Element::BrainHalf => Self::floats(shape, each(bytes, |bytes| half::bf16::from_le_bytes(bytes).to_f32())),
            Element::Bool => Self::bools(shape, bytes.iter().map(|&byte| byte != 0).collect()),
            Element::Int(kind) => {
                let values = match kind {
                    Integer::I8 => each(bytes, |bytes| i64::from(i8::from_le_bytes(bytes))),
                    Integer::U8 => each(bytes, |bytes| i64::from(u8::from_le_bytes(bytes))),
                    Integer::I16 => each(bytes, |bytes| i64::from(i16::from_le_bytes(bytes))),
                    Integer::U16 => each(bytes, |bytes| i64::from(u16::from_le_bytes(bytes))),
                    Integer::I32 => each(bytes, |bytes| i64::from(i32::from_le_bytes(bytes))),
                    Integer::U32 => each(bytes, |bytes| i64::from(u32::from_le_bytes(bytes))),
                    Integer::I64 => each(bytes, i64::from_le_bytes),
                };
                Self::ints(shape, values, kind)
            }
        }
    }
}

impl Data {
    /// Returns the elements of several tensors behind each other.
    pub(super) fn joined(parts: &[&Self]) -> Result<Self> {
        let first = parts.first().context("joins nothing")?;
        let mixed = || anyhow::anyhow!("joins tensors of several types");
        Ok(match first {
            Data::Float(_) => {
                let parts = parts.iter().map(|part| if let Data::Float(x) = part { Ok(&x[..]) } else { Err(mixed()) });
                Data::Float(Arc::new(parts.collect::<Result<Vec<_>>>()?.concat()))
            }
            Data::Int(_, kind) => {
                let of_kind = |part: &&Data| matches!(part, Data::Int(_, other) if other == kind);
                ensure!(parts.iter().all(of_kind), mixed());
                let parts =
                    parts.iter().filter_map(|part| if let Data::Int(x, _) = part { Some(&x[..]) } else { None });
                Data::Int(Arc::new(parts.collect::<Vec<_>>().concat()), *kind)
            }
            Data::Bool(_) => {
                let parts = parts.iter().map(|part| if let Data::Bool(x) = part { Ok(&x[..]) } else { Err(mixed()) });
                Data::Bool(Arc::new(parts.collect::<Result<Vec<_>>>()?.concat()))
            }
        })
    }

    pub(super) fn len(&self) -> usize {
        match self {
            Self::Float(values) => values.len(),
            Self::Int(values, _) => values.len(),
            Self::Bool(values) => values.len(),
        }
    }

    /// Returns the elements at some places.
    ///
    /// # Panics
    ///
    /// When a place lies behind the last element.
    pub(super) fn pick(&self, places: impl Iterator<Item = usize>) -> Self {
        match self {
            Self::Float(values) => Self::Float(Arc::new(places.map(|at| values[at]).collect())),
            Self::Int(values, kind) => Self::Int(Arc::new(places.map(|at| values[at]).collect()), *kind),
            Self::Bool(values) => Self::Bool(Arc::new(places.map(|at| values[at]).collect())),
        }
    }
}

/// The folder of a network's file, in which its external data lie.
#[derive(Debug)]
pub(super) struct Folder {
    pub(super) path: PathBuf,
}

impl Folder {
    /// Returns the path of a file that a constant names; a name that leads out of the folder is refused.
    pub(super) fn place(&self, constant: &proto::Constant) -> Result<PathBuf> {
        let name = value_of(constant, "location").context("names no external file")?;
        crate::support::files::below(&self.path, name)
    }

    fn read(&self, constant: &proto::Constant, expected: usize) -> Result<Vec<u8>> {
        let path = self.place(constant)?;
        let at = path.display();
        let number = |key| {
            value_of(constant, key)
                .map(|text| text.parse::<u64>().ok().with_context(|| format!("has the {key} {text:?}")))
                .transpose()
        };
        let mut file = crate::support::files::open_regular(&path).with_context(|| {
            format!(
                "{at}: cannot read the external weights: put the file beside the network, or export it with them inside"
            )
        })?;
        let len = file.metadata()?.len();
        let offset = number("offset")?.unwrap_or(0);
        let rest = len.saturating_sub(offset);
        let length = number("length")?.unwrap_or(rest);
        ensure!(
            length <= rest && length == expected as u64,
            "{at}: has {} bytes from offset {offset}, expected {expected}",
            length.min(rest)
        );
        file.seek(SeekFrom::Start(offset))?;
        let mut bytes = vec![0; expected];
        File::read_exact(&mut file, &mut bytes).with_context(|| format!("cannot read {at}"))?;
        Ok(bytes)
    }
}

/// Returns the number of elements of a shape.
///
/// # Errors
///
/// When a size or the product of those above 0 is more than [`MAX_ELEMENTS`].
pub(super) fn count(shape: &[usize]) -> Result<usize> {
    let all = shape.iter().filter(|&&size| size > 0).try_fold(1usize, |all, &size| all.checked_mul(size));
    let fits = all.is_some_and(|all| all <= MAX_ELEMENTS) && shape.len() <= MAX_RANK;
    ensure!(fits, "shape {shape:?} has more than {MAX_ELEMENTS} elements or {MAX_RANK} dimensions");
    Ok(shape.iter().product())
}

/// Returns dimensions as sizes.
///
/// # Errors
///
/// When one is negative.
pub(super) fn sizes(dims: &[i64]) -> Result<Vec<usize>> {
    dims.iter().map(|&dim| usize::try_from(dim).ok().with_context(|| format!("shape {dims:?} is negative"))).collect()
}

fn value_of<'a>(constant: &'a proto::Constant, key: &str) -> Option<&'a str> {
    constant.external.iter().find(|pair| pair.key == key).map(|pair| pair.value.as_str())
}

fn each<const N: usize, T>(bytes: &[u8], read: impl Fn([u8; N]) -> T) -> Vec<T> {
    bytes.as_chunks::<N>().0.iter().map(|bytes| read(*bytes)).collect()
}

/// The largest number of elements of a tensor.
pub(super) const MAX_ELEMENTS: usize = if cfg!(fuzzing) { 1 << 20 } else { 1 << 27 };
/// The largest number of dimensions of a tensor.
const MAX_RANK: usize = 16;
