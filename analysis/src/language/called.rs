//! One side of a shape where the other is known: what a caller may call, and who may call
//! a path.

use callgate_policy::{CanonicalPath, SpiffeId};

use super::{
    Shape,
    places::{Places, Slice},
    solve::solve,
    word::Word,
};

impl Shape {
    /// What is meant when this one caller calls, of any caller in `trust_domain`; none if
    /// it is not meant.
    pub(crate) fn as_called_by(&self, caller: &SpiffeId, trust_domain: &str) -> Option<Self> {
        if caller.trust_domain() != self.trust_domain {
            return None;
        }
        let texts: Vec<Word> = caller.segments().map(Word::literal).collect();
        let slice = Slice {
            caller: texts.len(),
            path: self.path.words.len(),
            slash: true,
        };
        let fits = self.caller.lengths(texts.len()).contains(&texts.len());
        if !fits {
            return None;
        }
        let (words, variables) = self.at(&slice, 0);
        let equations: Vec<(Word, Word)> = words.iter().cloned().zip(texts).collect();
        // Each variable of a caller is a whole segment, so there is one solution at most.
        let solution = solve(&equations, variables, 0).list.into_iter().next()?;
        let path = self.path.words.iter().map(|word| solution.apply(word));
        Some(Self {
            path: Places {
                words: path.collect(),
                tail: self.path.tail,
            },
            slash: self.slash,
            names: self.names.clone(),
            ..Self::everything(trust_domain)
        })
    }

    /// The patterns of the callers who are meant when this path is called: what the path
    /// captures stands for them too. None, if the path is not meant.
    pub(crate) fn callers_of_path(&self, path: &Self) -> Vec<String> {
        let slice = Slice {
            caller: self.caller.words.len(),
            path: path.path.words.len(),
            slash: true,
        };
        if !self.path.may_meet(&path.path) {
            return Vec::new();
        }
        let (words, variables) = self.at(&slice, 0);
        let (caller, mine) = words.split_at(slice.caller.min(words.len()));
        let theirs = path.path.words.iter().cloned();
        let equations: Vec<(Word, Word)> = mine.iter().cloned().zip(theirs).collect();
        let solutions = solve(&equations, variables, 0).list.into_iter();
        let mut patterns: Vec<String> = solutions
            .map(|solution| {
                let words = caller.iter().map(|word| solution.apply(word));
                let segments: String = words.map(|word| self.segment(&word, "*")).collect();
                let tail = if self.caller.tail { "/**" } else { "" };
                format!("spiffe://{}{segments}{tail}", self.trust_domain)
            })
            .collect();
        patterns.dedup();
        patterns
    }

    /// The path, as a rule would write it.
    pub(crate) fn path_text(&self) -> String {
        let words = self.path.words.iter();
        let segments: String = words.map(|word| self.segment(word, "{any}")).collect();
        match (self.path.tail, self.slash) {
            (true, _) => segments + "/**",
            (false, _) if segments.is_empty() => "/".to_owned(),
            (false, Some(true)) => segments + "/",
            (false, _) => segments,
        }
    }

    fn segment(&self, word: &Word, any: &str) -> String {
        let spelled = |text: &str| match text {
            "" => String::new(),
            text => CanonicalPath::spell([text], false).split_off(1),
        };
        let prefix = spelled(&word.prefix);
        match &word.unknown {
            None => format!("/{prefix}"),
            Some((variable, suffix)) => match self.name(*variable) {
                None => format!("/{prefix}{any}{}", spelled(suffix)),
                Some(name) => format!("/{prefix}{{{name}}}{}", spelled(suffix)),
            },
        }
    }
}
