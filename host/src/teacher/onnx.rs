//! Teachers from ONNX files, run on the CPU by tract.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail, ensure};
use rayon::prelude::*;
use tract_onnx::pb::{GraphProto, ModelProto, TensorProto, tensor_shape_proto::dimension, type_proto};
use tract_onnx::prelude::{DatumExt, DatumType, Framework, InferenceModelExt, Tensor, TypedModel, tvec};
use tract_onnx::tract_core::ops::cnn::{Conv, MaxPool, SumPool};

/// A network that tract has made ready.
type Plan = tract_onnx::prelude::TypedSimplePlan<TypedModel>;

/// A network from an ONNX file.
#[derive(Debug)]
pub struct Onnx {
    path: PathBuf,
    plan: Plan,
    input: [usize; 3],
    /// The shape of what the plan takes, the batch first.
    shape: Vec<usize>,
    /// Whether it has a sample channel by channel; the data has it value by value.
    channels_first: bool,
    /// As they will be filled.
    outputs: Vec<Output>,
    parameters: usize,
    /// The file and those beside it that hold weights.
    files: Vec<PathBuf>,
}

/// What one output of a network came to.
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
    /// Reads a network for inputs of `[height, width, channels]`, channels last.
    ///
    /// Its one input may be `[n, c, h, w]` or `[n, h, w, c]`; `[n, c, w]` or `[n, w, c]` for series, whose height is 1;
    /// `[n, h, w]` for one channel; or `[n, h·w·c]`, which gets the values in the order of the data. Of several that
    /// fit the declared shape, the first that the network's own layers take is meant.
    ///
    /// # Errors
    ///
    /// When the file cannot be read, is no whole ONNX network, does not fit the input, has several inputs or operators
    /// that cannot be run, or returns anything but 32-bit floats with the batch first.
    pub fn load(path: &Path, input: [usize; 3]) -> Result<Self> {
        let at = path.display();
        let bytes = fs::metadata(path).with_context(|| format!("{at}: cannot read it"))?.len();
        ensure!(bytes <= LARGEST, "{at}: has {bytes} bytes, at most {LARGEST} are read: {PLAINER}");
        let reader = tract_onnx::onnx();
        let mut file = File::open(path).with_context(|| format!("{at}: cannot read it"))?;
        let mut model = reader.proto_model_for_read(&mut file).with_context(|| {
            format!("{at}: is no ONNX file, or a part of one ({bytes} bytes): export or copy it again")
        })?;
        let standard = model.opset_import.iter().any(|set| STANDARD.contains(&set.domain.as_str()));
        let Some(graph) = model.graph.as_mut().filter(|graph| standard && !graph.output.is_empty()) else {
            bail!("{at}: holds no ONNX network, or a part of one ({bytes} bytes): export or copy it again");
        };
        check_graph(path, graph, &|operator| reader.op_register.0.contains_key(operator))?;
        let floats = graph.initializer.iter().filter(|tensor| [1, 10, 11].contains(&tensor.data_type));
        let parameters = floats.map(|tensor| tensor.dims.iter().product::<i64>() as usize).sum();
        let beside =
            graph.initializer.iter().flat_map(|tensor| &tensor.external_data).filter(|entry| entry.key == "location");
        let beside: BTreeSet<PathBuf> = beside.map(|entry| path.with_file_name(&entry.value)).collect();
        let files: Vec<PathBuf> = [path.to_path_buf()].into_iter().chain(beside).collect();
        let declared = take_input(path, graph)?;
        // Only the input decides on shapes: a batch by name elsewhere would not go with the number put in its place.
        graph.value_info.clear();
        let batch = declared[0].unwrap_or(BATCH);
        let values = input.iter().try_fold(batch, |all, &size| all.checked_mul(size)).unwrap_or(usize::MAX);
        let fair = (1..=LARGEST / 16).contains(&(values as u64));
        ensure!(fair, "{at}: takes batches of {batch} x {input:?}: export it for at least one value and at most 2^27");
        let fits = |tail: &[usize]| {
            tail.len() + 1 == declared.len() && tail.iter().zip(&declared[1..]).all(|(&a, b)| b.is_none_or(|b| a == b))
        };
        let mut refused = None;
        for (tail, channels_first) in layouts(input).into_iter().filter(|(tail, _)| fits(tail)) {
            let shape: Vec<usize> = [batch].into_iter().chain(tail).collect();
            match guarded(|| plan(path, &reader, &model, &shape)) {
                Ok((plan, outputs)) => {
                    return Ok(Self {
                        path: path.into(),
                        plan,
                        input,
                        shape,
                        channels_first,
                        outputs,
                        parameters,
                        files,
                    });
                }
                Err(error) => _ = refused.get_or_insert((shape, error)),
            }
        }
        if let Some((shape, error)) = refused {
            return Err(error.context(format!("{at}: cannot be run on inputs of shape {shape:?}: {PLAINER}")));
        }
        let declared: Vec<_> = declared.iter().map(|size| size.map_or("?".into(), |size| size.to_string())).collect();
        let (declared, [h, w, c]) = (declared.join(", "), input);
        bail!("{at}: takes inputs of shape [{declared}], the data has {input:?}: export it for [n, {c}, {h}, {w}]")
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
        let len: usize = self.input.iter().product();
        let (sample, got) = (self.input, x.len());
        ensure!(rows.checked_mul(len) == Some(got), "{at}: {rows} rows of {sample:?} were promised, got {got} values");
        let parts: Vec<Vec<Vec<f32>>> = x
            .par_chunks(len * self.shape[0])
            .map(|x| guarded(|| self.run(x)).with_context(|| format!("{at}: fails on these inputs: {PLAINER}")))
            .collect::<Result<_>>()?;
        let mut outputs = self.outputs.clone();
        for part in parts {
            outputs.iter_mut().zip(part).for_each(|(all, values)| all.values.extend(values));
        }
        Ok(outputs)
    }

    /// Runs a batch or less.
    fn run(&self, x: &[f32]) -> Result<Vec<Vec<f32>>> {
        let [height, width, channels] = self.input;
        let len = height * width * channels;
        let rows = x.len() / len;
        let mut batch = vec![0.0; len * self.shape[0]];
        // One channel at a time goes into its plane; without planes the whole sample is one.
        let (channels, plane) = if self.channels_first { (channels, height * width) } else { (1, len) };
        for (x, batch) in x.chunks_exact(len).zip(batch.chunks_exact_mut(len)) {
            for (channel, plane) in batch.chunks_exact_mut(plane).enumerate() {
                plane.iter_mut().zip(x[channel..].iter().step_by(channels)).for_each(|(to, &from)| *to = from);
            }
        }
        let outputs = self.plan.run(tvec!(Tensor::from_shape(&self.shape, &batch)?.into()))?;
        let values = self.outputs.iter().zip(&outputs);
        values.map(|(known, output)| Ok(output.as_slice::<f32>()?[..rows * known.width].to_vec())).collect()
    }

    /// Returns the name and the width of each output, in the order of the file.
    pub fn outputs(&self) -> impl ExactSizeIterator<Item = (&str, usize)> {
        self.outputs.iter().map(|output| (output.name.as_str(), output.width))
    }

    /// Returns the file and those beside it that hold its weights.
    pub fn files(&self) -> &[PathBuf] {
        &self.files
    }

    /// Returns the number of floats among the weights of the file.
    pub fn parameter_count(&self) -> usize {
        self.parameters
    }
}

