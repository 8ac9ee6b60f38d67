//! Generate: the least rules that allow what was seen.
//!
//! ```text
//!  Record ──call──► Seen {caller, verb, segments} ──Node::count──► a tree for each service
//!             └──► LeftOut, counted                                   │ finish
//!                                           rules by equal access ◄───┘
//!                                                 └──write──► a document, evidence as comments
//! ```
//!
//! What passed is what counts: calls that a rule allowed, and calls that a Shadow setting
//! let pass. The least that allows them is still more than they were wherever ids have
//! become a capture; the evidence for each stands beside it.

mod call;
mod rules;
mod template;
#[cfg(test)]
mod tests;
mod token;
mod tree;
mod values;
mod write;

use std::collections::{BTreeMap, HashMap};

use callgate_policy::{PathOptions, PolicySet, SpiffeId, Timestamp};

use crate::log::Record;

pub use call::LeftOut;

use call::{Seen, read};
use tree::{MAX_NODES, Node};

/// Callers that one service has at most, some 200 bytes each.
const MAX_CALLERS: usize = 100_000;
/// Services that documents are written for at most.
const MAX_SERVICES: usize = 1_000;

/// What is wanted.
#[derive(Debug)]
pub struct GenerateOptions {
    /// The services to write documents for; empty for every one that was called.
    pub services: Vec<SpiffeId>,
    /// So many words in one place, with the same below each, become a capture.
    pub words: usize,
    /// Rules of the mesh that are there anyway: what they allow is left out.
    pub mesh: Option<PolicySet>,
}

/// Takes records, and writes documents that allow what passed.
#[derive(Debug)]
pub struct Generator {
    options: GenerateOptions,
    services: BTreeMap<SpiffeId, Service>,
    /// Records about services that are not asked for.
    elsewhere: u64,
    /// Records about services beyond the first 1,000, or without a SPIFFE ID.
    beyond: u64,
}

/// What was seen of one service.
#[derive(Debug)]
struct Service {
    callers: Callers,
    paths: Node,
    grpc: BTreeMap<Box<str>, BTreeMap<u32, u64>>,
    /// What is left of [`MAX_NODES`].
    room: usize,
    options: PathOptions,
    calls: u64,
    unproven: u64,
    span: Option<(Timestamp, Timestamp)>,
    left_out: BTreeMap<LeftOut, u64>,
}

/// Callers, by numbers.
#[derive(Debug, Default)]
struct Callers {
    numbers: HashMap<Box<str>, u32>,
    ids: Vec<Box<str>>,
}

/// One document.
#[derive(Clone, Debug)]
pub struct Generated {
    /// The service.
    pub service: SpiffeId,
    /// The document, with its groups.
    pub text: String,
    /// Calls that it allows, of those that were recorded.
    pub calls: u64,
    /// Callers of them.
    pub callers: usize,
    /// Rules that it has.
    pub rules: usize,
    /// Calls that it does not allow, and why.
    pub left_out: BTreeMap<LeftOut, u64>,
    /// Of the calls that it allows: those recorded by a server that asked no proxy who it
    /// is. Whoever could reach it may have made them up.
    pub unproven: u64,
}

/// Everything that was generated.
#[derive(Clone, Debug, Default)]
pub struct Documents {
    /// One for each service that something passed to, by their names.
    pub documents: Vec<Generated>,
    /// The services of which nothing passed, with what was left out.
    pub empty: Vec<(SpiffeId, BTreeMap<LeftOut, u64>)>,
    /// Records about services that were not asked for.
    pub elsewhere: u64,
    /// Records about services beyond the first 1,000, or without a SPIFFE ID.
    pub beyond: u64,
}

impl Generator {
    /// Writes what `options` say.
    #[must_use]
    pub fn new(options: GenerateOptions) -> Self {
        let services = options.services.iter().cloned();
        Self {
            services: services.map(|id| (id, Service::default())).collect(),
            options,
            elsewhere: 0,
            beyond: 0,
        }
    }

