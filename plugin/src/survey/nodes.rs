//! Reads enough nodes to place probes on.

use super::services::SurveyedService;
use crate::cluster::page::{AT_ONCE, FEW, MANY, Page, page};
use crate::{
    cluster::{Call, Cluster},
    error::{Error, Permission},
    plan::placement::NODES_PER_ROLE,
};
use futures_util::{StreamExt, TryStreamExt, stream};
use serde_json::Value;
use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
};
use svc_reach_common::facts::{FurtherNodes, Node};

/// Most pages of nodes to read in search of nodes without a backend. Enough for all but extreme placements, and few
/// enough for a cluster with thousands of nodes.
const PAGES: usize = 5;

/// How often to read nodes with a backend by name if they were on no page. Each round reads as many as are still
/// needed.
const ROUNDS: usize = 2;

/// Most nodes to read by name in one round. If more are needed, all nodes are read.
const NAMED: usize = 64;

/// The nodes that were read.
pub struct NodesRead {
    /// The nodes.
    pub read: Vec<Node>,
    /// Whether the cluster has more.
    pub further: FurtherNodes,
}

/// Reads nodes until enough of each role fit for every Service: first pages, then nodes with a backend by name.
pub async fn nodes(
    cluster: &impl Cluster,
    asked: &[SurveyedService],
    fits: &dyn Fn(&Node) -> bool,
    first: Page,
) -> Result<NodesRead, Error> {
    let mut known = KnownNodes::new(asked, fits);
    let mut page = first;
    let mut pages = 1;
    let further = loop {
        known.add(&page.items)?;
        let Some(next) = page.next else {
            break FurtherNodes::None;
        };
        if pages == PAGES || !known.others_are_needed() {
            break FurtherNodes::NotRead;
        }
        page = node_page(cluster, Some(next)).await?;
        pages += 1;
    };
    for _ in 0..ROUNDS {
        let names = known.backends_needed();
        if names.len() > NAMED {
            return read_all(cluster, asked, fits).await;
        }
        let found: Vec<(String, Option<Value>)> = stream::iter(names)
            .map(async |name| {
                let node = node(cluster, &name).await?;
                Ok::<_, Error>((name, node))
            })
            .buffered(AT_ONCE)
            .try_collect()
            .await?;
        for (name, node) in found {
            known.fits.insert(name, false);
            known.add(node.as_slice())?;
        }
    }
    Ok(NodesRead {
        read: known.nodes,
        further,
    })
}

/// One page of nodes.
pub async fn node_page(cluster: &impl Cluster, next: Option<String>) -> Result<Page, Error> {
    list(cluster, FEW, next).await
}

async fn read_all(
    cluster: &impl Cluster,
    asked: &[SurveyedService],
    fits: &dyn Fn(&Node) -> bool,
) -> Result<NodesRead, Error> {
    let mut known = KnownNodes::new(asked, fits);
    let mut next = None;
    loop {
        let page = list(cluster, MANY, next).await?;
        known.add(&page.items)?;
        next = page.next;
        if next.is_none() {
            return Ok(NodesRead {
                read: known.nodes,
                further: FurtherNodes::None,
            });
        }
    }
}

async fn list(
    cluster: &impl Cluster,
    limit: &'static str,
    next: Option<String>,
) -> Result<Page, Error> {
    page(cluster, Call::get("/api/v1/nodes"), limit, next)
        .await
        .map_err(Error::call(
            "list Nodes".to_owned(),
            Permission::core("list", "nodes"),
        ))
}

/// One node, if it exists.
async fn node(cluster: &impl Cluster, name: &str) -> Result<Option<Value>, Error> {
    match cluster
        .call(Call::get(format!("/api/v1/nodes/{name}")))
        .await
    {
        Ok(object) => Ok(Some(object)),
        Err(error) if error.is_not_found() => Ok(None),
        Err(source) => Err(Error::call(
            format!("get Node {name}"),
            Permission::core("get", "nodes"),
        )(source)),
    }
}

/// What is known about nodes so far.
struct KnownNodes<'a> {
    fitting: &'a dyn Fn(&Node) -> bool,
    /// For each Service, the names of the nodes that run a backend.
    backends: Vec<BTreeSet<&'a str>>,
    nodes: Vec<Node>,
    /// Whether a node fits, by name. It has all nodes that were read, and those that were not found.
    fits: BTreeMap<String, bool>,
}

impl<'a> KnownNodes<'a> {
    fn new(asked: &'a [SurveyedService], fitting: &'a dyn Fn(&Node) -> bool) -> Self {
        let names = |asked: &'a SurveyedService| {
            let ready = asked
                .backends
                .endpoints
                .iter()
                .filter(|endpoint| endpoint.ready);
            ready
                .filter_map(|endpoint| endpoint.node.as_deref())
                .collect()
        };
        Self {
            fitting,
            backends: asked.iter().map(names).collect(),
            nodes: Vec::new(),
            fits: BTreeMap::new(),
        }
    }

    fn add(&mut self, objects: &[Value]) -> Result<(), Error> {
        for object in objects {
            let node = Node::try_from(object)
                .map_err(|source| Error::not_understood("a Node".to_owned(), source))?;
            self.fits.insert(node.name.clone(), (self.fitting)(&node));
            self.nodes.push(node);
        }
        Ok(())
    }

    /// Number of these nodes that are known to fit.
    fn fitting(&self, names: &BTreeSet<&str>) -> usize {
        let fits = |name: &&&str| self.fits.get(**name).copied().unwrap_or_default();
        names.iter().filter(fits).count()
    }

    /// Whether a Service needs more nodes without a backend.
    fn others_are_needed(&self) -> bool {
        let all = self.fits.values().filter(|fits| **fits).count();
        self.backends
            .iter()
            .any(|backends| all - self.fitting(backends) < NODES_PER_ROLE)
    }

    /// Names of nodes to read, so that every Service gets as many nodes with a backend as it needs. Nodes that serve
    /// several Services come first.
    fn backends_needed(&self) -> BTreeSet<String> {
        let mut serves: BTreeMap<&str, usize> = BTreeMap::new();
        for name in self.backends.iter().flatten() {
            *serves.entry(name).or_default() += 1;
        }
        let mut chosen: BTreeSet<&str> = BTreeSet::new();
        for backends in &self.backends {
            let needed = NODES_PER_ROLE.saturating_sub(self.fitting(backends));
            let mut unknown: Vec<&str> = backends
                .iter()
                .copied()
                .filter(|name| needed > 0 && !self.fits.contains_key(*name))
                .collect();
            unknown.sort_by_key(|name| (!chosen.contains(name), Reverse(serves.get(name)), *name));
            chosen.extend(unknown.iter().take(needed));
        }
        chosen.into_iter().map(str::to_owned).collect()
    }
}