/// Checks that all operators are known and all constants whole, in a graph and those in it.
fn check_graph(path: &Path, graph: &GraphProto, known: &dyn Fn(&str) -> bool) -> Result<()> {
    let at = path.display();
    graph.initializer.iter().try_for_each(|tensor| check_tensor(path, tensor, &tensor.name))?;
    for node in &graph.node {
        let name = if node.name.is_empty() { node.output.first().unwrap_or(&node.name) } else { &node.name };
        let (operator, domain) = (&node.op_type, &node.domain);
        let of = if domain.is_empty() { "" } else { " of " };
        let runs = known(operator) && STANDARD.contains(&domain.as_str());
        ensure!(runs, "{at}: node {name:?} is a {operator}{of}{domain}, an operator that cannot be run: {PLAINER}");
        for attribute in &node.attribute {
            attribute.t.iter().chain(&attribute.tensors).try_for_each(|tensor| check_tensor(path, tensor, name))?;
            attribute.g.iter().chain(&attribute.graphs).try_for_each(|graph| check_graph(path, graph, known))?;
        }
    }
    Ok(())
}

/// Checks that a constant has as many bytes as its shape asks for, in the file or beside it.
fn check_tensor(path: &Path, tensor: &TensorProto, name: &str) -> Result<()> {
    let at = path.display();
    let (dims, kind) = (&tensor.dims, tensor.data_type);
    let size: u64 = match kind {
        2 | 3 | 9 => 1,
        4 | 5 | 10 => 2,
        1 | 6 | 12 => 4,
        7 | 11 | 13 => 8,
        _ => bail!("{at}: the values of {name:?} are of the ONNX type {kind}: export them as 32-bit floats"),
    };
    let bytes =
        dims.iter().try_fold(size, |all, &dim| all.checked_mul(dim.try_into().ok()?)).filter(|&all| all <= LARGEST);
    let bytes = bytes.with_context(|| format!("{at}: {name:?} has shape {dims:?}: export or copy it again"))?;
    let of = |key: &str| tensor.external_data.iter().find(|entry| entry.key == key).map(|entry| entry.value.as_str());
    let mut got = tensor.raw_data.len() as u64;
    if got == 0 && tensor.data_location == Some(1) {
        let beside = path.with_file_name(of("location").unwrap_or_default());
        let held = fs::metadata(&beside).with_context(|| {
            let beside = beside.display();
            format!("{beside}: cannot read the weights of {name:?}: put it beside {at}, or export it with them inside")
        })?;
        let number = |key: &str| of(key).and_then(|text| text.parse().ok());
        let rest = held.len().saturating_sub(number("offset").unwrap_or(0));
        got = number("length").unwrap_or(rest).min(rest);
    } else if got == 0 {
        return Ok(()); // Values one by one: tract counts them.
    }
    ensure!(got == bytes, "{at}: {name:?} of shape {dims:?} has {got} bytes, not {bytes}: export or copy it again");
    Ok(())
}

