//! PNG and JPEG files, one image of 8 bits a channel each: grey or RGB values from 0 to 255, in the size of `input.shape`.
//! What `{name}` in `data.files` stands for is a column, as is `file`, the path.

use std::collections::BTreeSet;
use std::io::Cursor;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use image::{ColorType, ImageDecoder, ImageReader, Limits};
use rayon::prelude::*;

use super::Reader;
use crate::data::raw::facts::{Source, from_column};
use crate::data::raw::target_from_columns;
use crate::data::raw::{Raw, channels_last, fingerprint, indices_of};
use crate::data::recordings::{Fields, find};
use crate::domain::Array;
use crate::domain::limits::{COMPUTED_VALUES, check_product};
use crate::recipe::Recipe;
use crate::support::files;
use crate::support::progress::{check_stopped, say};
use crate::tables::{Dialect, Table};

pub(super) struct Images;

impl Reader for Images {
    fn format(&self) -> &'static str {
        "images"
    }

    fn read(&self, recipe: &Recipe, folder: &Path) -> Result<Raw> {
        let pattern = recipe.data.files.as_deref().context("data.files is missing")?;
        let shape = channels_last(&recipe.input.shape)?;
        let found = find(folder, pattern)?;
        let samples = found.len();
        check_product("images (data.files) x input.shape", &[&[samples][..], &shape].concat(), COMPUTED_VALUES)?;
        let len = shape.iter().product();
        let mut values = vec![0.0; samples * len];
        values.par_chunks_mut(len).zip(&found).try_for_each(|(row, (path, _))| {
            check_stopped()?;
            let image = read_image(path, shape).with_context(|| path.display().to_string())?;
            row.iter_mut().zip(image).for_each(|(value, byte)| *value = f32::from(byte));
            anyhow::Ok(())
        })?;
        let inputs = Array::new(vec![samples, len], values)?;

        let dialect = recipe.data.dialect()?;
        let table = table_of(&found, folder, &dialect);
        let source = Source { folder, samples, table: Some(&table), dialect: &dialect.beside() };
        let (facts, mut read) = source
            .facts(recipe, |fact| from_column(fact, table.column(fact.column.as_ref().unwrap_or(&fact.name))?, None))?;
        let targets = recipe.heads.iter().map(|head| target_from_columns(&table, head)).collect::<Result<_>>()?;
        let groups = match &recipe.data.split.group {
            Some(name) => Some(indices_of(table.column(name)?.texts())),
            None => None,
        };
        say(&format!(
            "{}: {samples} images of {shape:?}; columns {}",
            folder.join(pattern).display(),
            table.columns().join(", ")
        ));
        read.extend(found.into_iter().map(|(path, _)| path));
        let fingerprint = fingerprint(&read)?;
        Ok(Raw { groups, ..Raw::new(inputs, shape, facts, targets, fingerprint) })
    }
}

/// Returns what the names of the images say, a row each.
fn table_of(found: &[(PathBuf, Fields)], folder: &Path, dialect: &Dialect) -> Table {
    let names: BTreeSet<&str> =
        found.iter().flat_map(|(_, fields)| fields.keys()).map(String::as_str).chain(["file"]).collect();
    let names: Vec<String> = names.into_iter().map(String::from).collect();
    let row = |(path, fields): &(PathBuf, Fields)| {
        let file = || path.strip_prefix(folder).unwrap_or(path).display().to_string();
        names.iter().map(|name| fields.get(name).cloned().unwrap_or_else(file)).collect::<Vec<String>>()
    };
    let rows = found.iter().map(row).collect();
    let places = found.iter().map(|(path, _)| path.display().to_string()).collect();
    Table::of(folder, names.clone(), rows, places, dialect)
}

