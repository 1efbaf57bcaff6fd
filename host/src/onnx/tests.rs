//! What a network computes, attribute by attribute, and what is refused.

use std::fs;

use anyhow::{Context, Result};

use super::testing::{File, Value};
use super::{Answer, Ending, Network};

fn read(file: File) -> Result<Network> {
    read_bytes(&file.bytes())
}

fn read_bytes(bytes: &[u8]) -> Result<Network> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("net.onnx");
    fs::write(&path, bytes)?;
    Network::read(&path)
}

/// Runs a network on one input and returns its one output.
fn run(file: File, shape: &[usize], x: &[f32]) -> Result<Answer> {
    let mut answers = read(file)?.run(shape, x.to_vec())?;
    answers.pop().context("no output")
}

fn values(file: File, shape: &[usize], x: &[f32]) -> Result<Vec<f32>> {
    Ok(run(file, shape, x)?.values)
}

fn refusal(file: File) -> Result<String> {
    Ok(format!("{:#}", read(file).err().context("it was taken")?))
}

fn near(got: &[f32], expected: &[f32]) {
    let close = got.len() == expected.len() && got.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-5);
    assert!(close, "got {got:?}, expected {expected:?}");
}

#[test]
fn alpha_of_celu_counts() -> Result<()> {
    let file = File::new(&[0, 2]).node("Celu", &["x"], "y", vec![("alpha", Value::Float(2.0))]);
    near(&values(file, &[1, 2], &[-1.0, 3.0])?, &[2.0 * ((-0.5f32).exp() - 1.0), 3.0]);
    Ok(())
}

#[test]
fn dilations_of_a_pool_count() -> Result<()> {
    let pool = |dilation| {
        let attributes = vec![("kernel_shape", Value::Ints(vec![2])), ("dilations", Value::Ints(vec![dilation]))];
        File::new(&[0, 1, 4]).node("MaxPool", &["x"], "y", attributes)
    };
    let x = [1.0, 4.0, 2.0, 3.0];
    assert_eq!(values(pool(1), &[1, 1, 4], &x)?, [4.0, 4.0, 3.0]);
    assert_eq!(values(pool(2), &[1, 1, 4], &x)?, [2.0, 4.0]);
    Ok(())
}

#[test]
fn an_average_leaves_out_what_ceil_mode_adds() -> Result<()> {
    let pool = |with_padding| {
        let attributes = vec![
            ("kernel_shape", Value::Ints(vec![2])),
            ("strides", Value::Ints(vec![2])),
            ("pads", Value::Ints(vec![1, 1])),
            ("ceil_mode", Value::Int(1)),
            ("count_include_pad", Value::Int(with_padding)),
        ];
        File::new(&[0, 1, 3]).node("AveragePool", &["x"], "y", attributes)
    };
    // Padded: 0 1 2 3 0; the last window reaches one value beyond that.
    near(&values(pool(1), &[1, 1, 3], &[1.0, 2.0, 3.0])?, &[0.5, 2.5]);
    near(&values(pool(0), &[1, 1, 3], &[1.0, 2.0, 3.0])?, &[1.0, 2.5]);
    Ok(())
}

#[test]
fn scales_along_an_axis_count() -> Result<()> {
    let file = File::new(&[0, 2])
        .floats("scales", &[2], &[0.5, 10.0])
        .ints("zeros", &[2], 3, &[1, -1])
        .node("QuantizeLinear", &["x", "scales", "zeros"], "q", vec![])
        .node("DequantizeLinear", &["q", "scales", "zeros"], "y", vec![]);
    near(&values(file, &[2, 2], &[1.3, 14.0, -0.2, -26.0])?, &[1.5, 10.0, 0.0, -30.0]);
    Ok(())
}

#[test]
fn statistics_of_an_instance_are_its_own() -> Result<()> {
    let file = File::new(&[0, 1, 2]).floats("one", &[1], &[1.0]).floats("zero", &[1], &[0.0]).node(
        "InstanceNormalization",
        &["x", "one", "zero"],
        "y",
        vec![("epsilon", Value::Float(0.0))],
    );
    near(&values(file, &[2, 1, 2], &[1.0, 3.0, 100.0, 300.0])?, &[-1.0, 1.0, -1.0, 1.0]);
    Ok(())
}

