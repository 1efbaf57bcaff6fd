//! Front-ends on the workstation: designed from a recipe, written as the record of a model, and run by the device's own code.

mod check;
pub mod design;
mod noise;
pub mod recipe;

use anyhow::{Context, Result, ensure};
use attar_device::signal::FrontEnd;
use attar_shared::Signal;

pub use design::{Design, butterworth, mel_of_hz};
pub use noise::{Color, noise};

/// A front-end with its record, ready to compute features.
#[derive(Debug, Clone, PartialEq)]
pub struct Extractor {
    record: Vec<u8>,
}

impl Extractor {
    /// Returns the front-end of a record.
    ///
    /// # Errors
    ///
    /// When the record breaks a rule of the format.
    pub fn new(record: Vec<u8>) -> Result<Self> {
        Signal::read(&record).map_err(|defect| anyhow::anyhow!("the front-end cannot be written: {defect}"))?;
        Ok(Self { record })
    }

    /// Returns the record.
    pub fn record(&self) -> &[u8] {
        &self.record
    }

    /// Returns what the record says.
    ///
    /// # Errors
    ///
    /// None that [`Extractor::new`] would not have had.
    pub fn signal(&self) -> Result<Signal<'_>> {
        Signal::read(&self.record).map_err(|defect| anyhow::anyhow!("the front-end cannot be read: {defect}"))
    }

    /// Returns the features of every window of some samples, one window after the other, computed by the device's code.
    ///
    /// # Errors
    ///
    /// When the samples are no whole number for each channel.
    pub fn features(&self, samples: &[i16]) -> Result<Vec<f32>> {
        let signal = self.signal()?;
        let mut memory = vec![0; signal.needed(usize::from(signal.features))];
        let mut front_end = FrontEnd::<{ attar_shared::parts::ALL_PARTS }>::new(signal, &mut memory)?;
        let mut features = Vec::new();
        let mut rest = samples;
        while front_end.push(&mut rest)? {
            features.extend_from_slice(front_end.features());
        }
        Ok(features)
    }

    /// Returns how many windows some samples of each channel make.
    ///
    /// # Errors
    ///
    /// When they make none.
    pub fn windows(&self, samples: usize) -> Result<usize> {
        let signal = self.signal()?;
        let (window, hop) = (usize::from(signal.window), usize::from(signal.hop));
        // Of each so many the first is kept.
        let kept = samples.div_ceil(signal.decimation());
        let left = kept.checked_sub(window).with_context(|| {
            format!("signal.length makes {kept} samples after the filters, fewer than the {window} of a window")
        })?;
        ensure!(window > 0 && hop > 0, "signal.window and signal.hop are no samples");
        Ok(left / hop + 1)
    }
}
