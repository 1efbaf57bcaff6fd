//! The memory plan: where in the arena each tensor stands.
//!
//! Tensors that are alive at the same time share no byte, but for an output that may slide over an input which nothing
//! reads after it ([`Overlap`]): elementwise in place, windows shifted by the rows and columns that they still need.

use attar_shared::{ALIGNMENT, Kind, Overlap, Shape, Window};
use rand::Rng;

use crate::support::random;

/// An operator as the plan sees it; the n-th writes the n-th tensor after the sources.
#[derive(Debug, Clone, Copy)]
pub struct Step<'a> {
    /// What is computed.
    pub kind: Kind,
    /// The tensors that are read.
    pub inputs: &'a [u16],
    /// The window of a convolution or pooling.
    pub window: Option<Window>,
}

/// What is to be planned.
#[derive(Debug)]
pub struct Plan {
    lives: Vec<Life>,
    /// For each tensor the earlier ones that it may share bytes with.
    shares: Vec<Vec<(usize, Overlap)>>,
    /// The moments at which bytes are needed after the last tensor that is alive, and how many.
    scratch: Vec<(usize, u32)>,
}

/// When a tensor is alive, both ends included, and how many bytes it takes.
#[derive(Debug, Clone, Copy)]
struct Life {
    birth: usize,
    death: usize,
    len: u32,
}

impl Life {
    fn meets(&self, other: &Self) -> bool {
        self.birth <= other.death && other.birth <= self.death
    }
}