/// One unit that keeps a fifth of its state and adds its input.
fn recurrent(attributes: Vec<(&str, Value)>) -> File {
    let attributes = attributes.into_iter().chain([("hidden_size", Value::Int(1))]).collect();
    File::new(&[0, 0, 1]).floats("w", &[1, 1, 1], &[1.0]).floats("r", &[1, 1, 1], &[0.2]).node(
        "RNN",
        &["x", "w", "r"],
        "y",
        attributes,
    )
}

#[test]
fn direction_and_clip_of_a_recurrent_layer_count() -> Result<()> {
    let x = [0.5, -1.0, 2.0];
    let expected = |order: [usize; 3], clip: f32| {
        let mut y = [0.0; 3];
        let mut h = 0.0f32;
        for at in order {
            h = (x[at] + 0.2 * h).clamp(-clip, clip).tanh();
            y[at] = h;
        }
        y
    };
    near(&values(recurrent(vec![]), &[3, 1, 1], &x)?, &expected([0, 1, 2], 100.0));
    let reverse = recurrent(vec![("direction", Value::Text("reverse"))]);
    near(&values(reverse, &[3, 1, 1], &x)?, &expected([2, 1, 0], 100.0));
    let clip = recurrent(vec![("clip", Value::Float(0.4))]);
    near(&values(clip, &[3, 1, 1], &x)?, &expected([0, 1, 2], 0.4));
    Ok(())
}

#[test]
fn attributes_that_are_not_known_are_refused() -> Result<()> {
    let node = |operator, attributes| refusal(File::new(&[0, 2, 4, 4]).node(operator, &["x"], "y", attributes));
    for (operator, attributes, expected) in [
        ("Relu", vec![("slope", Value::Float(0.1))], "attribute \"slope\" is not supported"),
        ("MaxPool", vec![("kernel_shape", Value::Ints(vec![2, 2])), ("auto_pad", Value::Text("SAME"))], "\"SAME\""),
        ("MaxPool", vec![("kernel_shape", Value::Float(2.0))], "is a float, expected integers"),
        ("Softmax", vec![("axis", Value::Ints(vec![1]))], "is a list of integers, expected an integer"),
        ("Frobnicate", vec![], "an operator that is not supported"),
    ] {
        let text = node(operator, attributes)?;
        let named = text.contains(&format!("node \"y node\" ({operator})")) && text.contains("net.onnx");
        assert!(text.contains(expected) && named, "{text}");
    }
    Ok(())
}

#[test]
fn training_is_refused() -> Result<()> {
    let file = ["s", "b", "m", "v"].iter().fold(File::new(&[0, 2, 3]), |file, name| file.weights(name, &[2], 0.5));
    let inputs = ["x", "s", "b", "m", "v"];
    let text = refusal(file.node("BatchNormalization", &inputs, "y", vec![("training_mode", Value::Int(1))]))?;
    assert!(text.contains("training mode") && text.contains("evaluation mode"), "{text}");
    Ok(())
}

#[test]
fn graphs_that_are_not_whole_are_refused() -> Result<()> {
    let relu = || File::new(&[0, 3]).node("Relu", &["x"], "y", vec![]);
    for (file, expected) in [
        (relu().opset(6), "is of opset 6"),
        (relu().opset(99), "is of opset 99"),
        (relu().input("mask", &[0, 3]), "has 2 inputs (x, mask)"),
        (relu().node("Relu", &["x"], "y", vec![]), "there already"),
        (relu().output("z"), "no node gives the output \"z\""),
        (File::new(&[0, 3]).node("Add", &["x", "late"], "y", vec![]), "no node before it gives late"),
        (File::new(&[0, 3]).node("Add", &["x"], "y", vec![]), "has 1 inputs, 2 to 2 are supported"),
        (relu().floats("w", &[3], &[1.0]), "shape [3] does not hold 1 values"),
        (relu().floats("w", &[-3], &[1.0]), "is negative"),
        (relu().floats("w", &[1 << 40], &[1.0]), "has more than"),
        (relu().ints("w", &[1], 8, &[1]), "ONNX type 8 (string)"),
        (relu().external("w", &[2], "w.bin"), "cannot read the external weights"),
        (relu().external("w", &[2], "../w.bin"), "holds \"..\""),
        (relu().external("w", &[2], "/etc/passwd"), "is an absolute path"),
    ] {
        let text = refusal(file)?;
        assert!(text.contains(expected), "{expected}: {text}");
    }
    Ok(())
}

