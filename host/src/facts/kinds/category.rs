//! One of several values, of each of which a table may say more.

use super::{EncoderKind, Kind, Value};

pub(super) struct Category;

impl Kind for Category {
    fn name(&self) -> &'static str {
        "category"
    }

    fn value(&self) -> Value {
        Value::Category
    }

    fn encoders(&self) -> &'static [EncoderKind] {
        &[EncoderKind::OneHot, EncoderKind::Embedding, EncoderKind::None]
    }

    fn keys(&self) -> &'static [&'static str] {
        &["column", "constant", "file", "key", "dropout", "values", "table"]
    }
}
