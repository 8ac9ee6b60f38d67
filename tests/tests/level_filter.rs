//! Level 2 of the table: the filter's state machine through its host port, asking the
//! service in process. What they say to each other goes through both encodings.

use std::{collections::BTreeMap, rc::Rc, time::Duration};

use anyhow::{Context as _, Result, ensure};
use callgate_filter::{Exchange, Flow, Plugin};
use callgate_server::clock;
use callgate_tests::{
    pki::Pki,
    table::{Got, Place, Proxy, Report, Row, Service, Table, Wallet, World},
};
use callgate_wire::{envoy::service::auth::v3::CheckRequest, wanted};
use prost::Message as _;

/// gRPC status codes.
const UNAVAILABLE: u32 = 14;
const INTERNAL: u32 = 13;
const INVALID_ARGUMENT: u32 = 3;

struct Level {
    table: Table,
    wallet: Wallet,
    services: BTreeMap<World, Service>,
}

#[test]
fn every_row_is_answered_as_told() {
    let level = Level::start().unwrap_or_else(|error| panic!("{error:#}"));
    let answers: Vec<Result<Got>> = level.table.rows.iter().map(|row| level.run(row)).collect();
    let Level {
        table, services, ..
    } = level;
    let records = services
        .into_iter()
        .map(|(world, service)| Ok((world, service.finish()?)));
    let records = records.collect::<Result<BTreeMap<_, _>>>().unwrap();

    let mut report = Report::default();
    for (row, got) in table.rows.iter().zip(answers) {
        let recorded = got.and_then(|mut got| {
            records
                .get(&row.world)
                .map_or(Ok(()), |records| records.add_to(&mut got))?;
            Ok(got)
        });
        match recorded {
            Ok(got) => report.judge(&table.workloads, row, Place::FILTER, &got),
            Err(error) => report.broken(row, Place::FILTER, &error),
        }
    }
    report.finish(470);
}

impl Level {
    fn start() -> Result<Self> {
        let (table, pki) = (Table::load()?, Pki::new()?);
        let wallet = Wallet::mint(&table, &pki)?;
        let served = World::ALL.into_iter().filter(|world| world.is_served());
        let services = served.map(|world| Ok((world, Service::start(world, &pki)?)));
        Ok(Self {
            services: services.collect::<Result<_>>()?,
            table,
            wallet,
        })
    }

    fn run(&self, row: &Row) -> Result<Got> {
        let mut proxy = Proxy::new(row, &self.wallet, &self.table.workloads)?;
        proxy.deaf = row.world == World::Unreachable;
        let config: &[u8] = match row.world {
            World::Misconfigured => b"{}",
            _ => br#"{"cluster":"callgate"}"#,
        };
        let mut exchange = Exchange::new(Rc::new(Plugin::new(config)));
        let flow = exchange.request_headers(&mut proxy);
        // As often as it asks; twice is all it may, for a retry or for more headers.
        for _ in 0..2 {
            self.answer(row, &mut exchange, &mut proxy)?;
        }
        ensure!(exchange.call().is_none(), "it asks a third time");
        proxy.outcome(flow == Flow::Continue)
    }

    /// Does with the Check that is under way what the row's world does with it.
    fn answer(&self, row: &Row, exchange: &mut Exchange, proxy: &mut Proxy) -> Result<()> {
        let Some(call) = exchange.call() else {
            return Ok(());
        };
        let Some(service) = self.services.get(&row.world) else {
            let status = if row.world == World::Failing {
                INTERNAL
            } else {
                UNAVAILABLE
            };
            proxy.now += Duration::from_secs(1);
            exchange.failed(proxy, call, status);
            return Ok(());
        };
        let message = proxy.sent.last().context("no message")?;
        let check = CheckRequest::decode(message.as_slice())?;
        only_what_is_worth_sending(&check)?;
        match service.check(&check, clock::now()) {
            Ok(answer) => exchange.answered(proxy, call, &answer.encode_to_vec()),
            Err(_) => exchange.failed(proxy, call, INVALID_ARGUMENT),
        }
        Ok(())
    }
}

/// A bearer secret does not leave the proxy, nor anything else that nobody asked for.
fn only_what_is_worth_sending(check: &CheckRequest) -> Result<()> {
    let http = check
        .attributes
        .as_ref()
        .and_then(|a| a.request.as_ref()?.http.as_ref());
    let worth = [
        "content-type",
        "upgrade",
        "traceparent",
        "x-forwarded-client-cert",
    ];
    let asked = check
        .attributes
        .as_ref()
        .and_then(|attributes| attributes.context_extensions.get(wanted::LOOKED_FOR));
    let asked = asked.context("it does not say what it looked for")?;
    for name in http.iter().flat_map(|http| http.headers.keys()) {
        ensure!(
            worth.contains(&name.as_str()) || wanted::has(asked, name),
            "the Check carries `{name}`"
        );
    }
    Ok(())
}
