#!/bin/bash
# Ceph of one node, its data in a file of the volume /var/lib/ceph: S3 on port 8080. First start: it is made.
# /users has the S3 users, a line each: name, access key, secret key. CEPH_BYTES is how large the (sparse) file may grow.
set -euo pipefail
home=/var/lib/ceph/porelay
export CEPH_CONF=/tmp/ceph.conf
mkdir -p "$home" /tmp/ceph
[ -e "$home/fsid" ] || cat /proc/sys/kernel/random/uuid > "$home/fsid"
fsid="$(cat "$home/fsid")"

cat > "$CEPH_CONF" <<END
[global]
fsid = $fsid
mon host = [v2:127.0.0.1:3300,v1:127.0.0.1:6789]
public addr = 127.0.0.1
cluster addr = 127.0.0.1
keyring = $home/keyring
run dir = /tmp/ceph
admin socket = /tmp/ceph/\$name.asok
crash dir = /tmp/ceph
log file =
mon cluster log file =
mon data = $home/mon
osd data = $home/osd
mgr data = $home/mgr
mgr initial modules =
mon allow pool size one = true
mon max pg per osd = 1000
osd objectstore = bluestore
bluestore block size = ${CEPH_BYTES:-107374182400}
osd memory target = 1073741824
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 8
osd pool default pg autoscale mode = off
osd crush chooseleaf type = 0

[client.rgw.a]
rgw data = $home/rgw
rgw frontends = beast endpoint=0.0.0.0:8080 tcp_nodelay=1
# The topic's address has the password of the user porelay-bucket; it does not leave the network of these containers.
rgw allow notification secrets in cleartext = true
END

user() { ceph-authtool "$home/keyring" --gen-key -n "$@"; }

make() {
    rm -rf "$home"/{keyring,mon,osd,mgr,rgw}
    mkdir "$home"/{mon,osd,mgr,rgw}
    ceph-authtool --create-keyring "$home/keyring"
    user mon. --cap mon 'allow *'
    user client.admin --cap mon 'allow *' --cap osd 'allow *' --cap mgr 'allow *'
    user osd.0 --cap mon 'allow profile osd' --cap osd 'allow *' --cap mgr 'allow profile osd'
    user mgr.x --cap mon 'allow profile mgr' --cap osd 'allow *'
    user client.rgw.a --cap mon 'allow rw' --cap osd 'allow rwx' --cap mgr 'allow rw'
    monmaptool --create --addv a '[v2:127.0.0.1:3300,v1:127.0.0.1:6789]' --fsid "$fsid" /tmp/monmap
    ceph-mon --mkfs -i a --monmap /tmp/monmap --keyring "$home/keyring"
}

start() { "$@" -f & daemons+=($!); }

# From the last to the first, so that each can still write down what it has in hand.
stop() {
    trap - TERM INT
    for ((i = ${#daemons[@]} - 1; i >= 0; i--)); do kill "${daemons[i]}" 2>/dev/null || true; wait "${daemons[i]}" || true; done
    exit 0
}

wait_for() { for _ in {1..300}; do "$@" && return; sleep 0.2; done; echo "waited 60 s in vain for: $*" >&2; exit 1; }
osd_is_up() { ceph osd stat 2>/dev/null | grep -q '1 up'; }
answers() { (exec 3<>/dev/tcp/127.0.0.1/8080) 2>/dev/null; }

daemons=()
trap stop TERM INT
[ -e "$home/made" ] || make
start ceph-mon -i a
if [ ! -e "$home/made" ]; then
    osd="$(cat /proc/sys/kernel/random/uuid)"
    ceph osd new "$osd"
    ceph-osd -i 0 --mkfs --osd-uuid "$osd"
    touch "$home/made"
fi
start ceph-mgr -i x
start ceph-osd -i 0
wait_for osd_is_up
start radosgw -n client.rgw.a
wait_for answers

if ! cmp -s /users "$home/users"; then
    while read -r name access secret; do
        radosgw-admin user create "--uid=$name" "--display-name=$name" "--access-key=$access" "--secret-key=$secret" >/dev/null 2>&1 \
            || radosgw-admin key create "--uid=$name" --key-type=s3 "--access-key=$access" "--secret-key=$secret" >/dev/null
    done < /users
    cp /users "$home/users"
fi
touch /tmp/ready
echo "S3 answers on port 8080"
wait -n || true
echo "a daemon of Ceph has ended" >&2
exit 1
