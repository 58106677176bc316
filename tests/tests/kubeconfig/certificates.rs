//! Certificates of the API server and of the user.

use crate::{
    V1, ended, explain,
    test_cluster::{Real, against, decoded, let_in, with},
};
use serde_json::json;
use std::fs;
use svc_reach_tests::folder::Folder;

#[test]
#[ignore = "needs a cluster: tests/run brings one up"]
fn a_real_api_server_accepts_certificates_in_every_form() {
    let folder = Folder::new("certificates");
    let Real { cluster, user, .. } = &Real::new();
    let ca = decoded(
        &folder,
        "pki/ca.crt",
        &cluster["certificate-authority-data"],
    );
    let cert = decoded(&folder, "pki/admin.crt", &user["client-certificate-data"]);
    let key = decoded(&folder, "pki/admin.key", &user["client-key-data"]);
    let [ca, cert, key] = [&ca, &cert, &key].map(|path| path.to_str().unwrap());
    let server = json!({"server": cluster["server"]});
    let by_path = with(&server, &json!({"certificate-authority": "pki/ca.crt"}));
    let files = json!({"client-certificate": "pki/admin.crt", "client-key": "pki/admin.key"});
    let_in(&folder, cluster, user, &[], &[]);
    let_in(&folder, &by_path, &files, &[], &[]);
    let typed: &[&str] = &[
        "--certificate-authority",
        ca,
        "--client-certificate",
        cert,
        "--client-key",
        key,
    ];
    let_in(&folder, &server, &json!({}), &[], typed);
    // Flags without a kubeconfig.
    let alone = [&["-s", cluster["server"].as_str().unwrap()], typed].concat();
    let (code, error) = ended(&explain(&[("HOME", "/nonexistent")], &alone));
    assert!(code == 4 && error.contains("not found"), "{error}");
    // Without its CA, the server is not trusted.
    let (code, error) = against(&folder, &server, user, &[], &[]);
    assert!(code == 4 && error.contains("certificate"), "{error}");
    let_in(
        &folder,
        &with(&server, &json!({"insecure-skip-tls-verify": true})),
        user,
        &[],
        &[],
    );
    let_in(&folder, cluster, user, &[], &["--insecure-skip-tls-verify"]);
    let named = with(
        cluster,
        &json!({"tls-server-name": "kubernetes.default.svc"}),
    );
    let_in(&folder, &named, user, &[], &[]);
    let_in(
        &folder,
        cluster,
        user,
        &[],
        &["--tls-server-name", "kubernetes"],
    );
    let wrong = with(cluster, &json!({"tls-server-name": "kubernetes.invalid"}));
    let (code, error) = against(&folder, &wrong, user, &[], &[]);
    assert!(code == 4 && error.contains("kubernetes.invalid"), "{error}");
    for (cluster, user) in [
        (
            with(&server, &json!({"certificate-authority": "pki/absent"})),
            user,
        ),
        (
            cluster.clone(),
            &json!({"client-certificate": "pki/admin.crt", "client-key": "pki/absent"}),
        ),
    ] {
        let (code, error) = against(&folder, &cluster, user, &[], &[]);
        assert!(code == 2 && error.contains("pki/absent"), "{error}");
    }
    // A credential plugin can also return a certificate.
    let credential = json!({"kind": "ExecCredential", "apiVersion": V1, "status": {
        "clientCertificateData": fs::read_to_string(cert).unwrap(),
        "clientKeyData": fs::read_to_string(key).unwrap(),
    }});
    folder.file("credential", &credential.to_string());
    folder.program("login", "exec cat \"${0%/*}/credential\"");
    let exec =
        json!({"exec": {"apiVersion": V1, "command": "./login", "interactiveMode": "Never"}});
    let_in(&folder, cluster, &exec, &[], &[]);
}
