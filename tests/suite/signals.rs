//! Front-ends: their errors against double precision, streams against whole recordings, boards against this machine, and what
//! recordings may have wrong with them.

use std::fs;

use attar::boards::verify;
use attar::data;
use attar::signal::design::Design;
use attar::signal::{Color, Extractor, noise};
use attar::student::stream;
use attar_device::signal::{Detector, Stream};
use attar_device::{Step, Student};
use attar_shared::{Arithmetic, Defect, Detection, Model, ParseError, Signal};
use attar_tests::definition::with_definition;
use attar_tests::signal::{FIGURES, FRONT_ENDS, design, everything, features, measure};
use attar_tests::{models, real_data, root};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

const MEL: &str = r#"
    rate = 8000
    window = "32 ms"
    hop = "16 ms"
    filters = [{ kind = "dc", hz = 60 }]
    features = [{ kind = "mel", bands = 32, from = 80, floor = -80 }]
"#;

const SPECTRUM: &str = r#"
    rate = 16000
    window = 400
    hop = 160
    features = [{ kind = "spectrum", floor = -90 }]
"#;

const AMPLITUDE: &str = r#"
    rate = 16000
    window = 1024
    hop = 512
    taper = "hamming"
    features = [{ kind = "spectrum", scale = "amplitude" }]
"#;

const MFCC: &str = r#"
    rate = 16000
    window = "64 ms"
    hop = "20 ms"
    running_mean = "500 ms"
    filters = [{ kind = "emphasis" }]
    features = [{ kind = "mfcc", bands = 40, coefficients = 13, floor = -80 }]
"#;

const ENVELOPE: &str = r#"
    rate = 16000
    window = 256
    hop = 128
    remove_mean = true
    filters = [
        { kind = "high-pass", hz = 1500, order = 4 }, { kind = "absolute" }, { kind = "low-pass", hz = 400, order = 4 },
        { kind = "decimate", by = 16 },
    ]
    features = [{ kind = "spectrum", floor = -80 }]
"#;

const SAMPLES: &str = r#"
    rate = 4000
    window = 50
    hop = 30
    remove_mean = true
    filters = [{ kind = "low-pass", hz = 800, order = 5 }]
    features = [{ kind = "samples" }]
"#;

const STATISTICS: &str = r#"
    rate = 6400
    window = 512
    hop = 512
    remove_mean = true
    features = [
        { kind = "statistics", of = ["mean", "rms", "peak", "crest", "skewness", "kurtosis", "crossings"] },
    ]
"#;

/// Signals that a sensor may give: tones, noise, knocks, whispers, everything clipped, nothing at all.
fn signals(count: usize) -> Vec<(&'static str, Vec<i16>)> {
    let mut random = ChaCha8Rng::seed_from_u64(1);
    let mut of = |value: &mut dyn FnMut(usize, &mut ChaCha8Rng) -> f64| -> Vec<i16> {
        (0..count).map(|n| value(n, &mut random).clamp(-32_768.0, 32_767.0) as i16).collect()
    };
    let sweep = of(&mut |n, _| 9000.0 * (1e-5 * (n * n) as f64).sin() + 3000.0 * (0.03 * n as f64).sin());
    let whisper = of(&mut |_, random| random.random_range(-12.0..12.0));
    let clipped = of(&mut |n, random| 90_000.0 * (0.2 * n as f64).sin() + random.random_range(-9000.0..9000.0));
    let knocks = of(&mut |n, random| {
        let since = (n % 700) as f64;
        20_000.0 * (-since / 40.0).exp() * (0.9 * since).sin() + random.random_range(-60.0..60.0)
    });
    let mut random = ChaCha8Rng::seed_from_u64(2);
    let pink = noise(count, 1, Color::Pink, -24.0, &mut random).into_iter().map(|x| x as i16).collect();
    let silence = vec![0; count];
    vec![
        ("sweep", sweep),
        ("pink noise", pink),
        ("knocks", knocks),
        ("whisper", whisper),
        ("clipped", clipped),
        ("silence", silence),
    ]
}

fn computed(design: &Design, samples: &[i16]) -> Vec<f32> {
    let extractor = Extractor::new(design.record(design.features()).unwrap()).unwrap();
    extractor.features(samples).unwrap()
}

