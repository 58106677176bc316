# shellcheck shell=bash disable=SC2034,SC2120  # other files use these variables, and give arguments
# Builds every program and image that the cluster needs. What is already in the cache is not built again.

# These are installed on the machine. They do not start any service.
PACKAGES=(ca-certificates conntrack curl dpkg-dev gcc iproute2 ipset iptables kmod libc6-dev libcrypt1 libpcre2-8-0 libssl3
  nftables openssl procps socat util-linux zlib1g)
KUBERNETES_PROGRAMS=(kube-apiserver kube-controller-manager kube-scheduler kubelet kube-proxy)

build() { # for a cluster with the current options
  local steps=()
  mkdir -p "$BIN" "$IMAGES" "$BUILD"
  install_packages "${PACKAGES[@]}"
  ! is_old || install_packages "${OLD_PACKAGES[@]}"
  mapfile -t steps < <(build_steps)
  if ((${#steps[@]})) && ! is_old; then
    # While cargo waits for one long crate, the other processor has time for downloads.
    fetch_modules "${steps[@]}" &
    build_testbed
    wait $! || true
  else
    build_testbed
  fi
  if ((${#steps[@]})); then
    build_programs
  fi
  [[ -f $IMAGES/pause.tar ]] || build_pause_image
  [[ $IMAGES/nginx.tar -nt $HERE/nginx.conf ]] || build_nginx_image
  ((E2E == 0)) || [[ $IMAGES/agnhost-$KUBERNETES.tar -nt $HERE/wget ]] || build_agnhost_image
}

# Downloads the modules that these steps need. A failure does not matter, since the steps download what is missing.
fetch_modules() { # STEP…
  local step
  exec 8>"$CACHE/build-lock"
  flock -n 8 || return 0
  say "fetching Go modules"
  go_toolchain
  for step; do
    # shellcheck disable=SC2086  # a function and its arguments
    (FETCH_ONLY=1 && $step) || true
  done
}

build_programs() {
  local step i=0
  # Another command may be building the same programs. That takes minutes.
  exec 8>"$CACHE/build-lock"
  flock -n 8 || { say "waiting for another build" && flock 8; }
  mapfile -t steps < <(build_steps)
  is_old || go_toolchain
  for step in "${steps[@]}"; do
    say "building ${step#build_} ($((++i)) of ${#steps[@]})"
    # shellcheck disable=SC2086  # a function and its arguments
    $step
  done
  go_clean
  exec 8>&-
}

# Prints the functions, with arguments, that build what is missing.
build_steps() {
  local p version
  if is_old; then
    old_kubernetes_steps
    return
  fi
  [[ -x $(home_of etcd)/etcd ]] || echo build_etcd
  [[ -x $(home_of containerd)/containerd ]] || echo build_containerd
  [[ -x $(home_of runc)/runc ]] || echo build_runc
  [[ -x $(home_of cni)/bridge ]] || echo build_cni
  [[ -x $BIN/kubernetes-$KUBERNETES/kube ]] || echo "build_kubernetes $KUBERNETES kube"
  ((E2E == 0)) || [[ -x $BIN/kubernetes-$KUBERNETES/e2e.test ]] || echo "build_e2e $KUBERNETES"
  # Each version once, even if several nodes have it.
  for p in ${PROXY_VERSIONS//,/ }; do
    version=$(whole_version "${p#*=}")
    [[ -x $BIN/kubernetes-$version/kube-proxy || $version == "$KUBERNETES" ]] ||
      echo "build_kubernetes $version kube-proxy"
  done | sort -u
  # Build it after Kubernetes, because most of its packages are then in the compile cache.
  ((NETWORK_POLICY == 0)) || [[ -x $(home_of kube-router)/network-policy ]] || echo build_network_policy
}

apt() { apt-get -q -o DPkg::Lock::Timeout=600 "$@" >>"$BUILD/apt.log" 2>&1 || die "apt-get $1 failed, see $BUILD/apt.log"; }
apt_lists() { "$HERE/../apt-update" "$@" >>"$BUILD/apt.log" 2>&1 || die "apt-get update failed, see $BUILD/apt.log"; }

apt_updated=0
apt_update() {
  ((apt_updated)) || apt_lists
  apt_updated=1
}

install_packages() { # PACKAGE…
  local p installed missing=()
  installed=$(dpkg-query -W -f='${db:Status-Status} ${Package}\n' "$@" 2>/dev/null) || true
  for p in "$@"; do
    [[ $'\n'$installed$'\n' == *$'\n'"installed $p"$'\n'* ]] || missing+=("$p")
  done
  ((${#missing[@]})) || return 0
  say "installing ${missing[*]}"
  apt_update
  DEBIAN_FRONTEND=noninteractive apt install -y --no-install-recommends "${missing[@]}"
}

# Packages of daemons are unpacked and not installed, because installing would start the daemon on this machine.
unpack() { # PACKAGE…: unpacks each package below $BUILD/unpacked/PACKAGE
  local p dir
  for p in "$@"; do
    dir=$BUILD/unpacked/$p
    [[ ! -f $dir/.complete ]] || continue
    rm -rf "$dir" "$BUILD/debs/$p"
    mkdir -p "$dir" "$BUILD/debs/$p"
    apt_update
    (cd "$BUILD/debs/$p" && apt download "$p" && dpkg -x ./*.deb "$dir")
    touch "$dir/.complete"
  done
}

# cargo rebuilds only what changed. --workspace selects the same features of dependencies as the tests do, so that most
# dependencies are compiled only once. On an emulated machine (tests/cgroup2) even cargo takes minutes, so it gets the
# path of the program.
build_testbed() {
  local target quiet=(--quiet)
  TESTBED=${SVC_REACH_TESTBED_PROGRAM:-}
  [[ -z $TESTBED ]] || return 0
  target=$(cargo metadata --manifest-path "$HERE/../Cargo.toml" --no-deps --format-version 1 | grep -o '"target_directory":"[^"]*"' | cut -d'"' -f4)
  TESTBED=$target/debug/testbed
  [[ -x $TESTBED ]] || {
    say "building the cluster's own services"
    quiet=()
  }
  cargo build "${quiet[@]}" --workspace --manifest-path "$HERE/../Cargo.toml" --bin testbed 9>&- || die "cargo build failed"
}
