//! `[teacher]` and `[student]`: the layers of a network and how it is trained.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::domain::Activation;

/// Keys of `[teacher]` and `[student]`: the layers of a network and how it is trained.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Net {
    /// The family, or `layers` for a list of one's own; see [`Arch`].
    pub arch: Arch,
    /// Channels or units of the first layer; the others follow from it as the family says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub width: Option<usize>,
    /// How many blocks; of what, the family says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub depth: Option<usize>,
    /// bag: the rows that n-grams choose among, 512 when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub buckets: Option<usize>,
    /// bag: `[least, greatest]` number of letters of an n-gram within a word, `[2, 4]` when left out, `[0, 0]` for none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub letters: Option<[u8; 2]>,
    /// bag: the greatest number of words of an n-gram, 2 when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub words: Option<u8>,
    /// Widths of the dense layers before the heads.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hidden: Vec<usize>,
    /// cnn, cnn1d: channels of each stage.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub channels: Vec<usize>,
    /// cnn, cnn1d: size of the kernel of each stage, or one for all; over a series it spans time, over an image it is
    /// square.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub kernel: Vec<usize>,
    /// cnn, cnn1d: stride of each stage, or one for all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stride: Vec<usize>,
    /// cnn, cnn1d: size of the max pooling after each stage, or one for all; 1 is none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pool: Vec<usize>,
    /// cnn, cnn1d: every stage but the first is a depthwise convolution and a 1x1 convolution.
    #[serde(default)]
    pub separable: bool,
    /// cnn, cnn1d: every stage whose shape allows it adds its input to its output.
    #[serde(default)]
    pub residual: bool,
    /// cnn, cnn1d: what follows the stages: `global-average` or `flatten`.
    #[serde(default)]
    pub gather: Gather,
    /// arch "onnx": the file, below `--data`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<PathBuf>,
    /// arch "onnx": what raw values are divided by, before `mean` and `deviation`.
    #[serde(default = "Net::default_divide")]
    pub divide: f32,
    /// arch "onnx": what is subtracted from the divided values, for all channels or for each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mean: Vec<f32>,
    /// arch "onnx": what they are divided by then.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub deviation: Vec<f32>,
    /// arch "saved": the logits of the samples that are not of the test part, in the order of the files, for each head.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub logits: BTreeMap<String, String>,
    /// arch "saved": those of the test part.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub test_logits: BTreeMap<String, String>,
    /// arch "onnx" and "saved": whether the answers are `logits` or `probabilities`; found out when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outputs: Option<AnswerKind>,
    /// arch "onnx": known answers of the network, held against what it gives here: an npy file of its answers to the first
    /// samples of the data, or an npz file with its own inputs `x` and its outputs `y`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub check: Option<String>,
    /// arch "onnx": as `check`, an npy file of the answers to the first samples of the test part.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub test_check: Option<String>,
    /// teachers: the heads that the network answers; all when left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub heads: Vec<String>,
    /// arch "layers": the layers from the input to the heads.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub layers: Vec<Layer>,
    /// Whether a batch normalisation follows each layer with weights; it costs nothing on the board. The default is what
    /// the family's authors did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub norm: Option<bool>,
    /// What follows each layer: `relu`, `relu6`, `tanh` or `sigmoid`.
    #[serde(default)]
    pub activation: Activation,
    /// The share of values that are dropped before the heads while training.
    #[serde(default)]
    pub dropout: f64,
    /// How the facts enter: `concat`, `add`, `film`, `gate`, `prior`, or `sum` (input + facts, of the same width).
    #[serde(default)]
    pub fusion: Fusion,
    /// Where they enter: `input`, `features` (before the dense layers), or behind the layer of a name; the default is `input` for an mlp and an
    /// autoencoder, `features` for the others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fuse_at: Option<FuseAt>,
    /// Passes over the training split.
    #[serde(default = "Net::default_epochs")]
    pub epochs: usize,
    /// Samples in a step.
    #[serde(default = "Net::default_batch")]
    pub batch: usize,
    /// What takes the steps: `adam`, `adamw` or `sgd`.
    #[serde(default)]
    pub optimizer: OptimizerKind,
    /// The learning rate at the start.
    #[serde(default = "Net::default_rate")]
    pub rate: f64,
    /// How the rate goes on: `cosine` (to zero), `constant` or `steps`.
    #[serde(default)]
    pub schedule: Schedule,
    /// schedule "steps": after which epochs the rate falls.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<usize>,
    /// schedule "steps": what the rate is multiplied by then.
    #[serde(default = "Net::default_step_factor")]
    pub step_factor: f64,
    /// Epochs over which the rate rises from zero first.
    #[serde(default)]
    pub warm_up: f64,
    /// What of a weight is taken away at each step, times the rate: 0.01 for adamw and 0 for the others when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decay: Option<f64>,
    /// sgd: what of the last step is taken again.
    #[serde(default = "Net::default_momentum")]
    pub momentum: f64,
    /// The greatest length of all gradients together; longer ones are shortened.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clip: Option<f64>,
    /// What of the running mean of the weights stays at each step, as 0.999; the mean is validated and kept then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub average: Option<f64>,
    /// Epochs without a better validation after which the training ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub patience: Option<usize>,
    /// teacher: how many are trained, each from another seed; their logits are averaged.
    #[serde(default = "Net::default_ensemble")]
    pub ensemble: usize,
    /// The chance of each fact to be hidden from a sample while training, so that it may be missing on the board.
    #[serde(default = "Net::default_fact_dropout")]
    pub fact_dropout: f64,
}

