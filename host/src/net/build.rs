//! From a list of layers to a graph: shapes, windows, shortcuts, and where the facts enter.

use anyhow::{Context, Result, bail, ensure};
use attar_shared::text::{Grams, MAX_BUCKETS, MAX_GRAMS, MAX_LETTERS, MAX_WORDS};

use super::families;
use super::graph::Graph;
use super::layers::{self, Op};
use super::ops::Window;
use crate::domain::Activation;
use crate::facts::FactInput;
use crate::recipe::{Fusion, Layer, LayerKind, Net, Padding, Size};

/// Returns the graph of a network.
///
/// # Shape
///
/// `input` is `[height, width, channels]`; `facts` are those that it takes, if any; `heads` holds the name and the number of
/// outputs of each head.
///
/// # Errors
///
/// When a layer does not fit what it reads, or facts cannot be fused as the recipe says; the message names the layer and
/// both shapes.
pub fn build(net: &Net, input: [usize; 3], facts: Option<FactInput>, heads: &[(String, usize)]) -> Result<Graph> {
    let layers = families::layers(net, input)?;
    let first = layers.iter().find(|layer| !matches!(layer.kind, LayerKind::Facts | LayerKind::Dropout));
    // Dense layers see values, not positions; facts then join a vector and are not repeated along it.
    let flat = first.is_none_or(|layer| layer.kind == LayerKind::Dense);
    let input = if flat { [1, 1, input.iter().product()] } else { input };
    let mut graph = Graph::default();
    let mut trunk = graph.push_source("input", layers::Input.into(), input);
    let mut taken = None;
    if let Some(FactInput { audience, width, embeddings }) = facts {
        let mut node = graph.push_source("facts", layers::Facts.into(), [1, 1, width]);
        if !embeddings.is_empty() {
            node = graph.push("facts.embedding", layers::Embedding { parts: embeddings }.into(), &[node])?;
        }
        graph.audience = Some(audience);
        taken = Some(node);
    }
    let facts = taken;
    let mut builder = Builder { net, graph, facts };
    trunk = builder.sequence("", &layers, trunk)?;
    let Builder { mut graph, .. } = builder;
    for (name, outputs) in heads {
        let mut head =
            graph.push(format!("head.{name}"), layers::Dense { outputs: *outputs, bias: true }.into(), &[trunk])?;
        if let (Some(facts), Fusion::Prior) = (facts, net.fusion) {
            let prior = graph.push(
                format!("prior.{name}"),
                layers::Prior { outputs: *outputs, folded: false }.into(),
                &[facts],
            )?;
            head = graph.push(format!("logits.{name}"), layers::Add.into(), &[head, prior])?;
        }
        graph.heads.push(head);
    }
    if facts.is_some_and(|facts| graph.readers(facts).next().is_none()) {
        bail!("the facts enter nowhere: put a layer of kind \"facts\" into layers, or say fuse_at");
    }
    graph.check_size()?;
    Ok(graph)
}

struct Builder<'a> {
    net: &'a Net,
    graph: Graph,
    facts: Option<usize>,
}

