use proptest::prelude::*;

use super::*;
use crate::{
    CallerPattern, Operation, PathOptions, SpiffeId, Timestamp,
    spec::{
        Callers, Enforcement, ExceptionSpec, FromSpec, MeshSpec, PolicySetSpec, RuleSpec,
        ServiceSpec, ToSpec, TrustSpec,
    },
};

const EXPIRES: &str = "2027-02-01T00:00:00Z";
const EXPIRES_SECS: i64 = 1_801_440_000;
const MEMBERS: [&str; 2] = ["/ns/a/sa/app", "/ns/*/sa/reader"];

/// A service's policy, as its author thinks of it.
#[derive(Clone, Debug)]
struct Wanted {
    services: usize,
    owner: Option<String>,
    help: Option<String>,
    shadow: bool,
    paths: PathOptions,
    keep_headers: bool,
    allow: Vec<WantedRule>,
    deny: Vec<WantedRule>,
}

#[derive(Clone, Debug)]
struct WantedRule {
    from: Vec<&'static str>,
    to: Vec<&'static str>,
    exception: Option<String>,
}

fn wanted() -> impl Strategy<Value = Wanted> {
    let text = || prop::option::of("[ -~äöü€😀]{0,20}[!-~]");
    let rules = |exceptions| prop::collection::vec(rule(exceptions), 0..4);
    let paths = any::<[bool; 3]>().prop_map(|[slash, parameters, trailing]| PathOptions {
        keep_encoded_slash: slash,
        keep_parameters: parameters,
        ignore_trailing_slash: trailing,
    });
    let switches = (1..4_usize, any::<bool>(), any::<bool>());
    (switches, text(), text(), paths, rules(true), rules(false)).prop_map(
        |((services, shadow, keep_headers), owner, help, paths, allow, deny)| Wanted {
            services,
            owner,
            help,
            shadow,
            paths,
            keep_headers,
            allow,
            deny,
        },
    )
}

fn rule(exceptions: bool) -> impl Strategy<Value = WantedRule> {
    let from = prop::sample::subsequence(
        vec![
            "/ns/a/sa/b",
            "/ns/*/sa/x",
            "spiffe://other.example/q/**",
            "readers",
        ],
        1..4,
    );
    let to = prop::sample::subsequence(
        vec![
            "GET /",
            "POST,PUT /a/{b}",
            "ANY /x/**",
            "GRPC a.v1.B/*",
            "WEBSOCKET /w",
            "GET /p/{a}:cancel",
        ],
        1..5,
    );
    let exception =
        prop::option::of("[ -~]{0,20}[!-~]").prop_map(move |reason| reason.filter(|_| exceptions));
    (from, to, exception).prop_map(|(from, to, exception)| WantedRule {
        from,
        to,
        exception,
    })
}

/// Writes YAML in one of many equal forms, as `choices` say.
struct Printer {
    choices: Vec<u8>,
    next: usize,
}

impl Printer {
    fn choose(&mut self, n: u8) -> u8 {
        let choice = self.choices[self.next % self.choices.len()];
        self.next += 1;
        choice % n
    }

    fn document(&mut self, wanted: &Wanted) -> String {
        let mut spec = vec![self.list("services", &callees(wanted.services), 2)];
        for (field, text) in [("owner", &wanted.owner), ("help", &wanted.help)] {
            spec.extend(
                text.as_ref()
                    .map(|text| format!("  {field}: {}\n", self.text(text))),
            );
        }
        if wanted.shadow || self.choose(2) == 0 {
            let word = if wanted.shadow { "Shadow" } else { "Enforce" };
            spec.push(format!("  enforcement: {}\n", self.text(word)));
        }
        if wanted.keep_headers {
            spec.push("  overrideHeaders: Keep\n".to_owned());
        }
        spec.extend(paths(wanted.paths));
        for (field, rules) in [("allow", &wanted.allow), ("deny", &wanted.deny)] {
            if rules.is_empty() {
                spec.extend((self.choose(2) == 0).then(|| format!("  {field}: []\n")));
            } else {
                let rules: String = (0..)
                    .zip(rules)
                    .map(|(n, rule)| self.rule(field, n, rule))
                    .collect();
                spec.push(format!("  {field}:{}\n{rules}", self.comment()));
            }
        }
        self.shuffle(&mut spec);
        let mut fields = vec![
            "kind: ServicePolicy\n".to_owned(),
            format!("metadata: {{name: orders}}{}\n", self.comment()),
            format!("spec:{}\n{}", self.comment(), spec.concat()),
        ];
        self.shuffle(&mut fields);
        fields.concat()
    }

