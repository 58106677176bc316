//! Runs where a setting forbids connections, on a test cluster that enforces NetworkPolicies (`--network-policy`).

mod enforced {
    use serde_json::{Value, json};
    use std::{process::Command, time::Duration};
    use svc_reach_common::{
        model::Cause,
        observation::ObservedValue::{self, Reachable, Unreachable},
        position::{
            Network,
            Position::{self, NodeOther, NodeSame, PodOther, PodSame},
        },
        target::TargetKind::{ClusterIp, Dns, LoadBalancer, NodePort, PodIp},
        verdict::{Basis, Verdict},
    };
    use svc_reach_tests::{
        fixture::{READ_RULES, apply, deploy, load_balancer, nodes, service},
        kubectl::Kubectl,
        namespace::Namespace,
        run::{Run, ask, of},
        wait::until,
    };

    /// A namespace with one server on the first node and a Service.
    fn serving(spec: &Value) -> (Kubectl, Namespace) {
        let kubectl = Kubectl::from_environment();
        let namespace = Namespace::new(&kubectl, &json!({}));
        let all = nodes(&kubectl);
        deploy(&kubectl, &namespace, &[all[0].as_str()], &service(spec));
        (kubectl, namespace)
    }

    /// As [`serving`], with these policies in force.
    fn with(policies: &[(&str, Value)]) -> (Kubectl, Namespace) {
        let (kubectl, namespace) = serving(&json!({"type": "NodePort"}));
        for (name, spec) in policies {
            add(&kubectl, &namespace, name, spec);
        }
        (kubectl, namespace)
    }

    /// Applies a policy, and waits until the node of the server enforces it.
    fn add(kubectl: &Kubectl, namespace: &Namespace, name: &str, spec: &Value) {
        let policy = json!({
            "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
            "metadata": {"name": name}, "spec": spec,
        });
        apply(kubectl, namespace, vec![policy]);
        let node = &nodes(kubectl)[0];
        until("the rules of the policy", Duration::from_secs(60), || {
            let output = Command::new(kubectl.testbed())
                .args(["enter", node, "iptables-legacy-save", "-t", "filter"])
                .output()
                .map_err(|error| error.to_string())?;
            let rules = String::from_utf8_lossy(&output.stdout).into_owned();
            let comment = format!("run through nw policy {name}");
            let pods = format!("namespace: {}", namespace.name);
            if rules.contains(&comment) && rules.contains(&pods) {
                Ok(())
            } else {
                Err(format!("no rule of {name} on {node}"))
            }
        });
    }

    fn run(kubectl: &Kubectl, namespace: &Namespace, more: &[&str]) -> Run {
        let run = ask(
            kubectl,
            namespace,
            &[&["--external", "never"], more].concat(),
        );
        assert_eq!(namespace.leftovers(), [""; 0], "{}", run.output);
        run
    }

    /// Asserts what the cells of a position and the kinds that pods serve show, and why that is expected.
    fn expect(run: &Run, position: Position, value: ObservedValue, because: Option<&str>) {
        for kind in [PodIp, ClusterIp, Dns] {
            for cell in run.cells(position, of(kind)) {
                assert_eq!(cell.observed.value, value, "{cell:#?}");
                assert_eq!(cell.verdict, Verdict::AsExpected, "{cell:#?}");
                let expected = cell.expected.as_ref();
                let basis = expected.map(|expected| expected.basis);
                assert_eq!(basis == Some(Basis::Policy), because.is_some(), "{cell:#?}");
                if let Some(because) = because {
                    let source = expected.and_then(|expected| expected.source.as_deref());
                    assert!(
                        source.is_some_and(|source| source.contains(because)),
                        "{because:?} in {cell:#?}"
                    );
                }
            }
        }
    }

    #[test]
    #[ignore = "needs a cluster that enforces policies: tests/run brings one up"]
    fn a_namespace_that_denies_ingress_is_as_expected() {
        let deny = json!({"podSelector": {}, "policyTypes": ["Ingress"]});
        let (kubectl, namespace) = with(&[("deny", deny)]);
        let denies = format!("NetworkPolicy {}/deny allows no ingress", namespace.name);
        let denied = run(&kubectl, &namespace, &[]);
        // A pod always gets connections from its own node.
        expect(&denied, NodeSame, Reachable, None);
        for position in [NodeOther, PodSame, PodOther] {
            expect(&denied, position, Unreachable, Some(&denies));
        }
        denied.expect_exit(0);

        let allow = json!({"podSelector": {"matchLabels": {"app": "web"}}, "ingress": [
            {"from": [{"podSelector": {"matchLabels": {"role": "client"}}}], "ports": [{"port": "web"}]},
        ]});
        add(&kubectl, &namespace, "allow", &allow);
        let admitted = run(&kubectl, &namespace, &["--probe-label", "role=client"]);
        for position in [NodeSame, PodSame, PodOther] {
            expect(&admitted, position, Reachable, None);
        }
        admitted.expect_exit(0);
        let others = run(&kubectl, &namespace, &[]);
        expect(
            &others,
            PodOther,
            Unreachable,
            Some("/allow: ingress[0] does not list this client"),
        );
        others.expect_exit(0);
    }

