//! What the words of a text are known to be, by a table from phrases to features: found by the board in each text.

use super::{EncoderKind, Kind, Value};

pub(super) struct Gazetteer;

impl Kind for Gazetteer {
    fn name(&self) -> &'static str {
        "gazetteer"
    }

    fn value(&self) -> Value {
        Value::Features
    }

    fn encoders(&self) -> &'static [EncoderKind] {
        &[EncoderKind::Features, EncoderKind::None]
    }

    fn keys(&self) -> &'static [&'static str] {
        &["file", "key", "column", "values", "dropout"]
    }

    fn is_computed(&self) -> bool {
        true
    }
}
