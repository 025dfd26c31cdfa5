"""Something of your own while it trains: stop when attention has opened, and keep gamma's course in a file."""

import json
import sys
from pathlib import Path

import sagan


class UntilAttentionOpens(sagan.Hook):
    """Writes gamma of every attention block at each line of the log, and ends the run once one is large enough."""

    def __init__(self, file: str, enough: float) -> None:
        self.file, self.enough = Path(file), enough

    def on_start(self, record) -> None:
        """A run that goes on leaves out what came after its checkpoint."""
        old = json.loads(self.file.read_text()) if self.file.exists() else []
        self.course = [line for line in old if line["step"] <= record.step]

    def on_line(self, record, line) -> None:
        """The log names them gamma/G/8, gamma/D/8 and so on."""
        gammas = {key: value for key, value in line.items() if key.startswith("gamma/")}
        if not gammas:
            return
        self.course.append({"step": line["step"]} | gammas)
        self.file.write_text(json.dumps(self.course))
        if max(abs(value) for value in gammas.values()) >= self.enough:
            record.stop(f"gamma has reached {self.enough}")


def main(steps: int = 200) -> None:
    """Train the demonstration on the embedded digits with it."""
    config = sagan.preset("demo", steps=steps)
    result = sagan.train(config, out="runs/with-a-hook", hooks=[UntilAttentionOpens("gamma.json", enough=0.05)])
    print(result.reason or f"all {result.step} steps are done")
    for line in json.loads(Path("gamma.json").read_text()):
        print(line)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:2]))
