//! Which probes a run sends out, and what each of them asks on whose behalf. Pure.
//!
//! Services share probes: one on each node and network that a position of any of them stands on.

use crate::{
    config::Check,
    plan::{
        placement::Placement,
        requests::{self, Requests},
        targets,
    },
};
use svc_reach_common::{
    facts::Facts,
    observation::NotObserved,
    position::{Network, Position},
    target::Target,
    wire::plan::{Plan, Request},
};

/// Positions that need a pod.
const IN_CLUSTER: [Position; 4] = [
    Position::NodeSame,
    Position::NodeOther,
    Position::PodSame,
    Position::PodOther,
];

/// Bytes of requests in one plan. An object can have 1.5 MiB (etcd, `--max-request-bytes`), and the plan is most of it.
const PLAN_BYTES: usize = 512 * 1024;

/// Attempts in one plan, each of which becomes some 250 bytes of log. The kubelet begins another file after 10 MiB
/// (`containerLogMaxSize`), and what stands in the first is then not read again.
const PLAN_ATTEMPTS: usize = 20_000;

/// A Service that is asked about.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// What the cluster tells of it.
    pub facts: &'a Facts,
    /// Where its probes stand.
    pub placement: &'a Placement,
    /// What is asked of it.
    pub check: &'a Check,
}

/// What a run sends out and whom it asks.
#[derive(Debug)]
pub struct Assignment {
    /// Positions of each Service.
    pub stands: Vec<Vec<Planned>>,
    /// The probes.
    pub errands: Vec<Errand>,
}

/// A position of a Service, its targets, and which probe asks them.
#[derive(Debug)]
pub struct Planned {
    /// Where.
    pub position: Position,
    /// The node, where there is one.
    pub node: Option<String>,
    /// What is to be asked.
    pub targets: Vec<Target>,
    /// By whom, or why by nobody.
    pub part: Result<Part, NotObserved>,
}

/// Part of a probe's plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// Name of the probe.
    pub probe: String,
    /// Id of the first target.
    pub first: u32,
}

/// What a probe is sent out for.
#[derive(Debug)]
pub struct Errand {
    /// Names the probe among those of the run.
    pub name: String,
    /// Which network it is on.
    pub network: Network,
    /// The node it stands on.
    pub node: String,
    /// The Services that it asks about, as `namespace/name`.
    pub services: Vec<String>,
    /// What it does.
    pub plan: Plan,
}

/// Assigns every position of every Service to a probe.
pub fn assign(asked: &[Asked<'_>]) -> Assignment {
    let mut sites = Sites {
        only: asked.len() == 1,
        nodes: Vec::new(),
        sites: Vec::new(),
    };
    let mut stands = Vec::new();
    for service in asked {
        let choice = &service.check.choice;
        let mut planned = Vec::new();
        for position in IN_CLUSTER.into_iter().filter(|p| choice.position(*p)) {
            let mut targets = targets::targets(service.facts, service.placement, position);
            targets.retain(|target| choice.target(target.kind));
            let node = service
                .placement
                .node(position)
                .unwrap_or(Err("not a position on a node"));
            let part = match node {
                Err(why) => Err(NotObserved::NoNode(why.to_owned())),
                Ok(node) => sites.take(position, node, service, &targets),
            };
            planned.push(Planned {
                position,
                node: node.ok().map(str::to_owned),
                targets,
                part,
            });
        }
        stands.push(planned);
    }
    Assignment {
        stands,
        errands: sites.sites.into_iter().map(Site::errand).collect(),
    }
}

/// Where probes are wanted.
struct Sites<'a> {
    /// Whether there is one Service only, so that a probe has one position only.
    only: bool,
    nodes: Vec<&'a str>,
    sites: Vec<Site<'a>>,
}

/// A probe that is being filled.
struct Site<'a> {
    name: String,
    network: Network,
    node: &'a str,
    services: Vec<String>,
    blank: Plan,
    requests: Requests,
    load: Load,
}

impl<'a> Sites<'a> {
    /// Has targets asked from a position: by the probe that stands there, or by one more where that has enough to do.
    fn take(
        &mut self,
        position: Position,
        node: &'a str,
        asked: &Asked<'_>,
        targets: &[Target],
    ) -> Result<Part, NotObserved> {
        let settings = &asked.check.request;
        let requests = requests::requests(asked.facts, settings, targets);
        if requests.is_empty() {
            return Err(NotObserved::NotStarted(
                "there is nothing that it could ask".to_owned(),
            ));
        }
        let load = Load::of(&requests);
        let network = position.network();
        let there = |site: &Site<'_>| (site.network, site.node) == (network, node);
        let last = self.sites.iter().rposition(there);
        let with_room = last.filter(|at| self.sites[*at].load.leaves_room_for(load));
        let at = with_room.unwrap_or_else(|| {
            let number = self.sites.iter().filter(|site| there(site)).count() + 1;
            let name = self.name(position, node, number);
            self.sites.push(Site {
                name,
                network,
                node,
                services: Vec::new(),
                blank: requests::blank(settings, network),
                requests: Requests::default(),
                load: Load::default(),
            });
            self.sites.len() - 1
        });
        let site = &mut self.sites[at];
        let first = site.requests.add(requests, targets.len());
        site.load = site.load.and(load);
        let service = &asked.facts.service;
        let service = format!("{}/{}", service.namespace, service.name);
        if site.services.last() != Some(&service) {
            site.services.push(service);
        }
        Ok(Part {
            probe: site.name.clone(),
            first,
        })
    }

