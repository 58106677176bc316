# shellcheck shell=bash
# The services of a cloud: image registry, DNS, admission and load balancer. The program "testbed" provides all of them.

services_up() {
  local testbed="$BIN/testbed"
  launch registry ip netns exec "$PREFIX-infra" "$testbed" registry "$IMAGES" "$REGISTRY"
  launch dns ip netns exec "$PREFIX-infra" env KUBECONFIG="$PKI/testbed.conf" \
    "$testbed" dns "$INFRA_IP:53" "$CLUSTER_DOMAIN" "$ELB_DOMAIN"
  launch admission ip netns exec "$PREFIX-infra" "$testbed" admission "$ADMISSION" "$PKI/testbed.crt" "$PKI/testbed.key"
  launch elb ip netns exec "$PREFIX-elb" env KUBECONFIG="$PKI/testbed.conf" \
    "$testbed" elb "$ELB_FIRST" "$ELB_LAST" "$ELB_DOMAIN"
}

# Objects that a cluster of this version has from the start, and the webhook that replaces Pod Security admission.
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
# As kubeadm creates it. Some tools read kube-proxy's mode from here.
apiVersion: v1
kind: ConfigMap
metadata: {name: kube-proxy, namespace: kube-system, labels: {app: kube-proxy}}
data:
  config.conf: |
$(sed 's/^/    /' "$RUN/kube-proxy.yaml")
---
# Kubernetes 1.20 has no Pod Security admission. "testbed admission" replaces it.
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingWebhookConfiguration
metadata: {name: pod-security}
webhooks:
$(
    pod_security_webhook baseline
    pod_security_webhook restricted
  )
Y
  until_true 180 kctl get serviceaccount default || die "the default ServiceAccount was not created within 180 s"
}

# A review does not contain the namespace's labels, so each level needs its own webhook with a selector and a path.
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
