//! WAV files: a strict walk over their chunks, and samples of every common width as 16 bits.
//!
//! Written here since the readers at hand refuse what recorders write (a pad byte before the data, sizes that a pipe could
//! not fill in, floats of 64 bits) or ignore how many bits of a sample are valid.

use std::fs::File;
use std::io::{BufReader, Read, Seek};
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};

/// A WAV file, open at its first sample.
#[derive(Debug)]
pub struct Wav<R> {
    source: R,
    /// Samples a second and channel.
    pub rate: u32,
    /// Channels.
    pub channels: u16,
    encoding: Encoding,
    /// Bytes of a sample.
    room: usize,
    /// Bits of a sample that say something.
    valid: u16,
    /// Bytes of all samples that the header promises; nothing where it could not know.
    promised: Option<u64>,
    /// Bytes from the first sample to the end of the file.
    left: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Encoding {
    Integer,
    Float,
}

impl Wav<BufReader<File>> {
    /// Opens a file and reads its header.
    ///
    /// # Errors
    ///
    /// When it cannot be read, is no WAV file, or has samples of a kind that is not read.
    pub fn open(path: &Path) -> Result<Self> {
        let file = crate::support::files::open_regular(path)?;
        let len = file.metadata().context("cannot be read")?.len();
        Self::new(BufReader::new(file), len)
    }
}

impl<R: Read + Seek> Wav<R> {
    /// Reads the header of a file of so many bytes.
    ///
    /// # Errors
    ///
    /// As [`Wav::open`].
    pub fn new(mut source: R, len: u64) -> Result<Self> {
        ensure!(len > 0, "is empty");
        let mut head = [0; 12];
        source.read_exact(&mut head).ok().context("is no WAV file: it is shorter than a header")?;
        let [id, riff_size, form] = words(&head);
        match &id {
            b"RIFF" | b"RF64" | b"BW64" => {}
            b"RIFX" => bail!("is a WAV file of the other byte order (RIFX): {CONVERT}"),
            _ => bail!("is no WAV file: it begins with {:?}: {CONVERT}", id.escape_ascii().to_string()),
        }
        ensure!(&form == b"WAVE", "is no WAV file, but {:?} in RIFF: {CONVERT}", form.escape_ascii().to_string());
        let riff_size = u32::from_le_bytes(riff_size);
        let mut at = 12u64;
        let (mut format, mut wide_size) = (None, None);
        loop {
            let mut chunk = [0; 8];
            let cut = || if format.is_some() { "has no samples: no data chunk" } else { "ends within its header" };
            ensure!(len - at >= 8, "{}", cut());
            source.read_exact(&mut chunk).with_context(cut)?;
            let [id, size] = words(&chunk);
            let size = u32::from_le_bytes(size);
            at += 8;
            let plain = id.iter().all(|byte| (b' '..=b'~').contains(byte));
            ensure!(plain, "is broken: at byte {} it has {:?}, expected the name of a chunk", at - 8, {
                id.escape_ascii().to_string()
            });
            if &id == b"data" {
                let format: Format = format.context("has samples before it says of what kind (no fmt chunk)")?;
                let promised = promised(size, riff_size, wide_size, len - at);
                let wav = Self {
                    source,
                    rate: format.rate,
                    channels: format.channels,
                    encoding: format.encoding,
                    room: format.room,
                    valid: format.valid,
                    promised,
                    left: len - at,
                };
                return wav.checked(len, at);
            }
            let padded = u64::from(size) + u64::from(size % 2);
            ensure!(
                u64::from(size) <= len - at,
                "is cut off or broken: its chunk {:?} promises {size} bytes, the file has {} more",
                id.escape_ascii().to_string(),
                len - at
            );
            let taken = size.min(MOST_HEADER);
            let mut body = Vec::new();
            match &id {
                b"fmt " | b"ds64" => {
                    source.by_ref().take(u64::from(taken)).read_to_end(&mut body).context("cannot be read")?;
                    if &id == b"fmt " {
                        ensure!(format.is_none(), "has two fmt chunks");
                        format = Some(Format::read(&body)?);
                    } else {
                        wide_size = body.get(8..16).and_then(|size| size.try_into().ok()).map(u64::from_le_bytes);
                    }
                }
                _ => {}
            }
            at = (at + padded).min(len);
            source.seek(std::io::SeekFrom::Start(at)).context("cannot be read")?;
        }
    }

