//! The specification in plain Rust, without the engine: what tests and fuzz targets hold it against. It needs no candle, so that
//! it builds in seconds, also for Miri and for a fuzzer.

pub mod definition;
pub mod flash;
pub mod parameters;
pub mod reference;
pub mod targets;

/// Returns the bytes of a model with the checksum that belongs to them.
pub fn with_checksum(mut bytes: Vec<u8>) -> Vec<u8> {
    let body = bytes.len() - 4;
    let sum = crc32(&bytes[..body]);
    bytes[body..].copy_from_slice(&sum.to_le_bytes());
    bytes
}

/// Returns the CRC-32 of zip and Ethernet, bit by bit.
pub fn crc32(bytes: &[u8]) -> u32 {
    let mut sum = !0u32;
    for &byte in bytes {
        sum ^= u32::from(byte);
        for _ in 0..8 {
            sum = if sum & 1 == 1 { sum >> 1 ^ 0xedb8_8320 } else { sum >> 1 };
        }
    }
    !sum
}