    /// A name for the `number`-th probe of a network and node: of its only position, or else of its network and the
    /// node's number among those of the run.
    fn name(&mut self, position: Position, node: &'a str, number: usize) -> String {
        let mut name = if self.only {
            position.to_string()
        } else {
            let known = self.nodes.iter().position(|known| *known == node);
            let at = known.unwrap_or_else(|| {
                self.nodes.push(node);
                self.nodes.len() - 1
            });
            format!("{}-{}", position.network(), at + 1)
        };
        if number > 1 {
            name.push_str(&format!("-{number}"));
        }
        name
    }
}

impl Site<'_> {
    fn errand(self) -> Errand {
        Errand {
            name: self.name,
            network: self.network,
            node: self.node.to_owned(),
            services: self.services,
            plan: self.requests.plan(self.blank),
        }
    }
}

/// What requests cost.
#[derive(Debug, Clone, Copy, Default)]
struct Load {
    bytes: usize,
    attempts: usize,
}

impl Load {
    fn of(requests: &[Request]) -> Self {
        let bytes = |request| serde_json::to_vec(request).map_or(0, |text| text.len());
        let attempts = |request: &Request| request.attempts.map_or(1, |n| usize::from(n.get()));
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
    use super::{Asked, Assignment, assign};
    use crate::{
        plan::placement::place,
        testing::{check, endpoint, facts, node, probe_settings},
    };
    use std::{collections::BTreeSet, sync::Arc};
    use svc_reach_common::{facts::Facts, wire::plan::View};

    /// Services on three nodes, each with a backend on the node that is told.
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

    fn assigned(services: &[Facts]) -> Assignment {
        let all: Vec<&Facts> = services.iter().collect();
        let placements = place(&all, &probe_settings());
        let check = check();
        let asked: Vec<Asked<'_>> = all
            .iter()
            .zip(&placements)
            .map(|(facts, placement)| Asked {
                facts,
                placement,
                check: &check,
            })
            .collect();
        assign(&asked)
    }

    fn names(assignment: &Assignment) -> Vec<(&str, &str)> {
        let errands = assignment.errands.iter();
        errands
            .map(|e| (e.name.as_str(), e.node.as_str()))
            .collect()
    }

    /// Every target of every stand is asked by the probe that its part names, under its id, from the stand's node.
    fn all_is_asked(assignment: &Assignment) {
        let mut asked = BTreeSet::new();
        for stand in assignment.stands.iter().flatten() {
            let part = stand.part.as_ref().unwrap();
            let mut errands = assignment.errands.iter();
            let errand = errands.find(|errand| errand.name == part.probe).unwrap();
            assert_eq!(stand.node.as_ref(), Some(&errand.node));
            assert_eq!(stand.position.network(), errand.network);
            for (target, id) in stand.targets.iter().zip(part.first..) {
                let mut requests = errand.plan.targets.iter();
                let request = requests.find(|request| request.id == id).unwrap();
                assert_eq!(
                    (&request.host, request.port),
                    (&target.address, target.port)
                );
                assert!(
                    asked.insert((&errand.name, id)),
                    "{} asks {id} twice",
                    errand.name
                );
            }
        }
    }

    #[test]
    fn the_probes_of_one_service_bear_the_names_of_its_positions() {
        let assignment = assigned(&services(&["b"]));
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
    fn the_number_of_probes_depends_on_nodes_and_not_on_services() {
        for backends in [&["a", "b"][..], &["b", "a", "b", "a", "a"], &["a"; 100]] {
            let services = services(backends);
            let assignment = assigned(&services);
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
            for errand in &assignment.errands {
                assert_eq!(errand.services.len(), backends.len());
                let view = if errand.name.starts_with("host") {
                    View::Host
                } else {
                    View::None
                };
                assert_eq!(errand.plan.view, view);
            }
        }
    }

    #[test]
    fn a_service_with_more_backends_is_asked_more_often_and_others_are_not() {
        let mut services = services(&["a", "b"]);
        services[1].endpoints.push(endpoint("b", 7));
        let assignment = assigned(&services);
        for errand in &assignment.errands {
            for request in &errand.plan.targets {
                let dns = if request.host.starts_with("s1") { 6 } else { 3 };
                if request.host.ends_with(".svc") {
                    assert_eq!(errand.plan.attempts_on(request), dns, "{request:?}");
                }
            }
        }
    }

    #[test]
    fn what_is_too_much_for_one_probe_is_asked_by_two() {
        let assignment = assigned(&services(&["a"; 1200]));
        let names = names(&assignment);
        assert!(names.contains(&("host-1-2", "a")), "{names:?}");
        for errand in &assignment.errands {
            let bytes = serde_json::to_vec(&errand.plan).unwrap().len();
            assert!(bytes < 1024 * 1024, "{}: {bytes}", errand.name);
        }
        all_is_asked(&assignment);
    }
}
