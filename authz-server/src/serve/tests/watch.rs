//! Watch, over a connection and by itself.

use callgate_wire::callgate::v1::{
    Announcement, WatchRequest, gate_client::GateClient, gate_server::Gate as _,
};
use futures_util::StreamExt as _;
use tonic::{Request, Streaming};

use super::*;
use crate::{
    fixture::{SHADOWED, live},
    serve::{connection::Peer, gate::GateService},
    svid::Verifier,
};

async fn watch(channel: &Channel, service: &str) -> Result<Streaming<Announcement>, tonic::Status> {
    let request = WatchRequest {
        service: service.to_owned(),
    };
    let mut client = GateClient::new(channel.clone());
    client.watch(request).await.map(tonic::Response::into_inner)
}

async fn next(stream: &mut Streaming<Announcement>) -> Result<Announcement, Code> {
    let message = tokio::time::timeout(PATIENCE, stream.message());
    let message = message.await.expect("in time");
    message
        .map(|message| message.expect("it ends with a status"))
        .map_err(|status| status.code())
}

/// The next announcement that is not `before`.
async fn news(stream: &mut Streaming<Announcement>, before: &Announcement) -> Announcement {
    loop {
        let next = next(stream).await.unwrap();
        if next.revision != before.revision {
            return next;
        }
    }
}

#[tokio::test]
async fn a_revision_is_announced_at_once_each_second_and_when_it_changes() {
    let mesh = Mesh::of_today();
    let running = start(&config(&mesh)).await.unwrap();
    let channel = channel(running.check_address()).await;
    let mut stream = watch(&channel, ORDERS).await.unwrap();
    let first = next(&mut stream).await.unwrap();
    assert_eq!(first.revision.len(), 32);
    let second = next(&mut stream).await.unwrap();
    assert_eq!(second.revision, first.revision);
    assert!(second.elapsed_ms >= first.elapsed_ms + 900, "{second:?}");

    mesh.write_policies(&DOCUMENTS.replace("[GET /orders]", "[ANY /orders]"));
    let third = news(&mut stream, &second).await;
    fs::write(
        mesh.policies().join("revoked.yaml"),
        "kind: Revocation\nmetadata: {name: leaked-key}\nspec:\n  \
         id: /ns/shop/sa/nobody\n  reason: a test\n  revokedBy: dana@example.org\n",
    )
    .unwrap();
    let fourth = news(&mut stream, &third).await;
    let other = Authority::root_of_today("other");
    fs::write(mesh.bundle(), other.certificate.pem()).unwrap();
    news(&mut stream, &fourth).await;

    let (_, figures) = page(running.admin_address(), "/metrics").await;
    assert!(figures.contains("callgate_watchers 1"), "{figures}");
    let line = figures
        .lines()
        .find_map(|line| line.strip_prefix("callgate_announcements_total "));
    assert!(line.unwrap().parse::<u32>().unwrap() >= 5, "{figures}");
    drop(running);
}

#[tokio::test]
async fn a_server_that_stops_ends_its_streams() {
    let mesh = Mesh::of_today();
    let running = start(&config(&mesh)).await.unwrap();
    let channel = channel(running.check_address()).await;
    let mut streams = Vec::new();
    for service in [ORDERS, SHADOWED, "", "no SPIFFE ID"] {
        let mut stream = watch(&channel, service).await.unwrap();
        next(&mut stream).await.unwrap();
        streams.push(stream);
    }
    let draining = tokio::spawn(running.drain(PATIENCE));
    for stream in &mut streams {
        let end = loop {
            if let Err(code) = next(stream).await {
                break code;
            }
        };
        assert_eq!(end, Code::Unavailable);
    }
    drop((streams, channel));
    assert!(draining.await.unwrap().requests);
}

#[tokio::test]
async fn nothing_is_announced_without_policies_or_about_no_name() {
    let mesh = Mesh::of_today();
    mesh.write_policies("kind: Nothing\n");
    let running = start(&config(&mesh)).await.unwrap();
    let channel = channel(running.check_address()).await;
    let refused = watch(&channel, ORDERS).await.map(|_| ()).unwrap_err();
    assert_eq!(refused.code(), Code::Unavailable, "{refused}");
    let long = "x".repeat(2_049);
    let refused = watch(&channel, &long).await.map(|_| ()).unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument, "{refused}");
    drop(channel);
    running.drain(PATIENCE).await;
}

