//! Texts: words, hashes, n-grams, gazetteers.

use super::{Bag, Gazetteer, Tensor, arithmetic};

impl Bag {
    /// The output vector for the bytes of a text.
    pub(super) fn mean(&self, text: &[i8], output: &Tensor) -> Vec<i64> {
        let rows = self.grams(&bytes(text));
        let count = rows.len() as i64;
        let channel = |c: usize| {
            let sum: i64 = rows.iter().map(|row| i64::from(self.rows[row * output.channels + c])).sum();
            let mean = if count == 0 { 0 } else { (512 * sum + count).div_euclid(2 * count) };
            i64::from(output.zero_point) + arithmetic::requantize(mean, self.multiplier, self.shift)
        };
        (0..output.channels).map(channel).collect()
    }

    /// The most n-grams of a text of so many bytes.
    pub(super) fn most_grams(&self, bytes: usize) -> usize {
        let [least, greatest] = self.letters;
        let sizes = if greatest == 0 { 0 } else { greatest + 1 - least };
        (2 * bytes + 1) * (sizes + self.words)
    }

    /// The bucket of each n-gram.
    fn grams(&self, text: &[u8]) -> Vec<usize> {
        let words = words(text);
        let mut hashes = Vec::new();
        for word in &words {
            let letters = letters(&[b"<", word.as_slice(), b">"].concat());
            for n in self.letters[0].max(1)..=self.letters[1] {
                hashes.extend(letters.windows(n).map(|gram| fnv(&[&[0], gram.concat().as_slice()].concat())));
            }
        }
        hashes.extend(phrases(&words, self.words));
        hashes.into_iter().map(|hash| self.bucket(hash)).collect()
    }

    fn bucket(&self, hash: u32) -> usize {
        let mixed = u64::from(hash ^ (hash / 32_768)) * 2_654_435_769 % (1 << 32);
        (mixed / 65_536) as usize * self.buckets / 65_536
    }
}

impl Gazetteer {
    /// The bits of the features that a raw text has.
    pub(super) fn features(&self, raw: &[f32]) -> u16 {
        let text: Vec<u8> = raw.iter().map(|x| *x as i32 as u8).collect();
        let found = phrases(&words(&text), self.words);
        let known = self.entries.iter().filter(|(hash, _)| found.contains(hash));
        known.fold(0, |features, (_, own)| features | own)
    }
}

fn bytes(text: &[i8]) -> Vec<u8> {
    text.iter().map(|byte| *byte as u8).collect()
}

/// The words in small letters.
fn words(text: &[u8]) -> Vec<Vec<u8>> {
    let small = text.to_ascii_lowercase();
    let of_word = |byte: &u8| matches!(byte, b'0'..=b'9' | b'a'..=b'z' | 128..);
    small.split(|byte| !of_word(byte)).filter(|word| !word.is_empty()).map(<[u8]>::to_vec).collect()
}

/// The hash of every run of 1 to `most` words with spaces between them.
fn phrases(words: &[Vec<u8>], most: usize) -> Vec<u32> {
    (1..=most).flat_map(|n| words.windows(n).map(|run| fnv(&run.join(&b' '))).collect::<Vec<_>>()).collect()
}

/// The letters of UTF-8; what only continues belongs to the letter before it.
fn letters(word: &[u8]) -> Vec<Vec<u8>> {
    let mut letters: Vec<Vec<u8>> = Vec::new();
    for byte in word {
        match letters.last_mut() {
            Some(letter) if (128..192).contains(byte) => letter.push(*byte),
            _ => letters.push(vec![*byte]),
        }
    }
    letters
}

/// FNV-1a in 32 bits.
fn fnv(bytes: &[u8]) -> u32 {
    bytes
        .iter()
        .fold(2_166_136_261, |hash: u32, byte| (u64::from(hash ^ u32::from(*byte)) * 16_777_619 % (1 << 32)) as u32)
}
