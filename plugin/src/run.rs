//! A run in reading order: facts, nodes, plans, pods, observations, verdicts, reports, exit code.
//!
//! ```text
//! survey ──► plan ──► probes ──► reporting ──► output
//! (reads)    (pure)   (Jobs, logs, removal)  (pure)
//! ```

pub mod smoke_test;
pub mod wait;
pub mod watch;

use crate::{
    cluster::{Cluster, page::AT_ONCE},
    config::{Connection, RunSettings, ServiceSelection, UsageError},
    error::Error,
    plan::{
        assignment::assign,
        placement,
        planned_position::PlannedPosition,
        service_check::{self, ServiceCheck},
    },
    probes::{
        deployment::{Deployment, ProbeJob},
        external,
        job::{self, JobSettings},
        ledger::Ledger,
        output::ProbeOutput,
        preflight::{self, Ttl},
        probed_position::ProbedPosition,
        rehearsal::rehearse,
    },
    reporting::{self, Expectations, Unchecked, documents::Documents},
    survey::{
        self, Survey,
        kube_proxy::ProxyConfig,
        mesh::{self, Mesh},
        network_policies::{self, PolicySurvey},
        outage::outages,
        provider_hints::{self, HintsFound},
    },
    terminal::{
        interrupt::Interrupt,
        messages::report_error,
        progress::{self, Progress},
    },
};
use futures_util::{StreamExt, stream};
use std::{
    collections::BTreeMap,
    hash::{BuildHasher, RandomState},
    time::{Duration, Instant},
};
use svc_reach_common::{
    exit::Exit,
    facts::Node,
    model::policy::Labels,
    observation::NotObserved,
    provider::Provider,
    report::{Report, Reports},
};

/// One run over the selected Services.
pub struct Run<'a, C> {
    /// The cluster.
    pub cluster: &'a C,
    /// How the plugin reaches the cluster.
    pub connection: &'a Connection,
    /// The namespace of Service names that have none.
    pub namespace: &'a str,
    /// The settings from the command line.
    pub settings: &'a RunSettings,
    /// The documented matrices.
    pub documents: &'a Documents,
    /// Whether the user wants the run to end.
    pub interrupt: &'a Interrupt,
    /// Whether this is a later run of a watch, which prints fewer messages.
    pub again: bool,
}

/// Everything that is known before the first probe is created.
struct Prepared {
    /// The API server's time.
    at: Option<String>,
    proxy: Option<ProxyConfig>,
    hints: HintsFound,
    policies: PolicySurvey,
    services: Vec<ServiceCheck>,
    probes: Vec<ProbeJob>,
}