    /// Holds the size of the samples against the file, and what follows them.
    fn checked(mut self, len: u64, at: u64) -> Result<Self> {
        let frame = self.room as u64 * u64::from(self.channels);
        if let Some(promised) = self.promised {
            ensure!(
                promised <= self.left,
                "ends after {} of {} samples that its header promises",
                self.left / frame,
                promised / frame
            );
            ensure!(
                promised > 0 || self.left == 0,
                "has no samples by its header, while {} bytes follow it: {CONVERT}",
                self.left
            );
            self.refuse_second(len, at + promised + promised % 2)?;
            self.source.seek(std::io::SeekFrom::Start(at)).context("cannot be read")?;
        }
        let bytes = self.promised.unwrap_or(self.left);
        ensure!(
            bytes.is_multiple_of(frame),
            "has {bytes} bytes of samples, which is no whole number of {frame} bytes for {} channels",
            self.channels
        );
        Ok(self)
    }

    /// Refuses a second chunk of samples behind the first; anything else may follow.
    fn refuse_second(&mut self, len: u64, mut at: u64) -> Result<()> {
        while at + 8 <= len {
            self.source.seek(std::io::SeekFrom::Start(at)).context("cannot be read")?;
            let mut chunk = [0; 8];
            self.source.read_exact(&mut chunk).context("cannot be read")?;
            let [id, size] = words(&chunk);
            ensure!(&id != b"data", "has its samples in several data chunks: {CONVERT}");
            let size = u64::from(u32::from_le_bytes(size));
            at += 8 + size + size % 2;
        }
        Ok(())
    }

    /// Returns all samples as 16 bits, those of several channels taking turns; full scale stays full scale.
    ///
    /// # Errors
    ///
    /// When the file ends too early, a float is not finite or far outside -1 to 1, or bits that should say nothing do.
    pub fn samples(mut self) -> Result<Vec<i16>> {
        let bytes = self.promised.unwrap_or(self.left);
        let count = usize::try_from(bytes)? / self.room;
        let mut samples = Vec::with_capacity(count);
        let mut buffer = vec![0; self.room * BLOCK.min(count.max(1))];
        let mut loudest = 0.0f64;
        while samples.len() < count {
            let block = &mut buffer[..self.room * BLOCK.min(count - samples.len())];
            let done = samples.len();
            self.source
                .read_exact(block)
                .with_context(|| format!("ends after {done} of {count} samples that its header promises"))?;
            match self.encoding {
                Encoding::Integer => self.integers(block, &mut samples)?,
                Encoding::Float => {
                    for bytes in block.chunks_exact(self.room) {
                        let sample = match *bytes {
                            [a, b, c, d] => f64::from(f32::from_le_bytes([a, b, c, d])),
                            [a, b, c, d, e, f, g, h] => f64::from_le_bytes([a, b, c, d, e, f, g, h]),
                            _ => bail!("has floats of {} bytes", self.room),
                        };
                        ensure!(sample.is_finite(), "sample {} is not finite", samples.len());
                        loudest = loudest.max(sample.abs());
                        samples.push((sample * 32_768.0).round() as i16);
                    }
                }
            }
        }
        ensure!(
            loudest <= MOST_FLOAT,
            "has floats up to {loudest}, expected -1 to 1: full scale is not known; scale them, or save integers"
        );
        Ok(samples)
    }

