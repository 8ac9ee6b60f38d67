//! Checks, as bytes from whoever can reach the service's port.

use std::{
    collections::BTreeMap,
    io,
    sync::{Arc, OnceLock},
};

use anyhow::{Context as _, Result, ensure};
use callgate_policy::{Reason, Slice, SpiffeId, TrustDomain};
use callgate_server::{
    bundle::TrustBundle,
    check::Authorizer,
    clock,
    identity::Asker,
    live::{Live, Policies},
    metrics::Metrics,
    record::{Recorder, Sink},
    svid::{PeerCertificate, Verifier},
};
use callgate_tests::{
    pki::{PARTNER_DOMAIN, Pki, TRUST_DOMAIN},
    table::{Got, Headers, Proxy, Row, Table, Wallet, World, answered, native_check},
};
use callgate_wire::{
    envoy::service::auth::v3::{CheckRequest, CheckResponse},
    terms,
};
use prost::Message as _;

use crate::Corpus;

/// Any message that decodes gets an answer with a status that fits its reason, or is
/// said to be none; it is let on only with a leaf that was signed for somebody and is
/// valid, under that name and no other; or under one that this leaf may assert, as one
/// that was passed on by it.
///
/// # Errors
/// When the service is wrong.
pub fn check_request(bytes: &[u8]) -> Result<()> {
    let fixture = fixture()?;
    fixture.check(bytes)?;
    fixture.check(&fixture.corpus.mutant(bytes))
}

struct Fixture {
    /// Where nobody forwards, and where somebody does.
    authorizers: [Authorizer; 2],
    corpus: Corpus,
    /// Who is who, by the fingerprint of the leaf.
    callers: BTreeMap<String, SpiffeId>,
}

impl Fixture {
    fn check(&self, bytes: &[u8]) -> Result<()> {
        let Ok(check) = CheckRequest::decode(bytes) else {
            return Ok(());
        };
        for authorizer in &self.authorizers {
            self.answer(authorizer, &check)?;
        }
        Ok(())
    }

    fn answer(&self, authorizer: &Authorizer, check: &CheckRequest) -> Result<()> {
        let Ok(answer) = authorizer.check(Asker::Unnamed, check, clock::now()) else {
            return Ok(());
        };
        terms(&answer)?;
        let status = answer.status.as_ref().map(|status| status.code);
        match answered(answer, Headers::default())? {
            Got::Forwarded(forwarded) => {
                let attributes = check.attributes.as_ref();
                let source = attributes.and_then(|attributes| attributes.source.as_ref());
                let leaf = source.map_or("", |source| &source.certificate);
                let leaf = PeerCertificate::from_pem(leaf).map(|leaf| leaf.sha256());
                let peer = leaf.ok().and_then(|leaf| self.callers.get(&leaf));
                let peer = peer.context("let on without a certificate that counts")?;
                let told = |name| forwarded.headers.one(name);
                named(
                    peer.as_str(),
                    told("x-callgate-caller"),
                    told("x-callgate-forwarder"),
                )?;
            }
            Got::Refused(refusal) => {
                let reason = refusal.headers.one("x-callgate-reason").unwrap_or_default();
                let known = Reason::ALL
                    .into_iter()
                    .find(|known| known.as_str() == reason);
                let known = known.with_context(|| format!("`{reason}` is no reason"))?;
                ensure!(
                    status == Some(known.grpc_status()),
                    "{known} with {status:?}"
                );
                ensure!(
                    refusal.http == Some(known.http_status()),
                    "{known}: {refusal}"
                );
            }
            got => anyhow::bail!("{got}"),
        }
        Ok(())
    }

    fn start() -> Result<Self> {
        let (table, pki) = (Table::load()?, Pki::new()?);
        let wallet = Wallet::mint(&table, &pki)?;
        let authorizers = [
            authorizer(World::Strict, &pki)?,
            authorizer(World::Forwarding, &pki)?,
        ];
        // A mutant of a few hundred bytes is nearer to what it was than one of many.
        let few = table
            .rows
            .iter()
            .filter(|row| row.world == World::Strict)
            .step_by(7)
            .chain(table.of(World::Forwarding));
        let seeds = few
            .map(|row| seed(&table, &wallet, row))
            .collect::<Result<_>>()?;
        Ok(Self {
            authorizers,
            corpus: Corpus::of(seeds)?,
            callers: callers(&table, &wallet)?,
        })
    }
}

