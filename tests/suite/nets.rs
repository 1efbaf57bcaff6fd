//! Families of networks: shapes and multiply-accumulates as published, and the memory that their plans take.

use attar::data;
use attar::recipe::Recipe;
use attar::verify;
use attar_device::Student;

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
