#!/bin/sh
# backup.sh SITE:BUCKET VAULT:BUCKET    copies the store; both are places that rclone (1.59 or newer) knows.
#
# Workers go on meanwhile. What refers to something is read before what it refers to, and written after it: so what lies
# in the vault is whole at any moment, also when this is broken off. Run it again then, or each night: only what is new travels.
set -eu
site=$1 vault=$2
copy() { rclone "$@" --metadata --s3-no-check-bucket --retries 10; }

copy sync "$site/runs" "$vault/incoming/runs" --checksum
copy sync "$site/artifacts" "$vault/incoming/artifacts" --checksum --include '/*/*/manifest.json'
copy copy "$site" "$vault" --update --use-server-modtime \
  --exclude '/runs/**' --exclude '/artifacts/*/*/manifest.json' --exclude '/scratch/**' --exclude '/doctor/**'
copy sync "$site/scratch" "$vault/scratch" --checksum || echo "checkpoints of trainings: not all copied" >&2
copy copy "$vault/incoming/artifacts" "$vault/artifacts" --checksum
copy sync "$vault/incoming/runs" "$vault/runs" --checksum
date -u +%Y-%m-%dT%H:%M:%SZ | rclone rcat "$vault/BACKUP" --s3-no-check-bucket