impl Builder<'_> {
    /// Adds layers one after the other and returns the last node; names are the kinds with their places, below `prefix`.
    fn sequence(&mut self, prefix: &str, layers: &[Layer], mut trunk: usize) -> Result<usize> {
        for (index, layer) in layers.iter().enumerate() {
            let name = format!("{prefix}{}{index}", layer.kind.name());
            let dense_follows = layers.get(index + 1).is_none_or(|next| next.kind == LayerKind::Dense);
            trunk = self.layer(&name, layer, trunk, dense_follows).with_context(|| format!("layer {name:?}"))?;
        }
        Ok(trunk)
    }

    fn layer(&mut self, name: &str, layer: &Layer, trunk: usize, dense_follows: bool) -> Result<usize> {
        check_keys(layer)?;
        let shape = self.graph.nodes[trunk].shape;
        match layer.kind {
            LayerKind::Conv => {
                let window = window_of(layer, shape, Padding::Same, 3)?;
                let outputs = layer.channels.context("channels are missing")?;
                self.weighted(name, layer, |bias| layers::Convolution { outputs, window, bias }.into(), trunk)
            }
            LayerKind::Depthwise => {
                let window = window_of(layer, shape, Padding::Same, 3)?;
                self.weighted(name, layer, |bias| layers::Depthwise { window, bias }.into(), trunk)
            }
            LayerKind::Dense => {
                let outputs = layer.channels.context("channels are missing")?;
                self.weighted(name, layer, |bias| layers::Dense { outputs, bias }.into(), trunk)
            }
            LayerKind::MaxPool | LayerKind::AveragePool => {
                let window = window_of(layer, shape, Padding::Valid, 2)?;
                let op = match layer.kind {
                    LayerKind::MaxPool => layers::MaxPool { window }.into(),
                    _ => layers::AveragePool { window }.into(),
                };
                let pool = self.graph.push(name, op, &[trunk])?;
                self.activation(name, layer.activation.unwrap_or(Activation::None), pool)
            }
            LayerKind::GlobalAverage => {
                let kernel = [shape[0], shape[1]];
                let window = Window { kernel, stride: [1, 1], dilation: [1, 1], pad: [0, 0], out: [1, 1] };
                self.graph.push(name, layers::AveragePool { window }.into(), &[trunk])
            }
            LayerKind::Residual => {
                ensure!(!layer.layers.is_empty(), "layers are missing");
                let branch = self.sequence(&format!("{name}."), &layer.layers, trunk)?;
                let shortcut = self.sequence(&format!("{name}.shortcut."), &layer.shortcut, trunk)?;
                let (a, b) = (self.graph.nodes[branch].shape, self.graph.nodes[shortcut].shape);
                ensure!(a == b, "its layers give {a:?} and its shortcut {b:?}: they cannot be added");
                let sum = self.graph.push(name, layers::Add.into(), &[branch, shortcut])?;
                self.activation(name, layer.activation.unwrap_or(self.net.activation), sum)
            }
            LayerKind::Gru => {
                let units = layer.channels.context("channels are missing")?;
                ensure!((1..=4096).contains(&units), "channels are {units}, expected 1 to 4096");
                ensure!(shape[0] == 1, "it reads a series, of height 1, and not {shape:?}");
                self.graph.push(name, layers::Gru { units }.into(), &[trunk])
            }
            LayerKind::Bag => {
                ensure!(
                    matches!(self.graph.nodes[trunk].op, Op::Input(_)) && shape[0] == 1 && shape[2] == 1,
                    "it reads the text and nothing else: facts enter behind it, so leave fuse_at out or say \"features\""
                );
                let channels = layer.channels.context("channels are missing")?;
                ensure!((1..=4096).contains(&channels), "channels are {channels}, expected 1 to 4096");
                let grams = grams_of(layer, shape[1])?;
                self.graph.push(name, layers::Bag { grams, channels }.into(), &[trunk])
            }
            LayerKind::Last => {
                ensure!(shape[0] == 1, "it reads a series, of height 1, and not {shape:?}");
                self.graph.push(name, layers::Last.into(), &[trunk])
            }
            LayerKind::Dropout => {
                let share = layer.share.context("share is missing")?;
                ensure!((0.0..1.0).contains(&share), "share is {share}, expected 0 to below 1");
                self.graph.push(name, layers::Dropout { share }.into(), &[trunk])
            }
            LayerKind::Facts => match self.facts {
                Some(facts) => self.fuse(trunk, facts, dense_follows),
                None => Ok(trunk),
            },
        }
    }

    /// Adds an operator with weights and what follows it: normalisation, activation.
    fn weighted(&mut self, name: &str, layer: &Layer, op: impl Fn(bool) -> Op, input: usize) -> Result<usize> {
        let outputs = layer.channels.unwrap_or(1);
        ensure!((1..=65_535).contains(&outputs), "channels are {outputs}, expected 1 to 65535");
        let is_normed = layer.norm.or(self.net.norm).unwrap_or(families::normed(self.net.arch));
        let mut node = self.graph.push(name, op(!is_normed), &[input])?;
        if is_normed {
            node = self.graph.push(format!("{name}.norm"), layers::Norm.into(), &[node])?;
        }
        self.activation(name, layer.activation.unwrap_or(self.net.activation), node)
    }

    fn activation(&mut self, name: &str, activation: Activation, node: usize) -> Result<usize> {
        match activation {
            Activation::None => Ok(node),
            activation => self.graph.push(format!("{name}.activation"), activation.into(), &[node]),
        }
    }

    fn fuse(&mut self, trunk: usize, facts: usize, dense_follows: bool) -> Result<usize> {
        let graph = &mut self.graph;
        let shape = graph.nodes[trunk].shape;
        match self.net.fusion {
            Fusion::Concat => {
                // A dense layer flattens: facts at every position would be weights for nothing.
                ensure!(
                    !dense_follows || shape[..2] == [1, 1],
                    "fusion \"concat\" before a dense layer repeats the facts at each of {}x{} positions: use gather = \"global-average\" or fusion = \"add\"",
                    shape[0],
                    shape[1]
                );
                graph.push("fusion", layers::Concat.into(), &[trunk, facts])
            }
            Fusion::Add => {
                let shift =
                    graph.push("fusion.facts", layers::Dense { outputs: shape[2], bias: true }.into(), &[facts])?;
                graph.push("fusion", layers::Add.into(), &[trunk, shift])
            }
            Fusion::Film => {
                let factor =
                    graph.push("fusion.factor", layers::Dense { outputs: shape[2], bias: true }.into(), &[facts])?;
                let shift =
                    graph.push("fusion.facts", layers::Dense { outputs: shape[2], bias: true }.into(), &[facts])?;
                let scaled = graph.push("fusion.scaled", layers::Multiply.into(), &[trunk, factor])?;
                graph.push("fusion", layers::Add.into(), &[scaled, shift])
            }
            // To the logits, not here.
            Fusion::Prior => Ok(trunk),
            Fusion::Gate => {
                let open =
                    graph.push("fusion.facts", layers::Dense { outputs: shape[2], bias: true }.into(), &[facts])?;
                let gate = graph.push("fusion.gate", Activation::Sigmoid.into(), &[open])?;
                graph.push("fusion", layers::Multiply.into(), &[trunk, gate])
            }
            Fusion::Sum => {
                let width = graph.nodes[facts].shape[2];
                ensure!(
                    shape[2] == width,
                    "fusion \"sum\" adds facts to the input value by value: there are {width} encoded facts for {} values",
                    shape[2]
                );
                graph.push("fusion", layers::Add.into(), &[trunk, facts])
            }
        }
    }
}

