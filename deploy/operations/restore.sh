#!/bin/sh
# restore.sh VAULT:BUCKET SITE:BUCKET    puts what backup.sh saved into an empty bucket. Stop all workers first.
set -eu
vault=$1 site=$2
copy() { rclone copy "$@" --metadata --s3-no-check-bucket --checksum; }

echo "the backup is of $(rclone cat "$vault/BACKUP")"
if [ -n "$(rclone lsf "$site" --max-depth 1)" ]; then
  echo "$site is not empty. Restore into a new bucket, so that nothing of two times is mixed." >&2
  exit 2
fi
copy "$vault" "$site" \
  --exclude '/BACKUP' --exclude '/incoming/**' --exclude '/runs/**' --exclude '/artifacts/*/*/manifest.json'
copy "$vault/artifacts" "$site/artifacts" --include '/*/*/manifest.json'
copy "$vault/runs" "$site/runs"