    /// Adds integers of any width; what is narrower than its room stands at the upper end of it.
    fn integers(&self, block: &[u8], samples: &mut Vec<i16>) -> Result<()> {
        let unused = 8 * self.room as u32 - u32::from(self.valid);
        for bytes in block.chunks_exact(self.room) {
            // In the upper bits of 32, whatever the width.
            let value = match *bytes {
                // 8 bits alone are without sign.
                [a] => i32::from(a ^ 0x80) << 24,
                [a, b] => i32::from_le_bytes([0, 0, a, b]),
                [a, b, c] => i32::from_le_bytes([0, a, b, c]),
                [a, b, c, d] => i32::from_le_bytes([a, b, c, d]),
                _ => bail!("has integers of {} bytes", self.room),
            };
            let below = (value as u32 >> (32 - 8 * self.room as u32)) & ((1u32 << unused) - 1);
            ensure!(
                below == 0,
                "keeps samples of {} bits at the lower end of {}, or has noise below them: {CONVERT}",
                self.valid,
                8 * self.room
            );
            samples.push((value >> 16) as i16);
        }
        Ok(())
    }
}

/// What a `fmt ` chunk says.
#[derive(Debug, Clone, Copy)]
struct Format {
    rate: u32,
    channels: u16,
    encoding: Encoding,
    room: usize,
    valid: u16,
}

impl Format {
    fn read(body: &[u8]) -> Result<Self> {
        ensure!(body.len() >= 16, "has a fmt chunk of {} bytes, expected 16 or more", body.len());
        let short = |at: usize| u16::from_le_bytes([body[at], body[at + 1]]);
        let rate = u32::from_le_bytes([body[4], body[5], body[6], body[7]]);
        let (mut tag, channels, frame, bits) = (short(0), short(2), short(12), short(14));
        let mut valid = bits;
        if tag == EXTENSIBLE {
            ensure!(body.len() >= 40, "has an extensible fmt chunk of {} bytes, expected 40", body.len());
            if short(18) != 0 {
                valid = short(18);
            }
            ensure!(body[26..40] == GUID_TAIL, "has samples of a kind that is not known (its GUID): {CONVERT}");
            tag = short(24);
        }
        let encoding = match tag {
            1 => Encoding::Integer,
            3 => Encoding::Float,
            _ => {
                let name =
                    NAMES.iter().find(|(known, _)| *known == tag).map_or("a kind that is not known", |(_, name)| name);
                bail!("has samples of {name} (format {tag:#06x}), expected integers or floats: {CONVERT}")
            }
        };
        ensure!(rate > 0 && channels > 0, "has {channels} channels of {rate} samples a second in its header");
        let room = usize::from(frame) / usize::from(channels);
        ensure!(room > 0 && frame.is_multiple_of(channels), "has {frame} bytes for {channels} channels in its header");
        let width = usize::from(valid);
        let good = match encoding {
            // Those of 8 bits have no sign, which leaves no lower end to be filled up at.
            Encoding::Integer => (2..=4).contains(&room) && (1..=8 * room).contains(&width) || (room, width) == (1, 8),
            Encoding::Float => [4, 8].contains(&room) && width == 8 * room,
        };
        ensure!(
            good,
            "has samples of {valid} bits in {} ({encoding:?}), expected integers of 8 to 32 bits or floats of 32 or 64: {CONVERT}",
            8 * room
        );
        Ok(Self { rate, channels, encoding, room, valid })
    }
}

/// Returns how many bytes of samples a header promises; nothing when whoever wrote it could not go back to fill it in.
fn promised(size: u32, riff_size: u32, wide: Option<u64>, left: u64) -> Option<u64> {
    if let (u32::MAX, Some(wide)) = (size, wide) {
        return (wide != u64::MAX).then_some(wide);
    }
    let of_a_pipe = size == u32::MAX || (size >= PIPE_SIZE && u64::from(size) > left);
    let left_empty = size == 0 && left > 0 && (riff_size == 0 || riff_size == u32::MAX);
    (!of_a_pipe && !left_empty).then_some(u64::from(size))
}

fn words<const N: usize, const M: usize>(bytes: &[u8; N]) -> [[u8; 4]; M] {
    std::array::from_fn(|index| std::array::from_fn(|place| bytes[4 * index + place]))
}

const CONVERT: &str = "convert it (ffmpeg -i IN -c:a pcm_s16le OUT)";

/// Samples that are read at once.
const BLOCK: usize = 1 << 14;

/// The most bytes of a chunk of the header that are looked at.
const MOST_HEADER: u32 = 64;

/// The least size that stands for "not known": SoX and arecord write something near 2 GiB into a pipe.
const PIPE_SIZE: u32 = 0x7fff_f000;

/// Floats beyond that are no samples of full scale 1 that have been amplified a little.
const MOST_FLOAT: f64 = 2.0;

const EXTENSIBLE: u16 = 0xfffe;

/// What follows the format in the GUID of an extensible header.
const GUID_TAIL: [u8; 14] = [0, 0, 0, 0, 0x10, 0, 0x80, 0, 0, 0xaa, 0, 0x38, 0x9b, 0x71];

/// Formats that are refused by their name.
const NAMES: [(u16, &str); 8] = [
    (0x0002, "ADPCM"),
    (0x0006, "A-law"),
    (0x0007, "mu-law"),
    (0x0011, "IMA ADPCM"),
    (0x0031, "GSM 6.10"),
    (0x0050, "MPEG audio"),
    (0x0055, "MP3"),
    (0x00ff, "AAC"),
];

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    fn chunk(id: &[u8; 4], size: u32, body: &[u8]) -> Vec<u8> {
        [id, size.to_le_bytes().as_slice(), body].concat()
    }

