# shellcheck shell=bash
# Namespaces of Linux that stand in for a guest, where none can be had or none is wanted: they take seconds. Sourced by scripts/test
# and scripts/test-vm, after install.sh.

# Why there are none, after namespaces_prepare failed.
namespaces_missing=

# namespaces_prepare: installs what they need, unless it is there. Fails, with the reason in namespaces_missing, where that cannot be
# had. All of it is tried, in namespaces that end with the trial.
namespaces_prepare() {
  PATH=$PATH:/usr/sbin:/sbin
  if [ "$(id -u)" -ne 0 ]; then
    namespaces_missing="only root makes them"
    return 1
  fi
  # In a subshell, because it ends the shell where it may not install.
  if ! { command -v dpkg >/dev/null && (install_debian_packages util-linux iproute2 nftables curl python3) &&
    { command -v busybox >/dev/null || (install_debian_packages busybox-static); }; }; then
    namespaces_missing="util-linux, iproute2, nftables, curl, python3 and busybox cannot be installed"
    return 1
  fi
  if ! unshare --net --pid --mount --ipc --uts --fork --kill-child --mount-proc sh -ec '
    ip link add name to-guest type veth peer name eth0
    echo 1 >/proc/sys/net/ipv4/conf/to-guest/route_localnet
    printf "%s\n" "table ip trial {" "chain prerouting {" "type nat hook prerouting priority dstnat" "}" "}" | nft -f -
  ' >/dev/null 2>&1; then
    namespaces_missing="the kernel does not let this process make them, with veth and nftables"
    return 1
  fi
}

# namespaces_network PROCESS: gives the namespaces of namespaces_run, which is that process, the network card eth0. As in QEMU's
# user-mode network, 10.0.2.2 is the loopback of the caller, who must be in a network namespace of its own.
namespaces_network() {
  ip link add name to-guest type veth peer name eth0 netns "$1"
  ip address add 10.0.2.2/24 dev to-guest
  ip link set to-guest up
  echo 1 >/proc/sys/net/ipv4/conf/to-guest/route_localnet
  nft -f - <<'NFT'
table ip fnox_test {
  chain prerouting {
    type nat hook prerouting priority dstnat
    iifname "to-guest" ip daddr 10.0.2.2 dnat to 127.0.0.1
  }
}
NFT
}

# namespaces_run ROOT ARGUMENT...: ROOT/init, with ROOT as its whole file system and nothing of this environment. It ends with the
# process that calls this.
namespaces_run() {
  # shellcheck disable=SC2016
  exec unshare --net --pid --mount --ipc --uts --fork --kill-child sh -ec '
    root=$1
    shift
    mount --bind "$root" "$root"
    cd "$root"
    mkdir -p dev proc run tmp host
    for node in null zero full random urandom; do
      : >"dev/$node"
      mount --bind "/dev/$node" "dev/$node"
    done
    pivot_root . host
    exec /bin/busybox env -i /init "$@"
  ' sh "$@"
}
