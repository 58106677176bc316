//! A run in reading order: facts, placements, plans, pods, observations, verdicts, reports, exit code.

pub mod smoke_test;
pub mod wait;
pub mod watch;

use crate::{
    cluster::Cluster,
    config::{Connection, RunSettings, ServiceSelection, UsageError},
    error::{Error, chain},
    plan::{
        assignment::{self, Asked, Assignment, Planned},
        placement::{self, Placement},
    },
    probes::{
        deployment::{Deployment, ProbeJob},
        external::{self, FromHere},
        job::{self, Blueprint},
        ledger::Ledger,
        lifecycle::ProbeOutput,
        preflight::{self, Shown, Ttl},
    },
    reporting::documents::Documents,
    reporting::{self, Expectations, cells::ProbedPosition},
    survey::{
        self, Survey,
        kube_proxy::ProxyConfig,
        provider_hints::{self, HintsFound},
    },
    terminal::{
        interrupt::Interrupt,
        messages::report_error,
        progress::{self, Progress},
    },
};
use std::{
    collections::BTreeMap,
    hash::{BuildHasher, RandomState},
    time::Instant,
};
use svc_reach_common::{
    exit::Exit,
    facts::{Facts, Node},
    observation::NotObserved,
    position::Network,
    provider::Provider,
    report::{Report, Reports},
};

/// The main job: what is to be done, and what with.
pub struct Run<'a, C> {
    /// The cluster.
    pub cluster: &'a C,
    /// How it is reached.
    pub connection: &'a Connection,
    /// Namespace of Services that are named without one.
    pub namespace: &'a str,
    /// What the command line asks for.
    pub settings: &'a RunSettings,
    /// What observations are held against.
    pub documents: &'a Documents,
    /// Whether the user wants an end.
    pub interrupt: &'a Interrupt,
    /// Whether it was done before, so that progress need not be told line by line.
    pub again: bool,
}

/// Everything that is known before the first probe.
struct Prepared {
    /// The API server's time.
    at: Option<String>,
    proxy: Option<ProxyConfig>,
    found: HintsFound,
    services: Vec<Facts>,
    placements: Vec<Placement>,
    stands: Vec<Vec<Planned>>,
    probes: Vec<ProbeJob>,
}

