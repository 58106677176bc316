//! `explain` carried out: where the objects come from, and how the answer is written.

use super::{
    answer::{ExplainQuery, ExplainReply, answer},
    args::ExplainArgs,
    cells,
    dump::{Dump, Source, read_files},
    flows::{self, FlowAnswer},
    table,
};
use crate::survey::kube_proxy::{ProxyOverrides, Settings};
use crate::{
    cluster::{Call, Cluster, page},
    config::{self, ServiceName, ServiceSelection},
    error::{Error, Permission},
    output::json::pretty,
    survey,
    terminal::progress,
};
use serde_json::json;
use std::io::Write;
use svc_reach_common::{facts::Node, words};

/// Everything that single packets are answered from: every Service is in question.
const LISTS: [(&str, &str, &str, &str); 3] = [
    ("/api/v1/services", "", "services", "Service"),
    ("/api/v1/nodes", "", "nodes", "Node"),
    (
        "/apis/discovery.k8s.io/v1/endpointslices",
        "discovery.k8s.io",
        "endpointslices",
        "EndpointSlice",
    ),
];

words! {
    /// How to print an explanation.
    pub enum ExplainFormat("output format") {
        /// For people.
        Table = "table",
        /// For programs.
        Json = "json",
    }
}

/// A command line of `explain` that makes sense.
#[derive(Debug)]
pub struct ExplainCommand {
    args: ExplainArgs,
    told: ProxyOverrides,
    output: ExplainFormat,
}

impl ExplainCommand {
    /// Makes sense of the arguments.
    ///
    /// # Errors
    ///
    /// Says what is wrong with them.
    pub fn new(args: ExplainArgs) -> Result<Self, config::UsageError> {
        // What can be wrong is found out before anything is read.
        args.question(
            "",
            config::service_name,
            args.packet.flows.as_ref().map(|_| Vec::new()),
        )?;
        Ok(Self {
            told: args.proxy.told()?,
            output: args.output.parse()?,
            args,
        })
    }

    /// Whether no cluster is needed.
    pub const fn offline(&self) -> bool {
        self.args.from.is_some()
    }

    /// Answers from a dump.
    ///
    /// # Errors
    ///
    /// When it cannot be read, or does not hold what is asked about.
    pub fn answer_from_dump(&self, namespace: &str, writer: &mut impl Write) -> Result<(), Error> {
        let Some(path) = &self.args.from else {
            return Ok(());
        };
        let wrong = |source: super::dump::DumpError| Error::File {
            file: path.display().to_string(),
            source: Box::new(source),
        };
        let dump = Dump::parse(&read_files(path).map_err(wrong)?).map_err(wrong)?;
        for problem in &dump.problems {
            progress::plain(&format!("note: ignored an object of the dump: {problem}"));
        }
        let reply = answer(&dump, &self.told, &self.question(namespace)?)?;
        self.write(&reply, writer)
    }

    /// Answers from a cluster, of which it reads only.
    ///
    /// # Errors
    ///
    /// When the cluster does not tell what is needed.
    pub async fn answer_from_cluster(
        &self,
        cluster: &impl Cluster,
        namespace: &str,
        writer: &mut impl Write,
    ) -> Result<(), Error> {
        let reply = match self.question(namespace)? {
            ExplainQuery::Service {
                namespace,
                name,
                network,
            } => {
                let selection = ServiceSelection::Named(vec![ServiceName {
                    namespace: Some(namespace),
                    name,
                }]);
                let ready = |node: &Node| node.ready;
                let survey = survey::survey(cluster, "", &selection, &ready).await?;
                let settings = Settings::gather(&self.told, survey.proxy.as_ref(), &[]);
                // One name, one Service.
                let Some(facts) = survey.services.first() else {
                    return Ok(());
                };
                ExplainReply::Explanation(Box::new(cells::explanation(facts, &settings, network)))
            }
            question @ ExplainQuery::Flows(_) => {
                let dump = read_cluster(cluster).await?;
                answer(&dump, &self.told, &question)?
            }
        };
        self.write(&reply, writer)
    }

    fn question(&self, namespace: &str) -> Result<ExplainQuery, Error> {
        let queries = match &self.args.packet.flows {
            None => None,
            Some(path) => {
                let wrong = |source| Error::File {
                    file: path.display().to_string(),
                    source,
                };
                let text = std::fs::read_to_string(path).map_err(|error| wrong(error.into()))?;
                Some(flows::parse(&text).map_err(|error| wrong(error.into()))?)
            }
        };
        Ok(self
            .args
            .question(namespace, config::service_name, queries)?)
    }

    fn write(&self, reply: &ExplainReply, writer: &mut impl Write) -> Result<(), Error> {
        let written = match (reply, self.output) {
            (ExplainReply::Explanation(explanation), ExplainFormat::Table) => {
                table::write(explanation, writer)
            }
            (ExplainReply::Explanation(explanation), ExplainFormat::Json) => {
                pretty(explanation, writer)
            }
            // One packet reads as a sentence; a list is made for programs.
            (ExplainReply::Flows(answers), ExplainFormat::Table)
                if self.args.packet.flows.is_none() =>
            {
                answers
                    .iter()
                    .map(FlowAnswer::text)
                    .try_for_each(|text| writeln!(writer, "{text}"))
            }
            (ExplainReply::Flows(answers), ExplainFormat::Table | ExplainFormat::Json) => {
                pretty(answers, writer)
            }
        };
        written.map_err(Error::Write)
    }
}

/// Reads all that a dump would hold.
async fn read_cluster(cluster: &impl Cluster) -> Result<Dump, Error> {
    let mut items = Vec::new();
    for (path, group, resource, kind) in LISTS {
        let listed = match page::all(cluster, Call::get(path)).await {
            // Kubernetes before 1.21.
            Err(error) if error.is_not_found() && !group.is_empty() => {
                page::all(cluster, Call::get(path.replace("/v1/", "/v1beta1/"))).await
            }
            other => other,
        };
        let listed = listed.map_err(Error::call(
            format!("list {resource} of all namespaces"),
            Permission::of("list", group, resource),
        ))?;
        // Items of a list do not say what they are.
        items.extend(listed.into_iter().map(|mut item| {
            item["kind"] = kind.into();
            item
        }));
    }
    if let Ok(mut config) = cluster
        .call(Call::get(
            "/api/v1/namespaces/kube-system/configmaps/kube-proxy",
        ))
        .await
    {
        config["kind"] = "ConfigMap".into();
        items.push(config);
    }
    let text = json!({"apiVersion": "v1", "kind": "List", "items": items}).to_string();
    let source = Source {
        name: "the cluster".to_owned(),
        text,
    };
    Dump::parse(&[source]).map_err(|source| Error::Object {
        object: "the cluster's objects".to_owned(),
        source: Box::new(source),
    })
}
