//! How requests come: method, upgrade, content type.
//!
//! There are endless methods, but rules tell apart only those that they name. Of each
//! kind that no verb of the language divides, one request stands for all.

use std::{collections::HashMap, fmt};

use callgate_policy::{Caller, NoHeaders, Request, Side, SpiffeId};

use super::Access;

/// One way in which requests come.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Kind {
    method: String,
    upgrade: Option<&'static str>,
    content_type: Option<&'static str>,
}

/// Methods that documents rarely need to name, and one of which is then what "any other
/// method" means.
const OTHERS: [&str; 4] = ["REPORT", "LOCK", "BREW", "FETCH"];

/// The usual ones; those that read best stand first, since the first of a kind stands for
/// it.
const USUAL: [&str; 8] = [
    "GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "TRACE",
];

/// One for each way in which verbs look at the `upgrade` header.
const UPGRADES: [Option<&str>; 4] = [None, Some("websocket"), Some("h2c"), Some("h2c, websocket")];

const CONTENT_TYPES: [Option<&str>; 2] = [None, Some("application/grpc")];

/// The distinct verbs of a language, each with an access that has it.
#[derive(Debug, Default)]
pub(super) struct Verbs(HashMap<(String, Side), Access>);

/// The kinds that the verbs of a language tell apart.
#[derive(Debug)]
pub(super) struct Kinds {
    kinds: Vec<Kind>,
    /// The methods of each kind, of plain requests.
    methods: Vec<Vec<String>>,
    /// The kinds that each verb takes.
    verbs: HashMap<(String, Side), Vec<usize>>,
}

impl Verbs {
    pub(super) fn add(&mut self, access: &Access) {
        let key = (access.to().verb(), access.side());
        self.0.entry(key).or_insert_with(|| access.clone());
    }

    pub(super) fn finish(self) -> Kinds {
        let verbs: Vec<_> = self.0.into_iter().collect();
        let (mut kinds, mut seen) = (Vec::new(), HashMap::<Vec<bool>, usize>::new());
        let mut methods: Vec<Vec<String>> = Vec::new();
        let mut takes = vec![Vec::new(); verbs.len()];
        for kind in candidates(&verbs) {
            let taken: Vec<bool> = verbs.iter().map(|(_, access)| kind.is_of(access)).collect();
            let plain = kind.upgrade.is_none() && kind.content_type.is_none();
            let method = plain.then(|| kind.method.clone());
            if let Some(known) = seen.get(&taken) {
                if let Some(list) = methods.get_mut(*known) {
                    list.extend(method);
                }
                continue;
            }
            methods.push(method.into_iter().collect());
            for (list, taken) in takes.iter_mut().zip(&taken) {
                if *taken {
                    list.push(kinds.len());
                }
            }
            seen.insert(taken, kinds.len());
            kinds.push(kind);
        }
        let keys = verbs.into_iter().map(|(key, _)| key);
        Kinds {
            kinds,
            methods,
            verbs: keys.zip(takes).collect(),
        }
    }
}

/// Every kind that any verb may tell from the others.
fn candidates(verbs: &[((String, Side), Access)]) -> Vec<Kind> {
    let mut methods: Vec<&str> = USUAL.to_vec();
    for (_, access) in verbs {
        for name in access.to().methods() {
            if !methods.contains(&name) {
                methods.push(name);
            }
        }
    }
    let unnamed = OTHERS.iter().find(|name| !methods.contains(*name));
    let mut kinds = Vec::new();
    for upgrade in UPGRADES {
        for content_type in CONTENT_TYPES {
            let methods = methods.iter().chain(unnamed);
            kinds.extend(methods.map(|method| Kind {
                method: (*method).to_owned(),
                upgrade,
                content_type,
            }));
        }
    }
    kinds
}

impl Kinds {
    /// The methods of plain requests of a kind.
    pub(super) fn methods(&self, kind: usize) -> &[String] {
        self.methods.get(kind).map_or(&[], |methods| methods)
    }

    /// The kinds that all `accesses` take; without any, all there are.
    pub(super) fn of_all(&self, accesses: &[&Access]) -> Vec<usize> {
        if accesses.is_empty() {
            return (0..self.kinds.len()).collect();
        }
        let mut lists = accesses.iter().map(|access| {
            let key = (access.to().verb(), access.side());
            self.verbs.get(&key).map_or(&[][..], |list| list)
        });
        let first = lists.next().unwrap_or_default();
        let rest: Vec<&[usize]> = lists.collect();
        let in_all = |kind: &usize| rest.iter().all(|list| list.contains(kind));
        first.iter().copied().filter(in_all).collect()
    }

    #[expect(
        clippy::indexing_slicing,
        reason = "numbers of kinds come from `of_all`"
    )]
    pub(super) fn kind(&self, number: usize) -> &Kind {
        &self.kinds[number]
    }
}

impl Kind {
    pub(super) fn request<'a>(
        &'a self,
        caller: Caller<'a>,
        service: Option<&'a SpiffeId>,
        path: &'a str,
    ) -> Request<'a> {
        Request {
            caller,
            service,
            method: &self.method,
            path,
            upgrade: self.upgrade,
            content_type: self.content_type,
            host: None,
            headers: &NoHeaders,
        }
    }

    pub(super) fn method(&self) -> &str {
        &self.method
    }

    pub(super) const fn upgrade(&self) -> Option<&str> {
        self.upgrade
    }

    pub(super) const fn content_type(&self) -> Option<&str> {
        self.content_type
    }

    /// Whether `access` takes requests of this kind.
    fn is_of(&self, access: &Access) -> bool {
        let Ok(caller) = SpiffeId::parse("spiffe://example.org/any") else {
            return false;
        };
        access.takes(&self.request(Caller::Verified(&caller), None, "/"))
    }

    pub(super) fn write_call(&self, path: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&*self.method, self.upgrade, self.content_type) {
            ("GET", Some("websocket"), None) => write!(f, "WEBSOCKET {path}"),
            ("POST", None, Some(_)) if path.matches('/').count() == 2 && !path.ends_with('/') => {
                write!(f, "GRPC {}", path.trim_start_matches('/'))
            }
            (method, upgrade, content_type) => {
                write!(f, "{method} {path}")?;
                if let Some(upgrade) = upgrade {
                    write!(f, " with upgrade: {upgrade}")?;
                }
                if let Some(content_type) = content_type {
                    write!(f, " with content-type: {content_type}")?;
                }
                Ok(())
            }
        }
    }
}

#[cfg(test)]
impl Kind {
    pub(super) fn example(method: &str, upgrade: Option<&'static str>) -> Self {
        Self {
            method: method.to_owned(),
            upgrade,
            content_type: None,
        }
    }
}
