//! Reading little-endian values from bytes that nobody has checked yet.

use crate::Defect;

/// A run of little-endian `f32` at any alignment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct F32s<'a>(pub(crate) &'a [[u8; 4]]);

impl<'a> F32s<'a> {
    /// Returns the number of values.
    pub fn len(self) -> usize {
        self.0.len()
    }

    /// Returns whether there is no value.
    pub fn is_empty(self) -> bool {
        self.0.is_empty()
    }

    /// Returns the value at `index`.
    pub fn at(self, index: usize) -> Option<f32> {
        self.0.get(index).map(|bytes| f32::from_le_bytes(*bytes))
    }

    /// Returns the values in their order.
    pub fn iter(self) -> impl ExactSizeIterator<Item = f32> + Clone + 'a {
        self.0.iter().map(|bytes| f32::from_le_bytes(*bytes))
    }
}

/// A run of little-endian `i32` at any alignment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct I32s<'a>(pub(crate) &'a [[u8; 4]]);

impl<'a> I32s<'a> {
    /// Returns the values in their order.
    pub fn iter(self) -> impl ExactSizeIterator<Item = i32> + 'a {
        self.0.iter().map(|bytes| i32::from_le_bytes(*bytes))
    }
}

/// A run of little-endian `u32` at any alignment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct U32s<'a>(&'a [[u8; 4]]);

impl<'a> U32s<'a> {
    /// Returns the number of values.
    pub fn len(self) -> usize {
        self.0.len()
    }

    /// Returns whether there is no value.
    pub fn is_empty(self) -> bool {
        self.0.is_empty()
    }

    /// Returns the values in their order.
    pub fn iter(self) -> impl ExactSizeIterator<Item = u32> + 'a {
        self.0.iter().map(|bytes| u32::from_le_bytes(*bytes))
    }

    /// Returns where a value stands in a run that rises.
    pub(crate) fn search(self, value: u32) -> Option<usize> {
        self.0.binary_search_by_key(&value, |bytes| u32::from_le_bytes(*bytes)).ok()
    }
}

/// A list of strings, each behind its length in one byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Strings<'a> {
    bytes: &'a [u8],
    count: u16,
}

impl<'a> Strings<'a> {
    /// Returns the number of strings.
    pub fn len(self) -> usize {
        usize::from(self.count)
    }

    /// Returns whether there is no string.
    pub fn is_empty(self) -> bool {
        self.count == 0
    }

    /// Returns the strings in their order.
    pub fn iter(self) -> impl Iterator<Item = &'a str> {
        let mut cursor = Cursor::new(self.bytes);
        (0..self.count).map_while(move |_| cursor.string().ok())
    }

    /// Returns the string at `index`.
    pub fn at(self, index: usize) -> Option<&'a str> {
        self.iter().nth(index)
    }

    /// Returns where `name` stands in the list, the first place of several.
    pub fn position(self, name: &str) -> Option<usize> {
        self.iter().position(|string| string == name)
    }
}

/// A place in a section; each read moves it on, none reads past the end.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cursor<'a> {
    rest: &'a [u8],
}

