"""Grafana's dashboards, each a table of panels."""

from boards.broker_and_store import BROKER_AND_STORE
from boards.facility import FACILITY
from boards.pipeline import PIPELINE
from boards.training import TRAINING

BOARDS = (FACILITY, PIPELINE, TRAINING, BROKER_AND_STORE)
