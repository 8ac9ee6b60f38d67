//! Which patterns over identities are wider than others.

use super::{CallerPattern, CallerSegment};

impl CallerPattern {
    /// Whether every ID that fits `other` fits this pattern as well. A name captured
    /// twice never stands for any two segments.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        match self.exact() {
            // Of the members of a group most are exact, and there may be many.
            Some(id) => other.exact() == Some(id),
            None => self.trust_domain() == other.trust_domain() && self.covers_paths_of(other),
        }
    }

    /// The same, of the paths alone.
    pub(crate) fn covers_paths_of(&self, other: &Self) -> bool {
        let (mine, theirs) = (self.parts(), other.parts());
        let length = match (self.has_tail(), other.has_tail()) {
            (true, _) => mine.len() <= theirs.len(),
            (false, true) => false,
            (false, false) => mine.len() == theirs.len(),
        };
        let mut bound: Vec<(&str, CallerSegment<'_>)> = Vec::new();
        length
            && mine.iter().zip(&theirs).all(|(mine, theirs)| match mine {
                CallerSegment::Literal(_) => mine == theirs,
                CallerSegment::Any => true,
                CallerSegment::Capture(name) => {
                    let before = bound.iter().find(|(other, _)| other == name);
                    let same = before.is_none_or(|(_, before)| {
                        before == theirs && matches!(theirs, CallerSegment::Literal(_))
                    });
                    bound.push((name, *theirs));
                    same
                }
            })
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::caller;

    #[test]
    fn a_pattern_covers_what_can_only_fit_it_too() {
        let cases = [
            ("/**", "/**", true),
            ("/**", "/a", true),
            ("/a/**", "/**", false),
            ("/a/**", "/a", true),
            ("/a/**", "/a/b/*", true),
            ("/a/*", "/a/**", false),
            ("/a/*", "/a/b", true),
            ("/a/b", "/a/*", false),
            ("/a/b", "/a/b", true),
            ("/a/*/**", "/a/**", false),
            ("/*/b", "/a/*", false),
            ("/{x}/b", "/*/b", true),
            ("/{x}/{x}", "/*/*", false),
            ("/{x}/{x}", "/a/a", true),
            ("/{x}/{x}", "/a/b", false),
            ("/**", "spiffe://partner.example/a", false),
        ];
        for (wide, narrow, wanted) in cases {
            let (a, b) = (caller(wide), caller(narrow));
            assert_eq!(a.covers(&b), wanted, "{wide} over {narrow}");
        }
    }
}
