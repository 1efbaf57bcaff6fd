//! The built-in data: a simulator of rolling-element bearings, as a vibration sensor that computes spectra reports them.
//!
//! Sensors of this kind give the spectrum of the *envelope* of the vibration near a resonance, since a fault shows there
//! as a train of pulses (Randall and Antoni, Rolling element bearing diagnostics - a tutorial,
//! Mech. Syst. Signal Process. 25, 2011). How often pulses come depends on the fault, on the shaft speed and on the
//! bearing's geometry: the outer race of one bearing at one speed sounds like the ball of another at another speed. That
//! is why speed and bearing are worth knowing.
//!
//! # Equations
//!
//! With n balls of diameter d on a pitch circle D, contact angle φ, shaft frequency f, and r = d/D cos φ:
//!
//! | frequency | formula |
//! |---|---|
//! | outer race, BPFO | n/2 f (1 - r) |
//! | inner race, BPFI | n/2 f (1 + r) |
//! | ball, pulses at 2 BSF | D/d f (1 - r²) |
//! | cage, FTF | f/2 (1 - r) |
//!
//! The vibration, at 16 kHz, is
//!
//! x(t) = Σ_i A a(T_i) u_i s(t - T_i) + knocks + gear + shaft + noise,
//!
//! - s(t) = e^(-2π ζ f_r t) sin(2π f_r t): the resonance that each pulse rings, f_r and ζ drawn for each window;
//! - T_{i+1} = T_i + (1 + δ_i)/f_fault, δ_i normal: slip makes the train lose its phase (Antoni, Cyclic spectral analysis
//!   of rolling-element bearing signals, J. Sound Vib. 304, 2007);
//! - a(t): the load that a pulse meets (McFadden and Smith, Model for the vibration produced by a single point defect in a
//!   rolling element bearing, J. Sound Vib. 96, 1984): constant for the outer race, which does not turn; (1 + cos 2π f t)/2
//!   for the inner race, which turns with the shaft; (1 + cos 2π FTF t)/2 for a ball, which goes with the cage;
//! - u_i: log-normal, pulses are not equally strong; A: the severity, drawn log-uniformly;
//! - knocks: pulses at random times; gear: pulses at a whole multiple of the shaft frequency, in half the windows. Both
//!   come in healthy machines as well, so that pulses alone betray nothing;
//! - shaft: its first two harmonics; noise: white and normal.
//!
//! The sensor then takes a high pass at 1.5 kHz, the absolute value, a low pass at 400 Hz, and every 16th value: 1 kHz. Of
//! 256 such values it reports the amplitude spectrum behind a Hann window, without the mean, as 20 lg(a / 1 mg) for the
//! lines from 3.9 to 500 Hz.

use std::f64::consts::PI;

use anyhow::Result;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};
use rayon::prelude::*;

use crate::support::progress::check_stopped;

/// The classes by their index.
pub const CLASSES: [&str; 4] = ["healthy", "inner", "outer", "ball"];

/// The bearings by their index: those of four public data sets, CWRU (drive end, fan end), IMS and PRONOSTIA.
pub const BEARINGS: [Geometry; 4] = [
    Geometry { name: "6205", balls: 9, ball_mm: 7.94, pitch_mm: 39.04, contact_degrees: 0.0 },
    Geometry { name: "6203", balls: 8, ball_mm: 6.746, pitch_mm: 28.50, contact_degrees: 0.0 },
    Geometry { name: "ZA-2115", balls: 16, ball_mm: 8.407, pitch_mm: 71.5, contact_degrees: 15.17 },
    Geometry { name: "6804", balls: 13, ball_mm: 3.5, pitch_mm: 25.6, contact_degrees: 0.0 },
];

/// What decides a bearing's fault frequencies.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Geometry {
    /// What the bearing is called.
    pub name: &'static str,
    /// Balls or rollers.
    pub balls: u32,
    /// Their diameter.
    pub ball_mm: f64,
    /// The diameter of the circle that their centres run on.
    pub pitch_mm: f64,
    /// The contact angle.
    pub contact_degrees: f64,
}