#[tokio::test]
async fn a_connection_has_room_for_so_many_streams() {
    let mesh = Mesh::of_today();
    let running = start(&config(&mesh)).await.unwrap();
    let channel = channel(running.check_address()).await;
    let mut streams = Vec::new();
    for _ in 0..128 {
        streams.push(watch(&channel, ORDERS).await.unwrap());
    }
    let refused = watch(&channel, ORDERS).await.map(|_| ()).unwrap_err();
    assert_eq!(refused.code(), Code::ResourceExhausted, "{refused}");
    // One that is given up makes room, once the server has heard of it.
    streams.truncate(100);
    let again = async {
        while watch(&channel, ORDERS).await.is_err() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, again)
        .await
        .expect("in time");
    drop((streams, channel));
    running.drain(PATIENCE).await;
}

/// What answers on a connection, without one.
fn service(live: Arc<Live>, health: Arc<Health>) -> GateService {
    let metrics = Arc::new(Metrics::default());
    let (recorder, places) = (Recorder::discard(), Arc::new(Semaphore::new(1)));
    let authorizer = Authorizer::new(Arc::clone(&live), recorder.clone(), Arc::clone(&metrics));
    let answering = Answering {
        authorizer: Arc::new(authorizer),
        gate: Gate::new(Arc::clone(&live), recorder, Arc::clone(&metrics)),
        watchers: Arc::clone(&places),
        refused: Arc::new(RefusedProxies::new(Arc::clone(&metrics))),
        metrics,
        health,
        live,
        tls: None,
    };
    GateService {
        answering: Arc::new(answering),
        peer: Peer::Unnamed,
        ending: tokio::sync::watch::channel(false).1,
        places,
    }
}

#[tokio::test]
async fn a_server_that_has_not_looked_says_nothing() {
    let root = Authority::root_of_today("root");
    let (live, health) = (live(&root, DOCUMENTS), Arc::new(Health::default()));
    let (stop, ending) = tokio::sync::watch::channel(false);
    let mut service = service(Arc::clone(&live), Arc::clone(&health));
    (service.ending, service.places) = (ending, Arc::new(Semaphore::new(1)));
    let request = WatchRequest {
        service: ORDERS.to_owned(),
    };
    let mut stream = service
        .watch(Request::new(request.clone()))
        .await
        .unwrap()
        .into_inner();
    let looked = |ago| {
        let began = std::time::Instant::now() - Duration::from_secs(ago);
        health.scanned(clock::now(), began);
        began
    };
    // Never; policies only; too long ago. A change is no news then either.
    let silence = Duration::from_millis(1_200);
    let mut nothing = async || {
        live.set_bundles([root.bundle("example.org")]);
        let next = tokio::time::timeout(silence, stream.next()).await;
        assert!(next.is_err(), "{next:?}");
    };
    nothing().await;
    looked(0);
    nothing().await;
    health.revocations_scanned(clock::now(), looked(3));
    nothing().await;
    health.revocations_scanned(clock::now(), looked(0));
    let next = tokio::time::timeout(PATIENCE, stream.next()).await;
    assert!(next.unwrap().unwrap().is_ok());

    let full = service.watch(Request::new(request)).await.map(|_| ());
    assert_eq!(full.unwrap_err().code(), Code::ResourceExhausted);
    stop.send_replace(true);
    let end = stream.next().await.unwrap().unwrap_err();
    assert_eq!(end.code(), Code::Unavailable);
    assert!(stream.next().await.is_none(), "once");
}

#[tokio::test]
async fn every_change_is_told_to_who_listens() {
    let root = Authority::root_of_today("root");
    let live = Live::new(Verifier::new([]));
    let mut changes = live.changes();
    live.set_bundles([root.bundle("example.org")]);
    changes.changed().await.unwrap();
    assert_eq!(live.current().verifier().bundles().count(), 1);
    assert!(!changes.has_changed().unwrap());
}
