//! Reads lists page by page.

use crate::cluster::{Call, CallError, Cluster};
use futures_util::{StreamExt, stream};
use serde_json::Value;
use std::collections::BTreeSet;

/// Page size of a list that is read only until something is found.
pub const FEW: &str = "100";

/// Page size of a list that is read completely.
pub const MANY: &str = "500";

/// How many calls may run at once if each Service needs a call.
pub const AT_ONCE: usize = 8;

/// One page of a list.
pub struct Page {
    /// Its objects.
    pub items: Vec<Value>,
    /// Token of the next page, if there is one.
    pub next: Option<String>,
}

/// Reads one page of a list.
pub async fn page(
    cluster: &impl Cluster,
    call: Call,
    limit: &'static str,
    next: Option<String>,
) -> Result<Page, CallError> {
    let mut call = call.with("limit", limit);
    if let Some(next) = next {
        call = call.with("continue", next);
    }
    let mut list = cluster.call(call).await?;
    let next = list
        .pointer("/metadata/continue")
        .and_then(Value::as_str)
        .filter(|next| !next.is_empty());
    let next = next.map(str::to_owned);
    let items = match list.get_mut("items").map(Value::take) {
        Some(Value::Array(items)) => items,
        _ => Vec::new(),
    };
    Ok(Page { items, next })
}

/// Reads a whole list, page by page.
pub async fn all(cluster: &impl Cluster, call: Call) -> Result<Vec<Value>, CallError> {
    let mut items = Vec::new();
    let mut next = None;
    loop {
        let part = page(cluster, call.clone(), MANY, next).await?;
        items.extend(part.items);
        next = part.next;
        if next.is_none() {
            return Ok(items);
        }
    }
}

/// Makes the same call for each namespace, a few at once.
pub async fn each<'n, T, F: Future<Output = Result<T, CallError>>>(
    namespaces: &BTreeSet<&'n str>,
    call: impl Fn(&'n str) -> F,
) -> Vec<(&'n str, Result<T, CallError>)> {
    stream::iter(namespaces.iter().copied())
        .map(|namespace| {
            let called = call(namespace);
            async move { (namespace, called.await) }
        })
        .buffered(AT_ONCE)
        .collect()
        .await
}
