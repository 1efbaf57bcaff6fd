//! The checksum of a file: CRC-32 as zip and Ethernet have it.

/// What four bits shifted out add, by their value.
const TABLE: [u32; 16] = table();

/// A CRC-32 (ISO-HDLC) of bytes that come piece by piece.
///
/// Four bits at a time: a table of whole bytes would be a kilobyte of a board's flash, and bit by bit it takes longer than a
/// run of the model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Checksum(u32);

impl Checksum {
    /// Returns the checksum of nothing yet.
    pub const fn new() -> Self {
        Self(!0)
    }

    /// Takes more bytes.
    pub fn add(&mut self, bytes: impl IntoIterator<Item = u8>) {
        self.0 = bytes.into_iter().fold(self.0, |crc, byte| shift(shift(crc ^ u32::from(byte))));
    }

    /// Returns the checksum of all bytes so far.
    pub const fn value(self) -> u32 {
        !self.0
    }
}

impl Default for Checksum {
    fn default() -> Self {
        Self::new()
    }
}

/// Returns the CRC-32 (ISO-HDLC) of `bytes`.
pub fn checksum(bytes: impl IntoIterator<Item = u8>) -> u32 {
    let mut sum = Checksum::new();
    sum.add(bytes);
    sum.value()
}

#[inline(always)]
fn shift(crc: u32) -> u32 {
    let added = TABLE.get((crc & 15) as usize).copied().unwrap_or(0);
    crc >> 4 ^ added
}

// Indexing is what `const` context allows.
#[allow(clippy::indexing_slicing)]
const fn table() -> [u32; 16] {
    let mut table = [0; 16];
    let mut value = 0;
    while value < 16 {
        let mut crc = value as u32;
        let mut bit = 0;
        while bit < 4 {
            // 0x04C11DB7 with its bits in reverse.
            crc = if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 };
            bit += 1;
        }
        table[value] = crc;
        value += 1;
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn check_value_is_that_of_the_catalogue() {
        assert_eq!(checksum(*b"123456789"), 0xcbf4_3926);
        assert_eq!(checksum([]), 0);
    }
}
