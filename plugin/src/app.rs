//! The run in reading order: arguments, facts, placements, plans, pods, observations, verdicts, report, exit code.

use crate::{
    cells::Stand,
    cleanup,
    clues::{self, Clues},
    cluster::{Cluster, live::Live},
    completion,
    config::{Action, Config, Run},
    deployment::{Deployment, Probe},
    error::{Error, chain},
    explain::settings::ProxyConfig,
    external,
    images::Images,
    interrupt::Interrupt,
    ledger::Ledger,
    matrices::Documents,
    output::Outlet,
    placement, planning,
    preflight::{self, Ttl},
    probe_job::{self, Blueprint},
    progress::{self, Progress},
    reporting::{self, Expectations},
    survey::{self, Survey},
    targets,
    version::Version,
    wait,
};
use std::{
    collections::BTreeMap,
    hash::{BuildHasher, RandomState},
    time::Instant,
};
use svc_reach_common::{
    exit::Exit,
    facts::Node,
    observation::NotObserved,
    plan::Plan,
    position::{Network, Position},
    provider::Provider,
};

/// Positions that need a pod.
const IN_CLUSTER: [Position; 4] = [
    Position::NodeSame,
    Position::NodeOther,
    Position::PodSame,
    Position::PodOther,
];

/// Does what the command line says and tells how that ended.
///
/// # Errors
///
/// What kept it from being done.
pub async fn run(config: Config, interrupt: Interrupt) -> Result<Exit, Error> {
    let mut output = std::io::stdout();
    let connection = &config.connection;
    match config.action {
        Action::Matrix(command) => command.answer(&mut output).map(|()| Exit::AsExpected),
        Action::Judge(command) => command.answer(&mut output),
        Action::Completion(shell) => {
            completion::script(shell, &mut output).map(|()| Exit::AsExpected)
        }
        Action::Images(format) => Images::ALL
            .write(format, &mut output)
            .map(|()| Exit::AsExpected),
        Action::Version(format) => Version::of_this()?
            .write(format, &mut output)
            .map(|()| Exit::AsExpected),
        Action::Explain(command) if command.offline() => {
            let namespace = connection.namespace.as_deref().unwrap_or("default");
            command
                .answer_from_dump(namespace, &mut output)
                .map(|()| Exit::AsExpected)
        }
        Action::Run(run) => {
            // A matrix or a file that cannot be used is found out before the cluster is asked for anything.
            let documents = Documents::of(&run.expectations)?;
            let outlets = Outlet::all(&run.outputs, run.color)?;
            let (cluster, namespace) = Live::connect(connection).await?;
            let exit = reach(&cluster, &namespace, &run, &documents, &outlets, &interrupt).await;
            tracing::info!(calls = cluster.calls(), "calls to the API server");
            exit
        }
        Action::Explain(command) => {
            let (cluster, namespace) = Live::connect(connection).await?;
            tokio::select! {
                exit = interrupt.raised() => Ok(exit),
                explained = command.answer_from_cluster(&cluster, &namespace, &mut output) => {
                    explained.map(|()| Exit::AsExpected)
                }
            }
        }
        Action::Cleanup { run } => {
            let (cluster, namespace) = Live::connect(connection).await?;
            cleanup::cleanup(&cluster, &namespace, run.as_deref(), &mut output)
                .await
                .map(|()| Exit::AsExpected)
        }
    }
}

