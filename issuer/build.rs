//! Compiles the protocols without `protoc`, so that nothing has to be installed.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo:rerun-if-changed=proto");
    let files = ["spiffe/workload.proto", "envoy/service/secret/v3/sds.proto"];
    let descriptors = protox::compile(files, ["proto"])?;
    let mut config = prost_build::Config::new();
    // Ordered, so that equal secrets have equal encodings.
    config.btree_map(["."]);
    tonic_prost_build::configure()
        .build_transport(true)
        .compile_fds_with_config(descriptors, config)?;
    Ok(())
}