impl<'a> Cursor<'a> {
    pub(crate) const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    // Reads are calls and no copies of their code, which would take more flash than they save time.
    #[inline(never)]
    pub(crate) fn take(&mut self, count: usize) -> Result<&'a [u8], Defect> {
        let (taken, rest) = self.rest.split_at_checked(count).ok_or(Defect::Truncated)?;
        self.rest = rest;
        Ok(taken)
    }

    pub(crate) fn chunk<const N: usize>(&mut self) -> Result<&'a [u8; N], Defect> {
        let (taken, rest) = self.rest.split_first_chunk::<N>().ok_or(Defect::Truncated)?;
        self.rest = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Defect> {
        self.chunk().copied()
    }

    #[inline(never)]
    pub(crate) fn u8(&mut self) -> Result<u8, Defect> {
        let [byte] = self.array()?;
        Ok(byte)
    }

    #[inline(never)]
    pub(crate) fn u16(&mut self) -> Result<u16, Defect> {
        self.array().map(u16::from_le_bytes)
    }

    #[inline(never)]
    pub(crate) fn u32(&mut self) -> Result<u32, Defect> {
        self.array().map(u32::from_le_bytes)
    }

    pub(crate) fn i32(&mut self) -> Result<i32, Defect> {
        self.u32().map(u32::cast_signed)
    }

    pub(crate) fn f32(&mut self) -> Result<f32, Defect> {
        self.u32().map(f32::from_bits)
    }

    fn words(&mut self, count: usize) -> Result<&'a [[u8; 4]], Defect> {
        let bytes = self.take(count.checked_mul(4).ok_or(Defect::Truncated)?)?;
        Ok(bytes.as_chunks::<4>().0)
    }

    /// Reads `count` values, each of which has to be finite.
    pub(crate) fn finite_f32s(&mut self, count: usize) -> Result<F32s<'a>, Defect> {
        self.f32s_up_to(count, f32::MAX)
    }

    /// Reads `count` values, each of which has to be finite and at most `most` away from 0.
    #[inline(never)]
    pub(crate) fn f32s_up_to(&mut self, count: usize, most: f32) -> Result<F32s<'a>, Defect> {
        let values = F32s(self.words(count)?);
        // By their bits, which rise with the number: a small core has no instruction to compare floats.
        let greatest = values.iter().fold(0, |greatest, value| value.abs().to_bits().max(greatest));
        if greatest <= most.to_bits() {
            Ok(values)
        } else if greatest < f32::INFINITY.to_bits() {
            Err(Defect::Infinite)
        } else {
            Err(Defect::NotFinite)
        }
    }

    /// Reads `count` values that have been checked before.
    pub(crate) fn f32s(&mut self, count: usize) -> Result<F32s<'a>, Defect> {
        self.words(count).map(F32s)
    }

    /// Reads `count` values, each of which has to be finite, or the one NaN that stands for a missing one.
    pub(crate) fn numbers_or_missing(&mut self, count: usize) -> Result<F32s<'a>, Defect> {
        let values = F32s(self.words(count)?);
        let good = |value: f32| value.is_finite() || value.to_bits() == MISSING.to_bits();
        if values.iter().all(good) { Ok(values) } else { Err(Defect::NotFinite) }
    }

    pub(crate) fn i32s(&mut self, count: usize) -> Result<I32s<'a>, Defect> {
        self.words(count).map(I32s)
    }

    pub(crate) fn u32s(&mut self, count: usize) -> Result<U32s<'a>, Defect> {
        self.words(count).map(U32s)
    }

    /// Reads a string, which may be empty.
    #[inline(never)]
    pub(crate) fn string(&mut self) -> Result<&'a str, Defect> {
        let len = self.u8()?;
        core::str::from_utf8(self.take(usize::from(len))?).map_err(|_| Defect::Utf8)
    }

    /// Reads a string that has to hold something.
    pub(crate) fn name(&mut self) -> Result<&'a str, Defect> {
        let name = self.string()?;
        if name.is_empty() { Err(Defect::EmptyName) } else { Ok(name) }
    }

    /// Reads `count` names, or passes over names that have been checked before.
    ///
    /// That they differ is not checked: it would take a square of their number, and nothing depends on it, since
    /// [`Strings::position`] takes the first.
    #[inline(never)]
    pub(crate) fn names(&mut self, count: u16, check: bool) -> Result<Strings<'a>, Defect> {
        let names = Strings { bytes: self.rest, count };
        for _ in 0..count {
            if check {
                self.name()?;
            } else {
                let len = self.u8()?;
                self.take(usize::from(len))?;
            }
        }
        Ok(names)
    }

    /// Returns what is not read yet.
    pub(crate) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// Returns whether everything is read.
    pub(crate) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// Reads `count` bytes that have to be zero.
    #[inline(never)]
    pub(crate) fn zeros(&mut self, count: usize) -> Result<(), Defect> {
        if self.take(count)?.iter().all(|&byte| byte == 0) { Ok(()) } else { Err(Defect::Padding) }
    }

    /// Ends the section: what is left has to be fewer than four zeros.
    pub(crate) fn finish(self) -> Result<(), Defect> {
        if self.rest.len() < 4 && self.rest.iter().all(|&byte| byte == 0) { Ok(()) } else { Err(Defect::Padding) }
    }
}

/// What stands for a number that is missing from a table.
pub const MISSING: f32 = f32::from_bits(0x7fc0_0000);

/// Returns two bytes of a record as a number.
#[inline(always)]
pub(crate) const fn u16_at<const BYTES: usize>(record: &[u8; BYTES], at: usize) -> u16 {
    match record.split_at_checked(at) {
        Some((_, rest)) => match rest.first_chunk() {
            Some(bytes) => u16::from_le_bytes(*bytes),
            None => 0,
        },
        None => 0,
    }
}

/// Returns four bytes of a record as a number.
#[inline(always)]
pub(crate) const fn u32_at<const BYTES: usize>(record: &[u8; BYTES], at: usize) -> u32 {
    u16_at(record, at) as u32 | (u16_at(record, at + 2) as u32) << 16
}

/// Returns how many zeros bring `len` to a multiple of four.
pub(crate) const fn padding(len: usize) -> usize {
    len.wrapping_neg() % 4
}
