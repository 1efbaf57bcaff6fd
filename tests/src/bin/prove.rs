//! The promises of SECURITY.md with the tests that hold them, run one after the other; `tests/prove` builds and runs it.
//!
//! A test says how many cases it had in a line `cases: N`; one that says nothing is one case.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, ExitCode};

use anyhow::{Context, Result, ensure};
use attar_tests::root;
use clap::Parser;
use serde_json::json;

/// Runs the tests behind each promise and prints a table.
#[derive(Debug, Parser)]
struct Cli {
    /// Prints one array of objects: promise, cases, failed.
    #[arg(long)]
    json: bool,
    /// Checks that SECURITY.md holds this table, and names every promise.
    #[arg(long)]
    check: bool,
}

/// What is promised, and the tests that show it: those of the suite, then those of the host crate.
struct Promise {
    promise: &'static str,
    suite: &'static [&'static str],
    host: &'static [&'static str],
}

const PROMISES: [Promise; 17] = [
    Promise {
        promise: "a model that was cut off, or changed in one bit, is refused",
        suite: &["format::every_truncation_is_refused", "format::every_flipped_bit_is_refused"],
        host: &[],
    },
    Promise {
        promise: "a model that breaks a rule under a right checksum is refused, and the rule named",
        suite: &[
            "format::each_broken_rule_is_named",
            "format::facts_that_break_a_limit_are_refused",
            "format::rows_of_a_dense_layer_have_no_weight_of_minus_128",
            "format::outputs_closer_to_their_inputs_than_their_windows_allow_are_refused",
            "format::tensors_that_live_together_and_overlap_are_refused",
            "format::texts_that_break_a_rule_are_refused",
        ],
        host: &[],
    },
    Promise {
        promise: "whatever is accepted runs, with the answer of the specification",
        suite: &[
            "format::flipped_bits_under_a_right_checksum_are_refused_or_run",
            "corpus::fuzz_targets_pass_on_all_inputs_that_are_kept",
            "parity::engine_equals_the_specification_on_random_graphs",
        ],
        host: &[],
    },
    Promise {
        promise: "what a model takes to parse is bounded by its length, and to run by the work in its header",
        suite: &[
            "bounds::parser_takes_instructions_in_proportion_to_the_file",
            "bounds::a_run_takes_instructions_in_proportion_to_its_work",
            "bounds::taps_of_pools_are_work",
            "bounds::work_is_recomputed",
        ],
        host: &[],
    },
    Promise {
        promise: "board and workstation agree to the bit",
        suite: &[
            "qemu::boards_give_the_outputs_of_the_host_in_bounded_instructions",
            "qemu::boards_equal_the_host_on_random_graphs",
            "qemu::boards_equal_the_host_on_depthwise_windows",
            "qemu::boards_equal_the_host_on_dense_layers",
            "qemu::boards_read_texts_as_the_host_does",
        ],
        host: &[],
    },
    Promise {
        promise: "nothing in the device crate panics, signatures aside (see below)",
        suite: &["trust::nothing_in_the_device_crate_can_panic_on_any_core"],
        host: &[],
    },
    Promise {
        promise: "the stack is bounded, and one that overflows is caught",
        suite: &[
            "trust::no_function_calls_itself",
            "trust::a_stack_that_overflows_is_caught",
            "nets::reference_networks_take_the_instructions_that_are_written_down",
        ],
        host: &[],
    },
    Promise {
        promise: "a self-test names the operator that differs",
        suite: &["trust::self_test_names_the_operator_that_differs"],
        host: &[],
    },
    Promise {
        promise: "a power cut in an update leaves the old model or the new one, whole",
        suite: &[
            "store::power_cut_at_every_operation_leaves_the_old_model_or_the_new_one",
            "store::ten_thousand_random_lives_never_lose_the_model",
            "store::a_model_that_runs_has_proved_itself_for_good",
            "store::a_cell_that_cannot_be_read_was_cut_off",
            "field::power_cuts_leave_a_board_with_a_model",
        ],
        host: &[],
    },
    Promise {
        promise: "a new model that fails its test on the board gives way to the one before",
        suite: &[
            "store::models_that_fail_on_the_board_are_rolled_back",
            "store::models_from_which_the_board_does_not_come_back_are_given_up",
            "store::a_model_that_rots_gives_way_to_the_one_before",
            "field::board_takes_what_is_signed_good_and_newer_and_keeps_its_model_otherwise",
        ],
        host: &[],
    },
    Promise {
        promise: "updates alternate between the slots, so that the blocks of models wear alike",
        suite: &["store::updates_wear_all_blocks_alike"],
        host: &[],
    },
    Promise {
        promise: "only the holder of the key makes models that a board takes, and none goes back",
        suite: &[
            "signature::every_flipped_bit_under_a_right_checksum_is_refused",
            "signature::what_is_unsigned_cut_downgraded_or_signed_otherwise_is_refused",
            "signature::command_signs_what_another_implementation_accepts",
            "store::what_does_not_fit_or_is_older_or_no_model_is_refused",
            "store::revisions_that_have_proved_themselves_or_are_required_are_the_least",
        ],
        host: &[],
    },
    Promise {
        promise: "noise on the serial line delays an update, and changes nothing in it",
        suite: &["field::update_arrives_over_a_line_that_loses_and_changes_one_byte_in_a_hundred"],
        host: &[],
    },
    Promise {
        promise: "an output is written whole or not at all, and leaves no litter",
        suite: &["command::failure_to_write_leaves_the_old_student_as_it_was"],
        host: &[
            "files::tests::a_power_cut_at_every_operation_leaves_the_old_file_or_the_new_one",
            "files::tests::an_error_of_every_operation_leaves_the_old_file_and_no_litter",
            "files::tests::a_file_that_fails_its_check_does_not_take_its_place",
        ],
    },
    Promise {
        promise: "data files that lie are refused, without panic and without their memory",
        suite: &[
            "hostile::data_files_that_lie_are_refused_without_panic_and_without_memory",
            "hostile::gzip_that_promises_more_than_it_can_hold_is_refused",
        ],
        host: &[],
    },
    Promise {
        promise: "bad recipes, tables, arrays, models and facts get an error that says where and what to do",
        suite: &[
            "command::bad_arrays_are_refused_with_file_and_sample",
            "command::bad_models_inputs_and_facts_are_refused",
            "command::bad_recipes_are_refused_with_file_line_and_advice",
            "command::bad_tables_are_refused_with_file_line_and_column",
        ],
        host: &[],
    },
    Promise {
        promise: "the controls of these tests fail where they should",
        suite: &[
            "store::control_a_store_that_does_not_look_at_what_it_runs_is_caught",
            "hostile::control_an_allocation_by_a_header_is_seen",
            "qemu::comparison_sees_a_changed_weight",
            "parity::comparison_sees_one_changed_weight",
        ],
        host: &["files::tests::control_writing_in_place_and_renaming_without_a_sync_are_caught"],
    },
];

