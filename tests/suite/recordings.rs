//! Recordings as data: what may be wrong with them, how they are cut, and the commands over them.

use std::fs;
use std::path::Path;

use attar::data;
use attar::data::simulators::bearing;
use attar::recipe::Recipe;
use attar::signal::{Color, noise};
use attar_tests::root;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::command::in_folder;

/// Writes a WAV file of one tone.
fn wav(path: &Path, spec: hound::WavSpec, count: usize) {
    let mut writer = hound::WavWriter::create(path, spec).unwrap();
    for n in 0..count {
        let value = (0.3 * n as f64).sin();
        match spec.sample_format {
            hound::SampleFormat::Float => writer.write_sample(value as f32 * 0.5).unwrap(),
            hound::SampleFormat::Int => {
                let full = f64::from(1u32 << (spec.bits_per_sample - 1));
                writer.write_sample((value * 0.5 * full) as i32).unwrap();
            }
        }
    }
    writer.finalize().unwrap();
}

const SPEC: hound::WavSpec =
    hound::WavSpec { channels: 1, sample_rate: 8000, bits_per_sample: 16, sample_format: hound::SampleFormat::Int };

fn recipe(files: &str, more: &str) -> Recipe {
    let text = format!(
        "[data]\nformat = \"recordings\"\nfiles = \"{files}\"\n[signal]\nrate = 8000\nwindow = 256\nhop = 128\n{more}\n\
         features = [{{ kind = \"mel\", bands = 8 }}]\n[[heads]]\nname = \"word\"\nkind = \"class\"\ncolumn = \"word\"\n\
         [student]\narch = \"cnn1d\"\nchannels = [4]\n\
         [distill]\nmethod = \"none\"\n"
    );
    Recipe::parse(&text, "test", "test", &[]).unwrap()
}

#[test]
fn recordings_that_are_not_what_they_should_be_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let say = |files: &str, more: &str| match data::load(&recipe(files, more), folder.path()) {
        Ok(data) => format!("{} samples", data.len()),
        Err(error) => format!("{error:#}"),
    };
    let at = |name: &str| folder.path().join(name);
    fs::create_dir(at("good")).unwrap();
    for take in 0..4 {
        wav(&at(&format!("good/yes_{take}.wav")), SPEC, 4000);
        wav(&at(&format!("good/no_{take}.wav")), SPEC, 3000);
    }
    assert_eq!(say("good/{word}_*.wav", ""), "8 samples");
    for (name, spec) in
        [("rate", hound::WavSpec { sample_rate: 16_000, ..SPEC }), ("stereo", hound::WavSpec { channels: 2, ..SPEC })]
    {
        wav(&at(&format!("{name}.wav")), spec, 4000);
    }
    assert!(say("{word}te.wav", "").contains("rate.wav: has 16000 samples a second, signal.rate is 8000"));
    assert!(say("{word}reo.wav", "").contains("stereo.wav: has 2 channels, signal.channels is 1"));
    // Other widths become 16 bits.
    wav(&at("w_24.wav"), hound::WavSpec { bits_per_sample: 24, ..SPEC }, 4000);
    wav(&at("w_8.wav"), hound::WavSpec { bits_per_sample: 8, ..SPEC }, 4000);
    let float = hound::WavSpec { bits_per_sample: 32, sample_format: hound::SampleFormat::Float, ..SPEC };
    wav(&at("w_32.wav"), float, 4000);
    let shape = data::recordings::Shape { rate: 8000.0, channels: 1, columns: &[], full_scale: 1.0, along: &[] };
    let plain = data::recordings::read(&at("good/yes_0.wav"), &shape).unwrap().0;
    for (name, most) in [("w_24.wav", 1), ("w_8.wav", 256), ("w_32.wav", 1)] {
        let other = data::recordings::read(&at(name), &shape).unwrap().0;
        assert_eq!(other.len(), plain.len());
        let far = other.iter().zip(&plain).map(|(a, b)| (i32::from(*a) - i32::from(*b)).abs()).max().unwrap();
        assert!(far <= most, "{name}: {far}");
    }
    let whole = fs::read(at("good/yes_0.wav")).unwrap();
    fs::write(at("cut_0.wav"), &whole[..whole.len() / 2]).unwrap();
    assert!(say("{word}t_0.wav", "").contains("cut_0.wav: ends after"), "{}", say("{word}t_0.wav", ""));
    fs::write(at("empty_0.wav"), b"").unwrap();
    assert!(say("{word}pty_0.wav", "").contains("empty_0.wav: "), "{}", say("{word}pty_0.wav", ""));
    wav(&at("none_0.wav"), SPEC, 0);
    assert!(say("{word}ne_0.wav", "").contains("none_0.wav: has no samples"));
    fs::write(at("text_0.wav"), "no sound at all, but words, and more of them than a header has").unwrap();
    assert!(say("{word}xt_0.wav", "").contains("text_0.wav: is no WAV file"), "{}", say("{word}xt_0.wav", ""));
    assert!(say("{word}.mp3", "").contains("no file below"));
    assert!(say("{word}_{word}.wav", "").contains("appears twice"));
    assert!(say("good/{label}_*.wav", "").contains("neither data.files nor a column of the recordings has \"word\""));
    assert!(say("good/{word}_*.wav", "length = 100").contains("fewer than the 256 of a window"));
    // Any header is refused or read, without a panic.
    let mut random = ChaCha8Rng::seed_from_u64(5);
    for _ in 0..500 {
        let mut bytes = whole.clone();
        for _ in 0..3 {
            let place = random.random_range(0..48);
            bytes[place] = random.random();
        }
        fs::write(at("lie_0.wav"), &bytes).unwrap();
        let _ = data::recordings::read(&at("lie_0.wav"), &shape);
    }
}

