//! `attar verify`.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use attar::boards::verify;
use attar::compile::check_inputs;
use clap::Args;

use super::table::grouped;
use super::{parse_model, print, print_json, read_model, recipe_for};

/// Arguments of `verify`.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The model.
    model: PathBuf,
    /// Where: host; qemu:BOARD, as in qemu:mps2-an386 (Cortex-M4), with a board that `attar budget` lists as qemu-BOARD; or serial:PORT,
    /// as in serial:/dev/ttyACM0, with a board that runs the program `verify` of `attar new` (serial:PORT@BAUD for a line that is not at
    /// 115,200 bits a second).
    #[arg(long, default_value = "host", value_name = "PLACE")]
    on: String,
    /// How many samples.
    #[arg(long, default_value_t = 200, value_name = "N")]
    samples: usize,
    /// Takes samples of the recipe's data in this folder, the test split first; the default is samples drawn at random.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// The recipe that describes the data; the default is recipe.toml beside the model.
    #[arg(long, value_name = "RECIPE", requires = "data")]
    recipe: Option<PathBuf>,
    /// Where random samples start.
    #[arg(long, default_value_t = 0, value_name = "N")]
    seed: u64,
    /// Says what the engine takes on the board beside the model: flash and stack.
    #[arg(long)]
    cost: bool,
    /// Prints the result as one JSON object.
    #[arg(long)]
    json: bool,
}

pub(super) fn verify(arguments: &Arguments) -> Result<()> {
    let bytes = read_model(&arguments.model)?;
    let student = parse_model(&arguments.model, &bytes)?;
    let is_simulated = ["qemu:", "qemu-"].iter().any(|start| arguments.on.starts_with(start));
    let board = match (arguments.cost, is_simulated.then_some(&arguments.on)) {
        (false, _) => None,
        (true, Some(board)) => Some(attar::boards::find_simulated(board)?),
        (true, None) => bail!("--cost is of a board: say which with --on qemu:BOARD"),
    };
    let samples = match &arguments.data {
        Some(folder) => {
            let recipe = recipe_for(&arguments.model, &bytes, arguments.recipe.as_deref())?;
            let data = attar::data::load(&recipe, folder)?;
            check_inputs(&student, &recipe, &data)?;
            // Every sample may serve here; those of the test split come first.
            let splits = &data.splits;
            let all = splits.test.iter().chain(&splits.validation).chain(&splits.train).copied();
            let samples: Vec<usize> = all.take(arguments.samples).collect();
            verify::samples_of(&bytes, &data, &samples).with_context(|| format!("{}", arguments.model.display()))?
        }
        None => verify::random_samples(&bytes, arguments.samples, arguments.seed)?,
    };
    if samples.is_empty() {
        bail!("there is no sample to compare: --samples is {}", arguments.samples);
    }
    let mut figures = verify::on(&arguments.on, &bytes, &samples)?;
    figures.engine = board.map(|board| verify::engine_cost(board, &bytes)).transpose()?;
    if arguments.json {
        print_json(&figures)?;
    } else {
        let instructions = figures
            .instructions
            .map(|count| format!(", {} instructions an inference", grouped(count)))
            .or(figures.cycles.map(|count| format!(", {} cycles an inference", grouped(count))))
            .unwrap_or_default();
        print(&format!(
            "verify: {} mismatches ({} samples on {}{instructions})",
            figures.mismatches,
            grouped(figures.samples as u64),
            figures.on
        ))?;
        if let Some(repeated) = figures.repeated {
            let stack =
                figures.stack.map(|bytes| format!("{} bytes of stack in the whole program, ", grouped(bytes as u64)));
            let stack = stack.unwrap_or_default();
            print(&format!("line: {stack}{} requests sent again", grouped(repeated as u64)))?;
        }
        if let Some(cost) = figures.engine {
            print(&format!(
                "engine: {} bytes of flash beside the model, {} bytes of stack",
                grouped(cost.flash),
                grouped(cost.stack as u64)
            ))?;
        }
    }
    if figures.mismatches > 0 {
        bail!("{} does not give the outputs of this machine", figures.on);
    }
    Ok(())
}
