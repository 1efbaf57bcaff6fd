//! What trust costs on a board: flash of signature, store and link, instructions and stack of what they do.

use std::fs;

use anyhow::{Context, Result, anyhow};
use attar::boards::find_simulated;
use attar::boards::verify::flash_bytes;
use attar_shared::SIGNATURE_BYTES;
use ed25519_dalek::{Signer, SigningKey};

use crate::firmware::{self, KNOWN_SECRET, Program, known_key};
use crate::models;

/// The boards that are measured, by core.
pub const BOARDS: [(&str, &str); 3] = [("m0", "mps2-an385-m0"), ("m4", "mps2-an386"), ("rv32imc", "riscv32-virt")];

/// What one part costs on one core.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cost {
    /// The core.
    pub core: &'static str,
    /// What it is.
    pub what: String,
    /// Instructions, 0 for what is only flash.
    pub instructions: u64,
    /// The deepest stack up to there, 0 where it is not measured.
    pub stack: u64,
    /// Bytes of flash that it adds to a program, 0 for what is only instructions.
    pub flash: u64,
}

/// Signs a model with the key that everyone knows.
pub fn signed(model: &[u8], revision: u32) -> Vec<u8> {
    signed_by(KNOWN_SECRET, model, revision)
}

/// Signs a model with any key.
pub fn signed_by(secret: [u8; 32], model: &[u8], revision: u32) -> Vec<u8> {
    let key = SigningKey::from_bytes(&secret);
    let mut buffer = vec![0; model.len() + SIGNATURE_BYTES];
    let signed = attar_shared::sign(model, revision, &mut buffer, |message| key.sign(message).to_bytes());
    signed.expect("the model is valid").to_vec()
}

/// Builds and runs the programs that tell, around the golden file that reads a text.
///
/// # Errors
///
/// When a program does not build or run.
pub fn costs() -> Result<Vec<Cost>> {
    let folder = tempfile::tempdir()?;
    let student = folder.path().join("signed.attar");
    fs::write(&student, signed(&models::text(), 3))?;
    let mut costs = Vec::new();
    for (core, name) in BOARDS {
        let board = find_simulated(name)?;
        let key = known_key();
        let program = |name, features| -> Result<_> {
            let program = Program { name, features, student: &student, key: &key };
            firmware::build(board, program, folder.path()).map_err(|error| anyhow!("{error}"))
        };
        let plain = flash_bytes(&program("whole", "")?)?;
        for feature in ["signed", "store", "link"] {
            let flash = flash_bytes(&program("whole", feature)?)? - plain;
            costs.push(Cost { core, what: feature.into(), instructions: 0, stack: 0, flash });
        }
        let output = firmware::qemu(board, &program("trust", "field")?, folder.path()).output()?;
        let lines = String::from_utf8_lossy(&output.stdout).into_owned();
        anyhow::ensure!(output.status.success(), "{name}: {lines}");
        for line in lines.lines() {
            let words: Vec<&str> = line.split(' ').collect();
            let [what, "instructions", instructions, "stack", stack] = words[..] else { continue };
            let count = |text: &str| text.parse().with_context(|| format!("{name} said {line:?}"));
            let (instructions, stack) = (count(instructions)?, count(stack)?);
            costs.push(Cost { core, what: what.into(), instructions, stack, flash: 0 });
        }
    }
    Ok(costs)
}
