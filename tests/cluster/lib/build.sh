# shellcheck shell=bash
# Builds every program and image that the cluster needs, from Debian 12's packages and source packages and from this
# repository. What is already in the cache is not built again.

# These are installed on the machine. They do not start any service.
PACKAGES=(ca-certificates conntrack containernetworking-plugins curl dpkg-dev gcc golang-go iproute2 ipset iptables kmod
  libc6-dev libcrypt1 libpcre2-8-0 libssl3 nftables openssl procps runc socat util-linux zlib1g)
KUBERNETES=(kube-apiserver kube-controller-manager kube-scheduler kubelet kube-proxy)

build() {
  local b missing=()
  mkdir -p "$BIN" "$IMAGES" "$BUILD" "$LOG"
  install_packages
  [[ -x $BIN/etcd ]] || unpack_program etcd-server /usr/bin/etcd
  [[ -x $BIN/kubectl ]] || unpack_program kubernetes-client /usr/bin/kubectl
  [[ -x $BIN/containerd ]] || unpack_program containerd /usr/bin/{containerd-shim-runc-v2,ctr,containerd}
  build_testbed
  for b in "${KUBERNETES[@]}"; do [[ -x $BIN/$b ]] || missing+=("$b"); done
  ((${#missing[@]} == 0)) || build_kubernetes "${missing[@]}"
  [[ -f $IMAGES/pause.tar ]] || build_pause_image
  [[ -f $IMAGES/nginx.tar ]] || build_nginx_image
}

apt() { apt-get -q -o DPkg::Lock::Timeout=600 "$@" >>"$BUILD/apt.log" 2>&1 || die "apt-get $1 failed, see $BUILD/apt.log"; }
apt_lists() { "$HERE/../apt-update" "$@" >>"$BUILD/apt.log" 2>&1 || die "apt-get update failed, see $BUILD/apt.log"; }

apt_updated=0
apt_update() {
  ((apt_updated)) || apt_lists
  apt_updated=1
}

install_packages() {
  local p missing=()
  for p in "${PACKAGES[@]}"; do
    [[ $(dpkg-query -W -f='${db:Status-Status}' "$p" 2>/dev/null) == installed ]] || missing+=("$p")
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

unpack_program() { # PACKAGE FILE…
  local package=$1 f
  shift
  say "unpacking $package"
  unpack "$package"
  for f in "$@"; do install -m 755 "$BUILD/unpacked/$package$f" "$BIN/"; done
}

# cargo rebuilds only what changed. --workspace selects the same features of dependencies as the tests do, so that most
# dependencies are compiled only once.
build_testbed() {
  local target
  cargo build --quiet --workspace --manifest-path "$HERE/../Cargo.toml" --bin testbed 9>&- || die "cargo build failed"
  target=$(cargo metadata --manifest-path "$HERE/../Cargo.toml" --no-deps --format-version 1 | grep -o '"target_directory":"[^"]*"' | cut -d'"' -f4)
  cmp -s "$target/debug/testbed" "$BIN/testbed" || install -m 755 "$target/debug/testbed" "$BIN/testbed"
}

# Uses the machine's own Debian sources to download source packages, with separate package lists.
source_package() { # NAME: unpacks the source below $BUILD/source
  local parts=$BUILD/apt/parts f options
  options=(-o Dir::Etc::sourcelist=/dev/null -o "Dir::Etc::sourceparts=$parts" -o "Dir::State::lists=$BUILD/apt/lists")
  mkdir -p "$parts" "$BUILD/apt/lists/partial" "$BUILD/source"
  for f in /etc/apt/sources.list.d/*.sources; do
    [[ ! -f $f ]] || ! grep -q 'debian-archive-keyring\|debian\.org' "$f" || sed 's/^Types:.*/Types: deb-src/' "$f" >"$parts/${f##*/}"
  done
  for f in /etc/apt/sources.list /etc/apt/sources.list.d/*.list; do
    [[ ! -f $f ]] || sed -n 's/^deb \(.*debian\.org.*\)/deb-src \1/p; s/^deb \(.*\/debian.*\)/deb-src \1/p' "$f" | sort -u >"$parts/$(basename "$f" .list).list"
  done
  apt_lists "${options[@]}"
  (cd "$BUILD/source" && rm -rf "${1:?}"-*/ && apt "${options[@]}" source "$1")
}

# Kubernetes 1.20.2, the version of Debian 12: the upstream tree with its vendor folder.
build_kubernetes() { # PROGRAM…
  local tree=$BUILD/go/src/k8s.io/kubernetes p
  if [[ ! -f $tree/.prepared ]]; then
    say "fetching the Kubernetes source"
    source_package kubernetes
    rm -rf "$tree"
    mkdir -p "${tree%/*}"
    mv "$BUILD"/source/kubernetes-*/ "$tree"
    # The vendor folder has reflect2 1.0.1, which relies on the map internals of Go before 1.18. With Debian's Go 1.19,
    # every program crashes on its first JSON map. Debian's reflect2 1.0.2 works.
    unpack golang-github-modern-go-reflect2-dev
    rm "$tree"/vendor/github.com/modern-go/reflect2/*.go
    cp "$BUILD"/unpacked/golang-github-modern-go-reflect2-dev/usr/share/gocode/src/github.com/modern-go/reflect2/*.go \
      "$tree/vendor/github.com/modern-go/reflect2/"
    rm -f "$tree"/vendor/github.com/modern-go/reflect2/*_test.go
    touch "$tree/.prepared"
  fi
  (
    # Use GOPATH mode. In module mode Go refuses the tree: since 1.17 it wants every indirect dependency in go.mod, and
    # vendor/modules.txt must agree. Go 1.15 wrote these files.
    export GOPATH=$BUILD/go GOCACHE=$BUILD/go-cache GO111MODULE=off CGO_ENABLED=0
    cd "$tree" || exit
    generate_openapi
    for p in "$@"; do
      say "building $p"
      build_kubernetes_program "$p"
    done
  )
  # These take over a gigabyte and are no longer needed.
  rm -rf "$BUILD/go" "$BUILD/go-cache" "$BUILD/source"
}

# The API server needs a generated file with the schemas of its objects. Upstream's Makefile generates it before a
# build, and source archives do not contain it.
generate_openapi() {
  local out=pkg/generated/openapi/zz_generated.openapi.go inputs
  [[ ! -s $out ]] || return 0
  say "generating the OpenAPI definitions"
  go build -o "$BUILD/openapi-gen" k8s.io/kubernetes/vendor/k8s.io/kube-openapi/cmd/openapi-gen
  # The packages with the comment that requests it, except two that are separate programs.
  inputs=$(grep -rl --include='*.go' '^// *+k8s:openapi-gen=' pkg cmd plugin vendor/k8s.io/*/ |
    grep -v '^vendor/k8s.io/code-generator/\|^vendor/k8s.io/sample-apiserver/' |
    xargs -n1 dirname | LC_ALL=C sort -u | sed 's|^|k8s.io/kubernetes/|' | paste -sd,)
  "$BUILD/openapi-gen" --logtostderr --input-dirs "$inputs" --output-package k8s.io/kubernetes/pkg/generated/openapi \
    --output-file-base zz_generated.openapi --go-header-file hack/boilerplate/boilerplate.generatego.txt \
    --report-filename "$BUILD/openapi-violations" >"$BUILD/openapi-gen.log" 2>&1
}

build_kubernetes_program() {
  # The version must be set in two packages (hack/lib/version.sh). The endpoint /version answers with that of client-go.
  local package stamp=""
  for package in component-base/version client-go/pkg/version; do
    package=k8s.io/kubernetes/vendor/k8s.io/$package
    stamp+=" -X $package.gitVersion=v1.20.2 -X $package.gitMajor=1 -X $package.gitMinor=20 -X $package.gitTreeState=clean"
  done
  # The cluster uses neither a cloud's API nor Docker. Leaving them out saves a third of the build time.
  go build -tags providerless,dockerless -o "$BIN/.$1" -ldflags "-s -w$stamp" \
    "k8s.io/kubernetes/cmd/$1"
  mv "$BIN/.$1" "$BIN/$1"
}
