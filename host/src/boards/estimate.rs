//! Estimates of what a student takes on a board, before anything is built.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use anyhow::{Context, Result, bail};
use attar_shared::{Arithmetic, Block, Form, Kind, Model, Signal, Stage};
use serde::{Deserialize, Serialize};

use crate::boards::Board;
use crate::recipe::DenseOrder;

/// What the engine takes on a core; `host/boards/cores.toml` says where the figures come from.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Core {
    /// The board of QEMU that it was measured on.
    pub qemu: String,
    /// Instructions a multiply-accumulate, an output, an operator.
    convolution: [f64; 3],
    depthwise: [f64; 3],
    dense: [f64; 3],
    dense_rows: [f64; 3],
    other: [f64; 3],
    /// Instructions for each value of the input, to quantise it.
    per_value: f64,
    /// Instructions for each fact, to encode it.
    per_fact: f64,
    /// Bytes of the engine for nets of dense layers, with convolutions, and with depthwise ones.
    code: [u64; 3],
    code_for_facts: u64,
    /// Bytes of the deepest stack.
    stack: u64,
    /// Instructions of a front-end in integers: for a sample and filter, a point of a transform times the logarithm of their number to
    /// base 2, a line or band, a sample of statistics.
    signal_fixed: [f64; 4],
    /// Those of one in floats.
    signal_float: [f64; 4],
    /// Bytes of a front-end in integers, and of one in floats.
    code_for_signal: [u64; 2],
}

/// What a student takes on a board.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Estimate {
    /// Bytes of flash: the model.
    pub model: u64,
    /// Bytes of flash: parser, session, and the operators that the model has.
    pub engine: u64,
    /// Bytes of RAM: the arena.
    pub arena: u64,
    /// Bytes of RAM: the stack.
    pub stack: u64,
    /// Bytes of RAM: an input and its facts, as numbers of four bytes.
    pub input: u64,
    /// Instructions of one inference; absent for models that read texts, whose words decide.
    pub instructions: Option<u64>,
    /// The order of dense weights with which an inference would take a tenth less or better, if there is one.
    pub other_order: Option<OtherOrder>,
    /// What hearing a sensor takes; absent for models without a front-end.
    pub listening: Option<Listening>,
    /// Milliseconds of one inference; absent as well for boards of QEMU, which have no time of their own.
    pub milliseconds: Option<f64>,
}

/// What an inference would take if dense weights of 8 bits stood in another order.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct OtherOrder {
    /// What `quantize.dense_order` would have to be.
    pub dense_order: DenseOrder,
    /// Instructions of one inference.
    pub instructions: u64,
}

/// What a front-end takes, and a student that runs behind it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Listening {
    /// Bytes of RAM: filters, windows and the features of earlier hops.
    pub memory: u64,
    /// Instructions of the front-end for a hop.
    pub instructions: u64,
    /// Hops a second.
    pub hops: f64,
    /// Instructions for a second of signal, those of the network among them.
    pub second: u64,
    /// Which share of the core's time that is; absent for boards of QEMU.
    pub load: Option<f64>,
}

/// Cycles an instruction: what the estimate for Cortex-M4 comes to on whole nets (`./tests/bench cycles`, 1.3 to 1.6), taken for
/// every core. Nobody has measured it on silicon; flash that is slower than the core, as most is, adds to it.
pub const CYCLES_AN_INSTRUCTION: f64 = 1.4;

impl Estimate {
    /// Estimates what a model takes on a board.
    ///
    /// # Errors
    ///
    /// When nothing is known of the board's core.
    pub fn of(model: &Model<'_>, bytes: usize, board: &Board) -> Result<Self> {
        let core = core(&board.core)?;
        let reads_text = model.input().is_some_and(|input| input.is_text);
        let instructions = (!reads_text).then(|| core.instructions(model));
        let kinds: Vec<Kind> = model.operators().map(|operator| operator.kind()).collect();
        let class = if kinds.contains(&Kind::Depthwise) {
            2
        } else if kinds.iter().any(|kind| matches!(kind, Kind::Convolution)) {
            1
        } else {
            0
        };
        let signal = model.signal();
        let for_signal =
            signal.map_or(0, |signal| core.code_for_signal[usize::from(signal.arithmetic == Arithmetic::Float)]);
        let listening = signal.map(|signal| {
            let hops = f64::from(signal.rate) / (f64::from(signal.hop) * signal.decimation() as f64);
            let front_end = core.front_end(&signal);
            let network = instructions.unwrap_or(0) as f64 / f64::from(signal.every);
            let second = hops * (front_end + network);
            let load = (!board.is_simulated()).then(|| second * CYCLES_AN_INSTRUCTION / board.clock_hz as f64);
            let memory = 4 * u64::from(signal.words);
            Listening { memory, instructions: front_end as u64, hops, second: second as u64, load }
        });
        let for_facts = if model.header().fact_count > 0 { core.code_for_facts } else { 0 };
        let cycles = instructions.filter(|_| !board.is_simulated()).map(|count| count as f64 * CYCLES_AN_INSTRUCTION);
        Ok(Self {
            model: bytes as u64,
            engine: core.code[class] + for_facts + for_signal,
            arena: u64::from(model.header().arena_len),
            stack: core.stack,
            input: 4 * u64::from(model.header().input_values) + 8 * u64::from(model.header().fact_count),
            instructions,
            other_order: instructions.and_then(|own| core.other_order(model, own)),
            listening,
            milliseconds: cycles.map(|cycles| cycles / board.clock_hz as f64 * 1e3),
        })
    }

