//! `attar keygen`, `attar sign` and `attar verify-signature`.

use std::path::PathBuf;

use anyhow::{Context, Result};
use attar::student::sign;
use attar::support::files;
use clap::Args;

use super::{parse_model, print, print_json, read_model};

/// Arguments of `keygen`.
#[derive(Debug, Args)]
pub(super) struct KeygenArguments {
    /// Where the secret half goes, for its owner alone; the public half goes beside it, with .pub at the end of its name.
    #[arg(long, default_value = "attar-key.pem", value_name = "FILE")]
    out: PathBuf,
}

/// Arguments of `sign`.
#[derive(Debug, Args)]
pub(super) struct SignArguments {
    /// The model.
    model: PathBuf,
    /// The secret half of the key.
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// The revision: a board takes no model of a lesser one in exchange.
    #[arg(long, value_name = "N")]
    revision: u32,
    /// Where the signed model goes; the default is in the place of the model.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// Arguments of `verify-signature`.
#[derive(Debug, Args)]
pub(super) struct CheckArguments {
    /// The model.
    model: PathBuf,
    /// The public half of the key.
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// The least revision that is taken.
    #[arg(long, default_value_t = 0, value_name = "N")]
    least_revision: u32,
    /// Prints the result as one JSON object.
    #[arg(long)]
    json: bool,
}

pub(super) fn keygen(arguments: &KeygenArguments) -> Result<()> {
    let mut public = arguments.out.clone().into_os_string();
    public.push(".pub");
    let public = PathBuf::from(public);
    sign::keygen(&arguments.out, &public)?;
    print(&format!(
        "secret half: {}, to be kept secret: who has it makes models that your boards take",
        arguments.out.display()
    ))?;
    print(&format!("public half: {}, for PublicKey::from_pem in the firmware", public.display()))
}

pub(super) fn sign(arguments: &SignArguments) -> Result<()> {
    let bytes = read_model(&arguments.model)?;
    parse_model(&arguments.model, &bytes)?;
    let signed = sign::sign(&bytes, &arguments.key, arguments.revision)?;
    let out = arguments.out.as_ref().unwrap_or(&arguments.model);
    files::write_whole(out, &signed)?;
    print(&format!("{}: revision {}, signed, {} bytes", out.display(), arguments.revision, signed.len()))
}

pub(super) fn check(arguments: &CheckArguments) -> Result<()> {
    let bytes = read_model(&arguments.model)?;
    let key = sign::read_public(&arguments.key)?;
    sign::check(&bytes, &key, arguments.least_revision).with_context(|| format!("{}", arguments.model.display()))?;
    let student = parse_model(&arguments.model, &bytes)?;
    let revision = student.model().header().revision;
    if arguments.json {
        return print_json(&serde_json::json!({"model": arguments.model, "revision": revision, "signed": true}));
    }
    print(&format!("{}: revision {revision}, signed with this key", arguments.model.display()))
}
