//! An exported student on the workstation: the device engine over data sets, its streams, its signature, its description.

pub mod engine;
pub mod inspect;
pub mod sign;
pub mod stream;
