# shellcheck shell=bash
# Builds container images without a container engine: a layer is a tar archive, and an image adds a few JSON files.
# The registry serves all archives in $IMAGES and reads that folder again on every request.

image() {
  local action=${1:-} name file
  shift || die "image: expected add, load, remove or list"
  mkdir -p "$IMAGES"
  case $action in
    add)
      (($# >= 2)) || die "image add NAME:TAG BINARY [ARG…]"
      image_of_binary "$@"
      ;;
    load)
      (($# >= 1)) || die "image load ARCHIVE [NAME:TAG…]"
      file=$1
      shift
      tar -tf "$file" >/dev/null || die "$file is not a tar archive"
      name=$(basename "$file" .tar)
      if (($#)); then
        name=$(image_file "$1")
        printf '%s\n' "$@" >"$IMAGES/$name.names"
      fi
      cp "$file" "$IMAGES/.$name.tar"
      mv "$IMAGES/.$name.tar" "$IMAGES/$name.tar"
      ;;
    remove)
      name=$(image_file "${1:?image remove NAME:TAG}")
      rm -f "$IMAGES/$name.tar" "$IMAGES/$name.names"
      ;;
    list) for file in "$IMAGES"/*.tar; do basename "$file" .tar; done ;;
    *) die "image: no such action: $action" ;;
  esac
}

image_file() { echo "${1//[^A-Za-z0-9.-]/_}"; } # NAME:TAG: the image's file name, without extension

image_of_binary() { # NAME:TAG BINARY [ARG…]
  local name=$1 binary=$2 root program
  shift 2
  [[ -x $binary ]] || die "$binary is not a program"
  root=$(mktemp -d "$CACHE/image.XXXXXX")
  program=/$(basename "$binary")
  install -m 755 "$binary" "$root$program"
  copy_libraries "$root" "$root$program"
  pack_image "$(image_file "$name")" "$root" "[$(json_string "$program")]" "$(json_list "$@")" "$name"
  rm -rf "$root"
}

json_string() {
  local s=${1//\\/\\\\}
  printf '"%s"' "${s//\"/\\\"}"
}

json_list() {
  local s separator=
  printf '['
  for s in "$@"; do
    printf '%s%s' "$separator" "$(json_string "$s")"
    separator=,
  done
  printf ']'
}

# Order, owners and times are fixed, so the same files give an identical archive.
pack() { tar --sort=name --owner=0 --group=0 --numeric-owner --mtime=@0 --format=gnu "$@"; }

pack_image() { # FILE ROOT ENTRYPOINT-JSON CMD-JSON NAME…: makes an OCI archive with one layer
  local file=$1 root=$2 entrypoint=$3 cmd=$4 dir layer diff arch config manifest
  shift 4
  dir=$(mktemp -d "$CACHE/image.XXXXXX")
  mkdir -p "$dir/blobs/sha256"
  arch=$(dpkg --print-architecture)
  pack -C "$root" -cf "$dir/layer" .
  diff=$(sha256sum <"$dir/layer" | cut -d' ' -f1)
  gzip -n "$dir/layer"
  layer=$(put_blob "$dir/layer.gz" "$dir")
  printf '{"architecture":"%s","os":"linux","config":{"Env":["PATH=/usr/sbin:/usr/bin:/sbin:/bin"],"Entrypoint":%s,"Cmd":%s},"rootfs":{"type":"layers","diff_ids":["sha256:%s"]}}' \
    "$arch" "$entrypoint" "$cmd" "$diff" >"$dir/config"
  config=$(put_blob "$dir/config" "$dir")
  printf '{"schemaVersion":2,"mediaType":"%s","config":{"mediaType":"%s",%s},"layers":[{"mediaType":"%s",%s}]}' \
    application/vnd.oci.image.manifest.v1+json application/vnd.oci.image.config.v1+json "$config" \
    application/vnd.oci.image.layer.v1.tar+gzip "$layer" >"$dir/manifest"
  manifest=$(put_blob "$dir/manifest" "$dir")
  printf '{"schemaVersion":2,"manifests":[{"mediaType":"application/vnd.oci.image.manifest.v1+json",%s}]}' "$manifest" >"$dir/index.json"
  printf '{"imageLayoutVersion":"1.0.0"}' >"$dir/oci-layout"
  printf '%s\n' "$@" >"$IMAGES/$file.names"
  pack -C "$dir" -cf "$IMAGES/.$file.tar" oci-layout index.json blobs
  mv "$IMAGES/.$file.tar" "$IMAGES/$file.tar"
  rm -rf "$dir"
}

put_blob() { # FILE LAYOUT: moves the file into the layout and prints its descriptor fields, digest and size
  local digest
  digest=$(sha256sum <"$1" | cut -d' ' -f1)
  printf '"digest":"sha256:%s","size":%s' "$digest" "$(stat -c %s "$1")"
  mv "$1" "$2/blobs/sha256/$digest"
}

build_pause_image() {
  say "making the pause image"
  gcc -static -Os -s -o "$BUILD/pause" "$HERE/pause.c"
  image_of_binary "$PAUSE_IMAGE" "$BUILD/pause"
  mv "$IMAGES/$(image_file "$PAUSE_IMAGE").names" "$IMAGES/pause.names"
  mv "$IMAGES/$(image_file "$PAUSE_IMAGE").tar" "$IMAGES/pause.tar"
}

# The web server of the demo: Debian's nginx, with a shell and curl for debugging.
build_nginx_image() {
  local root=$BUILD/nginx-root
  say "making the nginx image"
  unpack nginx nginx-common
  image_root "$root"
  mkdir -p "$root"/{etc/nginx,var/lib/nginx,var/log/nginx,var/www/html}
  ln -s ../run "$root/var/run"
  install -D "$BUILD/unpacked/nginx/usr/sbin/nginx" "$root/usr/sbin/nginx"
  copy_libraries "$root" "$root/usr/sbin/nginx"
  cp "$BUILD/unpacked/nginx-common/etc/nginx/mime.types" "$HERE/nginx.conf" "$root/etc/nginx/"
  echo '<h1>Welcome to nginx!</h1>' >"$root/var/www/html/index.html"
  pack_image nginx "$root" '["nginx"]' '["-g","daemon off;"]' nginx:1.22 nginx:latest nginx:alpine
}

# The image of nearly all pods in upstream's tests. Upstream makes it from Alpine's packages.
build_agnhost_image() {
  local root=$BUILD/agnhost-root programs=$BIN/kubernetes-$KUBERNETES name
  say "making the agnhost image"
  install_packages netcat-openbsd
  image_root "$root"
  # The tests use options of nc that busybox does not have. As a shell, busybox runs its own nc, so it is not the shell.
  rm "$root"/bin/{nc,sh}
  install /bin/nc.openbsd "$root/bin/nc"
  install /bin/dash "$root/bin/sh"
  rm "$root/bin/wget"
  install "$HERE/wget" "$root/bin/"
  install "$programs/agnhost" "$root/"
  copy_libraries "$root" "$root"/bin/{nc,sh}
  name=$("$programs/e2e.test" image)
  pack_image "agnhost-$KUBERNETES" "$root" '["/agnhost"]' '["pause"]' "$name"
  rm -rf "$root"
}

image_root() { # ROOT: makes a root file system with a shell and curl
  local root=$1 curl applet
  unpack busybox-static
  rm -rf "$root"
  mkdir -p "$root"/{bin,dev,etc,proc,root,run,sys,tmp,usr/bin,var}
  chmod 1777 "$root/tmp"
  printf 'root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n' >"$root/etc/passwd"
  printf 'root:x:0:\nnogroup:x:65534:\n' >"$root/etc/group"
  install "$BUILD/unpacked/busybox-static/bin/busybox" "$root/bin/"
  while read -r applet; do
    [[ $applet == busybox ]] || ln -s busybox "$root/bin/$applet"
  done < <("$root/bin/busybox" --list)
  curl=$(command -v curl)
  install "$curl" "$root/usr/bin/"
  copy_libraries "$root" "$root/usr/bin/curl"
}

copy_libraries() { # ROOT PROGRAM…
  local root=$1 library
  shift
  ! ldd "$@" 2>/dev/null | grep 'not found' >&2 || die "this machine lacks a library that an image needs"
  while read -r library; do
    [[ -e $root$library ]] || install -D "$(readlink -f "$library")" "$root$library"
  done < <(ldd "$@" 2>/dev/null | grep -o '/[^ ]*\.so[^ ]*' | sort -u)
}
