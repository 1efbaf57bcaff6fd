//! From text to a tree; the grammar is in `grammar.pest`.

use std::str::FromStr;

use anyhow::{Context, Error, Result, anyhow, ensure};
use attar_shared::{Binary, MAX_STACK, Unary};
use pest::Parser;
use pest::error::{ErrorVariant, LineColLocation};
use pest::iterators::{Pair, Pairs};
use pest::pratt_parser::{Assoc, Op, PrattParser};

use super::{Expression, Node, Term};
use crate::support::suggest::nearest;

#[derive(pest_derive::Parser)]
#[grammar = "facts/expression/grammar.pest"]
struct Grammar;

/// The functions by their names.
const FUNCTIONS: [(&str, Function); 9] = [
    ("min", Function::Of(Binary::Minimum)),
    ("max", Function::Of(Binary::Maximum)),
    ("abs", Function::One(Unary::Absolute)),
    ("sqrt", Function::One(Unary::SquareRoot)),
    ("ln", Function::One(Unary::Logarithm)),
    ("exp", Function::One(Unary::Exponential)),
    ("sin", Function::One(Unary::Sine)),
    ("cos", Function::One(Unary::Cosine)),
    ("floor", Function::One(Unary::Floor)),
];

#[derive(Clone, Copy)]
enum Function {
    /// Of one number.
    One(Unary),
    /// Of two numbers or more, taken together pair by pair.
    Of(Binary),
}

/// The most that parts may be nested, so that neither this nor the board runs out of stack.
const MAX_NESTING: usize = 64;

/// The longest expression, in bytes.
const MAX_TEXT: usize = 2000;

impl FromStr for Expression {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        ensure!(text.len() <= MAX_TEXT, "the expression has {} bytes, expected at most {MAX_TEXT}", text.len());
        check_nesting(text)?;
        let mut pairs = Grammar::parse(Rule::program, text).map_err(|error| described(&error))?;
        let root = pairs.next().context("the expression is empty")?;
        let root = node(root.into_inner())?;
        let deepest = root.stack();
        ensure!(
            deepest <= MAX_STACK,
            "the expression is too deep: it needs {deepest} numbers at once, the board holds {MAX_STACK}; compute a part of it \
             as a fact of its own"
        );
        Ok(Self { text: text.into(), root })
    }
}

/// Looks at what opens a part, before a parser that goes down with each of them does.
fn check_nesting(text: &str) -> Result<()> {
    let (mut depth, mut signs) = (0usize, 0usize);
    let mut quote = None;
    for (column, (place, letter)) in (1..).zip(text.char_indices()) {
        match (quote, letter) {
            (Some(open), _) if open == letter => quote = None,
            (Some(_), _) => continue,
            (None, '"' | '\'') => quote = Some(letter),
            (None, '(') => depth += 1,
            (None, ')') => depth = depth.saturating_sub(1),
            (None, _) => {
                let rest = &text[place..];
                signs += usize::from(letter == '-' || rest.starts_with("if") || rest.starts_with("not"));
                ensure!(letter.is_ascii(), "column {column}: {letter:?} stands outside of quotes");
            }
        }
        ensure!(depth <= MAX_NESTING && signs <= 2 * MAX_NESTING, "column {column}: the expression is too deep");
    }
    Ok(())
}