/// The greatest error of all features over all signals.
fn greatest_error(design: &Design) -> f64 {
    let mut worst = 0.0f64;
    for (name, samples) in signals(24_000 / design.channels * design.channels) {
        let expected = features(design, &samples).concat();
        let got = computed(design, &samples);
        assert_eq!(got.len(), expected.len(), "{name}");
        for (place, (&got, &expected)) in got.iter().zip(&expected).enumerate() {
            assert!(got.is_finite(), "{name}: feature {place} is {got}");
            worst = worst.max((f64::from(got) - expected).abs());
        }
    }
    worst
}

#[test]
fn features_are_as_near_to_double_precision_as_the_documents_say() {
    // dB, amplitudes and statistics in units of full scale; the bounds are those of host/README.md.
    let cases = [
        ("mel", MEL, 0.15, 0.001),
        ("spectrum", SPECTRUM, 0.7, 0.005),
        ("amplitude", AMPLITUDE, 2e-5, 1e-6),
        ("mfcc", MFCC, 0.1, 0.001),
        ("envelope", ENVELOPE, 0.05, 0.005),
        ("statistics", STATISTICS, 0.01, 0.001),
        ("samples", SAMPLES, 1e-6, 1e-6),
    ];
    let mut beyond = Vec::new();
    for (name, text, fixed, float) in cases {
        for (arithmetic, bound) in [(Arithmetic::Fixed, fixed), (Arithmetic::Float, float)] {
            let error = greatest_error(&design(text, arithmetic, None));
            println!("{name} {arithmetic:?}: {error:.6}");
            if error > bound {
                beyond.push(format!("{name} in {arithmetic:?}: {error}, at most {bound}"));
            }
        }
    }
    assert_eq!(beyond, [""; 0]);
}

/// Detections follow the rules of the format, written down once more.
#[test]
fn detections_begin_and_end_where_their_rules_say() {
    let rules = Detection { smooth: 0.5, on: 0.4, off: 0.34, background: Some(0) };
    let bytes = models::signal(Arithmetic::Fixed);
    let student = Student::parse(&bytes).unwrap();
    let mut arena = vec![0; student.model().arena_bytes()];
    let mut session = attar_device::Session::new(*student.model(), &mut arena).unwrap();
    let len = student.model().input_shape().len();
    let mut detector = Detector::<3>::new(rules);
    let (mut smoothed, mut active, mut begun, mut ended) = ([0.0f32; 3], None::<usize>, 0, 0);
    for turn in 0..3000 {
        // Inputs that stay for a while, so that answers do.
        let mut held = ChaCha8Rng::seed_from_u64(turn / 9);
        let input: Vec<i8> = (0..len).map(|_| held.random()).collect();
        session.load_quantized(input.iter().copied(), [].into_iter()).unwrap();
        while session.step() == Step::More {}
        let outputs = session.outputs().unwrap();
        let head = outputs.head("fault").unwrap();
        for (smoothed, probability) in smoothed.iter_mut().zip(head.probabilities()) {
            *smoothed += (probability - *smoothed) * 0.5;
        }
        if active.is_some_and(|class| smoothed[class] < 0.34) {
            active = None;
            ended += 1;
        }
        let best = if smoothed[2] > smoothed[1] { 2 } else { 1 };
        let expected = (active.is_none() && smoothed[best] >= 0.4).then_some(best);
        active = active.or(expected);
        begun += usize::from(expected.is_some());
        assert_eq!(detector.update(&head).map(|detected| detected.class), expected, "turn {turn}");
        assert_eq!(detector.active(), active, "turn {turn}");
    }
    assert!(begun > 5 && ended > 5, "{begun} begun, {ended} ended");
}

#[test]
fn window_of_one_sine_has_its_amplitude_where_its_frequency_is() {
    for arithmetic in [Arithmetic::Fixed, Arithmetic::Float] {
        let design = design(AMPLITUDE, arithmetic, None);
        // Line 64 of 1,024 at 16 kHz is 1 kHz.
        let samples: Vec<i16> =
            (0..1024).map(|n| (8192.0 * (2.0 * std::f64::consts::PI * n as f64 / 16.0).sin()) as i16).collect();
        let lines = computed(&design, &samples);
        let (place, greatest) = lines.iter().enumerate().fold((0, 0.0), |a, (n, &x)| if x > a.1 { (n, x) } else { a });
        assert_eq!(place + 1, 64);
        assert!((greatest - 0.25).abs() < 1e-3, "{greatest}");
    }
}

