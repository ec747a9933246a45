#!/usr/bin/env bash
# usage: test/vm/run.sh COMMAND...
# Runs a command as root in a virtual machine with a Debian kernel that has what this machine's may lack: control groups of
# version 2, the BPF LSM, AppArmor, Landlock, a TPM. Its root is this machine's, over virtiofs and read-only; the repository is
# writable there, and what is written is gone afterwards, as are /tmp and /var/tmp. The exit status is the command's; 90 when
# there is no kernel, 91 when the machine did not come to the command's end.
# environment: CLAWFS_VM_CACHE (of the kernel), CLAWFS_VM_MEMORY (MiB), CLAWFS_VM_TIMEOUT (seconds), CLAWFS_VM_ACCEL
set -euo pipefail
cd "$(dirname "$0")/../.."
repository=$PWD
cache=${CLAWFS_VM_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/clawfs-vm}
memory=${CLAWFS_VM_MEMORY:-2048}
accel=${CLAWFS_VM_ACCEL:-}

say() { printf 'vm: %s\n' "$*" >&2; }

# The newest kernel of Debian 12's backports: its cloud variant has virtiofs, ext4 and the TPM built in, so it takes no initramfs.
fetch_kernel() {
  local apt=$cache/apt mirror name
  mkdir -p "$apt"/lists/partial "$apt"/cache/archives/partial
  # From the mirror that this machine uses; its own lists of packages stay as they are.
  mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Codename: bookworm' | sort -u | head -n 1)
  echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] ${mirror:-http://deb.debian.org/debian/} bookworm-backports main" >"$apt/sources.list"
  local -a options=(-qq -o "Dir::Etc::SourceList=$apt/sources.list" -o Dir::Etc::SourceParts=/nonexistent
    -o "Dir::State::Lists=$apt/lists" -o "Dir::Cache=$apt/cache" -o APT::Sandbox::User=root)
  apt-get "${options[@]}" update
  name=$(apt-cache "${options[@]}" depends linux-image-cloud-amd64 | awk '/Depends: linux-image-[0-9]/ { print $2; exit }')
  say "fetching $name"
  (cd "$cache" && apt-get "${options[@]}" download "$name" && dpkg -x "$name"_*.deb kernel.new && rm "$name"_*.deb)
  depmod -b "$cache/kernel.new" "$(ls "$cache/kernel.new/lib/modules")"
  mv "$cache/kernel.new" "$cache/kernel"
}

for program in qemu-system-x86_64 swtpm mkfs.ext4 modprobe; do
  command -v "$program" >/dev/null || { say "$program is not installed (scripts/setup.sh vm)"; exit 90; }
done
virtiofsd=
for program in /usr/lib/qemu/virtiofsd /usr/libexec/virtiofsd; do [ ! -x "$program" ] || virtiofsd=$program; done
[ -n "$virtiofsd" ] || { say "virtiofsd is not installed (scripts/setup.sh vm)"; exit 90; }
[ -d "$cache/kernel/boot" ] || fetch_kernel || { say "no kernel can be fetched"; exit 90; }
kernel=$(ls "$cache"/kernel/boot/vmlinuz-*)

# What is mounted here is this script's alone.
[ "${CLAWFS_VM_PRIVATE:-}" = 1 ] || CLAWFS_VM_PRIVATE=1 exec unshare -m --propagation private "$0" "$@"

# Under kvm_pvm Debian's kernels print nothing. QEMU 7.2 emulating cmpxchg16b, or several threads, crashes them at random.
if [ -z "$accel" ]; then
  if [ -w /dev/kvm ] && [ ! -d /sys/module/kvm_pvm ]; then accel=kvm; else accel=tcg,thread=single; fi
fi
cpu=host
[ "$accel" = kvm ] || cpu=max,-cx16

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

printf '%s\n' "$repository" "$cache/kernel" >"$work/guest"
options="console=ttyS0 quiet panic=-1 root=hostroot rootfstype=virtiofs ro init=$repository/test/vm/init.sh mitigations=off"
options+=" lsm=landlock,lockdown,yama,apparmor,bpf clawfs.work=$work"
timeout "${CLAWFS_VM_TIMEOUT:-3600}" qemu-system-x86_64 -M q35 -accel "$accel" -cpu "$cpu" -smp 2 -m "$memory" \
  -nodefaults -no-user-config -display none -serial stdio -no-reboot \
  -object "memory-backend-memfd,id=mem,size=${memory}M,share=on" -numa node,memdev=mem -device virtio-rng-pci \
  -chardev "socket,id=root,path=$work/root.sock" -device vhost-user-fs-pci,chardev=root,tag=hostroot,queue-size=1024 \
  -drive "file=$work/scratch,format=raw,if=virtio,cache=unsafe" \
  -chardev "socket,id=tpm,path=$work/tpm.sock" -tpmdev emulator,id=tpm0,chardev=tpm -device tpm-tis,tpmdev=tpm0 \
  -kernel "$kernel" -append "$options" </dev/null | tee "$work/log" | grep --line-buffered -av '^clawfs-vm: ' || true
status=$(sed -n 's/^clawfs-vm: exit \([0-9]*\).*/\1/p' "$work/log" | tail -n 1)
[ -n "$status" ] || say "the machine did not come to the end of the command; $(tail -n 1 "$work/virtiofsd.log")"
exit "${status:-91}"