    fn rule(&mut self, field: &str, n: usize, rule: &WantedRule) -> String {
        let mut fields = vec![
            format!("      name: {}\n", self.text(&format!("{field} {n}"))),
            self.list("from", &owned(&rule.from), 6),
            self.list("to", &owned(&rule.to), 6),
        ];
        fields.extend(rule.exception.as_ref().map(|reason| {
            format!(
                "      exception:\n        reason: {}\n        ticket: SEC-1\n        \
                 approvedBy: dana@example.org\n        expires: {EXPIRES}\n",
                self.text(reason)
            )
        }));
        self.shuffle(&mut fields);
        // The first field stands on the line of the dash.
        fields.concat().replacen("      ", "    - ", 1)
    }

    fn list(&mut self, field: &str, items: &[String], indent: usize) -> String {
        let pad = " ".repeat(indent);
        if self.choose(2) == 0 {
            let items: Vec<_> = items.iter().map(|item| self.quoted(item)).collect();
            return format!("{pad}{field}: [{}]\n", items.join(", "));
        }
        let dash = if self.choose(2) == 0 { "- " } else { "  - " };
        let items: String = items
            .iter()
            .map(|item| format!("{pad}{dash}{}{}\n", self.text(item), self.comment()))
            .collect();
        format!("{pad}{field}:{}\n{items}", self.comment())
    }

    /// Plain where that is the same to every reader.
    fn text(&mut self, text: &str) -> String {
        let safe = |c: char| c.is_ascii_alphanumeric() || "/-._{}*".contains(c);
        let plain = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '/')
            && text.chars().all(|c| safe(c) || " ,@".contains(c))
            && yaml::plain::read_as(text).is_none();
        if plain && self.choose(3) == 0 {
            text.to_owned()
        } else {
            self.quoted(text)
        }
    }

    fn quoted(&mut self, text: &str) -> String {
        if self.choose(2) == 0 {
            format!("'{}'", text.replace('\'', "''"))
        } else {
            format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
        }
    }

    fn comment(&mut self) -> &'static str {
        ["", " # {: [", "   ", "\n\n# GET /"][usize::from(self.choose(4))]
    }

    fn shuffle(&mut self, fields: &mut [String]) {
        for last in (1..fields.len()).rev() {
            fields.swap(last, usize::from(self.choose(u8::MAX)) % (last + 1));
        }
    }
}

fn paths(options: PathOptions) -> Option<String> {
    let fields = [
        (options.keep_encoded_slash, "encodedSlash: Keep"),
        (options.keep_parameters, "parameters: Keep"),
        (options.ignore_trailing_slash, "trailingSlash: Ignore"),
    ];
    let set: Vec<_> = fields
        .into_iter()
        .filter_map(|(set, text)| set.then_some(text))
        .collect();
    (!set.is_empty()).then(|| format!("  paths: {{{}}}\n", set.join(", ")))
}

fn callees(n: usize) -> Vec<String> {
    (0..n).map(|n| format!("/ns/shop/sa/orders-{n}")).collect()
}

fn owned(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|&text| text.to_owned()).collect()
}

/// What the loader must make of it, without lines.
fn expected(wanted: &Wanted) -> PolicySetSpec {
    let domain = TrustDomain::parse("example.org").unwrap();
    let pattern = |text: &str| CallerPattern::parse(text, Some(&domain)).unwrap();
    let callers = |text: &str| match text {
        "readers" => Callers::Group(MEMBERS.map(pattern).to_vec()),
        text => Callers::Pattern(pattern(text)),
    };
    let rules = |field: &str, rules: &[WantedRule]| -> Vec<RuleSpec> {
        let rule = |(n, rule): (usize, &WantedRule)| RuleSpec {
            name: format!("{field} {n}"),
            line: 0,
            from: rule
                .from
                .iter()
                .map(|&text| FromSpec {
                    line: 0,
                    text: text.to_owned(),
                    callers: callers(text),
                })
                .collect(),
            to: rule
                .to
                .iter()
                .map(|&text| ToSpec {
                    line: 0,
                    text: text.to_owned(),
                    operation: Operation::parse(text, wanted.paths).unwrap(),
                })
                .collect(),
            when: None,
            enforcement: Enforcement::Enforce,
            exception: rule.exception.as_ref().map(|_| ExceptionSpec {
                line: 0,
                expires: Timestamp::from_secs(EXPIRES_SECS),
            }),
        };
        rules.iter().enumerate().map(rule).collect()
    };
    let id = |path: &String| SpiffeId::parse(&format!("spiffe://example.org{path}")).unwrap();
    PolicySetSpec {
        mesh: Some(MeshSpec {
            name: "mesh".to_owned(),
            file: "mesh.yaml".to_owned(),
            unpolicied: Enforcement::Enforce,
            identity: Enforcement::Enforce,
            trust: TrustSpec::default(),
            allow: Vec::new(),
            deny: Vec::new(),
        }),
        services: vec![ServiceSpec {
            name: "orders".to_owned(),
            file: "orders.yaml".to_owned(),
            services: callees(wanted.services).iter().map(id).collect(),
            owner: wanted.owner.clone(),
            help: wanted.help.clone(),
            enforcement: if wanted.shadow {
                Enforcement::Shadow
            } else {
                Enforcement::Enforce
            },
            paths: wanted.paths,
            keep_override_headers: wanted.keep_headers,
            allow: rules("allow", &wanted.allow),
            deny: rules("deny", &wanted.deny),
        }],
    }
}