/// What a student answers at each run, for samples that come in pieces.
fn answers(model: &[u8], samples: &[i16], mut piece: impl FnMut() -> usize) -> Vec<Vec<i8>> {
    let student = Student::parse(model).unwrap();
    let signal = stream::signal_of(&student).unwrap();
    let (mut memory, mut arena) = (vec![9; signal.words as usize], vec![9; student.model().arena_bytes()]);
    let mut stream = Stream::new(*student.model(), &mut memory, &mut arena).unwrap();
    let facts = student.facts();
    let mut answers = Vec::new();
    let mut left = samples;
    while !left.is_empty() {
        let (now, later) = left.split_at((piece() * usize::from(signal.channels)).min(left.len()));
        left = later;
        let mut rest = now;
        while !rest.is_empty() {
            if let Some(outputs) = stream.push(&mut rest, &facts).unwrap() {
                answers.push(outputs.heads().flat_map(|head| head.quantized().to_vec()).collect());
            }
        }
    }
    answers
}

#[test]
fn streams_answer_as_the_whole_recording_does_however_it_comes() {
    for arithmetic in [Arithmetic::Fixed, Arithmetic::Float] {
        let model = models::signal(arithmetic);
        for (name, samples) in signals(12_000) {
            let mut random = ChaCha8Rng::seed_from_u64(3);
            let whole = answers(&model, &samples, || samples.len());
            assert_eq!(whole, answers(&model, &samples, || random.random_range(1..200)), "{name}");
            assert_eq!(whole, answers(&model, &samples, || 1), "{name}");
            // The same by hand: features of the whole recording, and a run on each three hops, every second hop.
            let student = Student::parse(&model).unwrap();
            let rows = computed(&everything(arithmetic), &samples);
            let width = rows.len() / (rows.len() / everything(arithmetic).features());
            let mut arena = vec![0; student.model().arena_bytes()];
            let mut session = attar_device::Session::new(*student.model(), &mut arena).unwrap();
            let rows: Vec<&[f32]> = rows.chunks_exact(width).collect();
            let by_hand: Vec<Vec<i8>> = rows
                .windows(3)
                .step_by(2)
                .map(|three| {
                    let outputs = session.run(&three.concat(), &student.facts()).unwrap();
                    outputs.heads().flat_map(|head| head.quantized().to_vec()).collect()
                })
                .collect();
            assert_eq!(whole, by_hand, "{name}");
            assert!(name == "silence" || by_hand.iter().any(|answer| *answer != by_hand[0]), "{name} changes nothing");
        }
    }
}

#[test]
fn boards_hear_what_this_machine_hears() {
    for arithmetic in [Arithmetic::Fixed, Arithmetic::Float] {
        let model = models::signal(arithmetic);
        let samples: Vec<i16> = signals(4000).into_iter().flat_map(|(_, samples)| samples).collect();
        for board in ["mps2-an386", "microbit", "mps2-an385", "mps3-an547", "riscv32-virt"] {
            let figures =
                verify::stream_on_qemu(attar::boards::find_simulated(board).unwrap(), &model, &samples, &[]).unwrap();
            assert_eq!(figures.mismatches, 0, "{board}, {arithmetic:?}");
            assert_eq!(figures.hops, figures_of(&model, &samples), "{board}");
        }
    }
}