/// Terms are for who asks for them, end after they begin, and lease what can be read.
fn terms(answer: &CheckResponse) -> Result<()> {
    let Some(terms) = answer.dynamic_metadata.as_ref().and_then(terms::of) else {
        return Ok(());
    };
    let Ok(terms) = terms else {
        anyhow::bail!("terms that cannot be read");
    };
    let ends = terms.ends_at_ms;
    ensure!(ends == 0 || ends > terms.decided_at_ms, "{terms:?}");
    if let Some(lease) = &terms.lease {
        ensure!(lease.valid_until_ms > terms.decided_at_ms, "{terms:?}");
        let slice = Slice::decode(&lease.slice);
        ensure!(slice.is_ok(), "{slice:?} of {terms:?}");
    }
    Ok(())
}

/// `peer` calls under its own name, or the gateway under that of somebody of the shop.
fn named(peer: &str, caller: Option<&str>, forwarder: Option<&str>) -> Result<()> {
    let caller = caller.context("let on as nobody")?;
    let may_assert = ["spiffe://example.org/ns/shop/", "spiffe://partner.example/"];
    let fits = match forwarder {
        None => caller == peer,
        Some(forwarder) => {
            forwarder == peer
                && peer == "spiffe://example.org/ns/edge/sa/gateway"
                && may_assert.iter().any(|start| caller.starts_with(start))
        }
    };
    ensure!(fits, "`{peer}` is let on as `{caller}` by {forwarder:?}");
    Ok(())
}

fn authorizer(world: World, pki: &Pki) -> Result<Authorizer> {
    let loaded = world.load()?.context("no documents")?;
    let live = Arc::new(Live::new(verifier(pki)?));
    live.set_revocations(world.revocations());
    live.set_policies(Policies {
        set: loaded.policies,
        counts: loaded.counts,
        trust_domain: loaded.trust_domain,
        digest: String::new(),
    });
    // Hours of records are not kept.
    let recorder = Recorder::start(Sink::stream(io::sink()))?;
    Ok(Authorizer::new(
        live,
        recorder,
        Arc::new(Metrics::default()),
    ))
}

fn verifier(pki: &Pki) -> Result<Verifier> {
    let mut bundles = Vec::new();
    for (domain, authority) in [(TRUST_DOMAIN, &pki.root), (PARTNER_DOMAIN, &pki.partner)] {
        bundles.push(TrustBundle::parse(
            TrustDomain::parse(domain)?,
            &authority.bundle_pem(),
        )?);
    }
    Ok(Verifier::new(bundles))
}

fn seed(table: &Table, wallet: &Wallet, row: &Row) -> Result<Vec<u8>> {
    let (peer, callee) = (wallet.shown(row.peer()), table.workloads.callee(&row.to)?);
    let proxy = Proxy::new(row, wallet, &table.workloads)?;
    let mut check = native_check(&proxy, peer, callee);
    if let Some(attributes) = &mut check.attributes {
        let wanted = (terms::WANTED.to_owned(), terms::VERSION.to_owned());
        attributes.context_extensions.extend([wanted]);
    }
    Ok(check.encode_to_vec())
}

fn callers(table: &Table, wallet: &Wallet) -> Result<BTreeMap<String, SpiffeId>> {
    let mut callers = BTreeMap::new();
    for name in table.workloads.callers() {
        let caller = table.workloads.caller(name)?.context("a caller")?;
        if let (Ok(id), Some(shown)) = (caller.identity()?, wallet.shown(name)) {
            callers.insert(PeerCertificate::from_pem(&shown.leaf)?.sha256(), id);
        }
    }
    Ok(callers)
}

fn fixture() -> Result<&'static Fixture> {
    static FIXTURE: OnceLock<Result<Fixture, String>> = OnceLock::new();
    let fixture = FIXTURE.get_or_init(|| Fixture::start().map_err(|error| format!("{error:#}")));
    fixture.as_ref().map_err(|error| anyhow::anyhow!("{error}"))
}
