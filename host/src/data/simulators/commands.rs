//! The built-in texts: commands to a small assistant, as a recogniser of speech would write them down.
//!
//! Half of the intents need a name to be told: "show me Velora" opens a map when Velora is a city and the player when it is a
//! band. Nothing in a name says what it is; names are drawn from the same syllables. Whoever has a list of names, a phone
//! book or an atlas, knows, and that is what a gazetteer is for: [`gazetteer`] holds nine of ten names. Of the commands with a
//! name, three of five say nothing but the name of what they are about; one command in twenty has a letter missing, doubled
//! or swapped.

use std::collections::BTreeSet;

use anyhow::Result;
use rand::Rng;
use rand::seq::IndexedRandom;
use rand_chacha::ChaCha8Rng;

use crate::support::progress::check_stopped;
use crate::support::random;

/// The intents by their index; the first five belong to the kinds of names in [`FEATURES`].
pub const INTENTS: [&str; 10] =
    ["contact", "map", "music", "recipe", "game", "light", "timer", "volume", "weather", "stop"];

/// What a name may be, in the order of the first intents.
pub const FEATURES: [&str; 5] = ["person", "city", "band", "dish", "game"];

/// A command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    /// What was said.
    pub text: String,
    /// The name in it, or nothing.
    pub name: String,
    /// The index of its intent.
    pub intent: usize,
}

/// Returns some commands.
///
/// # Errors
///
/// When the work was stopped.
pub fn generate(count: usize, seed: u64) -> Result<Vec<Command>> {
    let names = names(seed);
    let mut random = random::stream(seed, "commands");
    let next = |_| {
        check_stopped()?;
        Ok(command(&names, &mut random))
    };
    (0..count).map(next).collect()
}

/// Returns the names that are known, with what each is.
pub fn gazetteer(seed: u64) -> Vec<(String, String)> {
    let mut random = random::stream(seed, "gazetteer");
    let mut known = Vec::new();
    for (names, feature) in names(seed).into_iter().zip(FEATURES) {
        let kept = names.into_iter().filter(|_| random.random::<f64>() < 0.9);
        known.extend(kept.map(|name| (name, feature.to_string())));
    }
    known
}

/// Returns the names of each kind.
fn names(seed: u64) -> Vec<Vec<String>> {
    let mut random = random::stream(seed, "names");
    let mut taken = BTreeSet::new();
    FEATURES
        .iter()
        .map(|_| {
            let mut names = Vec::new();
            while names.len() < NAMES {
                let words = if random.random::<f64>() < 0.1 { 2 } else { 1 };
                let name = (0..words).map(|_| word(&mut random)).collect::<Vec<_>>().join(" ");
                if taken.insert(name.clone()) {
                    names.push(name);
                }
            }
            names
        })
        .collect()
}

fn word(random: &mut ChaCha8Rng) -> String {
    let mut word = String::new();
    for _ in 0..random.random_range(2..4) {
        for part in [&ONSETS[..], &VOWELS[..], &CODAS[..]] {
            word += pick(part, random);
        }
    }
    word
}

fn command(names: &[Vec<String>], random: &mut ChaCha8Rng) -> Command {
    let intent = random.random_range(0..INTENTS.len());
    let (template, name) = match names.get(intent) {
        Some(names) => {
            let open = random.random::<f64>() < 0.6;
            let template = if open { pick(&OPEN, random) } else { pick(&CLEAR[intent], random) };
            (template, names.choose(random).cloned().unwrap_or_default())
        }
        None => (pick(NAMELESS[intent - FEATURES.len()], random), String::new()),
    };
    let polite = ["", "", "", "please ", "hey ", "could you "];
    let text = format!("{}{}", pick(&polite, random), template.replace("{}", &name));
    let text = if random.random::<f64>() < 0.05 { misheard(&text, random) } else { text };
    Command { text, name, intent }
}

/// Leaves a letter out, doubles it, or swaps it with the next.
fn misheard(text: &str, random: &mut ChaCha8Rng) -> String {
    let mut letters: Vec<char> = text.chars().collect();
    let place = random.random_range(0..letters.len() - 1);
    match random.random_range(0..3) {
        0 => drop(letters.remove(place)),
        1 => letters.insert(place, letters[place]),
        _ => letters.swap(place, place + 1),
    }
    letters.into_iter().collect()
}

fn pick<'a>(list: &[&'a str], random: &mut ChaCha8Rng) -> &'a str {
    list.choose(random).copied().unwrap_or_default()
}

/// Names of each kind.
const NAMES: usize = 80;

const ONSETS: [&str; 20] =
    ["b", "d", "f", "g", "h", "k", "l", "m", "n", "p", "r", "s", "t", "v", "z", "br", "dr", "kr", "st", "tr"];
const VOWELS: [&str; 7] = ["a", "e", "i", "o", "u", "ai", "ea"];
const CODAS: [&str; 8] = ["", "", "", "", "n", "r", "l", "s"];

/// Commands that are understood by what the name is alone.
const OPEN: [&str; 10] = [
    "show me {}",
    "find {}",
    "open {}",
    "i want {}",
    "search for {}",
    "bring up {}",
    "{}",
    "what about {}",
    "take me to {}",
    "tell me more about {}",
];

/// Commands that say by themselves what the name is.
const CLEAR: [[&str; 4]; 5] = [
    ["call {}", "ring {} at home", "send a message to {}", "dial the number of {}"],
    ["drive to {}", "how far is it to {}", "navigate to {}", "which road leads to {}"],
    ["listen to {}", "put on a song by {}", "the new album of {}", "play {} louder"],
    ["how do i cook {}", "what goes into {}", "ingredients of {}", "how long does {} have to bake"],
    ["start a round of {}", "load my last score in {}", "join a match of {}", "restart the level in {}"],
];

const NAMELESS: [&[&str]; 5] = [
    &[
        "turn on the light",
        "lights off",
        "dim the lamp in the kitchen",
        "make it brighter in here",
        "switch the lamp off",
    ],
    &[
        "set a timer for ten minutes",
        "wake me at seven",
        "how much time is left",
        "remind me in half an hour",
        "cancel the alarm",
    ],
    &["louder", "turn it down", "volume to five", "mute the speaker", "a bit quieter"],
    &[
        "will it rain today",
        "how warm is it outside",
        "do i need an umbrella",
        "what is the forecast",
        "is it going to snow",
    ],
    &["stop", "never mind", "be quiet now", "cancel that", "forget it"],
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_the_same_for_a_seed_and_hold_every_intent() {
        let commands = generate(500, 3).unwrap();
        assert_eq!(commands, generate(500, 3).unwrap());
        assert_ne!(commands, generate(500, 4).unwrap());
        assert!((0..INTENTS.len()).all(|intent| commands.iter().any(|command| command.intent == intent)));
        assert!(commands.iter().all(|command| command.text.len() <= 64 && !command.text.is_empty()));
    }

    #[test]
    fn names_are_of_one_kind_and_nine_of_ten_are_known() {
        let names = names(1);
        let all: BTreeSet<&String> = names.iter().flatten().collect();
        assert_eq!(all.len(), FEATURES.len() * NAMES);
        let known = gazetteer(1);
        assert!((340..380).contains(&known.len()), "{}", known.len());
        assert!(known.iter().all(|(name, _)| all.contains(name)));
    }
}