impl Geometry {
    /// Returns how often the shaft frequency fits into that of a fault on the outer race.
    pub fn outer(&self) -> f64 {
        f64::from(self.balls) / 2.0 * (1.0 - self.ratio())
    }

    /// Returns how often the shaft frequency fits into that of a fault on the inner race.
    pub fn inner(&self) -> f64 {
        f64::from(self.balls) / 2.0 * (1.0 + self.ratio())
    }

    /// Returns how often the shaft frequency fits into that of a ball's fault, which meets both races in a turn.
    pub fn ball(&self) -> f64 {
        self.pitch_mm / self.ball_mm * (1.0 - self.ratio().powi(2))
    }

    /// Returns how often the shaft frequency fits into that of the cage.
    pub fn cage(&self) -> f64 {
        0.5 * (1.0 - self.ratio())
    }

    /// Returns how often the shaft frequency fits into that of a class's fault; nothing for a healthy bearing.
    pub fn fault(&self, class: usize) -> Option<f64> {
        match CLASSES[class] {
            "inner" => Some(self.inner()),
            "outer" => Some(self.outer()),
            "ball" => Some(self.ball()),
            _ => None,
        }
    }

    fn ratio(&self) -> f64 {
        self.ball_mm / self.pitch_mm * self.contact_degrees.to_radians().cos()
    }
}

/// What the simulator draws from.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Settings {
    /// Values of the envelope in a window, at 1 kHz; the spectrum has half as many lines.
    pub window: usize,
    /// Least and greatest shaft speed, per minute.
    pub rpm: [f64; 2],
    /// Least and greatest severity, in g: how strong the pulses of a fault are.
    pub severity: [f64; 2],
    /// The deviation of the noise, in g.
    pub noise: f64,
    /// The greatest pulse of knocks and gear, in g.
    pub interference: f64,
    /// The deviation of a period, as a share of it.
    pub slip: f64,
}

impl Default for Settings {
    fn default() -> Self {
        Self { window: 256, rpm: [600.0, 1800.0], severity: [0.6, 6.0], noise: 0.2, interference: 0.6, slip: 0.01 }
    }
}

impl Settings {
    /// Returns the lines of a spectrum.
    pub fn lines(&self) -> usize {
        self.window / 2
    }
}

/// Simulated windows with what is known of each.
#[derive(Debug, Clone, PartialEq)]
pub struct Windows {
    /// `[count, window / 2]`, the envelope's spectrum in dB above 1 mg, or `[count, values]`, the vibration in g.
    pub samples: Vec<f32>,
    /// Indices into [`CLASSES`].
    pub class: Vec<usize>,
    /// Shaft speeds, per minute.
    pub rpm: Vec<f32>,
    /// Indices into [`BEARINGS`].
    pub bearing: Vec<usize>,
    /// How strong the pulses of the fault are, in g; 0 for a healthy bearing.
    pub severity: Vec<f32>,
    /// How often the pulses of the fault come, in Hz; nothing for a healthy bearing, which has none.
    pub pulse_hz: Vec<Option<f32>>,
}

/// Returns the spectra of windows, as many of each class as of any other.
///
/// Window i depends on the seed and i alone, so that any number of threads gives the same bytes.
///
/// # Errors
///
/// When the work was stopped.
pub fn simulate(count: usize, seed: u64, settings: &Settings) -> Result<Windows> {
    let values = (settings.window + SETTLING) * DECIMATION;
    all(count, seed, settings, values, |vibration| spectrum(&demodulate(&vibration)))
}

/// Returns the vibration itself, so many values of it at [`RATE_HZ`] for each window, in g.
///
/// With the values that the sensor needs, `(window + 64) * 16`, the machines are those of [`simulate`].
///
/// # Errors
///
/// When the work was stopped.
pub fn vibrations(count: usize, seed: u64, settings: &Settings, values: usize) -> Result<Windows> {
    all(count, seed, settings, values, |vibration| vibration.into_iter().map(|g| g as f32).collect())
}

