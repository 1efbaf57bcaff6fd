//! Names and texts of data in messages: the nearest right one, and as little of long ones as says enough.

use crate::support::progress::one_line;

/// Returns the candidate that is nearest to a misspelt name, if one is near enough to be meant.
pub fn nearest<'a>(wrong: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    /// A distance takes the product of both lengths.
    const LONGEST: usize = 256;
    candidates
        .into_iter()
        .filter(|candidate| wrong.len() <= LONGEST && candidate.len() <= LONGEST)
        .map(|candidate| (strsim::damerau_levenshtein(wrong, candidate), candidate))
        .min_by_key(|&(distance, _)| distance)
        .filter(|&(distance, candidate)| distance <= 1 + candidate.len() / 3)
        .map(|(_, candidate)| candidate)
}

/// Returns the end of a message about a misspelt name, ` (did you mean "..."?)`, or nothing where no candidate is near enough.
pub fn did_you_mean<'a>(wrong: &str, candidates: impl IntoIterator<Item = &'a str>) -> String {
    nearest(wrong, candidates).map(|near| format!(" (did you mean {near:?}?)")).unwrap_or_default()
}

/// Returns names for a message: the first ten, and how many there are.
pub fn listed<S: AsRef<str>>(names: &[S]) -> String {
    const MOST: usize = 10;
    let shown: Vec<String> = names.iter().take(MOST).map(|name| shortened(name.as_ref())).collect();
    let more = if names.len() > MOST { format!(", ... ({} in all)", names.len()) } else { String::new() };
    format!("{}{more}", shown.join(", "))
}

/// Returns a text of data for a message: its first 60 characters, in one line.
pub fn shortened(text: &str) -> String {
    const MOST: usize = 60;
    match text.char_indices().nth(MOST) {
        None => one_line(text).into_owned(),
        Some((end, _)) => format!("{}... ({} bytes)", one_line(&text[..end]), text.len()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_stay_short_whatever_the_data_hold() {
        let names: Vec<String> = (0..1_000_000).map(|index| format!("c{index}")).collect();
        assert_eq!(listed(&names[..3]), "c0, c1, c2");
        assert!(listed(&names).ends_with("c9, ... (1000000 in all)"), "{}", listed(&names));
        let cell = "ä".repeat(10_000_000);
        assert_eq!(shortened(&cell), format!("{}... (20000000 bytes)", "ä".repeat(60)));
        assert_eq!(nearest("torqe", [cell.as_str(), "torque"]), Some("torque"));
        assert_eq!(did_you_mean("torqe", ["speed", "torque"]), " (did you mean \"torque\"?)");
        assert_eq!(did_you_mean("torqe", ["speed"]), "");
    }
}
