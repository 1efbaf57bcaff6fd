//! The command line: arguments, exit status, and what is printed where.
//!
//! stdout carries results, stderr progress and errors. Exit status 0 is success, 1 failure, 2 wrong usage.

mod budget;
mod columns;
mod compare;
mod distill;
mod doctor;
mod eval;
mod facts;
mod inspect;
mod listen;
mod manual;
mod new;
mod report;
mod run;
mod sign;
mod table;
mod update;
mod verify;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use attar::recipe::Recipe;
use attar::support::progress;
use candle_core::Device;
use clap::{Args, Parser, Subcommand};

/// Distils a teacher, data and facts into a student of a few kilobytes that runs on a microcontroller.
#[derive(Debug, Parser)]
#[command(version, propagate_version = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// The whole job on the built-in data: bearing faults, two minutes on two cores.
    Demo(distill::DemoArguments),
    /// Trains teacher and student by a recipe, and exports, verifies and reports.
    Distill(distill::Arguments),
    /// Compares runs: a table of their students, and how sure the differences are.
    Compare(compare::Arguments),
    /// Shows a model: layers, shapes, flash, arena, multiply-accumulates.
    Inspect(inspect::Arguments),
    /// Lets a student with a front-end hear recordings, here and on a board, and says what it detects.
    Listen(listen::Arguments),
    /// Runs a model on one or many samples.
    Run(run::Arguments),
    /// Measures a model with true, missing and shuffled facts.
    Eval(eval::Arguments),
    /// Explains the facts of a model.
    Facts(facts::Arguments),
    /// Compares a model's outputs on this machine, a board in QEMU or one on a serial line, byte for byte.
    Verify(verify::Arguments),
    /// Writes the page of a finished run anew.
    Report(report::Arguments),
    /// Says which boards models fit, and how long an inference takes there.
    Budget(budget::Arguments),
    /// Makes a firmware crate around a model, ready to flash.
    New(new::Arguments),
    /// Makes a key to sign models with.
    Keygen(sign::KeygenArguments),
    /// Signs a model and gives it a revision, so that a board knows who made it and which is newer.
    Sign(sign::SignArguments),
    /// Checks a model's signature and revision as a board does.
    VerifySignature(sign::CheckArguments),
    /// Says what is there of compiler, targets, QEMU, probes and GPU, and how to get the rest.
    Doctor(doctor::Arguments),
    /// Prints the completions for a shell.
    Completions(manual::CompletionsArguments),
    /// Writes the manual pages.
    Man(manual::ManArguments),
    /// Sends a model to a board over a serial line, and says whether it took it.
    Update(update::Arguments),
}

/// Flags of the commands that train.
#[derive(Debug, Args)]
struct Common {
    /// The folder of the run; what is finished there is not done again.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Where all randomness starts; the default is the recipe's.
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// How many seeds each student is trained from; the table shows mean and deviation.
    #[arg(long, value_name = "N")]
    seeds: Option<usize>,
    /// Also trains students without teacher, without facts, and without training as if in integers.
    #[arg(long)]
    ablation: bool,
    /// What trains: auto, cpu, cuda:N or metal.
    #[arg(long, default_value = "auto", value_name = "DEVICE")]
    device: String,
    /// Changes a key of the recipe, as in student.epochs=20; may be repeated.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    sets: Vec<String>,
    /// Prints the report as one JSON object.
    #[arg(long)]
    json: bool,
}

/// Runs the command line and returns the exit status.
pub(crate) fn main() -> ExitCode {
    let cli = Cli::parse();
    let result = progress::stop_on_ctrl_c().and_then(|()| match cli.command {
        Command::Demo(arguments) => distill::demo(&arguments),
        Command::Distill(arguments) => distill::distill(&arguments),
        Command::Compare(arguments) => compare::compare(&arguments),
        Command::Inspect(arguments) => inspect::inspect(&arguments),
        Command::Listen(arguments) => listen::run(&arguments),
        Command::Run(arguments) => run::run(&arguments),
        Command::Eval(arguments) => eval::eval(&arguments),
        Command::Facts(arguments) => facts::facts(&arguments),
        Command::Verify(arguments) => verify::verify(&arguments),
        Command::Report(arguments) => report::report(&arguments),
        Command::Budget(arguments) => budget::budget(&arguments),
        Command::New(arguments) => new::new(&arguments),
        Command::Keygen(arguments) => sign::keygen(&arguments),
        Command::Sign(arguments) => sign::sign(&arguments),
        Command::Doctor(arguments) => doctor::doctor(&arguments),
        Command::Completions(arguments) => manual::completions(&arguments),
        Command::Man(arguments) => manual::man(&arguments),
        Command::Update(arguments) => update::update(&arguments),
        Command::VerifySignature(arguments) => sign::check(&arguments),
    });
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let red = anstyle::AnsiColor::Red.on_default().bold();
            // The status says it too, where stderr is closed or full.
            let _ = writeln!(anstream::stderr(), "{red}error:{red:#} {}", progress::plain(&format!("{error:#}")));
            ExitCode::FAILURE
        }
    }
}

impl Common {
    /// Returns `--set`, and what other flags set.
    fn sets(&self) -> Vec<String> {
        let seed = self.seed.map(|seed| format!("seed={seed}"));
        let seeds = self.seeds.map(|seeds| format!("compare.seeds={seeds}"));
        let all = ["labels", "without_facts", "calibrated"].map(|key| format!("compare.{key}=true"));
        let ablation = all.into_iter().filter(|_| self.ablation);
        self.sets.iter().cloned().chain(seed).chain(seeds).chain(ablation).collect()
    }

