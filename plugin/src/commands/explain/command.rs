//! Runs `explain`: reads the objects and writes the answer.

use super::{
    answer::{ExplainQuery, ExplainReply, answer},
    args::ExplainArgs,
    cells,
    dump::{Dump, DumpError, Source, read_files},
    flows::{self, FlowAnswer},
    table,
};
use crate::survey::kube_proxy::{ProxyOverrides, Settings};
use crate::{
    cluster::{Call, Cluster, page},
    config::{self, Color, ServiceName, ServiceSelection},
    error::{Error, Permission},
    output::{json::pretty, screen::Screen},
    survey::{self, network_policies},
    terminal::progress,
};
use serde_json::json;
use std::io::Write;
use svc_reach_common::{facts::Node, model::policy::Labels, words};

/// The objects that a question about packets needs. A packet may be for any Service, so read all of them.
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

/// A valid command line of `explain`.
#[derive(Debug)]
pub struct ExplainCommand {
    args: ExplainArgs,
    overrides: ProxyOverrides,
    output: ExplainFormat,
}

impl ExplainCommand {
    /// Interprets the arguments.
    ///
    /// # Errors
    ///
    /// If an argument is invalid.
    pub fn new(args: ExplainArgs) -> Result<Self, config::UsageError> {
        // Find invalid arguments before reading anything.
        args.question(
            "",
            config::service_name,
            args.packet.flows.as_ref().map(|_| Vec::new()),
        )?;
        Ok(Self {
            overrides: args.proxy.overrides()?,
            output: args.output.parse()?,
            args,
        })
    }

    /// Whether the command needs no cluster.
    pub const fn offline(&self) -> bool {
        self.args.from.is_some()
    }

    /// Answers from a dump.
    ///
    /// # Errors
    ///
    /// If the dump cannot be read or has no answer.
    pub fn answer_from_dump(&self, namespace: &str, writer: &mut impl Write) -> Result<(), Error> {
        let Some(path) = &self.args.from else {
            return Ok(());
        };
        let wrong = |source: DumpError| Error::Dump(Box::new(source));
        let dump = Dump::parse(&read_files(path).map_err(wrong)?).map_err(wrong)?;
        for problem in &dump.problems {
            progress::plain(&format!("note: ignored an object of the dump: {problem}"));
        }
        note_values(&dump);
        let reply = answer(&dump, &self.overrides, &self.question(namespace)?)?;
        self.write(&reply, writer)
    }

    /// Answers from a cluster. Only reads from it.
    ///
    /// # Errors
    ///
    /// If the cluster refuses a call, or there is no answer.
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
                let settings = Settings::gather(&self.overrides, survey.proxy.as_ref(), &[]);
                // The survey of one name has one Service.
                let Some(facts) = survey.services.first() else {
                    return Ok(());
                };
                let namespace = &facts.service.namespace;
                let labels = Labels::unknown();
                let known = cells::Surroundings {
                    services: vec![(&facts.service, facts.endpoints.as_slice())],
                    policies: network_policies::look(cluster, &[facts], namespace, labels).await,
                    ..cells::Surroundings::default()
                };
                ExplainReply::Explanation(Box::new(cells::explanation(
                    facts, &settings, network, &known,
                )))
            }
            question @ ExplainQuery::Flows(_) => {
                let dump = read_cluster(cluster).await?;
                note_values(&dump);
                answer(&dump, &self.overrides, &question)?
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
                let width = Screen::stdout(Color::Never).width;
                table::write(explanation, width, writer)
            }
            (ExplainReply::Explanation(explanation), ExplainFormat::Json) => {
                pretty(explanation, writer)
            }
            // One packet is printed as text. A list of packets is for programs, so it is always JSON.
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

/// Prints which values of kube-proxy's settings the plugin does not understand.
fn note_values(dump: &Dump) {
    for problem in dump.proxy_config.iter().flat_map(|config| &config.problems) {
        progress::plain(&format!("note: {problem}"));
    }
}

/// Reads the objects that a dump would have.
async fn read_cluster(cluster: &impl Cluster) -> Result<Dump, Error> {
    let mut items = Vec::new();
    for (path, group, resource, kind) in LISTS {
        let listed = match page::all(cluster, Call::get(path)).await {
            // Kubernetes before 1.21 has only v1beta1 of this kind.
            Err(error) if error.is_not_found() && !group.is_empty() => {
                page::all(cluster, Call::get(path.replace("/v1/", "/v1beta1/"))).await
            }
            other => other,
        };
        let listed = listed.map_err(Error::call(
            format!("list {resource} of all namespaces"),
            Permission::of("list", group, resource),
        ))?;
        // Items of a list have no kind of their own.
        items.extend(listed.into_iter().map(|mut item| {
            item["kind"] = kind.into();
            item
        }));
    }
    for name in survey::CONFIG_MAPS {
        let path = format!("/api/v1/namespaces/kube-system/configmaps/{name}");
        if let Ok(mut config) = cluster.call(Call::get(path)).await {
            config["kind"] = "ConfigMap".into();
            items.push(config);
            break;
        }
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
