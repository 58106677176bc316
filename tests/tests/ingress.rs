//! Ingresses in front of a Service, on the test cluster. A pod with nginx is the controller.

#![expect(clippy::unwrap_used, reason = "a helper that fails must fail its test")]

use serde_json::json;
use svc_reach_common::{
    observation::ObservedValue::{Reachable, Unreachable},
    position::Position::{NodeOther, PodOther, PodSame},
    target::TargetKind::{Ingress, PodIp},
};
use svc_reach_tests::{
    fixture::{apply, deploy, front, nodes, service, text},
    folder::Folder,
    kubectl::Kubectl,
    namespace::Namespace,
    run::{ask, of},
};

/// Creates an Ingress for the Service `web` and writes an address into its status, as a controller does.
fn expose(kubectl: &Kubectl, namespace: &Namespace, host: &str, address: &str) {
    let backend = json!({"service": {"name": "web", "port": {"name": "http"}}});
    let path = json!({"path": "/", "pathType": "Prefix", "backend": backend});
    let ingress = json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": {"name": "shop"},
        "spec": {"rules": [{"host": host, "http": {"paths": [path]}}]},
    });
    apply(kubectl, namespace, vec![ingress]);
    let mut ingress =
        kubectl.object(&namespace.args(&["get", "ingress.v1.networking.k8s.io", "shop"]));
    ingress["status"] = json!({"loadBalancer": {"ingress": [{"ip": address}]}});
    let folder = Folder::new("ingress");
    let file = folder.file("ingress.json", &ingress.to_string());
    let name = &namespace.name;
    let status = format!("/apis/networking.k8s.io/v1/namespaces/{name}/ingresses/shop/status");
    kubectl.succeed(&["replace", "--raw", &status, "-f", file.to_str().unwrap()]);
}

#[test]
#[ignore = "needs the test cluster: tests/run brings it up"]
fn an_ingress_is_requested_with_its_host_and_path() {
    let kubectl = Kubectl::from_environment();
    let namespace = Namespace::new(&kubectl, &json!({}));
    let node = nodes(&kubectl)[0].clone();
    deploy(&kubectl, &namespace, &[&node], &service(&json!({})));
    let cluster_ip = text(&kubectl, &namespace, ["service", "web", "/spec/clusterIP"]);
    let says =
        format!("if ($host != shop.example.com) {{ return 404; }} proxy_pass http://{cluster_ip};");
    let controller = front(&kubectl, &namespace, &node, &says);
    let only = [
        "--external",
        "never",
        "--only",
        "pod-same,pod-other,node-other,ingress,pod-ip",
    ];
    for (host, value) in [
        ("shop.example.com", Reachable),
        ("lost.example.com", Unreachable),
    ] {
        expose(&kubectl, &namespace, host, &controller);
        let run = ask(&kubectl, &namespace, &only);
        for position in [PodSame, PodOther, NodeOther] {
            run.expect(position, of(Ingress), value);
            run.expect(position, of(PodIp), Reachable);
        }
        let cell = run.cells(PodOther, of(Ingress))[0];
        let route = cell.target.route.as_ref().unwrap();
        assert_eq!(
            (route.ingress.as_str(), route.host.as_deref()),
            ("shop", Some(host))
        );
        if value == Unreachable {
            let reason = &cell.observed.reason;
            assert!(
                reason.starts_with("someone else answered: HTTP 404"),
                "{reason}"
            );
        }
        run.expect_exit(0);
    }
}
