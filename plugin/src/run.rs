//! A run in reading order: facts, nodes, plans, pods, observations, verdicts, reports, exit code.
//!
//! ```text
//! survey ──► plan ──► probes ──► reporting ──► output
//! (reads)    (pure)   (Jobs, logs, removal)  (pure)
//! ```

pub mod second_round;
pub mod smoke_test;
#[cfg(test)]
mod tests;
pub mod wait;
pub mod watch;

use crate::{
    cluster::{Cluster, page::AT_ONCE},
    config::{Connection, External, RunSettings, ServiceSelection, UsageError},
    error::Error,
    plan::{
        assignment::{ProbePlan, assign},
        placement,
        planned_position::PlannedPosition,
        public_addresses,
        relocation::{FURTHER_NODES, relocate},
        requests,
        service_check::{self, ServiceCheck},
    },
    probes::{
        deployment::{Deployment, ProbeJob},
        external,
        job::{self, JobSettings},
        ledger::Ledger,
        output::{End, Fault, ProbeOutput},
        preflight::{self, Ttl},
        probed_position::ProbedPosition,
        rehearsal::rehearse,
        scout,
    },
    reporting::{self, Expectations, Unchecked, documents::Documents, neighbours::neighbours},
    survey::{
        self, Survey,
        changes::Changes,
        ingresses,
        kube_proxy::ProxyConfig,
        mesh::{self, Mesh},
        network_policies::{self, PolicySurvey},
        outage::outages,
        provider_hints::{self, HintsFound, ProviderHints},
    },
    terminal::{
        interrupt::Interrupt,
        messages::report_error,
        progress::{self, Progress},
    },
};
use futures_util::{StreamExt, stream};
use std::{
    collections::{BTreeMap, HashMap},
    hash::{BuildHasher, RandomState},
    sync::Arc,
    time::{Duration, Instant},
};
use svc_reach_common::{
    exit::Exit,
    facts::{Facts, FurtherNodes, Node, ServiceType},
    model::policy::Labels,
    observation::NotObserved,
    position::{Network, Position},
    provider::Provider,
    report::{Report, Reports},
    terms::Terms,
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

/// How one try of a run ended.
enum Ended {
    /// It was interrupted, and there is nothing to report.
    Early(Exit),
    /// It made reports.
    Looked(Box<Looked>),
}

/// One try of a run.
struct Looked {
    reports: Vec<Report>,
    /// Whether the cluster changed meanwhile.
    changed: bool,
    /// The Jobs that it created.
    ledger: Ledger,
    /// Whether they were removed.
    removed: Result<(), Error>,
}

/// Everything that is known before the first probe is created.
struct Prepared {
    known: Known,
    services: Vec<ServiceCheck>,
    probes: Vec<ProbeJob>,
}

/// What is known about the cluster, apart from the Services.
struct Known {
    /// The API server's time before the probes were created.
    at: Option<String>,
    /// Whether the user may list nodes.
    nodes_listed: bool,
    proxy: Option<ProxyConfig>,
    hints: HintsFound,
    policies: PolicySurvey,
}

impl<C: Cluster> Run<'_, C> {
    /// Runs once. `tell` gets the reports as soon as they exist, prints them and returns the exit status. After that,
    /// this waits until the last pods are gone.
    ///
    /// # Errors
    ///
    /// The failure that prevented a report.
    pub async fn once(&self, tell: impl FnOnce(&Reports) -> Exit) -> Result<Exit, Error> {
        let began = tokio::time::Instant::now();
        let looked = loop {
            let looked = match self.look().await? {
                Ended::Early(exit) => return Ok(exit),
                Ended::Looked(looked) => *looked,
            };
            let time_left = self
                .settings
                .settle
                .is_some_and(|most| began.elapsed() < most);
            if !looked.changed
                || !time_left
                || looked.removed.is_err()
                || self.interrupt.get().is_some()
            {
                break looked;
            }
            if !self.again {
                progress::plain("note: the cluster changed during the run, so the run is repeated");
            }
            if let Err(left) = looked.ledger.await_pods_going(self.cluster).await {
                report_error(&left);
            }
        };
        let Looked {
            reports,
            ledger,
            removed,
            changed: _,
        } = looked;
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

    /// Puts the probes into the cluster, removes them, and makes the reports.
    async fn look(&self) -> Result<Ended, Error> {
        let began = Instant::now();
        let run_id = run_id();
        let probes_in = self.settings.probes_in(self.namespace);

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
        // No probe exists yet, so an interrupt can end the run at once.
        let prepared = tokio::select! {
            exit = self.interrupt.raised() => Err(Ok(Ended::Early(exit))),
            prepared = self.prepare(&deployment) => prepared.map_err(Err),
        };
        let Prepared {
            known,
            mut services,
            probes,
        } = match prepared {
            Ok(prepared) => prepared,
            Err(ended) => {
                // Only a scout may exist.
                return match (ledger.remove_all(self.cluster).await, ended) {
                    (Ok(()), ended) => ended,
                    (Err(left), Ok(Ended::Early(exit))) => {
                        Ok(Ended::Early(exit.and(report_error(&left))))
                    }
                    (Err(left), ended) => {
                        report_error(&left);
                        ended
                    }
                };
            }
        };
        let (outputs, ()) = tokio::join!(deployment.run(probes), async {
            tokio::select! {
                _ = self.interrupt.raised() => {}
                () = external::probe(&mut services, |service, targets| {
                    let hints = known.hints.hints(&service.facts);
                    let expectations = self.expectations(&service.check.terms, &known, &hints);
                    second_round::external(service, targets, expectations)
                }) => {}
            }
        });
        let outputs = match outputs {
            Ok(first) => Ok(self
                .elsewhere(&deployment, &mut services, &known, first)
                .await),
            Err(error) => Err(error),
        };
        progress.clear();
        let (removed, ()) = tokio::join!(ledger.remove_all(self.cluster), async {
            if outputs.is_ok() {
                self.notice_changes(&mut services, &known).await;
            }
        });
        let outputs = match outputs {
            Ok(outputs) => outputs,
            Err(error) => {
                if let Err(left) = removed {
                    report_error(&left);
                }
                // If the user interrupted the run, it exits as interrupted, even if something failed, too.
                return match self.interrupt.get() {
                    Some(interrupted) => Ok(Ended::Early(report_error(&error).and(interrupted))),
                    None => Err(error),
                };
            }
        };

        let changed = services.iter().any(ServiceCheck::disturbed);
        // An interrupt does not end this: without it, the report would call broken what a mesh refuses.
        let meshes = self.meshes(&services, &outputs).await;
        let reports = self.reports(
            services,
            &known,
            &meshes,
            &outputs,
            &run_id,
            began.elapsed(),
        );
        Ok(Ended::Looked(Box::new(Looked {
            reports,
            changed,
            ledger,
            removed,
        })))
    }

    /// Reads the Services, their endpoints and nodes again, and notes what changed since the beginning of the run.
    async fn notice_changes(&self, services: &mut [ServiceCheck], known: &Known) {
        let probe = &self.settings.probe;
        let fits = |node: &Node| placement::unfit(node, probe).is_none();
        let selection = &self.settings.selection;
        let first = services.first().map(|service| &service.facts);
        let nodes = first.filter(|_| !known.nodes_listed);
        let read = tokio::select! {
            _ = self.interrupt.raised() => return,
            read = survey::read_again(self.cluster, self.namespace, selection, &fits, nodes) => read,
        };
        let mut now = match read {
            Ok(now) => now,
            Err(error) => {
                let why = format!(
                    "failed to read the cluster again at the end, so a change during the run would go unnoticed: {}",
                    error.chain()
                );
                for service in services {
                    service.changes = Changes::unknown(why.clone());
                }
                return;
            }
        };
        // What is gone has changed, which the comparison finds.
        let unlisted = &self.settings.check.request.unlisted;
        let _ = public_addresses::add(&mut now, unlisted, self.namespace);
        for service in services {
            let (namespace, name) = (
                &service.facts.service.namespace,
                &service.facts.service.name,
            );
            let mut now = now.iter();
            let now =
                now.find(|now| (&now.service.namespace, &now.service.name) == (namespace, name));
            service.notice(now, probe);
        }
    }

    /// Reads the cluster, chooses nodes, plans the probes, and asks the API server whether it would admit them.
    async fn prepare(&self, deployment: &Deployment<'_, C>) -> Result<Prepared, Error> {
        let (probes_in, run_id) = (deployment.namespace, deployment.run_id);
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
        let Survey {
            mut services,
            nodes_listed,
            proxy,
        } = surveyed?;
        allowed?;
        // The probes of a run differ in one label only, the name of the probe.
        let labels = job::pod_labels(run_id, "", probe);
        if let Some(facts) = services
            .iter()
            .find(|facts| facts.service.namespace == probes_in && facts.service.selects(&labels))
        {
            return Err(Error::Usage(UsageError::invalid(
                "--probe-label",
                &facts.service.selector_text(),
                "one of the Services selects pods with these labels, so the probes would be its backends",
            )));
        }
        if !nodes_listed {
            self.scout(deployment, &mut services).await;
        }
        ingresses::look(self.cluster, &mut services).await;
        let unlisted = &self.settings.check.request.unlisted;
        public_addresses::add(&mut services, unlisted, self.namespace)?;
        if services.is_empty() {
            progress::plain(&none_found(selection, self.namespace));
        }
        let provider = services
            .iter()
            .find_map(Provider::of)
            .map(|(provider, _)| provider);
        let mut services = service_check::place(services, probe, |service| {
            self.settings.check(service, self.namespace).clone()
        });
        public_addresses::ask(&mut services, &unlisted.nodes);
        let plans = assign(&mut services);
        if plans.len() > probe.most {
            return Err(Error::Usage(UsageError::TooManyProbes {
                most: probe.most,
                needed: plans.len(),
            }));
        }
        let facts: Vec<_> = services.iter().map(|service| &service.facts).collect();
        let hints = provider_hints::look(self.cluster, provider, &facts);
        let policies = network_policies::look(self.cluster, &facts, probes_in, Labels::all(labels));
        let (hints, policies, outages) =
            tokio::join!(hints, policies, outages(self.cluster, &facts));
        for (service, outage) in services.iter_mut().zip(outages) {
            service.outage = outage;
        }
        let mut known = Known {
            at: None,
            nodes_listed,
            proxy,
            hints,
            policies,
        };
        let mut probes = self.jobs(plans, &services, &known, (probes_in, run_id));
        let rehearsal = rehearse(self.cluster, probes_in, &mut probes).await?;
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
        let refused = |network| rehearsal.refusals.contains_key(&network);
        if refused(Network::Host) && !refused(Network::Pod) && !self.again {
            progress::plain(&format!(
                "note: this namespace refuses pods on the host network, so the positions node-same and node-other cannot be observed; a run without them is complete: kubectl svc-reach {} --only pod-same,pod-other{}{}",
                selection.words(self.namespace),
                match self.settings.check.request.external {
                    External::Auto => ",external",
                    External::Never => "",
                },
                self.connection.flags()
            ));
        }
        known.at = rehearsal.at;
        Ok(Prepared {
            known,
            services,
            probes,
        })
    }

    /// Adds a node without a backend, if the Services need one and the user may not list nodes.
    async fn scout(&self, deployment: &Deployment<'_, C>, services: &mut [Facts]) {
        let lacks_one = |facts: &Facts| {
            let choice = &self.settings.check(&facts.service, self.namespace).choice;
            let wanted = [Position::NodeOther, Position::PodOther].map(|it| choice.position(it));
            let mut names = facts.nodes.iter().map(|node| &node.name);
            facts.service.kind != ServiceType::ExternalName
                && wanted.contains(&true)
                && names.all(|name| facts.runs_backend(name))
        };
        let Some(first) = services.iter().find(|facts| lacks_one(facts)) else {
            return;
        };
        let mut nodes = Vec::clone(&first.nodes);
        let mut further = FurtherNodes::NotRead;
        let known: Vec<&str> = nodes.iter().map(|node| node.name.as_str()).collect();
        let plan = requests::blank(&self.settings.check.request, Network::Pod);
        match scout::scout(deployment, &self.settings.probe, plan, &known).await {
            Ok(found) => nodes.push(found),
            Err(none) => further = none,
        }
        let nodes = Arc::new(nodes);
        for facts in services {
            facts.nodes = Arc::clone(&nodes);
            facts.further_nodes.clone_from(&further);
        }
    }

    /// The Jobs of these probes of a run in a namespace.
    fn jobs(
        &self,
        mut plans: Vec<ProbePlan>,
        services: &[ServiceCheck],
        known: &Known,
        (namespace, run_id): (&str, &str),
    ) -> Vec<ProbeJob> {
        let mut by_name: HashMap<String, &mut ProbePlan> = plans
            .iter_mut()
            .map(|plan| (plan.name.clone(), plan))
            .collect();
        for service in services {
            let hints = known.hints.hints(&service.facts);
            let expectations = self.expectations(&service.check.terms, known, &hints);
            second_round::mark(service, &mut by_name, expectations);
        }
        plans
            .into_iter()
            .map(|plan| ProbeJob {
                job: job::job(JobSettings {
                    run_id,
                    namespace,
                    probe: &plan,
                    settings: &self.settings.probe,
                }),
                name: plan.name,
                network: plan.network,
                plan: plan.plan,
            })
            .collect()
    }

    /// If a node could not start a probe, tries other nodes of the same kind. Returns the outputs of all probes.
    async fn elsewhere(
        &self,
        deployment: &Deployment<'_, C>,
        services: &mut [ServiceCheck],
        known: &Known,
        mut outputs: BTreeMap<String, ProbeOutput>,
    ) -> BTreeMap<String, ProbeOutput> {
        let settings = &self.settings.probe;
        let mut unusable = BTreeMap::new();
        for round in 1..=FURTHER_NODES {
            if self.interrupt.get().is_some() {
                break;
            }
            let plans = relocate(services, settings, &outputs, &mut unusable, round);
            if plans.is_empty() {
                break;
            }
            let probes = self.jobs(
                plans,
                services,
                known,
                (deployment.namespace, deployment.run_id),
            );
            let names: Vec<String> = probes.iter().map(|probe| probe.name.clone()).collect();
            match deployment.run(probes).await {
                Ok(more) => outputs.extend(more),
                // The other probes have seen something, so the run goes on.
                Err(error) => {
                    let end = End::not_started(error.chain(), Fault::NotTheNode);
                    let nothing = ProbeOutput::nothing(end);
                    outputs.extend(names.into_iter().map(|name| (name, nothing.clone())));
                }
            }
        }
        outputs
    }

    /// The mesh at the backends of each Service. They are only read if a connection was accepted and then ended, which
    /// is how a mesh refuses a client.
    async fn meshes(
        &self,
        services: &[ServiceCheck],
        outputs: &BTreeMap<String, ProbeOutput>,
    ) -> Vec<Result<Option<Mesh>, String>> {
        let mut attempts = outputs
            .values()
            .flat_map(|output| output.results.values().flatten());
        if !attempts.any(mesh::may_be_refused) {
            return Vec::new();
        }
        stream::iter(services)
            .map(|service| mesh::look(self.cluster, &service.facts))
            .buffered(AT_ONCE)
            .collect()
            .await
    }

    /// What is expected of a Service before a probe has run.
    fn expectations<'s>(
        &'s self,
        terms: &'s Terms,
        known: &'s Known,
        hints: &'s ProviderHints,
    ) -> Expectations<'s> {
        Expectations {
            documents: self.documents,
            proxy: known.proxy.as_ref(),
            hints,
            policies: &known.policies,
            mesh: Ok(None),
            others: &[],
            overrides: self.settings.expectations.overrides,
            terms,
            at: known.at.as_deref(),
        }
    }

    /// Compares observations with expectations, and builds one report for each Service.
    fn reports(
        &self,
        services: Vec<ServiceCheck>,
        known: &Known,
        meshes: &[Result<Option<Mesh>, String>],
        outputs: &BTreeMap<String, ProbeOutput>,
        run_id: &str,
        elapsed: Duration,
    ) -> Vec<Report> {
        let facts: Vec<&Facts> = services.iter().map(|service| &service.facts).collect();
        let others = neighbours(&facts);
        services
            .into_iter()
            .enumerate()
            .zip(others)
            .map(|((index, service), others)| {
                let positions: Vec<ProbedPosition> = service
                    .positions
                    .into_iter()
                    .map(|planned| probed(planned, outputs))
                    .chain(service.external.probed)
                    .collect();
                let hints = known.hints.hints(&service.facts);
                let expectations = Expectations {
                    mesh: match meshes.get(index) {
                        Some(Ok(mesh)) => Ok(mesh.as_ref()),
                        Some(Err(why)) => Err(why),
                        None => Ok(None),
                    },
                    others: &others,
                    ..self.expectations(&service.check.terms, known, &hints)
                };
                let unchecked = Unchecked {
                    external: service.external.left_out.as_deref(),
                    nodes_unlisted: !known.nodes_listed,
                    absent: service.absent,
                    outage: service.outage,
                    changes: service.changes,
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

/// A position with the output of its probe.
fn probed(planned: PlannedPosition, outputs: &BTreeMap<String, ProbeOutput>) -> ProbedPosition {
    let mut accepted = Vec::new();
    ProbedPosition {
        heard: planned.slice.and_then(|slice| {
            let output = outputs.get(&slice.probe).ok_or(NotObserved::Interrupted)?;
            accepted = output.accepted(slice.controls);
            let mut output = output.part(&slice.ids);
            if let End::NotStarted { why, .. } = &mut output.end
                && !planned.tried.is_empty()
            {
                why.push_str(&format!(
                    "; it did not start on {} either",
                    planned.tried.join(", ")
                ));
            }
            Ok(output)
        }),
        position: planned.position,
        node: planned.node,
        targets: planned.targets,
        accepted,
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
