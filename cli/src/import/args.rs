//! What can be written after `callgate import`.

use std::path::PathBuf;

use callgate_policy::{SpiffeId, TrustDomain};
use clap::{Args, Subcommand};

use crate::output::Format;

/// `callgate import`.
#[derive(Debug, Args)]
#[command(
    after_help = "The documents go to standard output, the report to standard error (with \
--format json, both to standard output).\n\n\
Exit code 0: everything was translated; 1: something was not, as the report says; 2: there \
was nothing to import, or it could not be read."
)]
pub(crate) struct ImportArgs {
    #[command(subcommand)]
    pub(crate) system: SystemArgs,
}

/// Whose documents.
#[derive(Debug, Subcommand)]
pub(crate) enum SystemArgs {
    /// The configuration of Envoy's RBAC filter, alone or within a larger one
    EnvoyRbac(EnvoyRbacArgs),
    /// Istio's AuthorizationPolicy, with the workloads that it selects
    Istio(IstioArgs),
    /// Linkerd's servers, routes and authorizations, with the workloads that they select
    Linkerd(LinkerdArgs),
    /// Consul's service intentions: configuration entries (HCL or JSON) or custom resources
    Consul(ConsulArgs),
}

/// `callgate import envoy-rbac`.
#[derive(Debug, Args)]
pub(crate) struct EnvoyRbacArgs {
    /// The service that the filter protects: a SPIFFE ID; may be repeated
    #[arg(long = "service", value_name = "ID", required = true, value_parser = SpiffeId::parse)]
    pub(crate) services: Vec<SpiffeId>,

    /// The mesh's own trust domain: identities are written relative to it, and a MeshPolicy
    /// that names it
    #[arg(long, value_name = "DOMAIN", value_parser = TrustDomain::parse)]
    pub(crate) trust_domain: Option<TrustDomain>,

    #[command(flatten)]
    pub(crate) common: CommonArgs,
}

/// `callgate import istio`.
#[derive(Debug, Args)]
pub(crate) struct IstioArgs {
    /// The namespace whose policies hold for the whole mesh
    #[arg(long, value_name = "NAMESPACE", default_value = "istio-system")]
    pub(crate) root_namespace: String,

    #[command(flatten)]
    pub(crate) cluster: ClusterArgs,

    #[command(flatten)]
    pub(crate) common: CommonArgs,
}

/// `callgate import linkerd`.
#[derive(Debug, Args)]
pub(crate) struct LinkerdArgs {
    #[command(flatten)]
    pub(crate) cluster: ClusterArgs,

    #[command(flatten)]
    pub(crate) common: CommonArgs,
}

/// `callgate import consul`.
#[derive(Debug, Args)]
pub(crate) struct ConsulArgs {
    /// The trust domain of Consul's CA, such as `11111111-2222-3333-4444-555555555555.consul`
    #[arg(long, value_name = "DOMAIN", value_parser = TrustDomain::parse)]
    pub(crate) trust_domain: TrustDomain,

    /// A datacenter that the services run in, as it stands in their SPIFFE IDs; may be
    /// repeated
    #[arg(long = "datacenter", value_name = "NAME", required = true, value_parser = datacenter)]
    pub(crate) datacenters: Vec<String>,

    #[command(flatten)]
    pub(crate) common: CommonArgs,
}

/// A segment of a SPIFFE ID.
fn datacenter(text: &str) -> Result<String, String> {
    let id = SpiffeId::parse(&format!("spiffe://consul/dc/{text}"));
    match id {
        Ok(id) if id.segments().count() == 2 => Ok(text.to_owned()),
        Ok(_) => Err("a datacenter is one segment of a SPIFFE ID".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

/// What can be written for systems of Kubernetes.
#[derive(Debug, Args)]
pub(crate) struct ClusterArgs {
    /// The mesh's own trust domain
    #[arg(long, value_name = "DOMAIN", default_value = "cluster.local", value_parser = TrustDomain::parse)]
    pub(crate) trust_domain: TrustDomain,

    /// Another trust domain whose callers the mesh believes; may be repeated
    #[arg(long, value_name = "DOMAIN", value_parser = TrustDomain::parse)]
    pub(crate) accept: Vec<TrustDomain>,

    /// The namespace of objects that do not name theirs
    #[arg(long, value_name = "NAMESPACE")]
    pub(crate) namespace: Option<String>,
}

/// What can be written for every system.
#[derive(Debug, Args)]
pub(crate) struct CommonArgs {
    /// Files to translate together, YAML or JSON; `-` is standard input
    #[arg(value_name = "FILE", required = true)]
    pub(crate) files: Vec<PathBuf>,

    /// Let whoever may GET a path open a WebSocket there as well
    #[arg(long)]
    pub(crate) websocket: bool,

    /// Write `enforcement: Shadow`: decide and record, but let pass
    #[arg(long)]
    pub(crate) shadow: bool,

    /// How the result is printed
    #[arg(long, value_enum, default_value_t)]
    pub(crate) format: Format,
}