/// Three axes, whose samples come in whole threes; a decimation that leaves a sample over.
#[test]
fn boards_hear_three_axes() {
    let design = design_of(
        "rate = 1000\nchannels = 3\nwindow = 32\nhop = 24\nfilters = [{ kind = \"decimate\", by = 4 }]\n\
         features = [{ kind = \"statistics\", of = [\"rms\", \"peak\"] }]",
    )
    .unwrap();
    let model = models::hearing(&design, 1);
    let samples: Vec<i16> = (0..3 * 1001u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 18) as i16).collect();
    let figures =
        verify::stream_on_qemu(attar::boards::find_simulated("mps2-an386").unwrap(), &model, &samples, &[]).unwrap();
    assert_eq!((figures.mismatches, figures.hops), (0, figures_of(&model, &samples)));
    let extractor = Extractor::new(design.record(design.features()).unwrap()).unwrap();
    for count in [125, 126, 127, 128, 221, 1001] {
        let features = extractor.features(&samples[..3 * count]).unwrap();
        assert_eq!(extractor.windows(count).unwrap() * design.features(), features.len(), "{count} samples");
    }
    assert!(extractor.windows(124).is_err());
}

/// Filters that would not die away, in either arithmetic or in integers alone, are refused with what to do.
#[test]
fn filters_that_hang_are_refused() {
    for (filter, arithmetic, expected) in [
        ("{ kind = \"high-pass\", hz = 20 }", "fixed", Some("would hang at -65 dB")),
        ("{ kind = \"high-pass\", hz = 20 }", "float", None),
        ("{ kind = \"high-pass\", hz = 80 }", "fixed", None),
        ("{ kind = \"dc\", hz = 5 }", "fixed", None),
        ("{ kind = \"biquad\", constants = [1, 0, 0, -2.5, 1.2] }", "float", Some("does not die away")),
        (
            "{ kind = \"decimate\", by = 64 }, { kind = \"decimate\", by = 64 }, { kind = \"decimate\", by = 2 }",
            "fixed",
            Some("at most one of 4096 can be"),
        ),
    ] {
        let text = format!(
            "rate = 48000\nwindow = 512\nhop = 512\narithmetic = \"{arithmetic}\"\nfilters = [{filter}]\n\
             features = [{{ kind = \"samples\" }}]"
        );
        let design = design_of(&text);
        match expected {
            Some(expected) => {
                let said = format!("{:#}", design.unwrap_err());
                assert!(said.contains(expected), "{said}");
            }
            None => {
                // Noise, then silence: what is left at the end is less than the dB that was promised.
                let design = design.unwrap();
                let extractor = Extractor::new(design.record(design.features()).unwrap()).unwrap();
                let mut samples: Vec<i16> =
                    (0..48_000u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 17) as i16).collect();
                samples.resize(48_000 * 3, 0);
                let features = extractor.features(&samples).unwrap();
                let left = features[features.len() - 512..].iter().fold(0.0f32, |most, x| most.max(x.abs()));
                assert!(left <= 1e-4, "{filter} {arithmetic}: {left}");
            }
        }
    }
}

fn design_of(text: &str) -> anyhow::Result<Design> {
    Design::new(&toml::from_str::<attar::signal::recipe::Signal>(text)?, None)
}

fn figures_of(model: &[u8], samples: &[i16]) -> u32 {
    let student = Student::parse(model).unwrap();
    stream::listen(&student, samples, &student.facts()).unwrap().sums.last().unwrap().hops
}

#[test]
fn words_of_a_stream_are_known_when_a_firmware_is_compiled() {
    for model in [models::signal(Arithmetic::Fixed), models::signal(Arithmetic::Float)] {
        let words = Model::parse(&model).unwrap().signal().unwrap().words;
        assert_eq!(attar_shared::internal::words_of(&model), words as usize);
    }
    assert_eq!(attar_shared::internal::words_of(&models::everything()), 0);
    assert_eq!(attar_shared::internal::words_of(&models::text()), 0);
}

/// `./tests/bench signals --write` writes the figures anew.
#[test]
fn front_ends_cost_no_more_than_they_did() {
    let figures = fs::read_to_string(root().join(FIGURES)).unwrap();
    for (front_end, board) in [(0, "mps2-an385-m0"), (3, "mps2-an386"), (4, "riscv32-virt")] {
        let front_end = &FRONT_ENDS[front_end];
        for (arithmetic, name) in [(Arithmetic::Fixed, "fixed"), (Arithmetic::Float, "float")] {
            let start = format!("{},{name},{board},", front_end.name);
            let line = figures.lines().find_map(|line| line.strip_prefix(&start)).unwrap();
            let (instructions, bytes) = line.split_once(',').unwrap();
            let now = measure(front_end, arithmetic, board).unwrap();
            assert_eq!(now.mismatches, 0);
            let most = instructions.parse::<f64>().unwrap() * 1.02;
            assert!(now.front_end <= most, "{start} {} instructions, before {instructions}", now.front_end);
            assert_eq!(4 * now.words, bytes.parse::<usize>().unwrap(), "{start}");
        }
    }
}

