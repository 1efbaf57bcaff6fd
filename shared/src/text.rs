//! Texts: what a word is, and how words and n-grams become numbers. Writer, board and workstation share this.
//!
//! A text is bytes of UTF-8. A byte belongs to a *word* when it is a letter or digit of ASCII or lies above it; a word is as
//! many such bytes as stand together. Capitals of ASCII count as small letters. A *letter* is a byte with the bytes 10xxxxxx
//! after it, so that n-grams never cut a letter of UTF-8 in two.

use core::ops::Range;

use crate::Defect;

/// Which n-grams of a text are looked at, and among how many buckets they choose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Grams {
    /// The rows to choose among, at most [`MAX_BUCKETS`].
    pub buckets: u32,
    /// The least and the greatest number of letters of an n-gram within a word, the marks of its ends included; 0 and 0
    /// without any.
    pub letters: [u8; 2],
    /// The greatest number of words of an n-gram; 0 without any.
    pub words: u8,
}

/// The most buckets: a bucket is chosen in 32 bits.
pub const MAX_BUCKETS: u32 = 1 << 16;

/// The most letters of an n-gram.
pub const MAX_LETTERS: u8 = 8;

/// The most words of an n-gram or a phrase.
pub const MAX_WORDS: u8 = 4;

/// The most n-grams that a text may have by its length: 512 times the sum of their rows fits 31 bits.
pub const MAX_GRAMS: usize = i32::MAX as usize >> 16;

impl Grams {
    /// Returns how many n-grams a text of so many bytes has at most.
    pub fn most(&self, bytes: usize) -> usize {
        let [least, greatest] = self.letters;
        let sizes = if greatest == 0 { 0 } else { usize::from(greatest.saturating_sub(least)) + 1 };
        bytes.saturating_mul(2).saturating_add(1).saturating_mul(sizes + usize::from(self.words))
    }

    /// Checks that a bag over a text of so many bytes can be computed.
    pub(crate) fn check(&self, bytes: usize) -> Result<(), Defect> {
        let [least, greatest] = self.letters;
        let letters = (least == 0) == (greatest == 0) && least <= greatest && greatest <= MAX_LETTERS;
        if !letters || self.words > MAX_WORDS || (greatest == 0 && self.words == 0) {
            return Err(Defect::Window);
        }
        if self.buckets == 0 || self.buckets > MAX_BUCKETS || self.most(bytes) > MAX_GRAMS {
            return Err(Defect::TooLarge);
        }
        Ok(())
    }

    /// Gives the bucket of each n-gram of a text.
    pub fn each(&self, text: &(impl Text + ?Sized), mut take: impl FnMut(u32)) {
        let mut from = 0;
        while let Some(word) = next_word(text, from) {
            if self.letters[1] > 0 {
                self.letters_of(text, &word, &mut take);
            }
            if self.words > 0 {
                phrases_from(text, &word, self.words, |phrase| take(self.bucket(phrase)));
            }
            from = word.end;
        }
    }

    /// Gives the bucket of each n-gram within a word, which stands between `<` and `>`.
    fn letters_of(&self, text: &(impl Text + ?Sized), word: &Range<usize>, take: &mut impl FnMut(u32)) {
        let len = word.end.saturating_sub(word.start) + 2;
        let symbol = |place: usize| match place {
            0 => b'<',
            _ if place + 1 == len => b'>',
            _ => small(text.byte(word.start + place - 1)),
        };
        let continues = |place: usize| place < len && symbol(place) & 0xC0 == 0x80;
        for start in (0..len).filter(|&place| !continues(place)) {
            let mut hash = LETTERS;
            let mut place = start;
            for letters in 1..=self.letters[1] {
                if place == len {
                    break;
                }
                hash = step(hash, symbol(place));
                place += 1;
                while continues(place) {
                    hash = step(hash, symbol(place));
                    place += 1;
                }
                if letters >= self.letters[0] {
                    take(self.bucket(hash));
                }
            }
        }
    }

    /// Returns the bucket of a hash: its bits are mixed once more, then the upper 16 choose.
    fn bucket(&self, hash: u32) -> u32 {
        let mixed = (hash ^ (hash >> 15)).wrapping_mul(MIX);
        (mixed >> 16).wrapping_mul(self.buckets) >> 16
    }
}

/// Something whose bytes are a text.
pub trait Text {
    /// Returns the number of bytes.
    fn len(&self) -> usize;

    /// Returns a byte; 0 after the last.
    fn byte(&self, place: usize) -> u8;

    /// Returns whether there is no byte.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Text for &[u8] {
    fn len(&self) -> usize {
        <[u8]>::len(self)
    }

    fn byte(&self, place: usize) -> u8 {
        self.get(place).copied().unwrap_or(0)
    }
}

