//! Statistics of a few numbers, in two passes: exact also where numbers are large beside their spread.

/// Returns the mean and the sample deviation; no mean of nothing.
pub fn mean_and_deviation(values: &[f64]) -> (Option<f64>, f64) {
    if values.is_empty() {
        return (None, 0.0);
    }
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    (Some(mean), if values.len() > 1 { (squares / (count - 1.0)).sqrt() } else { 0.0 })
}

/// Returns Pearson's correlation, or nothing for values that are all equal.
pub(crate) fn correlation(a: &[f32], b: &[f32]) -> Option<f64> {
    let count = a.len() as f64;
    let mean = |values: &[f32]| values.iter().map(|&x| f64::from(x)).sum::<f64>() / count;
    let (mean_a, mean_b) = (mean(a), mean(b));
    let (mut both, mut squares_a, mut squares_b) = (0.0, 0.0, 0.0);
    for (&x, &y) in a.iter().zip(b) {
        let (x, y) = (f64::from(x) - mean_a, f64::from(y) - mean_b);
        both += x * y;
        squares_a += x * x;
        squares_b += y * y;
    }
    let product = (squares_a * squares_b).sqrt();
    (product > 0.0).then(|| both / product)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_those_of_a_sample_and_of_nothing_there_are_none() {
        assert_eq!(mean_and_deviation(&[1.0, 3.0]), (Some(2.0), 2f64.sqrt()));
        assert_eq!(mean_and_deviation(&[7.0]), (Some(7.0), 0.0));
        assert_eq!(mean_and_deviation(&[]), (None, 0.0));
        assert_eq!(correlation(&[1.0, 2.0, 3.0], &[-2.0, -4.0, -6.0]), Some(-1.0));
        assert_eq!(correlation(&[1.0, 2.0, 1.0, 2.0], &[1.0, 1.0, 2.0, 2.0]), Some(0.0));
        assert_eq!(correlation(&[1.0, 2.0], &[5.0, 5.0]), None);
    }
}