fn all(
    count: usize,
    seed: u64,
    settings: &Settings,
    values: usize,
    sensor: impl Fn(Vec<f64>) -> Vec<f32> + Sync,
) -> Result<Windows> {
    let window = |index| {
        check_stopped()?;
        Ok(Window::simulate(index, seed, settings, values, &sensor))
    };
    let windows: Vec<Window> = (0..count).into_par_iter().map(window).collect::<Result<_>>()?;
    let mut all = Windows {
        samples: Vec::with_capacity(windows.iter().map(|window| window.samples.len()).sum()),
        class: vec![],
        rpm: vec![],
        bearing: vec![],
        severity: vec![],
        pulse_hz: vec![],
    };
    for window in windows {
        all.samples.extend(window.samples);
        all.class.push(window.class);
        all.rpm.push(window.rpm as f32);
        all.bearing.push(window.bearing);
        all.severity.push(window.severity as f32);
        all.pulse_hz.push(window.pulse_hz.map(|hz| hz as f32));
    }
    Ok(all)
}

struct Window {
    samples: Vec<f32>,
    class: usize,
    rpm: f64,
    bearing: usize,
    severity: f64,
    pulse_hz: Option<f64>,
}

/// One machine during one window.
struct Machine<'a> {
    settings: &'a Settings,
    random: ChaCha8Rng,
    /// Seconds that are simulated, the demodulator's settling included.
    seconds: f64,
    vibration: Vec<f64>,
}

impl Window {
    fn simulate(
        index: usize,
        seed: u64,
        settings: &Settings,
        values: usize,
        sensor: &impl Fn(Vec<f64>) -> Vec<f32>,
    ) -> Self {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        random.set_stream(index as u64);
        let class = index % CLASSES.len();
        let bearing = random.random_range(0..BEARINGS.len());
        let rpm = random.random_range(settings.rpm[0]..=settings.rpm[1]);
        let seconds = values as f64 / RATE_HZ;
        let mut machine = Machine { settings, random, seconds, vibration: vec![0.0; values] };
        let pulse_hz = BEARINGS[bearing].fault(class).map(|ratio| ratio * rpm / 60.0);
        let severity = machine.run(class, &BEARINGS[bearing], rpm / 60.0);
        Self {
            samples: sensor(machine.vibration),
            class,
            rpm,
            bearing,
            severity: if pulse_hz.is_some() { severity } else { 0.0 },
            pulse_hz,
        }
    }
}