/// Two tones, three machines each, by the command: what the teacher says of a view is of that view, other features are other data,
/// folds hold out each machine, and the student hears.
#[test]
fn command_distils_from_recordings_and_listens() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    for (word, step) in [("low", 0.3), ("high", 1.1)] {
        for (machine, take) in (0..18).map(|n| (n % 3, n)) {
            let mut writer =
                hound::WavWriter::create(folder.join(format!("{word}_m{machine}_{take}.wav")), SPEC).unwrap();
            for n in 0..2000 {
                writer.write_sample((6000.0 * (step * n as f64 + f64::from(take)).sin()) as i16).unwrap();
            }
            writer.finalize().unwrap();
        }
    }
    let text = "[data]\nformat = \"recordings\"\nfiles = \"{word}_{machine}_*.wav\"\n\
        split = { group = \"machine\", hold_out = [\"m1\"], validation = 0 }\n\
        [signal]\nrate = 8000\nwindow = 256\nhop = 128\nfeatures = [{ kind = \"mel\", bands = 8 }]\n\
        [signal.augment]\ngain_db = 12\nnoise_db = [-60, -30]\n[signal.detection]\nsmooth = 512\non = 0.6\noff = 0.3\n\
        [[heads]]\nname = \"word\"\nkind = \"class\"\ncolumn = \"word\"\n\
        [teacher]\narch = \"cnn1d\"\nchannels = [8]\nepochs = 3\nrate = 0.02\n\
        [student]\narch = \"tcn\"\nwidth = 6\ndepth = 2\nepochs = 12\nrate = 0.02\nbatch = 8\n\
        [distill]\nmethod = \"hinton\"\n";
    fs::write(folder.join("r.toml"), text).unwrap();
    let out = in_folder(folder, &["distill", "r.toml", "--out", "run", "--json"]);
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let views = [0, 1].map(|view| fs::read(folder.join(format!("run/teacher-logits-{view}.safetensors"))).unwrap());
    // The notes in the files differ by the view alone; the numbers have to differ too.
    let numbers = |file: &[u8]| file[file.len() - 24 * 2 * 4..].to_vec();
    assert_ne!(
        numbers(&views[0]),
        numbers(&views[1]),
        "the teacher was asked of samples that the student does not see"
    );
    let load = |more: &[String]| {
        let recipe = Recipe::read(&folder.join("r.toml"), more).unwrap();
        data::load(&recipe, folder).unwrap().fingerprint
    };
    let plain = load(&[]);
    assert_eq!(plain, load(&["signal.detection.on=0.9".into()]), "a board's rule makes other data");
    for change in ["signal.hop=64", "signal.augment.gain_db=3", "signal.arithmetic=float"] {
        assert_ne!(plain, load(&[change.into()]), "{change}: a network of other features would be taken");
    }
    let heard = in_folder(folder, &["listen", "run/student.attar", "high_m1_1.wav", "low_m1_4.wav", "--gap", "0.5"]);
    let said = String::from_utf8_lossy(&heard.stdout).into_owned();
    assert!(heard.status.success() && said.contains("detections in 1.5 s"), "{said}");
    let inspected = in_folder(folder, &["inspect", "run/student.attar", "--json"]);
    let inspected: serde_json::Value = serde_json::from_slice(&inspected.stdout).unwrap();
    assert_eq!(inspected["signal"]["features"], serde_json::json!(["8 mel bands from 62 to 4000 Hz"]));
    assert_eq!(
        (inspected["signal"]["hop"].as_u64(), inspected["signal"]["detection"]["on"].as_f64()),
        (Some(128), Some(f64::from(0.6f32)))
    );
    // A state of the network has taken every window in training, and the recipe is not written over.
    let rare = in_folder(folder, &["distill", "r.toml", "--out", "rare", "--set", "signal.every=2"]);
    assert!(String::from_utf8_lossy(&rare.stderr).contains("signal.every is 2, but the network has a state"));
    fs::create_dir(folder.join("own")).unwrap();
    fs::write(folder.join("own/recipe.toml"), text).unwrap();
    let own = in_folder(folder, &["distill", "own/recipe.toml", "--data", ".", "--out", "own"]);
    assert!(String::from_utf8_lossy(&own.stderr).contains("the recipe itself lies there"));
    assert_eq!(fs::read_to_string(folder.join("own/recipe.toml")).unwrap(), text);
    // The names say what they are: each recording is counted once.
    let counts = in_folder(folder, &["listen", "run/student.attar", "high_m1_1.wav", "low_m1_4.wav", "--json"]);
    let counts = serde_json::from_slice::<serde_json::Value>(&counts.stdout).unwrap()["recordings"].clone();
    let of = |name: &str| counts[name].as_u64().unwrap();
    assert_eq!((of("recordings"), of("right") + of("wrong") + of("missed"), of("quiet")), (2, 2, 0), "{counts}");
    let other = folder.join("unnamed.wav");
    fs::copy(folder.join("high_m1_1.wav"), &other).unwrap();
    let unnamed = in_folder(folder, &["listen", "run/student.attar", "unnamed.wav", "--json"]);
    assert!(serde_json::from_slice::<serde_json::Value>(&unnamed.stdout).unwrap()["recordings"].is_null());
    let recipe = Recipe::parse(
        &text.replace("column = \"word\"", "column = \"word\"\nlabels = [\"high\"]\nrest = \"other\""),
        "r.toml",
        "r",
        &[],
    );
    let data = data::load(&recipe.unwrap(), folder).unwrap();
    assert_eq!(data.targets[0].labels, ["high", "other"]);
    // Files come in the order of their names: 18 high ones, then 18 low ones.
    assert!((0..36).all(|sample| data.targets[0].class(sample) == Some(usize::from(sample >= 18))));
    for (wrong, expected) in [
        ("signal.augment.noise_db=[-30, -60]", "signal.augment.noise_db is [-30, -60], expected the least and the"),
        ("signal.augment.gain_db=-3", "signal.augment.gain_db is -3, expected from 0 to 96"),
        ("signal.augment.tempo=nan", "signal.augment.tempo is NaN, expected from 0 to 4"),
        ("signal.full_scale=0", "signal.full_scale is 0, expected what the greatest sample stands for, above 0"),
        ("signal.full_scale=2", "signal.full_scale and input.columns belong to CSV files, and all recordings are WAV"),
        ("signal.settle=12800", "signal.settle is 12800 samples, more than the 2000 of the longest recording"),
    ] {
        let recipe = Recipe::read(&folder.join("r.toml"), &[wrong.into()]);
        let said = format!("{:#}", recipe.and_then(|recipe| data::load(&recipe, folder)).unwrap_err());
        assert!(said.contains(expected), "{said}");
    }
    let refused = in_folder(folder, &["listen", "run/student.attar", "r.toml"]);
    assert!(!refused.status.success() && String::from_utf8_lossy(&refused.stderr).contains("r.toml: is no WAV file"));
    let folds = in_folder(folder, &["distill", "r.toml", "--out", "folds", "--folds", "--json"]);
    let folds: serde_json::Value = serde_json::from_slice(&folds.stdout).unwrap();
    assert_eq!(folds["groups"], serde_json::json!(["m0", "m1", "m2"]));
    for student in folds["students"].as_array().unwrap() {
        let all: Vec<f64> = student["accuracies"].as_array().unwrap().iter().map(|x| x.as_f64().unwrap()).collect();
        let mean = all.iter().sum::<f64>() / 3.0;
        assert!(all.len() == 3 && (student["mean"].as_f64().unwrap() - mean).abs() < 1e-12, "{student}");
    }
}

