//! The memory plan: where in the arena each tensor stands, such that tensors alive at the same time share no byte.

use anyhow::Result;
use attar_shared::{ALIGNMENT, Quantization, Tensor};

use super::format_shape;
use super::lower::Lowered;

/// Returns the tensors with their places.
///
/// Every order of placing gives each tensor the lowest gap that is free while it is alive; the order with the smallest
/// arena is kept.
pub(super) fn place(lowered: &Lowered, quantizations: &[Quantization]) -> Result<Vec<Tensor>> {
    let mut tensors: Vec<Tensor> = Vec::new();
    for (index, (&shape, &quantization)) in lowered.shapes.iter().zip(quantizations).enumerate() {
        let last_use = u16::try_from(lowered.last_use(index))?;
        tensors.push(Tensor { shape: format_shape(shape)?, quantization, offset: 0, last_use });
    }
    let lives: Vec<Life> =
        tensors.iter().enumerate().map(|(index, tensor)| Life::new(index, tensor, lowered)).collect();
    let offsets = smallest(&lives);
    tensors.iter_mut().zip(offsets).for_each(|(tensor, offset)| tensor.offset = offset);
    Ok(tensors)
}

/// When a tensor is alive, both ends included, and how many bytes it takes.
#[derive(Debug, Clone, Copy)]
struct Life {
    birth: usize,
    death: usize,
    len: u32,
}

impl Life {
    /// Moments are counted from 0, before the first operator; operator i runs at moment i + 1.
    fn new(index: usize, tensor: &Tensor, lowered: &Lowered) -> Self {
        let birth = (index + 1).saturating_sub(lowered.sources);
        let len = (tensor.shape.len() as u32).next_multiple_of(ALIGNMENT);
        Self { birth, death: usize::from(tensor.last_use) + 1, len }
    }

    fn meets(&self, other: &Self) -> bool {
        self.birth <= other.death && other.birth <= self.death
    }
}

fn smallest(lives: &[Life]) -> Vec<u32> {
    let mut by_size: Vec<usize> = (0..lives.len()).collect();
    by_size.sort_by_key(|&index| std::cmp::Reverse(lives[index].len));
    let mut by_span = by_size.clone();
    by_span.sort_by_key(|&index| std::cmp::Reverse(lives[index].death - lives[index].birth));
    let by_birth: Vec<usize> = (0..lives.len()).collect();
    let plans = [by_size, by_span, by_birth].map(|order| in_order(lives, &order));
    plans.into_iter().min_by_key(|offsets| arena_len(lives, offsets)).unwrap_or_default()
}

fn in_order(lives: &[Life], order: &[usize]) -> Vec<u32> {
    let mut offsets = vec![0; lives.len()];
    for (rank, &index) in order.iter().enumerate() {
        let mut taken: Vec<(u32, u32)> = order[..rank]
            .iter()
            .filter(|&&other| lives[other].meets(&lives[index]))
            .map(|&other| (offsets[other], offsets[other] + lives[other].len))
            .collect();
        taken.sort_unstable();
        let mut offset = 0;
        for (start, end) in taken {
            if offset + lives[index].len <= start {
                break;
            }
            offset = offset.max(end);
        }
        offsets[index] = offset;
    }
    offsets
}

fn arena_len(lives: &[Life], offsets: &[u32]) -> u32 {
    lives.iter().zip(offsets).map(|(life, offset)| offset + life.len).max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chain_takes_no_more_than_its_greatest_pair() {
        let lens = [64, 400, 100, 300, 40];
        let lives: Vec<Life> = lens.iter().enumerate().map(|(i, &len)| Life { birth: i, death: i + 1, len }).collect();
        let offsets = smallest(&lives);
        assert_eq!(arena_len(&lives, &offsets), 500);
    }

    #[test]
    fn tensors_that_meet_never_overlap() {
        let mut state = 9u64;
        let mut draw = |below: u64| {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (state >> 33) % below
        };
        for _ in 0..200 {
            let lives: Vec<Life> = (0..12)
                .map(|i| Life { birth: i, death: i + 1 + draw(5) as usize, len: 4 + 4 * draw(50) as u32 })
                .collect();
            let offsets = smallest(&lives);
            for a in 0..lives.len() {
                for b in 0..a {
                    let apart = offsets[a] >= offsets[b] + lives[b].len || offsets[b] >= offsets[a] + lives[a].len;
                    assert!(apart || !lives[a].meets(&lives[b]));
                }
            }
        }
    }
}
