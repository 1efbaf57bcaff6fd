//! A number in a unit.

use super::{EncoderKind, Kind, Value};

pub(super) struct Number;

impl Kind for Number {
    fn name(&self) -> &'static str {
        "number"
    }

    fn value(&self) -> Value {
        Value::Number
    }

    fn encoders(&self) -> &'static [EncoderKind] {
        &[EncoderKind::ZScore, EncoderKind::Range, EncoderKind::Log, EncoderKind::Periodic, EncoderKind::None]
    }

    fn keys(&self) -> &'static [&'static str] {
        &["column", "constant", "file", "key", "dropout", "unit", "repeat"]
    }
}