impl<C: Cluster> Run<'_, C> {
    /// Runs once. `tell` gets the reports as soon as they exist, prints them and returns the exit status. After that,
    /// this waits until the last pods are gone.
    ///
    /// # Errors
    ///
    /// The failure that prevented a report.
    pub async fn once(&self, tell: impl FnOnce(&Reports) -> Exit) -> Result<Exit, Error> {
        let began = Instant::now();
        let run_id = run_id();
        let probes_in = self.settings.probes_in(self.namespace);

        // Nothing exists in the cluster yet, so an interrupt can end the run at once.
        let mut prepared = tokio::select! {
            exit = self.interrupt.raised() => return Ok(exit),
            prepared = self.prepare(probes_in, &run_id) => prepared?,
        };

        let ledger = Ledger::new(probes_in, &run_id, self.connection.flags());
        let progress = if self.again {
            Progress::quiet()
        } else {
            Progress::new()
        };
        let deployment = Deployment {
            cluster: self.cluster,
            namespace: probes_in,
            run_id: &run_id,
            start_timeout: self.settings.probe.start_timeout,
            ledger: &ledger,
            progress: &progress,
            interrupt: self.interrupt,
        };
        let probes = std::mem::take(&mut prepared.probes);
        let (outputs, ()) = tokio::join!(deployment.run(probes), async {
            tokio::select! {
                _ = self.interrupt.raised() => {}
                () = external::probe(&mut prepared.services) => {}
            }
        });
        progress.clear();
        let removed = ledger.remove_all(self.cluster).await;
        let outputs = match outputs {
            Ok(outputs) => outputs,
            Err(error) => {
                if let Err(left) = removed {
                    report_error(&left);
                }
                // If the user interrupted the run, it exits as interrupted, even if something failed, too.
                return match self.interrupt.get() {
                    Some(interrupted) => Ok(report_error(&error).and(interrupted)),
                    None => Err(error),
                };
            }
        };

        let meshes = self.meshes(&prepared, &outputs).await;
        let reports = self.reports(prepared, &meshes, &outputs, &run_id, began.elapsed());
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

    /// Reads the cluster, chooses nodes, plans the probes, and asks the API server whether it would admit them.
    async fn prepare(&self, probes_in: &str, run_id: &str) -> Result<Prepared, Error> {
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
        // The probes of a run differ in one label only, the name of the probe.
        let labels = job::pod_labels(run_id, "", probe);
        if let Some(facts) = services.iter().find(|facts| {
            facts.service.namespace == probes_in && selects(&facts.service.selector, &labels)
        }) {
            let selector = facts.service.selector.iter();
            let selector: Vec<String> = selector
                .map(|(key, value)| format!("{key}={value}"))
                .collect();
            return Err(Error::Usage(UsageError::invalid(
                "--probe-label",
                &selector.join(","),
                "one of the Services selects pods with these labels, so the probes would be its backends",
            )));
        }
        let provider = services
            .iter()
            .find_map(Provider::of)
            .map(|(provider, _)| provider);
        let mut services = service_check::place(services, probe, |service| {
            self.settings.check(service, self.namespace).clone()
        });
        let plans = assign(&mut services);
        if plans.len() > probe.most {
            return Err(Error::Usage(UsageError::TooManyProbes {
                most: probe.most,
                needed: plans.len(),
            }));
        }
        let mut probes: Vec<ProbeJob> = plans
            .into_iter()
            .map(|plan| ProbeJob {
                job: job::job(JobSettings {
                    run_id,
                    namespace: probes_in,
                    probe: &plan,
                    settings: probe,
                }),
                name: plan.name,
                network: plan.network,
                plan: plan.plan,
            })
            .collect();
        let facts: Vec<_> = services.iter().map(|service| &service.facts).collect();
        let hints = provider_hints::look(self.cluster, provider, &facts, proxy.is_some());
        let policies = network_policies::look(self.cluster, &facts, probes_in, Labels::all(labels));
        let (rehearsed, hints, policies, outages) = tokio::join!(
            rehearse(self.cluster, probes_in, &mut probes),
            hints,
            policies,
            outages(self.cluster, &facts)
        );
        for (service, outage) in services.iter_mut().zip(outages) {
            service.outage = outage;
        }
        let rehearsal = rehearsed?;
        for position in services
            .iter_mut()
            .flat_map(|service| &mut service.positions)
        {
            if position.slice.is_ok()
                && let Some(why) = rehearsal.refusals.get(&position.position.network())
            {
                position.slice = Err(NotObserved::NotStarted(why.clone()));
            }
        }
        if rehearsal.ttl == Some(Ttl::Dropped) && !self.again {
            progress::plain(&format!(
                "note: this cluster does not delete finished Jobs by itself; if this run is killed, remove its probes with: {}",
                job::cleanup_command(probes_in, Some(run_id), &self.connection.flags())
            ));
        }
        Ok(Prepared {
            at: rehearsal.at,
            proxy,
            hints,
            policies,
            services,
            probes,
        })
    }

    /// The mesh at the backends of each Service. They are only read if a connection was accepted and then ended, which
    /// is how a mesh refuses a client.
    async fn meshes(
        &self,
        prepared: &Prepared,
        outputs: &BTreeMap<String, ProbeOutput>,
    ) -> Vec<Option<Mesh>> {
        let mut attempts = outputs
            .values()
            .flat_map(|output| output.results.values().flatten());
        if !attempts.any(mesh::may_be_refused) {
            return Vec::new();
        }
        stream::iter(&prepared.services)
            .map(|service| mesh::look(self.cluster, &service.facts))
            .buffered(AT_ONCE)
            .collect()
            .await
    }

    /// Compares observations with expectations, and builds one report for each Service.
    fn reports(
        &self,
        prepared: Prepared,
        meshes: &[Option<Mesh>],
        outputs: &BTreeMap<String, ProbeOutput>,
        run_id: &str,
        elapsed: Duration,
    ) -> Vec<Report> {
        prepared
            .services
            .into_iter()
            .enumerate()
            .map(|(index, service)| {
                let positions: Vec<ProbedPosition> = service
                    .positions
                    .into_iter()
                    .map(|planned| probed(planned, outputs))
                    .chain(service.external.probed)
                    .collect();
                let expectations = Expectations {
                    documents: self.documents,
                    proxy: prepared.proxy.as_ref(),
                    hints: &prepared.hints.hints(&service.facts),
                    policies: &prepared.policies,
                    mesh: meshes.get(index).and_then(Option::as_ref),
                    overrides: self.settings.expectations.overrides,
                    terms: &service.check.terms,
                    at: prepared.at.as_deref(),
                };
                let unchecked = Unchecked {
                    external: service.external.left_out.as_deref(),
                    absent: service.absent,
                    outage: service.outage,
                };
                reporting::report(
                    run_id,
                    elapsed,
                    &service.facts,
                    &positions,
                    expectations,
                    unchecked,
                )
            })
            .collect()
    }
}

