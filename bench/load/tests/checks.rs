//! The generator of Checks against a real gRPC server.

use std::time::Duration;

use callgate_bench_load::{
    checks::{Checks, put},
    empty,
};
use tokio::net::TcpListener;

/// Short: whether it answers, not how fast.
const TIME: Duration = Duration::from_millis(50);

/// An empty `CheckRequest`, framed.
const EMPTY: [u8; 5] = [0; 5];

async fn ask(wanted: u8, messages: Vec<Vec<u8>>) -> anyhow::Result<f64> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let server = tokio::spawn(empty::serve(listener));
    let rate = put(address, &Checks { messages, wanted }, TIME).await;
    server.abort();
    rate
}

#[tokio::test]
async fn ok_is_counted() {
    let rate = ask(0, vec![EMPTY.to_vec()]).await;
    assert!(rate.expect("answers") > 0.0);
}

#[tokio::test]
async fn another_answer_than_wanted_is_an_error() {
    let denied = ask(7, vec![EMPTY.to_vec()]).await;
    assert!(denied.is_err());
}

#[tokio::test]
async fn a_message_that_the_server_refuses_is_an_error() {
    let nonsense = vec![0, 0, 0, 0, 1, 0xff];
    assert!(ask(0, vec![nonsense]).await.is_err());
}
