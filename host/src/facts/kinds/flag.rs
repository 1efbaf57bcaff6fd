//! Yes or no.

use anyhow::{Result, bail};

use super::{EncoderKind, Kind, Value};

pub(super) struct Flag;

impl Kind for Flag {
    fn name(&self) -> &'static str {
        "flag"
    }

    fn value(&self) -> Value {
        Value::Flag
    }

    fn encoders(&self) -> &'static [EncoderKind] {
        &[EncoderKind::Flag, EncoderKind::None]
    }

    fn read(&self, text: &str) -> Result<f32> {
        match text.to_lowercase().as_str() {
            "1" | "1.0" | "true" | "yes" => Ok(1.0),
            "0" | "0.0" | "false" | "no" => Ok(0.0),
            _ => bail!("holds {:?}, which is neither 0 nor 1", crate::support::suggest::shortened(text)),
        }
    }
}
