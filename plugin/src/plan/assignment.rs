//! Decides which probes a run needs, and assigns the positions of each Service to them. Pure.
//!
//! Services share probes. For each node and network that a position needs there is one probe, or more if one gets too
//! large.

use super::{
    controls::{self, Control},
    placement::{NoNode, Placement},
    planned_position::{PlanSlice, PlannedPosition},
    requests::{self, PlannedRequest, Requests},
    service_check::ServiceCheck,
    targets,
};
use std::collections::BTreeMap;
use svc_reach_common::{
    observation::NotObserved,
    position::{Network, Position},
    report::AbsentPosition,
    target::Target,
    wire::plan::{Again, Plan},
};

/// Positions that need a pod.
const IN_CLUSTER: [Position; 4] = [
    Position::NodeSame,
    Position::NodeOther,
    Position::PodSame,
    Position::PodOther,
];

/// Most bytes of requests in one plan. An object can have 1.5 MiB (etcd, `--max-request-bytes`), and the plan is most
/// of the Job.
const PLAN_BYTES: usize = 512 * 1024;

/// Most attempts in one plan. Each attempt is about 250 bytes of log, and a second round makes up to twice as many again.
/// The kubelet begins another log file after 10 MiB (`containerLogMaxSize`), and then the first file can no longer be
/// read.
const PLAN_ATTEMPTS: usize = 12_000;

/// What one probe does.
#[derive(Debug)]
pub struct ProbePlan {
    /// Name of the probe within the run.
    pub name: String,
    /// Which network it is on.
    pub network: Network,
    /// The node it runs on.
    pub node: String,
    /// The Services that it checks, as `namespace/name`.
    pub services: Vec<String>,
    /// What it requests.
    pub plan: Plan,
}

/// Assigns every position of every Service to a probe, and returns the probes.
pub fn assign(services: &mut [ServiceCheck]) -> Vec<ProbePlan> {
    let mut builders = PlanBuilders::new(services.len() == 1, None);
    for service in services {
        for position in IN_CLUSTER {
            if !service.check.choice.position(position) {
                continue;
            }
            match builders.plan(service, &service.placement, position) {
                Ok(planned) => service.positions.push(planned),
                Err(reason) => service.absent.push(AbsentPosition { position, reason }),
            }
        }
    }
    builders.finish()
}

/// Positions of one Service that need other nodes.
#[derive(Debug)]
pub struct Move {
    /// Index of the Service.
    pub service: usize,
    /// Indices of its positions.
    pub positions: Vec<usize>,
    /// Where they may go.
    pub placement: Placement,
}

/// Assigns positions to probes on other nodes, and returns the probes. A position without another node stays as it is.
/// `unusable`: why a node cannot run a probe. `round`: makes the names of the probes unique.
pub fn reassign(
    services: &mut [ServiceCheck],
    moves: &[Move],
    unusable: &BTreeMap<String, String>,
    round: usize,
) -> Vec<ProbePlan> {
    let mut builders = PlanBuilders::new(services.len() == 1, Some(round));
    for Move {
        service,
        positions,
        placement,
    } in moves
    {
        let service = &mut services[*service];
        for at in positions {
            let old = &service.positions[*at];
            let planned = builders.plan(service, placement, old.position);
            if let Ok(mut planned) = planned
                && planned.slice.is_ok()
            {
                planned.tried.clone_from(&old.tried);
                if let Some(node) = &old.node {
                    let why = unusable.get(node).map_or("unknown", String::as_str);
                    planned.tried.push(format!("{node} ({why})"));
                }
                service.positions[*at] = planned;
            }
        }
    }
    builders.finish()
}

/// The probes of a run, while the plan is being made.
struct PlanBuilders {
    /// Whether there is only one Service, so that each probe serves one position.
    single: bool,
    /// Which round of further nodes this is. `None`: these are the first nodes.
    retry: Option<usize>,
    nodes: Vec<String>,
    builders: Vec<PlanBuilder>,
}

/// A probe, while its plan is being made.
struct PlanBuilder {
    name: String,
    network: Network,
    node: String,
    services: Vec<String>,
    blank: Plan,
    requests: Requests,
    load: Load,
}

