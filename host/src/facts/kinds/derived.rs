//! A number that is computed from other facts and from the input.

use super::{EncoderKind, Kind, Value};

pub(super) struct Derived;

impl Kind for Derived {
    fn name(&self) -> &'static str {
        "derived"
    }

    fn value(&self) -> Value {
        Value::Number
    }

    fn encoders(&self) -> &'static [EncoderKind] {
        &[EncoderKind::ZScore, EncoderKind::Range, EncoderKind::Log, EncoderKind::Periodic, EncoderKind::None]
    }

    fn keys(&self) -> &'static [&'static str] {
        &["unit", "expr", "dropout"]
    }

    fn is_computed(&self) -> bool {
        true
    }
}
