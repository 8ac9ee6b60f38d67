//! Where the agent of the SPIFFE Workload API listens.

use std::{fmt, net::SocketAddr, str::FromStr};

use spiffe::transport::Endpoint;

/// Where an agent listens: `unix:/run/spire/agent.sock` or `unix:///…`, as
/// `SPIFFE_ENDPOINT_SOCKET` has it, or `tcp://127.0.0.1:PORT`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkloadApiAddress(pub(super) Endpoint);

/// A text that is no such address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WorkloadApiAddressError {
    /// Not of the form that the SPIFFE Workload Endpoint standard, section 4, gives it.
    Form(String),
    /// TCP to another machine: keys would travel in the clear.
    NotLocal,
}

impl FromStr for WorkloadApiAddress {
    type Err = WorkloadApiAddressError;

    fn from_str(text: &str) -> Result<Self, WorkloadApiAddressError> {
        let endpoint = Endpoint::parse(text)
            .map_err(|error| WorkloadApiAddressError::Form(error.to_string()))?;
        match endpoint {
            Endpoint::Tcp { host, .. } if !host.to_canonical().is_loopback() => {
                Err(WorkloadApiAddressError::NotLocal)
            }
            endpoint => Ok(Self(endpoint)),
        }
    }
}

impl fmt::Display for WorkloadApiAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Endpoint::Unix(path) => write!(f, "unix:{}", path.display()),
            Endpoint::Tcp { host, port } => {
                write!(f, "tcp://{}", SocketAddr::new(*host, *port))
            }
            other => write!(f, "{other:?}"),
        }
    }
}

impl fmt::Display for WorkloadApiAddressError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Form(error) => write!(
                f,
                "not an address such as `unix:/run/spire/agent.sock`: {error}"
            ),
            Self::NotLocal => f.write_str(
                "not on this machine: keys would travel in the clear; use a unix socket",
            ),
        }
    }
}

impl std::error::Error for WorkloadApiAddressError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_agent_is_on_this_machine() {
        for (text, shown) in [
            ("unix:/run/agent.sock", "unix:/run/agent.sock"),
            ("unix:///run/agent.sock", "unix:/run/agent.sock"),
            ("tcp://127.0.0.1:8081", "tcp://127.0.0.1:8081"),
        ] {
            let address: WorkloadApiAddress = text.parse().unwrap();
            assert_eq!(address.to_string(), shown);
        }
        for text in [
            "",
            "/run/agent.sock",
            "unix:agent.sock",
            "http://127.0.0.1:1",
            "unix:///",
        ] {
            let error = text.parse::<WorkloadApiAddress>().unwrap_err();
            assert!(matches!(error, WorkloadApiAddressError::Form(_)), "{text}");
        }
        assert_eq!(
            "tcp://10.0.0.1:8081".parse::<WorkloadApiAddress>(),
            Err(WorkloadApiAddressError::NotLocal)
        );
    }
}
