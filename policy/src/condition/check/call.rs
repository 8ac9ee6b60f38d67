//! Functions, methods and macros.

use regex::RegexBuilder;

use super::{
    super::{
        ConditionFinding as Finding, ConditionFindingKind as Kind, calendar,
        node::{Macro, Node, Search, TimePart},
        syntax::{Expr, ExprKind, Word},
        types::Type,
    },
    Checker, Typed,
};
use crate::document::{nearest, parse_time};

/// Bytes that a compiled regular expression may take. `\w{1,64}` takes about a third.
const REGEX_BYTES: usize = 1 << 20;

const METHODS: [&str; 9] = [
    "contains",
    "startsWith",
    "endsWith",
    "matches",
    "size",
    "all",
    "exists",
    "exists_one",
    "filter",
];
const FUNCTIONS: [&str; 6] = ["has", "size", "int", "string", "timestamp", "duration"];

const TIME_PARTS: [(&str, TimePart); 10] = [
    ("getFullYear", TimePart::Year),
    ("getMonth", TimePart::Month),
    ("getDayOfYear", TimePart::DayOfYear),
    ("getDayOfMonth", TimePart::DayOfMonth),
    ("getDate", TimePart::Date),
    ("getDayOfWeek", TimePart::DayOfWeek),
    ("getHours", TimePart::Hours),
    ("getMinutes", TimePart::Minutes),
    ("getSeconds", TimePart::Seconds),
    ("getMilliseconds", TimePart::Milliseconds),
];

impl Checker {
    pub(super) fn call(
        &mut self,
        target: Option<&Expr>,
        function: &Word,
        arguments: &[Expr],
    ) -> Typed {
        match target {
            Some(target) => self.method(target, function, arguments),
            None => self.function(function, arguments),
        }
    }

    fn function(&mut self, function: &Word, arguments: &[Expr]) -> Typed {
        if !FUNCTIONS.contains(&&*function.text) {
            return self.unknown_function(function, &FUNCTIONS);
        }
        let [argument] = arguments else {
            return self.wrong_count(function, 1, arguments.len());
        };
        match &*function.text {
            "has" => self.has(argument),
            "size" => self.size(argument),
            "int" => {
                let node = self.typed(argument, &Type::Text, "`int`")?;
                Some((Node::ToInt(Box::new(node)), Type::Int))
            }
            "string" => {
                let node = self.typed(argument, &Type::Int, "`string`")?;
                Some((Node::ToText(Box::new(node)), Type::Text))
            }
            "timestamp" => {
                let text = self.literal(argument, "`timestamp`")?;
                match parse_time(&text) {
                    Ok(time) => Some((Node::Time(time.as_millis()), Type::Time)),
                    Err(error) => {
                        let message = format!("`{}` is not a time: {error}", text.escape_debug());
                        let finding = Finding::new(Kind::Type, argument.range.clone(), message);
                        self.refuse(finding.help("such as `2027-01-01T00:00:00Z`"))
                    }
                }
            }
            _ => {
                let text = self.literal(argument, "`duration`")?;
                match calendar::duration(&text) {
                    Some(millis) => Some((Node::Duration(millis), Type::Duration)),
                    None => {
                        let message = format!("`{}` is not a duration", text.escape_debug());
                        let finding = Finding::new(Kind::Type, argument.range.clone(), message);
                        self.refuse(finding.help("such as `90s`, `15m` or `1h30m`"))
                    }
                }
            }
        }
    }

    fn has(&mut self, argument: &Expr) -> Typed {
        let ExprKind::Select(operand, name) = &argument.kind else {
            let message = "`has` takes a header or a parameter by name";
            let finding = Finding::new(Kind::Type, argument.range.clone(), message);
            return self.refuse(
                finding.help("`\"x-name\" in request.headers` says whether a header is there"),
            );
        };
        match self.map(operand) {
            Some(map) => self.presence(map, &name.text, &name.range),
            None => {
                self.expression(argument)?;
                let message = "this is always there";
                self.refuse(Finding::new(
                    Kind::Constant,
                    argument.range.clone(),
                    message,
                ))
            }
        }
    }

