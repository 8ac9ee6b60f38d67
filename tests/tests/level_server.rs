//! Level 3 of the table: the gRPC service over a socket, asked as the filter asks and as
//! Envoy's own `ext_authz` does. What was recorded is decided again, and comes out alike.

use std::{collections::BTreeMap, fs, io::Cursor, path::Path, rc::Rc, time::Duration};

use anyhow::{Context as _, Result, bail, ensure};
use callgate_analysis::{
    log::Undecidable,
    replay::{Replay, Window},
};
use callgate_filter::{Exchange, Flow, Plugin};
use callgate_policy::TrustDomain;
use callgate_server::check::LeaseTtl;
use callgate_server::serve::{Config, Listen, Running, start};
use callgate_tests::{
    pki::{PARTNER_DOMAIN, Pki, TRUST_DOMAIN},
    table::{
        Form, Got, Headers, Place, Proxy, Records, Report, Table, Wallet, World, answered,
        native_check,
    },
};
use callgate_wire::{
    envoy::service::auth::v3::{CheckRequest, authorization_client::AuthorizationClient},
    wanted,
};
use prost::Message as _;
use tempfile::TempDir;
use tonic::transport::Channel;

/// A drain has nothing to wait for.
const PATIENCE: Duration = Duration::from_secs(30);

struct Level {
    table: Table,
    wallet: Wallet,
    servers: BTreeMap<World, Server>,
    /// Holds policies, bundles and logs.
    directory: TempDir,
}

struct Server {
    running: Running,
    client: AuthorizationClient<Channel>,
}

#[tokio::test(flavor = "multi_thread")]
async fn every_row_is_answered_as_told() {
    let mut level = Level::start()
        .await
        .unwrap_or_else(|error| panic!("{error:#}"));
    let mut answers = Vec::new();
    for index in 0..level.table.rows.len() {
        for form in [Form::Ours, Form::Native] {
            answers.push((index, Place::server(form), level.run(index, form).await));
        }
    }
    let (table, records) = level.finish().await.unwrap();

    let mut report = Report::default();
    for (index, place, got) in answers {
        let row = &table.rows[index];
        let recorded = got.and_then(|mut got| {
            records
                .get(&row.world)
                .map_or(Ok(()), |records| records.add_to(&mut got))?;
            Ok(got)
        });
        match recorded {
            Ok(got) => report.judge(&table.workloads, row, place, &got),
            Err(error) => report.broken(row, place, &error),
        }
    }
    report.finish(900);
}

impl Level {
    async fn start() -> Result<Self> {
        let (table, pki, directory) = (Table::load()?, Pki::new()?, tempfile::tempdir()?);
        let wallet = Wallet::mint(&table, &pki)?;
        let mut servers = BTreeMap::new();
        for world in World::ALL.into_iter().filter(|world| world.is_served()) {
            let config = config(world, &pki, directory.path())?;
            let running = start(&config).await?;
            let Listen::Tcp(address) = running.check_address() else {
                bail!("not TCP")
            };
            let channel = Channel::from_shared(format!("http://{address}"))?
                .connect()
                .await?;
            let client = AuthorizationClient::new(channel);
            servers.insert(world, Server { running, client });
        }
        Ok(Self {
            table,
            wallet,
            servers,
            directory,
        })
    }

