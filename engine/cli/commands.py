"""The commands: names, where each lives, one line on each. `grandmodel --help` imports nothing else."""

from __future__ import annotations

ABOUT = "Backtest, train and paper-trade an ensemble of reinforcement-learning agents."
COMPLETING = "_GRANDMODEL_COMPLETE"
"""Variable that a shell sets when it asks for completions."""
COMMANDS = {
    "init": ("engine.cli.init:init", "Create a project: strategy, configuration, test and notebook."),
    "backtest": ("engine.cli.backtest:backtest", "Replay files of bars through an agent and the simulator."),
    "walkforward": (
        "engine.cli.walkforward:walkforward",
        "Choose or train on the past, trade what follows, fold by fold.",
    ),
    "compare": ("engine.cli.compare:compare", "Compare variants of agents on the same bars, or finished runs."),
    "stress": ("engine.cli.stress:stress", "Strike a backtest with crashes, costs and faults of the feed."),
    "runs": ("engine.cli.runs:runs", "List finished runs, the latest first."),
    "trials": ("engine.cli.trials:trials", "Sum up what was ever tried on a data set, and the odds."),
    "paper": ("engine.cli.paper:paper", "Paper-trade live bars; continues where it stopped."),
    "publish": ("engine.cli.publish:publish", "Play files of bars into a broker or a pipe."),
    "feed": ("engine.cli.feed:app", "Show what a feed sends, and how it is understood."),
    "ctl": ("engine.cli.ctl:ctl", "Give an order to a running session: pause, halt, stop, ..."),
    "dashboard": ("engine.cli.dashboard:dashboard", "Watch a live session from another terminal."),
    "monitor": ("engine.cli.monitor:monitor", "Show how a strategy does, and whether to train it again."),
    "health": ("engine.cli.health:health", "Check that a session lives and is ready, by its heartbeat file."),
    "reset-halt": ("engine.cli.ctl:reset_halt", "Let a halted session trade again, running or not."),
    "report": ("engine.cli.report:report", "Show the result of a run, and write its report.html again."),
    "explain": ("engine.cli.explain:explain", "Show why a fill happened: order, decision, observations."),
    "diverge": ("engine.cli.diverge:diverge", "Show why a session and its backtest differ, cause by cause."),
    "evaluate": ("engine.cli.evaluate:evaluate", "Evaluate an ensemble on episodes without exploration."),
    "verify": ("engine.cli.verify:verify", "Run a manifest again and compare the ledger bit for bit."),
    "train": ("engine.cli.train:train", "Train the ensemble on your own bars and on synthetic ones."),
    "tune": ("engine.cli.tune:tune", "Search for better settings of a training."),
    "export": ("engine.cli.export:export", "Write the networks of a checkpoint as ONNX files and weights."),
    "doctor": ("engine.cli.doctor:doctor", "Examine this installation."),
    "completion": ("engine.cli.completing:completion", "Print the completion script of a shell."),
    "journal": ("engine.cli.journal:app", "Verify, export, replay, mend and add up live journals."),
    "data": ("engine.cli.data:app", "Inspect, validate, convert and synthesize market data."),
    "models": ("engine.cli.models:app", "List, verify, challenge and promote versions of the models."),
    "config": ("engine.cli.config:app", "Show the configuration and its schema."),
}
OPTIONS = {"--version": "Print the version.", "-h, --help": "Show this message and exit."}


def overview() -> str:
    """What `grandmodel --help` prints; 80 columns hold it."""
    lines = ["Usage: grandmodel [OPTIONS] COMMAND [ARGS]...", "", ABOUT, ""]
    for title, entries in (("Options", OPTIONS), ("Commands", {name: line for name, (_, line) in COMMANDS.items()})):
        lines += [f"{title}:", *(f"  {name:<11} {line}" for name, line in entries.items()), ""]
    return "\n".join([*lines, "`grandmodel COMMAND --help` shows a command's options and an example."])
