//! The store of models: a power cut at every operation, random lives of boards, models that fail, wear.

use attar_device::Student;
use attar_device::store::{MAX_TRIALS, Slot, Store, StoreError};
use attar_tests::flash::{Failure, Flash};
use attar_tests::{models, with_checksum};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Returns a model that reproduces its self-test, or one that is right in all but that.
fn model(revision: u32, is_good: bool) -> Vec<u8> {
    let mut bytes = models::text();
    bytes[68..72].copy_from_slice(&revision.to_le_bytes());
    if !is_good {
        // The checksum of the last operator, behind which a padding of less than four bytes and the file's own stand.
        let place = bytes.len() - 8;
        bytes[place] ^= 1;
    }
    let bytes = with_checksum(bytes);
    let student = Student::parse(&bytes).unwrap();
    assert_eq!(student.self_test(&mut vec![0; student.model().arena_bytes()]).is_ok(), is_good);
    bytes
}

/// What a board does at its start: the model is parsed and tested where it is.
fn proves_itself<const W: usize, const E: usize>(
    flash: &mut Flash<W, E>,
    slot: &Slot,
) -> Result<bool, StoreError<Failure>> {
    let bytes = &flash.bytes()[slot.offset as usize..][..slot.len];
    let proven = Student::parse(bytes)
        .and_then(|student| student.self_test(&mut vec![0; student.model().arena_bytes()]))
        .is_ok();
    Ok(proven)
}

fn boot<const W: usize, const E: usize>(
    flash: Flash<W, E>,
) -> (Flash<W, E>, Result<Option<Vec<u8>>, StoreError<Failure>>) {
    let mut store = Store::open(flash.clone()).unwrap();
    let chosen = store.choose(proves_itself);
    let flash = store.flash().clone();
    let bytes = chosen.map(|slot| slot.map(|slot| flash.bytes()[slot.offset as usize..][..slot.len].to_vec()));
    (flash, bytes)
}

fn update<const W: usize, const E: usize>(
    store: &mut Store<Flash<W, E>>,
    model: &[u8],
    piece: usize,
) -> Result<Slot, StoreError<Failure>> {
    let mut update = store.update(model.len())?;
    for bytes in model.chunks(piece) {
        update.write(bytes)?;
    }
    update.finish()
}

/// The flash of a board that has run a model for a while.
fn settled<const W: usize, const E: usize>(model: &[u8], seed: u64) -> Flash<W, E> {
    let blocks = 2 * (model.len() + 256).div_ceil(E) + 1;
    let mut store = Store::open(Flash::new(blocks, seed)).unwrap();
    assert_eq!(store.choose(proves_itself), Ok(None), "rubbish is no model");
    update(&mut store, model, 100).unwrap();
    let chosen = store.choose(proves_itself).unwrap().unwrap();
    assert!(!chosen.is_on_trial);
    store.flash().clone()
}

/// The power goes at operation N of an update and of the start after it, for every N; then again at operation M of the start
/// after that. The old model or the new one is there, whole, and a second attempt succeeds.
fn cut_everywhere<const W: usize, const E: usize>(seeds: u64) -> usize {
    let (old, new) = (model(1, true), model(2, true));
    let mut cuts = 0;
    for seed in 0..seeds {
        let settled = settled::<W, E>(&old, seed);
        for fuel in 1.. {
            let mut flash = settled.clone();
            flash.fuel = Some(fuel);
            let mut store = Store::open(flash).unwrap();
            let updated = update(&mut store, &new, 61);
            let is_there = updated.is_ok();
            let started = if is_there { store.choose(proves_itself).map(|slot| slot.is_some()) } else { Ok(false) };
            let mut flash = store.flash().clone();
            if is_there && started == Ok(true) && flash.fuel != Some(0) {
                break;
            }
            cuts += 1;
            // Every third time the power goes once more, at a place that moves on.
            if fuel % 3 == 0 {
                flash.fuel = Some(1 + fuel / 3 % 4);
                let mut store = Store::open(flash).unwrap();
                let _ = store.choose(proves_itself);
                flash = store.flash().clone();
            }
            flash.fuel = None;
            let (flash, running) = boot(flash);
            let running = running.unwrap().expect("a model runs");
            assert!(running == old || running == new, "cut {fuel}: neither the old model nor the new one runs");
            assert!(!is_there || running == new, "cut {fuel}: the new model was written and is lost");
            let mut store = Store::open(flash).unwrap();
            update(&mut store, &new, 61).unwrap();
            let (_, running) = boot(store.flash().clone());
            assert!(running.unwrap() == Some(new.clone()), "cut {fuel}: the second attempt failed");
        }
    }
    cuts
}