impl PlanBuilders {
    const fn new(single: bool, retry: Option<usize>) -> Self {
        Self {
            single,
            retry,
            nodes: Vec::new(),
            builders: Vec::new(),
        }
    }

    fn finish(self) -> Vec<ProbePlan> {
        let builders = self.builders.into_iter();
        builders.map(PlanBuilder::finish).collect()
    }

    /// Plans one position of a Service. Fails with the reason if the position does not exist.
    fn plan(
        &mut self,
        service: &ServiceCheck,
        placement: &Placement,
        position: Position,
    ) -> Result<PlannedPosition, String> {
        let mut targets = targets::targets(&service.facts, placement, position);
        targets.retain(|target| service.check.choice.target(target.kind));
        let (node, slice) = match placement.node(position) {
            Some(Ok(node)) => (
                Some(node.to_owned()),
                self.add(service, position, node, &targets),
            ),
            Some(Err(NoNode::Unusable(why))) => (None, Err(NotObserved::NoNode(why.clone()))),
            Some(Err(NoNode::Absent(why))) => return Err(why.clone()),
            None => return Err("it is not in the cluster".to_owned()),
        };
        Ok(PlannedPosition {
            position,
            node,
            targets,
            slice,
            tried: Vec::new(),
        })
    }

    /// Adds targets to the probe on this node and network, or to a new one if that probe is full.
    fn add(
        &mut self,
        service: &ServiceCheck,
        position: Position,
        node: &str,
        targets: &[Target],
    ) -> Result<PlanSlice, NotObserved> {
        let settings = &service.check.request;
        let requests = requests::requests(&service.facts, settings, position.network(), targets);
        if requests.is_empty() {
            return Err(NotObserved::NotStarted(
                "there is nothing to ask from this position".to_owned(),
            ));
        }
        let controls = Control::on_unused_ports(targets);
        let load = Load::of(&requests).and(Load::of(&controls::planned(&controls)));
        let network = position.network();
        let here = |builder: &PlanBuilder| builder.network == network && builder.node == node;
        let last = self.builders.iter().rposition(here);
        let with_room = last.filter(|at| self.builders[*at].load.leaves_room_for(load));
        let at = with_room.unwrap_or_else(|| {
            let number = self.builders.iter().filter(|builder| here(builder)).count() + 1;
            let name = self.name(position, node, number);
            self.builders.push(PlanBuilder {
                name,
                network,
                node: node.to_owned(),
                services: Vec::new(),
                blank: requests::blank(settings, network),
                requests: Requests::default(),
                load: Load::default(),
            });
            self.builders.len() - 1
        });
        let builder = &mut self.builders[at];
        let ids = builder
            .requests
            .add(requests, &vec![Again::Never; targets.len()]);
        let controls = controls::add(controls, &mut builder.requests);
        builder.load = builder.load.and(load);
        let service = service.facts.service.to_string();
        if builder.services.last() != Some(&service) {
            builder.services.push(service);
        }
        Ok(PlanSlice {
            probe: builder.name.clone(),
            ids,
            controls,
        })
    }

    /// A name for the `number`-th probe on a network and node. If there is one Service, it is the name of the position.
    /// Otherwise it is the network and the number of the node in this run.
    fn name(&mut self, position: Position, node: &str, number: usize) -> String {
        let mut name = if self.single {
            position.to_string()
        } else {
            let known = self.nodes.iter().position(|known| known == node);
            let at = known.unwrap_or_else(|| {
                self.nodes.push(node.to_owned());
                self.nodes.len() - 1
            });
            format!("{}-{}", position.network(), at + 1)
        };
        if number > 1 {
            name.push_str(&format!("-{number}"));
        }
        if let Some(round) = self.retry {
            name.push_str(&format!("-retry{round}"));
        }
        name
    }
}

impl PlanBuilder {
    fn finish(self) -> ProbePlan {
        ProbePlan {
            name: self.name,
            network: self.network,
            node: self.node,
            services: self.services,
            plan: self.requests.plan(self.blank),
        }
    }
}

