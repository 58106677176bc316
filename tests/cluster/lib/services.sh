# shellcheck shell=bash
# The services of a cloud: image registry, DNS, admission and load balancer. The program "testbed" provides all of them.
# Each cluster has its own copy of it, because a later build may change it.

services_up() {
  local testbed="$RUN/testbed" infra
  infra=$(url_host "$(primary "$INFRA4" "$INFRA6")")
  launch registry ip netns exec "$PREFIX-infra" "$testbed" registry "$IMAGES" "$infra:$REGISTRY_PORT"
  # If the cluster has no IPv6, the machine may have none either, and then [::] does not work.
  launch dns ip netns exec "$PREFIX-infra" env KUBECONFIG="$PKI/testbed.conf" \
    "$testbed" dns "$(if has ipv6; then echo '[::]'; else echo "$INFRA4"; fi):53" "$CLUSTER_DOMAIN" "$ELB_DOMAIN"
  ! is_old || launch admission ip netns exec "$PREFIX-infra" \
    "$testbed" admission "$infra:$ADMISSION_PORT" "$PKI/testbed.crt" "$PKI/testbed.key"
  launch elb ip netns exec "$PREFIX-elb" env KUBECONFIG="$PKI/testbed.conf" \
    "$testbed" elb "$(families "$ELB_RANGE4" "$ELB_RANGE6")" "$ELB_DOMAIN"
}

# Objects that a cluster has from the start, and the webhook that replaces Pod Security admission.
cluster_objects() {
  {
    if is_old; then
      dns_service "$SERVICE_DNS4" ""
      dns_endpoints
      pod_security_webhooks
    else
      dns_service "$(primary "$SERVICE_DNS4" "$SERVICE_DNS6")" "ipFamilyPolicy: PreferDualStack"
      ! has ipv4 || dns_endpoint_slice IPv4 "$INFRA4"
      ! has ipv6 || dns_endpoint_slice IPv6 "$INFRA6"
    fi
  } | kctl apply -f - >/dev/null
  proxy_publish
  until_true 180 kctl get serviceaccount default || die "the default ServiceAccount was not created within 180 s"
}

dns_service() { # ADDRESS MORE
  cat <<Y
---
apiVersion: v1
kind: Service
metadata: {name: kube-dns, namespace: kube-system, labels: {k8s-app: kube-dns, kubernetes.io/name: KubeDNS}}
spec:
  clusterIP: "$1"
  ports: [{name: dns, port: 53, protocol: UDP}, {name: dns-tcp, port: 53, protocol: TCP}]
  $2
Y
}

# Kubernetes 1.20 creates EndpointSlices from it.
dns_endpoints() {
  cat <<Y
---
apiVersion: v1
kind: Endpoints
metadata: {name: kube-dns, namespace: kube-system}
subsets:
- addresses: [{ip: $INFRA4}]
  ports: [{name: dns, port: 53, protocol: UDP}, {name: dns-tcp, port: 53, protocol: TCP}]
Y
}

dns_endpoint_slice() { # FAMILY ADDRESS
  cat <<Y
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: kube-dns-${1,,}, namespace: kube-system, labels: {kubernetes.io/service-name: kube-dns}}
addressType: $1
endpoints: [{addresses: ["$2"], conditions: {ready: true}}]
ports: [{name: dns, port: 53, protocol: UDP}, {name: dns-tcp, port: 53, protocol: TCP}]
Y
}

# Kubernetes 1.20 has no Pod Security admission. "testbed admission" replaces it. Newer versions have it since 1.25.
pod_security_webhooks() {
  cat <<Y
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingWebhookConfiguration
metadata: {name: pod-security}
webhooks:
$(
    pod_security_webhook baseline
    pod_security_webhook restricted
  )
Y
}

# A review does not contain the namespace's labels, so each level needs its own webhook with a selector and a path.
pod_security_webhook() { # LEVEL
  cat <<Y
- name: $1.pod-security.$PREFIX.test
  clientConfig: {url: "https://$(primary "$INFRA4" "$INFRA6"):$ADMISSION_PORT/$1", caBundle: $(base64 -w0 <"$PKI/ca.crt")}
  namespaceSelector: {matchLabels: {pod-security.kubernetes.io/enforce: $1}}
  rules: [{apiGroups: [""], apiVersions: [v1], resources: [pods], operations: [CREATE, UPDATE], scope: Namespaced}]
  admissionReviewVersions: [v1]
  sideEffects: None
  failurePolicy: Fail
  timeoutSeconds: 5
Y
}
