//! Where a convolution lays out what its window shows: bytes of the arena after the last tensor that is alive.

use crate::operator::{Kind, Window};
use crate::tensor::{Shape, Tensor};

/// Bytes for each value of a window: a 16-bit value at each of two pixels.
const BYTES_A_VALUE: u32 = 4;

/// Returns the bytes that an operator needs beside its tensors, a multiple of four.
pub fn scratch_len(kind: Kind, window: Option<&Window>, input: Shape) -> u32 {
    match (kind, window) {
        (Kind::Convolution | Kind::Convolution4, Some(window)) => {
            let taps = u32::from(window.kernel[0]).saturating_mul(window.kernel[1].into());
            taps.saturating_mul(input.channels.into()).saturating_mul(BYTES_A_VALUE)
        }
        _ => 0,
    }
}

/// Returns the greatest end of the tensors that are alive while an operator runs, which writes the tensor `output`.
pub(crate) fn alive_end(tensors: impl Iterator<Item = Tensor>, operator: u16, output: u16) -> u32 {
    let mut end = 0;
    for (index, tensor) in (0..).zip(tensors) {
        if tensor.held || index <= output && tensor.last_use >= operator {
            end = tensor.end().max(end);
        }
    }
    end
}
