//! Families of networks: shapes and multiply-accumulates as published, and the memory that their plans take.

use attar::recipe::{Quantize, Recipe};
use attar::{data, net, quantize, random, verify};
use attar_device::Student;
use candle_core::{Device, Tensor};
use rand::Rng;

/// The reference networks of MLPerf Tiny (mlcommons/tiny), untrained, with random data in the place of their data sets.
struct Reference {
    name: &'static str,
    arch: &'static str,
    shape: &'static str,
    outputs: usize,
    macs: u32,
    /// Weights without biases.
    weights: usize,
    operators: usize,
    /// The arena that the plan may take, and the peak of tensors that are alive at one time.
    arena: usize,
    peak: usize,
}

const REFERENCES: [Reference; 4] = [
    Reference {
        name: "ResNet-8",
        arch: "resnet",
        shape: "[32, 32, 3]",
        outputs: 10,
        macs: 12_501_632,
        weights: 77_360,
        operators: 14,
        arena: 33_312,
        peak: 49_152,
    },
    Reference {
        name: "DS-CNN",
        arch: "dscnn",
        shape: "[49, 10, 1]",
        outputs: 12,
        macs: 2_656_768,
        weights: 22_016,
        operators: 11,
        arena: 8_448,
        peak: 16_000,
    },
    Reference {
        name: "MobileNet-V1",
        arch: "mobilenet-v1",
        shape: "[96, 96, 3]",
        outputs: 2,
        macs: 7_489_664,
        weights: 208_112,
        operators: 29,
        arena: 36_880,
        peak: 55_296,
    },
    Reference {
        name: "autoencoder",
        arch: "autoencoder",
        shape: "[640]",
        outputs: 640,
        macs: 264_192,
        weights: 264_192,
        operators: 10,
        arena: 768,
        peak: 768,
    },
];

impl Reference {
    fn export(&self, overlap: bool) -> Vec<u8> {
        let text = format!(
            "[data]\nformat = \"random\"\nsamples = 40\n[input]\nshape = {}\n[[heads]]\nname = \"y\"\n\
             kind = \"regression\"\noutputs = {}\n[student]\narch = \"{}\"\n[distill]\nmethod = \"none\"\n\
             [quantize]\ncalibration = 8\ntests = 1\noverlap = {overlap}\n",
            self.shape, self.outputs, self.arch
        );
        let recipe = Recipe::parse(&text, self.name, self.name, &[]).unwrap();
        let data = data::load(&recipe, "".as_ref()).unwrap();
        crate::data::untrained(&recipe, &data)
    }
}

/// Every reference network has the published size, and runs on a board in exactly the planned arena with the outputs of a
/// run in which no two tensors share a byte.
#[test]
fn reference_networks_run_in_their_planned_arena_as_without_overlaps() {
    for reference in &REFERENCES {
        let (bytes, apart) = (reference.export(true), reference.export(false));
        let (student, other) = (Student::parse(&bytes).unwrap(), Student::parse(&apart).unwrap());
        let name = reference.name;
        assert_eq!(student.model().header().macs, reference.macs, "{name}");
        assert_eq!(student.model().operators().len(), reference.operators, "{name}");
        let weights: u64 = student
            .model()
            .operators()
            .map(|operator| {
                let output = student.model().tensor(operator.output).unwrap().shape;
                let input = student.model().tensor(operator.inputs()[0]).unwrap().shape;
                operator.macs(input, output) / if operator.window().is_some() { output.positions() as u64 } else { 1 }
            })
            .sum();
        assert_eq!(weights, reference.weights as u64, "{name}");
        let (arena, without) = (student.model().arena_bytes(), other.model().arena_bytes());
        eprintln!("{name}: arena {arena}, without overlaps {without}");
        assert!(arena <= reference.arena, "{name}: arena {arena}, expected {}", reference.arena);
        assert!(without >= reference.peak, "{name}: {without} is below the peak of tensors {}", reference.peak);
        let samples = verify::random_samples(&bytes, 2, 3).unwrap();
        let expected = verify::answers(&other, &samples).unwrap();
        let got = verify::answers(&student, &samples).unwrap();
        assert_eq!(got, expected, "{name}: overlaps change the outputs");
        assert_ne!(got[0], got[1], "{name}: every sample gets the same answer");
        let figures = verify::on("qemu:mps2-an386", &bytes, &samples[..1]).unwrap();
        assert_eq!(figures.mismatches, 0, "{name}");
    }
}

