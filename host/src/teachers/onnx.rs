//! Teachers from ONNX files: how samples go in, which rows come out, and whether the answers are probabilities.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use rayon::prelude::*;

use crate::onnx::{Answer, Ending, Network};
use crate::support::progress::say;

/// A network from an ONNX file, for samples of one shape.
#[derive(Debug)]
pub struct Onnx {
    path: PathBuf,
    network: Network,
    sample: [usize; 3],
    /// The shape of the network's input, the batch first.
    shape: Vec<usize>,
    /// Whether the input has a sample channel by channel; the data has it value by value.
    channels_first: bool,
    /// The number of values a row of each output.
    widths: Vec<usize>,
}

/// An output of a network.
#[derive(Debug, Clone, PartialEq)]
pub struct Output {
    /// Its name in the file.
    pub name: String,
    /// Values a row.
    pub width: usize,
    /// `[rows, width]`, row by row.
    pub values: Vec<f32>,
}

impl Onnx {
    /// Reads a network for samples of `[height, width, channels]`, channels last.
    ///
    /// Its one input may be `[n, c, h, w]` or `[n, h, w, c]`; `[n, c, w]` or `[n, w, c]` for series, whose height is 1;
    /// `[n, h, w]` for one channel; or `[n, h·w·c]`, which gets the values in the order of the data. Of several that
    /// fit the declared shape, the first that the network runs on is taken, and printed.
    ///
    /// # Errors
    ///
    /// When the file cannot be read, has something that is not supported, does not fit the samples, returns anything but
    /// 32-bit floats with the batch first, or makes the answer to a sample depend on the others of its batch.
    pub fn load(path: &Path, sample: [usize; 3]) -> Result<Self> {
        let at = path.display();
        let network = Network::read(path)?;
        let declared = network.input().to_vec();
        let values = sample.iter().try_fold(BATCH, |all, &size| all.checked_mul(size)).unwrap_or(usize::MAX);
        ensure!(
            (1..=MAX_VALUES).contains(&values),
            "{at}: samples of {sample:?} are too large: at most {MAX_VALUES} values"
        );
        let fits = |tail: &[usize]| {
            tail.len() + 1 == declared.len() && tail.iter().zip(&declared[1..]).all(|(&a, b)| b.is_none_or(|b| a == b))
        };
        let layouts: Vec<_> = layouts(sample).into_iter().filter(|(tail, _)| fits(tail)).collect();
        // A network that was traced with one sample may say that its batch is open and hold shapes for one.
        let batches = declared[0].map_or(vec![BATCH, 1], |batch| vec![batch]);
        let mut onnx =
            Self { path: path.into(), network, sample, shape: Vec::new(), channels_first: false, widths: Vec::new() };
        let mut refused = None;
        for &batch in &batches {
            ensure!(batch <= MAX_BATCH, "{at}: takes batches of {batch} samples, at most {MAX_BATCH} are supported");
            for (tail, channels_first) in &layouts {
                onnx.shape = std::iter::once(batch).chain(tail.iter().copied()).collect();
                onnx.channels_first = *channels_first;
                let mixed = |output: &str| {
                    format!(
                        "{at}: output {output:?}: the answer to a sample depends on the other samples of its batch: export the \
                         network in evaluation mode, without operations across the batch"
                    )
                };
                match onnx.try_out() {
                    // With one sample a batch it would run, and compute something else.
                    Ok(Some(output)) => bail!(mixed(&output)),
                    Ok(None) => {
                        if layouts.len() > 1 {
                            let order = if *channels_first { "channel by channel" } else { "in the order of the data" };
                            say(&format!("{at}: samples {sample:?} go in as {tail:?}, {order}"));
                        }
                        return Ok(onnx);
                    }
                    Err(error) => _ = refused.get_or_insert((onnx.shape.clone(), error)),
                }
            }
        }
        if let Some((shape, error)) = refused {
            return Err(error.context(format!("{at}: cannot be used on inputs of shape {shape:?}")));
        }
        let declared: Vec<_> = declared.iter().map(|size| size.map_or("?".into(), |size| size.to_string())).collect();
        let (declared, [h, w, c]) = (declared.join(", "), sample);
        bail!("{at}: takes inputs of shape [{declared}], the data has {sample:?}: export it for [n, {c}, {h}, {w}]")
    }