    async fn run(&mut self, index: usize, form: Form) -> Result<Got> {
        let row = self.table.rows.get(index).context("no such row")?;
        let Some(server) = self.servers.get_mut(&row.world) else {
            return Ok(Got::Cannot);
        };
        let shown = self.wallet.shown(row.peer());
        let callee = self.table.workloads.callee(&row.to)?;
        let mut proxy = Proxy::new(row, &self.wallet, &self.table.workloads)?;
        if form == Form::Native {
            let check = native_check(&proxy, shown, callee);
            let answer = server.client.check(check).await?.into_inner();
            return answered(answer, proxy.headers());
        }
        let plugin = Plugin::new(br#"{"cluster":"callgate"}"#);
        let mut exchange = Exchange::new(Rc::new(plugin));
        let flow = exchange.request_headers(&mut proxy);
        ensure!(flow == Flow::Pause, "`{}` does not wait", row.name);
        let mut answer = server.client.check(sent(&proxy)?).await?.into_inner();
        // An answer that wants more headers makes the filter ask once more.
        if answer
            .dynamic_metadata
            .as_ref()
            .and_then(wanted::asked)
            .is_some()
        {
            let call = exchange.call().context("no call")?;
            exchange.answered(&mut proxy, call, &answer.encode_to_vec());
            answer = server.client.check(sent(&proxy)?).await?.into_inner();
        }
        answered(answer, Headers::default())
    }

    async fn finish(self) -> Result<(Table, BTreeMap<World, Records>)> {
        let mut records = BTreeMap::new();
        for (world, server) in self.servers {
            drop(server.client);
            let drained = server.running.drain(PATIENCE).await;
            ensure!(drained.requests && drained.records, "{drained:?}");
            let log = fs::read_to_string(decision_log(world, self.directory.path()))?;
            decided_again(world, log.clone())?;
            records.insert(world, Records::parse(&log)?);
        }
        Ok((self.table, records))
    }
}

/// Decides what was recorded again, by the documents that decided it: everything must come
/// out as it was, but for what a record does not hold.
fn decided_again(world: World, log: String) -> Result<()> {
    let Some(loaded) = world.load()? else {
        return Ok(());
    };
    let lines = log.lines().count() as u64;
    let mut replay = Replay::new(&loaded.policies, Window::default());
    replay.read(Cursor::new(log.into_bytes()))?;
    let replayed = replay.finish();
    ensure!(
        replayed.records == lines && replayed.odd.count() == 0,
        "{world:?}: {} of {lines} records, {:?}",
        replayed.records,
        replayed.odd
    );
    ensure!(
        replayed.changed() == 0 && replayed.other_reason == 0,
        "{world:?}: {} for another reason, {:#?}",
        replayed.other_reason,
        replayed.changes
    );
    for (why, (count, first)) in &replayed.undecided {
        let known = matches!(
            why,
            Undecidable::Query | Undecidable::MayHaveForwarded | Undecidable::ForwardedForUnknown
        );
        ensure!(known, "{world:?}: {count} because {why}, first {first:?}");
    }
    Ok(())
}

/// What the filter sent last.
fn sent(proxy: &Proxy) -> Result<CheckRequest> {
    let message = proxy.sent.last().context("no message")?;
    Ok(CheckRequest::decode(message.as_slice())?)
}

fn config(world: World, pki: &Pki, directory: &Path) -> Result<Config> {
    let none = directory.join("none");
    fs::create_dir_all(&none)?;
    let bundles = [(TRUST_DOMAIN, &pki.root), (PARTNER_DOMAIN, &pki.partner)];
    let bundles = bundles.map(|(domain, authority)| {
        let path = directory.join(format!("{domain}.pem"));
        fs::write(&path, authority.bundle_pem())?;
        Ok((TrustDomain::parse(domain)?, path))
    });
    Ok(Config {
        candidate: None,
        policies: world.policies().unwrap_or(none),
        trust_domain: None,
        trust_bundles: bundles.into_iter().collect::<Result<_>>()?,
        bundle_endpoints: Vec::new(),
        bundle_cache: None,
        listen: "127.0.0.1:0".parse()?,
        admin: "127.0.0.1:0".parse()?,
        decision_log: Some(decision_log(world, directory)),
        identity: None,
        proxy_ids: Vec::new(),
        lease_ttl: LeaseTtl::default(),
        danger_plaintext: false,
    })
}

fn decision_log(world: World, directory: &Path) -> std::path::PathBuf {
    directory.join(format!("{world:?}.jsonl"))
}