impl Plan {
    /// Returns the problem for tensors of some shapes, the first `sources` of which are there from the start.
    ///
    /// Tensors in `held` stay from one run to the next: they are alive at all times. Without `overlaps` no two tensors that
    /// are alive at the same time share a byte.
    pub fn new(
        shapes: &[Shape],
        sources: usize,
        steps: &[Step<'_>],
        heads: &[u16],
        held: &[usize],
        overlaps: bool,
    ) -> Self {
        let lives = shapes
            .iter()
            .enumerate()
            .map(|(index, shape)| Life {
                // Moments are counted from 0, before the first operator; operator i runs at moment i + 1.
                birth: if held.contains(&index) { 0 } else { (index + 1).saturating_sub(sources) },
                death: if held.contains(&index) { steps.len() } else { last_use(index, steps, heads) } + 1,
                len: (shape.len() as u32).next_multiple_of(ALIGNMENT),
            })
            .collect();
        let mut shares = vec![Vec::new(); shapes.len()];
        for (index, step) in steps.iter().enumerate().filter(|_| overlaps) {
            let output = sources + index;
            let read: Vec<Shape> = step.inputs.iter().map(|&input| shapes[usize::from(input)]).collect();
            for (place, &input) in step.inputs.iter().enumerate() {
                let input = usize::from(input);
                let repeated = step.inputs.iter().filter(|&&other| usize::from(other) == input).count() > 1;
                let kept = held.contains(&input) || held.contains(&output);
                if last_use(input, steps, heads) != index || repeated || kept {
                    continue;
                }
                let overlap = Overlap::new(step.kind, step.window.as_ref(), step.inputs, place, &read, shapes[output]);
                shares[output].push((input, overlap));
            }
        }
        let scratch = steps.iter().enumerate().map(|(index, step)| {
            let input = step.inputs.first().map_or(Shape::vector(0), |&input| shapes[usize::from(input)]);
            (index + 1, step.window.map_or(0, |window| step.kind.scratch_len(&window, input)))
        });
        Self { lives, shares, scratch: scratch.filter(|&(_, len)| len > 0).collect() }
    }

    /// Returns the place of each tensor, such that the arena is as small as the search finds it.
    ///
    /// Tensors are placed one after the other, each at the lowest place that is left for it; what differs between plans is
    /// their order. The best of three sensible orders is improved by exchanges, the same on every machine.
    pub fn place(&self) -> Vec<u32> {
        let mut by_size: Vec<usize> = (0..self.lives.len()).collect();
        by_size.sort_by_key(|&index| std::cmp::Reverse(self.lives[index].len));
        let mut by_span = by_size.clone();
        by_span.sort_by_key(|&index| std::cmp::Reverse(self.lives[index].death - self.lives[index].birth));
        let by_birth: Vec<usize> = (0..self.lives.len()).collect();
        let mut best: Option<(u32, Vec<usize>, Vec<u32>)> = None;
        for order in [by_size, by_span, by_birth] {
            let offsets = self.in_order(&order);
            let arena = self.arena_len(&offsets);
            if best.as_ref().is_none_or(|(least, ..)| arena < *least) {
                best = Some((arena, order, offsets));
            }
        }
        let Some((mut least, mut order, mut offsets)) = best else { return Vec::new() };
        let floor = self.lives.iter().map(|life| life.len).max().unwrap_or(0);
        let mut random = random::stream(0, "memory plan");
        for _ in 0..EXCHANGES {
            if least == floor || order.len() < 2 {
                break;
            }
            let (a, b) = (random.random_range(0..order.len()), random.random_range(0..order.len()));
            order.swap(a, b);
            let tried = self.in_order(&order);
            let arena = self.arena_len(&tried);
            if arena <= least {
                (least, offsets) = (arena, tried);
            } else {
                order.swap(a, b);
            }
        }
        offsets
    }

    fn in_order(&self, order: &[usize]) -> Vec<u32> {
        let mut offsets = vec![0; self.lives.len()];
        for (rank, &index) in order.iter().enumerate() {
            let others: Vec<usize> =
                order[..rank].iter().copied().filter(|&other| self.lives[other].meets(&self.lives[index])).collect();
            let mut candidates = vec![0];
            for &other in &others {
                candidates.push(offsets[other] + self.lives[other].len);
                let near = |output: bool, overlap: Overlap| {
                    let place = offsets[other];
                    let above = |distance: u32| (place + distance).checked_next_multiple_of(ALIGNMENT);
                    let below = |distance: u32| Some(place.checked_sub(distance)? / ALIGNMENT * ALIGNMENT);
                    match (overlap, output) {
                        (Overlap::Never, _) => [None, None],
                        (Overlap::At(distance), true) => [below(distance), None],
                        (Overlap::At(distance), false) => [above(distance), None],
                        (Overlap::Slide { before, after }, true) => [below(before), above(after)],
                        (Overlap::Slide { before, after }, false) => [above(before), below(after)],
                    }
                };
                if let Some(overlap) = self.share(other, index) {
                    candidates.extend(near(true, overlap).into_iter().flatten());
                }
                if let Some(overlap) = self.share(index, other) {
                    candidates.extend(near(false, overlap).into_iter().flatten());
                }
            }
            candidates.sort_unstable();
            let fits =
                |&&offset: &&u32| others.iter().all(|&other| self.may_stand(index, offset, other, offsets[other]));
            offsets[index] = candidates.iter().find(fits).copied().unwrap_or_else(|| {
                others.iter().map(|&other| offsets[other] + self.lives[other].len).max().unwrap_or(0)
            });
        }
        offsets
    }

    fn may_stand(&self, index: usize, offset: u32, other: usize, place: u32) -> bool {
        let apart = offset >= place + self.lives[other].len || place >= offset + self.lives[index].len;
        apart
            || self.share(other, index).is_some_and(|overlap| overlap.allows(offset, place))
            || self.share(index, other).is_some_and(|overlap| overlap.allows(place, offset))
    }

    /// Returns how the tensor `output` may lie over `input`.
    fn share(&self, input: usize, output: usize) -> Option<Overlap> {
        self.shares[output].iter().find(|(other, _)| *other == input).map(|&(_, overlap)| overlap)
    }

    /// Returns the bytes that places take, what convolutions lay out beside their tensors included.
    pub fn arena_len(&self, offsets: &[u32]) -> u32 {
        let end_of = |alive: &dyn Fn(&Life) -> bool| {
            let lives = self.lives.iter().zip(offsets).filter(|(life, _)| alive(life));
            lives.map(|(life, offset)| offset + life.len).max().unwrap_or(0)
        };
        let laid_out =
            self.scratch.iter().map(|&(moment, len)| end_of(&|life| (life.birth..=life.death).contains(&moment)) + len);
        laid_out.chain([end_of(&|_| true)]).max().unwrap_or(0)
    }
}

/// Returns the last operator that reads a tensor; the number of operators when a head does, 0 when nobody does.
pub fn last_use(tensor: usize, steps: &[Step<'_>], heads: &[u16]) -> usize {
    if heads.iter().any(|&head| usize::from(head) == tensor) {
        return steps.len();
    }
    steps.iter().rposition(|step| step.inputs.iter().any(|&input| usize::from(input) == tensor)).unwrap_or(0)
}

/// Exchanges of two tensors in the order that are tried.
const EXCHANGES: usize = 1500;

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(lives: Vec<Life>) -> Plan {
        Plan { shares: vec![Vec::new(); lives.len()], lives, scratch: Vec::new() }
    }

    #[test]
    fn chain_takes_no_more_than_its_greatest_pair() {
        let lens = [64, 400, 100, 300, 40];
        let plan = plan(lens.iter().enumerate().map(|(i, &len)| Life { birth: i, death: i + 1, len }).collect());
        assert_eq!(plan.arena_len(&plan.place()), 500);
    }

    #[test]
    fn tensors_that_meet_never_overlap() {
        let mut state = 9u64;
        let mut draw = |below: u64| {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (state >> 33) % below
        };
        for _ in 0..20 {
            let plan = plan(
                (0..12)
                    .map(|i| Life { birth: i, death: i + 1 + draw(5) as usize, len: 4 + 4 * draw(50) as u32 })
                    .collect(),
            );
            let offsets = plan.place();
            for a in 0..offsets.len() {
                for b in 0..a {
                    let (x, y) = (plan.lives[a], plan.lives[b]);
                    let apart = offsets[a] >= offsets[b] + y.len || offsets[b] >= offsets[a] + x.len;
                    assert!(apart || !x.meets(&y));
                }
            }
        }
    }

    /// A chain of 3x3 convolutions and elementwise operators takes one tensor and the rows that are still needed.
    #[test]
    fn convolutions_slide_over_their_inputs() {
        let shape = Shape { height: 32, width: 32, channels: 16 };
        let window = Window { kernel: [3, 3], stride: [1, 1], dilation: [1, 1], pad: [1, 1] };
        let inputs: Vec<[u16; 1]> = (0..4).map(|index| [index]).collect();
        let steps: Vec<Step<'_>> =
            inputs.iter().map(|inputs| Step { kind: Kind::Convolution, inputs, window: Some(window) }).collect();
        let arena = |overlaps| {
            let plan = Plan::new(&[shape; 5], 1, &steps, &[4], &[], overlaps);
            plan.arena_len(&plan.place())
        };
        let window_bytes = 3 * 3 * 16 * 4;
        assert_eq!(arena(false), 2 * 16_384 + window_bytes);
        assert_eq!(arena(true), 16_384 + (32 + 2) * 16 + window_bytes);
    }
}
