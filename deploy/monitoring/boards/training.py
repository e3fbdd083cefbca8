"""What one asks who trains: does it learn, does it go on, and what would a kill waste."""

from boards.board import JOB as WHICH
from boards.board import Board, Panel, Row
from boards.promql import JOB, grown

TRAINER = f'{JOB}, service="slicegan-trainer"'
SLICED = f'porelay_messages_total{{{TRAINER}, outcome="sliced"}}'
BUDGET = f"porelay_checkpoint_budget_seconds{{{JOB}}}"

NOW = Row(
    "Now",
    (
        Panel(
            "Trainings in hand",
            "Workers that train now; a training is held in slices (PORELAY_SLICE_S).",
            {"": f"sum(porelay_in_hand{{{TRAINER}}})"},
            kind="number",
            width=6,
        ),
        Panel(
            "Slices ended in the period",
            "Slices that saved and asked to go on. None for long while one is in hand: see Steps per second.",
            {"": f"sum({grown(SLICED, '$__range')})"},
            kind="number",
            width=6,
        ),
        Panel(
            "Oldest kept checkpoint, of its budget",
            "What a kill would waste now: the time since a checkpoint was kept in the store, of "
            "PORELAY_CHECKPOINT_S. Red from 3 on: one step takes longer than that, or the store takes no checkpoints.",
            {"": f"max(porelay_checkpoint_kept_age_seconds{{{JOB}}} / {BUDGET})"},
            unit="percentunit",
            kind="number",
            orange=2,
            red=3,
            width=6,
        ),
        Panel(
            "Progress",
            "Steps made of those planned, of the training that each worker had last.",
            {"{{instance}}": f"porelay_train_progress_ratio{{{JOB}}}"},
            unit="percentunit",
            kind="number",
            width=6,
        ),
    ),
)

LEARNING = Row(
    "Learning",
    (
        Panel(
            "Critic's distance",
            "The critic's latest estimate of the Wasserstein distance between real and generated slices. It should "
            "fall and settle. Growing without end, or a straight line at 0: the training has failed; change its "
            "parameters.",
            {"{{instance}}": f"porelay_train_critic_wasserstein{{{JOB}}}"},
            low=None,
        ),
        Panel(
            "Gradient penalty",
            "Should stay small beside the distance. Growing: the critic is unstable; lower the learning rate.",
            {"{{instance}}": f"porelay_train_gradient_penalty{{{JOB}}}"},
        ),
        Panel(
            "Steps per second",
            "0 while a training is in hand: it starts, saves or judges a checkpoint, or hangs; one that hangs is "
            "ended at its limit. Halved: somebody else uses that GPU.",
            {"{{instance}}": f"sum by (instance) (rate(porelay_train_steps_total{{{JOB}}}[$__rate_interval]))"},
            unit="ops",
        ),
        Panel(
            "Course of the progress",
            "Steps made of those planned.",
            {"{{instance}}": f"porelay_train_progress_ratio{{{JOB}}}"},
            unit="percentunit",
        ),
    ),
)

SAVING = Row(
    "Slices and checkpoints",
    (
        Panel(
            "Length of the last slice",
            "Seconds; about PORELAY_SLICE_S, and shorter at the end of a training or when a worker is asked to leave.",
            {"{{instance}}": f"porelay_train_slice_seconds{{{JOB}}}"},
            unit="s",
        ),
        Panel(
            "Age of the newest checkpoint",
            "On the worker's disk (newest) and in the store (kept), 0 where none trains; budget is "
            "PORELAY_CHECKPOINT_S. Kept far above it: a killed worker wastes that much.",
            {
                "newest {{instance}}": f"porelay_checkpoint_age_seconds{{{JOB}}}",
                "kept {{instance}}": f"porelay_checkpoint_kept_age_seconds{{{JOB}}}",
                "budget": f"max({BUDGET})",
            },
            unit="s",
        ),
    ),
)

GPU = Row(
    "GPU",
    (
        Panel(
            "GPU in use",
            "Of NVIDIA's DCGM exporter; empty without it. Low while a training is in hand: it waits for the "
            "processor or the store, or the batch is small.",
            {"{{instance}} {{gpu}}": "DCGM_FI_DEV_GPU_UTIL"},
            unit="percent",
            width=8,
        ),
        Panel(
            "GPU memory in use",
            "Of NVIDIA's DCGM exporter; empty without it. Of all processes on that GPU.",
            {"{{instance}} {{gpu}}": "DCGM_FI_DEV_FB_USED"},
            unit="mbytes",
            width=8,
        ),
        Panel(
            "GPU memory of workers",
            "What a worker's own process has taken, 0 on processors.",
            {"{{instance}}": f"porelay_gpu_memory_bytes{{{JOB}}}"},
            unit="bytes",
            width=8,
        ),
    ),
)

TRAINING = Board(
    "training",
    "Training",
    "Whether trainings learn and go on, what a kill would waste, and what the GPUs do.",
    (NOW, LEARNING, SAVING, GPU),
    (WHICH,),
)