/// Writes a front-end with some bytes changed into a model, and returns what the parser says.
fn changed(arithmetic: Arithmetic, change: impl Fn(&mut Vec<u8>)) -> ParseError {
    let model = models::signal(arithmetic);
    let parsed = Model::parse(&model).unwrap();
    let mut record = parsed.signal().unwrap().bytes.to_vec();
    change(&mut record);
    with_definition(&parsed, |definition| {
        let input = attar_shared::InputDefinition { signal: Some(&record), ..definition.input };
        let definition = attar_shared::Definition { input, ..*definition };
        let mut buffer = vec![0; 1 << 16];
        match definition.write(&mut buffer) {
            Err(attar_shared::WriteError::Invalid(error)) => error,
            other => panic!("{:?} is accepted", other.map(|bytes| bytes.len())),
        }
    })
}

#[test]
fn front_ends_that_break_a_rule_are_refused() {
    let refused = |at: usize, bytes: &[u8]| {
        changed(Arithmetic::Fixed, |record| record[at..at + bytes.len()].copy_from_slice(bytes))
    };
    let input = ParseError::Input;
    assert_eq!(refused(0, &[2]), input(Defect::Kind), "arithmetic");
    assert_eq!(refused(1, &[0]), input(Defect::Count), "channels");
    assert_eq!(refused(1, &[9]), input(Defect::Count), "channels");
    assert_eq!(refused(2, &[17]), input(Defect::Count), "stages");
    assert_eq!(refused(3, &[0]), input(Defect::Count), "blocks");
    assert_eq!(refused(4, &f32::NAN.to_le_bytes()), input(Defect::Scale), "rate");
    assert_eq!(refused(4, &(-1f32).to_le_bytes()), input(Defect::Scale), "rate");
    assert_eq!(refused(8, &[0, 0]), input(Defect::Window), "window");
    assert_eq!(refused(10, &[0, 0]), input(Defect::Window), "hop");
    assert_eq!(refused(10, &[49, 0]), input(Defect::Window), "a hop beyond the window");
    assert_eq!(refused(12, &[60, 0]), input(Defect::Window), "transform");
    assert_eq!(refused(14, &[0, 0]), input(Defect::Window), "every");
    assert_eq!(refused(16, &[4]), input(Defect::Unused), "flags");
    assert_eq!(refused(17, &[1]), input(Defect::Padding), "reserved");
    assert_eq!(refused(20, &1.5f32.to_le_bytes()), input(Defect::NotFinite), "running mean");
    assert_eq!(refused(24, &[1, 0, 0, 0]), input(Defect::Arena), "words");
    assert_eq!(refused(28, &[1, 0]), input(Defect::Count), "features");
    assert_eq!(refused(32, &2f32.to_le_bytes()), input(Defect::NotFinite), "smooth");
    assert_eq!(refused(40, &0.9f32.to_le_bytes()), input(Defect::NotFinite), "off above on");
    // The first stage is a filter, the fourth the absolute value.
    assert_eq!(refused(44, &[7]), input(Defect::Kind), "stage");
    let floats = |at: usize, value: f32| {
        changed(Arithmetic::Float, |record| record[at..at + 4].copy_from_slice(&value.to_le_bytes()))
    };
    assert_eq!(floats(48, f32::INFINITY), input(Defect::NotFinite), "a filter's constant");
    assert_eq!(changed(Arithmetic::Fixed, |record| record.truncate(200)), input(Defect::Truncated));
    assert_eq!(changed(Arithmetic::Fixed, |record| record.extend([0; 4])), input(Defect::Padding));
    // Nothing that is accepted after one byte was changed may do harm; the engine runs it.
    let model = models::signal(Arithmetic::Fixed);
    let record = Model::parse(&model).unwrap().signal().unwrap().bytes.to_vec();
    let mut accepted = 0;
    for (place, flip) in (0..record.len()).flat_map(|place| (0..8).map(move |bit| (place, 1u8 << bit))) {
        let mut other = record.clone();
        other[place] ^= flip;
        if let Ok(signal) = Signal::read(&other) {
            let mut memory = vec![0; 1 << 14];
            if let Ok(mut front_end) =
                attar_device::signal::FrontEnd::<{ attar_shared::parts::ALL_PARTS }>::new(signal, &mut memory)
            {
                let samples = vec![i16::MIN; 600 * usize::from(signal.channels)];
                let mut rest = samples.as_slice();
                while front_end.push(&mut rest).unwrap() {}
                accepted += 1;
            }
        }
    }
    assert!(accepted > 1000, "{accepted} changed front-ends ran");
}

