//! A training step, forward, backward and AdamW on one batch, beside PyTorch's on the same machine.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use attar::data;
use attar::heads::{HeadKind, Labels};
use attar::net::{self, Net};
use attar::objective::{Moment, Objective};
use attar::recipe::Recipe;
use attar::support::random;
use attar::train::{self, Optimizer, Step, Task};
use attar_tests::root;
use candle_core::Device;
use serde_json::{Value, json};

/// What the steps are taken on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum On {
    Cpu,
    Cuda,
}

impl On {
    fn name(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Cuda => "cuda",
        }
    }

    fn device(self) -> Result<Device> {
        match self {
            Self::Cpu => Ok(Device::Cpu),
            Self::Cuda => Device::new_cuda(0).context("--device cuda: expected an NVIDIA card and its driver"),
        }
    }
}

/// Name, input, outputs, student, batch: as `tests/peers/torch_step.py` has them.
const NETS: [(&str, &str, usize, &str, usize); 4] = [
    ("resnet8", "[32,32,3]", 10, "arch='resnet'", 64),
    ("dscnn", "[49,10,1]", 12, "arch='dscnn'", 64),
    ("mlp800", "[784]", 10, "arch='mlp'\nhidden=[800,800]", 128),
    ("mlp1200", "[784]", 10, "arch='mlp'\nhidden=[1200,1200]", 128),
];

/// Measures both, twice in turn, for one thread and for all, and prints the ratios.
///
/// On a card the threads make no difference, and all are taken.
pub(crate) fn beside_torch(as_json: bool, seconds: f64, on: On) -> Result<()> {
    let python = python_with_torch()?;
    let cores = std::thread::available_parallelism().map_or(1, |count| count.get());
    let counts = if on == On::Cpu && cores > 1 { vec![1, cores] } else { vec![cores] };
    let mut rows = Vec::new();
    for threads in counts {
        let (mut ours, mut torch) = (BTreeMap::new(), BTreeMap::new());
        for _ in 0..2 {
            keep_least(&mut ours, &our_steps(threads, seconds, on)?)?;
            keep_least(&mut torch, &torch_steps(&python, threads, seconds, on)?)?;
        }
        for (net, _, _, _, batch) in NETS {
            let (ours, torch) = (ours[net], torch[net]);
            rows.push(json!({
                "net": net, "batch": batch, "threads": threads, "device": on.name(),
                "attar_ms": ours, "torch_ms": torch, "ratio": ours / torch,
            }));
        }
    }
    if as_json {
        println!("{}", Value::from(rows));
        return Ok(());
    }
    println!("{:<10} {:>6} {:>8} {:>10} {:>10} {:>7}", "net", "batch", "threads", "attar, ms", "torch, ms", "ratio");
    for row in rows {
        let number = |key: &str| row[key].as_f64().unwrap_or_default();
        println!(
            "{:<10} {:>6} {:>8} {:>10.1} {:>10.1} {:>7.2}",
            row["net"].as_str().unwrap_or_default(),
            row["batch"],
            row["threads"],
            number("attar_ms"),
            number("torch_ms"),
            number("ratio")
        );
    }
    Ok(())
}

