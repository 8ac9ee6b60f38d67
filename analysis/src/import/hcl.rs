//! HCL, as far as Consul's configuration entries need it: attributes, blocks, lists, texts.
//!
//! Comes to the same nodes as YAML and JSON do. What is left out (heredocs, templates,
//! functions) is refused.

use callgate_policy::document::Source;

use super::{
    document::{Entry, Node, Span, Value},
    report::{Finding, Kind},
};

/// Lists and mappings within each other.
const DEPTH: usize = 32;

/// Whether a file is HCL: its first word is assigned something.
pub(super) fn is_hcl(source: &Source) -> bool {
    let lines = source.text().lines().map(str::trim);
    let mut lines =
        lines.filter(|line| !line.is_empty() && !line.starts_with('#') && !line.starts_with("//"));
    let Some(first) = lines.next() else {
        return false;
    };
    let rest = first.trim_start_matches(|c: char| c.is_ascii_alphanumeric() || c == '_');
    rest.len() < first.len() && rest.trim_start().starts_with('=')
}

/// The attributes of a file, as one mapping.
pub(super) fn document(file: usize, source: &Source) -> Result<Node, Finding> {
    let mut parser = Parser {
        text: source.text(),
        file,
        at: 0,
        depth: 0,
    };
    let entries = parser.body(None)?;
    Ok(Node {
        span: parser.span(0),
        value: Value::Map(entries),
    })
}

struct Parser<'t> {
    text: &'t str,
    file: usize,
    at: usize,
    depth: usize,
}

type Read<T> = Result<T, Finding>;