    /// Returns a `fmt ` chunk of one channel.
    fn format(tag: u16, frame: u16, bits: u16, more: &[u8]) -> Vec<u8> {
        let (tag, frame, bits) = (tag.to_le_bytes(), frame.to_le_bytes(), bits.to_le_bytes());
        let body = [tag.as_slice(), &[1, 0], &8000u32.to_le_bytes(), &[0; 4], &frame, &bits, more].concat();
        chunk(b"fmt ", body.len() as u32, &body)
    }

    fn extensible(tag: u8, frame: u16, bits: u16, valid: u8) -> Vec<u8> {
        format(EXTENSIBLE, frame, bits, &[&[22, 0, valid, 0, 4, 0, 0, 0, tag, 0], GUID_TAIL.as_slice()].concat())
    }

    fn file(riff_size: u32, chunks: &[Vec<u8>]) -> Vec<u8> {
        [b"RIFF".as_slice(), &riff_size.to_le_bytes(), b"WAVE", &chunks.concat()].concat()
    }

    fn read(bytes: &[u8]) -> Result<Vec<i16>> {
        Wav::new(Cursor::new(bytes), bytes.len() as u64)?.samples()
    }

    fn error(bytes: &[u8]) -> String {
        format!("{:#}", read(bytes).unwrap_err())
    }

    /// 1000, -2 and -30000 at 16 bits.
    const PLAIN: [i16; 3] = [1000, -2, -30_000];

    fn plain() -> Vec<u8> {
        PLAIN.iter().flat_map(|x| x.to_le_bytes()).collect()
    }

    fn pcm() -> Vec<u8> {
        format(1, 2, 16, &[])
    }

    fn data(bytes: &[u8]) -> Vec<u8> {
        chunk(b"data", bytes.len() as u32, bytes)
    }

    #[test]
    fn every_width_keeps_its_level() {
        let wide = |f: fn(i16) -> Vec<u8>| data(&PLAIN.iter().flat_map(|&x| f(x)).collect::<Vec<u8>>());
        for (name, format, data) in [
            ("16", pcm(), data(&plain())),
            ("24", format(1, 3, 24, &[]), wide(|x| (i32::from(x) << 8).to_le_bytes()[..3].to_vec())),
            ("32", format(1, 4, 32, &[]), wide(|x| (i32::from(x) << 16).to_le_bytes().to_vec())),
            ("24 of 32", extensible(1, 4, 32, 24), wide(|x| (i32::from(x) << 16).to_le_bytes().to_vec())),
            ("f32", format(3, 4, 32, &[]), wide(|x| (f32::from(x) / 32_768.0).to_le_bytes().to_vec())),
            ("f64", format(3, 8, 64, &[0, 0]), wide(|x| (f64::from(x) / 32_768.0).to_le_bytes().to_vec())),
            ("f32 ext", extensible(3, 4, 32, 32), wide(|x| (f32::from(x) / 32_768.0).to_le_bytes().to_vec())),
        ] {
            assert_eq!(read(&file(36, &[format, data])).unwrap(), PLAIN, "{name}");
        }
        assert_eq!(read(&file(36, &[format(1, 1, 8, &[]), data(&[0, 128, 255])])).unwrap(), [-32_768, 0, 32_512]);
        assert_eq!(read(&file(36, &[format(1, 2, 12, &[]), data(&[0x10, 0x7f])])).unwrap(), [0x7f10]);
    }

    #[test]
    fn bits_that_should_say_nothing_are_refused_when_they_do() {
        // The same 24 bits at the lower end of 32 would be 256 times too quiet, or too loud.
        let low: Vec<u8> = PLAIN.iter().flat_map(|&x| (i32::from(x) * 256 + 5).to_le_bytes()).collect();
        for format in [extensible(1, 4, 32, 24), format(1, 4, 24, &[])] {
            assert!(error(&file(36, &[format, data(&low)])).contains("24 bits at the lower end of 32"));
        }
    }

