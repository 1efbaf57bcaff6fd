//! IDX files, plain or in gzip: the format of MNIST and its kin (yann.lecun.com/exdb/mnist).

use std::io::Read;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use flate2::read::MultiGzDecoder;

use crate::domain::array::{Array, element_count};

/// Returns the array in an IDX file; gzip is recognised by its first bytes.
///
/// # Errors
///
/// When the file cannot be read, is not IDX, or is shorter or longer than its header promises. Nothing is allocated
/// beyond what the header promises and the file can hold.
pub fn read(path: &Path) -> Result<Array> {
    let bytes = crate::support::files::read_regular(path)?;
    let parsed = if bytes.starts_with(&[0x1f, 0x8b]) {
        parse(MultiGzDecoder::new(bytes.as_slice()), Err(bytes.len()))
    } else {
        parse(bytes.as_slice(), Ok(bytes.len()))
    };
    parsed.with_context(|| format!("{}", path.display()))
}

/// Reads header and values; `len` is the length of all of it, or that of the gzip around it.
fn parse(mut source: impl Read, len: Result<usize, usize>) -> Result<Array> {
    let mut magic = [0; 4];
    source.read_exact(&mut magic).context("is too short for an IDX header")?;
    let [0, 0, code, dimensions] = magic else {
        bail!(
            "is of no type that is known: IDX files, plain or in gzip, begin with two zeros, this one with {magic:02x?}; \
             .csv, .npy, .npz and .safetensors are known by those endings"
        )
    };
    let kind = Kind::of(code).with_context(|| format!("has the unknown element type {code:#04x}"))?;
    ensure!((1..=8).contains(&dimensions), "has {dimensions} dimensions, expected 1 to 8");
    let mut shape = Vec::new();
    for _ in 0..dimensions {
        let mut size = [0; 4];
        source.read_exact(&mut size).context("is too short for an IDX header")?;
        shape.push(u32::from_be_bytes(size) as usize);
    }
    let count = element_count(&shape)?;
    let promised = count * kind.bytes();
    let header = 4 + 4 * usize::from(dimensions);
    match len {
        Ok(len) => ensure!(
            len - header == promised,
            "holds {} of {promised} bytes that its header promises ({shape:?} of {kind:?})",
            len - header
        ),
        // Deflate shrinks by 1032 to 1 at most.
        Err(packed) => ensure!(
            promised <= packed.saturating_mul(1032),
            "promises {promised} bytes ({shape:?} of {kind:?}), more than {packed} bytes of gzip can hold"
        ),
    }
    // One byte more than promised shows what is too long without reading all of it.
    let mut data = Vec::new();
    source.take(promised as u64 + 1).read_to_end(&mut data).context("its gzip data are broken or end too early")?;
    ensure!(
        data.len() == promised,
        "holds {} {promised} bytes that its header promises ({shape:?} of {kind:?})",
        if data.len() < promised { format!("{} of", data.len()) } else { "more than the".into() }
    );
    Array::new(shape, kind.decode(&data))
}

#[derive(Debug, Clone, Copy)]
enum Kind {
    U8,
    I8,
    I16,
    I32,
    F32,
    F64,
}

impl Kind {
    fn of(code: u8) -> Option<Self> {
        Some(match code {
            0x08 => Self::U8,
            0x09 => Self::I8,
            0x0b => Self::I16,
            0x0c => Self::I32,
            0x0d => Self::F32,
            0x0e => Self::F64,
            _ => return None,
        })
    }

    fn bytes(self) -> usize {
        match self {
            Self::U8 | Self::I8 => 1,
            Self::I16 => 2,
            Self::I32 | Self::F32 => 4,
            Self::F64 => 8,
        }
    }

    fn decode(self, data: &[u8]) -> Vec<f32> {
        match self {
            Self::U8 => data.iter().map(|&byte| f32::from(byte)).collect(),
            Self::I8 => data.iter().map(|byte| f32::from(byte.cast_signed())).collect(),
            Self::I16 => data.as_chunks().0.iter().map(|&bytes| f32::from(i16::from_be_bytes(bytes))).collect(),
            Self::I32 => data.as_chunks().0.iter().map(|&bytes| i32::from_be_bytes(bytes) as f32).collect(),
            Self::F32 => data.as_chunks().0.iter().map(|&bytes| f32::from_be_bytes(bytes)).collect(),
            Self::F64 => data.as_chunks().0.iter().map(|&bytes| f64::from_be_bytes(bytes) as f32).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    const SMALL: [u8; 18] = [0, 0, 8, 2, 0, 0, 0, 2, 0, 0, 0, 3, 1, 2, 3, 4, 5, 255];

    fn read_bytes(bytes: &[u8]) -> Result<Array> {
        let mut file = tempfile::NamedTempFile::new()?;
        file.write_all(bytes)?;
        read(file.path())
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn plain_and_gzipped_files_are_read() {
        let expected = Array { shape: vec![2, 3], values: vec![1.0, 2.0, 3.0, 4.0, 5.0, 255.0] };
        assert_eq!(read_bytes(&SMALL).unwrap(), expected);
        assert_eq!(read_bytes(&gzip(&SMALL)).unwrap(), expected);
        let floats = [[0, 0, 13, 1, 0, 0, 0, 1].as_slice(), &1.5f32.to_be_bytes()].concat();
        assert_eq!(read_bytes(&floats).unwrap().values, [1.5]);
    }

    #[test]
    fn every_truncation_is_refused() {
        let zipped = gzip(&SMALL);
        for bytes in [SMALL.as_slice(), &zipped] {
            for len in 0..bytes.len() {
                assert!(read_bytes(&bytes[..len]).is_err(), "{len} bytes");
            }
        }
    }

    #[test]
    fn trailing_bytes_wrong_magic_and_bombs_are_refused() {
        let error = |bytes: &[u8]| format!("{:#}", read_bytes(bytes).unwrap_err());
        assert!(error(&[SMALL.as_slice(), &[0]].concat()).contains("7 of 6 bytes"));
        assert!(error(&gzip(&[SMALL.as_slice(), &[0; 100_000]].concat())).contains("more than the 6 bytes"));
        assert!(error(b"PK\x03\x04 a zip file").contains("of no type that is known"));
        assert!(error(&[0, 0, 7, 1, 0, 0, 0, 1, 1]).contains("unknown element type"));
        assert!(error(&[0, 0, 8, 2, 255, 255, 255, 255, 255, 255, 255, 255]).contains("too large"));
    }
}
