//! The services that a cloud provides for a cluster, for the cluster in `tests/cluster`: an image registry, the
//! cluster's DNS, a load balancer, and a replacement for Pod Security admission. Each subcommand starts one server.

#![expect(clippy::print_stderr, reason = "these servers log to standard error")]

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

type Failure = Box<dyn Error + Send + Sync>;
type Result<T> = std::result::Result<T, Failure>;

const USAGE: &str = "usage:
  testbed registry DIR ADDRESS:PORT                   serve the image archives in DIR
  testbed dns ADDRESS:PORT CLUSTER-DOMAIN ELB-DOMAIN  serve the DNS names of the cluster that KUBECONFIG names
  testbed elb FIRST-LAST[,FIRST-LAST] ELB-DOMAIN      be the load balancer, in this network namespace, of that cluster
  testbed admission ADDRESS:PORT CERTIFICATE KEY      enforce the Pod Security Standards as a webhook";

#[tokio::main]
async fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let ended = match args.as_slice() {
        ["registry", dir, address] => registry::serve(dir, address).await,
        ["dns", address, cluster, elb] => dns::serve(address, cluster, elb).await,
        ["elb", ranges, domain] => elb::run(ranges, domain).await,
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
