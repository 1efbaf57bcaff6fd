//! NumPy's arrays: `.npy`, and `.npz` archives of them.

use std::io::{BufReader, Cursor, Read};
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use npyz::npz::NpzArchive;
use npyz::{NpyFile, Order};

use super::array::{Array, element_count};
use crate::nearest;

/// Returns the array in an `.npy` file, or a member of an `.npz` archive; an archive of one array needs no name.
///
/// # Errors
///
/// When the file cannot be read or is broken, the member is unknown, or the elements are not real numbers.
pub fn read(path: &Path, member: Option<&str>) -> Result<Array> {
    let name = path.display();
    let file = crate::files::open_regular(path)?;
    let file_len = file.metadata().with_context(|| format!("cannot read {name}"))?.len();
    if path.extension().is_some_and(|extension| extension == "npz") {
        let mut archive =
            NpzArchive::new(BufReader::new(file)).with_context(|| format!("{name}: is not an npz archive"))?;
        let names: Vec<String> = archive.array_names().map(String::from).collect();
        let wanted = match (member, names.as_slice()) {
            (Some(member), _) => member,
            (None, [one]) => one.as_str(),
            (None, _) => bail!(
                "{name}: holds {}; choose one as in {name}#{}",
                names.join(", "),
                names.first().map_or("name", String::as_str)
            ),
        };
        let near =
            || nearest(wanted, names.iter().map(String::as_str)).map(|near| format!(" (did you mean {near:?}?)"));
        let found = archive.by_name(wanted).with_context(|| format!("{name}: {wanted:?} is broken"))?;
        let array = found.with_context(|| {
            format!("{name}: has no array {wanted:?}{}; it has {}", near().unwrap_or_default(), names.join(", "))
        })?;
        // Deflate shrinks by 1032 to 1 at most: a header that promises more is lying.
        return decode(array, file_len.saturating_mul(1032)).with_context(|| format!("{name}: {wanted:?}"));
    }
    ensure!(member.is_none(), "{name}: an .npy file has no members");
    let bytes = crate::files::read_regular(path)?;
    parse(&bytes).with_context(|| format!("{name}"))
}

/// Returns the array in the bytes of an `.npy` file.
fn parse(bytes: &[u8]) -> Result<Array> {
    ensure!(bytes.starts_with(b"\x93NUMPY") && bytes.len() >= 12, "is not an npy file");
    // The reader allocates what the header's length field says, so that is looked at first.
    let header_len = match bytes[6] {
        1 => usize::from(u16::from_le_bytes([bytes[8], bytes[9]])),
        _ => u32::from_le_bytes([bytes[8], bytes[9], bytes[10], bytes[11]]) as usize,
    };
    ensure!(header_len < bytes.len(), "is truncated in its header");
    let mut cursor = Cursor::new(bytes);
    let file = NpyFile::new(&mut cursor).context("has a broken header")?;
    let array = decode(file, bytes.len() as u64)?;
    let left = bytes.len() as u64 - cursor.position();
    ensure!(left == 0, "is followed by {left} bytes that its header does not promise");
    Ok(array)
}