/// Dead channels are taken out without a change of any output: rows of zeros, sums that a ReLU always cuts, before dense
/// layers, convolutions with and without padding, depthwise ones, pools and tables.
#[test]
fn dropping_dead_channels_changes_no_output() {
    let lists = [
        "{kind='conv',channels=7},{kind='depthwise'},{kind='conv',channels=6,kernel=1},{kind='max-pool'},\
         {kind='conv',channels=5},{kind='dense',channels=6}",
        "{kind='conv',channels=6,padding='valid'},{kind='average-pool',stride=1},{kind='conv',channels=4,padding='valid'},\
         {kind='global-average'},{kind='dense',channels=5,activation='tanh'},{kind='dense',channels=4}",
        "{kind='conv',channels=5,activation='sigmoid'},{kind='conv',channels=6,stride=2},\
         {kind='residual',layers=[{kind='conv',channels=6},{kind='conv',channels=6,activation='none'}]},\
         {kind='depthwise',stride=2,dilation=2},{kind='conv',channels=3,kernel=1}",
    ];
    let (mut smaller, mut cases) = (0, 0);
    for seed in 0..30u64 {
        let text = format!(
            "[data]\nformat='random'\nsamples=60\n[input]\nshape=[9,7,2]\n[[heads]]\nname='y'\nkind='regression'\n\
             outputs=3\n[student]\narch='layers'\nlayers=[{}]\n[distill]\nmethod='none'\n[quantize]\ntests=1\n",
            lists[seed as usize % lists.len()]
        );
        let recipe = Recipe::parse(&text, "r.toml", "r", &[]).unwrap();
        let data = data::load(&recipe, "".as_ref()).unwrap();
        let graph = net::build(&recipe.student, data.input_shape, 0, &[("y".into(), 3)]).unwrap();
        let mut draw = random::stream(seed, "dead channels");
        let net = net::Net::new(graph, &mut draw, &Device::Cpu).unwrap();
        for pair in net.parameters.chunks(2).filter(|pair| !pair[0].0.starts_with("head")) {
            let ((name, weight), (_, bias)) = (&pair[0], &pair[1]);
            let mut weights = weight.flatten_all().unwrap().to_vec1::<f32>().unwrap();
            let mut biases = bias.to_vec1::<f32>().unwrap();
            let channels = biases.len();
            for (channel, bias) in biases.iter_mut().enumerate() {
                let fate = draw.random_range(0..6);
                let len = weights.len() / channels;
                let depthwise = name.contains("depthwise");
                for (place, weight) in weights.iter_mut().enumerate() {
                    let own = if depthwise { place % channels } else { place / len };
                    if own == channel && fate == 0 {
                        *weight = 0.0;
                    }
                }
                *bias = match fate {
                    0 => draw.random_range(-1.0..1.0),
                    1 => -100.0,
                    _ => draw.random_range(-0.2..0.2),
                };
            }
            weight.set(&Tensor::from_vec(weights, weight.shape(), &Device::Cpu).unwrap()).unwrap();
            bias.set(&Tensor::from_vec(biases, channels, &Device::Cpu).unwrap()).unwrap();
        }
        let export = |drop_dead: bool| {
            quantize::quantize(&net, &data, &Quantize { drop_dead, ..recipe.quantize.clone() }, 0).unwrap()
        };
        let (whole, dropped) = (export(false), export(true));
        let samples = verify::random_samples(&whole, 40, seed).unwrap();
        let answers = |bytes: &[u8]| verify::answers(&Student::parse(bytes).unwrap(), &samples).unwrap();
        let expected = answers(&whole);
        assert_eq!(answers(&dropped), expected, "seed {seed}");
        cases += usize::from(expected.iter().any(|answer| *answer != expected[0]));
        smaller += usize::from(dropped.len() < whole.len());
    }
    assert!(smaller >= 25, "only {smaller} of 30 files became smaller");
    assert!(cases >= 15, "only {cases} of 30 networks have answers that differ between samples");
}