/// The main job.
async fn reach(
    cluster: &impl Cluster,
    namespace: &str,
    run: &Run,
    documents: &Documents,
    outlets: &[Outlet],
    interrupt: &Interrupt,
) -> Result<Exit, Error> {
    let began = Instant::now();
    let id = run_id();
    let probes_in = run.probe.namespace.as_deref().unwrap_or(namespace);

    // Nothing is made before this is through, so an interrupt just ends it.
    let prepared = tokio::select! {
        exit = interrupt.raised() => return Ok(exit),
        prepared = async {
            if let Some(patience) = run.wait {
                wait::until_served(cluster, namespace, &run.service, patience).await?;
            }
            prepare(cluster, namespace, probes_in, &id, run).await
        } => prepared?,
    };

    let ledger = Ledger::new(probes_in, &id);
    let progress = Progress::new();
    let deployment = Deployment {
        cluster,
        namespace: probes_in,
        run: &id,
        start_timeout: run.probe.start_timeout,
        ledger: &ledger,
        progress: &progress,
        interrupt,
    };
    let (heard, from_here) = tokio::join!(deployment.run(prepared.probes), async {
        tokio::select! {
            _ = interrupt.raised() => None,
            from_here = external::probe(&prepared.facts, &prepared.placement, &run.request, &run.choice) => Some(from_here),
        }
    });
    progress.clear();
    let removed = ledger.remove_all(cluster).await;
    let mut heard = match heard {
        Ok(heard) => heard,
        Err(error) => {
            if let Err(left) = removed {
                report_error(&left);
            }
            return Err(error);
        }
    };

    let mut stands: Vec<Stand> = prepared
        .stands
        .into_iter()
        .map(|planned| Stand {
            heard: match planned.refused {
                Some(why) => Err(why),
                None => heard
                    .remove(&planned.position)
                    .ok_or(NotObserved::Interrupted),
            },
            position: planned.position,
            node: planned.node,
            targets: planned.targets,
        })
        .collect();
    let mut left_out = None;
    if let Some(from_here) = from_here {
        stands.extend(from_here.stand);
        left_out = from_here.left_out;
    }
    let report = reporting::report(
        &id,
        began.elapsed(),
        &prepared.facts,
        &stands,
        Expectations {
            documents,
            proxy: prepared.proxy.as_ref(),
            clues: &prepared.clues,
            told: run.expectations.told,
            terms: &run.expectations.terms,
        },
        left_out.as_deref(),
    );
    let mut exit = report.summary.exit();
    // One that cannot be written is no reason to keep the others back.
    for outlet in outlets {
        if let Err(error) = outlet.write(&report) {
            exit = exit.and(report_error(&error));
        }
    }
    if let Some(interrupted) = interrupt.get() {
        exit = exit.and(interrupted);
    }
    let gone = match removed {
        Ok(()) => ledger.await_pods_going(cluster).await,
        Err(left) => Err(left),
    };
    if let Err(left) = gone {
        exit = exit.and(report_error(&left));
    }
    Ok(exit)
}

/// Everything that is known before the first probe.
struct Prepared {
    proxy: Option<ProxyConfig>,
    clues: Clues,
    facts: svc_reach_common::facts::Facts,
    placement: placement::Placement,
    stands: Vec<Planned>,
    probes: Vec<Probe>,
}

/// A position, its targets, and why it cannot be taken, where that is known already.
struct Planned {
    position: Position,
    node: Option<String>,
    targets: Vec<svc_reach_common::target::Target>,
    refused: Option<NotObserved>,
}

async fn prepare(
    cluster: &impl Cluster,
    namespace: &str,
    probes_in: &str,
    id: &str,
    run: &Run,
) -> Result<Prepared, Error> {
    let fits = |node: &Node| placement::unfit(node, &run.probe).is_none();
    let (surveyed, allowed) = tokio::join!(
        survey::survey(cluster, namespace, &run.service, &fits),
        preflight::check_permissions(cluster, probes_in)
    );
    let Survey { facts, proxy } = surveyed?;
    allowed?;
    let placement = placement::place(&facts, &run.probe);
    let service = format!("{namespace}/{}", run.service);
    let mut stands = Vec::new();
    let mut probes = Vec::new();
    for position in IN_CLUSTER {
        if !run.choice.position(position) {
            continue;
        }
        let mut targets = targets::targets(&facts, &placement, position);
        targets.retain(|target| run.choice.target(target.kind));
        let plan = planning::plan(&facts, &run.request, position, &targets);
        let node = placement
            .node(position)
            .unwrap_or(Err("not a position on a node"));
        let refused = match node {
            Err(why) => Some(NotObserved::NoNode(why.to_owned())),
            Ok(_) if plan.targets.is_empty() => Some(NotObserved::NotStarted(
                "there is nothing that it could ask".to_owned(),
            )),
            Ok(node) => {
                let job = blueprint_job(id, probes_in, &service, position, node, &plan, run);
                probes.push(Probe {
                    position,
                    plan,
                    job,
                });
                None
            }
        };
        stands.push(Planned {
            position,
            node: node.ok().map(str::to_owned),
            targets,
            refused,
        });
    }
    let provider = Provider::of(&facts).map(|(provider, _)| provider);
    let (rehearsed, clues) = tokio::join!(
        rehearse(cluster, probes_in, id, &mut stands, &mut probes),
        clues::clues(cluster, provider, &facts, proxy.is_some())
    );
    rehearsed?;
    Ok(Prepared {
        proxy,
        clues,
        facts,
        placement,
        stands,
        probes,
    })
}