/// Returns the declared shape of the one input, without the sizes that are left open, and takes it out of the graph.
fn take_input(path: &Path, graph: &mut GraphProto) -> Result<Vec<Option<usize>>> {
    let at = path.display();
    let weights: Vec<&str> = graph.initializer.iter().map(|tensor| tensor.name.as_str()).collect();
    let mut inputs: Vec<_> = graph.input.iter_mut().filter(|input| !weights.contains(&input.name.as_str())).collect();
    let names = inputs.iter().map(|input| input.name.as_str()).collect::<Vec<_>>().join(", ");
    let several = inputs.len();
    ensure!(several == 1, "{at}: has {several} inputs ({names}): export it with the data alone as its input");
    let value = inputs[0].r#type.as_mut().and_then(|kind| kind.value.as_mut());
    let Some(type_proto::Value::TensorType(tensor)) = value else {
        bail!("{at}: input {names} is no tensor: export it with one tensor as its input");
    };
    let kind = tensor.elem_type;
    ensure!(kind == 1, "{at}: input {names} is of the ONNX type {kind}, not 32-bit floats (1): export it with those");
    let shape = tensor.shape.take().filter(|shape| shape.dim.len() > 1);
    let shape = shape.with_context(|| format!("{at}: input {names} has no shape with a batch: export it with one"))?;
    let size = |value: &_| match value {
        Some(dimension::Value::DimValue(size)) => usize::try_from(*size).ok().filter(|&size| size > 0),
        _ => None,
    };
    Ok(shape.dim.iter().map(|dim| size(&dim.value)).collect())
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

/// Makes a network ready to run on inputs of a shape, and its outputs ready to be filled.
fn plan(path: &Path, reader: &tract_onnx::Onnx, model: &ModelProto, shape: &[usize]) -> Result<(Plan, Vec<Output>)> {
    let parsed = reader.parse(model, path.parent().and_then(Path::to_str))?;
    let unknown = parsed.unresolved_inputs;
    ensure!(unknown.is_empty(), "no node gives {}", unknown.join(", "));
    let typed = parsed.model.with_input_fact(0, f32::fact(shape).into())?.into_typed()?;
    check_kernels(&typed)?;
    let plan = typed.into_optimized()?.into_runnable()?;
    let mut outputs = Vec::new();
    for (index, output) in model.graph.iter().flat_map(|graph| &graph.output).enumerate() {
        let (name, fact) = (&output.name, plan.model().output_fact(index)?);
        let kind = fact.datum_type;
        ensure!(kind == DatumType::F32, "output {name:?} holds {kind:?}, not 32-bit floats: export the logits alone");
        let got = fact.shape.as_concrete().filter(|got| got.first() == Some(&shape[0]));
        let got = got.with_context(|| format!("output {name:?} is {:?}: its batch has to come first", fact.shape))?;
        outputs.push(Output { name: name.clone(), width: got[1..].iter().product(), values: Vec::new() });
    }
    Ok((plan, outputs))
}

/// Checks that every kernel fits into what it slides over: tract would read past the end of that.
fn check_kernels(model: &TypedModel) -> Result<()> {
    for node in model.nodes() {
        let spec = node.op_as::<Conv>().map(|op| &op.pool_spec);
        let spec = spec.or_else(|| node.op_as::<MaxPool>().map(|op| &op.pool_spec));
        let Some(spec) = spec.or_else(|| node.op_as::<SumPool>().map(|op| &op.pool_spec)) else { continue };
        let shape = &model.outlet_fact(node.inputs[0])?.shape;
        let shape = shape.as_concrete().with_context(|| format!("node {:?} has no fixed input", node.name))?;
        let shape = spec.data_format.shape(shape)?;
        for (axis, over) in spec.computed_padding(shape.hw_dims()).iter().enumerate() {
            let (kernel, over) = (spec.kernel_shape[axis], over.deconvoluted + over.pad_before + over.pad_after);
            let field = kernel.checked_sub(1).and_then(|gaps| gaps.checked_mul(spec.dilation(axis)));
            let fits = field.is_some_and(|field| field < over);
            ensure!(fits, "node {:?} slides a kernel of {kernel} over {over} values: give it larger inputs", node.name);
        }
    }
    Ok(())
}

/// Calls into tract, whose panics become errors.
fn guarded<T>(call: impl FnOnce() -> Result<T>) -> Result<T> {
    catch_unwind(AssertUnwindSafe(call)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        Err(anyhow!("tract gave up: {}", text.unwrap_or_default()))
    })
}