#[test]
fn power_cut_at_every_operation_leaves_the_old_model_or_the_new_one() {
    let cuts = [
        cut_everywhere::<1, 256>(6),
        cut_everywhere::<4, 1024>(6),
        cut_everywhere::<8, 2048>(6),
        cut_everywhere::<32, 4096>(6),
    ];
    println!("cases: {}", cuts.iter().sum::<usize>());
    assert!(cuts.iter().all(|&cuts| cuts > 6 * 20), "{cuts:?}");
}

/// A store that marks a model as written before its bytes are there has to fail the same test.
#[test]
#[should_panic(expected = "neither the old model nor the new one runs")]
fn control_a_store_that_does_not_look_at_what_it_runs_is_caught() {
    let (old, new) = (model(1, true), model(2, true));
    for fuel in 1..200 {
        let mut flash = settled::<4, 1024>(&old, fuel);
        flash.fuel = Some(fuel);
        // In place, where the model in use stands.
        let mut store = Store::open(flash).unwrap();
        let slot = store.choose(proves_itself).unwrap().unwrap();
        let flash = store.flash();
        use embedded_storage::nor_flash::NorFlash;
        let first = slot.offset / 1024 * 1024;
        let _ = flash.erase(first, first + (slot.len as u32 + 256).next_multiple_of(1024)).and_then(|()| {
            new.chunks(4).zip((slot.offset..).step_by(4)).try_for_each(|(word, place)| flash.write(place, word))
        });
        let running = flash.bytes()[slot.offset as usize..][..slot.len].to_vec();
        assert!(running == old || running == new, "neither the old model nor the new one runs");
    }
}

#[test]
fn models_that_fail_on_the_board_are_rolled_back() {
    let (old, bad, newer) = (model(5, true), model(6, false), model(7, true));
    let mut store = Store::open(settled::<4, 1024>(&old, 1)).unwrap();
    update(&mut store, &bad, 7).unwrap();
    let (flash, running) = boot(store.flash().clone());
    assert!(running.unwrap() == Some(old.clone()));
    // It is not tried again.
    let mut store = Store::open(flash).unwrap();
    let before = store.flash().operations;
    let slot = store.choose(|_, slot| {
        assert_eq!(slot.revision, 5);
        Ok(true)
    });
    assert_eq!(slot.unwrap().unwrap().revision, 5);
    assert_eq!(store.flash().operations, before, "the start of a settled board writes nothing");
    update(&mut store, &newer, 1000).unwrap();
    assert!(boot(store.flash().clone()).1.unwrap() == Some(newer));
}

#[test]
fn models_from_which_the_board_does_not_come_back_are_given_up() {
    let (old, new) = (model(1, true), model(2, true));
    let mut store = Store::open(settled::<8, 2048>(&old, 1)).unwrap();
    update(&mut store, &new, 64).unwrap();
    let mut flash = store.flash().clone();
    for _ in 0..MAX_TRIALS {
        let mut store = Store::open(flash).unwrap();
        // The watchdog bites in the middle of the self-test.
        let result = store.choose(|flash, slot| {
            assert!(slot.is_on_trial && slot.revision == 2);
            flash.fuel = Some(0);
            Ok(false)
        });
        assert_eq!(result, Err(StoreError::Flash(Failure::Off)));
        flash = store.flash().clone();
        flash.fuel = None;
    }
    assert!(boot(flash).1.unwrap() == Some(old));
}

#[test]
fn a_model_that_rots_gives_way_to_the_one_before() {
    let (old, new) = (model(1, true), model(2, true));
    let mut store = Store::open(settled::<4, 1024>(&old, 1)).unwrap();
    update(&mut store, &new, 64).unwrap();
    let slot = store.choose(proves_itself).unwrap().unwrap();
    for place in (0..slot.len).step_by(13) {
        let mut flash = store.flash().clone();
        flash.bytes_mut()[slot.offset as usize + place] ^= 0x10;
        assert!(boot(flash).1.unwrap() == Some(old.clone()), "byte {place}");
    }
}

