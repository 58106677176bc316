# shellcheck shell=bash disable=SC2034  # other files use these variables
# Builds Kubernetes 1.20.2, and everything it runs on, from Debian 12's packages and source packages.

OLD_PACKAGES=(containernetworking-plugins golang-go runc)
OLD_HOME=$BIN/kubernetes-$OLD_KUBERNETES

old_kubernetes_steps() {
  local p missing=()
  [[ -x $OLD_HOME/etcd ]] || echo unpack_program etcd-server /usr/bin/etcd
  [[ -x $OLD_HOME/kubectl ]] || echo unpack_program kubernetes-client /usr/bin/kubectl
  [[ -x $OLD_HOME/containerd ]] || echo unpack_program containerd /usr/bin/{containerd-shim-runc-v2,ctr,containerd}
  for p in "${KUBERNETES_PROGRAMS[@]}"; do [[ -x $OLD_HOME/$p ]] || missing+=("$p"); done
  ((${#missing[@]} == 0)) || echo build_old_kubernetes "${missing[@]}"
}

unpack_program() { # PACKAGE FILE…
  local package=$1 f
  shift
  mkdir -p "$OLD_HOME"
  unpack "$package"
  for f in "$@"; do install -m 755 "$BUILD/unpacked/$package$f" "$OLD_HOME/"; done
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

# The upstream tree with its vendor folder.
build_old_kubernetes() { # PROGRAM…
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
      build_old_program "$p"
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

build_old_program() {
  # The version must be set in two packages (hack/lib/version.sh). The endpoint /version answers with that of client-go.
  local package stamp=""
  for package in component-base/version client-go/pkg/version; do
    package=k8s.io/kubernetes/vendor/k8s.io/$package
    stamp+=" -X $package.gitVersion=v$OLD_KUBERNETES -X $package.gitMajor=1 -X $package.gitMinor=20 -X $package.gitTreeState=clean"
  done
  # The cluster uses neither a cloud's API nor Docker. Leaving them out saves a third of the build time.
  go build -tags providerless,dockerless -o "$OLD_HOME/.$1" -ldflags "-s -w$stamp" \
    "k8s.io/kubernetes/cmd/$1"
  mv "$OLD_HOME/.$1" "$OLD_HOME/$1"
}
