//! Training on an NVIDIA card beside the CPU's. `--features cuda` alone builds these, and without a card they fail.

use std::fs;
use std::path::Path;

use attar::data;
use attar::facts::Audience;
use attar::heads::{HeadKind, Labels};
use attar::net::{self, Net};
use attar::objective::{Moment, Objective};
use attar::recipe::Recipe;
use attar::run::distill::{self, Places};
use attar::support::random;
use attar::train::{self, Optimizer, Step, Task};
use candle_core::{Device, Tensor};

use crate::toys::{SMALL, small_recipe};

fn card() -> Device {
    Device::new_cuda(0).expect("these tests need an NVIDIA card and its driver")
}

/// Every family, with facts, dropout, pools, strides and normalisation: losses, gradients and weights over three steps.
#[test]
fn steps_on_the_card_are_those_on_the_cpu() {
    let nets = [
        ("[9]", "arch='mlp'\nhidden=[7,5]\ndropout=0.3\noptimizer='adamw'\naverage=0.9"),
        ("[9]", "arch='mlp'\nhidden=[7]\nactivation='tanh'\nfusion='add'\noptimizer='sgd'\nmomentum=0.9\nclip=0.5"),
        ("[9]", "arch='mlp'\nhidden=[7]\nactivation='sigmoid'\nfusion='prior'"),
        ("[8,6,2]", "arch='cnn'\nchannels=[4,4,6]\npool=[2,1,1]\nresidual=true\nhidden=[5]"),
        (
            "[8,6,2]",
            "arch='cnn'\nchannels=[4,6]\nseparable=true\nnorm=true\nactivation='relu6'\ngather='flatten'\nfusion='add'",
        ),
        ("[1,64,3]", "arch='cnn1d'\nchannels=[8,8]\nkernel=[5,5]\npool=[1,2]\nnorm=true\ndropout=0.3"),
        ("[49,10,1]", "arch='dscnn'"),
        ("[32,32,3]", "arch='resnet'"),
        ("[32,32,3]", "arch='mobilenet-v1'\nwidth=4\ndepth=2"),
        ("[20]", "arch='autoencoder'\nwidth=6\ndepth=2"),
        ("[1,9,3]", "arch='tcn'\nwidth=4\ndepth=2"),
        ("[1,6,3]", "arch='gru'\nwidth=4"),
        (
            "[1,20,4]",
            "arch='layers'\nlayers=[{kind='residual',layers=[{kind='conv',channels=4,kernel=[1,3],padding='causal',\
             dilation=[1,2]}]},{kind='average-pool',kernel=[1,8],stride=1,padding='causal'},{kind='facts'},{kind='last'}]",
        ),
    ];
    let card = card();
    let mut differences = Vec::new();
    for (shape, student) in nets {
        let text = format!(
            "[data]\nformat='random'\nsamples=40\n[input]\nshape={shape}\n[[facts]]\nname='f'\nkind='number'\n\
             [[heads]]\nname='y'\nkind='regression'\noutputs=3\n[student]\n{student}\n[distill]\nmethod='none'\n"
        );
        let recipe = Recipe::parse(&text, "r.toml", student, &[]).unwrap();
        let mut data = data::load(&recipe, Path::new("")).unwrap();
        data.targets[0].kind = HeadKind::CLASS;
        data.targets[0].values = Labels::classes((0..data.len()).map(|sample| (sample % 3) as u16));
        let heads = [("y".to_string(), 3)];
        let graph = net::build(&recipe.student, data.input_shape, data.facts.input(Audience::Board), &heads).unwrap();
        let samples: Vec<usize> = (0..24).collect();
        let task = Task { quiet: true, ..Task::new("r", &data, &recipe.student, Objective::Labels, &[0]) };
        let mut sides = [&Device::Cpu, &card].map(|device| {
            let net = Net::new(graph.clone(), &mut random::stream(4, "weights"), device).unwrap();
            let optimizer = Optimizer::new(&net.parameters, &recipe.student).unwrap();
            (net, optimizer, random::stream(9, "dropout"))
        });
        let mut compare = |what: &str, values: [Vec<f32>; 2], allowed: f32| {
            let [cpu, there] = &values;
            let scale = cpu.iter().fold(0.05f32, |scale, x| scale.max(x.abs()));
            // A gradient that is missing is zeros.
            let value = |values: &[f32], place: usize| values.get(place).copied().unwrap_or(0.0);
            let apart = |place: &usize| (value(cpu, *place) - value(there, *place)).abs();
            let worst = (0..cpu.len().max(there.len())).max_by(|a, b| apart(a).total_cmp(&apart(b)));
            if let Some(place) = worst.filter(|place| apart(place).is_nan() || apart(place) > allowed * scale) {
                let (cpu, there) = (value(cpu, place), value(there, place));
                differences.push(format!("{student}: {what}[{place}] is {cpu} on the CPU, {there} there"));
            }
        };
        for step in 0..3 {
            let [(loss, gradients), (loss_there, gradients_there)] = sides.each_mut().map(|(net, _, draw)| {
                let moment = Moment { epoch: 0.0, epochs: 1, view: 0 };
                let step = Step { samples: &samples, moment, own: net.parameters.len(), layers: &[] };
                train::gradients(net, &task, step, draw, None).unwrap()
            });
            compare(&format!("loss of step {step}"), [vec![loss as f32], vec![loss_there as f32]], 1e-4);
            for (place, (name, _)) in sides[0].0.parameters.iter().enumerate() {
                let both = [&gradients, &gradients_there]
                    .map(|gradients| gradients[place].as_ref().map_or_else(Vec::new, floats));
                compare(&format!("gradient of {name} in step {step}"), both, 2e-3);
            }
            // Both take the CPU's gradients: Adam makes a whole step of a difference in one that is next to nothing.
            for (net, optimizer, _) in &mut sides {
                let moved =
                    gradients.iter().map(|gradient| gradient.as_ref().map(|g| g.to_device(net.device()).unwrap()));
                optimizer.step(&net.parameters, &moved.collect::<Vec<_>>(), 1e-2).unwrap();
            }
            let both = |place: usize| [0, 1].map(|side: usize| floats(sides[side].0.parameters[place].1.as_tensor()));
            for (place, (name, _)) in sides[0].0.parameters.iter().enumerate() {
                compare(&format!("{name} after step {step}"), both(place), 1e-5);
            }
        }
        for (place, (name, _)) in sides[0].0.statistics.iter().enumerate() {
            let both = [0, 1].map(|side: usize| floats(sides[side].0.statistics[place].1.as_tensor()));
            compare(name, both, 1e-3);
        }
        let both = sides.each_ref().map(|(net, ..)| train::predict(net, &data, &samples).unwrap().concat());
        compare("logits", both, 2e-3);
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

fn floats(tensor: &Tensor) -> Vec<f32> {
    tensor.flatten_all().unwrap().to_vec1().unwrap()
}

/// Whole runs: losses of outputs and of layers, training as if in integers; with the losses of the CPU in every epoch; what they write reads.
#[test]
fn losses_distil_on_the_card() {
    let losses = ["hinton", "mse", "huber", "cosine", "standardized", "dkd", "dist"];
    let mut recipes: Vec<Recipe> =
        losses.iter().map(|method| small_recipe(&[&format!("distill.method={method}")])).collect();
    recipes.push(small_recipe(&["student.norm=true", "quantize.aware_epochs=2"]));
    for loss in ["hint", "attention"] {
        let text = SMALL.replace("stride = [4]", "stride = [8]");
        let text =
            format!("{text}[[distill.losses]]\nkind = '{loss}'\nstudent = 'residual3'\nteacher = 'conv0.activation'\n");
        recipes.push(Recipe::parse(&text, "small.toml", loss, &[]).unwrap());
    }
    for recipe in recipes {
        let losses = [Device::Cpu, card()].map(|device| {
            let folder = tempfile::tempdir().unwrap();
            let out = folder.path().to_path_buf();
            let places = Places { data: "".into(), out: out.clone(), device, command: "attar".into() };
            distill::run(&recipe, &places).unwrap();
            let bytes = fs::read(out.join("student.attar")).unwrap();
            attar_device::Student::parse(&bytes).unwrap();
            let epochs = fs::read_to_string(out.join("metrics.jsonl")).unwrap();
            let epochs = epochs.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
            epochs.map(|epoch| epoch["loss"].as_f64().unwrap()).collect::<Vec<f64>>()
        });
        println!("{:?}: {losses:?}", recipe.distill.method);
        let [cpu, there] = &losses;
        assert!(cpu.len() == there.len() && cpu.len() >= 4, "{losses:?}");
        for (cpu, there) in cpu.iter().zip(there) {
            assert!((cpu - there).abs() <= 1e-3 * cpu.abs(), "{:?}: {losses:?}", recipe.distill.method);
        }
    }
}
