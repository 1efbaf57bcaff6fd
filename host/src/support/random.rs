//! Randomness: every use has a stream of its own that starts from the recipe's seed and a name.

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use sha2::{Digest, Sha256};

/// Returns the stream that belongs to a seed and a name; the same on every machine.
pub fn stream(seed: u64, name: &str) -> ChaCha8Rng {
    let digest = Sha256::new().chain_update(seed.to_le_bytes()).chain_update(name).finalize();
    ChaCha8Rng::from_seed(digest.into())
}