impl<C: Cluster> Run<'_, C> {
    /// Does it once and tells of what was seen as soon as that is known; `tell` returns how telling ended.
    ///
    /// # Errors
    ///
    /// What kept it from being done.
    pub async fn once(&self, tell: impl FnOnce(&Reports) -> Exit) -> Result<Exit, Error> {
        let began = Instant::now();
        let id = run_id();
        let probes_in = self.settings.probes_in(self.namespace);

        // Nothing is made before this is through, so an interrupt just ends it.
        let prepared = tokio::select! {
            exit = self.interrupt.raised() => return Ok(exit),
            prepared = self.prepare(probes_in, &id) => prepared?,
        };
        let asked = self.asked(&prepared.services, &prepared.placements);

        let ledger = Ledger::new(probes_in, &id, self.connection.flags());
        let progress = if self.again {
            Progress::quiet()
        } else {
            Progress::new()
        };
        let deployment = Deployment {
            cluster: self.cluster,
            namespace: probes_in,
            run_id: &id,
            start_timeout: self.settings.probe.start_timeout,
            ledger: &ledger,
            progress: &progress,
            interrupt: self.interrupt,
        };
        let (heard, from_here) = tokio::join!(deployment.run(prepared.probes), async {
            tokio::select! {
                _ = self.interrupt.raised() => Vec::new(),
                from_here = external::probe(&asked) => from_here,
            }
        });
        progress.clear();
        let removed = ledger.remove_all(self.cluster).await;
        let heard = match heard {
            Ok(heard) => heard,
            Err(error) => {
                if let Err(left) = removed {
                    report_error(&left);
                }
                // What failed meanwhile does not make it less of an interrupted run.
                return match self.interrupt.get() {
                    Some(interrupted) => Ok(report_error(&error).and(interrupted)),
                    None => Err(error),
                };
            }
        };

        let elapsed = began.elapsed();
        let mut from_here = from_here.into_iter();
        let reports: Vec<Report> = asked
            .iter()
            .zip(prepared.stands)
            .map(|(asked, stands)| {
                let FromHere { stand, left_out } = from_here.next().unwrap_or_default();
                let stands: Vec<ProbedPosition> = stands
                    .into_iter()
                    .map(|planned| stand_of(planned, &heard))
                    .chain(stand)
                    .collect();
                let expectations = Expectations {
                    documents: self.documents,
                    proxy: prepared.proxy.as_ref(),
                    hints: &prepared.found.hints(asked.facts),
                    overrides: self.settings.expectations.overrides,
                    terms: &asked.check.terms,
                    at: prepared.at.as_deref(),
                };
                let left_out = left_out.as_deref();
                reporting::report(&id, elapsed, asked.facts, &stands, expectations, left_out)
            })
            .collect();
        let mut exit = tell(&self.settings.reports(reports));
        if let Some(interrupted) = self.interrupt.get() {
            exit = exit.and(interrupted);
        }
        let gone = match removed {
            Ok(()) => ledger.await_pods_going(self.cluster).await,
            Err(left) => Err(left),
        };
        if let Err(left) = gone {
            exit = exit.and(report_error(&left));
        }
        Ok(exit)
    }

    async fn prepare(&self, probes_in: &str, id: &str) -> Result<Prepared, Error> {
        let RunSettings {
            selection, probe, ..
        } = self.settings;
        if let Some(patience) = self.settings.wait {
            wait::until_served(self.cluster, self.namespace, selection, patience).await?;
        }
        let fits = |node: &Node| placement::unfit(node, probe).is_none();
        let (surveyed, allowed) = tokio::join!(
            survey::survey(self.cluster, self.namespace, selection, &fits),
            preflight::check_permissions(self.cluster, probes_in)
        );
        let Survey { services, proxy } = surveyed?;
        allowed?;
        if services.is_empty() {
            progress::plain(&none_found(selection, self.namespace));
        }
        let all: Vec<&Facts> = services.iter().collect();
        let placements = placement::place(&all, probe);
        let Assignment {
            mut stands,
            errands,
        } = assignment::assign(&self.asked(&services, &placements));
        if errands.len() > probe.most {
            return Err(Error::Usage(UsageError::TooManyProbes {
                most: probe.most,
                needed: errands.len(),
            }));
        }
        let mut probes: Vec<ProbeJob> = errands
            .into_iter()
            .map(|errand| ProbeJob {
                job: job::job(Blueprint {
                    run_id: id,
                    namespace: probes_in,
                    errand: &errand,
                    settings: probe,
                }),
                name: errand.name,
                network: errand.network,
                plan: errand.plan,
            })
            .collect();
        let provider = services
            .iter()
            .find_map(Provider::of)
            .map(|(provider, _)| provider);
        let (rehearsed, found) = tokio::join!(
            rehearse(self.cluster, probes_in, &mut stands, &mut probes),
            provider_hints::look(self.cluster, provider, &services, proxy.is_some())
        );
        let shown = rehearsed?;
        if shown
            .as_ref()
            .is_some_and(|shown| shown.ttl == Ttl::Dropped)
            && !self.again
        {
            progress::plain(&format!(
                "note: this cluster does not delete finished Jobs by itself; should this run be killed, remove its probes with: {}",
                job::cleanup_command(probes_in, Some(id), &self.connection.flags())
            ));
        }
        Ok(Prepared {
            at: shown.and_then(|shown| shown.at),
            proxy,
            found,
            services,
            placements,
            stands,
            probes,
        })
    }

    /// The Services with what is wanted of them.
    fn asked<'s>(&'s self, services: &'s [Facts], placements: &'s [Placement]) -> Vec<Asked<'s>> {
        services
            .iter()
            .zip(placements)
            .enumerate()
            .map(|(index, (facts, placement))| Asked {
                facts,
                placement,
                check: self.settings.check(index),
            })
            .collect()
    }
}