impl Net {
    fn default_epochs() -> usize {
        10
    }

    fn default_batch() -> usize {
        64
    }

    fn default_rate() -> f64 {
        0.001
    }

    fn default_divide() -> f32 {
        1.0
    }

    fn default_step_factor() -> f64 {
        0.1
    }

    fn default_momentum() -> f64 {
        0.9
    }

    fn default_ensemble() -> usize {
        1
    }

    fn default_fact_dropout() -> f64 {
        0.1
    }
}

/// Families of networks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Arch {
    /// Dense layers of the widths in `hidden`; with none, a linear model.
    Mlp,
    /// Convolutions over a series or an image, then dense layers.
    Cnn,
    /// The same, for series alone.
    Cnn1d,
    /// A convolution and `depth` (4) depthwise separable blocks of `width` (64) channels (Zhang et al. 2017); with these
    /// defaults on `[49, 10, 1]` the keyword net of MLPerf Tiny.
    Dscnn,
    /// Three stages of `depth` (1) residual blocks of `width` (16), twice and four times as many channels (He et al.
    /// 2016); with these defaults on `[32, 32, 3]` ResNet-8 of MLPerf Tiny.
    Resnet,
    /// Thirteen depthwise separable blocks (Howard et al. 2017), the first convolution with `width` (8) channels; with
    /// this default on `[96, 96, 3]` the visual wake words net of MLPerf Tiny.
    MobilenetV1,
    /// `depth` (4) dense layers of `width` (128), a bottleneck of 8, and as many layers again; with these defaults on 640
    /// values and a head over the input the anomaly net of MLPerf Tiny.
    Autoencoder,
    /// `depth` (4) residual blocks of causal convolutions over a series, `width` (16) channels, each block reaching twice as
    /// far back (Bai, Kolter, Koltun 2018); runs on the board a step at a time.
    Tcn,
    /// `depth` (1) gated recurrent layers of `width` (24) units (Cho et al. 2014); runs on the board a step at a time.
    Gru,
    /// `depth` (1) long short-term memories of `width` (24) units (Hochreiter, Schmidhuber 1997); runs on the board a step at
    /// a time.
    Lstm,
    /// A text's n-grams, of letters and of words, each choose a row of `width` (16) values among `buckets`, and the mean of
    /// the rows goes on (Joulin et al. 2017).
    Bag,
    /// The layers in `layers`.
    Layers,
    /// teacher: a network from an ONNX file.
    Onnx,
    /// teacher: logits that were saved elsewhere.
    Saved,
}

/// What the answers of a teacher from elsewhere are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AnswerKind {
    /// Any numbers; the largest is of the likeliest class.
    Logits,
    /// Of all classes together 1, or of each label between 0 and 1.
    Probabilities,
}

/// An entry of `layers`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Layer {
    /// What it computes.
    pub kind: LayerKind,
    /// conv, bag: channels of the result; dense, gru, lstm: units.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channels: Option<usize>,
    /// conv, depthwise, pools: `n` or `[height, width]`; over a series `n` spans time. upsample: how often each position is repeated, 2
    /// when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kernel: Option<Size>,
    /// conv, depthwise, pools: steps between outputs, 1 or `[1, 1]` when left out; a pool moves by its own size.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stride: Option<Size>,
    /// conv, depthwise: steps between taps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dilation: Option<Size>,
    /// conv, depthwise, pools: `same`, `valid` or `causal`; pools are `valid` when it is left out, the others `same`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub padding: Option<Padding>,
    /// conv, depthwise, dense: whether a batch normalisation follows; the default is that of the network.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub norm: Option<bool>,
    /// What follows: the default is the network's activation after conv, depthwise, dense and residual.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub activation: Option<Activation>,
    /// residual: the layers whose result is added to the shortcut's.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub layers: Vec<Layer>,
    /// residual: the layers of the shortcut; without any, the input itself.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub shortcut: Vec<Layer>,
    /// dropout: the share of values that are dropped while training.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub share: Option<f64>,
    /// bag: the rows that n-grams choose among.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub buckets: Option<usize>,
    /// bag: `[least, greatest]` number of letters of an n-gram within a word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub letters: Option<[u8; 2]>,
    /// bag: the greatest number of words of an n-gram.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub words: Option<u8>,
}

