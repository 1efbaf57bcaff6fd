//! Keys and signatures: who may make a model that a board takes. Ed25519 (RFC 8032), keys in PEM (RFC 8410).

use std::path::Path;

use anyhow::{Context, Result, anyhow, ensure};
use attar_device::{Error, PublicKey};
use attar_shared::SIGNATURE_BYTES;
use ed25519_compact::KeyPair;

use crate::support::files;

/// A key is a few lines.
const MOST_BYTES: u64 = 10_000;

/// Makes a key and writes its secret half to `secret`, for its owner alone, and its public half to `public`.
///
/// # Errors
///
/// When one of the files is there already or cannot be written.
pub fn keygen(secret: &Path, public: &Path) -> Result<PublicKey> {
    let pair = KeyPair::generate();
    ensure!(!public.exists(), "{} is there already, and a key is not replaced: name another file", public.display());
    files::write_secret(secret, pair.sk.to_pem().as_bytes())?;
    if let Err(error) = files::write_whole(public, pair.pk.to_pem().as_bytes()) {
        // Half a key would be in the way of the next attempt.
        let _ = std::fs::remove_file(secret);
        let _ = std::fs::remove_file(public);
        return Err(error);
    }
    Ok(PublicKey::new(*pair.pk))
}

/// Returns a model with a revision and a signature, which replaces one that it has.
///
/// # Errors
///
/// When the key cannot be read or is none, or the model is refused.
pub fn sign(model: &[u8], key: &Path, revision: u32) -> Result<Vec<u8>> {
    let pem = read_pem(key)?;
    let pair = KeyPair::from_pem(&pem).map_err(|_| {
        anyhow!("{}: not the secret half of an Ed25519 key in PEM, as `attar keygen` writes it", key.display())
    })?;
    let mut buffer = vec![0; model.len() + SIGNATURE_BYTES];
    let signed = attar_shared::sign(model, revision, &mut buffer, |message| *pair.sk.sign(message, None))?;
    let len = signed.len();
    buffer.truncate(len);
    Ok(buffer)
}

/// Returns the public half of a key.
///
/// # Errors
///
/// When the file cannot be read or is none.
pub fn read_public(path: &Path) -> Result<PublicKey> {
    let pem = read_pem(path)?;
    let key = ed25519_compact::PublicKey::from_pem(&pem).map_err(|_| {
        let advice = match pem.contains("PRIVATE KEY") {
            true => "this is the secret half; the public half is in the file .pub beside it",
            false => "not the public half of an Ed25519 key in PEM, as `attar keygen` writes it",
        };
        anyhow!("{}: {advice}", path.display())
    })?;
    Ok(PublicKey::new(*key))
}

/// Checks a model as a board does.
///
/// # Errors
///
/// As [`PublicKey::check`].
pub fn check(model: &[u8], key: &PublicKey, least_revision: u32) -> Result<(), Error> {
    key.check(model, least_revision)
}

fn read_pem(path: &Path) -> Result<String> {
    let bytes = files::read_at_most(path, MOST_BYTES)?;
    String::from_utf8(bytes).with_context(|| format!("{}: not a key in PEM", path.display()))
}