fn blueprint_job(
    run_id: &str,
    namespace: &str,
    service: &str,
    position: Position,
    node: &str,
    plan: &Plan,
    run: &Run,
) -> k8s_openapi::api::batch::v1::Job {
    probe_job::job(Blueprint {
        run: run_id,
        namespace,
        service,
        position,
        node,
        plan,
        settings: &run.probe,
    })
}

/// Lets admission speak before anything is made: one pod of each network, and one Job. Positions whose pods it refuses
/// are given up, with what it said.
async fn rehearse(
    cluster: &impl Cluster,
    namespace: &str,
    id: &str,
    stands: &mut [Planned],
    probes: &mut Vec<Probe>,
) -> Result<(), Error> {
    let mut refusals = BTreeMap::new();
    let first = |network| {
        probes
            .iter()
            .find(|probe: &&Probe| probe.position.network() == network)
    };
    let (host, pod, ttl) = tokio::join!(
        rehearse_pod(cluster, namespace, first(Network::Host)),
        rehearse_pod(cluster, namespace, first(Network::Pod)),
        async {
            match probes.first() {
                Some(probe) => Some(preflight::dry_run_job(cluster, namespace, &probe.job).await),
                None => None,
            }
        }
    );
    for (network, refusal) in [(Network::Host, host), (Network::Pod, pod)] {
        if let Some(error) = refusal {
            refusals.insert(network, error);
        }
    }
    let ttl = match ttl {
        None => return Ok(()),
        Some(Ok(ttl)) => ttl,
        Some(Err(source)) => {
            return Err(Error::ProbesRefused {
                namespace: namespace.to_owned(),
                source,
            });
        }
    };
    probes.retain(|probe| !refusals.contains_key(&probe.position.network()));
    for stand in stands.iter_mut().filter(|stand| stand.refused.is_none()) {
        if let Some(error) = refusals.get(&stand.position.network()) {
            let why = format!(
                "the cluster refuses probes on the {} network: {}",
                stand.position.network(),
                chain(error)
            );
            stand.refused = Some(NotObserved::NotStarted(why));
        }
    }
    if probes.is_empty()
        && let Some((_, source)) = refusals.pop_last()
    {
        return Err(Error::ProbesRefused {
            namespace: namespace.to_owned(),
            source,
        });
    }
    if ttl == Ttl::Dropped {
        progress::plain(&format!(
            "note: this cluster does not delete finished Jobs by itself; should this run be killed, remove its probes with: {}",
            probe_job::cleanup_command(namespace, id)
        ));
    }
    Ok(())
}

async fn rehearse_pod(
    cluster: &impl Cluster,
    namespace: &str,
    probe: Option<&Probe>,
) -> Option<crate::cluster::CallError> {
    preflight::dry_run_pod(cluster, namespace, &probe?.job)
        .await
        .err()
}

/// Prints an error, its causes and the next step; tells how a run with it ends.
pub fn report_error(error: &Error) -> Exit {
    // A reader that has seen enough, such as head, knows that it left.
    if let Error::Write(cause) = error
        && cause.kind() == std::io::ErrorKind::BrokenPipe
    {
        return error.exit();
    }
    progress::plain(&format!("error: {}", error.chain()));
    if let Some(hint) = error.hint() {
        progress::plain(&format!("hint: {hint}"));
    }
    error.exit()
}

/// Eight characters that no other run has: those that a label and a name may hold.
fn run_id() -> String {
    let mut number = RandomState::new().hash_one(std::process::id());
    (0..8)
        .map(|_| {
            let digit = number % 36;
            number /= 36;
            char::from_digit(u32::try_from(digit).unwrap_or_default(), 36).unwrap_or('0')
        })
        .collect()
}
