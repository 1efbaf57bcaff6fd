//! `[signal]`: the front-end between a sensor's samples and the network.

use std::fmt;

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};

use crate::domain::limits::SPAN;

/// How the samples of a sensor become features, on the board and in training.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Signal {
    /// Samples a second and channel.
    pub rate: f64,
    /// Channels whose samples take turns.
    #[serde(default = "one")]
    pub channels: usize,
    /// csv: what the greatest sample of 16 bits stands for, in the unit of the columns.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub full_scale: Option<f64>,
    /// `fixed`, for cores without a floating-point unit, or `float`.
    #[serde(default)]
    pub arithmetic: Arithmetic,
    /// How much of the signal a window holds, in samples after the filters, or as `"32 ms"`.
    pub window: Span,
    /// From one window to the next.
    pub hop: Span,
    /// How much of the signal a sample of the data set holds; the default is the longest recording.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub length: Option<Span>,
    /// How much of the signal before a sample goes through filters and running means without making features, as it does on a
    /// board: whole hops.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settle: Option<Span>,
    /// Recordings are cut into samples so far apart; left out, each is one sample.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<Span>,
    /// Where a recording that is shorter stands in its sample: 0 at the start, 1 at the end.
    #[serde(default = "half")]
    pub place: f64,
    /// Whether the features of the windows are a series, `[1, windows, features]`, or an image, `[windows, features, 1]`.
    #[serde(default)]
    pub layout: Layout,
    /// Windows from one run of the network to the next, on a board.
    #[serde(default = "one")]
    pub every: usize,
    /// What samples go through before they make windows.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub filters: Vec<Filter>,
    /// Whether each window has its mean taken away.
    #[serde(default)]
    pub remove_mean: bool,
    /// What windows are multiplied by before their spectrum is computed.
    #[serde(default)]
    pub taper: Taper,
    /// What is computed of each window.
    pub features: Vec<Feature>,
    /// Takes its running mean from each feature; the mean forgets over this time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub running_mean: Option<Span>,
    /// When the answers of the first head make a detection.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detection: Option<Detection>,
    /// Recordings of noise as a class of their own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub noise: Option<Noise>,
    /// How training samples are varied before their features are computed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub augment: Option<Vary>,
}

/// In what numbers features are computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Arithmetic {
    /// Integers of 32 bits.
    #[default]
    Fixed,
    /// binary32.
    Float,
}

/// How features stand in the input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Layout {
    /// Each feature is a channel, time is the width.
    #[default]
    Series,
    /// Time is the height, features are the width.
    Image,
}

/// A window function; all are periodic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Taper {
    /// `(1 - cos 2πn/N) / 2`.
    #[default]
    Hann,
    /// `0.54 - 0.46 cos 2πn/N`.
    Hamming,
    /// None.
    Rectangle,
}

/// A number of samples, or a time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged, expecting = "expected a number of samples, or a time like \"32 ms\"")]
pub enum Span {
    /// Samples.
    Samples(usize),
    /// `"32 ms"` or `"1.5 s"`.
    Time(String),
}

impl Span {
    /// Returns the samples at a rate.
    ///
    /// # Errors
    ///
    /// When the text is no time, or makes no sample at all.
    pub fn samples(&self, name: &str, rate: f64) -> Result<usize> {
        let count = match self {
            Self::Samples(count) => *count,
            Self::Time(text) => {
                let seconds = text
                    .trim()
                    .strip_suffix("ms")
                    .map(|number| (number, 1e-3))
                    .or_else(|| text.trim().strip_suffix('s').map(|number| (number, 1.0)))
                    .and_then(|(number, unit)| Some(number.trim().parse::<f64>().ok()? * unit))
                    .filter(|seconds| seconds.is_finite());
                let seconds =
                    seconds.with_context(|| format!("{name}: {text:?} is no time like \"32 ms\" or \"1 s\""))?;
                (seconds * rate).round().max(0.0) as usize
            }
        };
        ensure!(count > 0, "{name} is {self}, which is no sample at {rate} a second");
        ensure!(
            count <= SPAN,
            "{name} is {self}, which is {count} samples at {rate} a second, expected at most {SPAN}"
        );
        Ok(count)
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Samples(count) => write!(f, "{count}"),
            Self::Time(text) => write!(f, "{text:?}"),
        }
    }
}

/// What samples go through.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Filter {
    /// Takes the mean of the signal away: a high pass of first order.
    Dc {
        /// Where it has lost 3 dB.
        #[serde(default = "Filter::default_dc")]
        hz: f64,
    },
    /// Butterworth.
    HighPass {
        /// Where it has lost 3 dB.
        hz: f64,
        /// 1 to 8.
        #[serde(default = "Filter::default_order")]
        order: usize,
    },
    /// Butterworth.
    LowPass {
        /// Where it has lost 3 dB.
        hz: f64,
        /// 1 to 8.
        #[serde(default = "Filter::default_order")]
        order: usize,
    },
    /// `x[n] - by x[n - 1]`.
    Emphasis {
        /// Above 0, below 1.
        #[serde(default = "Filter::default_emphasis")]
        by: f64,
    },
    /// A filter of second order: b0, b1, b2, a1, a2 for a0 = 1.
    Biquad {
        /// The constants.
        constants: [f64; 5],
    },
    /// The absolute value.
    Absolute,
    /// One sample of so many is kept; a low pass belongs before it.
    Decimate {
        /// 2 to 64.
        by: usize,
    },
}

