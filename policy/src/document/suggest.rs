//! "Did you mean": the nearest of the words that would have been right.

/// How alike two words must be, from 0 to 1. At 0.8, one slip in five letters counts.
const ALIKE: f64 = 0.8;

/// The word of `known` that `word` was probably meant to be. Of words longer than 64 bytes
/// none is.
#[must_use]
pub fn nearest<'k>(
    word: &str,
    known: impl IntoIterator<Item = &'k str> + Clone,
) -> Option<&'k str> {
    // Longer texts are not slips of one of our words, and comparing costs their product.
    const LONGEST: usize = 64;
    if word.len() > LONGEST {
        return None;
    }
    let folded = fold(word);
    let same = known
        .clone()
        .into_iter()
        .find(|known| fold(known) == folded);
    same.or_else(|| {
        let scored = known
            .into_iter()
            .map(|known| (strsim::jaro_winkler(&folded, &fold(known)), known));
        let best = scored.max_by(|(a, _), (b, _)| a.total_cmp(b));
        best.filter(|(score, _)| *score >= ALIKE)
            .map(|(_, known)| known)
    })
}

/// `approved_by` and `ApprovedBy` are `approvedBy` in another style.
fn fold(word: &str) -> String {
    word.chars()
        .filter(|c| !matches!(c, '_' | '-'))
        .flat_map(char::to_lowercase)
        .collect()
}

/// `a`, `b` or `c`, each in backticks.
pub(super) fn one_of(words: &[&str]) -> String {
    enumeration(words, "or")
}

/// `a`, `b` and `c`, each in backticks.
pub(super) fn all_of(words: &[&str]) -> String {
    enumeration(words, "and")
}

fn enumeration(words: &[&str], last_by: &str) -> String {
    let quoted: Vec<String> = words.iter().map(|word| format!("`{word}`")).collect();
    match quoted.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} {last_by} {last}", rest.join(", ")),
        Some((last, _)) => last.clone(),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_are_found() {
        let known = ["name", "from", "to", "approvedBy", "exception"];
        let cases = [
            ("form", Some("from")),
            ("approved_by", Some("approvedBy")),
            ("exeption", Some("exception")),
            ("NAME", Some("name")),
            ("ports", None),
            ("", None),
        ];
        for (word, expected) in cases {
            assert_eq!(nearest(word, known), expected, "{word}");
        }
        assert_eq!(nearest(&"from".repeat(99), known), None);
    }
}