/// What became of a test: its cases, and whether it passed.
type Results = BTreeMap<String, (u64, bool)>;

fn main() -> Result<ExitCode> {
    let cli = Cli::parse();
    if cli.check {
        let text = std::fs::read_to_string(root().join("SECURITY.md"))?;
        for Promise { promise, .. } in &PROMISES {
            ensure!(text.contains(promise), "SECURITY.md does not promise that {promise}");
        }
        return Ok(ExitCode::SUCCESS);
    }
    let all = |of: fn(&Promise) -> &'static [&'static str]| PROMISES.iter().flat_map(of).copied().collect::<Vec<_>>();
    let suite = run(&["-p", "attar-tests", "--test", "suite"], &all(|promise| promise.suite))?;
    let host = run(&["-p", "attar", "--lib"], &all(|promise| promise.host))?;
    let mut rows = Vec::new();
    let mut any_failed = false;
    for Promise { promise, suite: of_suite, host: of_host } in &PROMISES {
        let results = of_suite.iter().map(|test| (test, &suite)).chain(of_host.iter().map(|test| (test, &host)));
        let (mut cases, mut failed) = (0, 0);
        for (test, results) in results {
            let (of_test, passed) = results.get(*test).with_context(|| format!("there is no test {test}"))?;
            cases += of_test;
            failed += u64::from(!passed);
        }
        any_failed |= failed > 0;
        rows.push((promise, of_suite.iter().chain(*of_host).copied().collect::<Vec<_>>(), cases, failed));
    }
    if cli.json {
        let rows: Vec<_> = rows
            .iter()
            .map(|(promise, _, cases, failed)| json!({"promise": promise, "cases": cases, "failed": failed}))
            .collect();
        println!("{}", serde_json::to_string(&rows)?);
    } else {
        println!("| promise | tests | cases | failed |\n|---|---|---|---|");
        for (promise, tests, cases, failed) in rows {
            let tests: Vec<String> =
                tests.iter().map(|test| format!("`{}`", test.replace("::tests::", "::"))).collect();
            println!("| {promise} | {} | {cases} | {failed} |", tests.join(", "));
        }
    }
    Ok(if any_failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// Runs tests by their full names.
fn run(target: &[&str], tests: &[&str]) -> Result<Results> {
    eprintln!("running {} tests of {}", tests.len(), target[1]);
    let output = Command::new("cargo")
        .args(["test", "--release", "--locked", "--no-fail-fast"])
        .args(target)
        .args(["--", "--show-output", "--exact"])
        .args(tests)
        .current_dir(Path::new(&root()))
        .output()
        .context("cannot run cargo")?;
    let text = String::from_utf8_lossy(&output.stdout);
    let mut results = Results::new();
    for line in text.lines() {
        // "test NAME ... ok"; of a test that has to panic "test NAME - should panic ... ok".
        if let Some((name, end)) = line.strip_prefix("test ").and_then(|line| line.split_once(" ... ")) {
            let name = name.split(" - ").next().unwrap_or(name);
            results.insert(name.to_string(), (1, end == "ok"));
        }
    }
    ensure!(!results.is_empty(), "no test ran:\n{}", String::from_utf8_lossy(&output.stderr));
    let mut current = None;
    for line in text.lines() {
        if let Some(name) = line.strip_prefix("---- ").and_then(|line| line.strip_suffix(" stdout ----")) {
            current = Some(name.split(" - ").next().unwrap_or(name).to_string());
        } else if let (Some(name), Some(cases)) = (&current, line.strip_prefix("cases: ")) {
            let entry = results.get_mut(name).with_context(|| format!("output of an unknown test {name}"))?;
            entry.0 = cases.parse().with_context(|| format!("{name}: {line}"))?;
        }
    }
    Ok(results)
}
