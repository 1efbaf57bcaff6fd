//! Means and deviations.

/// Sums for a mean and a deviation.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Moments {
    count: f64,
    sum: f64,
    squares: f64,
}

impl Moments {
    pub(crate) fn add(&mut self, x: f32) {
        if x.is_nan() {
            return;
        }
        let x = f64::from(x);
        self.count += 1.0;
        self.sum += x;
        self.squares += x * x;
    }

    /// Returns mean and deviation; the deviation of values that are all equal is 1, so that it can divide.
    pub(crate) fn mean_and_deviation(&self) -> [f32; 2] {
        if self.count == 0.0 {
            return [0.0, 1.0];
        }
        let mean = self.sum / self.count;
        let variance = (self.squares / self.count - mean * mean).max(0.0);
        let deviation = variance.sqrt() as f32;
        let flat = deviation <= 1e-6 * (mean.abs() as f32).max(1e-30);
        [mean as f32, if flat { 1.0 } else { deviation }]
    }
}
