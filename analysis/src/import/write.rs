//! The documents that an import writes.

use std::{collections::BTreeSet, fmt::Write as _};

use callgate_policy::{TrustDomain, document::Source};

use super::{
    Options,
    draft::{Call, Draft, Rule, Rules, caller},
    shape::{End, Segment, Shape},
};

/// What was written.
pub(super) struct Written {
    pub(super) text: String,
    pub(super) services: usize,
    pub(super) rules: usize,
}

/// Writes `draft`; nothing, if there is nothing in it.
pub(super) fn write(draft: &Draft, options: &Options, sources: &[Source]) -> Written {
    let mut writer = Writer {
        options,
        sources,
        domains: domains(draft, options),
        names: BTreeSet::new(),
        written: Written {
            text: String::new(),
            services: 0,
            rules: 0,
        },
    };
    if draft.services.is_empty() && draft.mesh == Rules::default() {
        return writer.written;
    }
    writer.mesh(&draft.mesh);
    let mut documents: Vec<(Vec<&str>, &Rules)> = Vec::new();
    for (service, rules) in &draft.services {
        match documents.iter_mut().find(|(_, before)| *before == rules) {
            Some((services, _)) => services.push(service),
            None => documents.push((vec![service], rules)),
        }
    }
    for (services, rules) in documents {
        writer.service(&services, rules);
    }
    writer.written
}

/// Every trust domain that the import knows of: everybody comes from one of them.
fn domains(draft: &Draft, options: &Options) -> BTreeSet<String> {
    let rules = std::iter::once(&draft.mesh).chain(draft.services.values());
    let rules = rules.flat_map(|rules| rules.allow.iter().chain(&rules.deny));
    let callers = rules.flat_map(|rule| rule.from.iter().flatten());
    let named = callers.filter_map(|shape| match shape.segments.first() {
        Some(Segment::Literal(domain)) => Some(domain.clone()),
        _ => None,
    });
    let given = options.trust_domain.iter().chain(&options.accepted);
    let own = draft
        .services
        .keys()
        .filter_map(|id| id.strip_prefix("spiffe://")?.split('/').next());
    named
        .chain(given.map(|domain| domain.as_str().to_owned()))
        .chain(own.map(str::to_owned))
        .collect()
}

struct Writer<'a> {
    options: &'a Options,
    sources: &'a [Source],
    domains: BTreeSet<String>,
    /// Names of documents.
    names: BTreeSet<String>,
    written: Written,
}