#[test]
fn long_tables_are_cut_where_their_labels_do_not_change() {
    let folder = tempfile::tempdir().unwrap();
    for machine in ["a", "b", "c", "d"] {
        let mut text = String::from("x,y,word,load\n");
        for row in 0..4000 {
            let state = if row < 1500 { "run" } else { "stop" };
            text +=
                &format!("{:.3},{:.3},{state},{}\n", (row as f64 * 0.1).sin(), (row as f64 * 0.2).cos(), row / 1000);
        }
        fs::write(folder.path().join(format!("{machine}.csv")), text).unwrap();
    }
    let text = "[data]\nformat = \"recordings\"\nfiles = \"{machine}.csv\"\n\
        split = { group = \"machine\", hold_out = [\"b\"], validation = 0.3 }\n[input]\ncolumns = { x = \"x\", y = \"y\" }\n\
        [signal]\nrate = 1000\nchannels = 2\nfull_scale = 2.0\nlength = 1000\nstep = 250\nwindow = 128\nhop = 64\n\
        features = [{ kind = \"statistics\", of = [\"rms\"] }]\n[[facts]]\nname = \"load\"\nkind = \"number\"\n\
        [[heads]]\nname = \"word\"\nkind = \"class\"\ncolumn = \"word\"\n[student]\narch = \"cnn1d\"\nchannels = [4]\n\
         [distill]\nmethod = \"none\"\n";
    let recipe = Recipe::parse(text, "test", "test", &[]).unwrap();
    let data = data::load(&recipe, folder.path()).unwrap();
    // Of 13 windows of a machine those from 750, 1000 and 1250 on hold the change at 1500.
    assert_eq!(data.len(), 4 * 10);
    assert_eq!((data.splits.test.len(), data.splits.validation.len(), data.splits.train.len()), (10, 10, 20));
    assert_eq!(data.input_shape, [1, 14, 2]);
    // The fact of a window is that of its last row.
    let loads: Vec<Option<f32>> = (0..10).map(|sample| data.fact_columns[0][sample]).collect();
    assert_eq!(loads[..4], [Some(0.0), Some(1.0), Some(1.0), Some(2.0)]);
    // RMS of a sine of 1 at a full scale of 2.
    assert!((data.input(0)[0] - 0.3535).abs() < 0.02, "{}", data.input(0)[0]);
}