/// The size of requests.
#[derive(Debug, Clone, Copy, Default)]
struct Load {
    bytes: usize,
    attempts: usize,
}

impl Load {
    fn of(requests: &[PlannedRequest]) -> Self {
        let bytes = |planned: &PlannedRequest| {
            serde_json::to_vec(&planned.request).map_or(0, |text| text.len())
        };
        let attempts =
            |planned: &PlannedRequest| planned.request.attempts.map_or(1, |n| usize::from(n.get()));
        Self {
            bytes: requests.iter().map(bytes).sum(),
            attempts: requests.iter().map(attempts).sum(),
        }
    }

    const fn and(self, more: Self) -> Self {
        Self {
            bytes: self.bytes + more.bytes,
            attempts: self.attempts + more.attempts,
        }
    }

    const fn leaves_room_for(self, more: Self) -> bool {
        let both = self.and(more);
        both.bytes <= PLAN_BYTES && both.attempts <= PLAN_ATTEMPTS
    }
}

#[cfg(test)]
mod tests {
    use super::{ProbePlan, assign};
    use crate::{
        plan::service_check::{ServiceCheck, place},
        testing::{check, endpoint, facts, node, probe_settings},
    };
    use std::{collections::BTreeSet, sync::Arc};
    use svc_reach_common::{
        facts::Facts,
        position::Position,
        target::TargetKind,
        wire::plan::{RequestKind, View},
    };

    /// Services in a cluster of three nodes, each with a backend on the given node.
    fn services(backends: &[&str]) -> Vec<Facts> {
        let nodes = Arc::new(vec![node("a", 0), node("b", 1), node("c", 2)]);
        backends
            .iter()
            .enumerate()
            .map(|(index, backend)| {
                let mut facts = facts();
                facts.service.name = format!("s{index}");
                facts.nodes = Arc::clone(&nodes);
                facts.endpoints = vec![endpoint(backend, index % 200)];
                facts
            })
            .collect()
    }

    struct Assigned {
        services: Vec<ServiceCheck>,
        probes: Vec<ProbePlan>,
    }

    fn assigned(services: Vec<Facts>) -> Assigned {
        let mut services = place(services, &probe_settings(), |_| check());
        let probes = assign(&mut services);
        Assigned { services, probes }
    }

    fn names(assigned: &Assigned) -> Vec<(&str, &str)> {
        assigned
            .probes
            .iter()
            .map(|e| (e.name.as_str(), e.node.as_str()))
            .collect()
    }

    /// Checks that the probe of each position requests each target, under its id, from the position's node.
    fn all_is_asked(assigned: &Assigned) {
        let mut asked = BTreeSet::new();
        for position in assigned
            .services
            .iter()
            .flat_map(|service| &service.positions)
        {
            let slice = position.slice.as_ref().unwrap();
            let mut probes = assigned.probes.iter();
            let probe = probes.find(|probe| probe.name == slice.probe).unwrap();
            assert_eq!(position.node.as_ref(), Some(&probe.node));
            assert_eq!(position.position.network(), probe.network);
            for (target, id) in position
                .targets
                .iter()
                .zip(slice.ids.iter().flatten().copied())
            {
                let mut requests = probe.plan.targets.iter();
                let request = requests.find(|request| request.id == id).unwrap();
                assert_eq!(
                    (&request.host, request.port),
                    (&target.address, target.port)
                );
            }
        }
        for probe in &assigned.probes {
            for request in &probe.plan.targets {
                let same = (&probe.name, &request.host, request.port);
                assert!(asked.insert(same), "{} asks {request:?} twice", probe.name);
            }
        }
    }

    #[test]
    fn probes_of_one_service_are_named_after_positions() {
        let assignment = assigned(services(&["b"]));
        assert_eq!(
            names(&assignment),
            [
                ("node-same", "b"),
                ("node-other", "a"),
                ("pod-same", "b"),
                ("pod-other", "a")
            ]
        );
        all_is_asked(&assignment);
    }

