//! The code of computed facts: a list of instructions for a stack of numbers, without jumps.

use crate::Defect;
use crate::bytes::Cursor;

/// How a fact is computed from earlier facts, the input in raw units, and tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Code<'a>(&'a [u8]);

/// One instruction; what it takes from the stack it takes away, what it gives it puts on top.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Instruction {
    /// Gives a number.
    Constant(f32),
    /// Gives the value of an earlier fact: a number, the index of a category's value, 1 or 0.
    Fact(u8),
    /// Gives a value of the input in its raw unit.
    Input(u16),
    /// Gives what the table of a category says of the value that is chosen.
    Column {
        /// The category.
        fact: u8,
        /// The column of its table.
        column: u8,
    },
    /// Takes one number.
    Unary(Unary),
    /// Takes two numbers, the second from the top.
    Binary(Binary),
    /// Takes a condition and two numbers; gives the first of the two where the condition is not 0, otherwise the second.
    Select,
}

/// What becomes of one number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Unary {
    /// `-x`
    Negate = 32,
    /// `|x|`
    Absolute = 33,
    /// The square root.
    SquareRoot = 34,
    /// The natural logarithm.
    Logarithm = 35,
    /// e to that power.
    Exponential = 36,
    /// The sine of an angle in radians.
    Sine = 37,
    /// The cosine of an angle in radians.
    Cosine = 38,
    /// The greatest whole number that is not above.
    Floor = 39,
    /// 1 where x is 0, otherwise 0.
    Not = 40,
}

/// What becomes of two numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Binary {
    /// `a + b`
    Add = 16,
    /// `a - b`
    Subtract = 17,
    /// `a * b`
    Multiply = 18,
    /// `a / b`; missing where b is 0.
    Divide = 19,
    /// The lesser.
    Minimum = 20,
    /// The greater.
    Maximum = 21,
    /// 1 where `a < b`, otherwise 0.
    Less = 22,
    /// 1 where `a <= b`, otherwise 0.
    AtMost = 23,
    /// 1 where `a = b`, otherwise 0.
    Equal = 24,
    /// 1 where neither is 0, otherwise 0.
    And = 25,
    /// 1 where not both are 0, otherwise 0.
    Or = 26,
}

impl Unary {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Negate,
        Self::Absolute,
        Self::SquareRoot,
        Self::Logarithm,
        Self::Exponential,
        Self::Sine,
        Self::Cosine,
        Self::Floor,
        Self::Not,
    ];
}

impl Binary {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::Add,
        Self::Subtract,
        Self::Multiply,
        Self::Divide,
        Self::Minimum,
        Self::Maximum,
        Self::Less,
        Self::AtMost,
        Self::Equal,
        Self::And,
        Self::Or,
    ];
}

/// The most numbers that a code may have on its stack at once.
pub const MAX_STACK: usize = 16;

/// The longest code of a fact, in bytes.
pub const MAX_CODE: usize = 1024;

impl Instruction {
    /// Returns how many numbers it takes from the stack.
    pub fn operands(self) -> usize {
        match self {
            Self::Constant(_) | Self::Fact(_) | Self::Input(_) | Self::Column { .. } => 0,
            Self::Unary(_) => 1,
            Self::Binary(_) => 2,
            Self::Select => 3,
        }
    }

    /// Returns its bytes; the second says how many of them count.
    pub fn encode(self) -> ([u8; 5], usize) {
        let [a, b, c, d] = match self {
            Self::Constant(value) => value.to_le_bytes(),
            Self::Fact(fact) => [fact, 0, 0, 0],
            Self::Input(place) => {
                let [low, high] = place.to_le_bytes();
                [low, high, 0, 0]
            }
            Self::Column { fact, column } => [fact, column, 0, 0],
            Self::Unary(_) | Self::Binary(_) | Self::Select => [0; 4],
        };
        let (code, len) = match self {
            Self::Constant(_) => (CONSTANT, 5),
            Self::Fact(_) => (FACT, 2),
            Self::Input(_) => (INPUT, 3),
            Self::Column { .. } => (COLUMN, 3),
            Self::Unary(unary) => (unary as u8, 1),
            Self::Binary(binary) => (binary as u8, 1),
            Self::Select => (SELECT, 1),
        };
        ([code, a, b, c, d], len)
    }

