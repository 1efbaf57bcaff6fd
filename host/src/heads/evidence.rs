//! What the page of a run shows of answers: confusions, calibration, points, mistakes.

use serde::{Deserialize, Serialize};

/// What somebody says of the samples.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct View {
    /// class: counts, actual by said, of up to [`MATRIX`] classes; binary, multilabel: for each label no and yes, row after row.
    pub confusion: Vec<Vec<usize>>,
    /// class, of more classes: what is true, what was said, and how often, the most frequent mistakes first.
    #[serde(default)]
    pub mistakes: Vec<[usize; 3]>,
    /// Probabilities in tenths: how many, their mean, and the share that came true.
    pub calibration: Vec<Bin>,
    /// The mean distance of probability and truth over the tenths (Guo et al. 2017), weighted by their counts.
    pub calibration_error: Option<f64>,
    /// regression: what is true and what was said, of some samples.
    pub points: Vec<[f32; 2]>,
}

/// Probabilities of one tenth.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Bin {
    /// How many.
    pub count: usize,
    /// Their mean.
    pub said: f64,
    /// The share that came true.
    pub came_true: f64,
}

/// What a head gets wrong about a sample.
#[derive(Debug, Clone, PartialEq)]
pub struct Mistake {
    /// What is true and what was said, for each output that is wrong.
    pub confusion: Vec<(usize, usize)>,
    /// The probability of what was said.
    pub confidence: f32,
}

/// Probabilities and whether they came true, counted in tenths.
#[derive(Debug, Default)]
pub(super) struct Calibration([(usize, f64, usize); 10]);

impl Calibration {
    pub(super) fn add(&mut self, probability: f32, came_true: bool) {
        let bin = &mut self.0[((probability * 10.0) as usize).min(9)];
        *bin = (bin.0 + 1, bin.1 + f64::from(probability), bin.2 + usize::from(came_true));
    }

    /// Puts the bins and their error into a view.
    pub(super) fn finish(self, view: &mut View) {
        let total: usize = self.0.iter().map(|bin| bin.0).sum();
        let bins = self.0.iter().filter(|bin| bin.0 > 0).map(|&(count, said, came_true)| Bin {
            count,
            said: said / count as f64,
            came_true: came_true as f64 / count as f64,
        });
        view.calibration = bins.collect();
        let apart = view.calibration.iter().map(|bin| bin.count as f64 * (bin.said - bin.came_true).abs());
        view.calibration_error = (total > 0).then(|| apart.sum::<f64>() / total as f64);
    }
}

/// Returns the name of an answer on the page.
pub(super) fn name_of(answers: &[String], index: usize) -> String {
    answers.get(index).cloned().unwrap_or_else(|| index.to_string())
}

/// The most classes whose confusion is a matrix, and the most mistakes that are listed of more.
pub const MATRIX: usize = 40;
