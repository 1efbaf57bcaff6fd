//! Front-ends in double precision, from their published formulas and without the engine: what its features are held against.

use attar::boards::verify;
use attar::signal::design::{Block, Design, Step};
use attar::signal::recipe::{Signal, Statistic};
use attar::signal::{Color, noise};
use attar::student::stream::StreamFigures;
use attar_shared::Arithmetic;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rustfft::FftPlanner;
use rustfft::num_complex::Complex64;

/// Returns a front-end of two channels with every stage and every block.
pub fn everything(arithmetic: Arithmetic) -> Design {
    let text = r#"
        rate = 4000
        channels = 2
        window = 48
        hop = 20
        every = 2
        remove_mean = true
        running_mean = "1 s"
        filters = [
            { kind = "dc", hz = 8 }, { kind = "high-pass", hz = 300, order = 2 }, { kind = "absolute" },
            { kind = "low-pass", hz = 400, order = 3 }, { kind = "decimate", by = 3 }, { kind = "emphasis", by = 0.5 },
        ]
        features = [
            { kind = "statistics", of = ["mean", "rms", "peak", "crest", "skewness", "kurtosis", "crossings"] },
            { kind = "spectrum", from = 40, to = 300, scale = "amplitude" },
            { kind = "mel", bands = 5, from = 40 },
            { kind = "mfcc", bands = 6, coefficients = 4, from = 40 },
        ]
        detection = { smooth = "100 ms", on = 0.6, off = 0.3 }
    "#;
    design(text, arithmetic, Some(0))
}

/// Returns the design of a recipe's `[signal]`.
pub fn design(text: &str, arithmetic: Arithmetic, background: Option<u16>) -> Design {
    let mut how: Signal = toml::from_str(text).expect("the front-end is written as in a recipe");
    how.arithmetic = match arithmetic {
        Arithmetic::Fixed => attar::signal::recipe::Arithmetic::Fixed,
        Arithmetic::Float => attar::signal::recipe::Arithmetic::Float,
    };
    Design::new(&how, background).expect("the front-end makes sense")
}

/// Returns the features of every window of some samples, `[windows][channels * blocks]`, as the design means them.
pub fn features(design: &Design, samples: &[i16]) -> Vec<Vec<f64>> {
    let channels: Vec<Vec<f64>> = (0..design.channels)
        .map(|channel| {
            let own = samples.iter().skip(channel).step_by(design.channels);
            let values = own.map(|&sample| f64::from(sample) / 32_768.0).collect();
            design.stages.iter().fold(values, through)
        })
        .collect();
    let count = channels[0].len();
    let mut windows = Vec::new();
    let mut start = 0;
    while start + design.window <= count {
        let mut all = Vec::new();
        for channel in &channels {
            of_window(design, &channel[start..start + design.window], &mut all);
        }
        windows.push(all);
        start += design.hop;
    }
    if design.follow > 0.0
        && let Some(first) = windows.first().cloned()
    {
        let mut means = first;
        for window in &mut windows {
            for (feature, mean) in window.iter_mut().zip(&mut means) {
                let distance = *feature - *mean;
                *mean += distance * design.follow;
                *feature = distance;
            }
        }
    }
    windows
}

fn through(values: Vec<f64>, step: &Step) -> Vec<f64> {
    match step {
        Step::Biquad([b0, b1, b2, a1, a2]) => {
            // The other form of the same filter, so that the two share no line.
            let (mut first, mut second) = (0.0, 0.0);
            let next = |x: f64| {
                let y = b0 * x + first;
                first = b1 * x - a1 * y + second;
                second = b2 * x - a2 * y;
                y
            };
            values.into_iter().map(next).collect()
        }
        Step::Absolute => values.into_iter().map(f64::abs).collect(),
        Step::Decimate(by) => values.into_iter().step_by(*by).collect(),
    }
}

fn of_window(design: &Design, window: &[f64], all: &mut Vec<f64>) {
    let count = window.len() as f64;
    let mean = window.iter().sum::<f64>() / count;
    let removed = if design.remove_mean { mean } else { 0.0 };
    let values: Vec<f64> = window.iter().map(|x| x - removed).collect();
    let powers = if design.transform > 0 { powers(design, &values) } else { Vec::new() };
    let decibels = |power: f64, floor: f64| (10.0 * power.log10()).max(floor);
    for block in &design.blocks {
        match block {
            Block::Samples => all.extend(&values),
            Block::Statistics(which) => all.extend(which.iter().map(|&one| statistic(one, &values))),
            Block::Spectrum { decibels: true, first, count, floor } => {
                all.extend(powers[*first..first + count].iter().map(|&power| decibels(power, *floor)));
            }
            Block::Spectrum { first, count, .. } => {
                all.extend(powers[*first..first + count].iter().map(|power| power.sqrt()))
            }
            Block::Mel { edges, weights, floor, cosines } => {
                let weight = |line: usize| weights[line - edges[0]];
                let bands: Vec<f64> = edges
                    .windows(3)
                    .map(|corners| {
                        let rising = (corners[0]..corners[1]).map(|line| powers[line] * weight(line));
                        let falling = (corners[1]..corners[2]).map(|line| powers[line] * (1.0 - weight(line)));
                        decibels(rising.chain(falling).sum(), *floor)
                    })
                    .collect();
                if cosines.is_empty() {
                    all.extend(bands);
                } else {
                    all.extend(cosines.iter().map(|row| row.iter().zip(&bands).map(|(a, b)| a * b).sum::<f64>()));
                }
            }
        }
    }
}

