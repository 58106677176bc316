//! What a cloud puts beside the nodes of a cluster, for the cluster in `tests/cluster`: an image registry, the cluster's
//! DNS, a load balancer, and a stand-in for Pod Security admission. Each is one server, started with its own arguments.

#![expect(
    clippy::print_stderr,
    reason = "the log of these servers is their standard error"
)]

mod admission;
mod archive;
mod cluster;
mod dns;
mod elb;
mod http;
mod pod_security;
mod registry;
mod ruleset;
mod zone;

use std::error::Error;
use std::process::ExitCode;

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

const USAGE: &str = "usage:
  testbed registry DIR ADDRESS:PORT                   serves the image archives in DIR
  testbed dns ADDRESS:PORT CLUSTER-DOMAIN ELB-DOMAIN  answers for the cluster that KUBECONFIG names
  testbed elb FIRST LAST ELB-DOMAIN                   balances, in this network namespace, for the cluster that KUBECONFIG names
  testbed admission ADDRESS:PORT CERTIFICATE KEY      reviews pods after the Pod Security Standards";

#[tokio::main]
async fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let ended = match args.as_slice() {
        ["registry", dir, address] => registry::serve(dir, address).await,
        ["dns", address, cluster, elb] => dns::serve(address, cluster, elb).await,
        ["elb", first, last, domain] => elb::run(first, last, domain).await,
        ["admission", address, certificate, key] => {
            admission::serve(address, certificate, key).await
        }
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("testbed: {error}");
            ExitCode::FAILURE
        }
    }
}
