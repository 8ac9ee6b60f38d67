//! Record, over a connection.

use callgate_wire::callgate::v1::{Caller, Decided, RecordRequest, Rule, gate_client::GateClient};

use super::*;
use crate::mint::CHECKOUT;

async fn record(channel: &Channel, batch: &RecordRequest) -> Result<(), tonic::Status> {
    let mut client = GateClient::new(channel.clone());
    client.record(batch.clone()).await.map(|_| ())
}

/// As many decisions as that.
pub(super) fn batch(sequence: u64, decisions: usize) -> RecordRequest {
    let decided = |n: usize| Decided {
        id: ulid::Ulid::from_parts(1_700_000_000_000, n as u128).to_string(),
        time_ms: clock::now().as_millis(),
        caller: 0,
        reason: "allow".to_owned(),
        rule: 1,
        revision: vec![0; 32],
        method: "GET".to_owned(),
        path: "/orders".to_owned(),
        host: "orders".to_owned(),
        ..Decided::default()
    };
    RecordRequest {
        service: ORDERS.to_owned(),
        worker: vec![7; 16],
        sequence,
        callers: vec![Caller {
            id: CHECKOUT.to_owned(),
            certificate_sha256: "ab".repeat(32),
            ..Caller::default()
        }],
        rules: vec![Rule {
            name: "checkout-reads".to_owned(),
            policy: "orders".to_owned(),
            file: "mesh.yaml".to_owned(),
            line: 9,
        }],
        decisions: (0..decisions).map(decided).collect(),
        ..RecordRequest::default()
    }
}

#[tokio::test]
async fn what_proxies_decided_is_in_the_log_once() {
    let mesh = Mesh::of_today();
    let running = start(&config(&mesh)).await.unwrap();
    let channel = channel(running.check_address()).await;
    let mut whole = batch(1, 10_000);
    whole.dropped_denied = 3;
    assert!(whole.encoded_len() <= callgate_wire::batch::MAX_BYTES);
    record(&channel, &whole).await.unwrap();
    record(&channel, &whole).await.unwrap();
    record(&channel, &batch(2, 1)).await.unwrap();

    let (_, figures) = page(running.admin_address(), "/metrics").await;
    for line in [
        r#"callgate_leased_decisions_total{verdict="Allow",reason="allow"} 10001"#,
        r#"callgate_leased_decisions_total{verdict="Deny",reason="no-rule"} 0"#,
        r#"callgate_leased_records_dropped_total{verdict="Allow"} 0"#,
        r#"callgate_leased_records_dropped_total{verdict="Deny"} 3"#,
        "callgate_lease_disagreements_total 0",
        "callgate_leases_granted_total 0",
        r#"callgate_checks_total{verdict="Allow",reason="allow"} 0"#,
    ] {
        assert!(figures.contains(line), "{line} in {figures}");
    }
    drop(channel);
    assert!(running.drain(PATIENCE).await.records);
    let log = fs::read_to_string(mesh.path("decisions.jsonl")).unwrap();
    assert_eq!(log.lines().count(), 10_001);
    assert!(log.lines().all(|line| line.contains(r#""leased":true"#)));
}

#[tokio::test]
async fn a_batch_beyond_the_limits_is_refused_and_the_next_one_taken() {
    let mesh = Mesh::of_today();
    let running = start(&config(&mesh)).await.unwrap();
    let channel = channel(running.check_address()).await;
    let mut large = batch(1, 12_000);
    assert!(large.encoded_len() > callgate_wire::batch::MAX_BYTES);
    let refused = record(&channel, &large).await.unwrap_err();
    assert_eq!(refused.code(), Code::OutOfRange, "{refused}");
    large.decisions.truncate(10);
    large.decisions[9].caller = 1;
    let refused = record(&channel, &large).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument, "{refused}");
    assert_eq!(refused.message(), "`decisions[9]`: its caller is none");
    record(&channel, &batch(1, 10)).await.unwrap();
    drop(channel);
    running.drain(PATIENCE).await;
    let log = fs::read_to_string(mesh.path("decisions.jsonl")).unwrap();
    assert_eq!(log.lines().count(), 10);
}
