//! Names and texts of data in messages: the nearest right one, and as little of long ones as says enough.

use std::collections::BTreeMap;

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

/// Returns warnings about texts that differ only by case or by blanks, from each other or from those that are known; `what` is what
/// they call them.
pub fn spelling_warnings<'a>(
    what: &str,
    texts: impl IntoIterator<Item = &'a str>,
    known: impl IntoIterator<Item = &'a str>,
) -> Vec<String> {
    const MOST: usize = 5;
    let mut counts: BTreeMap<&str, usize> = known.into_iter().map(|text| (text, 0)).collect();
    texts.into_iter().for_each(|text| *counts.entry(text).or_default() += 1);
    let mut groups: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (text, count) in counts {
        let folded = text.split_whitespace().map(str::to_lowercase).collect::<Vec<_>>().join(" ");
        let rows = if count == 1 { "row" } else { "rows" };
        groups.entry(folded).or_default().push(format!("{:?} ({count} {rows})", shortened(text)));
    }
    groups.retain(|_, group| group.len() > 1);
    let more = groups.len().saturating_sub(MOST);
    let differ = "that differ only by case or blanks";
    let first = groups
        .values()
        .take(MOST)
        .map(|group| format!("warning: {what} {differ} count as different ones: {}", listed(group)));
    first.chain((more > 0).then(|| format!("warning: {more} more {what} {differ}"))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_of_one_text_are_found() {
        let texts = ["Normal", "normal", "inner  race", "NORMAL", "ball", "Normal", "Inner race", "outer race"];
        let warnings = spelling_warnings("x.csv: classes", texts, ["Ball"]);
        let expected = [
            "\"Ball\" (0 rows), \"ball\" (1 row)",
            "\"Inner race\" (1 row), \"inner  race\" (1 row)",
            "\"NORMAL\" (1 row), \"Normal\" (2 rows), \"normal\" (1 row)",
        ];
        let expected = expected.map(|group| {
            format!("warning: x.csv: classes that differ only by case or blanks count as different ones: {group}")
        });
        assert_eq!(warnings, expected);
        assert!(spelling_warnings("", ["a", "b", "a b", "ab"], ["a"]).is_empty());
    }

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