#[test]
fn front_ends_that_make_no_sense_are_refused_by_their_key() {
    let say = |text: &str| {
        let how = toml::from_str(text).map_err(|error| error.to_string());
        how.and_then(|how| Design::new(&how, None).map_err(|error| format!("{error:#}"))).map(|_| ()).unwrap_err()
    };
    let base = |window: &str, hop: &str, more: &str, features: &str| {
        format!("rate = 8000\nwindow = {window}\nhop = {hop}\n{more}\nfeatures = [{features}]")
    };
    let mel = "{ kind = \"mel\", bands = 8 }";
    for (text, expected) in [
        (base("256", "300", "", mel), "signal.hop is 300 samples, more than the window"),
        (base("4096", "300", "", mel), "signal.window is 4096 samples, at most 2048"),
        (base("\"32 min\"", "8", "", mel), "\"32 min\" is no time"),
        (base("0", "8", "", mel), "signal.window is 0"),
        (base("256", "8", "channels = 9", mel), "signal.channels is 9"),
        (base("256", "8", "", "{ kind = \"mel\", bands = 125 }"), "holds no line of the spectrum"),
        (base("256", "8", "", "{ kind = \"mel\", bands = 8, to = 5000 }"), "half of the rate"),
        (base("256", "8", "", "{ kind = \"statistics\", of = [] }"), "names no statistic"),
        (base("256", "8", "", ""), "signal.features has 0 entries"),
        (base("256", "8", "filters = [{ kind = \"low-pass\", hz = 4000 }]", mel), "low-pass at 4000 Hz"),
        (base("256", "8", "filters = [{ kind = \"decimate\", by = 1 }]", mel), "decimate by 1"),
        (base("256", "8", "filters = [{ kind = \"notch\" }]", mel), "notch"),
        (base("256", "8", "detection = { smooth = 800, on = 0.5, off = 0.6 }", mel), "off <= on"),
    ] {
        assert!(say(&text).contains(expected), "{text}: {}", say(&text));
    }
    // A hop that does not divide the window is no mistake: windows overlap by what is left.
    let how = toml::from_str(&base("256", "100", "", mel)).unwrap();
    let design = Design::new(&how, None).unwrap();
    assert_eq!(computed(&design, &[5; 656]).len(), 5 * 8);
}

#[test]
fn features_of_real_speech_are_near_to_double_precision() {
    let Some(folder) = real_data("fsdd") else { return };
    let mut paths: Vec<_> =
        fs::read_dir(folder.join("recordings")).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let mut samples = Vec::new();
    let shape = data::recordings::Shape { rate: 8000.0, channels: 1, columns: &[], full_scale: 1.0, along: &[] };
    for path in &paths {
        samples.extend(data::recordings::read(path, &shape).unwrap().0);
    }
    for arithmetic in [Arithmetic::Fixed, Arithmetic::Float] {
        let design = design(MEL, arithmetic, None);
        let expected = features(&design, &samples).concat();
        let got = computed(&design, &samples);
        let error = got.iter().zip(&expected).map(|(a, b)| (f64::from(*a) - b).abs()).fold(0.0, f64::max);
        println!("{arithmetic:?}: {} features, {error:.5} dB", got.len());
        let bound = if arithmetic == Arithmetic::Fixed { 0.5 } else { 0.001 };
        assert!(error < bound, "{arithmetic:?}: {error}");
    }
}
