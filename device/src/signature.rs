//! Models that only the holder of a key can make.

use attar_shared::Signature;

use crate::{EmbeddedStudent, Error, Student};

/// The public half of an Ed25519 key (RFC 8032), with which a board checks who made a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PublicKey([u8; 32]);

/// What stands before the key in a PEM file: the DER of a SubjectPublicKeyInfo with the algorithm Ed25519 (RFC 8410).
const DER: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

const BEGIN: &[u8] = b"-----BEGIN PUBLIC KEY-----";

impl PublicKey {
    /// Returns the key with these bytes.
    pub const fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Returns the key in a PEM file, as `attar keygen` and OpenSSL write it.
    ///
    /// ```
    /// use attar_device::PublicKey;
    ///
    /// const KEY: PublicKey = PublicKey::from_pem(
    ///     "-----BEGIN PUBLIC KEY-----\n\
    ///      MCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=\n\
    ///      -----END PUBLIC KEY-----\n", // or include_str!("key.pub")
    /// );
    /// # assert_eq!(KEY.bytes()[..4], [0xd7, 0x5a, 0x98, 0x01]);
    /// ```
    ///
    /// # Panics
    ///
    /// When it is no Ed25519 key: used in a constant, that is a compile error.
    #[allow(clippy::panic)]
    pub const fn from_pem(pem: &str) -> Self {
        match Self::decode(pem.as_bytes()) {
            Some(key) => key,
            None => panic!("not an Ed25519 public key in PEM"),
        }
    }

    /// Returns the bytes.
    pub const fn bytes(&self) -> [u8; 32] {
        self.0
    }

    const fn decode(pem: &[u8]) -> Option<Self> {
        let Some((begin, mut rest)) = pem.split_at_checked(BEGIN.len()) else { return None };
        if !same(begin, BEGIN) {
            return None;
        }
        while let [b'\r' | b'\n', after @ ..] = rest {
            rest = after;
        }
        // 44 bytes of DER are 59 letters and one `=`.
        let mut key = [0u8; 32];
        let mut known = DER.as_slice();
        let mut places = key.as_mut_slice();
        let (mut bits, mut count) = (0u32, 0);
        while let [letter, after @ ..] = rest {
            rest = after;
            let value = match *letter {
                b'A'..=b'Z' => *letter - b'A',
                b'a'..=b'z' => *letter - b'a' + 26,
                b'0'..=b'9' => *letter - b'0' + 52,
                b'+' => 62,
                b'/' => 63,
                b'=' => break,
                _ => return None,
            };
            bits = bits << 6 | value as u32;
            count += 6;
            if count < 8 {
                continue;
            }
            count -= 8;
            let byte = (bits >> count) as u8;
            if let [expected, after @ ..] = known {
                if byte != *expected {
                    return None;
                }
                known = after;
            } else {
                let [place, after @ ..] = places else { return None };
                *place = byte;
                places = after;
            }
        }
        if places.is_empty() { Some(Self(key)) } else { None }
    }

    /// Checks that a model was signed with this key and is no older than a revision.
    ///
    /// It reads the header and the signature's bytes, and at most hashes the file once (SHA-512) and computes two scalar products on
    /// the curve; nothing else of the model is looked at before. A key or a signature of small order is refused.
    ///
    /// # Errors
    ///
    /// [`Error::Parse`] when the bytes are no model at first sight, [`Error::Unsigned`], [`Error::WrongSignature`], and
    /// [`Error::Downgraded`].
    #[inline(never)]
    pub fn check(&self, model: &[u8], least_revision: u32) -> Result<(), Error> {
        let signature = Signature::of(model)?.ok_or(Error::Unsigned)?;
        let key = ed25519_compact::PublicKey::new(self.0);
        key.verify(signature.message, &ed25519_compact::Signature::new(*signature.bytes))
            .map_err(|_| Error::WrongSignature)?;
        let (least, got) = (least_revision, signature.revision);
        if got < least { Err(Error::Downgraded { least, got }) } else { Ok(()) }
    }
}

const fn same(mut a: &[u8], mut b: &[u8]) -> bool {
    while let ([x, rest @ ..], [y, others @ ..]) = (a, b) {
        if *x != *y {
            return false;
        }
        (a, b) = (rest, others);
    }
    a.is_empty() && b.is_empty()
}

impl<'a> Student<'a> {
    /// As [`Student::parse`], of a model that was signed with a key and has at least some revision.
    ///
    /// # Errors
    ///
    /// Those of [`PublicKey::check`] and [`Student::parse`].
    pub fn parse_signed(bytes: &'a [u8], key: &PublicKey, least_revision: u32) -> Result<Self, Error> {
        key.check(bytes, least_revision)?;
        Self::parse(bytes)
    }
}

impl<const PARTS: u128> EmbeddedStudent<PARTS> {
    /// As [`EmbeddedStudent::parse`], of a model that was signed with a key and has at least some revision.
    ///
    /// # Errors
    ///
    /// Those of [`PublicKey::check`] and [`EmbeddedStudent::parse`].
    pub fn parse_signed(&self, key: &PublicKey, least_revision: u32) -> Result<Student<'static, PARTS>, Error> {
        key.check(self.bytes(), least_revision)?;
        self.parse()
    }
}