    fn device(&self) -> Result<Device> {
        let ordinal = |text: &str| text.parse().with_context(|| format!("--device cuda:{text}: expected cuda:N"));
        match self.device.as_str() {
            "cpu" => Ok(Device::Cpu),
            "auto" => match Device::cuda_if_available(0) {
                Ok(cuda) if cuda.is_cuda() => Ok(cuda),
                _ => Ok(Device::metal_if_available(0).unwrap_or(Device::Cpu)),
            },
            "metal" => Device::new_metal(0).context("--device metal: this build or machine has no Metal"),
            "cuda" => {
                Device::new_cuda(0).context("--device cuda: build with `--features cuda` on a machine that has it")
            }
            other => match other.strip_prefix("cuda:") {
                Some(number) => Device::new_cuda(ordinal(number)?)
                    .context("--device cuda: build with `--features cuda` on a machine that has it"),
                None => bail!("--device {other}: expected auto, cpu, cuda:N or metal"),
            },
        }
    }
}

/// Returns the command as it was given, for a shell; of paths from elsewhere only their names, since the page of a run is
/// shared and its user's folders are not.
fn command() -> String {
    let quoted = |word: String| {
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,+@%".contains(c);
        if !word.is_empty() && word.chars().all(is_plain) { word } else { format!("'{}'", word.replace('\'', r"'\''")) }
    };
    let words = std::env::args_os().skip(1).map(|word| quoted(without_folders(&word.to_string_lossy())));
    std::iter::once("attar".to_string()).chain(words).collect::<Vec<_>>().join(" ")
}

/// Returns a word of a command, in which a path that is absolute or goes up is replaced by its last part.
fn without_folders(word: &str) -> String {
    let (key, value) = word.split_once('=').map_or(("", word), |(key, _)| word.split_at(key.len() + 1));
    let path = Path::new(value.trim_matches(['"', '\'']));
    let leaves = path.is_absolute() || path.components().any(|part| part == std::path::Component::ParentDir);
    if !leaves {
        return word.into();
    }
    let is_home = dirs::home_dir().is_some_and(|home| home == path);
    let name = path.file_name().filter(|_| !is_home).map_or("DIR".into(), |name| name.to_string_lossy());
    format!("{key}{name}")
}

/// Returns the bytes of a model file.
fn read_model(path: &Path) -> Result<Vec<u8>> {
    /// No board has more.
    const MOST_BYTES: u64 = 1 << 30;
    if path.is_dir() {
        let model = path.join(attar::run::folder::STUDENT_FILE);
        bail!("{} is a folder: name the model in it, as in {}", path.display(), model.display());
    }
    attar::support::files::read_at_most(path, MOST_BYTES)
}

/// Returns the student in the bytes of a file, or what is wrong with it.
fn parse_model<'a>(path: &Path, bytes: &'a [u8]) -> Result<attar_device::Student<'a>> {
    attar_device::Student::parse(bytes).with_context(|| format!("{}", path.display()))
}

/// Returns the recipe that is named, or the one beside the model.
fn recipe_for(model: &Path, bytes: &[u8], named: Option<&Path>) -> Result<Recipe> {
    let mut recipe = match named {
        Some(path) => Recipe::read(path, &[])?,
        None => attar::run::distill::recipe_beside(model)?.with_context(|| {
            format!("there is no recipe.toml beside {}: name the recipe with --recipe", model.display())
        })?,
    };
    let student = parse_model(model, bytes)?;
    if student.model().input().is_some_and(|input| input.is_text) {
        // Whatever the longest text of other data is, the model takes what it was made for.
        recipe.input.length = Some(student.model().input_shape().len());
    }
    Ok(recipe)
}

/// Prints a result as one line of JSON.
fn print_json(value: &impl serde::Serialize) -> Result<()> {
    let text = serde_json::to_string(value)?;
    // serde_json leaves those above 0x7e as they are; in JSON all of them stand in strings.
    let escaped = text.chars().fold(String::with_capacity(text.len()), |mut all, c| {
        if progress::is_control(c) {
            all += &format!("\\u{:04x}", c as u32)
        } else {
            all.push(c)
        }
        all
    });
    print_as_it_is(&escaped)
}

/// Prints lines, control characters in them escaped; a reader that has closed the pipe ends the output, not the program.
fn print(lines: &str) -> Result<()> {
    print_as_it_is(&progress::plain(lines))
}

/// Prints lines of this program's own, in their colours on a terminal.
fn print_as_it_is(line: &str) -> Result<()> {
    use std::io::Write;
    match writeln!(anstream::stdout(), "{line}") {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        other => Ok(other?),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_do_not_name_the_folders_of_their_user() {
        let words = [
            ("distill", "distill"),
            ("recipes/a.toml", "recipes/a.toml"),
            ("/home/jane/a.toml", "a.toml"),
            ("--data=/home/jane/data/", "--data=data"),
            ("../jane/data", "data"),
            ("../..", "DIR"),
            ("/", "DIR"),
            ("student.epochs=3", "student.epochs=3"),
            ("data.file=\"/home/jane/x.csv\"", "data.file=x.csv"),
        ];
        for (word, expected) in words {
            assert_eq!(without_folders(word), expected, "{word}");
        }
        if let Some(home) = dirs::home_dir().filter(|home| home.is_absolute()) {
            assert_eq!(without_folders(&home.to_string_lossy()), "DIR");
        }
    }
}