/// Samples that share much of a signal are in one split: those of a recording, a stretch of it, or a group, which changes in none.
#[test]
fn samples_of_one_recording_are_in_one_split() {
    let folder = tempfile::tempdir().unwrap();
    let mut text = String::from("x,word,who,load\n");
    for row in 0..8000 {
        let (word, who) = (["up", "down"][row / 500 % 2], ["ann", "bob"][row / 2000 % 2]);
        text += &format!("{:.3},{word},{who},{}\n", (row as f64 * 0.1).sin(), row / 7);
    }
    for file in ["one.csv", "two.csv", "three.csv", "four.csv", "five.csv"] {
        fs::write(folder.path().join(file), &text).unwrap();
    }
    let load = |files: &str, split: &str, heads: &str| {
        let text = format!(
            "[data]\nformat = \"recordings\"\nfiles = \"{files}\"\nsplit = {{ {split} }}\n[input]\ncolumns = {{ x = \"x\" }}\n\
             [signal]\nrate = 1000\nfull_scale = 2.0\nlength = 200\nstep = 50\nwindow = 64\nhop = 64\n\
             features = [{{ kind = \"statistics\", of = [\"rms\"] }}]\n{heads}\n\
             [student]\narch = \"cnn1d\"\nchannels = [4]\n[distill]\nmethod = \"none\"\n"
        );
        let recipe = Recipe::parse(&text, "test", "test", &[])?;
        data::load(&recipe, folder.path())
    };
    let word = "[[heads]]\nname = \"word\"\nkind = \"class\"\ncolumn = \"word\"\n";
    let of = |data: &data::Dataset, split: &[usize]| -> Vec<(usize, usize)> {
        let (_, clips) = data.signal.as_ref().unwrap();
        split.iter().map(|&sample| clips.cuts[sample]).collect()
    };
    // Without a word about it, a recording.
    let data = load("{file}.csv", "", word).unwrap();
    let splits = [&data.splits.train, &data.splits.validation, &data.splits.test].map(|split| of(&data, split));
    assert!(splits.iter().all(|split| !split.is_empty()));
    for file in 0..5 {
        assert_eq!(splits.iter().filter(|split| split.iter().any(|cut| cut.0 == file)).count(), 1, "recording {file}");
    }
    // Of a single one, stretches; no sample lies in two.
    let refused = format!("{:#}", load("o{n}.csv", "", word).unwrap_err());
    assert!(refused.contains("say data.split.block = \"10 s\""), "{refused}");
    let data = load("o{n}.csv", "block = \"1 s\"", word).unwrap();
    let splits = [&data.splits.train, &data.splits.validation, &data.splits.test].map(|split| of(&data, split));
    for block in 0..8 {
        let lies = |cut: &(usize, usize)| cut.1 / 1000 == block;
        assert_eq!(splits.iter().filter(|split| split.iter().any(lies)).count(), 1, "stretch {block}");
    }
    assert!(splits.iter().flatten().all(|cut| cut.1 / 1000 == (cut.1 + 199) / 1000));
    assert!(splits.iter().all(|split| !split.is_empty()));
    let refused = format!("{:#}", load("o{n}.csv", "block = \"1 s\", group = \"who\"", word).unwrap_err());
    assert!(refused.contains("both group and block"), "{refused}");
    // A group changes in no sample, though the label does not; a value of a regression may.
    let torque = "[[heads]]\nname = \"load\"\nkind = \"regression\"\ncolumn = \"load\"\n";
    let data = load("o{n}.csv", "group = \"who\", hold_out = [\"bob\"], validation = 0", torque).unwrap();
    let cuts = of(&data, &(0..data.len()).collect::<Vec<_>>());
    assert!(cuts.iter().all(|cut| cut.1 / 2000 == (cut.1 + 199) / 2000) && cuts.len() > 140, "{}", cuts.len());
    for (split, heads, expected) in [
        ("hold_out = [], group = \"who\"", word, "data.split.hold_out is empty"),
        ("block = 100", word, "data.split.block is shorter than a sample"),
        (
            "block = \"1 s\"",
            "[signal.detection]\nsmooth = 64\non = 0.5\noff = 0.2\n[[heads]]\nname = \"load\"\n\
         kind = \"regression\"\ncolumn = \"load\"\n",
            "has to be of kind \"class\"",
        ),
    ] {
        let said = format!("{:#}", load("o{n}.csv", split, heads).unwrap_err());
        assert!(said.contains(expected), "{said}");
    }
}