impl Machine<'_> {
    /// Fills the vibration; returns the strength of a fault's pulses.
    fn run(&mut self, class: usize, bearing: &Geometry, shaft_hz: f64) -> f64 {
        let resonance =
            Resonance { hz: self.random.random_range(2500.0..4500.0), damping: self.random.random_range(0.03..0.08) };
        let severity = self.log_uniform(self.settings.severity);
        let phase = self.random.random_range(0.0..2.0 * PI);
        let load = |hz: f64| move |t: f64| 0.5 * (1.0 + (2.0 * PI * hz * t + phase).cos());
        match class {
            1 => self.train(bearing.inner() * shaft_hz, severity, &resonance, load(shaft_hz)),
            2 => self.train(bearing.outer() * shaft_hz, severity, &resonance, |_| 1.0),
            3 => self.train(bearing.ball() * shaft_hz, severity, &resonance, load(bearing.cage() * shaft_hz)),
            _ => {}
        }
        self.interfere(shaft_hz, &resonance);
        let (first, second) = (self.random.random_range(0.0..0.5), self.random.random_range(0.0..0.2));
        for (step, value) in self.vibration.iter_mut().enumerate() {
            let angle = 2.0 * PI * shaft_hz * step as f64 / RATE_HZ + phase;
            let noise: f64 = StandardNormal.sample(&mut self.random);
            *value += first * angle.sin() + second * (2.0 * angle).sin() + self.settings.noise * noise;
        }
        severity
    }

    /// Adds pulses at a frequency with slip.
    fn train(&mut self, hz: f64, strength: f64, resonance: &Resonance, load: impl Fn(f64) -> f64) {
        let mut t = self.random.random_range(0.0..1.0) / hz;
        while t < self.seconds {
            let spread: f64 = StandardNormal.sample(&mut self.random);
            self.pulse(t, strength * load(t) * (0.3 * spread).exp(), resonance);
            let slip: f64 = StandardNormal.sample(&mut self.random);
            t += (1.0 + self.settings.slip * slip).max(0.1) / hz;
        }
    }

    /// Adds what is no fault: knocks, and in half the windows a gear.
    fn interfere(&mut self, shaft_hz: f64, resonance: &Resonance) {
        let greatest = self.settings.interference;
        for _ in 0..self.random.random_range(0..4) {
            let (t, strength) =
                (self.random.random_range(0.0..self.seconds), self.random.random_range(0.0..2.0 * greatest));
            self.pulse(t, strength, resonance);
        }
        if self.random.random_bool(0.5) {
            let multiple = f64::from(self.random.random_range(2..9u32));
            let strength = self.random.random_range(0.0..greatest);
            let mut t = self.random.random_range(0.0..1.0) / (multiple * shaft_hz);
            while t < self.seconds {
                self.pulse(t, strength, resonance);
                t += 1.0 / (multiple * shaft_hz);
            }
        }
    }

    fn pulse(&mut self, t: f64, strength: f64, resonance: &Resonance) {
        let first = (t * RATE_HZ).ceil() as usize;
        let decay = 2.0 * PI * resonance.damping * resonance.hz;
        // After eight time constants the ringing is below a thousandth.
        let len = (8.0 / decay * RATE_HZ) as usize;
        for (step, value) in self.vibration.iter_mut().enumerate().skip(first).take(len) {
            let since = step as f64 / RATE_HZ - t;
            *value += strength * (-decay * since).exp() * (2.0 * PI * resonance.hz * since).sin();
        }
    }

    fn log_uniform(&mut self, [least, greatest]: [f64; 2]) -> f64 {
        self.random.random_range(least.ln()..=greatest.ln()).exp()
    }
}

struct Resonance {
    hz: f64,
    damping: f64,
}

/// Returns what the sensor gives: high pass, absolute value, low pass, every 16th value; without its settling.
fn demodulate(vibration: &[f64]) -> Vec<f64> {
    let mut high = Biquad::high_pass(1500.0);
    let mut low = Biquad::low_pass(400.0);
    let envelope = vibration.iter().map(|&x| low.next(high.next(x).abs()));
    envelope.skip(SETTLING * DECIMATION).step_by(DECIMATION).collect()
}

/// Returns the lines of the spectrum behind a Hann window in dB above 1 mg. A plain sum rather than a library's FFT, whose
/// last bits depend on the machine.
fn spectrum(envelope: &[f64]) -> Vec<f32> {
    let count = envelope.len();
    let mean = envelope.iter().sum::<f64>() / count as f64;
    let turns: Vec<(f64, f64)> = (0..count).map(|n| (2.0 * PI * n as f64 / count as f64).sin_cos()).collect();
    let windowed: Vec<f64> = envelope.iter().zip(&turns).map(|(x, (_, cos))| (x - mean) * (1.0 - cos)).collect();
    let line = |k: usize| {
        let (mut re, mut im) = (0.0, 0.0);
        for (n, x) in windowed.iter().enumerate() {
            let (sin, cos) = turns[n * k % count];
            re += x * cos;
            im += x * sin;
        }
        // The window's mean is 1 and a line's amplitude is twice its share; the floor keeps silence finite.
        let amplitude = 2.0 * (re * re + im * im).sqrt() / count as f64;
        (20.0 * (amplitude / 1e-3 + 0.1).log10()) as f32
    };
    (1..=count / 2).map(line).collect()
}

