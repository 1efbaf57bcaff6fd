//! Serial lines of boards in QEMU, on which bytes may be lost or changed on purpose.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::thread::sleep;
use std::time::Duration;

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// A serial line.
#[derive(Debug)]
pub struct Line {
    stream: UnixStream,
    /// What happens to bytes in both directions.
    pub noise: Option<Noise>,
}

/// What happens to bytes.
#[derive(Debug)]
pub struct Noise {
    random: ChaCha8Rng,
    lost: f64,
    changed: f64,
    /// Bytes that were lost or changed.
    pub spoilt: usize,
}

impl Noise {
    /// Returns noise that loses and changes bytes with some probabilities, drawn by a seed.
    pub fn of(lost: f64, changed: f64, seed: u64) -> Self {
        Self { random: ChaCha8Rng::seed_from_u64(seed), lost, changed, spoilt: 0 }
    }

    fn spoil(&mut self, bytes: &mut Vec<u8>) {
        let before = bytes.len();
        bytes.retain(|_| !self.random.random_bool(self.lost));
        self.spoilt += before - bytes.len();
        for byte in bytes {
            if self.random.random_bool(self.changed) {
                *byte ^= 1 << self.random.random_range(0..8);
                self.spoilt += 1;
            }
        }
    }
}

impl Line {
    /// Connects to the socket that QEMU makes of a board's line, as soon as it is there.
    ///
    /// # Panics
    ///
    /// When it does not come.
    pub fn connect(path: &Path) -> Self {
        let stream = (0..200)
            .find_map(|_| {
                sleep(Duration::from_millis(20));
                UnixStream::connect(path).ok()
            })
            .expect("QEMU opens its line");
        stream.set_read_timeout(Some(Duration::from_millis(2))).expect("a socket waits as long as it is told");
        Self { stream, noise: None }
    }
}

impl Read for Line {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.stream.read(buffer)?;
        let mut bytes = buffer[..count].to_vec();
        if let Some(noise) = &mut self.noise {
            noise.spoil(&mut bytes);
        }
        buffer[..bytes.len()].copy_from_slice(&bytes);
        if count > 0 && bytes.is_empty() { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(bytes.len()) }
    }
}

impl Write for Line {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let mut bytes = buffer.to_vec();
        if let Some(noise) = &mut self.noise {
            noise.spoil(&mut bytes);
        }
        self.stream.write_all(&bytes)?;
        Ok(buffer.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}
