//! Names of objects that a cluster has, for suggestions and completion.

use crate::{
    cluster::{Call, CallError, Cluster},
    config,
};
use serde_json::Value;

/// Names that are asked for: more are no help.
const LIMIT: &str = "500";

/// A name that is less like another one than this is no suggestion (Jaro-Winkler; 1 is the same).
const ALIKE: f64 = 0.8;

/// Names of Services.
///
/// # Errors
///
/// What the API server says.
pub async fn services(cluster: &impl Cluster, namespace: &str) -> Result<Vec<String>, CallError> {
    names(cluster, format!("/api/v1/namespaces/{namespace}/services")).await
}

/// Names of namespaces.
///
/// # Errors
///
/// What the API server says.
pub async fn namespaces(cluster: &impl Cluster) -> Result<Vec<String>, CallError> {
    names(cluster, "/api/v1/namespaces".to_owned()).await
}

/// The Service that a name was probably meant for, where there is one and the user may list them.
pub async fn meant(cluster: &impl Cluster, namespace: &str, name: &str) -> Option<String> {
    match services(cluster, namespace).await {
        Ok(names) => nearest(name, names),
        Err(error) => {
            tracing::debug!(%error, "no names to suggest");
            None
        }
    }
}

async fn names(cluster: &impl Cluster, path: String) -> Result<Vec<String>, CallError> {
    let list = cluster.call(Call::get(path).with("limit", LIMIT)).await?;
    let items = list.get("items").and_then(Value::as_array);
    // Only what can be a name: a terminal will show it.
    Ok(items
        .into_iter()
        .flatten()
        .filter_map(|item| item.pointer("/metadata/name")?.as_str())
        .filter(|name| config::is_label(name))
        .map(str::to_owned)
        .collect())
}

/// The name most like this one, if any is.
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
    fn the_nearest_name_is_suggested_and_a_far_one_is_not() {
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
