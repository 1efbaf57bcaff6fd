//! Families of networks: from the keys of a recipe to a list of layers. A new family is a function here.

use anyhow::{Context, Result};

use crate::domain::Activation;
use crate::recipe::{Arch, FuseAt, Gather, Layer, LayerKind, Net, Padding, Size};
use crate::support::suggest::did_you_mean;

/// Returns the layers of a network between its input, `[height, width, channels]`, and its heads.
///
/// # Errors
///
/// When the facts are to enter behind a layer that there is not.
pub(super) fn layers(net: &Net, input: [usize; 3]) -> Result<Vec<Layer>> {
    let mut layers = match net.arch {
        Arch::Layers if net.fuse_at.is_none() => return Ok(with_dropout(net, net.layers.clone())),
        Arch::Layers => net.layers.clone(),
        // Files are no families; a recipe that asks a student to be one is refused when it is read.
        Arch::Mlp | Arch::Onnx | Arch::Saved => Vec::new(),
        Arch::Cnn | Arch::Cnn1d => stages(net, input[2]),
        Arch::Dscnn => dscnn(net, input),
        Arch::Resnet => resnet(net),
        Arch::MobilenetV1 => mobilenet(net),
        Arch::Autoencoder => autoencoder(net),
        Arch::Tcn => tcn(net, input[2]),
        Arch::Gru => recurrent(net, LayerKind::Gru),
        Arch::Lstm => recurrent(net, LayerKind::Lstm),
        Arch::Bag => vec![bag(net)],
    };
    let before = matches!(net.arch, Arch::Mlp | Arch::Autoencoder);
    let facts = Layer::of(LayerKind::Facts);
    let hidden = net.hidden.iter().map(|&units| dense(units));
    match net.fuse_at.clone().unwrap_or(if before { FuseAt::Input } else { FuseAt::Features }) {
        FuseAt::Input => {
            layers.insert(0, facts);
            layers.extend(hidden);
        }
        FuseAt::Features => {
            layers.push(facts);
            layers.extend(hidden);
        }
        FuseAt::Behind(name) => {
            layers.extend(hidden);
            let names: Vec<String> =
                layers.iter().enumerate().map(|(index, layer)| format!("{}{index}", layer.kind.name())).collect();
            let place = names.iter().position(|known| *known == name).with_context(|| {
                let near = did_you_mean(&name, names.iter().map(String::as_str));
                format!("fuse_at: there is no layer {name:?}{near}; there are input, features, {}", names.join(", "))
            })?;
            layers.insert(place + 1, facts);
        }
    }
    Ok(with_dropout(net, layers))
}

/// Returns whether batch normalisation follows a family's layers when the recipe does not say.
pub(super) fn normed(arch: Arch) -> bool {
    matches!(arch, Arch::Dscnn | Arch::Resnet | Arch::MobilenetV1 | Arch::Autoencoder)
}

fn with_dropout(net: &Net, mut layers: Vec<Layer>) -> Vec<Layer> {
    if net.dropout > 0.0 {
        layers.push(Layer { share: Some(net.dropout), ..Layer::of(LayerKind::Dropout) });
    }
    layers
}

fn conv(channels: usize, kernel: Size, stride: usize) -> Layer {
    Layer {
        channels: Some(channels),
        kernel: Some(kernel),
        stride: Some(Size::One(stride)),
        ..Layer::of(LayerKind::Conv)
    }
}

fn depthwise(kernel: usize, stride: usize) -> Layer {
    Layer { kernel: Some(Size::One(kernel)), stride: Some(Size::One(stride)), ..Layer::of(LayerKind::Depthwise) }
}

fn dense(units: usize) -> Layer {
    Layer { channels: Some(units), ..Layer::of(LayerKind::Dense) }
}

fn linear(layer: Layer) -> Layer {
    Layer { activation: Some(Activation::None), ..layer }
}

