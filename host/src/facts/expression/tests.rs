//! Expressions from text to value, and what is said of those that are none.

use std::collections::BTreeMap;

use attar_shared::Code;

use super::units::Unit;
use super::{Entry, Expression};
use crate::facts::{Fact, Scope};

const FACTS: &str = r#"
[[facts]]
name = "load"
kind = "number"
unit = "kN"
[[facts]]
name = "bearing"
kind = "category"
values = ["6205", "6203"]
table = { columns = { balls = { 6205 = 9, 6203 = 8 } } }
[[facts]]
name = "running"
kind = "flag"
[[facts]]
name = "age"
kind = "number"
"#;

fn scope() -> Scope {
    #[derive(serde::Deserialize)]
    struct Facts {
        facts: Vec<Fact>,
    }
    let facts: Facts = toml::from_str(FACTS).unwrap();
    let units: BTreeMap<String, String> =
        [("torque", "Nm"), ("rpm", "1/min"), ("air", "K")].map(|(name, unit)| (name.into(), unit.into())).into();
    let inputs = ["torque", "rpm", "air", "x"].map(String::from);
    let mut scope = Scope::new(&facts.facts, &inputs, &units).unwrap();
    scope.learn("bearing", &["6205".into(), "6203".into()], vec!["balls".into()]);
    scope
}

/// load 2, bearing 6203, running, age missing; torque 40, rpm 1500, air 300, x -2.5.
struct Known;

impl attar_device::Scope for Known {
    fn fact(&self, fact: u8) -> f32 {
        [2.0, 1.0, 1.0, f32::NAN][usize::from(fact)]
    }

    fn input(&self, place: u16) -> f32 {
        [40.0, 1500.0, 300.0, -2.5][usize::from(place)]
    }

    fn column(&self, fact: u8, column: u8) -> f32 {
        assert_eq!((fact, column), (1, 0));
        8.0
    }
}

fn value(text: &str) -> Option<f32> {
    let expression: Expression = text.parse().unwrap();
    let code = expression.compile(&scope()).unwrap();
    attar_device::evaluate(Code::new(&code), &Known)
}

#[test]
fn expressions_have_the_values_of_arithmetic() {
    for (text, expected) in [
        ("1 + 2 * 3", 7.0),
        ("(1 + 2) * 3", 9.0),
        ("10 - 4 - 3", 3.0),
        ("16 / 4 / 2", 2.0),
        ("-x * 2", 5.0),
        ("2 - -3", 5.0),
        ("1.5e2 + .5", 150.5),
        ("torque * rpm * 6.283185 / 60", 6283.185),
        ("bearing.balls / 2", 4.0),
        ("if running then load else 7", 2.0),
        ("if not running then load else 7", 7.0),
        ("if x < 0 and rpm >= 1500 then 1 else 0", 1.0),
        ("if x > 0 or rpm != 1500 then 1 else 0", 0.0),
        ("if bearing == \"6203\" then 1 else 0", 1.0),
        ("if '6205' == bearing then 1 else 0", 0.0),
        ("min(3, x, 8)", -2.5),
        ("max(3, x, 8)", 8.0),
        ("abs(x) + floor(x)", -0.5),
        ("sqrt(16) + ln(exp(1))", 5.0),
        ("sin(0) + cos(0)", 1.0),
        ("if 1 < 2 then if 2 < 1 then 1 else 2 else 3", 2.0),
        ("if 1 <= 1 then 5 else age", 5.0),
    ] {
        let got = value(text).unwrap_or_else(|| panic!("{text} is missing"));
        assert!((got - expected).abs() <= 1e-5 * expected.abs().max(1.0), "{text}: {got}, expected {expected}");
    }
}

#[test]
fn what_has_no_value_is_missing() {
    for text in [
        "age + 1",
        "1 / 0",
        "0 * (1 / 0)",
        "sqrt(x)",
        "ln(0)",
        "exp(1000)",
        "min(age, 1)",
        "if age > 1 then 1 else 2",
        "if running or age > 1 then 1 else 2",
    ] {
        assert_eq!(value(text), None, "{text}");
    }
}

