//! Access to the API server of the tests' cluster.

use crate::{ended, explain, in_folder};
use serde_json::Value;
use std::{path::PathBuf, process::Command};
use svc_reach_tests::{
    folder::Folder,
    kubectl::{self, Kubectl},
};

/// The cluster and user of the kubeconfig that reaches the tests' cluster from this machine.
pub struct Real {
    pub kubectl: Kubectl,
    pub cluster: Value,
    pub user: Value,
}

impl Real {
    pub fn new() -> Self {
        let kubectl = Kubectl::from_environment();
        // Run kubectl on this machine, not as the test cluster's client, which has another kubeconfig.
        let output = Command::new(kubectl::program())
            .args([
                "config",
                "view",
                "--raw",
                "--flatten",
                "--minify",
                "-o",
                "json",
            ])
            .output()
            .unwrap();
        let config: Value = serde_json::from_slice(&output.stdout).unwrap();
        Self {
            kubectl,
            cluster: config["clusters"][0]["cluster"].clone(),
            user: config["users"][0]["user"].clone(),
        }
    }

    /// Host and port of the API server.
    pub fn address(&self) -> String {
        let server = self.cluster["server"].as_str().unwrap();
        server
            .strip_prefix("https://")
            .unwrap()
            .trim_end_matches('/')
            .to_owned()
    }

    pub fn host(&self) -> String {
        let address = self.address();
        address
            .rsplit_once(':')
            .map_or(address.clone(), |(host, _)| host.to_owned())
    }
}

/// Writes base64 data, decoded, to a file in the folder.
pub fn decoded(folder: &Folder, name: &str, data: &Value) -> PathBuf {
    let encoded = folder.file(&format!("{name}.b64"), data.as_str().unwrap());
    let output = Command::new("base64")
        .arg("-d")
        .arg(encoded)
        .output()
        .unwrap();
    assert!(output.status.success());
    folder.file(name, std::str::from_utf8(&output.stdout).unwrap())
}

/// Asserts that the API server accepts the credentials. It then answers that the Service does not exist.
pub fn let_in(folder: &Folder, cluster: &Value, user: &Value, env: &[(&str, &str)], args: &[&str]) {
    let (code, error) = against(folder, cluster, user, env, args);
    assert!(
        code == 4 && error.contains("services \"web\" not found"),
        "{cluster} {user} {env:?} {args:?}: {error}"
    );
}

/// Runs `explain` for a Service that does not exist. Returns the exit code and standard error.
pub fn against(
    folder: &Folder,
    cluster: &Value,
    user: &Value,
    env: &[(&str, &str)],
    args: &[&str],
) -> (i32, String) {
    let config = in_folder(folder, cluster, user);
    let env: Vec<_> = [("KUBECONFIG", config.to_str().unwrap())]
        .into_iter()
        .chain(env.iter().copied())
        .collect();
    ended(&explain(&env, args))
}

pub fn with(base: &Value, more: &Value) -> Value {
    let mut object = base.clone();
    for (key, value) in more.as_object().unwrap() {
        object[key] = value.clone();
    }
    object
}