fn node(pairs: Pairs<'_, Rule>) -> Result<Node> {
    PrattParser::new()
        .op(Op::infix(Rule::or, Assoc::Left))
        .op(Op::infix(Rule::and, Assoc::Left))
        .op(Op::prefix(Rule::not))
        .op(Op::infix(Rule::equal, Assoc::Left) | Op::infix(Rule::differs, Assoc::Left))
        .op(Op::infix(Rule::less, Assoc::Left)
            | Op::infix(Rule::greater, Assoc::Left)
            | Op::infix(Rule::at_most, Assoc::Left)
            | Op::infix(Rule::at_least, Assoc::Left))
        .op(Op::infix(Rule::add, Assoc::Left) | Op::infix(Rule::subtract, Assoc::Left))
        .op(Op::infix(Rule::multiply, Assoc::Left) | Op::infix(Rule::divide, Assoc::Left))
        .op(Op::prefix(Rule::negate))
        .map_primary(primary)
        .map_prefix(|sign, x| {
            let unary = if sign.as_rule() == Rule::not { Unary::Not } else { Unary::Negate };
            Ok(Node { column: column(&sign), term: Term::Unary(unary, Box::new(x?)) })
        })
        .map_infix(|a, sign, b| {
            let (a, b, column) = (a?, b?, column(&sign));
            let binary = |binary, a, b| Term::Binary(binary, Box::new([a, b]));
            let term = match sign.as_rule() {
                Rule::or => binary(Binary::Or, a, b),
                Rule::and => binary(Binary::And, a, b),
                Rule::equal => binary(Binary::Equal, a, b),
                Rule::differs => Term::Unary(Unary::Not, Box::new(Node { column, term: binary(Binary::Equal, a, b) })),
                Rule::less => binary(Binary::Less, a, b),
                Rule::greater => binary(Binary::Less, b, a),
                Rule::at_most => binary(Binary::AtMost, a, b),
                Rule::at_least => binary(Binary::AtMost, b, a),
                Rule::add => binary(Binary::Add, a, b),
                Rule::subtract => binary(Binary::Subtract, a, b),
                Rule::multiply => binary(Binary::Multiply, a, b),
                _ => binary(Binary::Divide, a, b),
            };
            Ok(Node { column, term })
        })
        .parse(pairs)
}

fn primary(pair: Pair<'_, Rule>) -> Result<Node> {
    let (column, text) = (column(&pair), pair.as_str());
    let term = match pair.as_rule() {
        Rule::number => {
            let number: f32 = text.parse().with_context(|| format!("column {column}: {text:?} is no number"))?;
            ensure!(number.is_finite(), "column {column}: {text} is too large for a 32-bit number");
            Term::Number(number)
        }
        Rule::text => Term::Text(text[1..text.len() - 1].into()),
        Rule::name => Term::Name(text.into()),
        Rule::field => {
            let mut words = pair.into_inner().map(|word| word.as_str().to_string());
            let (name, field) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
            Term::Field(name, field)
        }
        Rule::choice => {
            let parts = pair.into_inner().filter(|part| part.as_rule() == Rule::expression);
            let parts = parts.map(|part| node(part.into_inner())).collect::<Result<Vec<Node>>>()?;
            Term::Choice(Box::new(parts.try_into().map_err(|_| anyhow!("column {column}: if without then or else"))?))
        }
        Rule::call => return call(pair, column),
        _ => return node(pair.into_inner()),
    };
    Ok(Node { column, term })
}

fn call(pair: Pair<'_, Rule>, column: usize) -> Result<Node> {
    let mut parts = pair.into_inner();
    let name = parts.next().map(|word| word.as_str().to_string()).unwrap_or_default();
    let function = FUNCTIONS.iter().find(|(known, _)| *known == name).with_context(|| {
        let names = || FUNCTIONS.iter().map(|(known, _)| *known);
        let near = nearest(&name, names()).map(|near| format!(" (did you mean {near}?)")).unwrap_or_default();
        format!(
            "column {column}: there is no function {name}{near}; there are {}",
            names().collect::<Vec<_>>().join(", ")
        )
    })?;
    let mut arguments = parts.map(|part| node(part.into_inner())).collect::<Result<Vec<Node>>>()?;
    let term = match function.1 {
        Function::One(unary) => {
            ensure!(arguments.len() == 1, "column {column}: {name} takes one number, got {}", arguments.len());
            Term::Unary(unary, Box::new(arguments.remove(0)))
        }
        Function::Of(binary) => {
            ensure!(arguments.len() >= 2, "column {column}: {name} takes two numbers or more, got one");
            let mut all = arguments.into_iter();
            let first = all.next().context("a call without arguments")?;
            return Ok(all.fold(first, |a, b| Node { column, term: Term::Binary(binary, Box::new([a, b])) }));
        }
    };
    Ok(Node { column, term })
}

fn column(pair: &Pair<'_, Rule>) -> usize {
    pair.line_col().1
}

/// Returns an error of the parser in words.
fn described(error: &pest::error::Error<Rule>) -> Error {
    let (LineColLocation::Pos((_, column)) | LineColLocation::Span((_, column), _)) = error.line_col;
    let expected = match &error.variant {
        ErrorVariant::ParsingError { positives, .. } if positives.contains(&Rule::add) => "an operator, or the end",
        ErrorVariant::ParsingError { .. } => "a number, a name, a text in quotes, a function, if, not, - or (",
        ErrorVariant::CustomError { message } => message.as_str(),
    };
    anyhow!("column {column}: expected {expected}")
}
