//! The specification in plain Rust, without the engine: what tests and fuzz targets hold it against. It needs no candle, so that
//! it builds in seconds, also for Miri and for a fuzzer.

pub mod definition;
pub mod flash;
pub mod parameters;
pub mod reference;
pub mod targets;

/// Returns the bytes of a model with the checksum that belongs to them.
pub fn with_checksum(mut bytes: Vec<u8>) -> Vec<u8> {
    let body = bytes.len() - 4;
    let sum = crc32(&bytes[..body]);
    bytes[body..].copy_from_slice(&sum.to_le_bytes());
    bytes
}

/// Returns the CRC-32 of zip and Ethernet, bit by bit.
pub fn crc32(bytes: &[u8]) -> u32 {
    let mut sum = !0u32;
    for &byte in bytes {
        sum ^= u32::from(byte);
        for _ in 0..8 {
            sum = if sum & 1 == 1 { sum >> 1 ^ 0xedb8_8320 } else { sum >> 1 };
        }
    }
    !sum
}

/// Short enough for Miri, also with other pointers and the other order of bytes.
#[cfg(test)]
mod tests {
    use attar_device::Student;
    use attar_device::store::Store;
    use attar_shared::Model;

    use super::flash::Flash;
    use super::*;

    const GOLDEN: [&[u8]; 2] =
        [include_bytes!("../../golden/everything.attar"), include_bytes!("../../golden/text.attar")];

    #[test]
    fn golden_files_reproduce_their_vectors_wherever_they_stand() {
        for (golden, offset) in GOLDEN.into_iter().zip([1, 3]) {
            let bytes = [vec![0; offset], golden.to_vec()].concat();
            let student = Student::parse(&bytes[offset..]).unwrap();
            let mut arena = vec![17; student.model().arena_bytes()];
            assert_eq!(student.self_test(&mut arena), Ok(1));
        }
    }

    #[test]
    fn golden_files_run_as_the_specification_says_and_are_written_as_they_were_read() {
        for golden in &GOLDEN[usize::from(cfg!(miri))..] {
            targets::run(golden);
            assert!(definition::rewritten(golden) == *golden);
        }
    }

    /// The suite runs them as well, but without debug assertions, which find branches that no checked model can reach.
    #[test]
    #[cfg_attr(miri, ignore)]
    fn fuzz_targets_pass_on_the_inputs_that_are_kept() {
        let corpus = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus");
        for (name, target) in targets::TARGETS {
            let inputs: Vec<_> =
                std::fs::read_dir(corpus.join(name)).unwrap().map(|entry| entry.unwrap().path()).collect();
            assert!(inputs.len() >= 20, "only {} inputs of {name}", inputs.len());
            for path in inputs {
                let bytes = std::fs::read(&path).unwrap();
                let passed = std::panic::catch_unwind(|| target(&bytes)).is_ok();
                assert!(passed, "{}", path.display());
            }
        }
    }

    #[test]
    fn broken_files_are_refused_or_run() {
        // Miri is some thousand times slower.
        let (goldens, cuts, flips) = if cfg!(miri) { (&GOLDEN[1..], 700, 3) } else { (&GOLDEN[..], 7, 100) };
        for golden in goldens {
            for len in (0..golden.len()).step_by(cuts) {
                assert!(Model::parse(&golden[..len]).is_err());
            }
            for place in (attar_shared::HEADER_BYTES * 8..(golden.len() - 4) * 8).step_by(golden.len() * 8 / flips) {
                let mut bytes = golden.to_vec();
                bytes[place / 8] ^= 1 << (place % 8);
                assert!(Model::parse(&bytes).is_err());
                targets::run(&bytes);
            }
        }
    }

    /// The specification names versions of libraries for the sake of these bits.
    #[test]
    fn functions_of_libraries_give_the_bits_that_are_written_down() {
        type Function = fn(f32) -> f32;
        let functions: [(&str, Function, u32); 8] = [
            ("square root", libm::sqrtf, 0xf684_7a37),
            ("ln", libm::logf, 0x614b_4146),
            ("lg", libm::log10f, 0x04be_5293),
            ("exp", libm::expf, 0x0373_a6cc),
            ("sine", libm::sinf, 0x01d6_c8ef),
            ("cosine", libm::cosf, 0x262a_ad1d),
            ("floor", libm::floorf, 0x1304_b8fb),
            ("exp of heads", |x| micromath::F32(x.clamp(-80.0, 80.0)).exp().0, 0x7c5d_6426),
        ];
        // Arguments of every size and sign.
        let step = if cfg!(miri) { 15_485_863 } else { 65_537 };
        let arguments = || (0..u32::MAX / step).map(|n| f32::from_bits(n * step)).filter(|x| x.is_finite());
        for (name, function, expected) in functions {
            // What is not a number has no bits that are promised.
            let results = arguments().map(function).map(|y| if y.is_nan() { 0 } else { y.to_bits() });
            let sum = crc32(&results.flat_map(u32::to_le_bytes).collect::<Vec<u8>>());
            assert!(cfg!(miri) || sum == expected, "{name}: {sum:08x}");
        }
    }

    #[test]
    fn frames_code_and_rubbish_in_a_store_are_read() {
        let bytes = GOLDEN[1];
        targets::link(&bytes[..300]);
        targets::code(&bytes[..200]);
        targets::store(&bytes[..700]);
    }

    #[test]
    fn power_cuts_leave_a_model() {
        let model = GOLDEN[1];
        for fuel in if cfg!(miri) { [2, 20].as_slice() } else { &[1, 2, 20, 60, 70] }.iter().copied() {
            let mut flash = Flash::<4, 1024>::new(6, fuel);
            flash.fuel = Some(fuel);
            let mut store = Store::open(flash).unwrap();
            let written = store.update(model.len()).and_then(|mut update| {
                update.write(model)?;
                update.finish()
            });
            let mut flash = store.flash().clone();
            flash.fuel = None;
            let chosen = Store::open(flash).unwrap().choose(|_, slot| Ok(slot.len == model.len())).unwrap();
            assert_eq!(chosen.is_some(), written.is_ok(), "{fuel}");
        }
    }

    /// The check of a signature takes Miri too long.
    #[test]
    #[cfg_attr(miri, ignore)]
    fn unsigned_models_are_no_signed_ones() {
        GOLDEN.into_iter().for_each(targets::signature);
    }
}