    /// Returns the bytes of flash.
    pub fn flash(&self) -> u64 {
        self.model + self.engine
    }

    /// Returns the bytes of RAM.
    pub fn ram(&self) -> u64 {
        self.arena + self.stack + self.input + self.listening.as_ref().map_or(0, |listening| listening.memory)
    }
}

impl Core {
    /// Estimates the instructions of one inference.
    pub fn instructions(&self, model: &Model<'_>) -> u64 {
        self.instructions_with(model, |_, form| form)
    }

    /// Returns the order of dense weights with which the model would take a tenth less or better than its own instructions.
    fn other_order(&self, model: &Model<'_>, own: u64) -> Option<OtherOrder> {
        let orders = [(DenseOrder::Blocks, Form::Int8), (DenseOrder::Rows, Form::Int8Rows)];
        let others = orders.map(|(dense_order, form)| {
            let moved = |kind: Kind, own: Form| match (kind, own) {
                (Kind::Dense, Form::Int8 | Form::Int8Rows) => form,
                _ => own,
            };
            OtherOrder { dense_order, instructions: self.instructions_with(model, moved) }
        });
        others.into_iter().find(|other| other.instructions * 10 <= own * 9)
    }

    fn instructions_with(&self, model: &Model<'_>, form_of: impl Fn(Kind, Form) -> Form) -> u64 {
        let operators: f64 = model
            .operators()
            .map(|operator| {
                let output = model.tensor(operator.output).map(|tensor| tensor.shape);
                let input = operator.inputs().first().and_then(|&input| model.tensor(input)).map(|tensor| tensor.shape);
                let (Some(input), Some(output)) = (input, output) else { return 0.0 };
                let [per_mac, per_output, per_operator] =
                    match (operator.kind(), form_of(operator.kind(), operator.form())) {
                        (Kind::Convolution, _) => self.convolution,
                        (Kind::Depthwise, _) => self.depthwise,
                        (Kind::Dense, Form::Int8Rows) => self.dense_rows,
                        (Kind::Dense, _) => self.dense,
                        _ => self.other,
                    };
                // Pools read more than they write, and more than they are given where windows overlap.
                let moved = if per_mac == 0.0 { operator.work(input, output) } else { output.len() as u64 };
                per_mac * operator.macs(input, output) as f64 + per_output * moved as f64 + per_operator
            })
            .sum();
        (operators + self.around(model)) as u64
    }

    /// Estimates the instructions of a front-end for a hop.
    pub fn front_end(&self, signal: &Signal<'_>) -> f64 {
        let [per_filtered, per_point, per_line, per_statistic] = match signal.arithmetic {
            Arithmetic::Fixed => self.signal_fixed,
            Arithmetic::Float => self.signal_float,
        };
        let mut samples = f64::from(signal.hop) * signal.decimation() as f64;
        let mut count = 0.0;
        for stage in signal.stages() {
            match stage {
                Stage::Decimate(factor) => samples /= f64::from(factor.max(1)),
                Stage::Biquad(_) | Stage::Absolute => count += per_filtered * samples,
            }
        }
        let points = f64::from(signal.transform);
        count += per_point * points * points.max(1.0).log2();
        for block in signal.blocks() {
            count += match block {
                Block::Samples { .. } => 0.0,
                Block::Statistics(_) => per_statistic * f64::from(signal.window),
                Block::Spectrum { count, .. } => per_line * f64::from(count),
                Block::Mel(mel) => per_line * f64::from(mel.bands),
            };
        }
        count * f64::from(signal.channels)
    }

    /// Estimates those that quantise the input, compute facts and encode them.
    pub fn around(&self, model: &Model<'_>) -> f64 {
        let header = model.header();
        // A step of code is a float operation, as a value of the input is.
        let steps = f64::from(header.input_values) + model.code_work() as f64;
        self.per_value * steps + self.per_fact * f64::from(header.fact_count)
    }
}

/// Returns a core by its name.
///
/// # Errors
///
/// When there is none.
pub fn core(name: &str) -> Result<&'static Core> {
    static CORES: LazyLock<Result<BTreeMap<String, Core>, String>> = LazyLock::new(|| {
        toml::from_str(include_str!("../../boards/cores.toml"))
            .map_err(|error| format!("host/boards/cores.toml: {error}"))
    });
    match &*CORES {
        Ok(cores) => cores.get(name).with_context(|| format!("host/boards/cores.toml has no core {name:?}")),
        Err(error) => bail!("{error}"),
    }
}
