# shellcheck shell=bash
# What a cloud puts beside the nodes: image registry, DNS, admission, load balancer. All are the program "testbed".

services_up() {
  local testbed="$BIN/testbed"
  launch registry ip netns exec "$PREFIX-infra" "$testbed" registry "$IMAGES" "$REGISTRY"
  launch dns ip netns exec "$PREFIX-infra" env KUBECONFIG="$PKI/testbed.conf" \
    "$testbed" dns "$INFRA_IP:53" "$CLUSTER_DOMAIN" "$ELB_DOMAIN"
  launch admission ip netns exec "$PREFIX-infra" "$testbed" admission "$ADMISSION" "$PKI/testbed.crt" "$PKI/testbed.key"
  launch elb ip netns exec "$PREFIX-elb" env KUBECONFIG="$PKI/testbed.conf" \
    "$testbed" elb "$ELB_FIRST" "$ELB_LAST" "$ELB_DOMAIN"
}

# The objects that a cluster of this age has from the start, or that stand in for what it lacks.
cluster_objects() {
  kctl apply -f - >/dev/null <<Y
apiVersion: v1
kind: Service
metadata: {name: kube-dns, namespace: kube-system, labels: {k8s-app: kube-dns, kubernetes.io/name: KubeDNS}}
spec:
  clusterIP: $SERVICE_DNS_IP
  ports: [{name: dns, port: 53, protocol: UDP}, {name: dns-tcp, port: 53, protocol: TCP}]
---
apiVersion: v1
kind: Endpoints
metadata: {name: kube-dns, namespace: kube-system}
subsets:
- addresses: [{ip: $INFRA_IP}]
  ports: [{name: dns, port: 53, protocol: UDP}, {name: dns-tcp, port: 53, protocol: TCP}]
---
# As kubeadm leaves it: some tools read kube-proxy's mode from here.
apiVersion: v1
kind: ConfigMap
metadata: {name: kube-proxy, namespace: kube-system, labels: {app: kube-proxy}}
data:
  config.conf: |
$(sed 's/^/    /' "$RUN/kube-proxy.yaml")
---
# Kubernetes 1.20 has no Pod Security admission; "testbed admission" says what it would say.
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingWebhookConfiguration
metadata: {name: pod-security}
webhooks:
$(
    pod_security_webhook baseline
    pod_security_webhook restricted
  )
Y
  until_true 180 kctl get serviceaccount default || die "the default ServiceAccount does not appear"
}

# The review does not carry the namespace's labels, so each level is a webhook with its own selector and path.
pod_security_webhook() { # LEVEL
  cat <<Y
- name: $1.pod-security.$PREFIX.test
  clientConfig: {url: "https://$ADMISSION/$1", caBundle: $(base64 -w0 <"$PKI/ca.crt")}
  namespaceSelector: {matchLabels: {pod-security.kubernetes.io/enforce: $1}}
  rules: [{apiGroups: [""], apiVersions: [v1], resources: [pods], operations: [CREATE, UPDATE], scope: Namespaced}]
  admissionReviewVersions: [v1]
  sideEffects: None
  failurePolicy: Fail
  timeoutSeconds: 5
Y
}
