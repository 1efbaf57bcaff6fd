//! Branches that only a defect of the parser, the planner or a kernel can reach.

/// Stops a build with debug assertions; a build without them goes on with an expression, or the type's default.
///
/// A parsed model keeps the rules that make such a branch impossible, so that a board needs no code for it. Tests and fuzz
/// targets are built with debug assertions: there a broken rule is a panic at this place and no wrong number.
macro_rules! unreachable_in_checked_model {
    () => {
        unreachable_in_checked_model!(Default::default())
    };
    ($fallback:expr) => {{
        debug_assert!(false, "a model that was checked cannot reach this");
        $fallback
    }};
}

#[cfg(test)]
mod tests {
    #[test]
    #[cfg_attr(debug_assertions, should_panic(expected = "a model that was checked cannot reach this"))]
    fn branch_stops_a_build_with_debug_assertions_and_goes_on_in_others() {
        let values: [&[i8]; 2] = [unreachable_in_checked_model!(), unreachable_in_checked_model!(&[1])];
        assert_eq!(values, [[].as_slice(), &[1]]);
    }
}
