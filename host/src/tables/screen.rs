//! A look at the numbers of a column: readings that stand for none, columns that never change, digits that are lost.

/// The ends of a column, measured in one pass.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Screen {
    count: usize,
    low: End,
    /// Of the negated numbers.
    high: End,
}

/// The least number, and what is next to it.
#[derive(Debug, Clone, Copy)]
struct End {
    value: f32,
    count: usize,
    first: usize,
    next: f32,
}

impl Default for End {
    fn default() -> Self {
        Self { value: f32::INFINITY, count: 0, first: 0, next: f32::INFINITY }
    }
}

impl End {
    fn add(&mut self, at: usize, value: f32) {
        if value < self.value {
            *self = Self { value, count: 1, first: at, next: self.value };
        } else if value == self.value {
            self.count += 1;
        } else if value < self.next {
            self.next = value;
        }
    }
}

impl Screen {
    /// Adds a number of a sample; NaN is none.
    pub(crate) fn add(&mut self, at: usize, value: f32) {
        if !value.is_nan() {
            self.count += 1;
            self.low.add(at, value);
            self.high.add(at, -value);
        }
    }

    /// Measures numbers.
    pub(crate) fn of(numbers: &[f32]) -> Self {
        let mut screen = Self::default();
        numbers.iter().enumerate().for_each(|(at, &value)| screen.add(at, value));
        screen
    }

    /// Returns what is worth a word: `column` is what the message calls the column, `place` where a sample stands, and `numbers` are
    /// all of them.
    pub(crate) fn remark(
        &self,
        column: &str,
        place: &dyn Fn(usize) -> String,
        numbers: impl FnOnce() -> Vec<f32>,
    ) -> Option<String> {
        self.odd_reading(column, place, numbers).or_else(|| self.lost_digits(column))
    }

    /// Returns least and greatest number, where there are enough to make a picture.
    fn ends(&self) -> Option<(f32, f32)> {
        (self.count >= FEW).then_some((self.low.value, -self.high.value))
    }

    /// As [`Screen::remark`], of numbers that are all equal, or are far larger than they differ.
    fn lost_digits(&self, column: &str) -> Option<String> {
        let (low, high) = self.ends()?;
        if low == high {
            let advice = if low.abs() > EXACT { LOST } else { "it says nothing; leave it out" };
            return Some(format!("warning: {column} is {low} in all of {} rows: {advice}", self.count));
        }
        let is_lost = low.abs().max(high.abs()) > EXACT / 1000.0 * (high - low);
        is_lost.then(|| format!("warning: {column} lies from {low} to {high}: {LOST}"))
    }

    /// As [`Screen::remark`], of numbers that stand for no reading.
    pub(crate) fn odd_reading(
        &self,
        column: &str,
        place: &dyn Fn(usize) -> String,
        numbers: impl FnOnce() -> Vec<f32>,
    ) -> Option<String> {
        let (low, high) = self.ends()?;
        let candidates = [(self.low, low, self.low.next, high), (self.high, high, low, -self.high.next)];
        let apart = candidates.into_iter().filter_map(|(end, value, from, to)| {
            // The other end may be another such reading.
            let from = if is_sentinel(from) && value > to { self.low.next } else { from };
            let to = if is_sentinel(to) && value < from { -self.high.next } else { to };
            let gap = if value < from { from - value } else { value - to };
            (to > from && gap > to - from && 4 * end.count < self.count).then_some((end, value, from, to))
        });
        let apart: Vec<_> = apart.collect();
        let known = apart.iter().find(|(_, value, ..)| is_sentinel(*value));
        let lone = known.or_else(|| {
            let far = apart.first()?;
            let mut sorted = numbers();
            sorted.retain(|value| !value.is_nan());
            sorted.sort_unstable_by(f32::total_cmp);
            let [first, third] = [sorted[sorted.len() / 4], sorted[sorted.len() * 3 / 4]];
            let beyond = (first - far.1).max(far.1 - third);
            (third > first && beyond > FAR * (third - first)).then_some(far)
        });
        let (end, value, from, to) = lone?;
        let times = if end.count == 1 { "once".into() } else { format!("{} times, first", end.count) };
        Some(format!(
            "warning: {column} is {value} {times} ({}), far from all else, which lies from {from} to {to}: if that is no reading, \
             leave those samples out, or say data.missing = [\"{value}\"] of a table",
            place(end.first)
        ))
    }
}

/// Returns whether a number is one that instruments and tables write where they have none.
fn is_sentinel(value: f32) -> bool {
    SENTINELS.contains(&value.abs()) || value.abs() >= 1e30
}

const LOST: &str = "f32 holds 24 bits of a number, and its differences are lost: subtract an offset in the data";

/// Fewer numbers make no picture.
const FEW: usize = 10;

/// The greatest whole number up to which f32 holds every one.
const EXACT: f32 = 16_777_216.0;

/// Quartile ranges beyond which a number that stands alone is no reading.
const FAR: f32 = 20.0;

const SENTINELS: [f32; 11] =
    [999.0, 9999.0, 99999.0, 999.9, 999.99, 9999.99, 32767.0, 32768.0, 65535.0, 2147483648.0, 4294967296.0];

#[cfg(test)]
mod tests {
    use super::*;

    fn remark(numbers: &[f32]) -> String {
        Screen::of(numbers).remark("x", &|at| format!("sample {at}"), || numbers.to_vec()).unwrap_or_default()
    }

    /// A hundred numbers from 0 to 1, none of them far from the next.
    fn plain() -> Vec<f32> {
        (0..100).map(|n| (n * 37 % 100) as f32 / 99.0).collect()
    }

    #[test]
    fn readings_that_are_none_are_seen_and_others_are_not() {
        for (value, times) in
            [(-999.0, 1), (-999.0, 3), (9999.0, 1), (65535.0, 1), (1e30, 2), (-2147483648.0, 1), (55.5, 1)]
        {
            let mut numbers = plain();
            (0..times).for_each(|n| numbers[7 + 11 * n] = value);
            let remark = remark(&numbers);
            assert!(remark.contains(&format!("is {value} ")) && remark.contains("sample 7"), "{value}: {remark}");
        }
        let mut both = plain();
        (both[7], both[20]) = (-999.0, 999.0);
        assert!(remark(&both).contains("is -999 once (sample 7)"), "{}", remark(&both));
        let mut wide: Vec<f32> = (0..100).map(|n| n as f32 * 10.0).collect();
        wide.push(999.0);
        let spectrum: Vec<f32> = (0..100).map(|n| if n % 25 == 0 { 255.0 } else { 0.0 }).collect();
        // The tails of an exponential distribution.
        let heavy: Vec<f32> = (1..1000).map(|n| -(n as f32 / 1000.0).ln() * 1000.0).collect();
        for numbers in [plain(), wide, spectrum, heavy, vec![-999.0, 0.1, 0.2]] {
            assert_eq!(remark(&numbers), "");
        }
    }

    #[test]
    fn what_f32_cannot_tell_apart_and_what_never_changes_is_seen() {
        let at =
            |offset: f64| -> Vec<f32> { (0..100).map(|n| (offset + f64::from(n * 37 % 100) / 50.0) as f32).collect() };
        for offset in [1e8, -1e8, 1.7e9, 65_536.0] {
            assert!(remark(&at(offset)).contains("subtract an offset"), "{offset}: {}", remark(&at(offset)));
        }
        assert_eq!(remark(&at(300.0)), "");
        assert!(remark(&[2.5; 40]).contains("is 2.5 in all of 40 rows"));
    }
}
