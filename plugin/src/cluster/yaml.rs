//! Reads YAML from a cluster, or from a dump of one.

use serde_json::Value;

/// Reads YAML documents.
///
/// The library's own limits suit configuration files. A dump of a large cluster has millions of nodes, so these limits
/// are wider. The limits on aliases stay, because aliases make small files large.
///
/// # Errors
///
/// When the text is not YAML. The message is one line.
pub fn documents(text: &str) -> Result<Vec<Value>, Box<dyn std::error::Error + Send + Sync>> {
    let options = serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_events: 200_000_000,
            max_nodes: 100_000_000,
            max_documents: 1_000_000,
            max_total_scalar_bytes: 4 << 30,
        },
    };
    // An error is one line, so it must not quote the text around it.
    let documents: Vec<Value> = serde_saphyr::from_multiple_with_options(text, options)
        .map_err(|error| error.without_snippet().to_string())?;
    Ok(documents
        .into_iter()
        .filter(|document| !document.is_null())
        .collect())
}
