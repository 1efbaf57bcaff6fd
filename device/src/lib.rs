//! The engine: runs a student from an `.attar` file on a microcontroller, and as the reference on the workstation.
//!
//! ```no_run
//! # fn main() -> Result<(), attar_device::Error> {
//! # let bytes: &[u8] = &[];
//! use attar_device::{Arena, Student};
//!
//! let student = Student::parse(bytes)?; // everything is checked here, once
//! let mut arena = Arena::<64>::new(); // include_student! sizes it exactly
//! let mut session = student.session(&mut arena)?;
//! let mut facts = student.facts(); // all missing at first
//! facts.set("rpm", 1772.0)?;
//! let outputs = session.run(&[0.5f32, -1.0], &facts)?;
//! let fault = outputs.head("fault")?.top();
//! # assert!(fault.probability > 0.5);
//! # Ok(())
//! # }
//! ```
//!
//! # Kernels
//!
//! Cortex-M4, M7 and M33, Cortex-M55 and M85, Cortex-M3, M0 and M0+, and RV32IM have kernels of their own, picked by the
//! target, those with vectors by the feature `helium`; all give the same bytes. Those for thumbv7em and thumbv8m.main need the
//! DSP extension, which a Cortex-M33 may lack, and read words at any address, so `UNALIGN_TRP` in the core's CCR has to be
//! clear, as it is after a reset; vectors need the coprocessors 10 and 11 switched on, as the start-up code of an
//! `eabihf` target does. The feature `plain` does without any of it: it leaves the kernels in Rust alone.
//!
//! On a board, model and arena begin at multiples of four bytes; [`include_student!`], [`Arena`] and [`Aligned`] see to it.
//!
//! # Size
//!
//! [`include_student!`] reads what the model is made of when it is compiled, and operators and kinds of facts that it has none of
//! are not linked. Built with `opt-level = "s"` but for this crate (`[profile.release.package.attar-device]`, `opt-level = 3`),
//! the engine takes 14 KB for dense layers and 23 to 26 KB for convolutional networks on a Cortex-M4, and 1.0 to 1.4 KB of stack.
//!
//! # Trust
//!
//! The feature `signed` has models that only the holder of a key can make, `store` keeps two of them in a flash through updates and
//! power cuts, and `link` takes them over a serial line.
//!
//! # Panics
//!
//! Nothing here panics: sizes are checked where a caller hands something over, and a parsed model keeps every rule that
//! the kernels rely on. The linker shows it, but for the library of signatures, which checks indices that depend on no data.
//! A build with debug assertions panics where a rule that the parser checks is broken all the same.
#![no_std]
#![deny(unsafe_code)]
#![deny(missing_docs)]
#![deny(clippy::indexing_slicing, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[macro_use]
mod checked;
mod error;
mod evaluate;
mod facts;
mod kernels;
#[cfg(feature = "link")]
pub mod link;
mod outputs;
mod quantize;
mod session;
pub mod signal;
#[cfg(feature = "signed")]
mod signature;
#[cfg(feature = "store")]
pub mod store;
mod student;

pub use attar_shared as format;
pub use error::Error;
pub use evaluate::{Scope, evaluate};
pub use facts::{Encoding, FactRef, Facts, KnownFacts, Numbers, features_of};
pub use outputs::{HeadOutput, Outputs, Top};
pub use quantize::{dequantize, quantize, round_to_i8};
pub use session::{Session, Step};
#[cfg(feature = "signed")]
pub use signature::PublicKey;
pub use student::{Aligned, Arena, EmbeddedStudent, Student};