#[test]
fn a_part_of_a_file_is_refused() -> Result<()> {
    let whole = File::new(&[0, 3]).weights("w", &[3], 0.5).node("Add", &["x", "w"], "y", vec![]).bytes();
    read_bytes(&whole)?;
    for bytes in (0..whole.len()).map(|len| &whole[..len]).chain([&b"not a network"[..]]) {
        let text = format!("{:#}", read_bytes(bytes).err().context("it was taken")?);
        assert!(text.contains("or a part of one"), "{} bytes: {text}", bytes.len());
    }
    Ok(())
}

/// Files that are mended by chance never panic, take more than a bounded time, or give other shapes than they say.
#[test]
fn changed_files_do_not_panic() -> Result<()> {
    use rand::Rng;

    let conv = vec![("pads", Value::Ints(vec![1, 1, 1, 1])), ("strides", Value::Ints(vec![2, 2]))];
    let whole = File::new(&[2, 2, 5, 5])
        .weights("w", &[3, 2, 3, 3], 0.01)
        .node("Conv", &["x", "w"], "c", conv)
        .node("Relu", &["c"], "r", vec![])
        .node("Flatten", &["r"], "f", vec![])
        .ints("shape", &[2], 7, &[2, -1])
        .node("Reshape", &["f", "shape"], "g", vec![])
        .node("Softmax", &["g"], "y", vec![])
        .bytes();
    let mut random = crate::support::random::stream(7, "onnx files");
    let mut taken = 0;
    for _ in 0..20_000 {
        let mut bytes = whole.clone();
        for _ in 0..random.random_range(1..4) {
            let at = random.random_range(0..bytes.len());
            bytes[at] = match random.random_range(0..3) {
                0 => random.random(),
                1 => bytes[at] ^ (1 << random.random_range(0..8)),
                _ => [0, 1, 0x7f, 0x80, 0xff][random.random_range(0..5)],
            };
        }
        if let Ok(network) = Network::decode(std::path::Path::new("net.onnx"), &bytes)
            && network.run(&[2, 2, 5, 5], vec![0.5; 100]).is_ok()
        {
            taken += 1;
        }
    }
    assert!(taken > 1_000, "only {taken} changed files ran: the test tries too little");
    Ok(())
}

#[test]
fn work_and_memory_are_bounded() -> Result<()> {
    let huge =
        File::new(&[0, 3]).ints("shape", &[2], 7, &[1 << 20, 1 << 20]).node("Expand", &["x", "shape"], "y", vec![]);
    let text = format!("{:#}", run(huge, &[1, 3], &[0.0; 3]).err().context("it ran")?);
    assert!(text.contains("do not broadcast") || text.contains("has more than"), "{text}");
    let shape = [1 << 13, 1 << 13];
    let long = (0..40).fold(
        File::new(&[0, 1]).ints("shape", &[2], 7, &shape).node("Expand", &["x", "shape"], "v0", vec![]),
        |file, at| file.node("MatMul", &[&format!("v{at}"), &format!("v{at}")], &format!("v{}", at + 1), vec![]),
    );
    let text = format!("{:#}", run(long.node("Relu", &["v40"], "y", vec![]), &[1, 1], &[0.0]).err().context("it ran")?);
    assert!(text.contains("operations a batch"), "{text}");
    Ok(())
}

#[test]
fn probabilities_at_the_end_are_found_and_taken_away() -> Result<()> {
    for (operator, ending) in [("Softmax", Ending::Softmax), ("Sigmoid", Ending::Sigmoid)] {
        let file = File::new(&[0, 2]).node("Neg", &["x"], "n", vec![]).node(operator, &["n"], "p", vec![]);
        let mut network = read(file.node("Identity", &["p"], "y", vec![]))?;
        assert_eq!(network.ending(0), Some(ending));
        network.without_ending(0);
        assert_eq!(network.ending(0), None);
        assert_eq!(network.run(&[1, 2], vec![1.0, -2.0])?[0].values, [-1.0, 2.0]);
    }
    let network = read(File::new(&[0, 2]).node("Sigmoid", &["x"], "p", vec![]).node("Neg", &["p"], "y", vec![]))?;
    assert_eq!(network.ending(0), None, "what follows makes other numbers of them");
    Ok(())
}

#[test]
fn weights_of_16_bits_are_read() -> Result<()> {
    let halves: Vec<i32> = [1.5f32, -0.25].iter().map(|&x| half::f16::from_f32(x).to_bits().into()).collect();
    let file = File::new(&[0, 2]).ints("w", &[2], 10, &halves).node("Mul", &["x", "w"], "y", vec![]);
    near(&values(file, &[1, 2], &[2.0, 4.0])?, &[3.0, -1.0]);
    Ok(())
}
