//! Benchmarks that print tables; `tests/bench` builds and runs them.

mod cycles;
mod device;
mod distillation;
mod facts;
mod onnx;
mod signals;
mod training;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// As the command itself has it, without which training is half as fast.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Measures and prints tables.
#[derive(Debug, Parser)]
struct Cli {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// A training step beside PyTorch's, with equal threads.
    Training {
        /// Prints one array of flat objects.
        #[arg(long)]
        json: bool,
        /// How long each net is measured, twice.
        #[arg(long, default_value_t = 3.0)]
        seconds: f64,
        /// What the steps are taken on.
        #[arg(long, value_enum, default_value = "cpu")]
        device: training::On,
    },
    /// This process times its own steps and prints a line for each net.
    #[command(hide = true)]
    Steps {
        #[arg(long)]
        seconds: f64,
        /// One net alone.
        #[arg(long)]
        net: Option<String>,
        #[arg(long, value_enum, default_value = "cpu")]
        device: training::On,
    },
    /// The ways in which facts enter, on two data sets: what each brings, and what it costs.
    Facts {
        /// Prints one array of flat objects.
        #[arg(long)]
        json: bool,
        /// Where ai4i2020.csv is; without it that data set is skipped.
        #[arg(long, default_value = ".")]
        data: PathBuf,
        /// From how many seeds each student is trained.
        #[arg(long, default_value_t = 5)]
        seeds: usize,
    },
    /// The networks of MLPerf Tiny on every core in QEMU, beside CMSIS-NN.
    Device {
        /// Prints one array of objects.
        #[arg(long)]
        json: bool,
        /// Prints each operator as well.
        #[arg(long)]
        layers: bool,
        /// Writes the figures that tests hold the engine to.
        #[arg(long)]
        write: bool,
        /// One board alone, as in mps2-an386.
        #[arg(long, value_name = "BOARD")]
        on: Option<String>,
    },
    /// Front-ends on every core in QEMU: instructions and RAM, and what a stream saves.
    Signals {
        /// Prints one array of flat objects.
        #[arg(long)]
        json: bool,
        /// Writes the figures that tests hold the engine to.
        #[arg(long)]
        write: bool,
    },
    /// Which functions run the instructions of the networks of MLPerf Tiny on a board in QEMU.
    Profile {
        /// The board, as in mps2-an386.
        #[arg(long, value_name = "BOARD", default_value = "mps2-an386")]
        on: String,
    },
    /// An estimate of the cycles of the networks of MLPerf Tiny on a Cortex-M4, beside published ones.
    Cycles {
        /// Prints one array of flat objects.
        #[arg(long)]
        json: bool,
    },
    /// Generalised distillation on synthetic data (Lopez-Paz et al. 2016), beside the published figures.
    Distillation {
        /// Prints one array of flat objects.
        #[arg(long)]
        json: bool,
        /// How often each experiment is repeated.
        #[arg(long, default_value_t = 100)]
        repeats: usize,
    },
    /// ONNX networks beside what their authors say that they compute: right, refused, wrong.
    Onnx {
        /// Where tests/onnx/cases.py wrote its cases.
        cases: PathBuf,
        /// Prints why each refused case is refused.
        #[arg(long)]
        refused: bool,
    },
}

fn main() -> ExitCode {
    let result = match Cli::parse().what {
        What::Training { json, seconds, device } => training::beside_torch(json, seconds, device),
        What::Steps { seconds, net, device } => training::steps(seconds, net.as_deref(), device),
        What::Facts { json, data, seeds } => facts::table(json, &data, seeds),
        What::Device { json, layers, write, on } => device::table(json, layers, write, on.as_deref()),
        What::Signals { json, write } => signals::table(json, write),
        What::Profile { on } => cycles::profile(&on),
        What::Cycles { json } => cycles::table(json),
        What::Onnx { cases, refused } => onnx::table(&cases, refused),
        What::Distillation { json, repeats } => distillation::table(json, repeats),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