/// Noise is of every group, trains alone, and says nothing for other heads.
#[test]
fn noise_trains_alone_and_is_spread_over_the_groups() {
    let folder = tempfile::tempdir().unwrap();
    for who in ["ann", "bob", "eve", "joe"] {
        for take in 0..10 {
            wav(&folder.path().join(format!("{}_{who}_{take}.wav", ["yes", "no"][take % 2])), SPEC, 1000);
        }
    }
    let noise = "[signal.noise]\nlabel = \"none\"\nshare = 1.0\ndb = [-60, -30]\n";
    let text = format!(
        "[data]\nformat = \"recordings\"\nfiles = \"{{word}}_{{who}}_*.wav\"\n\
         split = {{ group = \"who\", test = 0.25, validation = 0.25 }}\n\
         [signal]\nrate = 8000\nwindow = 256\nhop = 128\nfeatures = [{{ kind = \"mel\", bands = 8 }}]\n{noise}\
         [[heads]]\nname = \"word\"\nkind = \"class\"\ncolumn = \"word\"\n[student]\narch = \"cnn1d\"\nchannels = [4]\n\
         [distill]\nmethod = \"none\"\n"
    );
    let recipe = Recipe::parse(&text, "test", "test", &[]).unwrap();
    let data = data::load(&recipe, folder.path()).unwrap();
    assert_eq!(data.len(), 80);
    let none = data.targets[0].labels.iter().position(|label| label == "none");
    let noises = |split: &[usize]| split.iter().filter(|&&sample| data.targets[0].class(sample) == none).count();
    assert_eq!([noises(&data.splits.train), noises(&data.splits.validation), noises(&data.splits.test)], [40, 0, 0]);
    assert_eq!([data.splits.validation.len(), data.splits.test.len()], [10, 10]);
    // The noises of a channel know nothing of the next one's.
    let mut random = ChaCha8Rng::seed_from_u64(3);
    let stereo = attar::signal::noise(20_000, 2, Color::Brown, -20.0, &mut random);
    let (left, right): (Vec<f64>, Vec<f64>) = stereo.as_chunks::<2>().0.iter().map(|[a, b]| (*a, *b)).unzip();
    let product = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let correlation = product(&left, &right) / (product(&left, &left) * product(&right, &right)).sqrt();
    assert!(correlation.abs() < 0.3, "{correlation}");
}

