//! NumPy's arrays: `.npy`, and `.npz` archives of them. Headers are checked before the library sees them.

use std::io::{BufReader, Cursor, Read};
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use npyz::npz::NpzArchive;
use npyz::{NpyFile, Order, half};

use crate::domain::array::{Array, element_count};
use crate::support::suggest::{did_you_mean, listed};

/// Returns the array in an `.npy` file, or a member of an `.npz` archive; an archive of one array needs no name.
///
/// # Errors
///
/// When the file cannot be read or is broken, the member is unknown, or the elements are not real numbers.
pub fn read(path: &Path, member: Option<&str>) -> Result<Array> {
    let name = path.display();
    let file = crate::support::files::open_regular(path)?;
    let file_len = file.metadata().with_context(|| format!("cannot read {name}"))?.len();
    if path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("npz")) {
        let mut archive =
            NpzArchive::new(BufReader::new(file)).with_context(|| format!("{name}: is not an npz archive"))?;
        let mut names: Vec<String> = archive.array_names().map(String::from).collect();
        names.sort_unstable();
        let wanted = match (member, names.as_slice()) {
            (Some(member), _) => member,
            (None, [one]) => one.as_str(),
            (None, _) => bail!(
                "{name}: holds {}; choose one as in {name}#{}",
                listed(&names),
                names.first().map_or("name", String::as_str)
            ),
        };
        ensure!(
            names.iter().any(|other| other == wanted),
            "{name}: has no array {wanted:?}{}; it has {}",
            did_you_mean(wanted, names.iter().map(String::as_str)),
            listed(&names)
        );
        let broken = || format!("{name}: {wanted:?} is broken");
        // The library's own way to a member reads its header, unchecked, at once.
        let file_name = npyz::npz::file_name_from_array_name(wanted);
        let mut member = archive.zip_archive().by_name(&file_name).with_context(broken)?;
        // Deflate shrinks by 1032 to 1 at most: a header that promises more is lying.
        let available = member.size().min(file_len.saturating_mul(1032));
        return parse(&mut member, available).with_context(|| format!("{name}: {wanted:?}"));
    }
    ensure!(member.is_none(), "{name}: an .npy file has no members");
    let bytes = crate::support::files::read_regular(path)?;
    parse(&mut bytes.as_slice(), bytes.len() as u64).with_context(|| format!("{name}"))
}

/// Returns the array in the bytes of an `.npy` file, of which there are as many as are available.
fn parse(source: &mut impl Read, available: u64) -> Result<Array> {
    let header = read_header(source, available)?;
    check_header(&header)?;
    let left = available - header.len() as u64;
    let file = NpyFile::new(Cursor::new(header).chain(&mut *source)).context("has a broken header")?;
    let array = decode(file, left)?;
    // This read lets an archive check the sum of its member, too.
    let more = source.read(&mut [0]).context("is broken")?;
    ensure!(more == 0, "is followed by bytes that its header does not promise");
    Ok(array)
}

/// Returns the bytes of a header, from the magic number to its end.
fn read_header(source: &mut impl Read, available: u64) -> Result<Vec<u8>> {
    let mut header = Vec::new();
    source.by_ref().take(10).read_to_end(&mut header).context("is broken")?;
    ensure!(header.starts_with(b"\x93NUMPY") && header.len() == 10, "is not an npy file");
    let major = header[6];
    ensure!((1..=3).contains(&major), "is an npy file of version {major}.{}, expected 1 to 3", header[7]);
    if major > 1 {
        source.by_ref().take(2).read_to_end(&mut header).context("is broken")?;
        ensure!(header.len() == 12, "is truncated in its header");
    }
    let mut len = [0; 4];
    len[..header.len() - 8].copy_from_slice(&header[8..]);
    let len = u64::from(u32::from_le_bytes(len));
    ensure!(len <= MOST_HEADER, "has a header of {len} bytes, at most {MOST_HEADER} are read");
    ensure!(header.len() as u64 + len <= available, "is truncated in its header");
    let before = header.len() as u64;
    source.take(len).read_to_end(&mut header).context("is broken")?;
    ensure!(header.len() as u64 == before + len, "is truncated in its header");
    Ok(header)
}