impl Layer {
    /// Returns a layer of a kind that says nothing else.
    pub fn of(kind: LayerKind) -> Self {
        Self {
            kind,
            channels: None,
            kernel: None,
            stride: None,
            dilation: None,
            padding: None,
            norm: None,
            activation: None,
            layers: Vec::new(),
            shortcut: Vec::new(),
            share: None,
            buckets: None,
            letters: None,
            words: None,
        }
    }

    /// Returns the keys that it has, beside its kind.
    pub fn keys(&self) -> Vec<&'static str> {
        // Without `..`, so that no key can be missing here.
        let Self {
            kind: _,
            channels,
            kernel,
            stride,
            dilation,
            padding,
            norm,
            activation,
            layers,
            shortcut,
            share,
            buckets,
            letters,
            words,
        } = self;
        let keys = [
            ("channels", channels.is_some()),
            ("kernel", kernel.is_some()),
            ("stride", stride.is_some()),
            ("dilation", dilation.is_some()),
            ("padding", padding.is_some()),
            ("norm", norm.is_some()),
            ("activation", activation.is_some()),
            ("layers", !layers.is_empty()),
            ("shortcut", !shortcut.is_empty()),
            ("share", share.is_some()),
            ("buckets", buckets.is_some()),
            ("letters", letters.is_some()),
            ("words", words.is_some()),
        ];
        keys.into_iter().filter_map(|(key, is_given)| is_given.then_some(key)).collect()
    }
}

/// Defines the kinds of layers, each with the name that recipes and nodes have.
macro_rules! layer_kinds {
    ($($(#[$doc:meta])* $kind:ident $name:literal,)*) => {
        /// What an entry of `layers` computes.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
        pub enum LayerKind {
            $($(#[$doc])* #[serde(rename = $name)] $kind,)*
        }

        impl LayerKind {
            /// All kinds.
            pub const ALL: &'static [Self] = &[$(Self::$kind),*];

            /// Returns the name of layers of this kind; the place of a layer follows it.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$kind => $name,)*
                }
            }
        }
    };
}

layer_kinds! {
    /// A convolution.
    Conv "conv",
    /// A convolution channel by channel.
    Depthwise "depthwise",
    /// A matrix product of all values.
    Dense "dense",
    /// The greatest value in a window.
    MaxPool "max-pool",
    /// The mean over a window.
    AveragePool "average-pool",
    /// The mean of each channel over all positions.
    GlobalAverage "global-average",
    /// Each position repeated along both axes.
    Upsample "upsample",
    /// The sum of `layers` and `shortcut`.
    Residual "residual",
    /// A gated recurrent layer over a series; the network runs on the board a step at a time.
    Gru "gru",
    /// A long short-term memory over a series; the network runs on the board a step at a time.
    Lstm "lstm",
    /// The last step of a series; the network runs on the board a step at a time.
    Last "last",
    /// The mean of the rows that a text's n-grams choose.
    Bag "bag",
    /// Values dropped while training.
    Dropout "dropout",
    /// Where the facts enter, in the place of `fuse_at`.
    Facts "facts",
}

/// How an input is padded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Padding {
    /// On both sides, such that there is an output for every stride-th position; an odd one goes to the end.
    Same,
    /// None.
    Valid,
    /// All before the first position of the width, such that an output sees nothing after it; rows as `same`.
    Causal,
}

/// One number for both axes, or one for each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged, expecting = "expected a number, or [height, width]")]
pub enum Size {
    /// Both axes; over a series, of height 1, the width alone.
    One(usize),
    /// `[height, width]`.
    Two([usize; 2]),
}

/// What follows the stages of a cnn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Gather {
    /// The mean of each channel over all positions.
    #[default]
    GlobalAverage,
    /// All values.
    Flatten,
}

/// How the facts enter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fusion {
    /// `[h; f]`.
    #[default]
    Concat,
    /// `h + W f`.
    Add,
    /// `x + f`.
    Sum,
    /// `(W f + 1) h + V f` (Perez et al. 2018).
    Film,
    /// `sigmoid(W f) h`.
    Gate,
    /// `head(h) + λ (W f + b)`: what the facts alone say of the answer, log-odds that are fitted first and stay, beside those of the
    /// network, with a weight λ that is learned.
    Prior,
}

/// Where the facts enter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FuseAt {
    /// Beside the input.
    Input,
    /// Before the dense layers.
    Features,
    /// Behind the layer of a name.
    #[serde(untagged)]
    Behind(String),
}

/// How the learning rate goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Schedule {
    /// Half a cosine from the rate to zero.
    #[default]
    Cosine,
    /// The rate throughout.
    Constant,
    /// The rate times a factor after some epochs.
    Steps,
}

/// What takes the steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OptimizerKind {
    /// Adam; a decay joins the gradient.
    #[default]
    Adam,
    /// Adam with a decay beside the gradient.
    Adamw,
    /// Gradient descent with momentum; a decay joins the gradient.
    Sgd,
}
