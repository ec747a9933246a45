#!/bin/bash
# The first process of the virtual machine (run.sh): makes what a system has, runs the command, switches the machine off.
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
mkdir -p /dev/pts /dev/shm
ln -s /proc/self/fd /dev/fd
for number in 0:stdin 1:stdout 2:stderr; do ln -s "/proc/self/fd/${number%:*}" "/dev/${number#*:}"; done
mount -t devpts -o ptmxmode=666 devpts /dev/pts
mount -t tmpfs shm /dev/shm
mount -t tmpfs -o mode=755 run /run
mount -t cgroup2 -o favordynmods cgroup /sys/fs/cgroup
mount -t securityfs security /sys/kernel/security
mount -t bpf bpf /sys/fs/bpf
mount -t tracefs tracing /sys/kernel/tracing
mount -t fusectl fusectl /sys/fs/fuse/connections
ip link set lo up
hostname clawfs-vm

work=$(sed -n 's/.*clawfs\.work=\([^ ]*\).*/\1/p' /proc/cmdline)
{ read -r repository; read -r modules; } <"$work/guest"
command=$(<"$work/command")
for module in virtio_blk ext4 fuse overlay loop tpm_tis veth; do modprobe -d "$modules" "$module"; done

# The repository as it is here, to write to; then directories for temporary files, which may hide where it lies.
mkdir /run/scratch /run/repository
mount /dev/vda /run/scratch
mkdir /run/scratch/{upper,work,tmp,var-tmp}
chmod 1777 /run/scratch/tmp /run/scratch/var-tmp
mount -t overlay -o "lowerdir=$repository,upperdir=/run/scratch/upper,workdir=/run/scratch/work" overlay /run/repository
# Of a file on an overlay of two filesystems stat(2) tells other numbers than the kernel's programs see.
cp -a "$repository/dist" /run/scratch/dist
mount --bind /run/scratch/dist /run/repository/dist
mount --bind /run/scratch/tmp /tmp
mount --bind /run/scratch/var-tmp /var/tmp
mount -t tmpfs root /root

export CLAWFS_VM=1 CI=1 NO_COLOR=1
if [ -f /run/repository/package.json ] && cd /run/repository; then
  (eval "$command")
  printf '\nclawfs-vm: exit %s\n' "$?"
fi
sync
echo o >/proc/sysrq-trigger
sleep 10
