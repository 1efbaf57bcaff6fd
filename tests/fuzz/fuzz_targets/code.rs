#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| attar_spec::targets::code(bytes));
