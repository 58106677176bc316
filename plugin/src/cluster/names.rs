//! Names of objects in the cluster, for suggestions and completion.

use crate::{
    cluster::{Call, CallError, Cluster},
    config,
};
use serde_json::Value;

/// How many names to ask for. More would not help.
const LIMIT: &str = "500";

/// The similarity that a suggestion must have (Jaro-Winkler; 1 means equal).
const ALIKE: f64 = 0.8;

/// Names of Services.
///
/// # Errors
///
/// When the call fails.
pub async fn services(cluster: &impl Cluster, namespace: &str) -> Result<Vec<String>, CallError> {
    names(cluster, format!("/api/v1/namespaces/{namespace}/services")).await
}

/// Names of namespaces.
///
/// # Errors
///
/// When the call fails.
pub async fn namespaces(cluster: &impl Cluster) -> Result<Vec<String>, CallError> {
    names(cluster, "/api/v1/namespaces".to_owned()).await
}

/// The Service that the user probably meant. `None`: no name is similar, or the user may not list Services.
pub async fn meant(cluster: &impl Cluster, namespace: &str, name: &str) -> Option<String> {
    match services(cluster, namespace).await {
        Ok(names) => nearest(name, names),
        Err(error) => {
            tracing::debug!(%error, "failed to list names for a suggestion");
            None
        }
    }
}

async fn names(cluster: &impl Cluster, path: String) -> Result<Vec<String>, CallError> {
    let list = cluster.call(Call::get(path).with("limit", LIMIT)).await?;
    let items = list.get("items").and_then(Value::as_array);
    // Drop what is not a valid name, because a terminal will show it.
    Ok(items
        .into_iter()
        .flatten()
        .filter_map(|item| item.pointer("/metadata/name")?.as_str())
        .filter(|name| config::is_label(name))
        .map(str::to_owned)
        .collect())
}

/// The most similar name, if one is similar enough.
fn nearest(name: &str, names: Vec<String>) -> Option<String> {
    names
        .into_iter()
        .map(|other| (strsim::jaro_winkler(name, &other), other))
        .filter(|(alike, _)| *alike >= ALIKE)
        .max_by(|(one, _), (other, _)| one.total_cmp(other))
        .map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn only_a_similar_name_is_suggested() {
        let names = ["nginx", "nginx-admin", "postgres", "web"];
        for (typed, meant) in [
            ("ngnix", Some("nginx")),
            ("nginx-adm", Some("nginx-admin")),
            ("postgers", Some("postgres")),
            ("redis", None),
            ("x", None),
        ] {
            let names = names.map(str::to_owned).to_vec();
            assert_eq!(nearest(typed, names).as_deref(), meant, "{typed}");
        }
    }
}
