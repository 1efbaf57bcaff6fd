//! Rows of weights times what a window shows: the driver of convolution and dense for weights of any width.

use attar_shared::{Channels, ROWS};

use super::Slide;
#[cfg(not(plain))]
use super::slide::Following;
use super::slide::{Finish, Pixel};
use super::window::{Over, Run};

/// Pixels that are computed side by side, so that each weight is read once for both.
pub(super) const COLUMNS: usize = 2;

/// Sums of a block of output channels, each at every pixel.
pub(super) type Sums = [[i32; COLUMNS]; ROWS];

/// Rows of weights in blocks, of any width and for any core.
pub(super) trait Rows {
    /// What a patch takes for each tap of both pixels; a model has four bytes for it.
    const BYTES: usize;

    /// Puts what a run of a window shows into a patch of `taps` taps, from tap `tap` on.
    fn lay(patch: &mut Patch<'_>, column: usize, tap: usize, values: WindowRun<'_>, taps: usize);

    /// Puts the rows of a window that lies in the input into a patch, from the values that it reaches over, and returns whether
    /// it could.
    #[inline(always)]
    fn lay_rows(_patch: &mut Patch<'_>, _column: usize, _values: &[i8], _over: &Over) -> bool {
        false
    }

    /// Returns whether [`Rows::lay_rows`] can put the windows that lie in the input into patches.
    #[cfg(not(plain))]
    #[inline(always)]
    fn lays_rows(_over: &Over) -> bool {
        false
    }

    /// Computes a pixel whose window lies in the input together with those that follow it in its row, and returns how many it
    /// computed, an even number; none where a pair has to be computed by itself.
    #[cfg(not(plain))]
    #[inline(always)]
    fn run(
        &mut self,
        _slide: &mut Slide<'_>,
        _over: &Over,
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
        slide: &mut Slide<'_>,
        pair: &[Option<Pixel>; COLUMNS],
        patch: &Patch<'_>,
        end: (&Channels<'_>, &Finish<'_>),
    );

    /// Returns the sums at both pixels of a row of those that fill no block.
    fn row(&self, row: usize, patch: &Patch<'_>) -> [i32; COLUMNS];

    /// Computes all whole blocks of channels over a vector.
    fn blocks_of_vector(&mut self, slide: &mut Slide<'_>, end: (&Channels<'_>, &Finish<'_>));

    /// Returns the sum over a vector of a row of those that fill no block.
    fn row_of_vector(&self, row: usize, values: &[i8]) -> i32;
}

/// Values that a window shows one after the other.
#[derive(Clone, Copy)]
pub(super) enum WindowRun<'a> {
    /// Values of the input.
    Values(&'a [i8]),
    /// Padding: the same value `len` times.
    Padding {
        /// The number of values.
        len: usize,
        /// The zero point of the input.
        value: i8,
    },
}

/// What a window shows at two pixels, laid out for a kernel.
pub(super) struct Patch<'a> {
    /// The values, in the order of the kernel that reads them; on a board aligned to four bytes.
    pub(super) bytes: &'a mut [i8],
    /// The sum of each pixel's values.
    pub(super) totals: [i32; COLUMNS],
    /// How many values of the first pixel are below zero.
    #[cfg(thumb1)]
    pub(super) negatives: i32,
}

impl Patch<'_> {
    /// Forgets what has been counted of the pixels before.
    #[inline(always)]
    pub(super) fn clear(&mut self) {
        self.totals = [0; COLUMNS];
        #[cfg(thumb1)]
        (self.negatives = 0);
    }

    /// Adds to the sum of a pixel's values.
    #[inline(always)]
    pub(super) fn add_total(&mut self, column: usize, total: i32) {
        if let Some(sum) = self.totals.get_mut(column) {
            *sum = sum.wrapping_add(total);
        } else {
            unreachable_in_checked_model!()
        }
    }
}

/// The greatest window, in values, that is put together before it is laid out where its runs do not come in fours.
const SMALL: usize = 40;

