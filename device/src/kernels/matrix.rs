//! Rows of weights times what a window shows: the driver of convolution and dense for weights of any width.

use attar_shared::Channels;
use attar_shared::internal::ROWS;

use super::PixelContext;
use super::layout::{COLUMNS, Patch, Sums, WindowRun};
#[cfg(not(plain))]
use super::pixel_context::Following;
use super::pixel_context::{Finish, Pixel};
use super::window::{InputWindow, Run};

/// Rows of weights in blocks, of any width and for any core.
pub(super) trait TileWeights {
    /// What a patch takes for each tap of both pixels; a model has four bytes for it.
    const BYTES: usize;

    /// Puts what a run of a window shows into a patch of `taps` taps, from tap `tap` on.
    fn lay(patch: &mut Patch<'_>, column: usize, tap: usize, values: WindowRun<'_>, taps: usize);

    /// Puts the rows of a window that lies in the input into a patch, from the values that it reaches over, and returns whether
    /// it could.
    #[inline(always)]
    fn lay_rows(_patch: &mut Patch<'_>, _column: usize, _values: &[i8], _window: &InputWindow) -> bool {
        false
    }

    /// Returns whether [`TileWeights::lay_rows`] can put the windows that lie in the input into patches.
    #[cfg(not(plain))]
    #[inline(always)]
    fn lays_rows(_window: &InputWindow) -> bool {
        false
    }

    /// Computes a pixel whose window lies in the input together with those that follow it in its row, and returns how many it
    /// computed, an even number; none where a pair has to be computed by itself.
    #[cfg(not(plain))]
    #[inline(always)]
    fn run(
        &mut self,
        _context: &mut PixelContext<'_>,
        _window: &InputWindow,
        _first: Pixel,
        _following: Following,
        _patch: &mut Patch<'_>,
        _finish: &Finish<'_>,
    ) -> usize {
        0
    }

    /// Computes all whole blocks of channels of a pair of pixels.
    fn blocks(
        &mut self,
        context: &mut PixelContext<'_>,
        pair: &[Option<Pixel>; COLUMNS],
        patch: &Patch<'_>,
        epilogue: (&Channels<'_>, &Finish<'_>),
    );