/// Refuses a header that is more than a flat dictionary of `descr`, `fortran_order` and `shape`: the library's parser takes
/// exponential time over nested brackets.
fn check_header(header: &[u8]) -> Result<()> {
    let start = if header[6] == 1 { 10 } else { 12 };
    let text = std::str::from_utf8(&header[start..]).context("has a header that is not text")?;
    let mut rest = text.trim().strip_prefix('{').context("has a header that does not begin with {")?.trim_start();
    let mut seen = [false; 3];
    while !rest.starts_with('}') {
        let (key, after) = literal(rest).context("has a key in its header that is not a plain string")?;
        let index = KEYS.iter().position(|known| *known == key);
        let index = index.with_context(|| format!("has the unknown key {key:?} in its header"))?;
        ensure!(!seen[index], "has the key {key:?} twice in its header");
        seen[index] = true;
        let value = after.trim_start().strip_prefix(':').context("has a key without a value in its header")?;
        let value = value.trim_start();
        let after = match index {
            0 if value.starts_with('[') => bail!("holds records of several fields, expected real numbers"),
            0 => literal(value).map(|(_, after)| after),
            1 => value.strip_prefix("True").or_else(|| value.strip_prefix("False")),
            _ => tuple(value),
        };
        let after = after.with_context(|| format!("has a broken value of {key:?} in its header"))?.trim_start();
        rest = match after.strip_prefix(',') {
            Some(next) => next.trim_start(),
            None => after,
        };
        ensure!(after.starts_with([',', '}']), "has a broken header behind the value of {key:?}");
    }
    ensure!(rest.len() == 1, "has a header that goes on behind its end");
    let missing = KEYS.iter().zip(seen).find(|(_, seen)| !seen);
    ensure!(missing.is_none(), "has no {:?} in its header", missing.map_or("", |(key, _)| key));
    Ok(())
}

/// Returns the text of a Python string without escapes, and what follows it.
fn literal(text: &str) -> Option<(&str, &str)> {
    let quote = text.chars().next().filter(|c| ['\'', '"'].contains(c))?;
    let (inside, after) = text[1..].split_once(quote)?;
    (!inside.contains('\\')).then_some((inside, after))
}

/// Returns what follows a tuple of at most 32 numbers, which is as many dimensions as NumPy has.
fn tuple(text: &str) -> Option<&str> {
    let (inside, after) = text.strip_prefix('(')?.split_once(')')?;
    let sizes = inside.trim().trim_end_matches(',').split(',').map(str::trim);
    let is_number = |size: &str| !size.is_empty() && size.len() <= 20 && size.bytes().all(|b| b.is_ascii_digit());
    let good = inside.trim().is_empty() || (sizes.clone().count() <= 32 && sizes.clone().all(is_number));
    good.then_some(after)
}