    /// Runs two batches, in which half of the samples are the same at other places, and finds out the widths of the outputs.
    /// Returns the name of an output whose rows are not the same, if there is one.
    fn try_out(&mut self) -> Result<Option<String>> {
        let (batch, len) = (self.shape[0], self.sample.iter().product::<usize>());
        // Any values will do that differ from sample to sample.
        let mut state = 1u32;
        let x: Vec<f32> = std::iter::repeat_with(|| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as f32 / (1 << 23) as f32 - 1.0
        })
        .take(batch * len)
        .collect();
        let turned = x.chunks_exact(len).rev().enumerate();
        let turned =
            turned.flat_map(|(place, x)| x.iter().map(move |x| if place % 2 == 0 { *x } else { x * 0.5 - 0.7 }));
        let turned: Vec<f32> = turned.collect();
        let answers = self.network.run(&self.shape, self.batch_of(&x))?;
        let others = self.network.run(&self.shape, self.batch_of(&turned))?;
        self.widths.clear();
        let names: Vec<String> = self.network.outputs().map(String::from).collect();
        for ((name, answer), other) in names.iter().zip(&answers).zip(&others) {
            let Answer { shape, values } = answer;
            ensure!(shape.first() == Some(&batch), "output {name:?} has shape {shape:?}, expected {batch} rows");
            let width = values.len() / batch;
            let rows = values.chunks_exact(width.max(1)).rev().zip(other.values.chunks_exact(width.max(1)));
            let rows = rows.step_by(2).flat_map(|(a, b)| a.iter().zip(b));
            let scale = values.iter().fold(1.0f32, |scale, x| if x.is_finite() { scale.max(x.abs()) } else { scale });
            let apart = rows.filter(|(a, b)| a.is_finite() || b.is_finite()).map(|(a, b)| (a - b).abs() / scale);
            let apart = apart.fold(0.0, |apart: f32, x| if x.is_nan() { f32::INFINITY } else { apart.max(x) });
            if apart > 1e-3 {
                return Ok(Some(name.clone()));
            }
            self.widths.push(width);
        }
        Ok(None)
    }

    /// Returns each output for `x`, which is `[rows, height, width, channels]` row by row.
    ///
    /// Rows go through in batches of one size, the last one filled up with zeros, so neither the rows around a row nor
    /// the number of threads change its values.
    ///
    /// # Errors
    ///
    /// When `x` has another number of values, or the network fails on them.
    pub fn logits(&self, x: &[f32], rows: usize) -> Result<Vec<Output>> {
        let at = self.path.display();
        let len: usize = self.sample.iter().product();
        let (sample, got) = (self.sample, x.len());
        ensure!(rows.checked_mul(len) == Some(got), "{at}: {rows} rows of {sample:?} were promised, got {got} values");
        let parts: Vec<Vec<Vec<f32>>> = x
            .par_chunks(len * self.shape[0])
            .map(|x| self.run(x).with_context(|| format!("{at}: fails on these inputs")))
            .collect::<Result<_>>()?;
        let mut outputs: Vec<Output> = self
            .outputs()
            .map(|(name, width)| Output { name: name.into(), width, values: Vec::with_capacity(rows * width) })
            .collect();
        for part in parts {
            outputs.iter_mut().zip(part).for_each(|(all, values)| all.values.extend(values));
        }
        Ok(outputs)
    }

    /// Runs a batch or less.
    fn run(&self, x: &[f32]) -> Result<Vec<Vec<f32>>> {
        let rows = x.len() / self.sample.iter().product::<usize>();
        let answers = self.network.run(&self.shape, self.batch_of(x))?;
        let values = self.outputs().zip(answers);
        values
            .map(|((name, width), answer)| {
                let (got, expected) = (answer.values.len(), self.shape[0] * width);
                ensure!(got == expected, "output {name:?} has {got} values, expected {expected}");
                Ok(answer.values[..rows * width].to_vec())
            })
            .collect()
    }

    /// Returns samples as the network takes them, filled up to a batch.
    fn batch_of(&self, x: &[f32]) -> Vec<f32> {
        let [height, width, channels] = self.sample;
        let len = height * width * channels;
        let mut batch = vec![0.0; len * self.shape[0]];
        // One channel at a time goes into its plane; without planes the whole sample is one.
        let (channels, plane) = if self.channels_first { (channels, height * width) } else { (1, len) };
        for (x, batch) in x.chunks_exact(len).zip(batch.chunks_exact_mut(len)) {
            for (channel, plane) in batch.chunks_exact_mut(plane).enumerate() {
                plane.iter_mut().zip(x[channel..].iter().step_by(channels)).for_each(|(to, &from)| *to = from);
            }
        }
        batch
    }

    /// Returns the answers to batches that hold the values of the network's own input, `[rows, ...]`.
    ///
    /// # Errors
    ///
    /// When `x` is not made of whole rows, or the network fails on them.
    pub fn answers_to_raw(&self, x: &[f32]) -> Result<Vec<Vec<f32>>> {
        let len: usize = self.shape[1..].iter().product();
        ensure!(x.len().is_multiple_of(len), "{} values are not rows of {len}", x.len());
        let mut all: Vec<Vec<f32>> = vec![Vec::new(); self.widths.len()];
        for x in x.chunks(len * self.shape[0]) {
            let mut batch = x.to_vec();
            batch.resize(len * self.shape[0], 0.0);
            let answers = self.network.run(&self.shape, batch)?;
            let rows = x.len() / len;
            for ((all, answer), width) in all.iter_mut().zip(answers).zip(&self.widths) {
                all.extend(&answer.values[..rows * width]);
            }
        }
        Ok(all)
    }

    /// Returns the name and the width of each output, in the order of the file.
    pub fn outputs(&self) -> impl ExactSizeIterator<Item = (&str, usize)> {
        let names: Vec<&str> = self.network.outputs().collect();
        names.into_iter().zip(self.widths.iter().copied())
    }

    /// Returns what makes probabilities of logits at the end of an output.
    pub(crate) fn ending(&self, output: usize) -> Option<Ending> {
        self.network.ending(output)
    }

    /// Takes that away, so that the output gives logits.
    ///
    /// # Errors
    ///
    /// When what is before it has another shape.
    pub(crate) fn without_ending(&mut self, output: usize) -> Result<()> {
        self.network.without_ending(output);
        let before = self.widths.clone();
        self.try_out()?;
        ensure!(self.widths == before, "{}: its logits have another shape than its probabilities", self.path.display());
        Ok(())
    }

    /// Returns the file and those beside it that hold its weights.
    pub fn files(&self) -> &[PathBuf] {
        self.network.files()
    }

    /// Returns the number of floats among the weights of the file.
    pub fn parameter_count(&self) -> usize {
        self.network.parameter_count()
    }
}