    #[test]
    fn a_position_that_does_not_exist_has_no_probe_and_no_targets() {
        let mut facts = services(&["a"]).remove(0);
        facts.endpoints = vec![endpoint("a", 0), endpoint("b", 1), endpoint("c", 2)];
        let assignment = assigned(vec![facts]);
        assert_eq!(names(&assignment), [("node-same", "a"), ("pod-same", "a")]);
        let service = &assignment.services[0];
        assert_eq!(service.positions.len(), 2);
        let absent = service.absent.iter();
        let absent: Vec<_> = absent
            .map(|absent| (absent.position, absent.reason.as_str()))
            .collect();
        let reason = "every node runs a backend";
        assert_eq!(
            absent,
            [(Position::NodeOther, reason), (Position::PodOther, reason)]
        );
        let nodes: BTreeSet<&str> = service.positions[0]
            .targets
            .iter()
            .filter(|target| target.kind == TargetKind::NodePort)
            .filter_map(|target| target.node.as_deref())
            .collect();
        assert_eq!(
            nodes,
            BTreeSet::from(["a", "b"]),
            "another node is asked, too"
        );
    }

    #[test]
    fn services_share_probes() {
        for backends in [&["a", "b"][..], &["b", "a", "b", "a", "a"], &["a"; 100]] {
            let services = services(backends);
            let assignment = assigned(services);
            let mut names = names(&assignment);
            names.sort_unstable();
            let sites = [
                ("host-1", "a"),
                ("host-2", "b"),
                ("pod-1", "a"),
                ("pod-2", "b"),
            ];
            let nodes: BTreeSet<&str> = names.iter().map(|(_, node)| *node).collect();
            assert_eq!(nodes, BTreeSet::from(["a", "b"]), "{backends:?}");
            assert_eq!(names.len(), sites.len(), "{backends:?}: {names:?}");
            all_is_asked(&assignment);
            for probe in &assignment.probes {
                assert_eq!(probe.services.len(), backends.len());
                let view = if probe.name.starts_with("host") {
                    View::Host
                } else {
                    View::None
                };
                assert_eq!(probe.plan.view, view);
            }
        }
    }

    #[test]
    fn attempts_depend_on_the_backends_of_each_service() {
        let mut services = services(&["a", "b"]);
        services[1].endpoints.push(endpoint("b", 7));
        let assignment = assigned(services);
        for probe in &assignment.probes {
            for request in &probe.plan.targets {
                let dns = if request.host.starts_with("s1") { 6 } else { 3 };
                if request.host.ends_with(".svc") {
                    assert_eq!(probe.plan.attempts_on(request), dns, "{request:?}");
                }
            }
        }
    }

    #[test]
    fn a_large_plan_is_split_between_probes() {
        let assignment = assigned(services(&["a"; 1200]));
        let names = names(&assignment);
        assert!(names.contains(&("host-1-2", "a")), "{names:?}");
        for probe in &assignment.probes {
            let bytes = serde_json::to_vec(&probe.plan).unwrap().len();
            assert!(bytes < 1024 * 1024, "{}: {bytes}", probe.name);
        }
        all_is_asked(&assignment);
    }

    #[test]
    fn services_with_the_same_backend_ask_it_once() {
        let mut services = services(&["a"; 100]);
        for facts in &mut services {
            facts.endpoints = vec![endpoint("a", 0)];
        }
        let assignment = assigned(services);
        for probe in &assignment.probes {
            let targets = &probe.plan.targets;
            let direct = targets.iter().filter(|request| request.port.get() == 8080);
            assert_eq!(direct.count(), 1, "{}", probe.name);
            let names = targets
                .iter()
                .filter(|request| request.host.ends_with(".svc"));
            assert_eq!(names.count(), 100, "{}", probe.name);
            let mut to_backends = targets
                .iter()
                .filter(|request| request.probe != RequestKind::Control);
            assert!(
                to_backends.all(|request| request.lane == Some(0)),
                "all lead to one backend"
            );
        }
        for service in &assignment.services {
            for position in &service.positions {
                let slice = position.slice.as_ref().unwrap();
                assert!(
                    slice.ids.iter().all(Option::is_some),
                    "each gets its results"
                );
            }
        }
    }
}