/// Rows that go through at a time when the file leaves that open.
const BATCH: usize = 16;
/// The greatest file that is read.
const LARGEST: u64 = 2 << 30;
/// The domains of operators whose meaning is ONNX's own.
const STANDARD: [&str; 3] = ["", "ai.onnx", "ai.onnx.ml"];
/// What helps against a network that is too much.
const PLAINER: &str =
    "export it plainer (PyTorch: opset_version=17), or save its logits as npy and give `teacher.logits`";

#[cfg(test)]
mod tests {
    use super::*;

    /// A protobuf field of bytes, text or a message.
    fn part(number: u8, bytes: impl AsRef<[u8]>) -> Vec<u8> {
        let bytes = bytes.as_ref();
        [&[number << 3 | 2, bytes.len() as u8 | 0x80, (bytes.len() >> 7) as u8], bytes].concat()
    }

    /// A protobuf field of a number below 128.
    fn number(number: u8, value: u8) -> Vec<u8> {
        vec![number << 3, value]
    }

    /// A weight whose values grow by a step from -1.
    fn weight(name: &str, dims: &[u8], step: f32) -> Vec<u8> {
        let len: usize = dims.iter().map(|&dim| usize::from(dim)).product();
        let values: Vec<u8> = (0..len).flat_map(|i| (i as f32 * step - 1.0).to_le_bytes()).collect();
        let dims = dims.iter().flat_map(|&dim| number(1, dim)).collect();
        part(5, [dims, number(2, 1), part(8, name), part(9, values)].concat())
    }

    fn node(operator: &str, inputs: &[&str], output: &str) -> Vec<u8> {
        let inputs = inputs.iter().flat_map(|name| part(1, name)).collect();
        part(1, [inputs, part(2, output), part(3, format!("{output} node")), part(4, operator)].concat())
    }

    /// An input (11) or output (12); a size of 0 is left open under a name.
    fn value(field: u8, name: &str, dims: &[u8]) -> Vec<u8> {
        let dim = |&dim: &u8| part(1, if dim == 0 { part(2, "batch") } else { number(1, dim) });
        let shape: Vec<u8> = dims.iter().flat_map(dim).collect();
        part(field, [part(1, name), part(2, part(1, [number(1, 1), part(2, shape)].concat()))].concat())
    }

    /// The bytes of a file.
    fn network(graph: &[Vec<u8>]) -> Vec<u8> {
        [number(1, 8), part(7, graph.concat()), part(8, number(2, 17))].concat()
    }

