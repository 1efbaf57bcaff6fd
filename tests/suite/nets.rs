//! Families of networks: shapes and multiply-accumulates as published, and the memory that their plans take.

use std::fs;

use attar::boards::verify;
use attar::compile;
use attar::data;
use attar::net;
use attar::recipe::{Quantize, Recipe};
use attar::support::random;
use attar_device::{Session, Student};
use attar_shared::Form;
use attar_tests::nets::{FIGURES, REFERENCES};
use attar_tests::{reference, root};
use candle_core::{Device, Tensor};
use rand::Rng;

/// Every reference network has the published size, and runs on a board in exactly the planned arena with the outputs of a
/// run in which no two tensors share a byte.
#[test]
fn reference_networks_run_in_their_planned_arena_as_without_overlaps() {
    for reference in &REFERENCES {
        let (bytes, apart) = (reference.export(true).unwrap(), reference.export(false).unwrap());
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

/// Dense weights in rows give what they give in blocks, in a file of the same size.
#[test]
fn the_order_of_dense_weights_changes_no_output() {
    let net = REFERENCES.iter().find(|net| net.name == "autoencoder").unwrap();
    let files = [net.export(true).unwrap(), net.for_board("mps3-an547").unwrap()];
    let forms = files.each_ref().map(|bytes| Student::parse(bytes).unwrap().model().operator(0).unwrap().form());
    assert_eq!(forms, [Form::Int8, Form::Int8Rows]);
    assert_eq!(files[0].len(), files[1].len());
    let samples = verify::random_samples(&files[0], 3, 8).unwrap();
    let [blocks, rows] = files.map(|bytes| verify::answers(&Student::parse(&bytes).unwrap(), &samples).unwrap());
    assert_eq!(blocks, rows);
    assert_ne!(blocks[0], blocks[1]);
}

/// No network of MLPerf Tiny takes over 2 % more instructions than the figures say, on any core, nor on Cortex-M4 more flash
/// and stack for the engine, and each gives the outputs of the host.
#[test]
fn reference_networks_take_the_instructions_that_are_written_down() {
    let figures = fs::read_to_string(root().join(FIGURES)).unwrap();
    let mut grown = Vec::new();
    for line in figures.lines() {
        let [name, board, expected, code, stack] = line.split(',').collect::<Vec<_>>().try_into().unwrap();
        let net = REFERENCES.iter().find(|net| net.name == name).unwrap();
        let bytes = net.for_board(board).unwrap();
        let samples = verify::random_samples(&bytes, 1, 3).unwrap();
        let got = verify::on(&format!("qemu:{board}"), &bytes, &samples).unwrap();
        assert_eq!(got.mismatches, 0, "{name} on {board}");
        let (got, expected) = (got.network_instructions() as f64, expected.parse::<f64>().unwrap());
        if got > 1.02 * expected {
            grown.push(format!("{name} on {board}: {got} instructions, expected {expected}"));
        }
        if board == "mps2-an386" {
            let cost = verify::engine_cost(attar::boards::find_simulated(board).unwrap(), &bytes).unwrap();
            for (what, got, expected) in [("code", cost.flash, code), ("stack", cost.stack as u64, stack)] {
                if got as f64 > 1.02 * expected.parse::<f64>().unwrap() {
                    grown.push(format!("{name} on {board}: {got} bytes of {what}, expected {expected}"));
                }
            }
        }
    }
    assert!(figures.lines().count() == 24 && grown.is_empty(), "{}", grown.join("\n"));
}

/// A folded network computes what the network with its normalisations does, to the rounding of f32.
#[test]
fn folding_normalisations_changes_nothing_but_rounding() {
    for arch in ["resnet", "dscnn", "mobilenet-v1", "autoencoder"] {
        let text = format!(
            "[data]\nformat='random'\nsamples=20\n[input]\nshape=[16,12,2]\n[[heads]]\nname='y'\nkind='regression'\n\
             outputs=3\n[student]\narch='{arch}'\nwidth=6\n[distill]\nmethod='none'\n"
        );
        let recipe = Recipe::parse(&text, "r.toml", "r", &[]).unwrap();
        let data = data::load(&recipe, "".as_ref()).unwrap();
        let graph = net::build(&recipe.student, data.input_shape, None, &[("y".into(), 3)]).unwrap();
        let mut draw = random::stream(5, "fold");
        let net = net::Net::new(graph, &mut draw, &Device::Cpu).unwrap();
        let norms = net.parameters.iter().filter(|(name, _)| name.contains(".norm."));
        for (name, var) in norms.chain(&net.statistics) {
            let low = if name.ends_with("variance") || name.ends_with("scale") { 0.3 } else { -0.7 };
            let values: Vec<f32> = (0..var.elem_count()).map(|_| draw.random_range(low..1.4)).collect();
            var.set(&Tensor::from_vec(values, var.shape(), &Device::Cpu).unwrap()).unwrap();
        }
        let folded = net.folded().unwrap();
        assert!(folded.parameter_count() < net.parameter_count() && folded.statistics.is_empty(), "{arch}");
        let samples: Vec<usize> = (0..20).collect();
        let predict = |net: &net::Net| attar::train::predict(net, &data, &samples).unwrap().remove(0);
        let (whole, folded) = (predict(&net), predict(&folded));
        let reach = whole.iter().fold(0.0f32, |most, x| most.max(x.abs()));
        for (a, b) in whole.iter().zip(&folded) {
            assert!((a - b).abs() < 1e-4 * reach.max(1.0), "{arch}: {a} and {b}");
        }
    }
}

/// Dead channels are taken out without a change of any output: rows of zeros, sums that a ReLU always cuts, before dense
/// layers, convolutions with and without padding, depthwise ones, pools, repeated positions and tables.
#[test]
fn dropping_dead_channels_changes_no_output() {
    let lists = [
        "{kind='conv',channels=7},{kind='depthwise'},{kind='conv',channels=6,kernel=1},{kind='max-pool'},\
         {kind='upsample'},{kind='conv',channels=5},{kind='dense',channels=6}",
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
        let graph = net::build(&recipe.student, data.input_shape, None, &[("y".into(), 3)]).unwrap();
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
            compile::quantize(&net, &data, &Quantize { drop_dead, ..recipe.quantize.clone() }, 0).unwrap()
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

/// Random networks give the same answers whichever passes are on: activations and additions fused or not, dead channels
/// dropped or not, outputs over their inputs or not.
#[test]
fn passes_change_no_output_of_random_networks() {
    let mut seen = [0usize; 3];
    for seed in 0..150u64 {
        let mut draw = random::stream(seed, "passes");
        let series = draw.random_bool(0.25);
        let shape = if series { "[1,11,3]" } else { "[9,7,2]" };
        let layers = random_layers(&mut draw, 4, 1);
        let gru = if series && draw.random_bool(0.5) { ",{kind='gru',channels=5},{kind='last'}" } else { "" };
        // A network with a recurrent layer runs step by step: its convolutions are causal and it has no pools.
        let layers = if gru.is_empty() { layers } else { "{kind='conv',channels=4,padding='causal'}".into() };
        let norm = draw.random::<bool>();
        // The steps of 4 bits are coarse: scales have to be widened, those that pools share among them.
        let bits = if seed % 3 == 0 { "int4" } else { "int8" };
        let text = format!(
            "[data]\nformat='random'\nsamples=40\n[input]\nshape={shape}\n[[heads]]\nname='y'\nkind='regression'\n\
             outputs=3\n[student]\narch='layers'\nnorm={norm}\nlayers=[{layers}{gru}]\n[distill]\nmethod='none'\n\
             [quantize]\ntests=1\nweights='{bits}'\n"
        );
        let recipe = Recipe::parse(&text, "r.toml", "r", &[]).unwrap();
        let data = data::load(&recipe, "".as_ref()).unwrap();
        // A pool that no longer fits, or an activation that is all zero: another network is as good.
        let Ok(graph) = net::build(&recipe.student, data.input_shape, None, &[("y".into(), 3)]) else { continue };
        let net = net::Net::new(graph, &mut draw, &Device::Cpu).unwrap();
        for (name, var) in net.parameters.iter().filter(|(name, _)| name.ends_with("bias") || name.ends_with("shift")) {
            let values: Vec<f32> = (0..var.elem_count()).map(|_| draw.random_range(-0.6..0.4)).collect();
            let values = if name.starts_with("head") { vec![0.1; values.len()] } else { values };
            var.set(&Tensor::from_vec(values, var.shape(), &Device::Cpu).unwrap()).unwrap();
        }
        let export = |fuse: bool, drop_dead: bool, overlap: bool| {
            let how = Quantize { fuse, drop_dead, overlap, ..recipe.quantize.clone() };
            compile::quantize(&net, &data, &how, 0).unwrap()
        };
        let plain = export(false, false, false);
        let samples = verify::random_samples(&plain, 12, seed).unwrap();
        let answers = |bytes: &[u8]| verify::answers(&Student::parse(bytes).unwrap(), &samples).unwrap();
        let expected = answers(&plain);
        for how in 1..8 {
            let bytes = export(how & 1 > 0, how & 2 > 0, how & 4 > 0);
            assert_eq!(answers(&bytes), expected, "seed {seed}, passes {how:03b}: {text}");
        }
        let operators = |bytes: &[u8]| Student::parse(bytes).unwrap().model().header().operator_count;
        let fused = export(true, false, false);
        seen[0] += usize::from(operators(&fused) < operators(&plain));
        let student = Student::parse(&fused).unwrap();
        seen[1] += student.model().operators().filter(|operator| operator.addend.is_some()).count();
        seen[2] += usize::from(expected.iter().any(|answer| *answer != expected[0]));
    }
    assert!(seen[0] > 90 && seen[1] > 60 && seen[2] > 90, "too few cases: {seen:?}");
}

/// Returns layers as a recipe has them, with residual branches down to a depth.
fn random_layers(draw: &mut impl Rng, most: usize, depth: usize) -> String {
    let activation =
        |draw: &mut _| ["relu", "relu6", "tanh", "sigmoid", "none"][Rng::random_range(draw, 0..5)].to_string();
    let layers: Vec<String> = (0..draw.random_range(1..=most))
        .map(|_| {
            let (kernel, channels, act) = (draw.random_range(1..4), draw.random_range(2..7), activation(draw));
            match draw.random_range(0..8) {
                0 | 1 => format!("{{kind='conv',kernel={kernel},channels={channels},activation='{act}'}}"),
                2 => format!("{{kind='conv',kernel={kernel},channels={channels},stride=2,activation='{act}'}}"),
                3 => format!("{{kind='depthwise',kernel={kernel},activation='{act}'}}"),
                4 => format!("{{kind='average-pool',stride=1,activation='{act}'}}"),
                5 => "{kind='max-pool',stride=1}".to_string(),
                _ if depth > 0 => {
                    // Both branches end with the same number of channels; strides would have to agree as well.
                    let end = |draw: &mut _, act: &str| {
                        let before = if Rng::random_bool(draw, 0.5) { "{kind='depthwise'}," } else { "" };
                        format!("{before}{{kind='conv',kernel={kernel},channels={channels},activation='{act}'}}")
                    };
                    let (inner, other) = (activation(draw), activation(draw));
                    let (branch, shortcut) = (end(draw, &inner), end(draw, &other));
                    format!("{{kind='residual',layers=[{branch}],shortcut=[{shortcut}],activation='{act}'}}")
                }
                _ => format!("{{kind='conv',channels={channels},padding='valid',activation='{act}'}}"),
            }
        })
        .collect();
    let end =
        ["", ",{kind='dense',channels=5}", ",{kind='global-average'}", ",{kind='dense',channels=4,activation='tanh'}"];
    let end = if depth > 0 { end[draw.random_range(0..4)] } else { "" };
    format!("{}{end}", layers.join(","))
}

fn streamed(student: &str) -> (Recipe, data::Dataset, Vec<u8>) {
    let text = format!(
        "[data]\nformat='random'\nsamples=60\n[input]\nshape=[1,40,5]\n[[heads]]\nname='y'\nkind='regression'\n\
         outputs=3\n[student]\n{student}\n[distill]\nmethod='none'\n[quantize]\ntests=1\n"
    );
    let recipe = Recipe::parse(&text, "r.toml", "r", &[]).unwrap();
    let data = data::load(&recipe, "".as_ref()).unwrap();
    let bytes = attar_tests::nets::untrained(&recipe, &data).unwrap();
    (recipe, data, bytes)
}

/// The model that computes a whole series at once: delays vanish, and what read one pads its series instead.
fn whole(model: &reference::Model, steps: usize) -> reference::Model {
    use reference::Kind;
    let mut place: Vec<usize> = vec![0];
    let mut delays = vec![None; model.tensors.len()];
    let mut all = reference::Model { operators: Vec::new(), tensors: Vec::new(), tests: Vec::new(), ..model.clone() };
    all.tensors.push(reference::Tensor { width: steps, ..model.tensors[0] });
    for (index, operator) in model.operators.iter().enumerate() {
        let output = model.sources() + index;
        if operator.kind == Kind::Delay {
            delays[output] = Some(model.tensors[output].width - 1);
            place.push(place[operator.inputs[1]]);
            continue;
        }
        let mut operator = operator.clone();
        if let Kind::Dense(channels) = operator.kind {
            operator.kind = Kind::Convolution(channels);
            operator.window = reference::Window { kernel: [1; 2], stride: [1; 2], dilation: [1; 2], padding: [0; 2] };
        }
        if let Some(before) = delays[operator.inputs[0]] {
            operator.window.padding[1] = before;
        }
        operator.inputs.iter_mut().for_each(|input| *input = place[*input]);
        all.operators.push(operator);
        all.tensors.push(reference::Tensor { width: steps, ..model.tensors[output] });
        place.push(all.tensors.len() - 1);
    }
    all.heads.iter_mut().for_each(|head| head.tensor = place[head.tensor]);
    all
}

/// A temporal network gives step by step, each time from one new input, what it gives over the whole series at once.
#[test]
fn streamed_temporal_network_equals_the_run_over_the_whole_series() {
    for student in [
        "arch='tcn'\nwidth=6\ndepth=4\n",
        "arch='layers'\nlayers=[{kind='conv',channels=7,kernel=[1,3],padding='causal'},\
         {kind='average-pool',kernel=[1,9],stride=1,padding='causal'},{kind='last'}]\n",
    ] {
        compare_with_whole_series(student);
    }
}

fn compare_with_whole_series(student: &str) {
    let (_, data, bytes) = streamed(student);
    let student = Student::parse(&bytes).unwrap();
    assert_eq!(student.model().input_shape().len(), 5);
    let plain = reference::Model::read(&bytes).unwrap();
    let whole = whole(&plain, 40);
    let mut arena = vec![0; student.model().arena_bytes()];
    let mut session = Session::new(*student.model(), &mut arena).unwrap();
    for sample in 0..20 {
        let input = data.input(sample);
        let quantized: Vec<i8> = input.chunks(5).flat_map(|step| plain.quantize_input(step)).collect();
        let tensors = whole.run(&quantized, &[]);
        let expected = &tensors[whole.heads[0].tensor];
        session.reset();
        for (step, window) in input.chunks(5).enumerate() {
            let outputs = session.run(window, &student.facts()).unwrap();
            let got = outputs.head("y").unwrap().quantized().to_vec();
            assert_eq!(got, expected[3 * step..][..3], "sample {sample}, step {step}");
        }
        assert_ne!(expected[..3], expected[3 * 39..], "sample {sample}: every step gives the same");
    }
}

/// Recurrent and temporal networks carry their state from step to step on a board as on the workstation, and start afresh
/// when they are told to.
#[test]
fn boards_carry_the_state_of_a_series() {
    for student in
        ["arch='gru'\nwidth=12\ndepth=2\n", "arch='lstm'\nwidth=12\ndepth=2\n", "arch='tcn'\nwidth=6\ndepth=3\n"]
    {
        let (_, data, bytes) = streamed(student);
        let samples = verify::samples_of(&bytes, &data, &[0, 1, 2]).unwrap();
        assert_eq!((samples.len(), samples.iter().filter(|sample| sample.starts).count()), (120, 3));
        for place in ["host", "qemu:mps2-an385"] {
            let figures = verify::on(place, &bytes, &samples).unwrap();
            assert_eq!((figures.samples, figures.mismatches), (120, 0), "{student} on {place}");
        }
        // The same input gives another answer when something came before it.
        let parsed = Student::parse(&bytes).unwrap();
        let answer = |starts: bool| {
            let mut pair = samples[5..7].to_vec();
            pair[0].starts = true;
            pair[1].starts = starts;
            verify::answers(&parsed, &pair).unwrap().pop().unwrap()
        };
        assert_ne!(answer(true), answer(false), "{student}");
    }
}

/// What a board computes step by step follows the network in f32 over the whole series.
#[test]
fn integers_of_a_recurrent_network_follow_it() {
    for student in ["arch='gru'\nwidth=12\n", "arch='lstm'\nwidth=12\n"] {
        check_integers_of(student);
    }
}

fn check_integers_of(student: &str) {
    let (recipe, data, bytes) = streamed(student);
    let student = Student::parse(&bytes).unwrap();
    let graph = net::build(&recipe.student, data.input_shape, None, &[("y".into(), 3)]).unwrap();
    let net = net::Net::new(graph, &mut random::stream(0, "untrained"), &Device::Cpu).unwrap();
    let samples: Vec<usize> = (0..data.len()).collect();
    let floats = attar::train::predict(&net, &data, &samples).unwrap();
    let integers =
        attar::student::engine::predict(&student, &data, &samples, attar::student::engine::FactsGiven::True).unwrap();
    let spread = floats[0].iter().fold(0.0f32, |most, x| most.max(x.abs()));
    let apart = floats[0].iter().zip(&integers[0]).map(|(a, b)| (a - b).abs()).sum::<f32>() / floats[0].len() as f32;
    assert!(apart < 0.03 * spread, "integers are {apart} from the network, whose outputs reach {spread}");
}
