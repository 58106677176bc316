# shellcheck shell=bash
# etcd, the API server, the controller manager and the scheduler share one pid namespace in the instance "cp".

control_plane_up() {
  audit_policy >"$RUN/audit-policy.yaml"
  # --mount-proc: the new pid namespace gets its own /proc, because the kernel-wide values below /proc/sys belong to the
  # machine.
  launch control-plane nsenter --net="/run/netns/$PREFIX-cp" unshare --mount --pid --fork --kill-child --mount-proc \
    bash "$HERE/inside/control-plane"
  # A unix socket is independent of network namespaces. It connects this machine's loopback to the API server.
  launch api-relay socat "TCP-LISTEN:$API_PORT,bind=127.0.0.1,reuseaddr,fork" "UNIX-CONNECT:$RUN/api.sock"
  until_true 240 api_ready || die "the API server is not ready, see $LOG/kube-apiserver.log"
  say "control plane is up"
}

port_check() {
  [[ -z $(ss -Hltn "sport = :$API_PORT") ]] || die "port $API_PORT is taken; choose another with SVC_REACH_API_PORT"
}

api_ready() { [[ $(kctl get --raw /readyz) == ok ]]; }

# Log who made which request, so that a test can count the requests of a run. Requests of the cluster itself are left
# out.
audit_policy() {
  cat <<Y
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: None
  users: ["system:apiserver", "system:kube-controller-manager", "system:kube-scheduler", "system:kube-proxy", "$PREFIX-testbed"]
- level: None
  userGroups: ["system:nodes"]
- level: None
  userGroups: ["system:serviceaccounts:kube-system"]
- level: Metadata
Y
}
