//! The experiments of generalised distillation on synthetic data (Lopez-Paz et al. 2016, section 5.1), by the training and
//! the losses of the host: logistic regression, 50 dimensions, 200 samples to train on, 10,000 to test on, T = λ = 1.

use anyhow::Result;
use attar::data::{self, Dataset};
use attar::heads::{HeadKind, Labels};
use attar::net::{self, Net};
use attar::objective::{Objective, Soft};
use attar::recipe::{Distill, Recipe, Scheduled};
use attar::support::random;
use attar::train::{self, Task};
use candle_core::Device;
use rand::Rng;
use rand_chacha::ChaCha8Rng;

/// What the teacher knows and the student does not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// x* = ⟨α, x⟩, y = \[x* + ε > 0\]: the distance to the border without the labels' noise.
    CleanLabels,
    /// x = x* + ε, y = \[⟨α, x*⟩ > 0\]: the features without noise. Nothing of that can be taught: the control.
    CleanFeatures,
    /// x* = x_J for three features, y = \[⟨α, x_J⟩ > 0\]: which features count.
    RelevantFeatures,
}

/// An accuracy in percent over repetitions.
#[derive(Debug, Clone, Copy)]
pub struct Figure {
    /// The mean.
    pub mean: f64,
    /// The deviation, n - 1 in the denominator.
    pub deviation: f64,
}

impl Kind {
    /// All kinds, in the order of the paper.
    pub const ALL: [Self; 3] = [Self::CleanLabels, Self::CleanFeatures, Self::RelevantFeatures];

    /// Returns what the kind is called in tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::CleanLabels => "clean labels",
            Self::CleanFeatures => "clean features",
            Self::RelevantFeatures => "relevant features",
        }
    }

    /// Returns the published accuracies of teacher, student and distilled student, in percent.
    pub fn published(self) -> [f64; 3] {
        match self {
            Self::CleanLabels => [96.0, 88.0, 95.0],
            Self::CleanFeatures => [90.0, 68.0, 70.0],
            Self::RelevantFeatures => [98.0, 89.0, 97.0],
        }
    }

    /// Returns x*, x and y of some samples.
    fn draw(self, count: usize, random: &mut ChaCha8Rng) -> [Vec<f32>; 3] {
        let mut normal = |count: usize| -> Vec<f64> { (0..count).map(|_| normal(random)).collect() };
        let alpha = normal(DIMENSIONS);
        let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
        let relevant = [3, 17, 41];
        let (mut privileged, mut seen, mut labels) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..count {
            let x = normal(DIMENSIONS);
            let (star, seen_row, score) = match self {
                Self::CleanLabels => {
                    let distance = dot(&alpha, &x);
                    let noise = normal(1)[0];
                    (vec![distance], x, distance + noise)
                }
                Self::CleanFeatures => {
                    let noise = normal(DIMENSIONS);
                    let noisy = x.iter().zip(noise).map(|(x, noise)| x + noise).collect();
                    let score = dot(&alpha, &x);
                    (x, noisy, score)
                }
                Self::RelevantFeatures => {
                    let star: Vec<f64> = relevant.iter().map(|&place| x[place]).collect();
                    let weights: Vec<f64> = relevant.iter().map(|&place| alpha[place]).collect();
                    let score = dot(&weights, &star);
                    (star, x, score)
                }
            };
            privileged.extend(star.into_iter().map(|x| x as f32));
            seen.extend(seen_row.into_iter().map(|x| x as f32));
            labels.push(f32::from(u8::from(score > 0.0)));
        }
        [privileged, seen, labels]
    }
}

/// Returns the accuracies of the teacher, of the student from labels, and of the distilled student.
///
/// # Errors
///
/// When a training fails.
pub fn run(kind: Kind, repeats: usize) -> Result<[Figure; 3]> {
    let mut accuracies: [Vec<f64>; 3] = Default::default();
    for repeat in 0..repeats {
        let mut random = random::stream(repeat as u64, kind.name());
        let [privileged, seen, labels] = kind.draw(TRAIN + TEST, &mut random);
        let (privileged, seen) = (dataset(&privileged, &labels)?, dataset(&seen, &labels)?);
        let teacher = fit(&privileged, Objective::Labels)?;
        let everything: Vec<usize> = (0..TRAIN + TEST).collect();
        let soft = Soft { logits: vec![train::predict(&teacher, &privileged, &everything)?], network: None };
        let all = Distill {
            temperature: Some(Scheduled::Constant(1.0)),
            hard: Some(Scheduled::Constant(0.0)),
            soft: Some(Scheduled::Constant(1.0)),
            ..Distill::default()
        };
        let plain = fit(&seen, Objective::Labels)?;
        let distilled = fit(&seen, Objective::Distilled(&all, &soft))?;
        for ((net, data), accuracies) in
            [(&teacher, &privileged), (&plain, &seen), (&distilled, &seen)].into_iter().zip(&mut accuracies)
        {
            let heads = train::evaluate(net, data, &data.splits.test)?;
            accuracies.push(100.0 * heads[0].accuracy.unwrap_or_default());
        }
    }
    Ok(accuracies.map(|values| {
        let count = values.len() as f64;
        let mean = values.iter().sum::<f64>() / count;
        let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
        Figure { mean, deviation: (squares / (count - 1.0).max(1.0)).sqrt() }
    }))
}

/// Returns a data set whose first samples train and whose others test.
fn dataset(inputs: &[f32], labels: &[f32]) -> Result<Dataset> {
    let width = inputs.len() / labels.len();
    let recipe = Recipe::parse(
        &format!(
            "[data]\nformat='random'\nsamples={}\nsplit={{test=0.5,validation=0}}\n[input]\nshape=[{width}]\n\
             normalize='none'\n[[heads]]\nname='y'\nkind='regression'\noutputs=1\n[student]\narch='mlp'\n\
             [distill]\nmethod='none'\n",
            labels.len()
        ),
        "generalised distillation",
        "generalized",
        &[],
    )?;
    let mut data = data::load(&recipe, "".as_ref())?;
    data.inputs.values = inputs.to_vec();
    data.targets[0].kind = HeadKind::BINARY;
    data.targets[0].values = Labels::flags(labels.iter().map(|&label| label == 1.0));
    data.targets[0].scaling = vec![[0.0, 1.0]];
    data.splits.train = (0..TRAIN).collect();
    data.splits.test = (TRAIN..labels.len()).collect();
    Ok(data)
}

/// Fits a logistic regression by full batches.
fn fit(data: &Dataset, objective: Objective<'_>) -> Result<Net> {
    let how = format!("arch='mlp'\nepochs={EPOCHS}\nbatch={TRAIN}\nrate=0.1\n");
    let how: attar::recipe::Net = toml::from_str(&how)?;
    let graph = net::build(&how, data.input_shape, None, &[("y".into(), 1)])?;
    let mut net = Net::new(graph, &mut random::stream(0, "logistic regression"), &Device::Cpu)?;
    let task = Task { quiet: true, ..Task::new("logistic regression", data, &how, objective, &[0]) };
    train::train(&mut net, &task)?;
    Ok(net)
}

/// A normal variate (Box and Muller 1958).
fn normal(random: &mut ChaCha8Rng) -> f64 {
    let (a, b): (f64, f64) = (random.random(), random.random());
    (-2.0 * (1.0 - a).ln()).sqrt() * (2.0 * std::f64::consts::PI * b).cos()
}

const DIMENSIONS: usize = 50;
const TRAIN: usize = 200;
const TEST: usize = 10_000;

/// Steps of full batches after which a logistic regression has settled.
const EPOCHS: usize = 200;