    fn method(&mut self, target: &Expr, method: &Word, arguments: &[Expr]) -> Typed {
        if let Some(kind) = macro_of(&method.text) {
            return self.run(kind, target, method, arguments);
        }
        if let Some((_, part)) = TIME_PARTS.iter().find(|(name, _)| *name == method.text) {
            return self.time_part(*part, target, method, arguments);
        }
        match (&*method.text, arguments) {
            ("size", []) => self.size(target),
            ("matches", [pattern]) => self.matches(target, pattern),
            ("contains" | "startsWith" | "endsWith", [part]) => {
                let search = match &*method.text {
                    "contains" => Search::Contains,
                    "startsWith" => Search::StartsWith,
                    _ => Search::EndsWith,
                };
                let what = format!("`{}`", method.text);
                let text = self.typed(target, &Type::Text, &what);
                let (text, node) = (text?, self.typed(part, &Type::Text, &what)?);
                if let Node::Text(literal) = &node {
                    self.never_begins(search, &text, literal, &part.range);
                }
                Some((Node::Search(search, Box::new([text, node])), Type::Bool))
            }
            ("size", _) => self.wrong_count(method, 0, arguments.len()),
            ("matches" | "contains" | "startsWith" | "endsWith", _) => {
                self.wrong_count(method, 1, arguments.len())
            }
            _ => {
                let known: Vec<&str> = TIME_PARTS
                    .iter()
                    .map(|(name, _)| *name)
                    .chain(METHODS)
                    .collect();
                self.unknown_function(method, &known)
            }
        }
    }

    fn size(&mut self, argument: &Expr) -> Typed {
        let (node, of) = self.expression(argument)?;
        match of {
            Type::Text | Type::List(_) => Some((Node::Size(Box::new(node)), Type::Int)),
            other => {
                let message = format!("{other} has no size");
                self.refuse(Finding::new(Kind::Type, argument.range.clone(), message))
            }
        }
    }

    /// Compiled now: a request must not pay for that, nor find that it is wrong.
    fn matches(&mut self, target: &Expr, pattern: &Expr) -> Typed {
        let text = self.typed(target, &Type::Text, "`matches`");
        let written = self.literal(pattern, "`matches`")?;
        let regex = RegexBuilder::new(&written).size_limit(REGEX_BYTES).build();
        match regex {
            Ok(regex) => Some((Node::Matches(Box::new(text?), regex), Type::Bool)),
            Err(regex::Error::CompiledTooBig(_)) => {
                let message = "the regular expression is too large".to_owned();
                self.refuse(super::too_costly(pattern.range.clone(), message))
            }
            Err(error) => {
                let told = error.to_string();
                let why = told.lines().last().unwrap_or_default();
                let why = why.strip_prefix("error: ").unwrap_or(why);
                let message = format!("not a regular expression: {why}");
                self.refuse(Finding::new(Kind::Syntax, pattern.range.clone(), message))
            }
        }
    }

    fn time_part(
        &mut self,
        part: TimePart,
        target: &Expr,
        method: &Word,
        arguments: &[Expr],
    ) -> Typed {
        let what = format!("`{}`", method.text);
        let time = self.typed(target, &Type::Time, &what);
        let offset = match arguments {
            [] => 0,
            [zone] => {
                let text = self.literal(zone, &what)?;
                let Some(offset) = calendar::offset(&text) else {
                    let message = format!("`{}` is not an offset from UTC", text.escape_debug());
                    let finding = Finding::new(Kind::Type, zone.range.clone(), message);
                    return self.refuse(finding.help(
                        "write `+01:00`: what a place's clocks show changes with its laws and its summer time",
                    ));
                };
                offset
            }
            _ => return self.wrong_count(method, 1, arguments.len()),
        };
        Some((Node::TimePart(part, Box::new(time?), offset), Type::Int))
    }

