//! Signals, while a credential plugin runs.

use crate::{V1, in_folder};
use serde_json::json;
use std::{
    fs,
    process::{Command, Stdio},
    time::Duration,
};
use svc_reach_tests::{folder::Folder, kubectl::plugin_folder, process::send, wait::until};

/// The process of a credential plugin, which the program under test started. It is killed when the test ends.
struct Stray(u32);

impl Drop for Stray {
    fn drop(&mut self) {
        send("KILL", self.0);
    }
}

#[test]
fn a_hanging_credential_plugin_does_not_block_a_signal() {
    let folder = Folder::new("hanging-plugin");
    // Write the pid to another file first, so that the test never reads half of it.
    folder.program(
        "hang",
        "echo $$ >pid.new && mv pid.new \"$1\" && exec sleep 600",
    );
    let pid_file = folder.path().join("pid");
    let user = json!({"exec": {"apiVersion": V1, "command": "./hang", "args": [pid_file],
        "interactiveMode": "Never"}});
    let config = in_folder(&folder, &json!({"server": "http://127.0.0.1:1"}), &user);
    for command in [&["web"][..], &["explain", "web"], &["cleanup"]] {
        let mut child = Command::new(plugin_folder().join("kubectl-svc_reach"))
            .args(command)
            .current_dir(folder.path())
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("KUBECONFIG", &config)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let pid: String = until(
            "the credential plugin to start",
            Duration::from_secs(30),
            || fs::read_to_string(&pid_file).map_err(|error| error.to_string()),
        );
        let stray = Stray(pid.trim().parse().unwrap());
        send("TERM", child.id());
        let status = until("the program to end", Duration::from_secs(30), || {
            let ended = child.try_wait().unwrap();
            ended.ok_or_else(|| "still running".to_owned())
        });
        assert_eq!(status.code(), Some(143), "{command:?}");
        drop(stray);
        fs::remove_file(&pid_file).unwrap();
    }
}
