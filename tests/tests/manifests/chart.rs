//! The Helm chart, rendered without Helm.

use crate::{documents, manifest};
use serde_json::{Value, json};

/// Renders a Helm template. It supports only what our templates use: `.Release.Name`, values, and `toJson`. It panics
/// on anything else.
fn rendered(template: &str, values: &Value, release: &str) -> Value {
    let mut text = String::new();
    let mut rest = template;
    while let Some((before, after)) = rest.split_once("{{") {
        let (action, after) = after.split_once("}}").unwrap();
        text.push_str(before);
        let words: Vec<&str> = action.split_whitespace().collect();
        let value = |path: &str| {
            let path = path.strip_prefix(".Values").unwrap().replace('.', "/");
            values
                .pointer(&path)
                .unwrap_or_else(|| panic!("no value {path}"))
                .clone()
        };
        match words[..] {
            [".Release.Name"] => text.push_str(release),
            ["toJson", path] => text.push_str(&value(path).to_string()),
            [path] => text.push_str(value(path).as_str().unwrap()),
            _ => panic!("this test cannot render {action}"),
        }
        rest = after;
    }
    text.push_str(rest);
    documents(&text).remove(0)
}

/// The pod of the Helm test. `args` replaces the default arguments.
pub fn helm_test(args: Option<&[&str]>) -> Value {
    let mut values = documents(&manifest("helm/values.yaml")).remove(0);
    if let Some(args) = args {
        values["svcReach"]["args"] = json!(args);
    }
    rendered(
        &manifest("helm/templates/tests/svc-reach.yaml"),
        &values,
        "shop",
    )
}