impl Writer<'_> {
    fn line(&mut self, indent: usize, text: &str) {
        let _ = writeln!(self.written.text, "{:indent$}{text}", "");
    }

    fn begin(&mut self, kind: &str, name: &str) {
        if !self.written.text.is_empty() {
            self.line(0, "---");
        }
        self.line(0, "apiVersion: callgate.dev/v1alpha1");
        self.line(0, &format!("kind: {kind}"));
        self.line(0, "metadata:");
        self.line(2, &format!("name: {}", scalar(name)));
        self.line(0, "spec:");
    }

    fn own(&self) -> Option<&str> {
        self.options.trust_domain.as_ref().map(TrustDomain::as_str)
    }

    /// The `MeshPolicy`, without which relative identities mean nothing.
    fn mesh(&mut self, rules: &Rules) {
        let Some(own) = self.own().map(str::to_owned) else {
            return;
        };
        self.begin("MeshPolicy", "mesh");
        self.line(2, &format!("trustDomain: {}", scalar(&own)));
        let others: Vec<String> = self
            .domains
            .iter()
            .filter(|domain| **domain != own)
            .cloned()
            .collect();
        if !others.is_empty() {
            self.line(2, "acceptedTrustDomains:");
            for domain in others {
                self.line(4, &format!("- {}", scalar(&domain)));
            }
        }
        self.rules(rules);
    }

    fn service(&mut self, services: &[&str], rules: &Rules) {
        let name = unique(&document_name(services), &mut self.names);
        self.begin("ServicePolicy", &name);
        self.line(2, "services:");
        for service in services {
            self.written.services = self.written.services.saturating_add(1);
            let shape = Shape::exact(service.trim_start_matches("spiffe://").split('/'));
            let text = caller(&shape, self.own());
            self.line(4, &format!("- {}", scalar(&text)));
        }
        if self.options.shadow {
            self.line(2, "enforcement: Shadow");
        }
        if *rules == Rules::default() {
            self.line(2, "allow: []");
        }
        self.rules(rules);
    }

    fn rules(&mut self, rules: &Rules) {
        let mut names = BTreeSet::new();
        for (field, list) in [("allow", &rules.allow), ("deny", &rules.deny)] {
            if list.is_empty() {
                continue;
            }
            self.line(2, &format!("{field}:"));
            for rule in list {
                self.rule(rule, field == "allow", &mut names);
            }
        }
    }

    fn rule(&mut self, rule: &Rule, allow: bool, names: &mut BTreeSet<String>) {
        self.written.rules = self.written.rules.saturating_add(1);
        if let Some(source) = self.sources.get(rule.at.file) {
            let at = source.position(u32::try_from(rule.at.start).unwrap_or(u32::MAX));
            // A line break in a file name would end the comment.
            let file = source.name().replace(char::is_control, " ");
            self.line(4, &format!("# {file}:{}", at.line));
        }
        let name = unique(&name(&rule.name), names);
        self.line(4, &format!("- name: {}", scalar(&name)));
        self.line(6, "from:");
        for from in self.from(rule) {
            self.line(8, &format!("- {}", scalar(&from)));
        }
        self.line(6, "to:");
        for call in &rule.to {
            for line in self.to(call, allow) {
                self.line(8, &format!("- {}", scalar(&line)));
            }
        }
        if let Some(when) = &rule.when {
            self.line(6, "when: >-");
            self.line(8, when);
        }
    }

    fn from(&self, rule: &Rule) -> Vec<String> {
        let everybody = || {
            let all = |domain: &String| Shape::exact([domain.as_str()]).ending(End::More);
            self.domains.iter().map(all).collect()
        };
        let shapes = rule.from.clone().unwrap_or_else(everybody);
        shapes
            .iter()
            .map(|shape| caller(shape, self.own()))
            .collect()
    }

    fn to(&self, call: &Call, allow: bool) -> Vec<String> {
        let mut lines = vec![call.to_string()];
        let has_get = call
            .methods
            .as_ref()
            .is_none_or(|methods| methods.contains("GET"));
        if allow && self.options.websocket && has_get {
            lines.push(format!("WEBSOCKET {}", call.path));
        }
        lines
    }
}

/// What a document about `services` is called: by the values of the first ID's path, as
/// `shop-web` for `/ns/shop/sa/web`.
fn document_name(services: &[&str]) -> String {
    const KEYS: [&str; 4] = ["ns", "sa", "svc", "ap"];
    let first = services.first().copied().unwrap_or_default();
    let path = first.trim_start_matches("spiffe://").split('/').skip(1);
    let path: Vec<&str> = path.collect();
    let pairs = path.chunks(2).filter_map(|pair| match pair {
        ["dc", _] => None,
        [key, value] if KEYS.contains(key) => Some((*value).to_owned()),
        other => Some(other.join("-")),
    });
    name(&pairs.collect::<Vec<_>>().join("-"))
}

/// `text` as the name of a document or a rule (RFC 1123, section 2.1).
fn name(text: &str) -> String {
    let plain = |c: char| {
        if c.is_ascii_alphanumeric() {
            c.to_ascii_lowercase()
        } else {
            '-'
        }
    };
    let name: String = text.chars().map(plain).take(200).collect();
    match name.trim_matches('-') {
        "" => "imported".to_owned(),
        name => name.to_owned(),
    }
}

/// `name`, with a number if it is taken.
fn unique(name: &str, taken: &mut BTreeSet<String>) -> String {
    let numbered = (2..).map(|n: usize| format!("{name}-{n}"));
    let mut names = std::iter::once(name.to_owned()).chain(numbered);
    let free = names.find(|name| taken.insert(name.clone()));
    free.unwrap_or_else(|| name.to_owned())
}

/// A text as YAML has it, quoted where another reader could take it for something else.
fn scalar(text: &str) -> String {
    let begins_well = text.starts_with(|c: char| c == '/' || c.is_ascii_alphabetic());
    let plain = |c: char| c.is_ascii_alphanumeric() || " /-._~!$&'()+,=:@{}*".contains(c);
    let words = ["y", "n", "yes", "no", "on", "off", "true", "false", "null"];
    let is_word = words.contains(&text.to_ascii_lowercase().as_str());
    let is_safe =
        begins_well && text.chars().all(plain) && !text.contains(": ") && !text.ends_with(':');
    if is_safe && !is_word {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', "''"))
    }
}
