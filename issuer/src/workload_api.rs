//! The SPIFFE Workload API for one workload (SPIFFE_Workload_API.md).

use std::{collections::BTreeMap, pin::Pin, sync::Arc};

use tokio_stream::{Stream, StreamExt as _, wrappers::WatchStream};
use tonic::{Request, Response, Status};

use crate::{
    bundle::{Bundle, concatenated},
    proto::workload::{
        JwtBundlesRequest, JwtBundlesResponse, JwtsvidRequest, JwtsvidResponse,
        ValidateJwtsvidRequest, ValidateJwtsvidResponse, X509BundlesRequest, X509BundlesResponse,
        X509svid, X509svidRequest, X509svidResponse, spiffe_workload_api_server::SpiffeWorkloadApi,
    },
    registry::{Snapshot, View},
};

/// SPIFFE_Workload_Endpoint.md, section 6.1: a request without it may have been
/// forged through a proxy that the workload was tricked into using.
const SECURITY_HEADER: &str = "workload.spiffe.io";

/// The API behind one socket.
#[derive(Clone, Debug)]
pub(crate) struct WorkloadApi {
    view: View,
}

type Responses<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

impl WorkloadApi {
    pub(crate) const fn new(view: View) -> Self {
        Self { view }
    }

    /// The present, then every change; an error once the entry is gone, which ends it.
    fn follow<T: Send + PartialEq + Clone + 'static>(
        &self,
        answer: impl Fn(&Snapshot) -> T + Send + 'static,
    ) -> Responses<T> {
        let mut last = None;
        let changes = WatchStream::new(self.view.clone()).filter_map(move |told| {
            let next = match told {
                Some(told) => answer(&told),
                None => return Some(Err(no_identity())),
            };
            let changed = last.as_ref() != Some(&next);
            changed.then(|| {
                last = Some(next.clone());
                Ok(next)
            })
        });
        Box::pin(changes)
    }

    fn admit<T>(&self, request: &Request<T>) -> Result<(), Status> {
        let header = request.metadata().get(SECURITY_HEADER);
        if header.is_none_or(|value| value.as_bytes() != b"true") {
            return Err(Status::invalid_argument(
                "security header `workload.spiffe.io: true` is missing",
            ));
        }
        if self.view.borrow().is_none() {
            return Err(no_identity());
        }
        Ok(())
    }
}

#[tonic::async_trait]
impl SpiffeWorkloadApi for WorkloadApi {
    type FetchX509SVIDStream = Responses<X509svidResponse>;
    type FetchX509BundlesStream = Responses<X509BundlesResponse>;
    type FetchJWTBundlesStream = Responses<JwtBundlesResponse>;

    async fn fetch_x509svid(
        &self,
        request: Request<X509svidRequest>,
    ) -> Result<Response<Self::FetchX509SVIDStream>, Status> {
        self.admit(&request)?;
        Ok(Response::new(self.follow(svids)))
    }

    async fn fetch_x509_bundles(
        &self,
        request: Request<X509BundlesRequest>,
    ) -> Result<Response<Self::FetchX509BundlesStream>, Status> {
        self.admit(&request)?;
        Ok(Response::new(self.follow(bundles)))
    }

    async fn fetch_jwtsvid(
        &self,
        request: Request<JwtsvidRequest>,
    ) -> Result<Response<JwtsvidResponse>, Status> {
        self.admit(&request)?;
        Err(no_jwt())
    }

    async fn fetch_jwt_bundles(
        &self,
        request: Request<JwtBundlesRequest>,
    ) -> Result<Response<Self::FetchJWTBundlesStream>, Status> {
        self.admit(&request)?;
        Err(no_jwt())
    }

    async fn validate_jwtsvid(
        &self,
        request: Request<ValidateJwtsvidRequest>,
    ) -> Result<Response<ValidateJwtsvidResponse>, Status> {
        self.admit(&request)?;
        Err(no_jwt())
    }
}

fn svids(told: &Snapshot) -> X509svidResponse {
    let svid = X509svid {
        spiffe_id: told.svid.id().as_str().to_owned(),
        x509_svid: concatenated(told.svid.chain()),
        x509_svid_key: told.svid.key().secret_der().to_vec(),
        bundle: told.bundle.der(),
        hint: String::new(),
    };
    X509svidResponse {
        svids: vec![svid],
        crl: Vec::new(),
        federated_bundles: by_domain(told.federated.iter()),
    }
}

fn bundles(told: &Snapshot) -> X509BundlesResponse {
    X509BundlesResponse {
        crl: Vec::new(),
        bundles: by_domain(std::iter::once(&told.bundle).chain(&told.federated)),
    }
}

fn by_domain<'a>(bundles: impl Iterator<Item = &'a Arc<Bundle>>) -> BTreeMap<String, Vec<u8>> {
    bundles.map(|bundle| (bundle.id(), bundle.der())).collect()
}

/// SPIFFE_Workload_API.md, section 5.2: the answer to a workload that has none.
fn no_identity() -> Status {
    Status::permission_denied("no identity issued")
}

fn no_jwt() -> Status {
    Status::unimplemented("this issuer has X.509-SVIDs only")
}
