//! One line for each sample, in hexadecimal.

use core::fmt::Write;

use attar_device::format::MISSING;
use attar_device::{KnownFacts, Outputs};
use semihosting::print;

/// Says index, instructions, the int8 of all heads, the bits of their probabilities or values, and those of computed facts.
pub fn say<const PARTS: u128>(index: u32, instructions: u64, outputs: &Outputs<'_>, known: &KnownFacts<'_, PARTS>) {
    let mut line = Line(heapless::String::new());
    line.put(format_args!("sample {index} instructions {instructions} outputs "));
    for head in outputs.heads() {
        head.quantized().iter().for_each(|q| line.put(format_args!("{:02x}", q.cast_unsigned())));
    }
    line.put(format_args!(" results "));
    for head in outputs.heads() {
        for value in head.probabilities() {
            line.put(format_args!("{:08x}", u32::from_be_bytes(value.to_le_bytes())));
        }
    }
    line.put(format_args!(" facts "));
    for value in known.computed() {
        line.put(format_args!("{:08x}", u32::from_be_bytes(value.unwrap_or(MISSING).to_le_bytes())));
    }
    line.put(format_args!("\n"));
    line.send();
}

/// Text on its way; each call of the debugger costs more than all of it.
struct Line(heapless::String<256>);

impl Line {
    fn put(&mut self, text: core::fmt::Arguments<'_>) {
        // A piece is at most 60 bytes long, so it fits the emptied line.
        if self.0.len() > self.0.capacity() - 64 {
            self.send();
        }
        let _ = self.0.write_fmt(text);
    }

    fn send(&mut self) {
        print!("{}", self.0);
        self.0.clear();
    }
}
