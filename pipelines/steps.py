"""The steps, in order: a table that can be read without importing KFP."""

STEPS = ("synthesize", "preprocess", "cluster", "tune", "train", "evaluate", "challenge", "register")

STEP_IMAGE = {
    "synthesize": "tools",
    "preprocess": "preprocess",
    "cluster": "tools",
    "tune": "train",
    "train": "train",
    "evaluate": "train",
    "challenge": "train",
    "register": "tools",
}

SERVICE_IMAGE = {"studio": "studio"}
"""What runs beside the pipeline for as long as it is wanted, and its image."""

STEP_ROOMS = {"challenge": ("evaluate",), "tune": ("tune", "train", "evaluate"), "register": ("register", "finish"),
              "studio": ("shoot", "train", "register")}
"""Steps and services whose code is not just in the folder of their own name under `components`."""

STEP_PACKAGES = {"register": ("photoshoot",), "studio": ("photoshoot", "pipelines")}
"""Packages beside `components` that a step's or service's code can reach: a registered version is served by
`photoshoot`, the page is a room of `pipelines`."""

ON_NODES = "train-on-nodes"
"""The task that has several machines train, and waits for them."""

TASK_STEP = {
    "preprocess-part": "preprocess", "gather": "preprocess",
    "prepare-study": "tune", "tune-worker": "tune", "select-weights": "tune",
    ON_NODES: "train",
}
"""Tasks that are not a step of their own, and the step whose work, code and image they share."""

PARTIAL_TASKS = {"preprocess-part", "prepare-study", "tune-worker"}
"""Those of them with which the step is not yet done."""

LOOPED_TASKS = {"preprocess-part", "tune-worker"}
"""Those that run inside a loop, several at once."""

EXIT_TASK = "finish"
"""The task that has the last word on Kubeflow, however the run ends; it is no step, and shares `register`'s image."""


def step_of(task: str) -> str:
    """The step that a task belongs to, by the name of its component."""
    return "register" if task == EXIT_TASK else TASK_STEP.get(task, task)


def steps_of_run(*, synthetic: bool, tuned: bool) -> tuple[str, ...]:
    """The steps that a training run has: people are synthesised or brought, loss weights are searched for or not."""
    return tuple(step for step in STEPS if (step != "synthesize" or synthetic) and (step != "tune" or tuned))