#[test]
fn what_does_not_fit_or_is_older_or_no_model_is_refused() {
    let (old, new) = (model(5, true), model(4, true));
    let settled = settled::<4, 1024>(&old, 1);
    let mut store = Store::open(settled.clone()).unwrap();
    let most = store.most();
    assert_eq!(store.update(most + 1).err(), Some(StoreError::TooLarge { most, got: most + 1 }));
    assert_eq!(update(&mut store, &new, 64), Err(StoreError::Downgraded { least: 5, got: 4 }));
    assert_eq!(update(&mut store, &old[..64], 64), Err(StoreError::Length { expected: 64, got: old.len() }));
    assert!(matches!(update(&mut store, &[7; 200], 64), Err(StoreError::Parse(_))));
    let mut flipped = old.clone();
    flipped[100] ^= 1;
    assert_eq!(update(&mut store, &flipped, 64), Err(StoreError::Differs));
    let mut short = store.update(old.len()).unwrap();
    short.write(&old[..old.len() - 1]).unwrap();
    assert_eq!(short.write(&[0; 2]), Err(StoreError::Length { expected: old.len(), got: old.len() + 1 }));
    assert_eq!(short.finish(), Err(StoreError::Length { expected: old.len(), got: old.len() - 1 }));
    assert!(boot(store.flash().clone()).1.unwrap() == Some(old.clone()));
    assert_eq!(Store::open(Flash::<4, 256>::new(3, 1)).err(), Some(StoreError::Geometry), "no room for a model");
    assert_eq!(Store::open(Flash::<64, 1024>::new(9, 1)).err(), Some(StoreError::Geometry), "words of 64 bytes");
}

/// What a board may go through, drawn at random: updates with good and bad models, older ones and broken ones, in pieces of
/// any size; starts; the power going at any operation of any of it.
#[test]
fn ten_thousand_random_lives_never_lose_the_model() {
    let good: Vec<Vec<u8>> = (1..40).map(|revision| model(revision, true)).collect();
    let bad: Vec<Vec<u8>> = (1..40).map(|revision| model(revision, false)).collect();
    let mut steps = 0;
    for seed in 0..10_000 {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let blocks = 2 * (good[0].len() + 256).div_ceil(512);
        let mut flash = Flash::<4, 512>::new(blocks, seed);
        // The revision that runs, and those that may run after the next start instead.
        let (mut running, mut may) = (None, Vec::new());
        let mut just_written = None;
        for _ in 0..random.random_range(2..12) {
            steps += 1;
            flash.fuel = random.random_bool(0.5).then(|| random.random_range(1..80));
            let mut store = Store::open(flash).unwrap();
            if random.random_bool(0.5) {
                // An update to the next revision, to a bad one, or with something wrong on the way.
                let next = (running.unwrap_or(0) + random.random_range(0..2usize)).min(38);
                let is_good = random.random_bool(0.6);
                let bytes = if is_good { &good[next] } else { &bad[next] };
                let broken = random.random_bool(0.2);
                let cut = if broken { random.random_range(0..bytes.len()) } else { bytes.len() };
                let result = store.update(bytes.len()).and_then(|mut update| {
                    for piece in bytes[..cut].chunks(random.random_range(1..200)) {
                        update.write(piece)?;
                    }
                    update.finish()
                });
                // A record that was cut off may have been written in full.
                if is_good && !broken {
                    may.push(next);
                }
                just_written = result.ok().filter(|_| is_good).map(|_| next);
            } else {
                let chosen = store.choose(proves_itself);
                if store.flash().fuel == Some(0) {
                    just_written = None;
                } else if let Ok(Some(slot)) = chosen {
                    let got = slot.revision as usize - 1;
                    let bytes = &store.flash().bytes()[slot.offset as usize..][..slot.len];
                    assert!(bytes == good[got], "seed {seed}: a model runs that is not whole or not good");
                    assert!(running == Some(got) || may.contains(&got), "seed {seed}: revision {got} runs: {may:?}");
                    assert!(just_written.is_none_or(|new| new == got), "seed {seed}: revision {got}, not the new one");
                    (running, just_written) = (Some(got), None);
                    may.clear();
                } else {
                    assert!(running.is_none(), "seed {seed}: no model runs: {chosen:?}");
                }
            }
            flash = store.flash().clone();
        }
        flash.fuel = None;
        let (_, last) = boot(flash);
        let last = last.unwrap();
        assert!(last.is_some() || running.is_none(), "seed {seed}: the model is lost");
        assert!(last.is_none_or(|bytes| good.contains(&bytes)), "seed {seed}: a bad model runs");
    }
    println!("cases: {steps}");
}

