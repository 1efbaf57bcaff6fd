//! A firmware crate around a student.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use attar_device::Student;
use attar_shared::{FactKind, Input, Model};
use object::{Object, ObjectSection};

use crate::boards::Board;
use crate::boards::estimate::Estimate;
use crate::recipe::Recipe;
use crate::support::files;

/// Writes a crate for a board around a student; the folder is there as a whole, or not at all. The recipe of the student, if it is
/// known, says in what unit its sensor measures.
///
/// # Errors
///
/// When the folder is there already and is not empty, the student does not fit the board, or something cannot be written.
pub fn firmware(folder: &Path, board: &Board, bytes: &[u8], recipe: Option<&Recipe>) -> Result<()> {
    let student = Student::parse(bytes)?;
    let model = student.model();
    let (flash, ram) = (board.flash.get()?, board.ram.get()?);
    let estimate = Estimate::of(model, bytes.len(), board)?;
    ensure!(
        estimate.flash() <= flash && estimate.ram() <= ram,
        "the student does not fit {}: about {} bytes of {flash} of flash, {} of {ram} of RAM; `attar budget` says what of it is what",
        board.title,
        estimate.flash(),
        estimate.ram()
    );
    if fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_some()) {
        bail!("{} is there already and is not empty: name another folder", folder.display());
    }
    let name = crate_name(folder)?;
    let values = values(&name, board, model, recipe)?;
    let parent = folder.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::create_dir_all(parent).with_context(|| format!("cannot make {}", parent.display()))?;
    // A temporary folder is its owner's alone; the one in it is like any other.
    let temporary = tempfile::Builder::new().prefix(".attar-new-").tempdir_in(parent)?;
    let whole = temporary.path().join(&name);
    let write = |path: &str, bytes: &[u8]| -> Result<()> {
        let place = whole.join(path);
        place.parent().map(fs::create_dir_all).transpose()?;
        files::write_whole(&place, bytes)
    };
    for (path, text) in board.files(model.signal().is_some()) {
        write(&path, fill(text, &values).with_context(|| format!("the board's {path}"))?.as_bytes())?;
    }
    write("src/sample.rs", sample(model)?.as_bytes())?;
    write("student.attar", bytes)?;
    // An empty folder may be there.
    let _ = fs::remove_dir(folder);
    fs::rename(&whole, folder).with_context(|| format!("cannot make {}", folder.display()))
}

/// What a program takes on its board, without the stack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    /// Bytes of flash: code, constants, and what statics begin with.
    pub flash: u64,
    /// Bytes of RAM: statics.
    pub ram: u64,
}

impl Size {
    /// Reads the sizes off a program.
    ///
    /// # Errors
    ///
    /// When the file cannot be read or is no program.
    pub fn of(program: &Path) -> Result<Self> {
        let bytes = fs::read(program).with_context(|| format!("cannot read {}", program.display()))?;
        let file =
            object::File::parse(bytes.as_slice()).with_context(|| format!("cannot read {}", program.display()))?;
        // What is loaded comes from flash; what can be written stands in RAM.
        let (mut flash, mut ram) = (0, 0);
        for section in file.sections() {
            let object::SectionFlags::Elf { sh_flags } = section.flags() else { continue };
            let is = |flag: u32| sh_flags & u64::from(flag) != 0;
            if !is(object::elf::SHF_ALLOC) {
                continue;
            }
            let is_empty = section.kind() == object::SectionKind::UninitializedData;
            flash += if is_empty { 0 } else { section.size() };
            ram += if is(object::elf::SHF_WRITE) { section.size() } else { 0 };
        }
        ensure!(flash > 0, "{} has neither code nor data", program.display());
        Ok(Self { flash, ram })
    }
}

/// Returns the name of the crate in a folder.
fn crate_name(folder: &Path) -> Result<String> {
    let name = folder.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let name: String = name.to_lowercase().chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    let name = name.trim_matches('-');
    ensure!(
        name.starts_with(|first: char| first.is_ascii_lowercase()),
        "{}: the last part of the path becomes the crate's name and has to begin with a letter",
        folder.display()
    );
    ensure!(!TAKEN.contains(&name), "{}: {name} is another crate's name", folder.display());
    Ok(name.into())
}

