//! The student and the board, for the programs in `src/bin`.
#![no_std]

pub mod board;
pub mod sample;
{{modules}}
use attar_device::format::HeadKind;
use attar_device::{Arena, Outputs, include_student};

include_student!(pub STUDENT, "../student.attar");

// A student that outgrows the board does not compile: bytes of flash, bytes of RAM, multiply-accumulates of one run.
const _: () = STUDENT.within({{flash}}, {{ram}}, u32::MAX);

/// The memory that the student computes in.
pub type Memory = Arena<{ STUDENT.arena_bytes() }>;

/// Says what the student answers.
pub fn tell(outputs: &Outputs<'_>) {
    for head in outputs.heads() {
        let name = head.head().name;
        match head.head().kind {
            HeadKind::Class | HeadKind::Binary => {
                let top = head.top();
                say!("{}: {} {} ({} of 1000)", name, top.class, top.label, (top.probability * 1000.0) as u32);
            }
            HeadKind::Multilabel | HeadKind::Regression => {
                for (index, value) in head.probabilities().enumerate() {
                    say!("{} {} {}: {}", name, index, head.head().labels.at(index).unwrap_or(""), value);
                }
            }
        }
    }
}
