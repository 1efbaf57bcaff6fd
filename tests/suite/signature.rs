//! Signed models: what the command makes, what a board refuses, and another implementation's opinion.

use std::fs;
use std::path::Path;

use attar_device::{Error, PublicKey, Student};
use attar_shared::{HEADER_BYTES, Model, SIGNATURE_BYTES, Signature};
use attar_tests::{models, with_checksum};
use ed25519_dalek::{Signer, SigningKey, VerifyingKey};

use crate::command::{fails, in_folder, text};

/// The order of the group (RFC 8032), little-endian.
const ORDER: [u8; 32] = [
    0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14, 0, 0, 0, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
];

/// Signs with the other implementation.
fn signed(model: &[u8], revision: u32) -> (PublicKey, Vec<u8>) {
    let key = SigningKey::from_bytes(&[7; 32]);
    let mut buffer = vec![0; model.len() + SIGNATURE_BYTES];
    let bytes =
        attar_shared::sign(model, revision, &mut buffer, |message| key.sign(message).to_bytes()).unwrap().to_vec();
    (PublicKey::new(key.verifying_key().to_bytes()), bytes)
}

fn verifying(folder: &Path) -> VerifyingKey {
    let key = PublicKey::from_pem(&fs::read_to_string(folder.join("key.pub")).unwrap());
    VerifyingKey::from_bytes(&key.bytes()).unwrap()
}

#[test]
fn command_signs_what_another_implementation_accepts() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    fs::write(folder.join("m.attar"), models::everything()).unwrap();
    let good = |arguments: &[&str]| {
        let output = in_folder(folder, arguments);
        assert!(output.status.success(), "{arguments:?}: {}", text(&output.stderr));
        text(&output.stdout)
    };
    good(&["keygen", "--out", "key"]);
    good(&["sign", "m.attar", "--key", "key", "--revision", "9", "--out", "s.attar"]);
    assert!(good(&["verify-signature", "s.attar", "--key", "key.pub"]).contains("revision 9"));
    let bytes = fs::read(folder.join("s.attar")).unwrap();
    let signature = Signature::of(&bytes).unwrap().unwrap();
    verifying(folder).verify_strict(signature.message, &ed25519_dalek::Signature::from_bytes(signature.bytes)).unwrap();
    // Signing again replaces the signature; the model itself stays what it was.
    good(&["sign", "s.attar", "--key", "key", "--revision", "10"]);
    let again = fs::read(folder.join("s.attar")).unwrap();
    assert_eq!(again.len(), bytes.len());
    let (first, second) = (models::everything(), Model::parse(&again).unwrap());
    assert_eq!(second.header().revision, 10);
    assert_eq!(again[HEADER_BYTES..first.len() - 4], first[HEADER_BYTES..first.len() - 4]);
    assert!(good(&["inspect", "s.attar"]).contains("signed, revision 10"));
    assert!(good(&["verify", "s.attar", "--samples", "3"]).contains('0'));

    fails(folder, &["keygen", "--out", "key"], &["key.pub is there already", "name another file"]);
    fs::rename(folder.join("key.pub"), folder.join("public")).unwrap();
    fails(folder, &["keygen", "--out", "key"], &["key is there already"]);
    good(&["keygen", "--out", "other"]);
    let check = |model: &str, rest: &[&str], expected: &[&str]| {
        fails(folder, &[&["verify-signature", model, "--key"], rest].concat(), expected);
    };
    check("m.attar", &["public"], &["m.attar", "not signed"]);
    check("s.attar", &["other.pub"], &["s.attar", "signature is not that of the key"]);
    check("s.attar", &["public", "--least-revision", "11"], &["revision 10, at least 11"]);
    check("s.attar", &["key"], &["key: this is the secret half"]);
    check("s.attar", &["m.attar"], &["m.attar"]);
    check("none.attar", &["public"], &["none.attar"]);
    let sign = |key: &str, expected: &[&str]| {
        fails(folder, &["sign", "m.attar", "--key", key, "--revision", "1"], expected);
    };
    sign("public", &["public: not the secret half"]);
    sign("none", &["cannot read none"]);
    fs::write(folder.join("empty"), "").unwrap();
    sign("empty", &["empty: not the secret half"]);
    assert_eq!(fs::read(folder.join("m.attar")).unwrap(), models::everything());
}