/// Computes every pixel of a convolution.
#[inline(always)]
pub(super) fn pixels<R: Rows>(slide: &mut Slide<'_>, over: &Over, channels: &Channels<'_>, rows: &mut R) {
    const { assert!(R::BYTES <= 4, "a model has four bytes for each tap") };
    let mut patch = Patch {
        bytes: core::mem::take(&mut slide.scratch),
        totals: [0; COLUMNS],
        #[cfg(thumb1)]
        negatives: 0,
    };
    let finish = slide.finish();
    let count = usize::from(slide.output.shape.channels);
    #[cfg(not(plain))]
    let across = if R::lays_rows(over) && count.is_multiple_of(ROWS) && !finish.is_joined() {
        over.horizontal.whole_outputs(slide.output.shape.width)
    } else {
        0..0
    };
    let mut pixels = slide.pixels();
    while let Some(first) = pixels.next() {
        #[cfg(not(plain))]
        if let Some(following) = pixels.following(first, &across) {
            let done = rows.run(slide, over, first, following, &mut patch, &finish);
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
                gather::<R>(slide, over, pixel, column, &mut patch);
            }
        }
        rows.blocks(slide, &pair, &patch, (channels, &finish));
        for row in count / ROWS * ROWS..count {
            let sums = rows.row(row, &patch);
            for (pixel, sum) in pair.into_iter().zip(sums) {
                if let Some(pixel) = pixel {
                    slide.end(&finish, channels, pixel, row, &[sum]);
                }
            }
        }
    }
}

/// Computes every output of a dense layer.
#[inline(always)]
pub(super) fn vector<R: Rows>(slide: &mut Slide<'_>, channels: &Channels<'_>, rows: &mut R) {
    let finish = slide.finish();
    let count = usize::from(slide.output.shape.channels);
    rows.blocks_of_vector(slide, (channels, &finish));
    for row in count / ROWS * ROWS..count {
        let sum = rows.row_of_vector(row, slide.all());
        slide.end(&finish, channels, Pixel::FIRST, row, &[sum]);
    }
}

/// Computes whole blocks one after the other from the sums of each.
#[inline(always)]
pub(super) fn each_block(
    slide: &mut Slide<'_>,
    &[first, second]: &[Option<Pixel>; COLUMNS],
    (channels, finish): (&Channels<'_>, &Finish<'_>),
    sums: impl Fn(&Slide<'_>, usize) -> Sums,
) {
    for block in 0..usize::from(slide.output.shape.channels) / ROWS {
        let channel = block.wrapping_mul(ROWS);
        let sums = sums(slide, block);
        if let Some(pixel) = first {
            slide.end(finish, channels, pixel, channel, &sums.map(|[sum, _]| sum));
        }
        if let Some(pixel) = second {
            slide.end(finish, channels, pixel, channel, &sums.map(|[_, sum]| sum));
        }
    }
}

/// Lays what the window shows at a pixel into a patch.
// Apart, since most pixels of a core with assembly come in runs, and what this needs would lie under their sums.
#[cfg_attr(plain, inline(always))]
#[cfg_attr(not(plain), inline(never))]
fn gather<R: Rows>(slide: &Slide<'_>, over: &Over, pixel: Pixel, column: usize, patch: &mut Patch<'_>) {
    if let Some(at) = over.within(pixel)
        && let Some(values) = slide.values(at, over.reach)
        && R::lay_rows(patch, column, values, over)
    {
        return;
    }
    gather_runs::<R>(slide, over, pixel, column, patch);
}

/// As [`gather`], a run of the window at a time.
#[inline(never)]
fn gather_runs<R: Rows>(slide: &Slide<'_>, over: &Over, pixel: Pixel, column: usize, patch: &mut Patch<'_>) {
    let len = over.len;
    let is_small = len <= SMALL && !over.depth.is_multiple_of(4);
    let mut window = [slide.input.zero_point; SMALL];
    match over.within(pixel) {
        // Where rows of a window are not laid by what `gather` calls.
        Some(at) if is_small && cfg!(any(plain, thumb2, riscv)) => {
            let mut places = window.as_mut_slice();
            for row in 0..over.vertical.kernel as usize {
                let first = at.wrapping_add(row.wrapping_mul(over.row));
                copy(places, slide.values(first, over.width).unwrap_or_else(|| unreachable_in_checked_model!()));
                places = places.get_mut(over.width..).unwrap_or_else(|| unreachable_in_checked_model!());
            }
        }
        _ => over.runs(pixel, |place, run, count| {
            let values = match run {
                Run::Values(first) => {
                    WindowRun::Values(slide.values(first, count).unwrap_or_else(|| unreachable_in_checked_model!()))
                }
                Run::Padding => WindowRun::Padding { len: count, value: slide.input.zero_point },
            };
            if !is_small {
                R::lay(patch, column, place, values, len);
            } else if let WindowRun::Values(values) = values {
                copy(window.get_mut(place..).unwrap_or_else(|| unreachable_in_checked_model!()), values);
            }
        }),
    }
    if is_small {
        let values = window.get(..len).unwrap_or_else(|| unreachable_in_checked_model!());
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