    /// `list.exists(element, condition)` and its kin.
    fn run(&mut self, kind: Macro, list: &Expr, method: &Word, arguments: &[Expr]) -> Typed {
        if self.map(list).is_some() {
            let message = format!(
                "`{}` would read every one: name those that count",
                method.text
            );
            let finding = Finding::new(Kind::Type, list.range.clone(), message);
            return self.refuse(finding.help("for example `request.headers[\"x-name\"]`"));
        }
        let (nodes, of) = self.expression(list)?;
        let Type::List(element) = of.clone() else {
            let message = format!("`{}` takes a list, but this is {of}", method.text);
            return self.refuse(Finding::new(Kind::Type, list.range.clone(), message));
        };
        let [variable, body] = arguments else {
            return self.wrong_count(method, 2, arguments.len());
        };
        let ExprKind::Name(name) = &variable.kind else {
            let message = format!("`{}` begins with a name for the element", method.text);
            return self.refuse(Finding::new(Kind::Syntax, variable.range.clone(), message));
        };
        self.locals.push((name.clone(), *element));
        let body = self.typed(body, &Type::Bool, &format!("`{}`", method.text));
        self.locals.pop();
        let node = Node::Macro(kind, Box::new([nodes, body?]));
        Some((
            node,
            if kind == Macro::Filter {
                of
            } else {
                Type::Bool
            },
        ))
    }

    /// A text that stands in the condition.
    fn literal(&mut self, argument: &Expr, what: &str) -> Option<String> {
        if let ExprKind::Text(text) = &argument.kind {
            return Some(text.clone());
        }
        let message = format!("{what} takes a text in quotes");
        self.refuse(Finding::new(Kind::Type, argument.range.clone(), message))
    }

    fn wrong_count(&mut self, function: &Word, wanted: usize, seen: usize) -> Typed {
        let plural = if wanted == 1 { "" } else { "s" };
        let message = format!(
            "`{}` takes {wanted} argument{plural}, not {seen}",
            function.text
        );
        self.refuse(Finding::new(Kind::Type, function.range.clone(), message))
    }

    fn unknown_function(&mut self, function: &Word, known: &[&str]) -> Typed {
        let tried = &*function.text;
        let help = match tried {
            "lowerAscii" | "upperAscii" | "toLower" | "lower" | "upper" => {
                Some("texts compare exactly; list the spellings: `… in [\"a\", \"A\"]`".to_owned())
            }
            "split" | "substring" | "replace" | "trim" | "join" | "format" | "map" => Some(
                "conditions look at texts with `contains`, `startsWith`, `endsWith` and `matches`"
                    .to_owned(),
            ),
            "regex" | "match" => Some("did you mean `matches`?".to_owned()),
            "existsOne" => Some("did you mean `exists_one`?".to_owned()),
            "now" => Some("did you mean `request.time`?".to_owned()),
            _ => {
                let all = FUNCTIONS.iter().chain(&METHODS).copied();
                let meant = nearest(tried, known.to_vec())
                    .or_else(|| nearest(tried, all.collect::<Vec<_>>()));
                meant.map(|meant| format!("did you mean `{meant}`?"))
            }
        };
        let listed = || {
            let names: Vec<String> = known.iter().map(|name| format!("`{name}`")).collect();
            format!("there are {}", names.join(", "))
        };
        let help = help.unwrap_or_else(listed);
        self.unknown(
            &function.range,
            format!("unknown function `{tried}`"),
            Some(help),
        )
    }
}

fn macro_of(name: &str) -> Option<Macro> {
    Some(match name {
        "all" => Macro::All,
        "exists" => Macro::Exists,
        "exists_one" => Macro::ExistsOne,
        "filter" => Macro::Filter,
        _ => return None,
    })
}