    #[test]
    fn chunks_before_and_behind_the_samples_are_passed_over() {
        let odd = chunk(b"LIST", 3, b"abc\0");
        let tail = chunk(b"LIST", 2, b"xy");
        assert_eq!(read(&file(99, &[odd.clone(), pcm(), odd, data(&plain()), tail])).unwrap(), PLAIN);
    }

    #[test]
    fn sizes_that_a_pipe_could_not_fill_in_mean_to_the_end() {
        for (riff, size) in [(u32::MAX, u32::MAX), (0, 0), (u32::MAX, 0), (0x7fff_f024, 0x7fff_f000)] {
            assert_eq!(read(&file(riff, &[pcm(), chunk(b"data", size, &plain())])).unwrap(), PLAIN, "{size:#x}");
        }
        let mut wide = file(
            u32::MAX,
            &[
                chunk(b"ds64", 28, &[&[0; 8], 6u64.to_le_bytes().as_slice(), &[0; 12]].concat()),
                pcm(),
                chunk(b"data", u32::MAX, &plain()),
                chunk(b"LIST", 2, b"xy"),
            ],
        );
        for name in [b"RF64", b"BW64"] {
            wide[..4].copy_from_slice(name);
            assert_eq!(read(&wide).unwrap(), PLAIN);
        }
    }

    #[test]
    fn what_is_not_read_is_refused_by_name() {
        for (bytes, expected) in [
            (file(36, &[format(6, 1, 8, &[]), data(&[1])]), "A-law"),
            (file(36, &[format(7, 1, 8, &[]), data(&[1])]), "mu-law"),
            (file(36, &[extensible(7, 1, 8, 8), data(&[1])]), "mu-law"),
            (file(36, &[format(2, 1, 4, &[]), data(&[1])]), "ADPCM"),
            (file(36, &[format(1, 8, 64, &[]), data(&[0; 8])]), "64 bits in 64 (Integer)"),
            (file(36, &[format(3, 2, 16, &[]), data(&[0; 2])]), "16 bits in 16 (Float)"),
            (file(36, &[format(1, 0, 16, &[]), data(&[0; 2])]), "0 bytes for 1 channels"),
            (file(36, &[pcm(), data(&plain()), data(&plain())]), "several data chunks"),
            (file(36, &[pcm(), pcm(), data(&plain())]), "two fmt chunks"),
            (file(36, &[data(&plain())]), "no fmt chunk"),
            (file(36, &[pcm()]), "no data chunk"),
            (file(36, &[pcm(), data(&[1, 2, 3])]), "no whole number of 2 bytes"),
            (file(36, &[pcm(), chunk(b"data", 60, &plain())]), "ends after 3 of 30 samples"),
            (file(42, &[pcm(), chunk(b"data", 0, &plain())]), "no samples by its header, while 6 bytes follow"),
            (file(36, &[chunk(b"LIST", 3, b"abc"), pcm(), data(&plain())]), "is broken"),
            (file(36, &[pcm(), chunk(b"LIST", 99, b"abc")]), "promises 99 bytes, the file has 3 more"),
            (file(36, &[format(3, 4, 32, &[]), data(&f32::NAN.to_le_bytes())]), "sample 0 is not finite"),
            (file(36, &[format(3, 4, 32, &[]), data(&3e4f32.to_le_bytes())]), "floats up to 30000"),
            ([b"RIFX".as_slice(), &file(36, &[pcm()])[4..]].concat(), "the other byte order"),
            (b"OggS and more than twelve bytes".to_vec(), "begins with \"OggS\""),
            (b"RIFF".to_vec(), "shorter than a header"),
            (Vec::new(), "is empty"),
        ] {
            let error = error(&bytes);
            assert!(error.contains(expected), "{expected}: {error}");
        }
        let mut other = extensible(1, 2, 16, 16);
        other[8 + 30] ^= 1;
        assert!(error(&file(36, &[other, data(&plain())])).contains("GUID"));
    }

    #[test]
    fn every_truncation_is_refused() {
        let whole = file(36, &[pcm(), data(&plain())]);
        for len in 0..whole.len() {
            assert!(read(&whole[..len]).is_err(), "{len} bytes");
        }
    }
}
