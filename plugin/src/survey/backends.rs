//! The endpoints of Services, from EndpointSlices, or from Endpoints if there are none.

use crate::cluster::page::{FEW, MANY, page};
use crate::{
    cluster::{Call, Cluster},
    error::{Error, Permission},
};
use std::collections::BTreeMap;
use svc_reach_common::{facts::Endpoint, objects::ServiceEndpoints};

/// Most pages of EndpointSlices to read. A slice has up to 1,000 endpoints, and usually up to 100.
const SLICE_PAGES: usize = 50;

/// API versions of EndpointSlices, the newest first. `v1beta1` is for Kubernetes before 1.21.
const VERSIONS: [&str; 2] = ["v1", "v1beta1"];

/// The endpoints of a Service.
#[derive(Debug, Default)]
pub struct Backends {
    /// All of them, ready or not.
    pub endpoints: Vec<Endpoint>,
    /// When they last changed, if that is known: RFC 3339, in UTC.
    pub changed: Option<String>,
}

impl Backends {
    fn add(&mut self, read: ServiceEndpoints) {
        self.endpoints.extend(read.endpoints);
        self.changed = self.changed.take().max(read.changed);
    }
}

/// Endpoints of one Service, from `discovery.k8s.io/v1`, or else `v1beta1`, or else core Endpoints. If the user may not
/// read slices, core Endpoints are read, too.
pub async fn endpoints(
    cluster: &impl Cluster,
    namespace: &str,
    name: &str,
) -> Result<Backends, Error> {
    let mut refused = None;
    for version in VERSIONS {
        match slices(cluster, version, namespace, name).await {
            Ok(endpoints) => return Ok(endpoints),
            Err(Error::Call { source, .. }) if source.is_not_found() => {}
            Err(error) if error.is_forbidden() => {
                refused = Some(error);
                break;
            }
            Err(error) => return Err(error),
        }
    }
    let path = format!("/api/v1/namespaces/{namespace}/endpoints/{name}");
    match cluster.call(Call::get(path)).await {
        Ok(object) => {
            let mut backends = Backends::default();
            backends.add(ServiceEndpoints::from_endpoints(&object).map_err(|source| {
                Error::not_understood(format!("Endpoints {namespace}/{name}"), source)
            })?);
            Ok(backends)
        }
        Err(error) if error.is_not_found() && refused.is_none() => Ok(Backends::default()),
        Err(source) => Err(refused.unwrap_or(Error::call(
            format!("get Endpoints {namespace}/{name}"),
            Permission::core("get", "endpoints"),
        )(source))),
    }
}

async fn slices(
    cluster: &impl Cluster,
    version: &str,
    namespace: &str,
    name: &str,
) -> Result<Backends, Error> {
    let path = format!("/apis/discovery.k8s.io/{version}/namespaces/{namespace}/endpointslices");
    let mut backends = Backends::default();
    let mut next = None;
    for _ in 0..SLICE_PAGES {
        let call = Call::get(path.clone()).with(
            "labelSelector",
            format!("kubernetes.io/service-name={name}"),
        );
        let page = page(cluster, call, FEW, next).await.map_err(Error::call(
            format!("list EndpointSlices of Service {namespace}/{name}"),
            Permission::of("list", "discovery.k8s.io", "endpointslices"),
        ))?;
        for slice in &page.items {
            let slice = ServiceEndpoints::from_slice(slice).map_err(|source| {
                Error::not_understood(
                    format!("EndpointSlices of Service {namespace}/{name}"),
                    source,
                )
            })?;
            backends.add(slice);
        }
        next = page.next;
        if next.is_none() {
            break;
        }
    }
    Ok(backends)
}

/// Endpoints of every Service of a namespace, or of the cluster, by namespace and name of the Service. `None`:
/// EndpointSlices cannot be listed, or there are too many, so the endpoints of each Service have to be read on their
/// own.
pub async fn all_endpoints(
    cluster: &impl Cluster,
    namespace: Option<&str>,
) -> Result<Option<BTreeMap<(String, String), Backends>>, Error> {
    let within = namespace.map_or_else(String::new, |name| format!("namespaces/{name}/"));
    for version in VERSIONS {
        let path = format!("/apis/discovery.k8s.io/{version}/{within}endpointslices");
        let mut endpoints: BTreeMap<(String, String), Backends> = BTreeMap::new();
        let mut next = None;
        for _ in 0..SLICE_PAGES {
            let page = match page(cluster, Call::get(path.clone()), MANY, next).await {
                Ok(page) => page,
                Err(error) => {
                    tracing::debug!(%error, version, "failed to list all EndpointSlices");
                    break;
                }
            };
            for slice in &page.items {
                let slice = ServiceEndpoints::from_slice(slice).map_err(|source| {
                    Error::not_understood("an EndpointSlice".to_owned(), source)
                })?;
                if let Some(service) = slice.service.clone() {
                    let of_service = (slice.namespace.clone(), service);
                    endpoints.entry(of_service).or_default().add(slice);
                }
            }
            next = page.next;
            if next.is_none() {
                return Ok(Some(endpoints));
            }
        }
    }
    Ok(None)
}