    /// Returns the sums at both pixels of a row of those that fill no block.
    fn row(&self, row: usize, patch: &Patch<'_>) -> [i32; COLUMNS];

    /// Computes all whole blocks of channels over a vector.
    fn blocks_of_vector(&mut self, context: &mut PixelContext<'_>, epilogue: (&Channels<'_>, &Finish<'_>));

    /// Returns the sum over a vector of a row of those that fill no block.
    fn row_of_vector(&self, row: usize, values: &[i8]) -> i32;
}

/// The greatest window, in values, that is put together before it is laid out where its runs do not come in fours.
const SMALL: usize = 40;

/// Computes every pixel of a convolution.
#[inline(always)]
pub(super) fn pixels<R: TileWeights>(
    context: &mut PixelContext<'_>,
    window: &InputWindow,
    channels: &Channels<'_>,
    rows: &mut R,
) {
    const { assert!(R::BYTES <= 4, "a model has four bytes for each tap") };
    let mut patch = Patch {
        bytes: core::mem::take(&mut context.scratch),
        totals: [0; COLUMNS],
        #[cfg(thumb1)]
        negatives: 0,
    };
    let finish = context.finish();
    let count = usize::from(context.output.shape.channels);
    #[cfg(not(plain))]
    let across = if R::lays_rows(window) && count.is_multiple_of(ROWS) && !finish.is_joined() {
        window.horizontal.whole_outputs(context.output.shape.width)
    } else {
        0..0
    };
    let mut pixels = context.pixels();
    while let Some(first) = pixels.next() {
        #[cfg(not(plain))]
        if let Some(following) = pixels.following(first, &across) {
            let done = rows.run(context, window, first, following, &mut patch, &finish);
            if done > 0 {
                pixels.pass(done.wrapping_sub(1));
                continue;
            }
        }
        // Both are read before either is written.
        let pair = [Some(first), pixels.next()];
        patch.clear();
        for (column, pixel) in pair.into_iter().enumerate() {
            if let Some(pixel) = pixel {
                gather::<R>(context, window, pixel, column, &mut patch);
            }
        }
        rows.blocks(context, &pair, &patch, (channels, &finish));
        for row in count / ROWS * ROWS..count {
            let sums = rows.row(row, &patch);
            for (pixel, sum) in pair.into_iter().zip(sums) {
                if let Some(pixel) = pixel {
                    context.write_sums(&finish, channels, pixel, row, &[sum]);
                }
            }
        }
    }
}

/// Computes every output of a dense layer.
#[inline(always)]
pub(super) fn vector<R: TileWeights>(context: &mut PixelContext<'_>, channels: &Channels<'_>, rows: &mut R) {
    let finish = context.finish();
    let count = usize::from(context.output.shape.channels);
    rows.blocks_of_vector(context, (channels, &finish));
    for row in count / ROWS * ROWS..count {
        let sum = rows.row_of_vector(row, context.all());
        context.write_sums(&finish, channels, Pixel::FIRST, row, &[sum]);
    }
}

/// Computes whole blocks one after the other from the sums of each.
#[inline(always)]
pub(super) fn each_block(
    context: &mut PixelContext<'_>,
    &[first, second]: &[Option<Pixel>; COLUMNS],
    (channels, finish): (&Channels<'_>, &Finish<'_>),
    sums: impl Fn(&PixelContext<'_>, usize) -> Sums,
) {
    for block in 0..usize::from(context.output.shape.channels) / ROWS {
        let channel = block.wrapping_mul(ROWS);
        let sums = sums(context, block);
        if let Some(pixel) = first {
            context.write_sums(finish, channels, pixel, channel, &sums.map(|[sum, _]| sum));
        }
        if let Some(pixel) = second {
            context.write_sums(finish, channels, pixel, channel, &sums.map(|[_, sum]| sum));
        }
    }
}

/// Lays what the window shows at a pixel into a patch.
// Apart, since most pixels of a core with assembly come in runs, and what this needs would lie under their sums.
#[cfg_attr(plain, inline(always))]
#[cfg_attr(not(plain), inline(never))]
fn gather<R: TileWeights>(
    context: &PixelContext<'_>,
    window: &InputWindow,
    pixel: Pixel,
    column: usize,
    patch: &mut Patch<'_>,
) {
    if let Some(at) = window.within(pixel)
        && let Some(values) = context.values(at, window.reach)
        && R::lay_rows(patch, column, values, window)
    {
        return;
    }
    gather_runs::<R>(context, window, pixel, column, patch);
}

/// As [`gather`], a run of the window at a time.
#[inline(never)]
fn gather_runs<R: TileWeights>(
    context: &PixelContext<'_>,
    window: &InputWindow,
    pixel: Pixel,
    column: usize,
    patch: &mut Patch<'_>,
) {
    let len = window.len;
    let is_small = len <= SMALL && !window.depth.is_multiple_of(4);
    let mut small = [context.input.zero_point; SMALL];
    match window.within(pixel) {
        // Where rows of a window are not laid by what `gather` calls.
        Some(at) if is_small && cfg!(any(plain, thumb2, riscv)) => {
            let mut places = small.as_mut_slice();
            for row in 0..window.vertical.kernel as usize {
                let first = at.wrapping_add(row.wrapping_mul(window.row));
                copy(places, context.values(first, window.width).unwrap_or_else(|| unreachable_in_checked_model!()));
                places = places.get_mut(window.width..).unwrap_or_else(|| unreachable_in_checked_model!());
            }
        }
        _ => window.runs(pixel, |place, run, count| {
            let values = match run {
                Run::Values(first) => {
                    WindowRun::Values(context.values(first, count).unwrap_or_else(|| unreachable_in_checked_model!()))
                }
                Run::Padding => WindowRun::Padding { len: count, value: context.input.zero_point },
            };
            if !is_small {
                R::lay(patch, column, place, values, len);
            } else if let WindowRun::Values(values) = values {
                copy(small.get_mut(place..).unwrap_or_else(|| unreachable_in_checked_model!()), values);
            }
        }),
    }
    if is_small {
        let values = small.get(..len).unwrap_or_else(|| unreachable_in_checked_model!());
        R::lay(patch, column, 0, WindowRun::Values(values), len);
    }
}

/// Copies few values, for which a call of the compiler's library would be most of the time.
#[inline(always)]
fn copy(places: &mut [i8], values: &[i8]) {
    let (words, bytes) = values.as_chunks::<4>();
    let (places, rest) =
        places.split_at_mut_checked(words.len().wrapping_mul(4)).unwrap_or_else(|| unreachable_in_checked_model!());
    places.as_chunks_mut::<4>().0.iter_mut().zip(words).for_each(|(place, word)| *place = *word);
    rest.iter_mut().zip(bytes).for_each(|(place, byte)| *place = *byte);
}
