#!/bin/bash
# machine-init.sh NAME DIR INIT: the first process of a machine, in namespaces of its own: builds its view of /proc /sys /run /etc /var /opt
# and its cgroups, then becomes INIT. Nothing of it is seen outside.
set -euo pipefail
name=$1 dir=$2 init=$3
hostname "$name"

# The host's cgroup layout again; in the cgroup namespace each mount's root is this machine's subtree.
layout=$(awk '$3 == "cgroup" || $3 == "cgroup2" { print $2, $3, $4 }' /proc/mounts)
umount -R /sys/fs/cgroup
mount -t proc proc /proc
mount -t sysfs sysfs /sys
grep -q '^/sys/fs/cgroup cgroup2' <<<"$layout" || mount -t tmpfs -o mode=755 tmpfs /sys/fs/cgroup
while read -r at type options; do
  mkdir -p "$at"
  controllers=${at##*/}
  if [ "$controllers" = systemd ]; then controllers=none,name=systemd; fi
  if [ "$type" = cgroup2 ]; then mount -t cgroup2 cgroup2 "$at"; else mount -t cgroup -o "$controllers" cgroup "$at"; fi
done <<<"$layout"

mkdir -p "$dir"/{containerd,kubelet}
for at in etc var opt; do
  mkdir -p "$dir/overlay/$at/upper" "$dir/overlay/$at/work"
  mount -t overlay -o "lowerdir=/$at,upperdir=$dir/overlay/$at/upper,workdir=$dir/overlay/$at/work" overlay "/$at"
done
mount -t tmpfs -o mode=755 tmpfs /run
mkdir -p /run/netns /run/lock /var/lib/containerd /var/lib/kubelet /var/log/pods /opt/cni/bin /etc/cni/net.d
[ -e /var/run ] || ln -s /run /var/run
mount --bind "$dir/containerd" /var/lib/containerd  # an overlay's upper directory must not lie on an overlay
mount --bind "$dir/kubelet" /var/lib/kubelet
cp -n /usr/lib/cni/* /opt/cni/bin/
mount -t bpf -o mode=700 bpf /sys/fs/bpf

# kubelet sets these for the whole host, but only where the value differs: show it what it wants.
mkdir -p /run/sysctl
show() { echo "$2" >"/run/sysctl/${1##*/}"; mount --bind "/run/sysctl/${1##*/}" "/proc/sys/$1"; }
show vm/overcommit_memory 1
show vm/panic_on_oom 0
show kernel/panic 10
show kernel/panic_on_oops 1
show kernel/keys/root_maxkeys 1000000
show kernel/keys/root_maxbytes 25000000
show kernel/random/boot_id "$(cat /proc/sys/kernel/random/uuid)"  # a new one at each start: kubelet tells of a reboot

mount --make-rshared /
ip link set lo up
echo 1 >/proc/sys/net/ipv4/ip_forward
echo 1 >/proc/sys/net/ipv6/conf/all/forwarding
touch "$dir/ready"
exec "$init"
