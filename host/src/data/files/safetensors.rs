//! safetensors files, whose header is checked before the library sees it.

use std::collections::BTreeSet;
use std::fmt;
use std::path::Path;

use ::safetensors::{Dtype, SafeTensors};
use anyhow::{Context, Result, bail};
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};

use crate::domain::array::{Array, element_count};
use crate::support::suggest::did_you_mean;

/// Returns a tensor of a safetensors file as f32; a file of one tensor needs no name.
///
/// # Errors
///
/// When the file cannot be read or is broken, the tensor is unknown, or its elements are not real numbers.
pub fn read(path: &Path, name: Option<&str>) -> Result<Array> {
    let bytes = crate::support::files::read_regular(path)?;
    parse(&bytes, name).with_context(|| format!("{}", path.display()))
}

fn parse(bytes: &[u8], name: Option<&str>) -> Result<Array> {
    check_header(bytes)?;
    let tensors = SafeTensors::deserialize(bytes).context("is not a safetensors file")?;
    let mut names = tensors.names();
    names.sort_unstable();
    let wanted = match (name, names.as_slice()) {
        (Some(name), _) => name,
        (None, [one]) => one,
        (None, _) => bail!("holds {}; choose one as in file.safetensors#name", names.join(", ")),
    };
    let tensor = tensors.tensor(wanted).ok().with_context(|| {
        format!("has no tensor {wanted:?}{}; it has {}", did_you_mean(wanted, names.iter().copied()), names.join(", "))
    })?;
    let data = tensor.data();
    let values: Vec<f32> = match tensor.dtype() {
        Dtype::F32 => data.as_chunks().0.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect(),
        Dtype::F64 => data.as_chunks().0.iter().map(|&bytes| f64::from_le_bytes(bytes) as f32).collect(),
        Dtype::U8 | Dtype::BOOL => data.iter().map(|&byte| f32::from(byte)).collect(),
        Dtype::I8 => data.iter().map(|byte| f32::from(byte.cast_signed())).collect(),
        Dtype::U16 => data.as_chunks().0.iter().map(|&bytes| f32::from(u16::from_le_bytes(bytes))).collect(),
        Dtype::I16 => data.as_chunks().0.iter().map(|&bytes| f32::from(i16::from_le_bytes(bytes))).collect(),
        Dtype::U32 => data.as_chunks().0.iter().map(|&bytes| u32::from_le_bytes(bytes) as f32).collect(),
        Dtype::I32 => data.as_chunks().0.iter().map(|&bytes| i32::from_le_bytes(bytes) as f32).collect(),
        Dtype::U64 => data.as_chunks().0.iter().map(|&bytes| u64::from_le_bytes(bytes) as f32).collect(),
        Dtype::I64 => data.as_chunks().0.iter().map(|&bytes| i64::from_le_bytes(bytes) as f32).collect(),
        Dtype::BF16 => data.as_chunks().0.iter().map(|&bytes| half::bf16::from_le_bytes(bytes).to_f32()).collect(),
        Dtype::F16 => data.as_chunks().0.iter().map(|&bytes| half::f16::from_le_bytes(bytes).to_f32()).collect(),
        other => bail!("tensor {wanted:?} holds elements of type {other:?}, expected real numbers"),
    };
    Array::new(tensor.shape().to_vec(), values)
}

/// Refuses a header that is longer than the file, names a tensor twice, or multiplies sizes beyond what memory holds.
fn check_header(bytes: &[u8]) -> Result<()> {
    let (len, rest) = bytes.split_first_chunk::<8>().context("is too short for a safetensors header")?;
    let len = u64::from_le_bytes(*len);
    let header = usize::try_from(len).ok().filter(|&len| len <= MAX_HEADER).and_then(|len| rest.get(..len));
    let header = header.with_context(|| format!("promises a header of {len} bytes and holds {}", rest.len()))?;
    let entries: Entries = serde_json::from_slice(header).context("has a broken header")?;
    for (name, shape) in &entries.shapes {
        element_count(shape).with_context(|| format!("tensor {name:?}"))?;
    }
    Ok(())
}

/// The names of a header with their shapes; a name that appears twice is an error.
struct Entries {
    shapes: Vec<(String, Vec<usize>)>,
}

impl<'de> Deserialize<'de> for Entries {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Names;
        impl<'de> Visitor<'de> for Names {
            type Value = Entries;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of tensors")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Entries, A::Error> {
                let mut seen = BTreeSet::new();
                let mut shapes = Vec::new();
                while let Some((name, value)) = map.next_entry::<String, serde_json::Value>()? {
                    if !seen.insert(name.clone()) {
                        return Err(serde::de::Error::custom(format!("tensor {name:?} appears twice")));
                    }
                    if let Some(shape) = value.get("shape") {
                        shapes.push((name, serde_json::from_value(shape.clone()).map_err(serde::de::Error::custom)?));
                    }
                }
                Ok(Entries { shapes })
            }
        }
        deserializer.deserialize_map(Names)
    }
}

/// The library's own limit.
const MAX_HEADER: usize = 100_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    fn file(header: &str, data: &[u8]) -> Vec<u8> {
        [&(header.len() as u64).to_le_bytes(), header.as_bytes(), data].concat()
    }

    const ONE: &str = r#"{"x":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}"#;

    #[test]
    fn element_types_are_read() {
        let data = [1.5f32.to_le_bytes(), (-2.0f32).to_le_bytes()].concat();
        assert_eq!(parse(&file(ONE, &data), None).unwrap().values, [1.5, -2.0]);
        for (kind, bytes, expected) in [
            ("I16", (-3i16).to_le_bytes(), -3.0),
            ("BF16", [0x80, 0x3f], 1.0),
            ("F16", 0x3e00u16.to_le_bytes(), 1.5),
            ("F16", 0x0001u16.to_le_bytes(), 2f32.powi(-24)),
        ] {
            let header = format!(r#"{{"x":{{"dtype":"{kind}","shape":[1],"data_offsets":[0,2]}}}}"#);
            assert_eq!(parse(&file(&header, &bytes), Some("x")).unwrap().values, [expected], "{kind}");
        }
    }

    #[test]
    fn broken_files_are_refused() {
        let good = file(ONE, &[0; 8]);
        for len in 0..good.len() {
            assert!(parse(&good[..len], None).is_err(), "{len} bytes");
        }
        let twice = r#"{"x":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"x":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}"#;
        assert!(format!("{:#}", parse(&file(twice, &[0]), None).unwrap_err()).contains("appears twice"));
        let huge = r#"{"x":{"dtype":"F32","shape":[4294967296,4294967296,4294967296],"data_offsets":[0,0]}}"#;
        assert!(format!("{:#}", parse(&file(huge, &[]), None).unwrap_err()).contains("too large"));
        let message = format!("{:#}", parse(&good, Some("y")).unwrap_err());
        assert!(message.contains("has no tensor \"y\""), "{message}");
        assert!(parse(&u64::MAX.to_le_bytes(), None).is_err());
    }
}