/// Times steps for some seconds a net and prints the least time of each as a line of JSON.
pub(crate) fn steps(seconds: f64, net: Option<&str>, on: On) -> Result<()> {
    let device = on.device()?;
    for (name, shape, outputs, student, batch) in
        NETS.into_iter().filter(|(name, ..)| net.is_none_or(|net| net == *name))
    {
        let text = format!(
            "[data]\nformat='random'\nsamples={batch}\nsplit={{test=0,validation=0}}\n[input]\nshape={shape}\n\
             normalize='none'\n[[heads]]\nname='y'\nkind='regression'\noutputs={outputs}\n[student]\n{student}\n\
             optimizer='adamw'\n[distill]\nmethod='none'\n"
        );
        let recipe = Recipe::parse(&text, name, name, &[])?;
        let mut data = data::load(&recipe, Path::new(""))?;
        // Classes, which the built-in noise has not.
        data.targets[0].kind = HeadKind::CLASS;
        data.targets[0].values = Labels::classes((0..batch).map(|sample| (sample % outputs) as u16));
        let graph = net::build(&recipe.student, data.input_shape, None, &[("y".into(), outputs)])?;
        let mut random = random::stream(0, "benchmark");
        let net = Net::new(graph, &mut random, &device)?;
        let mut optimizer = Optimizer::new(&net.parameters, &recipe.student)?;
        let task = Task { quiet: true, ..Task::new(name, &data, &recipe.student, Objective::Labels, &[0]) };
        let samples: Vec<usize> = (0..batch).collect();
        let moment = Moment { epoch: 0.0, epochs: 1, view: 0 };
        let step = Step { samples: &samples, moment, own: net.parameters.len(), layers: &[] };
        let start = Instant::now();
        let mut least = f64::INFINITY;
        let mut count = 0;
        while start.elapsed().as_secs_f64() < seconds || count < 10 {
            let start = Instant::now();
            let (_, gradients) = train::gradients(&net, &task, step, &mut random, None)?;
            optimizer.step(&net.parameters, &gradients, 1e-3)?;
            device.synchronize()?;
            least = least.min(start.elapsed().as_secs_f64());
            count += 1;
        }
        println!("{}", json!({"net": name, "ms": least * 1e3, "parameters": net.parameter_count()}));
    }
    Ok(())
}

/// Runs this program again, whose threads are counted when it starts.
fn our_steps(threads: usize, seconds: f64, on: On) -> Result<String> {
    let program = std::env::current_exe()?;
    let output = Command::new(program)
        .args(["steps", "--seconds", &seconds.to_string(), "--device", on.name()])
        .env("RAYON_NUM_THREADS", threads.to_string())
        .stderr(Stdio::inherit())
        .output()?;
    ensure!(output.status.success(), "the steps of attar failed");
    Ok(String::from_utf8(output.stdout)?)
}

fn torch_steps(python: &Path, threads: usize, seconds: f64, on: On) -> Result<String> {
    let nets: Vec<&str> = NETS.iter().map(|(net, ..)| *net).collect();
    let output = Command::new(python)
        .arg(root().join("tests/peers/torch_step.py"))
        .args(["--threads", &threads.to_string(), "--seconds", &seconds.to_string(), "--nets", &nets.join(",")])
        .args(["--device", on.name()])
        .stderr(Stdio::null())
        .output()
        .with_context(|| format!("cannot run {}", python.display()))?;
    ensure!(output.status.success(), "{} tests/peers/torch_step.py failed", python.display());
    Ok(String::from_utf8(output.stdout)?)
}

fn keep_least(least: &mut BTreeMap<String, f64>, lines: &str) -> Result<()> {
    for line in lines.lines() {
        let line: Value = serde_json::from_str(line)?;
        let (net, ms) = line["net"].as_str().zip(line["ms"].as_f64()).context("a line without a net or its time")?;
        let kept = least.entry(net.into()).or_insert(ms);
        *kept = kept.min(ms);
    }
    Ok(())
}

/// Returns a Python that has PyTorch, which it is given from PyPI when there is none.
fn python_with_torch() -> Result<PathBuf> {
    if let Some(python) = std::env::var_os("ATTAR_TORCH") {
        return Ok(python.into());
    }
    let folder = root().join("target/bench/torch");
    let python = folder.join("bin/python");
    let works = |python: &Path| {
        let output = Command::new(python).args(["-W", "ignore", "-c", "import torch"]).output();
        output.is_ok_and(|output| output.status.success())
    };
    if !works(&python) {
        eprintln!("installing PyTorch {TORCH} from PyPI into {}: a download of 3 GB", folder.display());
        let made = Command::new("python3").args(["-m", "venv", "--clear"]).arg(&folder).status();
        ensure!(
            made.is_ok_and(|status| status.success()),
            "python3 -m venv failed: install Python 3.10 or newer with venv"
        );
        let package = format!("torch=={TORCH}");
        let installed = Command::new(&python).args(["-m", "pip", "install", "--quiet", &package]).status()?;
        ensure!(
            installed.success() && works(&python),
            "pip could not install {package}: set ATTAR_TORCH to a Python with it"
        );
    }
    Ok(python)
}

const TORCH: &str = "2.15.0";
