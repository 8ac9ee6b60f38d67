//! Compiles the protocol without `protoc`, so that nothing has to be installed.

use std::{env, fs, path::PathBuf};

use prost::Message as _;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo:rerun-if-changed=proto");
    let services = [
        "callgate/v1/gate.proto",
        "envoy/service/auth/v3/external_auth.proto",
    ];
    let descriptors = protox::compile(services, ["proto"])?;
    let out = PathBuf::from(env::var("OUT_DIR")?);
    fs::write(out.join("descriptors.bin"), descriptors.encode_to_vec())?;

    let mut config = prost_build::Config::new();
    // Ordered, so that one request always has one encoding.
    config.btree_map(["."]);
    tonic_prost_build::configure()
        .client_mod_attribute(".", "#[cfg(feature = \"grpc\")]")
        .server_mod_attribute(".", "#[cfg(feature = \"grpc\")]")
        .build_transport(true)
        .compile_fds_with_config(descriptors, config)?;
    Ok(())
}