/// However often the power went in its trial, a model that runs as proven is confirmed, so that the next update does not take the
/// one before it for spare.
#[test]
fn a_model_that_runs_has_proved_itself_for_good() {
    let (old, new, newer) = (model(1, true), model(2, true), model(3, true));
    let mut settled = Store::open(settled::<4, 1024>(&old, 1)).unwrap();
    update(&mut settled, &new, 64).unwrap();
    let settled = settled.flash().clone();
    const STARTS: u32 = 6;
    for cuts in 0..3u32.pow(STARTS) {
        let mut flash = settled.clone();
        for start in 0..STARTS {
            // The power goes when the trial is noted, or when its end is, or not in this start.
            flash.fuel = Some(u64::from(cuts / 3u32.pow(start) % 3)).filter(|&fuel| fuel > 0);
            let mut store = Store::open(flash).unwrap();
            let _ = store.choose(proves_itself);
            flash = store.flash().clone();
        }
        flash.fuel = None;
        let (flash, running) = boot(flash);
        let running = running.unwrap().expect("a model runs");
        assert!(
            boot(flash.clone()).1.unwrap() == Some(running.clone()),
            "cuts {cuts}: another model runs the next time"
        );
        let mut store = Store::open(flash).unwrap();
        store.choose(proves_itself).unwrap();
        store.flash().fuel = Some(10);
        assert!(update(&mut store, &newer, 64).is_err());
        store.flash().fuel = None;
        assert!(boot(store.flash().clone()).1.unwrap() == Some(running), "cuts {cuts}: the model is lost");
    }
}

/// A fault of the newest model in one start does not let an older one in.
#[test]
fn revisions_that_have_proved_themselves_or_are_required_are_the_least() {
    let mut store = Store::open(settled::<4, 1024>(&model(5, true), 1)).unwrap();
    update(&mut store, &model(7, true), 64).unwrap();
    store.choose(proves_itself).unwrap();
    let mut store = Store::open(store.flash().clone()).unwrap();
    let chosen = store.choose(|_, slot| Ok(slot.revision == 5)).unwrap().unwrap();
    assert_eq!(chosen.revision, 5);
    assert_eq!(update(&mut store, &model(6, true), 64), Err(StoreError::Downgraded { least: 7, got: 6 }));
    // What nobody has tried yet is no measure.
    let mut store = Store::open(settled::<4, 1024>(&model(5, true), 1)).unwrap();
    update(&mut store, &model(u32::MAX, false), 64).unwrap();
    update(&mut store, &model(6, true), 64).unwrap();
    store.require(9);
    assert_eq!(store.choose(proves_itself), Ok(None));
    assert_eq!(update(&mut store, &model(8, true), 64), Err(StoreError::Downgraded { least: 9, got: 8 }));
}

/// A flash with error correction refuses to read a word that was cut off.
#[test]
fn a_cell_that_cannot_be_read_was_cut_off() {
    let (old, new) = (model(1, true), model(2, true));
    let mut store = Store::open(settled::<4, 1024>(&old, 1)).unwrap();
    let slot = update(&mut store, &new, 64).unwrap();
    for cell in 0..8 {
        let mut flash = store.flash().clone();
        flash.unreadable = Some(slot.offset - 256 + cell * 32);
        let (flash, running) = boot(flash);
        let running = running.unwrap().expect("a model runs");
        assert!(if cell == 0 { running == old } else { running == old || running == new }, "cell {cell}");
        let mut store = Store::open(flash).unwrap();
        store.choose(proves_itself).unwrap();
        update(&mut store, &model(3, true), 64).unwrap();
    }
}

#[test]
fn updates_wear_all_blocks_alike() {
    let mut flash = settled::<4, 512>(&model(1, true), 1);
    for revision in 2..202 {
        let mut store = Store::open(flash).unwrap();
        store.choose(proves_itself).unwrap();
        update(&mut store, &model(revision, true), 100).unwrap();
        flash = store.flash().clone();
    }
    let used: Vec<u32> = flash.erased.iter().copied().filter(|&times| times > 0).collect();
    assert!(used.iter().all(|&times| times == 100 || times == 101), "{used:?}");
}
