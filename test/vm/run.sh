#!/usr/bin/env bash
# usage: test/vm/run.sh COMMAND...
# Runs a command as root in a virtual machine with a Debian kernel that has what this machine's may lack: control groups of
# version 2, the BPF LSM, AppArmor, Landlock, a TPM. Its root is this machine's, over virtiofs and read-only; the repository is
# writable there, and what is written is gone afterwards, as are /tmp and /var/tmp. The exit status is the command's; 90 when
# there is no kernel, 91 when the machine did not come to the command's end.
# environment: CLAWFS_VM_KERNEL (6.12 of backports, which is the default, or 6.1, Debian 12's own), CLAWFS_VM_CACHE (of kernels),
# CLAWFS_VM_MEMORY (MiB), CLAWFS_VM_TIMEOUT (seconds), CLAWFS_VM_ACCEL
set -euo pipefail
cd "$(dirname "$0")/../.."
repository=$PWD
cache=${CLAWFS_VM_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/clawfs-vm}
memory=${CLAWFS_VM_MEMORY:-2048}
accel=${CLAWFS_VM_ACCEL:-}
case ${CLAWFS_VM_KERNEL:-6.12} in
  6.12) suite=bookworm-backports tree=$cache/kernel ;;
  6.1) suite=bookworm tree=$cache/kernel-6.1 ;;
  *) echo "vm: there is no kernel $CLAWFS_VM_KERNEL to be had here: 6.12 or 6.1" >&2; exit 90 ;;
esac

say() { printf 'vm: %s\n' "$*" >&2; }

# The newest one of its suite, in its cloud variant. That of backports has virtiofs, ext4 and the TPM built in.
fetch_kernel() {
  local apt=$cache/apt-$suite mirror name
  mkdir -p "$apt"/lists/partial "$apt"/cache/archives/partial
  # From the mirror that this machine uses; its own lists of packages stay as they are.
  mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Codename: bookworm' | sort -u | head -n 1)
  echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] ${mirror:-http://deb.debian.org/debian/} $suite main" >"$apt/sources.list"
  local -a options=(-qq -o "Dir::Etc::SourceList=$apt/sources.list" -o Dir::Etc::SourceParts=/nonexistent
    -o "Dir::State::Lists=$apt/lists" -o "Dir::Cache=$apt/cache" -o APT::Sandbox::User=root)
  apt-get "${options[@]}" update
  name=$(apt-cache "${options[@]}" depends linux-image-cloud-amd64 | awk '/Depends: linux-image-[0-9]/ { print $2; exit }')
  say "fetching $name"
  (cd "$cache" && apt-get "${options[@]}" download "$name" && dpkg -x "$name"_*.deb "$tree.new" && rm "$name"_*.deb)
  depmod -b "$tree.new" "$(ls "$tree.new/lib/modules")"
  mv "$tree.new" "$tree"
}

# The modules that the root's filesystem takes, and what loads them; nothing where the kernel has them built in.
make_initramfs() {
  local version modules module number=100
  version=$(ls "$tree/lib/modules")
  modules=$(for module in virtio_pci virtiofs; do modprobe -d "$tree" -S "$version" --show-depends "$module"; done |
    awk '$1 == "insmod" && !seen[$2]++ { print $2 }')
  [ -n "$modules" ] || return 0
  mkdir -p "$work/initramfs"/{bin,modules,proc,root}
  cp "$(command -v busybox)" "$work/initramfs/bin/busybox"
  for module in $modules; do cp "$module" "$work/initramfs/modules/$((number++)).ko"; done
  cat >"$work/initramfs/init" <<'EOF'
#!/bin/busybox sh
for module in /modules/*; do /bin/busybox insmod "$module"; done
/bin/busybox mount -t proc proc /proc
init=$(/bin/busybox sed 's/.* init=\([^ ]*\).*/\1/' /proc/cmdline)
/bin/busybox umount /proc
/bin/busybox mount -t virtiofs -o ro hostroot /root
exec /bin/busybox switch_root /root "$init"
EOF
  chmod 755 "$work/initramfs/init"
  (cd "$work/initramfs" && find . | cpio --quiet -o -H newc >"$work/initramfs.cpio")
}

for program in qemu-system-x86_64 swtpm mkfs.ext4 modprobe busybox cpio; do
  command -v "$program" >/dev/null || { say "$program is not installed (scripts/setup.sh vm)"; exit 90; }
