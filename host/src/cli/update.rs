//! `attar update`.

use std::path::PathBuf;

use anyhow::{Result, bail, ensure};
use attar::boards::link::{self, BAUD};
use attar_device::link::Hello;
use clap::Args;

use super::{parse_model, print, print_json, read_model};

/// Arguments of `update`.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The model, signed when the board's firmware asks for it.
    model: PathBuf,
    /// The serial port of a UART, as in /dev/ttyUSB0 or COM3; a port that vanishes when the board restarts does not do.
    #[arg(long, value_name = "PORT")]
    port: PathBuf,
    /// Bits a second.
    #[arg(long, default_value_t = BAUD, value_name = "N")]
    baud: u32,
    /// Prints the result as one JSON object.
    #[arg(long)]
    json: bool,
}

pub(super) fn update(arguments: &Arguments) -> Result<()> {
    let bytes = read_model(&arguments.model)?;
    let student = parse_model(&arguments.model, &bytes)?;
    let revision = student.model().header().revision;
    let updated = link::open(&arguments.port, arguments.baud)?.update(&bytes)?;
    let checksum = bytes.last_chunk().map(|sum| u32::from_le_bytes(*sum));
    let runs = Some(updated.after.checksum) == checksum && updated.after.len as usize == bytes.len();
    if !runs {
        bail!(
            "the board tried revision {revision} and went back to {}: it is not signed with its key, does not fit its memory, \
             or fails its self-test there",
            described(&updated.after)
        );
    }
    ensure!(updated.after.is_update, "the board runs the model of its firmware, which is this one");
    if arguments.json {
        return print_json(&serde_json::json!({
            "before": updated.before.revision, "after": updated.after.revision, "repeated": updated.repeated,
        }));
    }
    print(&format!("before: {}\nnow:    {}", described(&updated.before), described(&updated.after)))
}

fn described(hello: &Hello) -> String {
    let origin = if hello.is_update { "an update" } else { "delivered with the firmware" };
    format!("revision {}, {} bytes, {origin}", hello.revision, hello.len)
}
