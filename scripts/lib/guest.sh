# Boots a Debian kernel in an emulated machine that sees this machine's file system read-only: for tests of
# what the kernel here does not have. Sourced by scripts/test and scripts/test-vsock, test-vm and test-fido2, after install.sh.
#
# Everything is emulated (no KVM), so it is slow but the same everywhere. The guest has no network.

# Modules of the kernel: vsock connections from the guest to itself, the file systems of guest-init, and what vm-init needs: a
# network, a packet filter, and what QEMU hands over.
guest_modules=(vsock_loopback virtio_pci 9pnet_virtio 9p overlay virtio_net nf_tables nft_reject_inet qemu_fw_cfg)
# Modules that not every kernel has: devices that a program makes, and whatever is plugged in.
guest_more_modules=(uhid hid_generic)
# Why there is no guest, after guest_prepare failed.
guest_missing=

# guest_folder: where the kernel and the first file system are. A change of how they are made makes new ones.
guest_folder() {
  local digest
  digest=$(cat scripts/lib/guest.sh scripts/lib/guest-init | sha256sum | cut -c1-16)
  echo "${FNOX_TEST_TOOLS:-$PWD/.tools}/guest-$digest"
}

# guest_prepare: installs and makes what a guest needs, unless it is there. Fails, with the reason in
# guest_missing, where that cannot be had.
guest_prepare() {
  local folder
  if [ "$(uname -s)-$(dpkg --print-architecture 2>/dev/null)" != Linux-amd64 ]; then
    guest_missing="guests are only made on Debian for amd64"
    return 1
  fi
  # In a subshell, because it ends the shell where it may not install.
  if ! (install_debian_packages qemu-system-x86 busybox-static cpio kmod xz-utils); then
    guest_missing="qemu-system-x86, busybox-static, cpio, kmod and xz-utils cannot be installed"
    return 1
  fi
  folder=$(guest_folder)
  [ ! -e "$folder/complete" ] || return 0
  rm -rf "$folder"
  mkdir -p "$folder"
  if ! guest_download_kernel "$folder"; then
    guest_missing="the package of a Debian kernel cannot be downloaded"
    return 1
  fi
  if ! guest_make_initramfs "$folder"; then
    guest_missing="no initramfs could be made of the Debian kernel"
    return 1
  fi
  rm -rf "$folder/package" "$folder/initramfs" "$folder"/*.deb
  touch "$folder/complete"
}

# guest_has MODULE: whether the guest's kernel loads it.
guest_has() {
  grep --quiet --line-regexp "$1" "$(guest_folder)/modules"
}

# guest_download_kernel FOLDER: unpacks the kernel that linux-image-amd64 stands for to FOLDER/package. It is
# not installed. The kernel for clouds would be smaller, but has no 9p.
guest_download_kernel() {
  local folder=$1
  # Lists of packages may be missing, or older than the archive: then they are fetched, if that is allowed here.
  if ! guest_download_package "$folder"; then
    if [ "$(id -u)" -eq 0 ]; then
      apt-get update --quiet=2 </dev/null || return 1
    else
      sudo --non-interactive apt-get update --quiet=2 </dev/null || return 1
    fi
    guest_download_package "$folder" || return 1
  fi
  dpkg-deb --extract "$folder"/linux-image-*.deb "$folder/package" || return 1
  cp "$folder"/package/boot/vmlinuz-* "$folder/vmlinuz"
}

guest_download_package() {
  local folder=$1 name
  name=$(apt-cache depends linux-image-amd64 2>/dev/null | awk '/Depends: linux-image-/ { print $2; exit }')
  [ -n "$name" ] || return 1
  echo "==> downloading $name"
  # As who runs this: apt's own user cannot write to the folder.
  (cd "$folder" && apt-get download --quiet=2 --option APT::Sandbox::User="$(id -un)" "$name" </dev/null)
}

# guest_make_initramfs FOLDER: busybox, guest-init, and the modules in the order in which they load.
guest_make_initramfs() {
  local folder=$1 root=$1/initramfs version path modules more target count=10
  version=$(basename "$folder"/package/lib/modules/*)
  mkdir -p "$root"/{bin,dev,proc,sys,modules} || return 1
  cp /bin/busybox "$root/bin/busybox" || return 1
  install --mode=755 scripts/lib/guest-init "$root/init" || return 1
  /sbin/depmod --basedir "$folder/package" "$version" || return 1
  needs() { /sbin/modprobe --dirname "$folder/package" --set-version "$version" --show-depends "$1"; }
  modules=$(for path in "${guest_modules[@]}"; do needs "$path" || exit 1; done) || return 1
  printf '%s\n' "${guest_modules[@]}" >"$folder/modules"
  for path in "${guest_more_modules[@]}"; do
    if more=$(needs "$path" 2>/dev/null); then
      modules+=$'\n'$more
      echo "$path" >>"$folder/modules"
    fi
  done
  while read -r path; do
    count=$((count + 1))
    target=$root/modules/$count-$(basename "${path%.xz}")
    case "$path" in
      *.xz) xz --decompress --stdout "$path" >"$target" || return 1 ;;
      *) cp "$path" "$target" || return 1 ;;
    esac
  done < <(awk '$1 == "insmod" && !seen[$2]++ { print $2 }' <<<"$modules")
  (cd "$root" && find . | cpio --create --format=newc --quiet | gzip -1) >"$folder/initramfs.gz"
}

# guest_run SHARE CONSOLE: runs the program SHARE/run in a guest, as root, with SHARE at /run/share; succeeds if it
# does. The console goes to the file CONSOLE and to stdout.
guest_run() {
  local share=$1 console=$2 folder limit=900
  folder=$(guest_folder)
  # The limit is there for what hangs. It takes seconds on a quiet machine.
  timeout --foreground --kill-after=10 "$limit" qemu-system-x86_64 \
    -nodefaults -no-user-config -no-reboot -display none \
    -machine q35,accel=tcg -cpu max -smp 1 -m 768 \
    -kernel "$folder/vmlinuz" -initrd "$folder/initramfs.gz" \
    -append "console=ttyS0 quiet panic=1" \
    -virtfs "local,path=/,mount_tag=host,security_model=none,readonly=on,multidevs=remap" \
    -virtfs "local,path=$share,mount_tag=share,security_model=none,readonly=on,multidevs=remap" \
    -serial stdio </dev/null 2>&1 | tr --delete '\r' | tee "$console" || true
  # Not the status of qemu, which says nothing about the guest. No line: it died, or took too long.
  grep --quiet --line-regexp 'GUEST-EXIT 0' "$console"
}
