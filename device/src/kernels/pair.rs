use super::{View, ViewMut};

/// What an operator of two tensors reads, value by value; the second may be a vector for every position.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Pair<'a> {
    /// Two tensors apart from the output.
    Apart(View<'a>, View<'a>),
    /// The output's bytes hold the first; the other is the second.
    OverFirst(View<'a>),
    /// The output's bytes hold the second; the other is the first.
    OverSecond(View<'a>),
}

impl Pair<'_> {
    /// Gives every place of the output its answer.
    #[inline(always)]
    pub(super) fn each(self, output: ViewMut<'_>, answer: impl Fn(i8, i8) -> i8) {
        let depth = usize::from(output.shape.channels).max(1);
        let pixels = output.values.chunks_exact_mut(depth);
        match self {
            Self::Apart(a, b) => {
                let mut others = b.values.chunks_exact(depth).cycle();
                for (places, values) in pixels.zip(a.values.chunks_exact(depth)) {
                    for ((place, &a), &b) in places
                        .iter_mut()
                        .zip(values)
                        .zip(others.next().unwrap_or_else(|| unreachable_in_checked_model!()))
                    {
                        *place = answer(a, b);
                    }
                }
            }
            Self::OverFirst(b) => {
                for (places, others) in pixels.zip(b.values.chunks_exact(depth).cycle()) {
                    places.iter_mut().zip(others).for_each(|(place, &b)| *place = answer(*place, b));
                }
            }
            Self::OverSecond(a) => {
                for (places, others) in pixels.zip(a.values.chunks_exact(depth)) {
                    places.iter_mut().zip(others).for_each(|(place, &a)| *place = answer(a, *place));
                }
            }
        }
    }
}