/// What a header may say that is read wrongly by some is refused, and folders name classes as file names do.
#[test]
fn samples_in_too_much_room_are_refused_and_folders_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("wide.wav");
    wav(&path, hound::WavSpec { bits_per_sample: 24, ..SPEC }, 100);
    let mut bytes = fs::read(&path).unwrap();
    let chunk = bytes.windows(4).position(|name| name == b"fmt ").unwrap();
    // Four bytes for a sample, of which three are used.
    bytes[chunk + 20..chunk + 22].copy_from_slice(&4u16.to_le_bytes());
    bytes[chunk + 16..chunk + 20].copy_from_slice(&32_000u32.to_le_bytes());
    fs::write(&path, bytes).unwrap();
    let shape = data::recordings::Shape { rate: 8000.0, channels: 1, columns: &[], full_scale: 1.0, along: &[] };
    let refused = format!("{:#}", data::recordings::read(&path, &shape).unwrap_err());
    assert!(refused.contains("wide.wav") && refused.contains("ffmpeg"), "{refused}");
    let fields = data::recordings::fields_of("{word}/{take}.wav", Path::new("data/yes/7.wav")).unwrap().unwrap();
    assert_eq!((fields["word"].as_str(), fields["take"].as_str()), ("yes", "7"));
    assert_eq!(data::recordings::fields_of("{word}/a{take}.wav", Path::new("data/yes/7.wav")).unwrap(), None);
}