/// The stages of a cnn: a convolution each, perhaps separable, perhaps with a shortcut, perhaps a pool after it.
fn stages(net: &Net, mut before: usize) -> Vec<Layer> {
    let pick = |list: &[usize], stage: usize, default: usize| match list {
        [] => default,
        [one] => *one,
        many => many[stage],
    };
    let mut layers = Vec::new();
    for (stage, &channels) in net.channels.iter().enumerate() {
        let (kernel, stride) = (pick(&net.kernel, stage, 3), pick(&net.stride, stage, 1));
        let mut block = if net.separable && stage > 0 {
            vec![depthwise(kernel, stride), conv(channels, Size::One(1), 1)]
        } else {
            vec![conv(channels, Size::One(kernel), stride)]
        };
        if net.residual && stride == 1 && channels == before {
            // The activation follows the sum.
            if let Some(last) = block.last_mut() {
                last.activation = Some(Activation::None);
            }
            block = vec![Layer { layers: block, ..Layer::of(LayerKind::Residual) }];
        }
        layers.extend(block);
        let pool = pick(&net.pool, stage, 1);
        if pool > 1 {
            layers.push(Layer { kernel: Some(Size::One(pool)), ..Layer::of(LayerKind::MaxPool) });
        }
        before = channels;
    }
    if net.gather == Gather::GlobalAverage {
        layers.push(Layer::of(LayerKind::GlobalAverage));
    }
    layers
}

fn dscnn(net: &Net, input: [usize; 3]) -> Vec<Layer> {
    let width = net.width.unwrap_or(64);
    let kernel = if input[0] == 1 { Size::One(10) } else { Size::Two([10, 4]) };
    let mut layers = vec![conv(width, kernel, 2)];
    for _ in 0..net.depth.unwrap_or(4) {
        layers.extend([depthwise(3, 1), conv(width, Size::One(1), 1)]);
    }
    layers.push(Layer::of(LayerKind::GlobalAverage));
    layers
}

fn resnet(net: &Net) -> Vec<Layer> {
    let width = net.width.unwrap_or(16);
    let mut layers = vec![conv(width, Size::One(3), 1)];
    for stage in 0..3 {
        let channels = width << stage;
        for block in 0..net.depth.unwrap_or(1) {
            let stride = if stage > 0 && block == 0 { 2 } else { 1 };
            let shortcut = Layer { norm: Some(false), ..linear(conv(channels, Size::One(1), stride)) };
            layers.push(Layer {
                layers: vec![conv(channels, Size::One(3), stride), linear(conv(channels, Size::One(3), 1))],
                shortcut: if stride == 1 { Vec::new() } else { vec![shortcut] },
                ..Layer::of(LayerKind::Residual)
            });
        }
    }
    layers.push(Layer::of(LayerKind::GlobalAverage));
    layers
}

fn mobilenet(net: &Net) -> Vec<Layer> {
    let width = net.width.unwrap_or(8);
    let mut layers = vec![conv(width, Size::One(3), 2)];
    let early = [(2, 1), (4, 2), (4, 1), (8, 2), (8, 1), (16, 2)];
    let middle = std::iter::repeat_n((16, 1), net.depth.unwrap_or(5));
    for (factor, stride) in early.into_iter().chain(middle).chain([(32, 2), (32, 1)]) {
        layers.extend([depthwise(3, stride), conv(factor * width, Size::One(1), 1)]);
    }
    layers.push(Layer::of(LayerKind::GlobalAverage));
    layers
}

fn autoencoder(net: &Net) -> Vec<Layer> {
    let (width, depth) = (net.width.unwrap_or(128), net.depth.unwrap_or(4));
    let side = || std::iter::repeat_with(|| dense(width)).take(depth);
    side().chain([dense(8)]).chain(side()).collect()
}

fn tcn(net: &Net, mut before: usize) -> Vec<Layer> {
    let width = net.width.unwrap_or(16);
    let mut layers = Vec::new();
    for block in 0..net.depth.unwrap_or(4) {
        let causal = Layer {
            dilation: Some(Size::Two([1, 1 << block.min(15)])),
            padding: Some(Padding::Causal),
            ..linear(conv(width, Size::Two([1, 3]), 1))
        };
        let shortcut = if before == width { Vec::new() } else { vec![linear(conv(width, Size::One(1), 1))] };
        layers.push(Layer { layers: vec![causal], shortcut, ..Layer::of(LayerKind::Residual) });
        before = width;
    }
    layers.push(Layer::of(LayerKind::Last));
    layers
}

fn bag(net: &Net) -> Layer {
    Layer {
        channels: Some(net.width.unwrap_or(16)),
        buckets: net.buckets,
        letters: net.letters,
        words: net.words,
        ..Layer::of(LayerKind::Bag)
    }
}

fn recurrent(net: &Net, kind: LayerKind) -> Vec<Layer> {
    let layer = Layer { channels: Some(net.width.unwrap_or(24)), ..Layer::of(kind) };
    let mut layers = vec![layer; net.depth.unwrap_or(1)];
    layers.push(Layer::of(LayerKind::Last));
    layers
}
