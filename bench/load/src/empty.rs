//! The least that an authorization server can do: it answers OK to everything.
//! What `callgate serve` does beyond this is the price of verifying, deciding and
//! recording.

use anyhow::Result;
use callgate_wire::{
    envoy::service::auth::v3::{
        CheckRequest, CheckResponse,
        authorization_server::{Authorization, AuthorizationServer},
    },
    google::rpc,
};
use tokio::net::TcpListener;
use tonic::{
    Request, Response, Status,
    transport::{Server, server::TcpIncoming},
};

struct Empty;

#[tonic::async_trait]
impl Authorization for Empty {
    async fn check(
        &self,
        request: Request<CheckRequest>,
    ) -> Result<Response<CheckResponse>, Status> {
        drop(request);
        Ok(Response::new(CheckResponse {
            status: Some(rpc::Status::default()),
            ..CheckResponse::default()
        }))
    }
}

/// Answers whoever connects, until it is ended.
///
/// # Errors
/// When nobody can connect any more.
pub async fn serve(listener: TcpListener) -> Result<()> {
    // Given a listener, the server's own setting would not reach its connections.
    let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
    Server::builder()
        .add_service(AuthorizationServer::new(Empty))
        .serve_with_incoming(incoming)
        .await?;
    Ok(())
}