/// Refuses keys that the layer's kind does not use.
fn check_keys(layer: &Layer) -> Result<()> {
    use LayerKind::{AveragePool, Bag, Conv, Dense, Depthwise, Dropout, Gru, MaxPool, Residual};
    let window: &[LayerKind] = &[Conv, Depthwise, MaxPool, AveragePool];
    let rules: [(&str, bool, &[LayerKind]); 13] = [
        ("channels", layer.channels.is_some(), &[Conv, Dense, Gru, Bag]),
        ("kernel", layer.kernel.is_some(), window),
        ("stride", layer.stride.is_some(), window),
        ("dilation", layer.dilation.is_some(), &[Conv, Depthwise]),
        ("padding", layer.padding.is_some(), window),
        ("norm", layer.norm.is_some(), &[Conv, Depthwise, Dense]),
        ("activation", layer.activation.is_some(), &[Conv, Depthwise, Dense, Residual, MaxPool, AveragePool]),
        ("layers", !layer.layers.is_empty(), &[Residual]),
        ("shortcut", !layer.shortcut.is_empty(), &[Residual]),
        ("share", layer.share.is_some(), &[Dropout]),
        ("buckets", layer.buckets.is_some(), &[Bag]),
        ("letters", layer.letters.is_some(), &[Bag]),
        ("words", layer.words.is_some(), &[Bag]),
    ];
    for (key, present, kinds) in rules {
        ensure!(!present || kinds.contains(&layer.kind), "kind {:?} has no key {key}", layer.kind.name());
    }
    Ok(())
}

/// Returns the n-grams of a layer over a text of so many bytes.
fn grams_of(layer: &Layer, bytes: usize) -> Result<Grams> {
    let buckets = layer.buckets.unwrap_or(512);
    ensure!((1..=MAX_BUCKETS as usize).contains(&buckets), "buckets are {buckets}, expected 1 to {MAX_BUCKETS}");
    let letters = layer.letters.unwrap_or([2, 4]);
    ensure!(
        letters == [0, 0] || (1 <= letters[0] && letters[0] <= letters[1] && letters[1] <= MAX_LETTERS),
        "letters are {letters:?}, expected [least, greatest] from 1 to {MAX_LETTERS}, or [0, 0] for none"
    );
    let words = layer.words.unwrap_or(2);
    ensure!(words <= MAX_WORDS, "words are {words}, expected 0 to {MAX_WORDS}");
    ensure!(words > 0 || letters != [0, 0], "neither letters nor words are looked at");
    let grams = Grams { buckets: buckets as u32, letters, words };
    let sizes = grams.most(0);
    ensure!(
        grams.most(bytes) <= MAX_GRAMS,
        "a text of {bytes} bytes may have {} n-grams, at most {MAX_GRAMS} fit: leave texts of more than {} bytes out, or look at \
         fewer sizes of letters and words",
        grams.most(bytes),
        (MAX_GRAMS / sizes - 1) / 2
    );
    Ok(grams)
}