impl Text for &[i8] {
    fn len(&self) -> usize {
        <[i8]>::len(self)
    }

    fn byte(&self, place: usize) -> u8 {
        self.get(place).map_or(0, |byte| byte.cast_unsigned())
    }
}

/// Gives the hash of each phrase of at most so many words; one space stands between two words.
pub fn each_phrase(text: &(impl Text + ?Sized), words: u8, mut take: impl FnMut(u32)) {
    let mut from = 0;
    while let Some(word) = next_word(text, from) {
        phrases_from(text, &word, words, &mut take);
        from = word.end;
    }
}

/// Returns the hash of all words of a text together, as [`each_phrase`] gives it, and how many there are.
pub fn phrase(text: &(impl Text + ?Sized)) -> (u32, usize) {
    let (mut hash, mut from, mut count) = (WORDS, 0, 0);
    while let Some(word) = next_word(text, from) {
        if count > 0 {
            hash = step(hash, b' ');
        }
        from = word.end;
        hash = add_word(hash, text, word);
        count += 1;
    }
    (hash, count)
}

/// Gives the hashes of the phrases that begin with a word.
fn phrases_from(text: &(impl Text + ?Sized), first: &Range<usize>, words: u8, mut take: impl FnMut(u32)) {
    let mut hash = add_word(WORDS, text, first.clone());
    take(hash);
    let mut from = first.end;
    for _ in 1..words {
        let Some(word) = next_word(text, from) else { return };
        from = word.end;
        hash = add_word(step(hash, b' '), text, word);
        take(hash);
    }
}

fn add_word(hash: u32, text: &(impl Text + ?Sized), word: Range<usize>) -> u32 {
    word.fold(hash, |hash, place| step(hash, small(text.byte(place))))
}

/// Returns where the next word stands, from a place on.
fn next_word(text: &(impl Text + ?Sized), from: usize) -> Option<Range<usize>> {
    let start = (from..text.len()).find(|&place| is_of_word(text.byte(place)))?;
    let end = (start..text.len()).find(|&place| !is_of_word(text.byte(place))).unwrap_or(text.len());
    Some(start..end)
}

fn is_of_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte >= 0x80
}

fn small(byte: u8) -> u8 {
    byte.to_ascii_lowercase()
}

/// A byte more in a hash: FNV-1a in 32 bits (Fowler, Noll, Vo).
fn step(hash: u32, byte: u8) -> u32 {
    (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
}

/// The hash of nothing: where those of words and phrases begin.
const WORDS: u32 = 0x811C_9DC5;

/// The hash of a zero byte: where those of letters begin, so that none is a word's.
const LETTERS: u32 = 0x050C_5D1F;

/// 2^32 over the golden ratio, whole.
const MIX: u32 = 0x9E37_79B9;

#[cfg(test)]
#[allow(clippy::indexing_slicing)]
mod tests {
    extern crate std;
    use std::vec::Vec;

    use super::*;

    #[test]
    fn hashes_are_the_published_ones() {
        assert_eq!(phrase(&"".as_bytes()), (0x811C_9DC5, 0));
        assert_eq!(phrase(&" A, ".as_bytes()), (0xE40C_292C, 1));
        assert_eq!(phrase(&"FOOBAR".as_bytes()), (0xBF9C_F968, 1));
        assert_eq!(step(WORDS, 0), LETTERS);
    }

    #[test]
    fn phrases_do_not_see_what_stands_between_their_words() {
        assert_eq!(phrase(&"New York".as_bytes()), phrase(&"  new - YORK!".as_bytes()));
        assert_ne!(phrase(&"newyork".as_bytes()), phrase(&"new york".as_bytes()));
        let mut found = Vec::new();
        each_phrase(&"to new york".as_bytes(), 2, |hash| found.push(hash));
        assert_eq!(found.len(), 5);
        assert!(found.contains(&phrase(&"new york".as_bytes()).0));
    }

    #[test]
    fn no_text_has_more_grams_than_are_promised() {
        let mut state = 7u64;
        for _ in 0..20_000 {
            let mut draw = |most: u64| {
                state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
                (state >> 33) % most
            };
            let text: Vec<u8> = (0..draw(9)).map(|_| b"ab \xC3\xA9\x80"[draw(6) as usize]).collect();
            let least = 1 + draw(3) as u8;
            let grams = Grams { buckets: 7, letters: [least, least + draw(4) as u8], words: draw(4) as u8 };
            let mut count = 0;
            grams.each(&text.as_slice(), |bucket| {
                assert!(bucket < 7);
                count += 1;
            });
            assert!(count <= grams.most(text.len()), "{text:?} {grams:?} has {count}");
        }
    }
}
