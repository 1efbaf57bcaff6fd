//! Data files that lie: readers neither panic nor ask for memory that the file cannot fill.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::fs;
use std::path::Path;

use attar::data::files::{idx, npy, safetensors, wav};
use attar::tables::{Dialect, Table};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Notes the largest allocation of each thread.
struct Watching;

thread_local! {
    static LARGEST: Cell<usize> = const { Cell::new(0) };
}

fn note(size: usize) {
    // A thread that is ending has none any more.
    let _ = LARGEST.try_with(|largest| largest.set(largest.get().max(size)));
}

// SAFETY: everything is left to the system's allocator; noting a number allocates nothing.
unsafe impl GlobalAlloc for Watching {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        note(layout.size());
        // SAFETY: the caller's promises are passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        note(layout.size());
        // SAFETY: the caller's promises are passed on.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, place: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        note(size);
        // SAFETY: the caller's promises are passed on.
        unsafe { System.realloc(place, layout, size) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        // SAFETY: the caller's promises are passed on.
        unsafe { System.dealloc(place, layout) }
    }
}

#[global_allocator]
static WATCHING: Watching = Watching;

/// What means something in one of the formats.
const TOKENS: [&[u8]; 20] = [
    b"\"",
    b"\"\"",
    b",",
    b";",
    b"\t",
    b"|",
    b"\r",
    b"\n",
    b"\n\n",
    b"#",
    b"\xef\xbb\xbf",
    b"\xff\xfe",
    b"\0",
    b"sep=;\n",
    b"{",
    b"(",
    b"data",
    b"fmt ",
    b"RF64",
    b"\xfe\xff",
];

/// Says whether a file is read.
type Reads = fn(&Path) -> bool;

/// Files of some hundred bytes that are right, with what reads them.
fn good() -> Vec<(&'static str, Vec<u8>, Reads)> {
    let idx_bytes: Vec<u8> =
        [0, 0, 8, 3, 0, 0, 0, 5, 0, 0, 0, 4, 0, 0, 0, 4].into_iter().chain((0..80).map(|value| value as u8)).collect();
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    std::io::Write::write_all(&mut packed, &idx_bytes).unwrap();
    let header = "{'descr': '<f4', 'fortran_order': False, 'shape': (5, 4), }";
    let mut npy_bytes = b"\x93NUMPY\x01\0".to_vec();
    npy_bytes.extend((header.len() as u16).to_le_bytes());
    npy_bytes.extend(header.bytes());
    npy_bytes.extend((0..20).flat_map(|value| (value as f32).to_le_bytes()));
    let entry = r#"{"x":{"dtype":"F32","shape":[5,4],"data_offsets":[0,80]},"y":{"dtype":"I64","shape":[2],"data_offsets":[80,96]}}"#;
    let mut tensors = (entry.len() as u64).to_le_bytes().to_vec();
    tensors.extend(entry.bytes());
    tensors.extend([7; 96]);
    let mut wav_bytes = b"RIFF\x78\0\0\0WAVELIST\x03\0\0\0abc\0fmt \x10\0\0\0\x01\0\x02\0\x40\x1f\0\0\0\x7d\0\0\x04\0\x10\0data\x50\0\0\0".to_vec();
    wav_bytes.extend((0..80).map(|value| value as u8));
    let table: String = (0..30).map(|row| format!("{row},{}.5,\"a, b\"\n", row * 7)).collect();
    vec![
        ("x.idx", idx_bytes, |path| idx::read(path).is_ok()),
        ("x.idx.gz", packed.finish().unwrap(), |path| idx::read(path).is_ok()),
        ("x.npy", npy_bytes, |path| npy::read(path, None).is_ok()),
        ("x.safetensors", tensors, |path| safetensors::read(path, Some("x")).is_ok()),
        ("x.csv", format!("number,other,text\n{table}").into_bytes(), |path| {
            Table::read(path, &Dialect::default())
                .is_ok_and(|table| table.column("number").is_ok_and(|column| column.numbers().is_ok()))
        }),
        ("x.wav", wav_bytes, |path| wav::Wav::open(path).and_then(wav::Wav::samples).is_ok()),
    ]
}

/// More than any of these files could fill, gzip's thousandfold included.
const MOST_BYTES: usize = 4 << 20;