/// Returns the window of a layer over an input.
fn window_of(layer: &Layer, shape: [usize; 3], padding: Padding, default_kernel: usize) -> Result<Window> {
    let series = shape[0] == 1;
    let both = |size: Size| match size {
        Size::One(size) => [if series { 1 } else { size }, size],
        Size::Two(sizes) => sizes,
    };
    let kernel = both(layer.kernel.unwrap_or(Size::One(default_kernel)));
    let pool = matches!(layer.kind, LayerKind::MaxPool | LayerKind::AveragePool);
    let stride = layer.stride.map_or(if pool { kernel } else { [1, 1] }, both);
    let dilation = layer.dilation.map_or([1, 1], both);
    for (name, sizes) in [("kernel", kernel), ("stride", stride), ("dilation", dilation)] {
        ensure!(
            sizes.iter().all(|size| (1..=65_535).contains(size)),
            "{name} is {sizes:?}, expected 1 to 65535 on each axis"
        );
    }
    let padding = layer.padding.unwrap_or(padding);
    let mut window = Window { kernel, stride, dilation, pad: [0, 0], out: [0, 0] };
    for axis in 0..2 {
        let reach = (kernel[axis] - 1) * dilation[axis];
        let len = shape[axis];
        let causal = padding == Padding::Causal && axis == 1;
        (window.pad[axis], window.out[axis]) = if padding == Padding::Valid {
            ensure!(
                reach < len,
                "its window of {}x{} does not fit {}x{} positions without padding",
                (kernel[0] - 1) * dilation[0] + 1,
                (kernel[1] - 1) * dilation[1] + 1,
                shape[0],
                shape[1]
            );
            (0, (len - 1 - reach) / stride[axis] + 1)
        } else {
            let out = len.div_ceil(stride[axis]);
            let total = ((out - 1) * stride[axis] + reach + 1).saturating_sub(len);
            (if causal { reach } else { total / 2 }, out)
        };
    }
    Ok(window)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_are_as_their_padding_says_for_every_size() {
        let mut windows = 0;
        for (len, kernel, stride, dilation) in (1..24).flat_map(|len| {
            (1..8).flat_map(move |kernel| {
                (1..5).flat_map(move |stride| (1..4).map(move |dilation| (len, kernel, stride, dilation)))
            })
        }) {
            let layer = |padding| Layer {
                kernel: Some(Size::Two([1, kernel])),
                stride: Some(Size::Two([1, stride])),
                dilation: Some(Size::Two([1, dilation])),
                padding: Some(padding),
                ..Layer::of(LayerKind::Conv)
            };
            let window = |padding| window_of(&layer(padding), [1, len, 1], Padding::Same, 3);
            let reach = (kernel - 1) * dilation;
            let end = |window: &Window| (window.out[1] - 1) * stride + reach;
            match window(Padding::Valid) {
                Ok(valid) => {
                    assert_eq!(valid.pad, [0, 0]);
                    assert!(end(&valid) < len && end(&valid) + stride >= len, "{valid:?} over {len}");
                    windows += 1;
                }
                Err(_) => assert!(reach >= len),
            }
            let same = window(Padding::Same).unwrap();
            let after = (end(&same) + 1).saturating_sub(same.pad[1] + len);
            assert_eq!(same.out[1], len.div_ceil(stride), "{same:?} over {len}");
            assert!(after >= same.pad[1] && after - same.pad[1] <= 1, "{same:?} over {len}: {after} after");
            let causal = window(Padding::Causal).unwrap();
            // The last tap of an output is the input at its own place: nothing after it.
            assert_eq!((causal.pad[1], causal.out[1]), (reach, len.div_ceil(stride)));
        }
        assert!(windows > 500);
    }
}