impl Filter {
    fn default_dc() -> f64 {
        20.0
    }

    fn default_order() -> usize {
        2
    }

    fn default_emphasis() -> f64 {
        0.97
    }
}

/// What is computed of a window.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Feature {
    /// The samples.
    Samples,
    /// Numbers that describe the window.
    Statistics {
        /// `mean`, `rms`, `peak`, `crest`, `skewness`, `kurtosis`, `crossings`.
        of: Vec<Statistic>,
    },
    /// Lines of the spectrum.
    Spectrum {
        /// The lowest frequency, in Hz; the default is the first line above 0.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        from: Option<f64>,
        /// The highest; the default is the last below half of the rate.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        to: Option<f64>,
        /// `db` of full scale, or `amplitude`.
        #[serde(default)]
        scale: Scale,
        /// The least level, in dB.
        #[serde(default = "Feature::default_floor")]
        floor: f64,
    },
    /// Bands that are equally wide on the mel scale, in dB of full scale.
    Mel {
        /// How many.
        bands: usize,
        /// Where the first begins, in Hz.
        #[serde(default = "Feature::default_from")]
        from: f64,
        /// Where the last ends; the default is half of the rate.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        to: Option<f64>,
        /// The least level, in dB.
        #[serde(default = "Feature::default_floor")]
        floor: f64,
    },
    /// The cepstrum of such bands.
    Mfcc {
        /// How many.
        coefficients: usize,
        /// Bands.
        #[serde(default = "Feature::default_bands")]
        bands: usize,
        /// Where the first band begins, in Hz.
        #[serde(default = "Feature::default_from")]
        from: f64,
        /// Where the last ends; the default is half of the rate.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        to: Option<f64>,
        /// The least level of a band, in dB.
        #[serde(default = "Feature::default_floor")]
        floor: f64,
    },
}

impl Feature {
    fn default_floor() -> f64 {
        -100.0
    }

    fn default_from() -> f64 {
        60.0
    }

    fn default_bands() -> usize {
        32
    }
}

/// A number that describes a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Statistic {
    /// The mean.
    Mean,
    /// The root of the mean square.
    Rms,
    /// The greatest absolute value.
    Peak,
    /// Peak over RMS.
    Crest,
    /// The third moment.
    Skewness,
    /// The fourth moment; 3 for normal noise.
    Kurtosis,
    /// Changes of sign per sample.
    Crossings,
}

/// How lines of a spectrum are given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scale {
    /// dB of full scale.
    #[default]
    Db,
    /// Of full scale.
    Amplitude,
}

/// When the answers of the first head make a detection.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Detection {
    /// The time over which probabilities are smoothed.
    pub smooth: Span,
    /// The probability that begins a detection.
    pub on: f64,
    /// The probability that ends it.
    pub off: f64,
    /// The class that stands for nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub background: Option<String>,
}

/// Recordings of noise as a class of their own.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Noise {
    /// The class, of the first head.
    pub label: String,
    /// How many there are for one recording.
    pub share: f64,
    /// Least and greatest level, in dB of full scale.
    pub db: [f64; 2],
}

/// How training samples are varied before their features are computed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Vary {
    /// By how much the signal is moved at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shift: Option<Span>,
    /// By how many dB it is louder or softer at most.
    #[serde(default)]
    pub gain_db: f64,
    /// By how many dB low and high frequencies each are louder or softer at most, around a corner from 200 Hz to a quarter of the
    /// rate: as another microphone would have it.
    #[serde(default)]
    pub tone_db: f64,
    /// How far the factor that it is faster and higher by is from 1 at most.
    #[serde(default)]
    pub speed: f64,
    /// How far the factor that it is faster by at its own pitch is from 1 at most.
    #[serde(default)]
    pub tempo: f64,
    /// The time in which echoes fall by 60 dB at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub echo: Option<Span>,
    /// Least and greatest ratio of the signal to noise that is added, in dB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub snr_db: Option<[f64; 2]>,
    /// Least and greatest level of noise that is added, in dB of full scale.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub noise_db: Option<[f64; 2]>,
}

impl Vary {
    /// Checks what the types leave open.
    ///
    /// # Errors
    ///
    /// When a number is out of its range, naming the key.
    pub fn check(&self) -> Result<()> {
        let numbers = [
            ("gain_db", self.gain_db, 96.0),
            ("tone_db", self.tone_db, 96.0),
            ("speed", self.speed, 4.0),
            ("tempo", self.tempo, 4.0),
        ];
        for (key, value, most) in numbers {
            ensure!((0.0..=most).contains(&value), "signal.augment.{key} is {value}, expected from 0 to {most}");
        }
        for (key, range) in [("snr_db", self.snr_db), ("noise_db", self.noise_db)] {
            let Some([least, greatest]) = range else { continue };
            ensure!(
                least <= greatest && (-200.0..=200.0).contains(&least) && greatest <= 200.0,
                "signal.augment.{key} is [{least}, {greatest}], expected the least and the greatest level in dB"
            );
        }
        Ok(())
    }
}

fn one() -> usize {
    1
}

fn half() -> f64 {
    0.5
}