#[test]
fn data_files_that_lie_are_refused_without_panic_and_without_memory() {
    let folder = tempfile::tempdir().unwrap();
    let (mut cases, mut refused) = (0, 0);
    for (name, good, read) in good() {
        let path = folder.path().join(name);
        // Those whose readers are written here, or guard one, take the place of fuzz targets, which do not link this crate.
        let count = if ["x.csv", "x.npy", "x.wav"].contains(&name) { 10_000 } else { 1500 };
        let mut random = ChaCha8Rng::seed_from_u64(good.len() as u64);
        let cuts = (0..=good.len()).map(|len| good[..len].to_vec());
        let mut changed = |_| {
            let mut bytes = good.clone();
            for _ in 0..random.random_range(1..4) {
                let place = random.random_range(0..bytes.len());
                let many = random.random_range(1..9).min(bytes.len() - place);
                match random.random_range(0..5) {
                    0 => bytes[place] ^= 1 << random.random_range(0..8),
                    1 => bytes[place..place + many].fill([0xff, 0x7f, 0][random.random_range(0..3)]),
                    2 => bytes[place..place + many].fill(b'9'),
                    3 => drop(bytes.splice(place..place, TOKENS[random.random_range(0..TOKENS.len())].iter().copied())),
                    _ => {
                        bytes.remove(place);
                    }
                }
            }
            bytes
        };
        let all: Vec<Vec<u8>> = cuts.chain((0..count).map(&mut changed)).collect();
        fs::write(&path, &good).unwrap();
        assert!(read(&path), "{name}: the good file is refused");
        for bytes in all {
            fs::write(&path, &bytes).unwrap();
            LARGEST.set(0);
            let result = std::panic::catch_unwind(|| read(&path));
            let largest = LARGEST.get();
            let what = || String::from_utf8_lossy(&bytes).into_owned();
            assert!(result.is_ok(), "{name}: reading panics on {:?}", what());
            assert!(largest < MOST_BYTES, "{name}: reading allocates {largest} bytes for {:?}", what());
            cases += 1;
            refused += usize::from(matches!(result, Ok(false)));
        }
    }
    println!("cases: {cases}");
    assert!(refused > cases / 2, "{refused} of {cases} refused");
}

/// A reader that believes a length field has to be caught.
#[test]
fn control_an_allocation_by_a_header_is_seen() {
    LARGEST.set(0);
    let promised = std::hint::black_box(64usize << 20);
    drop(std::hint::black_box(Vec::<u8>::with_capacity(promised)));
    assert!(LARGEST.get() > MOST_BYTES);
}

/// Some kilobytes of gzip stand for gigabytes: they are refused before they are unpacked.
#[test]
fn gzip_that_promises_more_than_it_can_hold_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bomb.idx.gz");
    let header = [0, 0, 8, 1, 0x7f, 0xff, 0xff, 0xff];
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    std::io::Write::write_all(&mut packed, &header).unwrap();
    std::io::Write::write_all(&mut packed, &[0; 1 << 20]).unwrap();
    fs::write(&path, packed.finish().unwrap()).unwrap();
    LARGEST.set(0);
    let error = format!("{:#}", idx::read(&path).unwrap_err());
    assert!(error.contains("bomb.idx.gz") && error.contains("more than"), "{error}");
    assert!(LARGEST.get() < MOST_BYTES);
}

/// ONNX files that are cut or changed never panic, and shapes that lie take no memory.
#[test]
fn onnx_files_that_lie_are_refused_or_read() {
    let Some(teachers) = attar_tests::real_data("teachers") else { return };
    let good = fs::read(teachers.join("fashion-resnet.onnx")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.onnx");
    let mut random = ChaCha8Rng::seed_from_u64(1);
    let mut refused = 0;
    const CASES: usize = 120;
    for case in 0..CASES {
        let mut bytes = good.clone();
        match case % 3 {
            0 => bytes.truncate(random.random_range(0..good.len())),
            // Names, shapes and attributes stand at both ends, weights between.
            _ => {
                for _ in 0..random.random_range(1..6) {
                    let place = random.random_range(0..4000);
                    let place = if random.random() { place } else { good.len() - 1 - place };
                    bytes[place] = if case % 3 == 1 { bytes[place] ^ (1 << random.random_range(0..8)) } else { 0xff };
                }
            }
        }
        fs::write(&path, &bytes).unwrap();
        LARGEST.set(0);
        let result = std::panic::catch_unwind(|| attar::teachers::Onnx::load(&path, [28, 28, 1]).is_ok());
        assert!(result.is_ok(), "case {case}: reading panics");
        assert!(LARGEST.get() < 256 << 20, "case {case}: reading allocates {} bytes", LARGEST.get());
        refused += usize::from(matches!(result, Ok(false)));
    }
    println!("cases: {CASES}");
    assert!(refused > CASES / 3, "{refused} of {CASES} refused");
}