/// Names that the crate cannot have: its dependencies, and what cargo refuses.
const TAKEN: [&str; 14] = [
    "attar-device",
    "cortex-m",
    "cortex-m-rt",
    "defmt",
    "defmt-rtt",
    "panic-probe",
    "portable-atomic",
    "riscv",
    "riscv-rt",
    "semihosting",
    "static-cell",
    "test",
    "core",
    "std",
];

/// What stands in the place of names in double braces.
fn values(name: &str, board: &Board, model: &Model<'_>, recipe: Option<&Recipe>) -> Result<Vec<(String, String)>> {
    let is_riscv = board.target.starts_with("riscv");
    let link: &[&str] = if is_riscv { &["-Tmemory.x", "-Tlink.x"] } else { &["--nmagic", "-Tlink.x"] };
    let features = ["link"].into_iter().chain(board.features.iter().map(String::as_str));
    let features = features.map(|feature| format!("{feature:?}")).collect::<Vec<_>>().join(", ");
    let mut values: Vec<(String, String)> = [
        ("name", name.to_string()),
        ("title", board.title.clone()),
        ("target", board.target.clone()),
        ("flash", board.flash.get()?.to_string()),
        ("ram", board.ram.get()?.to_string()),
        ("clock_hz", board.clock_hz.to_string()),
        ("device", format!("{{ {}, features = [{features}] }}", source_of_device())),
        ("facts", facts(model)?),
        ("run", if model.input().is_some_and(|input| input.is_text) { "run_text" } else { "run" }.into()),
        ("serial", "pty".into()),
        ("modules", if model.signal().is_some() { "pub mod sensor;\n" } else { "" }.into()),
    ]
    .map(|(name, value)| (name.to_string(), value))
    .into();
    if let Some(signal) = model.signal() {
        let first = model.heads().next().and_then(|head| model.tensor(head.tensor));
        let classes = first.map_or(0, |tensor| tensor.shape.len()).max(2);
        let listens = [
            ("rate", (signal.rate.round() as u32).max(1).to_string()),
            ("scale", scale(recipe)),
            ("channels", signal.channels.to_string()),
            ("classes", classes.to_string()),
        ];
        values.extend(listens.map(|(name, value)| (name.to_string(), value)));
    }
    if let Some(qemu) = &board.qemu {
        values.push(("qemu".into(), format!("{} {}", qemu.program, qemu.arguments.join(" "))));
    }
    // A board may say otherwise.
    values.splice(0..0, board.values.clone());
    if !board.values.contains_key("link") {
        values
            .push(("link".into(), link.iter().map(|argument| format!("{argument:?}")).collect::<Vec<_>>().join(", ")));
    }
    Ok(values)
}

/// Returns what a sample of the sensor stands for, as a comment.
fn scale(recipe: Option<&Recipe>) -> String {
    let how = recipe.and_then(|recipe| recipe.signal.as_ref().map(|signal| (recipe, signal)));
    match how.and_then(|(recipe, signal)| Some((recipe, signal.full_scale?))) {
        Some((recipe, full_scale)) => {
            let columns = recipe.input.columns.values().map(|column| column.escape_debug().to_string());
            let columns = columns.collect::<Vec<_>>().join(", ");
            let order = if columns.is_empty() { String::new() } else { format!(" The channels are {columns}.") };
            format!("32,767 stands for {full_scale} in the unit of the training data (signal.full_scale).{order}")
        }
        None => "Full scale is that of the recordings: the same sound has to give the same level.".into(),
    }
}

/// Returns the folder of the engine's source, beside this program or where `ATTAR_DEVICE` says; without one a crate takes the engine
/// from crates.io.
pub fn engine_source() -> Option<PathBuf> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../device");
    let beside = std::env::var_os("ATTAR_DEVICE").map_or(beside, PathBuf::from);
    beside.canonicalize().ok().filter(|path| path.join("Cargo.toml").exists())
}

/// Returns where the crate takes the engine from, as its Cargo.toml says it.
fn source_of_device() -> String {
    match engine_source() {
        Some(path) => format!("path = {:?}", path.display().to_string()),
        None => format!("version = {:?}", env!("CARGO_PKG_VERSION")),
    }
}

