//! Detections: when the answers of many runs mean that something was there.

use attar_shared::{Detection, HeadKind};

use crate::HeadOutput;

/// What a class head's answers come to over time, see [`Detection`].
#[derive(Debug, Clone)]
pub struct Detector<const CLASSES: usize> {
    rules: Detection,
    smoothed: [f32; CLASSES],
    active: Option<usize>,
}

/// A class that was detected.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Detected {
    /// The class.
    pub class: usize,
    /// Its smoothed probability.
    pub probability: f32,
}

impl<const CLASSES: usize> Detector<CLASSES> {
    /// Returns a detector that has seen nothing yet.
    pub const fn new(rules: Detection) -> Self {
        Self { rules, smoothed: [0.0; CLASSES], active: None }
    }

    /// Forgets everything.
    pub fn reset(&mut self) {
        *self = Self::new(self.rules);
    }

    /// Takes the answer of a run and returns the class whose detection begins with it, if one does. Classes beyond `CLASSES` and
    /// heads of other kinds are never detected.
    pub fn update(&mut self, head: &HeadOutput<'_>) -> Option<Detected> {
        if head.head().kind != HeadKind::Class {
            return None;
        }
        for (smoothed, probability) in self.smoothed.iter_mut().zip(head.probabilities()) {
            *smoothed += (probability - *smoothed) * self.rules.smooth;
        }
        if let Some(active) = self.active
            && self.smoothed.get(active).is_some_and(|&probability| probability < self.rules.off)
        {
            self.active = None;
        }
        let background = self.rules.background.map(usize::from);
        let classes = self.smoothed.iter().copied().enumerate().filter(|&(class, _)| Some(class) != background);
        let (class, probability) = classes.reduce(|best, next| if next.1 > best.1 { next } else { best })?;
        if self.active.is_none() && probability >= self.rules.on {
            self.active = Some(class);
            return Some(Detected { class, probability });
        }
        None
    }

    /// Returns the class that is being detected.
    pub fn active(&self) -> Option<usize> {
        self.active
    }

    /// Returns the smoothed probabilities.
    pub fn smoothed(&self) -> &[f32; CLASSES] {
        &self.smoothed
    }
}