/// In kubectl's words.
fn none_found(selection: &ServiceSelection, namespace: &str) -> String {
    match selection {
        ServiceSelection::Matching {
            everywhere: true, ..
        } => "No Services found".to_owned(),
        ServiceSelection::Matching { .. } | ServiceSelection::Named(_) => {
            format!("No Services found in {namespace} namespace.")
        }
    }
}

/// A position with what was heard of it.
fn stand_of(planned: Planned, heard: &BTreeMap<String, ProbeOutput>) -> ProbedPosition {
    ProbedPosition {
        heard: planned.part.and_then(|part| {
            let heard = heard.get(&part.probe).ok_or(NotObserved::Interrupted)?;
            Ok(heard.part(part.first, planned.targets.len()))
        }),
        position: planned.position,
        node: planned.node,
        targets: planned.targets,
    }
}

/// Lets admission speak before anything is made: one pod of each network, and one Job. Positions whose pods it refuses
/// are given up, with what it said.
async fn rehearse(
    cluster: &impl Cluster,
    namespace: &str,
    stands: &mut [Vec<Planned>],
    probes: &mut Vec<ProbeJob>,
) -> Result<Option<Shown>, Error> {
    let mut refusals = BTreeMap::new();
    let first = |network| {
        probes
            .iter()
            .find(|probe: &&ProbeJob| probe.network == network)
    };
    let (host, pod, job) = tokio::join!(
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
    let shown = match job {
        None => return Ok(None),
        Some(Ok(shown)) => shown,
        Some(Err(source)) => {
            return Err(Error::ProbesRefused {
                namespace: namespace.to_owned(),
                source,
            });
        }
    };
    probes.retain(|probe| !refusals.contains_key(&probe.network));
    let planned = stands.iter_mut().flatten();
    for stand in planned.filter(|stand| stand.part.is_ok()) {
        if let Some(error) = refusals.get(&stand.position.network()) {
            let why = format!(
                "the cluster refuses probes on the {} network: {}",
                stand.position.network(),
                chain(error)
            );
            stand.part = Err(NotObserved::NotStarted(why));
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
    Ok(shown)
}

async fn rehearse_pod(
    cluster: &impl Cluster,
    namespace: &str,
    probe: Option<&ProbeJob>,
) -> Option<crate::cluster::CallError> {
    preflight::dry_run_pod(cluster, namespace, &probe?.job)
        .await
        .err()
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

#[cfg(test)]
mod tests {
    use super::Run;
    use crate::{
        cluster::scripted::{Reply, Scripted},
        error::Error,
        reporting::documents::Documents,
        terminal::interrupt::{Interrupt, Signals},
        testing::{prepared, typed},
    };
    use svc_reach_common::exit::Exit;

    const JOBS: &str = "POST /apis/batch/v1/namespaces/web/jobs";

    async fn once(cluster: &Scripted, interrupt: &Interrupt) -> Result<Exit, Error> {
        let (connection, settings) = typed(&["nginx", "--only", "pod-same,cluster-ip"]);
        let run = Run {
            cluster,
            connection: &connection,
            namespace: "web",
            settings: &settings,
            documents: &Documents::of(&settings.expectations)?,
            interrupt,
            again: false,
        };
        run.once(|_| Exit::AsExpected).await
    }

    #[tokio::test(start_paused = true)]
    async fn a_run_that_fails_as_it_is_interrupted_ends_as_interrupted() {
        for (interrupted, code) in [(None, 4), (Some(Exit::Terminated), 143)] {
            let (signals, interrupt) = Signals::new();
            let cluster = Scripted::new(move |call, _| match call {
                JOBS => {
                    if let Some(exit) = interrupted {
                        signals.raise(exit);
                    }
                    Reply::Failure(403)
                }
                "WATCH /api/v1/namespaces/web/pods" => Reply::Open(vec![]),
                call => prepared(call),
            });
            let ended = once(&cluster, &interrupt).await;
            let exit = ended.unwrap_or_else(|error| error.exit());
            assert_eq!(exit.code(), code, "{:?}", cluster.asked());
        }
    }
}
