#!/usr/bin/env bash
# Runs the program as the image does: as user 65532, in a root that cannot be written and holds nothing else but the
# libraries that it is linked with, without a network and without a way to get rights. Needs root.
#
#   isolated.sh PROGRAM FOLDER    the new root is mounted over the empty FOLDER
set -euo pipefail

if [ "${3:-}" != inside ]; then
    exec unshare --mount --net --fork --kill-child -- "$0" "$1" "$2" inside
fi

program=$1 root=$2
ip link set lo up
mount -t tmpfs none "$root"
mkdir "$root"/{proc,dev,tmp}
for library in $(ldd "$program" | grep -o '/[^ ]*'); do
    install -D "$library" "$root$library"
    basename "$library"
done
install "$program" "$root/fal-gateway"
mount -t proc proc "$root/proc" -o ro
mount -o remount,ro "$root"

nobody=(setpriv --no-new-privs -- env -i FAL_GATEWAY__SERVER__LISTEN=0.0.0.0:3250
    FAL_GATEWAY__AUTH__ALLOW_UNAUTHENTICATED=true FAL_GATEWAY__SERVER__PUBLIC_HOSTS=fal-gateway
    "$(command -v chroot)" --userspec=65532:65532 --groups= "$root" /fal-gateway)

# Neither it nor anybody else can write there.
if touch "$root/tmp/written" 2>/dev/null; then
    echo "$root can be written to"
    exit 1
fi
"${nobody[@]}" serve --demo-without-key &
server=$!
for _ in $(seq 100); do
    "${nobody[@]}" health >/dev/null 2>&1 && break
    kill -0 "$server"
    sleep 0.1
done
"${nobody[@]}" health
grep -E '^(Uid|Gid|CapEff|CapPrm|NoNewPrivs)' "/proc/$server/status"
"${nobody[@]}" chat -m openai/gpt-4o-mini 'Say hello.'
# It stops when it is told to, and says that all went well.
kill -TERM "$server"
wait "$server"
echo "stopped with $?"
