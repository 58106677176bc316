//! Reads the selected Services and their endpoints.

use super::backends::{Backends, all_endpoints, endpoints};
use crate::cluster::page::{AT_ONCE, MANY, page};
use crate::{
    cluster::{Call, CallError, Cluster, names},
    config::UsageError,
    config::{ServiceName, ServiceSelection},
    error::{Error, Permission},
};
use futures_util::{StreamExt, TryStreamExt, stream};
use std::collections::BTreeSet;
use svc_reach_common::facts::Service;

/// Up to this number of Services, endpoints are read for each Service. For more, they are read for the whole namespace.
const ONE_BY_ONE: usize = 16;

/// A Service and its endpoints.
#[derive(Debug)]
pub struct SurveyedService {
    /// The Service.
    pub service: Service,
    /// Its endpoints.
    pub backends: Backends,
}

/// Reads the selected Services. Services named on the command line keep that order. Others are sorted by namespace and
/// name.
pub async fn asked(
    cluster: &impl Cluster,
    namespace: &str,
    selection: &ServiceSelection,
) -> Result<Vec<SurveyedService>, Error> {
    match selection {
        ServiceSelection::Named(names) => {
            if let Some(service) = twice(namespace, names) {
                return Err(Error::Usage(UsageError::Twice(service)));
            }
            stream::iter(names)
                .map(async |name| {
                    let namespace = name.namespace.as_deref().unwrap_or(namespace);
                    let (service, backends) = tokio::join!(
                        service(cluster, namespace, &name.name),
                        endpoints(cluster, namespace, &name.name)
                    );
                    Ok(SurveyedService {
                        service: service?,
                        backends: backends?,
                    })
                })
                .buffered(AT_ONCE)
                .try_collect()
                .await
        }
        ServiceSelection::Matching {
            selector,
            everywhere,
        } => {
            let namespace = (!everywhere).then_some(namespace);
            let services = matching(cluster, namespace, selector.as_deref()).await?;
            if services.len() > ONE_BY_ONE
                && let Some(mut all) = all_endpoints(cluster, namespace).await?
            {
                return Ok(services
                    .into_iter()
                    .map(|service| SurveyedService {
                        backends: all
                            .remove(&(service.namespace.clone(), service.name.clone()))
                            .unwrap_or_default(),
                        service,
                    })
                    .collect());
            }
            stream::iter(services)
                .map(async |service| {
                    let backends = endpoints(cluster, &service.namespace, &service.name).await?;
                    Ok(SurveyedService { service, backends })
                })
                .buffered(AT_ONCE)
                .try_collect()
                .await
        }
    }
}

/// Adds a suggestion to an error that says that a Service does not exist.
pub async fn suggest(cluster: &impl Cluster, error: Error) -> Error {
    let Error::NoService {
        namespace,
        name,
        source,
        meant: None,
    } = error
    else {
        return error;
    };
    Error::NoService {
        meant: names::meant(cluster, &namespace, &name).await,
        namespace,
        name,
        source,
    }
}

/// A Service that is named twice. `nginx` and `nginx.web` are the same if web is the current namespace, which is known
/// only here.
fn twice(current: &str, names: &[ServiceName]) -> Option<String> {
    let mut known = BTreeSet::new();
    names.iter().find_map(|service| {
        let namespace = service.namespace.as_deref().unwrap_or(current);
        let new = known.insert((namespace, &service.name));
        (!new).then(|| format!("{namespace}/{}", service.name))
    })
}

/// Every Service of a namespace, or of the cluster, that a selector matches.
async fn matching(
    cluster: &impl Cluster,
    namespace: Option<&str>,
    selector: Option<&str>,
) -> Result<Vec<Service>, Error> {
    let path = namespace.map_or_else(
        || "/api/v1/services".to_owned(),
        |name| format!("/api/v1/namespaces/{name}/services"),
    );
    let mut services = Vec::new();
    let mut next = None;
    loop {
        let mut call = Call::get(path.clone());
        if let Some(selector) = selector {
            call = call.with("labelSelector", selector);
        }
        let page = page(cluster, call, MANY, next).await.map_err(|source| {
            if let (CallError::Status(status), Some(selector)) = (&source, selector)
                && status.code == 400
            {
                return Error::Usage(UsageError::Selector {
                    selector: selector.to_owned(),
                    why: status.message.clone(),
                });
            }
            Error::call(
                match namespace {
                    Some(namespace) => format!("list Services of namespace {namespace}"),
                    None => "list Services of all namespaces".to_owned(),
                },
                Permission::core("list", "services"),
            )(source)
        })?;
        for object in &page.items {
            services.push(
                Service::try_from(object)
                    .map_err(|source| Error::not_understood("a Service".to_owned(), source))?,
            );
        }
        next = page.next;
        if next.is_none() {
            break;
        }
    }
    services.sort_by(|one: &Service, other| {
        (&one.namespace, &one.name).cmp(&(&other.namespace, &other.name))
    });
    Ok(services)
}

/// Reads one Service.
pub async fn service(
    cluster: &impl Cluster,
    namespace: &str,
    name: &str,
) -> Result<Service, Error> {
    let path = format!("/api/v1/namespaces/{namespace}/services/{name}");
    let object = match cluster.call(Call::get(path)).await {
        Ok(object) => object,
        Err(source) if source.is_not_found() => {
            return Err(Error::NoService {
                namespace: namespace.to_owned(),
                name: name.to_owned(),
                source,
                meant: None,
            });
        }
        Err(source) => {
            return Err(Error::call(
                format!("get Service {namespace}/{name}"),
                Permission::core("get", "services"),
            )(source));
        }
    };
    Service::try_from(&object)
        .map_err(|source| Error::not_understood(format!("Service {namespace}/{name}"), source))
}