/// A sample from the middle of a recording has the features that a stream over all of it has there.
#[test]
fn what_comes_before_a_sample_settles_its_filters() {
    let folder = tempfile::tempdir().unwrap();
    let mut random = ChaCha8Rng::seed_from_u64(8);
    for word in ["a", "b", "c"] {
        let mut writer = hound::WavWriter::create(folder.path().join(format!("{word}.wav")), SPEC).unwrap();
        let offset = 6000.0;
        noise(2048, 1, Color::Pink, -25.0, &mut random)
            .into_iter()
            .for_each(|x| writer.write_sample((x + offset) as i16).unwrap());
        writer.finalize().unwrap();
    }
    let text = |settle: &str| {
        format!(
            "[data]\nformat = \"recordings\"\nfiles = \"{{word}}.wav\"\nsplit = {{ test = 0.0, validation = 0.0 }}\n\
             [signal]\nrate = 8000\nlength = 512\nstep = 256\nwindow = 128\nhop = 64\n{settle}\n\
             filters = [{{ kind = \"dc\", hz = 20 }}, {{ kind = \"decimate\", by = 2 }}]\nrunning_mean = \"50 ms\"\n\
             features = [{{ kind = \"mel\", bands = 8 }}]\n\
             [[heads]]\nname = \"word\"\nkind = \"class\"\ncolumn = \"word\"\n[student]\narch = \"cnn1d\"\nchannels = [4]\n\
             [distill]\nmethod = \"none\"\n"
        )
    };
    let load = |settle: &str| {
        let recipe = Recipe::parse(&text(settle), "test", "test", &[])?;
        data::load(&recipe, folder.path())
    };
    let settled = load("settle = 256").unwrap();
    let (_, clips) = settled.signal.as_ref().unwrap();
    assert_eq!(settled.input_shape, [1, 3, 8]);
    assert_eq!(clips.cuts[..3], [(0, 0), (0, 256), (0, 512)]);
    let whole = clips.extractor.features(&clips.recordings[0].samples).unwrap();
    // 256 samples are two hops of 64 behind the decimation.
    assert_eq!(settled.input(1), &whole[2 * 8..5 * 8]);
    assert_ne!(load("").unwrap().input(1), &whole[2 * 8..5 * 8], "filters need no settling, and nothing is shown");
    let refused = format!("{:#}", load("settle = 100").unwrap_err());
    assert!(refused.contains("signal.settle is 100 samples, expected whole hops of 128"), "{refused}");
}

/// The built-in machines by their vibration: a student with facts hears a recording on a board as here.
#[test]
fn vibration_is_heard_with_facts() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let recipe = root().join("host/recipes/bearing-vibration.toml");
    let recipe = recipe.to_str().unwrap();
    let small = ["--set", "data.samples=800", "--set", "teacher.epochs=6", "--set", "student.epochs=12"];
    let more = [
        "--set",
        "compare.seeds=1",
        "--set",
        "teacher.ensemble=1",
        "--set",
        "signal.detection.on=0.4",
        "--set",
        "signal.detection.off=0.3",
    ];
    let out = in_folder(folder, &[&["distill", recipe, "--out", "run"][..], &small, &more].concat());
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let settings = bearing::Settings::default();
    let second = bearing::RATE_HZ as usize;
    let windows = bearing::vibrations(4, 5, &settings, second).unwrap();
    let spec = hound::WavSpec { sample_rate: second as u32, ..SPEC };
    let mut writer = hound::WavWriter::create(folder.join("machines.wav"), spec).unwrap();
    windows.samples.iter().for_each(|g| writer.write_sample((g * 2048.0).round() as i16).unwrap());
    writer.finalize().unwrap();
    let said = |more: &[&str]| {
        let out = in_folder(folder, &[&["listen", "run/student.attar", "machines.wav", "--json"][..], more].concat());
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        serde_json::from_slice::<serde_json::Value>(&out.stdout).unwrap()
    };
    let rpm = format!("rpm={}", windows.rpm[1]);
    let facts = ["--fact", &rpm, "--fact", "bearing=6203"];
    let told = said(&[&facts[..], &["--on", "qemu:mps2-an386"]].concat());
    assert_eq!(told["board"]["mismatches"], 0);
    assert_eq!(told["board"]["hops"], 59);
    assert_ne!(told["detections"], said(&[])["detections"], "facts change nothing");
    let wrong = in_folder(folder, &["listen", "run/student.attar", "machines.wav", "--fact", "rmp=3"]);
    assert!(String::from_utf8_lossy(&wrong.stderr).contains("did you mean \"rpm\"?"));
    let stderr = |more: &[&str]| {
        let out = in_folder(folder, &[&["listen", "run/student.attar", "machines.wav"][..], more].concat());
        String::from_utf8_lossy(&out.stderr).into_owned()
    };
    assert!(stderr(&[]).contains("facts rpm, bearing are missing in all samples"), "{}", stderr(&[]));
    let far = stderr(&["--fact", "rpm=1000000", "--fact", "bearing=6203"]);
    assert!(far.contains("1 facts lie outside of what training has seen") && !far.contains("missing"), "{far}");
}
