//! Facts: what is known beside the input, from the recipe to the board.
//!
//! A fact has a *kind* ([`kinds`]): what it is on the board, how it is read from a cell, which keys it takes. A new kind is a
//! file in `kinds/` and a line in its list. Kinds are made of what the device knows, a number, a category, a flag or
//! a gazetteer, each set or computed, each with an encoder ([`Encoder`]); the device crate stays as it is. Computed facts are written as
//! expressions ([`expression`]), which become the code that the board runs, and that training runs as well.

mod encoder;
pub mod expression;
pub mod kinds;
mod measurement;
mod phrases;
mod recipe;
mod schema;
mod scope;
mod value;

pub use encoder::Encoder;
pub use expression::scope::Scope;
pub use kinds::{Kind, KindName};
pub use measurement::Measurement;
pub use phrases::Phrases;
pub use recipe::{Fact, Table, in_order};
pub(crate) use recipe::{Written, written};
pub(crate) use schema::row_of;
pub use schema::{Audience, FactColumn, FactInput, FactSchema, GivenFact, SchemaFact};
pub use value::{EncoderKind, Value};