/// Returns the shapes, but for the batch, in which a network may have an input, and whether the channels come first.
fn layouts([height, width, channels]: [usize; 3]) -> Vec<(Vec<usize>, bool)> {
    let mut all = vec![(vec![channels, height, width], true), (vec![height, width, channels], false)];
    if height == 1 {
        all.extend([(vec![channels, width], true), (vec![width, channels], false)]);
    }
    if channels == 1 {
        all.push((vec![height, width], false));
    }
    all.push((vec![height * width * channels], false));
    all
}

/// Rows that go through at a time when the file leaves that open.
const BATCH: usize = 16;
/// The largest batch of a file.
const MAX_BATCH: usize = 1 << 12;
/// The largest number of values of a batch.
const MAX_VALUES: usize = 1 << 27;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::onnx::testing::{File, Value};

    fn load(file: File, sample: [usize; 3]) -> Result<Onnx> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("net.onnx");
        std::fs::write(&path, file.bytes())?;
        Onnx::load(&path, sample)
    }

    /// `y = x · w + b` for rows of 3.
    fn dense(batch: i64) -> File {
        File::new(&[batch, 3]).weights("w", &[3, 2], 0.5).weights("b", &[2], 3.0).node(
            "Gemm",
            &["x", "w", "b"],
            "y",
            vec![],
        )
    }

    /// A convolution from two channels to three, by kernels of 2 x 2.
    fn convolution(shape: &[i64]) -> File {
        let file = File::new(shape).weights("w", &[3, 2, 2, 2], 0.1);
        file.node("Conv", &["x", "w"], "c", vec![]).node("Relu", &["c"], "y", vec![])
    }

    #[test]
    fn a_dense_layer_gives_the_same_bits_in_any_batch() -> Result<()> {
        let x: Vec<f32> = (0..37 * 3).map(|i| (i as f32 * 0.7).sin()).collect();
        for batch in [0, 1, 7] {
            let net = load(dense(batch), [1, 3, 1])?;
            assert_eq!((net.parameter_count(), net.outputs().collect::<Vec<_>>()), (8, vec![("y", 2)]));
            let whole = net.logits(&x, 37)?.remove(0).values;
            let alone = x.chunks(3).map(|x| Ok(net.logits(x, 1)?.remove(0).values)).collect::<Result<Vec<_>>>()?;
            assert_eq!(whole, alone.concat());
            assert!(net.logits(&x, 38).is_err());
            assert!(net.logits(&[], 0)?[0].values.is_empty());
            for (x, y) in x.chunks(3).zip(whole.chunks(2)) {
                assert!((y[0] - (-x[0] + x[2] - 1.0)).abs() < 1e-5);
                assert!((y[1] - (-0.5 * x[0] + 0.5 * x[1] + 1.5 * x[2] + 2.0)).abs() < 1e-5);
            }
        }
        Ok(())
    }

    #[test]
    fn a_convolution_has_its_channels_in_place() -> Result<()> {
        let x: Vec<f32> = (0..12).map(|i| (i as f32).cos()).collect();
        for shape in [[0, 2, 3, 2], [0, 0, 0, 0]] {
            let got = load(convolution(&shape), [3, 2, 2])?.logits(&x, 1)?.remove(0).values;
            assert_eq!(got.len(), 6);
            for (index, got) in got.into_iter().enumerate() {
                let (out, top) = (index / 2, index % 2);
                let term = |i| ((out * 8 + i) as f32 * 0.1 - 1.0) * x[((top + i / 2 % 2) * 2 + i % 2) * 2 + i / 4];
                assert!((got - (0..8).map(term).sum::<f32>().max(0.0)).abs() < 1e-5, "{index}");
            }
        }
        let error = load(convolution(&[0, 2, 1, 2]), [1, 2, 2]).err().context("a kernel of 2 went over 1")?;
        let text = format!("{error:#}");
        assert!(text.contains("node \"c node\" (Conv): slides a kernel of 2 over 1 values"), "{text}");
        Ok(())
    }

    #[test]
    fn answers_that_depend_on_the_batch_are_refused() -> Result<()> {
        let mean = File::new(&[0, 3]).ints("axes", &[1], 7, &[0]).node("ReduceMean", &["x", "axes"], "m", vec![]);
        let error = load(mean.node("Sub", &["x", "m"], "y", vec![]), [1, 3, 1]).err().context("it was taken")?;
        assert!(format!("{error:#}").contains("depends on the other samples of its batch"), "{error:#}");
        Ok(())
    }

    #[test]
    fn what_does_not_fit_the_data_is_named() -> Result<()> {
        let arg_max = File::new(&[0, 3]).node("ArgMax", &["x"], "y", vec![("axis", Value::Int(1))]);
        for (file, expected) in [
            (arg_max, "output \"y\": holds I64, expected floats"),
            (convolution(&[0, 2, 3, 2]), "shape [?, 2, 3, 2], the data has [1, 3, 1]"),
            (File::new(&[0, 3]).node("Transpose", &["x"], "y", vec![]), "has shape [3, 16], expected 16 rows"),
        ] {
            let text = format!("{:#}", load(file, [1, 3, 1]).err().context("it was taken")?);
            assert!(text.contains(expected) && text.contains("net.onnx"), "{expected}: {text}");
        }
        Ok(())
    }

    #[test]
    fn a_network_that_was_traced_with_one_sample_goes_one_by_one() -> Result<()> {
        let traced = File::new(&[0, 3]).ints("shape", &[2], 7, &[1, 3]).node("Reshape", &["x", "shape"], "y", vec![]);
        let net = load(traced, [1, 3, 1])?;
        assert_eq!(net.logits(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0], 2)?[0].values, [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
        Ok(())
    }
}