/// Returns the values of an image of `[height, width, channels]`, channels last.
fn read_image(path: &Path, shape: [usize; 3]) -> Result<Vec<u8>> {
    let [height, width, channels] = shape;
    let bytes = files::read_at_most(path, MOST_BYTES)?;
    let mut reader = ImageReader::new(Cursor::new(bytes)).with_guessed_format()?;
    ensure!(reader.format().is_some(), "is neither PNG nor JPEG");
    let mut limits = Limits::no_limits();
    limits.max_alloc = Some(MOST_MEMORY);
    reader.limits(limits);
    let decoder = reader.into_decoder().context("is no image that can be read: expected PNG or JPEG")?;
    // The header's size, before there is memory for the values.
    let size = decoder.dimensions();
    ensure!(
        (size.0 as usize, size.1 as usize) == (width, height),
        "is {} x {} pixels, input.shape expects {width} x {height} (width x height): scale it \
         (magick IN -resize {width}x{height}! OUT)",
        size.0,
        size.1
    );
    let of_file = match decoder.color_type() {
        ColorType::L8 => 1,
        ColorType::Rgb8 => 3,
        other => bail!(
            "has values of type {other:?}, expected grey or RGB of 8 bits: convert it (magick IN -alpha off -depth 8 OUT)"
        ),
    };
    let name = |channels: usize| if channels == 1 { "grey" } else { "RGB" };
    ensure!(
        of_file == channels,
        "is {}, input.shape expects {channels} channels, {}: convert it (magick IN -colorspace {} OUT)",
        name(of_file),
        name(channels),
        if channels == 1 { "Gray" } else { "sRGB" }
    );
    let mut values = vec![0; height * width * channels];
    ensure!(
        decoder.total_bytes() == values.len() as u64,
        "has {} bytes of values, expected {}",
        decoder.total_bytes(),
        values.len()
    );
    decoder.read_image(&mut values).context("is broken")?;
    Ok(values)
}

/// An image of the longest sample, uncompressed, has fewer.
const MOST_BYTES: u64 = 64 << 20;

