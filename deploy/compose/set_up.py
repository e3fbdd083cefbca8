"""The job `topology` of compose: queues and policies, the bucket, its notifications, and who may do what in it."""

import subprocess
from pathlib import Path

from porelay_kit.settings import Settings
from porelay_kit.store.wire import Wire

notify = Path("/bucket/amqp_url").read_text().strip()
subprocess.run(["porelay", "topology", "apply", "--notify-url", notify], check=True)
wire = Wire.open(Settings.from_env())
wire.ask("PUT", query={"policy": ""}, body=Path("/bucket-policy.json").read_bytes()).checked()
print("+ policy of the bucket")  # noqa: T201