/// Reads the elements after the shape has been held against the bytes that there can be.
fn decode<R: Read>(file: NpyFile<R>, available: u64) -> Result<Array> {
    let shape: Vec<usize> = file.shape().iter().map(|&size| usize::try_from(size)).collect::<Result<_, _>>()?;
    let count = element_count(&shape)?;
    let kind = file.dtype().descr();
    let kind = kind.trim_matches(|c| "'\"<>|=".contains(c)).to_string();
    let bytes_each = file.dtype().num_bytes().unwrap_or(0) as u64;
    ensure!(
        count as u64 * bytes_each <= available,
        "promises {shape:?} of {kind}, {} bytes, and holds fewer",
        count as u64 * bytes_each
    );
    let fortran = file.order() == Order::Fortran;
    let broken = || format!("ends before {shape:?} of {kind} are read");
    let values: Vec<f32> = match kind.as_str() {
        "f4" => file.into_vec::<f32>().with_context(broken)?,
        "f8" => file.into_vec::<f64>().with_context(broken)?.iter().map(|&x| x as f32).collect(),
        "i1" => file.into_vec::<i8>().with_context(broken)?.iter().map(|&x| f32::from(x)).collect(),
        "u1" => file.into_vec::<u8>().with_context(broken)?.iter().map(|&x| f32::from(x)).collect(),
        "i2" => file.into_vec::<i16>().with_context(broken)?.iter().map(|&x| f32::from(x)).collect(),
        "u2" => file.into_vec::<u16>().with_context(broken)?.iter().map(|&x| f32::from(x)).collect(),
        "i4" => file.into_vec::<i32>().with_context(broken)?.iter().map(|&x| x as f32).collect(),
        "u4" => file.into_vec::<u32>().with_context(broken)?.iter().map(|&x| x as f32).collect(),
        "i8" => file.into_vec::<i64>().with_context(broken)?.iter().map(|&x| x as f32).collect(),
        "u8" => file.into_vec::<u64>().with_context(broken)?.iter().map(|&x| x as f32).collect(),
        "b1" => file.into_vec::<bool>().with_context(broken)?.iter().map(|&x| f32::from(u8::from(x))).collect(),
        _ => bail!("holds elements of type {kind}, expected real numbers"),
    };
    Array::new(shape.clone(), if fortran { to_row_major(&values, &shape) } else { values })
}

/// Turns the first index fastest into the last index fastest.
fn to_row_major(values: &[f32], shape: &[usize]) -> Vec<f32> {
    let mut strides = Vec::with_capacity(shape.len());
    let mut stride = 1;
    for &size in shape {
        strides.push(stride);
        stride *= size;
    }
    (0..values.len())
        .map(|mut index| {
            let mut at = 0;
            for (&size, &stride) in shape.iter().zip(&strides).rev() {
                at += index % size * stride;
                index /= size;
            }
            values[at]
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(kind: &str, fortran: &str, shape: &str, data: &[u8]) -> Vec<u8> {
        let mut header = format!("{{'descr': '{kind}', 'fortran_order': {fortran}, 'shape': {shape}, }}");
        while (10 + header.len() + 1) % 64 != 0 {
            header.push(' ');
        }
        header.push('\n');
        let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
        bytes.extend((header.len() as u16).to_le_bytes());
        bytes.extend(header.as_bytes());
        bytes.extend(data);
        bytes
    }

    #[test]
    fn element_types_and_byte_orders_are_read() {
        let read = |kind: &str, data: &[u8]| parse(&file(kind, "False", "(1,)", data)).unwrap().values;
        assert_eq!(read("<f4", &1.5f32.to_le_bytes()), [1.5]);
        assert_eq!(read(">f4", &1.5f32.to_be_bytes()), [1.5]);
        assert_eq!(read("<f8", &(-2.25f64).to_le_bytes()), [-2.25]);
        assert_eq!(read(">i2", &(-300i16).to_be_bytes()), [-300.0]);
        assert_eq!(read("|u1", &[200]), [200.0]);
        assert_eq!(read("|b1", &[1]), [1.0]);
        assert_eq!(read("<i8", &(-7i64).to_le_bytes()), [-7.0]);
    }

    #[test]
    fn fortran_order_becomes_row_major() {
        let array = parse(&file("|u1", "True", "(2, 3)", &[1, 4, 2, 5, 3, 6])).unwrap();
        assert_eq!((array.shape, array.values), (vec![2, 3], vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0]));
    }

    #[test]
    fn truncations_trailing_bytes_and_lies_are_refused() {
        let good = file("<f4", "False", "(3,)", &[0; 12]);
        for len in 0..good.len() {
            assert!(parse(&good[..len]).is_err(), "{len} bytes");
        }
        assert!(parse(&[good.as_slice(), &[0]].concat()).is_err());
        for shape in ["(99999999,)", "(18446744073709551615, 18446744073709551615)", "(4294967296, 4294967296)"] {
            assert!(parse(&file("<f4", "False", shape, &[0; 12])).is_err(), "{shape}");
        }
        assert!(format!("{:#}", parse(&file("<c8", "False", "(1,)", &[0; 8])).unwrap_err()).contains("real numbers"));
        let mut long = good;
        long[6] = 2;
        long[8..12].copy_from_slice(&u32::MAX.to_le_bytes());
        assert!(parse(&long).is_err());
    }
}