    /// Takes one record into account.
    pub fn add(&mut self, record: &Record<'_>) {
        let all = self.options.services.is_empty();
        let Ok(id) = SpiffeId::parse(&record.destination) else {
            self.beyond += u64::from(all);
            self.elsewhere += u64::from(!all);
            return;
        };
        if !self.services.contains_key(&id) {
            if !all {
                self.elsewhere += 1;
                return;
            }
            if self.services.len() >= MAX_SERVICES {
                self.beyond += 1;
                return;
            }
        }
        let seen = read(record, self.options.mesh.as_ref());
        let service = self.services.entry(id).or_default();
        let counted = seen.and_then(|seen| service.count(&seen));
        if let Err(why) = counted {
            *service.left_out.entry(why).or_default() += 1;
            return;
        }
        service.calls += 1;
        service.unproven += u64::from(record.proxy.is_none());
        let (from, to) = service.span.unwrap_or((record.time, record.time));
        service.span = Some((from.min(record.time), to.max(record.time)));
    }

    /// Writes the documents; `source` is what was read, for their heads.
    #[must_use]
    pub fn finish(self, source: &str) -> Documents {
        let mut documents = Documents {
            elsewhere: self.elsewhere,
            beyond: self.beyond,
            ..Documents::default()
        };
        let mut names = write::Names::default();
        for (id, mut service) in self.services {
            if service.calls == 0 {
                documents.empty.push((id, service.left_out));
                continue;
            }
            service.paths.finish(self.options.words);
            let document = write::document(&id, &service, &mut names, source);
            documents.documents.push(Generated {
                text: document.text,
                rules: document.rules,
                calls: service.calls,
                callers: service.callers.ids.len(),
                left_out: service.left_out,
                unproven: service.unproven,
                service: id,
            });
        }
        documents
    }
}

impl Default for Service {
    fn default() -> Self {
        Self {
            callers: Callers::default(),
            paths: Node::default(),
            grpc: BTreeMap::new(),
            room: MAX_NODES,
            options: PathOptions::default(),
            calls: 0,
            unproven: 0,
            span: None,
            left_out: BTreeMap::new(),
        }
    }
}

impl Service {
    fn count(&mut self, seen: &Seen<'_>) -> Result<(), LeftOut> {
        let caller = self
            .callers
            .number(seen.caller)
            .ok_or(LeftOut::TooManyCallers)?;
        if let Some(method) = &seen.grpc {
            let room = self.room.checked_sub(1).ok_or(LeftOut::TooManyPaths)?;
            let callers = self.grpc.entry(method.as_str().into()).or_insert_with(|| {
                self.room = room;
                BTreeMap::new()
            });
            *callers.entry(caller).or_default() += 1;
            return Ok(());
        }
        let path = seen.path.trim_start_matches('/').trim_end_matches('/');
        let segments = path.split('/').filter(|segment| !segment.is_empty());
        self.paths
            .count(segments, seen.end.clone(), caller, &mut self.room)
            .map_err(|_| LeftOut::TooManyPaths)?;
        self.options.keep_encoded_slash |= seen.options.keep_encoded_slash;
        self.options.keep_parameters |= seen.options.keep_parameters;
        Ok(())
    }
}

impl Callers {
    fn number(&mut self, id: &str) -> Option<u32> {
        if let Some(number) = self.numbers.get(id) {
            return Some(*number);
        }
        let number = u32::try_from(self.ids.len()).ok()?;
        if self.ids.len() >= MAX_CALLERS {
            return None;
        }
        self.ids.push(id.into());
        self.numbers.insert(id.into(), number);
        Some(number)
    }

    fn id(&self, number: u32) -> &str {
        let at = usize::try_from(number).unwrap_or(usize::MAX);
        self.ids.get(at).map(|id| &**id).unwrap_or_default()
    }
}