    fn load(file: &[u8], input: [usize; 3]) -> Result<Onnx> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("net.onnx");
        fs::write(&path, file)?;
        Onnx::load(&path, input)
    }

    /// `y = x · w + b` for rows of 3, with a batch, whose node is given.
    fn dense(node: Vec<u8>, batch: u8) -> Vec<u8> {
        let ends = [value(11, "x", &[batch, 3]), value(12, "y", &[batch, 2])].concat();
        network(&[node, weight("w", &[3, 2], 0.5), weight("b", &[2], 3.0), ends])
    }

    /// A convolution from two channels to three, by kernels of 2 x 2.
    fn convolution(shape: &[u8]) -> Vec<u8> {
        let nodes = [node("Conv", &["x", "w"], "c"), node("Relu", &["c"], "y")].concat();
        network(&[nodes, weight("w", &[3, 2, 2, 2], 0.1), value(11, "x", shape), value(12, "y", &[0, 3, 2, 1])])
    }

    #[test]
    fn a_dense_layer_gives_the_same_bits_in_any_batch() -> Result<()> {
        let x: Vec<f32> = (0..37 * 3).map(|i| (i as f32 * 0.7).sin()).collect();
        for batch in [0, 1, 7] {
            let net = load(&dense(node("Gemm", &["x", "w", "b"], "y"), batch), [1, 3, 1])?;
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
            let got = load(&convolution(&shape), [3, 2, 2])?.logits(&x, 1)?.remove(0).values;
            assert_eq!(got.len(), 6);
            for (index, got) in got.into_iter().enumerate() {
                let (out, top) = (index / 2, index % 2);
                let term = |i| ((out * 8 + i) as f32 * 0.1 - 1.0) * x[((top + i / 2 % 2) * 2 + i % 2) * 2 + i / 4];
                assert!((got - (0..8).map(term).sum::<f32>().max(0.0)).abs() < 1e-5, "{index}");
            }
        }
        let error = load(&convolution(&[0, 2, 1, 2]), [1, 2, 2]).err().context("a kernel of 2 went over 1")?;
        assert!(format!("{error:#}").contains("node \"c node\" slides a kernel of 2 over 1 values"), "{error:#}");
        Ok(())
    }

    fn refusal(file: &[u8]) -> Result<String> {
        Ok(format!("{:#}", load(file, [1, 3, 1]).err().context("it was taken")?))
    }

    #[test]
    fn what_cannot_be_run_is_named() -> Result<()> {
        let more = |part: Vec<u8>| dense([node("Gemm", &["x", "w", "b"], "y"), part].concat(), 0);
        let short = [number(1, 6), number(2, 1), part(8, "v"), part(9, "vvvv")].concat();
        let beside = part(13, [part(1, "location"), part(2, "w.bin")].concat());
        let beside = [number(1, 6), number(2, 1), part(8, "v"), beside, number(14, 1)].concat();
        for (graph, reason) in [
            (dense(node("Frobnicate", &["x"], "y"), 0), "node \"y node\" is a Frobnicate, an operator"),
            (more(value(11, "mask", &[0, 3])), "has 2 inputs (mask, x)"),
            (dense(node("ArgMax", &["x"], "y"), 0), "output \"y\" holds I64, not 32-bit floats"),
            (dense(node("Gemm", &["x", "w", "nothing"], "y"), 0), "no node gives nothing"),
            (convolution(&[0, 2, 3, 2]), "shape [?, 2, 3, 2], the data has [1, 3, 1]"),
            (more(part(12, part(1, "z"))), "tract gave up"),
            (more(part(5, short)), "has 4 bytes, not 24"),
            (more(part(5, beside)), "w.bin: cannot read the weights"),
        ] {
            let text = refusal(&graph)?;
            assert!(text.contains(reason) && text.contains("net.onnx") && text.contains("export"), "{reason}: {text}");
        }
        Ok(())
    }

    #[test]
    fn a_part_of_a_file_is_refused() -> Result<()> {
        let whole = dense(node("Gemm", &["x", "w", "b"], "y"), 0);
        for bytes in (0..whole.len()).map(|len| &whole[..len]).chain([&b"not a network"[..]]) {
            let text = refusal(bytes)?;
            assert!(text.contains("or a part of one"), "{} bytes: {text}", bytes.len());
        }
        Ok(())
    }
}