#[test]
fn every_flipped_bit_under_a_right_checksum_is_refused() {
    let (key, bytes) = signed(&models::text(), 3);
    let student = Student::parse_signed(&bytes, &key, 3).unwrap();
    assert_eq!(student.self_test(&mut vec![0; student.model().arena_bytes()]), Ok(1));
    let mut wrong = 0;
    for place in 0..(bytes.len() - 4) * 8 {
        let mut flipped = bytes.clone();
        flipped[place / 8] ^= 1 << (place % 8);
        match key.check(&with_checksum(flipped), 0) {
            Err(Error::WrongSignature) => wrong += 1,
            Err(Error::Parse(_) | Error::Unsigned) if place < HEADER_BYTES * 8 => {}
            other => panic!("bit {place}: {other:?}"),
        }
    }
    println!("cases: {}", (bytes.len() - 4) * 8);
    assert!(wrong > (bytes.len() - 100) * 8);
}

#[test]
fn what_is_unsigned_cut_downgraded_or_signed_otherwise_is_refused() {
    let plain = models::text();
    let (key, bytes) = signed(&plain, 3);
    assert_eq!(key.check(&plain, 0), Err(Error::Unsigned));
    assert_eq!(key.check(&bytes, 4), Err(Error::Downgraded { least: 4, got: 3 }));
    for len in 0..bytes.len() {
        assert!(key.check(&bytes[..len], 0).is_err(), "{len} bytes were accepted");
    }
    // A file of the header and less than a signature.
    let mut short = bytes[..100].to_vec();
    short[8..12].copy_from_slice(&100u32.to_le_bytes());
    assert!(matches!(key.check(&short, 0), Err(Error::Parse(_))));
    // The same signature with S + L for S, which the equation alone would take (RFC 8032, 5.1.7).
    let mut other = bytes.clone();
    let start = bytes.len() - 4 - 32;
    let mut carry = 0;
    for (place, limb) in other[start..start + 32].iter_mut().zip(ORDER) {
        let sum = u16::from(*place) + u16::from(limb) + carry;
        *place = sum as u8;
        carry = sum >> 8;
    }
    assert_eq!(key.check(&with_checksum(other), 0), Err(Error::WrongSignature));
    // Points of small order as the key: with R the neutral element and S zero they would agree to any model.
    let mut forged = bytes.clone();
    forged[start - 32..start + 32].fill(0);
    forged[start - 32] = 1;
    let forged = with_checksum(forged);
    for weak in [[0; 32], [[1].as_slice(), &[0; 31]].concat().try_into().unwrap()] {
        assert_eq!(PublicKey::new(weak).check(&forged, 0), Err(Error::WrongSignature));
    }
}

#[test]
fn keys_in_pem_are_read_when_compiled_or_refused() {
    const GOOD: &str = "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=\n-----END PUBLIC KEY-----\n";
    // The first test vector of RFC 8032.
    let bytes = PublicKey::from_pem(GOOD).bytes();
    assert_eq!(attar::support::files::hex(&bytes), "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a");
    assert_eq!(PublicKey::from_pem(&GOOD.replace('\n', "\r\n")).bytes(), bytes);
    let bad = [
        "",
        "-----BEGIN PUBLIC KEY-----",
        &GOOD.replace("MCow", "MCox"),
        &GOOD.replace("HURo=", "HU"),
        &GOOD.replace("HURo=", "HURoAAAA"),
        &GOOD.replace("11q", "1*q"),
        &GOOD.replace("PUBLIC", "PRIVATE"),
    ];
    for pem in bad {
        let pem = pem.to_string();
        assert!(std::panic::catch_unwind(|| PublicKey::from_pem(&pem)).is_err(), "{pem}");
    }
}