/// The power of each line, such that a sine of amplitude a has a².
fn powers(design: &Design, values: &[f64]) -> Vec<f64> {
    let mut padded: Vec<Complex64> = vec![Complex64::default(); design.transform];
    for (index, (place, &value)) in padded.iter_mut().zip(values).enumerate() {
        place.re = value * design.taper.get(index).copied().unwrap_or(1.0);
    }
    FftPlanner::new().plan_fft_forward(design.transform).process(&mut padded);
    padded[0].im = 0.0;
    padded[..design.transform / 2].iter().map(|line| line.norm_sqr() * design.power_gain()).collect()
}

fn statistic(which: Statistic, values: &[f64]) -> f64 {
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    let moment = |power: i32| values.iter().map(|x| (x - mean).powi(power)).sum::<f64>() / count;
    let rms = (values.iter().map(|x| x * x).sum::<f64>() / count).sqrt();
    let peak = values.iter().fold(0.0, |most: f64, x| most.max(x.abs()));
    let over = |a: f64, b: f64| if b > 0.0 { a / b } else { 0.0 };
    match which {
        Statistic::Mean => mean,
        Statistic::Rms => rms,
        Statistic::Peak => peak,
        Statistic::Crest => over(peak, rms),
        Statistic::Skewness => over(moment(3), moment(2).powf(1.5)),
        Statistic::Kurtosis => over(moment(4), moment(2).powi(2)),
        Statistic::Crossings => {
            let changes = values.windows(2).filter(|pair| (pair[0] < 0.0) != (pair[1] < 0.0)).count();
            over(changes as f64, count - 1.0)
        }
    }
}

/// What front-ends cost, as [`measure`] found it: name, arithmetic, board, instructions of a hop, bytes of RAM.
pub const FIGURES: &str = "tests/golden/signals.csv";

/// A front-end whose cost is measured.
#[derive(Debug)]
pub struct FrontEnd {
    /// What it is called.
    pub name: &'static str,
    /// Its `[signal]`.
    pub text: &'static str,
}

impl FrontEnd {
    /// Returns its hops a second.
    pub fn hops_a_second(&self) -> f64 {
        let design = design(self.text, Arithmetic::Fixed, None);
        design.rate / design.decimation() as f64 / design.hop as f64
    }
}

/// Front-ends as they are used: speech in bands and as a cepstrum, vibration as a spectrum, as that of its envelope, in numbers.
pub const FRONT_ENDS: [FrontEnd; 5] = [
    FrontEnd {
        name: "log-mel",
        text: r#"
            rate = 8000
            window = 256
            hop = 128
            filters = [{ kind = "dc", hz = 60 }]
            features = [{ kind = "mel", bands = 32, from = 80 }]
        "#,
    },
    FrontEnd {
        name: "mfcc",
        text: r#"
            rate = 16000
            window = 512
            hop = 320
            filters = [{ kind = "emphasis" }]
            features = [{ kind = "mfcc", bands = 40, coefficients = 13 }]
        "#,
    },
    FrontEnd { name: "spectrum", text: "rate = 16000\nwindow = 256\nhop = 256\nfeatures = [{ kind = \"spectrum\" }]" },
    FrontEnd {
        name: "envelope",
        text: r#"
            rate = 16000
            window = 256
            hop = 128
            remove_mean = true
            filters = [
                { kind = "high-pass", hz = 1500, order = 4 }, { kind = "absolute" }, { kind = "low-pass", hz = 400, order = 4 },
                { kind = "decimate", by = 16 },
            ]
            features = [{ kind = "spectrum" }]
        "#,
    },
    FrontEnd {
        name: "statistics",
        text: r#"
            rate = 6400
            window = 640
            hop = 640
            features = [{ kind = "statistics", of = ["rms", "peak", "crest", "skewness", "kurtosis", "crossings"] }]
        "#,
    },
];

/// Lets a board hear a second of noise through a front-end.
///
/// # Errors
///
/// When the board does not run.
pub fn measure(front_end: &FrontEnd, arithmetic: Arithmetic, board: &str) -> anyhow::Result<StreamFigures> {
    let design = design(front_end.text, arithmetic, None);
    let model = crate::models::hearing(&design, 0);
    let mut random = ChaCha8Rng::seed_from_u64(4);
    let samples = noise(design.rate as usize * 2, 1, Color::Pink, -20.0, &mut random).into_iter().map(|x| x as i16);
    verify::stream_on_qemu(attar::boards::find_simulated(board)?, &model, &samples.collect::<Vec<_>>(), &[])
}

/// Returns the instructions of a hop of a stream with a causal network of four layers, and of computing a window of 62 hops anew.
///
/// # Errors
///
/// When the board does not run.
pub fn streamed(board: &str) -> anyhow::Result<[u64; 2]> {
    let design = design(FRONT_ENDS[0].text, Arithmetic::Fixed, None);
    let model = crate::models::hearing(&design, 4);
    let mut random = ChaCha8Rng::seed_from_u64(4);
    let of = |count: usize, random: &mut ChaCha8Rng| -> anyhow::Result<StreamFigures> {
        let samples = noise(count, 1, Color::Pink, -20.0, random).into_iter().map(|x| x as i16);
        verify::stream_on_qemu(attar::boards::find_simulated(board)?, &model, &samples.collect::<Vec<_>>(), &[])
    };
    // A window of a second from a fresh start: what it takes to compute it anew.
    let window = of(128 * 61 + 256, &mut random)?;
    let long = of(128 * 500, &mut random)?;
    let all = |figures: &StreamFigures| (figures.second * figures.seconds).round() as u64;
    Ok([all(&long) / u64::from(long.hops), all(&window)])
}