/// Reads the elements after the shape has been held against the bytes that there can be.
fn decode<R: Read>(file: NpyFile<R>, available: u64) -> Result<Array> {
    let shape: Vec<usize> = file.shape().iter().map(|&size| usize::try_from(size)).collect::<Result<_, _>>()?;
    let count = element_count(&shape)?;
    let kind = file.dtype().descr();
    let kind = kind.trim_matches(|c| "'\"<>|=".contains(c)).to_string();
    let bytes_each = file.dtype().num_bytes().unwrap_or(0) as u64;
    ensure!(
        (count as u64).checked_mul(bytes_each).is_some_and(|bytes| bytes <= available),
        "promises {shape:?} of {kind}, {bytes_each} bytes each, and holds {available} bytes"
    );
    let fortran = file.order() == Order::Fortran;
    let broken = || format!("ends before {shape:?} of {kind} are read");
    let values: Vec<f32> = match kind.as_str() {
        "f2" => file.into_vec::<half::f16>().with_context(broken)?.iter().map(|&x| f32::from(x)).collect(),
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

/// The keys of a header.
const KEYS: [&str; 3] = ["descr", "fortran_order", "shape"];

/// The longest header that is read; one of real numbers has some hundred bytes.
const MOST_HEADER: u64 = 1 << 16;

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(bytes: &[u8]) -> Result<Array> {
        super::parse(&mut &*bytes, bytes.len() as u64)
    }

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
        assert_eq!(read("<f2", &0x3e00u16.to_le_bytes()), [1.5]);
        assert_eq!(read(">f2", &0x0001u16.to_be_bytes()), [2f32.powi(-24)]);
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
        // Version 3 has a longer length, which this file ends within.
        assert!(parse(b"\x93NUMPY\x03\x01\x00\x00\x00").is_err());
        let mut long = good;
        long[6] = 2;
        long[8..12].copy_from_slice(&u32::MAX.to_le_bytes());
        assert!(parse(&long).is_err());
    }
    /// The library's parser takes time that doubles with every bracket: 54 of them are more than a lifetime.
    #[test]
    fn headers_that_are_no_flat_dictionary_are_refused_at_once() {
        let with = |header: &str| {
            let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
            bytes.extend((header.len() as u16).to_le_bytes());
            bytes.extend(header.as_bytes());
            bytes.extend([0; 4]);
            bytes
        };
        let good = "{'descr': '<f4', 'fortran_order': False, 'shape': (1,), }";
        assert_eq!(parse(&with(good)).unwrap().values, [0.0]);
        assert!(parse(&with("{\"descr\":\"<f4\",\"fortran_order\":False,\"shape\":(1,)}\n")).is_ok());
        for (header, expected) in [
            ("{".repeat(54), "not a plain string"),
            (good.replace("(1,)", &"(".repeat(54)), "broken value of \"shape\""),
            (good.replace("(1,)", "(1, (1,))"), "broken value of \"shape\""),
            (good.replace("(1,)", "(-1,)"), "broken value of \"shape\""),
            (good.replace("(1,)", &format!("({})", "1,".repeat(33))), "broken value of \"shape\""),
            (good.replace("'<f4'", "[('x', '<f4')]"), "records"),
            (good.replace("'<f4'", r"'<f\x34'"), "broken value of \"descr\""),
            (good.replace("False", "0"), "broken value of \"fortran_order\""),
            (good.replace("'shape'", "'descr'"), "\"descr\" twice"),
            (good.replace("'shape'", "'shapes'"), "unknown key \"shapes\""),
            (good.replace(", 'shape': (1,)", ""), "no \"shape\""),
            (format!("{good}{{"), "goes on"),
            (good.replace("{'", "{,'"), "not a plain string"),
            (good.replace(", }", ""), "behind the value of \"shape\""),
        ] {
            let error = format!("{:#}", parse(&with(&header)).unwrap_err());
            assert!(error.contains(expected), "{header}: {error}");
        }
        // A member of an archive is looked at in the same way.
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.npz");
        for (header, is_good) in [(good.to_string(), true), ("{".repeat(54), false)] {
            std::fs::write(&path, zip("x.npy", &with(&header))).unwrap();
            assert_eq!(read(&path, Some("x")).is_ok(), is_good, "{header}");
        }
    }

    /// Returns an archive of one file, which is not packed.
    fn zip(name: &str, bytes: &[u8]) -> Vec<u8> {
        let mut sum = flate2::Crc::new();
        sum.update(bytes);
        let len = (bytes.len() as u32).to_le_bytes();
        let of = [
            &[20, 0, 0, 0, 0, 0, 0, 0, 0, 0][..],
            &sum.sum().to_le_bytes(),
            &len,
            &len,
            &(name.len() as u16).to_le_bytes(),
            &[0, 0],
        ]
        .concat();
        let local = [b"PK\x03\x04", of.as_slice(), name.as_bytes(), bytes].concat();
        let entry = [b"PK\x01\x02\x14\0", of.as_slice(), &[0; 14], name.as_bytes()].concat();
        let end = [
            b"PK\x05\x06\0\0\0\0\x01\0\x01\0".as_slice(),
            &(entry.len() as u32).to_le_bytes(),
            &(local.len() as u32).to_le_bytes(),
            &[0, 0],
        ]
        .concat();
        [local, entry, end].concat()
    }
}