impl<'t> Parser<'t> {
    fn rest(&self) -> &'t str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn next(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn step(&mut self) {
        self.at = self
            .at
            .saturating_add(self.next().map_or(0, char::len_utf8));
    }

    fn span(&self, start: usize) -> Span {
        Span {
            file: self.file,
            start,
            end: self.at,
        }
    }

    fn fault<T>(&self, message: &str) -> Read<T> {
        let end = self
            .at
            .saturating_add(self.next().map_or(0, char::len_utf8));
        let span = Span {
            file: self.file,
            start: self.at,
            end,
        };
        Err(Finding::new(Kind::Unreadable, span, message))
    }

    /// Passes over spaces, comments and what separates entries.
    fn skip(&mut self) -> Read<()> {
        loop {
            let rest = self.rest();
            if rest.starts_with(|c: char| c.is_whitespace() || c == ',') {
                self.step();
            } else if rest.starts_with('#') || rest.starts_with("//") {
                self.at = self
                    .at
                    .saturating_add(rest.find('\n').unwrap_or(rest.len()));
            } else if rest.starts_with("/*") {
                let Some(end) = rest.find("*/") else {
                    return self.fault("this comment does not end");
                };
                self.at = self.at.saturating_add(end).saturating_add(2);
            } else {
                return Ok(());
            }
        }
    }

    /// Entries up to `end`, or to the end of the file.
    fn body(&mut self, end: Option<char>) -> Read<Vec<Entry>> {
        let mut entries: Vec<Entry> = Vec::new();
        loop {
            self.skip()?;
            match (self.next(), end) {
                (None, None) => return Ok(entries),
                (None, Some(_)) => return self.fault("a brace is not closed"),
                (Some(c), Some(end)) if c == end => {
                    self.step();
                    return Ok(entries);
                }
                _ => {}
            }
            let entry = self.entry()?;
            if entries.iter().any(|other| other.key == entry.key) {
                let message = format!("the key `{}` stands twice", entry.key);
                return Err(Finding::new(Kind::Unreadable, entry.key_span, message));
            }
            entries.push(entry);
        }
    }

    /// `key = value`, `key: value` or `key { … }`.
    fn entry(&mut self) -> Read<Entry> {
        let start = self.at;
        let key = if self.next() == Some('"') {
            self.quoted()?
        } else {
            self.word()
        };
        if key.is_empty() {
            return self.fault("this is not HCL: a name was to come");
        }
        let key_span = self.span(start);
        self.skip()?;
        match self.next() {
            Some('=' | ':') => self.step(),
            Some('{') => {}
            _ => return self.fault("this is not HCL: `=` or `{` was to come"),
        }
        self.skip()?;
        let value = self.value()?;
        Ok(Entry {
            key,
            key_span,
            value,
        })
    }

    fn word(&mut self) -> String {
        let rest = self.rest();
        let end = rest.find(|c: char| !(c.is_ascii_alphanumeric() || "_-.".contains(c)));
        let word = rest.get(..end.unwrap_or(rest.len())).unwrap_or_default();
        self.at = self.at.saturating_add(word.len());
        word.to_owned()
    }

    fn value(&mut self) -> Read<Node> {
        let start = self.at;
        let value = match self.next() {
            Some('"') => Value::Text(self.quoted()?),
            Some('[') => self.nested(Self::list)?,
            Some('{') => self.nested(|parser| Ok(Value::Map(parser.body(Some('}'))?)))?,
            _ => match self.word() {
                word if word.is_empty() => {
                    return self.fault("this is not HCL: a value was to come");
                }
                word if word == "null" => Value::Null,
                word => Value::Text(word),
            },
        };
        Ok(Node {
            span: self.span(start),
            value,
        })
    }

    fn nested(&mut self, read: fn(&mut Self) -> Read<Value>) -> Read<Value> {
        self.depth = self.depth.saturating_add(1);
        if self.depth > DEPTH {
            return self.fault("lists and mappings are nested too deep");
        }
        self.step();
        let value = read(self);
        self.depth = self.depth.saturating_sub(1);
        value
    }

    fn list(&mut self) -> Read<Value> {
        let mut items = Vec::new();
        loop {
            self.skip()?;
            match self.next() {
                None => return self.fault("a bracket is not closed"),
                Some(']') => {
                    self.step();
                    return Ok(Value::List(items));
                }
                Some(_) => items.push(self.value()?),
            }
        }
    }

    /// A text in double quotes.
    fn quoted(&mut self) -> Read<String> {
        self.step();
        let mut text = String::new();
        loop {
            let Some(c) = self.next() else {
                return self.fault("this text does not end");
            };
            match c {
                '"' => {
                    self.step();
                    return Ok(text);
                }
                '\n' => return self.fault("this text does not end on its line"),
                '$' | '%' if self.rest().chars().nth(1) == Some('{') => {
                    return self.fault("templates are not read: write the value out");
                }
                '\\' => {
                    self.step();
                    match self.next() {
                        Some(c @ ('"' | '\\')) => text.push(c),
                        Some('n') => text.push('\n'),
                        Some('t') => text.push('\t'),
                        _ => {
                            return self
                                .fault("this escape is not read: write the character itself");
                        }
                    }
                    self.step();
                }
                c => {
                    text.push(c);
                    self.step();
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_blocks_and_lists_are_read() {
        let text = "# first\nKind = \"service-intentions\" // one\nSources = [\n  {\n    Name = \"web\"\n    \
                    HTTP { PathPrefix: \"/a\\\"b\", Methods = [\"GET\", \"PUT\",] }\n  },\n]\n/* end */ Precedence = 9\n";
        let source = Source::new("a.hcl", text);
        assert!(is_hcl(&source));
        let node = document(0, &source).unwrap();
        assert_eq!(node.field_text("Kind"), Some("service-intentions"));
        assert_eq!(node.field_text("Precedence"), Some("9"));
        let first = node.field("Sources").unwrap().items().first().unwrap();
        let http = first.field("HTTP").unwrap();
        assert_eq!(http.field_text("PathPrefix"), Some("/a\"b"));
        assert_eq!(http.field("Methods").unwrap().items().len(), 2);
        let at = first.field("Name").unwrap().span;
        assert_eq!(text.get(at.start..at.end), Some("\"web\""));
    }

    #[test]
    fn what_is_not_read_is_refused_at_its_place() {
        let cases = [
            ("a = \"b", "this text does not end"),
            ("a = \"b\nc", "this text does not end on its line"),
            ("a = [", "a bracket is not closed"),
            ("a = {", "a brace is not closed"),
            ("a = <<EOT\nx\nEOT", "this is not HCL: a value was to come"),
            (
                "a = \"${b}\"",
                "templates are not read: write the value out",
            ),
            (
                "a = \"\\x\"",
                "this escape is not read: write the character itself",
            ),
            ("a b", "this is not HCL: `=` or `{` was to come"),
            ("= b", "this is not HCL: a name was to come"),
            ("a = 1\na = 2", "the key `a` stands twice"),
            ("/* a", "this comment does not end"),
        ];
        for (text, expected) in cases {
            let found = document(0, &Source::new("a.hcl", text)).unwrap_err();
            assert_eq!(found.message, expected, "{text:?}");
        }
        let deep = format!("a = {}", "[".repeat(100));
        assert!(document(0, &Source::new("a.hcl", deep)).is_err());
    }

    #[test]
    fn yaml_and_json_are_not_hcl() {
        for text in [
            "Kind: service-intentions",
            "{\"Kind\": 1}",
            "",
            "# a = b",
            "- a = b",
            "---\na: b",
        ] {
            assert!(!is_hcl(&Source::new("a", text)), "{text:?}");
        }
        assert!(is_hcl(&Source::new("a", "\n// x\nKind=\"y\"")));
    }
}
