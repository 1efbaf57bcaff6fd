//! A condition on other facts and the input: a flag that is computed.

use super::{EncoderKind, Kind, Value};

pub(super) struct Rule;

impl Kind for Rule {
    fn name(&self) -> &'static str {
        "rule"
    }

    fn value(&self) -> Value {
        Value::Flag
    }

    fn encoders(&self) -> &'static [EncoderKind] {
        &[EncoderKind::Flag, EncoderKind::None]
    }

    fn keys(&self) -> &'static [&'static str] {
        &["expr", "dropout"]
    }

    fn is_computed(&self) -> bool {
        true
    }
}