/// The message that kubectl prints if it finds nothing.
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

/// Whether a Service's selector selects pods with these labels. An empty selector selects none.
fn selects(selector: &BTreeMap<String, String>, labels: &BTreeMap<String, String>) -> bool {
    let mut parts = selector.iter();
    !selector.is_empty() && parts.all(|(key, value)| labels.get(key) == Some(value))
}

/// A position with the output of its probe.
fn probed(planned: PlannedPosition, outputs: &BTreeMap<String, ProbeOutput>) -> ProbedPosition {
    ProbedPosition {
        heard: planned.slice.and_then(|slice| {
            let output = outputs.get(&slice.probe).ok_or(NotObserved::Interrupted)?;
            Ok(output.part(slice.first, planned.targets.len()))
        }),
        position: planned.position,
        node: planned.node,
        targets: planned.targets,
    }
}

/// A random ID of eight characters, valid in labels and in names of objects.
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
    use serde_json::json;
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
    async fn probes_never_become_backends() {
        for (labels, fails) in [("app=nginx", true), ("app=other", false)] {
            let cluster = Scripted::new(|call, _| match call {
                "GET /api/v1/namespaces/web/services/nginx" => Reply::Object(json!({
                    "metadata": {"name": "nginx", "namespace": "web"},
                    "spec": {"clusterIP": "10.0.0.1", "selector": {"app": "nginx"},
                             "ports": [{"port": 80, "protocol": "TCP"}]},
                })),
                JOBS => Reply::Failure(403),
                "WATCH /api/v1/namespaces/web/pods" => Reply::Open(vec![]),
                call => prepared(call),
            });
            let (connection, settings) = typed(&["nginx", "--probe-label", labels]);
            let (_signals, interrupt) = Signals::new();
            let run = Run {
                cluster: &cluster,
                connection: &connection,
                namespace: "web",
                settings: &settings,
                documents: &Documents::of(&settings.expectations).unwrap(),
                interrupt: &interrupt,
                again: true,
            };
            let error = run.once(|_| Exit::AsExpected).await.unwrap_err();
            assert_eq!(error.exit().code() == 2, fails, "{labels}: {error}");
            let created = cluster.asked().iter().any(|call| call == JOBS);
            assert_eq!(created, !fails, "{labels}: {:?}", cluster.asked());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_interrupt_outranks_a_failure() {
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
