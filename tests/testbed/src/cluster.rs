//! Reads the cluster's API for these servers. They poll whole lists.

use std::time::Duration;

use k8s_openapi::serde::de::DeserializeOwned;
use kube::api::ListParams;
use kube::{Api, Client, Resource};

use crate::Result;

/// Time between two polls. Polling is cheap because a test cluster's lists are small.
pub const POLL: Duration = Duration::from_millis(400);

/// A client for the cluster that `KUBECONFIG` names.
pub async fn client() -> Result<Client> {
    Ok(Client::try_default().await?)
}

/// All objects of a kind, in all namespaces.
pub async fn all<K>(client: &Client) -> Result<Vec<K>>
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + std::fmt::Debug,
{
    Ok(Api::<K>::all(client.clone())
        .list(&ListParams::default())
        .await?
        .items)
}