/// What a decoder may allocate.
const MOST_MEMORY: u64 = 128 << 20;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::load;

    fn save(path: &Path, width: u32, height: u32, channels: usize, value: impl Fn(usize) -> u8) {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        let values: Vec<u8> = (0..width as usize * height as usize * channels).map(value).collect();
        let color = if channels == 1 { ColorType::L8 } else { ColorType::Rgb8 };
        image::save_buffer(path, &values, width, height, color).unwrap();
    }

    fn recipe(shape: &str, more: &str) -> Result<Recipe> {
        let text = format!(
            "[data]\nformat='images'\nfiles='{{label}}/{{set}}_*.*'\n[input]\nshape={shape}\n{more}[[heads]]\nname='y'\n\
             kind='class'\ncolumn='label'\n[student]\narch='cnn'\nchannels=[4]\n[distill]\nmethod='none'\n"
        );
        Recipe::parse(&text, "r.toml", "r", &[])
    }

    fn error(folder: &Path, shape: &str) -> String {
        format!("{:#}", load(&recipe(shape, "").unwrap(), folder).unwrap_err())
    }

    #[test]
    fn folders_of_images_are_samples_with_columns_of_their_names() {
        let folder = tempfile::tempdir().unwrap();
        for n in 0..20 {
            let (label, set) = (["cat", "dog"][n % 2], ["a", "b"][n / 10]);
            save(&folder.path().join(format!("{label}/{set}_{n:02}.png")), 3, 2, 3, |at| (n * 10 + at) as u8);
        }
        let fact = "[[facts]]\nname='set'\nkind='category'\n";
        let data = load(&recipe("[2,3,3]", fact).unwrap(), folder.path()).unwrap();
        assert_eq!((data.len(), data.input_shape), (20, [2, 3, 3]));
        assert_eq!(data.targets[0].labels, ["cat", "dog"]);
        // In the order of the folders: the first is cat/a_00.png, the eleventh dog/a_01.png.
        let row = |sample: usize| &data.inputs.values[sample * 18..][..18];
        assert_eq!(row(0), (0..18).map(|at| at as f32).collect::<Vec<f32>>());
        assert_eq!(row(10), (10..28).map(|at| at as f32).collect::<Vec<f32>>());
        let sets: Vec<f32> = data.fact_columns[0].iter().map(|value| value.unwrap()).collect();
        assert_eq!((&sets[..6], sets[9]), (&[0.0, 0.0, 0.0, 0.0, 0.0, 1.0][..], 1.0));
    }

    #[test]
    fn jpeg_and_grey_images_are_read_by_their_bytes_not_by_their_names() {
        let folder = tempfile::tempdir().unwrap();
        save(&folder.path().join("x.jpg"), 8, 8, 1, |_| 200);
        std::fs::rename(folder.path().join("x.jpg"), folder.path().join("x.png")).unwrap();
        let values = read_image(&folder.path().join("x.png"), [8, 8, 1]).unwrap();
        assert!(values.len() == 64 && values.iter().all(|value| value.abs_diff(200) <= 1), "{values:?}");
    }

    #[test]
    fn images_of_another_size_or_colour_are_refused_with_their_names() {
        let folder = tempfile::tempdir().unwrap();
        save(&folder.path().join("cat/a_0.png"), 3, 2, 1, |_| 0);
        save(&folder.path().join("dog/a_1.png"), 4, 2, 1, |_| 0);
        let message = error(folder.path(), "[2,3]");
        assert!(message.contains("a_1.png: is 4 x 2 pixels, input.shape expects 3 x 2"), "{message}");
        save(&folder.path().join("dog/a_1.png"), 3, 2, 3, |_| 0);
        let message = error(folder.path(), "[2,3]");
        assert!(message.contains("a_1.png: is RGB, input.shape expects 1 channels, grey"), "{message}");
        image::save_buffer(folder.path().join("dog/a_1.png"), &[0; 24], 3, 2, ColorType::Rgba8).unwrap();
        let message = error(folder.path(), "[2,3]");
        assert!(message.contains("values of type Rgba8, expected grey or RGB of 8 bits"), "{message}");
        for (shape, more, expected) in [
            ("[2,3,2]", "", "input.shape is [2, 3, 2], expected [height, width]"),
            ("[6]", "", "input.shape is [6], expected"),
            ("[2,3]", "columns={a='a'}\n", "input.columns belongs to formats \"csv\" and \"recordings\""),
        ] {
            let message = format!("{:#}", recipe(shape, more).unwrap_err());
            assert!(message.contains(expected), "{message}");
        }
    }

    /// No input panics, and a header alone makes no one allocate what it promises.
    #[test]
    fn hostile_images_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.png");
        let read = |bytes: &[u8], shape: [usize; 3]| {
            std::fs::write(&path, bytes).unwrap();
            read_image(&path, shape)
        };
        let mut originals = Vec::new();
        for name in ["good.png", "good.jpg"] {
            save(&folder.path().join(name), 8, 8, 3, |at| (at * 37) as u8);
            originals.push(std::fs::read(folder.path().join(name)).unwrap());
        }
        for bytes in &originals {
            read(bytes, [8, 8, 3]).unwrap();
            for end in 0..bytes.len() / 2 {
                assert!(read(&bytes[..end], [8, 8, 3]).is_err(), "{end} bytes of {}", bytes.len());
            }
            for place in 0..bytes.len() {
                for flip in [1, 0x80, 0xff] {
                    let mut bytes = bytes.clone();
                    bytes[place] ^= flip;
                    // Some are still images.
                    let _ = read(&bytes, [8, 8, 3]);
                }
            }
        }
        // A PNG that promises 4 GiB pixels in its header, with a checksum that is right.
        let mut bytes = originals[0].clone();
        bytes[16..24].copy_from_slice(&[0, 1, 0, 0, 0, 1, 0, 0]);
        let mut crc = flate2::Crc::new();
        crc.update(&bytes[12..29]);
        bytes[29..33].copy_from_slice(&crc.sum().to_be_bytes());
        let message = format!("{:#}", read(&bytes, [8, 8, 3]).unwrap_err());
        assert!(message.contains("65536 x 65536 pixels"), "{message}");
        let message = format!("{:#}", read(b"GIF89a", [8, 8, 3]).unwrap_err());
        assert!(message.contains("expected PNG or JPEG") || message.contains("neither PNG nor JPEG"), "{message}");
    }
}