/// Checks that lines lead to what they are of, and takes them away.
fn check_lines(spec: &mut PolicySetSpec, source: &Source) {
    let has = |line: u32, text: &str| {
        let written = source.line(line).unwrap();
        assert!(written.contains(text), "{line}: {text} in {written}");
    };
    let services = spec.services.iter_mut();
    for rule in services.flat_map(|one| one.allow.iter_mut().chain(&mut one.deny)) {
        has(rule.line, "    - ");
        rule.line = 0;
        for from in &mut rule.from {
            has(from.line, &from.text);
            from.line = 0;
        }
        for to in &mut rule.to {
            has(to.line, &to.text);
            to.line = 0;
        }
        if let Some(exception) = &mut rule.exception {
            has(exception.line, EXPIRES);
            exception.line = 0;
        }
    }
}

proptest! {
    #[test]
    fn a_document_loads_to_what_it_says(
        wanted in wanted(),
        choices in prop::collection::vec(any::<u8>(), 1..64),
        crlf in any::<bool>(),
    ) {
        let mut text = Printer { choices, next: 0 }.document(&wanted);
        if crlf {
            text = text.replace('\n', "\r\n");
        }
        let group = format!(
            "kind: CallerGroup\nmetadata: {{name: readers}}\nspec: {{members: [{}]}}\n---\n\
             kind: MeshPolicy\nmetadata: {{name: mesh}}\nspec: {{trustDomain: example.org}}\n",
            MEMBERS.join(", ")
        );
        let sources = [Source::new("mesh.yaml", group), Source::new("orders.yaml", text)];
        let mut sink = Sink::default();
        let options = LoadOptions::default();
        let documents = read(&sources, &options, &mut sink);
        let mut compiled = compile::compile(&documents, &sources, &options, &mut sink);
        if let Some(findings) = sink.into_findings(&sources, 9) {
            panic!("{}\n{}", findings.render(&sources, false), sources[1].text());
        }
        check_lines(&mut compiled.spec, &sources[1]);
        prop_assert_eq!(
            format!("{:#?}", compiled.spec),
            format!("{:#?}", expected(&wanted)),
            "{}", sources[1].text()
        );
        prop_assert!(load(&sources, &options).is_ok());
    }

    /// Whatever is in a file: findings, or a set, and either can be shown.
    #[test]
    fn no_file_stops_the_loader(
        wanted in wanted(),
        choices in prop::collection::vec(any::<u8>(), 1..16),
        cuts in prop::collection::vec((any::<prop::sample::Index>(), "[ -~\n\t]{0,3}|é|\u{202e}"), 0..4),
    ) {
        let mut text = Printer { choices, next: 0 }.document(&wanted);
        for (at, inserted) in cuts {
            let mut at = at.index(text.len());
            while !text.is_char_boundary(at) {
                at -= 1;
            }
            text.insert_str(at, &inserted);
        }
        let sources = [Source::new("orders.yaml", text)];
        if let Err(LoadError::Findings(findings)) = load(&sources, &LoadOptions::default()) {
            prop_assert!(!findings.diagnostics().is_empty());
            let _shown = findings.render(&sources, true);
            for found in findings.diagnostics() {
                prop_assert!(source_has(&sources[0], found), "{}", found);
            }
        }
    }
}

/// Whether a finding lies within the file it is about.
fn source_has(source: &Source, found: &Diagnostic) -> bool {
    let Place { start, end, .. } = found.place;
    let length = |line| source.line(line).map_or(0, |text| text.chars().count());
    start.line == end.line && start <= end && end.column as usize <= length(end.line) + 2
}

#[test]
fn nothing_is_not_a_set() {
    for text in ["", "# all gone\n", "---\n---\n"] {
        let sources = [Source::new("a.yaml", text)];
        let loaded = load(&sources, &LoadOptions::default());
        assert!(matches!(loaded, Err(LoadError::NoDocuments)), "{text:?}");
    }
    assert!(matches!(
        load(&[], &LoadOptions::default()),
        Err(LoadError::NoDocuments)
    ));
}

#[test]
fn a_broken_file_does_not_make_findings_in_others() {
    let sources = [
        Source::new(
            "groups.yaml",
            "kind: CallerGroup\nmetadata: {name: readers\n",
        ),
        Source::new(
            "orders.yaml",
            "kind: ServicePolicy\nmetadata: {name: orders}\nspec:\n  services: [/a]\n  allow:\n  \
             - {name: read, from: [readers], to: [GET /]}\n",
        ),
    ];
    let Err(LoadError::Findings(findings)) = load(&sources, &LoadOptions::default()) else {
        panic!("the first file is broken");
    };
    let codes: Vec<Code> = findings.diagnostics().iter().map(|one| one.code).collect();
    assert_eq!(codes, [Code::Syntax]);
}
