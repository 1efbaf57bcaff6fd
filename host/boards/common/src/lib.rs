//! The student and the board, for the programs in `src/bin`.
#![no_std]

pub mod board;
pub mod sample;

use attar_device::{Arena, include_student};

include_student!(pub STUDENT, "../student.attar");

// A student that outgrows the board does not compile: bytes of flash, bytes of RAM, multiply-accumulates of one run.
const _: () = STUDENT.within({{flash}}, {{ram}}, u32::MAX);

/// The memory that the student computes in.
pub type Memory = Arena<{ STUDENT.arena_bytes() }>;
