//! Computed facts: the code of a fact, run on a stack of numbers.

use attar_shared::parts::{ALL_PARTS, has_unary};
use attar_shared::{Binary, Code, Instruction, MAX_STACK, Unary};

/// What a code reads.
pub trait Scope {
    /// Returns the value of an earlier fact; NaN where it is missing.
    fn fact(&self, fact: u8) -> f32;
    /// Returns a value of the input in its raw unit.
    fn input(&self, place: u16) -> f32;
    /// Returns what the table of a category says of the value that is chosen; NaN where it is missing.
    fn column(&self, fact: u8, column: u8) -> f32;
}

/// Runs a code; nothing where a number that it needs is missing, or something comes out that is not finite.
///
/// Each operation is rounded to f32 by itself; roots, logarithms, powers, sines and cosines are those of libm. There are no
/// jumps: the time is bounded by the length of the code, times that of the facts for what it looks up in tables.
pub fn evaluate(code: Code<'_>, scope: &impl Scope) -> Option<f32> {
    evaluate_parts::<ALL_PARTS>(code, scope)
}

/// As [`evaluate`], for the instructions that are among `PARTS`.
pub(crate) fn evaluate_parts<const PARTS: u128>(code: Code<'_>, scope: &impl Scope) -> Option<f32> {
    let mut stack: heapless::Vec<f32, MAX_STACK> = heapless::Vec::new();
    for instruction in code.instructions() {
        let mut take = || stack.pop().unwrap_or(f32::NAN);
        let value = match instruction {
            Instruction::Constant(value) => value,
            Instruction::Fact(fact) => scope.fact(fact),
            Instruction::Input(place) => scope.input(place),
            Instruction::Column { fact, column } => scope.column(fact, column),
            Instruction::Unary(unary) => one::<PARTS>(unary, take()),
            Instruction::Binary(binary) => {
                let (b, a) = (take(), take());
                two(binary, a, b)
            }
            Instruction::Select => {
                let (otherwise, then, condition) = (take(), take(), take());
                if condition.is_nan() {
                    f32::NAN
                } else if condition == 0.0 {
                    otherwise
                } else {
                    then
                }
            }
        };
        // What has no finite value is missing from here on.
        let value = if value.is_finite() { value } else { f32::NAN };
        // The parser has proved that the stack is deep enough.
        let _ = stack.push(value);
    }
    stack.pop().filter(|value| !value.is_nan())
}

fn one<const PARTS: u128>(unary: Unary, x: f32) -> f32 {
    if x.is_nan() {
        return x;
    }
    let has = |unary| has_unary(PARTS, unary);
    match unary {
        Unary::Negate => -x,
        Unary::Absolute => x.abs(),
        Unary::SquareRoot if has(Unary::SquareRoot) => libm::sqrtf(x),
        Unary::Logarithm if has(Unary::Logarithm) => libm::logf(x),
        Unary::Exponential if has(Unary::Exponential) => libm::expf(x),
        Unary::Sine if has(Unary::Sine) => libm::sinf(x),
        Unary::Cosine if has(Unary::Cosine) => libm::cosf(x),
        Unary::Floor if has(Unary::Floor) => libm::floorf(x),
        Unary::Not => truth(x == 0.0),
        // A model with others than `PARTS` has been refused.
        Unary::SquareRoot | Unary::Logarithm | Unary::Exponential | Unary::Sine | Unary::Cosine | Unary::Floor => {
            f32::NAN
        }
    }
}

fn two(binary: Binary, a: f32, b: f32) -> f32 {
    if a.is_nan() || b.is_nan() {
        return f32::NAN;
    }
    match binary {
        Binary::Add => a + b,
        Binary::Subtract => a - b,
        Binary::Multiply => a * b,
        Binary::Divide => a / b,
        Binary::Minimum => {
            if b < a {
                b
            } else {
                a
            }
        }
        Binary::Maximum => {
            if b > a {
                b
            } else {
                a
            }
        }
        Binary::Less => truth(a < b),
        Binary::AtMost => truth(a <= b),
        Binary::Equal => truth(a == b),
        Binary::And => truth(a != 0.0 && b != 0.0),
        Binary::Or => truth(a != 0.0 || b != 0.0),
    }
}

fn truth(holds: bool) -> f32 {
    if holds { 1.0 } else { 0.0 }
}