/// A Butterworth filter of second order (the bilinear transform of s² + √2 s + 1).
struct Biquad {
    b: [f64; 3],
    a: [f64; 2],
    state: [f64; 2],
}

impl Biquad {
    fn low_pass(hz: f64) -> Self {
        Self::new(hz, |k| [k * k, 2.0 * k * k, k * k])
    }

    fn high_pass(hz: f64) -> Self {
        Self::new(hz, |_| [1.0, -2.0, 1.0])
    }

    fn new(hz: f64, numerator: impl Fn(f64) -> [f64; 3]) -> Self {
        let k = (PI * hz / RATE_HZ).tan();
        let norm = 1.0 / (1.0 + 2f64.sqrt() * k + k * k);
        let b = numerator(k).map(|b| b * norm);
        let a = [2.0 * (k * k - 1.0) * norm, (1.0 - 2f64.sqrt() * k + k * k) * norm];
        Self { b, a, state: [0.0; 2] }
    }

    fn next(&mut self, x: f64) -> f64 {
        let y = self.b[0] * x + self.state[0];
        self.state[0] = self.b[1] * x - self.a[0] * y + self.state[1];
        self.state[1] = self.b[2] * x - self.a[1] * y;
        y
    }
}

/// The rate of the simulated vibration.
pub const RATE_HZ: f64 = 16_000.0;

/// From that rate to the sensor's 1 kHz.
const DECIMATION: usize = 16;

/// Values of the sensor that are thrown away while its filters settle.
const SETTLING: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn same_seed_gives_the_same_bytes_and_a_window_does_not_depend_on_the_count() {
        let settings = Settings::default();
        let few = simulate(8, 5, &settings).unwrap();
        assert_eq!(few, simulate(8, 5, &settings).unwrap());
        assert_ne!(few.samples, simulate(8, 6, &settings).unwrap().samples);
        assert_eq!(simulate(40, 5, &settings).unwrap().samples[..few.samples.len()], few.samples);
        assert!(few.samples.iter().all(|x| x.is_finite()));
    }

    #[test]
    fn fault_frequencies_of_a_6205_are_those_of_its_data_sheet() {
        let bearing = &BEARINGS[0];
        for (got, expected) in
            [(bearing.outer(), 3.5848), (bearing.inner(), 5.4152), (bearing.ball(), 4.7135), (bearing.cage(), 0.39828)]
        {
            assert!((got - expected).abs() < 3e-3, "{got} {expected}");
        }
    }

    #[test]
    fn strong_fault_shows_at_its_frequency_and_a_healthy_bearing_does_not() {
        let settings = Settings {
            window: 1024,
            severity: [3.0, 3.0],
            noise: 0.05,
            interference: 1e-9,
            slip: 0.001,
            ..Settings::default()
        };
        let windows = simulate(40, 1, &settings).unwrap();
        for (index, lines) in windows.samples.chunks_exact(512).enumerate() {
            let bearing = &BEARINGS[windows.bearing[index]];
            let shaft_hz = f64::from(windows.rpm[index]) / 60.0;
            let mean = lines.iter().sum::<f32>() / 512.0;
            if windows.class[index] == 0 {
                let greatest = lines.iter().fold(0.0f32, |a, &b| a.max(b));
                assert!(greatest < 25.0, "{index}: a healthy bearing has a line of {greatest} dB");
                assert!(windows.pulse_hz[index].is_none() && windows.severity[index] == 0.0);
            } else {
                let fault_hz = [0.0, bearing.inner(), bearing.outer(), bearing.ball()][windows.class[index]] * shaft_hz;
                assert!((f64::from(windows.pulse_hz[index].unwrap()) - fault_hz).abs() < 1e-3 * fault_hz);
                let line = (fault_hz * 1.024).round() as usize - 1;
                let peak = lines[line - 1..=line + 1].iter().fold(0.0f32, |a, &b| a.max(b));
                assert!(peak > mean + 15.0, "{index}: class {}, {peak} over {mean} dB", windows.class[index]);
            }
        }
    }
}