done
virtiofsd=
for program in /usr/lib/qemu/virtiofsd /usr/libexec/virtiofsd; do [ ! -x "$program" ] || virtiofsd=$program; done
[ -n "$virtiofsd" ] || { say "virtiofsd is not installed (scripts/setup.sh vm)"; exit 90; }
[ -d "$tree/boot" ] || fetch_kernel || { say "no kernel can be fetched"; exit 90; }
kernel=$(ls "$tree"/boot/vmlinuz-*)

# What is mounted here is this script's alone.
[ "${CLAWFS_VM_PRIVATE:-}" = 1 ] || CLAWFS_VM_PRIVATE=1 exec unshare -m --propagation private "$0" "$@"

# Under kvm_pvm Debian's kernels print nothing. QEMU 7.2 emulating cmpxchg16b, or several threads, crashes them at random. One
# thread emulates all processors: with a second one the same tests took a tenth more of its time.
if [ -z "$accel" ]; then
  if [ -w /dev/kvm ] && [ ! -d /sys/module/kvm_pvm ]; then accel=kvm; else accel=tcg,thread=single; fi
fi
case $accel in
  kvm) processor=(-cpu host -smp 2) ;;
  # An instruction takes a nanosecond of the machine's own time, however long it is waited for here: no time limit in it is met
  # because this machine is slow or busy. When it waits, its time passes as everybody's.
  *) processor=(-cpu max,-cx16 -smp 1 -icount shift=0,sleep=on) ;;
esac

work=$(mktemp -d /var/tmp/clawfs-vm-XXXXXX)
daemons=()
finish() {
  for pid in "${daemons[@]}"; do kill "$pid" 2>/dev/null || true; done
  umount -l "$work/root" 2>/dev/null || true
  rm -rf --one-file-system "$work"
}
trap finish EXIT
mkdir "$work/root" "$work/tpm"
mount --bind / "$work/root"
mount -o remount,ro,bind "$work/root"
truncate -s 4G "$work/scratch"
make_initramfs
initrd=()
[ ! -e "$work/initramfs.cpio" ] || initrd=(-initrd "$work/initramfs.cpio")
mkfs.ext4 -q -E lazy_itable_init=1,lazy_journal_init=1 "$work/scratch"
printf '%q ' "$@" >"$work/command"

swtpm socket --tpm2 --tpmstate "dir=$work/tpm" --ctrl "type=unixio,path=$work/tpm.sock" --flags startup-clear >"$work/swtpm.log" 2>&1 &
daemons+=($!)
case $virtiofsd in
  /usr/lib/qemu/*) "$virtiofsd" --socket-path="$work/root.sock" -o "source=$work/root" -o cache=always -o sandbox=chroot -o xattr ;;
  *) "$virtiofsd" --socket-path="$work/root.sock" --shared-dir "$work/root" --cache always --sandbox chroot --xattr ;;
esac >"$work/virtiofsd.log" 2>&1 &
daemons+=($!)
for ((tries = 0; tries < 500; tries++)); do
  [ ! -S "$work/root.sock" ] || [ ! -S "$work/tpm.sock" ] || break
  sleep 0.02
done

printf '%s\n' "$repository" "$tree" >"$work/guest"
options="console=ttyS0 quiet panic=-1 root=hostroot rootfstype=virtiofs ro init=$repository/test/vm/init.sh mitigations=off no_timer_check"
options+=" lsm=landlock,lockdown,yama,apparmor,bpf clawfs.work=$work"
timeout "${CLAWFS_VM_TIMEOUT:-7200}" qemu-system-x86_64 -M q35 -accel "$accel" "${processor[@]}" -m "$memory" \
  -nodefaults -no-user-config -display none -serial stdio -no-reboot \
  -object "memory-backend-memfd,id=mem,size=${memory}M,share=on" -numa node,memdev=mem -device virtio-rng-pci \
  -chardev "socket,id=root,path=$work/root.sock" -device vhost-user-fs-pci,chardev=root,tag=hostroot,queue-size=1024 \
  -drive "file=$work/scratch,format=raw,if=virtio,cache=unsafe" \
  -chardev "socket,id=tpm,path=$work/tpm.sock" -tpmdev emulator,id=tpm0,chardev=tpm -device tpm-tis,tpmdev=tpm0 \
  -kernel "$kernel" "${initrd[@]}" -append "$options" </dev/null | tee "$work/log" | grep --line-buffered -av '^clawfs-vm: ' || true
status=$(sed -n 's/^clawfs-vm: exit \([0-9]*\).*/\1/p' "$work/log" | tail -n 1)
[ -n "$status" ] || say "the machine did not come to the end of the command; $(tail -n 1 "$work/virtiofsd.log")"
exit "${status:-91}"
