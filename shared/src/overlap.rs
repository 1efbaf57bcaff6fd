//! Where an output may lie over an input that nothing reads after it.

/// How the output of an operator may share bytes with an input that the operator is the last to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Overlap {
    /// Not at all.
    Never,
    /// The input begins this many bytes after the output, no more and no less.
    At(u32),
    /// The output may slide over the input, since its pixels are computed one after the other.
    Slide {
        /// From the first pixel to the last, the output begins at least this many bytes before the input.
        before: u32,
        /// From the last pixel to the first, the output begins at least this many bytes after the input.
        after: u32,
    },
}

impl Overlap {
    /// Returns whether an output at `output` may share bytes with an input at `input`.
    pub fn allows(self, output: u32, input: u32) -> bool {
        match self {
            Self::Never => false,
            Self::At(place) => output.checked_add(place) == Some(input),
            Self::Slide { before, after } => match input.checked_sub(output) {
                Some(distance) if distance > 0 => distance >= before,
                _ => output.saturating_sub(input) >= after,
            },
        }
    }
}
