# shellcheck shell=bash
# Certificates and kubeconfigs. Every cluster gets new ones.

make_pki() {
  local n cp
  cp="https://$(url_host "$(primary "$CP4" "$CP6")"):6443"
  mkdir -p "$PKI"
  (
    umask 077
    cd "$PKI" || exit
    certificate_authority ca
    certificate_authority front-proxy-ca
    certificate apiserver ca /CN=kube-apiserver \
      "IP:127.0.0.1,IP:$CP4,IP:$CP6,IP:$SERVICE_API4,IP:$SERVICE_API6,DNS:localhost,DNS:kubernetes,DNS:kubernetes.default,DNS:kubernetes.default.svc,DNS:kubernetes.default.svc.$CLUSTER_DOMAIN"
    certificate kubelet-client ca "/O=system:masters/CN=kube-apiserver-kubelet-client"
    certificate front-proxy front-proxy-ca /CN=front-proxy-client
    certificate admin ca "/O=system:masters/CN=admin"
    certificate testbed ca "/O=system:masters/CN=$PREFIX-testbed" "IP:$INFRA4,IP:$INFRA6"
    certificate controller-manager ca /CN=system:kube-controller-manager
    certificate scheduler ca /CN=system:kube-scheduler
    certificate proxy ca /CN=system:kube-proxy
    openssl genrsa -out service-accounts.key 2048 2>/dev/null
    openssl rsa -in service-accounts.key -pubout -out service-accounts.pub 2>/dev/null
    kubeconfig controller-manager https://127.0.0.1:6443 >controller-manager.conf
    kubeconfig scheduler https://127.0.0.1:6443 >scheduler.conf
    kubeconfig proxy "$cp" >proxy.conf
    kubeconfig testbed "$cp" >testbed.conf
    kubeconfig admin "https://127.0.0.1:$API_PORT" >"$KUBECONFIG_HOST"
    kubeconfig admin "$cp" >"$KUBECONFIG_CLIENT"
    for ((n = 1; n <= NODES; n++)); do
      certificate "node-$n" ca "/O=system:nodes/CN=system:node:node-$n" "IP:$(node4 "$n"),IP:$(node6 "$n"),DNS:node-$n"
      kubeconfig "node-$n" "$cp" >"node-$n.conf"
    done
  )
}

private_key() { openssl ecparam -name prime256v1 -genkey -noout -out "$1.key" 2>/dev/null; }

certificate_authority() { # NAME
  private_key "$1"
  openssl req -x509 -new -key "$1.key" -sha256 -days 365 -subj "/CN=$PREFIX-$1" -out "$1.crt" \
    -addext 'basicConstraints=critical,CA:TRUE' -addext 'keyUsage=critical,keyCertSign,cRLSign,digitalSignature'
}

certificate() { # NAME AUTHORITY SUBJECT [ALTERNATIVE-NAMES]
  private_key "$1"
  openssl req -new -key "$1.key" -subj "$3" |
    openssl x509 -req -CA "$2.crt" -CAkey "$2.key" -CAcreateserial -days 365 -sha256 -out "$1.crt" \
      -extfile <(
        echo 'basicConstraints=CA:FALSE'
        echo 'keyUsage=critical,digitalSignature,keyEncipherment'
        echo 'extendedKeyUsage=serverAuth,clientAuth'
        [[ -z ${4:-} ]] || echo "subjectAltName=$4"
      ) 2>/dev/null
}

kubeconfig() { # NAME SERVER
  cat <<Y
apiVersion: v1
kind: Config
clusters:
- name: $PREFIX
  cluster: {server: "$2", certificate-authority-data: $(base64 -w0 <ca.crt)}
users:
- name: $1
  user: {client-certificate-data: $(base64 -w0 <"$1.crt"), client-key-data: $(base64 -w0 <"$1.key")}
contexts:
- name: $PREFIX
  context: {cluster: $PREFIX, user: $1}
current-context: $PREFIX
Y
}
