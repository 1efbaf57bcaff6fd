//! The bytes of the arena that an operator needs beside its tensors lie after the last tensor that is alive.

use crate::tensor::Tensor;

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
