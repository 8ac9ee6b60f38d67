//! Texts with at most one unknown part.

/// The number of an unknown text. It is never empty.
pub(super) type Variable = usize;

/// A text: literal, or a variable with literal text around it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Word {
    pub(super) prefix: String,
    /// Of a literal there is none, and nothing behind it.
    pub(super) unknown: Option<(Variable, String)>,
}

impl Word {
    pub(super) fn literal(text: impl Into<String>) -> Self {
        Self {
            prefix: text.into(),
            unknown: None,
        }
    }

    pub(super) fn variable(variable: Variable) -> Self {
        Self::around("", variable, "")
    }

    pub(super) fn around(prefix: &str, variable: Variable, suffix: &str) -> Self {
        Self {
            prefix: prefix.to_owned(),
            unknown: Some((variable, suffix.to_owned())),
        }
    }

    /// The word with `value` in the place of its variable.
    pub(super) fn with(&self, value: &Self) -> Self {
        let Some((_, suffix)) = &self.unknown else {
            return self.clone();
        };
        let prefix = format!("{}{}", self.prefix, value.prefix);
        match &value.unknown {
            None => Self::literal(prefix + suffix),
            Some((variable, before)) => Self {
                prefix,
                unknown: Some((*variable, format!("{before}{suffix}"))),
            },
        }
    }

    /// The text, if every variable stands for what `values` says.
    pub(super) fn text(&self, values: impl Fn(Variable) -> String) -> String {
        match &self.unknown {
            None => self.prefix.clone(),
            Some((variable, suffix)) => format!("{}{}{suffix}", self.prefix, values(*variable)),
        }
    }
}