#[test]
fn mistakes_are_told_with_their_column() {
    for (text, expected) in [
        ("", "column 1: expected"),
        ("1 +", "column 4: expected"),
        ("torque rpm", "column 8: expected an operator"),
        ("2 ** 3", "column 4: expected"),
        ("(1 + 2", "column 7: expected"),
        ("sqr(2)", "column 1: there is no function sqr (did you mean sqrt?)"),
        ("sqrt(1, 2)", "column 1: sqrt takes one number, got 2"),
        ("min(1)", "column 1: min takes two numbers or more"),
        ("1e99", "column 1: 1e99 is too large"),
        ("if running then 1", "column 18: expected"),
        ("torqe * 2", "column 1: there is no fact or input \"torqe\" (did you mean \"torque\"?)"),
        ("1 + bearing.bals", "column 5: the table of \"bearing\" has no column \"bals\" (did you mean \"balls\"?)"),
        ("load.balls", "column 1: \"load\" is no category"),
        ("torque + air", "column 8: adds Nm and K"),
        ("torque + rpm * air", "adds Nm and"),
        ("if torque < air then 1 else 2", "compares Nm and K"),
        ("running + 1", "column 1: expected a number, found a condition"),
        ("bearing + 1", "column 1: expected a number, found the category \"bearing\""),
        ("not rpm", "column 5: expected a condition, found a number"),
        ("if rpm then 1 else 2", "column 4: expected a condition"),
        ("if running then 1 else running", "then gives a number, else a condition"),
        ("1 < 2 < 3", "expected a number, found a condition"),
        ("if bearing == \"6206\" then 1 else 2", "has no value \"6206\" (did you mean \"6205\"?)"),
        ("if bearing == 6205 then 1 else 2", "compares the category \"bearing\" with a number"),
        ("sin(air)", "takes the angle of K"),
        ("running", "a derived fact is a number; this is a condition"),
        ("über", "column 1: 'ü' stands outside of quotes"),
        ("if bearing == 'µ' then 1 else 2", "has no value \"µ\""),
    ] {
        let error =
            text.parse::<Expression>().and_then(|expression| expression.check(&scope(), Some(None))).expect_err(text);
        let message = format!("{error:#}");
        assert!(message.contains(expected), "{text}: {message}");
    }
    let power: Expression = "torque * rpm * 6.283185 / 60".parse().unwrap();
    let watts = Unit::parse("W").unwrap();
    assert!(power.check(&scope(), Some(Some(&watts))).is_ok());
    let error = power.check(&scope(), Some(Some(&Unit::parse("K").unwrap()))).unwrap_err();
    assert_eq!(error.to_string(), "the expression gives W, the fact is in K");
    let error = power.check(&scope(), None).unwrap_err();
    assert!(error.to_string().contains("a rule is a condition"), "{error}");
}

#[test]
fn what_is_too_deep_is_refused_before_anything_runs_out_of_stack() {
    let nested = |count: usize| format!("{}1{}", "(".repeat(count), ")".repeat(count));
    assert!(nested(60).parse::<Expression>().is_ok());
    for text in [nested(70), "-".repeat(300) + "1", "not ".repeat(200) + "running", "1+".repeat(1500) + "1"] {
        assert!(text.parse::<Expression>().is_err(), "{}", &text[..20]);
    }
    // Long to the left is deep for the tree alone, to the right for the board's stack.
    let left: Expression = ("1".to_string() + &"+1".repeat(900)).parse().unwrap();
    assert!(left.compile(&scope()).unwrap_err().to_string().contains("bytes"));
    let right = format!("{}1{}", "1+(".repeat(20), ")".repeat(20));
    let error = right.parse::<Expression>().unwrap_err().to_string();
    assert!(error.contains("needs 21 numbers at once, the board holds 16"), "{error}");
}

#[test]
fn names_are_those_that_are_read() {
    let expression: Expression = "if bearing == 'rpm' then load else bearing.balls * x".parse().unwrap();
    assert_eq!(expression.names().collect::<Vec<_>>(), ["bearing", "load", "bearing", "x"]);
    assert!(matches!(scope().find("x"), Ok(Entry::Input { place: 3, .. })));
}