/// Puts values in the place of names in double braces.
fn fill(text: &str, values: &[(String, String)]) -> Result<String> {
    let mut filled = String::new();
    let mut rest = text;
    while let Some((before, behind)) = rest.split_once("{{") {
        let (name, behind) = behind.split_once("}}").context("braces that do not close")?;
        let (_, value) =
            values.iter().find(|(known, _)| known == name).with_context(|| format!("nothing is known of {name:?}"))?;
        filled += before;
        filled += value;
        rest = behind;
    }
    Ok(filled + rest)
}

/// Returns the lines that set the facts of a model, with a value in the middle of what each may be.
fn facts(model: &Model<'_>) -> Result<String> {
    let mut lines = Vec::new();
    for fact in model.facts().filter(|fact| !fact.is_computed()) {
        let name = fact.name;
        lines.push(match fact.kind {
            FactKind::Number { least, greatest } => {
                let middle = if (greatest - least).is_finite() { least + (greatest - least) / 2.0 } else { 0.0 };
                let unit =
                    if fact.unit.is_empty() { String::new() } else { format!(" // {}", fact.unit.escape_debug()) };
                format!("facts.set({name:?}, {:?})?;{unit}", short(middle, 2))
            }
            FactKind::Category(category) => {
                let values: Vec<&str> = category.values.iter().collect();
                let first = values.first().context("a category without values")?;
                format!("facts.choose({name:?}, {first:?})?; // or {}", values[1..].join(", ").escape_debug())
            }
            FactKind::Flag => format!("facts.flag({name:?}, true)?;"),
            FactKind::Gazetteer(_) => continue,
        });
    }
    if lines.is_empty() {
        return Ok("let facts = student.facts();".into());
    }
    lines.insert(0, "// What is known beside the input, each in its own unit; what is not set is missing.".into());
    lines.insert(1, "let mut facts = student.facts();".into());
    Ok(lines.join("\n    "))
}

/// Returns the source of a sample: the input of the first self-test vector, in raw units.
fn sample(model: &Model<'_>) -> Result<String> {
    let input = model.input().context("the model has no input")?;
    let test = model.tests().next();
    let bytes = test.map(|test| test.input).unwrap_or_default();
    if input.is_text {
        let text: Vec<u8> = bytes.iter().copied().take_while(|&byte| byte != 0).collect();
        // As much of it as is a text.
        let text = text.utf8_chunks().next().map_or("", |chunk| chunk.valid());
        return Ok(format!(
            "//! An input: the text of the first self-test vector.\n\n/// Put yours here.\npub const SAMPLE: &str = {text:?};\n"
        ));
    }
    let shape = model.input_shape();
    let values: Vec<String> =
        (0..shape.len()).map(|place| format!("{:?}", raw(&input, bytes, place, usize::from(shape.channels)))).collect();
    let names: Vec<&str> = input.channels.iter().collect();
    let lines: Vec<String> = match shape.len() == names.len() {
        // A vector of readings: each on a line, with its name.
        true => {
            let named = values.iter().zip(&names);
            named.map(|(value, name)| format!("    {value}, // {}\n", name.escape_debug())).collect()
        }
        false => values.chunks(8).map(|values| format!("    {},\n", values.join(", "))).collect(),
    };
    Ok(format!(
        "//! An input: that of the first self-test vector, in raw units.\n\n/// `[{}, {}, {}]`, channels last. Put what your sensor measures here.\n#[rustfmt::skip]\npub static SAMPLE: [f32; {}] = [\n{}];\n",
        shape.height,
        shape.width,
        shape.channels,
        shape.len(),
        lines.concat()
    ))
}

/// Returns a value of an input as it was before its quantisation, to four digits.
fn raw(input: &Input<'_>, quantized: &[u8], place: usize, channels: usize) -> f32 {
    let at = if input.gains.len() == 1 { 0 } else { place % channels.max(1) };
    let (gain, offset) = (input.gains.at(at).unwrap_or(1.0), input.offsets.at(at).unwrap_or(0.0));
    let value = (f32::from(quantized.get(place).map_or(0, |q| q.cast_signed())) - offset) / gain;
    if value.is_finite() { short(value, 4) } else { 0.0 }
}

/// Returns a number with that many digits behind its first.
fn short(value: f32, digits: usize) -> f32 {
    format!("{value:.digits$e}").parse().unwrap_or(value)
}
