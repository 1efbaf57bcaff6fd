//! Networks whose size and speed are published.

use anyhow::Result;
use attar::compile;
use attar::data::{self, Dataset};
use attar::facts::Audience;
use attar::net::{self, Net};
use attar::recipe::Recipe;
use attar::support::random;
use candle_core::Device;

/// The reference networks of MLPerf Tiny (mlcommons/tiny), untrained, with random data in the place of their data sets.
#[derive(Debug, Clone, Copy)]
pub struct Reference {
    /// The name.
    pub name: &'static str,
    /// The family.
    pub arch: &'static str,
    /// `input.shape` of its recipe.
    pub shape: &'static str,
    /// Outputs of its head.
    pub outputs: usize,
    /// Published multiply-accumulates.
    pub macs: u32,
    /// Weights without biases.
    pub weights: usize,
    /// Operators on the board.
    pub operators: usize,
    /// The arena that the plan may take.
    pub arena: usize,
    /// The peak of tensors that are alive at one time.
    pub peak: usize,
    /// Instructions of the quickest build of CMSIS-NN for the same shapes on Cortex-M0 code, M3, M4, RV32IMC and
    /// Cortex-M55, under QEMU's
    /// `-icount`; nothing else runs in them.
    pub cmsis_nn: [u64; 5],
}

/// The instructions of each network on each board, a line each: `NET,BOARD,INSTRUCTIONS,CODE,STACK`; `./tests/bench device --write`.
pub const FIGURES: &str = "tests/golden/device.csv";

/// All four.
pub const REFERENCES: [Reference; 4] = [
    Reference {
        name: "ResNet-8",
        arch: "resnet",
        shape: "[32, 32, 3]",
        outputs: 10,
        macs: 12_501_632,
        weights: 77_360,
        operators: 11,
        arena: 33_344,
        peak: 49_152,
        cmsis_nn: [97_549_728, 41_753_152, 29_858_373, 65_283_774, 4_572_014],
    },
    Reference {
        name: "DS-CNN",
        arch: "dscnn",
        shape: "[49, 10, 1]",
        outputs: 12,
        macs: 2_656_768,
        weights: 22_016,
        operators: 11,
        arena: 8_704,
        peak: 16_000,
        cmsis_nn: [24_914_693, 10_541_026, 7_693_575, 16_236_457, 1_752_367],
    },
    Reference {
        name: "MobileNet-V1",
        arch: "mobilenet-v1",
        shape: "[96, 96, 3]",
        outputs: 2,
        macs: 7_489_664,
        weights: 208_112,
        operators: 29,
        arena: 36_912,
        peak: 55_296,
        cmsis_nn: [74_313_535, 32_073_567, 24_092_025, 48_589_054, 6_253_762],
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
        cmsis_nn: [1_758_898, 953_151, 579_551, 1_474_099, 61_834],
    },
];

impl Reference {
    /// Returns its file, untrained; `overlap` says whether outputs may lie over inputs.
    ///
    /// # Errors
    ///
    /// When it cannot be built.
    pub fn export(&self, overlap: bool) -> Result<Vec<u8>> {
        self.ordered(overlap, "blocks")
    }

    /// As [`Reference::export`], with dense weights in the order that suits a board.
    ///
    /// # Errors
    ///
    /// When it cannot be built.
    pub fn for_board(&self, board: &str) -> Result<Vec<u8>> {
        self.ordered(true, if board.ends_with("mps3-an547") { "rows" } else { "blocks" })
    }

    fn ordered(&self, overlap: bool, order: &str) -> Result<Vec<u8>> {
        let text = format!(
            "[data]\nformat = \"random\"\nsamples = 40\n[input]\nshape = {}\n[[heads]]\nname = \"y\"\n\
             kind = \"regression\"\noutputs = {}\n[student]\narch = \"{}\"\n[distill]\nmethod = \"none\"\n\
             [quantize]\ncalibration = 8\ntests = 1\noverlap = {overlap}\ndense_order = \"{order}\"\n",
            self.shape, self.outputs, self.arch
        );
        let recipe = Recipe::parse(&text, self.name, self.name, &[])?;
        let data = data::load(&recipe, "".as_ref())?;
        untrained(&recipe, &data)
    }
}

/// Returns the file of a recipe's student as it is before any training.
///
/// # Errors
///
/// When it cannot be built.
pub fn untrained(recipe: &Recipe, data: &Dataset) -> Result<Vec<u8>> {
    let heads: Vec<(String, usize)> = data.targets.iter().map(|target| (target.name.clone(), target.outputs)).collect();
    let graph = net::build(&recipe.student, data.input_shape, data.facts.input(Audience::Board), &heads)?;
    let net = Net::new(graph, &mut random::stream(recipe.seed, "untrained"), &Device::Cpu)?;
    compile::quantize(&net, data, &recipe.quantize, 0)
}