    #[test]
    #[ignore = "needs a cluster that enforces policies: tests/run brings one up"]
    fn a_namespace_that_denies_egress_is_as_expected() {
        let deny = json!({"podSelector": {}, "policyTypes": ["Egress"]});
        let (kubectl, namespace) = with(&[("deny", deny)]);
        let run = run(&kubectl, &namespace, &[]);
        let denies = format!("NetworkPolicy {}/deny allows no egress", namespace.name);
        for position in [NodeSame, NodeOther] {
            expect(&run, position, Reachable, None);
        }
        for position in [PodSame, PodOther] {
            expect(&run, position, Unreachable, Some(&denies));
        }
        for cell in &run.report.cells {
            if cell.position.network() == Network::Pod && cell.target.kind == NodePort {
                assert_eq!(cell.verdict, Verdict::AsExpected, "{cell:#?}");
            }
        }
        run.expect_exit(0);
    }

    #[test]
    #[ignore = "needs a cluster that enforces policies: tests/run brings one up"]
    fn ranges_and_namespaces_admit_as_the_policy_says() {
        let kubectl = Kubectl::from_environment();
        let node = nodes(&kubectl)[0].clone();
        let range = kubectl.object(&["get", "node", &node])["spec"]["podCIDR"]
            .as_str()
            .map(str::to_owned);
        let range = range.expect("the nodes have ranges of pod addresses");
        let own = json!({"podSelector": {"matchLabels": {"app": "web"}}, "ingress": [
            {"from": [{"ipBlock": {"cidr": "0.0.0.0/0", "except": [range]}}]},
        ]});
        let (kubectl, namespace) = with(&[("ranges", own)]);
        let ranges = run(&kubectl, &namespace, &["--only", "pod-same,pod-other"]);
        expect(
            &ranges,
            PodSame,
            Unreachable,
            Some("/ranges: ingress[0] does not list this client"),
        );
        expect(&ranges, PodOther, Reachable, None);
        ranges.expect_exit(0);

        let spaces = json!({"podSelector": {}, "ingress": [
            {"from": [{"namespaceSelector": {"matchLabels": {"team": "ops"}}}]},
        ]});
        namespace.kubectl(&["delete", "networkpolicy", "ranges"]);
        add(&kubectl, &namespace, "spaces", &spaces);
        let only = ["--only", "pod-same,pod-other"];
        for (labels, value) in [
            (json!({"team": "ops"}), Reachable),
            (json!({"team": "dev"}), Unreachable),
        ] {
            let probes = Namespace::new(&kubectl, &labels);
            let run = run(
                &kubectl,
                &namespace,
                &[&only[..], &["--probe-namespace", &probes.name]].concat(),
            );
            let because = (value == Unreachable).then_some("/spaces: ingress[0]");
            for position in [PodSame, PodOther] {
                expect(&run, position, value, because);
            }
            run.expect_exit(0);
        }
    }

    #[test]
    #[ignore = "needs the test cluster: tests/run brings it up"]
    fn source_ranges_that_leave_clients_out_are_as_expected() {
        let ranges = json!({"type": "LoadBalancer", "loadBalancerSourceRanges": ["192.0.2.0/24"]});
        let (kubectl, namespace) = serving(&ranges);
        let address = load_balancer(&kubectl, &namespace);
        until(
            "the rule for the load balancer",
            Duration::from_secs(60),
            || {
                for node in nodes(&kubectl) {
                    let output = Command::new(kubectl.testbed())
                        .args(["enter", &node, "sh", "-c", READ_RULES])
                        .output()
                        .map_err(|error| error.to_string())?;
                    if !String::from_utf8_lossy(&output.stdout).contains(&address) {
                        return Err(format!("no rule for {address} on {node}"));
                    }
                }
                Ok(())
            },
        );
        let run = run(&kubectl, &namespace, &[]);
        for position in [NodeSame, NodeOther, PodSame, PodOther] {
            run.expect(position, of(LoadBalancer), Unreachable);
            for cell in run.cells(position, of(LoadBalancer)) {
                assert_eq!(cell.verdict, Verdict::AsExpected, "{cell:#?}");
                let cause = cell
                    .predicted
                    .as_ref()
                    .and_then(|predicted| predicted.cause);
                assert_eq!(cause, Some(Cause::SourceRanges), "{cell:#?}");
            }
        }
        run.expect_exit(0);
    }
}