    fn decode(cursor: &mut Cursor<'_>) -> Result<Self, Defect> {
        let code = cursor.u8()?;
        // Codes of a kind follow each other.
        let place = |first: u8| usize::from(code.wrapping_sub(first));
        if let Some(&unary) = Unary::ALL.get(place(Unary::Negate as u8)) {
            return Ok(Self::Unary(unary));
        }
        if let Some(&binary) = Binary::ALL.get(place(Binary::Add as u8)) {
            return Ok(Self::Binary(binary));
        }
        match code {
            CONSTANT => {
                let value = cursor.f32()?;
                if value.is_finite() { Ok(Self::Constant(value)) } else { Err(Defect::NotFinite) }
            }
            FACT => cursor.u8().map(Self::Fact),
            INPUT => cursor.u16().map(Self::Input),
            COLUMN => Ok(Self::Column { fact: cursor.u8()?, column: cursor.u8()? }),
            SELECT => Ok(Self::Select),
            _ => Err(Defect::Code),
        }
    }
}

impl<'a> Code<'a> {
    /// Returns the code in some bytes.
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// Returns whether there is no instruction.
    pub fn is_empty(self) -> bool {
        self.0.is_empty()
    }

    /// Returns the bytes.
    pub fn bytes(self) -> &'a [u8] {
        self.0
    }

    /// Returns the instructions in their order, up to the first that is none.
    pub fn instructions(self) -> impl Iterator<Item = Instruction> + use<'a> {
        let mut cursor = Cursor::new(self.0);
        core::iter::from_fn(move || Instruction::decode(&mut cursor).ok())
    }

    /// Checks that the code of a fact reads only what there is before it, and ends with one number on a stack that never
    /// grows too deep.
    ///
    /// `columns` holds the columns of each earlier fact's table, nothing for a fact that is no category.
    ///
    /// # Errors
    ///
    /// [`Defect::TooLarge`], [`Defect::Truncated`], [`Defect::Code`], [`Defect::NotFinite`] and [`Defect::Stack`].
    pub fn check(self, columns: &[Option<u8>], input_values: usize) -> Result<(), Defect> {
        if self.0.len() > MAX_CODE {
            return Err(Defect::TooLarge);
        }
        let mut cursor = Cursor::new(self.0);
        let mut depth = 0usize;
        while !cursor.is_empty() {
            let instruction = Instruction::decode(&mut cursor)?;
            let exists = match instruction {
                Instruction::Fact(fact) => usize::from(fact) < columns.len(),
                Instruction::Input(place) => usize::from(place) < input_values,
                Instruction::Column { fact, column } => {
                    columns.get(usize::from(fact)).copied().flatten().is_some_and(|count| column < count)
                }
                _ => true,
            };
            if !exists {
                return Err(Defect::Code);
            }
            depth = depth.checked_sub(instruction.operands()).ok_or(Defect::Stack)? + 1;
            if depth > MAX_STACK {
                return Err(Defect::Stack);
            }
        }
        if depth == 1 { Ok(()) } else { Err(Defect::Stack) }
    }
}

const CONSTANT: u8 = 0;
const FACT: u8 = 1;
const INPUT: u8 = 2;
const COLUMN: u8 = 3;
const SELECT: u8 = 48;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_of_a_kind_follow_each_other() {
        assert!(Unary::ALL.iter().map(|&unary| unary as u8).eq(32..41));
        assert!(Binary::ALL.iter().map(|&binary| binary as u8).eq(16..27));
    }
}
